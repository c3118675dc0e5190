/** The second engine: MongoDB 7 or later as a replica set, on the official driver. Layout and reasons: docs/decisions/0040. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Db, MongoClient } from 'mongodb';
import type { RenderAuditEvent } from '../audit.ts';
import type { ResourceKey } from '../fhir/resource.ts';
import type { SearchPlan } from '../fhir/search/algebra.ts';
import { Anchors } from './audit-anchor.ts';
import type { AttachedStore, AuditHead, AuditVerdict, Engine, IndexedRow, IndexOf } from './engine.ts';
import { HeadKey, headsOf, verifyChains } from './mongodb/audit.ts';
import { AuditReader } from './mongodb/audit-read.ts';
import { type Clock, Committer, isBeside } from './mongodb/commit.ts';
import { assertReplicaSet, connectMongo } from './mongodb/connect.ts';
import { storeError } from './mongodb/errors.ts';
import { CLEAR, type Fields } from './mongodb/fields.ts';
import { behind, indexIsStale } from './mongodb/index-owner.ts';
import {
  type Collections,
  collectionsOf,
  EVER,
  type KeyedDoc,
  leftUntil,
  placeOf,
  TypeNumbers,
} from './mongodb/layout.ts';
import { Life } from './mongodb/life.ts';
import { assertFloor, LAYOUTS, type Layout, prepare } from './mongodb/prepare.ts';
import { followOthers, indexPage, reindexAll, remake } from './mongodb/reindex.ts';
import { Searcher } from './mongodb/search.ts';
import { Stamps } from './mongodb/stamp.ts';
import { Subjects } from './mongodb/subjects.ts';
import { Turn } from './mongodb/turn.ts';
import { READ_MS, Versions } from './mongodb/versions.ts';
import { Watch } from './mongodb/watch.ts';
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
import { BEING_FILLED, LEFT } from './transfer.ts';

export interface MongoOptions {
  /** `mongodb://host,host,host/database?replicaSet=rs0`; database `firewatch` when it names none. */
  readonly url: string;
  /** Longest time of one search, ms. */
  readonly budgetMs?: number | undefined;
  readonly renderAudit: RenderAuditEvent;
  /** Signs the heads of audit chains; the same in every process of one installation. */
  readonly headKey: Uint8Array;
  /** `Definitions.hash` and whatever else decides index rows. */
  readonly indexHash: string;
  /** Resource types in the order of their numbers; later ones are added as they come. */
  readonly types: readonly string[];
  /** What the database may read; default: everything. */
  readonly fields?: Fields;
  /** Tests only: a fixed clock, a shorter patience with a group, ends of a join that count as many. */
  readonly clock?: Clock;
  readonly patienceMs?: number;
  readonly mostEnds?: number;
  /** Tests only: before another attempt at a group of commits. */
  readonly onConflict?: () => void;
  /** Tests and measurements only: false tries for the head as it comes. */
  readonly takesTurns?: boolean;
  /** Tests only: of another release. */
  readonly layouts?: readonly Layout[];
}

const BUDGET_MS = 2000;

const keyedOf = ({ _id, v, x }: KeyedDoc, fields: Fields): Keyed => ({
  key: _id.slice(_id.indexOf(' ') + 1),
  value: fields.open(placeOf.keyed(_id, x), v),
  expiresAt: x ?? undefined,
});

/** Reads and commits over connections of this thread's own. */
export class MongoReader implements AttachedStore {
  protected readonly client: MongoClient;
  protected readonly collections: Collections;
  protected readonly types: TypeNumbers;
  protected readonly headKey: HeadKey;
  protected readonly watch: Watch;
  protected readonly layouts: readonly Layout[];
  protected readonly indexHash: string;
  readonly #life: Life;
  readonly #stamps: Stamps;
  readonly #committer: Committer;
  /** For small values without audit rows: a lease must not wait until a Bundle is written. */
  readonly #beside: Committer;
  readonly #versions: Versions;
  readonly #searcher: Searcher;
  readonly #audit: AuditReader;
  readonly #subjects: Subjects;
  readonly #asking = new Set<Promise<unknown>>();

