/** `_include` and `_revinclude`, with `:iterate`, by literal references and by canonical URLs. Source: search.html#include. Everything included is fetched under the caller's access filter. */
import { fhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN, label, parseOwnJson, type Resource, type ResourceKey } from '../../fhir/resource.ts';
import type { Predicate, SearchPlan } from '../../fhir/search/algebra.ts';
import { type ReferenceEntry, referenceExtractor } from '../../fhir/search/extract.ts';
import { PATIENT, samePersons } from '../../fhir/search/person.ts';
import { planOf } from '../../fhir/search/plan.ts';
import type { Include, SearchQuery } from '../../fhir/search/query.ts';
import { and, or } from '../../fhir/search/simplify.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { personsOf } from './patient-links.ts';

/**
 * Resources to add to a page, each once, none of the matches. Rounds end when nothing new is found, so cycles end too.
 * @throws FhirError `too-costly` (400) when more than `includeLimit` would be added: a cut page would look complete
 */
export async function included(
  matches: readonly StoredVersion[],
  { includes, revIncludes }: Pick<SearchQuery, 'includes' | 'revIncludes'>,
  caller: Caller,
  context: RestContext,
): Promise<readonly StoredVersion[]> {
  if (includes.length === 0 && revIncludes.length === 0) return [];
  const page = new Page(matches, context.settings.includeLimit);
  let layer = matches;
  let forward = includes;
  let reverse = revIncludes;
  while (layer.length > 0 && forward.length + reverse.length > 0) {
    const before = page.added.length;
    for (const plan of [
      ...forwardPlans(layer, forward, page, caller, context),
      ...(await reversePlans(layer, reverse, caller, context)),
    ]) {
      await page.take(plan, context);
    }
    layer = page.added.slice(before);
    forward = includes.filter(({ iterate }) => iterate);
    reverse = revIncludes.filter(({ iterate }) => iterate);
  }
  return page.added;
}

/** Which resources a page holds already, and how many more it may take. */
class Page {
  readonly added: StoredVersion[] = [];
  readonly #held: Set<string>;
  readonly #limit: number;

  constructor(matches: readonly StoredVersion[], limit: number) {
    this.#held = new Set(matches.map(({ key }) => label(key)));
    this.#limit = limit;
  }

  holds(name: string): boolean {
    return this.#held.has(name);
  }

