/** SQL text with its bound values: composed by template, never by pasting a value into text. */
import { StoreError } from '../port.ts';
import type { Bound, Connection } from './schema.ts';

export interface Sql {
  readonly text: string;
  readonly values: readonly Bound[];
}

/** Text of our own, such as a table or column name. */
export function raw(text: string): Sql {
  return { text, values: [] };
}

/** Holes that are Sql are inserted, others are bound. */
export function sql(parts: TemplateStringsArray, ...holes: readonly (Sql | Bound)[]): Sql {
  let text = parts[0] ?? '';
  const values: Bound[] = [];
  holes.forEach((hole, index) => {
    if (hole !== null && typeof hole === 'object' && 'text' in hole) {
      text += hole.text;
      values.push(...hole.values);
    } else {
      text += '?';
      values.push(hole);
    }
    text += parts[index + 1] ?? '';
  });
  return { text, values };
}

/** The pieces with `separator` between; `empty` when there are none. */
export function join(pieces: readonly Sql[], separator: string, empty: string): Sql {
  if (pieces.length === 0) return raw(empty);
  return { text: pieces.map(({ text }) => text).join(separator), values: pieces.flatMap(({ values }) => values) };
}

/** Rows come back as arrays of column values. */
export type Row = readonly Bound[];

type Prepared = ReturnType<Connection['prepare']>;

/** Prepared statements of one connection by text, least recently used dropped first. */
export class Statements {
  readonly connection: Connection;
  /** When set, called with every text prepared: the test that no statement scans a table. */
  seen: ((text: string) => void) | undefined;
  readonly #limit: number;
  readonly #prepared = new Map<string, Prepared>();

  constructor(connection: Connection, limit = 400) {
    this.connection = connection;
    this.#limit = limit;
  }

  #statement(text: string): Prepared {
    let found = this.#prepared.get(text);
    if (found === undefined) {
      this.seen?.(text);
      found = this.#prepare(text);
      if (found.reader) found.raw(true);
      if (this.#prepared.size >= this.#limit) {
        for (const oldest of this.#prepared.keys()) {
          this.#prepared.delete(oldest);
          break;
        }
      }
    } else this.#prepared.delete(text);
    this.#prepared.set(text, found);
    return found;
  }

  /** @throws StoreError `too-costly` when the statement is beyond a limit of SQLite (values, terms, depth) */
  #prepare(text: string): Prepared {
    try {
      return this.connection.prepare(text);
    } catch (cause) {
      const limit = /too many|too large|too big|overflow/i.test(cause instanceof Error ? cause.message : '');
      if (limit) throw new StoreError('too-costly', 'The search has too many alternatives.', { cause });
      throw cause;
    }
  }

  all({ text, values }: Sql): readonly Row[] {
    return this.#statement(text).all(...values) as readonly Row[];
  }
  get({ text, values }: Sql): Row | undefined {
    return this.#statement(text).get(...values) as Row | undefined;
  }
  run(text: string, values: readonly Bound[] = []): number {
    return Number(this.#statement(text).run(...values).lastInsertRowid);
  }
  /** First column of the first row as a number; undefined when there is no row or it is NULL. */
  number(query: Sql): number | undefined {
    const value = this.get(query)?.[0];
    return typeof value === 'number' ? value : undefined;
  }
  text(query: Sql): string | undefined {
    const value = this.get(query)?.[0];
    return typeof value === 'string' ? value : undefined;
  }
}
