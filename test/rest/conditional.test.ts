// Conditional interactions: http.html#ccreate, #cond-update, #3.1.0.7.1 (conditional delete).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BASE, json, world } from './write-world.ts';

const patient = (value: string, more: object = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: 'urn:mrn', value }],
  ...more,
});
const exist = (criteria: string) => ({ 'if-none-exist': criteria });

test('#ccreate: no match 201, one match 200 with its Location, many 412', async () => {
  const { ask, store } = world();
  const send = () => ask('POST', '/Patient', patient('1'), exist('identifier=urn:mrn|1'));
  assert.equal((await send()).status, 201);
  const second = await send();
  assert.deepEqual(
    [second.status, second.headers.Location, second.headers.ETag],
    [200, `${BASE}/Patient/new-1/_history/1`, 'W/"1"'],
  );
  assert.equal(json(second).id, 'new-1');
  await ask('POST', '/Patient', patient('1'));
  assert.equal((await send()).status, 412);
  assert.equal(store.texts('Patient').length, 2);
});

test('#ccreate: 64 callers at once with the same If-None-Exist create one resource', async () => {
  const { ask, store } = world();
  const answers = await Promise.all(
    Array.from({ length: 64 }, () => ask('POST', '/Patient', patient('1'), exist('identifier=urn:mrn|1'))),
  );
  assert.equal(store.texts('Patient').length, 1);
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  assert.equal(answers.filter(({ status }) => status === 200).length, 63);
});

test('criteria: what selects nothing or shapes a result is refused', async () => {
  const rows: readonly [criteria: string, status: number][] = [
    ['identifier=1', 201],
    ['?identifier=1', 201],
    ['Patient?identifier=1', 201],
    ['identifier=1&_count=1', 400],
    ['identifier=1&_sort=_id', 400],
    ['identifier=1&_include=*', 400],
    ['nonsense=1', 400],
    ['', 400],
    ['_count=1', 400],
  ];
  for (const [criteria, status] of rows) {
    const { ask, store } = world();
    assert.equal((await ask('POST', '/Patient', patient('2'), exist(criteria))).status, status, criteria);
    assert.equal(store.texts('Patient').length, status === 201 ? 1 : 0);
  }
});

test('#cond-update: no match creates, one updates, many 412', async () => {
  const { ask } = world();
  const send = (body: object, headers = {}) => ask('PUT', '/Patient?identifier=urn:mrn|1', body, headers);
  const first = await send(patient('1'));
  assert.deepEqual([first.status, first.headers.Location], [201, `${BASE}/Patient/new-1/_history/1`]);
  const second = await send(patient('1', { active: true }));
  assert.deepEqual([second.status, second.headers.Location], [200, `${BASE}/Patient/new-1/_history/2`]);
  assert.equal((await send(patient('1', { id: 'new-1' }))).status, 200, 'the id of the match');
  assert.equal((await send(patient('1', { id: 'other' }))).status, 400, 'another id than the match');
  assert.equal((await send(patient('1'), { 'if-match': 'W/"2"' })).status, 412, 'the version before');
  assert.equal((await send(patient('1'), { 'if-match': 'W/"3"' })).status, 200, 'the current version');
  assert.equal((await send(patient('1'))).headers.ETag, 'W/"3"', 'what is held already makes no version');
  await ask('POST', '/Patient', patient('1'));
  assert.equal((await send(patient('1'))).status, 412, 'many');
});

test('#cond-update: no match with an id is an update as create, unless the id is held', async () => {
  const { ask } = world();
  const send = (id: string) => ask('PUT', '/Patient?identifier=urn:mrn|1', patient('2', { id }));
  const created = await send('mine');
  assert.deepEqual([created.status, created.headers.Location], [201, `${BASE}/Patient/mine/_history/1`]);
  assert.equal((await send('mine')).status, 409);
  assert.equal((await send('not an id')).status, 400);
  const organization = { resourceType: 'Organization', id: 'o' };
  assert.equal((await ask('PUT', '/Organization?identifier=1', organization)).status, 405);
});

test('#3.1.0.7.1: conditional delete of none, one and many', async () => {
  const { ask, store, accesses } = world();
  const send = () => ask('DELETE', '/Patient?identifier=urn:mrn|1');
  assert.equal((await send()).status, 204);
  assert.equal(accesses[0]?.entries[0]?.query, 'DELETE /fhir/Patient?identifier=urn:mrn|1');
  await ask('POST', '/Patient', patient('1'));
  assert.equal((await send()).status, 204);
  assert.equal(store.texts('Patient').length, 0);
  await ask('POST', '/Patient', patient('1'));
  await ask('POST', '/Patient', patient('1'));
  assert.equal((await send()).status, 412);
  assert.equal((await ask('DELETE', '/Patient')).status, 400);
  assert.equal(store.texts('Patient').length, 2);
});

test('a match that appears between search and commit is seen', async () => {
  const { ask, store } = world();
  await ask('POST', '/Patient', patient('1'));
  const rival = store.commits.at(-1);
  await ask('DELETE', '/Patient/new-1');
  store.before = () => {
    const commands = (rival?.commands ?? []).map((command) =>
      command.op === 'put' ? { ...command, key: { type: 'Patient', id: 'rival' } } : command,
    );
    store.apply({ commands, audit: [] });
  };
  const response = await ask('POST', '/Patient', patient('1'), exist('identifier=urn:mrn|1'));
  assert.deepEqual([response.status, response.headers.Location], [200, `${BASE}/Patient/rival/_history/1`]);
});
