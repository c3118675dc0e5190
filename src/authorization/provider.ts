/**
 * oidc-provider, the certified library, configured for SMART App Launch 2.2: PKCE with S256 for everyone, `aud` and `launch`, SMART scopes,
 * rotation of refresh tokens, backend services. What it does by default and must not do here is switched off by name.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  type AccessToken,
  type Client,
  type ClientCredentials,
  type Configuration,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
  Provider,
} from 'oidc-provider';
import type { ResourceStore } from '../store/port.ts';
import { storeAdapter } from './adapter.ts';
import { type Clients, ORIGINS } from './clients.ts';
import { BTG, EMERGENCY_S } from './emergency.ts';
import type { SigningKeys } from './keys.ts';
import type { Launches } from './launch.ts';
import { errorPage, loggedOutPage, logoutPage, PAGE_HEADERS } from './pages.ts';
import { isAllowed, LAUNCH_SCOPES, needsPatient, parseScope } from './scope.ts';
import type { Seal } from './seal.ts';
import type { TokenIds } from './token-id.ts';
import type { Users } from './users.ts';

export interface ProviderGround {
  /** `PUBLIC_URL/oauth`. */
  readonly issuer: string;
  readonly fhirBase: string;
  readonly store: ResourceStore;
  readonly ids: TokenIds;
  readonly seal: Seal;
  readonly keys: SigningKeys;
  readonly clients: Clients;
  readonly users: Users;
  readonly launches: Launches;
  now(): number;
  /** Key sets of clients, under the rules of all outbound calls. */
  readonly fetch: NonNullable<Configuration['fetch']>;
}

const ALGORITHMS = ['RS384', 'ES384'] as const;
/** Codes come in the query, as SMART says: a fragment or a page with script would be one more way for them to leak. */
const RESPONSE_MODES = ['query'] as const;
const DAY_S = 86_400;
/** Longest life of a grant and of the chain of its refresh tokens, however often they are rotated. */
export const GRANT_S = 90 * DAY_S;
const ASSERTION_S = 300;
const TOLERANCE_S = 15;
/** Session: half an hour without use, a working day at most. */
const IDLE_S = 1800;
const WORKING_DAY_S = 8 * 3600;

export const ROUTES = {
  authorization: '/authorize',
  token: '/token',
  introspection: '/introspect',
  revocation: '/revoke',
  jwks: '/jwks',
  end_session: '/logout',
} as const;

/** Seconds until a session ends: idle, or at the end of the working day. */
export function sessionSeconds(loggedInAt: number | undefined, nowS: number): number {
  return Math.max(1, Math.min(IDLE_S, (loggedInAt ?? nowS) + WORKING_DAY_S - nowS));
}

/** An hour; a quarter of it when the app can refresh. */
export function accessSeconds(scope: string | undefined): number {
  const scopes = (scope ?? '').split(' ');
  return scopes.includes('offline_access') || scopes.includes('online_access') ? 900 : 3600;
}

export function openProvider(ground: ProviderGround): Provider {
  const provider = new Provider(ground.issuer, configuration(ground));
  provider.proxy = true; // it is told PUBLIC_URL in these headers, and by nobody else
  provider.silent = true; // faults are reported by the `server_error` event
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.oidc?.route === 'discovery') Object.assign(ctx.body ?? {}, { response_modes_supported: RESPONSE_MODES });
  });
  const { prototype } = provider.Client;
  prototype.compareClientSecret = function (this: Client, actual: string): boolean {
    const given = createHash('sha256').update(actual).digest();
    const kept = Buffer.from(this.clientSecret ?? '', 'base64url');
    return kept.length === given.length && timingSafeEqual(kept, given);
  };
  return provider;
}

