// No work proportional to the store: on a thread without a budget, which refuses to visit more than a few thousand rows, these searches
// answer among STORE_ROWS Observations (default 20,000; the stated count is 1,000,000). Rows are what is bounded here, never time.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { IndexEntry, Predicate, Relation, SortKey } from '../../src/fhir/search/algebra.ts';
import { connect } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite.ts';
import { all, plan, SCANS_ALLOWED } from './contract.ts';
import { auditRow, put } from './world.ts';

const ROWS = Number(process.env.STORE_ROWS ?? 20_000);
const PATIENTS = Math.ceil(ROWS / 100);
const CODES = 20;
const START = Date.UTC(2020, 0, 1);
const MINUTE = 60_000;
const LOINC = 'http://loinc.org';

const folder = mkdtempSync(join(tmpdir(), 'firewatch-scale-'));
let store: SqliteStore;
/** Instants of the first and the last commit, ms. */
let [firstAt, lastAt] = [0, 0];
const statements = new Set<string>();

/** Kinds that fewer resources have: every tenth row. */
function moreOf(row: number): readonly IndexEntry[] {
  if (row % 10 !== 0) return [];
  const of = (name: string) => `Observation.${name}`;
  const degrees = (row / 10) % 1000;
  const point = (name: string, value: number): IndexEntry => ({
    kind: 'quantity',
    parameter: of(name),
    unit: '',
    low: value,
    high: value,
    group: 0,
  });
  return [
    { kind: 'string', parameter: of('value-string'), folded: `text ${row}`, exact: `Text ${row}`, group: 0 },
    { kind: 'uri', parameter: of('_profile'), value: `http://scale/${row}/x`, group: 0 },
    { kind: 'token', parameter: of('pair$1'), system: LOINC, code: `c${row % CODES}`, group: 1 },
    { kind: 'quantity', parameter: of('pair$2'), unit: 'u|mg', low: row, high: row, group: 1 },
    { kind: 'text', parameter: of('_text'), text: `word${row} common`, group: 0 },
    point('near:latitude', degrees / 20),
    point('near:longitude', row / ROWS),
  ];
}

