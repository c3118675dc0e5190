/**
 * Rights -> the access filter that every plan holds. Source: SMART App Launch 2.2 (scopes); docs/authorization.md, decision 0028.
 * A grant is (context, type, verbs, parameters): the filter of one grant never widens another's. What cannot be compiled permits nothing.
 */
import { FhirError, fhirError } from '../fhir/outcome.ts';
import type { AccessFilter, Predicate, Verb } from '../fhir/search/algebra.ts';
import { compartmentPredicate } from '../fhir/search/compartment.ts';
import { belongingTo, OWNED } from '../fhir/search/owner.ts';
import { needsOthers } from '../fhir/search/satisfies.ts';
import { BINARY, IS_GUARDED } from '../fhir/search/security-context.ts';
import { ALL, and, NONE, not, or } from '../fhir/search/simplify.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import type { CallerFacts } from '../rest/permission/caller.ts';
import { withMemberships } from './consent-actors.ts';
import { type Judged, regionsOf } from './consent-regions.ts';
import { type ConsentState, heldConsentsOf } from './held-consents.ts';
import {
  type AccessPolicy,
  hiddenLabels,
  isBoundByConsent,
  type Permit,
  type Role,
  rolesOf,
  seesOthers,
} from './policy.ts';
import { ABOUT_SEVERAL, BESIDE_COMPARTMENT, EXPLICIT_ONLY, OPEN_TO_PATIENTS } from './reach.ts';
import { NO_SITUATION, type Rights, type Scope, type Situation } from './scopes.ts';
import { throughContext } from './security-context.ts';

export type AccessContext = Pick<
  RestContext,
  'definitions' | 'capability' | 'parseSearch' | 'planSearch' | 'policy' | 'store' | 'settings' | 'ambient'
>;

/** The caller on the thread that answers. Facts of before there were rights are those of nobody. */
export function callerOf(facts: CallerFacts, context: AccessContext): Caller {
  return { ...facts, access: accessFilter(facts.rights, facts.principal, context) };
}

/** The same by the Consents as of now: for whoever does not ask by the door, which sees to it itself. */
export async function callerNow(facts: CallerFacts, context: AccessContext): Promise<Caller> {
  const caller = callerOf(facts, context);
  return { ...caller, access: (await caller.access.asOfNow?.()) ?? caller.access };
}

/** Filters by what they were compiled with: a filter keeps its context, to ask for the Consents of its store by its clock. */
class Kept {
  readonly filters = new Map<string, AccessFilter>();
  readonly below = new WeakMap<object, Kept>();
}
const root = new Kept();
/** Most kept at once of one context. */
const KEPT = 500;
const NO_POLICY = {};

/** The filters of one store, by its claims, policy and clock; they are forgotten with any of these. */
function filtersOf({ store, capability, policy, ambient }: AccessContext): Map<string, AccessFilter> {
  let kept = root;
  for (const part of [store, capability, policy ?? NO_POLICY, ambient]) {
    const next = kept.below.get(part) ?? new Kept();
    kept.below.set(part, next);
    kept = next;
  }
  return kept.filters;
}

/** What rights mean, for one principal, by the Consents as they were known last. Cost: one look-up when the same rights asked before. */
export function accessFilter(rights: Rights, principal: string, context: AccessContext): AccessFilter {
  if (rights?.kind === 'everything') return { principal, visible: () => ALL };
  if (rights?.kind !== 'granted') return { principal, visible: () => NONE };
  const { situation = NO_SITUATION } = rights;
  const isBound = context.policy !== undefined && isBoundByConsent(situation, context.policy);
  const consents = isBound ? { state: heldConsentsOf(context).held, actors: situation.actors } : undefined;
  const { store, capability, policy, ambient } = context;
  const made = {
    ...{ store, capability, policy, ambient },
    principal,
    isBound,
    consents: consents?.state?.version,
  };
  const same = recent.get(rights);
  if (same !== undefined && isSame(same.made, made)) return same.filter;
  const filter = keptFilter({ rights, principal, consents }, context);
  recent.set(rights, { made, filter });
  return filter;
}

/** What a filter was made by, besides the rights. */
interface Made extends Pick<AccessContext, 'store' | 'capability' | 'ambient'> {
  readonly policy: AccessContext['policy'];
  readonly principal: string;
  readonly isBound: boolean;
  readonly consents: ConsentState['version'] | undefined;
}

const isSame = (one: Made, other: Made): boolean =>
  one.store === other.store &&
  one.capability === other.capability &&
  one.policy === other.policy &&
  one.ambient === other.ambient &&
  one.principal === other.principal &&
  one.isBound === other.isBound &&
  one.consents === other.consents;

/** By the very object that a token's rights are kept in; on other threads rights are copies, found by what they say. */
const recent = new WeakMap<Rights, { readonly made: Made; readonly filter: AccessFilter }>();

type Granted = Extract<Rights, { kind: 'granted' }>;

/** What a filter is made of; `consents` undefined: none binds. */
interface Asker {
  readonly rights: Granted;
  readonly principal: string;
  readonly consents: { readonly state: ConsentState | undefined; readonly actors: readonly string[] } | undefined;
}

