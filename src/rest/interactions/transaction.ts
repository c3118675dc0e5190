/**
 * transaction: every entry or none, in one commit. Source: FHIR R4 http.html#transaction, #trules.
 * Order: deletes, creates, updates, then (after the commit) reads. Identities are decided before anything is written, so that links between
 * entries can be rewritten. A lost race decides everything anew.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { label, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import { withConcepts } from '../../fhir/search/concepts.ts';
import type { Command, StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { assertSeesAll, heldFor, permitsVersion, seesAll, unknown } from '../permission/permission.ts';
import type { FhirRequest } from '../request.ts';
import { type BundleEntry, forEach } from '../wire/bundle-entry.ts';
import { assertPreconditions, type Change, deletion, put, unchanged } from './change.ts';
import { criteriaOf, deletable, matched, single } from './conditional.ts';
import { matchOf, PATCH, patchedHeld } from './patch.ts';
import { isConditionalReference, rewritten, rootOf, withoutOwnBase } from './references.ts';
import { terminology } from './terminology.ts';
import { assertUpdateCreates, CONDITIONAL_CREATE, type Plan, updateTarget } from './write.ts';

/** What an entry does, once its identity is known. */
type Target =
  | {
      readonly does: 'put';
      readonly key: ResourceKey;
      readonly current: StoredVersion | undefined;
      readonly method: 'POST' | 'PUT' | 'PATCH';
      readonly resource: Resource;
    }
  | {
      readonly does: 'delete';
      readonly key: ResourceKey;
      readonly current: StoredVersion | undefined;
      /** Further matches of a conditional delete. */
      readonly others?: readonly StoredVersion[];
    }
  /** A conditional create that found its match. */
  | { readonly does: 'keep'; readonly key: ResourceKey; readonly held: StoredVersion }
  /** The same conditional create as an entry before. */
  | { readonly does: 'repeat'; readonly key: ResourceKey; readonly of: number };

export interface TransactionPlan extends Plan {
  /** Where the change of each writing entry stands in `changes`, by entry; none for a conditional delete unless of exactly one. */
  readonly byEntry: ReadonlyMap<number, { readonly position: number; readonly repeated: boolean }>;
}

/** THE order of http.html#trules. Interactions that are not here have no place in a transaction. */
const PHASES: Partial<Record<FhirRequest['interaction'], 'delete' | 'create' | 'update' | 'read'>> = {
  delete: 'delete',
  'conditional-delete': 'delete',
  create: 'create',
  update: 'update',
  'conditional-update': 'update',
  patch: 'update',
  'conditional-patch': 'update',
  read: 'read',
  vread: 'read',
  'search-type': 'read',
  'search-system': 'read',
  'history-instance': 'read',
  'history-type': 'read',
  'history-system': 'read',
  capabilities: 'read',
};

/** @throws FhirError `method-not-allowed` for operations, which a transaction here does not take */
export function phaseOf({ interaction }: FhirRequest) {
  const phase = PHASES[interaction];
  if (phase === undefined) {
    throw fhirError('method-not-allowed', `The interaction ${interaction} is not supported in a transaction.`);
  }
  return phase;
}

/** Decides one transaction against what is stored now. */
export class Transaction {
  readonly #caller: Caller;
  readonly #context: RestContext;
  readonly #targets = new Map<number, Target>();
  /** Criteria that this bundle itself satisfies or that are resolved already -> `Type/id`. */
  readonly #resolved = new Map<string, string>();
  readonly #expects: Command[] = [];
  readonly #gone = new Set<string>();
  readonly #links = new Map<string, string>();
  /** Criteria of conditional creates -> what they made or found, and the entry that did. */
  readonly #created = new Map<string, { readonly key: ResourceKey; readonly of: number }>();
  /** Criteria by which this bundle creates a resource: whoever writes by the same ones means the same resource. */
  readonly #made = new Set<string>();

  constructor(caller: Caller, context: RestContext) {
    this.#caller = caller;
    this.#context = context;
  }

