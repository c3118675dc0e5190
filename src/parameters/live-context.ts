/**
 * What a thread answers by, as one immutable snapshot at a time: a request keeps the one it began with. Only the making of index rows is always
 * by the newest: what a client defines is indexed at once, whoever writes. Reasons: docs/decisions/0017-search-parameters-at-run-time.md.
 */
import { faultsOf, inForce, withClaims, withParameters } from '../fhir/definitions/custom-claims.ts';
import { activeParameter, type CustomParameter, keyOf } from '../fhir/definitions/custom-parameter.ts';
import type { SearchParameter } from '../fhir/definitions/definitions.ts';
import type { Issue } from '../fhir/outcome.ts';
import type { Resource } from '../fhir/resource.ts';
import type { IndexEntry } from '../fhir/search/algebra.ts';
import { extractor } from '../fhir/search/extract.ts';
import { planSearch } from '../fhir/search/plan.ts';
import { parseSearch } from '../fhir/search/query.ts';
import type { RestContext } from '../rest/context.ts';

/** What makes a snapshot out of the files every thread has read. Plain data: it crosses threads. */
export interface ParameterSnapshot {
  /** Active parameters of clients in the order of their creation; those with faults are passed over. */
  readonly customs: readonly CustomParameter[];
  /** `Patient.eye-colour`, percent: those whose rows are still being made. */
  readonly indexing: readonly (readonly [key: string, percent: number])[];
}

export const NO_PARAMETERS: ParameterSnapshot = { customs: [], indexing: [] };

type Extract = (resource: Resource) => readonly IndexEntry[];
/** Requests that began with one snapshot and have not ended. */
interface Use {
  count: number;
}

export class LiveContext {
  readonly #base: RestContext;
  /** Read by every snapshot, so that a refusal names how far it is now. */
  readonly #percent = new Map<string, number>();
  readonly #extractors = new Map<string, Extract>();
  #added: ReadonlyMap<string, readonly SearchParameter[]> = new Map();
  /** Keys of those that files define. */
  #files: ReadonlySet<string> = new Set();
  #use: Use = { count: 0 };
  readonly #old = new Set<Use>();
  #waiting: (() => void)[] = [];
  #current: RestContext;

  /** @param base the context by the files alone */
  constructor(base: RestContext, snapshot: ParameterSnapshot = NO_PARAMETERS) {
    this.#base = base;
    this.#current = this.#contextOf(snapshot);
  }

  get current(): RestContext {
    return this.#current;
  }

  /** What the files alone say. */
  get base(): RestContext {
    return this.#base;
  }

  /** From now on requests begin with this. */
  swap(snapshot: ParameterSnapshot): void {
    if (this.#use.count > 0) this.#old.add(this.#use);
    this.#use = { count: 0 };
    this.#current = this.#contextOf(snapshot);
  }

  /** Resolves when no request of an older snapshot is in work: then every commit to come has rows by the newest parameters. */
  drained(): Promise<void> {
    if (this.#old.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Says in refusals how far an index is; percent. */
  progress(key: string, percent: number): void {
    if (this.#percent.has(key)) this.#percent.set(key, percent);
  }

  #contextOf({ customs, indexing }: ParameterSnapshot): RestContext {
    const base = this.#base;
    const { settings, ambient } = base;
    const { fhirBase } = settings;
    const { parameters } = inForce(customs, base);
    const files = customs.filter(({ isFile }) => isFile === true);
    this.#files = new Set(files.flatMap((each) => each.base.map((type) => keyOf(type, each.code))));
    this.#percent.clear();
    for (const [key, percent] of indexing) this.#percent.set(key, percent);
    const unready = new Set(indexing.map(([key]) => key));
    const whole = parameters.filter(({ type, parameter }) => !unready.has(keyOf(type, parameter.code)));
    const definitions = withParameters(base.definitions, parameters);
    const percent = (key: string) => (unready.has(key) ? (this.#percent.get(key) ?? 100) : undefined);
    const capability = withClaims(base.capability, whole, percent);
    this.#added = new Map(
      [...Map.groupBy(parameters, ({ type }) => type)].map(([type, added]) => [
        type,
        added.map((each) => each.parameter),
      ]),
    );
    this.#extractors.clear();
    const search = { definitions, capability, fhirBase, settings };
    const use = this.#use;
    return {
      ...base,
      definitions,
      capability,
      validate: (resource, asked) => [...base.validate(resource, asked), ...this.#faults(resource)],
      indexEntries: (resource) => this.#entries(resource),
      parseSearch: (type, query, handling) => parseSearch(type, query, handling, search),
      parseFrozen: base.parseSearch,
      planSearch: (query, access, links) => planSearch(query, access, { ...search, now: ambient.now(), links }),
      entered: () => this.#entered(use),
    };
  }

  #entered(use: Use): () => void {
    use.count++;
    if (use !== this.#use) this.#old.add(use);
    return () => {
      if (--use.count > 0 || !this.#old.delete(use) || this.#old.size > 0) return;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    };
  }

  /** Why an active SearchParameter cannot be kept. */
  #faults(resource: Resource): readonly Issue[] {
    const custom = activeParameter(resource);
    if (custom === undefined) return [];
    const faults = faultsOf(custom, this.#base, this.#current.definitions);
    const file = custom.base.find((type) => this.#files.has(keyOf(type, custom.code)));
    if (file === undefined) return faults;
    const message = `\`${custom.code}\` of ${file} is defined by a file of this server.`;
    return [...faults, { kind: 'conflict', message, expression: 'SearchParameter.code' }];
  }

  /** Rows by the published claims and every parameter of clients that is in force, also those not yet claimed. */
  #entries(resource: Resource): readonly IndexEntry[] {
    if (this.#added.size === 0) return this.#base.indexEntries(resource);
    const type = resource.resourceType;
    let extract = this.#extractors.get(type);
    if (extract === undefined) {
      const { definitions, capability, settings } = this.#base;
      const { fhirBase } = settings;
      const claimed = (of: string): Iterable<SearchParameter> | undefined => {
        const published = capability.types.get(of)?.searchParameters;
        return published && [...published.values(), ...(this.#added.get(of) ?? [])];
      };
      extract = extractor(claimed(type) ?? [], type, { definitions, fhirBase, common: capability.common, claimed });
      this.#extractors.set(type, extract);
    }
    return extract(resource);
  }
}
