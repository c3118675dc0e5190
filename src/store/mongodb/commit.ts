/**
 * Groups of commit requests, each group one transaction: judged in order, then written, durable together. Whoever writes versions, or judges by more
 * than it writes itself, holds the head; the others run beside. Which ones, and why: docs/decisions/0040-mongodb.md.
 */
import { type ClientSession, type MongoClient, MongoError } from 'mongodb';
import { type Command, type CommitRequest, type CommitResult, FORGOTTEN, StoreError } from '../port.ts';
import { AuditAppender, type AuditStage, type HeadKey } from './audit.ts';
import { Batch } from './batch.ts';
import { isTimeout, storeError } from './errors.ts';
import { countedAs } from './index-owner.ts';
import { Judge } from './judge.ts';
import { type Collections, type HeadDoc, placeOf, type TypeNumbers } from './layout.ts';
import type { Life } from './life.ts';
import { type SearchMembers, searchMembers } from './members.ts';
import { assertFloor, type Layout } from './prepare.ts';
import { Forgotten } from './purge.ts';
import { Searcher } from './search.ts';
import { inTransaction, transactionSession } from './transaction.ts';
import type { Turn } from './turn.ts';

/** Test clocks are fixed; the system clock is read once a group. */
export type Clock = 'system' | { readonly fixed: number };

/** Requests a group at most, and characters of text. */
const MOST_REQUESTS = 64;
const MOST_TEXT = 4_000_000;
/** A document holds 16 MB, with its other members. */
const MOST_BYTES = 15 * 1_048_576;
const EXPECT_MS = 2000;
/** Expired values removed for each `set` that itself expires: more than come in. Longest time of that, ms. */
const SWEPT = 4;
const SWEEP_MS = 200;

type Write = Extract<Command, { op: 'put' | 'delete' }>;
interface Waiting {
  readonly request: CommitRequest;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** One request of a group is at fault; the others are repeated without it. */
class Fault extends Error {
  readonly index: number;
  constructor(index: number, cause: unknown) {
    super('One request is at fault.', { cause });
    this.index = index;
  }
}

/** Leases go by the system clock, `at` by the clock that tests may fix. */
interface Instant {
  readonly read: number;
  readonly at: number;
}

/** What a group does when it is written. */
interface Done {
  readonly results: readonly CommitResult[];
  readonly stage: AuditStage | undefined;
}

export interface CommitterParts {
  readonly client: MongoClient;
  readonly collections: Collections;
  readonly types: TypeNumbers;
  readonly clock: Clock;
  /** Longest time of all attempts at one group, ms. */
  readonly patienceMs: number | undefined;
  readonly headKey: HeadKey;
  readonly life: Life;
  readonly layouts: readonly Layout[];
  /** undefined: the head is tried for as it comes. */
  readonly turn: Turn | undefined;
  /** By which definitions callers made the entries of what they write. */
  readonly indexHash: string;
  /** Before another attempt at a group. */
  readonly onConflict?: (() => void) | undefined;
  /** After each group that wrote data. */
  readonly onData: () => void;
}

export class Committer {
  readonly #parts: CommitterParts;
  readonly #searcher: Searcher;
  readonly audit: AuditAppender;
  readonly #forgotten: Forgotten;
  readonly #waiting: Waiting[] = [];
  /** Made once and before the head is held, however often the group is tried. */
  readonly #members = new WeakMap<Command, SearchMembers>();
  /** One for all groups: they follow each other. */
  readonly #session: ClientSession;
  #running: Promise<void> | undefined;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#searcher = new Searcher(parts.collections, parts.types, EXPECT_MS);
    this.audit = new AuditAppender(parts.collections, parts.headKey);
    this.#forgotten = new Forgotten(parts.collections);
    this.#session = transactionSession(parts.client);
    parts.life.covers(this.#session);
  }

  /** @throws TypeError on AuditEvents among the commands */
  async commit(request: CommitRequest): Promise<CommitResult> {
    const { fields } = this.#parts.collections;
    for (const command of request.commands) {
      check(command);
      if (command.op !== 'put') continue;
      const { key, version, entries } = command;
      const place = placeOf.resource(`${key.type}/${key.id}`, version);
      this.#members.set(command, searchMembers(entries, fields, place));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#running ??= this.#work();
    });
  }

  /** Resolves when nothing waits any more. */
  async close(): Promise<void> {
    await this.#running;
    await this.audit.release().catch(() => undefined);
    await this.#parts.turn?.close();
    await this.#session.endSession();
  }

