/** A MongoDB database as it is moved, see transfer.ts. Each batch is one transaction. */
import type { MongoClient } from 'mongodb';
import type { IndexOf } from '../engine.ts';
import { FORGOTTEN, StoreError } from '../port.ts';
import { FILLING, type Movable, NOTE, type Served } from '../transfer.ts';
import { HeadKey, verifyChains } from './audit.ts';
import { assertReplicaSet, connectMongo } from './connect.ts';
import { fieldsOf } from './data-key.ts';
import { storeError } from './errors.ts';
import { mongoJournal } from './journal.ts';
import { type Collections, collectionsOf, placeOf, TypeNumbers } from './layout.ts';
import { searchMembers } from './members.ts';
import { assertSchema, prepare } from './prepare.ts';
import { inTransaction } from './transaction.ts';
import { entriesOfFacet } from './transfer-facet.ts';
import { auditPart, docPart, type Write } from './transfer-rows.ts';
import { versionPart } from './transfer-versions.ts';
import { Versions } from './versions.ts';

/** @throws StoreError `unavailable` when a server uses it, as far as its leases tell */
async function assertQuiet({ chain, keyed, fields }: Collections, now: number): Promise<void> {
  const held = await chain.findOne({ owner: { $ne: null }, until: { $gt: now } });
  const duty = await keyed.findOne({ _id: 'lease background/until' });
  const until = duty === null ? 0 : Number(fields.open(placeOf.keyed(duty._id, duty.x), duty.v));
  if (held === null && until <= now) return;
  throw new StoreError(
    'unavailable',
    'The database is in use: stop its servers. One that was killed keeps its lease for up to a minute.',
  );
}

export interface MoveMongo {
  readonly url: string;
  /** Signs the heads of audit chains. */
  readonly headKey: Uint8Array;
  /** Passphrase of the data key; undefined: without one. */
  readonly key?: string | undefined;
  /** In the order of their numbers. */
  readonly types: readonly string[];
  /** ms since 1970. */
  now(): number;
  /** What `replace` finds versions by; undefined: the first start makes index rows. */
  readonly indexOf?: IndexOf | undefined;
}

/**
 * With no server that uses it.
 * @throws StoreError `unavailable`: it cannot be reached, is no replica set, is in use, or was written by a newer release
 */
export const openMongoMove = (options: MoveMongo): Promise<Movable> =>
  connected(options, async (client, collections) => {
    await prepare(collections.meta.db, collections, options.types);
    await assertQuiet(collections, options.now());
    return movable(client, collections, options);
  });

/**
 * Beside the servers that use it.
 * @throws StoreError `unavailable`: it cannot be reached, is no replica set, or was not written by a release of this schema
 */
export const followMongo = (options: MoveMongo): Promise<Served> =>
  connected(options, async (client, collections) => {
    await assertSchema(collections.meta);
    const journal = mongoJournal(collections, {
      now: options.now,
      assertQuiet: () => assertQuiet(collections, options.now()),
    });
    return { ...movable(client, collections, options), journal };
  });

async function connected<T>(
  { url, key }: MoveMongo,
  open: (client: MongoClient, collections: Collections) => Promise<T>,
): Promise<T> {
  const { client, db } = connectMongo(url);
  try {
    await assertReplicaSet(db);
    return await open(client, collectionsOf(db, await fieldsOf(db, key)));
  } catch (error) {
    await client.close();
    throw storeError(error);
  }
}

function movable(client: MongoClient, collections: Collections, { headKey: key, indexOf }: MoveMongo): Movable {
  const headKey = new HeadKey(key);
  const { facet, subject, kept, keyed, meta, head, version, chain, fields } = collections;
  const write: Write = (work) => inTransaction(client, work);
  const latest = async (): Promise<number> => new Versions(collections).latestSequence();
  return {
    facet: docPart(facet, write, {
      read: (document) => ({ key: document._id, entries: entriesOfFacet(document, fields) }),
      write: ({ key, entries }) => ({ _id: key, ...searchMembers(entries, fields, placeOf.facet(key)) }),
    }),
    subject: docPart(subject, write, {
      read: ({ _id, p }) => ({ key: _id, patient: p }),
      write: ({ key, patient }) => ({ _id: key, p: patient }),
    }),
    version: versionPart({ collections, types: new TypeNumbers(meta), write, indexOf }),
    audit: auditPart(collections, headKey, write),
    kept: docPart(kept, write, {
      read: ({ _id, v, at }) => ({ key: _id, value: fields.open(placeOf.kept(_id), v), at }),
      write: ({ key, value, at }) => ({ _id: key, v: fields.seal(placeOf.kept(key), value), at }),
    }),
    keyed: docPart(keyed, write, {
      read: ({ _id, v, x }) => ({ place: _id, value: fields.open(placeOf.keyed(_id, x), v), expiresAt: x }),
      write: ({ place, value, expiresAt: x }) => ({ _id: place, v: fields.seal(placeOf.keyed(place, x), value), x }),
    }),
    marked: async () => {
      const value = (await meta.findOne({ _id: 'filling' }))?.value;
      return value === undefined ? undefined : String(value);
    },
    mark: async (source) => {
      await meta.updateOne({ _id: 'filling' }, { $set: { value: source } }, { upsert: true });
      // Until documents are made the index is of no definitions.
      await meta.deleteMany({ _id: { $in: ['index', 'reindex'] } });
    },
    noted: async () => {
      const value = (await meta.findOne({ _id: NOTE }))?.value;
      return value === undefined ? undefined : String(value);
    },
    note: async (text) => {
      await meta.updateOne({ _id: NOTE }, { $set: { value: text } }, { upsert: true });
    },
    latest,
    finish: async (newest, indexHash) => {
      const [last] = await version.find().sort({ _id: -1 }).limit(1).toArray();
      const [tip] = await chain.find().sort({ at: -1 }).limit(1).toArray();
      const forgets = await keyed.countDocuments({ _id: { $gt: `${FORGOTTEN} `, $lt: `${FORGOTTEN}!` } });
      const at = Math.max(last?.at ?? 0, tip?.at ?? 0);
      await head.updateOne({ _id: 'data' }, { $max: { seq: newest, at, purged: newest, forgets } });
      if (indexHash !== undefined)
        await meta.updateOne({ _id: 'index' }, { $set: { value: indexHash } }, { upsert: true });
      await meta.deleteMany({ _id: { $in: [FILLING, NOTE] } });
    },
    verifyAudit: () => verifyChains(collections, headKey),
    close: () => client.close(),
  };
}
