/** Keys, tokens and a door for callers with rights: shared by the tests of authorization. */
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { strangerFacts } from '../../src/rest/permission/caller.ts';
import { accessFilter } from '../../src/smart/access.ts';
import { issuerOf } from '../../src/smart/issuer.ts';
import { type Situation, scopesOf } from '../../src/smart/scopes.ts';
import { BASE } from '../world.ts';

export interface Pair {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}
export async function pair(alg: string, kid: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export const ISSUER = 'https://issuer.example';
export const KEYS = await pair('ES384', 'one');
export const ISSUED = issuerOf({ issuer: ISSUER, audience: [BASE], jwks: { keys: [KEYS.jwk] } });

export type Claims = Readonly<Record<string, unknown>>;

/** @param at ms since 1970 */
export function claims(at: number, more: Claims = {}): Claims {
  const now = Math.floor(at / 1000);
  const own = { iss: ISSUER, aud: BASE, sub: 'user-1', client_id: 'app', jti: 'j1', iat: now, exp: now + 300 };
  return { ...own, scope: 'user/*.cruds', ...more };
}

export function signed(payload: Claims, { privateKey }: Pair = KEYS, header: Claims = {}): Promise<string> {
  const full = { alg: 'ES384', kid: 'one', typ: 'at+jwt', ...header };
  return new SignJWT({ ...payload }).setProtectedHeader(full).sign(privateKey);
}

/** Whoever has these scopes, and these records as the patient in context; in a situation, when it is given. */
export function callerWith(
  context: RestContext,
  scope: string,
  patients: readonly string[] = [],
  situation?: Situation,
): Caller {
  const rights = {
    ...({ kind: 'granted', scopes: scopesOf(scope), patients } as const),
    ...(situation === undefined ? {} : { situation }),
  };
  const principal = JSON.stringify([scope, patients, situation]);
  const facts = { ...strangerFacts('request-1', '127.0.0.1'), principal, rights };
  return { ...facts, access: accessFilter(rights, principal, context) };
}
