/**
 * XAES-256-GCM: AES-256-GCM under a key of each message, derived from 192 random bits, so that one key seals any number of messages: with 2^80 of them two
 * nonces are alike with a chance of 2^-32, where AES-GCM alone ends at 2^32. Source: c2sp.org/XAES-256-GCM, NIST SP 800-108r1 (CMAC), SP 800-38D.
 */
import { type Cipheriv, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** What a sealed text is longer than the text, bytes. */
export const OVERHEAD = NONCE_BYTES + TAG_BYTES;
const BLOCK = 16;
const HALF = NONCE_BYTES / 2;

/** Doubled in GF(2^128), as the first subkey of CMAC. */
function doubled(block: Buffer): Buffer {
  const out = Buffer.alloc(BLOCK);
  for (let index = 0; index < BLOCK; index++) {
    out[index] = (((block[index] ?? 0) << 1) | ((block[index + 1] ?? 0) >> 7)) & 0xff;
  }
  if (((block[0] ?? 0) & 0x80) !== 0) out[BLOCK - 1] = (out[BLOCK - 1] ?? 0) ^ 0x87;
  return out;
}

export class Sealer {
  /** The block cipher alone, of which each block is by itself: one object for all of them, since making one costs as much as sealing a small text. */
  readonly #blocks: Cipheriv;
  readonly #subkey: Buffer;

  /** @param key KEY_BYTES of it, for nothing else */
  constructor(key: Uint8Array) {
    this.#blocks = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    this.#subkey = doubled(this.#blocks.update(Buffer.alloc(BLOCK)));
  }

  /** Two blocks of a counter mode by CMAC: the counter, "X", the first half of the nonce. */
  #derived(nonce: Uint8Array): Buffer {
    const input = Buffer.alloc(2 * BLOCK);
    for (const [counter, start] of [
      [1, 0],
      [2, BLOCK],
    ] as const) {
      input.set([0, counter, 0x58, 0], start);
      input.set(nonce.subarray(0, HALF), start + 4);
    }
    for (let index = 0; index < input.length; index++) {
      input[index] = (input[index] ?? 0) ^ (this.#subkey[index % BLOCK] ?? 0);
    }
    return this.#blocks.update(input);
  }

  /** Nonce, ciphertext, tag. @param nonce tests only */
  seal(text: Uint8Array, bound: Uint8Array, nonce: Uint8Array = randomBytes(NONCE_BYTES)): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#derived(nonce), nonce.subarray(HALF)).setAAD(bound);
    const sealed = cipher.update(text);
    return Buffer.concat([nonce, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  /** @returns undefined when it was not sealed by this key with this bound data, or is not as it was */
  open(sealed: Uint8Array, bound: Uint8Array): Buffer | undefined {
    if (sealed.length < OVERHEAD) return undefined;
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const end = sealed.length - TAG_BYTES;
    const options = { authTagLength: TAG_BYTES };
    const cipher = createDecipheriv('aes-256-gcm', this.#derived(nonce), nonce.subarray(HALF), options);
    cipher.setAAD(bound).setAuthTag(sealed.subarray(end));
    const text = cipher.update(sealed.subarray(NONCE_BYTES, end));
    try {
      cipher.final();
      return text;
    } catch {
      return undefined;
    }
  }
}
