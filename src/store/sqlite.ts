/** The reference engine: reads on the calling thread, writes through the one writer thread. Layout and reasons: docs/decisions/0003. */

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { RenderAuditEvent } from '../audit.ts';
import type { ResourceKey } from '../fhir/resource.ts';
import type { PredicateKind, SearchPlan } from '../fhir/search/algebra.ts';
import {
  type CommitRequest,
  type CommitResult,
  type CommitSignal,
  type HistoryScope,
  type Keyed,
  type Page,
  type ResourceStore,
  type SearchResult,
  type StoredVersion,
  StoreError,
} from './port.ts';
import { type AuditVerdict, verifyChain } from './sqlite-audit.ts';
import { AuditReader } from './sqlite-audit-read.ts';
import { WriterChannel } from './sqlite-channel.ts';
import type { CheckpointData } from './sqlite-checkpoint.ts';
import type { Clock } from './sqlite-commit.ts';
import { Dictionary } from './sqlite-dictionary.ts';
import type { Total } from './sqlite-estimate.ts';
import { keyedPage, readKeyed } from './sqlite-keyed.ts';
import { type IndexOf, indexIsCurrent, prepareIndex, reindexAll } from './sqlite-reindex.ts';
import { connect, lockFolder, migrate, type Place, synchronousOf } from './sqlite-schema.ts';
import { Searcher } from './sqlite-search.ts';
import { Signals, Snapshot } from './sqlite-snapshot.ts';
import { Statements, sql } from './sqlite-sql.ts';
import { Versions } from './sqlite-versions.ts';
import type { WriterControl, WriterData, WriterNotice } from './sqlite-writer.ts';

export interface SqliteOptions extends Place {
  /** Longest time of one search, ms; undefined on the thread that may only do bounded work. */
  readonly budgetMs?: number | undefined;
  readonly renderAudit: RenderAuditEvent;
  /** `Definitions.hash` and whatever else decides index rows. */
  readonly indexHash: string;
  /** Resource types in the order of their numbers; later ones are added as they come. */
  readonly types: readonly string[];
  /** Between two looks of the checkpoint thread, ms. */
  readonly checkpointMs?: number;
  /** Tests only: see Searcher. */
  readonly collect?: number;
  /** Tests only. */
  readonly clock?: Clock;
  /** Largest size of the database file in 4 KB pages. */
  readonly maxPages?: number;
  /** Called when the file can no longer be trusted (a failed sync). Default: exit 70 at once, so that a restart recovers from the log. */
  readonly onFatal?: (message: string) => void;
}
export type AttachOptions = Place & {
  readonly budgetMs?: number | undefined;
  readonly renderAudit: RenderAuditEvent;
  readonly port: MessagePort;
  readonly collect?: number;
};

/** Every predicate is answered; the capability check reads this. */
export const SQLITE_DECLARES: readonly PredicateKind[] = [
  'all',
  'none',
  'ids',
  'token',
  'string',
  'reference',
  'uri',
  'interval',
  'quantity',
  'text',
  'near',
  'missing',
  'composite',
  'chain',
  'has',
  'and',
  'or',
  'not',
];

const MOST_SUBJECTS = 20_000;

/** Reads on this thread's own connection, commits through its channel. */
export class SqliteReader implements ResourceStore {
  protected readonly statements: Statements;
  protected readonly writer: WriterChannel;
  readonly #versions: Versions;
  readonly #searcher: Searcher;
  readonly #audit: AuditReader;
  readonly #snapshot: Snapshot;
  readonly #subjects = new Map<string, string>();

  constructor({ folder, key, budgetMs, renderAudit, port, collect }: AttachOptions) {
    this.statements = new Statements(connect({ folder, key }));
    this.statements.connection.pragma('query_only=1');
    this.writer = new WriterChannel(port);
    this.#snapshot = new Snapshot(this.statements, this.writer.signals);
    const dictionary = new Dictionary(this.statements);
    this.#versions = new Versions(this.statements, dictionary);
    this.#searcher = new Searcher(this.statements, dictionary, budgetMs, collect);
    this.#audit = new AuditReader(this.statements, this.#searcher, renderAudit);
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    try {
      return this.writer.commit(request);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async read(key: ResourceKey, version?: number): Promise<StoredVersion | undefined> {
    if (key.type !== 'AuditEvent') return this.#snapshot.read(() => this.#versions.read(key, version));
    if (version !== undefined && version !== 1) return undefined;
    return this.#snapshot.readAll(() => this.#audit.read(key.id));
  }

  async history(scope: HistoryScope, page: Page): Promise<SearchResult> {
    if (scope.type !== 'AuditEvent') return this.#snapshot.read(() => this.#versions.history(scope, page));
    const { id } = scope;
    if (id === undefined) return this.#snapshot.readAll(() => this.#audit.history(scope.since, scope.before, page));
    const found = this.#snapshot.readAll(() => this.#audit.read(id));
    const { since = Number.NEGATIVE_INFINITY, before = Number.POSITIVE_INFINITY } = scope;
    return { matches: found && found.at >= since && found.at <= before ? [found] : [], next: undefined };
  }

  async search(plan: SearchPlan, page: Page): Promise<SearchResult> {
    if (plan.type === 'AuditEvent') return this.#snapshot.readAll(() => this.#audit.search(plan, page));
    return this.#snapshot.read(() => {
      const { rids, next } = this.#searcher.search(plan, page);
      return { matches: this.#versions.byRid(rids), next };
    });
  }

  async searchTypes(plans: readonly SearchPlan[], page: Page): Promise<SearchResult> {
    if (plans.some(({ type }) => type === 'AuditEvent')) throw new TypeError('AuditEvents are searched by themselves.');
    return this.#snapshot.read(() => {
      const { rids, next } = this.#searcher.searchTypes(plans, page);
      return { matches: this.#versions.byRid(rids), next };
    });
  }

