// Failure drills on the MongoDB engine: the server goes and comes back under writes, the primary steps down, answers come too late. docs/decisions/0042.
import assert from 'node:assert/strict';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { MongoClient } from 'mongodb';
import { openMongo } from '../../src/store/mongodb.ts';
import { each } from '../e2e/client.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { json } from '../world.ts';
import { testServer } from './mongodb-server.ts';

const server = await testServer();
const LIMIT = { timeout: 120_000 };
const RETRY_AFTER = 'Retry-After';

/** How long one looks for a primary, and for all attempts at a write. */
interface Patience {
  readonly selectionMs: number;
  readonly patienceMs: number;
}
/** As the server has it: after a step down the driver looks for a primary again within 500 ms (`minHeartbeatFrequencyMS`). */
const PATIENT: Patience = { selectionMs: 5000, patienceMs: 20_000 };
/** For what is refused: then it is so soon. */
const SHORT: Patience = { selectionMs: 300, patienceMs: 1500 };

/** A line to the server that can be cut, and that loses what is under way when it is. */
async function line(to: URL, selectionMs: number) {
  const open = new Set<Socket>();
  let isCut = false;
  const make = (): Server =>
    createServer((near) => {
      if (isCut) return void near.destroy();
      const far = dial(Number(to.port), to.hostname);
      for (const socket of [near, far]) {
        open.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => {
          open.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
  const listening = make();
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  const url = new URL(to.href);
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0);
  url.searchParams.set('serverSelectionTimeoutMS', String(selectionMs));
  return {
    url: url.href,
    cut: () => {
      isCut = true;
      for (const socket of open) socket.destroy();
    },
    mend: () => {
      isCut = false;
    },
    close: () => {
      for (const socket of open) socket.destroy();
      listening.close();
    },
  };
}

/** The door over the database, by a line of its own. */
async function opened(t: TestContext, { selectionMs, patienceMs }: Patience) {
  if ('skip' in server) throw new TypeError('There is no server.');
  const direct = server.url();
  const between = await line(new URL(direct), selectionMs);
  const there = await engineWorld([], undefined, ({ folder: _folder, ...options }) =>
    openMongo({ ...options, url: between.url, headKey: new Uint8Array(32), patienceMs }),
  );
  t.after(async () => {
    between.mend();
    await there.store.close();
    between.close();
  });
  return { there, between, direct };
}

const patient = (id: string) => ({ resourceType: 'Patient', id, active: true });
const skip = 'skip' in server ? server.skip : false;

test('drill: the database goes and comes back under writes: 503 with Retry-After meanwhile, nothing acknowledged is lost, nothing is there twice', {
  ...LIMIT,
  skip,
}, async (t) => {
  const { there, between } = await opened(t, SHORT);
  const acknowledged = new Set<string>();
  const statuses = new Map<number, number>();
  const bare: string[] = [];
  const write = async (id: string): Promise<void> => {
    const { status, headers } = await there.send('PUT', `/Patient/${id}`, { body: patient(id) });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status === 201) acknowledged.add(id);
    if (status === 503 && headers[RETRY_AFTER] === undefined) bare.push(id);
  };
  const ids = (round: string) => Array.from({ length: 60 }, (_, index) => `${round}-${index}`);
  for (const round of ['a', 'b', 'c']) {
    let begun = 0;
    await each(ids(round), 6, async (id) => {
      if (++begun === 20) between.cut();
      await write(id);
    });
    assert.equal(
      (await there.send('GET', '/Patient/a-0')).status,
      503,
      'a read is refused as well: its event cannot be written',
    );
    between.mend();
    // The driver looks for the server again.
    for (let status = 503; status === 503; ) ({ status } = await there.send('GET', '/Patient/a-0'));
  }
  assert.deepEqual([...statuses.keys()].toSorted(), [201, 503], JSON.stringify([...statuses]));
  assert.deepEqual(bare, []);
  const changes = await there.store.changes(0, 1000);
  const held = changes.map(({ key }) => key.id);
  assert.equal(new Set(held).size, held.length, 'none twice');
  assert.deepEqual(
    [...acknowledged].filter((id) => !held.includes(id)),
    [],
    'none lost',
  );
  assert.equal((await there.store.verifyAudit()).broken, undefined);
});

const faults: readonly (readonly [name: string, status: number, data: object])[] = [
  [
    'the primary has stepped down, once: the write is repeated and done',
    201,
    {
      mode: { times: 1 },
      data: { failCommands: ['insert'], errorCode: 10107, errorLabels: ['TransientTransactionError'] },
    },
  ],
  [
    'no primary at all: refused',
    503,
    {
      mode: 'alwaysOn',
      data: { failCommands: ['findAndModify', 'insert'], errorCode: 10107, errorLabels: ['TransientTransactionError'] },
    },
  ],
  [
    'answers come after the deadline of the server: refused',
    503,
    { mode: 'alwaysOn', data: { failCommands: ['find', 'aggregate'], errorCode: 50 } },
  ],
];
for (const [name, expected, fault] of faults) {
  test(`drill: ${name}`, { ...LIMIT, skip }, async (t) => {
    const { there, direct } = await opened(t, expected === 201 ? PATIENT : SHORT);
    assert.equal((await there.send('PUT', '/Patient/before', { body: patient('before') })).status, 201);
    const client = new MongoClient(direct);
    t.after(() => client.close());
    const set = (to: object) => client.db('admin').command({ configureFailPoint: 'failCommand', ...to });
    try {
      await set(fault);
    } catch {
      return t.skip('the server has no test commands (enableTestCommands)');
    }
    const { status, headers, body } = await there.send('PUT', '/Patient/a', { body: patient('a') });
    await set({ mode: 'off' });
    assert.equal(status, expected, body);
    assert.equal(headers[RETRY_AFTER] !== undefined, expected === 503);
    if (expected === 503) assert.equal(json({ status, headers, body }).resourceType, 'OperationOutcome');
    const after = await there.send('PUT', '/Patient/b', { body: patient('b') });
    assert.equal(after.status, 201, 'it goes on');
    const held = (await there.store.changes(0, 10)).map(({ key }) => key.id);
    assert.deepEqual(held, expected === 201 ? ['before', 'a', 'b'] : ['before', 'b'], 'once, or not at all');
  });
}
