// The SQLite engine: the common contract, and what is its own: query plans, threads, limits, encryption, migration. docs/decisions/0003.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { StoreError } from '../../src/store/port.ts';
import { codeOf } from '../../src/store/sqlite/refusal.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { followSqlite, moveSqlite } from '../../src/store/sqlite/transfer.ts';
import { attachSqlite, openSqlite, type SqliteOptions, type SqliteStore } from '../../src/store/sqlite.ts';
import { storeParts } from '../migrate/world.ts';
import { clockContract } from './clock-contract.ts';
import { plan, SCANS_ALLOWED, storeContract } from './contract.ts';
import { CONTRACT_ROWS } from './contract-row.ts';
import { purgeContract } from './purge-contract.ts';
import { searchContract } from './search-contract.ts';
import { transferContract } from './transfer-contract.ts';
import { auditRow, IDS, put } from './world.ts';

export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-store-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const renderAudit: SqliteOptions['renderAudit'] = (row, event) =>
  `${row.bytes} ${event} ${row.patientOf('second') ?? row.patientOf('key-p1')}`;
const options = (folder: string, more: Partial<SqliteOptions> = {}): SqliteOptions => ({
  folder,
  budgetMs: 5000,
  renderAudit,
  indexHash: 'one',
  types: ['Patient', 'Observation'],
  ...more,
});

async function open(
  context: TestContext,
  more: Partial<SqliteOptions> = {},
  folder = temporaryFolder(context),
): Promise<SqliteStore> {
  const store = await openSqlite(options(folder, more));
  folders.set(store, folder);
  context.after(() => store.close());
  return store;
}

const folders = new WeakMap<SqliteStore, string>();
const folderOf = (store: SqliteStore): string => folders.get(store) ?? '';

const seen = new Set<string>();
const watched = async (context: TestContext, at?: number): Promise<SqliteStore> => {
  const store = await open(context, at === undefined ? {} : { clock: { fixed: at } });
  store.watchStatements((text) => seen.add(text));
  return store;
};
storeContract('sqlite', watched);
searchContract('sqlite', watched);
purgeContract('sqlite', watched);
clockContract('sqlite', (context) => {
  const folder = temporaryFolder(context);
  return (fixed) => open(context, { clock: { fixed } }, folder);
});
transferContract('sqlite', (context) => {
  const folder = temporaryFolder(context);
  return {
    serve: () => openSqlite({ folder, ...storeParts }),
    moved: async (types, indexOf) => moveSqlite({ folder, types, indexOf }),
    followed: async () => followSqlite({ folder }),
  };
});
// Small worlds made to take the ways of large ones.
for (const collect of [0, 3, 20]) {
  searchContract(`sqlite, collecting at most ${collect}`, async (context, at) => {
    const store = await open(context, { collect, ...(at === undefined ? {} : { clock: { fixed: at } }) });
    store.watchStatements((text) => seen.add(text));
    return store;
  });
}

test('store contract: docs/store-contract.md has each row of the contract', () => {
  const page = readFileSync('docs/store-contract.md', 'utf8');
  const told = [...page.matchAll(/^\| ([^|]+?) \| /gm)].map(([, name = '']) => name);
  assert.deepEqual(
    [...CONTRACT_ROWS].filter((name) => !told.includes(name)),
    [],
    'run scripts/store-contract.ts',
  );
});

/** Every audit row has a row of each home: a look-up by home alone walks the whole log. */
const WALKS_THE_LOG = /audit_index.*\(home=\?\)$/;

test('sqlite: no statement of the contract scans a table, nor walks the audit log', async (context) => {
  const folder = temporaryFolder(context);
  await (await open(context, {}, folder)).close();
  const connection = connect({ folder });
  connection.function('tick', { deterministic: false }, () => 1);
  const scans = [...seen].flatMap((text) => {
    if (/^(BEGIN|COMMIT)/.test(text)) return [];
    const steps = connection.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array(text.split('?').length - 1).fill(null));
    return steps
      .map((step) => String((step as { detail: string }).detail))
      .filter((detail) => (detail.startsWith('SCAN ') && !SCANS_ALLOWED.test(detail)) || WALKS_THE_LOG.test(detail))
      .map((detail) => `${detail} in ${text}`);
  });
  connection.close();
  assert.ok(seen.size > 500, `control: ${seen.size} statements seen`);
  assert.deepEqual(scans.slice(0, 5), []);
});

