// Commits of several processes on the MongoDB engine: what runs side by side, what meets, and what a killed one leaves. docs/decisions/0040-mongodb.md
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type ClientSession, MongoClient } from 'mongodb';
import { LEASE_MS, LeasedDuties, RENEW_MS } from '../../src/leases.ts';
import { CLEAR } from '../../src/store/mongodb/fields.ts';
import { collectionsOf } from '../../src/store/mongodb/layout.ts';
import { Stamps } from '../../src/store/mongodb/stamp.ts';
import { type MongoOptions, type MongoStore, openMongo } from '../../src/store/mongodb.ts';
import type { Command, CommitResult } from '../../src/store/port.ts';
import { StoreError } from '../../src/store/port.ts';
import { until } from '../subscriptions/receiver.ts';
import { ok, plan } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { auditRow, put } from './world.ts';

const server = await testServer();
const LIMIT = { timeout: 120_000, skip: 'skip' in server ? server.skip : false };

/** Stores as of several processes over one database, and how often one of them had to begin again. */
async function processes(context: TestContext, count: number, more: Partial<MongoOptions> = {}) {
  if ('skip' in server) throw new TypeError('There is no server.');
  const url = server.url();
  let conflicts = 0;
  const onConflict = () => void conflicts++;
  const renderAudit: MongoOptions['renderAudit'] = ({ bytes }) => bytes;
  const own = { url, renderAudit, headKey: new Uint8Array(32), indexHash: 'one', types: ['Patient'] };
  const stores: MongoStore[] = [];
  for (let index = 0; index < count; index++) stores.push(await openMongo({ ...own, onConflict, ...more }));
  const client = new MongoClient(url);
  context.after(async () => {
    for (const store of stores) await store.close();
    await client.close();
  });
  return { stores, client, conflicts: () => conflicts };
}

/** A transaction of somebody else that has written the head and does not end. */
async function headHeld(client: MongoClient): Promise<ClientSession> {
  const session = client.startSession();
  session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } });
  await client
    .db()
    .collection('head')
    .updateOne({ turn: { $gte: 0 } }, { $inc: { turn: 1 } }, { session });
  return session;
}
const set = (key: string, value: string, expect?: string | null): Command => ({
  ...{ op: 'set', space: 's', key, value },
  expect,
});
const oks = (results: readonly CommitResult[]): number => results.filter((each) => each.ok).length;

test(
  'mongodb@beside: values and audit rows are committed while somebody holds the head, without one conflict',
  LIMIT,
  async (context) => {
    const { stores, client, conflicts } = await processes(context, 3);
    for (const store of stores) ok(await store.commit({ commands: [], audit: [auditRow('claims a chain')] }));
    const held = await headHeld(client);
    const results = await Promise.all(
      stores.flatMap((store, index) =>
        Array.from({ length: 10 }, (_, each) =>
          store.commit({ commands: [set(`${index}-${each}`, 'v', null)], audit: [] }),
        ),
      ),
    );
    assert.equal(oks(results), 30);
    const rows = await Promise.all(stores.map((store) => store.commit({ commands: [], audit: [auditRow('read')] })));
    assert.equal(oks(rows), 3);
    assert.equal(conflicts(), 0);
    let isDone = false;
    const [first, second] = stores;
    const data = first?.commit({ commands: [put('Patient', 'p')], audit: [] }).then((result) => {
      isDone = true;
      return result;
    });
    // A lease, say, is renewed although this very process waits for the head.
    ok((await first?.commit({ commands: [set('lease', '2', null)], audit: [] })) ?? assert.fail());
    // Control: what writes a version waits, and conflicts are counted.
    await until(() => conflicts() > 0);
    assert.equal(isDone, false);
    await held.abortTransaction();
    ok((await data) ?? assert.fail());
    assert.equal((await second?.read({ type: 'Patient', id: 'p' }))?.version, 1);
  },
);

