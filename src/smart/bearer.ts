/**
 * Access tokens: JWTs judged by their issuer's keys, others by introspection. Source: RFC 6750, RFC 9068, RFC 8725, RFC 7662; SMART App Launch 2.2.
 * A refusal is one text for every reason. What was proved is remembered under the hash of the header, never the token.
 */
import { hash as digest } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type FhirError, fhirError } from '../fhir/outcome.ts';
import { isEmergency, isShortAndOfOne } from './emergency.ts';
import type { Issuer } from './issuer.ts';
import { KeysUnavailable, remoteKeys } from './key-set.ts';

/** What a token that holds says, by its issuer's names of claims. */
export interface AccessToken {
  readonly issuer: string;
  readonly subject: string | undefined;
  readonly client: string;
  readonly id: string | undefined;
  /** Of this server's own issuer; then `grant` is the grant it is of, if any. */
  readonly isOwn: boolean;
  readonly grant: string | undefined;
  readonly scope: string;
  /** One FHIR id; undefined when absent or anything else. */
  readonly patient: string | undefined;
  readonly fhirUser: string | undefined;
  /** By our names. */
  readonly roles: readonly string[];
  /** Of its issuer. */
  readonly withoutRole: string;
  readonly purposes: readonly string[];
  /** ms since 1970. */
  readonly expiresAt: number;
}

export interface TokenVerifier {
  /**
   * @param authorization header as it came
   * @throws FhirError `login` (401) without a token, `token-invalid` (401), `transient` (503) when an issuer cannot be asked
   */
  verify(authorization: string | undefined): Promise<AccessToken>;
}

/** A call to an issuer: its status and body. Rejects when there is no answer. */
export type CallIssuer = (call: {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}) => Promise<{ readonly status: number; readonly body: string }>;

export interface VerifierOptions {
  readonly issuers: readonly Issuer[];
  now(): number;
  readonly call: CallIssuer;
}

const SKEW_S = 60;
const LONGEST = 8192;
const KEPT = 10_000;
/** Longest time that a proof is remembered: keys are withdrawn, tokens revoked. ms. */
const PROVED_MS = 300_000;
const INTROSPECTED_MS = 10_000;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const ID = /^[A-Za-z0-9\-.]{1,64}$/;

/** The same for every reason. */
export function refuseToken(cause?: unknown): FhirError {
  return fhirError('token-invalid', 'The access token does not hold.', { cause });
}

/** Nothing is known of the token: neither that it holds nor that it does not. */
function cannotAsk(cause?: unknown): FhirError {
  return fhirError('transient', 'The issuer of the token cannot be asked. Try again.', { cause });
}

interface Proof {
  readonly token: AccessToken;
  /** ms since 1970. */
  readonly until: number;
}

export function tokenVerifier({ issuers, now, call }: VerifierOptions): TokenVerifier {
  const sources = new Map(issuers.map((issuer) => [issuer.issuer, { issuer, keys: keysOf(issuer, now, call) }]));
  const opaque = issuers.find(({ introspection, jwks, jwksUrl }) => introspection && !jwks && !jwksUrl);
  const anyOpaque = opaque ?? issuers.find(({ introspection }) => introspection);
  const known = new Map<string, Proof>();
  const running = new Map<string, Promise<Proof>>();
  const ours = new WeakMap<AccessToken, AccessToken>();

  const proved = async (token: string): Promise<Proof> => {
    const source = JWT.test(token) ? sources.get(issuerIn(token)) : undefined;
    if (source?.keys !== undefined) return byKeys(token, source.issuer, source.keys, now());
    const asked = source?.issuer ?? (JWT.test(token) ? undefined : anyOpaque);
    if (asked?.introspection === undefined) throw refuseToken();
    return byIntrospection(token, asked, now(), call);
  };
  /** What an issuer in this process has revoked is over, however long its proof is remembered. */
  const current = async (token: AccessToken): Promise<AccessToken> => {
    // An emergency ends to the second, whatever the leeway of clocks.
    if (isEmergency(token.purposes) && token.expiresAt <= now()) throw refuseToken();
    const { own } = sources.get(token.issuer)?.issuer ?? {};
    if (own === undefined) return token;
    const standing = await own.standing(token.id ?? '');
    if (standing === undefined) throw refuseToken();
    const known = ours.get(token) ?? { ...token, isOwn: true, grant: standing.grant };
    ours.set(token, known); // the same object each time: what follows from it is remembered by it
    return known;
  };
  return {
    verify: async (authorization) => {
      // Of the header as it came: what was proved once is neither parsed nor matched again.
      const hash = digest('sha256', authorization ?? '', 'base64url');
      const held = known.get(hash);
      if (held !== undefined && held.until > now()) return current(held.token);
      known.delete(hash);
      const token = tokenIn(authorization);
      const work = running.get(hash) ?? proved(token).finally(() => running.delete(hash));
      running.set(hash, work);
      const proof = await work;
      known.set(hash, proof);
      const [oldest] = known.keys();
      if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
      return current(proof.token);
    },
  };
}

function keysOf({ jwks, jwksUrl }: Issuer, now: () => number, call: CallIssuer): JWTVerifyGetKey | undefined {
  if (jwks !== undefined) return createLocalJWKSet(jwks);
  if (jwksUrl === undefined) return undefined;
  const fetchText = async (url: string): Promise<string> => {
    const { status, body } = await call({ method: 'GET', url, headers: { Accept: 'application/json' } });
    if (status !== 200) throw new Error(`A key set was answered with ${status}.`);
    return body;
  };
  return remoteKeys(jwksUrl, { now, fetchText });
}

function tokenIn(authorization: string | undefined): string {
  if (authorization === undefined) throw fhirError('login', 'An access token is needed: `Authorization: Bearer`.');
  const token = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(authorization)?.[1];
  if (token === undefined || token.length > LONGEST) throw refuseToken();
  return token;
}

