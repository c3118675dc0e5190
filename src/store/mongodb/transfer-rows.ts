/** Parts of a MongoDB database as it is moved: documents that are what they say, and audit rows with their chains. */
import type {
  AnyBulkWriteOperation,
  ClientSession,
  Collection,
  Document,
  Filter,
  OptionalUnlessRequiredId,
  WithId,
} from 'mongodb';
import { CHAIN_SPAN, type MovedAudit, type MovedEvent, type Part } from '../transfer.ts';
import type { HeadKey } from './audit.ts';
import type { Fields } from './fields.ts';
import { type AuditDoc, type AuditEventDoc, type Collections, placeOf } from './layout.ts';

/** One batch, all or none. */
export type Write = (work: (session: ClientSession) => Promise<void>) => Promise<void>;

/** A collection whose `_id` is the place. */
export function docPart<Doc extends Document & { readonly _id: string }, Row>(
  collection: Collection<Doc>,
  write: Write,
  shape: { read(document: WithId<Doc>): Row; write(row: Row): OptionalUnlessRequiredId<Doc> },
): Part<Row, string> {
  const above = (after: string | undefined): Filter<Doc> =>
    (after === undefined ? {} : { _id: { $gt: after } }) as Filter<Doc>;
  return {
    page: async (after, count) =>
      (await collection.find(above(after)).sort({ _id: 1 }).limit(count).toArray()).map((document) =>
        shape.read(document),
      ),
    at: async (places) => {
      const named = { _id: { $in: [...places] } } as Filter<Doc>;
      return (await collection.find(named).sort({ _id: 1 }).toArray()).map((document) => shape.read(document));
    },
    last: async () => {
      const [last] = await collection.find().sort({ _id: -1 }).limit(1).toArray();
      return last === undefined ? undefined : String(last._id);
    },
    count: () => collection.countDocuments(),
    restore: async (rows) => {
      if (rows.length === 0) return;
      await write(async (session) => {
        await collection.insertMany(
          rows.map((row) => shape.write(row)),
          { session },
        );
      });
    },
    replace: async (places, rows) => {
      const documents = rows.map((row) => shape.write(row)) as readonly (Doc & Document)[];
      const held = new Set(documents.map(({ _id }) => _id));
      const gone = places.filter((place) => !held.has(place));
      if (places.length === 0) return;
      await write(async (session) => {
        if (gone.length > 0) await collection.deleteMany({ _id: { $in: gone } } as Filter<Doc>, { session });
        await putAll(collection, documents, session);
      });
    },
  };
}

/** Each under its `_id`, whether it is held or not. */
export async function putAll<Doc extends Document>(
  collection: Collection<Doc>,
  documents: readonly Doc[],
  session: ClientSession,
): Promise<void> {
  if (documents.length === 0) return;
  const named = { _id: { $in: documents.map(({ _id }) => _id) } } as Filter<Doc>;
  const found = await collection.find(named, { session, projection: { _id: 1 } }).toArray();
  const held = new Set<unknown>(found.map(({ _id }) => _id));
  const news = documents.filter(({ _id }) => !held.has(_id));
  if (news.length > 0) await collection.insertMany([...news] as OptionalUnlessRequiredId<Doc>[], { session });
  const put = documents
    .filter(({ _id }) => held.has(_id))
    .map(({ _id, ...replacement }) => ({ replaceOne: { filter: { _id }, replacement } }));
  if (put.length === 0) return;
  await collection.bulkWrite(put as unknown as AnyBulkWriteOperation<Doc>[], { session, ordered: false });
}

const idOf = (place: number, event: number): string =>
  `${Math.floor(place / CHAIN_SPAN)}-${place % CHAIN_SPAN}-${event}`;

function eventOf(postings: readonly string[]): MovedEvent {
  const of = (what: string) => postings.filter((text) => text.startsWith(`${what} `)).map((text) => text.slice(2));
  // One posting when both facets are the same.
  const [kind = '', agents = kind] = of('f');
  return { kind, agents, subjects: of('s').sort(), entities: of('e').sort() };
}

