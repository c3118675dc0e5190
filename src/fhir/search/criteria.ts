/** Parameter names -> criteria: modifiers, chains and `_has`, each step checked against the claims. Source: search.html#modifiers, #chaining, #has. */
import { type Capability, SUPPORTED } from '../definitions/capability.ts';
import type { Definitions, SearchParameter } from '../definitions/definitions.ts';
import { type FhirError, fhirError } from '../outcome.ts';
import { pathNodeTypes } from '../path/path.ts';
import { type FilterClaims, filterCriterion } from './filter-criteria.ts';
import { shownName } from './form.ts';
import { parseFullText } from './full-text.ts';
import type { Criterion } from './query.ts';
import { SEARCH_LIMITS, searchType } from './types.ts';
import { unescaped } from './value.ts';

export interface Claims {
  readonly definitions: Definitions;
  readonly capability: Capability;
}
/** A problem that is not `fatal` may be ignored under lenient handling. `unindexed`: the parameter is known, but its rows are still being made. */
export type Resolved =
  | { readonly criterion: Criterion }
  | { readonly problem: string; readonly fatal: boolean; readonly unindexed?: boolean };

interface Search extends Claims {
  readonly values: readonly string[];
  readonly budget: ChainBudget;
}
/** How many chain links and `_has` steps lie above. */
interface Depth {
  readonly chain: number;
  readonly has: number;
}

/** What chains without a type may cost one search: targets that have the parameter, and targets looked at. */
const LINK_LIMIT = 60;
const ATTEMPT_LIMIT = 1000;
/** Counts both over the whole search. */
export interface ChainBudget {
  links: number;
  attempts: number;
}

/** The criterion of a parameter name. @throws FhirError `too-costly` beyond the depth or fan-out limits */
export function criterionOf(
  type: string,
  name: string,
  values: readonly string[],
  { definitions, capability }: Claims,
  budget: ChainBudget,
): Resolved {
  return resolve(type, name, { definitions, capability, values, budget }, { chain: 0, has: 0 });
}

function resolve(type: string, name: string, search: Search, depth: Depth): Resolved {
  if (name.startsWith('_has:')) return resolveHas(type, name, search, depth);
  const dot = name.indexOf('.');
  return dot === -1
    ? resolveValue(type, name, search)
    : resolveChain(type, name.slice(0, dot), name.slice(dot + 1), search, depth);
}

const claimedParameter = (search: Claims, type: string, code: string): SearchParameter | undefined => {
  const parameter = search.capability.types.get(type)?.searchParameters.get(code);
  return parameter?.type === 'special' && !SUPPORTED.specials.has(code) ? undefined : parameter;
};

const unknown = (problem: string): Resolved => ({ problem, fatal: false });

/** What there is to say of a parameter that is not whole yet; undefined for every other. */
export function unindexed({ indexing }: Capability, type: string, code: string): string | undefined {
  const percent = indexing?.(`${type}.${code}`);
  return percent === undefined ? undefined : `\`${code}\` of ${type} is not yet indexed (${percent} % done)`;
}

function unknownParameter(search: Claims, type: string, code: string): Resolved {
  const unready = unindexed(search.capability, type, code);
  if (unready !== undefined) return { problem: unready, fatal: false, unindexed: true };
  const advice = ADVICE.get(code);
  // Without the named query another question would be answered: search.html#query.
  if (advice !== undefined) return { problem: `\`${code}\` is not supported: ${advice}.`, fatal: code === '_query' };
  const valid = [...(search.capability.types.get(type)?.searchParameters.keys() ?? [])].sort().join(', ');
  return unknown(`\`${shownName(code)}\` is not a search parameter of ${type}. Valid are: ${valid}.`);
}

function resolveValue(type: string, name: string, search: Search): Resolved {
  const colon = name.indexOf(':');
  const code = colon === -1 ? name : name.slice(0, colon);
  const modifier = colon === -1 ? undefined : name.slice(colon + 1);
  if (search.capability.common.has(code) && !SUPPORTED.apart.has(type)) {
    const special = modifier === undefined ? SPECIAL.get(code) : undefined;
    if (special !== undefined) return special(type, search);
    if (SPECIAL.has(code)) return { problem: `\`${code}\` has no modifiers.`, fatal: true };
  }
  const parameter = claimedParameter(search, type, code);
  if (parameter === undefined) return unknownParameter(search, type, code);
  if (modifier !== undefined && !isModifier(type, parameter, modifier, search)) {
    const valid = searchType(parameter.type).modifiers.map((each) => `:${each}`);
    const problem = `Modifier \`${shownName(modifier)}\` is not supported on ${type} \`${code}\` (${parameter.type}). Valid are: ${valid.join(', ')}.`;
    return { problem, fatal: true };
  }
  const values = isCaseless(type, parameter, modifier, search.definitions)
    ? search.values.map((value) => value.toLowerCase())
    : search.values;
  return { criterion: { kind: 'value', parameter, modifier, values } };
}

