/**
 * What changes in a MongoDB database while servers write it, told to the process that moves it: the change stream of the database. A mark that is
 * written there says how far it was read. Source: mongodb.com/docs/manual/changeStreams.
 */
import { randomBytes } from 'node:crypto';
import type { ChangeStream, ChangeStreamDocument, Document, ResumeToken } from 'mongodb';
import { StoreError } from '../port.ts';
import { type Changed, type Changes, type Journal, type PartName, SHUT_MS } from '../transfer.ts';
import { type Collections, EVER, LEFT_ID, leftUntil } from './layout.ts';

/** How long the server waits for the next change before it says that there is none, ms. */
const AWAIT_MS = 200;
/** The mark has come by then, ms; the stream is of a majority, which may lag. */
const PATIENCE_MS = 30_000;

const PARTS: ReadonlyMap<string, PartName> = new Map([
  ['version', 'version'],
  ['audit', 'audit'],
  ['facet', 'facet'],
  ['subject', 'subject'],
  ['kept', 'kept'],
  ['keyed', 'keyed'],
]);

function changedBy(event: ChangeStreamDocument): Changed | undefined {
  if (!('documentKey' in event) || !('ns' in event) || !('coll' in event.ns)) return undefined;
  const part = PARTS.get(event.ns.coll);
  const place: unknown = event.documentKey._id;
  if (part === undefined || (typeof place !== 'string' && typeof place !== 'number')) return undefined;
  return { part, place };
}

export interface JournalParts {
  /** ms since 1970, as the servers' clocks. */
  now(): number;
  /** @throws StoreError `unavailable` while a server holds a lease */
  assertQuiet(): Promise<void>;
}

export function mongoJournal({ meta }: Collections, { now, assertQuiet }: JournalParts): Journal {
  /** What the stream gives back: everything committed before is told before. A replacement carries its document. */
  const mark = async (): Promise<string> => {
    const value = randomBytes(12).toString('hex');
    await meta.replaceOne({ _id: 'moving' }, { value }, { upsert: true });
    return value;
  };
  const markOf = (event: ChangeStreamDocument): string | undefined => {
    if (event.operationType !== 'insert' && event.operationType !== 'replace') return undefined;
    const { _id, value }: Document = event.fullDocument;
    return _id === 'moving' ? String(value) : undefined;
  };

  async function read(after: ResumeToken | undefined, count: number): Promise<Changes> {
    const resume = after === undefined ? {} : { resumeAfter: after };
    const stream: ChangeStream = meta.db.watch([], { maxAwaitTimeMS: AWAIT_MS, ...resume });
    try {
      // The stream stands before the mark is written.
      if (after === undefined) await stream.tryNext();
      const wanted = await mark();
      const changed: Changed[] = [];
      for (const end = performance.now() + PATIENCE_MS; ; ) {
        const event = await stream.tryNext();
        if (event === null) {
          if (performance.now() > end) throw new StoreError('unavailable', 'The change stream does not go on.');
          continue;
        }
        const position = JSON.stringify(event._id);
        if (event.operationType === 'invalidate' || event.operationType === 'dropDatabase')
          throw new StoreError('unavailable', 'The source was dropped.');
        if (markOf(event) === wanted) return { changed, position, more: false };
        const each = changedBy(event);
        if (each !== undefined) changed.push(each);
        if (changed.length >= count) return { changed, position, more: true };
      }
    } finally {
      await stream.close();
    }
  }

  return {
    begin: async () => (await read(undefined, Number.POSITIVE_INFINITY)).position,
    changes: (after, count) => read(JSON.parse(after), count),
    /** Servers ask before they take a chain of the log, without which none commits a request. */
    shut: async () => {
      if ((await leftUntil(meta)) === EVER) return;
      await assertQuiet();
      await meta.updateOne({ _id: LEFT_ID }, { $set: { value: now() + SHUT_MS } }, { upsert: true });
      await assertQuiet().catch(async (error: unknown) => {
        await meta.deleteOne({ _id: LEFT_ID });
        throw error;
      });
    },
    reopen: async () => void (await meta.deleteOne({ _id: LEFT_ID, value: { $ne: EVER } })),
    leave: async (position) => {
      if ((await read(JSON.parse(position), 1)).changed.length > 0) return false;
      await meta.updateOne({ _id: LEFT_ID }, { $set: { value: EVER } }, { upsert: true });
      return true;
    },
    abandon: async () => void (await meta.deleteMany({ _id: { $in: [LEFT_ID, 'moving'] } })),
  };
}