test('sqlite: synchronous is FULL and the folder is held for one process', async (context) => {
  const folder = temporaryFolder(context);
  const store = await open(context, {}, folder);
  assert.equal(store.synchronous, 2);
  await assert.rejects(openSqlite(options(folder)), /in use by another process/);
  await store.close();
  await (await openSqlite(options(folder))).close();
});

test('sqlite: data, order and audit chain go on after a restart; the clock never goes back', async (context) => {
  const folder = temporaryFolder(context);
  const first = await open(context, { clock: { fixed: 2000 } }, folder);
  const before = await first.commit({ commands: [put('Patient', 'a')], audit: [auditRow('1')] });
  await first.close();
  const second = await open(context, { clock: { fixed: 1000 } }, folder);
  const after = await second.commit({
    commands: [put('Patient', 'a', 2), put('Patient', 'b')],
    audit: [auditRow('2')],
  });
  assert.ok(before.ok && after.ok);
  assert.equal(after.at, 2000);
  assert.deepEqual(
    after.versions.map(({ sequence }) => sequence),
    [2, 3],
  );
  assert.deepEqual(after.auditIds, ['1-2-1']);
  assert.deepEqual(second.verifyAudit(), { rows: 2, broken: undefined });
});

test('sqlite: a file of a newer schema is refused', async (context) => {
  const folder = temporaryFolder(context);
  const connection = connect({ folder });
  connection.pragma('user_version=999');
  connection.close();
  await assert.rejects(openSqlite(options(folder)), /schema 999/);
});

const SYSTEMS_OF_OLD =
  'CREATE TABLE parameter_system(parameter INTEGER, system INTEGER, PRIMARY KEY(parameter, system)) WITHOUT ROWID';

test('sqlite: a file of schema 2 is brought forward with its data', async (context) => {
  const folder = temporaryFolder(context);
  const before = await open(context, {}, folder);
  const coded = { kind: 'token', parameter: 'Patient.code', system: 's', code: 'x' } as const;
  await before.commit({ commands: [put('Patient', 'a', 1, [{ ...coded, group: 0 }])], audit: [] });
  const shared = [put('Patient', 'b', 1, [], 'PUT', ['b', 'c']), put('Patient', 'd', 1, [], 'PUT', ['d'])];
  await before.commit({ commands: shared, audit: [] });
  await before.commit({ commands: [put('Patient', 'b', 2, [], 'PUT', ['b'])], audit: [] });
  await before.close();
  const connection = connect({ folder });
  connection.exec(
    `DROP TABLE kept; DROP TABLE keyed; DROP TABLE fulltext; DROP TABLE code_system; DROP TABLE about; DROP TABLE stand_in; ${SYSTEMS_OF_OLD}`,
  );
  connection.pragma('user_version=2');
  connection.close();
  const after = await open(context, {}, folder);
  assert.equal((await after.commit({ commands: [{ op: 'keep', key: 'k', value: 'v' }], audit: [] })).ok, true);
  assert.equal(await after.kept('k'), 'v');
  assert.equal(await after.count(plan('Patient', { kind: 'token', parameter: 'Patient.code', code: 'x' })), 1);
  assert.equal((await after.read({ type: 'Patient', id: 'a' }))?.version, 1);
  const about = async (patient: string) =>
    (await after.history({ patients: [patient] }, { count: 9 })).matches.map(({ key, version }) => key.id + version);
  assert.deepEqual([await about('b'), await about('c'), await about('d')], [['b2', 'b1'], ['b1'], ['d1']]);
});

test('sqlite: who listens is called after commits of data by any thread, and not for audit rows alone', async (context) => {
  const store = await open(context);
  const other = attachSqlite({ folder: folderOf(store), renderAudit, port: store.channel() });
  let calls = 0;
  let next = Promise.withResolvers<void>();
  const stop = store.onCommit(() => {
    calls++;
    next.resolve();
  });
  for (const writer of [store, other]) {
    next = Promise.withResolvers();
    await writer.commit({ commands: [], audit: [auditRow('1')] });
    const before = calls;
    await writer.commit({ commands: [put('Patient', `p${before}`)], audit: [] });
    await next.promise;
    assert.equal(calls, before + 1);
    assert.equal((await store.changes(0, 10)).length, calls);
  }
  stop();
  await store.commit({ commands: [put('Patient', 'last')], audit: [] });
  await store.ping();
  assert.equal(calls, 2);
  await other.close();
});

