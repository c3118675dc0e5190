/**
 * One multi-document transaction: snapshot reads, majority and journalled writes, begun again on transient errors, its commit repeated while
 * the outcome is not known. Source: mongodb.com/docs/manual/core/transactions-in-applications.
 */
import { setTimeout as rest } from 'node:timers/promises';
import { type ClientSession, type MongoClient, MongoError, MongoServerError } from 'mongodb';
import { StoreError } from '../port.ts';

const OPTIONS = {
  readConcern: { level: 'snapshot' },
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 10_000 },
  readPreference: 'primary',
} as const;
/** Longest time of all attempts together, ms: longer than locks of a killed process are waited for (life.ts). */
const PATIENCE_MS = 20_000;
/** Rest before the second attempt, ms; it doubles up to LONGEST_REST_MS, each shortened at random. */
const FIRST_REST_MS = 2;
const LONGEST_REST_MS = 250;

/**
 * Before the commit these leave nothing behind, also where the server gives them no label: a key that another process has just written, which the
 * next snapshot shows (DuplicateKey); a session that another process ended, since it saw no sign of life of this one (Interrupted, CursorKilled,
 * CursorNotFound, NoSuchTransaction); TransactionExceededLifetimeLimitSeconds.
 */
const ENDED = new Set([11_000, 11_601, 237, 43, 251, 290]);

/** Another process was first, or the primary went: nothing was written, and another attempt may do it. */
const isTransient = (error: unknown): boolean =>
  error instanceof MongoError && error.hasErrorLabel('TransientTransactionError');
const isEnded = (error: unknown): boolean => error instanceof MongoServerError && ENDED.has(Number(error.code));

export interface TransactionWays {
  readonly patienceMs?: number | undefined;
  /** Used again and again by one caller at a time; undefined: one of its own. */
  readonly session?: ClientSession | undefined;
  /** Before another attempt: what was waited for so far, ms. Its errors mean nothing. */
  readonly waited?: (ms: number) => Promise<void>;
}

/**
 * What `work` returns, durable. It is called once an attempt and must begin anew each time.
 * @throws StoreError `unavailable` when it could not be made durable in time; then it may or may not have been, as with any lost answer
 */
export async function inTransaction<T>(
  client: MongoClient,
  work: (session: ClientSession) => Promise<T>,
  { patienceMs = PATIENCE_MS, session: kept, waited }: TransactionWays = {},
): Promise<T> {
  const began = performance.now();
  const end = began + patienceMs;
  const session = kept ?? transactionSession(client);
  try {
    for (let pause = FIRST_REST_MS; ; pause = Math.min(pause * 2, LONGEST_REST_MS)) {
      let isWorking = true;
      try {
        session.startTransaction();
        const result = await work(session);
        isWorking = false;
        await commit(session, end);
        return result;
      } catch (error) {
        // The server has ended it already, or will.
        if (session.inTransaction()) await session.abortTransaction().catch(() => undefined);
        if (!isTransient(error) && !(isWorking && isEnded(error))) throw error;
        if (performance.now() > end)
          throw new StoreError('unavailable', 'Others write all the time.', { cause: error });
      }
      await waited?.(performance.now() - began).catch(() => undefined);
      await rest(pause * (0.5 + Math.random() / 2));
    }
  } finally {
    if (session !== kept) await session.endSession();
  }
}

/** For `TransactionWays.session`: whoever asks for it ends it. */
export function transactionSession(client: MongoClient): ClientSession {
  return client.startSession({ defaultTransactionOptions: OPTIONS });
}

/** Repeated by the same session, so that it is done once however often it is asked. */
async function commit(session: ClientSession, end: number): Promise<void> {
  for (;;) {
    try {
      return await session.commitTransaction();
    } catch (error) {
      const isUnknown = error instanceof MongoError && error.hasErrorLabel('UnknownTransactionCommitResult');
      if (!isUnknown) throw error;
      if (performance.now() > end)
        throw new StoreError('unavailable', 'The outcome of a commit is not known.', { cause: error });
      await rest(FIRST_REST_MS * 10);
    }
  }
}
