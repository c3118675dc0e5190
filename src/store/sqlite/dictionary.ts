/** Small dictionaries: names that repeat (types, parameters, code systems, units) as integers. The writer mints, readers look up. */
import { LONG_INTERVAL } from './schema.ts';
import { raw, type Sql, type Statements, sql } from './sql.ts';

const TABLES = ['type', 'parameter', 'system', 'unit'] as const;
export type DictionaryName = (typeof TABLES)[number];

/** Most names that are remembered as never written, of one state. */
const MOST_ABSENT = 1000;

/** No row has this number: what a name that was never written means to a reader. */
export const UNKNOWN = -1;

/** What was looked up in one state of the database. */
interface Seen {
  readonly turn: number;
  readonly absent: Set<string>;
  readonly codes: Map<string, readonly string[]>;
  readonly standIns: Map<number, readonly number[]>;
  readonly several: Map<number, boolean>;
  readonly long: Map<number, boolean>;
}

const seenIn = (turn: number): Seen => ({
  turn,
  absent: new Set(),
  codes: new Map(),
  standIns: new Map(),
  several: new Map(),
  long: new Map(),
});

/** What a number stands for, per table; a miss is read again, since the writer may have added it meanwhile. */
export class Dictionary {
  protected readonly statements: Statements;
  readonly #numbers: Record<DictionaryName, Map<string, number>>;
  readonly #names = new Map<number, string>();
  readonly #turn: (() => number) | undefined;
  /** What holds of one state only. */
  #state: Seen;

  /** @param turn another number for each state that is read; without it nothing is remembered that a later one may tell otherwise */
  constructor(statements: Statements, turn?: () => number) {
    this.statements = statements;
    this.#turn = turn;
    this.#state = seenIn(Number.NaN);
    this.#numbers = { type: new Map(), parameter: new Map(), system: new Map(), unit: new Map() };
  }

  /** Everything is read again on its next use. */
  forget(): void {
    for (const table of TABLES) this.#numbers[table].clear();
    this.#names.clear();
  }

  #ofState(): Seen {
    const turn = this.#turn?.() ?? Number.NaN;
    if (turn !== this.#state.turn) this.#state = seenIn(turn);
    return this.#state;
  }

  protected remember(table: DictionaryName, name: string, id: number): number {
    this.#numbers[table].set(name, id);
    if (table === 'type') this.#names.set(id, name);
    return id;
  }

  /** The number, or UNKNOWN when nothing was ever written under this name. */
  number(table: DictionaryName, name: string): number {
    const known = this.#numbers[table].get(name);
    if (known !== undefined) return known;
    const { absent } = this.#ofState();
    const key = `${table} ${name}`;
    if (absent.has(key)) return UNKNOWN;
    const found = this.statements.number(sql`SELECT id FROM ${raw(table)} WHERE name=${name}`);
    if (found !== undefined) return this.remember(table, name, found);
    if (absent.size < MOST_ABSENT) absent.add(key);
    return UNKNOWN;
  }

  /** Codes that a token parameter occurs with, at most `most`; one may come twice. */
  codes(parameter: number, most: number): readonly string[] {
    const { codes } = this.#ofState();
    const key = `${parameter} ${most}`;
    const known = codes.get(key);
    if (known !== undefined) return known;
    const rows = this.statements.all(sql`SELECT code FROM code_system WHERE parameter=${parameter} LIMIT ${most}`);
    const found = rows.map(([code]) => String(code));
    codes.set(key, found);
    return found;
  }

  /** Parameters among whose rows by value some of this one's are, see stand-in.ts. */
  standIns(parameter: number): readonly number[] {
    const { standIns } = this.#ofState();
    const known = standIns.get(parameter);
    if (known !== undefined) return known;
    const rows = this.statements.all(sql`SELECT plain FROM stand_in WHERE parameter=${parameter}`);
    const found = rows.map(([plain]) => Number(plain));
    standIns.set(parameter, found);
    return found;
  }

  /** False when every resource has at most one date of this parameter. */
  hasSeveral(parameter: number): boolean {
    const { several } = this.#ofState();
    return this.#asked(several, parameter, sql`SELECT 1 FROM parameter_several WHERE parameter=${parameter}`);
  }

