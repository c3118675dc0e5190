/** Predicates that join nothing as one filter on search documents. Chains are references by then: join.ts. */
import type { Predicate } from '../../fhir/search/algebra.ts';
import { EARTH_RADIUS, latitudeKey, longitudeKey } from '../../fhir/search/near.ts';
import { StoreError } from '../port.ts';
import { CLEAR, type Fields } from './fields.ts';
import { alternatives, type Filter, type Interval, isUpdated, NOTHING, window } from './leaf.ts';
import { keyed, wordTerm } from './members.ts';

const isEverything = (filter: Filter): boolean => Object.keys(filter).length === 0;

/** All hold. Members that stand once are put side by side, so that the planner sees them plainly. */
export function allOf(filters: readonly Filter[]): Filter {
  const plain: Filter = {};
  const others: Filter[] = [];
  for (const filter of filters) {
    for (const [name, value] of Object.entries(filter)) {
      if (name === '$and') others.push(...(value as readonly Filter[]));
      else if (name in plain) others.push({ [name]: value });
      else plain[name] = value;
    }
  }
  return others.length === 0 ? plain : { ...plain, $and: others };
}

/** One holds. Texts of `k` that are asked for are one list. */
export function anyOf(filters: readonly Filter[]): Filter {
  if (filters.some(isEverything)) return {};
  const texts = filters.map(textsOf);
  const equal = new Set(texts.flatMap((of) => of ?? []));
  const rest = filters.filter((_filter, index) => texts[index] === undefined);
  const of = equal.size === 0 ? rest : [{ k: equal.size === 1 ? [...equal][0] : { $in: [...equal] } }, ...rest];
  const [only] = of;
  if (only === undefined) return NOTHING;
  return of.length === 1 ? only : { $or: of };
}

/** The texts of a filter that only asks whether `k` holds one of them. */
function textsOf(filter: Filter): readonly string[] | undefined {
  const { k, ...others } = filter;
  if (!isEverything(others)) return undefined;
  if (typeof k === 'string') return [k];
  return typeof k === 'object' && k !== null && '$in' in k ? k.$in : undefined;
}

/** @throws TypeError on `chain` and `has`, and on what is judged where texts are sealed */
export function filterOf(where: Predicate, type: string, fields: Fields = CLEAR): Filter {
  switch (where.kind) {
    case 'all':
      return {};
    case 'none':
      return NOTHING;
    case 'ids':
      return { _id: { $in: where.ids.map((id) => `${type}/${id}`) } };
    case 'missing':
      return { k: where.missing ? { $ne: keyed(where.parameter, 'h') } : keyed(where.parameter, 'h') };
    case 'text':
      return words(where, fields);
    case 'near':
      return near(where);
    case 'composite':
      return composite(where.components, fields);
    case 'and':
      return conjunction(where.of, type, fields);
    case 'or':
      return anyOf(where.of.map((child) => filterOf(child, type, fields)));
    case 'not': {
      const inner = filterOf(where.of, type, fields);
      return isEverything(inner) ? NOTHING : { $nor: [inner] };
    }
    case 'chain':
    case 'has':
      throw new TypeError(`A ${where.kind} is resolved before.`);
    default:
      return anyOf(alternatives(where, fields));
  }
}

/** Intervals of one date parameter are asked together. */
function conjunction(children: readonly Predicate[], type: string, fields: Fields): Filter {
  const isDate = (child: Predicate): child is Interval => child.kind === 'interval' && !isUpdated(child.parameter);
  const windows = [...Map.groupBy(children.filter(isDate), ({ parameter }) => parameter).values()];
  return allOf([
    ...children.filter((child) => !isDate(child)).map((child) => filterOf(child, type, fields)),
    ...windows.map((intervals) => {
      const [only] = intervals;
      return intervals.length === 1 && only ? filterOf(only, type, fields) : anyOf(window(intervals));
    }),
  ]);
}

/** Some group satisfies every component. A text that is equal is also asked of the whole, where the index is. */
function composite(components: readonly Predicate[], fields: Fields): Filter {
  const product = components.reduce<readonly (readonly Filter[])[]>(
    (all, component) => all.flatMap((each) => branches(component, fields).map((branch) => [...each, branch])),
    [[]],
  );
  return anyOf(
    product.map((each) => {
      const driver = each.find((branch) => textsOf(branch) !== undefined);
      return allOf([...(driver === undefined ? [] : [driver]), { g: { $elemMatch: allOf(each) } }]);
    }),
  );
}

/** @throws StoreError `refused` on a component that one row does not decide */
function branches(component: Predicate, fields: Fields): readonly Filter[] {
  switch (component.kind) {
    case 'token':
    case 'string':
    case 'reference':
    case 'uri':
    case 'interval':
    case 'quantity':
      return alternatives(component, fields);
    case 'or':
      return component.of.flatMap((each) => branches(each, fields));
    default:
      throw new StoreError('refused', `A composite of ${component.kind} is not supported.`);
  }
}

/** Each word is in the index; that they follow each other is then read from the text. */
function words({ parameter, words: asked }: Extract<Predicate, { kind: 'text' }>, fields: Fields): Filter {
  if (asked.length === 0 || !asked.every((word) => /^[\p{L}\p{N}]+$/u.test(word))) {
    throw new TypeError('A word of a full-text query is not folded.');
  }
  const isNarrative = parameter.endsWith('._text');
  const each = [...new Set(asked)].map((word) => wordTerm(fields, isNarrative ? 'n' : 'c', word));
  const held: Filter = { w: each.length === 1 ? each[0] : { $all: each } };
  if (asked.length === 1) return held;
  if (fields.isSealed) throw new TypeError('A phrase is judged before.');
  const phrase = { $regex: ` ${asked.join(' ')} ` };
  return allOf([held, isNarrative ? { n: phrase } : { $or: [{ n: phrase }, { c: phrase }] }]);
}

/** Rounding must not lose a point on the rim of the band, degrees. */
const MARGIN = 1e-9;

/** A band of latitudes is one index range, the rest is the haversine of the first position. */
function near({ parameter, latitude, longitude, metres }: Extract<Predicate, { kind: 'near' }>): Filter {
  const [la, lo] = [latitudeKey(parameter), longitudeKey(parameter)];
  const angle = Math.min(metres / EARTH_RADIUS, Math.PI);
  const band = (angle * 180) / Math.PI + MARGIN;
  const first = (p: string) => ({
    $first: { $map: { input: { $filter: { input: '$q', cond: { $eq: ['$$this.p', p] } } }, in: '$$this.l' } },
  });
  const half = (from: unknown, to: number) => ({
    $pow: [{ $sin: { $divide: [{ $degreesToRadians: { $subtract: [from, to] } }, 2] } }, 2],
  });
  const across = {
    $multiply: [{ $cos: { $degreesToRadians: '$$la' } }, Math.cos((latitude * Math.PI) / 180), half('$$lo', longitude)],
  };
  const within = { $lte: [{ $add: [half('$$la', latitude), across] }, Math.sin(angle / 2) ** 2] };
  return {
    $and: [
      { q: { $elemMatch: { p: la, u: '', l: { $gte: latitude - band, $lte: latitude + band } } } },
      { q: { $elemMatch: { p: lo, u: '' } } },
      { $expr: { $let: { vars: { la: first(la), lo: first(lo) }, in: within } } },
    ],
  };
}
