/**
 * Access tokens as others see them: JWTs (RFC 9068) whose audience is the FHIR base. Behind each stands a record of oidc-provider's, so that a
 * token can be introspected and revoked; `jti` is the hash under which that record is kept.
 */
import { compactVerify, createLocalJWKSet, importJWK, type JWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { ResourceStore } from '../store/port.ts';
import { grantOf, isRefreshable, spaceOf } from './adapter.ts';
import { publicPart, type SigningKeys } from './keys.ts';
import { hashed } from './token-id.ts';

const ALGORITHM = 'ES384';
/** Longest time that a look into the store is remembered, ms: another process may end a token too. */
const REMEMBERED_MS = 5000;
const KEPT = 10_000;
const MODELS = ['AccessToken', 'ClientCredentials'] as const;

export interface TokenGround {
  readonly keys: SigningKeys;
  readonly issuer: string;
  readonly fhirBase: string;
  readonly store: ResourceStore;
  /** How often something of the authorization server's was ended: what is remembered counts until the next time. */
  endings(): number;
  now(): number;
}
/** A token that is good. */
interface Standing {
  /** The grant it is of; clients by themselves have none. */
  readonly grant: string | undefined;
}
interface Remembered {
  readonly standing: Standing;
  /** ms. */
  readonly until: number;
  readonly endings: number;
}
export interface Minted {
  /** Hash of the record's id. */
  readonly jti: string;
  readonly subject: string;
  readonly client: string;
  readonly scope: string;
  readonly seconds: number;
  /** patient, encounter, fhirUser, roles. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export class AccessTokens {
  readonly #ground: TokenGround;
  readonly #standing = new Map<string, Remembered>();
  /** Public parts of every key that is published. */
  readonly jwks: { readonly keys: JWK[] };

  constructor(ground: TokenGround) {
    this.#ground = ground;
    this.jwks = { keys: ground.keys.keys.map(publicPart) };
  }

  async mint({ jti, subject, client, scope, seconds, extra }: Minted): Promise<string> {
    const { keys, issuer, fhirBase, now } = this.#ground;
    const key = keys.keys.find(({ alg }) => alg === ALGORITHM);
    if (key === undefined) throw new TypeError('There is no key that signs access tokens.');
    const iat = Math.floor(now() / 1000);
    return new SignJWT({ ...extra, client_id: client, scope })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'at+jwt', kid: key.kid })
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(fhirBase)
      .setJti(jti)
      .setIssuedAt(iat)
      .setExpirationTime(iat + seconds)
      .sign(await importJWK(key, ALGORITHM));
  }

  /** Claims of a token of ours that is good now, not revoked; undefined for everything else. */
  async claims(token: string): Promise<JWTPayload | undefined> {
    const { issuer, fhirBase, now } = this.#ground;
    const set = createLocalJWKSet(this.jwks);
    const options = {
      issuer,
      audience: fhirBase,
      typ: 'at+jwt',
      algorithms: [ALGORITHM],
      currentDate: new Date(now()),
    };
    try {
      const { payload } = await jwtVerify(token, set, options);
      return payload.jti !== undefined && (await this.isActive(payload.jti)) ? payload : undefined;
    } catch {
      return undefined;
    }
  }

  /** Whether the token with this `jti` was neither revoked nor ended, nor the grant it is of: a look into the store or three. */
  async isActive(jti: string): Promise<boolean> {
    return (await this.standing(jti)) !== undefined;
  }

  /** The grant of a token that is active; clients by themselves have none. undefined: it is not active. */
  async standing(jti: string): Promise<Standing | undefined> {
    const { endings, now } = this.#ground;
    const known = this.#standing.get(jti);
    if (known !== undefined && known.endings === endings() && known.until > now()) return known.standing;
    const [asOf, found] = [endings(), await this.#looked(jti)];
    this.#standing.delete(jti);
    if (found === undefined) return undefined;
    this.#standing.set(jti, { ...found, endings: asOf });
    const [oldest] = this.#standing.keys();
    if (this.#standing.size > KEPT && oldest !== undefined) this.#standing.delete(oldest);
    return found.standing;
  }

  async #looked(jti: string): Promise<Omit<Remembered, 'endings'> | undefined> {
    const { store, now } = this.#ground;
    for (const model of MODELS) {
      const kept = await store.keyed(spaceOf(model), jti);
      if (kept === undefined) continue;
      const end = kept.expiresAt ?? Number.POSITIVE_INFINITY;
      if (end <= now()) return undefined;
      const grant = grantOf(kept.value);
      const isGranted = grant === undefined || (await store.keyed(spaceOf('Grant'), hashed(grant))) !== undefined;
      return isGranted ? { standing: { grant }, until: Math.min(end, now() + REMEMBERED_MS) } : undefined;
    }
    return undefined;
  }

  /** Whether a grant can still be refreshed: not after it was revoked, its user disabled or its client removed. */
  lasts(grant: string): Promise<boolean> {
    return isRefreshable(grant, this.#ground);
  }

  /** `jti` of a JWT that we signed, whether it is still good or not; undefined for any other text. */
  async jtiOf(token: string): Promise<string | undefined> {
    try {
      const { payload } = await compactVerify(token, createLocalJWKSet(this.jwks), { algorithms: [ALGORITHM] });
      const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
      const jti = typeof claims === 'object' && claims !== null ? Reflect.get(claims, 'jti') : undefined;
      return typeof jti === 'string' ? jti : undefined;
    } catch {
      return undefined;
    }
  }
}
