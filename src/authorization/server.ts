/** The authorization server: what comes in is prepared, answered by oidc-provider or by a page of ours, and what leaves is recorded. */
import type { Configuration, KoaContextWithOIDC, Provider } from 'oidc-provider';
import type { ResourceStore } from '../store/port.ts';
import { AccessTokens } from './access-token.ts';
import { Attempts } from './attempts.ts';
import { Clients, clientOrigins } from './clients.ts';
import { BTG, REASONS, sealedAs } from './emergency.ts';
import { endingsCounted } from './endings.ts';
import { type Incoming, Interactions, type Outgoing, type PageAnswer, type PatientDesk } from './interaction.ts';
import { loadKeys, rotateKeys } from './keys.ts';
import { Launches } from './launch.ts';
import { launchAnswer } from './launch-request.ts';
import { PAGE_STYLE } from './pages.ts';
import { openProvider, ROUTES } from './provider.ts';
import type { Seal } from './seal.ts';
import { SignIn } from './sign-in.ts';
import { STYLE_PATH, styleAnswer } from './style.ts';
import { TokenIds } from './token-id.ts';
import { recordTokens } from './token-response.ts';
import type { AuditOf, Peer } from './trail.ts';
import { Users } from './users.ts';

export interface ServerGround {
  /** `PUBLIC_URL/oauth`, no trailing slash. */
  readonly issuer: string;
  readonly fhirBase: string;
  readonly store: ResourceStore;
  readonly seal: Seal;
  readonly patients: PatientDesk;
  readonly audit: AuditOf;
  now(): number;
  newId(): string;
  readonly fetch: NonNullable<Configuration['fetch']>;
  /** What a role leaves of `patient/` scopes in an emergency: some of `cruds`; '' = it may not break the glass. */
  emergencyLetters(role: string): string;
  /** A fault nobody was told about. */
  report(error: unknown, requestId: string): void;
}

/** A request below the mount point, as text. */
export interface Asked {
  readonly method: string;
  /** `/token`, `/interaction/<uid>`. */
  readonly path: string;
  readonly query: string;
  /** Of a form: the body as it came. */
  readonly body: string | undefined;
}

export class AuthorizationServer {
  readonly issuer: string;
  /** Verifies and judges access tokens of this server. */
  readonly tokens: AccessTokens;
  readonly clients: Clients;
  readonly users: Users;
  readonly launches: Launches;
  readonly #ground: ServerGround;
  readonly #interactions: Interactions;
  readonly #ids: TokenIds;
  readonly #peers: WeakMap<object, Peer>;
  readonly #callback: ReturnType<Provider['callback']>;

