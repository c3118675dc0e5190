/**
 * From the feed of changes to the events of subscriptions. Subscriptions are versions in the same feed, so which of them are in force at a
 * change is decided by its place, not by when it is looked at: after a crash the same events come out, with the same numbers. Cursor, numbers
 * and events are one commit.
 */
import { setImmediate as pause } from 'node:timers/promises';
import { parseOwnJson, type Resource } from '../fhir/resource.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { Command, ResourceStore, StoredVersion } from '../store/port.ts';
import { forgetHeaders } from './header.ts';
import type { Status } from './notification.ts';
import { OWNERS, type Owner, ownerIn, ownerKey, rightsOf } from './owner.ts';
import {
  CURSOR_KEY,
  SPACES,
  type SubscriptionEvent,
  type SubscriptionRow,
  setCursor,
  setDelivery,
  setEvent,
  setSubscription,
  subscriptionRow,
} from './record.ts';
import { type Understanding, type Understood, understand } from './subscription.ts';
import { Change, type ChangeContext, triggers, typesOf } from './trigger.ts';

/** A subscription as of the cursor. */
export interface Entry extends SubscriptionRow {
  readonly id: string;
  readonly status: Status;
  readonly deleted: boolean;
  /** undefined: it is off, or cannot be kept (any more). */
  readonly understood: Understood | undefined;
  /** Why it cannot be kept. */
  readonly fault: string | undefined;
  /** Subscription.error. */
  readonly error: string | undefined;
}

export interface RecorderSettings extends ChangeContext {
  readonly store: ResourceStore;
  readonly how: Understanding;
  /** Whether a version may be told of in somebody's name. */
  mayTell(owner: Owner | undefined, version: StoredVersion): Promise<boolean>;
  /** After a commit: the subscriptions that have changed, or have new events. */
  onRecorded(ids: ReadonlySet<string>): void;
}

const OFF = { status: 'off', deleted: true, understood: undefined, fault: undefined, error: undefined } as const;
/** The type this room is about. */
export const SUBSCRIPTION = 'Subscription';
const PAGE = 50;
/** Changes judged before others get their turn; about 0.3 ms each. */
const JUDGED = 8;

export class Recorder {
  readonly #settings: RecorderSettings;
  readonly #entries = new Map<string, Entry>();
  /** Ids by the types they are triggered by. */
  #byType = new Map<string, Set<string>>();
  #cursor = 0;
  /** The cursor as it is kept; it may lag where nothing had to be recorded. */
  #kept: string | null = null;

  constructor(settings: RecorderSettings) {
    this.#settings = settings;
  }

  /** By id; deleted ones stay, with their numbers. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** Reads what is kept. A store that never had subscriptions begins at its newest change. */
  async load(): Promise<void> {
    const { store } = this.#settings;
    this.#entries.clear();
    const cursor = await store.keyed(SPACES.cursor, CURSOR_KEY);
    this.#kept = cursor?.value ?? null;
    this.#cursor = cursor === undefined ? await store.latestSequence() : Number(cursor.value);
    for (let after: string | undefined; ; ) {
      const page = await store.keyedPage(SPACES.subscription, { after, count: 500 });
      for (const { key, value } of page) {
        const row = subscriptionRow(value);
        const version = await store.read({ type: SUBSCRIPTION, id: key }, row.version);
        if (version !== undefined) this.#entries.set(key, this.#entryOf(version, row));
      }
      after = page.at(-1)?.key;
      if (page.length < 500) break;
    }
    this.#index();
  }

  /**
   * Records what the feed holds by now.
   * @throws StoreError when the store cannot; nothing is half recorded, ask again
   */
  async run(): Promise<void> {
    for (;;) {
      await this.#skip();
      const page = await this.#settings.store.changes(this.#cursor, PAGE);
      if (page.length === 0) return;
      await this.#record(page);
    }
  }

