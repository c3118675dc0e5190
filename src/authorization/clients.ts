/** Registered clients: what a registration must be, and what oidc-provider is told of it. Source: SMART App Launch 2.2 (client registration), RFC 7591. */
import { randomBytes } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import type { AdapterPayload } from 'oidc-provider';
import type { AuditRow, ResourceStore } from '../store/port.ts';
import { endTokensOf } from './adapter.ts';
import { isObject, isTextOrAbsent, isTexts, Records } from './records.ts';
import { LAUNCH_SCOPES, parseScope } from './scope.ts';
import { hashed } from './token-id.ts';

export type ClientKind = 'public' | 'secret' | 'key';

export interface ClientRecord {
  readonly name: string;
  readonly kind: ClientKind;
  readonly redirectUris: readonly string[];
  /** Scopes it may ask for; a wide one stands for what it covers. */
  readonly scopes: readonly string[];
  /** True: it acts for itself, by client_credentials and `system/` scopes. */
  readonly backend: boolean;
  /** True: it is an EHR, which opens launches for other clients. */
  readonly ehr: boolean;
  /** True: a resource server, which may introspect the tokens of all clients. */
  readonly introspects: boolean;
  /** Origins of pages besides those of its redirect URIs. */
  readonly origins: readonly string[];
  /** Roles of what it does for itself; see docs/authorization-server.md. */
  readonly roles: readonly string[];
  readonly jwksUrl?: string | undefined;
  readonly jwks?: JSONWebKeySet | undefined;
  readonly secretHash?: string | undefined;
  readonly demo: boolean;
}

function isClientRecord(value: unknown): value is ClientRecord {
  return (
    isObject(value) &&
    typeof value.name === 'string' &&
    ['public', 'secret', 'key'].includes(String(value.kind)) &&
    [value.redirectUris, value.scopes, value.origins, value.roles].every(isTexts) &&
    [value.backend, value.ehr, value.introspects, value.demo].every((each) => typeof each === 'boolean') &&
    [value.jwksUrl, value.secretHash].every(isTextOrAbsent)
  );
}

export type ClientDraft = Omit<ClientRecord, 'secretHash'>;

const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\])$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const FORBIDDEN_SCHEMES = /^(?:javascript|data|vbscript|file|blob|about):$/;

/** Why a registration cannot be; empty when it can. */
export function clientProblems(id: string, draft: ClientDraft): readonly string[] {
  const { kind, redirectUris, scopes, backend, jwks, jwksUrl } = draft;
  const hasKeys = jwks !== undefined || jwksUrl !== undefined;
  return [
    ...(ID.test(id) ? [] : ['The id must be 1 to 64 letters, digits, `.`, `_` or `-`.']),
    ...(redirectUris.length === 0 && !backend ? ['It needs a redirect URI, or `--backend`.'] : []),
    ...(backend && kind !== 'key'
      ? ['A backend service authenticates with a key: give `--jwks` or `--jwks-url`.']
      : []),
    ...(kind === 'key' && !hasKeys ? ['It needs its public keys: `--jwks` or `--jwks-url`.'] : []),
    ...(jwks !== undefined && jwksUrl !== undefined ? ['Give either `--jwks` or `--jwks-url`.'] : []),
    ...(jwksUrl !== undefined && !isSafeUrl(jwksUrl) ? ['The key set URL must be https (http on loopback only).'] : []),
    ...(jwks !== undefined && holdsPrivate(jwks)
      ? ['The key set holds private or secret parts: give public keys only.']
      : []),
    ...redirectUris
      .filter((uri) => !isRedirectUri(uri))
      .map(
        (uri) =>
          `\`${uri}\` is no redirect URI: https, http on loopback, or a scheme of the app's own, without fragment.`,
      ),
    ...scopes
      .filter((scope) => !Object.hasOwn(LAUNCH_SCOPES, scope) && parseScope(scope) === undefined)
      .map((scope) => `\`${scope}\` is no SMART scope.`),
    ...(scopes.length === 0 ? ['It needs scopes.'] : []),
    ...(!backend && scopes.some((scope) => parseScope(scope)?.context === 'system')
      ? ['`system/` scopes are for backend services.']
      : []),
  ];
}

