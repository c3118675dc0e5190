/** Versions of a MongoDB database as they are moved, with the search documents of what they are versions of. */
import type { ClientSession } from 'mongodb';
import type { IndexOf } from '../engine.ts';
import { StoreError } from '../port.ts';
import type { MovedVersion, Part } from '../transfer.ts';
import type { Fields } from './fields.ts';
import { type Collections, placeOf, type ResourceDoc, TYPE_SPAN, type TypeNumbers, type VersionDoc } from './layout.ts';
import { searchMembers } from './members.ts';
import { LAYOUTS, withAdded } from './prepare.ts';
import { putAll, type Write } from './transfer-rows.ts';
import { versionOf } from './versions.ts';

/** A document holds 16 MB, with its other members. */
const MOST_BYTES = 15 * 1_048_576;

function assertSizes(rows: readonly MovedVersion[]): void {
  for (const { key, text = '' } of rows) {
    if (Buffer.byteLength(text) > MOST_BYTES)
      throw new StoreError('refused', `${key.type}/${key.id} is more than 15 MB: MongoDB does not take it.`);
  }
}

const nameOf = ({ key }: MovedVersion): string => `${key.type}/${key.id}`;

function docOf(row: MovedVersion, fields: Fields): VersionDoc {
  const { key, version: v, sequence: _id, at, method: m, patients, text } = row;
  const made = { _id, o: nameOf(row), t: key.type, v, at, m, p: [...patients] };
  const x = text === undefined ? null : fields.seal(placeOf.version(made), text);
  return withAdded<VersionDoc>(LAYOUTS, 'version', { ...made, x });
}

export interface VersionParts {
  readonly collections: Collections;
  readonly types: TypeNumbers;
  readonly write: Write;
  /** Members that `replace` writes; undefined: none. */
  readonly indexOf: IndexOf | undefined;
}

export function versionPart({ collections, types, write, indexOf }: VersionParts): Part<MovedVersion, number> {
  const { version, resource, fields } = collections;

  /** The search documents as they are after these versions. */
  async function documentsOf(
    rows: readonly MovedVersion[],
    index: IndexOf | undefined,
  ): Promise<readonly ResourceDoc[]> {
    const newest = new Map(rows.map((row) => [nameOf(row), row]));
    const documents: ResourceDoc[] = [];
    for (const [_id, { key, version: v, sequence: s, at, deleted, rank, text }] of newest) {
      const place = (await types.base(key.type)) + rank;
      const members =
        index === undefined || text === undefined
          ? {}
          : searchMembers(index(text).entries, fields, placeOf.resource(_id, v));
      const made: ResourceDoc = { _id, r: deleted ? -place : place, v, s, at, ...members };
      documents.push(withAdded(LAYOUTS, 'resource', made));
    }
    return documents;
  }

  async function ranked(found: readonly VersionDoc[]): Promise<readonly MovedVersion[]> {
    const names = [...new Set(found.map(({ o }) => o))];
    const places = await resource.find({ _id: { $in: names } }, { projection: { _id: 1, r: 1 } }).toArray();
    const ranks = new Map(places.map(({ _id, r }) => [_id, Math.abs(r) % TYPE_SPAN]));
    return found.map((document) => ({ ...versionOf(document, fields), rank: ranks.get(document.o) ?? 0 }));
  }

  /** What the source has purged since it was read here, where a new row comes in its stead: a version of the same number, a place. */
  async function makeRoom(rows: readonly VersionDoc[], documents: readonly ResourceDoc[], session: ClientSession) {
    const sequences = new Map(rows.map(({ o, v, _id }) => [`${o} ${v}`, _id]));
    const own = { o: { $in: [...new Set(rows.map(({ o }) => o))] } };
    const held = await version.find(own, { session, projection: { _id: 1, o: 1, v: 1 } }).toArray();
    const stale = held.filter(({ _id, o, v }) => (sequences.get(`${o} ${v}`) ?? _id) !== _id);
    if (stale.length > 0) await version.deleteMany({ _id: { $in: stale.map(({ _id }) => _id) } }, { session });
    const at = new Map(documents.map(({ _id, r }) => [Math.abs(r), _id]));
    const places = { r: { $in: [...at.keys()].flatMap((place) => [place, -place]) } };
    const there = await resource.find(places, { session, projection: { _id: 1, r: 1 } }).toArray();
    const others = there.filter(({ _id, r }) => at.get(Math.abs(r)) !== _id);
    if (others.length > 0) await resource.deleteMany({ _id: { $in: others.map(({ _id }) => _id) } }, { session });
  }

  return {
    page: async (after = 0, count) => {
      const above = version.find({ _id: { $gt: after } }).sort({ _id: 1 });
      return ranked(await above.limit(count).toArray());
    },
    at: async (places) =>
      ranked(
        await version
          .find({ _id: { $in: [...places] } })
          .sort({ _id: 1 })
          .toArray(),
      ),
    last: async () => (await version.find().sort({ _id: -1 }).limit(1).toArray())[0]?._id,
    count: () => version.countDocuments(),
    restore: async (rows) => {
      assertSizes(rows);
      const documents = await documentsOf(rows, undefined);
      await write(async (session) => {
        await version.insertMany(
          rows.map((row) => docOf(row, fields)),
          { session },
        );
        await putAll(resource, documents, session);
      });
    },
    replace: async (places, rows) => {
      assertSizes(rows);
      const documents = await documentsOf(rows, indexOf);
      const held = new Set(rows.map(({ sequence }) => sequence));
      const gone = places.filter((place) => !held.has(place));
      const versions = rows.map((row) => docOf(row, fields));
      await write(async (session) => {
        if (gone.length > 0) {
          const named = await version.find({ _id: { $in: gone } }, { session, projection: { o: 1 } }).toArray();
          await version.deleteMany({ _id: { $in: gone } }, { session });
          // The newest is purged with all others only.
          const names = { _id: { $in: named.map(({ o }) => o) }, s: { $in: gone } };
          await resource.deleteMany(names, { session });
        }
        if (rows.length === 0) return;
        const ids = { _id: { $in: documents.map(({ _id }) => _id) } };
        const current = await resource.find(ids, { session, projection: { _id: 1, s: 1 } }).toArray();
        const newest = new Map(current.map(({ _id, s }) => [_id, s]));
        const news = documents.filter(({ _id, s }) => s >= (newest.get(_id) ?? 0));
        await makeRoom(versions, news, session);
        await putAll(version, versions, session);
        await putAll(resource, news, session);
      });
    },
  };
}
