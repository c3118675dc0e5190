/** Index rows made again when the definitions that decide them have changed; in steps, each its own commit, so that it can be taken up. */
import type { IndexEntry } from '../fhir/search/algebra.ts';
import type { WriterChannel } from './sqlite-channel.ts';
import { wireEntry } from './sqlite-message.ts';
import { type Connection, TYPE_SPAN } from './sqlite-schema.ts';
import { type Statements, sql } from './sqlite-sql.ts';

/** What a stored text is indexed by now. */
export type IndexOf = (text: string) => {
  readonly entries: readonly IndexEntry[];
  readonly patients: readonly string[];
};

const STEP = 200;

/** Numbers the types; an empty database is current from the start. */
export function prepareIndex(connection: Connection, types: readonly string[], indexHash: string): void {
  const add = connection.prepare('INSERT OR IGNORE INTO type(name) VALUES(?)');
  connection.exec('BEGIN IMMEDIATE');
  for (const type of types) add.run(type);
  if (connection.prepare('SELECT 1 FROM resource LIMIT 1').get() === undefined) {
    connection.prepare("INSERT OR REPLACE INTO meta VALUES('index', ?)").run(indexHash);
  }
  connection.exec('COMMIT');
}

export function indexIsCurrent(statements: Statements, indexHash: string): boolean {
  return statements.text(sql`SELECT value FROM meta WHERE name='index'`) === indexHash;
}

/** The rid after which work with this hash stopped. Kept as `<rid> <hash>`. */
function stoppedAt(statements: Statements, indexHash: string): number {
  const progress = statements.text(sql`SELECT value FROM meta WHERE name='reindex'`) ?? '';
  const space = progress.indexOf(' ');
  return progress.slice(space + 1) === indexHash ? Number(progress.slice(0, space)) : 0;
}

/** @param fresh a connection that sees what was just committed */
export async function reindexAll(
  fresh: () => Statements,
  channel: WriterChannel,
  indexHash: string,
  types: readonly string[],
  indexOf: IndexOf,
  onProgress: ((done: number) => void) | undefined,
): Promise<void> {
  const numbers = types
    .map((type) => fresh().number(sql`SELECT id FROM type WHERE name=${type}`))
    .filter((number) => number !== undefined)
    .sort((a, b) => a - b);
  let after = stoppedAt(fresh(), indexHash);
  let done = 0;
  for (const number of numbers) {
    const end = (number + 1) * TYPE_SPAN;
    for (after = Math.max(after, number * TYPE_SPAN); after < end; ) {
      const rows = fresh().all(
        sql`SELECT rid, version, text FROM resource WHERE rid > ${after} AND rid < ${end} ORDER BY rid LIMIT ${STEP}`,
      );
      if (rows.length === 0) break;
      const remade = rows.map(([rid, version, text]) => {
        const { entries, patients } = indexOf(String(text));
        return [rid, version, entries.map(wireEntry), patients.join(' ')];
      });
      after = Number(rows.at(-1)?.[0]);
      await channel.ask({
        op: 'reindex',
        rows: JSON.stringify(remade),
        progress: `${after} ${indexHash}`,
        done: false,
      });
      done += rows.length;
      onProgress?.(done);
    }
  }
  await channel.ask({ op: 'reindex', rows: '[]', progress: indexHash, done: true });
}
