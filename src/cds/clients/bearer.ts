/**
 * Who calls: the JWT of a CDS client, judged against its registration before any key is fetched. Source: CDS Hooks 2.0.1 "Trusting CDS Clients";
 * RFC 8725 (JWT best practices). A refusal says nothing of why to the caller; the reason code is for the audit.
 */
import { createHash } from 'node:crypto';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type FetchImplementation,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { type FhirError, fhirError } from '../../fhir/outcome.ts';
import type { CdsClient } from './client.ts';

/** A call whose JWT holds. */
export interface Verified {
  readonly client: CdsClient;
  /** The one use of this JWT: kept until `replayUntil`, ms since 1970. undefined: no JWT is asked. */
  readonly replay: { readonly key: string; readonly until: number } | undefined;
}

export interface BearerOptions {
  readonly clients: readonly CdsClient[];
  /** Our own address of `/cds-services`, without trailing slash: as configured, never as the Host header says. */
  readonly address: string;
  now(): number;
  /** Fetches key sets, under the rules of all outbound calls. */
  readonly fetchKeys: FetchImplementation;
}

export interface Bearer {
  /**
   * @param path below `/cds-services`: `/triage`, `/triage/feedback`
   * @throws FhirError `login` (401) whose message is the same for every reason
   */
  verify(authorization: string | undefined, path: string): Promise<Verified>;
}

const SKEW_S = 60;
/** The times and sizes of fetching keys: one refetch on an unknown kid in half a minute, a set is believed for ten minutes. */
const JWKS = { timeoutDuration: 3000, cooldownDuration: 30_000, cacheMaxAge: 600_000 } as const;
const LONGEST_JWT = 8192;

/** Why a JWT is refused: for the audit and figures only. */
export type BearerReason =
  | 'no-token'
  | 'not-a-jwt'
  | 'unknown-issuer'
  | 'unknown-jku'
  | 'claims'
  | 'signature'
  | 'lifetime'
  | 'keys'
  | 'replayed';

/** The reason travels beside the refusal, not in its text. */
const reasons = new WeakMap<FhirError, BearerReason>();
export function bearerReason(error: FhirError): BearerReason | undefined {
  return reasons.get(error);
}

export function refuseBearer(reason: BearerReason, cause?: unknown): FhirError {
  const error = fhirError('login', 'A valid JWT of a registered CDS client is needed.', { cause });
  reasons.set(error, reason);
  return error;
}

export function cdsBearer({ clients, address, now, fetchKeys }: BearerOptions): Bearer {
  const sets = new Map<string, JWTVerifyGetKey>();
  const remote = (url: string): JWTVerifyGetKey => {
    const known = sets.get(url) ?? createRemoteJWKSet(new URL(url), { ...JWKS, [customFetch]: fetchKeys });
    sets.set(url, known);
    return known;
  };
  const local = new Map(
    clients.flatMap(({ name, jwks }) => (jwks === undefined ? [] : [[name, createLocalJWKSet(jwks)] as const])),
  );

  /** The key source that the registration allows for this header. */
  const keysOf = (client: CdsClient, jku: unknown): JWTVerifyGetKey => {
    if (jku !== undefined) {
      if (typeof jku !== 'string' || !client.jku.includes(jku)) throw refuseBearer('unknown-jku');
      return remote(jku);
    }
    const own = local.get(client.name) ?? (client.jwksUrl === undefined ? undefined : remote(client.jwksUrl));
    if (own === undefined) throw refuseBearer('unknown-jku');
    return own;
  };

  return {
    verify: async (authorization, path) => {
      const token = tokenOf(authorization);
      const { iss, tenant, jku } = peeked(token);
      const client = clients.find(
        (each) => each.issuer === iss && (each.tenant === undefined || each.tenant === tenant),
      );
      if (client === undefined) throw refuseBearer('unknown-issuer');
      const at = now();
      const payload = await verified(token, keysOf(client, jku), {
        algorithms: [...client.algorithms],
        issuer: client.issuer,
        audience: [address, ...client.audiences].map((base) => base + path),
        ...(client.typ ? { typ: 'JWT' } : {}),
        requiredClaims: ['iss', 'aud', 'exp', 'iat', 'jti'],
        clockTolerance: SKEW_S,
        currentDate: new Date(at),
      });
      const { jti, exp = 0, iat = 0 } = payload;
      if (typeof jti !== 'string' || jti === '' || jti.length > 500) throw refuseBearer('claims');
      if (exp - iat > client.maxTokenSeconds || iat > at / 1000 + SKEW_S || exp <= iat) throw refuseBearer('lifetime');
      const key = createHash('sha256')
        .update(JSON.stringify([client.issuer, jti]))
        .digest('base64url');
      return { client, replay: { key, until: (exp + SKEW_S + 1) * 1000 } };
    },
  };
}

function tokenOf(authorization: string | undefined): string {
  const token = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization ?? '')?.[1];
  if (authorization === undefined) throw refuseBearer('no-token');
  if (token === undefined || token.length > LONGEST_JWT) throw refuseBearer('not-a-jwt');
  return token;
}

/** What is believed of a JWT before its signature: only whose it says it is, to find the registration that judges it. */
function peeked(token: string): { readonly iss: unknown; readonly tenant: unknown; readonly jku: unknown } {
  try {
    const { iss, tenant } = decodeJwt(token);
    return { iss, tenant, jku: decodeProtectedHeader(token).jku };
  } catch (error) {
    throw refuseBearer('not-a-jwt', error);
  }
}

async function verified(
  token: string,
  keys: JWTVerifyGetKey,
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    throw refuseBearer(reasonOf(error), error);
  }
}

function reasonOf(error: unknown): BearerReason {
  if (error instanceof errors.JWTExpired) return 'lifetime';
  if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'nbf' ? 'lifetime' : 'claims';
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return 'not-a-jwt';
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JWSSignatureVerificationFailed)
    return 'signature';
  return 'keys';
}
