/**
 * Search parameters that clients define, on the main thread: what is stored becomes what every thread searches and indexes by, and the rows of what
 * is new, changed or gone are made in the background. Order of steps and why it is safe: docs/decisions/0017-search-parameters-at-run-time.md.
 */
import { setTimeout as rest } from 'node:timers/promises';
import { inForce } from '../fhir/definitions/custom-claims.ts';
import { activeParameter, type CustomParameter, DEFINING_TYPE } from '../fhir/definitions/custom-parameter.ts';
import { parseJson, type Resource } from '../fhir/resource.ts';
import type { Predicate } from '../fhir/search/algebra.ts';
import { unfilteredPlan } from '../fhir/search/plan.ts';
import type { Duties } from '../leases.ts';
import { settling, statesOf, unfinished } from '../rest/operations/parameter-state.ts';
import type { ResourceStore } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { IndexThread } from '../threads/index-thread.ts';
import { type LiveContext, NO_PARAMETERS, type ParameterSnapshot } from './live-context.ts';
import type { FileParameters } from './parameter-files.ts';

/** The other threads that answer requests. */
export interface AnsweringThreads {
  /** Resolves when requests begin with the snapshot there, wherever clients are answered. */
  swap(snapshot: ParameterSnapshot): Promise<void>;
  /** Resolves when no request of an older snapshot is in work there. */
  drained(): Promise<void>;
  progress(key: string, percent: number): void;
}
export interface ParameterParts {
  readonly store: ResourceStore;
  readonly live: LiveContext;
  readonly log: Log;
  /** Who makes the rows; undefined: this process alone. */
  readonly duties?: Duties;
  /** Parameters that files define; they come before those that are stored. */
  files?(): Promise<FileParameters>;
  startIndexing(onProgress: (keys: readonly string[], percent: number, finished: boolean) => void): IndexThread;
}

const PAGE = 100;
/** Before what failed is tried again, ms. */
const RETRY_MS = 10_000;
/** Between two looks at what another process has learnt; rows are made once all have looked. ms */
const LOOK_MS = 2000;
const ACTIVE: Predicate = { kind: 'token', parameter: `${DEFINING_TYPE}.status`, code: 'active' };

/** Active SearchParameters in the order of their creation. @param where `all` when index rows cannot be trusted yet */
async function activeParameters(store: ResourceStore, where: Predicate): Promise<readonly CustomParameter[]> {
  const found: CustomParameter[] = [];
  const plan = unfilteredPlan(DEFINING_TYPE, where);
  for (let after: string | undefined; ; ) {
    const { matches, next } = await store.search(plan, { count: PAGE, after });
    found.push(...matches.flatMap(({ text }) => activeParameter(parseJson(text ?? 'null') as Resource) ?? []));
    if (next === undefined) return found;
    after = next;
  }
}

export class ClientParameters {
  readonly #parts: ParameterParts;
  readonly #percent = new Map<string, number>();
  #threads: AnsweringThreads | undefined;
  #snapshot: ParameterSnapshot = NO_PARAMETERS;
  #last: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #indexing: IndexThread | undefined;
  #due = false;
  #isLooping = false;
  #failed = false;
  #closed = false;
  #looking: NodeJS.Timeout | undefined;
  /** Definitions of all processes, as last seen. */
  #known = '';

  constructor(parts: ParameterParts) {
    this.#parts = parts;
  }

  /** What a thread is to begin with. */
  get snapshot(): ParameterSnapshot {
    return this.#snapshot;
  }

  /** Reads what is stored; before the first request and before `run`. What other threads are to begin with. */
  async load(): Promise<ParameterSnapshot> {
    await this.#refresh({ kind: 'all' });
    return this.#snapshot;
  }