test('mongodb@beside: values that several expect are changed once, keys are kept once', LIMIT, async (context) => {
  const { stores } = await processes(context, 3);
  const each = (commands: (index: number) => readonly Command[]) =>
    Promise.all(
      stores.flatMap((store, index) => [1, 2, 3, 4].map(() => store.commit({ commands: commands(index), audit: [] }))),
    );
  assert.equal(oks(await each((index) => [set('one', `${index}`, null)])), 1, 'expected to be nothing');
  const now = (await stores[0]?.keyed('s', 'one'))?.value ?? '';
  assert.equal(oks(await each(() => [set('one', 'next', now)])), 1, 'expected to be a value');
  assert.equal(oks(await each(() => [{ op: 'keep', key: 'k', value: '1' }])), 1, 'kept');
  const removed = await each(() => [{ op: 'set', space: 's', key: 'one', value: undefined, expect: 'next' }]);
  assert.equal(oks(removed), 1, 'removed');
  const counted = await each(() => [set('a', 'x', null), set('b', 'x', null)]);
  assert.equal(oks(counted), 1, 'two values of one request');
});

test(
  'mongodb@fence: data whose fence was taken over meanwhile is not written, although the takeover does not wait for the head',
  LIMIT,
  async (context) => {
    const { stores } = await processes(context, 2);
    const [one, other] = stores;
    if (one === undefined || other === undefined) return assert.fail();
    ok(await one.commit({ commands: [set('lease', '1')], audit: [] }));
    const fenced = (id: string, value: string) =>
      one.commit({ commands: [set('lease', value, value), put('Patient', id)], audit: [] });
    const writes = Array.from({ length: 20 }, (_, index) => fenced(`p${index}`, '1'));
    ok(await other.commit({ commands: [set('lease', '2', '1')], audit: [] }));
    const after = (await one.changes(0, 100)).length;
    const results = await Promise.all(writes);
    assert.equal((await one.changes(0, 100)).length, oks(results), 'what was refused is not there');
    assert.ok(after <= oks(results));
    assert.equal((await fenced('late', '1')).ok, false);
    assert.equal((await fenced('new', '2')).ok, true, 'control');
  },
);

test('mongodb@race: 64 conditional creates at four processes make one', LIMIT, async (context) => {
  const { stores } = await processes(context, 4, { patienceMs: 60_000 });
  const entry = { kind: 'token', parameter: 'Patient.identifier', system: 's', code: '1', group: 0 } as const;
  const search = plan('Patient', { kind: 'token', parameter: 'Patient.identifier', system: 's', code: '1' });
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      stores[index % 4]?.commit({
        commands: [{ op: 'expect', plan: search, ids: [] }, put('Patient', `p${index}`, 1, [entry])],
        audit: [],
      }),
    ),
  );
  assert.equal(results.filter((each) => each?.ok).length, 1);
  assert.equal(await stores[0]?.count(search), 1);
});

test(
  'mongodb@killed: the lock of a process that gives no sign of life is ended; the write waits for it and is done',
  LIMIT,
  async (context) => {
    const { stores, client } = await processes(context, 1);
    const [store] = stores;
    const held = await headHeld(client);
    const life = client.db().collection<{ _id: string; s: unknown[]; seen: Date }>('life');
    await life.insertOne({ _id: 'killed', s: [held.id?.id], seen: new Date(0) });
    ok((await store?.commit({ commands: [put('Patient', 'p')], audit: [auditRow('a')] })) ?? assert.fail());
    await assert.rejects(held.commitTransaction(), /transaction/i);
    assert.equal(await life.findOne({ _id: 'killed' }), null);
    ok((await store?.commit({ commands: [put('Patient', 'q')], audit: [auditRow('b')] })) ?? assert.fail());
  },
);

