/**
 * The closed algebra between search meaning and storage engines: what is indexed (IndexEntry), what is asked (Predicate, SearchPlan).
 * Prefixes, precision, units and modifiers are resolved before a value of these types exists; an engine only translates them.
 * Everything here is plain data: it crosses threads by structured clone.
 */

/** Identifies a search parameter of a type: `Observation.code`; a composite's component: `Observation.code-value-quantity$1`. */
export type ParameterKey = string;

/** Instants are milliseconds since 1970-01-01T00:00:00Z; open ends are these. */
export const DAWN = -8_640_000_000_000_000;
export const DUSK = 8_640_000_000_000_000;

/**
 * One index row of one resource. `group` numbers the occurrence of a composite's element (0 = not part of a composite): components match
 * only within the same group.
 * - token: `system` '' means "no system"; `code` '' means "system without code".
 * - string: `folded` lower case, accents and punctuation removed, white space collapsed; `exact` as written.
 * - reference: `target` `Patient/123` for a resource of this server (or a relative reference), otherwise the absolute URL or urn; `version` of a canonical after `|`.
 * - date: the half-open interval [low, high) in ms.
 * - quantity: `unit` is `<system>|<code>` as sent, or `canonical|<ucum base units>` for the converted row; number parameters use unit ''.
 *   The value is the interval [low, high] (a point has low = high).
 * - text: `<Type>._text` the words of the narrative, `<Type>._content` all other words, as full-text.ts folds them; at most one of each.
 */
export type IndexEntry =
  | {
      readonly kind: 'token';
      readonly parameter: ParameterKey;
      readonly system: string;
      readonly code: string;
      readonly group: number;
    }
  | {
      readonly kind: 'string';
      readonly parameter: ParameterKey;
      readonly folded: string;
      readonly exact: string;
      readonly group: number;
    }
  | {
      readonly kind: 'reference';
      readonly parameter: ParameterKey;
      readonly target: string;
      readonly version: string;
      readonly group: number;
    }
  | {
      readonly kind: 'date';
      readonly parameter: ParameterKey;
      readonly low: number;
      readonly high: number;
      readonly group: number;
    }
  | {
      readonly kind: 'quantity';
      readonly parameter: ParameterKey;
      readonly unit: string;
      readonly low: number;
      readonly high: number;
      readonly group: number;
    }
  | { readonly kind: 'uri'; readonly parameter: ParameterKey; readonly value: string; readonly group: number }
  | { readonly kind: 'text'; readonly parameter: ParameterKey; readonly text: string; readonly group: number };

export type IndexKind = IndexEntry['kind'];

/**
 * How a stored interval [l, h) must lie to the searched [a, b); search.html#prefix. One row decides, never two together.
 * Dates: eq a<=l and h<=b; ne not eq; gt h>b; lt l<a; ge gt or eq; le lt or eq; sa l>=b; eb h<=a; ap (the two overlap) h>a and l<b.
 * Quantities are closed on both sides: sa l>b; eb h<a; ap h>=a and l<=b; the others as above.
 */
export type Relation = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap';

/**
 * What an engine can be asked about the resources of one type. Leaves name a parameter of that type.
 * - token: `system` undefined = any system, '' = none; `code` undefined = any code.
 * - string: `exact` compares the text as written, the others the folded text.
 * - interval on `_lastUpdated` uses the parameter key `<Type>._lastUpdated`; the engine answers it from its own column, as [at, at + 1).
 * - uri: `below` = stored equals `value` or starts with it up to a `/`; `above` = stored equals `value` or is its prefix up to a `/`.
 * - quantity: `unit` undefined = any unit as sent: rows whose unit starts with `canonical|` are left out.
 * - text: the words follow each other; `<Type>._text` in the narrative, `<Type>._content` in either text. Words hold letters and digits only.
 * - near: the position (number rows `<parameter>:latitude` and `:longitude`, degrees) is at most `metres` away, on a sphere (near.ts).
 * - missing: true = the resource has no index entry of this parameter.
 * - composite: all components in one group of one resource; each component is a leaf.
 * - chain: the reference parameter points at a resource of `type` that satisfies `where` (access to that type already inside).
 * - has: a resource of `type` that satisfies `where` points here by its reference parameter.
 */
