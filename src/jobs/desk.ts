/**
 * Keeps jobs of one kind as folders; what a job is, is what its files say, so a restart changes nothing.
 *   order.json    prepared; no job yet            job.json       accepted, with its transactionTime
 *   progress.json how far it is                   result.json    complete, or failure.json
 * Why files: docs/decisions/0015-bulk-export.md.
 */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fhirError } from '../fhir/outcome.ts';
import type { Job, JobDesk, JobOrder, JobResult, JobState } from '../rest/job.ts';
import { GONE, makeFolder, readWhole, removeFolder, writeWhole } from './files.ts';

/** What a job's folder holds. */
export const FILES = {
  order: 'order.json',
  job: 'job.json',
  progress: 'progress.json',
  result: 'result.json',
  failure: 'failure.json',
} as const;

/** What the desk reads of `progress.json`; the rest is the job's own. */
export interface JobProgress {
  readonly percent: number;
}

/** A thread that runs one job. */
export interface JobThread {
  readonly ended: Promise<'complete' | 'stopped' | 'failed'>;
  stop(): void;
}
export interface DeskSettings<O extends JobOrder = JobOrder> {
  /** `DATA_DIR/export`, `DATA_DIR/import`. */
  readonly folder: string;
  /** Base of status URLs, no trailing slash. */
  readonly url: string;
  readonly expiryMs: number;
  /** Most jobs of one caller that have not ended. Default 1. */
  readonly most?: number;
  /** True: the database is encrypted, and files that are not must not be written. */
  readonly isRefused?: boolean;
  now(): number;
  /** What else an order brings into its folder. When it fails, there is no order. */
  prepared?(order: O, folder: string): Promise<void>;
  /** Starts the thread for the job in this folder. */
  start(folder: string): Promise<JobThread>;
  report(error: unknown): void;
}

interface Known {
  readonly principal: string;
  /** ms; undefined while it has not ended. */
  endedAt: number | undefined;
}

/** A job whose thread dies is tried again; a second time it has failed. */
const ATTEMPTS = 2;
/** Also keeps other names than ids out of paths. */
const JOB_ID = /^[A-Za-z0-9-]{1,64}$/;

export class JobFolders<O extends JobOrder, R extends JobResult> implements JobDesk<O, R> {
  readonly url: string;
  readonly #settings: DeskSettings<O>;
  readonly #known = new Map<string, Known>();
  readonly #waiting: string[] = [];
  #running: { readonly id: string; readonly thread: Promise<JobThread> } | undefined;
  #pump: Promise<void> = Promise.resolve();
  #closing = false;

  private constructor(settings: DeskSettings<O>) {
    this.#settings = settings;
    this.url = settings.url;
  }

  /** Finds the jobs of before; `resume` runs those that have not ended. */
  static async open<O extends JobOrder, R extends JobResult>(settings: DeskSettings<O>): Promise<JobFolders<O, R>> {
    const desk = new JobFolders<O, R>(settings);
    await makeFolder(settings.folder);
    for (const entry of await readdir(settings.folder, { withFileTypes: true })) {
      if (entry.isDirectory() && JOB_ID.test(entry.name.replace(GONE, ''))) await desk.#take(entry.name);
    }
    return desk;
  }

