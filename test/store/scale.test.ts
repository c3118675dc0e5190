// No work proportional to the store: on a thread without a budget, which refuses to visit more than a few thousand rows, these searches
// answer among STORE_ROWS Observations (default 20,000; the stated count is 1,000,000). Rows are what is bounded here, never time.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { IndexEntry, Predicate, SortKey } from '../../src/fhir/search/algebra.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { all, plan } from './contract.ts';
import { put } from './world.ts';

const ROWS = Number(process.env.STORE_ROWS ?? 20_000);
const PATIENTS = Math.ceil(ROWS / 100);
const CODES = 20;
const START = Date.UTC(2020, 0, 1);
const MINUTE = 60_000;
const LOINC = 'http://loinc.org';

const folder = mkdtempSync(join(tmpdir(), 'firewatch-scale-'));
let store: SqliteStore;

function entriesOf(row: number): readonly IndexEntry[] {
  const low = START + row * MINUTE;
  return [
    { kind: 'token', parameter: 'Observation.code', system: LOINC, code: `c${row % CODES}`, group: 0 },
    { kind: 'token', parameter: 'Observation.identifier', system: 'urn:scale', code: `id${row}`, group: 0 },
    { kind: 'token', parameter: 'Observation.status', system: '', code: 'final', group: 0 },
    {
      kind: 'reference',
      parameter: 'Observation.patient',
      target: `Patient/p${row % PATIENTS}`,
      version: '',
      group: 0,
    },
    { kind: 'date', parameter: 'Observation.date', low, high: low + MINUTE, group: 0 },
    {
      kind: 'quantity',
      parameter: 'Observation.value-quantity',
      unit: '',
      low: row % 1000,
      high: row % 1000,
      group: 0,
    },
  ];
}

before(async () => {
  store = await openSqlite({ folder, renderAudit: () => '', indexHash: 'scale', types: ['Patient', 'Observation'] });
  const group = 500;
  for (let start = 0; start < ROWS; start += group) {
    const commands = Array.from({ length: Math.min(group, ROWS - start) }, (_, offset) => {
      const row = start + offset;
      return put('Observation', `o${row}`, 1, entriesOf(row), 'POST', [`p${row % PATIENTS}`]);
    });
    const result = await store.commit({ commands, audit: [] });
    assert.ok(result.ok);
  }
  for (let start = 0; start < PATIENTS; start += group) {
    const commands = Array.from({ length: Math.min(group, PATIENTS - start) }, (_, offset) => {
      const family: IndexEntry = {
        kind: 'string',
        parameter: 'Patient.family',
        folded: `family${start + offset}`,
        exact: `Family${start + offset}`,
        group: 0,
      };
      return put('Patient', `p${start + offset}`, 1, [family], 'POST', [`p${start + offset}`]);
    });
    assert.ok((await store.commit({ commands, audit: [] })).ok);
  }
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const code = (value: string): Predicate => ({
  kind: 'token',
  parameter: 'Observation.code',
  system: LOINC,
  code: value,
});
const patient = (id: string): Predicate => ({
  kind: 'reference',
  parameter: 'Observation.patient',
  targets: [`Patient/${id}`],
});
const newest: readonly SortKey[] = [{ parameter: 'Observation.date', indexed: 'date', descending: true }];
const middle = START + Math.floor(ROWS / 2) * MINUTE;

const rows: readonly (readonly [
  why: string,
  where: Predicate,
  sort: readonly SortKey[],
  count: number,
  found: number,
])[] = [
  [
    'by identifier',
    { kind: 'token', parameter: 'Observation.identifier', system: 'urn:scale', code: 'id7' },
    [],
    10,
    1,
  ],
  ['by patient', patient('p1'), [], 200, 100],
  ['by patient and code', { kind: 'and', of: [patient('p1'), code('c1')] }, [], 200, PATIENTS % CODES === 0 ? 100 : -1],
  ['by patient, newest first', patient('p1'), newest, 20, 20],
  ['all of the type, first page', all, [], 50, 50],
  ['all of the type, newest first', all, newest, 50, 50],
  ['one code of many rows, newest first', code('c3'), newest, 50, 50],
  [
    'an hour by date',
    { kind: 'interval', parameter: 'Observation.date', relation: 'eq', low: middle, high: middle + 60 * MINUTE },
    [],
    100,
    60,
  ],
  ['nothing: an unknown patient', patient('nobody'), newest, 20, 0],
  [
    'chained: the patient by family',
    {
      kind: 'chain',
      parameter: 'Observation.patient',
      type: 'Patient',
      where: { kind: 'string', parameter: 'Patient.family', match: 'exact', value: 'Family3' },
    },
    [],
    200,
    100,
  ],
];
for (const [why, where, sort, count, found] of rows) {
  test(`bounded among ${ROWS} Observations: ${why}`, async () => {
    const { matches } = await store.search(plan('Observation', where, sort), { count });
    if (found >= 0) assert.equal(matches.length, found);
    else assert.ok(matches.length > 0);
  });
}

test(`bounded among ${ROWS} Observations: the last page of a walk is like the first`, async () => {
  const last = `o${ROWS - 1}`;
  const { matches } = await store.search(plan('Observation', all, newest), { count: 1 });
  assert.equal(matches[0]?.key.id, last);
  const page = await store.search(plan('Observation', all, newest), { count: 1000 });
  const next = await store.search(plan('Observation', all, newest), { count: 1000, after: page.next });
  assert.equal(next.matches.length, Math.min(1000, Math.max(0, ROWS - 1000)));
});

test(`patients with a given Observation among ${ROWS}`, async () => {
  const where: Predicate = {
    kind: 'has',
    type: 'Observation',
    parameter: 'Observation.patient',
    where: { kind: 'token', parameter: 'Observation.identifier', system: 'urn:scale', code: 'id5' },
  };
  assert.deepEqual(
    (await store.search(plan('Patient', where), { count: 5 })).matches.map(({ key }) => key.id),
    [`p${5 % PATIENTS}`],
  );
});
