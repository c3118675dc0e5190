/** Secrets that must be read again (second factors, private keys) are kept encrypted: AES-256-GCM, random 96-bit nonce, bound to what they are of. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Seal {
  /** @param of what the secret belongs to: `user:<id>`; it opens only with the same text */
  close(secret: string, of: string): string;
  /** @throws Error when the text was altered, or sealed with another key or for something else */
  open(sealed: string, of: string): string;
  /** A key for another purpose, derived: 32 bytes in base64url. */
  derived(purpose: string): string;
}

/** @param key 32 bytes, the secret of this installation */
export function sealWith(key: Uint8Array): Seal {
  return {
    close: (secret, of) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(of, 'utf8'));
      const closed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, closed, cipher.getAuthTag()]).toString('base64url');
    },
    open: (sealed, of) => {
      const bytes = Buffer.from(sealed, 'base64url');
      const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(of, 'utf8'))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      return Buffer.concat([cipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), cipher.final()]).toString('utf8');
    },
    derived: (purpose) => createHmac('sha256', key).update(purpose).digest('base64url'),
  };
}
