/**
 * A copy of a backup becomes the database of another folder. What a client or another system may have seen after the backup was taken is not given
 * to anything else: sequences go on beyond it, and audit rows in a chain of their own. docs/operations.md#after-a-restore.
 */
import { CHAIN, chainsOf, GROWING } from './audit.ts';
import { type BackupFile, noteOf } from './backup.ts';
import { connectCopy } from './schema.ts';
import { Statements, sql } from './sql.ts';
import { PURGED } from './versions.ts';

/** Sequences left out: more than any store commits between two backups. */
const LEFT_OUT = 2 ** 32;
/** Keys of audit rows are whole numbers below 2^53: `chain * 2^44`. */
const MOST_CHAINS = 511;
/** A backup that is restored twice, and served each time, begins different chains but for one case in as many. */
const CHOICES = 8;
/** Name in `meta` of the mark: JSON `{"takenAt", "restoredAt"}`, ms. */
export const RESTORED = 'restored';

export interface Restoring {
  /** Instant, ms. */
  readonly at: number;
  /** Whole number that is different each time. */
  readonly chance: number;
  /** Spaces of values that must not come back: what was ended since the backup was taken would hold again. */
  readonly spaces: readonly string[];
}
export interface Restored {
  /** Files of the installation. */
  readonly files: readonly BackupFile[];
  /** Chain that audit rows go on in. */
  readonly chain: number;
  /** Values of `spaces` that were dropped. */
  readonly dropped: number;
}

/** Turns a copy of a backup, which was checked, into a database. @throws StoreError `unavailable` when it is none */
export function becomeDatabase(file: string, key: string | undefined, { at, chance, spaces }: Restoring): Restored {
  const connection = connectCopy(file, key);
  try {
    const statements = new Statements(connection);
    const { sequence, takenAt } = noteOf(statements);
    const files = statements
      .all(sql`SELECT name, bytes FROM backup_file`)
      .flatMap(([name, bytes]) => (Buffer.isBuffer(bytes) ? [{ name: String(name), bytes }] : []));
    const last = chainsOf(statements).at(-1) ?? CHAIN;
    const chain = Math.min(last + 1 + (chance % CHOICES), MOST_CHAINS);
    const keep = (name: string, value: string | number) =>
      statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [name, value]);
    connection.pragma('secure_delete=ON');
    connection.exec('BEGIN IMMEDIATE');
    connection.exec('DROP TABLE backup_note; DROP TABLE backup_file');
    keep(PURGED, sequence + LEFT_OUT);
    keep(GROWING, chain);
    keep(RESTORED, JSON.stringify({ takenAt, restoredAt: at }));
    const before = statements.number(sql`SELECT count(*) FROM keyed`) ?? 0;
    for (const space of spaces) statements.run('DELETE FROM keyed WHERE space=?', [space]);
    const dropped = before - (statements.number(sql`SELECT count(*) FROM keyed`) ?? 0);
    connection.exec('COMMIT');
    return { files, chain, dropped };
  } finally {
    connection.close();
  }
}