  /** Runs what has not ended, in the order it was asked for. */
  resume(): void {
    const open = [...this.#known].filter(([, { endedAt }]) => endedAt === undefined).map(([id]) => id);
    for (const id of open.toSorted()) this.#enqueue(id);
  }

  isBusy(principal: string): boolean {
    const isOpen = (each: Known): boolean => each.principal === principal && each.endedAt === undefined;
    return [...this.#known.values()].filter(isOpen).length >= (this.#settings.most ?? 1);
  }

  async prepare(order: O): Promise<void> {
    if (this.#settings.isRefused) {
      throw fhirError(
        'forbidden',
        'The database is encrypted, and files of bulk exports and imports are not: EXPORT_UNENCRYPTED=true allows them all the same.',
      );
    }
    this.#known.set(order.id, { principal: order.caller.principal, endedAt: undefined });
    try {
      await makeFolder(this.#path(order.id));
      await this.#settings.prepared?.(order, this.#path(order.id));
      await writeWhole(this.#path(order.id, FILES.order), order);
    } catch (error) {
      await this.drop(order.id);
      throw error;
    }
  }

  async accept(id: string, transactionTime: number): Promise<void> {
    const order = await readWhole<O>(this.#path(id, FILES.order));
    if (order === undefined) throw new Error('The order of a job is gone.');
    await writeWhole(this.#path(id, FILES.job), { ...order, transactionTime } satisfies Job<O>);
    this.#enqueue(id);
  }

  async drop(id: string): Promise<void> {
    this.#known.delete(id);
    await removeFolder(this.#path(id));
  }

  async find(id: string, principal: string) {
    await this.sweep();
    if (!JOB_ID.test(id) || this.#known.get(id)?.principal !== principal) return undefined;
    const job = await readWhole<Job<O>>(this.#path(id, FILES.job));
    return job === undefined ? undefined : { job, state: await this.#stateOf(id) };
  }

  open(id: string, name: string): AsyncIterable<Uint8Array> {
    return createReadStream(this.#path(id, name));
  }

  async cancel(id: string): Promise<void> {
    this.#known.delete(id);
    if (this.#running?.id === id) await this.#stop();
    await removeFolder(this.#path(id));
  }

  /** Removes what has expired. */
  async sweep(): Promise<void> {
    const latest = this.#settings.now() - this.#settings.expiryMs;
    for (const [id, { endedAt }] of this.#known) {
      if (endedAt !== undefined && endedAt <= latest) await this.drop(id);
    }
  }

  /** Cancels every job, of whomever, that the test names. */
  async discard(names: (job: Job<O>, hasEnded: boolean) => boolean): Promise<void> {
    for (const [id, { endedAt }] of [...this.#known]) {
      const job = await readWhole<Job<O>>(this.#path(id, FILES.job));
      if (job !== undefined && names(job, endedAt !== undefined)) await this.cancel(id);
    }
  }

  /** Resolves when no job runs or waits. */
  async idle(): Promise<void> {
    await this.#pump;
  }

  /** Stops the running job where it is; the next start goes on. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#stop();
    await this.#pump;
  }

  /** A thread that could not start is `#attempt`'s to tell. */
  async #stop(): Promise<void> {
    const thread = await this.#running?.thread.catch(() => undefined);
    thread?.stop();
  }

  /** A folder that cannot be read is told and left alone: it must not keep the server from starting. */
  async #take(name: string): Promise<void> {
    try {
      const job = name.endsWith(GONE) ? undefined : await readWhole<Job<O>>(this.#path(name, FILES.job));
      if (job === undefined) return await removeFolder(this.#path(name.replace(GONE, '')));
      const state = await this.#stateOf(name);
      const endedAt = state.state === 'running' ? undefined : await this.#endOf(name);
      this.#known.set(name, { principal: job.caller.principal, endedAt });
    } catch (error) {
      this.#settings.report(error);
    }
  }

  async #stateOf(id: string): Promise<JobState<R>> {
    const result = await readWhole<R>(this.#path(id, FILES.result));
    if (result !== undefined) {
      return { state: 'complete', result, expiresAt: result.completedAt + this.#settings.expiryMs };
    }
    if ((await readWhole(this.#path(id, FILES.failure))) !== undefined) return { state: 'failed' };
    const progress = await readWhole<JobProgress>(this.#path(id, FILES.progress));
    return { state: 'running', percent: progress?.percent ?? 0 };
  }

  async #endOf(id: string): Promise<number> {
    const result = await readWhole<R>(this.#path(id, FILES.result));
    const failure = await readWhole<{ readonly failedAt: number }>(this.#path(id, FILES.failure));
    return result?.completedAt ?? failure?.failedAt ?? this.#settings.now();
  }

  #enqueue(id: string): void {
    this.#waiting.push(id);
    this.#pump = this.#pump.then(() => this.#next());
  }

  /** One job at a time: a second would only make both slower. */
  async #next(): Promise<void> {
    const id = this.#waiting.shift();
    for (let attempt = 1; id !== undefined && attempt <= ATTEMPTS; attempt++) {
      if (this.#closing || !this.#known.has(id)) return;
      const ended = await this.#attempt(id);
      if (ended === 'stopped') return;
      if (ended === 'complete') return this.#ended(id);
    }
    if (id !== undefined && this.#known.has(id)) await this.#fail(id);
  }

  async #attempt(id: string): Promise<'complete' | 'stopped' | 'failed'> {
    try {
      const thread = this.#settings.start(this.#path(id));
      this.#running = { id, thread };
      return await (await thread).ended;
    } catch (error) {
      this.#settings.report(error);
      return 'failed';
    } finally {
      this.#running = undefined;
    }
  }

  async #ended(id: string): Promise<void> {
    const known = this.#known.get(id);
    if (known !== undefined) known.endedAt = await this.#endOf(id);
  }

  async #fail(id: string): Promise<void> {
    try {
      await writeWhole(this.#path(id, FILES.failure), { failedAt: this.#settings.now() });
      await this.#ended(id);
    } catch (error) {
      this.#settings.report(error);
    }
  }

  #path(id: string, ...rest: readonly string[]): string {
    return join(this.#settings.folder, id, ...rest);
  }
}
