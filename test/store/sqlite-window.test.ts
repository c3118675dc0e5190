// Searches sorted by a date within a range of that date: the walk is bounded only where a row is the resource. docs/decisions/0003.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { IndexEntry, Predicate, Relation } from '../../src/fhir/search/algebra.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { put } from './world.ts';

const DAY = 86_400_000;
const RELATIONS: readonly Relation[] = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];
const WIDTHS = [0, 1, DAY - 1, DAY, DAY + 1, 3 * DAY];

const date = (low: number, high: number): IndexEntry => ({
  kind: 'date',
  parameter: 'Observation.date',
  low,
  high,
  group: 0,
});
const interval = (relation: Relation, low: number, high: number): Predicate => ({
  kind: 'interval',
  parameter: 'Observation.date',
  relation,
  low,
  high,
});

/** search.html#prefix on half-open intervals, written down once more. */
function holds(relation: Relation, low: number, high: number, from: number, to: number): boolean {
  const table: Record<Relation, boolean> = {
    eq: low >= from && high <= to && low <= to,
    ne: low < from || high > to,
    gt: high > to,
    lt: low < from,
    ge: low >= from || high > to,
    le: low < from || high <= to,
    sa: low >= to,
    eb: high <= from,
    ap: high > from && low < to,
  };
  return table[relation];
}

type Dates = readonly (readonly [low: number, high: number])[];

/** One more than `collect`, so that searches walk. */
const COLLECT = 3;

async function check(resources: readonly Dates[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'store-window-'));
  const store = await openSqlite({
    folder,
    budgetMs: 5000,
    collect: COLLECT,
    renderAudit: (row) => row.bytes,
    indexHash: 'x',
    types: ['Observation'],
  });
  const commands = resources.map((dates, index) =>
    put(
      'Observation',
      `o${index}`,
      1,
      dates.map(([low, high]) => date(low, high)),
    ),
  );
  await store.commit({ commands, audit: [] });
  const wrong: string[] = [];
  for (const first of RELATIONS) {
    for (const second of RELATIONS) {
      for (const descending of [true, false]) {
        const bounds: readonly (readonly [Relation, number, number])[] = [
          [first, 4 * DAY, 5 * DAY],
          [second, 6 * DAY, 6 * DAY + 1],
        ];
        const where: Predicate = { kind: 'and', of: bounds.map((bound) => interval(...bound)) };
        const sort = [{ parameter: 'Observation.date', indexed: 'date', descending } as const];
        const found: string[] = [];
        let after: string | undefined;
        do {
          const page = await store.search({ type: 'Observation', where, sort, principal: '' }, { count: 7, after });
          found.push(...page.matches.map(({ key }) => key.id));
          after = page.next;
        } while (after !== undefined);
        const keyOf = (id: string): number => {
          const lows = (resources[Number(id.slice(1))] ?? []).map(([low]) => low);
          return descending ? -Math.max(...lows) : Math.min(...lows);
        };
        const expected = resources.flatMap((dates, index) =>
          bounds.every(([relation, from, to]) => dates.some(([low, high]) => holds(relation, low, high, from, to)))
            ? [`o${index}`]
            : [],
        );
        const sorted = found.every((id, at) => at === 0 || keyOf(found[at - 1] ?? id) <= keyOf(id));
        if (!sorted || found.toSorted().join() !== expected.toSorted().join()) {
          wrong.push(`${first} ${second} ${descending ? 'descending' : 'ascending'}`);
        }
      }
    }
  }
  await store.close();
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(wrong, []);
}

const short: readonly Dates[] = WIDTHS.slice(0, 4).flatMap((width) =>
  Array.from({ length: 20 }, (_, half) => [[(half * DAY) / 2, (half * DAY) / 2 + width]] as const),
);
const long: readonly Dates[] = WIDTHS.slice(4).flatMap((width) =>
  Array.from({ length: 20 }, (_, half) => [[(half * DAY) / 2, (half * DAY) / 2 + width]] as const),
);
const two: Dates = [
  [DAY, DAY + 1],
  [9 * DAY, 9 * DAY + 1],
];

const rows: readonly [what: string, resources: readonly Dates[]][] = [
  ['one date each, none longer than a day', short],
  ['one date each, some longer than a day', [...short, ...long]],
  ['one resource has two dates: another row may satisfy each interval', [...short, two]],
  ['some have no date', [...short, []]],
];
for (const [what, resources] of rows) {
  test(`store-sqlite: sorted by a date within ranges of it: ${what}`, () => check(resources));
}

test('store-sqlite: a second date that comes with an update is noted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'store-window-'));
  const options = {
    folder,
    budgetMs: 5000,
    collect: COLLECT,
    renderAudit: () => '',
    indexHash: 'x',
    types: ['Observation'],
  };
  const store = await openSqlite(options);
  const some = short.map((dates, index) =>
    put(
      'Observation',
      `o${index}`,
      1,
      dates.map(([low, high]) => date(low, high)),
    ),
  );
  await store.commit({ commands: [...some, put('Observation', 'two', 1, [date(DAY, DAY + 1)])], audit: [] });
  const later = put(
    'Observation',
    'two',
    2,
    two.map(([low, high]) => date(low, high)),
  );
  await store.commit({ commands: [later], audit: [] });
  const where: Predicate = { kind: 'and', of: [interval('eb', 2 * DAY, 2 * DAY), interval('sa', 9 * DAY, 9 * DAY)] };
  const sort = [{ parameter: 'Observation.date', indexed: 'date', descending: true } as const];
  const { matches } = await store.search({ type: 'Observation', where, sort, principal: '' }, { count: 10 });
  assert.deepEqual(
    matches.map(({ key }) => key.id),
    ['two'],
  );
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});
