/** Parameters that shape the answer, not the matches. Source: FHIR R4 search.html#return, #sort, #count, #total, #summary, #elements. */
import type { Capability } from '../definitions/capability.ts';
import { fhirError } from '../outcome.ts';
import type { SortKey } from './algebra.ts';
import { unindexed } from './criteria.ts';
import { shownName } from './form.ts';
import type { SearchQuery } from './query.ts';
import { SEARCH_LIMITS, searchType } from './types.ts';

export interface ResultParameters
  extends Pick<SearchQuery, 'sort' | 'count' | 'total' | 'summary' | 'elements' | 'cursor'> {
  /** `_sort` was ignored under lenient handling. */
  readonly unsortable: boolean;
  /** It was ignored since a sort key is not yet indexed: how far it is. */
  readonly unindexed: string | undefined;
}

/** `_format` and `_pretty` are accepted here and meant for the representation. */
const NAMES = new Set(['_sort', '_count', '_total', '_summary', '_elements', '_cursor', '_format', '_pretty']);

export function isResultParameter(name: string): boolean {
  return NAMES.has(name);
}

interface ResultContext {
  readonly capability: Capability;
  readonly settings: { readonly maxCount: number };
}

/**
 * Reads the pairs for which `isResultParameter` holds. A larger `_count` is lowered to `maxCount`.
 * @throws FhirError `value` on a value that is not of its grammar or on two different values of one name; `unsupported-parameter` on an unknown sort key
 */
export function readResultParameters(
  type: string,
  pairs: readonly (readonly [name: string, value: string])[],
  handling: 'strict' | 'lenient',
  { capability, settings }: ResultContext,
): ResultParameters {
  const given = new Map<string, string>();
  for (const [name, value] of pairs) {
    const before = given.get(name);
    if (before !== undefined && before !== value)
      throw fhirError('value', `\`${name}\` is given with different values.`);
    given.set(name, value);
  }
  const sort = sortKeys(type, given.get('_sort'), capability);
  if (sort.problem !== undefined && handling === 'strict') {
    throw fhirError(sort.unindexed === undefined ? 'unsupported-parameter' : 'not-indexed', sort.problem);
  }
  const count = countOf(given.get('_count'));
  return {
    sort: sort.keys,
    unsortable: sort.problem !== undefined,
    unindexed: sort.unindexed,
    count: count === undefined ? undefined : Math.min(count, settings.maxCount),
    total: oneOf('_total', given.get('_total'), ['none', 'estimate', 'accurate']),
    summary: oneOf('_summary', given.get('_summary'), ['true', 'false', 'text', 'data', 'count']),
    elements: elementNames(given.get('_elements')),
    cursor: given.get('_cursor'),
  };
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw fhirError('value', '`_count` is not a whole number of at most nine digits.');
  return Number(text);
}

function oneOf<T extends string>(name: string, text: string | undefined, choices: readonly T[]): T | undefined {
  if (text === undefined) return undefined;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw fhirError('value', `\`${name}\` is one of ${choices.join(', ')}.`);
  return found;
}

function elementNames(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const names = text.split(',').map((name) => name.trim());
  if (names.length > SEARCH_LIMITS.elements) {
    throw fhirError('too-costly', `More than ${SEARCH_LIMITS.elements} names in \`_elements\`.`);
  }
  if (!names.every((name) => /^[A-Za-z][A-Za-z0-9]{0,63}(?:\.[A-Za-z][A-Za-z0-9]{0,63}){0,8}$/.test(name))) {
    throw fhirError('value', '`_elements` is a list of element names.');
  }
  return names;
}

/** Sort keys the engine answers from its own columns. */
const OWN_KEYS: ReadonlyMap<string, SortKey['indexed']> = new Map([
  ['_id', 'id'],
  ['_lastUpdated', 'updated'],
]);

function sortKeys(
  type: string,
  text: string | undefined,
  capability: Capability,
): { readonly keys: readonly SortKey[]; readonly problem?: string; readonly unindexed?: string | undefined } {
  if (text === undefined) return { keys: [] };
  const names = text.split(',');
  if (names.length > SEARCH_LIMITS.sortKeys) {
    throw fhirError('too-costly', `More than ${SEARCH_LIMITS.sortKeys} sort keys.`);
  }
  const keys: SortKey[] = [];
  for (const name of names) {
    const descending = name.startsWith('-');
    const code = descending ? name.slice(1) : name;
    const parameter = capability.types.get(type)?.searchParameters.get(code);
    const indexed = OWN_KEYS.get(code) ?? (parameter && searchType(parameter.type).indexed);
    if (indexed === undefined) {
      const unready = unindexed(capability, type, code);
      const why = unready === undefined ? '' : ` ${unready}.`;
      return { keys: [], problem: `${type} can't be sorted by \`${shownName(code)}\`.${why}`, unindexed: unready };
    }
    keys.push({ parameter: `${type}.${code}`, indexed, descending });
  }
  return { keys };
}
