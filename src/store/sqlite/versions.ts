/** Stored versions of resources: current, by number, and histories newest first. */
import type { ResourceKey } from '../../fhir/resource.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { HistoryScope, Page, SearchResult, StoredVersion, WriteMethod } from '../port.ts';
import type { Dictionary } from './dictionary.ts';
import { type Row, raw, type Sql, type Statements, sql } from './sql.ts';

const COLUMNS = raw('type, id, version, seq, at, method, patients, text');

const METHODS: readonly WriteMethod[] = ['POST', 'PUT', 'PATCH', 'DELETE'];

/** Name in `meta` of the newest sequence at the last purge: sequences are never used again. */
export const PURGED = 'purged';

/** The newest sequence when something was purged last; 0 when nothing ever was. */
export function purgedSequence(statements: Statements): number {
  return statements.number(sql`SELECT value FROM meta WHERE name=${PURGED}`) ?? 0;
}

/** Rows whose `patients`, ids joined by spaces, name one of these, at least one. */
export function aboutAny(patients: readonly string[]): Sql {
  const each = patients.map((patient) => sql`instr(' '||patients||' ', ${` ${patient} `})>0`);
  return {
    text: `(${each.map(({ text }) => text).join(' OR ')})`,
    values: each.flatMap(({ values }) => values),
  };
}

export class Versions {
  readonly #statements: Statements;
  readonly #dictionary: Dictionary;

  constructor(statements: Statements, dictionary: Dictionary) {
    this.#statements = statements;
    this.#dictionary = dictionary;
  }

  #version(row: Row): StoredVersion {
    const [type, id, version, sequence, at, method, patients, text] = row;
    return {
      key: { type: this.#dictionary.typeName(Number(type)), id: String(id) },
      version: Number(version),
      sequence: Number(sequence),
      at: Number(at),
      method: METHODS.find((known) => known === method) ?? 'PUT',
      deleted: text === null,
      text: typeof text === 'string' ? text : undefined,
      patients: typeof patients === 'string' && patients !== '' ? patients.split(' ') : [],
    };
  }

  read({ type, id }: ResourceKey, version?: number): StoredVersion | undefined {
    const number = this.#dictionary.number('type', type);
    const row = this.#statements.get(sql`SELECT ${COLUMNS}, rid FROM resource WHERE type=${number} AND id=${id}`);
    if (row === undefined || version === undefined || row[2] === version) return row && this.#version(row);
    const rid = Math.abs(Number(row[8]));
    const old = this.#statements.get(sql`SELECT ${COLUMNS} FROM history WHERE rid=${rid} AND version=${version}`);
    return old && this.#version(old);
  }

  /** Current versions by rid, in this order; what was deleted meanwhile is left out. One statement: half the cost of one for each. */
  byRid(rids: readonly number[]): readonly StoredVersion[] {
    const ids = JSON.stringify(rids);
    const rows = this.#statements.all(
      sql`SELECT ${COLUMNS}, rid FROM resource WHERE rid IN (SELECT value FROM json_each(${ids}))`,
    );
    const found = new Map(rows.map((row) => [Number(row[8]), this.#version(row)]));
    return rids.map((rid) => found.get(rid)).filter((version) => version !== undefined);
  }

  /** Pages by sequence; `at` never decreases along it, so instants and the cursor are both index bounds. */
  history(scope: HistoryScope, page: Page): SearchResult {
    const bound = JSON.stringify(['history', scope.type, scope.id, scope.patients]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, 2);
    const within = this.#within(scope, [
      ...(after === undefined ? [] : [{ at: Number(after[0]), sequence: Number(after[1]) }]),
      ...(scope.below === undefined ? [] : [scope.below]),
    ]);
    const since = scope.since ?? Number.NEGATIVE_INFINITY;
    const newest =
      scope.patients === undefined
        ? this.#newest(scope, within, page.count + 1)
        : this.#newestAbout(scope.patients, scope.type, within, page.count + 1);
    const found = newest.filter(({ at }) => at >= since).sort((a, b) => b.sequence - a.sequence);
    const matches = found.slice(0, page.count);
    const last = matches.at(-1);
    const more = found.length > page.count && last !== undefined;
    return { matches, next: more ? encodeCursor(bound, [last.at, last.sequence]) : undefined };
  }

