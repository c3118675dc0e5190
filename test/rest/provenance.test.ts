// The X-Provenance header: http.html#custom-headers; docs/decisions/0012. Target and writing stand in one commit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/fhir/resource.ts';
import { PROVENANCE_LIMIT } from '../../src/rest/interactions/provenance.ts';
import { at, BASE, bundle, json, world } from './write-world.ts';

const PROVENANCE = {
  resourceType: 'Provenance',
  recorded: '2026-01-01T00:00:00Z',
  agent: [{ who: { reference: `${BASE}/Practitioner/dr` } }],
};
const header = (value: object | string = PROVENANCE) => ({
  'x-provenance': typeof value === 'string' ? value : JSON.stringify(value),
});
const PATIENT = { resourceType: 'Patient', id: 'p', active: true };

/** References of the one Provenance that is stored; [] without one. */
function targets({ store }: ReturnType<typeof world>): Json[] {
  const [text, ...more] = store.texts('Provenance');
  assert.deepEqual(more, []);
  if (text === undefined) return [];
  const target = at(JSON.parse(text), 'target');
  return Array.isArray(target) ? target.map((each: Json) => at(each, 'reference') ?? null) : [];
}

const PATCH = [{ op: 'replace', path: '/active', value: false }];
const WRITES: readonly [method: string, url: string, body: unknown, headers: object, target: readonly string[]][] = [
  ['POST', '/Patient', PATIENT, {}, ['Patient/new-1/_history/1']],
  ['POST', '/Patient', PATIENT, { 'if-none-exist': 'identifier=9' }, ['Patient/new-1/_history/1']],
  ['PUT', '/Patient/p', { ...PATIENT, active: false }, {}, ['Patient/p/_history/2']],
  ['PUT', '/Patient/q', { ...PATIENT, id: 'q' }, {}, ['Patient/q/_history/1']],
  ['PUT', '/Patient?_id=p', { ...PATIENT, active: false }, {}, ['Patient/p/_history/2']],
  ['PATCH', '/Patient/p', PATCH, { 'content-type': 'application/json-patch+json' }, ['Patient/p/_history/2']],
  ['DELETE', '/Patient/p', undefined, {}, ['Patient/p/_history/2']],
  ['DELETE', '/Patient?_id=p', undefined, {}, ['Patient/p/_history/2']],
  ['PUT', '/Patient/p', PATIENT, {}, []],
  ['DELETE', '/Patient/never', undefined, {}, []],
  ['GET', '/Patient/p', undefined, {}, []],
];
for (const referentialIntegrity of [false, true]) {
  test(`the target is the version that is written (referential integrity ${referentialIntegrity})`, async () => {
    for (const [method, url, body, headers, target] of WRITES) {
      const there = world({ referentialIntegrity });
      await there.ask('PUT', '/Practitioner/dr', { resourceType: 'Practitioner', id: 'dr' });
      await there.ask('PUT', '/Patient/p', PATIENT);
      const before = there.store.commits.length;
      const response = await there.ask(method, url, body, { ...header(), ...headers });
      assert.ok(response.status < 300, `${method} ${url} ${response.body}`);
      assert.deepEqual(targets(there), target, `${method} ${url}`);
      assert.equal(there.store.commits.length, before + 1, 'one commit');
      assert.notEqual(json(response).resourceType, 'Provenance');
      const interactions = there.accesses.at(-1)?.entries.map((entry) => [entry.interaction, entry.resource?.type]);
      if (target.length > 0) assert.deepEqual(interactions?.at(-1), ['create', 'Provenance'], `${method} ${url}`);
      assert.equal(interactions?.length, target.length > 0 ? 2 : 1, `${method} ${url}`);
    }
  });
}

test('own references become relative; what the client says of the target and the id is replaced', async () => {
  const there = world();
  const sent = { ...PROVENANCE, id: 'mine', target: [{ reference: 'Patient/other' }] };
  await there.ask('POST', '/Patient', PATIENT, header(sent));
  assert.deepEqual(targets(there), ['Patient/new-1/_history/1']);
  const [text = ''] = there.store.texts('Provenance');
  assert.match(text, /"who":\{"reference":"Practitioner\/dr"\}/);
  assert.match(text, /"id":"new-2"/);
});

