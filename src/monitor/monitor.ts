/**
 * Continuous monitoring: the feed of changes -> patients that are due -> scorings. Each change leads to exactly one scoring that accounts for it: the
 * patient's row says up to which change that is, in the same commit as what was written. The cursor may lag behind; a restart reads on from there
 * and passes over what rows say is done.
 * Bounded: one scoring of a patient an interval however many changes come, and a bound on patients that wait; the feed is the queue behind it.
 */

import type { RestContext } from '../rest/context.ts';
import { personOf } from '../rest/interactions/patient-links.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { ResourceStore, StoredVersion } from '../store/port.ts';
import { cursorOf, type KeptRow, readPatient, setCursor } from './patient-row.ts';
import { type Due, type MonitorEvent, type RescoreSettings, rescore } from './rescore.ts';
import type { MonitorRule } from './rule.ts';
import { survivorOf } from './survivor.ts';
import { type Concern, concernOf } from './trigger.ts';

export interface MonitorSettings extends RescoreSettings {
  readonly rules: readonly MonitorRule[];
  readonly pace: Pace;
  /** Runs later; the function it returns forgets it. */
  after(ms: number, run: () => void): () => void;
  /** After the commit. */
  notify(events: readonly MonitorEvent[]): void;
  report(error: unknown): void;
}

/** When a patient is scored: soon after a change, and one scoring an interval in the long run. */
export interface Pace {
  /** How long a patient's changes are gathered, ms. */
  readonly settleMs: number;
  /** Mean time between two scorings of a patient whose record does not stop changing, ms. */
  readonly intervalMs: number;
  /** Scorings of a calm patient that need not wait for the interval: observations are charted one after the other. */
  readonly atOnce: number;
}

/** How far monitoring is. */
export interface Backlog {
  /** Patients that wait for a scoring. */
  readonly patients: number;
  /** Of these, patients being scored. */
  readonly scoring: number;
  /** Changes not read yet. */
  readonly changes: number;
  /** Sequence of the last change that was read. */
  readonly read: number;
  /** Scorings given up after repeated failure, since the start. */
  readonly failed: number;
}

interface Waiting {
  first: number;
  last: number;
  dueAt: number;
  /** Newest instant that a value lies ahead at, ms; 0: none. */
  ahead: number;
  failures: number;
  readonly rules: Set<MonitorRule>;
  readonly withdrawn: Set<string>;
}

const EMPTY = { ahead: 0, failures: 0 } as const;
/** The server's own work follows every link. */
const EVERYONE = localCaller(localFacts('', '')).access;
const PAGE = 100;
/** Most patients that wait; the rest waits in the feed. */
const MOST_WAITING = 1000;
/** Patients in work: their reads take turns on this thread, and their writes share the writer's group commits. */
const AT_ONCE = 16;
/** After a failure, ms; and most failures of one scoring. */
const FAULT_MS = 500;
const FAILURES = 5;
/** Rows of patients kept at hand. */
const ROWS = 5000;
/** Changes that the kept cursor may lag behind without anything else to commit. */
const LAG = 1000;
/** A device's clock may run ahead this much: the patient is scored again when its value's instant has come. ms */
const AHEAD_MS = 300_000;

export class Monitor {
  readonly #settings: MonitorSettings;
  readonly #waiting = new Map<string, Waiting>();
  readonly #working = new Map<string, Waiting>();
  readonly #rows = new Map<string, KeptRow>();
  /** Patient -> when it would be due if each of its scorings had waited for the interval, ms (GCRA, ITU-T I.371). */
  readonly #pacedTo = new Map<string, number>();
  /** Everything up to here has been read. */
  #read = 0;
  /** As it is kept. */
  #cursor = 0;
  #latest = 0;
  #failed = 0;
  #reading: Promise<void> | undefined;
  #isAsked = false;
  #isClosed = false;
  #forget: () => void = () => undefined;
  readonly #runs = new Set<Promise<void>>();

  constructor(settings: MonitorSettings) {
    this.#settings = settings;
  }

