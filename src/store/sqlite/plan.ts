/** Predicate trees as SQL: what drives a search (an index range, small by probe) and what is asked of each candidate (key lookups). */
import type { ParameterKey, Predicate } from '../../fhir/search/algebra.ts';
import { StoreError } from '../port.ts';
import type { Dictionary } from './dictionary.ts';
import { occurring } from './excluded.ts';
import {
  type Interval,
  isUpdated,
  type Leaf,
  Leaves,
  oneOf,
  type Subject,
  startsWith,
  updatedHolds,
  type Window,
} from './leaf.ts';
import { KIND } from './message.ts';
import { nearHolds, nearSeek } from './near.ts';
import { Probes } from './probes.ts';
import { TYPE_SPAN } from './schema.ts';
import { join, raw, type Sql, type Statements, sql } from './sql.ts';
import { textHolds, textSeek } from './text.ts';

/** `base` yields rids (superset, may repeat); `rest` must be asked of each; `bound` is how many rows `base` has, at most probed. */
export interface Drive {
  readonly base: Sql;
  readonly rest: readonly Predicate[];
  readonly bound: number;
}

/** Below this a driver is taken without looking at the others. */
const FEW = 200;

/** Alternatives that are sought one by one; SQLite takes 500 in one statement. More are asked of each candidate instead. */
const MOST_SEEKS = 200;

/** Cheapest and most selective first, by experience; decides only the order of probes. */
const RANK = {
  none: 0,
  ids: 0,
  reference: 1,
  uri: 2,
  token: 2,
  string: 3,
  and: 3,
  text: 4,
  near: 5,
  composite: 4,
  or: 4,
  chain: 5,
  has: 5,
  quantity: 6,
  interval: 6,
  missing: 7,
  not: 9,
  all: 9,
} as const satisfies Record<Predicate['kind'], number>;

const rangeOf = (type: number): readonly [low: number, high: number] => [type * TYPE_SPAN, (type + 1) * TYPE_SPAN];

export class Planner {
  readonly statements: Statements;
  readonly leaves: Leaves;
  readonly #dictionary: Dictionary;
  /** A driver of at most this many rows is taken without looking further. */
  readonly few: number;
  readonly #restartCount: () => void;
  readonly #probes = new Probes();

  /** @param restartCount begins the count of visited rows again: each probe has its own */
  constructor(statements: Statements, dictionary: Dictionary, collect: number, restartCount: () => void) {
    this.statements = statements;
    this.#restartCount = restartCount;
    this.few = Math.min(FEW, Math.floor(collect / 10));
    this.leaves = new Leaves(dictionary);
    this.#dictionary = dictionary;
  }

  typeNumber(type: string): number {
    return this.#dictionary.number('type', type);
  }

  /**
   * Rows that `base` yields, counted up to `limit` + 1; also `limit` + 1 when it visits too many rows for this thread. It may be some seconds
   * old: it decides how a search is run, never what it finds.
   */
  probe(base: Sql, limit: number): number {
    const key = `${base.text}\u0000${base.values.join('\u0000')}`;
    const known = this.#probes.get(key, limit);
    if (known !== undefined) return known;
    const rows = this.#count(base, limit);
    this.#probes.set(key, limit, rows);
    return rows;
  }

