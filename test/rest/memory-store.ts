/** A ResourceStore in memory for tests of the reading interactions: keyset pages, history, and the predicates they join. Faults are injected by name. */
import { label, type ResourceKey } from '../../src/fhir/resource.ts';
import type { IndexEntry, Predicate, SearchPlan } from '../../src/fhir/search/algebra.ts';
import { instantText } from '../../src/fhir/time.ts';
import {
  type CommitRequest,
  type CommitResult,
  type HistoryScope,
  type Page,
  type ResourceStore,
  type SearchResult,
  type StoredVersion,
  StoreError,
} from '../../src/store/port.ts';

interface Held {
  readonly version: StoredVersion;
  readonly entries: readonly IndexEntry[];
}

export class MemoryStore implements ResourceStore {
  readonly commits: CommitRequest[] = [];
  /** What the next calls refuse with. */
  fails: { readonly commit?: Error; readonly search?: Error; readonly read?: Error } = {};
  readonly #all: Held[] = [];
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    if (this.fails.commit !== undefined) throw this.fails.commit;
    this.commits.push(request);
    const at = this.#clock();
    const versions = request.commands.flatMap((command) => {
      if (command.op !== 'put' && command.op !== 'delete') return [];
      const { key, version, patients } = command;
      const isPut = command.op === 'put';
      const text = isPut ? `${command.body.head}${instantText(at)}${command.body.tail}` : undefined;
      const sequence = this.#all.length + 1;
      const method = isPut ? command.method : 'DELETE';
      const stored = { key, version, sequence, at, method, deleted: !isPut, text, patients };
      this.#all.push({ version: stored, entries: isPut ? command.entries : [] });
      return [{ key, version, sequence }];
    });
    return { ok: true, at, versions, auditIds: request.audit.map((_, index) => `1-${index + 1}-1`) };
  }

  async read(key: ResourceKey, number?: number): Promise<StoredVersion | undefined> {
    if (this.fails.read !== undefined) throw this.fails.read;
    const versions = this.#all.filter(({ version }) => label(version.key) === label(key));
    return (number === undefined ? versions.at(-1) : versions[number - 1])?.version;
  }

  async history({ type, id, since, before, patients, below }: HistoryScope, page: Page): Promise<SearchResult> {
    const found = this.#all
      .map(({ version }) => version)
      .filter(({ key }) => (type === undefined || key.type === type) && (id === undefined || key.id === id))
      .filter(({ at }) => (since === undefined || at >= since) && (before === undefined || at <= before))
      .filter(({ sequence }) => below === undefined || sequence < below.sequence)
      .filter((each) => patients === undefined || each.patients.some((patient) => patients.includes(patient)));
    return paged(found.toReversed(), page);
  }

  async search(plan: SearchPlan, page: Page): Promise<SearchResult> {
    if (this.fails.search !== undefined) throw this.fails.search;
    return paged(this.#matching(plan), page);
  }

  async searchTypes(plans: readonly SearchPlan[], page: Page): Promise<SearchResult> {
    if (this.fails.search !== undefined) throw this.fails.search;
    return paged(
      plans.flatMap((plan) => this.#matching(plan)),
      page,
    );
  }

  async count(plan: SearchPlan): Promise<number> {
    return this.#matching(plan).length;
  }

  async countTypes(plans: readonly SearchPlan[]): Promise<{ count: number; exact: boolean }> {
    const counts = plans.map((plan) => this.#matching(plan).length);
    return { count: counts.reduce((sum, each) => sum + each, 0), exact: true };
  }

  #matching({ type, where }: SearchPlan): readonly StoredVersion[] {
    const current = new Map(this.#all.map((held) => [label(held.version.key), held]));
    return [...current.values()]
      .filter(({ version }) => version.key.type === type && !version.deleted)
      .filter(({ version, entries }) => holds(where, version.key.id, entries))
      .map(({ version }) => version)
      .toSorted((one, other) => (one.key.id < other.key.id ? -1 : 1));
  }

  subjectKeys(patients: readonly string[]): readonly string[] {
    return patients;
  }
  async kept(): Promise<string | undefined> {
    return undefined;
  }
  stamp(): undefined {
    return undefined;
  }
  async askedStamp(): Promise<undefined> {
    return undefined;
  }
  async keyed(): Promise<undefined> {
    return undefined;
  }
  async keyedPage(): Promise<readonly never[]> {
    return [];
  }
  async changes(): Promise<readonly StoredVersion[]> {
    throw new TypeError('Nothing here reads the feed.');
  }
  async versionsAbout(): Promise<readonly StoredVersion[]> {
    throw new TypeError('Nothing here purges.');
  }
  async latestSequence(): Promise<number> {
    throw new TypeError('Nothing here reads the feed.');
  }
  async ping(): Promise<void> {
    return undefined;
  }
  async close(): Promise<void> {
    return undefined;
  }
}

function paged(all: readonly StoredVersion[], { count, after }: Page): SearchResult {
  const start = after === undefined ? 0 : Number(after);
  if (!Number.isInteger(start)) throw new StoreError('bad-cursor', 'Not a cursor.');
  const end = start + count;
  return { matches: all.slice(start, end), next: end < all.length ? String(end) : undefined };
}

function holds(where: Predicate, id: string, entries: readonly IndexEntry[]): boolean {
  const some = (test: (entry: IndexEntry) => boolean): boolean => entries.some(test);
  switch (where.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'ids':
      return where.ids.includes(id);
    case 'and':
      return where.of.every((part) => holds(part, id, entries));
    case 'or':
      return where.of.some((part) => holds(part, id, entries));
    case 'token':
      return some((each) => each.kind === 'token' && each.parameter === where.parameter && each.code === where.code);
    case 'reference':
      return some(
        (each) =>
          each.kind === 'reference' && each.parameter === where.parameter && where.targets.includes(each.target),
      );
    case 'missing':
      return some(({ parameter }) => parameter === where.parameter) !== where.missing;
    default:
      throw new TypeError(`This store does not know ${where.kind}.`);
  }
}