function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, hash, username } = new URL(text);
  return hash === '' && username === '' && (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname)));
}
function isRedirectUri(text: string): boolean {
  if (!URL.canParse(text) || text.includes('#') || /[\s*\\]/.test(text)) return false;
  const { protocol } = new URL(text);
  return protocol === 'https:' || protocol === 'http:'
    ? isSafeUrl(text)
    : !FORBIDDEN_SCHEMES.test(protocol) && protocol.includes('.');
}
const holdsPrivate = ({ keys }: JSONWebKeySet): boolean =>
  keys.some((key) => key.kty === 'oct' || key.d !== undefined || key.priv !== undefined);

/** Origins of a client's pages: those of its redirect URIs, and those registered besides. */
export function clientOrigins({
  redirectUris,
  origins,
}: Pick<ClientRecord, 'redirectUris' | 'origins'>): readonly string[] {
  const own = redirectUris.flatMap((uri) => (/^https?:/.test(uri) ? [new URL(uri).origin] : []));
  return [...new Set([...own, ...origins])];
}

export class Clients {
  readonly #store: ResourceStore;
  readonly #records: Records<ClientRecord>;

  constructor(store: ResourceStore, now: () => number) {
    this.#store = store;
    this.#records = new Records(store, 'oauth.client', isClientRecord, now);
  }

  async find(id: string): Promise<ClientRecord | undefined> {
    return ID.test(id) ? (await this.#records.get(id))?.value : undefined;
  }

  async list(): Promise<readonly { readonly id: string; readonly client: ClientRecord }[]> {
    return (await this.#records.list()).map(({ key, value }) => ({ id: key, client: value }));
  }

  /**
   * @returns the secret of a client that has one: only its hash is kept
   * @throws TypeError naming every problem, or that the id is used
   */
  async add(
    id: string,
    draft: ClientDraft,
    audit: readonly AuditRow[] = [],
    given?: string,
  ): Promise<string | undefined> {
    const problems = clientProblems(id, draft);
    if (problems.length > 0) throw new TypeError(problems.join(' '));
    const secret = draft.kind === 'secret' ? (given ?? randomBytes(32).toString('base64url')) : undefined;
    const record = { ...draft, ...(secret === undefined ? {} : { secretHash: hashed(secret) }) };
    const { ok } = await this.#store.commit({ commands: [this.#records.set(id, record, { expect: null })], audit });
    if (!ok) throw new TypeError(`A client \`${id}\` is registered.`);
    return secret;
  }

  /** Forgets a client and ends its tokens. @throws TypeError when there is none */
  async remove(id: string, audit: readonly AuditRow[] = []): Promise<void> {
    if ((await this.find(id)) === undefined) throw new TypeError(`There is no client \`${id}\`.`);
    const ended = await endTokensOf({ clientId: id }, this.#store);
    await this.#store.commit({ commands: [this.#records.remove(id), ...ended], audit });
  }

  /** What oidc-provider is told. The secret is its hash: `compareClientSecret` hashes what a client sends. */
  async metadata(id: string): Promise<AdapterPayload | undefined> {
    const client = await this.find(id);
    if (client === undefined) return undefined;
    const { name, kind, redirectUris, backend, jwks, jwksUrl, secretHash, scopes } = client;
    const isNative = redirectUris.some((uri) => !/^https?:/.test(uri));
    const refreshes = scopes.some((scope) => scope === 'offline_access' || scope === 'online_access');
    const interactive = redirectUris.length > 0;
    return {
      client_id: id,
      client_name: name,
      application_type: isNative ? 'native' : 'web',
      redirect_uris: [...redirectUris],
      response_types: interactive ? ['code'] : [],
      grant_types: [
        ...(interactive ? ['authorization_code'] : []),
        ...(interactive && refreshes ? ['refresh_token'] : []),
        ...(backend ? ['client_credentials'] : []),
      ],
      token_endpoint_auth_method: METHODS[kind],
      [ORIGINS]: [...clientOrigins(client)],
      ...(jwks === undefined ? {} : { jwks: { keys: [...jwks.keys] } }),
      ...(jwksUrl === undefined ? {} : { jwks_uri: jwksUrl }),
      ...(secretHash === undefined ? {} : { client_secret: secretHash }),
    };
  }
}

/** Metadata besides what the library knows: origins of a client's pages. */
export const ORIGINS = 'allowed_origins';

const METHODS = { public: 'none', secret: 'client_secret_basic', key: 'private_key_jwt' } as const;
