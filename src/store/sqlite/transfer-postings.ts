/**
 * Subjects and entities of audit rows by row, for reading the log as it is moved: they lie by value in `audit_index`. Memory and time in
 * proportion to the log either way.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { HOME } from './audit-home.ts';
import type { Bound } from './schema.ts';
import { type Row, raw, type Sql, type Statements, sql } from './sql.ts';

export interface Postings {
  /** Before the first `of`. */
  ready(): Promise<void>;
  /** Rows of event, home, value, subject key. */
  of(key: number): readonly Row[];
  close(): void;
}

/** Rows that are copied to the scratch file at once. */
const STEP = 5000;

const postingsOf = (statements: Statements, from: Sql, key: number): readonly Row[] =>
  statements.all(
    sql`SELECT i.event, i.home, i.value, s.key FROM ${from} i LEFT JOIN subject s ON i.home=${HOME.subject} AND s.id=i.value
        WHERE i.home>=3 AND i.key=${key}`,
  );

/** In a file that nobody else uses: by an index that is there meanwhile. */
export function ownPostings(statements: Statements): Postings {
  let isReady = false;
  const { connection } = statements;
  return {
    ready: async () => {
      if (isReady) return;
      connection.exec(
        'CREATE INDEX IF NOT EXISTS audit_index_by_row ON audit_index(key, event, home, value) WHERE home>=3',
      );
      isReady = true;
    },
    of: (key) => postingsOf(statements, raw('audit_index'), key),
    close: () => connection.exec('DROP INDEX IF EXISTS audit_index_by_row'),
  };
}

/** Table of the source that its journal keeps of postings written since. */
export const NEW_POSTINGS = 'moving_posting';

/**
 * In a file that a server writes: those of before the journal are copied to a file beside it, encrypted by the same key, a few at a time; those
 * written since are in the journal.
 */
export function servedPostings(statements: Statements, folder: string): Postings {
  const { connection } = statements;
  const file = join(folder, 'firewatch-moving.db');
  let reading: Promise<void> | undefined;
  const copy = async (): Promise<void> => {
    rmSync(file, { force: true });
    connection.prepare('ATTACH DATABASE ? AS scratch').run(file);
    connection.exec(`PRAGMA scratch.journal_mode=OFF; PRAGMA scratch.synchronous=OFF;
      CREATE TABLE scratch.posting(key INTEGER, event INTEGER, home INTEGER, value,
        PRIMARY KEY(key, event, home, value)) WITHOUT ROWID`);
    let last: readonly Bound[] = [HOME.subject, Number.MIN_SAFE_INTEGER, 0, 0];
    for (;;) {
      const [home = 0, value = 0, key = 0, event = 0] = last;
      const rows = statements.all(
        sql`SELECT home, value, key, event FROM audit_index WHERE (home, value, key, event) > (${home},${value},${key},${event})
            ORDER BY home, value, key, event LIMIT ${STEP}`,
      );
      connection.exec('BEGIN');
      for (const [home = 0, value = 0, key = 0, event = 0] of rows)
        statements.run('INSERT INTO scratch.posting VALUES(?,?,?,?)', [key, event, home, value]);
      connection.exec('COMMIT');
      const end = rows.at(-1);
      if (end === undefined) return;
      last = end;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return {
    ready: () => {
      reading ??= copy();
      return reading;
    },
    of: (key) => {
      const both = sql`(SELECT key, event, home, value FROM scratch.posting WHERE key=${key}
        UNION SELECT key, event, home, value FROM ${raw(NEW_POSTINGS)} WHERE key=${key})`;
      return postingsOf(statements, both, key);
    },
    close: () => {
      if (reading === undefined) return;
      connection.exec('DETACH DATABASE scratch');
      rmSync(file, { force: true });
    },
  };
}
