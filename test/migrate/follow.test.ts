// A store moved while it is written: docs/decisions/0053. What each engine's journal tells, and that nothing is lost, nothing there twice.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Follower } from '../../src/migrate/follow.ts';
import { isEqual, move } from '../../src/migrate/move.ts';
import type { Engine } from '../../src/store/engine.ts';
import { followMongo, openMongoMove } from '../../src/store/mongodb/transfer.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { followSqlite, moveSqlite } from '../../src/store/sqlite/transfer.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import type { Movable, Served } from '../../src/store/transfer.ts';
import { ok } from '../store/contract.ts';
import { testServer } from '../store/mongodb-server.ts';
import { auditRow, put, remove } from '../store/world.ts';
import { entries, fill, indexOf, storeParts, TYPES, told } from './world.ts';

const server = await testServer();
const headKey = new Uint8Array(32);
const options = { source: 'source', indexHash: storeParts.indexHash, mostRows: 7 };

interface Place {
  serve(): Promise<Engine>;
  followed(): Promise<Served>;
  filled(): Promise<Movable>;
}

function sqlite(t: TestContext, key?: string): Place {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-follow-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return {
    serve: () => openSqlite({ folder, key, budgetMs: 10_000, ...storeParts }),
    followed: async () => followSqlite({ folder, key }),
    filled: async () => moveSqlite({ folder, key, types: TYPES, indexOf }),
  };
}
function mongodb(url: string): Place {
  const moved = () => ({ url, headKey, types: TYPES, now: Date.now });
  return {
    serve: () => openMongo({ url, headKey, budgetMs: 10_000, ...storeParts }),
    followed: () => followMongo(moved()),
    filled: () => openMongoMove({ ...moved(), indexOf }),
  };
}

const write = (id: string, version = 1, patients = ['p1']) =>
  put('Observation', id, version, entries('Observation', id), undefined, patients);

/** Everything that changes a store, a number of times beside whatever else is done: what each round writes depends on its number only. */
class Writer {
  readonly #store: Engine;
  readonly #share: number;
  #rounds = 0;

  constructor(store: Engine, share: number) {
    this.#store = store;
    this.#share = share;
  }

  /** Writes so many rounds while `work` runs. */
  async beside<T>(count: number, work: () => Promise<T>): Promise<T> {
    const write = async () => {
      for (let left = Math.ceil(count * this.#share); left > 0; left--) await this.#round(++this.#rounds);
    };
    const [result] = await Promise.all([work(), write()]);
    return result;
  }

  async #round(n: number): Promise<void> {
    const [id, person] = [`w${n}`, `person${n}`];
    const commit = async (commands: Parameters<Engine['commit']>[0]['commands'], bytes = '') =>
      ok(
        await this.#store.commit({
          commands,
          audit:
            bytes === ''
              ? []
              : [auditRow(`${bytes} key-${person}`, { patient: person, key: `key-${person}`, events: 2 })],
        }),
      );
    await commit([write(id), put('Patient', person, 1, entries('Patient', person), undefined, [person])], `made ${n}`);
    await commit([write(id, 2), { op: 'keep', key: `kept${n}`, value: 'x' }], `changed ${n}`);
    await commit([
      { op: 'set', space: 'a', key: `set${n}`, value: 'first' },
      { op: 'set', space: 'cursor', key: '', value: String(n) },
    ]);
    if (n % 2 === 0)
      await commit([remove('Observation', id, 3), { op: 'set', space: 'a', key: `set${n}`, value: undefined }]);
    if (n % 3 !== 0) return;
    // Gone for good; then the same id again, in the place that was free.
    const version = n % 2 === 0 ? 3 : 2;
    await commit([{ op: 'purge', key: { type: 'Observation', id }, version }], `purged ${n}`);
    await commit([write(id), { op: 'purge', key: { type: 'Patient', id: person }, version: 1 }]);
    await commit([write(id, 2)]);
    const through = await this.#store.latestSequence();
    await commit([{ op: 'forget', patients: [person], through, value: 'erased' }]);
  }
}

async function between(
  source: Place,
  target: Place,
  work: (from: Served, to: Movable) => Promise<void>,
): Promise<void> {
  const from = await source.followed();
  try {
    const to = await target.filled();
    await work(from, to).finally(() => to.close());
  } finally {
    await from.close();
  }
}

/** Every answer, and every version there is. */
async function all(store: Engine): Promise<unknown> {
  const changes: unknown[] = [];
  for (let after = 0; ; ) {
    const page = await store.changes(after, 500);
    changes.push(...page);
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.sequence;
  }
  const about = await store.history({ patients: ['p1'] }, { count: 500 });
  return { ...Object(await told(store)), changes, about, subject: undefined };
}

