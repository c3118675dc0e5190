// Every row of cases/search-*.json through the public door: validated and stored by PUT, asked by GET, refused with an OperationOutcome.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FILES } from '../../scripts/search-cases.ts';
import { parseJson, type Resource, serialize } from '../../src/fhir/resource.ts';
import { at, BASE, idsOf, json } from '../world.ts';
import { engineWorld } from './engine-world.ts';

interface Table {
  readonly anchor: string;
  readonly resources: readonly (Resource & { readonly id: string })[];
  readonly rows: readonly (readonly [query: string, ids: readonly string[], why: string])[];
  readonly refused?: readonly (readonly [query: string, kind: string, why: string])[];
}
const cases = new URL('../fhir/cases/', import.meta.url);
/** 2026-01-01T00:00:00Z. */
const NOW = 1_767_225_600_000;

/** Mandatory elements that no row is about. */
const NEEDED: Readonly<Record<string, object>> = {
  DiagnosticReport: { status: 'final', code: { text: 'needed' } },
  Observation: { status: 'final', code: { text: 'needed' } },
  RiskAssessment: { status: 'final', subject: { reference: 'Patient/needed' } },
  Encounter: { status: 'finished', class: { code: 'AMB' } },
  List: { status: 'current', mode: 'working' },
};

/** `Patient?name=x`, or `name=x` for the table's own type. */
const asked = (text: string, type: string): string => `/${/^[A-Z][A-Za-z]+\?/.test(text) ? text : `${type}?${text}`}`;

for (const name of readdirSync(cases).filter((each) => /^search.*\.json$/.test(each))) {
  const text = readFileSync(new URL(name, cases), 'utf8').replaceAll('http://fire.example/fhir', BASE);
  const table = parseJson(text) as unknown as Table;
  const type = table.resources[0]?.resourceType ?? '';

  test(`fhir-r4@${table.anchor} ${name} through the door`, async (context) => {
    const resources = table.resources.map((each) => ({ ...NEEDED[each.resourceType], ...each }));
    const there = await engineWorld(JSON.parse(serialize(resources as never)), NOW);
    context.after(() => there.close());
    const wrong: string[] = [];
    for (const [query, ids, why] of table.rows) {
      const answer = await there.send('GET', `${asked(query, type)}&_count=1000`);
      const actual = idsOf(json(answer)).toSorted().join(' ');
      const expected = ids.toSorted().join(' ');
      if (answer.status !== 200 || actual !== expected)
        wrong.push(`${query} ${answer.status} [${actual}], not [${expected}]: ${why}`);
    }
    for (const [query, kind, why] of table.refused ?? []) {
      const answer = await there.send('GET', asked(query, type));
      const issue = at(json(answer), 'issue.0.severity');
      if (answer.status !== (kind === 'unknown-type' ? 404 : 400) || issue !== 'error')
        wrong.push(`${query} ${answer.status}, not refused: ${why}`);
    }
    assert.equal(wrong.join('\n'), '');
  });
}

test('the tables of every prefix are what scripts/search-cases.ts makes of the hand-written intervals', () => {
  for (const [name, file] of Object.entries(FILES)) {
    const { anchor, resources, rows } = JSON.parse(readFileSync(new URL(name, cases), 'utf8'));
    assert.deepEqual({ anchor, resources, rows }, file, `${name}: node scripts/search-cases.ts`);
  }
});

/** Rows that a kind of parameter has at least, found and refused. */
const LEAST: readonly (readonly [files: RegExp, rows: number])[] = [
  [/date/, 400],
  [/number/, 60],
  [/quantit/, 90],
  [/token/, 90],
  [/string|text/, 90],
  [/reference|contained|list/, 90],
  [/composite/, 30],
  [/uri/, 30],
  [/near|filter/, 90],
];
for (const [files, least] of LEAST) {
  test(`case tables: at least ${least} rows of ${files.source}`, () => {
    const names = readdirSync(cases).filter((each) => /^search/.test(each) && files.test(each));
    const tables = names.map((each) => JSON.parse(readFileSync(new URL(each, cases), 'utf8')) as Table);
    const count = tables.reduce((sum, { rows, refused = [] }) => sum + rows.length + refused.length, 0);
    assert.ok(count >= least, `${count}`);
  });
}
