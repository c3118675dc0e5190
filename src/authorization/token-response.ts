/** What leaves the token, revocation and logout endpoints: JWT access tokens, the launch context, and an audit row before the answer. */
import type { AccessToken, ClientCredentials, KoaContextWithOIDC } from 'oidc-provider';
import type { ResourceStore } from '../store/port.ts';
import type { AccessTokens } from './access-token.ts';
import type { Launches } from './launch.ts';
import { isObject } from './records.ts';
import type { TokenIds } from './token-id.ts';
import type { AuditOf, Peer, SecurityInteraction } from './trail.ts';
import type { Users } from './users.ts';

export interface ResponseGround {
  readonly tokens: AccessTokens;
  readonly ids: TokenIds;
  readonly launches: Launches;
  readonly users: Users;
  readonly store: ResourceStore;
  readonly audit: AuditOf;
  /** `smart_style_url`. */
  readonly styleUrl: string;
  peerOf(request: object): Peer;
}

type Next = () => Promise<unknown>;

/** Koa middleware around every route of oidc-provider. */
export function recordTokens(ground: ResponseGround): (ctx: KoaContextWithOIDC, next: Next) => Promise<void> {
  return async (ctx, next) => {
    await next();
    const oidc: KoaContextWithOIDC['oidc'] | undefined = ctx.oidc;
    switch (oidc?.route) {
      case 'token':
        ctx.set('Pragma', 'no-cache');
        if (ctx.status === 200) await issued(ctx, ground);
        return recorded(ctx, ctx.oidc.params?.grant_type === 'refresh_token' ? 'token-refresh' : 'token-issue', ground);
      case 'introspection':
        ctx.set('Pragma', 'no-cache');
        return;
      case 'revocation':
        return recorded(ctx, 'token-revoke', ground);
      case 'end_session_confirm':
        if (ctx.oidc.params?.logout === undefined) return;
        await endOnline(ctx, ground);
        return recorded(ctx, 'logout', ground);
      default:
        return;
    }
  };
}

/** The body gets the JWT in place of the id of its record, and what the app must know of its context. */
async function issued(ctx: KoaContextWithOIDC, ground: ResponseGround): Promise<void> {
  const { AccessToken: ofUser, ClientCredentials: ofSystem } = ctx.oidc.entities;
  const token: AccessToken | ClientCredentials | undefined = ofUser ?? ofSystem;
  const body: unknown = ctx.body;
  if (token === undefined || !isObject(body)) throw new TypeError('A token was issued without its record.');
  const extra = token.extra ?? {};
  const scope = token.scope ?? '';
  const client = token.clientId ?? '';
  const subject = ofUser?.accountId ?? client;
  const seconds = Number(body.expires_in);
  const jti = ground.ids.hashOf(token.jti);
  const jwt = await ground.tokens.mint({ jti, subject, client, scope, seconds, extra });
  const context = ofUser === undefined ? undefined : await ground.launches.ofGrant(ofUser.grantId);
  const { patient, encounter } = extra;
  ctx.body = {
    ...body,
    access_token: jwt,
    scope,
    ...(patient === undefined ? {} : { patient }),
    ...(encounter === undefined ? {} : { encounter }),
    ...(patient === undefined ? {} : { smart_style_url: ground.styleUrl }),
    ...(context?.needPatientBanner === undefined ? {} : { need_patient_banner: context.needPatientBanner }),
    ...(context?.intent === undefined ? {} : { intent: context.intent }),
    ...(context?.references === undefined
      ? {}
      : { fhirContext: context.references.map((reference) => ({ reference })) }),
  };
}

/** What an app was given for as long as the user is signed in ends with the session. */
async function endOnline(ctx: KoaContextWithOIDC, { launches }: ResponseGround): Promise<void> {
  const { AccessToken, Grant } = ctx.oidc.provider;
  for (const grantId of await launches.onlineGrants(ctx.oidc.session?.uid ?? '')) {
    await AccessToken.revokeByGrantId(grantId);
    await (await Grant.find(grantId))?.destroy();
  }
}

/** One row, durable before the answer leaves; a failure of that is a failure of the request. */
async function recorded(
  ctx: KoaContextWithOIDC,
  interaction: SecurityInteraction,
  ground: ResponseGround,
): Promise<void> {
  const { users, store, audit, peerOf } = ground;
  const { entities, session } = ctx.oidc;
  const accountId = entities.AccessToken?.accountId ?? entities.RefreshToken?.accountId ?? session?.accountId;
  const user = accountId === undefined ? undefined : await users.byId(accountId);
  const body: unknown = ctx.body;
  const error = isObject(body) ? body.error : undefined;
  const patient = isObject(body) ? body.patient : undefined;
  const row = audit({
    interaction,
    peer: peerOf(ctx.req),
    client: entities.Client?.clientId,
    user: user?.fhirUser,
    patient: typeof patient === 'string' ? patient : undefined,
    status: ctx.status < 400 ? 200 : ctx.status,
    description: typeof error === 'string' ? error : undefined,
  });
  await store.commit({ commands: [], audit: [row] });
}
