/** Where a page ended, as opaque text bound to the search (type, sort, principal). Only this engine reads it. */
import { StoreError } from './port.ts';

export type CursorValue = string | number | null;

/** 32-bit FNV-1a: a cursor of another search is a mistake to be told, not an attack; every page applies the plan's access again. */
function fingerprint(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

export function encodeCursor(bound: string, values: readonly CursorValue[]): string {
  return Buffer.from(JSON.stringify([fingerprint(bound), ...values]), 'utf8').toString('base64url');
}

const isValue = (value: unknown): value is CursorValue =>
  value === null || typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));

/**
 * The values, of which there must be `count`, the last a whole number.
 * @throws StoreError `bad-cursor` when the text is not a cursor of this search
 */
export function decodeCursor(bound: string, text: string, count: number): readonly CursorValue[] {
  const refuse = (cause?: unknown) =>
    new StoreError('bad-cursor', 'The cursor does not belong to this search.', { cause });
  let found: unknown;
  try {
    found = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch (cause) {
    throw refuse(cause);
  }
  if (!Array.isArray(found) || found.length !== count + 1 || found[0] !== fingerprint(bound)) throw refuse();
  const values: unknown[] = found.slice(1);
  if (!values.every(isValue) || !Number.isSafeInteger(values.at(-1))) throw refuse();
  return values;
}
