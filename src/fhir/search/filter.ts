/**
 * `_filter`: an expression over the claimed search parameters. Source: search_filter.html. `and` and `or` have no precedence: left to right.
 * Read here only; what it means is criteria. Not supported, and refused with its position: a filter in brackets inside a path.
 */

import type { SearchParameterType } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';

export const FILTER_OPERATORS = [
  'eq',
  'ne',
  'co',
  'sw',
  'ew',
  'gt',
  'lt',
  'ge',
  'le',
  'ap',
  'sa',
  'eb',
  'pr',
  'po',
  'ss',
  'sb',
  'in',
  'ni',
  're',
] as const;
export type FilterOperator = (typeof FILTER_OPERATORS)[number];

export interface FilterTerm {
  readonly kind: 'term';
  /** Parameter codes; all but the last are references that are followed. */
  readonly path: readonly string[];
  readonly operator: FilterOperator;
  readonly value: string;
  /** Where the path, the operator and the value begin, from 1. */
  readonly at: readonly [path: number, operator: number, value: number];
}
export type Filter =
  | FilterTerm
  | { readonly kind: 'and' | 'or'; readonly of: readonly [Filter, Filter] }
  | { readonly kind: 'not'; readonly of: Filter };

const MOST_TERMS = 50;
const DEEPEST = 10;

/** A refusal that says where. */
export function filterFault(position: number, why: string, kind: 'value' | 'unsupported-parameter' = 'value'): never {
  throw fhirError(kind, `\`_filter\`, position ${position}: ${why}.`);
}

interface Token {
  readonly text: string;
  readonly kind: 'open' | 'close' | 'string' | 'word';
  readonly position: number;
}

/** JSON strings, parentheses, and runs of anything else up to white space, `)`, `]` or `,`. */
const TOKENS = /\s+|"(?:[^"\\]|\\.)*"|[()]|[^\s"(),\]]+|./gsu;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const { 0: found, index } of text.matchAll(TOKENS)) {
    const position = index + 1;
    if (/^\s/u.test(found)) continue;
    if (found === '(') tokens.push({ text: found, kind: 'open', position });
    else if (found === ')') tokens.push({ text: found, kind: 'close', position });
    else if (found.startsWith('"') && found.length > 1)
      tokens.push({ text: unquoted(found, position), kind: 'string', position });
    else if (found === ']') bracketed(position);
    else if (/^[",]$/.test(found)) filterFault(position, `\`${found}\` stands where nothing of the grammar can`);
    else tokens.push({ text: found, kind: 'word', position });
  }
  return tokens;
}

const bracketed = (position: number): never =>
  filterFault(position, 'filters inside a path are not supported', 'unsupported-parameter');

function unquoted(text: string, position: number): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return filterFault(position, 'the text is not a JSON string');
  }
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*$/;

/** @throws FhirError `value` or `unsupported-parameter` (400) with the position; `too-costly` (400) over the limits */
export function parseFilter(text: string): Filter {
  const tokens = tokensOf(text);
  let index = 0;
  let terms = 0;
  const end = text.length + 1;
  const take = (kind: Token['kind'], what: string): Token => {
    const token = tokens[index];
    if (token?.kind !== kind) return filterFault(token?.position ?? end, `${what} is missing`);
    index++;
    return token;
  };
  const isWord = (word: string): boolean => tokens[index]?.kind === 'word' && tokens[index]?.text === word;

  const expression = (depth: number): Filter => {
    if (depth > DEEPEST) throw fhirError('too-costly', `\`_filter\` is nested deeper than ${DEEPEST}.`);
    let found = operand(depth);
    for (let kind = logic(); kind !== undefined; kind = logic()) {
      index++;
      found = { kind, of: [found, operand(depth)] };
    }
    return found;
  };
  const logic = (): 'and' | 'or' | undefined => (isWord('and') ? 'and' : isWord('or') ? 'or' : undefined);
  const operand = (depth: number): Filter => {
    const isNot = isWord('not');
    if (isNot) index++;
    if (isNot || tokens[index]?.kind === 'open') {
      take('open', '`(`');
      const inner = expression(depth + 1);
      take('close', '`)`');
      return isNot ? { kind: 'not', of: inner } : inner;
    }
    return term();
  };
  const term = (): FilterTerm => {
    if (++terms > MOST_TERMS) throw fhirError('too-costly', `More than ${MOST_TERMS} comparisons in \`_filter\`.`);
    const path = take('word', 'a parameter');
    if (path.text.includes('[')) bracketed(path.position);
    if (!NAME.test(path.text)) filterFault(path.position, 'this is not a path of parameters');
    const operator = take('word', 'an operator');
    const known = FILTER_OPERATORS.find((each) => each === operator.text);
    if (known === undefined) {
      return filterFault(
        operator.position,
        `unknown operator; valid are ${FILTER_OPERATORS.join(', ')}`,
        'unsupported-parameter',
      );
    }
    const value = tokens[index]?.kind === 'string' ? take('string', 'a value') : take('word', 'a value');
    const at = [path.position, operator.position, value.position] as const;
    return { kind: 'term', path: path.text.split('.'), operator: known, value: value.text, at };
  };

  const found = expression(0);
  const rest = tokens[index];
  return rest === undefined ? found : filterFault(rest.position, '`and`, `or` or the end is expected');
}

/** How an operator is asked of a parameter: by modifier, by prefix, and whether negated among those that have a value. */
export interface Asked {
  readonly modifier?: string;
  readonly prefix?: string;
  readonly negated?: boolean;
}
type Row = Partial<Record<FilterOperator, Asked>>;

const PRESENT: Row = { pr: { modifier: 'missing' } };
const ORDERED: Row = {
  ...PRESENT,
  ...Object.fromEntries(
    (['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'ap', 'sa', 'eb'] as const).map((each) => [each, { prefix: each }]),
  ),
};
const NOTHING: Row = {};

/** THE table: parameter type x operator -> criterion. What is not in it is refused. `equal`, `suffix` and `overlaps` are no modifiers of queries. */
export const FILTER_TABLE: Readonly<Record<SearchParameterType, Row>> = {
  string: {
    ...PRESENT,
    eq: { modifier: 'equal' },
    ne: { modifier: 'equal', negated: true },
    co: { modifier: 'contains' },
    sw: {},
    ew: { modifier: 'suffix' },
  },
  token: {
    ...PRESENT,
    eq: {},
    ne: { negated: true },
    in: { modifier: 'in' },
    ni: { modifier: 'not-in' },
    // The value subsumes the concept: the concept is below it.
    ss: { modifier: 'below' },
    sb: { modifier: 'above' },
  },
  number: ORDERED,
  quantity: ORDERED,
  date: { ...ORDERED, po: { modifier: 'overlaps' } },
  reference: { ...PRESENT, re: {}, eq: {}, ne: { negated: true } },
  uri: { ...PRESENT, eq: {}, ne: { negated: true } },
  composite: NOTHING,
  special: NOTHING,
};

/** A value of a filter as a value of a query: what would separate values there is escaped. `|` keeps its meaning where types give it one. */
export function escapedValue(value: string, type: SearchParameterType): string {
  return value.replace(type === 'string' || type === 'uri' ? /[\\,$|]/g : /[\\,$]/g, '\\$&');
}