  /** Where no subscription is on, only changes of subscriptions matter: the others are not read. */
  async #skip(): Promise<void> {
    if (this.#byType.size > 0) return;
    const { store } = this.#settings;
    const latest = await store.latestSequence();
    const { matches } = await store.history({ type: SUBSCRIPTION }, { count: 1 });
    if ((matches[0]?.sequence ?? 0) <= this.#cursor) this.#cursor = Math.max(this.#cursor, latest);
  }

  async #record(page: readonly StoredVersion[]): Promise<void> {
    const touched = new Map<string, Entry | undefined>();
    const commands: Command[] = [];
    let judged = 0;
    for (const version of page) {
      if (version.key.type === SUBSCRIPTION) await this.#turn(version, touched, commands);
      const concerned = this.#concerned(version.key.type, touched);
      if (concerned.length === 0) continue;
      if (++judged % JUDGED === 0) await pause();
      const change = new Change(version, this.#settings);
      for (const entry of concerned) {
        if (entry.understood === undefined || !(await triggers(entry.understood, change))) continue;
        if (!(await this.#settings.mayTell(entry.owner, version))) continue;
        const number = entry.events + 1;
        touched.set(entry.id, { ...entry, events: number });
        commands.push(setEvent(entry.id, await eventOf(number, change)));
      }
    }
    const next = page.at(-1)?.sequence ?? this.#cursor;
    if (touched.size > 0) {
      const rows = [...touched].map(([id, entry]) => setSubscription(id, entry && rowOf(entry)));
      const result = await this.#settings.store.commit({
        commands: [setCursor(next, this.#kept), ...rows, ...commands],
        audit: [],
      });
      if (!result.ok) return this.#follow();
      this.#kept = String(next);
    }
    this.#cursor = next;
    for (const [id, entry] of touched) {
      if (entry === undefined) this.#entries.delete(id);
      else this.#entries.set(id, entry);
    }
    if (touched.size === 0) return;
    this.#index();
    this.#settings.onRecorded(new Set(touched.keys()));
  }

  /** Someone else has recorded: it goes on from there. */
  async #follow(): Promise<void> {
    await this.load();
    this.#settings.onRecorded(new Set(this.#entries.keys()));
  }

  /** A version of a subscription comes into force. */
  async #turn(version: StoredVersion, touched: Map<string, Entry | undefined>, commands: Command[]): Promise<void> {
    const { id } = version.key;
    if (version.deleted) {
      commands.push(setDelivery(id, undefined), ...(await forgetHeaders(id, this.#settings.store)));
      const gone = touched.get(id) ?? this.#entries.get(id);
      // Numbers go on where they were if it is created again: events of before stay told apart.
      touched.set(id, gone && { ...gone, ...OFF, version: version.version, on: false });
      return;
    }
    const before = touched.has(id) ? touched.get(id) : this.#entries.get(id);
    const { events = 0, since = 0, on: wasOn = false } = before ?? {};
    const key = ownerKey(id, version.version);
    const kept = await this.#settings.store.keyed(OWNERS, key);
    if (kept !== undefined) commands.push({ op: 'set', space: OWNERS, key, value: undefined });
    const owner = kept === undefined ? before?.owner : ownerIn(parseOwnJson(kept.value));
    const entry = this.#entryOf(version, { version: version.version, events, since, on: wasOn, owner });
    const on = entry.status !== 'off' && (wasOn || entry.status !== 'error');
    // What was recorded under other rights is not for these: neither delivered nor replayed.
    const isAnew = (on && !wasOn) || rightsOf(owner) !== rightsOf(before?.owner);
    touched.set(id, { ...entry, on, since: isAnew ? events : since });
  }

  #entryOf(version: StoredVersion, row: SubscriptionRow): Entry {
    const { id } = version.key;
    if (version.text === undefined) return { ...row, ...OFF, id };
    const resource = storedResource(version.text);
    const status = statusOf(resource);
    const found = status === 'off' ? { issues: [] } : understand(resource, this.#settings.how);
    const error = typeof resource.error === 'string' ? resource.error : undefined;
    const understood = 'understood' in found ? found.understood : undefined;
    return { ...row, id, status, deleted: false, understood, fault: found.issues[0]?.message, error };
  }

  #concerned(type: string, touched: ReadonlyMap<string, Entry | undefined>): readonly Entry[] {
    const ids = new Set([...(this.#byType.get(type) ?? []), ...touched.keys()]);
    return [...ids].flatMap((id) => {
      const entry = touched.has(id) ? touched.get(id) : this.#entries.get(id);
      const isOn = entry?.on === true && entry.understood !== undefined && typesOf(entry.understood).has(type);
      return isOn ? [entry] : [];
    });
  }

  #index(): void {
    this.#byType = new Map();
    for (const { id, on, understood } of this.#entries.values()) {
      if (!on || understood === undefined) continue;
      for (const type of typesOf(understood)) this.#byType.set(type, (this.#byType.get(type) ?? new Set()).add(id));
    }
  }
}

async function eventOf(number: number, change: Change): Promise<SubscriptionEvent> {
  const { key, version, at, patients } = change.version;
  return { number, kind: await change.kind(), type: key.type, id: key.id, version, at, patients };
}

const rowOf = ({ version, events, since, on, owner }: Entry): SubscriptionRow => ({
  version,
  events,
  since,
  on,
  owner,
});

const STATUSES: ReadonlySet<string> = new Set(['requested', 'active', 'error', 'off'] satisfies Status[]);

function statusOf({ status }: Resource): Status {
  const isStatus = (value: unknown): value is Status => typeof value === 'string' && STATUSES.has(value);
  return isStatus(status) ? status : 'off';
}
