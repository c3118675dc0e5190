/**
 * Signing keys: RSA for ID tokens (RS256, which OpenID Connect requires; also RS384) and P-384 for access tokens (ES384). Private parts are sealed.
 * A rotation adds a pair that signs from then on; the older ones stay published until nothing they signed can be good any more.
 */
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { Command, ResourceStore } from '../store/port.ts';
import { isObject, Records } from './records.ts';
import type { Seal } from './seal.ts';

/** How long an older key stays published: far longer than any token it signed lives. */
export const OVERLAP_MS = 7 * 86_400_000;

interface KeyRecord {
  readonly sealed: string;
  /** ms since 1970. */
  readonly createdAt: number;
  /** Since when a newer one signs; undefined while it is the newest. */
  readonly retiredAt?: number | undefined;
}
function isKeyRecord(value: unknown): value is KeyRecord {
  return isObject(value) && typeof value.sealed === 'string' && typeof value.createdAt === 'number';
}
function isJwk(value: unknown): value is JWK & { readonly kid: string } {
  return isObject(value) && typeof value.kty === 'string' && typeof value.kid === 'string';
}

export interface SigningKeys {
  /** With private parts, newest first. */
  readonly keys: readonly (JWK & { readonly kid: string })[];
}
export interface KeyGround {
  readonly store: ResourceStore;
  readonly seal: Seal;
  now(): number;
}

const recordsOf = ({ store, now }: KeyGround) => new Records(store, 'oauth.signing-key', isKeyRecord, now);
const generate = promisify(generateKeyPair);

/** The keys that sign or are still published. */
export async function loadKeys(ground: KeyGround): Promise<SigningKeys> {
  const held = await recordsOf(ground).list();
  const live = held.filter(({ value: { retiredAt } }) => (retiredAt ?? Infinity) + OVERLAP_MS > ground.now());
  const keys = live
    .toSorted((one, other) => other.value.createdAt - one.value.createdAt)
    .map(({ key, value }) => {
      const jwk: unknown = JSON.parse(ground.seal.open(value.sealed, `key:${key}`));
      if (!isJwk(jwk)) throw new TypeError('A signing key is not of its shape.');
      return jwk;
    });
  return { keys };
}

/** Makes a new pair the one that signs. @returns the ids of the new keys */
export async function rotateKeys(
  ground: KeyGround,
  audit: Parameters<ResourceStore['commit']>[0]['audit'] = [],
): Promise<readonly string[]> {
  const records = recordsOf(ground);
  const [rsa, ec] = await Promise.all([
    generate('rsa', { modulusLength: 3072 }),
    generate('ec', { namedCurve: 'P-384' }),
  ]);
  const createdAt = ground.now();
  const made = await Promise.all(
    [rsa, ec].map(async ({ privateKey }) => {
      const exported = privateKey.export({ format: 'jwk' });
      const kid = await calculateJwkThumbprint(exported);
      const jwk = { ...exported, kid, use: 'sig', ...(exported.kty === 'EC' ? { alg: 'ES384' } : {}) };
      return { kid, record: { sealed: ground.seal.close(JSON.stringify(jwk), `key:${kid}`), createdAt } };
    }),
  );
  const retired = (await records.list()).flatMap(({ key, value }): Command[] => {
    if (value.retiredAt === undefined) return [records.set(key, { ...value, retiredAt: createdAt })];
    return value.retiredAt + OVERLAP_MS <= createdAt ? [records.remove(key)] : [];
  });
  await ground.store.commit({
    commands: [...retired, ...made.map(({ kid, record }) => records.set(kid, record))],
    audit,
  });
  return made.map(({ kid }) => kid);
}

/** What of a key everyone may know. */
export function publicPart({ kty, kid, use, alg, n, e, crv, x, y }: JWK): JWK {
  const all = { kty, kid, use, alg, n, e, crv, x, y };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
