// http.html#capabilities, capabilitystatement.html: /metadata says what is there, with live fields.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, json, world } from '../world.ts';

test('fhir-r4@capabilities: live fields are filled in', async () => {
  const statement = json(await world().send('GET', '/metadata'));
  const fields = [
    'resourceType',
    'fhirVersion',
    'kind',
    'date',
    'url',
    'software.version',
    'implementation.url',
    'rest.0.mode',
  ];
  assert.deepEqual(
    fields.map((path) => at(statement, path)),
    [
      'CapabilityStatement',
      '4.0.1',
      'instance',
      '2026-01-02T03:04:05.678Z',
      'http://127.0.0.1:8080/fhir/metadata',
      '1.2.3',
      'http://127.0.0.1:8080/fhir',
      'server',
    ],
  );
  assert.match(String(at(statement, 'rest.0.security.description')), /loopback/);
});

test('fhir-r4@capabilities: what is served is itself valid', async () => {
  const there = world();
  const statement = json(await there.send('GET', '/metadata'));
  assert.deepEqual(there.context.validate({ ...statement, resourceType: 'CapabilityStatement' }), []);
});

test('fhir-r4@capabilities: ETag stays while the claims stay, and gives 304', async () => {
  const there = world();
  const { headers } = await there.send('GET', '/metadata');
  there.advance(60_000);
  const again = await there.send('GET', '/metadata', { headers: { 'if-none-match': headers.ETag ?? '' } });
  assert.deepEqual([again.status, again.body, again.headers.ETag], [304, undefined, headers.ETag]);
});

test('fhir-r4@capabilities: _elements and _summary apply; Accept is honoured', async () => {
  const there = world();
  const subset = json(await there.send('GET', '/metadata?_elements=software'));
  assert.equal(at(subset, 'meta.tag.0.code'), 'SUBSETTED');
  assert.deepEqual([subset.rest, subset.publisher], [undefined, undefined]);
  assert.equal((await there.send('GET', '/metadata', { headers: { accept: 'text/turtle' } })).status, 406);
  assert.equal((await there.send('GET', '/metadata?mode=full')).status, 200);
});

test('/metadata is audited too', async () => {
  const there = world();
  await there.send('GET', '/metadata');
  assert.deepEqual(there.accesses.at(-1)?.entries, [{ interaction: 'capabilities', patients: [] }]);
  assert.equal(there.store.commits.length, 1);
});