  /** @throws FhirError with the issues of every refused entry of the first step that refuses any */
  async decide(entries: readonly BundleEntry[]): Promise<TransactionPlan> {
    const phase = (name: string) => entries.filter(({ request }) => phaseOf(request) === name);
    await forEach(phase('delete'), (entry) => this.#delete(entry));
    await forEach(phase('create'), (entry) => this.#create(entry));
    await forEach(phase('update'), (entry) => this.#update(entry));
    await this.#assertOnce(entries);
    await this.#link(entries);
    const changes: Change[] = [];
    const byEntry = new Map<number, { position: number; repeated: boolean }>();
    await forEach(entries, async (entry) => {
      const target = this.#targets.get(entry.index);
      if (target === undefined) return;
      // The entry that is repeated stands before the one that repeats it.
      if (target.does === 'repeat') {
        byEntry.set(entry.index, { position: byEntry.get(target.of)?.position ?? 0, repeated: true });
        return;
      }
      const position = changes.push(await this.#change(entry, target)) - 1;
      const others = target.does === 'delete' ? (target.others ?? []) : [];
      for (const held of others) changes.push(await deletion(held.key, held, this.#caller, this.#context));
      // The deletion of several has no version to answer with.
      if (others.length === 0) byEntry.set(entry.index, { position, repeated: false });
    });
    await forEach(phase('read'), (entry) => this.#foresee(entry));
    return { changes, expects: this.#expects, byEntry };
  }

  async #delete({ index, request }: BundleEntry): Promise<void> {
    if (request.interaction === 'delete') {
      const current = await heldFor(['delete'], request.key, this.#caller, this.#context);
      assertPreconditions(request.key, current, { ifMatch: request.ifMatch, ifNoneMatch: undefined });
      this.#targets.set(index, { does: 'delete', key: request.key, current });
      this.#gone.add(label(request.key));
    } else if (request.interaction === 'conditional-delete') {
      const criteria = this.#criteria(request.type, request.criteria);
      const { matches, expect } = await deletable(request.type, criteria, this.#caller, this.#context);
      this.#expects.push(expect);
      const [current, ...others] = matches;
      if (current === undefined) return;
      this.#targets.set(index, { does: 'delete', key: current.key, current, others });
      for (const { key } of matches) this.#gone.add(label(key));
    }
  }

  async #create({ index, request }: BundleEntry): Promise<void> {
    if (request.interaction !== 'create') return;
    const { type, resource, ifNoneExist } = request;
    const key = { type, id: this.#context.ambient.newId() };
    const target = { does: 'put', key, current: undefined, method: 'POST', resource } as const;
    if (ifNoneExist === undefined) {
      this.#targets.set(index, target);
      return;
    }
    assertSeesAll(type, ['search'], CONDITIONAL_CREATE, this.#caller);
    const criteria = this.#criteria(type, ifNoneExist);
    const before = this.#created.get(criteria.name);
    if (before !== undefined) {
      this.#targets.set(index, { does: 'repeat', ...before });
      return;
    }
    const held = single(type, await this.#found(criteria));
    this.#targets.set(index, held === undefined ? target : { does: 'keep', key: held.key, held });
    this.#created.set(criteria.name, { key: held?.key ?? key, of: index });
    if (held === undefined) this.#made.add(criteria.name);
    this.#resolved.set(criteria.name, label(held?.key ?? key));
  }

  async #update({ index, request }: BundleEntry): Promise<void> {
    const context = this.#context;
    if (request.interaction === 'patch') {
      this.#patch(index, request, request.key, await heldFor(PATCH, request.key, this.#caller, context));
    } else if (request.interaction === 'conditional-patch') {
      const criteria = this.#criteria(request.type, request.criteria);
      const held = matchOf(request.type, await this.#found(criteria));
      if (!(await permitsVersion(PATCH, held, this.#caller, context))) throw unknown(held.key);
      this.#patch(index, request, held.key, held);
      this.#resolved.set(criteria.name, label(held.key));
    } else if (request.interaction === 'update') {
      const { key, resource } = request;
      const current = await heldFor(['update'], key, this.#caller, context);
      if (current === undefined && !seesAll(key.type, ['create', 'update'], this.#caller)) throw unknown(key);
      assertPreconditions(key, current, request);
      if (current === undefined) assertUpdateCreates(key.type, context);
      this.#targets.set(index, { does: 'put', key, current, method: 'PUT', resource });
    } else if (request.interaction === 'conditional-update') {
      const criteria = this.#criteria(request.type, request.criteria);
      if (this.#made.has(criteria.name)) {
        throw fhirError('invalid', 'The criteria name a resource that another entry creates.');
      }
      const matches = await this.#found(criteria);
      if (matches.length === 0) this.#made.add(criteria.name);
      const target = await updateTarget(request, context.ambient.newId(), matches, this.#caller, context);
      this.#targets.set(index, { does: 'put', ...target, method: 'PUT', resource: request.resource });
      this.#resolved.set(criteria.name, label(target.key));
    }
  }

  #patch(
    index: number,
    request: Parameters<typeof patchedHeld>[2],
    key: ResourceKey,
    current: StoredVersion | undefined,
  ): void {
    const resource = patchedHeld(key, current, request, this.#context);
    this.#targets.set(index, { does: 'put', key, current, method: 'PATCH', resource });
  }

  #criteria(type: string, text: string) {
    return criteriaOf(type, text, this.#context);
  }

  /** Matches that this transaction does not delete; the search is judged again inside the commit. */
  async #found(criteria: ReturnType<typeof criteriaOf>): Promise<readonly StoredVersion[]> {
    const { matches, expect } = await matched(criteria, this.#caller, this.#context, 2 + this.#gone.size);
    this.#expects.push(expect);
    return matches.filter(({ key }) => !this.#gone.has(label(key)));
  }

  /** http.html#trules: "If any resource identities (including resolved identities from conditional update/delete) overlap", it fails. */
  #assertOnce(entries: readonly BundleEntry[]): Promise<void> {
    const seen = new Set<string>();
    return forEach(entries, ({ index }) => {
      const target = this.#targets.get(index);
      if (target === undefined || target.does === 'keep' || target.does === 'repeat') return;
      const others = target.does === 'delete' ? (target.others ?? []) : [];
      for (const { key } of [target, ...others]) {
        const name = label(key);
        if (seen.has(name)) throw fhirError('invalid', `\`${name}\` is written by more than one entry.`);
        seen.add(name);
      }
    });
  }

  #link(entries: readonly BundleEntry[]): Promise<void> {
    const seen = new Set<string>();
    return forEach(entries, ({ index, fullUrl }) => {
      if (fullUrl === undefined) return;
      const expression = `Bundle.entry[${index}].fullUrl`;
      if (seen.has(fullUrl)) throw fhirError('invalid', 'This fullUrl is used by an entry before.', { expression });
      seen.add(fullUrl);
      const target = this.#targets.get(index);
      if (target !== undefined && target.does !== 'delete') this.#links.set(fullUrl, label(target.key));
    });
  }

  async #change(entry: BundleEntry, target: Exclude<Target, { does: 'repeat' }>): Promise<Change> {
    if (target.does === 'delete') return deletion(target.key, target.current, this.#caller, this.#context);
    if (target.does === 'keep') return unchanged(target.held);
    const { key, current, method } = target;
    // What a patch leaves as it was holds references of this server, whatever the fullUrl says.
    const place = method === 'PATCH' ? { ...entry, fullUrl: undefined } : entry;
    return put(await this.#linked(place, target.resource), key, current, method, this.#caller, this.#context);
  }

  /** The resource with every link resolved. Conditional references cost a search each, once a transaction. */
  async #linked({ fullUrl }: BundleEntry, resource: Resource): Promise<Resource> {
    const root = rootOf(fullUrl);
    const pending = new Set<string>();
    const conditional = new Map<string, string>();
    const reference = (text: string): string => {
      const target = this.#linkOf(text, root);
      if (target !== undefined) return target;
      const own = withoutOwnBase(text, this.#context.settings.fhirBase);
      if (!isConditionalReference(own)) return own;
      const found = conditional.get(own);
      if (found === undefined) pending.add(own);
      return found ?? own;
    };
    const rules = { reference, links: this.#links };
    const once = rewritten(resource, rules, this.#context.definitions);
    if (pending.size === 0) return once;
    for (const text of pending) conditional.set(text, await this.#resolve(text));
    return rewritten(
      once,
      { reference: (text) => conditional.get(text) ?? text, links: undefined },
      this.#context.definitions,
    );
  }

  #linkOf(text: string, root: string | undefined): string | undefined {
    const cut = text.indexOf('#');
    const whole = cut > 0 ? text.slice(0, cut) : text;
    const target = this.#links.get(whole) ?? (root === undefined ? undefined : this.#links.get(`${root}/${whole}`));
    return target === undefined || cut <= 0 ? target : `${target}${text.slice(cut)}`;
  }

  /** `Patient?identifier=...` -> `Patient/123`: exactly one match, or 412. */
  async #resolve(text: string): Promise<string> {
    const mark = text.indexOf('?');
    const type = text.slice(0, mark);
    if (!this.#context.capability.types.has(type)) {
      throw fhirError('value', 'A conditional reference names a type that is not supported.');
    }
    const criteria = this.#criteria(type, text.slice(mark + 1));
    const known = this.#resolved.get(criteria.name);
    if (known !== undefined) return known;
    const held = single(type, await this.#found(criteria));
    if (held === undefined) {
      throw fhirError('precondition-failed', `A conditional reference matches no ${type}.`);
    }
    this.#resolved.set(criteria.name, label(held.key));
    return label(held.key);
  }

  /** Reads run after the commit; what would make them fail is refused before it. */
  async #foresee({ request }: BundleEntry): Promise<void> {
    const { store } = this.#context;
    const { access } = this.#caller;
    if (request.interaction === 'search-type') {
      const query = this.#context.parseSearch(request.type, request.query, request.representation.prefer.handling);
      const resolved = await withConcepts(query, terminology(this.#caller, this.#context));
      await store.search(this.#context.planSearch(resolved, access), { count: 1 });
    }
    if (request.interaction !== 'read') return;
    const name = label(request.key);
    const isPut = ({ does, key }: Target) => does === 'put' && label(key) === name;
    if ([...this.#targets.values()].some(isPut)) return;
    const gone = this.#gone.has(name);
    const current = gone ? undefined : await heldFor(['read'], request.key, this.#caller, this.#context);
    if (current === undefined || current.deleted) throw fhirError('not-found', `\`${name}\` is not known.`);
  }
}