test('sqlite: with a key no text is readable in the files, and another key is refused', async (context) => {
  const folder = temporaryFolder(context);
  const secret = 'unmistakable-canary';
  const store = await open(context, { key: 'pass phrase' }, folder);
  const name: IndexEntry = { kind: 'string', parameter: 'Patient.name', folded: secret, exact: secret, group: 0 };
  await store.commit({ commands: [put('Patient', secret, 1, [name])], audit: [auditRow(secret)] });
  for (const file of ['firewatch.db', 'firewatch.db-wal']) {
    assert.equal(readFileSync(join(folder, file)).includes(secret), false, file);
  }
  assert.equal((await store.read({ type: 'Patient', id: secret }))?.version, 1);
  await store.close();
  await assert.rejects(openSqlite(options(folder, { key: 'other' })), /cannot be opened/);
  await assert.rejects(openSqlite(options(folder)), /cannot be opened/);
  const again = await open(context, { key: 'pass phrase' }, folder);
  assert.equal((await again.read({ type: 'Patient', id: secret }))?.version, 1);
});

test('sqlite: a full disk refuses the whole group, leaves nothing half, and works again when there is space', async (context) => {
  const store = await open(context);
  const big: IndexEntry = {
    kind: 'string',
    parameter: 'Patient.name',
    folded: 'x'.repeat(200_000),
    exact: '',
    group: 0,
  };
  assert.ok((await store.commit({ commands: [put('Patient', 'first')], audit: [auditRow('1')] })).ok);
  await store.limitPages(100);
  const refused = IDS.map((id) =>
    store.commit({ commands: [put('Patient', `${id}-a`), put('Patient', id, 1, [big])], audit: [auditRow(id)] }),
  );
  for (const { status, ...rest } of await Promise.allSettled(refused)) {
    const reason: unknown = 'reason' in rest ? rest.reason : undefined;
    assert.equal(status, 'rejected');
    assert.ok(reason instanceof StoreError && reason.reason === 'unavailable');
    assert.equal(codeOf(reason.cause), 'SQLITE_FULL', 'what the log says of it');
  }
  assert.equal(await store.count({ type: 'Patient', where: { kind: 'all' }, sort: [], principal: '' }), 1);
  assert.equal((await store.read({ type: 'Patient', id: 'first' }))?.version, 1, 'reads go on');
  await store.limitPages(0);
  const result = await store.commit({ commands: [put('Patient', IDS[0] ?? '', 1, [big])], audit: [auditRow('2')] });
  assert.ok(result.ok);
  assert.deepEqual(result.auditIds, ['1-2-1'], 'no gap');
  assert.deepEqual(store.verifyAudit(), { rows: 2, broken: undefined });
});

test('sqlite: a damaged page makes its reads unavailable, with the code for the log, and the store not ready', async (context) => {
  const first = await open(context);
  const folder = folderOf(first);
  const held = { type: 'Patient', id: 'damaged' };
  const others = Array.from({ length: 300 }, (_, index) => put('Patient', `other-${index}`));
  assert.ok((await first.commit({ commands: [put('Patient', 'damaged'), ...others], audit: [] })).ok);
  await first.close();
  const file = join(folder, 'firewatch.db');
  const bytes = readFileSync(file);
  const size = bytes.readUInt16BE(16);
  const at = bytes.indexOf('"id":"damaged"');
  assert.ok(at > size, 'control');
  writeFileSync(file, bytes.fill(0xff, at - (at % size), at - (at % size) + size));
  const store = await openSqlite(options(folder));
  context.after(() => store.close());
  await store.ping();
  const damage = (error: unknown) =>
    error instanceof StoreError && error.reason === 'unavailable' && codeOf(error.cause) === 'SQLITE_CORRUPT';
  await assert.rejects(store.read(held), damage);
  await assert.rejects(store.ping(), damage);
});

