/** The embedded database as it is moved, see transfer.ts: this process holds the folder, and reads and writes the file by one connection. */
import { mkdirSync } from 'node:fs';
import type { ResourceKey } from '../fhir/resource.ts';
import type { AuditVerdict } from './engine.ts';
import { verifyChain } from './sqlite-audit.ts';
import { MintingDictionary } from './sqlite-dictionary.ts';
import { PendingRows } from './sqlite-rows.ts';
import { type Bound, type Connection, connect, lockFolder, migrate, type Place, TYPE_SPAN } from './sqlite-schema.ts';
import { raw, type Sql, Statements, sql } from './sqlite-sql.ts';
import { facetPart, SqliteAudit, subjectPart } from './sqlite-transfer-audit.ts';
import { PURGED, Versions } from './sqlite-versions.ts';
import { FILLING, type Movable, type MovedKept, type MovedValue, type MovedVersion, type Part } from './transfer.ts';

/** Pages of the log before it is taken into the file: nobody else does it here. */
const CHECKPOINT_PAGES = 4000;

/** One batch, all or none. */
export type Write = (work: () => void) => void;

class SqliteVersions implements Part<MovedVersion, number> {
  readonly #statements: Statements;
  readonly #dictionary: MintingDictionary;
  readonly #versions: Versions;
  readonly #write: Write;

  constructor(statements: Statements, dictionary: MintingDictionary, write: Write) {
    this.#statements = statements;
    this.#dictionary = dictionary;
    this.#versions = new Versions(statements, dictionary);
    this.#write = write;
  }

  async page(after = 0, count: number): Promise<readonly MovedVersion[]> {
    return this.#versions.changes(after, count).map((version) => ({ ...version, rank: this.#rank(version.key) }));
  }

  #rank({ type, id }: ResourceKey): number {
    const number = this.#dictionary.number('type', type);
    const rid = this.#statements.number(sql`SELECT rid FROM resource WHERE type=${number} AND id=${id}`) ?? 0;
    return Math.abs(rid) - number * TYPE_SPAN;
  }

  async last(): Promise<number | undefined> {
    const of = (table: string) => this.#statements.number(sql`SELECT max(seq) FROM ${raw(table)}`) ?? 0;
    return Math.max(of('resource'), of('history')) || undefined;
  }

  async count(): Promise<number> {
    const of = (table: string) => this.#statements.number(sql`SELECT count(*) FROM ${raw(table)}`) ?? 0;
    return of('resource') + of('history');
  }

  latest(): number {
    return this.#versions.latestSequence();
  }

  async restore(rows: readonly MovedVersion[]): Promise<void> {
    this.#write(() => {
      for (const row of rows) this.#restore(row);
    });
  }

  /** The newest version so far; the one before becomes history. */
  #restore({ key, version, sequence, at, method, deleted, text, patients, rank }: MovedVersion): void {
    const type = this.#dictionary.mint('type', key.type);
    const held = this.#statements.number(sql`SELECT rid FROM resource WHERE type=${type} AND id=${key.id}`);
    if (held !== undefined) {
      const columns = 'seq, abs(rid), type, id, version, at, method, patients, text';
      this.#statements.run(`INSERT INTO history SELECT ${columns} FROM resource WHERE rid=?`, [held]);
      this.#statements.run('DELETE FROM resource WHERE rid=?', [held]);
    }
    const place = type * TYPE_SPAN + rank;
    const rid = deleted ? -place : place;
    for (const patient of new Set(patients)) {
      this.#statements.run('INSERT INTO about VALUES(?,?,?,?)', [patient, at, sequence, type]);
    }
    const shared = [rid, type, key.id, version, sequence, at, method];
    this.#statements.run('INSERT INTO resource VALUES(?,?,?,?,?,?,?,NULL,?,?)', [
      ...shared,
      patients.join(' '),
      text ?? null,
    ]);
  }
}