/** Moves while it is written, in two runs, and compares every answer of both. @param share of the rounds */
async function followed(source: Place, target: Place, share = 1): Promise<void> {
  const store = await source.serve();
  await fill(store);
  const writer = new Writer(store, share);
  await between(source, target, async (from, to) => {
    const follower = await Follower.begin(from, to, options);
    await writer.beside(12, () => follower.copy());
    assert.ok((await writer.beside(6, () => follower.round())) > 0, 'control: something was written meanwhile');
    const line = await writer.beside(6, () => follower.verify());
    assert.ok(isEqual(line), JSON.stringify(line));
    await writer.beside(3, () => follower.round());
    await writer.beside(3, () => follower.recheck());
    assert.equal(await writer.beside(3, () => follower.differing()), 0);
  });
  await assert.rejects(target.serve(), /is being filled/);
  await writer.beside(6, async () => undefined);
  const before = await all(store);
  const stops = await refusesToShut(source);
  if (stops) await store.close();
  await between(source, target, async (from, to) => {
    const follower = await Follower.begin(from, to, options);
    assert.equal(follower.isVerified, true);
    await follower.copy();
    assert.ok(
      (await follower.rounds()).some((count) => count > 0),
      'what was written between the runs',
    );
    const { isWhole, lines } = await follower.finish();
    assert.deepEqual([isWhole, lines.filter((each) => !isEqual(each))], [true, []]);
  });
  if (!stops) {
    await assert.rejects(store.commit({ commands: [write('late')], audit: [] }), { reason: 'unavailable' });
    await assert.rejects(store.ping(), { reason: 'unavailable' });
    assert.deepEqual(await all(store), before, 'it still reads');
    await store.close();
  }
  await assert.rejects(source.serve(), /was moved/);
  const there = await target.serve();
  assert.equal(there.needsReindex, false, 'index entries came along');
  assert.deepEqual(await all(there), before);
  assert.equal((await there.verifyAudit()).broken, undefined);
  ok(await there.commit({ commands: [write('after')], audit: [auditRow('after', { patient: 'p1', key: 'key-p1' })] }));
  await there.close();
}

/** MongoDB's servers are to be stopped for the end; those of the embedded database are shut out by the file. */
async function refusesToShut(source: Place): Promise<boolean> {
  const from = await source.followed();
  try {
    await from.journal.shut();
    await from.journal.reopen();
    return false;
  } catch (error) {
    assert.match(String(error), /in use: stop its servers/);
    return true;
  } finally {
    await from.close();
  }
}

test('sqlite, encrypted, to sqlite', (t) => followed(sqlite(t, 'first'), sqlite(t, 'second')));

if ('skip' in server) {
  test('sqlite to MongoDB, and back', { skip: server.skip }, () => undefined);
} else {
  test('sqlite to MongoDB', (t) => followed(sqlite(t), mongodb(server.url())));
  test('MongoDB to sqlite', (t) => followed(mongodb(server.url()), sqlite(t), 0.4));
}

test('while the source is shut whatever commits is refused, and nothing else', async (t) => {
  const source = sqlite(t);
  const store = await source.serve();
  await fill(store, 3);
  const { journal, close } = await source.followed();
  await journal.begin();
  await journal.shut();
  const audit = [auditRow('row', { patient: 'p1', key: 'key-p1' })];
  for (const request of [
    { commands: [write('one')], audit: [] },
    { commands: [remove('Patient', '0', 2)], audit: [] },
    { commands: [], audit },
    { commands: [{ op: 'set', space: 'a', key: 'k', value: 'v' } as const], audit: [] },
    { commands: [{ op: 'keep', key: 'k', value: 'v' } as const], audit: [] },
  ])
    await assert.rejects(store.commit(request), { reason: 'unavailable' }, JSON.stringify(request.commands));
  assert.ok(await store.read({ type: 'Patient', id: '0' }));
  await journal.reopen();
  ok(await store.commit({ commands: [write('one')], audit }));
  await journal.abandon();
  ok(await store.commit({ commands: [write('one', 2)], audit }));
  assert.equal((await store.verifyAudit()).broken, undefined);
  await Promise.all([store.close(), close()]);
});

test('the source is left only when everything of it was told', async (t) => {
  const source = sqlite(t);
  const store = await source.serve();
  const { journal, close } = await source.followed();
  const begun = await journal.begin();
  assert.equal(await journal.begin(), begun, 'one journal');
  ok(await store.commit({ commands: [write('one')], audit: [] }));
  assert.equal(await journal.leave(begun), false);
  ok(await store.commit({ commands: [write('two')], audit: [] }));
  const { changed, position, more } = await journal.changes(begun, 100);
  assert.deepEqual([changed, more], [[1, 2].map((place) => ({ part: 'version', place })), false]);
  assert.equal(await journal.leave(position), true);
  await journal.reopen();
  await assert.rejects(store.commit({ commands: [write('three')], audit: [] }), { reason: 'unavailable' });
  await store.close();
  await assert.rejects(source.serve(), /was moved/);
  await journal.abandon();
  const again = await source.serve();
  ok(await again.commit({ commands: [write('three')], audit: [] }));
  await Promise.all([again.close(), close()]);
});

test('a target that differs is not opened, and the source goes on', async (t) => {
  const [source, target] = [sqlite(t), sqlite(t)];
  const store = await source.serve();
  await fill(store, 5);
  await between(source, target, async (from, to) => {
    const follower = await Follower.begin(from, to, options);
    await follower.copy();
    await follower.verify();
    assert.equal(await follower.differing(), 0, 'control');
    // A row that the copy has lost, in one place that nobody writes again.
    await to.version.replace([5], []);
    await follower.verify();
    assert.equal(await follower.differing(), 1);
    const { isWhole, lines } = await follower.finish();
    assert.deepEqual(
      [isWhole, lines.filter((each) => !isEqual(each)).map(({ what }) => what)],
      [false, ['version', 'places that changed, compared']],
    );
  });
  ok(await store.commit({ commands: [write('one')], audit: [] }));
  await store.close();
  await assert.rejects(target.serve(), /is being filled/);
});

test('a move is taken up in the way it was begun, from its own source, into an empty target', async (t) => {
  const [source, target, full] = [sqlite(t), sqlite(t), sqlite(t)];
  for (const place of [source, full]) {
    const store = await place.serve();
    await fill(store, 3);
    await store.close();
  }
  await between(source, full, (from, to) => assert.rejects(Follower.begin(from, to, options), /The target holds data/));
  await between(source, target, async (from, to) => {
    await Follower.begin(from, to, options);
    await assert.rejects(Follower.begin(from, to, { ...options, source: 'another' }), /from another source/);
    await assert.rejects(move(from, to, options), /with --online/);
  });
});
