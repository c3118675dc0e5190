/**
 * Ids of tokens, codes and sessions are secrets: the store keeps SHA-256 of them only. They have 256 random bits, so a plain hash suffices.
 * Inside this process a record can also be named by its hash, in a form that nobody outside can make.
 */
import { createHash, randomBytes } from 'node:crypto';

export class TokenIds {
  /** Unknown outside this process and different in each: a hash read from the database is never accepted as an id. */
  readonly #mark = `${randomBytes(16).toString('base64url')}.`;

  /** The key under which a secret id is kept. */
  hashOf(id: string): string {
    return id.startsWith(this.#mark) ? id.slice(this.#mark.length) : hashed(id);
  }

  /** An id of this process for what is kept under a hash. */
  named(hash: string): string {
    return this.#mark + hash;
  }
}

/** SHA-256 in base64url, 43 characters. */
export function hashed(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