  #newest(scope: HistoryScope, within: Sql, count: number): readonly StoredVersion[] {
    const order = raw(scope.type === undefined || scope.id !== undefined ? 'seq DESC' : 'at DESC, seq DESC');
    const part = (table: string) =>
      this.#statements.all(
        sql`SELECT ${COLUMNS} FROM ${raw(table)} WHERE ${this.#scope(scope, table)} AND ${within} ORDER BY ${order} LIMIT ${count}`,
      );
    return [...part('resource'), ...part('history')].map((row) => this.#version(row));
  }

  /** Each patient's rows are one range of the index, in the order of writes; those of other types are passed over there. */
  #newestAbout(
    patients: readonly string[],
    type: string | undefined,
    within: Sql,
    count: number,
  ): readonly StoredVersion[] {
    const ofType = type === undefined ? raw('1') : sql`type=${this.#dictionary.number('type', type)}`;
    const sequences = [...new Set(patients)].flatMap((patient) =>
      this.#statements
        .all(
          sql`SELECT seq FROM about WHERE patient=${patient} AND ${ofType} AND ${within} ORDER BY at DESC, seq DESC LIMIT ${count}`,
        )
        .map(([sequence]) => Number(sequence)),
    );
    const wanted = JSON.stringify([...new Set(sequences)].sort((a, b) => b - a).slice(0, count));
    const part = (table: string) =>
      this.#statements.all(
        sql`SELECT ${COLUMNS} FROM ${raw(table)} WHERE seq IN (SELECT value FROM json_each(${wanted}))`,
      );
    return [...part('resource'), ...part('history')].map((row) => this.#version(row));
  }

  /** Versions above a sequence, ascending. Each lies in one of two tables, which are merged. */
  changes(after: number, count: number): readonly StoredVersion[] {
    const part = (table: string) =>
      this.#statements.all(sql`SELECT ${COLUMNS} FROM ${raw(table)} WHERE seq>${after} ORDER BY seq LIMIT ${count}`);
    return [...part('resource'), ...part('history')]
      .map((row) => this.#version(row))
      .sort((a, b) => a.sequence - b.sequence)
      .slice(0, count);
  }

  /** Versions with these sequences, ascending. */
  bySequence(sequences: readonly number[]): readonly StoredVersion[] {
    const wanted = JSON.stringify(sequences);
    const part = (table: string) =>
      this.#statements.all(
        sql`SELECT ${COLUMNS} FROM ${raw(table)} WHERE seq IN (SELECT value FROM json_each(${wanted}))`,
      );
    return [...part('resource'), ...part('history')]
      .map((row) => this.#version(row))
      .sort((a, b) => a.sequence - b.sequence);
  }

  /** Versions of a range of sequences about one of these patients; the texts of others are not read. */
  about(patients: readonly string[], after: number, until: number): readonly StoredVersion[] {
    if (patients.length === 0) return [];
    const named = aboutAny(patients);
    const part = (table: string) =>
      this.#statements.all(sql`SELECT ${COLUMNS} FROM ${raw(table)} WHERE seq>${after} AND seq<=${until} AND ${named}`);
    return [...part('resource'), ...part('history')]
      .map((row) => this.#version(row))
      .sort((a, b) => a.sequence - b.sequence);
  }

  latestSequence(): number {
    const last = (table: string) => this.#statements.number(sql`SELECT max(seq) FROM ${raw(table)}`) ?? 0;
    return Math.max(last('resource'), last('history'), purgedSequence(this.#statements));
  }

  #scope({ type, id }: HistoryScope, table: string): Sql {
    if (type === undefined) return raw('1');
    const number = this.#dictionary.number('type', type);
    if (id === undefined) return sql`type=${number}`;
    if (table === 'resource') return sql`type=${number} AND id=${id}`;
    return sql`rid=(SELECT abs(rid) FROM resource WHERE type=${number} AND id=${id})`;
  }

  #within(
    { type, id, since, before, patients }: HistoryScope,
    below: readonly { readonly at: number; readonly sequence: number }[],
  ): Sql {
    const pieces: Sql[] = [];
    // The unary plus keeps an instance or system scope on its own index. A system history ends at `since` by its order.
    const isByInstant = patients !== undefined || (type !== undefined && id === undefined);
    const at = raw(isByInstant ? 'at' : '+at');
    if (since !== undefined && (isByInstant || id !== undefined)) pieces.push(sql`${at}>=${since}`);
    if (before !== undefined) pieces.push(sql`${at}<=${before}`);
    for (const each of below) pieces.push(sql`${at}<=${each.at} AND seq<${each.sequence}`);
    if (pieces.length === 0) return raw('1');
    return { text: pieces.map(({ text }) => text).join(' AND '), values: pieces.flatMap(({ values }) => values) };
  }
}
