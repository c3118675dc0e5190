/** The end of a rolling upgrade: older processes shut out, documents filled. docs/decisions/0056. */
import type { Collection, Db, Document } from 'mongodb';
import { StoreError } from '../port.ts';
import { CLEAR } from './fields.ts';
import { type Collections, collectionsOf } from './layout.ts';
import { type Added, assertSchema, LAYOUTS, type Layout, schemaOf } from './prepare.ts';
import { inTransaction } from './transaction.ts';

/** A process that gave no sign for as long counts as gone, and a page of filling takes less, ms. */
const GONE_MS = 60_000;
const PAGE = 200;

export interface UpgradeState {
  /** Layouts: the oldest that may read, the newest that has written, the one that every document has. */
  readonly floor: number;
  readonly written: number;
  readonly filled: number;
  /** Of this release. */
  readonly known: number;
}

export async function upgradeState(db: Db, layouts: readonly Layout[] = LAYOUTS): Promise<UpgradeState> {
  const { meta } = collectionsOf(db, CLEAR);
  const schema = (await schemaOf(meta)) ?? { floor: 1, written: 1, filled: 1 };
  return { ...schema, known: layouts.length };
}

/**
 * Raises the floor to the layout of this release, then fills every document that lacks a member of it. Servers of this layout go on meanwhile; cut
 * short, it is run again.
 * @param now ms since 1970
 * @throws StoreError `unavailable`: an older process was seen in the last minute, no process of this layout ever wrote, or another finishes it
 */
export async function finishUpgrade(
  db: Db,
  now: () => number,
  layouts: readonly Layout[] = LAYOUTS,
): Promise<UpgradeState> {
  const collections = collectionsOf(db, CLEAR);
  const { meta, head } = collections;
  const newest = layouts.length;
  await assertSchema(meta, layouts);
  const before = await schemaOf(meta);
  if (before === undefined || before.written < newest)
    throw new StoreError('unavailable', `No server of schema ${newest} has been started on this database.`);
  const lease = await claim(meta, now);
  try {
    await assertAlone(collections, newest);
    await inTransaction(db.client, async (session) => {
      await head.updateOne({ _id: 'data' }, { $max: { floor: newest }, $inc: { turn: 1 } }, { session });
      await meta.updateOne({ _id: 'schema' }, { $max: { value: newest } }, { session });
    });
    for (const added of layouts.flatMap((layout) => layout.added)) await fill(db, collections, added, lease.renew);
    await meta.updateOne({ _id: 'schema' }, { $max: { filled: newest } });
  } finally {
    await lease.end();
  }
  return upgradeState(db, layouts);
}

/** By the server's clock: servers sign while they write and when their readiness is asked. */
async function assertAlone({ life }: Collections, newest: number): Promise<void> {
  const _id = 'upgrade';
  await life.updateOne({ _id }, { $set: { s: [], l: newest }, $currentDate: { seen: true } }, { upsert: true });
  const own = await life.findOne({ _id });
  await life.deleteOne({ _id });
  const since = new Date((own?.seen.getTime() ?? 0) - GONE_MS);
  const others = await life.find({ seen: { $gt: since } }).toArray();
  const older = others.filter(({ l = 1 }) => l < newest).length;
  if (older === 0) return;
  throw new StoreError(
    'unavailable',
    `Servers of an older release were seen in the last minute (${older} stores): stop them first.`,
  );
}

/** Documents that are written anew meanwhile have the member: they are left alone. */
async function fill(db: Db, collections: Collections, added: Added, renew: () => Promise<void>): Promise<void> {
  const { collection: name, member, make } = added;
  const collection: Collection<Document> = db.collection(collections[name].collectionName);
  const lacks = { [member]: { $exists: false } };
  for (let after: Document = {}; ; ) {
    // Bounded by places, not by finds: where few lack it one find would read the whole collection.
    const step = { projection: { _id: 1 }, sort: { _id: 1 }, limit: PAGE } as const;
    const last = (await collection.find(after, step).toArray()).at(-1);
    if (last === undefined) return;
    await renew();
    const found = await collection.find({ ...lacks, _id: { ...after._id, $lte: last._id } }).toArray();
    const writes = found.map((document) => ({
      updateOne: {
        filter: { _id: document._id, ...lacks },
        update: { $set: { [member]: make(document) ?? null } },
      },
    }));
    if (writes.length > 0) await collection.bulkWrite(writes, { ordered: false });
    after = { _id: { $gt: last._id } };
  }
}

/** One finishes at a time; who was killed is followed after a minute. */
async function claim(meta: Collections['meta'], now: () => number) {
  const _id = 'upgrading';
  let until = now() + GONE_MS;
  const taken = await meta
    .updateOne({ _id, value: { $lt: now() } }, { $set: { value: until } }, { upsert: true })
    .catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 11000) return undefined;
      throw error;
    });
  const busy = () => new StoreError('unavailable', 'Another process finishes the upgrade: try again in a minute.');
  if (taken === undefined) throw busy();
  return {
    renew: async () => {
      const next = Math.max(until + 1, now() + GONE_MS);
      const { matchedCount } = await meta.updateOne({ _id, value: until }, { $set: { value: next } });
      if (matchedCount === 0) throw busy();
      until = next;
    },
    end: async () => void (await meta.deleteOne({ _id, value: until })),
  };
}
