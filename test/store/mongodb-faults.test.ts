// What the MongoDB engine does when the server refuses, steps down, is slow, or others write: faults by `failCommand`, the server's own test command.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MongoClient } from 'mongodb';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { attachMongo, type MongoOptions, type MongoStore, openMongo } from '../../src/store/mongodb.ts';
import { type ResourceStore, StoreError } from '../../src/store/port.ts';
import { all, idsOf, ok, pages, plan } from './contract.ts';
import { testServer } from './mongodb-server.ts';
import { auditRow, put, remove } from './world.ts';

const server = await testServer();
const isReason = (reason: StoreError['reason']) => (error: unknown) =>
  error instanceof StoreError && error.reason === reason;

function options(url: string, more: Partial<MongoOptions> = {}): MongoOptions {
  const types = ['Patient', 'Observation'];
  const renderAudit: MongoOptions['renderAudit'] = ({ bytes }) => bytes;
  return { url, renderAudit, headKey: new Uint8Array(32), indexHash: 'one', types, patienceMs: 3000, ...more };
}

async function open(context: TestContext, url: string, more: Partial<MongoOptions> = {}): Promise<MongoStore> {
  const store = await openMongo(options(url, more));
  context.after(() => store.close());
  return store;
}

/** Makes the next commands of these names fail; undoes it after the test. @returns false when the server has no test commands */
async function failing(
  context: TestContext,
  url: string,
  mode: 'alwaysOn' | { readonly times: number },
  data: { readonly failCommands: readonly string[]; readonly [name: string]: unknown },
): Promise<boolean> {
  const client = new MongoClient(url);
  const set = (to: unknown) =>
    client.db('admin').command({ configureFailPoint: 'failCommand', mode: to, ...(to === 'off' ? {} : { data }) });
  try {
    await set(mode);
  } catch {
    await client.close();
    context.skip('the server has no test commands (enableTestCommands)');
    return false;
  }
  context.after(async () => {
    await set('off');
    await client.close();
  });
  return true;
}

const written = async (store: ResourceStore): Promise<string[]> =>
  (await store.changes(0, 100)).map(({ key, version }) => `${key.id}/${version}`);

