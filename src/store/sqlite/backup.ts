/**
 * A copy of the whole database as one file, which tells what it is: a state between two commits, with the files of the installation and a note of
 * what must be found in it again. Source: sqlite.org/lang_vacuum.html#vacuuminto; docs/operations.md#backup.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { StoreError } from '../port.ts';
import { FILLING } from '../transfer.ts';
import { chainsOf, verifyChain } from './audit.ts';
import { CHAIN_SPAN, connect, connectCopy, lockForCopy, type Place, SCHEMA_VERSION } from './schema.ts';
import { Statements, sql } from './sql.ts';
import { purgedSequence } from './versions.ts';

/** The end of one chain of the audit log; `hash` is hex. */
export interface ChainHead {
  readonly chain: number;
  readonly rows: number;
  readonly hash: string;
}
/** What a state of the database is known by. */
export interface State {
  readonly schema: number;
  /** Highest sequence given out so far. */
  readonly sequence: number;
  /** Instant of the newest commit of data, ms; 0: there is none. */
  readonly at: number;
  readonly heads: readonly ChainHead[];
}
/** The note in a backup. */
export interface BackupNote extends State {
  /** Of this form of backup. */
  readonly form: 1;
  /** Release that made it. */
  readonly release: string;
  /** When it was begun, ms: what was acknowledged before is in it. */
  readonly takenAt: number;
  readonly counts: Readonly<Record<string, number>>;
}
export interface BackupFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Tables whose rows are counted, all of them: whoever restores sees what is there. */
const COUNTED = ['resource', 'history', 'audit', 'kept', 'keyed', 'subject'] as const;
const FORM = 1;
const TABLES = `
CREATE TABLE backup_note(text TEXT NOT NULL);
CREATE TABLE backup_file(name TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
`;
const POLL_MS = 200;

function stateOf(statements: Statements): State {
  const last = (table: string) =>
    statements.get({ text: `SELECT seq, at FROM ${table} ORDER BY seq DESC LIMIT 1`, values: [] });
  const [resource, history] = [last('resource') ?? [0, 0], last('history') ?? [0, 0]];
  const heads = chainsOf(statements).map((chain): ChainHead => {
    const end = (chain + 1) * CHAIN_SPAN;
    const row = statements.get(sql`SELECT key, hash FROM audit WHERE key < ${end} ORDER BY key DESC LIMIT 1`);
    const hash = row?.[1];
    return {
      chain,
      rows: Number(row?.[0]) - chain * CHAIN_SPAN,
      hash: Buffer.isBuffer(hash) ? hash.toString('hex') : '',
    };
  });
  return {
    schema: Number(statements.connection.pragma('user_version', { simple: true })),
    sequence: Math.max(Number(resource[0]), Number(history[0]), purgedSequence(statements)),
    at: Math.max(Number(resource[1]), Number(history[1])),
    heads,
  };
}

const countsOf = (statements: Statements): BackupNote['counts'] =>
  Object.fromEntries(
    COUNTED.map((table) => [table, statements.number({ text: `SELECT count(*) FROM ${table}`, values: [] }) ?? 0]),
  );

/** The database as it is served: read beside its server. */
export interface ServedSource {
  readonly state: State;
  /** Bytes that a copy takes at most. */
  readonly bytes: number;
  /** Whether the log holds these rows with these hashes. */
  holds(heads: readonly ChainHead[]): boolean;
  /** Copies one state into an empty file. @param onProgress bytes done of all */
  copy(file: string, onProgress: (done: number, total: number) => void): Promise<void>;
  close(): void;
}

/**
 * Beside the server, or without one. Nothing of the database is written.
 * @throws StoreError `unavailable`: another backup is being made, wrong key, being filled by a move
 */
