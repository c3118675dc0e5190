/** The hash that chains audit rows. Whoever verifies a log imports this file and nothing else. */
import { hash } from 'node:crypto';

/** What the first row of a chain follows. */
export const CHAIN_START = Buffer.alloc(32);

/** The part of an audit row that its hash runs over. */
export interface ChainedRow {
  readonly chain: number;
  readonly sequence: number;
  readonly at: number;
  readonly form: number;
  readonly bytes: string;
}

/**
 * SHA-256 over the previous hash as 64 lower-case hex digits, then chain, sequence, at and form as decimal integers, each of
 * these five ended by a line feed, then `bytes` to the end, all in UTF-8. Fixed and digit fields come first, so no two rows
 * share an encoding.
 */
export function chainHash(previous: Buffer, { chain, sequence, at, form, bytes }: ChainedRow): Buffer {
  const text = `${previous.toString('hex')}\n${chain}\n${sequence}\n${at}\n${form}\n${bytes}`;
  return hash('sha256', text, 'buffer');
}
