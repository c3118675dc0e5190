/**
 * Leaves as filters on the members of a search document (or of one of its groups). A leaf is a list of alternatives, each of which one array
 * element decides, so that a composite can be asked of one group. Dates are half-open [low, high), quantities closed; search.html#prefix.
 */
import type { Document } from 'mongodb';
import type { Predicate, Relation } from '../../fhir/search/algebra.ts';
import { ancestors, prefixEnd } from '../text-range.ts';
import type { Fields } from './fields.ts';
import { belowTerm, type Key, keyed, PREFIX_MOST, prefixTerm, severalDates, systemTerm, term } from './members.ts';

export type Filter = Document;
export type Leaf = Extract<Predicate, { kind: 'token' | 'string' | 'reference' | 'uri' | 'interval' | 'quantity' }>;
export type Interval = Extract<Predicate, { kind: 'interval' }>;

/** No document satisfies it. */
export const NOTHING: Filter = { _id: { $in: [] } };

/** A text of `k` that starts with `prefix`, which is never empty. */
export function startsWith(prefix: string): Filter {
  return { k: { $elemMatch: { $gte: prefix, $lt: prefixEnd(prefix) ?? '\u{10ffff}' } } };
}

/** A text of `k` of one parameter whose value holds `value`, or ends with it. Server and stand-in read the same little of the syntax. */
function pattern(start: string, value: string, ends: boolean): Filter {
  const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return { k: { $regex: `^${literal(start)}[\\s\\S]*${literal(value)}${ends ? '(?![\\s\\S])' : ''}` } };
}

