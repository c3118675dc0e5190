/** THE table of search parameter types: what is indexed, which prefixes and modifiers are understood. Source: FHIR R4 search.html#ptypes, #modifiers, #prefix. */
import type { SearchParameterType } from '../definitions/definitions.ts';
import type { IndexKind } from './algebra.ts';

export const PREFIXES = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'] as const;
export type Prefix = (typeof PREFIXES)[number];

interface TypeRow {
  /** Kind of index rows; undefined = rows of its components, or not searchable. */
  readonly indexed: IndexKind | undefined;
  readonly prefixes: readonly Prefix[];
  /** Without colon. `[type]` stands for the name of a resource type. */
  readonly modifiers: readonly string[];
}

/** A modifier that is not in its row is refused. Of `special` parameters only `near` can be claimed. */
export const SEARCH_TYPES = {
  number: { indexed: 'quantity', prefixes: PREFIXES, modifiers: ['missing'] },
  date: { indexed: 'date', prefixes: PREFIXES, modifiers: ['missing'] },
  string: { indexed: 'string', prefixes: [], modifiers: ['missing', 'exact', 'contains'] },
  token: {
    indexed: 'token',
    prefixes: [],
    modifiers: ['missing', 'not', 'of-type', 'text', 'in', 'not-in', 'above', 'below'],
  },
  reference: { indexed: 'reference', prefixes: [], modifiers: ['missing', 'identifier', '[type]'] },
  composite: { indexed: undefined, prefixes: [], modifiers: ['missing'] },
  quantity: { indexed: 'quantity', prefixes: PREFIXES, modifiers: ['missing'] },
  uri: { indexed: 'uri', prefixes: [], modifiers: ['missing', 'below', 'above'] },
  special: { indexed: undefined, prefixes: [], modifiers: ['missing'] },
} as const satisfies Record<SearchParameterType, TypeRow>;

/** The row of a type in its general form. */
export function searchType(type: SearchParameterType): TypeRow {
  return SEARCH_TYPES[type];
}

/** Most of each thing in one search; a search beyond is refused as `too-costly`. */
export const SEARCH_LIMITS = {
  parameters: 100,
  orValues: 200,
  totalValues: 1000,
  chainDepth: 3,
  hasDepth: 2,
  includes: 10,
  sortKeys: 3,
  elements: 100,
} as const;
