/**
 * The embedded database as it is moved, see transfer.ts. Either this process holds the folder, or it reads the file of a server that goes on
 * writing it.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditVerdict, IndexOf } from '../engine.ts';
import { StoreError } from '../port.ts';
import { FILLING, type Movable, NOTE, type Served } from '../transfer.ts';
import { verifyChain } from './audit.ts';
import { MintingDictionary } from './dictionary.ts';
import { sqliteJournal } from './journal.ts';
import { PendingRows } from './rows.ts';
import { type Connection, connect, lockFolder, migrate, type Place, SCHEMA_VERSION } from './schema.ts';
import { Statements, sql } from './sql.ts';
import { facetPart, SqliteAudit, subjectPart } from './transfer-audit.ts';
import { keptPart, keyedPart, type Write } from './transfer-plain.ts';
import { ownPostings, type Postings, servedPostings } from './transfer-postings.ts';
import { type Reading, SqliteVersions } from './transfer-versions.ts';
import { PURGED } from './versions.ts';

/** Pages of the log before it is taken into the file: nobody else does it here. */
const CHECKPOINT_PAGES = 4000;

function numberTypes(connection: Connection, types: readonly string[]): void {
  const add = connection.prepare('INSERT OR IGNORE INTO type(name) VALUES(?)');
  for (const type of types) add.run(type);
}

export interface MoveSqlite extends Place {
  /** In the order of their numbers. */
  readonly types: readonly string[];
  /** What `replace` finds versions by; undefined: the first start makes index rows. */
  readonly indexOf?: IndexOf | undefined;
}

/**
 * In a folder that no server uses; made when missing.
 * @throws StoreError `unavailable`: folder in use, wrong key, newer schema
 */
export function moveSqlite(place: MoveSqlite): Movable {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(place.folder);
  try {
    const connection = connect(place);
    try {
      migrate(connection);
      numberTypes(connection, place.types);
      connection.pragma(`wal_autocheckpoint=${CHECKPOINT_PAGES}`);
      const statements = new Statements(connection, 600);
      // What was purged meanwhile is overwritten here too.
      if (place.indexOf !== undefined) connection.pragma('secure_delete=ON');
      const own = movable(statements, ownPostings(statements), place.indexOf);
      const close = async () => {
        await own.close();
        connection.pragma('wal_checkpoint(TRUNCATE)');
        connection.close();
        lock.close();
      };
      return { ...own, close };
    } catch (error) {
      connection.close();
      throw error;
    }
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Beside the server that uses the folder, or without one. Its file is written for the journal only.
 * @throws StoreError `unavailable`: no database, wrong key, another schema
 */
export function followSqlite(place: Place): Served {
  if (!existsSync(join(place.folder, 'firewatch.db')))
    throw new StoreError('unavailable', 'The source folder holds no database.');
  const connection = connect(place);
  try {
    if (Number(connection.pragma('user_version', { simple: true })) !== SCHEMA_VERSION)
      throw new StoreError('unavailable', 'The source is of another version: start its server with this version once.');
    const statements = new Statements(connection, 600);
    const served = movable(statements, servedPostings(statements, place.folder), undefined);
    const close = async () => {
      await served.close();
      connection.close();
    };
    return { ...served, journal: sqliteJournal(statements), close };
  } catch (error) {
    connection.close();
    throw error;
  }
}

function movable(statements: Statements, postings: Postings, indexOf: IndexOf | undefined): Movable {
  const { connection } = statements;
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
  const reading: Reading = (work) => {
    connection.exec('BEGIN');
    try {
      return work();
    } finally {
      connection.exec('COMMIT');
    }
  };
  const version = new SqliteVersions({ statements, dictionary, pending, reading, write, indexOf });
  const meta = async (name: string) => statements.text(sql`SELECT value FROM meta WHERE name=${name}`);
  const keep = (name: string, value: string | number) =>
    statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [name, value]);
  return {
    facet: facetPart(statements, pending, { reading, write }),
    subject: subjectPart(statements, write),
    version,
    audit: new SqliteAudit({ statements, pending, reading, write, postings }),
    kept: keptPart(statements, write),
    keyed: keyedPart(statements, write),
    marked: () => meta(FILLING),
    mark: async (source) => {
      write(() => {
        keep(FILLING, source);
        // Until rows are made the index is of no definitions.
        statements.run("DELETE FROM meta WHERE name IN ('index', 'reindex')");
      });
    },
    noted: () => meta(NOTE),
    note: async (text) => write(() => void keep(NOTE, text)),
    latest: async () => version.latest(),
    finish: async (latest, indexHash) => {
      write(() => {
        if (latest > version.latest()) keep(PURGED, latest);
        if (indexHash !== undefined) keep('index', indexHash);
        statements.run('DELETE FROM meta WHERE name IN (?,?)', [FILLING, NOTE]);
      });
    },
    verifyAudit: (): AuditVerdict => verifyChain(statements),
    close: async () => postings.close(),
  };
}
