/**
 * Rights -> the access filter that every plan holds. Source: SMART App Launch 2.2 (scopes); docs/authorization.md, decision 0028.
 * A grant is (context, type, verbs, parameters): the filter of one grant never widens another's. What cannot be compiled permits nothing.
 */
import { FhirError } from '../fhir/outcome.ts';
import type { AccessFilter, Predicate, Verb } from '../fhir/search/algebra.ts';
import { compartmentPredicate } from '../fhir/search/compartment.ts';
import { needsOthers } from '../fhir/search/satisfies.ts';
import { ALL, and, NONE, or } from '../fhir/search/simplify.ts';
import type { CallerFacts } from '../rest/caller.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { BESIDE_COMPARTMENT, EXPLICIT_ONLY, OPEN_TO_PATIENTS } from './reach.ts';
import type { Rights, Scope } from './scopes.ts';

export type AccessContext = Pick<RestContext, 'definitions' | 'capability' | 'parseSearch' | 'planSearch'>;

/** The caller on the thread that answers. Facts of before there were rights are those of nobody. */
export function callerOf(facts: CallerFacts, context: AccessContext): Caller {
  return { ...facts, access: accessFilter(facts.rights, facts.principal, context) };
}

/** Filters that are compiled are kept as long as the claims they were compiled by; most kept at once. */
const compiled = new WeakMap<AccessContext['capability'], Map<string, AccessFilter>>();
const KEPT = 500;

/** What rights mean, for one principal. Cost: one look-up when the same rights asked before. */
export function accessFilter(rights: Rights, principal: string, context: AccessContext): AccessFilter {
  if (rights?.kind === 'everything') return { principal, visible: () => ALL };
  if (rights?.kind !== 'granted') return { principal, visible: () => NONE };
  const known = compiled.get(context.capability) ?? new Map<string, AccessFilter>();
  compiled.set(context.capability, known);
  const key = JSON.stringify([principal, rights]);
  const found = known.get(key) ?? grantedFilter(rights, principal, context);
  known.delete(key);
  known.set(key, found); // last used, last in order
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return found;
}

type Granted = Extract<Rights, { kind: 'granted' }>;

/** Compiled a type and verb at a time, when it is first asked for. */
function grantedFilter(rights: Granted, principal: string, context: AccessContext): AccessFilter {
  const known = new Map<string, Predicate>();
  return {
    principal,
    visible: (type, verb) => {
      const key = `${verb} ${type}`;
      const found = known.get(key) ?? or(rights.scopes.map((scope) => granted(scope, type, verb, rights, context)));
      known.set(key, found);
      return found;
    },
  };
}

/** What one scope gives of a type. */
function granted(
  { context: reach, type: named, verbs, query }: Scope,
  type: string,
  verb: Verb,
  { patients }: Granted,
  context: AccessContext,
): Predicate {
  if (!verbs.includes(verb) || (named !== type && (named !== '*' || EXPLICIT_ONLY.has(type)))) return NONE;
  const within = reach === 'patient' ? ofPatients(type, verb, patients, context) : ALL;
  return within.kind === 'none' || query === '' ? within : and([within, asked(type, query, context)]);
}

/**
 * What `patient/` scopes reach: the compartments of the person's records; beside them, what holds no patient's data may be read.
 * Without a patient in the token they reach nothing at all.
 */
function ofPatients(type: string, verb: Verb, patients: readonly string[], context: AccessContext): Predicate {
  const [first] = patients;
  if (first === undefined || EXPLICIT_ONLY.has(type)) return NONE;
  if (type === 'Patient') return { kind: 'ids', ids: patients }; // not those that only link to it
  if (OPEN_TO_PATIENTS.has(type)) return verb === 'read' || verb === 'search' ? ALL : NONE;
  const inside = compartmentPredicate({ type: 'Patient', id: first }, type, context.definitions, patients) ?? NONE;
  const targets = patients.map((id) => `Patient/${id}`);
  const beside = (BESIDE_COMPARTMENT.get(type) ?? []).map(
    (code): Predicate => ({ kind: 'reference', parameter: `${type}.${code}`, targets }),
  );
  return or([inside, ...beside]);
}

const EVERYTHING: AccessFilter = { principal: '', visible: () => ALL };

/** The parameters of a scope as a predicate, read as strictly as a search; `none` when they are no criteria that one resource can be judged by. */
function asked(type: string, query: string, context: AccessContext): Predicate {
  try {
    const parsed = context.parseSearch(type, query, 'strict');
    if (parsed.criteria.length === 0 || parsed.used.length !== parsed.criteria.length) return NONE;
    const { where } = context.planSearch(parsed, EVERYTHING);
    return needsOthers(where) ? NONE : where;
  } catch (error) {
    if (error instanceof FhirError) return NONE;
    throw error;
  }
}
