/**
 * The deliveries of one subscription: one at a time, in the order of the event numbers, at least once. What was delivered is committed after the
 * endpoint has taken it; what is tried is in the audit before it leaves. A lane that waits holds up no other, and no commit.
 * Source: Subscriptions R5 Backport 1.1.0 (channels, errors); docs/decisions/0018-subscriptions.md.
 */
import { OutboundError } from '../outbound/outbound.ts';
import type { Duty } from '../rest/jobs/duty.ts';
import type { ResourceStore } from '../store/port.ts';
import type { Status } from './notification.ts';
import { OVER } from './owner.ts';
import { type Attempted, handshakeOf, heartbeatOf, type Parcel, parcelOf, type Sending } from './parcel.ts';
import { type DeliveryRow, deliveryRow, eventsFrom, SPACES, type SubscriptionEvent, setDelivery } from './record.ts';
import type { Entry } from './recorder.ts';
import type { Understood } from './subscription.ts';

/** Time as the lanes know it. */
export interface Timing {
  /** ms since 1970. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Runs once, not before `ms`; the result forgets it. */
  after(ms: number, run: () => void): () => void;
}

/** When a failed notification is tried again: after base * 2^(n-1), at most `mostMs`, less up to half of it at random. */
export interface Patience {
  /** Failed attempts at one notification before the subscription is in error. */
  readonly attempts: number;
  readonly baseMs: number;
  readonly mostMs: number;
}

export interface LaneTools extends Sending {
  readonly store: ResourceStore;
  readonly timing: Timing;
  readonly patience: Patience;
  /** Who delivers. What a websocket is told comes from the process that it is connected to. */
  readonly duty: Duty;
  /** The subscription as of the cursor; undefined: none. */
  entryOf(id: string): Entry | undefined;
  /** Whether it may still be served in its owner's name. */
  stands(entry: Entry): Promise<boolean>;
  /** Writes status and error, if the version of the entry still is the current one. */
  setStatus(entry: Entry, status: Status, error?: string): Promise<void>;
  /** Makes the disclosure durable in the audit. */
  disclosed(parcel: Parcel): Promise<void>;
  report(error: unknown): void;
  /** A subscription gave up. */
  onFailed(id: string, attempts: number): void;
}

/** After a fault of ours, ms. */
const FAULT_MS = 1000;
/** While the circuit of an origin is open, ms. */
const OPEN_MS = 5000;
/** Timers run no longer, ms. */
const LONGEST_MS = 3_600_000;

export class Lane {
  readonly #id: string;
  readonly #tools: LaneTools;
  #row: DeliveryRow | undefined;
  /** The version whose status was decided here: what comes of it is for the feed to bring. */
  #decided = 0;
  /** ms; when something last went out, since this start. */
  #contact: number;
  #isRunning = false;
  #isAsked = false;
  #isStopped = false;
  #forget: () => void = () => undefined;

  constructor(id: string, tools: LaneTools) {
    this.#id = id;
    this.#tools = tools;
    this.#contact = tools.timing.now();
  }