export function openSource(place: Place): ServedSource {
  const lock = lockForCopy(place.folder);
  try {
    const connection = connect(place);
    const statements = new Statements(connection);
    const close = (): void => {
      connection.close();
      lock.close();
    };
    if (statements.get(sql`SELECT 1 FROM meta WHERE name=${FILLING}`) !== undefined) {
      connection.close();
      throw new StoreError('unavailable', 'The store is being filled by `firewatch migrate`: it is not whole yet.');
    }
    const pragma = (name: string) => Number(connection.pragma(name, { simple: true }));
    const bytes = (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
    return {
      state: stateOf(statements),
      bytes,
      holds: (heads) =>
        heads.every(({ chain, rows, hash }) => {
          const held = statements.get(sql`SELECT hash FROM audit WHERE key=${chain * CHAIN_SPAN + rows}`)?.[0];
          return Buffer.isBuffer(held) && held.toString('hex') === hash;
        }),
      copy: (file, onProgress) => copied({ ...place, file }, bytes, onProgress),
      close,
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

function copied(
  workerData: Place & { readonly file: string },
  bytes: number,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  closeSync(openSync(workerData.file, 'wx', 0o600));
  const name = `./copy-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`;
  const worker = new Worker(new URL(name, import.meta.url), { workerData });
  const timer = setInterval(() => onProgress(Math.min(statSync(workerData.file).size, bytes - 1), bytes), POLL_MS);
  return new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => {
      onProgress(bytes, bytes);
      resolve();
    });
  }).finally(() => clearInterval(timer));
}

/** Writes what it is, and the files of the installation, into a copy. @returns the note */
export function describeCopy(
  { file, key }: { readonly file: string; readonly key: string | undefined },
  { release, takenAt }: Pick<BackupNote, 'release' | 'takenAt'>,
  files: readonly BackupFile[],
): BackupNote {
  const connection = connectCopy(file, key);
  try {
    const statements = new Statements(connection);
    const note: BackupNote = { form: FORM, release, takenAt, ...stateOf(statements), counts: countsOf(statements) };
    connection.exec('BEGIN IMMEDIATE');
    connection.exec(TABLES);
    statements.run('INSERT INTO backup_note VALUES(?)', [JSON.stringify(note)]);
    for (const { name, bytes } of files) statements.run('INSERT INTO backup_file VALUES(?,?)', [name, bytes]);
    connection.exec('COMMIT');
    return note;
  } finally {
    connection.close();
  }
}

/** A backup that was looked through. */
export interface Checked {
  readonly note: BackupNote;
  /** Names of the files in it. */
  readonly files: readonly string[];
  /** What is wrong with it, a sentence each; empty: it is whole. */
  readonly problems: readonly string[];
}

/**
 * Looks through a backup: every page, every index, both directions; the chains of the audit log; what the note says.
 * @throws StoreError `unavailable`: not a backup, another key, made by a newer release
 */
export function checkBackup(file: string, key: string | undefined): Checked {
  const connection = connectCopy(file, key);
  try {
    connection.pragma('query_only=1');
    const statements = new Statements(connection);
    const note = noteOf(statements);
    const problems: string[] = [];
    const found = connection.pragma('integrity_check(1)', { simple: true });
    if (found !== 'ok') problems.push('The file is damaged: SQLite finds it not whole.');
    else problems.push(...differences(statements, note));
    const files = statements.all(sql`SELECT name FROM backup_file ORDER BY name`).map(([name]) => String(name));
    return { note, files, problems };
  } finally {
    connection.close();
  }
}

/** @throws StoreError `unavailable` when there is none, or one of a newer release */
export function noteOf(statements: Statements): BackupNote {
  const isBackup = statements.get(sql`SELECT 1 FROM sqlite_schema WHERE name='backup_note'`) !== undefined;
  const text = isBackup ? statements.text(sql`SELECT text FROM backup_note`) : undefined;
  if (text === undefined)
    throw new StoreError('unavailable', 'It is a database, but no backup that `firewatch backup` has finished.');
  const note = JSON.parse(text) as BackupNote; // written by describeCopy, and checked page by page
  if (note.form > FORM || note.schema > SCHEMA_VERSION)
    throw new StoreError('unavailable', `It was made by the newer release ${note.release}: use that or a newer one.`);
  return note;
}

function differences(statements: Statements, note: BackupNote): readonly string[] {
  const problems: string[] = [];
  const { broken } = verifyChain(statements);
  if (broken !== undefined) problems.push(`The audit log is broken at row ${broken} of a chain.`);
  const { heads, sequence } = stateOf(statements);
  if (JSON.stringify(heads) !== JSON.stringify(note.heads))
    problems.push('The audit log does not end where its note says.');
  if (sequence !== note.sequence) problems.push('The newest change is not the one its note names.');
  const counts = countsOf(statements);
  for (const [table, count] of Object.entries(note.counts))
    if (counts[table] !== count)
      problems.push(`The table ${table} has ${counts[table] ?? 0} rows, its note says ${count}.`);
  return problems;
}
