/**
 * Running a plan: collect and sort when an index range is small, else walk an index in the order asked for.
 * Thread without budget: at most BOUNDED candidate rows, refused with `bounded-thread`. Thread with a budget: `too-costly` when it is spent.
 */
import type { Predicate, SearchPlan, SortKey } from '../../fhir/search/algebra.ts';
import { type CursorValue, decodeCursor, encodeCursor } from '../cursor.ts';
import { type Page, StoreError } from '../port.ts';
import type { Dictionary } from './dictionary.ts';
import { estimate, type Total } from './estimate.ts';
import type { Window } from './leaf.ts';
import { mergedPage } from './merge.ts';
import { KIND } from './message.ts';
import { Planner } from './plan.ts';
import { join, raw, type Sql, type Statements, sql } from './sql.ts';

/** Candidates a bounded thread may collect, and rows it may walk past. */
const BOUNDED = { collect: 2000, walk: 4000 } as const;
/** Candidates a thread with a budget collects before it prefers to walk. */
const COLLECT = 20_000;

export interface Match {
  readonly rid: number;
  /** One value a sort key, null = missing. */
  readonly keys: readonly CursorValue[];
}
/** A page of rids and where it ended. */
export interface Matches {
  readonly rids: readonly number[];
  readonly next: string | undefined;
}

export interface Ordered {
  readonly where: Predicate;
  readonly type: string;
  readonly sort: readonly SortKey[];
  /** Ties go by rid in this direction. */
  readonly descending: boolean;
  readonly after: readonly CursorValue[] | undefined;
  readonly limit: number;
}

/** The index a sort key can be walked along: table, value column, restriction. Others are collected. */
const WALKS: Partial<Record<SortKey['indexed'], readonly [table: string, column: string]>> = {
  string: ['string', 'folded'],
  reference: ['reference', 'target'],
  date: ['date', 'low'],
  uri: ['uri', 'value'],
  id: ['resource', 'id'],
  updated: ['resource', 'at'],
};

export class Searcher {
  readonly #statements: Statements;
  readonly #planner: Planner;
  readonly #budgetMs: number | undefined;
  readonly #collect: number;
  #walked = 0;
  #mostWalked: number;
  #deadline = 0;

