/**
 * Code systems, value sets and concept maps that are held as resources: lookup, subsumption, expansion, membership.
 * Pure: where definitions come from is `Resolve`. Anyone who needs codes of a value set (search `:in`, bindings) uses `expand` or `contains`.
 * Source: FHIR R4 codesystem.html, valueset.html#compositions, terminology-service.html.
 */
import { type FhirError, fhirError } from '../outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../resource.ts';
import { canonicalParts } from '../search/value.ts';

export interface Concept {
  readonly code: string;
  readonly display: string | undefined;
  readonly definition: string | undefined;
  readonly designations: readonly JsonObject[];
  /** Not for use as a value: properties notSelectable and abstract. */
  readonly abstract: boolean;
  readonly inactive: boolean;
  readonly properties: readonly JsonObject[];
}
export interface CodeSystem {
  readonly url: string;
  readonly version: string | undefined;
  readonly name: string;
  /** Every concept of the system is in the resource. */
  readonly complete: boolean;
  /** The hierarchy, where there is one, says what subsumes what. */
  readonly isA: boolean;
  readonly concepts: ReadonlyMap<string, Concept>;
  parentsOf(code: string): readonly string[];
  childrenOf(code: string): readonly string[];
}
/** A concept of an expansion. */
export interface Coding {
  readonly system: string;
  readonly code: string;
  readonly display: string | undefined;
  readonly abstract: boolean;
  readonly inactive: boolean;
}
/** Where definitions are found; version '' = any. undefined = not held. */
export interface Resolve {
  codeSystem(url: string, version: string): Promise<Resource | undefined>;
  valueSet(url: string, version: string): Promise<Resource | undefined>;
}

/** Most codes of one expansion, before paging. */
const MOST = 50_000;
/** Concepts looked at for one expansion. */
const WORK = 1_000_000;
/** How deep value sets may include value sets. */
const DEEPEST = 8;