/** What is believed of a JWT before its signature: whose it says it is. */
function issuerIn(token: string): string {
  try {
    return String(decodeJwt(token).iss ?? '');
  } catch (error) {
    throw refuseToken(error);
  }
}

async function byKeys(token: string, issuer: Issuer, keys: JWTVerifyGetKey, at: number): Promise<Proof> {
  assertHeader(token, issuer);
  const options = {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    audience: [...issuer.audience],
    requiredClaims: ['iss', 'aud', 'exp', 'iat'],
    clockTolerance: SKEW_S,
    currentDate: new Date(at),
  };
  const { payload } = await jwtVerify(token, keys, options).catch((error: unknown) => {
    throw error instanceof KeysUnavailable ? cannotAsk(error) : refuseToken(error);
  });
  const { exp = 0, iat = 0 } = payload;
  if (exp <= iat || exp - iat > issuer.maxTokenSeconds || iat > at / 1000 + SKEW_S) throw refuseToken();
  return { token: said(payload, issuer, exp), until: Math.min((exp + SKEW_S) * 1000, at + PROVED_MS) };
}

/** The header is not proved yet: it may only refuse. Keys that it brings along or points at are never looked at. */
function assertHeader(token: string, { types }: Issuer): void {
  try {
    const { typ = '', kid } = decodeProtectedHeader(token);
    const type = String(typ)
      .toLowerCase()
      .replace(/^application\//, '');
    if (types.includes(type) && (kid === undefined || (typeof kid === 'string' && kid.length <= 256))) return;
  } catch (error) {
    throw refuseToken(error);
  }
  throw refuseToken();
}

async function byIntrospection(token: string, issuer: Issuer, at: number, call: CallIssuer): Promise<Proof> {
  const { endpoint = '', clientId = '', secret = '' } = issuer.introspection ?? {};
  const credentials = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`).toString('base64');
  const headers = {
    Authorization: `Basic ${credentials}`,
    Accept: 'application/json',
    'Content-Type': 'application/x-www-form-urlencoded',
  };
  const body = new URLSearchParams({ token, token_type_hint: 'access_token' }).toString();
  const reply = await call({ method: 'POST', url: endpoint, headers, body }).catch((cause: unknown) => {
    throw cannotAsk(cause);
  });
  if (reply.status !== 200) throw cannotAsk();
  const claims = claimsIn(reply.body);
  if (claims.active !== true) throw refuseToken();
  const { iss, aud, exp, nbf } = claims;
  if (iss !== undefined && iss !== issuer.issuer) throw refuseToken();
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (aud !== undefined && !named.some((each) => issuer.audience.some((own) => own === each))) throw refuseToken();
  if (typeof exp !== 'number' || (exp + SKEW_S) * 1000 <= at) throw refuseToken();
  if (typeof nbf === 'number' && nbf - SKEW_S > at / 1000) throw refuseToken();
  return { token: said(claims, issuer, exp), until: Math.min(exp * 1000, at + INTROSPECTED_MS) };
}

type Claims = Readonly<Record<string, unknown>>;

function claimsIn(body: string): Claims {
  try {
    const found: unknown = JSON.parse(body);
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) return { ...found };
  } catch (error) {
    throw refuseToken(error);
  }
  throw refuseToken();
}

/** @throws FhirError `token-invalid` for a token without scopes: an ID token, say, is no access token; and for an emergency that may not be */
function said(claims: Claims, file: Issuer, exp: number): AccessToken {
  const { issuer, claims: names, roles, withoutRole } = file;
  const scope = textsIn(claims[names.scope]).join(' ');
  const client = textIn(claims[names.client]) ?? textIn(claims.azp);
  if (scope === '' || client === undefined) throw refuseToken();
  const named = textIn(claims[names.patient])?.replace(/^Patient\//, '');
  const patient = named !== undefined && ID.test(named) ? named : undefined;
  const id = textIn(claims.jti);
  const purposes = purposesOf(claims, file, client);
  const isFit = file.breakGlass && isShortAndOfOne({ id, patient, issuedAt: claims.iat, expiresAt: exp });
  if (isEmergency(purposes) && !isFit) throw refuseToken();
  return {
    issuer,
    subject: textIn(claims.sub),
    client,
    id,
    isOwn: false,
    grant: undefined,
    scope,
    patient,
    fhirUser: textIn(claims[names.fhirUser]),
    roles: textsIn(claims[names.roles]).map((role) => roles.get(role) ?? role),
    withoutRole,
    purposes,
    expiresAt: exp * 1000,
  };
}

const OWN_RECORD = /(?:^|\/)(?:Patient|RelatedPerson)\/[^/]+$/;

/** Codes of v3-ActReason: as claimed, else as the issuer's file says of the client or of all, else care, or a patient's own request. */
function purposesOf(
  claims: Claims,
  { claims: names, purpose, clientPurposes }: Issuer,
  client: string,
): readonly string[] {
  const claimed = textsIn(claims[names.purpose]).map((each) => each.replace(/^.*[|#]/, ''));
  if (claimed.length > 0) return claimed;
  const isOwn = OWN_RECORD.test(textIn(claims[names.fhirUser]) ?? '');
  return [clientPurposes.get(client) ?? (isOwn ? 'PATRQT' : purpose)];
}

const textIn = (claim: unknown): string | undefined =>
  typeof claim === 'string' && claim !== '' && claim.length <= 1000 ? claim : undefined;

/** A text of words, or a list of them. */
function textsIn(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((each) => each !== '');
  if (!Array.isArray(claim)) return [];
  return claim.flatMap((each: unknown) => (typeof each === 'string' ? [each] : []));
}
