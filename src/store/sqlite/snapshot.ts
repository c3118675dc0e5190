/**
 * One read transaction of a connection, kept open over many reads. Each new one after any commit, also of audit rows alone, makes SQLite
 * drop the connection's page cache; so it is renewed only when data was committed since, when it is old, or when audit rows are read.
 */
import type { Statements } from './sql.ts';

/** Oldest snapshot, ms: a bound on how long the log waits to be emptied. */
export const OLDEST_MS = 40;

/** Places in the shared memory. `commits`: raised by the writer between a commit of data and its answer. `emptying`: 1 while the log waits for readers. */
const PLACE = { commits: 0, emptying: 1 } as const;

/** Shared by every thread of one store. */
export class Signals {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(buffer = new SharedArrayBuffer(8)) {
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

  /** No statement of the connection may be half-way: all are read to their end at once. */
  end(): void {
    if (this.#statements.connection.inTransaction) this.#statements.run('COMMIT');
  }

  close(): void {
    clearTimeout(this.#timer);
    this.end();
  }
}