function keptFilter(asker: Asker, context: AccessContext): AccessFilter {
  const { rights, principal, consents } = asker;
  const known = filtersOf(context);
  const key = JSON.stringify([principal, rights, consents?.state?.version, consents?.actors]);
  const found = known.get(key) ?? grantedFilter(asker, context);
  known.delete(key);
  known.set(key, found); // last used, last in order
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return found;
}

/** Compiled a type and verb at a time, when it is first asked for. */
function grantedFilter(asker: Asker, context: AccessContext): AccessFilter {
  const { rights, principal, consents } = asker;
  const known = new Map<string, Predicate>();
  const limits = limitsOf(rights.situation ?? NO_SITUATION, consents, context);
  const compile = (type: string, verb: Verb): Predicate => {
    const scoped = or(rights.scopes.map((scope) => granted(scope, type, verb, rights, context)));
    const cut = scoped.kind === 'none' ? NONE : limits.cut(scoped, type, verb);
    const own = cut.kind === 'none' ? NONE : and([cut, theirs(type, verb, rights.situation, context)]);
    if (type !== BINARY || own.kind === 'none') return own;
    return and([own, throughContext(verb, context.capability.types.keys(), filter.visible)]);
  };
  const filter: AccessFilter = {
    principal,
    isBound: limits.isBound,
    visible: (type, verb) => {
      const key = `${verb} ${type}`;
      const found = known.get(key) ?? compile(type, verb);
      known.set(key, found);
      return found;
    },
  };
  if (consents === undefined) return filter;
  const held = heldConsentsOf(context);
  const isOwn = (state: ConsentState): boolean => state.version === consents.state?.version && !state.namesGroups;
  const ofNow = async (now: number): Promise<AccessFilter> => {
    const state = await held.current(now);
    if (isOwn(state)) return own;
    const { actors } = rights.situation ?? NO_SITUATION;
    const all = state.namesGroups ? await withMemberships(actors, context) : actors;
    return keptFilter({ ...asker, consents: { state, actors: all } }, context);
  };
  const asOfNow = (): AccessFilter | Promise<AccessFilter> => {
    const now = context.ambient.now();
    const state = held.known(now);
    return state !== undefined && isOwn(state) ? own : ofNow(now);
  };
  const own: AccessFilter = { ...filter, asOfNow };
  return own;
}

/** What belongs to who made it is theirs alone, whatever scopes say; anybody may make one. */
function theirs(
  type: string,
  verb: Verb,
  situation: Situation = NO_SITUATION,
  { policy }: Pick<AccessContext, 'policy'>,
): Predicate {
  if (!OWNED.has(type) || verb === 'create' || seesOthers(situation, policy)) return ALL;
  return belongingTo(type, situation.holder);
}

interface Limits {
  /** What is left of what scopes give. */
  cut(scoped: Predicate, type: string, verb: Verb): Predicate;
  isBound(type: string): boolean;
}

/** Nothing there is, by what patients say now: not to be told from a narrow view, as what scopes and roles leave out is. */
const NOTHING_NOW: Predicate = { kind: 'ids', ids: [] };

/** What narrows scopes: roles for good; labels and consents unless an emergency lifts them for one patient. */
function limitsOf(situation: Situation, consents: Asker['consents'], context: AccessContext): Limits {
  const { policy } = context;
  if (policy === undefined) return { cut: (scoped) => scoped, isBound: () => false };
  const roles = rolesOf(situation, policy);
  const hidden = hiddenLabels(situation, policy);
  const lifted = situation.breakGlass === undefined ? [] : [situation.breakGlass.patient];
  return {
    cut: (scoped, type, verb) => {
      const permitted = and([scoped, roles === undefined ? ALL : permittedBy(roles, type, verb, context)]);
      if (permitted.kind === 'none' || type === AUDIT_EVENT) return permitted;
      const limit = and([unlabelled(type, hidden), not(refused(type, verb, situation, consents, context))]);
      const open = limit.kind === 'all' ? ALL : or([limit, compartmentOf(type, lifted, context)]);
      return open.kind === 'none' ? NOTHING_NOW : and([permitted, open]);
    },
    isBound: (type) => consents !== undefined && (type === BINARY || isOfPatients(type, context)),
  };
}

/**
 * What is denied of a type to a caller: by Consents, and by the site where no Consent permits. The conditions that patients share, each with the
 * patients who set it. Before any was read, everything.
 */
