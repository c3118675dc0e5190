/** One group of commit requests in one transaction: each is judged, then written, then all are synced together. Runs on the writer. */

import { StoreError } from '../port.ts';
import { AuditAppender } from './audit.ts';
import { MintingDictionary } from './dictionary.ts';
import { KeyedValues } from './keyed.ts';
import { OUTCOME_WIDTH, type ReindexRow, STATUS, type WireCommand, type WireRequest } from './message.ts';
import { Purger } from './purge.ts';
import { codeOf, isNoRoom, refusalOf } from './refusal.ts';
import type { Reserve } from './reserve.ts';
import { PendingRows } from './rows.ts';
import { type Connection, TYPE_SPAN } from './schema.ts';
import { Searcher } from './search.ts';
import { Statements, sql } from './sql.ts';
import { purgedSequence } from './versions.ts';

/** Test clocks are fixed; the system clock is read once a request. */
export type Clock = 'system' | { readonly fixed: number };

type Outcome = readonly [status: number, a: number, b: number, c: number];
type Write = Extract<WireCommand, readonly ['put' | 'delete', ...unknown[]]>;
type Purge = Extract<WireCommand, readonly ['purge', ...unknown[]]>;

/** What the judgement found: the row to replace, if any. */
interface Current {
  readonly rid: number;
  readonly version: number;
}

/** Codes after which the page cache cannot be trusted: the process must end and recover from the file. */
const FATAL = new Set(['SQLITE_IOERR_FSYNC', 'SQLITE_IOERR_DIR_FSYNC', 'SQLITE_CORRUPT', 'SQLITE_NOTADB']);

/** True when the process must not go on with this file. */
export function isFatal(error: unknown): boolean {
  const code = codeOf(error);
  return FATAL.has(code) || code.startsWith('SQLITE_CORRUPT');
}

const STORING: ReadonlySet<WireCommand[0]> = new Set(['put', 'delete', 'keep']);

/** Small values and audit rows belong to answering; what is purged makes room. */
const stores = ({ commands }: WireRequest): boolean => commands.some(([op]) => STORING.has(op));

const budgetMs = 2000;

export class Committer {
  readonly #connection: Connection;
  readonly #statements: Statements;
  readonly #dictionary: MintingDictionary;
  readonly #pending: PendingRows;
  readonly #searcher: Searcher;
  readonly #audit: AuditAppender;
  readonly #keyed: KeyedValues;
  readonly #purger: Purger;
  readonly #clock: Clock;
  readonly #reserve: Reserve;
  readonly #counters = new Map<number, number>();
  readonly #pendingKeys = new Set<string>();
  #sequence = 0;
  #at = 0;

  constructor(connection: Connection, clock: Clock, reserve: Reserve) {
    this.#connection = connection;
    this.#reserve = reserve;
    this.#clock = clock;
    this.#statements = new Statements(connection, 600);
    this.#dictionary = new MintingDictionary(this.#statements);
    this.#pending = new PendingRows(this.#statements, this.#dictionary);
    this.#searcher = new Searcher(this.#statements, this.#dictionary, budgetMs);
    this.#purger = new Purger(this.#statements, this.#pending);
    this.#audit = new AuditAppender(this.#statements, this.#pending, this.#purger);
    this.#keyed = new KeyedValues(this.#statements);
    this.#resume();
  }

