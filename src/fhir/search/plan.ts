/** SearchQuery + AccessFilter -> SearchPlan. The only way to a plan: access is joined at the root and wherever another type is touched. */
import type { Capability } from '../definitions/capability.ts';
import type { SearchParameter } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import { ID_PATTERN } from '../resource.ts';
import type { AccessFilter, ParameterKey, Predicate, SearchPlan, SortKey, Verb } from './algebra.ts';
import { namesConcepts } from './concepts.ts';
import { containedKey, containedPredicate, containedScope } from './contained.ts';
import { targetsOfId } from './criteria.ts';
import { unimplied } from './implied.ts';
import { latitudeKey } from './near.ts';
import { NO_LINKS, namesPerson, PATIENT, type PatientLinks, throughLinks } from './person.ts';
import { type ValueContext, valuePredicates } from './predicates.ts';
import type { Criterion, SearchQuery } from './query.ts';
import { ALL, and, chain, has, NONE, not, or } from './simplify.ts';

export interface PlanContext {
  readonly capability: Capability;
  /** Base of our own references, no trailing slash. */
  readonly fhirBase: string;
  /** ms since 1970; only `ap` looks at it. */
  readonly now: number;
  /** Patients that are the same person; undefined = searches are taken by the letter. */
  readonly links?: PatientLinks | undefined;
}

/** Most targets that ids without a type may stand for, in one search. */
const TARGET_LIMIT = 5000;

interface Planning {
  readonly access: AccessFilter;
  readonly values: ValueContext;
  readonly links: PatientLinks;
}

/**
 * The plan of a parsed search, with the caller's access in it.
 * @throws FhirError `value` when a search value is not of its parameter's grammar; `too-costly` when ids without a type stand for too
 *   many resources; TypeError without an access filter
 */
export function planSearch(query: SearchQuery, access: AccessFilter, context: PlanContext): SearchPlan {
  let looked = 0;
  const targets = (parameter: SearchParameter): readonly string[] => {
    const found = targetsOfId(parameter, context.capability);
    looked += found.length;
    if (looked > TARGET_LIMIT) {
      throw fhirError('too-costly', `Ids without a type could mean over ${TARGET_LIMIT} resources; write \`Type/id\`.`);
    }
    return found;
  };
  const links = context.links ?? NO_LINKS;
  const planning = {
    access: checkedAccess(access),
    values: { fhirBase: context.fhirBase, now: context.now, targets, links },
    links,
  };
  const where = and(query.criteria.map((criterion) => predicateOf(criterion, query.type, planning)));
  const visible = unimplied(access.visible(query.type, 'search'), where, context.capability);
  return { type: query.type, where: and([visible, where]), sort: query.sort, principal: access.principal };
}

/**
 * A plan for a predicate of our own making (`_include`, `_revinclude`, references); the caller's access is joined all the same.
 * The predicate must not hold `chain` or `has`: their types' access would be missing.
 * @param verb `read` where resources are followed to by their ids
 */
export function planOf(
  type: string,
  where: Predicate,
  access: AccessFilter,
  sort: readonly SortKey[] = [],
  verb: Verb = 'search',
): SearchPlan {
  const { principal } = checkedAccess(access);
  return { type, where: and([access.visible(type, verb), where]), sort, principal };
}

/**
 * A plan of the server's own, whose result no caller is shown: what it decides must not depend on what a caller may not see, or say so.
 * Who may use it: test/architecture.test.ts.
 */
export function unfilteredPlan(type: string, where: Predicate, principal = ''): SearchPlan {
  return { type, where, sort: [], principal };
}

/** Types do not exist at run time; an absent filter must never mean "everything". */
function checkedAccess(access: AccessFilter): AccessFilter {
  if (typeof access?.visible !== 'function' || typeof access.principal !== 'string') {
    throw new TypeError('A search plan needs an access filter.');
  }
  return access;
}

