/** Parts of a MongoDB database as it is moved: documents that are what they say, and audit rows with their chains. */
import type { ClientSession, Collection, Document, Filter, OptionalUnlessRequiredId, WithId } from 'mongodb';
import type { HeadKey } from './mongodb-audit.ts';
import type { AuditDoc, Collections } from './mongodb-layout.ts';
import { CHAIN_SPAN, type MovedAudit, type MovedEvent, type Part } from './transfer.ts';

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
  };
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

export function auditPart(
  { audit, auditEvent, chain }: Collections,
  headKey: HeadKey,
  write: Write,
): Part<MovedAudit, number> {
  async function eventsOf(rows: readonly AuditDoc[]): Promise<ReadonlyMap<string, MovedEvent>> {
    const ids = rows.flatMap(({ _id, n }) => Array.from({ length: n }, (_, index) => idOf(_id, index + 1)));
    const found = await auditEvent.find({ _id: { $in: ids } }).toArray();
    return new Map(found.map(({ _id, k }) => [_id, eventOf(k)]));
  }

  return {
    page: async (after = 0, count) => {
      const rows = await audit
        .find({ _id: { $gt: after } })
        .sort({ _id: 1 })
        .limit(count)
        .toArray();
      const events = await eventsOf(rows);
      return rows.map(({ _id, at, f, n, h, b, x }) => ({
        place: _id,
        ...{ at, form: f, bytes: b, erasable: x, hash: h },
        events: Array.from({ length: n }, (_, index) => events.get(idOf(_id, index + 1)) ?? eventOf([])),
      }));
    },
    last: async () => (await audit.find().sort({ _id: -1 }).limit(1).toArray())[0]?._id,
    count: () => audit.countDocuments(),
    restore: async (rows) => {
      if (rows.length === 0) return;
      await write(async (session) => {
        await audit.insertMany(
          rows.map(({ place, at, form, bytes, erasable, hash, events }) => {
            const u = [...new Set(events.flatMap(({ subjects }) => subjects))];
            return { _id: place, at, f: form, n: events.length, h: hash, b: bytes, x: erasable, u };
          }),
          { session },
        );
        const events = rows.flatMap(({ place, at, events: of }) =>
          of.map((event, index) => {
            const e = index + 1;
            return { _id: idOf(place, e), a: place, e, at, k: postingsOf(event) };
          }),
        );
        if (events.length > 0) await auditEvent.insertMany(events, { session });
        const tips = new Map(rows.map((row) => [Math.floor(row.place / CHAIN_SPAN), row]));
        for (const [number, { place, at, hash }] of tips) {
          const seq = place % CHAIN_SPAN;
          const signed = { mac: headKey.sign(number, seq, hash), key: headKey.id };
          const tip = { seq, at, h: hash, ...signed, owner: null, until: 0 };
          await chain.updateOne({ _id: number }, { $set: tip }, { session, upsert: true });
        }
      });
    },
  };
}
