/** A MongoDB database as it is moved, see transfer.ts. Each batch is one transaction. */
import type { MongoClient } from 'mongodb';
import { assertReplicaSet, connectMongo } from './mongodb.ts';
import { HeadKey, verifyChains } from './mongodb-audit.ts';
import { storeError } from './mongodb-errors.ts';
import {
  type Collections,
  collectionsOf,
  prepare,
  type ResourceDoc,
  TYPE_SPAN,
  TypeNumbers,
} from './mongodb-layout.ts';
import { searchMembers } from './mongodb-members.ts';
import { inTransaction } from './mongodb-transaction.ts';
import { entriesOfFacet } from './mongodb-transfer-facet.ts';
import { auditPart, docPart, type Write } from './mongodb-transfer-rows.ts';
import { Versions, versionOf } from './mongodb-versions.ts';
import { FORGOTTEN, StoreError } from './port.ts';
import type { Movable, MovedVersion, Part } from './transfer.ts';

/** A document holds 16 MB, with its other members. */
const MOST_BYTES = 15 * 1_048_576;

function versionPart(collections: Collections, types: TypeNumbers, write: Write): Part<MovedVersion, number> {
  const { version, resource } = collections;

  /** The search documents as they are after these versions, without what they are found by. */
  async function documentsOf(rows: readonly MovedVersion[]): Promise<readonly ResourceDoc[]> {
    const newest = new Map<string, ResourceDoc>();
    for (const { key, version: v, sequence: s, at, deleted, rank } of rows) {
      const _id = `${key.type}/${key.id}`;
      const place = (await types.base(key.type)) + rank;
      newest.set(_id, { _id, r: deleted ? -place : place, v, s, at });
    }
    return [...newest.values()];
  }

  return {
    page: async (after = 0, count) => {
      const found = await version
        .find({ _id: { $gt: after } })
        .sort({ _id: 1 })
        .limit(count)
        .toArray();
      const names = [...new Set(found.map(({ o }) => o))];
      const places = await resource.find({ _id: { $in: names } }, { projection: { _id: 1, r: 1 } }).toArray();
      const ranks = new Map(places.map(({ _id, r }) => [_id, Math.abs(r) % TYPE_SPAN]));
      return found.map((document) => ({ ...versionOf(document), rank: ranks.get(document.o) ?? 0 }));
    },
    last: async () => (await version.find().sort({ _id: -1 }).limit(1).toArray())[0]?._id,
    count: () => version.countDocuments(),
    restore: async (rows) => {
      for (const { key, text = '' } of rows) {
        if (Buffer.byteLength(text) > MOST_BYTES)
          throw new StoreError('refused', `${key.type}/${key.id} is more than 15 MB: MongoDB does not take it.`);
      }
      const documents = await documentsOf(rows);
      await write(async (session) => {
        await version.insertMany(
          rows.map(({ key, version: v, sequence: _id, at, method: m, patients, text }) => {
            const p = [...patients];
            return { _id, o: `${key.type}/${key.id}`, t: key.type, v, at, m, p, x: text ?? null };
          }),
          { session },
        );
        await resource.bulkWrite(
          documents.map(({ _id, ...replacement }) => ({ replaceOne: { filter: { _id }, replacement, upsert: true } })),
          { session, ordered: false },
        );
      });
    },
  };
}

/** @throws StoreError `unavailable` when a server uses it, as far as its leases tell */
async function assertQuiet({ chain, keyed }: Collections, now: number): Promise<void> {
  const held = await chain.findOne({ owner: { $ne: null }, until: { $gt: now } });
  const duty = await keyed.findOne({ _id: 'lease background/until' });
  if (held === null && Number(duty?.v ?? 0) <= now) return;
  throw new StoreError(
    'unavailable',
    'The database is in use: stop its servers. One that was killed keeps its lease for up to a minute.',
  );
}

export interface MoveMongo {
  readonly url: string;
  /** Signs the heads of audit chains. */
  readonly headKey: Uint8Array;
  /** In the order of their numbers. */
  readonly types: readonly string[];
  /** ms since 1970. */
  readonly now: number;
}

/** @throws StoreError `unavailable`: it cannot be reached, is no replica set, is in use, or was written by a newer release */
export async function openMongoMove({ url, headKey, types, now }: MoveMongo): Promise<Movable> {
  const { client, db } = connectMongo(url);
  try {
    await assertReplicaSet(db);
    const collections = collectionsOf(db);
    await prepare(db, collections, types);
    await assertQuiet(collections, now);
    return movable(client, collections, new HeadKey(headKey));
  } catch (error) {
    await client.close();
    throw storeError(error);
  }
}

function movable(client: MongoClient, collections: Collections, headKey: HeadKey): Movable {
  const { facet, subject, kept, keyed, meta, head, version, chain } = collections;
  const write: Write = (work) => inTransaction(client, work);
  const latest = async (): Promise<number> => new Versions(collections).latestSequence();
  return {
    facet: docPart(facet, write, {
      read: (document) => ({ key: document._id, entries: entriesOfFacet(document) }),
      write: ({ key, entries }) => ({ _id: key, ...searchMembers(entries) }),
    }),
    subject: docPart(subject, write, {
      read: ({ _id, p }) => ({ key: _id, patient: p }),
      write: ({ key, patient }) => ({ _id: key, p: patient }),
    }),
    version: versionPart(collections, new TypeNumbers(meta), write),
    audit: auditPart(collections, headKey, write),
    kept: docPart(kept, write, {
      read: ({ _id, v, at }) => ({ key: _id, value: v, at }),
      write: ({ key, value, at }) => ({ _id: key, v: value, at }),
    }),
    keyed: docPart(keyed, write, {
      read: ({ _id, v, x }) => ({ place: _id, value: v, expiresAt: x }),
      write: ({ place, value, expiresAt }) => ({ _id: place, v: value, x: expiresAt }),
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
    latest,
    finish: async (newest) => {
      const [last] = await version.find().sort({ _id: -1 }).limit(1).toArray();
      const [tip] = await chain.find().sort({ at: -1 }).limit(1).toArray();
      const forgets = await keyed.countDocuments({ _id: { $gt: `${FORGOTTEN} `, $lt: `${FORGOTTEN}!` } });
      const at = Math.max(last?.at ?? 0, tip?.at ?? 0);
      await head.updateOne({ _id: 'data' }, { $max: { seq: newest, at, purged: newest, forgets } });
      await meta.deleteOne({ _id: 'filling' });
    },
    verifyAudit: () => verifyChains(collections, headKey),
    close: () => client.close(),
  };
}
