/**
 * The keys of an issuer: fetched, believed for ten minutes, fetched again for a `kid` that is not known (once a minute), and kept for a day
 * while they cannot be fetched. Source: RFC 7517; docs/threat-model.md (JWKS outage or poisoning).
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

const BELIEVED_MS = 600_000;
const COOLDOWN_MS = 60_000;
const STALE_MS = 86_400_000;

export interface KeySource {
  now(): number;
  /** The body of a 200. Rejects otherwise. */
  fetchText(url: string): Promise<string>;
}

/** Keys by header of a token. Rejects with an error of jose, or of the source. */
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
    if (age > BELIEVED_MS && (running !== undefined || held === undefined || now() - tried > COOLDOWN_MS)) {
      await renew().catch((error: unknown) => {
        if (held === undefined || age > STALE_MS) throw error;
      });
    }
    if (held === undefined || now() - held.at > STALE_MS) throw new errors.JWKSTimeout();
    try {
      return await held.keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || now() - tried <= COOLDOWN_MS) throw error;
      await renew();
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