function configuration(ground: ProviderGround): Configuration {
  const { issuer, ids, seal, keys, clients, store, now } = ground;
  return {
    adapter: (model) => storeAdapter(model, { store, ids, now, findClient: (id) => clients.metadata(id) }),
    routes: ROUTES,
    jwks: { keys: [...keys.keys] },
    scopes: Object.keys(LAUNCH_SCOPES),
    claims: { openid: ['sub'], fhirUser: ['fhirUser'] },
    responseTypes: ['code'],
    clientAuthMethods: ['none', 'client_secret_basic', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ALGORITHMS, idTokenSigningAlgValues: ['RS256', ...ALGORITHMS] },
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    clockTolerance: TOLERANCE_S,
    cookies: {
      names: { session: 'firewatch_session', interaction: 'firewatch_interaction', resume: 'firewatch_resume' },
      keys: [seal.derived('cookies')],
      long: { signed: true, httpOnly: true, sameSite: 'lax', path: new URL(issuer).pathname },
      short: { signed: true, httpOnly: true, sameSite: 'lax' },
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      userinfo: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => mayIntrospect(ground, client, token) },
      revocation: {
        enabled: true,
        // The tokens of others: said nothing about, left alone (RFC 7009 §2.2 answers 200 to what is not there).
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => ground.fhirBase,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource, client) => resourceServer(ctx, resource, client, ground),
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => page(ctx, logoutPage(form)),
        postLogoutSuccessSource: (ctx) => page(ctx, loggedOutPage()),
      },
    },
    extraParams: {
      aud: (ctx, aud) => assertAudience(ctx, aud, ground.fhirBase),
      launch: (ctx, launch) => assertLaunch(ctx, launch, ground.launches),
      purpose_of_use: (ctx, purpose) => assertPurpose(ctx, purpose),
    },
    interactions: { policy: policy(), url: (_ctx, { uid }) => `${issuer}/interaction/${uid}` },
    // Each launch has its context, so each has its grant and is asked for.
    loadExistingGrant: async (ctx) => {
      const grantId = ctx.oidc.result?.consent?.grantId;
      return grantId === undefined ? undefined : ctx.oidc.provider.Grant.find(grantId);
    },
    findAccount: (ctx, id, token) => findAccount(ctx, id, token, ground),
    extraTokenClaims: (_ctx, token) => extraClaims(token, ground),
    assertJwtClientAuthClaimsAndHeader: (_ctx, claims, header, client) =>
      assertAssertion(claims, header, client, now()),
    // Binding to the session is ours, in findAccount: several launches of one app may be open at once.
    expiresWithSession: () => false,
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') &&
      (source.scopes.has('offline_access') || source.scopes.has('online_access')),
    rotateRefreshToken: true,
    extraClientMetadata: { properties: [ORIGINS] },
    clientBasedCORS: (_ctx, origin, client) => originsOf(client).includes(origin),
    renderError: (ctx, out) => page(ctx, errorPage(out.error)),
    fetch: ground.fetch,
    fetchResponseBodyLimits: { jwks_uri: 65_536 },
    ttl: {
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? accessSeconds(token.scope),
      AuthorizationCode: 60,
      ClientCredentials: 300,
      Grant: GRANT_S,
      IdToken: 3600,
      Interaction: 900,
      RefreshToken: (_ctx, token) => Math.max(1, GRANT_S - token.totalLifetime()),
      Session: (_ctx, session) => sessionSeconds(session.loginTs, Math.floor(now() / 1000)),
    },
  };
}

function originsOf({ [ORIGINS]: origins }: Client): readonly unknown[] {
  return Array.isArray(origins) ? origins : [];
}

function page(ctx: KoaContextWithOIDC, html: string): void {
  ctx.set({ ...PAGE_HEADERS });
  ctx.type = 'html';
  ctx.body = html;
}

/** A session of a user who was disabled asks for a sign-in. */
function policy() {
  const { base, Check } = interactionPolicy;
  const prompts = base();
  prompts
    .get('login')
    ?.checks.add(
      new Check('account_gone', 'the account may not sign in any more', ({ oidc }) =>
        oidc.session?.accountId !== undefined && oidc.account === undefined
          ? Check.REQUEST_PROMPT
          : Check.NO_NEED_TO_PROMPT,
      ),
    );
  return prompts;
}

function assertAudience(ctx: KoaContextWithOIDC, aud: string | undefined, fhirBase: string): void {
  if (ctx.oidc.params?.state === undefined) throw new errors.InvalidRequest('state is required');
  const mode = ctx.oidc.params.response_mode;
  if (mode !== undefined && mode !== RESPONSE_MODES[0])
    throw new errors.InvalidRequest('response_mode may be query only');
  if (aud === undefined) throw new errors.InvalidRequest('aud is required: the base URL of the FHIR server');
  if (aud.replace(/\/$/, '') !== fhirBase)
    throw new errors.InvalidRequest('aud is not the base URL of this FHIR server');
}

/** Only an emergency is asked for by its purpose, and never without pages: who sits there signs in again and says why. */
function assertPurpose(ctx: KoaContextWithOIDC, purpose: string | undefined): void {
  if (purpose === undefined) return;
  if (purpose !== BTG) throw new errors.InvalidRequest('purpose_of_use may be BTG only');
  const prompts = String(ctx.oidc.params?.prompt ?? '').split(' ');
  if (!prompts.includes('login')) throw new errors.InvalidRequest('purpose_of_use=BTG needs a sign-in');
}

