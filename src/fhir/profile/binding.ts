/**
 * Is a code in a value set? Decided from what is held, without expanding anything that is not. Source: valueset.html#compositions,
 * terminologies.html#strength.
 */
import type { Definitions } from '../definitions/definitions.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../resource.ts';
import { codeSystemOf, descendants, objectsAt, textAt } from '../terminology/terminology.ts';
import { urlOf } from './profile.ts';

/** `unknown`: the value set, or a code system it draws on, is not held. */
export type Membership = 'in' | 'out' | 'unknown';
export interface Code {
  /** undefined = a code element: only the code is known. */
  readonly system: string | undefined;
  readonly code: string;
}
type Test = (code: Code) => Membership;

/** How deep value sets may include value sets. */
const DEEPEST = 8;

/** Membership by canonical of a value set, remembered for as long as the definitions are. */
export function memberships(definitions: Definitions): (canonical: string) => Test {
  const known = new Map<string, Test>();
  return (canonical) => {
    const url = urlOf(canonical);
    let test = known.get(url);
    if (test === undefined) {
      test = membership(url, definitions, 0);
      known.set(url, test);
    }
    return test;
  };
}

const UNKNOWN: Test = () => 'unknown';
const either = (found: readonly Membership[]): Membership =>
  found.includes('in') ? 'in' : found.includes('unknown') ? 'unknown' : 'out';
const both = (found: readonly Membership[]): Membership =>
  found.includes('out') ? 'out' : found.includes('unknown') ? 'unknown' : 'in';

function membership(url: string, definitions: Definitions, depth: number): Test {
  const enumerated = definitions.valueSet(url);
  if (enumerated !== undefined) {
    const bare = new Set([...enumerated].map((each) => each.slice(each.lastIndexOf('|') + 1)));
    return ({ system, code }) =>
      (system === undefined ? bare.has(code) : enumerated.has(`${system}|${code}`)) ? 'in' : 'out';
  }
  const valueSet = definitions.published('ValueSet', url);
  if (valueSet === undefined || depth > DEEPEST) return UNKNOWN;
  const { compose, expansion } = valueSet;
  if (!isJsonObject(compose)) return isJsonObject(expansion) ? ofExpansion(expansion) : UNKNOWN;
  const include = objectsAt(compose.include).map((part) => partTest(part, definitions, depth));
  const exclude = objectsAt(compose.exclude).map((part) => partTest(part, definitions, depth));
  return (code) => {
    const found = either(include.map((test) => test(code)));
    if (found === 'out' || exclude.length === 0) return found;
    const left = either(exclude.map((test) => test(code)));
    return left === 'in' ? 'out' : left === 'unknown' ? 'unknown' : found;
  };
}

function ofExpansion(expansion: JsonObject): Test {
  const codes = new Set<string>();
  const add = (contains: Json | undefined): void => {
    for (const each of objectsAt(contains)) {
      codes.add(`${textAt(each.system) ?? ''}|${textAt(each.code) ?? ''}`);
      codes.add(textAt(each.code) ?? '');
      add(each.contains);
    }
  };
  add(expansion.contains);
  return ({ system, code }) => (codes.has(system === undefined ? code : `${system}|${code}`) ? 'in' : 'out');
}

/** One include or exclude: its system part and all of the value sets it names. */
function partTest(part: JsonObject, definitions: Definitions, depth: number): Test {
  const sets = Array.isArray(part.valueSet) ? part.valueSet.filter((each) => typeof each === 'string') : [];
  const tests = sets.map((each) => membership(urlOf(each), definitions, depth + 1));
  const system = textAt(part.system);
  if (system !== undefined) tests.push(systemTest(part, system, definitions));
  return tests.length === 0 ? UNKNOWN : (code) => both(tests.map((test) => test(code)));
}

function systemTest(part: JsonObject, system: string, definitions: Definitions): Test {
  const within = (test: (code: string) => Membership): Test => {
    return (given) => (given.system === undefined || given.system === system ? test(given.code) : 'out');
  };
  if (part.concept !== undefined) {
    const codes = new Set(objectsAt(part.concept).map(({ code }) => textAt(code)));
    return within((code) => (codes.has(code) ? 'in' : 'out'));
  }
  const resource = definitions.published('CodeSystem', system);
  if (resource === undefined || resource.content !== 'complete') return within(() => 'unknown');
  const filters = objectsAt(part.filter).map((filter) => filterTest(filter, resource));
  const { concepts } = codeSystemOf(resource);
  return within((code) => (concepts.has(code) ? both(filters.map((test) => test(code))) : 'out'));
}

/** Filters on the hierarchy; another one leaves it open. */
function filterTest({ property, op, value }: JsonObject, resource: Resource): (code: string) => Membership {
  const root = textAt(value) ?? '';
  if (property !== 'concept' || (op !== 'is-a' && op !== 'descendent-of')) return () => 'unknown';
  const below = descendants(codeSystemOf(resource), root);
  return (code) => (below.has(code) && (op === 'is-a' || code !== root) ? 'in' : 'out');
}