test(
  'mongodb@killed: the lock of a process that lives is waited for until patience ends, and is left to it',
  LIMIT,
  async (context) => {
    const { stores, client } = await processes(context, 1, { patienceMs: 2500 });
    const [store] = stores;
    ok((await store?.commit({ commands: [put('Patient', 'p')], audit: [] })) ?? assert.fail());
    const held = await headHeld(client);
    const life = client.db().collection<{ _id: string; s: unknown[]; seen: Date }>('life');
    const own = await life.findOne({});
    await life.insertOne({ _id: 'slow', s: [held.id?.id], seen: new Date((own?.seen.getTime() ?? 0) + 60_000) });
    const isUnavailable = (error: unknown) => error instanceof StoreError && error.reason === 'unavailable';
    await assert.rejects(store?.commit({ commands: [put('Patient', 'q')], audit: [] }) ?? assert.fail(), isUnavailable);
    await held.commitTransaction();
    assert.equal((await life.findOne({ _id: 'slow' }))?._id, 'slow');
    assert.equal(await store?.read({ type: 'Patient', id: 'q' }), undefined);
  },
);

test(
  'mongodb@stamp: what one process writes of a type changes the number of that type at the others, and of no other',
  LIMIT,
  async (context) => {
    const { stores } = await processes(context, 2);
    const [one, other] = stores;
    if (one === undefined || other === undefined) return assert.fail();
    ok(await one.commit({ commands: [put('Patient', 'p')], audit: [] }));
    const before = [
      await other.askedStamp(['Patient']),
      await other.askedStamp(['Observation']),
      await other.askedStamp(),
    ];
    ok(await one.commit({ commands: [put('Observation', 'o')], audit: [] }));
    const after = [
      await other.askedStamp(['Patient']),
      await other.askedStamp(['Observation']),
      await other.askedStamp(),
    ];
    assert.deepEqual(
      after.map((each, index) => each === before[index]),
      [true, false, false],
    );
    ok(await one.commit({ commands: [set('k', 'v')], audit: [auditRow('a')] }));
    assert.equal(await other.askedStamp(), after[2], 'a value and an audit row are no versions');
  },
);

test('mongodb@stamp: another primary is another number, though nothing was written', LIMIT, async (context) => {
  const { client } = await processes(context, 1);
  const topology = new EventEmitter();
  const stamps = new Stamps(collectionsOf(client.db(), CLEAR), topology);
  const primary = (address: string, isWritable = true) => {
    const server = { address, isWritable, electionId: null, topologyVersion: null };
    topology.emit('topologyDescriptionChanged', { newDescription: { servers: new Map([[address, server]]) } });
  };
  primary('a');
  const [first, same] = [await stamps.stamp(['Patient']), await stamps.stamp(['Patient'])];
  assert.equal(first, same);
  primary('a', false);
  primary('a');
  assert.equal(await stamps.stamp(['Patient']), first, 'seen again as it was');
  primary('b');
  const second = await stamps.stamp(['Patient']);
  assert.notEqual(second, first);
  const asked = stamps.stamp(['Patient']);
  primary('c');
  const third = await asked;
  assert.ok(third !== second && third === (await stamps.stamp(['Patient'])), 'changed while it was read: read again');
});

interface LineDoc {
  readonly _id: string;
  readonly q: string[];
}

test(
  'mongodb@turn: four processes that write as fast as they can each get their share of the commits',
  LIMIT,
  async (context) => {
    const { stores } = await processes(context, 4, { patienceMs: 60_000 });
    const counts = stores.map(() => 0);
    const all = 60;
    const done = () => counts.reduce((sum, count) => sum + count, 0);
    const loop = async (index: number): Promise<void> => {
      while (done() < all) {
        const result = await stores[index]?.commit({
          commands: [put('Patient', `p${index}-${counts[index]}`)],
          audit: [],
        });
        assert.equal(result?.ok, true);
        if (done() < all) counts[index] = (counts[index] ?? 0) + 1;
      }
    };
    await Promise.all(stores.map((_store, index) => loop(index)));
    const share = all / stores.length;
    assert.ok(Math.min(...counts) >= share / 2, `of ${share} each: ${counts}`);
    const seen = (await stores[0]?.changes(0, 2 * all)) ?? [];
    const sequences = seen.map(({ sequence }) => sequence);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
    assert.ok(new Set(sequences).size >= all);
  },
);

