/** Tables of the embedded database whose rows are what they say, as they are moved: kept and keyed values. */

import type { MovedKept, MovedValue, Part } from '../transfer.ts';
import type { Bound } from './schema.ts';
import { raw, type Sql, type Statements, sql } from './sql.ts';

/** One batch, all or none. */
export type Write = (work: () => void) => void;

/** As the tables sort texts. */
const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

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
    equal(place: string): Sql;
    readonly columns: string;
    read(row: readonly Bound[]): Row;
    write(row: Row): readonly Bound[];
  },
): Part<Row, string> {
  const { table, order, columns } = shape;
  const insert = (row: Row): void => {
    const cells = shape.write(row);
    statements.run(`INSERT OR REPLACE INTO ${table}(${columns}) VALUES(${cells.map(() => '?').join()})`, cells);
  };
  const one = (place: string) =>
    statements.get(sql`SELECT ${raw(columns)} FROM ${raw(table)} WHERE ${shape.equal(place)}`);
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
    at: async (places) => {
      const found = [...new Set(places)].toSorted(byCodePoint).map(one);
      return found.filter((row) => row !== undefined).map((row) => shape.read(row));
    },
    restore: async (rows) =>
      write(() => {
        for (const row of rows) insert(row);
      }),
    replace: async (places, rows) =>
      write(() => {
        for (const place of places) {
          const { text, values } = shape.equal(place);
          statements.run(`DELETE FROM ${table} WHERE ${text}`, values);
        }
        for (const row of rows) insert(row);
      }),
  };
}

export const keptPart = (statements: Statements, write: Write): Part<MovedKept, string> =>
  plainPart(statements, write, {
    table: 'kept',
    place: raw('key'),
    order: 'key',
    above: (key) => sql`key > ${key}`,
    equal: (key) => sql`key = ${key}`,
    columns: 'key, value, at',
    read: ([key, value, at]) => ({ key: String(key), value: String(value), at: Number(at) }),
    write: ({ key, value, at }) => [key, value, at],
  });

/** A space ends at the first U+0020 of a place. */
const split = (place: string): readonly [space: string, key: string] => {
  const at = place.indexOf(' ');
  return [place.slice(0, at), place.slice(at + 1)];
};

export const keyedPart = (statements: Statements, write: Write): Part<MovedValue, string> =>
  plainPart(statements, write, {
    table: 'keyed',
    place: raw(`space||' '||key`),
    order: 'space, key',
    above: (place) => sql`(space, key) > (${split(place)[0]}, ${split(place)[1]})`,
    equal: (place) => sql`space = ${split(place)[0]} AND key = ${split(place)[1]}`,
    columns: 'space, key, value, expires',
    read: ([space, key, value, expires]) => ({
      place: `${space} ${key}`,
      value: String(value),
      expiresAt: typeof expires === 'number' ? expires : null,
    }),
    write: ({ place, value, expiresAt }) => [...split(place), value, expiresAt],
  });
