/**
 * Keeps the jobs of one kind and runs them, one at a time, in the process whose duty it is; every process of the installation takes orders, tells
 * states and gives files. What is known is in the store (`JobLedger`), files are in a folder that all processes reach.
 * Source: docs/decisions/0052-jobs-in-the-store.md.
 */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { fhirError } from '../fhir/outcome.ts';
import { type Duty, SOLE } from '../rest/jobs/duty.ts';
import type { Job, JobDesk, JobOrder, JobResult, JobState } from '../rest/jobs/job.ts';
import { fencedStore } from '../store/fenced.ts';
import { GONE, isMissing, makeFolder, removeFolder } from './files.ts';
import { JobLedger, type LedgerStore } from './ledger.ts';
import type { JobProgress, JobTicket } from './run.ts';

/** A thread that runs one job. */
export interface JobThread {
  readonly ended: Promise<'complete' | 'stopped' | 'failed'>;
  stop(): void;
}
export interface DeskSettings<O extends JobOrder = JobOrder> {
  /** `export`, `import`. */
  readonly kind: string;
  readonly store: LedgerStore;
  /** Whose work it is to run them. Default: this process's. */
  readonly duty?: Duty;
  /** Of the files, a folder a job, the same for every process; undefined: these jobs have no files. */
  readonly folder: string | undefined;
  /** Base of status URLs, no trailing slash. */
  readonly url: string;
  readonly expiryMs: number;
  /** Most jobs of one caller that have not ended. Default 1. */
  readonly most?: number;
  /** Why no order is taken, as the client is told. */
  readonly refusal?: string | undefined;
  now(): number;
  /** What else an order brings into its folder. When it fails, there is no order. */
  prepared?(order: O, folder: string): Promise<void>;
  /** Starts the thread that runs a job. */
  start(ticket: JobTicket): Promise<JobThread>;
  report(error: unknown): void;
}

/** A job whose thread dies is tried again; a second time it has failed. */
const ATTEMPTS = 2;
/** Also keeps other names than ids out of paths. */
const JOB_ID = /^[A-Za-z0-9-]{1,64}$/;
/** Between two looks at what other processes have taken orders for, ms. */
const LOOK_MS = 1000;

export class Jobs<O extends JobOrder, R extends JobResult> implements JobDesk<O, R> {
  readonly url: string;
  readonly #settings: DeskSettings<O>;
  readonly #duty: Duty;
  readonly #ledger: JobLedger<O, R>;
  #running: { readonly id: string; readonly thread: Promise<JobThread> } | undefined;
  #pump: Promise<void> = Promise.resolve();
  #isOurs = false;
  #isPumping = false;
  #isDue = false;
  /** Jobs that a thread left where they were: the next `begin` goes on. */
  readonly #left = new Set<string>();
  #looking: NodeJS.Timeout | undefined;

  private constructor(settings: DeskSettings<O>) {
    this.#settings = settings;
    this.#duty = settings.duty ?? SOLE;
    this.#ledger = new JobLedger(settings.store, settings.kind);
    this.url = settings.url;
  }

  /** Removes what no job is left of; `begin` runs those that have not ended. */
  static async open<O extends JobOrder, R extends JobResult>(settings: DeskSettings<O>): Promise<Jobs<O, R>> {
    const desk = new Jobs<O, R>(settings);
    if (settings.folder !== undefined) await makeFolder(settings.folder);
    await desk.#clear();
    await desk.#forgetLost();
    return desk;
  }

