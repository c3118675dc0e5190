// A transaction with Bundle.identifier that is sent again: docs/decisions/0012.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { at, BASE, bundle, json, world } from './write-world.ts';

const IDENTIFIER = { system: 'urn:sender', value: 'MSG-1' };
const PATIENT = { resourceType: 'Patient', active: true };
const message = (more: object = {}, patient: JsonObject = PATIENT): JsonObject => ({
  ...bundle(
    'transaction',
    ['POST', 'Patient', patient],
    ['PUT', 'Basic/b', { resourceType: 'Basic', id: 'b' }],
    ['DELETE', 'Basic/gone'],
    ['DELETE', 'Basic?identifier=none'],
    ['GET', 'Basic/b'],
  ),
  identifier: IDENTIFIER,
  ...more,
});

async function sent() {
  const there = world();
  await there.ask('PUT', '/Basic/gone', { resourceType: 'Basic', id: 'gone' });
  const first = await there.ask('POST', '/', message());
  assert.equal(first.status, 200, first.body);
  return { ...there, first };
}

test('the same again: the same answers, nothing is written, and it is audited', async () => {
  const { ask, store, accesses, first } = await sent();
  for (const again of [message(), message({ timestamp: '2026-01-01T00:00:00Z', meta: { versionId: '2' }, id: 'x' })]) {
    const response = await ask('POST', '/', again);
    assert.equal(response.status, 200, response.body);
    for (const index of [0, 1, 2, 3]) {
      for (const member of ['status', 'location', 'etag']) {
        const path = `entry.${index}.response.${member}`;
        assert.equal(at(json(response), path), at(json(first), path), path);
      }
    }
    assert.equal(at(json(response), 'entry.0.response.location'), `${BASE}/Patient/new-1/_history/1`);
    assert.equal(at(json(response), 'entry.4.resource.id'), 'b', 'what reads is asked anew');
    assert.equal(store.texts('Patient').length, 1);
    assert.deepEqual(accesses.filter(({ envelope }) => envelope !== undefined).at(-1)?.entries, []);
  }
  assert.equal(accesses.filter(({ envelope }) => envelope === 'transaction').length, 3);
});

const ROWS: readonly [bundle: JsonObject, status: number, patients: number, why: string][] = [
  [message(), 200, 1, 'control: the same'],
  [message({}, { ...PATIENT, active: false }), 409, 1, 'another content'],
  [message({ entry: [] }), 409, 1, 'no content'],
  [message({ identifier: { ...IDENTIFIER, value: 'MSG-2' } }), 200, 2, 'another value'],
  [message({ identifier: { ...IDENTIFIER, system: 'urn:other' } }), 200, 2, 'another system'],
  [message({ identifier: { value: 'MSG-1' } }), 200, 2, 'no system'],
  [message({ identifier: { system: 'urn:sender' } }), 200, 2, 'no value: no identity'],
  [message({ identifier: undefined }), 200, 2, 'no identifier'],
];
for (const [again, status, patients, why] of ROWS) {
  test(`${why}: ${status}`, async () => {
    const { ask, store } = await sent();
    const response = await ask('POST', '/', again);
    assert.equal(response.status, status, response.body);
    assert.equal(store.texts('Patient').length, patients);
    if (status === 409) assert.deepEqual(at(json(response), 'issue.0.expression'), ['Bundle.identifier']);
  });
}

test('without identifier the same is done again', async () => {
  const { ask, store } = world();
  for (const _ of [1, 2]) await ask('POST', '/', message({ identifier: undefined }));
  assert.equal(store.texts('Patient').length, 2);
});

test('what was refused is not kept: it may be sent again, corrected', async () => {
  const { ask, store } = world();
  assert.equal((await ask('POST', '/', message({}, { ...PATIENT, unknown: 1 }))).status, 400);
  assert.equal((await ask('POST', '/', message())).status, 200);
  assert.equal(store.texts('Patient').length, 1);
});

test('of 16 at once one is done, all are answered alike', async () => {
  const { ask, store } = world();
  const answers = await Promise.all(Array.from({ length: 16 }, () => ask('POST', '/', message())));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(new Set(answers.map((each) => at(json(each), 'entry.0.response.location'))).size, 1);
  assert.equal(store.texts('Patient').length, 1);
});

test("one principal's identifiers say nothing of another's", async () => {
  const { context, store } = await sent();
  const other = { ...localCaller(localFacts('r-2', '::1')), principal: 'other' };
  const wire = { method: 'POST', path: '/', query: '', headers: { 'content-type': 'application/fhir+json' } };
  const response = await answer({ ...wire, body: JSON.stringify(message()) }, other, context);
  assert.equal(response.status, 200);
  assert.equal(store.texts('Patient').length, 2);
});
