/** A search as asked: parsed and checked against the claims, before access is joined. Source: FHIR R4 search.html. */
import type { SearchParameter } from '../definitions.ts';
import type { SortKey } from './algebra.ts';

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
  /** Decoded name and value of every parameter that was used, in order: the self link. */
  readonly used: readonly (readonly [name: string, value: string])[];
  /** Names ignored under `Prefer: handling=lenient`. */
  readonly ignored: readonly string[];
}

/** One `name[:modifier]=value,value`: OR of values. Chains and `_has` carry the path. */
export interface Criterion {
  readonly name: string;
  readonly modifier: string | undefined;
  readonly values: readonly string[];
}