  constructor({
    url,
    budgetMs = BUDGET_MS,
    renderAudit,
    headKey,
    clock = 'system',
    patienceMs,
    mostEnds,
    onConflict,
    takesTurns = true,
    layouts = LAYOUTS,
    fields = CLEAR,
    indexHash,
  }: MongoOptions) {
    const { client, db } = connectMongo(url);
    this.client = client;
    this.collections = collectionsOf(db, fields);
    this.types = new TypeNumbers(this.collections.meta);
    this.headKey = new HeadKey(headKey);
    this.watch = new Watch(this.collections);
    const { collections, types } = this;
    const onData = () => this.watch.tell();
    this.layouts = layouts;
    this.indexHash = indexHash;
    this.#life = new Life(collections.life, client, layouts.length);
    this.#stamps = new Stamps(collections, client);
    const own = { headKey: this.headKey, life: this.#life, layouts, indexHash };
    const parts = { client, collections, types, clock, patienceMs, ...own };
    const turn = takesTurns ? new Turn(collections) : undefined;
    this.#committer = new Committer({ ...parts, turn, onConflict, onData });
    // Never takes the head.
    this.#beside = new Committer({ ...parts, turn: undefined, onConflict, onData });
    this.#versions = new Versions(collections);
    this.#searcher = new Searcher(collections, types, budgetMs, mostEnds);
    this.#audit = new AuditReader(collections, this.#searcher, renderAudit);
    this.#subjects = new Subjects(collections);
  }

  get database(): Db {
    return this.collections.meta.db;
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    const result = (isBeside(request) ? this.#beside : this.#committer).commit(request);
    this.#subjects.noted(request);
    return result;
  }

  async read(key: ResourceKey, version?: number): Promise<StoredVersion | undefined> {
    if (key.type === 'AuditEvent' && version !== undefined && version !== 1) return undefined;
    const found = await this.#asked(() =>
      key.type === 'AuditEvent' ? this.#audit.read(key.id) : this.#versions.read(key, version),
    );
    if (found !== undefined) await this.#learnt([found]);
    return found;
  }

  async history(scope: HistoryScope, page: Page): Promise<SearchResult> {
    if (scope.type !== 'AuditEvent') return this.#paged(() => this.#versions.history(scope, page));
    const { id, since, before } = scope;
    if (id === undefined) return this.#paged(() => this.#audit.history(since, before, page));
    const found = await this.read({ type: 'AuditEvent', id });
    const isWithin = found && found.at >= (since ?? found.at) && found.at <= (before ?? found.at);
    return { matches: isWithin ? [found] : [], next: undefined };
  }

  search(plan: SearchPlan, page: Page): Promise<SearchResult> {
    if (plan.type === 'AuditEvent') return this.#paged(() => this.#audit.search(plan, page), 'search');
    return this.#paged(async () => {
      const { sequences, next } = await this.#searcher.search(plan, page);
      return { matches: await this.#versions.bySequence(sequences), next };
    }, 'search');
  }

  async searchTypes(plans: readonly SearchPlan[], page: Page): Promise<SearchResult> {
    if (plans.some(({ type }) => type === 'AuditEvent')) throw new TypeError('AuditEvents are searched by themselves.');
    return this.#paged(async () => {
      const { sequences, next } = await this.#searcher.searchTypes(plans, page);
      return { matches: await this.#versions.bySequence(sequences), next };
    }, 'search');
  }

  count(plan: SearchPlan): Promise<number> {
    return this.#asked(
      () => (plan.type === 'AuditEvent' ? this.#audit.count(plan) : this.#searcher.count(plan)),
      'search',
    );
  }

  countTypes(plans: readonly SearchPlan[], accuracy: 'accurate' | 'estimate') {
    return this.#asked(async () => {
      const run = this.#searcher.run();
      let [count, exact] = [0, true];
      for (const plan of plans) {
        const isCounted = accuracy === 'accurate' || plan.type === 'AuditEvent';
        const each = isCounted
          ? { count: await this.count(plan), exact: true }
          : await this.#searcher.estimate(plan, run);
        count += each.count;
        exact &&= each.exact;
      }
      return { count, exact };
    }, 'search');
  }

  /** Other processes commit too: nothing but a question to the database could tell. */
  stamp(): undefined {
    return undefined;
  }

  askedStamp(types?: readonly string[]): Promise<number | undefined> {
    return this.#asked(() => this.#stamps.stamp(types));
  }

  async kept(key: string): Promise<string | undefined> {
    const found = await this.#asked(() => this.collections.kept.findOne({ _id: key }, { maxTimeMS: READ_MS }));
    return found === null ? undefined : this.collections.fields.open(placeOf.kept(key), found.v);
  }

  async keyed(space: string, key: string): Promise<Keyed | undefined> {
    const _id = `${space} ${key}`;
    const found = await this.#asked(() => this.collections.keyed.findOne({ _id }, { maxTimeMS: READ_MS }));
    return found === null ? undefined : keyedOf(found, this.collections.fields);
  }

  async keyedPage(space: string, { after = '', count }: { after?: string | undefined; count: number }) {
    if (count <= 0) return [];
    // A space ends in U+0020, so its keys end before U+0021.
    const range = { $gt: `${space} ${after}`, $lt: `${space}!` };
    const find = () =>
      this.collections.keyed.find({ _id: range }, { maxTimeMS: READ_MS }).sort({ _id: 1 }).limit(count).toArray();
    return (await this.#asked(find)).map((each) => keyedOf(each, this.collections.fields));
  }

  changes(after: number, count: number): Promise<readonly StoredVersion[]> {
    return this.#asked(() => this.#versions.changes(after, count));
  }

  versionsAbout(patients: readonly string[], after: number, until: number): Promise<readonly StoredVersion[]> {
    return this.#asked(() => this.#versions.about(patients, after, until));
  }

  latestSequence(): Promise<number> {
    return this.#asked(() => this.#versions.latestSequence());
  }

  subjectKeys(patients: readonly string[]): readonly string[] {
    return this.#subjects.keys(patients);
  }

  async ping(): Promise<void> {
    await this.#asked(async () => {
      const head = await this.collections.head.findOne({ _id: 'data' }, { maxTimeMS: READ_MS });
      assertFloor(head?.floor, this.layouts.length);
      await this.#life.sign();
    });
  }

  indexPage(after: number, count: number) {
    return this.#asked(() => indexPage(this.collections, after, count));
  }

  remake(rows: readonly IndexedRow[], indexOf: IndexOf): Promise<void> {
    return this.#asked(() => remake(this.collections, this.indexHash, rows, indexOf, this.layouts));
  }

  followOthers(types: readonly string[], indexOf: IndexOf): Promise<number> {
    return this.#asked(() => followOthers(this.collections, this.indexHash, types, indexOf, this.layouts));
  }

  /** What was asked before is answered; what is asked later is refused. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#asking);
    for (const each of [this.#committer, this.#beside]) await each.close();
    await this.watch.close();
    await this.#life.close().catch(() => undefined);
    await this.client.close();
  }

  async #paged(ask: () => Promise<SearchResult>, kind?: 'search'): Promise<SearchResult> {
    const found = await this.#asked(ask, kind);
    await this.#learnt(found.matches);
    return found;
  }

  async #learnt(versions: readonly StoredVersion[]): Promise<void> {
    await this.#asked(() => this.#subjects.learnt(versions));
  }

  /** A look by a key that takes too long is no fault of who asks: only a `search` is refused with advice. */
  async #asked<T>(ask: () => Promise<T>, kind?: 'search'): Promise<T> {
    const answer = ask();
    this.#asking.add(answer);
    try {
      return await answer;
    } catch (error) {
      throw storeError(error, kind === 'search' ? (cause) => this.#searcher.tooCostly(cause) : undefined);
    } finally {
      this.#asking.delete(answer);
    }
  }
}

