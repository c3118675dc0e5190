/** Running a plan: one filter, the order asked for, keyset pages. What takes longer than the budget is refused by the database itself. */
import type { Document } from 'mongodb';
import type { SearchPlan, SortKey } from '../../fhir/search/algebra.ts';
import { type CursorValue, decodeCursor, encodeCursor } from '../cursor.ts';
import { compareOrdered, type Placed } from '../order.ts';
import { type Page, StoreError } from '../port.ts';
import { prefixEnd } from '../text-range.ts';
import type { Fields } from './fields.ts';
import { allOf } from './filter.ts';
import { inSession, Joins, type Run } from './join.ts';
import { entriesAt } from './judged.ts';
import { type Collections, placeOf, type TypeNumbers } from './layout.ts';
import type { Filter } from './leaf.ts';
import { type Key, keyed } from './members.ts';
import { BATCH, Best, bestText, MOST_SORTED, unorderedPipeline } from './sealed-order.ts';

/** Matches counted before a total is estimated, and resources a sample holds. */
const COUNTED = 20_000;
const SAMPLE = 1000;

export interface Match {
  readonly r: number;
  /** Sequence of the version. */
  readonly s: number;
  /** One value a sort key, null = missing. */
  readonly keys: readonly CursorValue[];
}
export interface Matches {
  readonly sequences: readonly number[];
  readonly next: string | undefined;
}
interface Order {
  readonly after: readonly CursorValue[] | undefined;
  readonly descending: boolean;
  readonly limit: number;
}

export class Searcher {
  readonly #resource: Collections['resource'];
  readonly #types: TypeNumbers;
  readonly #joins: Joins;
  readonly #budgetMs: number;
  readonly #fields: Fields;

  /** @param budgetMs longest time of one search. `mostEnds`: see Joins */
  constructor(
    { resource, fields }: Pick<Collections, 'resource' | 'fields'>,
    types: TypeNumbers,
    budgetMs: number,
    mostEnds?: number,
  ) {
    this.#resource = resource;
    this.#fields = fields;
    this.#types = types;
    this.#joins = new Joins(resource, types, mostEnds, fields);
    this.#budgetMs = budgetMs;
  }

  /** The limits of one search that begins now. */
  run(session?: Run['session']): Run {
    const end = performance.now() + this.#budgetMs;
    const left = (): number => {
      const rest = Math.floor(end - performance.now());
      if (rest < 1) throw this.tooCostly();
      return rest;
    };
    return { session, left };
  }

  tooCostly(cause?: unknown): StoreError {
    const advice = 'Narrow it: name a patient, a code or a period, or leave out `_sort` and `_total`.';
    return new StoreError('too-costly', `The search took longer than ${this.#budgetMs} ms. ${advice}`, { cause });
  }

  /** @throws StoreError `too-costly` when neither the ends of a join nor the other matches are few enough to be looked at */
  async filter({ where, type }: Pick<SearchPlan, 'where' | 'type'>, run: Run): Promise<Filter> {
    const filter = await this.#joins.filter(where, type, run);
    if (filter === undefined) {
      throw new StoreError(
        'too-costly',
        'A chain, or a part of a text, leads to too many resources. Narrow it: name a patient, a code or a period.',
      );
    }
    return filter;
  }

  async search(plan: SearchPlan, page: Page): Promise<Matches> {
    const bound = JSON.stringify([plan.type, plan.sort, plan.principal]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, plan.sort.length + 1);
    const descending = plan.sort[0]?.descending ?? false;
    const found = await this.#ordered(plan, { after, descending, limit: page.count + 1 }, this.run());
    return paged(found, page.count, bound);
  }