  async take(plan: SearchPlan, { store }: RestContext): Promise<void> {
    let after: string | undefined;
    do {
      // held resources may come again and must not count: ask for as many as could be new, and one to see the limit passed
      const result = await store.search(plan, { count: this.#limit - this.added.length + 1, after });
      for (const version of result.matches) this.#add(version);
      after = result.next;
    } while (after !== undefined);
  }

  #add(version: StoredVersion): void {
    const name = label(version.key);
    if (this.#held.has(name)) return;
    if (this.added.length >= this.#limit) {
      throw fhirError(
        'too-costly',
        `More than ${this.#limit} resources would be included. Use a smaller \`_count\` or search for them directly.`,
      );
    }
    this.#held.add(name);
    this.added.push(version);
  }
}

/** One plan a target type: the resources that the layer points at. */
function forwardPlans(
  layer: readonly StoredVersion[],
  includes: readonly Include[],
  page: Page,
  caller: Caller,
  context: RestContext,
): readonly SearchPlan[] {
  if (includes.length === 0) return [];
  const wanted = new Map<string, Set<string>>();
  const references = layer.flatMap((version) => referencesOf(version, includes, context));
  for (const { parameter, target } of references) {
    for (const { type, id } of targetsOf(parameter, target, includes)) {
      if (page.holds(`${type}/${id}`) || !context.capability.types.has(type)) continue;
      const ids = wanted.get(type) ?? new Set<string>();
      wanted.set(type, ids.add(id));
    }
  }
  return [
    ...[...wanted].map(([type, ids]) => planOf(type, { kind: 'ids', ids: [...ids] }, caller.access, [], 'read')),
    ...canonicalPlans(references, includes, caller, context),
  ];
}

/** One plan a target type: the resources whose canonical URL the layer names; with a version, only that version of them. */
function canonicalPlans(
  references: readonly ReferenceEntry[],
  includes: readonly Include[],
  caller: Caller,
  context: RestContext,
): readonly SearchPlan[] {
  const wanted = new Map<string, Map<string, Predicate>>();
  for (const { type, url, version } of references.flatMap((each) => canonicalsOf(each, includes, context))) {
    const byUrl: Predicate = { kind: 'uri', parameter: `${type}.url`, match: 'exact', value: url };
    const named: Predicate = { kind: 'token', parameter: `${type}.version`, code: version };
    const known = wanted.get(type) ?? new Map<string, Predicate>();
    wanted.set(type, known.set(`${url}|${version}`, version === '' ? byUrl : and([byUrl, named])));
  }
  return [...wanted].map(([type, known]) => planOf(type, or([...known.values()]), caller.access));
}

interface NamedCanonical {
  readonly type: string;
  readonly url: string;
  readonly version: string;
}

function canonicalsOf(
  { parameter, target, version }: ReferenceEntry,
  includes: readonly Include[],
  context: RestContext,
): readonly NamedCanonical[] {
  if (localKey(target) !== undefined) return [];
  const [type = '', code = ''] = parameter.split('.', 2);
  const allowed = context.capability.types.get(type)?.searchParameters.get(code)?.targets ?? [];
  return allowed
    .filter((each) => isCanonical(each, context))
    .filter((each) => includes.some((include) => asks(include, parameter, each)))
    .map((each) => ({ type: each, url: target, version }));
}

/** Types that are found by their canonical URL and version. */
function isCanonical(type: string, { capability }: RestContext): boolean {
  const claimed = capability.types.get(type)?.searchParameters;
  return claimed?.get('url')?.type === 'uri' && claimed.get('version')?.type === 'token';
}

/** A reference of this server, when any include asks for it. */
function targetsOf(parameter: string, target: string, includes: readonly Include[]): readonly ResourceKey[] {
  const key = localKey(target);
  return key !== undefined && includes.some((include) => asks(include, parameter, key.type)) ? [key] : [];
}

type References = (resource: Resource) => readonly ReferenceEntry[];

/** Compiled once for the same claims and the same parameters of a type. */
const compiled = new WeakMap<RestContext['capability'], Map<string, References>>();

function referencesBy(type: string, codes: readonly string[], context: RestContext): References {
  const { capability, definitions, settings } = context;
  const known = compiled.get(capability) ?? new Map<string, References>();
  compiled.set(capability, known);
  const name = [type, ...codes].join(' ');
  const claimed = capability.types.get(type)?.searchParameters;
  const wanted = codes.includes('*') ? claimed?.values() : codes.flatMap((code) => claimed?.get(code) ?? []);
  const found = known.get(name) ?? referenceExtractor(wanted ?? [], type, { definitions, fhirBase: settings.fhirBase });
  known.set(name, found);
  return found;
}

/** Reference rows of a resource that any include starts at. */
function referencesOf(
  { key, text }: StoredVersion,
  includes: readonly Include[],
  context: RestContext,
): readonly ReferenceEntry[] {
  const own = includes.filter(({ source }) => source === key.type);
  if (text === undefined || own.length === 0) return [];
  const codes = own.map(({ parameter }) => (parameter === '*' ? '*' : parameter.code)).toSorted();
  // Numbers may lose their lexemes here: only references are read.
  return referencesBy(key.type, codes, context)(parseOwnJson(text) as Resource);
}

function asks({ source, parameter, target }: Include, entry: string, type: string): boolean {
  if (target !== undefined && target !== type) return false;
  return parameter === '*' ? entry.startsWith(`${source}.`) : entry === `${source}.${parameter.code}`;
}

/** `Patient/1` as a key; undefined for absolute URLs, urns and canonicals. */
function localKey(target: string): ResourceKey | undefined {
  const [type = '', id = '', ...more] = target.split('/');
  return more.length === 0 && /^[A-Z][A-Za-z]+$/.test(type) && ID_PATTERN.test(id) ? { type, id } : undefined;
}

/** One plan a parameter: the resources that point at the layer; at a Patient, also those that point at another record of the person. */
async function reversePlans(
  layer: readonly StoredVersion[],
  includes: readonly Include[],
  caller: Caller,
  context: RestContext,
): Promise<readonly SearchPlan[]> {
  if (includes.length === 0) return [];
  const persons = await personsOf(
    layer.flatMap(({ key }) => (key.type === PATIENT ? [key.id] : [])),
    caller.access,
    context,
  );
  const same = (id: string): readonly string[] => persons.get(id) ?? [id];
  return includes.flatMap((include) =>
    parametersOf(include, context).flatMap(({ code, targets: types }) => {
      const aimed = layer.filter(({ key }) => isTarget(key.type, include.target, types));
      if (aimed.length === 0) return [];
      const parameter = `${include.source}.${code}`;
      const targets = samePersons(
        parameter,
        aimed.map(({ key }) => label(key)),
        { same, isAny: () => true },
      );
      const byKey: Predicate = { kind: 'reference', parameter, targets };
      const byUrl = aimed.flatMap((version) => canonicalNames(version, parameter, context));
      return [planOf(include.source, or([byKey, ...byUrl]), caller.access)];
    }),
  );
}

/** References to the canonical URL of a resource, without a version or with its own. */
function canonicalNames({ key, text }: StoredVersion, parameter: string, context: RestContext): readonly Predicate[] {
  if (text === undefined || !isCanonical(key.type, context)) return [];
  const { url, version } = storedResource(text);
  if (typeof url !== 'string') return [];
  const versions = typeof version === 'string' ? ['', version] : [''];
  return versions.map((each) => ({ kind: 'reference', parameter, targets: [url], version: each }));
}

function isTarget(type: string, asked: string | undefined, allowed: readonly string[]): boolean {
  return (asked === undefined || asked === type) && (allowed.length === 0 || allowed.includes(type));
}

function parametersOf({ source, parameter }: Include, { capability }: RestContext) {
  if (parameter !== '*') return [parameter];
  const claimed = capability.types.get(source)?.searchParameters.values() ?? [];
  return [...claimed].filter(({ type }) => type === 'reference');
}