/** How `l` and `h` of a row must lie: alternatives, each a test of one row. `closed`: quantities. */
export function relationTests(relation: Relation, from: number, to: number, closed: boolean): readonly Document[] {
  switch (relation) {
    case 'eq':
      return [{ l: { $gte: from, $lte: to }, h: { $lte: to } }];
    case 'ne':
      return [{ l: { $lt: from } }, { h: { $gt: to } }];
    case 'gt':
      return [{ h: { $gt: to } }];
    case 'lt':
      return [{ l: { $lt: from } }];
    case 'ge':
      return [{ l: { $gte: from } }, { h: { $gt: to } }];
    case 'le':
      return [{ l: { $lt: from } }, { h: { $lte: to } }];
    case 'sa':
      return [{ l: closed ? { $gt: to } : { $gte: to } }];
    case 'eb':
      return [{ h: closed ? { $lt: from } : { $lte: from } }];
    case 'ap':
      return [closed ? { l: { $lte: to }, h: { $gte: from } } : { l: { $lt: to }, h: { $gt: from } }];
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

/** lastUpdated is an instant of one ms, [at, at + 1), and a whole number: upper bounds are open, which every server reads alike. */
export function updatedTests({ relation, low, high }: Interval): readonly Filter[] {
  switch (relation) {
    case 'eq':
      return [{ at: { $gte: low, $lt: Math.floor(high) } }];
    case 'ne':
      return [{ at: { $lt: low } }, { at: { $gt: high - 1 } }];
    case 'gt':
      return [{ at: { $gt: high - 1 } }];
    case 'lt':
      return [{ at: { $lt: low } }];
    case 'ge':
      return [{ at: { $gte: Math.min(low, high) } }];
    case 'le':
      return [{ at: { $lt: Math.floor(Math.max(low, high)) } }];
    case 'sa':
      return [{ at: { $gte: high } }];
    case 'eb':
      return [{ at: { $lt: Math.floor(low) } }];
    case 'ap':
      return [{ at: { $gt: low - 1, $lt: high } }];
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

export const isUpdated = (parameter: string): boolean => parameter.endsWith('._lastUpdated');

/** Alternatives of a leaf; none: nothing satisfies it. */
export function alternatives(leaf: Leaf, fields: Fields): readonly Filter[] {
  const { parameter } = leaf;
  const equal = (key: Key, ...values: readonly string[]): Filter => {
    const texts = values.map((value) => term(fields, parameter, key, value));
    return { k: texts.length === 1 ? texts[0] : { $in: texts } };
  };
  switch (leaf.kind) {
    case 'token': {
      const { system, code } = leaf;
      if (system === undefined) return [code === undefined ? startsWith(keyed(parameter, 'c')) : equal('c', code)];
      const text = systemTerm(fields, parameter, system, code);
      return [code === undefined ? startsWith(text) : { k: text }];
    }
    case 'string':
      return [stringTest(leaf, fields)];
    case 'reference': {
      const { targets, version } = leaf;
      if (targets.length === 0) return [];
      if (version === undefined) return [equal('r', ...targets)];
      return [equal('v', ...targets.map((target) => `${version} ${target}`))];
    }
    case 'uri': {
      const { match, value } = leaf;
      if (match === 'exact') return [equal('u', value)];
      if (match === 'above') return [equal('u', ...ancestors(value))];
      const start = value.endsWith('/') ? value : `${value}/`;
      return [
        equal('u', value),
        fields.isSealed ? { k: belowTerm(fields, parameter, start) } : startsWith(keyed(parameter, 'u', start)),
      ];
    }
    case 'interval': {
      if (isUpdated(parameter)) return updatedTests(leaf);
      const p = { $in: [parameter, severalDates(parameter)] };
      return relationTests(leaf.relation, leaf.low, leaf.high, false).map((test) => ({
        d: { $elemMatch: { p, ...test } },
      }));
    }
    case 'quantity': {
      const unit = leaf.unit === undefined ? { c: 0 } : { u: leaf.unit };
      return relationTests(leaf.relation, leaf.low, leaf.high, true).map((test) => ({
        q: { $elemMatch: { p: parameter, ...unit, ...test } },
      }));
    }
    default:
      throw new TypeError(`Unknown leaf ${String(leaf satisfies never)}`);
  }
}

/** @throws TypeError on what is judged where texts are sealed */
function stringTest({ parameter, match, value }: Extract<Leaf, { kind: 'string' }>, fields: Fields): Filter {
  const folded = keyed(parameter, 'f');
  switch (match) {
    case 'exact':
      return { k: term(fields, parameter, 'x', value) };
    case 'equal':
      return { k: term(fields, parameter, 'f', value) };
    case 'prefix':
      if (!fields.isSealed || value === '') return startsWith(folded + value);
      if ([...value].length > PREFIX_MOST) throw new TypeError('A long prefix is judged before.');
      return { k: prefixTerm(fields, parameter, value) };
    default:
      if (fields.isSealed && value !== '') throw new TypeError('A part of a text is judged before.');
      return value === '' ? startsWith(folded) : pattern(folded, value, match === 'suffix');
  }
}

/**
 * Several intervals of one date parameter: of a resource with one row of it, that row decides them together, in one range of the index.
 * Of one with several rows each interval may be met by another.
 */
export function window(intervals: readonly Interval[]): readonly Filter[] {
  const [first] = intervals;
  if (first === undefined) return [{}];
  const tests = intervals.map(({ relation, low, high }) => relationTests(relation, low, high, false));
  const product = tests.reduce<readonly (readonly Document[])[]>(
    (all, of) => all.flatMap((each) => of.map((test) => [...each, test])),
    [[]],
  );
  const p = first.parameter;
  const one = product.map((each): Filter => ({ d: { $elemMatch: { p, ...together(each) } } }));
  const several = tests.map((of) => {
    const rows = of.map((test): Filter => ({ d: { $elemMatch: { p: severalDates(p), ...test } } }));
    return rows.length === 1 && rows[0] ? rows[0] : { $or: rows };
  });
  return [...one, { $and: several }];
}

/** Tests of `l` and `h` that must all hold, as one: the narrowest bounds. */
function together(tests: readonly Document[]): Document {
  const bounds: Record<string, Record<string, number>> = {};
  for (const test of tests) {
    for (const [name, operators] of Object.entries(test as Record<string, Record<string, number>>)) {
      const own = bounds[name] ?? {};
      bounds[name] = own;
      for (const [operator, value] of Object.entries(operators)) {
        const known = own[operator] ?? value;
        own[operator] = operator.startsWith('$g') ? Math.max(known, value) : Math.min(known, value);
      }
    }
  }
  return bounds;
}
