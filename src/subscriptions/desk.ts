/** Subscriptions as the server runs them: the recorder, a lane for each, the websockets, and what operations ask. Main thread only. */
import { serialize } from '../fhir/resource.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { answer } from '../rest/interact.ts';
import type { Duty } from '../rest/jobs/duty.ts';
import type { BindingToken, EventsAsked, EventsFound, SubscriptionDesk } from '../rest/operations/subscription-desk.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import { permitsVersion, seesEverything } from '../rest/permission/permission.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { CommitSignal, ResourceStore, StoredVersion } from '../store/port.ts';
import { type Binding, keepBinding, redeemBinding } from './binding.ts';
import { originOf } from './header.ts';
import { Lane, type LaneTools, type Patience, type Timing } from './lane.ts';
import { notification, type Status, statusParameters } from './notification.ts';
import type { Owner } from './owner.ts';
import { bundle, type Parcel } from './parcel.ts';
import { eventsFrom } from './record.ts';
import { type Entry, Recorder, SUBSCRIPTION } from './recorder.ts';
import { SOCKET_PATH, SocketHub, type SocketSettings } from './socket.ts';
import type { Content, Understanding, Understood } from './subscription.ts';

export interface SubscriptionSettings {
  readonly context: RestContext & { readonly store: ResourceStore & CommitSignal };
  /** The door of this moment, for what the server writes. */
  current(): RestContext;
  readonly how: Understanding;
  readonly outbound: Outbound;
  readonly timing: Timing;
  readonly patience: Patience;
  readonly duty: Duty;
  /** Base of this server, no trailing slash: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Unguessable text. */
  newToken(): string;
  guard: SocketSettings['guard'];
  /** Nobody is known by a token here: everyone who reaches the server may hear everything. */
  readonly isOpen: boolean;
  /** Whoever a subscription is served for, on this thread, as of now. */
  callerOf(owner: Owner): Promise<Caller>;
  /** Whether what they were granted still holds. */
  stands(owner: Owner): Promise<boolean>;
  /** For the log: a subscription gave up after so many attempts. */
  onFailed(id: string, attempts: number): void;
}

/** Most events of one `$events`. */
const EVENTS = 100;
/** After a fault of the store, ms. */
const FAULT_MS = 1000;
const DISCLOSURE: readonly Content[] = ['empty', 'id-only', 'full-resource'];

export class Subscriptions implements SubscriptionDesk {
  readonly #settings: SubscriptionSettings;
  readonly #recorder: Recorder;
  readonly #hub: SocketHub;
  readonly #lanes = new Map<string, Lane>();
  readonly #listeners = new Set<(ids: ReadonlySet<string>) => void>();
  readonly #tools: LaneTools;
  #unlisten: () => void = () => undefined;
  #forget: () => void = () => undefined;
  #recording: Promise<void> | undefined;
  #isAsked = false;
  #isClosed = false;

