// Rows by value of a composite's components: left out where a plain parameter has the same, found all the same. docs/decisions/0003-storage-layout.md
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { plan } from './contract.ts';
import { put } from './world.ts';

const code = (parameter: string, value: string, group = 0): IndexEntry => ({
  ...{ kind: 'token', parameter: `Observation.${parameter}`, system: 's', code: value, group },
});
const amount = (parameter: string, value: number, group = 0): IndexEntry => ({
  ...{ kind: 'quantity', parameter: `Observation.${parameter}`, unit: 'u|mg', low: value, high: value, group },
});
const pair = (of: string, value: number, group = 1): readonly IndexEntry[] => [
  code('pair$1', of, group),
  amount('pair$2', value, group),
];
const plain = (of: string, value: number): readonly IndexEntry[] => [code('code', of), amount('value', value)];
const asked = (of: string, value: number, system: { system?: string } = { system: 's' }): Predicate => ({
  kind: 'composite',
  components: [
    { kind: 'token', parameter: 'Observation.pair$1', code: of, ...system },
    { kind: 'quantity', parameter: 'Observation.pair$2', relation: 'eq', low: value, high: value },
  ],
});

interface World {
  readonly store: SqliteStore;
  write(version: number, entries: readonly IndexEntry[], id?: string): Promise<void>;
  /** Ids, by either component as the one that is sought. */
  found(where: Predicate): Promise<readonly string[]>;
  /** Rows by value of the components. */
  rows(): readonly number[];
}

async function open(context: TestContext, collect: number): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'store-stand-in-'));
  const parts = { folder, collect, budgetMs: 5000, renderAudit: () => '', indexHash: 'x', types: ['Observation'] };
  const store = await openSqlite(parts);
  context.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const count = (table: string): number => {
    const connection = connect({ folder });
    const sql = `SELECT count(*) FROM ${table} WHERE parameter IN (SELECT id FROM parameter WHERE name LIKE '%$%')`;
    const found = connection.prepare(sql).raw(true).get();
    connection.close();
    return Array.isArray(found) ? Number(found[0]) : Number.NaN;
  };
  return {
    store,
    write: async (version, entries, id = 'a') => {
      const result = await store.commit({ commands: [put('Observation', id, version, entries)], audit: [] });
      assert.ok(result.ok);
    },
    found: async (where) => {
      const { matches } = await store.search(plan('Observation', where), { count: 100 });
      return matches.map(({ key }) => key.id);
    },
    rows: () => [count('token'), count('quantity')],
  };
}

/** 1000: the first component is taken. 1: neither is few enough, so that everything is asked of each. */
for (const collect of [1000, 3, 1]) {
  const named = (what: string): string => `store-sqlite-stand-in: ${what} (collecting ${collect})`;

  test(named('a component whose value a plain parameter has, has no row of its own, and is found'), async (context) => {
    const { write, rows, found } = await open(context, collect);
    await write(1, [...plain('x', 7), ...pair('x', 7)]);
    assert.deepEqual(rows(), [0, 0]);
    assert.deepEqual(await found(asked('x', 7)), ['a']);
    assert.deepEqual(await found(asked('x', 7, {})), ['a']);
    assert.deepEqual(await found(asked('x', 8)), []);
    assert.deepEqual(await found(asked('y', 7)), []);
  });

  test(
    named('a component whose value no plain parameter has, has a row, beside others that have none'),
    async (context) => {
      const { write, rows, found } = await open(context, collect);
      await write(1, [...plain('x', 7), ...pair('x', 7)]);
      await write(1, [...plain('x', 8), ...pair('x', 7), ...pair('z', 9, 2)], 'b');
      assert.deepEqual(rows(), [1, 2]);
      assert.deepEqual((await found(asked('x', 7))).toSorted(), ['a', 'b']);
      assert.deepEqual(await found(asked('z', 9)), ['b']);
      assert.deepEqual(await found(asked('z', 7)), []);
    },
  );

  test(named('what a plain parameter has alone is no component'), async (context) => {
    const { write, found } = await open(context, collect);
    await write(1, [...plain('x', 7), ...pair('x', 7)]);
    await write(1, plain('x', 7), 'b');
    assert.deepEqual(await found(asked('x', 7)), ['a']);
  });

  test(named('two plain parameters stand in, each for some'), async (context) => {
    const { write, rows, found } = await open(context, collect);
    await write(1, [...plain('x', 7), ...pair('x', 7)]);
    await write(1, [code('other-code', 'x'), amount('other', 7), ...pair('x', 7)], 'b');
    assert.deepEqual(rows(), [0, 0]);
    assert.deepEqual((await found(asked('x', 7))).toSorted(), ['a', 'b']);
  });

  const updates: readonly [what: string, first: readonly IndexEntry[], then: readonly IndexEntry[], rows: number[]][] =
    [
      ['the plain one goes and the component stays', [...plain('x', 7), ...pair('x', 7)], pair('x', 7), [1, 1]],
      ['the plain one is another', [...plain('x', 7), ...pair('x', 7)], [...plain('y', 8), ...pair('x', 7)], [1, 1]],
      [
        'another plain one stands in',
        [...plain('x', 7), ...pair('x', 7)],
        [code('other-code', 'x'), amount('other', 7), ...pair('x', 7)],
        [0, 0],
      ],
      ['the plain one comes', pair('x', 7), [...plain('x', 7), ...pair('x', 7)], [1, 1]],
      ['the component comes', plain('x', 7), [...plain('x', 7), ...pair('x', 7)], [0, 0]],
    ];
  for (const [what, first, then, left] of updates) {
    test(named(`updated: ${what}`), async (context) => {
      const { write, rows, found } = await open(context, collect);
      await write(1, first);
      await write(2, then);
      assert.deepEqual(rows(), left);
      assert.deepEqual(await found(asked('x', 7)), ['a']);
      await write(3, plain('x', 7));
      assert.deepEqual(rows(), [0, 0]);
      assert.deepEqual(await found(asked('x', 7)), []);
    });
  }

  test(named('purged: nothing is left, and others are still found'), async (context) => {
    const { store, write, rows, found } = await open(context, collect);
    await write(1, [...plain('x', 7), ...pair('x', 7)]);
    await write(1, [...plain('x', 7), ...pair('x', 7)], 'b');
    await write(1, pair('x', 7), 'c');
    const key = { type: 'Observation', id: 'c' };
    assert.ok((await store.commit({ commands: [{ op: 'purge', key, version: 1 }], audit: [] })).ok);
    assert.deepEqual(rows(), [0, 0]);
    assert.deepEqual((await found(asked('x', 7, {}))).toSorted(), ['a', 'b']);
  });
}