  async #work(): Promise<void> {
    // What is asked for in the same turn of the loop shares the first group.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      // What is asked for while a turn is waited for shares it.
      if (this.#takesHead(this.#waiting.map(({ request }) => request))) await this.#parts.turn?.comes();
      await this.#serve(this.#next());
    }
    this.#running = undefined;
  }

  #next(): readonly Waiting[] {
    let size = 0;
    let count = 0;
    for (const { request } of this.#waiting.slice(0, MOST_REQUESTS)) {
      size += textOf(request);
      if (count > 0 && size > MOST_TEXT) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #serve(group: readonly Waiting[]): Promise<void> {
    try {
      const requests = group.map(({ request }) => request);
      const { results } = await this.#group(requests);
      for (const [index, { resolve, reject }] of group.entries()) {
        const result = results[index];
        if (result === undefined) reject(new TypeError('A request has no result.'));
        else resolve(result);
      }
    } catch (error) {
      const mapped = storeError(error instanceof Fault ? error.cause : error);
      const isLost = mapped instanceof StoreError && mapped.reason === 'unavailable';
      const at = error instanceof Fault ? error.index : undefined;
      if (group.length === 1 || isLost) {
        for (const { reject } of group) reject(mapped);
        return;
      }
      group.find((_each, index) => index === at)?.reject(mapped);
      // Repeated one by one when it is not known whose fault it is: only that one fails.
      const others = group.filter((_each, index) => index !== at);
      if (at !== undefined) return this.#serve(others);
      for (const each of others) await this.#serve([each]);
    }
  }

  async #group(requests: readonly CommitRequest[]): Promise<Done> {
    const { client, types, clock, patienceMs, life, turn, onConflict } = this.#parts;
    const takesHead = this.#takesHead(requests);
    for (const type of new Set(
      requests.flatMap(({ commands }) => commands.filter(isWrite).map(({ key }) => key.type)),
    )) {
      await types.base(type);
    }
    const read = Date.now();
    const now: Instant = { read, at: clock === 'system' ? read : clock.fixed };
    const waited = async (ms: number): Promise<void> => {
      onConflict?.();
      await life.waited(ms);
      if (takesHead) await turn?.lost();
    };
    const attempt = async (session: ClientSession): Promise<Done> => {
      const made = await this.#attempt(requests, now, session);
      // The next begins while this one waits for the majority: the head is free before that.
      turn?.leave();
      return made;
    };
    const ways = { patienceMs, session: this.#session, waited };
    const done = await life.during(() => inTransaction(client, attempt, ways)).finally(() => turn?.leave());
    if (done.stage !== undefined) this.audit.committed(done.stage);
    await this.#sweep(requests, now.at);
    const wrote = ({ commands }: CommitRequest) =>
      commands.some((command) => isWrite(command) || command.op === 'purge');
    if (requests.some((request, index) => wrote(request) && done.results[index]?.ok === true)) this.#parts.onData();
    return done;
  }

  async #attempt(requests: readonly CommitRequest[], now: Instant, session: ClientSession): Promise<Done> {
    const { collections, types } = this.#parts;
    const hasAudit = requests.some(({ audit }) => audit.length > 0);
    // Claimed outside the transaction: a chain is this store's whether or not the group is written.
    const stage = hasAudit ? await this.audit.begin(now.read) : undefined;
    let at = Math.max(now.at, stage?.tip.at ?? 0);
    let sequence = 0;
    const writes = requests.reduce((sum, { commands }) => sum + commands.filter(isWrite).length, 0);
    if (this.#takesHead(requests)) {
      const head = await this.#head(requests, at, session);
      at = Math.max(at, head.at);
      sequence = head.seq - writes;
      await this.#forgotten.follow(head, session);
    }
    // What expires goes by the clock as it is, like its readers; `at` never goes back.
    const judge = new Judge(collections, this.#searcher, this.#forgotten, session, now.at);
    await judge.prepare(requests.flatMap(({ commands }) => commands));
    const batch = new Batch(collections, session, at, this.#parts.layouts);
    const results: CommitResult[] = [];
    for (const [index, { commands, audit }] of requests.entries()) {
      const failed = await judge
        .conflict(commands, () => batch.flush())
        .catch((error: unknown) => {
          if (isTimeout(error)) throw new Fault(index, this.#searcher.tooCostly(error));
          throw error instanceof StoreError ? new Fault(index, error) : error;
        });
      if (failed !== undefined) {
        results.push({ ok: false, reason: 'conflict', command: failed });
        continue;
      }
      const versions: { key: Write['key']; version: number; sequence: number }[] = [];
      for (const command of commands) {
        if (isWrite(command)) {
          const { key, version } = command;
          const place = judge.write(command, (await types.base(key.type)) + ++sequence);
          batch.write(command, place, sequence, this.#members.get(command));
          versions.push({ key, version, sequence });
        } else if (command.op === 'keep') batch.keep(command.key, command.value);
        else if (command.op === 'set') batch.set(command);
        else if (command.op === 'purge') await batch.purge(command);
        else if (command.op === 'forget') await batch.forget(command, this.#forgotten);
        judge.done(command);
      }
      const auditIds = stage === undefined ? [] : this.audit.stage(stage, audit, at, this.#forgotten);
      results.push({ ok: true, at, versions, auditIds });
    }
    await batch.flush();
    if (stage !== undefined && !(await this.audit.write(stage, session))) {
      this.audit.forget();
      await session.abortTransaction();
      return this.#again(requests, now, session);
    }
    return { results, stage };
  }

  /** Behind the commit and apart from it, so that nobody conflicts over what is of no use any more. */
  async #sweep(requests: readonly CommitRequest[], at: number): Promise<void> {
    const expires = (command: Command) => command.op === 'set' && command.expiresAt !== undefined;
    const count = requests.reduce((sum, { commands }) => sum + commands.filter(expires).length, 0);
    if (count === 0) return;
    const { keyed } = this.#parts.collections;
    const old = { x: { $ne: null, $lte: at } };
    try {
      const options = { projection: { _id: 1 as const }, maxTimeMS: SWEEP_MS };
      const found = await keyed
        .find(old, options)
        .sort({ x: 1 })
        .limit(SWEPT * count)
        .toArray();
      const ids = found.map(({ _id }) => _id);
      if (ids.length > 0) await keyed.deleteMany({ ...old, _id: { $in: ids } }, { maxTimeMS: SWEEP_MS });
    } catch (error) {
      // What is locked is removed by a later one.
      if (!(error instanceof MongoError)) throw error;
    }
  }

  /** A patient who is new to the log may have been forgotten meanwhile. */
  #takesHead(requests: readonly CommitRequest[]): boolean {
    return requests.some(({ commands, audit }) => !commands.every(standsAlone) || this.audit.mapsAnew(audit));
  }

  /** First of all: whoever else writes data waits or begins again, so nothing lies between judgement and write. */
  async #head(requests: readonly CommitRequest[], at: number, session: ClientSession): Promise<HeadDoc> {
    const commands = requests.flatMap((request) => request.commands);
    const changed = commands.filter((command) => isWrite(command) || command.op === 'purge');
    const types = Object.fromEntries(changed.map(({ key }) => [`types.${key.type}`, 1]));
    const by = changed.length > 0 ? { [countedAs(this.#parts.indexHash)]: 1 } : {};
    const head = await this.#parts.collections.head.findOneAndUpdate(
      { _id: 'data' },
      { $inc: { seq: commands.filter(isWrite).length, turn: 1, ...types, ...by }, $max: { at } },
      { session, returnDocument: 'after' },
    );
    if (head === null) throw new StoreError('unavailable', 'The database has lost its head.');
    assertFloor(head.floor, this.#parts.layouts.length);
    return head;
  }

  /** The chain was lost to another store after a long pause: once more with another. */
  async #again(requests: readonly CommitRequest[], now: Instant, session: ClientSession): Promise<Done> {
    session.startTransaction();
    return this.#attempt(requests, now, session);
  }
}

/**
 * Whether a command is judged by nothing but the one value that it writes itself: two such conflict in the database when they meet, and need no common
 * lock. One that expects nothing and leaves nothing writes none.
 */
const standsAlone = (command: Command): boolean =>
  command.op === 'keep' || (command.op === 'set' && (command.expect !== null || command.value !== undefined));

/** A value that is written as it is: whoever changes it must not pass (`fencedStore`). */
const isFence = (command: Command): boolean =>
  command.op === 'set' && command.expect !== undefined && command.expect === command.value;

/**
 * Whether a request can be committed beside those that write versions: it has no rows for the one chain of the store, and no fence, which would
 * conflict with those of the other requests of this process.
 */
export const isBeside = ({ commands, audit }: CommitRequest): boolean =>
  audit.length === 0 && commands.length > 0 && commands.every((each) => standsAlone(each) && !isFence(each));

const isWrite = (command: Command): command is Write => command.op === 'put' || command.op === 'delete';

const textOf = ({ commands, audit }: CommitRequest): number =>
  commands.reduce((sum, command) => sum + (command.op === 'put' ? command.body.tail.length : 0), 0) +
  audit.reduce((sum, { bytes, erasable = '' }) => sum + bytes.length + erasable.length, 0);

/** @throws TypeError on AuditEvents and on a `set` that only `forget` may do, StoreError `refused` on a text that no document holds */
function check(command: Command): void {
  if (command.op === 'set' && command.space === FORGOTTEN) throw new TypeError('Only `forget` says who is forgotten.');
  if (command.op === 'purge' && command.key.type === 'AuditEvent') throw new TypeError('AuditEvents are never purged.');
  if (!isWrite(command)) return;
  if (command.key.type === 'AuditEvent') throw new TypeError('AuditEvents are appended as audit rows, never written.');
  if (command.op === 'delete') return;
  const { head, tail } = command.body;
  // A character is at most three bytes: most texts need not be measured.
  if ((head.length + tail.length) * 3 <= MOST_BYTES) return;
  if (Buffer.byteLength(head) + Buffer.byteLength(tail) > MOST_BYTES) {
    throw new StoreError('refused', 'A resource of more than 15 MB is not stored by this server.');
  }
}
