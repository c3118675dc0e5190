/**
 * Where oidc-provider keeps its models: keyed values of our store, each change durable before it is acknowledged.
 * Ids are hashed and cut out of the values; codes and refresh tokens are used once also by two at the same time; a grant knows its tokens.
 */
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import type { Command, ResourceStore } from '../store/port.ts';
import { isObject, Records } from './records.ts';
import type { TokenIds } from './token-id.ts';

/** Stands for the id inside a value; JSON text never holds this character itself. */
const ID_PLACE = '\u0001';
/** Kept a little longer than they are good: the library compares instants itself. */
const GRACE_S = 60;

/** Spaces of the store. A token of access is `oauth.AccessToken` (a user's) or `oauth.ClientCredentials` (a system's). */
export const spaceOf = (model: string): string => `oauth.${model}`;
const MEMBERS = 'oauth.grant-member';
const SESSIONS = 'oauth.session-uid';

const isPayload = (value: unknown): value is AdapterPayload => isObject(value);
const isText = (value: unknown): value is string => typeof value === 'string';

/** The grant that what is kept belongs to, from its text; undefined for what has none. */
export function grantOf(text: string): string | undefined {
  const payload: unknown = JSON.parse(text.replaceAll(ID_PLACE, ''));
  return isPayload(payload) ? payload.grantId : undefined;
}

/** Whether some refresh token of a grant is still good. Cost: a look at each token that the grant was given and that is not forgotten. */
export async function isRefreshable(
  grantId: string,
  { store, now }: { readonly store: ResourceStore; now(): number },
): Promise<boolean> {
  const members = new Records(store, MEMBERS, isText, now);
  for (const { value: hash } of await members.list(`${grantId}:RefreshToken:`)) {
    const kept = await store.keyed(spaceOf('RefreshToken'), hash);
    if (kept !== undefined && (kept.expiresAt ?? Number.POSITIVE_INFINITY) > now()) return true;
  }
  return false;
}

const TOKENS = ['AccessToken', 'ClientCredentials', 'RefreshToken', 'AuthorizationCode'] as const;
const PAGE = 200;

/** The commands that end every token and code of a user or of a client. Cost: a look at each that is kept; for commands, not for requests. */
export async function endTokensOf(
  whose: { readonly accountId: string } | { readonly clientId: string },
  store: ResourceStore,
): Promise<readonly Command[]> {
  const commands: Command[] = [];
  for (const model of TOKENS) {
    let after: string | undefined;
    do {
      const page = await store.keyedPage(spaceOf(model), { after, count: PAGE });
      for (const { key, value } of page) {
        const payload: unknown = JSON.parse(value.replaceAll(ID_PLACE, ''));
        const isTheirs =
          isPayload(payload) &&
          ('accountId' in whose ? payload.accountId === whose.accountId : payload.clientId === whose.clientId);
        if (isTheirs) commands.push({ op: 'set', space: spaceOf(model), key, value: undefined });
      }
      after = page.length < PAGE ? undefined : page.at(-1)?.key;
    } while (after !== undefined);
  }
  return commands;
}

export interface AdapterGround {
  readonly store: ResourceStore;
  readonly ids: TokenIds;
  now(): number;
  /** Registrations are kept in a form of their own. */
  findClient(id: string): Promise<AdapterPayload | undefined>;
}

/** The adapter of one model. */
export function storeAdapter(model: string, { store, ids, now, findClient }: AdapterGround): Adapter {
  const members = new Records(store, MEMBERS, isText, now);
  const sessions = new Records(store, SESSIONS, isText, now);

  const commit = async (commands: readonly Command[]): Promise<boolean> =>
    (await store.commit({ commands, audit: [] })).ok;

  const found = async (hash: string, id: string): Promise<AdapterPayload | undefined> => {
    const kept = await store.keyed(spaceOf(model), hash);
    if (kept === undefined || (kept.expiresAt ?? Number.POSITIVE_INFINITY) <= now()) return undefined;
    const payload: unknown = JSON.parse(kept.value.replaceAll(ID_PLACE, id));
    if (!isPayload(payload)) throw new TypeError(`A record of ${model} is not of its shape.`);
    return payload;
  };

  return {
    find: (id) => (model === 'Client' ? findClient(id) : found(ids.hashOf(id), id)),

    upsert: async (id, payload, expiresIn) => {
      const hash = ids.hashOf(id);
      const expiresAt = expiresIn === undefined ? undefined : now() + (expiresIn + GRACE_S) * 1000;
      const value = JSON.stringify(withoutCookie(payload)).replaceAll(id, ID_PLACE);
      const once = model === 'ReplayDetection' ? null : undefined;
      const { grantId, uid } = payload;
      const written = await commit([
        { op: 'set', space: spaceOf(model), key: hash, value, expect: once, expiresAt },
        ...(grantId === undefined ? [] : [members.set(`${grantId}:${model}:${hash}`, hash, { expiresAt })]),
        ...(model === 'Session' && uid !== undefined ? [sessions.set(uid, hash, { expiresAt })] : []),
      ]);
      if (!written) throw new errors.InvalidClientAuth('The assertion was used at the same time.');
    },

    findByUid: async (uid) => {
      const hash = (await sessions.get(uid))?.value;
      return hash === undefined ? undefined : found(hash, ids.named(hash));
    },

    findByUserCode: async () => undefined,

    consume: async (id) => {
      const hash = ids.hashOf(id);
      const kept = await store.keyed(spaceOf(model), hash);
      const payload = kept && (await found(hash, id));
      if (payload === undefined || payload.consumed !== undefined) throw new errors.InvalidGrant('It was used.');
      const value = JSON.stringify({ ...payload, consumed: Math.floor(now() / 1000) }).replaceAll(id, ID_PLACE);
      const { expiresAt, value: expect } = kept ?? {};
      if (!(await commit([{ op: 'set', space: spaceOf(model), key: hash, value, expect, expiresAt }])))
        throw new errors.InvalidGrant('It was used at the same time.');
    },

    destroy: async (id) => {
      await commit([{ op: 'set', space: spaceOf(model), key: ids.hashOf(id), value: undefined }]);
    },

    revokeByGrantId: async (grantId) => {
      const commands = (await members.list(`${grantId}:`)).flatMap(({ key, value }): Command[] => [
        { op: 'set', space: spaceOf(key.split(':')[1] ?? ''), key: value, value: undefined },
        members.remove(key),
      ]);
      if (commands.length > 0) await commit(commands);
    },
  };
}

/** An interaction is given the id of its session, which it never uses: that secret is not written down a second time. */
function withoutCookie(payload: AdapterPayload): AdapterPayload {
  const { session } = payload;
  if (session?.cookie === undefined) return payload;
  const { cookie: _cookie, ...rest } = session;
  return { ...payload, session: rest };
}
