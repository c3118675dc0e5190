// A whole store moved: docs/decisions/0047. Each engine's reading and restoring is the contract of src/store/transfer.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compare, isEqual, move } from '../../src/migrate/move.ts';
import type { Engine } from '../../src/store/engine.ts';
import { mongoFields } from '../../src/store/mongodb/connect.ts';
import { openMongoMove } from '../../src/store/mongodb/transfer.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { moveSqlite } from '../../src/store/sqlite/transfer.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import type { Movable } from '../../src/store/transfer.ts';
import { ok } from '../store/contract.ts';
import { testServer } from '../store/mongodb-server.ts';
import { auditRow, put } from '../store/world.ts';
import { fill, indexOf, storeParts, TYPES, told } from './world.ts';

const server = await testServer();
const headKey = new Uint8Array(32);

/** A place that a store is opened at, to be served or to be moved. */
interface Place {
  serve(): Promise<Engine>;
  moved(): Promise<Movable>;
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-move-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
function sqlite(t: TestContext, key?: string, folder = folderOf(t)): Place & { readonly folder: string } {
  return {
    folder,
    serve: () => openSqlite({ folder, key, ...storeParts }),
    moved: async () => moveSqlite({ folder, key, types: TYPES }),
  };
}
function mongodb(url: string, key?: string): Place {
  return {
    serve: async () =>
      openMongo({ url, headKey, budgetMs: 10_000, fields: await mongoFields(url, key), ...storeParts }),
    // Whoever served it has given back its leases.
    moved: () => openMongoMove({ url, key, headKey, types: TYPES, now: Date.now }),
  };
}

async function filled(place: Place, count?: number): Promise<Awaited<ReturnType<typeof told>>> {
  const store = await place.serve();
  try {
    await fill(store, count);
    return await told(store);
  } finally {
    await store.close();
  }
}

/** Both opened, and closed whatever happens. */
async function between(
  source: Place,
  target: Place,
  body: (from: Movable, to: Movable) => Promise<void>,
): Promise<void> {
  const from = await source.moved();
  try {
    const to = await target.moved();
    await body(from, to).finally(() => to.close());
  } finally {
    await from.close();
  }
}

/** Moves, compares, and lets the target be served. */
const moveTo = (source: Place, target: Place, mostRows = 7): Promise<void> =>
  between(source, target, async (from, to) => {
    await move(from, to, { source: 'source', mostRows });
    const lines = await compare(from, to, { mostRows });
    assert.deepEqual(
      lines.filter((line) => !isEqual(line)),
      [],
    );
    assert.ok(lines.some(({ what, source: count }) => what === 'version of Patient' && count > 0));
    await to.finish(await from.latest());
  });

/** Makes the index rows as the first start does. @returns what the store tells */
async function started(place: Place, body?: (store: Engine) => Promise<void>) {
  const store = await place.serve();
  try {
    assert.equal(store.needsReindex, true, 'index rows are made at the first start');
    await store.reindex(TYPES, indexOf);
    const all = await told(store);
    await body?.(store);
    return all;
  } finally {
    await store.close();
  }
}

/** It goes on as the source would have. */
async function goesOn(store: Engine): Promise<void> {
  const before = await store.latestSequence();
  const verdict = await store.verifyAudit();
  assert.equal(verdict.broken, undefined);
  const result = ok(
    await store.commit({
      commands: [put('Patient', 'new')],
      audit: [auditRow('new', { patient: 'p1', key: 'key-p1' })],
    }),
  );
  assert.equal(result.versions[0]?.sequence, before + 1, 'sequences are not used again');
  assert.deepEqual(await store.verifyAudit(), { rows: verdict.rows + 1, broken: undefined });
  const again = put('Patient', 'again', 1, [], undefined, ['gone']);
  assert.equal((await store.commit({ commands: [again], audit: [] })).ok, false, 'who is forgotten stays forgotten');
}

test('sqlite to sqlite: every answer is the same, and the target goes on', async (t) => {
  const [source, target] = [sqlite(t), sqlite(t)];
  const before = await filled(source);
  await moveTo(source, target);
  assert.deepEqual(await started(target, goesOn), before);
  const store = await source.serve();
  assert.deepEqual(await told(store), before, 'the source is as it was');
  assert.equal(store.needsReindex, false);
  await store.close();
});

test('sqlite with a key to sqlite with another', async (t) => {
  const [source, target] = [sqlite(t, 'first'), sqlite(t, 'second')];
  const before = await filled(source, 5);
  await moveTo(source, target);
  assert.deepEqual(await started(target), before);
  assert.throws(() => moveSqlite({ folder: target.folder, key: 'first', types: TYPES }), /wrong key/);
});

test('killed at any report of progress, and taken up', async (t) => {
  const source = sqlite(t);
  const before = await filled(source);
  for (const reports of [1, 9, 17]) {
    const target = sqlite(t);
    const child = join(import.meta.dirname, 'move-child.ts');
    const killed = spawnSync(process.execPath, [child, source.folder, target.folder, String(reports)]);
    assert.equal(killed.signal, 'SIGKILL', killed.stderr.toString());
    await assert.rejects(target.serve(), /is being filled/);
    await moveTo(source, target);
    assert.deepEqual(await started(target), before);
  }
});

test('a target that holds data is refused, and not changed', async (t) => {
  const [source, target] = [sqlite(t), sqlite(t)];
  await filled(source, 3);
  const before = await filled(target, 4);
  await between(source, target, (from, to) =>
    assert.rejects(move(from, to, { source: 'source' }), /The target holds data/),
  );
  const store = await target.serve();
  assert.deepEqual(await told(store), before);
  await store.close();
});

test('a move is taken up from its own source only', async (t) => {
  const [source, target] = [sqlite(t), sqlite(t)];
  await filled(source, 3);
  await between(source, target, async (from, to) => {
    await to.mark('another');
    await assert.rejects(move(from, to, { source: 'source' }), /from another source/);
    await assert.rejects(move(to, from, { source: 'source' }), /The source itself is not whole/);
  });
});

test('a folder in use is refused', async (t) => {
  const source = sqlite(t);
  const store = await source.serve();
  await assert.rejects(source.moved(), /in use by another process/);
  await store.close();
});

test('what differs is told: one text, one row that is missing, one that is too many', async (t) => {
  const source = sqlite(t);
  await filled(source, 20);
  const from = await source.moved();
  const pages = from.version;
  const own: Movable['version'] = {
    page: (after, count) => pages.page(after, count),
    last: () => pages.last(),
    count: () => pages.count(),
    at: (places) => pages.at(places),
    restore: (rows) => pages.restore(rows),
    replace: (places, rows) => pages.replace(places, rows),
  };
  const changed = (page: Movable['version']['page']): Movable => ({ ...from, version: { ...own, page } });
  const differing = async (to: Movable) =>
    (await compare(from, to, { mostRows: 10 }))
      .filter((line) => !isEqual(line))
      .map(({ what, differing: at }) => [what, at]);
  const edited = changed(async (after, count) =>
    (await pages.page(after, count)).map((row) => (row.sequence === 12 ? { ...row, text: `${row.text} ` } : row)),
  );
  assert.deepEqual(await differing(edited), [['version', [2]]]);
  const without = changed(async (after, count) =>
    (await pages.page(after, count)).filter(({ sequence }) => sequence !== 12),
  );
  assert.deepEqual(await differing(without), [
    ['version', [2]],
    ['version of Observation', []],
  ]);
  const one = await pages.count();
  assert.deepEqual(await differing({ ...from, version: { ...own, count: async () => one + 1 } }), [['version', []]]);
  await from.close();
});

if ('skip' in server) {
  test('to MongoDB and back', { skip: server.skip }, () => undefined);
} else {
  test('sqlite to MongoDB and back: every answer is the same at each place', async (t) => {
    const [source, there, back] = [sqlite(t, 'secret'), mongodb(server.url()), sqlite(t)];
    const before = await filled(source);
    await moveTo(source, there, 20);
    await assert.rejects(moveTo(source, there), /The target holds data/);
    const comparable = (all: unknown) => ({ ...(all as object), subject: undefined });
    assert.deepEqual(comparable(await started(there)), comparable(before));
    await moveTo(there, back, 20);
    assert.deepEqual(await started(back, goesOn), before);
  });

  test('sqlite to MongoDB with a key, to one without, to one with another, and back', async (t) => {
    const source = sqlite(t, 'secret');
    const ways = [mongodb(server.url(), 'one'), mongodb(server.url()), mongodb(server.url(), 'two'), sqlite(t)];
    const before = await filled(source);
    let from: Place = source;
    for (const to of ways) {
      await moveTo(from, to, 20);
      from = to;
    }
    assert.deepEqual(await started(from, goesOn), before);
  });

  test('several chains of a MongoDB log come to sqlite as they are', async (t) => {
    const [source, target] = [mongodb(server.url()), sqlite(t)];
    const [one, other] = [await source.serve(), await source.serve()];
    await fill(one, 4);
    for (const [index, store] of [other, one, other, one, other].entries())
      ok(
        await store.commit({
          commands: [],
          audit: [auditRow(`row ${index} key-p1`, { patient: 'p1', key: 'key-p1', events: 2 })],
        }),
      );
    const before = await told(one);
    await assert.rejects(source.moved(), /in use/);
    await Promise.all([one.close(), other.close()]);
    await moveTo(source, target);
    const after = await started(target, goesOn);
    const comparable = (all: unknown) => ({ ...(all as object), subject: undefined });
    assert.deepEqual(comparable(after), comparable(before));
  });

  test('cut short on MongoDB, and taken up', async (t) => {
    const [source, target] = [sqlite(t), mongodb(server.url())];
    const before = await filled(source, 10);
    let reports = 12;
    const cut = () => {
      if (reports-- === 0) throw new Error('cut');
    };
    await between(source, target, (from, to) =>
      assert.rejects(move(from, to, { source: 'source', mostRows: 5, onProgress: cut }), /cut/),
    );
    await assert.rejects(target.serve(), /is being filled/);
    await moveTo(source, target, 5);
    const comparable = (all: unknown) => ({ ...(all as object), subject: undefined });
    assert.deepEqual(comparable(await started(target)), comparable(before));
  });
}
