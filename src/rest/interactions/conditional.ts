/** Criteria of conditional interactions and conditional references -> the resources that match. Source: FHIR R4 http.html#cond-update, #ccreate, #3.1.0.7.1. */
import { fhirError } from '../../fhir/outcome.ts';
import { withConcepts } from '../../fhir/search/concepts.ts';
import type { SearchQuery } from '../../fhir/search/query.ts';
import type { Command, StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { terminology } from './terminology.ts';

/** What criteria found, and the command that proves inside the commit that it is still so. */
export interface Matched {
  /** At most one more than asked for: more than one is all a caller needs to know. */
  readonly matches: readonly StoredVersion[];
  readonly expect: Extract<Command, { op: 'expect' }>;
}

/** Criteria read strictly; `name` is the same for criteria that ask the same in the same order, however they are encoded. */
export interface Criteria {
  readonly query: SearchQuery;
  readonly name: string;
}

/**
 * @param text query string as sent in If-None-Exist or after `?`
 * @throws FhirError `precondition-failed` (412) without any criterion; 400 on unknown parameters and on parameters that shape a result
 */
export function criteriaOf(type: string, text: string, context: RestContext): Criteria {
  const bare = text.replace(new RegExp(`^(?:${type})?\\?`), '');
  const query = context.parseSearch(type, bare, 'strict');
  const shaping =
    query.count !== undefined ||
    query.total !== undefined ||
    query.summary !== undefined ||
    query.cursor !== undefined ||
    [query.sort, query.includes, query.revIncludes, query.elements].some((list) => list.length > 0);
  if (shaping) {
    throw fhirError(
      'invalid',
      'Criteria of a conditional interaction hold search criteria only, no result parameters.',
    );
  }
  if (query.criteria.length === 0) {
    throw fhirError('precondition-failed', 'A conditional interaction needs at least one search criterion.');
  }
  return { query, name: `${type}?${query.used.map(([name, value]) => `${name}=${value}`).join('&')}` };
}

/** The first `limit` matches among what the caller may see. */
export async function matched({ query }: Criteria, caller: Caller, context: RestContext, limit = 2): Promise<Matched> {
  const plan = context.planSearch(await withConcepts(query, terminology(caller, context)), caller.access);
  const { matches } = await context.store.search(plan, { count: limit });
  return { matches, expect: { op: 'expect', plan, ids: matches.map(({ key }) => key.id) } };
}

/**
 * What a conditional delete deletes: http.html#3.1.0.7.1. One, or where the type claims `multiple` as many as the settings allow.
 * @throws FhirError `multiple-matches` (412) when more match
 */
export async function deletable(
  type: string,
  criteria: Criteria,
  caller: Caller,
  context: RestContext,
): Promise<Matched> {
  const several = context.capability.types.get(type)?.conditionalDelete === 'multiple';
  const limit = several ? context.settings.conditionalDeleteLimit : 1;
  const found = await matched(criteria, caller, context, limit + 1);
  if (found.matches.length <= limit) return found;
  throw fhirError('multiple-matches', `The criteria match more than ${limit} ${type}: nothing is deleted.`);
}

/** The one match, or undefined; 412 when there are more. */
export function single(type: string, matches: readonly StoredVersion[]): StoredVersion | undefined {
  if (matches.length > 1) {
    throw fhirError('multiple-matches', `The criteria match more than one ${type}.`);
  }
  return matches[0];
}
