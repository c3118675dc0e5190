/**
 * Leaf predicates as SQL, each in two forms: `lookup` asks it of one known resource by key, `seek` yields the resources that satisfy it
 * from one index range; where that range may hold rows that do not, `tick()` counts what is visited. Dates are half-open [low, high), quantities closed [low, high]; search.html#prefix.
 */
import type { ParameterKey, Predicate, Relation } from '../../fhir/search/algebra.ts';
import { ancestors, prefixEnd } from '../text-range.ts';
import { type Dictionary, UNKNOWN } from './dictionary.ts';
import { KIND } from './message.ts';
import { LONG_INTERVAL } from './schema.ts';
import { join, raw, type Sql, sql } from './sql.ts';

export type Leaf = Extract<Predicate, { kind: 'token' | 'string' | 'reference' | 'uri' | 'interval' | 'quantity' }>;
type Token = Extract<Leaf, { kind: 'token' }>;
export type ByParameter = Leaf | Extract<Predicate, { kind: 'missing' }>;

/** A resource by its rid; within one group of a composite when `group` is given. */
export interface Subject {
  readonly rid: Sql;
  readonly group?: Sql;
}

/** `column` starts with `prefix`, as a range of it. */
export function startsWith(column: Sql, prefix: string): Sql {
  if (prefix === '') return raw('1');
  const end = prefixEnd(prefix);
  return end === undefined ? sql`${column} >= ${prefix}` : sql`${column} >= ${prefix} AND ${column} < ${end}`;
}

/** `column` is one of `values`: bound as one JSON text when there are several. */
export function oneOf(column: Sql, values: readonly string[]): Sql {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return sql`${column}=${only}`;
  return sql`${column} IN (SELECT value FROM json_each(${textOf(values)}))`;
}

/** From here on a known resource's own rows are tested, instead of seeking each target. */
const MANY_TARGETS = 16;
/** Lists that are asked again and again are those of Consents: one text each. */
const texts = new WeakMap<readonly string[], string>();

function textOf(values: readonly string[]): string {
  if (values.length <= MANY_TARGETS) return JSON.stringify(values);
  const text = texts.get(values) ?? JSON.stringify(values);
  texts.set(values, text);
  return text;
}