function entriesOf(row: number): readonly IndexEntry[] {
  const low = START + row * MINUTE;
  return [
    ...moreOf(row),
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
    const audit = Array.from({ length: group / 10 }, (_, index) => {
      const row = start + index;
      return auditRow(`${row}`, {
        patient: `p${row % PATIENTS}`,
        entity: `Observation/o${row}`,
        action: row % 250 === 0 ? 'C' : 'R',
      });
    });
    const result = await store.commit({ commands, audit });
    assert.ok(result.ok);
    if (start === 0) firstAt = result.at;
    lastAt = result.at;
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

const HALF = Math.floor(ROWS / 20) * 10;
const of = (name: string): string => `Observation.${name}`;
const interval = (relation: Relation, low: number, high: number, name = 'date'): Predicate => ({
  kind: 'interval',
  parameter: of(name),
  relation,
  low,
  high,
});
const quantity = (relation: Relation, low: number, high: number, name = 'value-quantity', unit = ''): Predicate => ({
  kind: 'quantity',
  parameter: of(name),
  unit,
  relation,
  low,
  high,
});
const string = (match: 'prefix' | 'exact' | 'equal', value: string): Predicate => ({
  kind: 'string',
  parameter: of('value-string'),
  match,
  value,
});
const uri = (match: 'exact' | 'below' | 'above', value: string): Predicate => ({
  kind: 'uri',
  parameter: of('_profile'),
  match,
  value,
});
const and = (...all: readonly Predicate[]): Predicate => ({ kind: 'and', of: all });
const identifier: Predicate = { kind: 'token', parameter: of('identifier'), code: `id${HALF}` };
const END = START + ROWS * MINUTE;

/** Every kind of predicate and every relation, by itself where it can be sought, else beside one that can. */
const KINDS: Readonly<Record<string, readonly [where: Predicate, found: number]>> = {
  'token of any system': [identifier, 1],
  'token by system, first page': [{ kind: 'token', parameter: of('identifier'), system: 'urn:scale' }, 20],
  'token of none': [{ kind: 'token', parameter: of('identifier'), system: 'urn:scale', code: 'none' }, 0],
  'string prefix': [string('prefix', `text ${HALF}`), 1],
  'string exact': [string('exact', `Text ${HALF}`), 1],
  'string equal': [string('equal', `text ${HALF}`), 1],
  'uri exact': [uri('exact', `http://scale/${HALF}/x`), 1],
  'uri below': [uri('below', `http://scale/${HALF}`), 1],
  'uri above': [uri('above', `http://scale/${HALF}/x/y`), 1],
  'reference to several': [{ kind: 'reference', parameter: of('patient'), targets: ['Patient/p1', 'Patient/p2'] }, 20],
  ids: [{ kind: 'ids', ids: ['o1', `o${HALF}`, 'none'] }, 2],
  'date eq': [interval('eq', middle, middle + 3 * MINUTE), 3],
  'date gt': [interval('gt', END - 4 * MINUTE, END - 3 * MINUTE), 3],
  'date ge': [interval('ge', END - 3 * MINUTE, END - 2 * MINUTE), 3],
  'date sa': [interval('sa', END - 4 * MINUTE, END - 3 * MINUTE), 3],
  'date lt': [interval('lt', START + 3 * MINUTE, START + 4 * MINUTE), 3],
  'date le': [interval('le', START + 2 * MINUTE, START + 3 * MINUTE), 3],
  'date eb': [interval('eb', START + 3 * MINUTE, START + 4 * MINUTE), 3],
  'date ap': [interval('ap', middle, middle + 3 * MINUTE), 3],
  'date ne, first page': [interval('ne', middle, middle + MINUTE), 20],
  'date between two': [and(interval('ge', middle, middle + MINUTE), interval('lt', middle + 5 * MINUTE, END)), 5],
  'date between two, beside a code': [
    and(code('c1'), interval('ge', middle, middle + MINUTE), interval('lt', middle + 40 * MINUTE, END)),
    2,
  ],
  '_lastUpdated between two': [
    and(interval('ge', 0, 1, '_lastUpdated'), interval('lt', 1000, 1001, '_lastUpdated')),
    0,
  ],
  '_lastUpdated, nothing later': [interval('gt', Date.UTC(2999, 0), Date.UTC(2999, 1), '_lastUpdated'), 0],
  'quantity eq': [quantity('eq', HALF, HALF, 'pair$2', 'u|mg'), 1],
  'quantity gt': [quantity('gt', ROWS - 21, ROWS - 21, 'pair$2', 'u|mg'), 2],
  'quantity ge': [quantity('ge', ROWS - 20, ROWS - 20, 'pair$2', 'u|mg'), 2],
  'quantity sa': [quantity('sa', ROWS - 21, ROWS - 21, 'pair$2', 'u|mg'), 2],
  'quantity lt': [quantity('lt', 20, 20, 'pair$2', 'u|mg'), 2],
  'quantity le': [quantity('le', 10, 10, 'pair$2', 'u|mg'), 2],
  'quantity eb': [quantity('eb', 20, 20, 'pair$2', 'u|mg'), 2],
  'quantity ap': [quantity('ap', HALF - 5, HALF + 5, 'pair$2', 'u|mg'), 1],
  composite: [
    {
      kind: 'composite',
      components: [
        { kind: 'token', parameter: of('pair$1'), system: LOINC, code: `c${HALF % CODES}` },
        quantity('eq', HALF, HALF, 'pair$2', 'u|mg'),
      ],
    },
    1,
  ],
  text: [{ kind: 'text', parameter: of('_text'), words: [`word${HALF}`, 'common'] }, 1],
  'missing beside a patient': [
    and(patient('p1'), { kind: 'missing', parameter: of('value-string'), missing: true }),
    20,
  ],
  'not missing, first page': [{ kind: 'missing', parameter: of('value-string'), missing: false }, 20],
  'not, beside a patient': [and(patient('p1'), { kind: 'not', of: code('c1') }), -1],
  'or of two': [{ kind: 'or', of: [identifier, string('exact', 'Text 0')] }, 2],
  'contains, beside a patient': [
    and(patient('p0'), { kind: 'string', parameter: of('value-string'), match: 'contains', value: 'text' }),
    -1,
  ],
  'all but a few': [and({ kind: 'not', of: identifier }), 20],
};
for (const [why, [where, found]] of Object.entries(KINDS)) {
  test(`bounded among ${ROWS} Observations: ${why}`, async () => {
    store.watchStatements((text) => statements.add(text));
    const { matches } = await store.search(plan('Observation', where), { count: 20 });
    if (found >= 0) assert.equal(matches.length, found);
  });
}

/** The log, a tenth as long as there are Observations. */
const EVENTS = Math.floor(ROWS / 500) * 50;
const event = (name: string, value: string): Predicate => ({
  kind: 'token',
  parameter: `AuditEvent.${name}`,
  code: value,
});
const entity = (...targets: string[]): Predicate => ({ kind: 'reference', parameter: 'AuditEvent.entity', targets });
const during = (relation: Relation, low: number, high: number): Predicate => ({
  kind: 'interval',
  parameter: 'AuditEvent.date',
  relation,
  low,
  high,
});
const AUDIT: Readonly<Record<string, () => readonly [where: Predicate, found: number]>> = {
  'by entity': () => [entity('Observation/o1'), 1],
  'by one of two entities': () => [{ kind: 'or', of: [entity('Observation/o1'), entity('Observation/o2')] }, 2],
  'by patient': () => [{ kind: 'reference', parameter: 'AuditEvent.patient', targets: ['Patient/p1'] }, -1],
  'by patient and kind': () => [and(entity('Observation/o1'), event('action', 'R')), 1],
  'all, first page': () => [all, 20],
  'by the instant of the last commit': () => [during('ge', lastAt, lastAt + 1), 20],
  'before the first commit': () => [during('lt', firstAt, firstAt + 1), 0],
  'at the first commit': () => [during('eq', firstAt, firstAt + 1), 20],
  'after the last commit': () => [during('sa', lastAt, lastAt + 1), 0],
  'a frequent kind, first page': () => [event('action', 'R'), 20],
  'an unknown kind': () => [event('action', 'X'), 0],
};
for (const [why, row] of Object.entries(AUDIT)) {
  for (const descending of [false, true]) {
    test(`bounded among ${EVENTS} AuditEvents: ${why}, ${descending ? 'newest' : 'oldest'} first`, async () => {
      store.watchStatements((text) => statements.add(text));
      const [where, found] = row();
      const sort: readonly SortKey[] = [{ parameter: 'AuditEvent.date', indexed: 'date', descending }];
      const { matches, next } = await store.search(plan('AuditEvent', where, sort), { count: 20 });
      if (found >= 0) assert.equal(matches.length, found);
      if (next !== undefined) await store.search(plan('AuditEvent', where, sort), { count: 20, after: next });
    });
  }
}

test(`bounded among ${EVENTS} AuditEvents: the page after the middle is like the first`, async () => {
  const sort: readonly SortKey[] = [{ parameter: 'AuditEvent.date', indexed: 'date', descending: true }];
  let after: string | undefined;
  let walked = 0;
  while (walked < EVENTS / 2) {
    const page = await store.search(plan('AuditEvent', all, sort), { count: 1000, after });
    walked += page.matches.length;
    after = page.next;
    if (after === undefined) break;
  }
  const page = await store.search(plan('AuditEvent', all, sort), { count: 20, after });
  assert.equal(page.matches.length, Math.min(20, Math.max(0, EVENTS - walked)));
});

test(`among ${ROWS} Observations every statement seeks: by a key or an index, never a table from end to end`, () => {
  const connection = connect({ folder });
  connection.function('tick', { deterministic: false }, () => 1);
  const scans = [...statements]
    .filter((text) => !/^(BEGIN|COMMIT)/.test(text))
    .flatMap((text) =>
      connection
        .prepare(`EXPLAIN QUERY PLAN ${text}`)
        .all(...Array(text.split('?').length - 1).fill(null))
        .map((step) => String((step as { detail: string }).detail))
        .filter((detail) => detail.startsWith('SCAN ') && !SCANS_ALLOWED.test(detail))
        .map((detail) => `${detail} in ${text}`),
    );
  connection.close();
  assert.ok(statements.size > 60, `control: ${statements.size} statements seen`);
  assert.deepEqual(scans.slice(0, 5), []);
});

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