  /** From now on requests are answered: by these threads too. Work that a restart interrupted goes on. */
  run(threads: AnsweringThreads): void {
    this.#threads = threads;
    const begin = (): void => {
      this.#due = true;
      void this.#loop();
    };
    const { duties } = this.#parts;
    if (duties?.isShared === true) {
      this.#looking = setInterval(() => void this.#look().catch((error) => this.#report(error)), LOOK_MS).unref();
    }
    if (duties === undefined) begin();
    else duties.during({ begin, end: async () => this.#indexing?.stop() });
  }

  /** Another process may have taken in a parameter, or made its rows. */
  async #look(): Promise<void> {
    const states = await statesOf(this.#parts.store);
    const known = JSON.stringify(
      [...states].map(([key, { definition, after }]) => [key, definition, after === undefined]),
    );
    if (known === this.#known) return;
    this.#known = known;
    await this.written();
  }

  /** Resolves when every thread searches and indexes by what is stored now. Never rejects: what was written is written. */
  written(): Promise<void> {
    if (this.#queued !== undefined) return this.#queued;
    const queued = this.#last
      .then(() => {
        this.#queued = undefined;
        return this.#refresh(ACTIVE);
      })
      .catch((error) => {
        this.#report(error);
        setTimeout(() => this.written(), RETRY_MS).unref();
      });
    this.#queued = queued;
    this.#last = queued;
    return queued;
  }

  /** Least percent of those in work; undefined when every row is made. `failed`: the thread ended and is tried again. */
  get progress(): { readonly percent: number; readonly failed: boolean } | undefined {
    if (this.#percent.size === 0 && !this.#failed) return undefined;
    return { percent: Math.min(100, ...this.#percent.values()), failed: this.#failed };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    this.#indexing?.stop();
    await this.#indexing?.ended;
    await this.#last;
  }

  /** What is to be indexed is kept before any thread knows of it: a crash between loses nothing. */
  async #refresh(where: Predicate): Promise<void> {
    if (this.#closed) return;
    const { store, live, log } = this.#parts;
    const files = await this.#parts.files?.();
    const customs = [...(files?.parameters ?? []), ...(await activeParameters(store, where))];
    const { keys, faults } = inForce(customs, live.base);
    const refused = customs.filter(({ id, isFile }) => isFile === true && faults.has(id)).length;
    const count = refused + (files?.unreadable ?? 0);
    if (count > 0) log.event('parameter-files-refused', { count });
    const before = await statesOf(store);
    const commands = settling(keys, before);
    if (commands.length > 0) await store.commit({ commands, audit: [] });
    const states = commands.length > 0 ? await statesOf(store) : before;
    const snapshot = { customs, indexing: unfinished(states) };
    this.#snapshot = snapshot;
    this.#percent.clear();
    for (const [key, { after, percent }] of states) if (after !== undefined) this.#percent.set(key, percent);
    await this.#threads?.swap(snapshot);
    live.swap(snapshot);
    if (commands.length === 0 || this.#threads === undefined) return;
    this.#due = true;
    this.#indexing?.stop();
    void this.#loop();
  }

  /** One thread at a time, and only once nothing is in work that began before the parameters were known. */
  async #loop(): Promise<void> {
    const { duties } = this.#parts;
    if (this.#isLooping || duties?.isOurs() === false) return;
    this.#isLooping = true;
    // Other processes index by it from their next look on.
    if (duties?.isShared === true) await rest(2 * LOOK_MS, undefined, { ref: false });
    while (this.#due && !this.#closed) {
      this.#due = false;
      await Promise.all([this.#parts.live.drained(), this.#threads?.drained()]).catch((error) => this.#report(error));
      if (!this.#closed && !this.#due) await this.#indexed();
    }
    this.#isLooping = false;
  }

  async #indexed(): Promise<void> {
    const { store, log, startIndexing } = this.#parts;
    const work = [...(await statesOf(store))].filter(([, { after }]) => after !== undefined);
    if (work.length === 0 || this.#closed) return;
    log.event('reindexing', { count: work.length, percent: this.progress?.percent ?? 0 });
    this.#indexing = startIndexing((keys, percent, finished) => this.#on(keys, percent, finished));
    const end = await this.#indexing.ended;
    this.#indexing = undefined;
    this.#failed = end === 'failed' && !this.#closed;
    if (end === 'complete') log.event('reindex-done', { count: work.length });
    if (!this.#failed) return;
    log.event('thread-lost', { thread: 'index' });
    setTimeout(() => {
      this.#due = true;
      void this.#loop();
    }, RETRY_MS).unref();
  }

  #on(keys: readonly string[], percent: number, finished: boolean): void {
    const { live, log } = this.#parts;
    for (const key of keys) {
      if (this.#percent.get(key) === percent) continue;
      this.#percent.set(key, percent);
      live.progress(key, percent);
      this.#threads?.progress(key, percent);
      const resourceType = key.slice(0, key.indexOf('.'));
      if (finished || percent % 10 === 0) log.event('reindexing', { resourceType, percent });
    }
    if (!finished) return;
    for (const key of keys) this.#percent.delete(key);
    void this.written();
  }

  #report(error: unknown): void {
    this.#parts.log.failure('request-failed', error, { requestId: '' });
  }
}