async function assertLaunch(ctx: KoaContextWithOIDC, launch: string | undefined, launches: Launches): Promise<void> {
  const asked = String(ctx.oidc.params?.scope ?? '')
    .split(' ')
    .includes('launch');
  if (!asked) return;
  if (launch === undefined) throw new errors.InvalidRequest('launch is required with the scope launch');
  const found = await launches.find(launch);
  if (found === undefined || (found.client !== undefined && found.client !== ctx.oidc.client?.clientId))
    throw new errors.InvalidRequest('launch is not known, not of this client, or was used');
}

/** Scopes are dynamic: of a request, those that are SMART and that the registration allows; of a grant, those that were granted. */
async function resourceServer(ctx: KoaContextWithOIDC, resource: string, client: Client, ground: ProviderGround) {
  const { fhirBase, clients, launches } = ground;
  if (resource !== fhirBase) throw new errors.InvalidTarget();
  const registration = await clients.find(client.clientId);
  const asked = String(ctx.oidc.params?.scope ?? '')
    .split(' ')
    .filter((scope) => scope !== '');
  const allowed = asked.filter((scope) => isAllowed(scope, registration?.scopes ?? []));
  const isSystem = ctx.oidc.params?.grant_type === 'client_credentials';
  const fitting = allowed.filter((scope) =>
    isSystem
      ? parseScope(scope)?.context === 'system' || (scope === 'launch' && registration?.ehr === true)
      : parseScope(scope)?.context !== 'system',
  );
  if (isSystem && fitting.length === 0)
    throw new errors.InvalidScope('no scope of this client was asked for', asked.join(' '));
  const granted = ctx.oidc.grant?.getResourceScope(fhirBase).split(' ') ?? [];
  const context = ctx.oidc.grant === undefined ? undefined : await launches.ofGrant(ctx.oidc.grant.jti);
  return {
    ...(context?.emergency === undefined ? {} : { accessTokenTTL: EMERGENCY_S }),
    scope: [...new Set([...fitting, ...granted])].join(' '),
    audience: fhirBase,
    accessTokenFormat: 'opaque' as const,
  };
}

/** Without offline_access, a refresh is for as long as the user's session lives. */
async function findAccount(ctx: KoaContextWithOIDC, id: string, token: unknown, { users, fhirBase }: ProviderGround) {
  const user = await users.byId(id);
  if (user === undefined || user.disabled) return undefined;
  if (token instanceof ctx.oidc.provider.RefreshToken && !token.scopes.has('offline_access')) {
    const session = await ctx.oidc.provider.Session.findByUid(token.sessionUid ?? '');
    if (session === undefined || session.accountId !== id) return undefined;
  }
  return { accountId: id, claims: () => ({ sub: id, fhirUser: `${fhirBase}/${user.fhirUser}` }) };
}

/** Kept with the token: shown by introspection, and claims of the JWT. */
async function extraClaims(token: AccessToken | ClientCredentials, ground: ProviderGround) {
  const { users, clients, launches, fhirBase } = ground;
  if (!('accountId' in token)) {
    const client = await clients.find(token.clientId ?? '');
    return { roles: [...(client?.roles ?? [])] };
  }
  const user = await users.byId(token.accountId);
  const context = await launches.ofGrant(token.grantId);
  const told = [...token.scopes].some((scope) => needsPatient(scope) || scope === 'launch');
  return {
    ...(user === undefined ? {} : { fhirUser: `${fhirBase}/${user.fhirUser}`, roles: [user.role] }),
    ...(told && context?.patient !== undefined ? { patient: context.patient } : {}),
    ...(context?.encounter !== undefined ? { encounter: context.encounter } : {}),
    ...(context?.emergency !== undefined ? { purpose_of_use: BTG } : {}),
  };
}

/** Its own tokens; a resource server's client, those of all. */
async function mayIntrospect(
  { clients }: ProviderGround,
  client: Client,
  token: { readonly clientId?: string | undefined },
) {
  return token.clientId === client.clientId || (await clients.find(client.clientId))?.introspects === true;
}

/** SMART client-confidential-asymmetric: at most five minutes, a named key, `jku` only as registered. */
function assertAssertion(
  { exp, iat }: Readonly<Record<string, unknown>>,
  { kid, jku }: Readonly<Record<string, unknown>>,
  client: Client,
  now: number,
): void {
  const at = Math.floor(now / 1000);
  if (typeof exp !== 'number' || exp > at + ASSERTION_S + TOLERANCE_S)
    throw new errors.InvalidClientAuth('exp is more than five minutes away');
  if (iat !== undefined && (typeof iat !== 'number' || exp - iat > ASSERTION_S + TOLERANCE_S))
    throw new errors.InvalidClientAuth('it is good for more than five minutes');
  if (typeof kid !== 'string') throw new errors.InvalidClientAuth('kid is missing');
  if (jku !== undefined && jku !== client.jwksUri) throw new errors.InvalidClientAuth('jku is not registered');
}