if ('skip' in server) {
  test('faults of the MongoDB engine', { skip: server.skip }, () => undefined);
} else {
  const TRANSIENT = { errorLabels: ['TransientTransactionError'] };
  const faults: readonly (readonly [name: string, times: number, data: Parameters<typeof failing>[3]])[] = [
    ['a write conflict', 2, { failCommands: ['insert'], errorCode: 112, ...TRANSIENT }],
    ['a step-down inside the transaction', 1, { failCommands: ['update'], errorCode: 10107, ...TRANSIENT }],
    [
      'a transaction that is gone at its commit',
      1,
      { failCommands: ['commitTransaction'], errorCode: 251, ...TRANSIENT },
    ],
    ['a session that another process ended', 1, { failCommands: ['insert'], errorCode: 11601 }],
    ['a session that was ended between two commands', 1, { failCommands: ['update'], errorCode: 251 }],
    ['a transaction that took too long for the server', 1, { failCommands: ['insert'], errorCode: 290 }],
    ['a commit whose answer is lost', 2, { failCommands: ['commitTransaction'], closeConnection: true }],
    ['a connection that breaks inside the transaction', 1, { failCommands: ['insert'], closeConnection: true }],
  ];
  for (const [name, times, data] of faults) {
    test(`mongodb: ${name}: the commit is done once`, async (context) => {
      const url = server.url();
      const store = await open(context, url);
      ok(await store.commit({ commands: [put('Patient', 'before')], audit: [auditRow('1')] }));
      if (!(await failing(context, url, { times }, data))) return;
      const result = ok(await store.commit({ commands: [put('Patient', 'a')], audit: [auditRow('2')] }));
      assert.deepEqual(result.auditIds, ['1-2-1']);
      assert.deepEqual(await written(store), ['before/1', 'a/1']);
      assert.deepEqual(await store.verifyAudit(), { rows: 2, broken: undefined });
    });
  }

  test('mongodb: a primary that is none for a read: the read is repeated', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [] }));
    if (!(await failing(context, url, { times: 1 }, { failCommands: ['find'], errorCode: 10107 }))) return;
    assert.equal((await store.read({ type: 'Patient', id: 'a' }))?.version, 1);
  });

  test('mongodb: a server that never takes it: unavailable, nothing written; then it goes on', async (context) => {
    const url = server.url();
    const store = await open(context, url, { patienceMs: 300 });
    ok(await store.commit({ commands: [put('Patient', 'before')], audit: [] }));
    const client = new MongoClient(url);
    context.after(() => client.close());
    const data = { failCommands: ['insert'], errorCode: 112, ...TRANSIENT };
    if (!(await failing(context, url, 'alwaysOn', data))) return;
    await assert.rejects(store.commit({ commands: [put('Patient', 'a')], audit: [] }), isReason('unavailable'));
    await client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
    assert.deepEqual(await written(store), ['before/1']);
    ok(await store.commit({ commands: [put('Patient', 'a')], audit: [auditRow('1')] }));
  });

  test('mongodb: a session that is ended at its commit: unavailable, since nobody knows', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    ok(await store.commit({ commands: [put('Patient', 'before')], audit: [] }));
    if (!(await failing(context, url, { times: 1 }, { failCommands: ['commitTransaction'], errorCode: 11601 }))) return;
    await assert.rejects(store.commit({ commands: [put('Patient', 'a')], audit: [] }), isReason('unavailable'));
    ok(await store.commit({ commands: [put('Patient', 'b')], audit: [] }));
  });

  test('mongodb: nobody there: unavailable', async () => {
    const url = 'mongodb://127.0.0.1:1/x?directConnection=true&serverSelectionTimeoutMS=200';
    await assert.rejects(openMongo(options(url)), isReason('unavailable'));
    const store = attachMongo(options(url));
    await assert.rejects(store.read({ type: 'Patient', id: 'a' }), isReason('unavailable'));
    await assert.rejects(store.commit({ commands: [put('Patient', 'a')], audit: [] }), isReason('unavailable'));
    await assert.rejects(store.ping(), isReason('unavailable'));
    await store.close();
  });

  test('mongodb: a database of a newer release is left alone', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    await store.database.collection<{ _id: string }>('meta').updateOne({ _id: 'schema' }, { $set: { value: 99 } });
    await assert.rejects(openMongo(options(url)), /schema 99/);
  });

  test('mongodb: a search that takes too long is refused with advice', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    if (!(await failing(context, url, { times: 1 }, { failCommands: ['aggregate'], errorCode: 50 }))) return;
    await assert.rejects(store.search(plan('Patient', all), { count: 1 }), (error: unknown) => {
      assert.ok(isReason('too-costly')(error));
      return /Narrow it/.test(String(error));
    });
  });

  test('mongodb: an `expect` that takes too long is refused by itself; its neighbours are written', async (context) => {
    const url = server.url();
    // Without a look at who waits: it would take the fault.
    const store = await open(context, url, { takesTurns: false });
    ok(await store.commit({ commands: [put('Observation', 'o'), remove('Observation', 'o', 2)], audit: [] }));
    assert.equal(await store.count(plan('Observation', all)), 0);
    if (!(await failing(context, url, { times: 1 }, { failCommands: ['find'], errorCode: 50 }))) return;
    const expecting = { op: 'expect', plan: plan('Observation', all), ids: [] } as const;
    const [slow, neighbour] = await Promise.allSettled([
      store.commit({ commands: [expecting], audit: [] }),
      store.commit({ commands: [{ op: 'set', space: 's', key: 'k', value: 'v' }], audit: [] }),
    ]);
    assert.ok(slow?.status === 'rejected' && isReason('too-costly')(slow.reason));
    assert.equal(neighbour?.status === 'fulfilled' && neighbour.value.ok, true);
    assert.equal((await store.keyed('s', 'k'))?.value, 'v');
  });

  test('mongodb: two stores race: one order, each version once, no gap in either chain', async (context) => {
    const url = server.url();
    const [one, other] = [
      await open(context, url, { patienceMs: 20_000 }),
      await open(context, url, { patienceMs: 20_000 }),
    ];
    const ids = Array.from({ length: 20 }, (_, index) => `p${index}`);
    await Promise.all(
      ids.map(async (id, index) => {
        const store = index % 2 === 0 ? one : other;
        ok(await store.commit({ commands: [put('Patient', id)], audit: [auditRow(id)] }));
      }),
    );
    const changes = await one.changes(0, 100);
    assert.deepEqual(changes.map(({ key }) => key.id).toSorted(), ids.toSorted());
    assert.equal(new Set(changes.map(({ sequence }) => sequence)).size, ids.length);
    for (const [index, { at }] of changes.entries()) assert.ok(at >= (changes[index - 1]?.at ?? 0));
    assert.deepEqual(await one.verifyAudit(), { rows: 20, broken: undefined });
    const events = await pages(one, plan('AuditEvent', all), 7);
    assert.deepEqual(new Set(events.map((id) => id.split('-')[0])), new Set(['1', '2']));
    assert.equal(new Set(events).size, 20);
  });

  test('mongodb: a conditional create is done once, though two stores judge it at the same time', async (context) => {
    const url = server.url();
    const stores = [await open(context, url, { patienceMs: 20_000 }), await open(context, url, { patienceMs: 20_000 })];
    for (let round = 0; round < 5; round++) {
      const entry: IndexEntry = {
        kind: 'token',
        parameter: 'Patient.identifier',
        system: 's',
        code: `${round}`,
        group: 0,
      };
      const where = { kind: 'token', parameter: 'Patient.identifier', system: 's', code: `${round}` } as const;
      const race = await Promise.all(
        stores.flatMap((store, which) =>
          [0, 1, 2].map((each) =>
            store.commit({
              commands: [
                { op: 'expect', plan: plan('Patient', where), ids: [] },
                put('Patient', `r${round}-${which}-${each}`, 1, [entry]),
              ],
              audit: [],
            }),
          ),
        ),
      );
      assert.equal(race.filter((result) => result.ok).length, 1);
    }
  });

  test('mongodb: a chain is free again when its store closes, and goes on where it was', async (context) => {
    const url = server.url();
    const first = await openMongo(options(url));
    assert.deepEqual(ok(await first.commit({ commands: [], audit: [auditRow('1')] })).auditIds, ['1-1-1']);
    const second = await open(context, url);
    assert.deepEqual(ok(await second.commit({ commands: [], audit: [auditRow('2')] })).auditIds, ['2-1-1']);
    await first.close();
    const third = await open(context, url);
    assert.deepEqual(ok(await third.commit({ commands: [], audit: [auditRow('3')] })).auditIds, ['1-2-1']);
    assert.deepEqual(await third.verifyAudit(), { rows: 3, broken: undefined });
  });

  test('mongodb: a chain that became another store’s is left to it', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    ok(await store.commit({ commands: [], audit: [auditRow('1')] }));
    const until = Number.MAX_SAFE_INTEGER;
    await store.database
      .collection<{ _id: number }>('chain')
      .updateOne({ _id: 1 }, { $set: { owner: 'other', until } });
    const { auditIds } = ok(await store.commit({ commands: [put('Patient', 'a')], audit: [auditRow('2')] }));
    assert.deepEqual(auditIds, ['2-1-1']);
    assert.deepEqual(await written(store), ['a/1']);
  });

  const tampered: readonly (readonly [name: string, broken: number, how: (store: MongoStore) => Promise<unknown>])[] = [
    ['a changed row', 2, (store) => rowsOf(store).updateOne({ b: '2' }, { $set: { b: 'x' } })],
    ['a removed row', 2, (store) => rowsOf(store).deleteOne({ b: '2' })],
    ['the last row cut off', 3, (store) => rowsOf(store).deleteOne({ b: '3' })],
    [
      'the last row cut off and the head set back',
      3,
      async (store) => {
        await rowsOf(store).deleteOne({ b: '3' });
        const last = await rowsOf(store).findOne({ b: '2' });
        await store.database
          .collection<{ _id: number }>('chain')
          .updateOne({ _id: 1 }, { $set: { seq: 2, h: last?.h } });
      },
    ],
  ];
  for (const [name, broken, how] of tampered) {
    test(`mongodb: ${name} breaks the chain where it lies`, async (context) => {
      const store = await open(context, server.url());
      for (const bytes of ['1', '2', '3']) ok(await store.commit({ commands: [], audit: [auditRow(bytes)] }));
      assert.deepEqual(await store.verifyAudit(), { rows: 3, broken: undefined }, 'control');
      await how(store);
      assert.equal((await store.verifyAudit()).broken, broken);
    });
  }

  test('balp@chain-anchor mongodb: heads told before are met by the log that goes on, and by no other', async (context) => {
    const store = await open(context, server.url());
    for (const bytes of ['1', '2']) ok(await store.commit({ commands: [], audit: [auditRow(bytes)] }));
    const told = await store.auditHeads();
    assert.deepEqual(
      told.map(({ chain, sequence }) => [chain, sequence]),
      [[1, 2]],
    );
    ok(await store.commit({ commands: [], audit: [auditRow('3')] }));
    assert.deepEqual(await store.verifyAudit(told), { rows: 3, broken: undefined });
    assert.equal((await store.verifyAudit(told.map((head) => ({ ...head, hash: 'f'.repeat(64) })))).broken, 2);
    assert.equal((await store.verifyAudit(told.map((head) => ({ ...head, sequence: 4 })))).broken, 4);
  });

  test('mongodb: onCommit tells of commits by another store, also after its stream was lost', async (context) => {
    const url = server.url();
    const [one, other] = [await open(context, url), await open(context, url)];
    let wake: () => void = () => undefined;
    const heard = () => new Promise<void>((resolve) => (wake = resolve));
    const stop = one.onCommit(() => wake());
    const seen = async (id: string): Promise<void> => {
      while (!(await written(one)).includes(`${id}/1`)) await heard();
    };
    ok(await other.commit({ commands: [put('Patient', 'a')], audit: [] }));
    await seen('a');
    if (!(await failing(context, url, { times: 1 }, { failCommands: ['getMore'], errorCode: 280 }))) return;
    ok(await other.commit({ commands: [put('Patient', 'b')], audit: [] }));
    await seen('b');
    stop();
  });

  test('mongodb: another thread’s store reads and writes the same, and learns the subject keys', async (context) => {
    const url = server.url();
    const store = await open(context, url);
    const about = put('Observation', 'o', 1, [], 'POST', ['p']);
    ok(await store.commit({ commands: [about], audit: [auditRow('1', { patient: 'p', key: 'known' })] }));
    const other = attachMongo(options(url));
    context.after(() => other.close());
    assert.equal((await other.read({ type: 'Observation', id: 'o' }))?.version, 1);
    assert.deepEqual(other.subjectKeys(['p']), ['known']);
    ok(await other.commit({ commands: [put('Patient', 'q')], audit: [] }));
    assert.deepEqual(idsOf((await store.search(plan('Patient', all), { count: 5 })).matches), ['q']);
  });

  test('mongodb: new definitions index again, taken up where it stopped; what changed meanwhile is left alone', async (context) => {
    const url = server.url();
    const first = await openMongo(options(url));
    for (const id of ['a', 'b', 'c']) ok(await first.commit({ commands: [put('Patient', id)], audit: [] }));
    assert.equal(first.needsReindex, false);
    const page = await first.indexPage(0, 2);
    assert.equal(page.percent, 66, 'two places of three');
    assert.deepEqual(
      page.rows.map(({ type, version }) => [type, version]),
      [
        ['Patient', 1],
        ['Patient', 1],
      ],
    );
    ok(await first.commit({ commands: [put('Patient', 'a', 2)], audit: [] }));
    const named = (): { entries: readonly IndexEntry[]; patients: readonly string[] } => ({
      entries: [{ kind: 'uri', parameter: 'Patient.u', value: 'x', group: 0 }],
      patients: ['new'],
    });
    await first.remake(page.rows, named);
    const where = { kind: 'uri', parameter: 'Patient.u', match: 'exact', value: 'x' } as const;
    assert.deepEqual(await pages(first, plan('Patient', where), 5), ['b']);
    assert.deepEqual((await first.read({ type: 'Patient', id: 'b' }))?.patients, ['new']);
    await first.close();
    const second = await open(context, url, { indexHash: 'two' });
    assert.equal(second.needsReindex, true);
    await second.reindex(['Patient'], named);
    assert.equal(second.needsReindex, false);
    assert.deepEqual(await pages(second, plan('Patient', where), 5), ['a', 'b', 'c']);
    assert.equal((await open(context, url, { indexHash: 'two' })).needsReindex, false);
    assert.equal((await second.indexPage((await second.indexPage(0, 9)).last, 9)).percent, 100);
  });

  test('mongodb: a resource that no document holds is refused', async (context) => {
    const store = await open(context, server.url());
    const large = { ...put('Patient', 'a'), body: { head: '', tail: 'x'.repeat(15 * 1_048_576 + 1) } } as const;
    if (large.op !== 'put') return;
    await assert.rejects(store.commit({ commands: [large], audit: [] }), isReason('refused'));
  });
}

interface Row {
  readonly _id: number;
  readonly b: string;
  readonly h: string;
}
function rowsOf(store: MongoStore) {
  return store.database.collection<Row>('audit');
}