/** @param scope the type, or what stands for it in the keys of a contained resource */
function predicateOf(criterion: Criterion, scope: string, planning: Planning): Predicate {
  switch (criterion.kind) {
    case 'value':
      return valueCriterion(criterion, scope, planning);
    case 'chain': {
      const key = `${scope}.${criterion.parameter.code}`;
      return or(
        criterion.links.flatMap((link) => {
          const where = visibleAnd(link.type, link.where, planning);
          const person = link.type === PATIENT ? ofPerson(key, where, planning) : where;
          return [chain(key, link.type, person), inside(key, link, planning)];
        }),
      );
    }
    case 'has': {
      const key = `${criterion.type}.${criterion.parameter.code}`;
      const found = has(criterion.type, key, visibleAnd(criterion.type, criterion.where, planning));
      return scope === PATIENT ? ofPerson(key, found, planning) : found;
    }
    case 'concepts': {
      const parameter = `${scope}.${criterion.parameter.code}`;
      const found = or(criterion.concepts.map((concept): Predicate => ({ kind: 'token', parameter, ...concept })));
      return criterion.negated ? not(found) : found;
    }
    case 'text':
      return criterion.words.length === 0
        ? NONE
        : { kind: 'text', parameter: `${scope}.${criterion.code}`, words: criterion.words };
    case 'all':
      return and(criterion.of.map((each) => predicateOf(each, scope, planning)));
    case 'any':
      return or(criterion.of.map((each) => predicateOf(each, scope, planning)));
    case 'none':
      return not(predicateOf(criterion.of, scope, planning));
    default:
      return criterion satisfies never;
  }
}

/** What a Patient must satisfy, or another record of the same person. */
function ofPerson(key: ParameterKey, where: Predicate, { access, links }: Planning): Predicate {
  return namesPerson(key) && links.isAny() ? throughLinks(where, access.visible(PATIENT, 'search')) : where;
}

function visibleAnd(type: string, where: Criterion, planning: Planning): Predicate {
  return and([planning.access.visible(type, 'search'), predicateOf(where, type, planning)]);
}

/** What is contained is part of its container: who sees this sees that, unless the type is hidden as such. */
function inside(
  key: ParameterKey,
  { type, where }: { readonly type: string; readonly where: Criterion },
  planning: Planning,
): Predicate {
  if (planning.access.visible(type, 'search').kind === 'none') return NONE;
  return containedPredicate(key, type, predicateOf(where, containedScope(key, type), planning));
}

type ValueCriterion = Extract<Criterion, { kind: 'value' }>;

function valueCriterion(criterion: ValueCriterion, scope: string, { values: context }: Planning): Predicate {
  const { parameter, modifier, values } = criterion;
  const key = `${scope}.${parameter.code}`;
  // Where concepts can be looked up they are before a plan is made: concepts.ts.
  if (namesConcepts(criterion)) {
    throw fhirError('unsupported-parameter', `\`:${modifier}\` is not supported on \`${parameter.code}\` here.`);
  }
  if (modifier === 'missing') return or(values.map((value) => missing(value, parameter, key)));
  const negated = modifier === 'not';
  const found =
    parameter.code === '_id'
      ? ids(values)
      : or(values.flatMap((value) => valuePredicates(value, parameter, key, negated ? undefined : modifier, context)));
  return negated ? not(found) : found;
}

function ids(values: readonly string[]): Predicate {
  if (!values.every((value) => ID_PATTERN.test(value))) {
    throw fhirError('value', 'A value of `_id` is not an id: up to 64 letters, digits, `-` and `.`.');
  }
  return { kind: 'ids', ids: [...new Set(values)] };
}

/** Parameters every resource has a value of. */
const NEVER_MISSING = new Set(['_id', '_lastUpdated']);

function missing(value: string, parameter: SearchParameter, key: ParameterKey): Predicate {
  if (value !== 'true' && value !== 'false') throw fhirError('value', '`:missing` is `true` or `false`.');
  const absent = value === 'true';
  if (NEVER_MISSING.has(parameter.code)) return absent ? NONE : ALL;
  const each = rowKeys(parameter, key).map((one): Predicate => ({ kind: 'missing', parameter: one, missing: absent }));
  return absent ? and(each) : or(each);
}

/** Keys whose rows say that the element is there. A composite has rows of its first component only together with the others. */
function rowKeys({ type }: SearchParameter, key: ParameterKey): readonly ParameterKey[] {
  if (type === 'composite') return [`${key}$1`];
  if (type === 'special') return [latitudeKey(key)];
  return type === 'reference' ? [key, `${key}:identifier`, containedKey(key)] : [key];
}