  private constructor(ground: ServerGround, parts: Parts) {
    const { issuer, store, now, patients, audit, fhirBase, seal, emergencyLetters } = ground;
    const { provider, clients, users, launches, tokens, ids, peers } = parts;
    this.#ground = ground;
    this.#ids = ids;
    this.#peers = peers;
    this.#callback = provider.callback();
    this.issuer = issuer;
    this.tokens = tokens;
    this.clients = clients;
    this.users = users;
    this.launches = launches;
    const signIn = new SignIn({ store, users, attempts: new Attempts(store, now), audit, now });
    this.#interactions = new Interactions({
      provider,
      fhirBase,
      store,
      clients,
      users,
      launches,
      signIn,
      patients,
      audit,
      seal,
      emergencyLetters,
      now,
    });
  }

  /** Opens the server; the first start makes its keys. */
  static async open(opening: ServerGround): Promise<AuthorizationServer> {
    const { store: watched, endings } = endingsCounted(opening.store);
    const ground = { ...opening, store: watched };
    const { store, seal, now, newId, issuer, fhirBase, fetch, audit, report } = ground;
    if ((await loadKeys({ store, seal, now })).keys.length === 0) await rotateKeys({ store, seal, now });
    const keys = await loadKeys({ store, seal, now });
    const ids = new TokenIds();
    const clients = new Clients(store, now);
    const users = new Users({ store, seal, now, newId });
    const launches = new Launches(store, now);
    const tokens = new AccessTokens({ keys, issuer, fhirBase, store, endings, now });
    const provider = openProvider({ issuer, fhirBase, store, ids, seal, keys, clients, users, launches, now, fetch });
    const peers = new WeakMap<object, Peer>();
    const peerOf = (request: object): Peer => peers.get(request) ?? { address: '', requestId: '' };
    provider.on('server_error', (ctx: KoaContextWithOIDC, error) => report(error, peerOf(ctx.req).requestId));
    provider.use(recordTokens({ tokens, ids, launches, users, store, audit, peerOf, styleUrl: issuer + STYLE_PATH }));
    return new AuthorizationServer(ground, { provider, clients, users, launches, tokens, ids, peers });
  }

  /**
   * What oidc-provider is given instead: an authorization request asks for consent each time and may come by POST; a JWT to introspect or
   * revoke becomes the record behind it.
   */
  async prepared(asked: Asked): Promise<Asked> {
    const { method, path, query, body } = asked;
    if (path === ROUTES.authorization && (method === 'GET' || method === 'POST')) {
      return { method: 'GET', path, query: withConsent(method === 'GET' ? query : (body ?? '')), body: undefined };
    }
    if (method !== 'POST' || (path !== ROUTES.introspection && path !== ROUTES.revocation)) return asked;
    const form = new URLSearchParams(body ?? '');
    const token = form.get('token');
    if (form.getAll('token').length !== 1 || token === null || !token.includes('.')) return asked;
    const jti = await this.tokens.jtiOf(token);
    form.set('token', jti === undefined ? 'unknown' : this.#ids.named(jti));
    return { ...asked, body: form.toString() };
  }

  /** Answers; undefined when oidc-provider writes the answer itself. */
  async answer(asked: Asked, request: Incoming, response: Outgoing, peer: Peer): Promise<PageAnswer | undefined> {
    const { method, path, body } = asked;
    if (method === 'GET' && path.endsWith('/page.css'))
      return {
        status: 200,
        headers: { 'Content-Type': 'text/css; charset=utf-8', 'Cache-Control': 'max-age=3600' },
        body: PAGE_STYLE,
      };
    if (method === 'GET' && path === STYLE_PATH) return styleAnswer();
    const uid = /^\/interaction\/([\w-]{1,64})$/.exec(path)?.[1];
    if (uid !== undefined && (method === 'GET' || method === 'POST')) {
      const form = method === 'GET' ? undefined : new URLSearchParams(body ?? '');
      return this.#interactions.answer(uid, request, response, form, peer);
    }
    if (method === 'POST' && path === '/launch') {
      const { audit, store } = this.#ground;
      const parts = { tokens: this.tokens, clients: this.clients, launches: this.launches, store, audit };
      return launchAnswer(request.headers.authorization, body, peer, parts);
    }
    this.#peers.set(request, peer);
    await this.#callback(request, response);
    return undefined;
  }

  /** Why the user of a grant broke the glass; undefined: they did not. */
  async emergencyReason(grant: string) {
    const kept = (await this.launches.ofGrant(grant))?.emergency;
    if (kept === undefined) return undefined;
    const { code, text } = kept;
    const said = text === undefined ? undefined : this.#ground.seal.open(text, sealedAs(grant));
    return { code, display: REASONS[code] ?? code, text: said };
  }

  /** Whether pages of this origin belong to a registered client, so that they may read answers. */
  async allowsOrigin(origin: string): Promise<boolean> {
    return (await this.clients.list()).some(({ client }) => clientOrigins(client).includes(origin));
  }

  /** Whether credentials of the demonstration are kept here: such a server must not leave this machine. */
  async holdsDemo(): Promise<boolean> {
    const users = await this.users.list();
    const clients = await this.clients.list();
    return users.some(({ demo }) => demo) || clients.some(({ client }) => client.demo);
  }
}

interface Parts {
  readonly provider: Provider;
  readonly clients: Clients;
  readonly users: Users;
  readonly launches: Launches;
  readonly tokens: AccessTokens;
  readonly ids: TokenIds;
  readonly peers: WeakMap<object, Peer>;
}

/** A launch has a context of its own, so it is always asked for, unless the app forbids any page. In an emergency users sign in again too. */
function withConsent(query: string): string {
  const parameters = new URLSearchParams(query);
  const prompts = new Set((parameters.get('prompt') ?? '').split(' ').filter((prompt) => prompt !== ''));
  if (prompts.has('none') || parameters.getAll('prompt').length > 1) return query;
  if (parameters.get('purpose_of_use') === BTG) prompts.add('login');
  parameters.set('prompt', [...prompts.add('consent')].join(' '));
  return parameters.toString();
}