  async count(plan: SearchPlan): Promise<number> {
    if (plan.type === 'AuditEvent') return this.#snapshot.readAll(() => this.#audit.count(plan));
    return this.#snapshot.read(() => this.#searcher.count(plan));
  }

  async countTypes(plans: readonly SearchPlan[], accuracy: 'accurate' | 'estimate'): Promise<Total> {
    const [plan] = plans;
    if (plan?.type === 'AuditEvent') return { count: await this.count(plan), exact: true };
    return this.#snapshot.read(() => this.#searcher.countTypes(plans, accuracy));
  }

  async kept(key: string): Promise<string | undefined> {
    return this.#snapshot.read(() => this.statements.text(sql`SELECT value FROM kept WHERE key=${key}`));
  }

  async keyed(space: string, key: string): Promise<Keyed | undefined> {
    return this.#snapshot.read(() => readKeyed(this.statements, space, key));
  }

  async keyedPage(space: string, { after = '', count }: { after?: string | undefined; count: number }) {
    return this.#snapshot.read(() => keyedPage(this.statements, space, after, count));
  }

  async changes(after: number, count: number): Promise<readonly StoredVersion[]> {
    return this.#snapshot.read(() => this.#versions.changes(after, count));
  }

  async latestSequence(): Promise<number> {
    return this.#snapshot.read(() => this.#versions.latestSequence());
  }

  subjectKeys(patients: readonly string[]): readonly string[] {
    return patients.map((patient) => {
      const known = this.#subjects.get(patient);
      const key = known ?? this.#subjectKey(patient);
      if (known !== undefined) this.#subjects.delete(patient);
      else if (this.#subjects.size >= MOST_SUBJECTS) this.#forgetOldest();
      this.#subjects.set(patient, key);
      return key;
    });
  }

  #subjectKey(patient: string): string {
    const find = () => this.statements.text(sql`SELECT key FROM subject WHERE patient=${patient} ORDER BY id LIMIT 1`);
    return this.#snapshot.read(find) ?? this.#snapshot.readAll(find) ?? randomBytes(12).toString('hex');
  }

  #forgetOldest(): void {
    for (const oldest of this.#subjects.keys()) {
      this.#subjects.delete(oldest);
      return;
    }
  }

  async ping(): Promise<void> {
    this.fresh().get(sql`SELECT value FROM meta WHERE name='index'`);
    await this.writer.ask({ op: 'ping' });
  }

  /** The connection outside the snapshot: each statement sees what is committed when it runs. */
  protected fresh(): Statements {
    this.#snapshot.end();
    return this.statements;
  }

  /** Recomputes the whole hash chain of the audit log. */
  verifyAudit(): AuditVerdict {
    return verifyChain(this.fresh());
  }

  /** Called with the text of each new statement: for the test that none scans a table. */
  watchStatements(seen: (text: string) => void): void {
    this.statements.seen = seen;
  }

  async close(): Promise<void> {
    this.writer.close();
    this.#snapshot.close();
    this.statements.connection.close();
  }
}

/** The main thread's store: owns the threads and the folder lock. */
export class SqliteStore extends SqliteReader implements CommitSignal {
  readonly #threads: SqliteThreads;
  readonly #indexHash: string;
  #closing: Promise<void> | undefined;

  constructor(options: SqliteOptions, threads: SqliteThreads) {
    super({ ...options, port: threads.channel() });
    this.#threads = threads;
    this.#indexHash = options.indexHash;
  }

  /** 2 = FULL. */
  get synchronous(): unknown {
    return synchronousOf(this.statements.connection);
  }

  /** How many resources are held. Visits every one: for the progress of long work only. */
  get size(): number {
    return this.fresh().number(sql`SELECT count(*) FROM resource WHERE rid > 0`) ?? 0;
  }

