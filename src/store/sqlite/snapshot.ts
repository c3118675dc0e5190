/**
 * One read transaction of a connection, kept open over many reads. Each new one after any commit, also of audit rows alone, makes SQLite
 * drop the connection's page cache; so it is renewed only when data was committed since, when it is old, or when audit rows are read.
 */
import { StoreError } from '../port.ts';
import { isDamage, refusalOf } from './refusal.ts';
import type { Statements } from './sql.ts';

/** Oldest snapshot, ms: a bound on how long the log waits to be emptied. */
export const OLDEST_MS = 40;

/** Places in the shared memory. `commits`: raised by the writer between a commit of data and its answer. `emptying`: 1 while the log waits for readers. `damaged`: 1 from the first page on that is not what was written. `full`: 1 while there is no room for writes. `newest`: instant of the newest commit, seconds. */
const PLACE = { commits: 0, emptying: 1, damaged: 2, full: 3, newest: 4 } as const;

/** Shared by every thread of one store. */
export class Signals {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(buffer = new SharedArrayBuffer(20)) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
  }

  /** Changes with every commit of data; wraps. */
  get commits(): number {
    return Atomics.load(this.#cells, PLACE.commits);
  }
  committed(): void {
    Atomics.add(this.#cells, PLACE.commits, 1);
  }
  get emptying(): boolean {
    return Atomics.load(this.#cells, PLACE.emptying) !== 0;
  }
  set emptying(on: boolean) {
    Atomics.store(this.#cells, PLACE.emptying, on ? 1 : 0);
  }
  get full(): boolean {
    return Atomics.load(this.#cells, PLACE.full) !== 0;
  }
  set full(on: boolean) {
    Atomics.store(this.#cells, PLACE.full, on ? 1 : 0);
  }
  /** ms, to the second below; 32 bits of seconds last until 2106. */
  get newestAt(): number {
    return (Atomics.load(this.#cells, PLACE.newest) >>> 0) * 1000;
  }
  set newestAt(at: number) {
    Atomics.store(this.#cells, PLACE.newest, Math.floor(at / 1000));
  }
  get damaged(): boolean {
    return Atomics.load(this.#cells, PLACE.damaged) !== 0;
  }
  set damaged(on: boolean) {
    Atomics.store(this.#cells, PLACE.damaged, on ? 1 : 0);
  }
}

export class Snapshot {
  readonly #statements: Statements;
  readonly #signals: Signals;
  readonly #now: () => number;
  /** Number of commits that it holds at least. */
  #commits = 0;
  #turn = 0;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param now a clock that never goes back, ms */
  constructor(statements: Statements, signals: Signals, now = () => performance.now()) {
    this.#statements = statements;
    this.#signals = signals;
    this.#now = now;
  }

  /** Another number for each state that is read: what one does not hold, the next may. */
  get turn(): number {
    return this.#turn;
  }

  /** Several statements over one state that holds every commit of data acknowledged so far. */
  read<T>(work: () => T): T {
    const { connection } = this.#statements;
    if (!connection.inTransaction || !this.#isCurrent()) this.#begin();
    return this.#run(work);
  }

  /** The same with the audit rows acknowledged so far. */
  readAll<T>(work: () => T): T {
    this.#begin();
    return this.#run(work);
  }

  #run<T>(work: () => T): T {
    let done = false;
    try {
      const result = work();
      done = true;
      return result;
    } catch (error) {
      if (isDamage(error)) this.#signals.damaged = true;
      if (!isDamage(error) && refusalOf(error) < 0) throw error;
      throw new StoreError('unavailable', 'The database cannot be read.', { cause: error });
    } finally {
      if (!done || this.#signals.emptying) this.end();
    }
  }

  #isCurrent(): boolean {
    const { commits, emptying } = this.#signals;
    return commits === this.#commits && !emptying && this.#now() - this.#since < OLDEST_MS;
  }

  /** The number is read first: a commit that comes between costs one more renewal, never a stale read. */
  #begin(): void {
    this.end();
    this.#commits = this.#signals.commits;
    this.#since = this.#now();
    this.#turn++;
    this.#statements.run('BEGIN');
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#expire(), OLDEST_MS).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    this.end();
  }

  /** No statement of the connection may be half-way: all are read to their end at once. After a damaged page a COMMIT fails too. */
  end(): void {
    const { connection } = this.#statements;
    if (!connection.inTransaction) return;
    try {
      this.#statements.run('COMMIT');
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (connection.inTransaction) connection.exec('ROLLBACK');
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.end();
  }
}