/** Element types whose tokens are kept in lower case: rows.ts. No parameter of R4 mixes them with others. */
const CASELESS: ReadonlySet<string> = new Set(['string', 'ContactPoint']);

/** Texts as tokens are compared without case, codes and identifiers as written: search.html#token, datatypes.html#Identifier. */
function isCaseless(
  type: string,
  parameter: SearchParameter,
  modifier: string | undefined,
  definitions: Definitions,
): boolean {
  if (parameter.type !== 'token' || (modifier !== undefined && modifier !== 'not')) return false;
  const known = caseless.get(definitions) ?? new WeakMap<SearchParameter, ReadonlyMap<string, boolean>>();
  caseless.set(definitions, known);
  const before = known.get(parameter);
  const found = before?.get(type) ?? isOfTexts(pathNodeTypes(parameter.expression, type, definitions));
  if (before?.has(type) !== true) known.set(parameter, new Map([...(before ?? []), [type, found]]));
  return found;
}

/** By parameter and type, since paths are compiled to know it. */
const caseless = new WeakMap<Definitions, WeakMap<SearchParameter, ReadonlyMap<string, boolean>>>();

const isOfTexts = (nodes: ReadonlySet<string>): boolean =>
  nodes.size > 0 && [...nodes].every((node) => CASELESS.has(node));

function filterClaims(search: Search): FilterClaims {
  return {
    isCaseless: (type, parameter) => isCaseless(type, parameter, undefined, search.definitions),
    parameter: (type, code) => {
      const unready = unindexed(search.capability, type, code);
      if (unready !== undefined) throw fhirError('not-indexed', `\`_filter\`: ${unready}. Try again later.`);
      return claimedParameter(search, type, code);
    },
    targets: (parameter) => {
      const targets = targetsOfId(parameter, search.capability);
      search.budget.attempts += targets.length;
      if (search.budget.attempts > ATTEMPT_LIMIT) throw tooManyTargets(parameter.code);
      return targets;
    },
    chainDepth: SEARCH_LIMITS.chainDepth,
  };
}

/** Resources that a List points at: the reverse of its `item`. Current lists (`$current-allergies`) are not kept. */
function listed(type: string, search: Search): Resolved {
  if (search.values.some((value) => value.startsWith('$'))) {
    return { problem: '`_list`: functional lists are not supported; give the id of a List.', fatal: true };
  }
  return resolveHas(type, '_has:List:item:_id', search, { chain: 0, has: 0 });
}

/** What a well-known parameter that is not supported can be replaced by. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['_contained', 'contained resources are found with their container only; chain into references instead'],
  ['_containedType', 'contained resources are found with their container only'],
  ['_query', 'there are no named queries; use search parameters or `_filter`'],
]);

const anyOf = (of: readonly Criterion[]): Resolved => ({ criterion: { kind: 'any', of } });

/** THE table of parameters of all types that have a grammar of their own. */
const SPECIAL: ReadonlyMap<string, (type: string, search: Search) => Resolved> = new Map([
  ['_text', (_type, { values }) => anyOf(values.map((value) => parseFullText('_text', unescaped(value))))],
  [
    '_filter',
    (type, search) => anyOf(search.values.map((value) => filterCriterion(value, type, filterClaims(search)))),
  ],
  ['_list', listed],
  ['_content', (_type, { values }) => anyOf(values.map((value) => parseFullText('_content', unescaped(value))))],
]);

/** `_id` and `_lastUpdated` have no rows of their own kind. */
const ENGINE_MODIFIERS: ReadonlyMap<string, readonly string[]> = new Map([
  ['_id', ['missing', 'not']],
  ['_lastUpdated', ['missing']],
]);

/** Modifiers that look at parts which only these data types have. */
const NODES: ReadonlyMap<string, readonly string[]> = new Map([
  ['of-type', ['Identifier']],
  ['text', ['Coding', 'CodeableConcept', 'Identifier']],
]);

function isModifier(type: string, parameter: SearchParameter, modifier: string, { definitions }: Claims): boolean {
  const own = ENGINE_MODIFIERS.get(parameter.code);
  if (own !== undefined) return own.includes(modifier);
  const { modifiers } = searchType(parameter.type);
  const needs = NODES.get(modifier);
  if (needs !== undefined && modifiers.includes(modifier)) {
    const nodes = pathNodeTypes(parameter.expression, type, definitions);
    return needs.some((node) => nodes.has(node));
  }
  if (modifiers.includes(modifier)) return modifier !== '[type]';
  return modifiers.includes('[type]') && definitions.resourceTypes.has(modifier) && canTarget(parameter, modifier);
}

