// observation-operation-lastn.html: the table of groups, max, ties, what a request must hold.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { idsOf, json } from '../world.ts';
import { type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

let w: OperationsWorld;
const LAB = [
  { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] },
];

function observation(id: string, patient: string, codes: readonly string[], day: string | undefined): Resource {
  const code = codes[0]?.startsWith("'")
    ? { text: codes[0].slice(1, -1) }
    : { coding: codes.map((each) => ({ system: 'http://example.org', code: each })) };
  const effective = day === undefined ? {} : { effectiveDateTime: day };
  const subject = { reference: `Patient/${patient}` };
  return { resourceType: 'Observation', id, status: 'final', category: LAB, code, subject, ...effective };
}

before(async () => {
  w = await operationsWorld();
  await w.hold(
    ...['p1', 'p2', 'p3', 'p4', 'p5'].map((id) => ({ resourceType: 'Patient', id })),
    observation('a1', 'p1', ['a'], '2025-01-01'),
    observation('a2', 'p1', ['a'], '2025-01-02'),
    observation('a3', 'p1', ['a'], '2025-01-03'),
    observation('a3-too', 'p1', ['a'], '2025-01-03'),
    observation('b1', 'p1', ['b'], '2024-01-01'),
    observation('b0', 'p1', ['b'], undefined),
    // the table of the specification: one patient a row
    observation('r1a', 'p2', ['a'], '2025-01-01'),
    observation('r1b', 'p2', ['b'], '2025-01-02'),
    observation('r1c', 'p2', ['c'], '2025-01-03'),
    observation('r2a', 'p3', ['a'], '2025-01-01'),
    observation('r2b', 'p3', ['b'], '2025-01-02'),
    observation('r2c', 'p3', ['a', 'c'], '2025-01-03'),
    observation('r3a', 'p4', ['a'], '2025-01-01'),
    observation('r3b', 'p4', ['b'], '2025-01-02'),
    observation('r3c', 'p4', ['a', 'b'], '2024-01-03'),
    observation('r4a', 'p5', ["'textM'"], '2025-01-01'),
    observation('r4b', 'p5', ["'Text'"], '2025-01-02'),
    observation('r4c', 'p5', ["'t e x t'"], '2025-01-03'),
  );
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

const rows: readonly (readonly [query: string, ids: readonly string[], why: string])[] = [
  ['patient=p1&category=laboratory', ['a3-too', 'a3', 'b1'], 'one of each code, and its tie'],
  ['patient=p1&category=laboratory&max=3', ['a3-too', 'a3', 'a2', 'b1', 'b0'], 'three of each, newest first'],
  ['patient=p1&code=b&max=1', ['b1'], 'a code; without date comes last'],
  ['subject=Patient/p1&code=http://example.org%7Cb&max=2', ['b1', 'b0'], 'subject'],
  ['patient=p1&code=a&date=lt2025-01-03', ['a2'], 'other criteria filter'],
  ['patient=p2&category=laboratory', ['r1c', 'r1b', 'r1a'], 'row 1: [a],[b],[c]'],
  ['patient=p3&category=laboratory', ['r2c', 'r2b'], 'row 2: [a,c],[b]'],
  ['patient=p4&category=laboratory', ['r3b'], 'row 3: [a,b], joined by the oldest'],
  ['patient=p5&category=laboratory', ['r4c', 'r4b', 'r4a'], 'row 4: text is compared as written'],
  ['patient=nobody&category=laboratory', [], 'nothing is no error'],
];
for (const [query, ids, why] of rows) {
  test(`lastn ${query}: ${why}`, async () => {
    const bundle = json(await w.send('GET', `/Observation/$lastn?${query}`));
    assert.deepEqual([...idsOf(bundle)].toSorted(), [...ids].toSorted(), JSON.stringify(bundle));
    assert.equal(bundle.total, ids.length);
  });
}

test('lastn: from the most recent to the oldest', async () => {
  const ids = idsOf(json(await w.send('GET', '/Observation/$lastn?patient=p1&code=a,b&max=9')));
  assert.deepEqual(ids.slice(2), ['a2', 'a1', 'b1', 'b0']);
});

test('lastn by POST: search parameters are strings', async () => {
  const body = parameters(
    ['patient', { valueString: 'p1' }],
    ['code', { valueString: 'b' }],
    ['max', { valuePositiveInt: 1 }],
  );
  assert.deepEqual(idsOf(json(await w.send('POST', '/Observation/$lastn', { body }))), ['b1']);
});

const refused: readonly (readonly [query: string, why: string])[] = [
  ['category=laboratory', 'no subject'],
  ['patient=p1', 'neither category nor code'],
  ['patient=p1&status=final', 'another token is no code'],
  ['patient=p1&code=a&max=0', 'max is positive'],
  ['patient=p1&code=a&max=x', 'max is a number'],
  ['patient=p1&code=a&_sort=date', 'a result parameter'],
  ['patient=p1&code=a&_count=2', 'a result parameter'],
  ['patient=p1&code=a&strange=2', 'not a search parameter'],
];
for (const [query, why] of refused) {
  test(`lastn refuses ${query}: ${why}`, async () =>
    assert.equal((await w.send('GET', `/Observation/$lastn?${query}`)).status, 400));
}

test('lastn under a narrower view gives nothing that is hidden', async () => {
  const hidden = () => ({ kind: 'none' }) as const;
  assert.deepEqual(idsOf(json(await w.sendAs(hidden, 'GET', '/Observation/$lastn?patient=p1&code=a'))), []);
});

test('lastn: the audit names the patients of what was given', async () => {
  w.accesses.length = 0;
  await w.send('GET', '/Observation/$lastn?patient=p2&category=laboratory');
  const [entry] = w.accesses[0]?.entries ?? [];
  assert.deepEqual([entry?.operation, entry?.patients], ['lastn', ['p2']]);
});
