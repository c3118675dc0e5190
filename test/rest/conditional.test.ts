// Conditional interactions: http.html#ccreate, #cond-update, #3.1.0.7.1 (conditional delete).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BASE, bundle, json, world } from './write-world.ts';

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
  for (let made = 0; made < 4; made++) await ask('POST', '/Patient', patient('1'));
  assert.equal((await send()).status, 412);
  assert.equal((await ask('DELETE', '/Patient')).status, 400);
  assert.equal(store.texts('Patient').length, 4);
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

// Limit of these tests: 3 (Organization claims `single`). Both sides of each.
const DELETIONS: readonly [type: string, held: number, status: number, left: number][] = [
  ['Patient', 0, 204, 0],
  ['Patient', 1, 204, 0],
  ['Patient', 2, 204, 0],
  ['Patient', 3, 204, 0],
  ['Patient', 4, 412, 4],
  ['Organization', 1, 204, 0],
  ['Organization', 2, 412, 2],
];
for (const way of ['alone', 'transaction'] as const) {
  test(`#3.1.0.7.1 conditional delete, ${way}: all up to the limit, none above it`, async () => {
    for (const [type, count, status, left] of DELETIONS) {
      const { ask, store, accesses } = world();
      const resource = { resourceType: type, identifier: [{ system: 'urn:mrn', value: '1' }] };
      for (let made = 0; made < count; made++) await ask('POST', `/${type}`, resource);
      await ask('POST', `/${type}`, { resourceType: type });
      const url = `${type}?identifier=urn:mrn|1`;
      const response =
        way === 'alone'
          ? await ask('DELETE', `/${url}`)
          : await ask('POST', '/', bundle('transaction', ['DELETE', url]));
      const what = `${type} ${count}`;
      assert.equal(response.status, way === 'transaction' && status === 204 ? 200 : status, what);
      assert.equal(store.texts(type).length, left + 1, what);
      const last = accesses.at(-1);
      if (status === 204 && count > 0) {
        assert.deepEqual(
          last?.entries.map(({ interaction, resource: data }) => [interaction, data?.version]),
          Array.from({ length: count }, () => ['delete', 2]),
          what,
        );
      }
      assert.equal(last?.status, response.status, what);
    }
  });
}

test('#3.1.0.7.1 conditional delete: what came to match meanwhile is deleted too', async () => {
  const { ask, store } = world();
  await ask('POST', '/Patient', patient('1'));
  const rival = store.commits.at(-1);
  store.before = () => {
    const commands = (rival?.commands ?? []).map((command) =>
      command.op === 'put' ? { ...command, key: { type: 'Patient', id: 'rival' } } : command,
    );
    store.apply({ commands, audit: [] });
  };
  assert.equal((await ask('DELETE', '/Patient?identifier=urn:mrn|1')).status, 204);
  assert.deepEqual(store.texts('Patient'), []);
});

test('#trules: a resource is deleted by one entry only, also among several matches', async () => {
  const { ask, store } = world();
  for (const id of ['a', 'b']) await ask('PUT', `/Patient/${id}`, patient('1', { id }));
  const both = bundle('transaction', ['DELETE', 'Patient?identifier=urn:mrn|1'], ['DELETE', 'Patient/b']);
  assert.equal((await ask('POST', '/', both)).status, 400);
  assert.equal(store.texts('Patient').length, 2);
});

test('#3.1.0.7.1 conditional delete: If-Match is refused, never ignored', async () => {
  const { ask, store } = world();
  const refused = await ask('DELETE', '/Patient?identifier=urn:mrn|1', undefined, { 'if-match': 'W/"1"' });
  assert.equal(refused.status, 400);
  assert.equal(store.commits.length, 1, 'only the audit of the refusal');
});
