/** Index rows on the writer: entries to integer keyed rows, collected over a group and written sorted, many a statement. */

import type { MintingDictionary } from './dictionary.ts';
import { KIND, type WireEntry } from './message.ts';
import type { Bound } from './schema.ts';
import { type Statements, sql } from './sql.ts';
import { isLeftOut, standIns } from './stand-in.ts';
import { columnOf } from './text.ts';

type Cells = readonly Bound[];

/** Columns in key order, so that sorting the cells sorts the table's pages. */
const TABLES = {
  entry: 7,
  token: 5,
  string: 5,
  reference: 5,
  date: 5,
  quantity: 6,
  uri: 4,
  code_system: 3,
  audit_event: 5,
  audit_index: 4,
  about: 4,
} as const satisfies Record<string, number>;
type Table = keyof typeof TABLES;
const NAMES = Object.keys(TABLES) as Table[];
/** Rows a statement at most; the rest of a batch goes in powers of two, so that few statements are prepared. */
const MOST_ROWS = 32;

function compareCells(left: Cells, right: Cells): number {
  for (let index = 0; index < left.length; index++) {
    const a = left[index] ?? 0;
    const b = right[index] ?? 0;
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}

/** An entry with its dictionary numbers: parameter, kind, a, b, c, group, as in the `entry` table after `rid`. */
export type Entry = readonly [
  parameter: number,
  kind: number,
  a: string | number,
  b: string | number,
  c: number,
  group: number,
];

const keyOf = (entry: Entry): string => JSON.stringify(entry);

/** Index row of an entry: its table and cells. */
function indexRow([parameter, kind, a, b, c, group]: Entry, rid: number): readonly [Table, Cells] {
  switch (kind) {
    case KIND.token:
      return ['token', [parameter, c, a, rid, group]];
    case KIND.string:
      return ['string', [parameter, a, rid, group, b]];
    case KIND.reference:
      return ['reference', [parameter, a, rid, group, b]];
    case KIND.date:
      return ['date', [parameter, a, rid, b, group]];
    case KIND.quantity:
      return ['quantity', [parameter, c, a, b, rid, group]];
    case KIND.uri:
      return ['uri', [parameter, a, rid, group]];
    default:
      throw new TypeError(`Unknown entry kind ${kind}.`);
  }
}

const KEYS: Readonly<Record<string, string>> = {
  token: 'parameter=? AND system=? AND code=? AND rid=? AND grp=?',
  string: 'parameter=? AND folded=? AND rid=? AND grp=? AND exact=?',
  reference: 'parameter=? AND target=? AND rid=? AND grp=? AND version=?',
  date: 'parameter=? AND low=? AND rid=? AND high=? AND grp=?',
  quantity: 'parameter=? AND unit=? AND low=? AND high=? AND rid=? AND grp=?',
  uri: 'parameter=? AND value=? AND rid=? AND grp=?',
};

const idsIn = (patients: string): Iterable<string> => (patients === '' ? [] : new Set(patients.split(' ')));

/** Rows waiting to be written. `flush` before anything reads or removes them, and before the commit. */
export class PendingRows {
  readonly #statements: Statements;
  readonly #dictionary: MintingDictionary;
  readonly #rows = new Map<Table, Cells[]>();

  constructor(statements: Statements, dictionary: MintingDictionary) {
    this.#statements = statements;
    this.#dictionary = dictionary;
    this.clear();
  }

  clear(): void {
    for (const name of NAMES) this.#rows.set(name, []);
  }

  add(table: Table, cells: Cells): void {
    this.#rows.get(table)?.push(cells);
  }

  /** Distinct entries with their numbers, new names minted. */
  numbered(wire: readonly WireEntry[]): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>();
    const dated = new Set<number>();
    for (const [kind, name, group, a, b, c] of wire) {
      if (kind === KIND.text) continue;
      const parameter = this.#dictionary.mint('parameter', name);
      let third = 0;
      if (kind === KIND.token) third = this.#system(parameter, String(a), c);
      else if (kind === KIND.quantity) third = this.#dictionary.unitOf(parameter, c);
      else if (kind === KIND.date && dated.size === dated.add(parameter).size) this.#dictionary.noteSeveral(parameter);
      const entry: Entry = [parameter, kind, a, b, third, group];
      entries.set(keyOf(entry), entry);
    }
    return entries;
  }

  /** Number of a code's system, noted as one that the code occurs with. */
  #system(parameter: number, code: string, name: string): number {
    const system = this.#dictionary.mint('system', name);
    if (this.#dictionary.isNewCode(parameter, code, system)) this.add('code_system', [parameter, code, system]);
    return system;
  }

  /** That a version is about these patients. @param patients ids joined by spaces, as in `resource` */
  about(patients: string, at: number, sequence: number, type: number): void {
    for (const patient of idsIn(patients)) this.add('about', [patient, at, sequence, type]);
  }

  /** The same no more. Nothing of it may be pending. */
  notAbout(patients: string, at: number, sequence: number, type: number): void {
    for (const patient of idsIn(patients)) {
      this.#statements.run('DELETE FROM about WHERE patient=? AND at=? AND seq=? AND type=?', [
        ...[patient, at, sequence, type],
      ]);
    }
  }

  /** Index rows of a resource. @param entries those that it has not yet @param all every entry of it */
  insert(rid: number, entries: readonly Entry[], all: readonly Entry[] = entries): void {
    const standIn = standIns(all);
    for (const entry of entries) {
      this.add('entry', [rid, ...entry]);
      const plain = standIn(entry);
      if (plain === undefined) this.add(...indexRow(entry, rid));
      else this.#dictionary.noteStandIn(entry[0], plain);
    }
  }

  /** The words of a resource, at once: they have no order to be sorted by. @param again true when it may have words already */
  words(rid: number, wire: readonly WireEntry[], again: boolean): void {
    if (again) this.#statements.run('DELETE FROM fulltext WHERE rowid=?', [rid]);
    const texts = wire.filter(([kind]) => kind === KIND.text);
    if (texts.length === 0) return;
    const of = (column: string) => texts.find(([, name]) => columnOf(name) === column)?.[3] ?? '';
    this.#statements.run('INSERT INTO fulltext(rowid, narrative, content) VALUES(?,?,?)', [
      rid,
      of('narrative'),
      of('content'),
    ]);
  }

  /** Replaces a resource's index rows; rows that stay the same are not touched. Nothing of it may be pending. */
  replace(rid: number, entries: ReadonlyMap<string, Entry>): void {
    const kept = new Set<string>();
    for (const row of this.#statements.all(sql`SELECT parameter, kind, a, b, c, grp FROM entry WHERE rid=${rid}`)) {
      const old = row as unknown as Entry;
      const key = keyOf(old);
      if (entries.has(key)) kept.add(key);
      else this.#remove(rid, old);
    }
    const [all, held, fresh]: readonly [Entry[], Entry[], Entry[]] = [[], [], []];
    for (const [key, entry] of entries) {
      all.push(entry);
      (kept.has(key) ? held : fresh).push(entry);
    }
    this.insert(rid, fresh, all);
    this.#keepFound(rid, held, all);
  }

  /** Entries that stay, whose stand-in may be another now, or gone. */
  #keepFound(rid: number, kept: readonly Entry[], all: readonly Entry[]): void {
    const standIn = standIns(all);
    for (const entry of kept.filter(isLeftOut)) {
      const plain = standIn(entry);
      if (plain !== undefined) {
        this.#dictionary.noteStandIn(entry[0], plain);
        continue;
      }
      const [table, cells] = indexRow(entry, rid);
      this.#statements.run(`INSERT OR IGNORE INTO ${table} VALUES (${cells.map(() => '?').join()})`, cells);
    }
  }

  #remove(rid: number, entry: Entry): void {
    const [table, cells] = indexRow(entry, rid);
    this.#statements.run(`DELETE FROM ${table} WHERE ${KEYS[table]}`, cells);
    this.#statements.run('DELETE FROM entry WHERE rid=? AND parameter=? AND kind=? AND a=? AND b=? AND c=? AND grp=?', [
      rid,
      ...entry,
    ]);
  }

  flush(): void {
    for (const name of NAMES) {
      const rows = this.#rows.get(name) ?? [];
      if (rows.length === 0) continue;
      if (rows.length > 1) rows.sort(compareCells);
      this.#write(name, rows);
      this.#rows.set(name, []);
    }
  }

  #write(table: Table, rows: readonly Cells[]): void {
    const row = `(${'?,'.repeat(TABLES[table] - 1)}?)`;
    for (let start = 0; start < rows.length; ) {
      let size = MOST_ROWS;
      while (size > rows.length - start) size >>= 1;
      // Once noted, a code's system stays noted; the other tables hold no row twice.
      const text = `INSERT${table === 'code_system' ? ' OR IGNORE' : ''} INTO ${table} VALUES ${`${row},`.repeat(size - 1)}${row}`;
      this.#statements.run(text, rows.slice(start, start + size).flat());
      start += size;
    }
  }
}
