// docs/operations.md#full-disk: what is refused and what goes on when there is no room, and that it ends by itself. The database's own limit is
// the disk's end here: SQLite refuses both with SQLITE_FULL.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { StoreError } from '../../src/store/port.ts';
import { Reserve } from '../../src/store/sqlite/reserve.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { auditRow, put, remove } from './world.ts';

const BYTES = 2 * 1_048_576;

function newFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-reserve-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
async function open(context: TestContext, reserveBytes: number) {
  const folder = newFolder(context);
  const store = await openSqlite({
    ...{ folder, reserveBytes, indexHash: 'one', types: ['Patient'] },
    renderAudit: (row) => row.bytes,
  });
  context.after(() => store.close());
  return { store, file: join(folder, 'reserve') };
}
const large: IndexEntry = {
  ...{ kind: 'string', parameter: 'Patient.name', exact: '', group: 0 },
  folded: 'x'.repeat(400_000),
};
const reasonOf = (result: Promise<unknown>): Promise<string> =>
  result.then(
    () => 'done',
    (error: unknown) => (error instanceof StoreError ? error.reason : String(error)),
  );

test('reliability@reserve: writes are refused, audit rows and small values go on, a purge makes room, writes go on', async (context) => {
  const { store, file } = await open(context, BYTES);
  assert.equal(statSync(file).size, BYTES);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const write = (id: string) => store.commit({ commands: [put('Patient', id, 1, [large])], audit: [auditRow(id)] });
  assert.equal(await reasonOf(write('first')), 'done', 'control');
  await store.limitPages(600);
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  const read = store.commit({ commands: [], audit: [auditRow('a read of the same moment')] });
  const reasons = await Promise.all(ids.map((id) => reasonOf(write(id))));
  assert.ok(reasons.includes('full'), `the limit was met: ${reasons}`);
  assert.ok((await read).ok, 'it is answered though a write of its group is refused');
  assert.deepEqual([store.isFull, existsSync(file)], [true, false], 'the reserve is free');
  assert.equal(await reasonOf(store.commit({ commands: [put('Patient', 'small')], audit: [] })), 'full');
  assert.equal(await reasonOf(store.commit({ commands: [remove('Patient', 'first', 2)], audit: [] })), 'full');
  for (let index = 0; index < 50; index++)
    assert.ok((await store.commit({ commands: [], audit: [auditRow(`read ${index}`)] })).ok);
  const set = { op: 'set', space: 'room', key: 'one', value: 'x' } as const;
  assert.ok((await store.commit({ commands: [set], audit: [] })).ok, 'what belongs to answering');
  await store.ping();
  assert.equal((await store.read({ type: 'Patient', id: 'first' }))?.version, 1);

  const held = (await Promise.all([...ids, 'first'].map((id) => store.read({ type: 'Patient', id })))).flatMap(
    (version) => (version === undefined ? [] : [version.key]),
  );
  const purge = held.map((key) => ({ op: 'purge', key, version: 1 }) as const);
  assert.ok((await store.commit({ commands: purge, audit: [] })).ok, 'a purge is taken');
  await store.limitPages(601); // an operator who gives a little more; without it the next look is a second later
  assert.equal(await reasonOf(write('after')), 'done', 'works again by itself');
  assert.deepEqual([store.isFull, statSync(file).size], [false, BYTES], 'and the reserve is made again');
  assert.equal(store.verifyAudit().broken, undefined);
});

test('reliability@reserve: without one nothing is answered, as before', async (context) => {
  const { store, file } = await open(context, 0);
  assert.ok(!existsSync(file));
  await store.limitPages(100);
  const write = store.commit({ commands: [put('Patient', 'a', 1, [large])], audit: [] });
  assert.deepEqual([await reasonOf(write), store.isFull], ['unavailable', false]);
});

test('reliability@reserve: a write larger than all that is free does not make the reserve come and go', async (context) => {
  const folder = newFolder(context);
  const connection = connect({ folder });
  context.after(() => connection.close());
  const signals = { full: false };
  const reserve = new Reserve(connection, { folder, bytes: 65_536, signals });
  assert.ok(reserve.hasRoom());
  assert.ok(reserve.relieve(), 'the first time there is something to give');
  assert.ok(!reserve.relieve(), 'once');
  assert.deepEqual(
    [reserve.hasRoom(), signals.full],
    [false, true],
    'though the disk has room: what was refused is rolled back',
  );
});

test('reliability@reserve: more than the disk has is never made, and writes wait', async (context) => {
  const folder = newFolder(context);
  const connection = connect({ folder });
  context.after(() => connection.close());
  const signals = { full: false };
  const reserve = new Reserve(connection, { folder, bytes: 2 ** 50, signals });
  assert.deepEqual([reserve.isFull, existsSync(join(folder, 'reserve'))], [true, false]);
});
