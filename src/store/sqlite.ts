/** The reference engine: reads on the calling thread, writes through the one writer thread. Layout and reasons: docs/decisions/0003. */

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { MessagePort } from 'node:worker_threads';
import type { RenderAuditEvent } from '../audit.ts';
import type { ResourceKey } from '../fhir/resource.ts';
import type { PredicateKind, SearchPlan } from '../fhir/search/algebra.ts';
import { Anchors } from './audit-anchor.ts';
import type { AttachedStore, AuditHead, AuditVerdict, Engine, IndexedRow, IndexOf, IndexPage } from './engine.ts';
import {
  type CommitRequest,
  type CommitResult,
  type HistoryScope,
  type Keyed,
  type Page,
  type SearchResult,
  type StoredVersion,
  StoreError,
} from './port.ts';
import { headsOf, verifyChain } from './sqlite/audit.ts';
import { AuditReader } from './sqlite/audit-read.ts';
import { WriterChannel } from './sqlite/channel.ts';
import { Dictionary } from './sqlite/dictionary.ts';
import type { Total } from './sqlite/estimate.ts';
import { isShut } from './sqlite/journal.ts';
import { keyedPage, readKeyed } from './sqlite/keyed.ts';
import { refusalOf, unavailable } from './sqlite/refusal.ts';
import {
  indexIsCurrent,
  indexPage,
  indexRanges,
  percentAt,
  prepareIndex,
  reindexAll,
  remakeRows,
} from './sqlite/reindex.ts';
import { cannotOpen, connect, lockFolder, migrate, type Place, synchronousOf } from './sqlite/schema.ts';
import { Searcher } from './sqlite/search.ts';
import { Snapshot } from './sqlite/snapshot.ts';
import { Statements, sql } from './sqlite/sql.ts';
import { SqliteThreads, type ThreadOptions } from './sqlite/threads.ts';
import { Versions } from './sqlite/versions.ts';
import { BEING_FILLED, FILLING, LEFT } from './transfer.ts';

export interface SqliteOptions extends ThreadOptions {
  /** Longest time of one search, ms; undefined on the thread that may only do bounded work. */
  readonly budgetMs?: number | undefined;
  readonly renderAudit: RenderAuditEvent;
  /** `Definitions.hash` and whatever else decides index rows. */
  readonly indexHash: string;
  /** Resource types in the order of their numbers; later ones are added as they come. */
  readonly types: readonly string[];
  /** Tests only: see Searcher. */
  readonly collect?: number;
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
export class SqliteReader implements AttachedStore {
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
    const dictionary = new Dictionary(this.statements, () => this.#snapshot.turn);
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

  stamp(): number {
    return this.writer.signals.commits;
  }

  async askedStamp(): Promise<number> {
    return this.stamp();
  }

  async kept(key: string): Promise<string | undefined> {
    return this.#snapshot.read(() => this.statements.text(sql`SELECT value FROM kept WHERE key=${key}`));
  }

  async keyed(space: string, key: string): Promise<Keyed | undefined> {
    return this.#snapshot.readAll(() => readKeyed(this.statements, space, key));
  }

  async keyedPage(space: string, { after = '', count }: { after?: string | undefined; count: number }) {
    return this.#snapshot.readAll(() => keyedPage(this.statements, space, after, count));
  }

  async changes(after: number, count: number): Promise<readonly StoredVersion[]> {
    return this.#snapshot.read(() => this.#versions.changes(after, count));
  }

  async versionsAbout(patients: readonly string[], after: number, until: number): Promise<readonly StoredVersion[]> {
    return this.#snapshot.read(() => this.#versions.about(patients, after, until));
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
    if (isShut(this.fresh()) !== undefined) throw new StoreError('unavailable', 'The store is shut while it is moved.');
    if (this.writer.signals.damaged) throw unavailable('A page of the database is damaged.', 'SQLITE_CORRUPT');
    await this.writer.ask({ op: 'ping' });
  }

  /** Resources whose rows are to be made again while requests are answered, see `remake`; and how far `last` is, percent. */
  indexPage(after: number, count: number): IndexPage & { readonly percent: number } {
    const ranges = indexRanges(this.fresh());
    const page = indexPage(this.statements, ranges, after, count);
    return { ...page, percent: page.rows.length === 0 ? 100 : percentAt(ranges, page.last) };
  }

  /** Makes the search rows of these resources again. Rows of whatever has changed meanwhile are left to its own commit. */
  remake(rows: readonly IndexedRow[], indexOf: IndexOf): Promise<void> {
    return remakeRows(this.writer, rows, indexOf);
  }

  /** The connection outside the snapshot: each statement sees what is committed when it runs. */
  protected fresh(): Statements {
    this.#snapshot.end();
    return this.statements;
  }

  verifyAudit(anchors: readonly AuditHead[] = []): AuditVerdict {
    return verifyChain(this.fresh(), new Anchors(anchors));
  }

  auditHeads(): readonly AuditHead[] {
    return headsOf(this.fresh());
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
export class SqliteStore extends SqliteReader implements Engine {
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

  get durability(): string {
    return this.synchronous === 2 ? 'WAL, synchronous=FULL' : 'not synchronised';
  }

  get isFull(): boolean {
    return this.writer.signals.full;
  }

  get newestAt(): number {
    return this.writer.signals.newestAt;
  }

  /** How many resources are held. Visits every one: for the progress of long work only. */
  size(): number {
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

/**
 * Opens the folder (made when missing), brings the schema up to date and starts the writer and checkpoint threads.
 * @throws StoreError `unavailable`: folder in use, wrong key, newer schema, being filled
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
      if (connection.prepare('SELECT 1 FROM meta WHERE name=?').get(FILLING) !== undefined) {
        throw new StoreError('unavailable', BEING_FILLED);
      }
      if (isShut(new Statements(connection)) === 'for ever') throw new StoreError('unavailable', LEFT);
      prepareIndex(connection, options.types, options.indexHash);
    } finally {
      connection.close();
    }
    const threads = new SqliteThreads(options, release);
    await threads.started();
    return new SqliteStore(options, threads);
  } catch (error) {
    release();
    throw refusalOf(error) < 0 ? error : cannotOpen(error, options.folder);
  }
}

/** A store on another thread of the same process: own read connection, the writer reached over `port`. */
export function attachSqlite(options: AttachOptions): SqliteReader {
  return new SqliteReader(options);
}