/** The main thread's store. */
export class MongoStore extends MongoReader implements Engine {
  readonly #ports = new Set<MessagePort>();
  needsReindex: boolean;
  /** Of every transaction, see mongodb/transaction.ts. */
  readonly durability = 'w=majority, j=true';
  /** The database refuses by itself, and then everything. */
  readonly isFull = false;
  readonly newestAt = undefined;
  #closing: Promise<void> | undefined;

  constructor(options: MongoOptions, needsReindex: boolean) {
    super(options);
    this.needsReindex = needsReindex;
  }

  size(): Promise<number> {
    return this.collections.resource.estimatedDocumentCount();
  }

  async reindex(types: readonly string[], indexOf: IndexOf, onProgress?: (done: number) => void): Promise<void> {
    if (await indexIsStale(this.collections, this.indexHash))
      await reindexAll(this.collections, this.indexHash, types, indexOf, this.layouts, onProgress);
    await this.followOthers(types, indexOf);
    this.needsReindex = false;
  }

  /** Nothing goes over it: the other thread reads and commits by itself. */
  channel(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    this.#ports.add(port1);
    port1.once('close', () => this.#ports.delete(port1));
    return port2;
  }

  verifyAudit(anchors: readonly AuditHead[] = []): Promise<AuditVerdict> {
    return verifyChains(this.collections, this.headKey, new Anchors(anchors));
  }

  auditHeads(): Promise<readonly AuditHead[]> {
    return headsOf(this.collections);
  }

  onCommit(listener: () => void): () => void {
    return this.watch.listen(listener);
  }

  override close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const port of this.#ports) port.close();
    await super.close();
  }
}

/**
 * Opens the database, making what is missing.
 * @throws StoreError `unavailable`: it cannot be reached, is no replica set, was written by a newer release, or is being filled
 */
export async function openMongo(options: MongoOptions): Promise<MongoStore> {
  const { client, db } = connectMongo(options.url);
  try {
    await assertReplicaSet(db);
    const collections = collectionsOf(db, options.fields ?? CLEAR);
    await prepare(db, collections, options.types, options.layouts);
    if ((await collections.meta.findOne({ _id: 'filling' })) !== null)
      throw new StoreError('unavailable', BEING_FILLED);
    if ((await leftUntil(collections.meta)) === EVER) throw new StoreError('unavailable', LEFT);
    const isBehind = (await behind(collections, options.indexHash)) !== undefined;
    return new MongoStore(options, isBehind || (await indexIsStale(collections, options.indexHash)));
  } catch (error) {
    throw storeError(error);
  } finally {
    await client.close();
  }
}

/** A store on another thread or in another process. */
export function attachMongo(options: MongoOptions): MongoReader {
  return new MongoReader(options);
}
