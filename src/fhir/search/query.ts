/** A search as asked: parsed and checked against the claims, before access is joined. Source: FHIR R4 search.html. */
import type { Capability } from '../definitions/capability.ts';
import type { Definitions, SearchParameter } from '../definitions/definitions.ts';
import { type FhirError, fhirError } from '../outcome.ts';
import type { SortKey } from './algebra.ts';
import { criterionOf, type Resolved } from './criteria.ts';
import { decodedPairs, shownName } from './form.ts';
import type { FullTextCode } from './full-text.ts';
import { readInclude, readRevInclude } from './include.ts';
import { isResultParameter, type ResultParameters, readResultParameters } from './result.ts';
import { SEARCH_LIMITS } from './types.ts';
import { splitUnescaped } from './value.ts';
import type { Concept } from './value-set.ts';

/** `_include` or `_revinclude`. For revinclude `source` is the type whose `parameter` points at the matches. */
export interface Include {
  readonly source: string;
  /** '*' = every claimed reference parameter of `source`. */
  readonly parameter: SearchParameter | '*';
  readonly target: string | undefined;
  readonly iterate: boolean;
}

export interface SearchQuery {
  readonly type: string;
  /** AND of criteria; only plan.ts looks inside. */
  readonly criteria: readonly Criterion[];
  readonly sort: readonly SortKey[];
  /** `_count`; undefined = not given. 0 means like `_summary=count`. */
  readonly count: number | undefined;
  readonly total: 'none' | 'estimate' | 'accurate' | undefined;
  readonly includes: readonly Include[];
  readonly revIncludes: readonly Include[];
  readonly summary: 'true' | 'false' | 'text' | 'data' | 'count' | undefined;
  readonly elements: readonly string[];
  /** Opaque cursor of our own next link (`_cursor`). */
  readonly cursor: string | undefined;
  /** Decoded name and value of every parameter that was used, in order: the self link. `_cursor` is not among them. */
  readonly used: readonly (readonly [name: string, value: string])[];
  /** Names ignored under `Prefer: handling=lenient`. */
  readonly ignored: readonly string[];
  /** Of those ignored: the ones whose parameter is not yet indexed, and how far it is. */
  readonly unindexed?: ReadonlyMap<string, string>;
}

/**
 * One `name[:modifier]=value,value`: OR of values, escapes still inside. Names are resolved: a chain is the OR of its links, `where` is
 * judged at `type`; `has` is judged at resources of `type` whose `parameter` points here.
 */
export type Criterion =
  | {
      readonly kind: 'value';
      readonly parameter: SearchParameter;
      readonly modifier: string | undefined;
      readonly values: readonly string[];
    }
  | {
      readonly kind: 'chain';
      readonly parameter: SearchParameter;
      readonly links: readonly { readonly type: string; readonly where: Criterion }[];
    }
  | { readonly kind: 'has'; readonly type: string; readonly parameter: SearchParameter; readonly where: Criterion }
  /** A token that is one of these, or with `negated` none of them: what `:in`, `:not-in`, `:above` and `:below` become. */
  | {
      readonly kind: 'concepts';
      readonly parameter: SearchParameter;
      readonly negated: boolean;
      readonly concepts: readonly Concept[];
    }
  /** Words one after the other in the narrative or anywhere; from `_text` and `_content`. */
  | { readonly kind: 'text'; readonly code: FullTextCode; readonly words: readonly string[] }
  /** Groups, from `_text`, `_content` and `_filter`. */
  | { readonly kind: 'all' | 'any'; readonly of: readonly Criterion[] }
  | { readonly kind: 'none'; readonly of: Criterion };

export interface QuerySettings {
  readonly defaultCount: number;
  readonly maxCount: number;
}
export interface QueryContext {
  readonly definitions: Definitions;
  readonly capability: Capability;
  readonly settings: QuerySettings;
}