  /** Something may have changed. */
  wake(): void {
    this.#isAsked = true;
    if (!this.#isRunning && !this.#isStopped) void this.#run();
  }

  /** A call that is under way ends by itself, and counts for nothing. */
  stop(): void {
    this.#isStopped = true;
    this.#forget();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false;
      this.#forget();
      const wait = await this.#turn().catch((error: unknown) => {
        this.#tools.report(error);
        this.#row = undefined;
        return FAULT_MS;
      });
      if (wait === 0) this.#isAsked = true;
      else if (wait !== undefined && !this.#isStopped) {
        this.#forget = this.#tools.timing.after(Math.min(wait, LONGEST_MS), () => this.wake());
      }
    }
    this.#isRunning = false;
  }

  /** One step. @returns ms until the next; 0 = at once; undefined = when woken */
  async #turn(): Promise<number | undefined> {
    const { entryOf, timing } = this.#tools;
    const entry = entryOf(this.#id);
    if (entry === undefined || entry.version === this.#decided || entry.status === 'off' || entry.status === 'error')
      return undefined;
    const { understood } = entry;
    const isOfSocket = entry.status === 'active' && understood?.channel.type === 'websocket';
    if (!isOfSocket && !this.#tools.duty.isOurs()) return undefined;
    if (understood === undefined) {
      await this.#decide(entry, 'error', entry.fault ?? 'It cannot be kept.');
      return undefined;
    }
    if (understood.end !== undefined && understood.end <= timing.now()) {
      await this.#decide(entry, 'off');
      return undefined;
    }
    if (!(await this.#tools.stands(entry))) {
      await this.#decide(entry, 'off', OVER);
      return undefined;
    }
    if (entry.status === 'requested') {
      await this.#begin(entry, understood);
      return undefined;
    }
    const wait = await this.#serve(entry, understood);
    const end = soonest(understood.end, entry.owner?.term?.until);
    return soonest(wait, end === undefined ? undefined : Math.max(1, end - timing.now()));
  }

  /** A handshake that fails is an error at once: backport, channels. */
  async #begin(entry: Entry, understood: Understood): Promise<void> {
    const { store } = this.#tools;
    const row = await this.#held();
    await this.#keep({ ...row, attempts: 0, next: 0 }, store);
    const handshake = await handshakeOf(entry, understood, this.#tools);
    const attempted = handshake === undefined ? TAKEN : await this.#attempt(handshake);
    if (attempted.taken) await this.#decide(entry, 'active');
    else await this.#decide(entry, 'error', `The handshake failed: ${attempted.reason}`);
  }

  async #serve(entry: Entry, understood: Understood): Promise<number | undefined> {
    const { timing, store } = this.#tools;
    const row = await this.#held();
    const last = Math.max(row.delivered, entry.since);
    if (last >= entry.events) return this.#beat(entry, understood);
    if (row.next > timing.now()) return row.next - timing.now();
    if (!this.#tools.reachable(understood)) return undefined;
    const room = Math.min(understood.channel.maxCount, entry.events - last);
    const events = (await eventsFrom(this.#id, last + 1, room, store)).filter(({ number }) => number <= entry.events);
    if (events.length === 0) {
      await this.#keep({ delivered: entry.events, attempts: 0, next: 0 }, store); // too old to be replayed
      return 0;
    }
    return this.#notify(entry, understood, events, row);
  }

  async #notify(entry: Entry, understood: Understood, events: readonly SubscriptionEvent[], row: DeliveryRow) {
    const { store, disclosed } = this.#tools;
    const parcel = await parcelOf(entry, understood, events, this.#tools);
    if ('reason' in parcel) return this.#failed(entry, { ...row, attempts: Number.POSITIVE_INFINITY }, parcel.reason);
    await disclosed(parcel);
    const attempted = await this.#attempt(parcel);
    if (this.#isStopped) return undefined;
    if (attempted.taken) {
      const delivered = events.at(-1)?.number ?? row.delivered;
      await this.#keep({ delivered, attempts: 0, next: 0 }, store);
      return 0;
    }
    return attempted.counts ? this.#failed(entry, { ...row, attempts: row.attempts + 1 }, attempted.reason) : OPEN_MS;
  }

  async #failed(entry: Entry, row: DeliveryRow, reason: string): Promise<number | undefined> {
    const { patience, timing, store, onFailed } = this.#tools;
    const { attempts } = row;
    if (attempts < patience.attempts) {
      const wait = pauseAfter(attempts, patience, timing.random());
      await this.#keep({ ...row, next: timing.now() + wait }, store);
      return wait;
    }
    await this.#decide(entry, 'error', `A notification could not be delivered: ${reason}`);
    await this.#keep({ ...row, attempts: 0, next: 0 }, store);
    onFailed(this.#id, Number.isFinite(attempts) ? attempts : 1);
    return undefined;
  }

  async #decide(entry: Entry, status: Status, error?: string): Promise<void> {
    await this.#tools.setStatus(entry, status, error);
    this.#decided = entry.version;
  }

  /** A heartbeat that is not taken is not tried again: the next event tells. */
  async #beat(entry: Entry, understood: Understood): Promise<number | undefined> {
    const { heartbeatMs } = understood.channel;
    if (heartbeatMs === undefined || understood.trigger.kind !== 'topic') return undefined;
    const left = this.#contact + heartbeatMs - this.#tools.timing.now();
    if (left > 0) return left;
    const parcel = this.#tools.reachable(understood) ? await heartbeatOf(entry, understood, this.#tools) : undefined;
    if (parcel !== undefined) await this.#attempt(parcel);
    this.#contact = this.#tools.timing.now();
    return heartbeatMs;
  }

  async #attempt(parcel: Parcel): Promise<Attempted> {
    this.#contact = this.#tools.timing.now();
    try {
      return await parcel.send();
    } catch (error) {
      if (error instanceof OutboundError)
        return { taken: false, counts: error.fault !== 'open', reason: error.message };
      throw error;
    }
  }

  async #held(): Promise<DeliveryRow> {
    // Another process may have delivered since.
    if (this.#tools.duty.isShared) this.#row = undefined;
    this.#row ??= deliveryRow((await this.#tools.store.keyed(SPACES.delivery, this.#id))?.value);
    return this.#row;
  }

  async #keep(row: DeliveryRow, store: ResourceStore): Promise<void> {
    const { duty, entryOf } = this.#tools;
    const isOfSocket = entryOf(this.#id)?.understood?.channel.type === 'websocket';
    const fence = isOfSocket ? [] : duty.fence();
    const result = await store.commit({ commands: [...fence, setDelivery(this.#id, row)], audit: [] });
    if (!result.ok) throw new Error('A delivery could not be kept.');
    this.#row = row;
  }
}

const TAKEN: Attempted = { taken: true };

/** ms to wait after the n-th failure; at least half of the full wait, so that many lanes do not meet again. */
export function pauseAfter(failures: number, { baseMs, mostMs }: Patience, random: number): number {
  const full = Math.min(mostMs, baseMs * 2 ** (failures - 1));
  return Math.round(full * (1 - random / 2));
}

function soonest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
