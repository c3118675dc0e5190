/** Rewrites the file without what was removed: freed pages, words in index segments, codes that nothing has any more. While no server runs. */
import { connect, lockFolder, migrate, type Place } from './schema.ts';

/** Cost: a copy of the database. @throws StoreError `unavailable` when a server holds the folder, or the key is wrong */
export function compactSqlite(place: Place): void {
  const lock = lockFolder(place.folder);
  try {
    const connection = connect(place);
    try {
      migrate(connection);
      connection.exec(`INSERT INTO fulltext(fulltext) VALUES('optimize')`);
      connection.exec(`DELETE FROM code_system WHERE NOT EXISTS (SELECT 1 FROM token
        WHERE token.parameter=code_system.parameter AND token.system=code_system.system AND token.code=code_system.code)`);
      connection.exec('VACUUM');
      connection.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      connection.close();
    }
  } finally {
    lock.close();
  }
}