test('sqlite: a second connection writes through the same writer and sees what was acknowledged', async (context) => {
  const store = await open(context);
  const other = attachSqlite({ ...options(''), folder: folderOf(store), port: store.channel() });
  context.after(() => other.close());
  const race = await Promise.all(
    IDS.flatMap((id) =>
      [store, other].map((each) => each.commit({ commands: [put('Patient', id)], audit: [auditRow(id)] })),
    ),
  );
  assert.equal(race.filter(({ ok }) => ok).length, IDS.length);
  assert.equal((await other.read({ type: 'Patient', id: 'r0' }))?.version, 1);
  assert.deepEqual(store.verifyAudit(), { rows: IDS.length, broken: undefined });
  await other.ping();
});

const wide = { kind: 'token', parameter: 'Patient.wide', system: '', code: 'x' } as const;
const rare = { kind: 'token', parameter: 'Patient.rare', system: '', code: 'x' } as const;
const contains: Predicate = { kind: 'string', parameter: 'Patient.name', match: 'contains', value: 'q' };
const half: Predicate = { kind: 'not', of: { kind: 'missing', parameter: 'Patient.rare', missing: false } };

test('sqlite: a thread without budget refuses what visits too much, and answers what is bounded', async (context) => {
  const folder = temporaryFolder(context);
  const store = await open(context, { budgetMs: undefined }, folder);
  const heavy = attachSqlite({ ...options(folder), port: store.channel() });
  const spent = attachSqlite({ ...options(folder), budgetMs: 0, port: store.channel() });
  context.after(() => Promise.all([heavy.close(), spent.close()]));
  const entries = (index: number): IndexEntry[] => [
    { ...wide, group: 0 },
    { kind: 'string', parameter: 'Patient.name', folded: `n${index}`, exact: `N${index}`, group: 0 },
    ...(index % 100 === 0 ? [{ ...rare, group: 0 }] : []),
  ];
  for (let start = 0; start < 6000; start += 500) {
    const commands = Array.from({ length: 500 }, (_, index) =>
      put('Patient', `p${start + index}`, 1, entries(start + index)),
    );
    assert.ok((await store.commit({ commands, audit: [] })).ok);
  }
  const rows: readonly (readonly [Predicate, number | 'bounded-thread', string])[] = [
    [{ kind: 'all' }, 10, 'a listing is bounded by its page'],
    [wide, 10, 'a large posting list is walked in order'],
    [{ kind: 'and', of: [wide, rare] }, 10, 'the rare one drives'],
    [{ kind: 'and', of: [wide, half] }, 10, 'a filter that passes often'],
    [contains, 'bounded-thread', 'every name would be looked at'],
    [{ kind: 'and', of: [wide, { kind: 'not', of: wide }] }, 'bounded-thread', 'a filter that never passes'],
    [{ kind: 'and', of: [rare, contains] }, 0, 'a filter of few'],
  ];
  for (const [where, expected, why] of rows) {
    const asked = { type: 'Patient', where, sort: [], principal: '' };
    const reason = (error: unknown) => (error instanceof StoreError ? error.reason : String(error));
    const found = await store.search(asked, { count: 10 }).then(({ matches }) => matches.length, reason);
    assert.equal(found, expected, why);
    if (expected !== 'bounded-thread') continue;
    assert.equal((await heavy.search(asked, { count: 10 })).matches.length, 0, why);
    assert.equal(
      await spent.search({ ...asked, where: { kind: 'not', of: wide } }, { count: 10 }).catch(reason),
      'too-costly',
      why,
    );
  }
  const asked = { type: 'Patient', where: wide, sort: [], principal: '' };
  await assert.rejects(store.count(asked), StoreError);
  assert.equal(
    await store.count({ ...asked, type: 'Observation', where: { kind: 'all' } }),
    0,
    'a small type is counted',
  );
  assert.equal(await heavy.count(asked), 6000);
});