test(
  'mongodb@turn: processes that were killed in the line are waited for 2 s, however many they are',
  LIMIT,
  async (context) => {
    const { stores, client } = await processes(context, 1);
    const line = client.db().collection<LineDoc>('meta');
    const killed = ['a', 'b', 'c', 'd', 'e'];
    await line.updateOne({ _id: 'line' }, { $set: { q: killed } }, { upsert: true });
    const took: number[] = [];
    while ((await line.findOne({ _id: 'line' }))?.q.length !== 0) {
      const began = performance.now();
      ok((await stores[0]?.commit({ commands: [put('Patient', `p${took.length}`)], audit: [] })) ?? assert.fail());
      took.push(performance.now() - began);
      assert.ok(took.length < 200, 'who goes past a killed one takes it out of the line');
    }
    const longest = Math.max(...took);
    assert.ok(longest < 8000, `2 s, and what the commit takes on a loaded machine; not 2 s for each: ${longest} ms`);
    assert.ok(longest > 1000, 'control: a turn was waited for');
  },
);

test('mongodb@turn: a line that is wrong all the time costs no promise', LIMIT, async (context) => {
  const { stores, client } = await processes(context, 4, { patienceMs: 60_000 });
  const line = client.db().collection<LineDoc>('meta');
  let isDone = false;
  const wrong = async (): Promise<void> => {
    while (!isDone) {
      const found = await line.findOne({ _id: 'line' });
      // Turned round, then lost: everybody is first, or nobody.
      await line.updateOne({ _id: 'line' }, { $set: { q: found?.q?.toReversed() ?? [] } }, { upsert: true });
      await line.deleteOne({ _id: 'line' });
    }
  };
  const spoiling = wrong();
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      stores[index % 4]?.commit({
        commands: [set('count', `${index}`, index % 2 === 0 ? null : undefined), put('Patient', `p${index % 20}`)],
        audit: [auditRow(`${index}`)],
      }),
    ),
  );
  isDone = true;
  await spoiling;
  const ids = ((await stores[0]?.changes(0, 100)) ?? []).map(({ key }) => key.id);
  assert.equal(new Set(ids).size, ids.length, 'version 1 of each once');
  assert.equal(results.filter((each) => each?.ok).length, ids.length);
  assert.ok(ids.length > 0);
  assert.deepEqual((await stores[0]?.verifyAudit())?.broken, undefined);
});

test(
  'mongodb@lease: killed while it renewed, its lock on the lease is ended and the lease taken within 10 s',
  LIMIT,
  async (context) => {
    const { stores, client } = await processes(context, 1);
    const [store] = stores;
    if (store === undefined) return assert.fail();
    const keyed = client.db().collection<{ _id: string; v: string; x: null }>('keyed');
    const life = client.db().collection<{ _id: string; s: unknown[] }>('life');
    const began = Date.now();
    // Killed at this instant: renewed one interval ago, and in the middle of renewing it once more, alive a moment before.
    const until = (ms: number) => ({ _id: 'lease background/until', v: String(ms), x: null });
    await keyed.insertMany([{ _id: 'lease background', v: '1 killed', x: null }, until(began + LEASE_MS - RENEW_MS)]);
    const held = client.startSession();
    context.after(() => held.endSession());
    held.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } });
    await keyed.replaceOne({ _id: 'lease background/until' }, until(began + LEASE_MS), { session: held });
    await life.updateOne(
      { _id: 'killed' },
      { $set: { s: [held.id?.id] }, $currentDate: { seen: true } },
      { upsert: true },
    );
    const reported: unknown[] = [];
    const taken = Promise.withResolvers<number>();
    const duties = new LeasedDuties({
      ...{ store, name: 'background', holder: 'other', now: Date.now, report: (error) => void reported.push(error) },
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        return () => clearTimeout(timer);
      },
    });
    context.after(() => duties.close());
    duties.during({ begin: () => taken.resolve(Date.now()), end: async () => undefined });
    const ms = (await taken.promise) - began;
    context.diagnostic(`${ms} ms`);
    assert.ok(ms <= 10_000, `${ms} ms`);
    assert.deepEqual(reported, []);
  },
);
