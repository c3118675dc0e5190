// docs/decisions/0011: every requirement of docs/requirements is either tested by a test that exists, or says why not; the page is up to date.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  coveragePage,
  csvRecords,
  isTestThere,
  type Requirement,
  requirementSets,
  requirementsOf,
} from '../scripts/requirements.ts';

const sets = requirementSets();
const all = sets.flatMap(({ rows }) => rows);
const named = ({ tests }: Requirement): string => tests.map(({ path, name }) => `${path} :: ${name}`).join('; ');

test('ledger: the sets, and ids that name their set and are unique', () => {
  assert.deepEqual(
    sets.map(({ name }) => name),
    [
      'fhir-r4-http',
      'fhir-r4-operations',
      'fhir-r4-search',
      'cds-hooks-2.0',
      'cds-clauses',
      'balp',
      'reliability',
      'scores',
      'triage',
      'drug-safety',
      'risk-eligibility',
      'trained-models',
      'subscriptions',
      'smart',
      'smart-server',
      'privacy',
      'smart-clauses',
      'surveillance',
      'card-content',
      'monitoring',
    ],
  );
  for (const { name, rows } of sets) {
    assert.ok(rows.length > 0, name);
    assert.deepEqual(
      rows.filter(({ id }) => !/^[a-z0-9.-]+@[a-z0-9-]+$/.test(id) || !id.startsWith(`${name}@`)).map(({ id }) => id),
      [],
    );
  }
  const ids = all.map(({ id }) => id);
  assert.deepEqual(
    ids.filter((id, index) => ids.indexOf(id) !== index),
    [],
  );
});

const rules: readonly [rule: string, breaks: (row: Requirement) => boolean][] = [
  ['a clause and a source', ({ clause, source }) => clause === '' || source === ''],
  ['a clause is one short sentence', ({ clause }) => clause.length > 160],
  ['tested and partly name a test', ({ status, tests }) => /^(?:tested|partly)$/.test(status) && tests.length === 0],
  ['what is not built names no test', ({ status, tests }) => !/^(?:tested|partly)$/.test(status) && tests.length > 0],
  ['what is not wholly tested says why', ({ status, note }) => (status === 'tested') !== (note === '')],
  ['the tests that are named exist', ({ tests }) => !tests.every(isTestThere)],
];
for (const [rule, breaks] of rules) {
  test(`ledger: ${rule}`, () => {
    assert.deepEqual(
      all.filter(breaks).map((row) => `${row.id} ${row.status} ${named(row)} ${row.note}`),
      [],
    );
  });
}

const there: readonly [expected: boolean, path: string, name: string, why: string][] = [
  [true, 'test/requirements.test.ts', 'ledger: ', 'control'],
  [true, 'test/fhir/cases/search-tokens.json', 'any system', 'a row of a case table'],
  [true, 'test/store/contract.ts', 'AuditEvents are neither put nor deleted', 'a contract that an engine runs'],
  [false, 'test/rest/read.test.ts', 'no such test', 'a name that is nowhere'],
  [false, 'test/rest/read.test.ts', '#vread, #cread', 'a comment is no test'],
  [false, 'test/rest/read.test.ts', 'fhi', 'too short to name anything'],
  [false, 'test/none.test.ts', 'anything', 'a file that is not there'],
  [false, 'test/../src/main.ts', 'Command', 'a file that is no test'],
  [false, 'test/rest/write-store.ts', 'class MemoryStore', 'a file without tests'],
];
test('ledger: what counts as a test that is there', () => {
  for (const [expected, path, name, why] of there) assert.equal(isTestThere({ path, name }), expected, why);
});

const csv: readonly [text: string, records: readonly (readonly string[])[] | undefined, why: string][] = [
  ['', [], 'nothing'],
  [
    'a,b\nc,d\n',
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
    'control',
  ],
  ['a,b', [['a', 'b']], 'no line end'],
  ['a,\n', [['a', '']], 'an empty last field'],
  ['"a,""b""\nc",d\r\n', [['a,"b"\nc', 'd']], 'quotes, comma and line end inside'],
  ['"a', undefined, 'a quote that is not closed'],
  ['a"b,c', undefined, 'a quote inside a plain field'],
];
test('csv: RFC 4180', () => {
  for (const [text, records, why] of csv) {
    if (records === undefined) assert.throws(() => csvRecords(text), TypeError, why);
    else assert.deepEqual(csvRecords(text), records, why);
  }
  assert.throws(() => requirementsOf('id,clause\n'), /columns/);
  assert.throws(() => requirementsOf('id,clause,strength,source,status,tests,note\na,b,MUST,c,tested,,\n'), /MUST/);
});

test('docs/requirements-coverage.md is up to date: npm run docs', () => {
  assert.equal(readFileSync('docs/requirements-coverage.md', 'utf8'), coveragePage(sets));
});
