// Two releases beside each other on one MongoDB database: layouts that both read, the end of the older one. docs/decisions/0056.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Document } from 'mongodb';
import { INDEXES } from '../../src/store/mongodb/layout.ts';
import { LAYOUTS, type Layout } from '../../src/store/mongodb/prepare.ts';
import { finishUpgrade, upgradeState } from '../../src/store/mongodb/upgrade.ts';
import { type MongoOptions, openMongo } from '../../src/store/mongodb.ts';
import { StoreError } from '../../src/store/port.ts';
import { ok } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { auditRow, put, remove } from './world.ts';

const server = await testServer();
const LIMIT = { timeout: 120_000, skip: 'skip' in server ? server.skip : false };

/** A later release: a member of search documents with an index, and one of versions. */
const NEXT: Layout = {
  indexes: { resource: [[{ y: 1, r: 1 }]] },
  added: [
    { collection: 'resource', member: 'y', make: ({ _id }) => `${String(_id)} sought` },
    { collection: 'version', member: 'z', make: ({ x }) => (typeof x === 'string' ? x.length : undefined) },
  ],
};
const OLD: readonly Layout[] = [{ indexes: INDEXES, added: [] }];
const NEW: readonly Layout[] = [...OLD, NEXT];
/** A release after it, which reads nothing that lacks the members. */
const LATER: readonly Layout[] = [...NEW, { indexes: {}, added: [], relies: 2 }];

function world(context: TestContext) {
  if ('skip' in server) throw new TypeError('There is no server.');
  const renderAudit: MongoOptions['renderAudit'] = ({ bytes }) => bytes;
  const own = { url: server.url(), renderAudit, headKey: new Uint8Array(32), indexHash: 'one', types: ['Patient'] };
  return async (layouts: readonly Layout[]) => {
    const store = await openMongo({ ...own, layouts });
    context.after(() => store.close());
    return store;
  };
}
const write = async (store: Awaited<ReturnType<typeof openMongo>>, id: string, version = 1) =>
  ok(await store.commit({ commands: [put('Patient', id, version)], audit: [auditRow(`${id}/${version}`)] }));
const refused = (text: RegExp) => (error: unknown) =>
  error instanceof StoreError && error.reason === 'unavailable' && text.test(error.message);
const key = (id: string) => ({ type: 'Patient', id });

test(
  'mongodb@rolling: two releases write and read beside each other; finished, the older is shut out',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    await write(older, 'before');
    // Its indexes are made while the older writes.
    const [newer] = await Promise.all([
      open(NEW),
      ...Array.from({ length: 20 }, (_, index) => write(older, `meanwhile-${index}`)),
    ]);
    await Promise.all([write(older, 'by-older'), write(newer, 'by-newer')]);
    await Promise.all([write(newer, 'by-older', 2), write(older, 'by-newer', 2)]);
    for (const store of [older, newer]) {
      for (const id of ['by-older', 'by-newer']) assert.equal((await store.read(key(id)))?.version, 2);
      assert.equal((await store.changes(0, 100)).length, 25, 'every version, once');
    }
    const second = await open(OLD);
    await write(second, 'by-another-older');
    ok(await newer.commit({ commands: [remove('Patient', 'by-another-older', 2)], audit: [] }));
    const db = newer.database;
    assert.deepEqual(await upgradeState(db, NEW), { floor: 1, written: 2, filled: 1, known: 2 });
    const lacking = () => db.collection('resource').countDocuments({ y: { $exists: false } });
    assert.equal(
      await db.collection('resource').countDocuments({ _id: id('by-newer'), y: { $exists: false } }),
      1,
      'control: the older takes the member away',
    );
    assert.ok((await lacking()) > 0);

    await assert.rejects(finishUpgrade(db, Date.now, NEW), refused(/older release were seen/));
    assert.equal((await upgradeState(db, NEW)).floor, 1, 'nothing was raised');
    await assert.rejects(open(LATER), refused(/schema 2 is not finished/));
    await second.close();
    // One that stands still is not seen, so it is not waited for.
    await db.collection('life').deleteMany({ l: 1 });
    assert.deepEqual(await finishUpgrade(db, Date.now, NEW), { floor: 2, written: 2, filled: 2, known: 2 });
    assert.equal(await lacking(), 0);
    assert.equal(await db.collection('version').countDocuments({ z: { $exists: false } }), 0);
    const filled = await db.collection<Document>('resource').findOne({ _id: id('by-newer') });
    assert.equal(filled?.y, 'Patient/by-newer sought');

    await assert.rejects(open(OLD), refused(/needs schema 2: start a newer release/));
    // It goes on when it was never stopped: its writes are refused, and it is not ready.
    await assert.rejects(write(older, 'too-late'), refused(/needs schema 2/));
    await assert.rejects(older.ping(), refused(/needs schema 2/));
    assert.equal(await newer.read(key('too-late')), undefined);
    assert.equal((await older.read(key('by-newer')))?.version, 2, 'what was acknowledged is still read');
    const { rows } = await newer.indexPage(0, 5);
    const nothing = () => ({ entries: [], patients: [] });
    await assert.rejects(older.remake(rows, nothing), refused(/needs schema 2/));
    await newer.remake(rows, nothing);
    assert.equal(await lacking(), 0, 'made anew with the member');
    await write(newer, 'after');
    assert.equal((await newer.verifyAudit()).broken, undefined);
    assert.equal((await newer.changes(0, 100)).length, 28);
    await write(await open(LATER), 'by-later');
  },
);

