/** Index rows made again when the definitions that decide them have changed; in steps, each its own commit, so that it can be taken up. */
import type { IndexedRow, IndexOf, IndexPage } from '../engine.ts';
import type { WriterChannel } from './channel.ts';
import { wireEntry } from './message.ts';
import { type Connection, TYPE_SPAN } from './schema.ts';
import { type Statements, sql } from './sql.ts';

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

/** Where the resources of one type lie. */
interface Range {
  readonly type: string;
  readonly base: number;
  /** Place of the newest. */
  readonly newest: number;
}

/** The ranges of all types that have resources; a seek each. */
export function indexRanges(statements: Statements): readonly Range[] {
  return statements.all(sql`SELECT id, name FROM type ORDER BY id`).flatMap(([id, name]) => {
    const base = Number(id) * TYPE_SPAN;
    const newest = statements.number(
      sql`SELECT max(rid) FROM resource WHERE rid > ${base} AND rid < ${base + TYPE_SPAN}`,
    );
    return newest === undefined ? [] : [{ type: String(name), base, newest }];
  });
}

/** Share of the places that lie at or before one: percent, rounded down. */
export function percentAt(ranges: readonly Range[], place: number): number {
  const lengths = (upTo: number): number =>
    ranges.reduce((sum, { base, newest }) => sum + Math.max(0, Math.min(upTo, newest) - base), 0);
  const all = lengths(Number.POSITIVE_INFINITY);
  return all === 0 ? 100 : Math.floor((100 * lengths(place)) / all);
}

/** At most `count` resources after a place. Costs no more than the page. */
export function indexPage(statements: Statements, ranges: readonly Range[], after: number, count: number): IndexPage {
  const rows = statements.all(
    sql`SELECT rid, version, text FROM resource WHERE rid > ${Math.max(after, 0)} ORDER BY rid LIMIT ${count}`,
  );
  const typeOf = (rid: number) => ranges.findLast(({ base }) => base < rid)?.type ?? '';
  return {
    rows: rows.map(([rid, version, text]) => ({
      rid: Number(rid),
      version: Number(version),
      type: typeOf(Number(rid)),
      text: String(text),
    })),
    last: Number(rows.at(-1)?.[0] ?? after),
  };
}

/** The index rows of resources made again; one that has changed since it was read keeps what its own commit wrote. */
export function remakeRows(channel: WriterChannel, rows: readonly IndexedRow[], indexOf: IndexOf): Promise<void> {
  const remade = rows.map(({ rid, version, text }) => {
    const { entries, patients } = indexOf(text);
    return [rid, version, entries.map(wireEntry), patients.join(' ')];
  });
  return channel.ask({ op: 'reindex', rows: JSON.stringify(remade), done: false });
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