test('sqlite: new definitions index again, also when stopped half-way', async (context) => {
  const folder = temporaryFolder(context);
  const first = await open(context, {}, folder);
  assert.equal(first.needsReindex, false, 'a new file is current');
  const commands = Array.from({ length: 450 }, (_, index) => put('Patient', `p${index}`, 1, [{ ...wide, group: 0 }]));
  assert.ok((await first.commit({ commands, audit: [] })).ok);
  await first.close();
  const indexOf = () => ({ entries: [{ ...rare, group: 0 }], patients: ['x'] });
  const second = await open(context, { indexHash: 'two' }, folder);
  assert.equal(second.needsReindex, true);
  let steps = 0;
  const stop = () => {
    if (++steps > 1) throw new TypeError('stopped');
  };
  await assert.rejects(second.reindex(['Patient'], indexOf, stop), /stopped/);
  assert.equal(second.needsReindex, true);
  const seenTexts: string[] = [];
  await second.reindex(['Patient'], (text) => {
    seenTexts.push(text);
    return indexOf();
  });
  assert.equal(seenTexts.length, 50, 'taken up after 400');
  assert.equal(second.needsReindex, false);
  const count = (where: Predicate) => second.count({ type: 'Patient', where, sort: [], principal: '' });
  assert.deepEqual([await count(wide), await count(rare)], [0, 450]);
  assert.deepEqual((await second.read({ type: 'Patient', id: 'p0' }))?.patients, ['x']);
  assert.deepEqual((await second.history({ patients: ['x'] }, { count: 500 })).matches.length, 450);
  await second.close();
  assert.equal((await open(context, { indexHash: 'two' }, folder)).needsReindex, false);
});

test('balp@chain-anchor sqlite: heads told before are met by the log that goes on, and by no other', async (context) => {
  const store = await open(context);
  assert.deepEqual(store.auditHeads(), []);
  for (const bytes of ['1', '2']) await store.commit({ commands: [], audit: [auditRow(bytes)] });
  const told = store.auditHeads();
  assert.deepEqual(
    told.map(({ chain, sequence }) => [chain, sequence]),
    [[1, 2]],
  );
  await store.commit({ commands: [], audit: [auditRow('3')] });
  assert.deepEqual(store.verifyAudit([...told, ...store.auditHeads()]), { rows: 3, broken: undefined });
  assert.equal(store.verifyAudit(told.map((head) => ({ ...head, hash: 'f'.repeat(64) }))).broken, 2, 'another row');
  assert.equal(store.verifyAudit(told.map((head) => ({ ...head, sequence: 4 }))).broken, 4, 'a row that is gone');
  assert.equal(store.verifyAudit(told.map((head) => ({ ...head, chain: 2 }))).broken, 2, 'a chain that is gone');
});

test('§8.13 sqlite: a changed, removed or inserted audit row breaks the chain where it lies', async (context) => {
  const breaks: readonly (readonly [string, number])[] = [
    ["UPDATE audit SET bytes='x' WHERE key % 1000 = (SELECT max(key) FROM audit) % 1000 - 2", 3],
    ['UPDATE audit SET at=at+1 WHERE key=(SELECT min(key) FROM audit)', 1],
    ['DELETE FROM audit WHERE key=(SELECT min(key)+1 FROM audit)', 2],
    ['UPDATE audit SET key=key+10 WHERE key=(SELECT max(key) FROM audit)', 5],
  ];
  for (const [statement, broken] of breaks) {
    const folder = temporaryFolder(context);
    const store = await open(context, {}, folder);
    for (let row = 1; row <= 5; row++) await store.commit({ commands: [], audit: [auditRow(String(row))] });
    assert.deepEqual(store.verifyAudit(), { rows: 5, broken: undefined }, 'control');
    const connection = connect({ folder });
    connection.exec(statement);
    connection.close();
    assert.equal(store.verifyAudit().broken, broken, statement);
    await store.close();
  }
});

test('sqlite: a page that cannot be trusted ends the process; what waits is refused', async (context) => {
  const folder = temporaryFolder(context);
  await (await open(context, {}, folder)).close();
  const connection = connect({ folder });
  const row = connection.prepare("SELECT rootpage FROM sqlite_master WHERE name='token'").raw(true).get();
  connection.close();
  const file = join(folder, 'firewatch.db');
  const bytes = readFileSync(file);
  bytes.fill(0xff, (Number([row].flat()[0]) - 1) * 4096, Number([row].flat()[0]) * 4096);
  writeFileSync(file, bytes);
  const fatal: string[] = [];
  const store = await open(context, { onFatal: (message) => fatal.push(message) }, folder);
  const refused = (error: unknown) => error instanceof StoreError && error.reason === 'unavailable';
  await assert.rejects(
    store.commit({ commands: [put('Patient', 'a', 1, [{ ...wide, group: 0 }])], audit: [] }),
    refused,
  );
  await assert.rejects(
    store.commit({ commands: [put('Patient', 'b')], audit: [] }),
    refused,
    'nothing is accepted after',
  );
  await store.close();
  assert.equal(fatal.length, 1);
});