  /** One page of several types, in one order over all of them. A cursor is a place in it, so each type goes on by itself. */
  async searchTypes(plans: readonly SearchPlan[], page: Page): Promise<Matches> {
    const [first] = plans;
    if (first === undefined) return { sequences: [], next: undefined };
    const { sort, principal } = first;
    const keys = sort.map(({ indexed, descending }) => [indexed, descending]);
    const bound = JSON.stringify([plans.map(({ type }) => type), keys, principal]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, sort.length + 1);
    const [run, limit, descending] = [this.run(), page.count + 1, sort[0]?.descending ?? false];
    const ranged = await Promise.all(plans.map(async (plan) => ({ plan, range: await this.#types.range(plan.type) })));
    const inOrder = ranged.flatMap(({ plan, range }) => (range === undefined ? [] : [{ plan, range }]));
    const found: Match[] = [];
    for (const { plan, range } of inOrder.sort((a, b) => a.range[0] - b.range[0])) {
      // Without a sort the order is the types' own: what lies before the cursor, or behind a full page, is not looked at.
      if (sort.length === 0 && (found.length >= limit || Number(after?.[0] ?? 0) >= range[1])) continue;
      const wanted = sort.length === 0 ? limit - found.length : limit;
      found.push(...(await this.#ordered(plan, { after, descending, limit: wanted }, run)));
    }
    return paged(
      found.sort((a, b) => compareOrdered({ keys: a.keys, place: a.r }, { keys: b.keys, place: b.r }, sort)),
      page.count,
      bound,
    );
  }

  /** Logical ids of at most `limit` matches, in no order. */
  async ids(plan: Pick<SearchPlan, 'type' | 'where'>, limit: number, run: Run): Promise<readonly string[]> {
    const filter = await this.filter(plan, run);
    const options = { projection: { _id: 1 as const }, limit, maxTimeMS: run.left(), ...inSession(run) };
    const found = await this.#resource.find(filter, options).toArray();
    return found.map(({ _id }) => _id.slice(plan.type.length + 1));
  }

  async count(plan: SearchPlan, run = this.run()): Promise<number> {
    const filter = await this.filter(plan, run);
    return this.#resource.countDocuments(filter, { maxTimeMS: run.left() });
  }

  /** Counted up to COUNTED matches a type; beyond, the share of the newest SAMPLE resources times their number. */
  async estimate(plan: SearchPlan, run: Run): Promise<{ readonly count: number; readonly exact: boolean }> {
    const filter = await this.filter(plan, run);
    const counted = await this.#resource.countDocuments(filter, { limit: COUNTED + 1, maxTimeMS: run.left() });
    const range = await this.#types.range(plan.type);
    if (counted <= COUNTED || range === undefined) return { count: counted, exact: true };
    const newest = await this.#resource
      .find({ r: { $gt: range[0], $lt: range[1] } }, { projection: { _id: 1, r: 1 }, maxTimeMS: run.left() })
      .sort({ r: -1 })
      .limit(SAMPLE)
      .toArray();
    const [first, last] = [newest[0]?.r ?? 0, newest.at(-1)?.r ?? 0];
    const hits = await this.#resource.countDocuments(allOf([filter, { r: { $gte: last } }]), { maxTimeMS: run.left() });
    const all = ((first - range[0]) * newest.length) / (first - last + 1);
    return { count: Math.max(counted, Math.round((all * hits) / newest.length)), exact: false };
  }

  async #ordered(plan: SearchPlan, order: Order, run: Run): Promise<readonly Match[]> {
    if (order.limit <= 0) return [];
    const filter = await this.filter(plan, run);
    if (this.#fields.isSealed && plan.sort.some(isText)) return this.#orderedHere(filter, plan, order, run);
    const pipeline = pipelineOf(filter, plan, order);
    const found = await this.#resource.aggregate(pipeline, { maxTimeMS: run.left(), ...inSession(run) }).toArray();
    return found.map((document) => ({
      r: Number(document.r),
      s: Number(document.s),
      keys: plan.sort.map((key, index) => cursorValue(document[`k${index}`], key, plan.type)),
    }));
  }

  /** @throws StoreError `too-costly` on more than MOST_SORTED matches */
  async #orderedHere(filter: Filter, { sort, type }: SearchPlan, order: Order, run: Run): Promise<readonly Match[]> {
    const told = sort.map((key, index) => ({ key, index })).filter(({ key }) => !isText(key));
    const values = named(told, 'k', ({ key }) => {
      const native = nativeOf(key);
      return native === undefined ? sortValue(key) : `$${native}`;
    });
    const asked = { maxTimeMS: run.left(), batchSize: BATCH, ...inSession(run) };
    const best = new Best<Match & Placed>(sort, order.limit, order.after);
    let count = 0;
    for await (const found of this.#resource.aggregate(unorderedPipeline(filter, values), asked)) {
      if (++count > MOST_SORTED) throw this.tooCostly();
      const [name, r, s] = [String(found._id), Number(found.r), Number(found.s)];
      const entries = entriesAt(this.#fields, placeOf.resource(name, Number(found.v)), found.e);
      const keys = sort.map((key, index) =>
        isText(key) ? bestText(entries, key) : cursorValue(found[`k${index}`], key, type),
      );
      best.take({ r, s, keys, place: r });
    }
    return best.kept;
  }
}

const isText = ({ indexed }: SortKey): boolean => SORTED_KEYS[indexed] !== undefined;

function paged(found: readonly Match[], count: number, bound: string): Matches {
  const matches = found.slice(0, count);
  const last = matches.at(-1);
  const next = found.length > count && last ? encodeCursor(bound, [...last.keys, last.r]) : undefined;
  return { sequences: matches.map(({ s }) => s), next };
}

/** The stages of one page. Sort keys that are members of the document are sorted by themselves, along an index; the others are computed. */
export function pipelineOf(
  filter: Filter,
  { type, sort }: Pick<SearchPlan, 'type' | 'sort'>,
  order: Order,
): Document[] {
  const computed = sort.map((key, index) => ({ key, index })).filter(({ key }) => nativeOf(key) === undefined);
  const terms = sort.map((key, index): Term => {
    const native = nativeOf(key);
    const value = order.after?.[index] ?? null;
    const [column, missing] = native === undefined ? [`k${index}`, `m${index}`] : [native, undefined];
    return { column, missing, descending: key.descending, value: storedValue(value, key, type) };
  });
  const end = order.after?.at(-1);
  const way = order.descending ? -1 : 1;
  const beyond = end === undefined || end === null ? {} : after(terms, end, order.descending);
  const project = Object.fromEntries(terms.map(({ column }, index) => [`k${index}`, `$${column}`]));
  const [early, late] = computed.length === 0 ? [beyond, {}] : [{}, beyond];
  return [
    { $match: allOf([filter, early]) },
    ...(computed.length === 0
      ? []
      : [
          { $project: { r: 1, s: 1, at: 1, ...named(computed, 'k', ({ key }) => sortValue(key)) } },
          { $addFields: named(computed, 'm', ({ index }) => ({ $cond: [{ $eq: [`$k${index}`, null] }, 1, 0] })) },
          ...(Object.keys(late).length === 0 ? [] : [{ $match: late }]),
        ]),
    { $sort: { ...sortOf(terms), ...(terms.some(({ column }) => column === '_id') ? {} : { r: way }) } },
    { $limit: order.limit },
    { $project: { _id: 0, r: 1, s: 1, ...project } },
  ];
}

/** Each member once: of a key that is given twice the second decides nothing. */
function sortOf(terms: readonly Term[]): Record<string, 1 | -1> {
  const order: Record<string, 1 | -1> = {};
  for (const { column, missing, descending } of terms) {
    if (missing !== undefined) order[missing] ??= 1;
    order[column] ??= descending ? -1 : 1;
  }
  return order;
}

interface Indexed {
  readonly key: SortKey;
  readonly index: number;
}
function named(computed: readonly Indexed[], letter: string, value: (each: Indexed) => unknown): Document {
  return Object.fromEntries(computed.map((each) => [`${letter}${each.index}`, value(each)]));
}

interface Term {
  readonly column: string;
  /** Member that is 1 when there is no value; undefined for members that always have one. */
  readonly missing: string | undefined;
  readonly descending: boolean;
  /** Where the last page ended. */
  readonly value: CursorValue;
}

/** Strictly after the cursor in the order of `terms` (missing last), then `r`. */
function after(terms: readonly Term[], end: CursorValue, descending: boolean): Filter {
  const [term, ...others] = terms;
  if (term === undefined) return { r: descending ? { $lt: end } : { $gt: end } };
  const { column, missing, value } = term;
  const deeper = after(others, end, descending);
  if (value === null) return allOf([{ [missing ?? column]: missing === undefined ? null : 1 }, deeper]);
  const further = { [column]: term.descending ? { $lt: value } : { $gt: value } };
  const same = allOf([{ [column]: value }, deeper]);
  // The range that is walked; an instant is whole, and its bound an open one as in leaf.ts.
  const down = typeof value === 'number' ? { $lt: value + 1 } : { $lte: value };
  if (missing === undefined) return { [column]: term.descending ? down : { $gte: value }, $or: [further, same] };
  return { $or: [{ [missing]: 1 }, { [missing]: 0, ...further }, allOf([{ [missing]: 0 }, same])] };
}

const nativeOf = ({ indexed }: SortKey): '_id' | 'at' | undefined =>
  indexed === 'id' ? '_id' : indexed === 'updated' ? 'at' : undefined;

/** The texts of `k` that a sort goes by. */
const SORTED_KEYS: Partial<Record<SortKey['indexed'], Key>> = { token: 'c', string: 'f', reference: 'r', uri: 'u' };

/** Lowest value when ascending, highest when descending, null when there is none. Quantities compare converted rows first. */
function sortValue({ parameter, indexed, descending }: SortKey): Document {
  const pick = (input: Document): Document => ({ $ifNull: [{ [descending ? '$max' : '$min']: input }, null] });
  const rows = (array: string, p: readonly Document[], column: string): Document => ({
    $map: { input: { $filter: { input: { $ifNull: [array, []] }, cond: { $and: p } } }, in: column },
  });
  if (indexed === 'date') return pick(rows('$d', [{ $in: ['$$this.p', [parameter, `${parameter} *`]] }], '$$this.l'));
  if (indexed === 'quantity') {
    const own = { $eq: ['$$this.p', parameter] };
    const converted = rows('$q', [own, { $eq: ['$$this.c', 1] }], '$$this.l');
    return { $ifNull: [pick(converted), pick(rows('$q', [own], '$$this.l'))] };
  }
  const key = SORTED_KEYS[indexed];
  if (key === undefined) throw new StoreError('refused', `Sorting by ${indexed} is not supported.`);
  const start = keyed(parameter, key);
  return pick(rows('$k', [{ $gte: ['$$this', start] }, { $lt: ['$$this', prefixEnd(start)] }], '$$this'));
}

/** What stands before the value of a sort key in its member. */
function prefixOf({ parameter, indexed }: SortKey, type: string): string {
  if (indexed === 'id') return `${type}/`;
  const key = SORTED_KEYS[indexed];
  return key === undefined ? '' : keyed(parameter, key);
}

function cursorValue(value: unknown, key: SortKey, type: string): CursorValue {
  if (typeof value === 'string') return value.slice(prefixOf(key, type).length);
  return typeof value === 'number' ? value : null;
}

function storedValue(value: CursorValue, key: SortKey, type: string): CursorValue {
  return typeof value === 'string' ? prefixOf(key, type) + value : value;
}
