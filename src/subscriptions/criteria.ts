/** Search strings as criteria: judged on one version in hand by the meaning that a search has. Source: FHIR R4 subscription.html, `Subscription.criteria`. */
import type { Capability } from '../fhir/definitions/capability.ts';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import type { AccessFilter, Predicate, SearchPlan } from '../fhir/search/algebra.ts';
import type { SearchQuery } from '../fhir/search/query.ts';
import { needsOthers } from '../fhir/search/satisfies.ts';

/** What search strings mean here; a part of RestContext. */
export interface SearchMeaning {
  readonly capability: Capability;
  parseSearch(type: string, query: string, handling: 'strict' | 'lenient'): SearchQuery;
  planSearch(query: SearchQuery, access: AccessFilter): SearchPlan;
}

export interface Criteria {
  readonly type: string;
  readonly where: Predicate;
  /** Names of the parameters as written, modifiers included: `status:not`. */
  readonly names: readonly string[];
}

const CRITERIA = /^([A-Z][A-Za-z]{1,63})(?:\?(.*))?$/s;
/** Their changes are not in the feed: the audit is a log of its own. */
const NOT_FED: ReadonlySet<string> = new Set(['AuditEvent']);

/** What is asked, whoever asks: whether they may see what satisfies it is judged apart, on each change. */
const EVERYTHING: AccessFilter = { principal: 'criteria', visible: () => ({ kind: 'all' }) };

/**
 * `Observation?code=http://loinc.org|1975-2`; without `?` every resource of the type.
 * @throws FhirError of status 422 that names `expression`, for everything a search of the type would refuse, and for what one version cannot answer
 */
export function criteriaOf(text: string, expression: string, meaning: SearchMeaning): Criteria {
  const [, type = '', query = ''] = CRITERIA.exec(text) ?? [];
  if (type === '') throw fhirError('profile-value', 'The criteria are not of the form `Type?search`.', { expression });
  return queryCriteria(type, query, expression, meaning);
}

/** The same from a query string alone. */
export function queryCriteria(type: string, query: string, expression: string, meaning: SearchMeaning): Criteria {
  if (!meaning.capability.types.has(type)) {
    throw fhirError('profile-value', 'The criteria name a resource type that is not served.', { expression });
  }
  if (NOT_FED.has(type)) throw fhirError('business-rule', `Changes of ${type} are not notified.`, { expression });
  const parsed = refusedAs(expression, () => meaning.parseSearch(type, query, 'strict'));
  assertOnlyCriteria(parsed, expression);
  const { where } = refusedAs(expression, () => meaning.planSearch(parsed, EVERYTHING));
  if (needsOthers(where)) {
    throw fhirError(
      'business-rule',
      'Criteria are judged on the changed resource alone: chained parameters, `_has` and `_list` are not supported.',
      { expression },
    );
  }
  if (dependsOnToday(where)) {
    throw fhirError('business-rule', 'The prefix `ap` of a date depends on when it is judged; use `ge` and `le`.', {
      expression,
    });
  }
  return { type, where, names: parsed.used.map(([name]) => name) };
}

function refusedAs<T>(expression: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    throw fhirError('profile-value', `The criteria are refused: ${error.message}`, { expression, cause: error });
  }
}

function assertOnlyCriteria(query: SearchQuery, expression: string): void {
  const { sort, includes, revIncludes, elements, count, total, summary, cursor } = query;
  const lists = [sort, includes, revIncludes, elements].some((list) => list.length > 0);
  if (!lists && [count, total, summary, cursor].every((each) => each === undefined)) return;
  throw fhirError('business-rule', 'Criteria hold no result parameters such as `_sort`, `_count` or `_include`.', {
    expression,
  });
}

function dependsOnToday(predicate: Predicate): boolean {
  switch (predicate.kind) {
    case 'interval':
      return predicate.relation === 'ap';
    case 'and':
    case 'or':
      return predicate.of.some(dependsOnToday);
    case 'not':
      return dependsOnToday(predicate.of);
    case 'composite':
      return predicate.components.some(dependsOnToday);
    default:
      return false;
  }
}
