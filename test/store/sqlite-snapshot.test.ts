// A reader's snapshot is kept over many reads and never older than an acknowledged commit. src/store/sqlite/snapshot.ts, guarantee 3 of port.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { connect } from '../../src/store/sqlite/schema.ts';
import { OLDEST_MS, Signals, Snapshot } from '../../src/store/sqlite/snapshot.ts';
import { Statements, sql } from '../../src/store/sqlite/sql.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { auditRow, put } from './world.ts';

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-snapshot-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function open(context: TestContext, folder: string, checkpointMs = 250): Promise<SqliteStore> {
  const renderAudit = ({ bytes }: { bytes: string }) => bytes;
  const store = await openSqlite({
    folder,
    budgetMs: 5000,
    renderAudit,
    indexHash: '',
    types: ['Patient'],
    checkpointMs,
  });
  context.after(() => store.close());
  return store;
}

/** One writing and one reading connection without any store between, and a clock that stands. */
function bare(context: TestContext) {
  const folder = temporaryFolder(context);
  const [writer, reader] = [connect({ folder }), connect({ folder })];
  writer.exec('CREATE TABLE t(a)');
  const clock = { at: 0 };
  const signals = new Signals();
  const snapshot = new Snapshot(new Statements(reader), signals, () => clock.at);
  context.after(() => {
    snapshot.close();
    reader.close();
    writer.close();
  });
  const statements = new Statements(reader);
  const count = () => statements.number(sql`SELECT count(*) FROM t`);
  const write = () => writer.exec('INSERT INTO t VALUES(1)');
  assert.equal(snapshot.read(count), 0);
  write();
  return { snapshot, signals, clock, reader, count, write };
}

const renewals: readonly (readonly [
  what: string,
  seen: number,
  before: (world: ReturnType<typeof bare>) => unknown,
])[] = [
  ['nothing', 0, () => undefined],
  ['a commit of data', 1, ({ signals }) => signals.committed()],
  [
    'its greatest age',
    1,
    ({ clock }) => {
      clock.at = OLDEST_MS;
    },
  ],
  [
    'less than its greatest age',
    0,
    ({ clock }) => {
      clock.at = OLDEST_MS - 1;
    },
  ],
  ['a read of audit rows', 1, ({ snapshot, count }) => snapshot.readAll(count)],
  [
    'a log that waits to be emptied',
    1,
    ({ signals }) => {
      signals.emptying = true;
    },
  ],
  [
    'a failed read',
    1,
    ({ snapshot }) =>
      assert.throws(
        () =>
          snapshot.read(() => {
            throw new RangeError();
          }),
        RangeError,
      ),
  ],
];
for (const [what, seen, before] of renewals) {
  test(`store-sqlite-snapshot: ${what} ${seen === 1 ? 'renews' : 'keeps'} the snapshot`, (context) => {
    const world = bare(context);
    before(world);
    assert.equal(world.snapshot.read(world.count), seen);
  });
}

test('store-sqlite-snapshot: while the log waits to be emptied no snapshot outlives its read', (context) => {
  const { snapshot, signals, reader, count } = bare(context);
  assert.equal(reader.inTransaction, true, 'control');
  signals.emptying = true;
  snapshot.read(count);
  assert.equal(reader.inTransaction, false);
});

test('store-sqlite-snapshot: an idle snapshot ends', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { reader, snapshot, clock, count } = bare(context);
  context.mock.timers.tick(OLDEST_MS - 1);
  assert.equal(reader.inTransaction, true);
  context.mock.timers.tick(1);
  assert.equal(reader.inTransaction, false);
  clock.at = OLDEST_MS;
  assert.equal(snapshot.read(count), 1);
  context.mock.timers.tick(OLDEST_MS);
  assert.equal(reader.inTransaction, false, 'each one');
});

test('store-sqlite-snapshot: what one thread was told is committed, the other reads at once', async (context) => {
  const folder = temporaryFolder(context);
  const store = await open(context, folder);
  const port = store.channel();
  const thread = new Worker(new URL('./snapshot-child.ts', import.meta.url), {
    workerData: { folder, port },
    transferList: [port],
  });
  context.after(() => thread.terminate());
  const told = async (): Promise<unknown> => (await once(thread, 'message'))[0];
  const ask = (...message: readonly string[]): Promise<unknown> => {
    const answer = told();
    thread.postMessage(message);
    return answer;
  };
  assert.equal(await told(), 'ready');
  for (let version = 1; version < 200; version += 2) {
    assert.ok((await store.commit({ commands: [put('Patient', 'a', version)], audit: [] })).ok);
    assert.equal(await ask('read', 'Patient', 'a'), version);
    const audited = await store.commit({ commands: [], audit: [auditRow('1', { patient: 'a', key: 'k' })] });
    assert.equal(await ask('read', 'AuditEvent', audited.ok ? (audited.auditIds[0] ?? '') : ''), 1);
    assert.equal((await store.read({ type: 'Patient', id: 'a' }))?.version, version);
    assert.equal(await ask('commit', 'a', `${version + 1}`), version + 1);
    assert.equal((await store.read({ type: 'Patient', id: 'a' }))?.version, version + 1);
  }
});

test('store-sqlite-snapshot: a subject key committed by another thread is found, not minted again', async (context) => {
  const folder = temporaryFolder(context);
  const store = await open(context, folder);
  await store.read({ type: 'Patient', id: 'a' });
  await store.commit({ commands: [], audit: [auditRow('1', { patient: 'a', key: 'k' })] });
  assert.deepEqual(store.subjectKeys(['a']), ['k']);
});

test('store-sqlite-snapshot: the log is emptied under reads without pause', async (context) => {
  const folder = temporaryFolder(context);
  const store = await open(context, folder, 5);
  const size = () => statSync(join(folder, 'firewatch.db-wal')).size;
  const most = 8192 * 4096;
  const padding = 'x'.repeat(1_000_000);
  for (let index = 0; index < 40; index++) {
    const id = `p${index}`;
    const body = { head: `{"text":"${padding}","at":"`, tail: '"}' };
    const key = { type: 'Patient', id };
    const command = { op: 'put', key, version: 1, method: 'PUT', body, entries: [], patients: [] } as const;
    await store.commit({ commands: [command], audit: [] });
    await store.read(key);
  }
  for (let turn = 0; size() > most && turn < 20_000; turn++) {
    await store.read({ type: 'Patient', id: `p${turn % 40}` });
    await setImmediate();
  }
  assert.ok(size() < most, `40 MB were written, ${size()} bytes are left`);
});