  /** True when some date interval of this parameter is longer than LONG_INTERVAL. */
  hasLongDates(parameter: number): boolean {
    const long = sql`SELECT 1 FROM date INDEXED BY date_long WHERE parameter=${parameter} AND high - low > ${raw(String(LONG_INTERVAL))} LIMIT 1`;
    return this.#asked(this.#ofState().long, parameter, long);
  }

  #asked(known: Map<number, boolean>, parameter: number, query: Sql): boolean {
    const answer = known.get(parameter) ?? this.statements.get(query) !== undefined;
    known.set(parameter, answer);
    return answer;
  }

  typeName(id: number): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const found = this.statements.text(sql`SELECT name FROM type WHERE id=${id}`);
    if (found === undefined) throw new TypeError(`Type number ${id} is not in the dictionary.`);
    this.remember('type', found, id);
    return found;
  }
}

/** Codes remembered as written: status, category and code repeat, identifiers do not. */
const MOST_CODES = 20_000;

/** The writer's: mints what is missing, inside its transaction. After a rollback it forgets what was undone. */
export class MintingDictionary extends Dictionary {
  readonly #codes = new Set<string>();
  readonly #units = new Set<string>();
  readonly #several = new Set<number>();
  readonly #standIns = new Set<string>();
  readonly #shapes = new Map<string, number>();

  override forget(): void {
    super.forget();
    this.#codes.clear();
    this.#units.clear();
    this.#several.clear();
    this.#standIns.clear();
    this.#shapes.clear();
  }

  mint(table: DictionaryName, name: string): number {
    const found = this.number(table, name);
    if (found !== UNKNOWN) return found;
    return this.remember(table, name, this.statements.run(`INSERT INTO ${table}(name) VALUES(?)`, [name]));
  }

  /** True the first time that this code of a parameter is met with this system, as far as is remembered. */
  isNewCode(parameter: number, code: string, system: number): boolean {
    const triple = `${parameter} ${system} ${code}`;
    if (this.#codes.has(triple)) return false;
    if (this.#codes.size >= MOST_CODES) this.#codes.clear();
    this.#codes.add(triple);
    return true;
  }

  /** Unit number, noted as one this parameter occurs with; converted rows apart from rows as sent. */
  unitOf(parameter: number, name: string): number {
    const unit = this.mint('unit', name);
    const pair = `${parameter} ${unit}`;
    if (!this.#units.has(pair)) {
      this.statements.run('INSERT OR IGNORE INTO parameter_unit VALUES(?,?,?)', [
        parameter,
        name.startsWith('canonical|') ? 1 : 0,
        unit,
      ]);
      this.#units.add(pair);
    }
    return unit;
  }

  /** Notes that a resource has several dates of this parameter. */
  noteSeveral(parameter: number): void {
    if (this.#several.has(parameter)) return;
    this.statements.run('INSERT OR IGNORE INTO parameter_several VALUES(?)', [parameter]);
    this.#several.add(parameter);
  }

  /** Notes that rows of `plain` stand for some of `parameter`. */
  noteStandIn(parameter: number, plain: number): void {
    const pair = `${parameter} ${plain}`;
    if (this.#standIns.has(pair)) return;
    this.statements.run('INSERT OR IGNORE INTO stand_in VALUES(?,?)', [parameter, plain]);
    this.#standIns.add(pair);
  }

  /** Number of the set of parameters that a resource of `type` has index rows for. */
  shape(type: number, parameters: ReadonlySet<number>): number {
    const text = [...parameters].sort((a, b) => a - b).join(',');
    const key = `${type}:${text}`;
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    let id = this.statements.number(sql`SELECT id FROM shape WHERE type=${type} AND parameters=${text}`);
    if (id === undefined) {
      id = this.statements.run('INSERT INTO shape(type, parameters) VALUES(?,?)', [type, text]);
      for (const parameter of parameters) {
        this.statements.run('INSERT INTO shape_parameter VALUES(?,?)', [parameter, id]);
      }
    }
    this.#shapes.set(key, id);
    return id;
  }
}
