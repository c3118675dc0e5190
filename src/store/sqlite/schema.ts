/** The database file: connections, pragmas, tables and forward migrations. Reasons: docs/decisions/0002 and 0003. */
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3-multiple-ciphers';
import { StoreError } from '../port.ts';
import { REFUSALS, refusalOf } from './refusal.ts';

export type Connection = Database.Database;
export type Bound = string | number | Buffer | null;

/** Where the data lies and, optionally, the passphrase of the whole file (ChaCha20-Poly1305 per page). */
export interface Place {
  readonly folder: string;
  readonly key?: string | undefined;
}

/** `rid = type number * TYPE_SPAN + counter`: one type is one contiguous key range. A deleted resource lies under `-rid`. */
export const TYPE_SPAN = 2 ** 40;
/** Type number of audit facets; no resource type has it. */
export const FACETS = 0;
/** `audit.key = chain * CHAIN_SPAN + sequence`. */
export const CHAIN_SPAN = 2 ** 44;
/** Date intervals longer than this (ms) also stand in `date_long`; the partial index repeats the number. */
export const LONG_INTERVAL = 86_400_000;

/** One entry a schema version, applied in order; never edited after a release. */
const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE type(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE parameter(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE system(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE unit(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE parameter_system(parameter INTEGER, system INTEGER, PRIMARY KEY(parameter, system)) WITHOUT ROWID;
CREATE TABLE parameter_unit(parameter INTEGER, converted INTEGER, unit INTEGER,
  PRIMARY KEY(parameter, converted, unit)) WITHOUT ROWID;
CREATE TABLE shape(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, parameters TEXT NOT NULL, UNIQUE(type, parameters));
CREATE TABLE shape_parameter(parameter INTEGER, shape INTEGER, PRIMARY KEY(parameter, shape)) WITHOUT ROWID;

CREATE TABLE resource(rid INTEGER PRIMARY KEY, type INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  seq INTEGER NOT NULL, at INTEGER NOT NULL, method TEXT NOT NULL, shape INTEGER, patients TEXT NOT NULL, text TEXT);
CREATE UNIQUE INDEX resource_id ON resource(type, id);
CREATE UNIQUE INDEX resource_seq ON resource(seq);
CREATE INDEX resource_at ON resource(type, at);
CREATE INDEX resource_shape ON resource(shape) WHERE shape IS NOT NULL;
CREATE TABLE history(seq INTEGER PRIMARY KEY, rid INTEGER NOT NULL, type INTEGER NOT NULL, id TEXT NOT NULL,
  version INTEGER NOT NULL, at INTEGER NOT NULL, method TEXT NOT NULL, patients TEXT NOT NULL, text TEXT);
CREATE UNIQUE INDEX history_rid ON history(rid, version);
CREATE INDEX history_at ON history(type, at);

CREATE TABLE entry(rid INTEGER, parameter INTEGER, kind INTEGER, a, b, c INTEGER, grp INTEGER,
  PRIMARY KEY(rid, parameter, kind, a, b, c, grp)) WITHOUT ROWID;
CREATE TABLE token(parameter INTEGER, system INTEGER, code TEXT, rid INTEGER, grp INTEGER,
  PRIMARY KEY(parameter, system, code, rid, grp)) WITHOUT ROWID;
CREATE TABLE string(parameter INTEGER, folded TEXT, rid INTEGER, grp INTEGER, exact TEXT,
  PRIMARY KEY(parameter, folded, rid, grp, exact)) WITHOUT ROWID;
CREATE INDEX string_exact ON string(parameter, exact);
CREATE TABLE reference(parameter INTEGER, target TEXT, rid INTEGER, grp INTEGER, version TEXT,
  PRIMARY KEY(parameter, target, rid, grp, version)) WITHOUT ROWID;
CREATE TABLE date(parameter INTEGER, low INTEGER, rid INTEGER, high INTEGER, grp INTEGER,
  PRIMARY KEY(parameter, low, rid, high, grp)) WITHOUT ROWID;
CREATE INDEX date_long ON date(parameter, high) WHERE high - low > 86400000;
CREATE TABLE quantity(parameter INTEGER, unit INTEGER, low REAL, high REAL, rid INTEGER, grp INTEGER,
  PRIMARY KEY(parameter, unit, low, high, rid, grp)) WITHOUT ROWID;
CREATE INDEX quantity_wide ON quantity(parameter, unit, high) WHERE high > low;
CREATE TABLE uri(parameter INTEGER, value TEXT, rid INTEGER, grp INTEGER,
  PRIMARY KEY(parameter, value, rid, grp)) WITHOUT ROWID;

CREATE TABLE audit(key INTEGER PRIMARY KEY, at INTEGER NOT NULL, form INTEGER NOT NULL, events INTEGER NOT NULL,
  hash BLOB NOT NULL, bytes TEXT NOT NULL, erasable TEXT);
CREATE TABLE audit_event(key INTEGER, event INTEGER, kind INTEGER, agents INTEGER, has INTEGER,
  PRIMARY KEY(key, event)) WITHOUT ROWID;
CREATE TABLE audit_index(home INTEGER, value, key INTEGER, event INTEGER,
  PRIMARY KEY(home, value, key, event)) WITHOUT ROWID;
CREATE TABLE facet(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE subject(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, patient TEXT);
CREATE INDEX subject_patient ON subject(patient) WHERE patient IS NOT NULL;
`,
  // Date parameters of which some resource has, or once had, several rows: of all others a row is the resource.
  `
CREATE TABLE parameter_several(parameter INTEGER PRIMARY KEY);
INSERT INTO parameter_several
  SELECT DISTINCT parameter FROM (SELECT parameter FROM date GROUP BY parameter, rid HAVING count(*) > 1);
`,
  `
CREATE TABLE kept(key TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
`,
  // Words come folded and separated by spaces: outside ASCII every character is part of one. Re-indexing fills it.
  `
CREATE VIRTUAL TABLE fulltext USING fts5(narrative, content, content='', contentless_delete=1, tokenize='ascii');
`,
  // The systems a code occurs with, so that a code without system is not sought in every system of its parameter.
  `
CREATE TABLE code_system(parameter INTEGER, code TEXT, system INTEGER, PRIMARY KEY(parameter, code, system)) WITHOUT ROWID;
INSERT INTO code_system SELECT DISTINCT parameter, code, system FROM token ORDER BY parameter, code, system;
DROP TABLE parameter_system;
`,
  `
CREATE TABLE keyed(space TEXT, key TEXT, value TEXT NOT NULL, expires INTEGER, PRIMARY KEY(space, key)) WITHOUT ROWID;
CREATE INDEX keyed_expires ON keyed(expires) WHERE expires IS NOT NULL;
`,
  // Which versions are about a patient, in the order of writes: what a history is of for whoever may see that patient only.
  `
CREATE TABLE about(patient TEXT, at INTEGER, seq INTEGER, type INTEGER, PRIMARY KEY(patient, at, seq, type)) WITHOUT ROWID;
INSERT OR IGNORE INTO about SELECT id.value, held.at, held.seq, held.type FROM
  (SELECT patients, at, seq, type FROM resource UNION ALL SELECT patients, at, seq, type FROM history) AS held,
  json_each('["' || replace(held.patients, ' ', '","') || '"]') AS id WHERE held.patients <> '' ORDER BY 1, 2, 3, 4;
`,
  // Parameters whose rows by value are also those of a composite's component, for the resources where these are left out: see stand-in.ts.
  `
CREATE TABLE stand_in(parameter INTEGER, plain INTEGER, PRIMARY KEY(parameter, plain)) WITHOUT ROWID;
`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** A new file is readable by the server's account only, as its WAL then is; the mode of one that is there is the operator's to choose. */
function ownFile(folder: string, name: string): string {
  const file = join(folder, name);
  if (existsSync(folder) && !existsSync(file)) closeSync(openSync(file, 'a', 0o600));
  return file;
}

/** Says what the file is encrypted by; for a connection that has not read yet. */
function unlock(connection: Connection, key: string | undefined): void {
  if (key === undefined) return;
  connection.pragma("cipher='chacha20'");
  connection.key(Buffer.from(key, 'utf8'));
}

/**
 * A connection to a copy of the database that nobody else has open; a rollback journal, since it is one file afterwards.
 * @throws StoreError `unavailable` when the file cannot be read with this key
 */
export function connectCopy(file: string, key: string | undefined): Connection {
  const connection = new Database(file);
  try {
    unlock(connection, key);
    connection.pragma('synchronous=FULL');
    connection.pragma('temp_store=MEMORY');
    connection.prepare('SELECT count(*) FROM sqlite_schema').get();
    return connection;
  } catch (cause) {
    connection.close();
    throw new StoreError('unavailable', 'It cannot be read: another key, or not a database of Firewatch.', { cause });
  }
}

/**
 * A connection with the pragmas every thread shares: WAL, synchronous FULL (asserted), no automatic checkpoint, 5 s busy wait.
 * @throws StoreError `unavailable` when the file cannot be read with this key
 */
export function connect({ folder, key }: Place, cacheMb = 64): Connection {
  const connection = new Database(ownFile(folder, 'firewatch.db'), { timeout: 5000 });
  try {
    unlock(connection, key);
    connection.pragma('journal_mode=WAL');
    connection.pragma('synchronous=FULL');
    connection.pragma('wal_autocheckpoint=0');
    connection.pragma(`cache_size=${-1024 * cacheMb}`);
    connection.pragma('temp_store=MEMORY');
    if (synchronousOf(connection) !== 2 || connection.pragma('journal_mode', { simple: true }) !== 'wal') {
      throw new StoreError('unavailable', 'The database does not accept WAL with synchronous=FULL.');
    }
    return connection;
  } catch (cause) {
    connection.close();
    if (cause instanceof StoreError) throw cause;
    throw cannotOpen(cause, folder);
  }
}

/** Why a file or its folder cannot be used. */
export function cannotOpen(cause: unknown, folder: string): StoreError {
  const refusal = refusalOf(cause);
  const why =
    refusal < 0
      ? 'wrong key, or not a Firewatch file'
      : `${REFUSALS[refusal]}; this account must be able to write to ${folder}`;
  return new StoreError('unavailable', `The database cannot be opened: ${why}.`, { cause });
}

/** 2 = FULL: a commit is synced before it is acknowledged. */
export function synchronousOf(connection: Connection): unknown {
  return connection.pragma('synchronous', { simple: true });
}

/**
 * Brings the schema to this version, all or nothing.
 * @throws StoreError `unavailable` when the file was written by a newer version
 */
export function migrate(connection: Connection): void {
  const found = Number(connection.pragma('user_version', { simple: true }));
  if (found > SCHEMA_VERSION) {
    throw new StoreError(
      'unavailable',
      `The database has schema ${found}; this version knows ${SCHEMA_VERSION}. Start the newer version.`,
    );
  }
  if (found === SCHEMA_VERSION) return;
  connection.exec('BEGIN IMMEDIATE');
  try {
    for (const step of MIGRATIONS.slice(found)) connection.exec(step);
    connection.pragma(`user_version=${SCHEMA_VERSION}`);
    connection.exec('COMMIT');
  } catch (cause) {
    if (connection.inTransaction) connection.exec('ROLLBACK');
    throw cause;
  }
}

/**
 * Holds the folder for this process until closed; the operating system lets go when the process dies.
 * @throws StoreError `unavailable` when another process holds it
 */
export function lockFolder(folder: string): Connection {
  const lock = held(ownFile(folder, 'firewatch.lock'), 0);
  if (lock !== undefined) return lock;
  throw new StoreError('unavailable', `The data folder ${folder} is in use by another process.`);
}

/** An empty database that is locked until closed, or until the process dies; undefined when another holds it. */
function held(file: string, waitMs: number): Connection | undefined {
  const lock = new Database(file, { timeout: waitMs });
  try {
    lock.pragma('journal_mode=MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') return undefined;
    throw new StoreError('unavailable', `${file} cannot be locked.`, { cause: error });
  }
}

const COPYING = 'firewatch-copying.lock';
/** Longer than the checkpoint thread looks. */
const COPY_WAIT_MS = 2000;

/**
 * Held by whoever copies the database: the one read transaction of that keeps the log from being emptied, so nobody tries meanwhile.
 * @throws StoreError `unavailable` when another process copies it
 */
export function lockForCopy(folder: string): Connection {
  const lock = held(ownFile(folder, COPYING), COPY_WAIT_MS);
  if (lock !== undefined) return lock;
  throw new StoreError('unavailable', 'Another backup of this data folder is being made.');
}

/** Whether the database is being copied; false also where that cannot be found out, since the writer's work must not end with it. */
export function isBeingCopied(folder: string): boolean {
  if (!existsSync(join(folder, COPYING))) return false;
  try {
    const lock = held(join(folder, COPYING), 0);
    lock?.close();
    return lock === undefined;
  } catch {
    return false;
  }
}
