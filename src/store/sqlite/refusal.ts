/** What SQLite's result codes mean for a request, and how they reach the log. Source: sqlite.org/rescode.html. */
import { StoreError } from '../port.ts';

/** Codes that say the machine refuses, not that a request is wrong; triggers are those of a move, see journal.ts. Sent between threads by their place here. */
export const REFUSALS = [
  'SQLITE_FULL',
  'SQLITE_IOERR',
  'SQLITE_BUSY',
  'SQLITE_LOCKED',
  'SQLITE_NOMEM',
  'SQLITE_READONLY',
  'SQLITE_CANTOPEN',
  'SQLITE_PROTOCOL',
  'SQLITE_CONSTRAINT_TRIGGER',
] as const;

/** Codes of a file that is not what was written. */
const DAMAGE = /^SQLITE_(?:CORRUPT|NOTADB)/;

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

export const isDamage = (error: unknown): boolean => DAMAGE.test(codeOf(error));

/** The disk is full, or the database as large as it may be. */
export const isNoRoom = (error: unknown): boolean => codeOf(error) === 'SQLITE_FULL';

/** Place of the error's code among REFUSALS, extended codes under their own; -1 when it is none. */
export function refusalOf(error: unknown): number {
  const code = codeOf(error);
  return REFUSALS.findIndex((each) => code.startsWith(each));
}

/** `unavailable`, with a cause whose `code` is what the log says of it. */
export function unavailable(message: string, code: string): StoreError {
  return new StoreError('unavailable', message, { cause: Object.assign(new Error(code), { code }) });
}