/** How stored `low` and `high` must lie to the searched interval. `closed`: quantities; a stored point then has low = high. */
export function relationHolds(relation: Relation, low: Sql, high: Sql, from: number, to: number, closed: boolean): Sql {
  switch (relation) {
    case 'eq':
      return sql`${low}>=${from} AND ${low}<=${to} AND ${high}<=${to}`;
    case 'ne':
      return sql`(${low}<${from} OR ${high}>${to})`;
    case 'gt':
      return sql`${high}>${to}`;
    case 'lt':
      return sql`${low}<${from}`;
    case 'ge':
      return sql`(${low}>=${from} OR ${high}>${to})`;
    case 'le':
      return sql`(${low}<${from} OR ${high}<=${to})`;
    case 'sa':
      return closed ? sql`${low}>${to}` : sql`${low}>=${to}`;
    case 'eb':
      return closed ? sql`${high}<${from}` : sql`${high}<=${from}`;
    case 'ap':
      return closed ? sql`${high}>=${from} AND ${low}<=${to}` : sql`${high}>${from} AND ${low}<${to}`;
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

/** Keys of components end with their number, see extract.ts. */
const isComponent = (parameter: ParameterKey): boolean => parameter.includes('$');

export function isUpdated(parameter: ParameterKey): boolean {
  return parameter.endsWith('._lastUpdated');
}

/** lastUpdated is an instant of one ms: [at, at + 1). */
export function updatedHolds(relation: Relation, low: number, high: number): Sql {
  const open = Math.ceil(low);
  switch (relation) {
    case 'eq':
      return sql`at>=${open} AND at<=${high - 1}`;
    case 'gt':
      return sql`at>${high - 1}`;
    case 'ge':
      return sql`at>=${Math.min(low, high)}`;
    case 'le':
      return sql`at<=${Math.max(low - 1, high - 1)}`;
    case 'eb':
      return sql`at<=${low - 1}`;
    default:
      return relationHolds(relation, raw('at'), raw('(at+1)'), low, high, false);
  }
}

export type Interval = Extract<Predicate, { kind: 'interval' }>;
/** Rows of a date parameter: `test` decides; none that holds has its `low` outside [from, to]. */
export interface Window {
  readonly test: Sql;
  readonly from: number;
  readonly to: number;
}

/** Where `low` of a row can lie for the relation to hold, when no row is longer than `longest`. */
function lowRange({ relation, low, high }: Interval, longest: number): readonly [from: number, to: number] {
  switch (relation) {
    case 'eq':
      return [low, high];
    case 'gt':
      return [high - longest, Number.POSITIVE_INFINITY];
    case 'ge':
      return [Math.min(low, high - longest), Number.POSITIVE_INFINITY];
    case 'sa':
      return [high, Number.POSITIVE_INFINITY];
    case 'ap':
      return [low - longest, high];
    case 'lt':
    case 'eb':
      return [Number.NEGATIVE_INFINITY, low];
    case 'le':
      return [Number.NEGATIVE_INFINITY, high];
    case 'ne':
      return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

/** Most codes of a parameter that are looked through: labels are few, identifiers are not. */
const MOST_CODES = 32;

export class Leaves {
  readonly #dictionary: Dictionary;

  constructor(dictionary: Dictionary) {
    this.#dictionary = dictionary;
  }

  parameter(name: string): number {
    return this.#dictionary.number('parameter', name);
  }

  /** Token rows by key; without a system one seek for each that the code occurs with. */
  #token(parameter: number, { system, code }: Token): Sql {
    const coded = code === undefined ? raw('') : sql` AND code=${code}`;
    if (system !== undefined) {
      return sql`parameter=${parameter} AND system=${this.#dictionary.number('system', system)}${coded}`;
    }
    if (code === undefined) return sql`parameter=${parameter}`;
    return sql`parameter=${parameter} AND system IN (SELECT system FROM code_system WHERE parameter=${parameter} AND code=${code} AND tick())${coded}`;
  }

  /** Without a unit: every unit as sent, not the converted rows. */
  #unit(parameter: number, column: Sql, unit: string | undefined): Sql {
    if (unit !== undefined) return sql`${column}=${this.#dictionary.number('unit', unit)}`;
    return sql`${column} IN (SELECT unit FROM parameter_unit WHERE parameter=${parameter} AND converted=0)`;
  }

  /**
   * Those of the codes that some resource can have, whatever its system. Looked up in the snapshot of the search itself: a code counts from the
   * very commit that first writes it. All of them when the parameter occurs with more codes than are worth looking through.
   */
  occurring(name: ParameterKey, codes: readonly string[]): readonly string[] {
    const parameter = this.parameter(name);
    if (parameter === UNKNOWN) return [];
    const held = this.#dictionary.codes(parameter, MOST_CODES + 1);
    return held.length > MOST_CODES ? codes : codes.filter((code) => held.includes(code));
  }

  /** Whether a known resource has a row that satisfies the leaf: key lookups only. */
  lookup(leaf: Leaf, { rid, group }: Subject): Sql {
    const parameter = this.parameter(leaf.parameter);
    const grp = group === undefined ? raw('') : sql` AND grp=${group}`;
    // Of a component not every row by value is there.
    if (leaf.kind === 'token' && leaf.system !== undefined && leaf.code !== undefined && group === undefined) {
      return sql`EXISTS(SELECT 1 FROM token WHERE ${this.#token(parameter, leaf)} AND rid=${rid})`;
    }
    if (leaf.kind === 'reference') {
      if (leaf.targets.length > MANY_TARGETS) {
        const version = leaf.version === undefined ? raw('') : sql` AND b=${leaf.version}`;
        return sql`EXISTS(SELECT 1 FROM entry WHERE rid=${rid} AND parameter=${parameter} AND kind=${KIND.reference}${grp} AND ${oneOf(raw('+a'), leaf.targets)}${version})`;
      }
      const version = leaf.version === undefined ? raw('') : sql` AND version=${leaf.version}`;
      return sql`EXISTS(SELECT 1 FROM reference WHERE parameter=${parameter} AND ${oneOf(raw('target'), leaf.targets)} AND rid=${rid}${grp}${version})`;
    }
    const [kind, test] = this.#entryTest(leaf, parameter);
    return sql`EXISTS(SELECT 1 FROM entry WHERE rid=${rid} AND parameter=${parameter} AND kind=${kind}${grp} AND ${test})`;
  }

  /** Whether a known resource has one of several codes: its few rows of the parameter are read, not one sought for each code. */
  lookupCodes({ parameter: name, system }: Token, codes: readonly string[], { rid, group }: Subject): Sql {
    const grp = group === undefined ? raw('') : sql` AND grp=${group}`;
    const inSystem = system === undefined ? raw('') : sql` AND c=${this.#dictionary.number('system', system)}`;
    return sql`EXISTS(SELECT 1 FROM entry WHERE rid=${rid} AND parameter=${this.parameter(name)} AND kind=${KIND.token}${grp}${inSystem} AND ${oneOf(raw('+a'), codes)})`;
  }

  /** The same on the columns of `entry`. */
  #entryTest(leaf: Exclude<Leaf, { kind: 'reference' }>, parameter: number): readonly [kind: number, test: Sql] {
    const [a, b, c] = [raw('a'), raw('b'), raw('c')];
    switch (leaf.kind) {
      case 'token':
        return [
          KIND.token,
          sql`${leaf.code === undefined ? raw('1') : sql`a=${leaf.code}`} AND ${leaf.system === undefined ? raw('1') : sql`c=${this.#dictionary.number('system', leaf.system)}`}`,
        ];
      case 'string':
        return [KIND.string, stringTest(leaf, a, b)];
      case 'uri':
        return [KIND.uri, uriTest(leaf, a)];
      case 'interval':
        return [KIND.date, relationHolds(leaf.relation, a, b, leaf.low, leaf.high, false)];
      case 'quantity':
        return [
          KIND.quantity,
          sql`${this.#unit(parameter, c, leaf.unit)} AND ${relationHolds(leaf.relation, a, b, leaf.low, leaf.high, true)}`,
        ];
      default:
        throw new TypeError(`Unknown leaf ${String(leaf satisfies never)}`);
    }
  }

  /**
   * `SELECT rid` of the resources that satisfy the leaf, from index ranges; a resource may come twice. Of a component also some that do not: a
   * composite is asked of each candidate as a whole.
   */
  seek(leaf: Leaf): Sql {
    const parameter = this.parameter(leaf.parameter);
    const own = this.#seek(leaf, parameter);
    if (!isComponent(leaf.parameter)) return own;
    const others = this.#dictionary.standIns(parameter).map((plain) => this.#seek(leaf, plain));
    return join([own, ...others], ' UNION ALL ', '');
  }

  #seek(leaf: Leaf, parameter: number): Sql {
    switch (leaf.kind) {
      case 'token':
        return sql`SELECT rid FROM token WHERE ${this.#token(parameter, leaf)}`;
      case 'string':
        return sql`SELECT rid FROM string WHERE parameter=${parameter}${raw(leaf.match === 'contains' || leaf.match === 'suffix' ? ' AND tick()' : '')} AND ${stringTest(leaf, raw('folded'), raw('exact'))}`;
      case 'reference': {
        const version = leaf.version === undefined ? raw('') : sql` AND version=${leaf.version}`;
        return sql`SELECT rid FROM reference WHERE parameter=${parameter} AND ${oneOf(raw('target'), leaf.targets)}${version}`;
      }
      case 'uri':
        return sql`SELECT rid FROM uri WHERE parameter=${parameter} AND ${uriTest(leaf, raw('value'))}`;
      case 'interval':
        return dateSeek(leaf, parameter);
      case 'quantity':
        return quantitySeek(leaf, sql`parameter=${parameter} AND ${this.#unit(parameter, raw('unit'), leaf.unit)}`);
      default:
        throw new TypeError(`Unknown leaf ${String(leaf satisfies never)}`);
    }
  }

  /** True when `seek` yields ascending rids by itself, so that it can be walked page by page. */
  isOrdered(leaf: Leaf): boolean {
    if (leaf.kind === 'token') return leaf.system !== undefined && leaf.code !== undefined;
    if (leaf.kind === 'reference') return leaf.targets.length === 1;
    return leaf.kind === 'uri' && leaf.match === 'exact';
  }

  /**
   * Intervals of one parameter as a test of the columns `d.low` and `d.high` of its date row, with the range of `low` in which rows can
   * hold; undefined when a resource may have several rows, since each interval may then be satisfied by another.
   */
  window(intervals: readonly Interval[], parameter: number): Window | undefined {
    if (intervals.length === 0 || this.#dictionary.hasSeveral(parameter)) return undefined;
    const longest = this.#dictionary.hasLongDates(parameter) ? Number.POSITIVE_INFINITY : LONG_INTERVAL;
    const ranges = intervals.map((interval) => lowRange(interval, longest));
    const tests = intervals.map(({ relation, low, high }) =>
      relationHolds(relation, raw('d.low'), raw('d.high'), low, high, false),
    );
    return {
      test: join(tests, ' AND ', '1'),
      from: Math.max(...ranges.map(([from]) => from)),
      to: Math.min(...ranges.map(([, to]) => to)),
    };
  }

  /** True when no row can satisfy it, because its parameter was never written. */
  isUnknown(leaf: Leaf): boolean {
    return this.parameter(leaf.parameter) === UNKNOWN;
  }
}

function stringTest({ match, value }: Extract<Leaf, { kind: 'string' }>, folded: Sql, exact: Sql): Sql {
  if (match === 'prefix') return startsWith(folded, value);
  if (match === 'exact') return sql`${exact}=${value}`;
  if (match === 'equal') return sql`${folded}=${value}`;
  if (value === '') return raw('1');
  return match === 'contains'
    ? sql`instr(${folded}, ${value}) > 0`
    : sql`substr(${folded}, -length(${value}))=${value}`;
}

function uriTest({ match, value }: Extract<Leaf, { kind: 'uri' }>, column: Sql): Sql {
  if (match === 'exact') return sql`${column}=${value}`;
  if (match === 'above') return oneOf(column, ancestors(value));
  return sql`(${column}=${value} OR (${startsWith(column, value.endsWith('/') ? value : `${value}/`)}))`;
}

type Part = (extra: Sql) => Sql;

/** Ranges whose union is the answer, so that every part is one seek. `above` yields rows whose high lies above (at least: at) a bound. */
function parts(
  { relation, low, high }: { relation: Relation; low: number; high: number },
  all: Part,
  above: (bound: number) => readonly Sql[],
  closed: boolean,
): Sql {
  const test = relationHolds(relation, raw('low'), raw('high'), low, high, closed);
  switch (relation) {
    case 'lt':
    case 'sa':
      return all(test);
    case 'eq':
    case 'ne':
      return all(sql`tick() AND ${test}`);
    case 'eb':
      return all(sql`low<=${low} AND tick() AND ${test}`);
    case 'le':
      return all(sql`low<=${high} AND tick() AND ${test}`);
    case 'gt':
      return join(above(high), ' UNION ALL ', '');
    case 'ap':
      // Starts within, or starts before and reaches in.
      return join(
        [all(sql`low>=${low} AND ${test}`), ...above(low).map((part) => sql`${part} AND ${test}`)],
        ' UNION ALL ',
        '',
      );
    case 'ge':
      return join([all(sql`low>=${low}`), ...above(high)], ' UNION ALL ', '');
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

function dateSeek(leaf: Extract<Leaf, { kind: 'interval' }>, parameter: number): Sql {
  const all: Part = (extra) => sql`SELECT rid FROM date WHERE parameter=${parameter} AND ${extra}`;
  const above = (bound: number) => [
    all(sql`low>${bound - LONG_INTERVAL} AND tick() AND high>${bound}`),
    sql`SELECT rid FROM date INDEXED BY date_long WHERE parameter=${parameter} AND high>${bound} AND high - low > ${raw(String(LONG_INTERVAL))}`,
  ];
  return parts(leaf, all, above, false);
}

function quantitySeek(leaf: Extract<Leaf, { kind: 'quantity' }>, within: Sql): Sql {
  const all: Part = (extra) => sql`SELECT rid FROM quantity WHERE ${within} AND ${extra}`;
  // A closed interval that overlaps may end exactly at the bound.
  const comparison = raw(leaf.relation === 'ap' ? '>=' : '>');
  const above = (bound: number) => [
    all(sql`low${comparison}${bound}`),
    sql`SELECT rid FROM quantity INDEXED BY quantity_wide WHERE ${within} AND high${comparison}${bound} AND high > low`,
  ];
  return parts(leaf, all, above, true);
}