  #count(base: Sql, limit: number): number {
    this.#restartCount();
    try {
      return this.statements.number(sql`SELECT count(*) FROM (SELECT 1 FROM (${base}) LIMIT ${limit + 1})`) ?? 0;
    } catch (error) {
      if (error instanceof StoreError && error.reason === 'bounded-thread') return limit + 1;
      throw error;
    } finally {
      this.#restartCount();
    }
  }

  /** The most selective index range of a predicate; undefined when none has at most `limit` rows. */
  drive(where: Predicate, type: string, limit: number): Drive | undefined {
    switch (where.kind) {
      case 'all':
      case 'not':
        return undefined;
      case 'and':
        return this.#driveAnd(where.of, type, limit);
      case 'or':
        return this.#driveOr(where.of, type, limit);
      case 'composite':
        return this.#driveComposite(where, type, limit);
      case 'chain':
      case 'has':
        return this.#driveJoin(where, type, limit);
      case 'ids':
        // One row an id at most: nothing is to be counted.
        if (where.ids.length > limit) return this.#driveBase(this.seek(where, type), limit);
        return { base: this.seek(where, type), rest: [], bound: where.ids.length };
      default:
        return this.#driveBase(this.seek(where, type), limit);
    }
  }

  #driveAnd(of: readonly Predicate[], type: string, limit: number): Drive | undefined {
    let best: Drive | undefined;
    const done = new Set<Predicate>();
    for (const child of of.toSorted((a, b) => RANK[a.kind] - RANK[b.kind])) {
      if (done.has(child)) continue;
      const between = this.#between(child, of, type);
      const together: readonly Predicate[] = between?.of ?? [child];
      for (const each of together) done.add(each);
      const within = best === undefined ? limit : best.bound - 1;
      const found = between === undefined ? this.drive(child, type, within) : this.#driveBase(between.base, within);
      if (found === undefined) continue;
      best = { ...found, rest: [...found.rest, ...of.filter((other) => !together.includes(other))] };
      if (best.bound <= this.few) break;
    }
    return best;
  }

  #driveBase(base: Sql, limit: number): Drive | undefined {
    const bound = this.probe(base, limit);
    return bound > limit ? undefined : { base, rest: [], bound };
  }

  /** All intervals on the parameter of `child` as one range: from and to are each half the store. Undefined where a range cannot say it. */
  #between(
    child: Predicate,
    siblings: readonly Predicate[],
    type: string,
  ): { readonly base: Sql; readonly of: readonly Interval[] } | undefined {
    if (child.kind !== 'interval') return undefined;
    const of = siblings.filter(
      (each): each is Interval => each.kind === 'interval' && each.parameter === child.parameter,
    );
    if (of.length < 2) return undefined;
    if (isUpdated(child.parameter)) {
      const tests = of.map(({ relation, low, high }) => updatedHolds(relation, low, high));
      const number = this.typeNumber(type);
      return {
        base: sql`SELECT rid FROM resource WHERE type=${number} AND ${join(tests, ' AND ', '1')} AND rid > 0`,
        of,
      };
    }
    const parameter = this.leaves.parameter(child.parameter);
    const window = this.leaves.window(of, parameter);
    if (window === undefined) return undefined;
    const range = sql`d.low >= ${window.from} AND d.low <= ${window.to}`;
    return {
      base: sql`SELECT d.rid AS rid FROM date d WHERE d.parameter=${parameter} AND ${range} AND tick() AND ${window.test}`,
      of,
    };
  }

  #driveOr(of: readonly Predicate[], type: string, limit: number): Drive | undefined {
    if (of.length > MOST_SEEKS) return undefined;
    const bases: Sql[] = [];
    let bound = 0;
    for (const child of of) {
      const found = this.drive(child, type, limit - bound);
      if (found === undefined) return undefined;
      bound += found.bound;
      bases.push(this.exact(found, type));
    }
    if (bases.length === 0) return { base: raw('SELECT 0 AS rid WHERE 0'), rest: [], bound: 0 };
    return { base: join(bases, ' UNION ALL ', ''), rest: [], bound };
  }

  #driveComposite(where: Extract<Predicate, { kind: 'composite' }>, type: string, limit: number): Drive | undefined {
    const found = this.#driveAnd(where.components, type, limit);
    return found === undefined ? undefined : { base: found.base, rest: [where], bound: found.bound };
  }

  #driveJoin(where: Extract<Predicate, { kind: 'chain' | 'has' }>, type: string, limit: number): Drive | undefined {
    refuseAudit(where.type);
    const inner = this.drive(where.where, where.type, limit);
    if (inner === undefined) return undefined;
    const ends = this.exact(inner, where.type);
    const parameter = this.leaves.parameter(where.parameter);
    const base =
      where.kind === 'chain'
        ? sql`SELECT r.rid AS rid FROM (${ends}) t CROSS JOIN resource x ON x.rid=t.rid CROSS JOIN reference r ON r.parameter=${parameter} AND r.target=${`${where.type}/`}||x.id`
        : sql`SELECT x.rid AS rid FROM (${ends}) t CROSS JOIN entry e ON e.rid=t.rid AND e.parameter=${parameter} AND e.kind=${KIND.reference} AND ${startsWith(raw('e.a'), `${type}/`)} CROSS JOIN resource x ON x.type=${this.typeNumber(type)} AND x.id=substr(e.a, ${type.length + 2}) AND x.rid > 0`;
    return this.#driveBase(base, limit);
  }

  /** The driver with what remains to be asked: `SELECT rid` of exactly the matches. */
  exact({ base, rest }: Drive, type: string): Sql {
    if (rest.length === 0) return base;
    return sql`SELECT rid FROM (${base}) b WHERE ${this.conditions(rest, type, { rid: raw('b.rid') })}`;
  }

  /** `SELECT rid` by index range of a predicate that stands alone. */
  seek(where: Predicate, type: string): Sql {
    const number = this.typeNumber(type);
    switch (where.kind) {
      case 'none':
        return raw('SELECT 0 AS rid WHERE 0');
      case 'ids':
        return sql`SELECT rid FROM resource WHERE type=${number} AND ${oneOf(raw('id'), where.ids)} AND rid > 0`;
      case 'missing':
        return this.#seekMissing(where, number);
      case 'interval':
        if (isUpdated(where.parameter)) return this.#seekUpdated(where, number);
        return this.leaves.seek(where);
      case 'text':
        return textSeek(where, rangeOf(number));
      case 'near':
        return nearSeek(where, this.#dictionary);
      case 'token':
      case 'string':
      case 'reference':
      case 'uri':
      case 'quantity':
        return this.leaves.seek(where);
      default:
        throw new TypeError(`A predicate ${where.kind} has no index range of its own.`);
    }
  }

  #seekMissing({ parameter, missing }: Extract<Predicate, { kind: 'missing' }>, type: number): Sql {
    const having = sql`SELECT shape FROM shape_parameter WHERE parameter=${this.leaves.parameter(parameter)}`;
    return missing
      ? sql`SELECT rid FROM resource WHERE shape IN (SELECT id FROM shape WHERE type=${type} AND id NOT IN (${having}))`
      : sql`SELECT rid FROM resource WHERE shape IN (${having})`;
  }

  #seekUpdated({ relation, low, high }: Extract<Predicate, { kind: 'interval' }>, type: number): Sql {
    return sql`SELECT rid FROM resource WHERE type=${type} AND ${updatedHolds(relation, low, high)} AND rid > 0`;
  }

  /** Cheapest first: SQLite asks them in this order. */
  conditions(all: readonly Predicate[], type: string, of: Subject): Sql {
    const pieces = all
      .toSorted((a, b) => RANK[a.kind] - RANK[b.kind])
      .map((predicate) => this.condition(predicate, type, of));
    return join(pieces, ' AND ', '1');
  }

  /** True or false for one known resource of `type`; key lookups only. */
  condition(where: Predicate, type: string, of: Subject): Sql {
    const { rid } = of;
    switch (where.kind) {
      case 'all':
        return raw('1');
      case 'none':
        return raw('0');
      case 'ids':
        return sql`${rid} IN (${this.seek(where, type)})`;
      case 'missing': {
        const exists = sql`EXISTS(SELECT 1 FROM entry WHERE rid=${rid} AND parameter=${this.leaves.parameter(where.parameter)})`;
        return where.missing ? sql`NOT ${exists}` : exists;
      }
      case 'interval':
        if (isUpdated(where.parameter)) {
          return sql`EXISTS(SELECT 1 FROM resource WHERE rid=${rid} AND ${updatedHolds(where.relation, where.low, where.high)})`;
        }
        return this.leaves.lookup(where, of);
      case 'token':
      case 'string':
      case 'reference':
      case 'uri':
      case 'quantity':
        return this.leaves.lookup(where, of);
      case 'text':
        return textHolds(where, rid);
      case 'near':
        return nearHolds(where, rid, this.#dictionary);
      case 'composite':
        return this.#composite(where.components, type, of);
      case 'chain':
      case 'has':
        return this.#join(where, type, of);
      case 'and':
        return sql`(${this.conditions(where.of, type, of)})`;
      case 'or':
        return this.#or(where.of, type, of);
      case 'not':
        return sql`NOT (${this.condition(occurring(where.of, this.leaves), type, of)})`;
      default:
        throw new TypeError(`Unknown predicate ${String(where satisfies never)}`);
    }
  }

  /** Codes of one parameter and system are asked together. */
  #or(children: readonly Predicate[], type: string, of: Subject): Sql {
    const pieces: Sql[] = [];
    const alike = Map.groupBy(children, (child) =>
      child.kind === 'token' && child.code !== undefined ? JSON.stringify([child.parameter, child.system]) : '',
    );
    for (const [key, group] of alike) {
      const [first] = group;
      const codes = group.flatMap((child) => (child.kind === 'token' && child.code !== undefined ? [child.code] : []));
      if (key !== '' && first?.kind === 'token' && codes.length > 1) {
        pieces.push(this.leaves.lookupCodes(first, codes, of));
      } else pieces.push(...group.map((child) => this.condition(child, type, of)));
    }
    return anyOf(pieces);
  }

  /** Some group of the first component's rows satisfies every component. */
  #composite(components: readonly Predicate[], type: string, { rid }: Subject): Sql {
    const [first] = components;
    if (first === undefined) return raw('0');
    const parameters = [...parametersOf(first)].map((name) => this.leaves.parameter(name));
    const numbers = raw(parameters.join(',') || '-1');
    const inGroup = components.map((child) => this.condition(child, type, { rid, group: raw('g.grp') }));
    return sql`EXISTS(SELECT 1 FROM entry g WHERE g.rid=${rid} AND g.parameter IN (${numbers}) AND g.grp>0 AND ${join(inGroup, ' AND ', '1')})`;
  }

  /** From the side with few ends when there is one, else by key from the candidate. */
  #join(where: Extract<Predicate, { kind: 'chain' | 'has' }>, type: string, { rid }: Subject): Sql {
    refuseAudit(where.type);
    const driven = this.#driveJoin(where, type, this.few);
    if (driven !== undefined) return sql`${rid} IN (${driven.base})`;
    const parameter = this.leaves.parameter(where.parameter);
    const inner = this.condition(where.where, where.type, { rid: raw(where.kind === 'chain' ? 'x.rid' : 'r.rid') });
    if (where.kind === 'chain') {
      return sql`EXISTS(SELECT 1 FROM entry e CROSS JOIN resource x ON x.type=${this.typeNumber(where.type)} AND x.id=substr(e.a, ${where.type.length + 2}) AND x.rid > 0 WHERE e.rid=${rid} AND e.parameter=${parameter} AND e.kind=${KIND.reference} AND ${startsWith(raw('e.a'), `${where.type}/`)} AND tick() AND ${inner})`;
    }
    return sql`EXISTS(SELECT 1 FROM reference r WHERE r.parameter=${parameter} AND r.target=${`${type}/`}||(SELECT id FROM resource WHERE rid=${rid}) AND tick() AND ${inner})`;
  }

  /** The intervals of a conjunction that lie on one parameter, as a window of its rows, and what remains to be asked. */
  window(where: Predicate, parameter: ParameterKey): { readonly window: Window; readonly rest: Predicate } | undefined {
    const all = where.kind === 'and' ? where.of : [where];
    const isWithin = (child: Predicate): child is Interval =>
      child.kind === 'interval' && child.parameter === parameter;
    const window = this.leaves.window(all.filter(isWithin), this.leaves.parameter(parameter));
    return window && { window, rest: { kind: 'and', of: all.filter((child) => !isWithin(child)) } };
  }

  /** Every live resource of a type, in rid order between the bounds (exclusive). */
  range(type: string): readonly [low: number, high: number] {
    return rangeOf(this.typeNumber(type));
  }

  /** The leaf of a conjunction that can be walked in rid order, if any; not `rest`. */
  orderedLeaf(where: Predicate): Leaf | undefined {
    const candidates = where.kind === 'and' ? where.of : [where];
    return candidates
      .filter((child) => child.kind === 'token' || child.kind === 'reference' || child.kind === 'uri')
      .filter((leaf) => this.leaves.isOrdered(leaf))
      .toSorted((a, b) => RANK[a.kind] - RANK[b.kind])[0];
  }
}

function refuseAudit(type: string): void {
  if (type === 'AuditEvent') throw new StoreError('refused', 'Chains and `_has` over AuditEvent are not supported.');
}

/** Parameters of the leaves of a component. */
function parametersOf(predicate: Predicate): ReadonlySet<ParameterKey> {
  if ('parameter' in predicate) return new Set([predicate.parameter]);
  if (predicate.kind === 'and' || predicate.kind === 'or')
    return new Set(predicate.of.flatMap((child) => [...parametersOf(child)]));
  if (predicate.kind === 'not') return parametersOf(predicate.of);
  return new Set();
}

/** Alternatives as a balanced tree: SQLite allows expressions 1,000 deep. */
function anyOf(pieces: readonly Sql[]): Sql {
  if (pieces.length <= 8) return sql`(${join(pieces, ' OR ', '0')})`;
  const middle = pieces.length >> 1;
  return sql`(${anyOf(pieces.slice(0, middle))} OR ${anyOf(pieces.slice(middle))})`;
}
