/**
 * One search value -> predicates over index rows: alternatives of which one must hold, each a leaf (or a composite of leaves).
 * Source: FHIR R4 search.html#prefix, #number, #date, #string, #token, #quantity, #reference, #uri, #composite. Rows: rows.ts.
 */
import type { SearchParameter, SearchParameterType } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import { canonicalQuantity, nextBelow, type Precise, preciseNumber, UCUM } from '../quantity.ts';
import { ID_PATTERN } from '../resource.ts';
import { dayStart, intervalOf } from '../time.ts';
import type { ParameterKey, Predicate, Relation } from './algebra.ts';
import { nearPredicate } from './near.ts';
import { type PatientLinks, samePersons } from './person.ts';
import { NONE } from './simplify.ts';
import { PREFIXES, type Prefix } from './types.ts';
import { canonicalParts, exact, folded, localReference, splitUnescaped, unescaped } from './value.ts';

export interface ValueContext {
  readonly fhirBase: string;
  /** ms since 1970: `ap` widens a date by a tenth of its distance from the start of this day. */
  readonly now: number;
  /** Served types a reference parameter can point at. */
  targets(parameter: SearchParameter): readonly string[];
  readonly links: PatientLinks;
}
interface Asked {
  readonly parameter: SearchParameter;
  readonly key: ParameterKey;
  readonly modifier: string | undefined;
}
type Compile = (value: string, asked: Asked, context: ValueContext) => readonly Predicate[];

/** Never the value itself: it may be about a person. */
function malformed({ parameter }: Asked, form: string): never {
  throw fhirError('value', `A value of \`${parameter.code}\` (${parameter.type}) is not of the form ${form}.`);
}

const PREFIXED = new RegExp(`^(${PREFIXES.join('|')})(?=[-+.\\d])(.*)$`, 's');

function prefixed(value: string): { readonly prefix: Prefix; readonly rest: string } {
  const found = PREFIXED.exec(value);
  const prefix = PREFIXES.find((each) => each === found?.[1]);
  return prefix === undefined ? { prefix: 'eq', rest: value } : { prefix, rest: found?.[2] ?? '' };
}

/** A `+` of the zone that was not escaped arrives as a space. */
const UNESCAPED_ZONE = /^([^ ]*T[^ ]*) (\d\d:\d\d)$/;

const date: Compile = (value, asked, { now }) => {
  // `overlaps` comes from `_filter`: the relation of `ap`, without its slack.
  const overlaps = asked.modifier === 'overlaps';
  const { prefix, rest } = overlaps ? { prefix: 'ap' as const, rest: value } : prefixed(value);
  const interval = intervalOf(rest.replace(UNESCAPED_ZONE, '$1+$2'));
  if (interval === undefined) return malformed(asked, '[prefix]YYYY[-MM[-DD[Thh:mm[:ss[.s]][Z|+hh:mm]]]]');
  // Measured from the day's start, so that the next page of the same search, seconds later, is the same plan.
  const slack = prefix === 'ap' && !overlaps ? Math.round(Math.abs(dayStart(now) - interval.low) / 10) : 0;
  return [
    {
      kind: 'interval',
      parameter: asked.key,
      relation: prefix,
      low: interval.low - slack,
      high: interval.high + slack,
    },
  ];
};