test('a name beyond ASCII comes as bytes, one a character', async () => {
  const there = world();
  const text = JSON.stringify({ ...PROVENANCE, agent: [{ who: { display: 'Jürgen 李' } }] });
  await there.ask('POST', '/Patient', PATIENT, header(Buffer.from(text, 'utf8').toString('latin1')));
  assert.match(there.store.texts('Provenance')[0] ?? '', /"Jürgen 李"/);
});

test('transaction: every written version is a target, nothing else', async () => {
  const there = world();
  await there.ask('PUT', '/Patient/p', PATIENT);
  await there.ask('PUT', '/Patient/gone', { ...PATIENT, id: 'gone' });
  const response = await there.ask(
    'POST',
    '/',
    bundle(
      'transaction',
      ['POST', 'Basic', { resourceType: 'Basic' }],
      ['PUT', 'Patient/p', PATIENT],
      ['DELETE', 'Patient/gone'],
      ['GET', 'Patient/p'],
    ),
    header(),
  );
  assert.equal(response.status, 200, response.body);
  assert.deepEqual(targets(there), ['Basic/new-1/_history/1', 'Patient/gone/_history/2']);
  assert.deepEqual(Array.isArray(json(response).entry) && json(response).entry, at(json(response), 'entry'));
  assert.equal(at(json(response), 'entry.4'), undefined, 'one answer an entry');
});

const long = { ...PROVENANCE, language: 'x'.repeat(PROVENANCE_LIMIT) };
const exact = (): string => {
  const text = JSON.stringify({ ...PROVENANCE, language: '' });
  return text.replace('"language":""', `"language":"${'x'.repeat(PROVENANCE_LIMIT - text.length)}"`);
};
const REFUSED: readonly [status: number, value: object | string, why: string][] = [
  [201, PROVENANCE, 'control'],
  [201, exact(), 'as long as is allowed'],
  [400, long, 'longer'],
  [400, '', 'empty'],
  [400, '{', 'not JSON'],
  [400, '[]', 'no object'],
  [400, { resourceType: 'Patient' }, 'another resource'],
  [400, { ...PROVENANCE, unknown: 1 }, 'an element that is none'],
  [400, '{"resourceType":"Provenance","__proto__":{}}', 'prototype pollution'],
];
test('what is not a valid Provenance is refused, and nothing is written', async () => {
  for (const [status, value, why] of REFUSED) {
    for (const whole of [false, true]) {
      const { ask, store, accesses } = world();
      const response = whole
        ? await ask('POST', '/', bundle('transaction', ['POST', 'Patient', PATIENT]), header(value))
        : await ask('POST', '/Patient', PATIENT, header(value));
      assert.equal(response.status, whole && status === 201 ? 200 : status, `${why} ${response.body}`);
      assert.equal(store.texts('Patient').length, status === 201 ? 1 : 0, why);
      assert.equal(store.texts('Provenance').length, status === 201 ? 1 : 0, why);
      assert.equal(accesses.at(-1)?.status, response.status, why);
      if (status === 400) assert.match(String(at(json(response), 'issue.0.diagnostics')), /^X-Provenance: /, why);
    }
  }
  const { ask } = world();
  assert.equal(
    (await ask('POST', '/', bundle('batch', ['POST', 'Patient', PATIENT]), header())).status,
    400,
    'a batch',
  );
});

test('a lost race is decided anew: the target is the version that is written then', async () => {
  const there = world();
  await there.ask('PUT', '/Patient/p', PATIENT);
  const rival = there.store.commits.at(-1);
  there.store.before = () => {
    const commands = (rival?.commands ?? []).map((command) =>
      command.op === 'put' ? { ...command, version: 2 } : command,
    );
    there.store.apply({ commands, audit: [] });
  };
  await there.ask('PUT', '/Patient/p', { ...PATIENT, active: false }, header());
  assert.deepEqual(targets(there), ['Patient/p/_history/3']);
});
