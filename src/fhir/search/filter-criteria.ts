/** `_filter` -> criteria: paths resolved against the claims, operators by the table of filter.ts. Source: search_filter.html. */
import type { SearchParameter } from '../definitions/definitions.ts';
import { escapedValue, FILTER_TABLE, type Filter, type FilterTerm, filterFault, parseFilter } from './filter.ts';
import { shownName } from './form.ts';
import type { Criterion } from './query.ts';

/** What a path is resolved against. */
export interface FilterClaims {
  parameter(type: string, code: string): SearchParameter | undefined;
  /** Claimed types a reference can point at; counts towards the limits of chains. */
  targets(parameter: SearchParameter): readonly string[];
  /** True when values of the parameter are compared in lower case. */
  isCaseless(type: string, parameter: SearchParameter): boolean;
  /** Most references in a path. */
  readonly chainDepth: number;
}

/** @throws FhirError (400) naming the position of what is not of the grammar, not claimed or not supported */
export function filterCriterion(text: string, type: string, claims: FilterClaims): Criterion {
  return criterionOf(parseFilter(text), type, claims);
}

function criterionOf(filter: Filter, type: string, claims: FilterClaims): Criterion {
  switch (filter.kind) {
    case 'and':
      return { kind: 'all', of: filter.of.map((each) => criterionOf(each, type, claims)) };
    case 'or':
      return { kind: 'any', of: filter.of.map((each) => criterionOf(each, type, claims)) };
    case 'not':
      return { kind: 'none', of: criterionOf(filter.of, type, claims) };
    case 'term': {
      if (filter.path.length > claims.chainDepth + 1) filterFault(filter.at[0], 'the path is too long');
      const found = termCriterion(filter, filter.path, type, claims);
      return found ?? filterFault(filter.at[0], unknown(filter, type), 'unsupported-parameter');
    }
    default:
      return filter satisfies never;
  }
}

const unknown = ({ path }: FilterTerm, type: string): string =>
  `\`${shownName(path.join('.'))}\` is not a path of search parameters of ${type}`;

/** undefined when a code of the path is not claimed. */
function termCriterion(
  term: FilterTerm,
  path: readonly string[],
  type: string,
  claims: FilterClaims,
): Criterion | undefined {
  const [code = '', ...rest] = path;
  const parameter = claims.parameter(type, code);
  if (parameter === undefined) return undefined;
  if (rest.length === 0) {
    const value = claims.isCaseless(type, parameter) ? term.value.toLowerCase() : term.value;
    return comparison({ ...term, value }, parameter);
  }
  if (parameter.type !== 'reference') return undefined;
  const links = claims.targets(parameter).flatMap((target) => {
    const where = termCriterion(term, rest, target, claims);
    return where === undefined ? [] : [{ type: target, where }];
  });
  return links.length === 0 ? undefined : { kind: 'chain', parameter, links };
}

function comparison({ operator, value, at }: FilterTerm, parameter: SearchParameter): Criterion {
  const asked = FILTER_TABLE[parameter.type][operator];
  const isOwn = parameter.code === '_id' && operator !== 'eq' && operator !== 'ne';
  if (asked === undefined || isOwn) {
    return filterFault(
      at[1],
      `\`${operator}\` cannot be asked of ${parameter.code} (${parameter.type})`,
      'unsupported-parameter',
    );
  }
  const of = (modifier: string | undefined, text: string): Criterion => ({
    kind: 'value',
    parameter,
    modifier,
    values: [text],
  });
  if (operator === 'pr') {
    if (value !== 'true' && value !== 'false') return filterFault(at[2], '`pr` takes true or false');
    return of('missing', value === 'true' ? 'false' : 'true');
  }
  if (value === '') return filterFault(at[2], 'the value is empty');
  const found = of(asked.modifier, (asked.prefix ?? '') + escapedValue(value, parameter.type));
  return asked.negated === true ? { kind: 'all', of: [of('missing', 'false'), { kind: 'none', of: found }] } : found;
}