/** Ids of search documents are texts, which the driver's default type does not know. */
const id = (name: string): Document[string] => `Patient/${name}`;

test(
  'mongodb@rolling: finished by one at a time, taken up after a minute, only once a server of the release has begun',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    // More than are filled at a time.
    ok(
      await older.commit({ commands: Array.from({ length: 450 }, (_, each) => put('Patient', `p${each}`)), audit: [] }),
    );
    const db = older.database;
    await assert.rejects(finishUpgrade(db, Date.now, NEW), refused(/No server of schema 2/));
    const newer = await open(NEW);
    await older.close();
    const meta = newer.database.collection<{ _id: string; value: number }>('meta');
    await meta.insertOne({ _id: 'upgrading', value: 60_000 });
    await assert.rejects(
      finishUpgrade(newer.database, () => 60_000, NEW),
      refused(/Another process finishes/),
    );
    assert.equal((await finishUpgrade(newer.database, () => 60_001, NEW)).filled, 2);
    assert.equal(await meta.findOne({ _id: 'upgrading' }), null);
    const lacking = () => newer.database.collection('resource').countDocuments({ y: { $exists: false } });
    assert.equal(await lacking(), 0);
    assert.equal((await finishUpgrade(newer.database, () => 60_001, NEW)).filled, 2, 'again: nothing is left to do');
  },
);

test(
  'mongodb@rolling: a database of a release before these numbers is of layout 1; a new one is of the newest',
  LIMIT,
  async (context) => {
    const open = world(context);
    const older = await open(OLD);
    const meta = older.database.collection<{ _id: string }>('meta');
    await meta.replaceOne({ _id: 'schema' }, { value: 1 });
    const newer = await open(NEW);
    assert.deepEqual(await upgradeState(newer.database, NEW), { floor: 1, written: 2, filled: 1, known: 2 });
    const made = await world(context)(NEW);
    assert.deepEqual(await upgradeState(made.database, NEW), { floor: 2, written: 2, filled: 2, known: 2 });
  },
);

test('mongodb@rolling: the command tells the numbers, and finishes what is finished', LIMIT, async () => {
  if ('skip' in server) throw new TypeError('There is no server.');
  const url = server.url();
  const store = await openMongo({
    url,
    renderAudit: ({ bytes }) => bytes,
    headKey: new Uint8Array(32),
    indexHash: '',
    types: [],
  });
  await store.close();
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const env = { ...process.env, MONGODB_URL: url };
  for (const options of [[], ['--finish'], ['--rows']]) {
    const { stdout } = await promisify(execFile)(process.execPath, [main, 'upgrade', ...options], { env });
    const known = LAYOUTS.length;
    assert.deepEqual(JSON.parse(stdout), { floor: known, written: known, filled: known, known });
  }
});

test('mongodb@rolling: a layout only adds: no unique index, no member that is there', () => {
  const members = new Set(['_id', 'o', 't', 'v', 'at', 'm', 'p', 'x', 'r', 's', 'k', 'd', 'q', 'w', 'n', 'c', 'g']);
  for (const { indexes, added } of [...LAYOUTS, NEXT].slice(1)) {
    for (const [, options] of Object.values(indexes).flat()) assert.notEqual(options?.unique, true);
    for (const { member } of added) {
      assert.equal(members.has(member), false, member);
      members.add(member);
    }
  }
});