  /** @param collect most candidates to collect; tests lower it so that a small world takes the ways of a large one */
  constructor(
    statements: Statements,
    dictionary: Dictionary,
    budgetMs: number | undefined,
    collect = budgetMs === undefined ? BOUNDED.collect : COLLECT,
  ) {
    this.#statements = statements;
    this.#planner = new Planner(statements, dictionary, collect, () => {
      this.#walked = 0;
    });
    this.#budgetMs = budgetMs;
    this.#collect = collect;
    this.#mostWalked = budgetMs === undefined ? BOUNDED.walk : Number.POSITIVE_INFINITY;
    statements.connection.function('tick', { deterministic: false }, () => this.#tick());
  }

  get planner(): Planner {
    return this.#planner;
  }

  /** Most candidates to collect on this thread. */
  get collectLimit(): number {
    return this.#collect;
  }

  /** What says that a search visits too much: the thread without a budget leaves it to the one with. */
  refused(message: string): StoreError {
    return new StoreError(this.#budgetMs === undefined ? 'bounded-thread' : 'refused', message);
  }

  /** Called before every statement sequence of one search. */
  start(): void {
    this.#walked = 0;
    this.#deadline = performance.now() + (this.#budgetMs ?? 0);
  }

  #tick(): 1 {
    this.#walked++;
    if (this.#walked > this.#mostWalked) {
      throw new StoreError('bounded-thread', 'The search visits too many rows for this thread.');
    }
    if (this.#budgetMs !== undefined && this.#walked % 256 === 0 && performance.now() > this.#deadline) {
      const advice = 'Narrow it: name a patient, a code or a period, or leave out `_sort` and `_total`.';
      throw new StoreError('too-costly', `The search took longer than ${this.#budgetMs} ms. ${advice}`);
    }
    return 1;
  }

  search(plan: SearchPlan, page: Page): Matches {
    this.start();
    const bound = boundTo(plan);
    const count = plan.sort.length + 1;
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, count);
    const descending = plan.sort[0]?.descending ?? false;
    const found = this.#ordered({ ...plan, descending, after, limit: page.count + 1 });
    const matches = found.slice(0, page.count);
    const last = matches.at(-1);
    const next = found.length > page.count && last ? encodeCursor(bound, [...last.keys, last.rid]) : undefined;
    return { rids: matches.map(({ rid }) => rid), next };
  }

  /** One page of several types, in one order over all of them. */
  searchTypes(plans: readonly SearchPlan[], page: Page): Matches {
    this.start();
    return mergedPage(plans, page, this.#planner, (order) => this.#ordered(order));
  }

  /** Logical ids of at most `limit` matches, in no order. */
  ids(plan: SearchPlan, limit: number): readonly string[] {
    this.start();
    const found = this.#ordered({ ...plan, sort: [], descending: false, after: undefined, limit });
    return found.map(({ rid }) => this.#statements.text(sql`SELECT id FROM resource WHERE rid=${rid}`) ?? '');
  }

  count(plan: SearchPlan): number {
    this.start();
    return this.#count(plan);
  }

  /** Matches of all plans under one budget. An estimate counts what an index range bounds and samples the rest. */
  countTypes(plans: readonly SearchPlan[], accuracy: 'accurate' | 'estimate'): Total {
    this.start();
    let total: Total = { count: 0, exact: true };
    for (const plan of plans) {
      const each =
        accuracy === 'accurate'
          ? { count: this.#count(plan), exact: true }
          : estimate(plan, this.#planner, this.#collect);
      total = { count: total.count + each.count, exact: total.exact && each.exact };
    }
    return total;
  }

  #count({ where, type }: SearchPlan): number {
    const driven = this.#planner.drive(where, type, this.#collect);
    if (driven !== undefined) {
      const exact = this.#planner.exact(driven, type);
      return this.#statements.number(sql`SELECT count(DISTINCT rid) FROM (${exact})`) ?? 0;
    }
    const walk = this.#walk({ where, type, sort: [], descending: false, after: undefined, limit: 0 }, true);
    return this.#statements.number(sql`SELECT count(*) FROM (${walk})`) ?? 0;
  }

  #ordered(order: Ordered): readonly Match[] {
    if (order.limit <= 0) return [];
    const driven = this.#planner.drive(order.where, order.type, this.#collect);
    const [first] = order.sort;
    if (driven !== undefined) {
      const walked = first && this.#prefersWalk(order, first, driven.bound) ? this.#tryWalk(order, first) : undefined;
      return walked ?? this.#rows(this.#collected(order, driven), order);
    }
    if (first === undefined) return this.#rows(this.#walk(order, false), order);
    return this.#alongSort(order, first);
  }

  /**
   * A page of `limit` out of `bound` candidates among n resources costs about limit * n / bound steps along the sort's index,
   * collecting costs `bound`; filters that remain make the walk longer, hence the margin of two.
   */
  #prefersWalk({ type, limit }: Ordered, { indexed }: SortKey, bound: number): boolean {
    if (WALKS[indexed] === undefined || bound <= this.#planner.few) return false;
    const [low, high] = this.#planner.range(type);
    const last =
      this.#statements.number(sql`SELECT max(rid) FROM resource WHERE rid > ${low} AND rid < ${high}`) ?? low;
    return bound * bound > 2 * limit * (last - low);
  }

  /** The walk, given up when it visits more rows than a bounded thread may. */
  #tryWalk(order: Ordered, first: SortKey): readonly Match[] | undefined {
    const most = this.#mostWalked;
    this.#mostWalked = BOUNDED.walk;
    this.#walked = 0;
    try {
      return this.#alongSort(order, first);
    } catch (error) {
      if (error instanceof StoreError && error.reason === 'bounded-thread') return undefined;
      throw error;
    } finally {
      this.#mostWalked = most;
      this.#walked = 0;
    }
  }

  #rows(query: Sql, { sort }: Ordered): readonly Match[] {
    return this.#statements.all(query).map((row) => ({
      rid: Number(row[0]),
      keys: sort.map((_key, index) => {
        const value = row[index + 1];
        return typeof value === 'string' || typeof value === 'number' ? value : null;
      }),
    }));
  }

  /** Few candidates: each is judged, its sort values looked up, and all sorted. */
  #collected(order: Ordered, driven: { base: Sql; rest: readonly Predicate[] }): Sql {
    const { type, sort, after, descending, limit } = order;
    const rest = this.#planner.conditions(driven.rest, type, { rid: raw('b.rid') });
    if (sort.length === 0) {
      return sql`SELECT DISTINCT b.rid FROM (${driven.base}) b WHERE ${beyond([], raw('b.rid'), after, descending)} AND ${rest} ORDER BY b.rid ${direction(descending)} LIMIT ${limit}`;
    }
    const values = sort.map((key, index) => sql`${this.#value(key, raw('b.rid'))} AS k${raw(String(index))}`);
    const terms = sort.map((key, index) => ({ column: raw(`k${index}`), descending: key.descending }));
    const names = terms.map(({ column }) => column.text).join(', ');
    return sql`WITH m(rid, ${raw(names)}) AS MATERIALIZED (SELECT b.rid, ${join(values, ', ', '')} FROM (SELECT DISTINCT rid FROM (${driven.base})) b WHERE ${rest}) SELECT rid, ${raw(names)} FROM m WHERE ${beyond(terms, raw('rid'), after, descending)} ORDER BY ${orderBy(terms)}, rid ${direction(descending)} LIMIT ${limit}`;
  }

  /** Many candidates, order by rid: along an index that is in rid order, or the type's own range. `all`: without end. */
  #walk({ where, type, after, descending, limit }: Ordered, all: boolean): Sql {
    const leaf = this.#planner.orderedLeaf(where);
    const rest = leaf === undefined ? [where] : where.kind === 'and' ? where.of.filter((child) => child !== leaf) : [];
    const judged = rest.some(({ kind }) => kind !== 'all') || all;
    const condition = this.#planner.conditions(rest, type, { rid: raw('w.rid') });
    const from = leaf === undefined ? raw('resource') : sql`(${this.#planner.seek(leaf, type)})`;
    const [low, high] = this.#planner.range(type);
    const within = sql`w.rid > ${low} AND w.rid < ${high} AND ${beyond([], raw('w.rid'), after, descending)}`;
    const end = all ? raw('') : sql` ORDER BY w.rid ${direction(descending)} LIMIT ${limit}`;
    return sql`SELECT ${raw(leaf === undefined ? '' : 'DISTINCT')} w.rid FROM ${from} w WHERE ${within}${judged ? raw(' AND tick()') : raw('')} AND ${condition}${end}`;
  }

  /** Many candidates and a sort: along the first key's index, then the resources that lack it. */
  #alongSort(order: Ordered, first: SortKey): readonly Match[] {
    const walk = WALKS[first.indexed];
    if (walk === undefined) {
      if (this.#budgetMs === undefined)
        throw new StoreError('bounded-thread', 'The sort visits too many rows for this thread.');
      const [low, high] = this.#planner.range(order.type);
      const base = sql`SELECT rid FROM resource WHERE rid > ${low} AND rid < ${high} AND tick()`;
      return this.#rows(this.#collected(order, { base, rest: [order.where] }), order);
    }
    const within = walk[0] === 'date' ? this.#planner.window(order.where, first.parameter) : undefined;
    if (within !== undefined)
      return this.#rows(this.#sortWalk({ ...order, where: within.rest }, first, walk, within.window), order);
    const found: Match[] = [];
    const inMissing = order.after !== undefined && order.after[0] === null;
    if (!inMissing) found.push(...this.#rows(this.#sortWalk(order, first, walk), order));
    if (walk[0] === 'resource' || found.length >= order.limit) return found;
    const lacking = this.#ordered({
      ...order,
      where: { kind: 'and', of: [order.where, { kind: 'missing', parameter: first.parameter, missing: true }] },
      sort: order.sort.slice(1),
      after: inMissing ? order.after?.slice(1) : undefined,
      limit: order.limit - found.length,
    });
    return [...found, ...lacking.map(({ rid, keys }) => ({ rid, keys: [null, ...keys] }))];
  }

  /** @param window of the rows walked; a resource without row is then no match, and none has two */
  #sortWalk(order: Ordered, first: SortKey, [table, name]: readonly [string, string], window?: Window): Sql {
    const { type, where, sort, after, descending, limit } = order;
    const column = raw(`d.${name}`);
    const rid = raw('d.rid');
    const others = sort.slice(1).map((key) => ({ column: this.#value(key, rid), descending: key.descending }));
    const terms = [{ column, descending: first.descending }, ...others];
    const start = after?.[0] ?? null;
    const seek =
      window === undefined
        ? start === null
          ? raw('1')
          : sql`${column} ${raw(first.descending ? '<=' : '>=')} ${start}`
        : windowSeek(window, first.descending, start);
    const own =
      table === 'resource'
        ? sql`d.type=${this.#planner.typeNumber(type)} AND d.rid > 0`
        : sql`d.parameter=${this.#planner.leaves.parameter(first.parameter)}`;
    const columns = join(
      terms.map((term) => term.column),
      ', ',
      '',
    );
    const condition = this.#planner.condition(where, type, { rid });
    // Of several rows of a resource the one it is sorted by: asked last, since SQLite would ask it of every row first.
    const isOnly = table === 'resource' || window !== undefined;
    const holds = isOnly ? condition : sql`CASE WHEN ${condition} THEN ${column}=${this.#value(first, rid)} END`;
    return sql`SELECT ${raw(isOnly ? '' : 'DISTINCT')} d.rid, ${columns} FROM ${raw(table)} d WHERE tick() AND ${own} AND ${seek} AND ${beyond(terms, rid, after, descending)} AND ${holds} ORDER BY ${column} ${direction(first.descending)}, ${others.length === 0 ? raw('') : sql`${orderBy(others)}, `}d.rid ${direction(descending)} LIMIT ${limit}`;
  }

  /** Sort value of a resource: lowest when ascending, highest when descending; NULL when it has none. Quantities compare converted rows first. */
  #value({ parameter, indexed, descending }: SortKey, rid: Sql): Sql {
    if (indexed === 'id') return sql`(SELECT id FROM resource WHERE rid=${rid})`;
    if (indexed === 'updated') return sql`(SELECT at FROM resource WHERE rid=${rid})`;
    const number = this.#planner.leaves.parameter(parameter);
    const pick = raw(descending ? 'max(a)' : 'min(a)');
    const rows = sql`FROM entry WHERE rid=${rid} AND parameter=${number} AND kind=${KIND[indexed]}`;
    if (indexed !== 'quantity') return sql`(SELECT ${pick} ${rows})`;
    const converted = sql`c IN (SELECT unit FROM parameter_unit WHERE parameter=${number} AND converted=1)`;
    return sql`coalesce((SELECT ${pick} ${rows} AND ${converted}), (SELECT ${pick} ${rows}))`;
  }
}