  /** Takes up the order where the file ends; also after a rollback. */
  #resume(): void {
    const last = (table: string) =>
      this.#statements.get({ text: `SELECT seq, at FROM ${table} ORDER BY seq DESC LIMIT 1`, values: [] }) ?? [0, 0];
    const [resource, history] = [last('resource'), last('history')];
    this.#sequence = Math.max(Number(resource[0]), Number(history[0]), purgedSequence(this.#statements));
    this.#purger.resume();
    this.#at = Math.max(Number(resource[1]), Number(history[1]), this.#audit.resume());
    this.#pending.clear();
    this.#pendingKeys.clear();
    this.#counters.clear();
    this.#dictionary.forget();
  }

  /** Outcomes in the order of the requests; each is durable when this returns. Throws only what `isFatal` names. */
  group(requests: readonly WireRequest[]): readonly Outcome[] {
    const hasRoom = !requests.some(stores) || this.#reserve.hasRoom();
    const answer = (request: WireRequest): Outcome =>
      hasRoom || !stores(request) ? this.#request(request) : [STATUS.full, 0, 0, 0];
    try {
      return this.#transaction(() => requests.map(answer));
    } catch (error) {
      if (isFatal(error)) throw error;
      const refusal = refusalOf(error);
      // With the room that was kept back, whatever stores nothing goes on.
      if (isNoRoom(error) && this.#reserve.relieve()) return this.group(requests);
      if (refusal >= 0) return requests.map(() => [STATUS.unavailable, refusal, 0, 0]);
      if (requests.length === 1) return [[STATUS.failed, 0, 0, 0]];
      // One request is at fault: repeated one by one, only that one fails.
      return requests.flatMap((request) => this.group([request]));
    }
  }

  #transaction<T>(work: () => T): T {
    try {
      this.#statements.run('BEGIN IMMEDIATE');
      const result = work();
      this.#keyed.sweep(this.#read());
      this.#pending.flush();
      this.#pendingKeys.clear();
      this.#statements.run('COMMIT');
      this.#purger.done();
      return result;
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      this.#resume();
      throw error;
    }
  }

  /** Instant of the newest commit; it does not go back with the clock. */
  get newestAt(): number {
    return this.#at;
  }

  /** The instant of what is written: it never goes back. */
  #now(): number {
    this.#at = Math.max(this.#at, this.#read());
    return this.#at;
  }

  /** What expires goes by the clock as it is, like its readers: after a clock that was ahead all that is short-lived would be over at once. */
  #read(): number {
    return this.#clock === 'system' ? Date.now() : this.#clock.fixed;
  }

  #request({ commands, audit }: WireRequest): Outcome {
    const judged = this.#judge(commands);
    if (typeof judged === 'number') return judged < 0 ? [STATUS.tooCostly, 0, 0, 0] : [STATUS.conflict, judged, 0, 0];
    const at = this.#now();
    const first = this.#sequence + 1;
    commands.forEach((command, index) => {
      if (command[0] === 'put' || command[0] === 'delete') this.#write(command, judged[index], at);
      else if (command[0] === 'keep') this.#statements.run('INSERT INTO kept VALUES(?,?,?)', [...command.slice(1), at]);
      else if (command[0] === 'set') this.#keyed.set(command);
      else if (command[0] === 'purge') this.#purge(command, judged[index]);
      else if (command[0] === 'forget') this.#forget(command);
    });
    const firstAudit = this.#audit.append(audit, at);
    return [STATUS.done, at, first, firstAudit];
  }

  /** The current row of each write, or the index of the command whose precondition fails, or -1 when an `expect` costs too much. */
  #judge(commands: readonly WireCommand[]): number | readonly (Current | undefined)[] {
    const found: (Current | undefined)[] = [];
    const within = new Map<string, Current>();
    const keeps = new Set<string>();
    for (const [index, command] of commands.entries()) {
      if (command[0] === 'expect') {
        const holds = this.#expects(command);
        if (holds !== true) return holds === false ? index : -1;
        found.push(undefined);
        continue;
      }
      if (command[0] === 'keep') {
        if (keeps.has(command[1]) || this.#isKept(command[1])) return index;
        keeps.add(command[1]);
        found.push(undefined);
        continue;
      }
      if (command[0] === 'set') {
        if (!this.#keyed.holds(command, commands.slice(0, index), this.#read())) return index;
        found.push(undefined);
        continue;
      }
      if (command[0] === 'forget') {
        if (this.#purger.isAbout(command[1], command[2])) return index;
        found.push(undefined);
        continue;
      }
      if (command[0] === 'unforgotten') {
        if (this.#purger.isForgotten(command[1])) return index;
        found.push(undefined);
        continue;
      }
      if (command[0] === 'put' && this.#purger.isForgotten(command[8])) return index;
      const [, type, id, version] = command;
      const key = `${type}/${id}`;
      const current = within.get(key) ?? this.#current(type, id);
      if (command[0] === 'hold') {
        if (version !== current?.version) return index;
        found.push(undefined);
        continue;
      }
      if (command[0] === 'purge') {
        if (version !== current?.version) return index;
        found.push(current);
        continue;
      }
      const deletes = command[0] === 'delete';
      if (version !== (current?.version ?? 0) + 1) return index;
      if (deletes && (current === undefined || current.rid < 0)) return index;
      found.push(current);
      const rid = current?.rid ?? this.#newRid(type);
      within.set(key, { rid: deletes ? -Math.abs(rid) : Math.abs(rid), version });
      if (current === undefined) found[found.length - 1] = { rid, version: 0 };
    }
    return found;
  }

  #isKept(key: string): boolean {
    return this.#statements.get(sql`SELECT 1 FROM kept WHERE key=${key}`) !== undefined;
  }

  #current(type: string, id: string): Current | undefined {
    const number = this.#dictionary.mint('type', type);
    const row = this.#statements.get(sql`SELECT rid, version FROM resource WHERE type=${number} AND id=${id}`);
    return row === undefined ? undefined : { rid: Number(row[0]), version: Number(row[1]) };
  }

  /** True or false; undefined when the search costs too much. */
  #expects([, plan, ids]: Extract<WireCommand, readonly ['expect', ...unknown[]]>): boolean | undefined {
    this.#flush();
    try {
      const found = this.#searcher.ids(plan, ids.length + 1);
      return found.length === ids.length && new Set([...found, ...ids]).size === ids.length;
    } catch (error) {
      if (error instanceof StoreError && (error.reason === 'too-costly' || error.reason === 'refused'))
        return undefined;
      throw error;
    }
  }

  #flush(): void {
    this.#pending.flush();
    this.#pendingKeys.clear();
  }

  #newRid(type: string): number {
    const number = this.#dictionary.mint('type', type);
    const base = number * TYPE_SPAN;
    const counter = this.#counters.get(number) ?? this.#lastCounter(base);
    this.#counters.set(number, counter + 1);
    return base + counter + 1;
  }

  #lastCounter(base: number): number {
    const end = base + TYPE_SPAN;
    const live = this.#statements.number(sql`SELECT max(rid) FROM resource WHERE rid > ${base} AND rid < ${end}`);
    const gone = this.#statements.number(sql`SELECT min(rid) FROM resource WHERE rid < ${-base} AND rid > ${-end}`);
    return Math.max((live ?? base) - base, -(gone ?? -base) - base);
  }

  #write(command: Write, current: Current | undefined, at: number): void {
    if (current === undefined) throw new TypeError('A write was not judged.');
    const sequence = ++this.#sequence;
    const [op, type, id, version] = command;
    if (this.#pendingKeys.has(`${type}/${id}`)) this.#flush();
    if (op === 'put') this.#put(command, current, sequence, at);
    else this.#delete(current, type, version, sequence, at, command[4]);
  }

  #put(
    command: Extract<Write, readonly ['put', ...unknown[]]>,
    { rid: before }: Current,
    sequence: number,
    at: number,
  ): void {
    const [, type, id, version, method, head, tail, wire, patients] = command;
    const rid = Math.abs(before);
    const entries = this.#pending.numbered(wire);
    const number = this.#dictionary.mint('type', type);
    const rows = [...entries.values()];
    const shape = this.#dictionary.shape(number, new Set(rows.map(([parameter]) => parameter)));
    const text = `${head}${new Date(at).toISOString()}${tail}`;
    this.#pending.about(patients, at, sequence, number);
    if (version === 1) {
      this.#statements.run('INSERT INTO resource VALUES(?,?,?,?,?,?,?,?,?,?)', [
        rid,
        number,
        id,
        version,
        sequence,
        at,
        method,
        shape,
        patients,
        text,
      ]);
      this.#pending.insert(rid, rows);
      this.#pending.words(rid, wire, false);
      this.#pendingKeys.add(`${type}/${id}`);
      return;
    }
    this.#supersede(before);
    this.#statements.run(
      'UPDATE resource SET rid=?, version=?, seq=?, at=?, method=?, shape=?, patients=?, text=? WHERE rid=?',
      [rid, version, sequence, at, method, shape, patients, text, before],
    );
    this.#pending.replace(rid, entries);
    this.#pending.words(rid, wire, true);
    this.#pendingKeys.add(`${type}/${id}`);
  }

  #delete({ rid }: Current, type: string, version: number, sequence: number, at: number, patients: string): void {
    this.#pending.about(patients, at, sequence, this.#dictionary.mint('type', type));
    this.#supersede(rid);
    this.#statements.run(
      "UPDATE resource SET rid=?, version=?, seq=?, at=?, method='DELETE', shape=NULL, patients=?, text=NULL WHERE rid=?",
      [-Math.abs(rid), version, sequence, at, patients, rid],
    );
    this.#pending.replace(Math.abs(rid), new Map());
    this.#pending.words(Math.abs(rid), [], true);
  }

  #purge([, type, , , versions]: Purge, current: Current | undefined): void {
    if (current === undefined) throw new TypeError('A purge was not judged.');
    this.#flush();
    this.#purger.purge(current.rid, versions, this.#sequence);
    this.#dictionary.forget();
    if (versions === null) this.#counters.delete(this.#dictionary.mint('type', type));
  }

  #forget([, patients, , value]: Extract<WireCommand, readonly ['forget', ...unknown[]]>): void {
    this.#flush();
    this.#purger.forget(patients, value);
  }

  #supersede(rid: number): void {
    this.#statements.run(
      `INSERT INTO history SELECT seq, abs(rid), type, id, version, at, method, patients, text FROM resource WHERE rid=?`,
      [rid],
    );
  }

  /**
   * Index rows made again for resources that have not changed since they were read; `progress` is where to resume. Without it only the rows of
   * search parameters are made again, not the words, and whoever asks keeps the place.
   */
  reindex(rows: readonly ReindexRow[], progress: string | undefined, done: boolean): void {
    this.#transaction(() => {
      for (const [rid, version, wire, patients] of rows) {
        const row = this.#statements.get(
          sql`SELECT version, type, shape, patients, at, seq FROM resource WHERE rid=${rid}`,
        );
        if (row?.[0] !== version) continue;
        const entries = this.#pending.numbered(wire);
        const shape = this.#dictionary.shape(
          Number(row[1]),
          new Set([...entries.values()].map(([parameter]) => parameter)),
        );
        this.#pending.replace(rid, entries);
        if (progress !== undefined) this.#pending.words(rid, wire, true);
        // The text lies in the same row, so that an update that changes nothing would write it again.
        if (row[2] === shape && row[3] === patients) continue;
        if (row[3] !== patients) {
          const [type, at, sequence] = [Number(row[1]), Number(row[4]), Number(row[5])];
          this.#pending.notAbout(String(row[3]), at, sequence, type);
          this.#pending.about(patients, at, sequence, type);
        }
        this.#statements.run('UPDATE resource SET shape=?, patients=? WHERE rid=?', [shape, patients, rid]);
      }
      if (progress === undefined) return;
      if (done) this.#statements.run("DELETE FROM meta WHERE name='reindex'");
      this.#statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [done ? 'index' : 'reindex', progress]);
    });
  }

  /** Largest size of the file in pages; 0 lifts the limit. */
  limit(pages: number): void {
    this.#reserve.limit(pages);
  }

  /** Takes writes again when there is room: for who only asks. */
  lookForRoom(): void {
    this.#reserve.hasRoom();
  }
}

/** Flat numbers for one outcome message. */
export function flatOutcome(request: number, outcome: Outcome): readonly number[] {
  const flat = [request, ...outcome];
  if (flat.length !== OUTCOME_WIDTH) throw new TypeError('An outcome has the wrong width.');
  return flat;
}