/**
 * Parses the raw query string (application/x-www-form-urlencoded, decoded exactly once) of a search of `type`.
 * @throws FhirError `unknown-type` (404); `unsupported-parameter` (400) for a name or modifier that is not claimed, with the valid ones -
 *   under lenient handling unknown names are ignored instead, unknown modifiers never; `value` (400); `too-costly` (400) over SEARCH_LIMITS
 */
export function parseSearch(
  type: string,
  rawQuery: string,
  handling: 'strict' | 'lenient',
  context: QueryContext,
): SearchQuery {
  if (!context.capability.types.has(type)) throw fhirError('unknown-type', `\`${shownName(type)}\` is not served.`);
  const pairs = decodedPairs(rawQuery, SEARCH_LIMITS.parameters);
  const used: (readonly [string, string])[] = [];
  const ignored: string[] = [];
  const unindexed = new Map<string, string>();
  const criteria: Criterion[] = [];
  const results: (readonly [string, string])[] = [];
  const includes: Include[] = [];
  const revIncludes: Include[] = [];
  const budget = { values: 0, links: 0, attempts: 0 };
  let included = 0;
  for (const pair of pairs) {
    const [name, value] = pair;
    if (value === '') throw fhirError('value', `Parameter \`${shownName(name)}\` has no value.`);
    if (isResultParameter(name)) results.push(pair);
    else if (/^_(?:rev)?include(?::|$)/.test(name)) {
      if (++included > SEARCH_LIMITS.includes) {
        throw fhirError('too-costly', `More than ${SEARCH_LIMITS.includes} _include and _revinclude in one search.`);
      }
      if (name.startsWith('_include')) includes.push(...readInclude(type, name, value, context.capability));
      else revIncludes.push(...readRevInclude(type, name, value, context.capability));
    } else {
      const resolved = criterionOf(type, name, valuesOf(name, value, budget), context, budget);
      if ('criterion' in resolved) criteria.push(resolved.criterion);
      else if (handling === 'strict' || resolved.fatal) throw refusal(resolved);
      else {
        ignored.push(name);
        if (resolved.unindexed) unindexed.set(name, resolved.problem);
        continue;
      }
    }
    if (name !== '_cursor') used.push(pair);
  }
  const result: ResultParameters = readResultParameters(type, results, handling, context);
  return {
    type,
    criteria,
    includes,
    revIncludes,
    sort: result.sort,
    count: result.count,
    total: result.total,
    summary: result.summary,
    elements: result.elements,
    cursor: result.cursor,
    used: result.unsortable ? used.filter(([name]) => name !== '_sort') : used,
    ignored: result.unsortable ? [...ignored, '_sort'] : ignored,
    unindexed: result.unindexed === undefined ? unindexed : unindexed.set('_sort', result.unindexed),
  };
}

function refusal({ problem, unindexed }: Extract<Resolved, { problem: string }>): FhirError {
  if (unindexed !== true) return fhirError('unsupported-parameter', problem);
  return fhirError('not-indexed', `${problem}. ${NOT_YET}`);
}

/** What a client can do about a parameter that is not whole yet. */
export const NOT_YET = 'Try again later, or send `Prefer: handling=lenient` to search without it.';

/** A filter is one expression: its commas are its own. */
function valuesOf(name: string, value: string, budget: { values: number }): readonly string[] {
  return /(?:^|[.:])_filter$/.test(name) ? [value] : orValues(name, value, budget);
}

function orValues(name: string, value: string, budget: { values: number }): readonly string[] {
  const values = splitUnescaped(value, ',');
  budget.values += values.length;
  if (values.length > SEARCH_LIMITS.orValues || budget.values > SEARCH_LIMITS.totalValues) {
    throw fhirError(
      'too-costly',
      `More than ${SEARCH_LIMITS.orValues} values in one parameter or ${SEARCH_LIMITS.totalValues} in one search.`,
    );
  }
  if (values.includes('')) throw fhirError('value', `Parameter \`${shownName(name)}\` has an empty value.`);
  return values;
}