interface Span {
  /** The number itself, which is always within: digits finer than a double's leave no room between the bounds. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Closed bounds for a relation: eq and ne by implicit precision, ap by a tenth, the others exactly the value. */
function spanOf(relation: Relation, { value, low, high }: Precise): Span {
  if (relation === 'eq' || relation === 'ne') return { value, low, high };
  const slack = relation === 'ap' ? Math.abs(value) / 10 : 0;
  return { value, low: value - slack, high: value + slack };
}

/** The upper bound of an implicit precision is open; the algebra's is closed. */
function quantityPredicate(
  parameter: ParameterKey,
  unit: string | undefined,
  relation: Relation,
  span: Span,
): Predicate {
  const high = relation === 'eq' || relation === 'ne' ? Math.max(nextBelow(span.high), span.value) : span.high;
  return { kind: 'quantity', parameter, relation, low: span.low, high, ...(unit === undefined ? {} : { unit }) };
}

const number: Compile = (value, asked) => {
  const { prefix, rest } = prefixed(value);
  const precise = preciseNumber(rest);
  if (precise === undefined) return malformed(asked, '[prefix]number');
  return [quantityPredicate(asked.key, '', prefix, spanOf(prefix, precise))];
};

const quantity: Compile = (value, asked) => {
  const { prefix, rest } = prefixed(value);
  const [text = '', system = '', code = '', ...more] = splitUnescaped(rest, '|').map(unescaped);
  const bars = splitUnescaped(rest, '|').length - 1;
  const precise = preciseNumber(text);
  if (precise === undefined || more.length > 0 || bars === 1 || (system !== '' && code === '')) {
    return malformed(asked, '[prefix]number[|system|code]');
  }
  const span = spanOf(prefix, precise);
  const inUnit = (unit: string | undefined): Predicate => quantityPredicate(asked.key, unit, prefix, span);
  if (code === '') return [inUnit(undefined)];
  if (system === '') return [inUnit(`${UCUM}|${code}`), inUnit(`|${code}`)];
  const converted = (number: number) => (system === UCUM ? canonicalQuantity(number, code) : undefined);
  const [exact, low, high] = [converted(span.value), converted(span.low), converted(span.high)];
  if (exact === undefined || low === undefined || high === undefined) return [inUnit(`${system}|${code}`)];
  const inBase = { value: exact.value, low: low.value, high: high.value };
  return [quantityPredicate(asked.key, `canonical|${low.unit}`, prefix, inBase)];
};

/** `equal` and `suffix` come from `_filter`. */
const MATCHES = ['contains', 'equal', 'suffix'] as const;

const string: Compile = (value, { key, modifier }) => {
  const text = unescaped(value);
  if (modifier === 'exact') return [{ kind: 'string', parameter: key, match: 'exact', value: exact(text) }];
  const plain = folded(text);
  // Punctuation alone folds to nothing, and a prefix of nothing would match everything.
  if (plain === '') return [NONE];
  return [
    { kind: 'string', parameter: key, match: MATCHES.find((each) => each === modifier) ?? 'prefix', value: plain },
  ];
};

const token: Compile = (value, asked, context) => {
  const parts = splitUnescaped(value, '|').map(unescaped);
  if (asked.modifier === 'of-type') return [ofType(parts, asked)];
  if (asked.modifier === 'text')
    return string(value, { ...asked, key: `${asked.key}:text`, modifier: undefined }, context);
  const [first = '', second] = parts;
  if (parts.length > 2 || (first === '' && second === '')) return malformed(asked, '[system|]code or system|');
  if (second === undefined) return [{ kind: 'token', parameter: asked.key, code: first }];
  if (second === '') return [{ kind: 'token', parameter: asked.key, system: first }];
  return [{ kind: 'token', parameter: asked.key, system: first, code: second }];
};

function ofType(parts: readonly string[], asked: Asked): Predicate {
  const [system = '', type = '', value = ''] = parts;
  if (parts.length !== 3 || type === '' || value === '') return malformed(asked, 'system|type|value');
  return { kind: 'token', parameter: `${asked.key}:of-type`, system: `${system}|${type}`, code: value };
}

const reference: Compile = (value, asked, context) => {
  const { key, modifier, parameter } = asked;
  if (modifier === 'identifier') {
    return token(value, { parameter, key: `${key}:identifier`, modifier: undefined }, context);
  }
  const text = unescaped(value);
  const local = localReference(text, context.fhirBase);
  const persons = (targets: readonly string[]) => samePersons(key, targets, context.links);
  if (modifier !== undefined) return [typedReference(text, local, modifier, asked, persons)];
  if (local !== undefined) return [{ kind: 'reference', parameter: key, targets: persons([local]) }];
  if (ID_PATTERN.test(text)) {
    const targets = context.targets(parameter).map((type) => `${type}/${text}`);
    return [targets.length === 0 ? NONE : { kind: 'reference', parameter: key, targets: persons(targets) }];
  }
  const { url, version } = canonicalParts(text);
  return [{ kind: 'reference', parameter: key, targets: [url], ...(version === '' ? {} : { version }) }];
};

function typedReference(
  text: string,
  local: string | undefined,
  type: string,
  asked: Asked,
  persons: (targets: readonly string[]) => readonly string[],
): Predicate {
  const target = ID_PATTERN.test(text) ? `${type}/${text}` : local;
  if (target === undefined || !target.startsWith(`${type}/`)) return malformed(asked, `id or ${type}/id`);
  return { kind: 'reference', parameter: asked.key, targets: persons([target]) };
}

const uri: Compile = (value, asked) => {
  const text = unescaped(value);
  const { modifier } = asked;
  if (modifier !== 'below' && modifier !== 'above') {
    return [{ kind: 'uri', parameter: asked.key, match: 'exact', value: text }];
  }
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text)) return malformed(asked, 'URL (`:below` and `:above` are for URLs)');
  return [{ kind: 'uri', parameter: asked.key, match: modifier, value: text }];
};

const composite: Compile = (value, asked, context) => {
  const { components } = asked.parameter;
  const parts = splitUnescaped(value, '$');
  if (parts.length !== components.length || parts.includes('')) {
    return malformed(asked, components.map(({ parameter }) => parameter.type).join('$'));
  }
  let combinations: readonly (readonly Predicate[])[] = [[]];
  for (const [index, { parameter }] of components.entries()) {
    const component = { parameter, key: `${asked.key}$${index + 1}`, modifier: undefined };
    const alternatives = COMPILE[parameter.type](parts[index] ?? '', component, context);
    combinations = combinations.flatMap((so) => alternatives.map((each) => [...so, each]));
  }
  return combinations.map((all) =>
    all.some(({ kind }) => kind === 'none') ? NONE : { kind: 'composite', components: all },
  );
};

const COMPILE: Readonly<Record<SearchParameterType, Compile>> = {
  number,
  date,
  string,
  token,
  reference,
  composite,
  quantity,
  uri,
  // `near` is the one special parameter that can be claimed.
  special: (value, { key }) => [nearPredicate(value, key)],
};

/**
 * Alternatives for one value, escapes still inside; `modifier` is one the table allows, other than `missing` and `not`.
 * @throws FhirError `value` when it is not of the parameter's grammar
 */
export function valuePredicates(
  value: string,
  parameter: SearchParameter,
  key: ParameterKey,
  modifier: string | undefined,
  context: ValueContext,
): readonly Predicate[] {
  return COMPILE[parameter.type](value, { parameter, key, modifier }, context);
}