  /** From now on the jobs are this process's to run. */
  begin(): void {
    this.#isOurs = true;
    this.#left.clear();
    if (this.#duty.isShared) {
      clearInterval(this.#looking);
      this.#looking = setInterval(() => this.#wake(), LOOK_MS).unref();
    }
    this.#wake();
  }

  /** Stops the running job where it is; whoever begins next goes on. Never rejects. */
  async end(): Promise<void> {
    this.#isOurs = false;
    clearInterval(this.#looking);
    await this.#stop();
    await this.#pump;
  }

  async prepare(order: O): Promise<boolean> {
    const { refusal, most = 1, now, prepared } = this.#settings;
    if (refusal !== undefined) throw fhirError('forbidden', refusal);
    if (!(await this.#ledger.take(order, most, now()))) return false;
    try {
      const folder = this.#folderOf(order.id);
      if (folder !== '') await makeFolder(folder);
      await prepared?.(order, folder);
    } catch (error) {
      await this.drop(order.id);
      throw error;
    }
    return true;
  }

  async accept(id: string, transactionTime: number): Promise<void> {
    await this.#ledger.accept(id, transactionTime);
    this.#wake();
  }

  /** What is known goes first: files that nobody knows of are removed by whoever looks next. */
  async drop(id: string): Promise<void> {
    try {
      await this.#ledger.remove(id);
    } finally {
      const folder = this.#folderOf(id);
      if (folder !== '') await removeFolder(folder);
    }
  }

  async find(id: string, principal: string) {
    if (!JOB_ID.test(id) || (await this.#ledger.record(id))?.principal !== principal) return undefined;
    const job = await this.#ledger.job(id);
    const state = await this.#stateOf(id);
    return job === undefined || state === undefined ? undefined : { job, state };
  }

  /** Exactly the bytes that the result names, whatever a run that was taken over has written behind them. */
  async *open(id: string, name: string, bytes: number): AsyncIterable<Uint8Array> {
    if (bytes > 0) yield* createReadStream(join(this.#folderOf(id), name), { end: bytes - 1 });
  }

  async cancel(id: string): Promise<void> {
    if (this.#running?.id === id) await this.#stop();
    await this.drop(id);
  }

  /** Removes what has expired, and what nobody knows of. */
  async sweep(): Promise<void> {
    for (const id of await this.#ledger.ids()) {
      const end = await this.#ledger.end(id);
      if (end !== undefined && this.#isExpired(end.at)) await this.drop(id);
    }
    await this.#clear();
  }

  /** Cancels every job, of whomever, that the test names. */
  async discard(names: (job: Job<O>, hasEnded: boolean) => boolean): Promise<void> {
    for (const id of await this.#ledger.ids()) {
      const job = await this.#ledger.job(id);
      if (job !== undefined && names(job, (await this.#ledger.end(id)) !== undefined)) await this.cancel(id);
    }
  }

  /** Resolves when no job runs or waits, in any process. */
  async idle(): Promise<void> {
    await this.#pump;
    while (this.#duty.isShared && (await this.#ledger.open()).length > 0) await rest(LOOK_MS);
  }

  /** A thread that could not start is `#attempt`'s to tell. */
  async #stop(): Promise<void> {
    const thread = await this.#running?.thread.catch(() => undefined);
    thread?.stop();
  }

  /** Of a process that died: orders that it did not accept, and files that nobody knows of any more. */
  async #clear(): Promise<void> {
    const { folder, now, report } = this.#settings;
    for (const id of await this.#ledger.abandoned(this.#duty.isShared ? now() : undefined)) await this.drop(id);
    if (folder === undefined) return;
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const id = entry.name.replace(GONE, '');
      if (!entry.isDirectory() || !JOB_ID.test(id)) continue;
      try {
        if (entry.name !== id || (await this.#ledger.record(id)) === undefined) await removeFolder(join(folder, id));
      } catch (error) {
        report(error);
      }
    }
  }

  /** Jobs whose files stayed behind: the store was moved, or restored without them. */
  async #forgetLost(): Promise<void> {
    if (this.#settings.folder === undefined) return;
    for (const id of await this.#ledger.ids()) {
      const isJob = (await this.#ledger.record(id))?.transactionTime !== undefined;
      if (isJob && !(await isThere(this.#folderOf(id)))) await this.drop(id);
    }
  }

  /** undefined: it has expired. */
  async #stateOf(id: string): Promise<JobState<R> | undefined> {
    const end = await this.#ledger.end(id);
    if (end !== undefined && this.#isExpired(end.at)) return undefined;
    if (end?.result !== undefined) {
      return { state: 'complete', result: end.result, expiresAt: end.at + this.#settings.expiryMs };
    }
    if (end !== undefined) return { state: end.isWithheld === true ? 'withheld' : 'failed' };
    return { state: 'running', percent: (await this.#ledger.progress<JobProgress>(id))?.percent ?? 0 };
  }

  #isExpired(at: number): boolean {
    return at <= this.#settings.now() - this.#settings.expiryMs;
  }

  #wake(): void {
    this.#isDue = true;
    if (!this.#isOurs || this.#isPumping) return;
    this.#isPumping = true;
    this.#pump = this.#work()
      .catch((error) => this.#settings.report(error))
      .finally(() => {
        this.#isPumping = false;
        // Asked for while the last look was under way.
        if (this.#isDue && this.#isOurs && !this.#duty.isShared) this.#wake();
      });
  }

  /** One job at a time: a second would only make both slower. */
  async #work(): Promise<void> {
    while (this.#isDue && this.#isOurs) {
      this.#isDue = false;
      for (;;) {
        const id = (await this.#ledger.open()).find((each) => !this.#left.has(each));
        if (id === undefined || !this.#isOurs) break;
        this.#left.add(id);
        await this.#run(id);
      }
    }
  }

  async #run(id: string): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      if (!this.#isOurs || (await this.#ledger.record(id)) === undefined) return;
      if ((await this.#attempt(id)) !== 'failed') return;
    }
    if (!this.#isOurs) return;
    const store = fencedStore(this.#settings.store, await this.#fenceOf(id));
    const end = { at: this.#settings.now(), result: undefined };
    await new JobLedger<O, R>(store, this.#settings.kind).finish(id, end);
  }

  async #attempt(id: string): Promise<'complete' | 'stopped' | 'failed'> {
    const { kind, start, report } = this.#settings;
    try {
      const folder = this.#folderOf(id);
      if (folder !== '' && !(await isThere(folder))) throw new Error('The folder of a job is gone.');
      const ticket = { kind, id, folder, term: this.#duty.term(), fence: await this.#fenceOf(id) };
      const thread = start(ticket);
      this.#running = { id, thread };
      return await (await thread).ended;
    } catch (error) {
      report(error);
      return 'failed';
    } finally {
      this.#running = undefined;
    }
  }

  async #fenceOf(id: string): Promise<JobTicket['fence']> {
    return [...this.#duty.fence(), ...(await this.#ledger.fence(id))];
  }

  #folderOf(id: string): string {
    return this.#settings.folder === undefined ? '' : join(this.#settings.folder, id);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
