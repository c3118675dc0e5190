/**
 * The keys of an issuer: fetched, believed for ten minutes, fetched again for a `kid` that is not known (once a minute), and kept for a day
 * while they cannot be fetched. While there are none at all the source is tried every five seconds, whoever asks.
 * Source: RFC 7517; docs/threat-model.md (JWKS outage or poisoning).
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

const BELIEVED_MS = 600_000;
const COOLDOWN_MS = 60_000;
const STALE_MS = 86_400_000;
const RETRY_MS = 5000;

export interface KeySource {
  now(): number;
  /** The body of a 200. Rejects otherwise. */
  fetchText(url: string): Promise<string>;
}

/** There are no keys to judge by: nothing is said of the token. */
export class KeysUnavailable extends Error {}

/** Keys by header of a token. Rejects with an error of jose, or with KeysUnavailable. */
export function remoteKeys(url: string, { now, fetchText }: KeySource): JWTVerifyGetKey {
  let held: { readonly keys: JWTVerifyGetKey; readonly at: number } | undefined;
  let tried = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  const fetched = async (): Promise<void> => {
    tried = now();
    held = { keys: createLocalJWKSet(keySetOf(await fetchText(url))), at: now() };
  };
  const renew = async (): Promise<void> => {
    running ??= fetched().finally(() => {
      running = undefined;
    });
    await running;
  };
  return async (header, token) => {
    const age = now() - (held?.at ?? Number.NEGATIVE_INFINITY);
    const pause = age > STALE_MS ? RETRY_MS : COOLDOWN_MS;
    let cause: unknown;
    if (age > BELIEVED_MS && (running !== undefined || now() - tried > pause)) {
      await renew().catch((error: unknown) => {
        cause = error;
      });
    }
    if (held === undefined || now() - held.at > STALE_MS) {
      throw new KeysUnavailable('The keys of an issuer cannot be had.', { cause });
    }
    try {
      return await held.keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || now() - tried <= COOLDOWN_MS) throw error;
      // What the source answers to is no word on this token: without a key that fits it does not hold.
      await renew().catch(() => undefined);
      return held.keys(header, token);
    }
  };
}

/** Asymmetric public keys only, whatever else the set holds. */
function keySetOf(text: string): JSONWebKeySet {
  const found: unknown = JSON.parse(text);
  const keys = typeof found === 'object' && found !== null && 'keys' in found ? found.keys : undefined;
  if (!Array.isArray(keys)) throw new errors.JWKSInvalid();
  const isUsable = (key: unknown): boolean =>
    typeof key === 'object' && key !== null && 'kty' in key && key.kty !== 'oct' && !('d' in key);
  return { keys: keys.filter(isUsable) };
}