function postingsOf({ kind, agents, subjects, entities }: MovedEvent): readonly string[] {
  const all = [`f ${kind}`, `f ${agents}`, ...subjects.map((key) => `s ${key}`), ...entities.map((key) => `e ${key}`)];
  return [...new Set(all)];
}

interface AuditDocs {
  readonly rows: readonly AuditDoc[];
  readonly events: readonly AuditEventDoc[];
}

function docsOf(rows: readonly MovedAudit[], fields: Fields): AuditDocs {
  return {
    rows: rows.map(({ place, at, form, bytes, erasable, hash, events }) => {
      const u = [...new Set(events.flatMap(({ subjects }) => subjects))];
      const b = fields.seal(placeOf.audit({ _id: place, at, f: form }), bytes);
      const x = erasable === null ? null : fields.seal(placeOf.erasable(place), erasable);
      return { _id: place, at, f: form, n: events.length, h: hash, b, x, u };
    }),
    events: rows.flatMap(({ place, at, events: of }) =>
      of.map((event, index) => {
        const e = index + 1;
        return { _id: idOf(place, e), a: place, e, at, k: postingsOf(event) };
      }),
    ),
  };
}

export function auditPart(
  { audit, auditEvent, chain, fields }: Collections,
  headKey: HeadKey,
  write: Write,
): Part<MovedAudit, number> {
  async function eventsOf(rows: readonly AuditDoc[]): Promise<ReadonlyMap<string, MovedEvent>> {
    const ids = rows.flatMap(({ _id, n }) => Array.from({ length: n }, (_, index) => idOf(_id, index + 1)));
    const found = await auditEvent.find({ _id: { $in: ids } }).toArray();
    return new Map(found.map(({ _id, k }) => [_id, eventOf(k)]));
  }
  async function moved(rows: readonly AuditDoc[]): Promise<readonly MovedAudit[]> {
    const events = await eventsOf(rows);
    return rows.map(({ _id, at, f, n, h, b, x }) => ({
      place: _id,
      ...{ at, form: f, hash: h },
      bytes: fields.open(placeOf.audit({ _id, at, f }), b),
      erasable: x === null ? null : fields.open(placeOf.erasable(_id), x),
      events: Array.from({ length: n }, (_, index) => events.get(idOf(_id, index + 1)) ?? eventOf([])),
    }));
  }
  /** The ends of the chains that these rows, ascending, are of; a chain whose end is further keeps it. */
  async function sign(rows: readonly MovedAudit[], session: ClientSession): Promise<void> {
    const tips = new Map(rows.map((row) => [Math.floor(row.place / CHAIN_SPAN), row]));
    for (const [number, { place, at, hash }] of tips) {
      const seq = place % CHAIN_SPAN;
      const held = await chain.findOne({ _id: number }, { session });
      if (held !== null && held.seq > seq) continue;
      const signed = { mac: headKey.sign(number, seq, hash), key: headKey.id };
      const tip = { seq, at, h: hash, ...signed, owner: null, until: 0 };
      await chain.updateOne({ _id: number }, { $set: tip }, { session, upsert: true });
    }
  }

  return {
    page: async (after = 0, count) => {
      const above = audit.find({ _id: { $gt: after } }).sort({ _id: 1 });
      return moved(await above.limit(count).toArray());
    },
    at: async (places) =>
      moved(
        await audit
          .find({ _id: { $in: [...places] } })
          .sort({ _id: 1 })
          .toArray(),
      ),
    last: async () => (await audit.find().sort({ _id: -1 }).limit(1).toArray())[0]?._id,
    count: () => audit.countDocuments(),
    restore: async (rows) => {
      if (rows.length === 0) return;
      await write(async (session) => {
        const documents = docsOf(rows, fields);
        await audit.insertMany(documents.rows, { session });
        if (documents.events.length > 0) await auditEvent.insertMany(documents.events, { session });
        await sign(rows, session);
      });
    },
    // No row is ever removed.
    replace: async (_places, rows) => {
      if (rows.length === 0) return;
      await write(async (session) => {
        const documents = docsOf(rows, fields);
        await putAll(audit, documents.rows, session);
        await putAll(auditEvent, documents.events, session);
        await sign(rows, session);
      });
    },
  };
}