/** A table whose rows are what they say, in the order of a key. */
function plainPart<Row>(
  statements: Statements,
  write: Write,
  shape: {
    readonly table: string;
    /** The place of a row; the table's own order is that of places. */
    readonly place: Sql;
    readonly order: string;
    above(place: string): Sql;
    readonly columns: string;
    read(row: readonly Bound[]): Row;
    write(row: Row): readonly Bound[];
  },
): Part<Row, string> {
  const { table, order, columns } = shape;
  return {
    page: async (after, count) => {
      const above = after === undefined ? raw('1') : shape.above(after);
      const page = sql`SELECT ${raw(columns)} FROM ${raw(table)} WHERE ${above} ORDER BY ${raw(order)} LIMIT ${count}`;
      return statements.all(page).map((row) => shape.read(row));
    },
    last: async () => {
      const last = order.replaceAll(/\w+/g, '$& DESC');
      return statements.text(sql`SELECT ${shape.place} FROM ${raw(table)} ORDER BY ${raw(last)} LIMIT 1`);
    },
    count: async () => statements.number(sql`SELECT count(*) FROM ${raw(table)}`) ?? 0,
    restore: async (rows) =>
      write(() => {
        for (const row of rows) {
          const cells = shape.write(row);
          statements.run(`INSERT INTO ${table}(${columns}) VALUES(${cells.map(() => '?').join()})`, cells);
        }
      }),
  };
}

const keptPart = (statements: Statements, write: Write): Part<MovedKept, string> =>
  plainPart(statements, write, {
    table: 'kept',
    place: raw('key'),
    order: 'key',
    above: (key) => sql`key > ${key}`,
    columns: 'key, value, at',
    read: ([key, value, at]) => ({ key: String(key), value: String(value), at: Number(at) }),
    write: ({ key, value, at }) => [key, value, at],
  });

/** A space ends at the first U+0020 of a place. */
const split = (place: string): readonly [space: string, key: string] => {
  const at = place.indexOf(' ');
  return [place.slice(0, at), place.slice(at + 1)];
};

const keyedPart = (statements: Statements, write: Write): Part<MovedValue, string> =>
  plainPart(statements, write, {
    table: 'keyed',
    place: raw(`space||' '||key`),
    order: 'space, key',
    above: (place) => sql`(space, key) > (${split(place)[0]}, ${split(place)[1]})`,
    columns: 'space, key, value, expires',
    read: ([space, key, value, expires]) => ({
      place: `${space} ${key}`,
      value: String(value),
      expiresAt: typeof expires === 'number' ? expires : null,
    }),
    write: ({ place, value, expiresAt }) => [...split(place), value, expiresAt],
  });

function numberTypes(connection: Connection, types: readonly string[]): void {
  const add = connection.prepare('INSERT OR IGNORE INTO type(name) VALUES(?)');
  for (const type of types) add.run(type);
}

/**
 * @param types in the order of their numbers
 * @throws StoreError `unavailable`: folder in use, wrong key, newer schema
 */
export function moveSqlite(place: Place & { readonly types: readonly string[] }): Movable {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(place.folder);
  try {
    const connection = connect(place);
    try {
      migrate(connection);
      numberTypes(connection, place.types);
      connection.pragma(`wal_autocheckpoint=${CHECKPOINT_PAGES}`);
      return movable(connection, () => lock.close());
    } catch (error) {
      connection.close();
      throw error;
    }
  } catch (error) {
    lock.close();
    throw error;
  }
}

function movable(connection: Connection, release: () => void): Movable {
  const statements = new Statements(connection, 600);
  const dictionary = new MintingDictionary(statements);
  const pending = new PendingRows(statements, dictionary);
  const write: Write = (work) => {
    connection.exec('BEGIN IMMEDIATE');
    try {
      work();
      pending.flush();
      connection.exec('COMMIT');
    } catch (error) {
      if (connection.inTransaction) connection.exec('ROLLBACK');
      pending.clear();
      dictionary.forget();
      throw error;
    }
  };
  const version = new SqliteVersions(statements, dictionary, write);
  const audit = new SqliteAudit(statements, pending, write);
  return {
    facet: facetPart(statements, pending, write),
    subject: subjectPart(statements, write),
    version,
    audit,
    kept: keptPart(statements, write),
    keyed: keyedPart(statements, write),
    marked: async () => statements.text(sql`SELECT value FROM meta WHERE name=${FILLING}`),
    mark: async (source) => {
      write(() => {
        statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [FILLING, source]);
        // Until rows are made the index is of no definitions.
        statements.run("DELETE FROM meta WHERE name IN ('index', 'reindex')");
      });
    },
    latest: async () => version.latest(),
    finish: async (latest) => {
      write(() => {
        if (latest > version.latest()) statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [PURGED, latest]);
        statements.run('DELETE FROM meta WHERE name=?', [FILLING]);
      });
    },
    verifyAudit: (): AuditVerdict => verifyChain(statements),
    close: async () => {
      audit.close();
      connection.pragma('wal_checkpoint(TRUNCATE)');
      connection.close();
      release();
    },
  };
}