/** What a cursor must have been made for. */
function boundTo({ type, sort, principal }: SearchPlan): string {
  return JSON.stringify([type, sort, principal]);
}

/** The range of a window that is left behind the cursor's first value, and its test. */
function windowSeek({ test, from, to }: Window, descending: boolean, start: CursorValue): Sql {
  const low = descending || start === null ? from : Math.max(from, Number(start));
  const high = descending && start !== null ? Math.min(to, Number(start)) : to;
  return sql`d.low >= ${low} AND d.low <= ${high} AND ${test}`;
}

interface Term {
  readonly column: Sql;
  readonly descending: boolean;
}

function direction(descending: boolean): Sql {
  return raw(descending ? 'DESC' : 'ASC');
}

function orderBy(terms: readonly Term[]): Sql {
  return join(
    terms.map(({ column, descending }) => sql`${column} ${raw(descending ? 'DESC NULLS LAST' : 'ASC NULLS LAST')}`),
    ', ',
    '',
  );
}

/** Strictly after the cursor in the order of `terms` (missing last), then rid. */
function beyond(terms: readonly Term[], rid: Sql, after: readonly CursorValue[] | undefined, descending: boolean): Sql {
  if (after === undefined) return raw('1');
  const [term, ...others] = terms;
  const [value, ...rest] = after;
  if (term === undefined) return sql`${rid} ${raw(descending ? '<' : '>')} ${value ?? null}`;
  const deeper = beyond(others, rid, rest, descending);
  if (value === null || value === undefined) return sql`(${term.column} IS NULL AND ${deeper})`;
  const comparison = raw(term.descending ? '<' : '>');
  return sql`(${term.column} IS NULL OR ${term.column} ${comparison} ${value} OR (${term.column} = ${value} AND ${deeper}))`;
}
