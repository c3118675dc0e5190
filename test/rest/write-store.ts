/** A ResourceStore in memory for the tests of write interactions: versions, preconditions, expectations; the algebra as far as they use it. */
import { label, type ResourceKey } from '../../src/fhir/resource.ts';
import type { IndexEntry, Predicate, SearchPlan } from '../../src/fhir/search/algebra.ts';
import { instantText } from '../../src/fhir/time.ts';
import {
  type AuditRow,
  type Command,
  type CommitRequest,
  type CommitResult,
  type Page,
  type ResourceStore,
  type SearchResult,
  type StoredVersion,
  StoreError,
} from '../../src/store/port.ts';

interface Held {
  readonly versions: StoredVersion[];
  entries: readonly IndexEntry[];
}

/** One task at a time, each after a turn of the event loop, as the writer thread would. */
export class MemoryStore implements ResourceStore {
  readonly audit: AuditRow[] = [];
  readonly commits: CommitRequest[] = [];
  /** Runs before the next commit is judged: a competitor's write. */
  before: (() => void) | undefined;
  /** True: this thread may not search. */
  bounded = false;
  readonly #held = new Map<string, Held>();
  readonly #kept = new Map<string, string>();
  readonly #clock: () => number;
  #sequence = 0;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    const turn = this.#tail.then(() => {
      const before = this.before;
      this.before = undefined;
      before?.();
      return this.apply(request);
    });
    this.#tail = turn;
    return turn;
  }

  apply(request: CommitRequest): CommitResult {
    const { commands, audit } = request;
    const at = this.#clock();
    const undo: (() => void)[] = [];
    for (const [index, command] of commands.entries()) {
      if (this.#applied(command, at, undo)) continue;
      for (const step of undo.toReversed()) step();
      return { ok: false, reason: 'conflict', command: index };
    }
    this.commits.push(request);
    const first = this.audit.push(...audit) - audit.length;
    const versions = commands.flatMap((command) =>
      command.op !== 'put' && command.op !== 'delete'
        ? []
        : [{ key: command.key, version: command.version, sequence: this.#sequence }],
    );
    return { ok: true, at, versions, auditIds: audit.map((_, index) => `1-${first + index + 1}-1`) };
  }

  #applied(command: Command, at: number, undo: (() => void)[]): boolean {
    if (command.op === 'expect') {
      const found = this.#matching(command.plan).map(({ key }) => key.id);
      return found.length === command.ids.length && found.every((id) => command.ids.includes(id));
    }
    if (command.op === 'keep') {
      const { key, value } = command;
      if (this.#kept.has(key)) return false;
      this.#kept.set(key, value);
      undo.push(() => this.#kept.delete(key));
      return true;
    }
    if (command.op === 'unforgotten') return true;
    if (command.op === 'set' || command.op === 'purge' || command.op === 'forget')
      throw new TypeError('No interaction sets values or purges.');
    const name = label(command.key);
    if (command.op === 'hold') return command.version === this.#held.get(name)?.versions.length;
    const held = this.#held.get(name) ?? { versions: [], entries: [] };
    if (command.version !== held.versions.length + 1) return false;
    const { entries } = held;
    undo.push(() => {
      held.versions.pop();
      held.entries = entries;
    });
    this.#held.set(name, held);
    const isPut = command.op === 'put';
    held.versions.push({
      key: command.key,
      version: command.version,
      sequence: ++this.#sequence,
      at,
      method: isPut ? command.method : 'DELETE',
      deleted: !isPut,
      text: isPut ? `${command.body.head}${instantText(at)}${command.body.tail}` : undefined,
      patients: command.patients,
    });
    held.entries = isPut ? command.entries : [];
    return true;
  }

  async read(key: ResourceKey, version?: number): Promise<StoredVersion | undefined> {
    const versions = this.#held.get(label(key))?.versions;
    return version === undefined ? versions?.at(-1) : versions?.[version - 1];
  }
  async searchTypes(): Promise<SearchResult> {
    throw new TypeError('Writes search one type at a time.');
  }

  async search(plan: SearchPlan, { count }: Page): Promise<SearchResult> {
    if (this.bounded) throw new StoreError('bounded-thread', 'Search where there is a budget.');
    return { matches: this.#matching(plan).slice(0, count), next: undefined };
  }
  async count(plan: SearchPlan): Promise<number> {
    return this.#matching(plan).length;
  }
  async countTypes(): Promise<{ count: number; exact: boolean }> {
    throw new TypeError('Writes count one type at a time.');
  }
  async history(): Promise<SearchResult> {
    return { matches: [...this.#held.values()].flatMap(({ versions }) => versions), next: undefined };
  }
  subjectKeys(patients: readonly string[]): readonly string[] {
    return patients;
  }
  async versionsAbout(): Promise<never> {
    throw new TypeError('Writes do not purge.');
  }
  async kept(key: string): Promise<string | undefined> {
    return this.#kept.get(key);
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
  async latestSequence(): Promise<number> {
    throw new TypeError('Nothing here reads the feed.');
  }
  async ping(): Promise<void> {
    return undefined;
  }
  async close(): Promise<void> {
    return undefined;
  }

  /** Current texts of a type. */
  texts(type: string): readonly string[] {
    return this.#current(type).flatMap(({ version }) => version.text ?? []);
  }
  #current(type: string) {
    return [...this.#held.values()].flatMap(({ versions, entries }) => {
      const version = versions.at(-1);
      return version === undefined || version.deleted || version.key.type !== type ? [] : [{ version, entries }];
    });
  }
  #matching({ type, where }: SearchPlan): readonly StoredVersion[] {
    return this.#current(type)
      .filter(({ version, entries }) => holds(where, version.key.id, entries))
      .map(({ version }) => version);
  }
}

function holds(where: Predicate, id: string, entries: readonly IndexEntry[]): boolean {
  switch (where.kind) {
    case 'all':
      return true;
    case 'ids':
      return where.ids.includes(id);
    case 'and':
      return where.of.every((part) => holds(part, id, entries));
    case 'or':
      return where.of.some((part) => holds(part, id, entries));
    case 'token':
      return entries.some(
        (entry) =>
          entry.kind === 'token' &&
          entry.parameter === where.parameter &&
          (where.system === undefined || entry.system === where.system) &&
          entry.code === where.code,
      );
    case 'reference':
      return entries.some(
        (entry) =>
          entry.kind === 'reference' && entry.parameter === where.parameter && where.targets.includes(entry.target),
      );
    default:
      throw new TypeError(`This store does not know ${where.kind}.`);
  }
}
