/** Search over several types: one query a type, all of the same parameters. Source: FHIR R4 search.html#all, http.html#search. */
import { type Capability, SUPPORTED } from '../definitions/capability.ts';
import { FhirError, fhirError } from '../outcome.ts';
import { decodedPairs, shownName } from './form.ts';
import type { Include, SearchQuery } from './query.ts';
import { SEARCH_LIMITS } from './types.ts';

export type Handling = 'strict' | 'lenient';
export type ParseSearch = (type: string, rawQuery: string, handling: Handling) => SearchQuery;

/** What shapes the page, and the query of each type. */
export interface SystemQuery {
  readonly page: Omit<SearchQuery, 'type' | 'criteria' | 'sort'>;
  readonly queries: readonly SearchQuery[];
}

interface Part {
  readonly text: string;
  readonly name: string;
  readonly value: string;
}

/**
 * Parses a search over all types, or over those of `_type`. Every parameter must be claimed for each type; an include for one of them.
 * @param candidates types that may be searched when `_type` does not say which
 * @throws FhirError what `parse` throws, and `value` (400) for a `_type` that is not a list of served types
 */
export function parseSystemSearch(
  rawQuery: string,
  handling: Handling,
  candidates: readonly string[],
  parse: ParseSearch,
): SystemQuery {
  const parts = partsOf(rawQuery);
  const types = typesOf(parts, candidates);
  const isInclude = ({ name }: Part): boolean => /^_(?:rev)?include(?::|$)/.test(name);
  const includeParts = parts.filter(isInclude);
  const criteria = parts.filter((part) => part.name !== '_type' && !isInclude(part));
  const { queries, ignored, unindexed } = sameQueries(types, criteria, handling, parse);
  const [first] = queries;
  if (first === undefined) throw fhirError('value', 'There is no type to search.');
  assertSortable(queries);
  const included = includesOf(includeParts, types, parse);
  const used = parts.filter(({ name }) => name !== '_cursor' && !ignored.has(name));
  return {
    queries,
    page: {
      ...first,
      ...included,
      ignored: [...ignored],
      unindexed,
      used: used.map(({ name, value }) => [name, value]),
    },
  };
}

/** Types of `_type`-less searches: every claimed type that is not searched by itself only. */
export function searchableTypes({ types }: Capability): readonly string[] {
  return [...types.values()]
    .filter(({ type, interactions }) => interactions.has('search-type') && !SUPPORTED.apart.has(type))
    .map(({ type }) => type);
}

function partsOf(rawQuery: string): readonly Part[] {
  const texts = rawQuery.split('&').filter((text) => text !== '');
  const pairs = decodedPairs(rawQuery, SEARCH_LIMITS.parameters);
  return texts.map((text, index) => {
    const [name = '', value = ''] = pairs[index] ?? [];
    return { text, name, value };
  });
}

function typesOf(parts: readonly Part[], candidates: readonly string[]): readonly string[] {
  const given = new Set(parts.filter(({ name }) => name === '_type').map(({ value }) => value));
  if (given.size === 0) return candidates;
  const [list = ''] = given;
  if (given.size > 1) throw fhirError('value', '`_type` is given with different values.');
  const types = [...new Set(list.split(','))];
  const stranger = types.find((type) => !candidates.includes(type));
  if (stranger === undefined) return types;
  const apart = SUPPORTED.apart.has(stranger) ? `: it is searched by itself only, as \`${stranger}?\`` : '';
  throw fhirError('value', `\`_type\`: \`${shownName(stranger)}\` cannot be searched here${apart}.`);
}

/** One query a type. What is ignored for one type is ignored for all: else the types would answer different questions. */
function sameQueries(types: readonly string[], parts: readonly Part[], handling: Handling, parse: ParseSearch) {
  const queriesOf = (kept: readonly Part[]): readonly SearchQuery[] => {
    const text = kept.map((part) => part.text).join('&');
    return types.map((type) => parse(type, text, handling));
  };
  const queries = queriesOf(parts);
  const ignored = new Set(queries.flatMap((query) => query.ignored));
  const unindexed = new Map(queries.flatMap((query) => [...(query.unindexed ?? [])]));
  if (queries.every((query) => query.ignored.length === ignored.size)) return { queries, ignored, unindexed };
  return { queries: queriesOf(parts.filter(({ name }) => !ignored.has(name))), ignored, unindexed };
}

function assertSortable(queries: readonly SearchQuery[]): void {
  const kinds = new Set(queries.map(({ sort }) => sort.map(({ indexed }) => indexed).join()));
  if (kinds.size > 1)
    throw fhirError('value', '`_sort` names a parameter that has another kind of value in each type.');
}

function includesOf(parts: readonly Part[], types: readonly string[], parse: ParseSearch) {
  if (parts.length > SEARCH_LIMITS.includes) {
    throw fhirError('too-costly', `More than ${SEARCH_LIMITS.includes} _include and _revinclude in one search.`);
  }
  const found = { includes: new Map<string, Include>(), revIncludes: new Map<string, Include>() };
  for (const part of parts) {
    let refused: FhirError | undefined;
    let accepted = false;
    for (const type of types) {
      try {
        const { includes, revIncludes } = parse(type, part.text, 'strict');
        for (const each of includes) found.includes.set(keyOf(each), each);
        for (const each of revIncludes) found.revIncludes.set(keyOf(each), each);
        accepted = true;
      } catch (error) {
        if (!(error instanceof FhirError)) throw error;
        refused ??= error;
      }
    }
    if (!accepted && refused !== undefined) throw refused;
  }
  return { includes: [...found.includes.values()], revIncludes: [...found.revIncludes.values()] };
}

function keyOf({ source, parameter, target, iterate }: Include): string {
  return JSON.stringify([source, parameter === '*' ? '*' : parameter.code, target, iterate]);
}