  /** Goes on where the last process stopped. A store that was never monitored begins at its newest change. */
  async start(): Promise<void> {
    this.#read = await cursorOf(this.#context.store);
    this.#cursor = this.#read;
    this.wake();
  }

  /** There may be new changes. */
  wake(): void {
    this.#isAsked = true;
    if (this.#isClosed) return;
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
      if (this.#isAsked && this.#waiting.size < MOST_WAITING) this.wake();
    });
  }

  get backlog(): Backlog {
    const patients = this.#waiting.size + this.#working.size;
    const scoring = this.#working.size;
    return {
      patients,
      scoring,
      changes: Math.max(0, this.#latest - this.#read),
      read: this.#read,
      failed: this.#failed,
    };
  }

  /** Finishes what is being written; the rest is done after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#forget();
    await this.#reading;
    await Promise.all(this.#runs);
  }

  get #context(): RestContext {
    return this.#settings.current();
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#isAsked && !this.#isClosed) {
        this.#isAsked = false;
        await this.#readOn(this.#context.store);
      }
    } catch (error) {
      if (!this.#isClosed) this.#settings.report(error);
      this.#later(FAULT_MS);
    }
  }

  async #readOn(store: ResourceStore): Promise<void> {
    for (;;) {
      const latest = await store.latestSequence();
      if (this.#isClosed) return;
      if (this.#waiting.size >= MOST_WAITING) {
        this.#isAsked = true;
        return;
      }
      const page = await store.changes(this.#read, PAGE);
      // A page that is not full ends with the newest: sequences that hold nothing any more, or never did, are nobody's backlog.
      this.#latest = page.length < PAGE ? (page.at(-1)?.sequence ?? this.#read) : latest;
      for (const version of page) await this.#take(version, store);
      this.#work();
      if (page.length === 0) {
        this.#read = Math.max(this.#read, latest);
        this.#latest = this.#read;
        break;
      }
    }
    if (this.#lowest() - this.#cursor >= LAG && this.#working.size === 0) {
      const lowest = this.#lowest();
      const { ok } = await store.commit({ commands: [...(this.#settings.fence ?? []), setCursor(lowest)], audit: [] });
      if (ok) this.#cursor = lowest;
    }
  }

  async #take(version: StoredVersion, store: ResourceStore): Promise<void> {
    const concern = await concernOf(version, this.#settings.rules, store);
    for (const patient of concern?.patients ?? []) {
      const survivor = await survivorOf(patient, await personOf(patient, EVERYONE, this.#context), store);
      const { row } = await this.#row(survivor);
      if (row.through < version.sequence) this.#add(survivor, version.sequence, concern);
    }
    this.#read = version.sequence;
  }

  #add(patient: string, sequence: number, concern: Concern | undefined): void {
    if (concern === undefined) return;
    const { now, pace } = this.#settings;
    const at = now();
    const before = this.#waiting.get(patient);
    const earliest = (this.#pacedTo.get(patient) ?? Number.NEGATIVE_INFINITY) - (pace.atOnce - 1) * pace.intervalMs;
    const dueAt = Math.max(at + pace.settleMs, earliest);
    const waiting = before ?? {
      ...EMPTY,
      first: sequence,
      last: sequence,
      dueAt,
      rules: new Set(),
      withdrawn: new Set(),
    };
    waiting.last = sequence;
    waiting.first = Math.min(waiting.first, sequence);
    waiting.dueAt = Math.min(waiting.dueAt, dueAt);
    const { effective = 0 } = concern;
    if (effective > at && effective <= at + AHEAD_MS) waiting.ahead = Math.max(waiting.ahead, effective);
    for (const rule of concern.rules) waiting.rules.add(rule);
    if (concern.withdrawn !== undefined) waiting.withdrawn.add(concern.withdrawn);
    this.#waiting.set(patient, waiting);
  }

  /** Begins what is due, as many at once as may be, and wakes up for the next. */
  #work(): void {
    if (this.#isClosed) return;
    const at = this.#settings.now();
    const due = [...this.#waiting].filter(([id, { dueAt }]) => dueAt <= at && !this.#working.has(id));
    for (const [patient, waiting] of due.slice(0, AT_ONCE - this.#working.size)) {
      this.#waiting.delete(patient);
      this.#working.set(patient, waiting);
      const pacedTo = Math.max(this.#pacedTo.get(patient) ?? at, at) + this.#settings.pace.intervalMs;
      this.#pacedTo.delete(patient);
      this.#pacedTo.set(patient, pacedTo);
      const run = this.#score(patient, waiting).finally(() => {
        this.#runs.delete(run);
        this.#working.delete(patient);
        this.#work();
        if (this.#isAsked) this.wake();
      });
      this.#runs.add(run);
    }
    const next = Math.min(...[...this.#waiting].flatMap(([id, { dueAt }]) => (this.#working.has(id) ? [] : [dueAt])));
    if (this.#working.size < AT_ONCE && next < Number.POSITIVE_INFINITY) this.#later(Math.max(1, next - at));
  }

  #later(ms: number): void {
    this.#forget();
    this.#forget = this.#settings.after(ms, () => {
      this.#work();
      this.wake();
    });
  }

  async #score(patient: string, waiting: Waiting): Promise<void> {
    const { notify, report } = this.#settings;
    const due: Due = { patient, last: waiting.last, rules: waiting.rules, withdrawn: waiting.withdrawn };
    const cursor = this.#lowest(patient);
    try {
      const done = await rescore(due, await this.#row(patient), setCursor(cursor), this.#settings);
      this.#remember(patient, done.kept);
      this.#cursor = cursor;
      this.#revisit(patient, waiting);
      if (done.events.length > 0) notify(done.events);
    } catch (error) {
      if (this.#isClosed) return;
      report(error);
      this.#rows.delete(patient);
      this.#again(patient, waiting);
    }
  }

  /** Values ahead of the clock were left out: once more when they are not. What is written then replaces what was written now. */
  #revisit(patient: string, { last, rules, ahead }: Waiting): void {
    if (ahead <= this.#settings.now() || this.#waiting.has(patient)) return;
    const first = Number.POSITIVE_INFINITY;
    this.#waiting.set(patient, { ...EMPTY, first, last, dueAt: ahead, rules: new Set(rules), withdrawn: new Set() });
  }

  /** Tried again a few times, then left: one record that cannot be scored must not hold up the others. */
  #again(patient: string, waiting: Waiting): void {
    if (++waiting.failures >= FAILURES) {
      this.#failed++;
      return;
    }
    const newer = this.#waiting.get(patient);
    if (newer !== undefined) {
      newer.first = waiting.first;
      newer.failures = waiting.failures;
      for (const rule of waiting.rules) newer.rules.add(rule);
      for (const each of waiting.withdrawn) newer.withdrawn.add(each);
    }
    const again = newer ?? waiting;
    again.dueAt = this.#settings.now() + FAULT_MS * 2 ** waiting.failures;
    this.#waiting.set(patient, again);
  }

  /** Up to here every change has been acted on, once this patient's are. */
  #lowest(besides?: string): number {
    const open = [...this.#waiting, ...this.#working].flatMap(([id, { first }]) =>
      id === besides && this.#working.get(id)?.first === first ? [] : [first - 1],
    );
    return Math.min(this.#read, ...open);
  }

  async #row(patient: string): Promise<KeptRow> {
    const read = this.#rows.get(patient) ?? (await readPatient(patient, this.#context.store));
    // While it was read, a scoring may have written a newer one.
    const newest = this.#rows.get(patient) ?? read;
    this.#remember(patient, newest);
    return newest;
  }

  #remember(patient: string, row: KeptRow): void {
    this.#rows.delete(patient);
    this.#rows.set(patient, row);
    for (const map of [this.#rows, this.#pacedTo]) {
      const [oldest] = map.keys();
      if (map.size > ROWS && oldest !== undefined) map.delete(oldest);
    }
  }
}