  /** True when index rows were made by other definitions than `indexHash`. */
  get needsReindex(): boolean {
    return !indexIsCurrent(this.fresh(), this.#indexHash);
  }

  /** A channel to the same writer for `attachSqlite` on another thread: transfer it. */
  channel(): MessagePort {
    return this.#threads.channel();
  }

  /** Makes every index row of `types` again; taken up where it stopped. To be called before the first request. */
  reindex(types: readonly string[], indexOf: IndexOf, onProgress?: (done: number) => void): Promise<void> {
    return reindexAll(() => this.fresh(), this.writer, this.#indexHash, types, indexOf, onProgress);
  }

  /** Calls back on this thread after commits of data by any thread, soon and at least once for the last. Returns how to stop it. */
  onCommit(listener: () => void): () => void {
    return this.#threads.onCommit(listener);
  }

  /** Lowers or lifts (0) the largest size of the database file, in 4 KB pages. */
  limitPages(pages: number): Promise<void> {
    return this.writer.ask({ op: 'limit', pages });
  }

  override close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#threads.running) await this.writer.ask({ op: 'ping' }).catch(() => undefined);
    await super.close();
    await this.#threads.close();
  }
}

const threadFile = (name: string): URL =>
  new URL(name + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url);

class SqliteThreads {
  readonly #writer: Worker;
  readonly #checkpoint: Worker;
  readonly #release: () => void;
  readonly #signals = new Signals();
  readonly #listeners = new Set<() => void>();
  readonly ready: Promise<void>;
  /** False until the writer is ready and after a failure or close. */
  running = false;

  constructor(
    { folder, key, clock = 'system', maxPages, onFatal = exitAtOnce, checkpointMs = 250 }: SqliteOptions,
    release: () => void,
  ) {
    this.#release = release;
    const signals = this.#signals.buffer;
    const data: WriterData = { folder, key, clock, maxPages, signals };
    const checkpoint: CheckpointData = { folder, key, everyMs: checkpointMs, signals };
    this.#writer = new Worker(threadFile('./sqlite-writer'), { workerData: data });
    this.#checkpoint = new Worker(threadFile('./sqlite-checkpoint'), { workerData: checkpoint });
    this.ready = new Promise((resolve, reject) => {
      const fatal = (message: string) => {
        reject(new StoreError('unavailable', message));
        if (this.running) onFatal(message);
        this.running = false;
      };
      this.#writer.on('message', (notice: WriterNotice) => {
        if (notice.op === 'fatal') return fatal(notice.message);
        if (notice.op === 'committed') {
          for (const listener of this.#listeners) listener();
          return;
        }
        this.running = true;
        resolve();
      });
      for (const thread of [this.#writer, this.#checkpoint]) {
        thread.on('error', (error) => fatal(error.message));
        thread.on('exit', () => fatal('A storage thread ended.'));
      }
    });
    this.ready.then(
      () => this.#writer.unref(),
      () => undefined,
    );
    this.#checkpoint.unref();
  }

  /** Both threads are ended when the writer cannot start. */
  async started(): Promise<void> {
    try {
      await this.ready;
    } catch (error) {
      await Promise.all([this.#writer.terminate(), this.#checkpoint.terminate()]);
      throw error;
    }
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  channel(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    // Waits in the channel, also while that is transferred: the first thing `WriterChannel` takes from it.
    port1.postMessage(this.#signals.buffer);
    this.#writer.postMessage({ op: 'channel', port: port1 } satisfies WriterControl, [port1]);
    return port2;
  }

  async close(): Promise<void> {
    this.running = false;
    // A thread that has ended has no id any more and sends no event.
    const ended = (thread: Worker) =>
      thread.threadId === -1 ? undefined : new Promise((resolve) => thread.once('exit', resolve));
    const both = Promise.all([ended(this.#writer), ended(this.#checkpoint)]);
    this.#writer.ref();
    this.#checkpoint.ref();
    this.#checkpoint.postMessage('close');
    this.#writer.postMessage({ op: 'close' } satisfies WriterControl);
    await both;
    this.#release();
  }
}

function exitAtOnce(message: string): never {
  process.stderr.write(`Storage cannot go on: ${message}\n`);
  process.exit(70);
}

/**
 * Opens the folder (made when missing), brings the schema up to date and starts the writer and checkpoint threads.
 * @throws StoreError `unavailable`: folder in use, wrong key, newer schema
 */
export async function openSqlite(options: SqliteOptions): Promise<SqliteStore> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(options.folder);
  const release = () => {
    lock.close();
  };
  try {
    const connection = connect(options);
    try {
      migrate(connection);
      prepareIndex(connection, options.types, options.indexHash);
    } finally {
      connection.close();
    }
    const threads = new SqliteThreads(options, release);
    await threads.started();
    return new SqliteStore(options, threads);
  } catch (error) {
    release();
    throw error;
  }
}

/** A store on another thread of the same process: own read connection, the writer reached over `port`. */
export function attachSqlite(options: AttachOptions): ResourceStore {
  return new SqliteReader(options);
}
