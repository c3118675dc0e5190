/**
 * Cursors of next links, sealed: AES-256-GCM, so that nobody reads the sort values inside (they may be PHI, and links end in logs) and
 * nobody makes one. Bound to the principal and to the query by the additional data. The nonce is derived from what is sealed (as in
 * RFC 8452): no randomness is needed, equal cursors are equal texts, and a nonce never serves two plaintexts.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { fhirError } from '../../fhir/outcome.ts';

/** One hour: batch readers are slow between pages. */
export const CURSOR_LIFETIME_MS = 3_600_000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const TOKEN = /^[A-Za-z0-9_-]{40,4000}$/;

/** What a cursor belongs to; `scope` is whatever decides the order and content of the pages. */
export interface CursorBinding {
  readonly principal: string;
  readonly scope: string;
}

interface CursorKeys {
  readonly nonce: KeyObject;
  readonly cipher: KeyObject;
}
/** What a key becomes, derived once: a process has one. */
const derived = new WeakMap<Uint8Array, CursorKeys>();

function keysOf(key: Uint8Array): CursorKeys {
  const known = derived.get(key);
  if (known !== undefined) return known;
  const derive = (purpose: string): KeyObject => createSecretKey(createHmac('sha256', key).update(purpose).digest());
  const made = { nonce: derive('cursor nonce'), cipher: derive('cursor') };
  derived.set(key, made);
  return made;
}

const boundTo = ({ principal, scope }: CursorBinding): Buffer => Buffer.from(JSON.stringify([principal, scope]));

function nonceOf(key: KeyObject, bound: Buffer, plain: Buffer): Buffer {
  const mac = createHmac('sha256', key);
  return mac.update(`${bound.length}:`).update(bound).update(plain).digest().subarray(0, NONCE_BYTES);
}

/**
 * @param after where the page ended, opaque
 * @param now ms
 * @returns base64url text that is valid for an hour
 */
export function sealCursor(key: Uint8Array, binding: CursorBinding, after: string, now: number): string {
  const bound = boundTo(binding);
  const plain = Buffer.from(JSON.stringify([now + CURSOR_LIFETIME_MS, after]));
  const keys = keysOf(key);
  const nonce = nonceOf(keys.nonce, bound, plain);
  const cipher = createCipheriv('aes-256-gcm', keys.cipher, nonce).setAAD(bound);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/**
 * @returns where the previous page ended
 * @throws FhirError `value` (400) for every token that is not ours, not this caller's, of another query, or too old
 */
export function openCursor(key: Uint8Array, binding: CursorBinding, token: string, now: number): string {
  const plain = TOKEN.test(token) ? unsealed(key, boundTo(binding), Buffer.from(token, 'base64url')) : undefined;
  if (plain === undefined) {
    throw fhirError('value', 'The `_cursor` is not one of this search. Follow the next link as it was given.');
  }
  const [expires, after]: readonly [number, string] = JSON.parse(plain.toString());
  if (now > expires) throw fhirError('value', 'The `_cursor` has expired. Start the search again.');
  return after;
}

function unsealed(key: Uint8Array, bound: Buffer, sealed: Buffer): Buffer | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const keys = keysOf(key);
  try {
    const decipher = createDecipheriv('aes-256-gcm', keys.cipher, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(bound).setAuthTag(sealed.subarray(-TAG_BYTES));
    const plain = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    return timingSafeEqual(nonceOf(keys.nonce, bound, plain), nonce) ? plain : undefined;
  } catch {
    return undefined; // any failure to open is the same answer: it is not one of ours
  }
}
