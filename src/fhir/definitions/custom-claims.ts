/** Definitions and claims with the parameters of clients in them: one immutable snapshot. Source: searchparameter.html, capabilitystatement.html. */

import type { Issue } from '../outcome.ts';
import { type AddedParameter, type Capability, type ClaimedType, SUPPORTED } from './capability.ts';
import {
  type CustomParameter,
  keyOf,
  linkedCustom,
  type Published,
  parameterFaults,
  rowsDecidedBy,
} from './custom-parameter.ts';
import type { Definitions, SearchParameter } from './definitions.ts';

export interface InForce {
  /** Those that hold, in the order given. */
  readonly parameters: readonly AddedParameter[];
  /** `Patient.eye-colour` -> what its rows are decided by. */
  readonly keys: ReadonlyMap<string, string>;
  /** Logical id -> why it does not hold. */
  readonly faults: ReadonlyMap<string, readonly Issue[]>;
}

/** Most parameters (of one type each) that clients can add: each costs every write of its type. */
export const PARAMETER_LIMIT = 500;

/**
 * Which of the active parameters hold. Of two with one code and type the first does. Composites come last, so that they find the others.
 * @param customs in the order of their creation
 */
export function inForce(customs: readonly CustomParameter[], published: Published): InForce {
  const parameters: AddedParameter[] = [];
  const keys = new Map<string, string>();
  const faults = new Map<string, readonly Issue[]>();
  const isComposite = ({ type }: CustomParameter): boolean => type === 'composite';
  let known = published.definitions;
  const admit = (custom: CustomParameter): void => {
    const found = [...faultsOf(custom, published, known), ...taken(custom, keys)];
    if (found.length > 0) {
      faults.set(custom.id, found);
      return;
    }
    for (const type of custom.base) {
      const parameter = linkedCustom(custom, type, known);
      if (parameter === undefined) continue;
      parameters.push({ type, parameter });
      keys.set(keyOf(type, custom.code), rowsDecidedBy(parameter));
    }
  };
  customs.filter((each) => !isComposite(each)).forEach(admit);
  known = withParameters(published.definitions, parameters);
  customs.filter(isComposite).forEach(admit);
  return { parameters, keys, faults };
}

/** Parameters that were found to hold, by the definitions they were judged by: to judge one costs a few tenths of a ms, and each change asks for all. */
const HOLDING = new WeakMap<Definitions, Set<string>>();
/** A client that writes and deletes may fill it. */
const MOST_REMEMBERED = 4 * PARAMETER_LIMIT;

/** `parameterFaults`, remembered where there are none. What a composite is depends on others too, so it is judged each time. */
export function faultsOf(custom: CustomParameter, published: Published, known: Definitions): readonly Issue[] {
  if (custom.type === 'composite') return parameterFaults(custom, published, known);
  const holding = HOLDING.get(published.definitions) ?? new Set<string>();
  HOLDING.set(published.definitions, holding);
  const text = JSON.stringify({ ...custom, id: '' });
  if (holding.has(text)) return [];
  const faults = parameterFaults(custom, published, known);
  if (holding.size >= MOST_REMEMBERED) holding.clear();
  if (faults.length === 0) holding.add(text);
  return faults;
}

function taken({ base, code }: CustomParameter, keys: ReadonlyMap<string, string>): readonly Issue[] {
  if (keys.size + base.length > PARAMETER_LIMIT) {
    return [{ kind: 'business-rule', message: `More than ${PARAMETER_LIMIT} parameters are added.` }];
  }
  const type = base.find((each) => keys.has(keyOf(each, code)));
  const message = `Another parameter of ${type} has the code \`${code}\`.`;
  return type === undefined ? [] : [{ kind: 'conflict', message, expression: 'SearchParameter.code' }];
}

/** The definitions with more search parameters. */
export function withParameters(definitions: Definitions, added: readonly AddedParameter[]): Definitions {
  if (added.length === 0) return definitions;
  const byType = new Map<string, Map<string, SearchParameter>>();
  for (const { type, parameter } of added) {
    const ofType = byType.get(type) ?? new Map(definitions.searchParameters(type));
    byType.set(type, ofType.set(parameter.code, parameter));
  }
  return Object.freeze({
    ...definitions,
    hash: `${definitions.hash} ${added.map(({ type, parameter }) => `${type} ${rowsDecidedBy(parameter)}`).join(' ')}`,
    searchParameters: (type: string) => byType.get(type) ?? definitions.searchParameters(type),
  });
}

/**
 * The claims with more search parameters. A reference can be included from its type, and back from each type it can point at.
 * @param added those whose rows are whole
 * @param indexing how far the others are
 */
export function withClaims(
  capability: Capability,
  added: readonly AddedParameter[],
  indexing: (key: string) => number | undefined,
): Capability {
  const types = new Map<string, ClaimedType>(capability.types);
  const back = revIncludeClaims(added, capability);
  const own = Map.groupBy(added, ({ type }) => type);
  for (const type of new Set([...own.keys(), ...back.keys()])) {
    const claimed = types.get(type);
    if (claimed === undefined) continue;
    const more = (own.get(type) ?? []).map(({ parameter }) => [parameter.code, parameter] as const);
    const searchParameters = new Map([...claimed.searchParameters, ...more]);
    const revIncludes = [...claimed.revIncludes, ...(back.get(type) ?? [])];
    types.set(type, Object.freeze({ ...claimed, searchParameters, revIncludes }));
  }
  return Object.freeze({ ...capability, types, added, indexing });
}

/** Type -> `_revinclude` that added references bring it: `Observation:my-device`. */
export function revIncludeClaims(
  added: readonly AddedParameter[],
  { types }: Capability,
): ReadonlyMap<string, readonly string[]> {
  const claims = new Map<string, string[]>();
  for (const { type, parameter } of added) {
    if (parameter.type !== 'reference') continue;
    const targets = parameter.targets.length === 0 ? types.keys() : parameter.targets;
    for (const target of targets) {
      if (SUPPORTED.apart.has(target)) continue;
      const ofTarget = claims.get(target) ?? [];
      ofTarget.push(`${type}:${parameter.code}`);
      claims.set(target, ofTarget);
    }
  }
  return claims;
}