function refused(
  type: string,
  verb: Verb,
  { purposes }: Situation,
  consents: Asker['consents'],
  context: AccessContext,
): Predicate {
  if (consents === undefined || !isOfPatients(type, context)) return NONE;
  const { state, actors } = consents;
  if (state === undefined) return ALL;
  assertBounded(state);
  const who: Judged = { verb, actors, purposes, now: state.now };
  const said = state.rules.map(({ root, patients }) => ({ ...regionsOf(root, type, who, context), patients }));
  const denied = alike(said.map(({ deny, patients }) => ({ where: deny, patients }))).map(({ where, patients }) =>
    and([compartmentOf(type, patients, context), where]),
  );
  const { consentDefault } = context.policy ?? {};
  const byDefault = consentDefault === undefined ? NONE : regionsOf(consentDefault, type, who, context).deny;
  if (byDefault.kind === 'none') return or(denied);
  const permitted = alike(said.map(({ permit, patients }) => ({ where: permit, patients }))).map(
    ({ where, patients }) => and([aboutOne(type, patients, context), where]),
  );
  return or([...denied, and([byDefault, not(or(permitted))])]);
}

/** Patients whose Consents are conditions of a plan, at most: each search holds their ids. */
const MOST_PATIENTS = 50_000;

/** @throws FhirError `too-costly` (400) beyond: nobody is answered by a part of the Consents */
function assertBounded({ rules }: ConsentState): void {
  const count = rules.reduce((sum, { patients }) => sum + patients.length, 0);
  if (count <= MOST_PATIENTS) return;
  throw fhirError(
    'too-costly',
    `The Consents of more than ${MOST_PATIENTS} patients limit this caller: the server cannot judge them.`,
  );
}

/** Patients of the same condition together; what is no condition is left out. */
function alike(all: readonly { readonly where: Predicate; readonly patients: readonly string[] }[]) {
  const found = new Map<string, { readonly where: Predicate; readonly patients: Set<string> }>();
  for (const { where, patients } of all) {
    if (where.kind === 'none') continue;
    const key = JSON.stringify(where);
    const known = found.get(key) ?? { where, patients: new Set<string>() };
    for (const id of patients) known.patients.add(id);
    found.set(key, known);
  }
  return [...found.values()].map(({ where, patients }) => ({ where, patients: [...patients] }));
}

/** What of a type is about one of the patients and about nobody else: what they may permit. Of types that may be about several it is nothing. */
function aboutOne(type: string, patients: readonly string[], context: AccessContext): Predicate {
  if (patients.length === 0 || ABOUT_SEVERAL.has(type)) return NONE;
  if (type === 'Patient') return { kind: 'ids', ids: patients };
  if (context.capability.types.get(type)?.searchParameters.get('patient')?.type !== 'reference') return NONE;
  return { kind: 'reference', parameter: `${type}.patient`, targets: patients.map((id) => `Patient/${id}`) };
}

/** Not versioned, not labelled, and about requests rather than care: roles alone decide. */
const AUDIT_EVENT = 'AuditEvent';

/** Whether resources of the type can belong to a patient. */
function isOfPatients(type: string, { definitions }: AccessContext): boolean {
  return definitions.compartmentParameters('Patient', type).length > 0 || BESIDE_COMPARTMENT.has(type);
}

function permittedBy(roles: readonly Role[], type: string, verb: Verb, context: AccessContext): Predicate {
  const permits = roles.flatMap((role) => role.permits);
  return or(permits.map((permit) => permitted(permit, type, verb, context)));
}

/** What one line of a role gives of a type. */
function permitted({ types, verbs, query }: Permit, type: string, verb: Verb, context: AccessContext): Predicate {
  const isNamed = types.includes(type) || (types.includes('*') && !EXPLICIT_ONLY.has(type));
  if (!isNamed || !verbs.includes(verb)) return NONE;
  return query === '' ? ALL : asked(type, query, context);
}

/** @throws TypeError naming every line of a role that permits nothing, since its type is not served or its criteria are none */
export function assertRoles(policy: AccessPolicy | undefined, context: AccessContext): void {
  const problems = policy === undefined ? [] : roleProblems(policy, context);
  if (problems.length > 0) throw new TypeError(`Roles: ${problems.join(' ')}`);
}

function roleProblems(policy: AccessPolicy, context: AccessContext): readonly string[] {
  return [...policy.roles.values()].flatMap(({ name, permits }) =>
    permits.flatMap(({ types, query }) => {
      const unknown = types.filter((type) => type !== '*' && !context.capability.types.has(type));
      const useless =
        query === '' ? [] : types.filter((type) => type === '*' || asked(type, query, context).kind === 'none');
      return [
        ...unknown.map((type) => `${name}.json: ${type} is not served.`),
        ...useless.map((type) => `${name}.json: the criteria are none of ${type}.`),
      ];
    }),
  );
}

/** What has none of the labels, of whatever system. */
function unlabelled(type: string, codes: readonly string[]): Predicate {
  return not(or(codes.map((code): Predicate => ({ kind: 'token', parameter: `${type}._security`, code }))));
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
  if (OPEN_TO_PATIENTS.has(type)) return verb === 'read' || verb === 'search' ? ALL : NONE;
  if (type === BINARY) return IS_GUARDED; // and what it names decides
  return compartmentOf(type, patients, context);
}

/** What of a type belongs to the patients. */
function compartmentOf(type: string, patients: readonly string[], context: AccessContext): Predicate {
  const [first] = patients;
  if (first === undefined) return NONE;
  if (type === 'Patient') return { kind: 'ids', ids: patients }; // not those that only link to it
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
