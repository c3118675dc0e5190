/** Small mutable values beside the resources: `set` commands on the writer, reads anywhere. */
import type { Keyed } from '../port.ts';
import type { WireCommand } from './message.ts';
import { type Row, type Statements, sql } from './sql.ts';

type SetCommand = Extract<WireCommand, readonly ['set', ...unknown[]]>;

/** Expired values removed for each `set` that itself expires: more than come in, so that what has expired does not pile up. */
const SWEPT = 4;

const keyedOf = ([key, value, expires]: Row): Keyed => ({
  key: String(key),
  value: String(value),
  expiresAt: expires === null || expires === undefined ? undefined : Number(expires),
});

export function readKeyed(statements: Statements, space: string, key: string): Keyed | undefined {
  const row = statements.get(sql`SELECT key, value, expires FROM keyed WHERE space=${space} AND key=${key}`);
  return row && keyedOf(row);
}

/** Keys above `after`, ascending. */
export function keyedPage(statements: Statements, space: string, after: string, count: number): readonly Keyed[] {
  const rows = statements.all(
    sql`SELECT key, value, expires FROM keyed WHERE space=${space} AND key>${after} ORDER BY key LIMIT ${count}`,
  );
  return rows.map(keyedOf);
}

/** Judges and writes `set` commands inside the writer's transaction. */
export class KeyedValues {
  readonly #statements: Statements;
  /** How many expired values the transaction may remove. */
  #due = 0;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** Whether what the command expects is there, counting the earlier commands of its request. */
  holds([, space, key, , expect]: SetCommand, earlier: readonly WireCommand[], now: number): boolean {
    if (expect === null) return true;
    const [wanted = null] = expect;
    const sameKey = (command: WireCommand): command is SetCommand =>
      command[0] === 'set' && command[1] === space && command[2] === key;
    const within = earlier.findLast(sameKey);
    return (within === undefined ? this.#current(space, key, now) : within[3]) === wanted;
  }

  #current(space: string, key: string, now: number): string | null {
    const found = readKeyed(this.#statements, space, key);
    return found === undefined || (found.expiresAt ?? Number.POSITIVE_INFINITY) <= now ? null : found.value;
  }

  set([, space, key, value, , expires]: SetCommand): void {
    if (value === null) this.#statements.run('DELETE FROM keyed WHERE space=? AND key=?', [space, key]);
    else this.#statements.run('INSERT OR REPLACE INTO keyed VALUES(?,?,?,?)', [space, key, value, expires]);
    if (expires !== null) this.#due += SWEPT;
  }

  /** Once at the end of a transaction: one look at the index of expiry for all its `set` commands. */
  sweep(now: number): void {
    const most = this.#due;
    this.#due = 0;
    if (most === 0) return;
    const old = this.#statements.all(
      sql`SELECT space, key FROM keyed WHERE expires IS NOT NULL AND expires<=${now} ORDER BY expires LIMIT ${most}`,
    );
    for (const [space = '', key = ''] of old) {
      this.#statements.run('DELETE FROM keyed WHERE space=? AND key=?', [space, key]);
    }
  }
}