  constructor(settings: SubscriptionSettings) {
    this.#settings = settings;
    const { context, timing, how } = settings;
    const { store, indexEntries } = context;
    this.#recorder = new Recorder({
      store,
      indexEntries,
      how,
      mayTell: (owner, version) => this.#mayTell(owner, version),
      onRecorded: (ids) => this.#recorded(ids),
    });
    this.#hub = new SocketHub({
      guard: settings.guard,
      mayBind: (id) => settings.isOpen && this.#websocket(id)?.trigger.kind === 'criteria',
      redeem: (token) => this.#redeem(token),
      stands: (id) => this.#stands(this.#recorder.entries.get(id)?.owner),
      handshake: (id) => this.#handshake(id),
      onBound: (id) => this.#lanes.get(id)?.wake(),
      after: timing.after,
      report: (error) => this.#report(error),
    });
    this.#tools = {
      ...settings,
      store,
      definitions: context.definitions,
      fhirBase: context.settings.fhirBase,
      newId: context.ambient.newId,
      now: timing.now,
      sockets: this.#hub,
      reachable: ({ id, channel }) => channel.type === 'rest-hook' || this.#hub.isBound(id),
      entryOf: (id) => this.#recorder.entries.get(id),
      stands: ({ owner }) => this.#stands(owner),
      setStatus: (...change) => this.#setStatus(...change),
      disclosed: (parcel) => this.#disclosed(parcel),
      report: (error) => this.#report(error),
    };
  }

  /** Reads what is kept, records what came meanwhile, and delivers what is due. */
  async start(): Promise<void> {
    await this.#recorder.load();
    this.#recorded(new Set(this.#recorder.entries.keys()));
    this.#unlisten = this.#settings.context.store.onCommit(() => this.#record());
    this.#record();
  }

  /** Stops; what is not delivered yet is kept, and delivered after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unlisten();
    this.#forget();
    this.#hub.close();
    for (const lane of this.#lanes.values()) lane.stop();
    this.#settings.outbound.close();
    await this.#recording;
  }

  /** Delivering is this process's now. */
  begin(): void {
    this.#recorded(new Set(this.#recorder.entries.keys()));
  }

  /** It no longer is: each lane looks before its next step, and what it commits is fenced. */
  end(): Promise<void> {
    return Promise.resolve();
  }

  /** For the HTTP server's `upgrade`. */
  get sockets(): Pick<SocketHub, 'upgrade' | 'close'> {
    return this.#hub;
  }

  /** @returns stops it; the listener is told of subscriptions that have changed or have new events, once `latest` says so */
  onRecorded(listener: (ids: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Number of the newest event; undefined when nothing is served under this id. */
  latest(id: string): number | undefined {
    const entry = this.#recorder.entries.get(id);
    const isOver = entry === undefined || entry.deleted || entry.status === 'off' || entry.status === 'error';
    return isOver ? undefined : entry.events;
  }

  ids(): readonly string[] {
    return [...this.#recorder.entries.values()].flatMap(({ id, deleted }) => (deleted ? [] : [id])).toSorted();
  }

  statuses(ids: readonly string[]) {
    const { context } = this.#settings;
    return ids.flatMap((id) => {
      const entry = this.#recorder.entries.get(id);
      if (entry === undefined) return [];
      const { status, understood, events, error } = entry;
      const subscription = understood ?? { id };
      const content = understood?.channel.content ?? 'empty';
      const facts = { subscription, status, type: 'query-status', count: events, content, events: [], error } as const;
      const text = serialize(statusParameters(facts, context.ambient.newId(), context.settings.fhirBase));
      return [{ id, status, text }];
    });
  }

  async events(id: string, { from, until, content, sees }: EventsAsked): Promise<EventsFound | undefined> {
    const entry = this.#recorder.entries.get(id);
    const understood = entry?.understood;
    if (entry === undefined || understood === undefined) return undefined;
    const last = Math.min(until, entry.events);
    const first = Math.max(from, entry.since + 1);
    const found = await eventsFrom(id, first, Math.min(EVENTS, last - first + 1), this.#settings.context.store);
    const seen = await Promise.all(found.map(sees));
    const events = found.filter(({ number }, index) => number <= last && seen[index]);
    const given = lesser(content, understood.channel.content);
    const { status } = entry;
    const facts = {
      subscription: understood,
      status,
      type: 'query-event',
      count: entry.events,
      content: given,
      events,
    } as const;
    return { text: await notification(facts, this.#tools), patients: patientsOf(given, events) };
  }

  /** Their own, or for callers who may search everything: what it tells was cut for its owner alone. */
  mayBind(id: string, caller: Caller): boolean {
    const { principal } = caller;
    return this.#isFor(id, { principal, seesAll: seesEverything(caller, this.#settings.context) });
  }

  async token(ids: readonly string[], caller: Caller): Promise<BindingToken | undefined> {
    await this.#read(ids);
    if (!ids.every((id) => this.mayBind(id, caller))) return undefined;
    const { context, timing, newToken, url } = this.#settings;
    const token = newToken();
    const binding = { ids, principal: caller.principal, seesAll: seesEverything(caller, context) };
    const { expiresAt } = await keepBinding(token, binding, timing.now(), context.store);
    return { token, expiresAt, url: socketUrl(url) };
  }

  async #redeem(token: string): Promise<readonly string[] | undefined> {
    const found = await redeemBinding(token, this.#settings.timing.now(), this.#settings.context.store);
    if (found === undefined) return undefined;
    await this.#read(found.ids);
    return found.ids.every((id) => this.#isFor(id, found)) ? found.ids : undefined;
  }

  /** Another process may have begun to serve what was not read here yet. */
  async #read(ids: readonly string[]): Promise<void> {
    if (ids.every((id) => this.#websocket(id) !== undefined)) return;
    this.#record();
    await this.#recording;
  }

  #isFor(id: string, { principal, seesAll }: Omit<Binding, 'ids'>): boolean {
    const owner = this.#recorder.entries.get(id)?.owner;
    return this.#websocket(id) !== undefined && (seesAll || owner?.principal === principal);
  }

  #websocket(id: string): Understood | undefined {
    const entry = this.#recorder.entries.get(id);
    return entry?.understood?.channel.type === 'websocket' && entry.status !== 'error' ? entry.understood : undefined;
  }

  async #handshake(id: string): Promise<string | undefined> {
    const entry = this.#recorder.entries.get(id);
    const understood = this.#websocket(id);
    if (understood?.trigger.kind === 'criteria') return `bound ${id}`;
    return entry && understood && bundle('handshake', entry, understood, [], this.#tools);
  }

  async #stands(owner: Owner | undefined): Promise<boolean> {
    const { isOpen, stands } = this.#settings;
    if (owner === undefined || owner.rights.kind === 'everything') return isOpen;
    return stands(owner);
  }

  /** As a search and a read would show it to the owner: the version that triggers, a deletion by what was deleted. */
  async #mayTell(owner: Owner | undefined, version: StoredVersion): Promise<boolean> {
    const { isOpen, callerOf, current } = this.#settings;
    if (owner === undefined || owner.rights.kind === 'everything') return isOpen;
    return permitsVersion(['search', 'read'], version, await callerOf(owner), current());
  }

  /** One run at a time; a commit meanwhile asks for another. */
  #record(): void {
    this.#isAsked = true;
    if (this.#isClosed) return;
    this.#recording ??= this.#recordAll().finally(() => {
      this.#recording = undefined;
      if (this.#isAsked) this.#record();
    });
  }

  async #recordAll(): Promise<void> {
    while (this.#isAsked && !this.#isClosed) {
      this.#isAsked = false;
      try {
        await this.#recorder.run();
      } catch (error) {
        if (this.#isClosed) return;
        this.#report(error);
        this.#forget = this.#settings.timing.after(FAULT_MS, () => this.#record());
        return;
      }
    }
  }

  #recorded(ids: ReadonlySet<string>): void {
    for (const id of ids) {
      const entry = this.#recorder.entries.get(id);
      if (entry === undefined || entry.status === 'off' || entry.status === 'error') {
        this.#lanes.get(id)?.stop();
        this.#lanes.delete(id);
        this.#hub.unbind(id);
        continue;
      }
      const lane = this.#lanes.get(id) ?? new Lane(id, this.#tools);
      this.#lanes.set(id, lane);
      if (!this.#isClosed) lane.wake();
    }
    for (const listener of this.#listeners) listener(ids);
  }

  /** Through the door, so that it is a version with an AuditEvent like any other; a newer version decides for itself. */
  async #setStatus({ id, version }: Entry, status: Status, error?: string): Promise<void> {
    const { context } = this.#settings;
    const held = await context.store.read({ type: SUBSCRIPTION, id });
    if (held === undefined || held.version !== version || held.text === undefined) return;
    const { error: _error, ...resource } = storedResource(held.text);
    const body = serialize({ ...resource, status, ...(error === undefined ? {} : { error }) });
    const headers = { 'content-type': 'application/fhir+json', 'if-match': `W/"${version}"`, prefer: 'return=minimal' };
    const wire = { method: 'PUT', path: `/${SUBSCRIPTION}/${id}`, query: '', headers, body };
    const { rules: _rules, ...own } = this.#settings.current();
    const answered = await answer(wire, this.#caller('subscriptions', context.ambient.newId()), own);
    if (answered.status >= 400 && answered.status !== 409 && answered.status !== 412) {
      throw new Error(`The status of a subscription could not be written: ${answered.status}.`);
    }
  }

  /** The client of the AuditEvent is who is told: the endpoint's origin, never its path, which may be a secret. */
  async #disclosed({ understood, events }: Parcel): Promise<void> {
    const { context } = this.#settings;
    const { id, channel } = understood;
    const [first] = events;
    const client = channel.type === 'websocket' ? 'websocket' : originOf(channel.endpoint);
    const caller = this.#caller(client, `${id}.${first?.number ?? 0}`);
    const common = { interaction: 'operation', operation: 'notify' } as const;
    const data = channel.content === 'empty' ? [] : events;
    const entries = [
      { ...common, resource: { type: SUBSCRIPTION, id }, patients: [] },
      ...data.map(({ type, id: focus, version, patients }) => ({
        ...common,
        resource: { type, id: focus, version },
        patients,
      })),
    ];
    const result = await context.store.commit({
      commands: [],
      audit: [context.audit({ caller, entries, status: 200 })],
    });
    if (!result.ok) throw new Error('An audit row was refused.');
  }

  /** The server itself; what it tells was judged in the name of the owner. */
  #caller(client: string, requestId: string): Caller {
    const address = URL.canParse(client) ? new URL(client).hostname : 'localhost';
    const facts = localFacts(requestId, address);
    return localCaller({ ...facts, principal: 'subscriptions', client: { system: undefined, value: client } });
  }

  #report(error: unknown): void {
    this.#settings.context.report(error, '');
  }
}

const patientsOf = (
  content: Content,
  events: readonly { readonly patients: readonly string[] }[],
): readonly string[] => (content === 'empty' ? [] : events.flatMap(({ patients }) => patients));

/** What is asked, but never more than the subscription may have. */
function lesser(asked: string | undefined, own: Content): Content {
  return DISCLOSURE.slice(0, DISCLOSURE.indexOf(own)).find((each) => each === asked) ?? own;
}

/** `ws://127.0.0.1:8080/subscriptions` of `http://127.0.0.1:8080`. */
export function socketUrl(url: string): string {
  return `${url.replace(/^http/, 'ws')}${SOCKET_PATH}`;
}
