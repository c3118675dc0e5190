/** The salted commitment that lets a hash-chained row forget who it was about. Source: docs/audit.md#erasure. */
import { hash } from 'node:crypto';
import type { StoredAuditRow } from '../audit.ts';
import { isJsonObject, type JsonObject } from '../fhir/resource.ts';

/** SHA-256 over salt and erasable text, base64url (43 characters). */
export function commitment(salt: string, erasable: string): string {
  return hash('sha256', salt + erasable, 'base64url');
}

/** 'none': the row never had an erasable part. 'erased': it had one, which is gone. 'altered': what is there is not what was committed to. */
export type CommitmentState = 'intact' | 'none' | 'erased' | 'altered';

/** Whether the erasable part of a row is what its bytes commit to. Says nothing of the bytes themselves: the chain does. */
export function verifyCommitment({ bytes, erasable }: Pick<StoredAuditRow, 'bytes' | 'erasable'>): CommitmentState {
  const committed = objectOf(bytes).k;
  if (committed === undefined) return erasable === undefined ? 'none' : 'altered';
  if (erasable === undefined) return 'erased';
  const salt = saltOf(erasable);
  return salt !== undefined && commitment(salt, erasable) === committed ? 'intact' : 'altered';
}

function saltOf(erasable: string): string | undefined {
  try {
    const salt = objectOf(erasable).t;
    return typeof salt === 'string' ? salt : undefined;
  } catch {
    return undefined; // not even JSON: altered
  }
}

/**
 * Our own text as JSON: not `parseJson`, which refuses what a hostile query text may hold (NUL) and would leave the event unreadable.
 * @throws TypeError when it is not a JSON object
 */
export function objectOf(text: string): JsonObject {
  const value: unknown = JSON.parse(text);
  if (!isJsonObject(value)) throw new TypeError('An audit row is not a JSON object.');
  return value;
}