function canTarget({ targets }: SearchParameter, type: string): boolean {
  return targets.length === 0 || targets.includes(type) || targets.includes('Resource');
}

/** Claimed types a reference parameter can point at. */
export function claimedTargets(parameter: SearchParameter, capability: Capability): readonly string[] {
  return [...capability.types.keys()].filter((type) => canTarget(parameter, type));
}

/** The whole of an expression that takes references to one type only. */
const OF_ONE_TYPE = /^[A-Za-z.]+\.where\(resolve\(\) is ([A-Za-z]+)\)$/;

const idTargets = new WeakMap<Capability, WeakMap<SearchParameter, readonly string[]>>();

/**
 * Types that an id without a type can be of: the claimed targets of which a row can be. `Observation.patient` is defined for Groups too, but its
 * expression takes Patients only, and one target is one range of an index. Worked out once.
 */
export function targetsOfId(parameter: SearchParameter, capability: Capability): readonly string[] {
  const known = idTargets.get(capability) ?? new WeakMap<SearchParameter, readonly string[]>();
  idTargets.set(capability, known);
  const before = known.get(parameter);
  if (before !== undefined) return before;
  const [, only] = OF_ONE_TYPE.exec(parameter.expression) ?? [];
  const found = claimedTargets(parameter, capability).filter((type) => only === undefined || type === only);
  known.set(parameter, found);
  return found;
}

function resolveChain(type: string, step: string, rest: string, search: Search, depth: Depth): Resolved {
  if (depth.chain >= SEARCH_LIMITS.chainDepth) {
    throw fhirError('too-costly', `A chain is longer than ${SEARCH_LIMITS.chainDepth} references.`);
  }
  const colon = step.indexOf(':');
  const code = colon === -1 ? step : step.slice(0, colon);
  const parameter = claimedParameter(search, type, code);
  if (parameter === undefined) return unknownParameter(search, type, code);
  if (parameter.type !== 'reference') return unknown(`${type} \`${code}\` is not a reference: it can't be chained.`);
  const wanted = colon === -1 ? undefined : step.slice(colon + 1);
  const targets = claimedTargets(parameter, search.capability).filter(
    (each) => wanted === undefined || each === wanted,
  );
  if (targets.length === 0)
    return unknown(`${type} \`${code}\` has no served target \`${shownName(wanted ?? 'type')}\`.`);
  search.budget.attempts += targets.length;
  if (search.budget.attempts > ATTEMPT_LIMIT) throw tooManyTargets(code);
  const resolved = targets.map((target) => ({
    target,
    found: resolve(target, rest, search, { ...depth, chain: depth.chain + 1 }),
  }));
  const links = resolved.flatMap(({ target, found }) =>
    'criterion' in found ? [{ type: target, where: found.criterion }] : [],
  );
  // One target that cannot answer yet would make the others a part of the answer.
  const unready = resolved.find(({ found }) => 'problem' in found && found.unindexed === true);
  if (unready !== undefined) return unready.found;
  const failed = resolved.find(({ found }) => 'problem' in found);
  if (links.length === 0) {
    if (failed !== undefined && targets.length === 1) return failed.found;
    return unknown(`No target of ${type} \`${code}\` has a search parameter \`${shownName(rest)}\`.`);
  }
  search.budget.links += links.length;
  if (search.budget.links > LINK_LIMIT) throw tooManyTargets(code);
  return { criterion: { kind: 'chain', parameter, links } };
}

function tooManyTargets(code: string): FhirError {
  return fhirError('too-costly', `Chains fan out to too many types; name one: \`${code}:Type.\`.`);
}

/** `_has:Observation:patient:code`. */
function resolveHas(type: string, name: string, search: Search, depth: Depth): Resolved {
  if (depth.has >= SEARCH_LIMITS.hasDepth) {
    throw fhirError('too-costly', `_has is nested deeper than ${SEARCH_LIMITS.hasDepth} levels.`);
  }
  const [, source = '', code = '', ...rest] = name.split(':');
  if (rest.length === 0) return unknown('_has is written `_has:Type:reference:parameter`.');
  if (!search.capability.types.has(source)) return unknown(`_has: \`${shownName(source)}\` is not served.`);
  if (SUPPORTED.apart.has(source) && source !== type) return unknown(`_has: ${source} is searched by itself only.`);
  const parameter = claimedParameter(search, source, code);
  if (parameter === undefined) return unknownParameter(search, source, code);
  if (parameter.type !== 'reference' || !canTarget(parameter, type)) {
    return unknown(`_has: ${source} \`${code}\` can't point at ${type}.`);
  }
  const inner = resolve(source, rest.join(':'), search, { ...depth, has: depth.has + 1 });
  return 'problem' in inner ? inner : { criterion: { kind: 'has', type: source, parameter, where: inner.criterion } };
}