export const textAt = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
export const objectsAt = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];
const textsAt = (value: Json | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
const shown = (url: string): string => `\`${url.slice(0, 200)}\``;

const UNUSED: ReadonlySet<Json | undefined> = new Set<Json | undefined>([
  'retired',
  'deprecated',
  'inactive',
  'withdrawn',
]);
const SYSTEMS = new WeakMap<Resource, CodeSystem>();

/** The code system of a resource; remembered as long as the resource is. */
export function codeSystemOf(resource: Resource): CodeSystem {
  const known = SYSTEMS.get(resource);
  if (known !== undefined) return known;
  const system = compiled(resource);
  SYSTEMS.set(resource, system);
  return system;
}

function compiled(resource: Resource): CodeSystem {
  const concepts = new Map<string, Concept>();
  const parents = new Map<string, string[]>();
  const children = new Map<string, string[]>();
  const link = (parent: string, child: string): void => {
    if ((parents.get(child) ?? []).includes(parent)) return;
    parents.set(child, [...(parents.get(child) ?? []), parent]);
    const known = children.get(parent);
    if (known === undefined) children.set(parent, [child]);
    else known.push(child);
  };
  const add = (list: readonly JsonObject[], parent: string | undefined): void => {
    for (const json of list) {
      const concept = conceptOf(json);
      concepts.set(concept.code, concept);
      if (parent !== undefined) link(parent, concept.code);
      for (const { code, valueCode, valueString } of concept.properties) {
        const other = textAt(valueCode) ?? textAt(valueString);
        if (other === undefined) continue;
        if (code === 'parent') link(other, concept.code);
        if (code === 'child') link(concept.code, other);
      }
      add(objectsAt(json.concept), concept.code);
    }
  };
  add(objectsAt(resource.concept), undefined);
  return {
    url: textAt(resource.url) ?? '',
    version: textAt(resource.version),
    name: textAt(resource.name) ?? textAt(resource.url) ?? '',
    complete: resource.content === 'complete',
    isA: resource.hierarchyMeaning === undefined || resource.hierarchyMeaning === 'is-a',
    concepts,
    parentsOf: (code) => parents.get(code) ?? [],
    childrenOf: (code) => children.get(code) ?? [],
  };
}

function conceptOf(json: JsonObject): Concept {
  const properties = objectsAt(json.property);
  const is = (name: string): boolean =>
    properties.some(({ code, valueBoolean }) => code === name && valueBoolean === true);
  const status = properties.find(({ code }) => code === 'status');
  return {
    code: textAt(json.code) ?? '',
    display: textAt(json.display),
    definition: textAt(json.definition),
    designations: objectsAt(json.designation),
    abstract: is('notSelectable') || is('abstract'),
    inactive: is('inactive') || UNUSED.has(status?.valueCode ?? status?.valueString),
    properties,
  };
}

/** The concept and everything below it. */
export function descendants(system: CodeSystem, code: string): ReadonlySet<string> {
  const seen = new Set([code]);
  for (const each of seen) for (const child of system.childrenOf(each)) seen.add(child);
  return seen;
}

/** The concept and everything above it. */
export function ancestors(system: CodeSystem, code: string): ReadonlySet<string> {
  const seen = new Set([code]);
  for (const each of seen) for (const parent of system.parentsOf(each)) seen.add(parent);
  return seen;
}

export type Subsumption = 'equivalent' | 'subsumes' | 'subsumed-by' | 'not-subsumed';

/** How `a` stands to `b`, both codes of the system; valueset-concept-subsumption-outcome. */
export function subsumption(system: CodeSystem, a: string, b: string): Subsumption {
  if (a === b) return 'equivalent';
  if (ancestors(system, b).has(a)) return 'subsumes';
  return ancestors(system, a).has(b) ? 'subsumed-by' : 'not-subsumed';
}

/** @throws FhirError `not-found` (404) when it is not held */
export async function heldCodeSystem(url: string, version: string, resolve: Resolve): Promise<CodeSystem> {
  const resource = await resolve.codeSystem(url, version);
  if (resource !== undefined) return codeSystemOf(resource);
  const which = version === '' ? '' : ` in version \`${version.slice(0, 64)}\``;
  throw fhirError('not-found', `The code system ${shown(url)} is not held here${which}.`);
}

/** @throws FhirError `not-found` (404) when it is not held */
export async function heldValueSet(canonical: string, resolve: Resolve): Promise<Resource> {
  const { url, version } = canonicalParts(canonical);
  const resource = await resolve.valueSet(url, version);
  if (resource !== undefined) return resource;
  throw fhirError('not-found', `The value set ${shown(canonical)} is not held here.`);
}

const keyOf = ({ system, code }: Pick<Coding, 'system' | 'code'>): string => `${system}|${code}`;

const asCoding = (system: string, concept: Concept): Coding => ({
  system,
  code: concept.code,
  display: concept.display,
  abstract: concept.abstract,
  inactive: concept.inactive,
});

/**
 * Every code of a value set, each once, in the order of its composition.
 * @throws FhirError `not-found` for a code system or value set that is not held, `not-unprocessable` (422) for one that cannot be
 *   enumerated, `too-costly` above 50 000 codes
 */
export async function expand(valueSet: Resource, resolve: Resolve): Promise<readonly Coding[]> {
  return [...(await expanded(valueSet, new Expanding(resolve), 0)).values()];
}

/** One expansion under way: value sets that name each other many times end as too costly, not as a long wait. */
class Expanding {
  readonly resolve: Resolve;
  #left = WORK;

  constructor(resolve: Resolve) {
    this.resolve = resolve;
  }

  spend(concepts: number): void {
    this.#left -= concepts + 10;
    if (this.#left < 0) throw fhirError('too-costly', 'The value set takes too much work to expand.');
  }
}

type Codings = Map<string, Coding>;

async function expanded(valueSet: Resource, expanding: Expanding, depth: number): Promise<Codings> {
  expanding.spend(0);
  if (depth > DEEPEST) throw cannot('Value sets include each other too deeply.');
  const found: Codings = new Map();
  const { compose, expansion } = valueSet;
  if (!isJsonObject(compose)) {
    if (!isJsonObject(expansion)) throw cannot(`The value set ${shown(textAt(valueSet.url) ?? '')} defines no codes.`);
    collect(objectsAt(expansion.contains), found);
    return found;
  }
  for (const part of objectsAt(compose.include)) {
    for (const [key, coding] of await partCodings(part, expanding, depth)) {
      found.set(key, coding);
      if (found.size > MOST) throw fhirError('too-costly', `The value set has more than ${MOST} codes.`);
    }
  }
  for (const part of objectsAt(compose.exclude)) {
    for (const key of (await partCodings(part, expanding, depth)).keys()) found.delete(key);
  }
  if (compose.inactive === false) for (const [key, { inactive }] of found) if (inactive) found.delete(key);
  return found;
}

function cannot(message: string): FhirError {
  return fhirError('not-unprocessable', message);
}

function collect(contains: readonly JsonObject[], into: Codings): void {
  for (const { system, code, display, abstract, inactive, contains: below } of contains) {
    if (textAt(code) !== undefined) {
      const coding = { system: textAt(system) ?? '', code: textAt(code) ?? '', display: textAt(display) };
      into.set(keyOf(coding), { ...coding, abstract: abstract === true, inactive: inactive === true });
    }
    collect(objectsAt(below), into);
  }
}

/** One include or exclude: what its system part gives, in all of the value sets it names. */
async function partCodings(part: JsonObject, expanding: Expanding, depth: number): Promise<Codings> {
  const system = textAt(part.system);
  const sets: Codings[] = system === undefined ? [] : [await systemCodings(part, system, expanding)];
  for (const canonical of textsAt(part.valueSet)) {
    sets.push(await expanded(await heldValueSet(canonical, expanding.resolve), expanding, depth + 1));
  }
  const [first = new Map<string, Coding>(), ...others] = sets;
  return new Map([...first].filter(([key]) => others.every((each) => each.has(key))));
}

async function systemCodings(part: JsonObject, system: string, expanding: Expanding): Promise<Codings> {
  const version = textAt(part.version) ?? '';
  if (part.concept !== undefined) return listed(part, system, version, expanding);
  const held = await heldCodeSystem(system, version, expanding.resolve);
  if (!held.complete)
    throw cannot(`The code system ${shown(system)} is not held complete, so it cannot be enumerated.`);
  expanding.spend(held.concepts.size);
  const filters = objectsAt(part.filter).map((filter) => filterOf(filter, held));
  const concepts = [...held.concepts.values()].filter((concept) => filters.every((holds) => holds(concept)));
  return new Map(concepts.map((concept) => [keyOf({ system, code: concept.code }), asCoding(system, concept)]));
}

/** Codes that are listed stand, whether or not their system is held. */
async function listed(part: JsonObject, system: string, version: string, expanding: Expanding): Promise<Codings> {
  const resource = await expanding.resolve.codeSystem(system, version);
  const held = resource === undefined ? undefined : codeSystemOf(resource);
  expanding.spend(objectsAt(part.concept).length);
  const codings = objectsAt(part.concept).map((each): Coding => {
    const code = textAt(each.code) ?? '';
    const concept = held?.concepts.get(code);
    const display = textAt(each.display) ?? concept?.display;
    return { system, code, display, abstract: concept?.abstract ?? false, inactive: concept?.inactive ?? false };
  });
  return new Map(codings.map((coding) => [keyOf(coding), coding]));
}

type Filter = (concept: Concept) => boolean;

/** valueset-filter-operator on the hierarchy, and `=`, `exists` on properties. A regex from a client is not run here. */
function filterOf({ property, op, value }: JsonObject, system: CodeSystem): Filter {
  const name = textAt(property) ?? '';
  const text = textAt(value) ?? '';
  if (name === 'concept' || name === 'code') {
    const below = descendants(system, text);
    switch (op) {
      case 'is-a':
        return ({ code }) => below.has(code);
      case 'descendent-of':
        return ({ code }) => code !== text && below.has(code);
      case 'is-not-a':
        return ({ code }) => !below.has(code);
      case 'generalizes': {
        const above = ancestors(system, text);
        return ({ code }) => above.has(code);
      }
      case '=':
        return ({ code }) => code === text;
      case 'in':
      case 'not-in': {
        const codes = new Set(text.split(',').map((each) => each.trim()));
        return ({ code }) => codes.has(code) === (op === 'in');
      }
      default:
    }
  } else if (op === '=')
    return ({ properties }) => properties.some((each) => each.code === name && valueText(each) === text);
  else if (op === 'exists')
    return ({ properties }) => properties.some(({ code }) => code === name) === (text === 'true');
  throw cannot(`The filter \`${(textAt(op) ?? '').slice(0, 32)}\` on \`${name.slice(0, 64)}\` is not supported.`);
}

function valueText(property: JsonObject): string | undefined {
  const value = Object.entries(property).find(([key]) => key.startsWith('value'))?.[1];
  if (value !== undefined && isJsonObject(value)) return textAt(value.code);
  return value === undefined ? undefined : String(value);
}

/**
 * The coding as the value set has it; undefined when it is not in it. Only what the coding needs is looked at.
 * @param given `system` undefined = the code in any system
 * @throws FhirError as `expand`
 */
export async function contains(
  valueSet: Resource,
  given: { readonly system: string | undefined; readonly code: string },
  resolve: Resolve,
): Promise<Coding | undefined> {
  const { compose } = valueSet;
  const include = isJsonObject(compose) ? objectsAt(compose.include) : [];
  const parts = isJsonObject(compose) ? [...include, ...objectsAt(compose.exclude)] : [];
  const may = (part: JsonObject): boolean =>
    part.valueSet !== undefined || given.system === undefined || part.system === given.system;
  const narrowed: Resource =
    parts.length === 0 || !isJsonObject(compose)
      ? valueSet
      : {
          ...valueSet,
          compose: { ...compose, include: include.filter(may), exclude: objectsAt(compose.exclude).filter(may) },
        };
  const codings = await expanded(narrowed, new Expanding(resolve), 0);
  if (given.system !== undefined) return codings.get(keyOf({ system: given.system, code: given.code }));
  return [...codings.values()].find(({ code }) => code === given.code);
}