export type Predicate =
  | { readonly kind: 'all' }
  | { readonly kind: 'none' }
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'token'; readonly parameter: ParameterKey; readonly system?: string; readonly code?: string }
  | {
      readonly kind: 'string';
      readonly parameter: ParameterKey;
      readonly match: 'prefix' | 'exact' | 'contains' | 'equal' | 'suffix';
      readonly value: string;
    }
  | {
      readonly kind: 'reference';
      readonly parameter: ParameterKey;
      readonly targets: readonly string[];
      readonly version?: string;
    }
  | {
      readonly kind: 'uri';
      readonly parameter: ParameterKey;
      readonly match: 'exact' | 'below' | 'above';
      readonly value: string;
    }
  | {
      readonly kind: 'interval';
      readonly parameter: ParameterKey;
      readonly relation: Relation;
      readonly low: number;
      readonly high: number;
    }
  | {
      readonly kind: 'quantity';
      readonly parameter: ParameterKey;
      readonly unit?: string;
      readonly relation: Relation;
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: 'text'; readonly parameter: ParameterKey; readonly words: readonly string[] }
  | {
      readonly kind: 'near';
      readonly parameter: ParameterKey;
      readonly latitude: number;
      readonly longitude: number;
      readonly metres: number;
    }
  | { readonly kind: 'missing'; readonly parameter: ParameterKey; readonly missing: boolean }
  | { readonly kind: 'composite'; readonly components: readonly Predicate[] }
  | { readonly kind: 'chain'; readonly parameter: ParameterKey; readonly type: string; readonly where: Predicate }
  | { readonly kind: 'has'; readonly type: string; readonly parameter: ParameterKey; readonly where: Predicate }
  | { readonly kind: 'and'; readonly of: readonly Predicate[] }
  | { readonly kind: 'or'; readonly of: readonly Predicate[] }
  | { readonly kind: 'not'; readonly of: Predicate };

export type PredicateKind = Predicate['kind'];

/** One sort key. Resources without a value come last in either direction; the engine adds its own stable tie-breaker. */
export interface SortKey {
  readonly parameter: ParameterKey;
  readonly indexed: IndexKind | 'id' | 'updated';
  readonly descending: boolean;
}

/** What is done with a resource, as SMART scopes divide it: `read` by id, with its versions; `search` by everything else, joins included. */
export type Verb = 'create' | 'read' | 'update' | 'delete' | 'search';

/** What the caller may see of each type: a predicate joined to every plan that touches the type. There is no default: a plan without one cannot be built. */
export interface AccessFilter {
  /** Who asked, for cursors bound to their caller: a stable opaque string. */
  readonly principal: string;
  /**
   * The predicate for a type; `{ kind: 'all' }` permits, `{ kind: 'none' }` hides. It joins no other resources (satisfies.ts), so that one
   * resource in hand can be judged by it: an old version, one that is to be written. But for Binary, by its securityContext: referred.ts.
   */
  visible(type: string, verb: Verb): Predicate;
  /**
   * Whether somebody's decision may hide resources of the type from the caller at any time, also when none does now: then what is absent
   * is never told from what is hidden. Absent: none.
   */
  isBound?(type: string): boolean;
  /** The same rights by such decisions as of now; absent: none binds. */
  asOfNow?(): AccessFilter | Promise<AccessFilter>;
}

/** A search of one type, access already inside `where`. `principal` and `fingerprint` bind cursors to caller and query. */
export interface SearchPlan {
  readonly type: string;
  readonly where: Predicate;
  readonly sort: readonly SortKey[];
  readonly principal: string;
}
