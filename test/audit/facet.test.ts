// docs/decisions/0004-audit-row.md: what search finds is what reading shows. The index of a row equals the ordinary extraction of its events.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Access, auditRow } from '../../src/audit.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { accessOf, caller, entriesOf, findings, HOOK, keyMint, rendered, SALT, SAMPLES, SOURCE } from './world.ts';

const ELSEWHERE = /^AuditEvent\.(patient|entity|date)(?![\w-])/;
const text = (entries: readonly IndexEntry[]): string[] => entries.map((entry) => JSON.stringify(entry)).toSorted();
const targets = (entries: readonly IndexEntry[], parameter: string): string[] =>
  entries
    .flatMap((entry) => (entry.kind === 'reference' && entry.parameter === parameter ? [entry.target] : []))
    .toSorted();

function agrees(access: Access): void {
  const row = auditRow(access, keyMint().keys, SALT, SOURCE, entriesOf);
  const patients = new Map(row.subjects.map(({ key, patient }) => [key, `Patient/${patient}`]));
  for (const [index, event] of rendered(row).entries()) {
    const resource = JSON.parse(JSON.stringify(event));
    assert.deepEqual(findings(resource), []);
    const extracted = entriesOf(resource);
    const indexed = row.events[index];
    assert.ok(indexed);
    const facets = [...indexed.kind.entries, ...indexed.agents.entries];
    assert.deepEqual(text(facets), text(extracted.filter(({ parameter }) => !ELSEWHERE.test(parameter))));
    const subjects = indexed.subjects.map((key) => patients.get(key) ?? '').toSorted();
    assert.deepEqual(subjects, targets(extracted, 'AuditEvent.patient'));
    const entities = targets(extracted, 'AuditEvent.entity').filter((target) => !target.startsWith('Patient/'));
    assert.deepEqual([...indexed.entities].toSorted(), entities);
  }
}

for (const [name, access] of Object.entries(SAMPLES)) test(`index equals extraction: ${name}`, () => agrees(access));

const id = fc.constantFrom('a', 'b', 'c');
const entry = fc.record({
  interaction: fc.constantFrom(
    'read',
    'vread',
    'create',
    'delete',
    'search-type',
    'history-type',
    'operation',
    'odd',
    '',
  ),
  patients: fc.uniqueArray(id, { maxLength: 3 }),
  resource: fc.record({ type: fc.constantFrom('Patient', 'Observation'), id }),
});
const more = fc.record(
  {
    query: fc.constant('GET /x?y=z'),
    operation: fc.constantFrom('everything', 'lastn'),
    asked: fc.record({
      server: fc.constantFrom('https://ehr.example/fhir', 'http://127.0.0.1:9/fhir', SOURCE.observer),
      status: fc.constantFrom(undefined, 200, 404, 503),
    }),
  },
  { requiredKeys: [] },
);
const access = fc
  .record({
    entries: fc.array(fc.tuple(entry, more, fc.boolean()), { maxLength: 3 }),
    status: fc.constantFrom(200, 404, 503),
    user: fc.constantFrom(
      undefined,
      'Practitioner/1',
      'Patient/a',
      'https://ehr.example/Practitioner/2',
      'odd one',
      '',
    ),
    address: fc.constantFrom('192.0.2.1', 'host.example', ''),
    hook: fc.constantFrom(
      undefined,
      HOOK,
      { ...HOOK, models: [] },
      { ...HOOK, patient: undefined, cards: [] },
      { ...HOOK, patient: 'no id' },
    ),
    envelope: fc.constantFrom(undefined, 'batch' as const),
  })
  .map(({ entries, status, user, address, hook, envelope }) =>
    accessOf(
      entries.map(([{ resource, ...one }, two, bare]) => ({ ...one, ...two, ...(bare ? {} : { resource }) })),
      {
        status,
        caller: { ...caller(user), address },
        ...(hook === undefined ? {} : { hook }),
        ...(envelope === undefined ? {} : { envelope }),
      },
    ),
  );
test('index equals extraction for any request', () => fc.assert(fc.property(access, agrees), { numRuns: 300 }));

test('facets are few: equal shapes share them whatever the ids and instants', () => {
  const keys = new Set<string>();
  for (let number = 0; number < 50; number++) {
    const resource = { type: 'Observation', id: `o${number}` };
    const { events } = auditRow(
      accessOf([{ interaction: 'read', resource, patients: [`p${number}`] }], {
        caller: { ...caller(), requestId: `request-${number}` },
      }),
      keyMint().keys,
      SALT,
      SOURCE,
      entriesOf,
    );
    for (const { kind, agents } of events) keys.add(kind.key).add(agents.key);
  }
  assert.equal(keys.size, 2);
});

test('the extractor runs once for each shape', () => {
  let runs = 0;
  const counted = (resource: Parameters<typeof entriesOf>[0]): readonly IndexEntry[] => {
    runs++;
    return entriesOf(resource);
  };
  for (const patients of [['a', 'b', 'c'], ['d']])
    auditRow(
      accessOf([{ interaction: 'search-type', query: 'GET /x', patients }]),
      keyMint().keys,
      SALT,
      SOURCE,
      counted,
    );
  assert.equal(runs, 1);
});
