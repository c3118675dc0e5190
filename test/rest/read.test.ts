// http.html#read, #vread, #cread, #versions.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { at, json, type World, world } from '../world.ts';

let there: World;
beforeEach(async () => {
  there = world();
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p', active: true } }); // at 03:04:06.678Z
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p', active: false } }); // at 03:04:07.678Z
  await there.send('PUT', '/Patient/gone', { body: { resourceType: 'Patient', id: 'gone' } });
  await there.send('DELETE', '/Patient/gone');
});

test('fhir-r4@read gives the stored text with ETag and Last-Modified', async () => {
  const answer = await there.send('GET', '/Patient/p');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.ETag, 'W/"2"');
  assert.equal(answer.headers['Last-Modified'], 'Fri, 02 Jan 2026 03:04:07 GMT');
  assert.equal(answer.headers['Content-Type'], 'application/fhir+json; charset=utf-8');
  assert.equal(at(json(answer), 'meta.versionId'), '2');
});

const rows: readonly [url: string, status: number, why: string][] = [
  ['/Patient/p', 200, 'control'],
  ['/Patient/p/_history/1', 200, 'an old version stays readable'],
  ['/Patient/p/_history/2', 200, 'the current version by number'],
  ['/Patient/p/_history/3', 404, 'a version that never was'],
  ['/Patient/absent', 404, 'never existed'],
  ['/Patient/gone', 410, 'deleted'],
  ['/Patient/gone/_history/1', 200, 'the version before the deletion'],
  ['/Patient/gone/_history/2', 410, 'the deletion itself'],
  ['/Observation/p', 404, 'another type'],
];
for (const [url, status, why] of rows) {
  test(`fhir-r4@read ${url}: ${why}`, async () => assert.equal((await there.send('GET', url)).status, status));
}

const conditional: readonly [headers: Record<string, string>, status: number, why: string][] = [
  [{ 'if-none-match': 'W/"2"' }, 304, 'the current version'],
  [{ 'if-none-match': '"2"' }, 304, 'a strong tag compares weakly'],
  [{ 'if-none-match': 'W/"1"' }, 200, 'an older version'],
  [{ 'if-none-match': '*' }, 304, 'anything that exists'],
  [{ 'if-none-match': 'W/"1", W/"2"' }, 304, 'one of a list'],
  [{ 'if-none-match': 'W/"1", W/"7"' }, 200, 'none of a list'],
  [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:07 GMT' }, 304, 'the second of the last change'],
  [{ 'if-modified-since': 'Fri, 02 Jan 2026 03:04:06 GMT' }, 200, 'one second before'],
  [{ 'if-modified-since': 'yesterday' }, 200, 'not a date: ignored, RFC 9110 §13.1.3'],
  [{ 'if-modified-since': '2030' }, 200, 'a date, but no HTTP date: ignored'],
  [{ 'if-none-match': 'W/"1"', 'if-modified-since': 'Fri, 02 Jan 2026 03:04:07 GMT' }, 200, 'If-None-Match decides'],
];
for (const [headers, status, why] of conditional) {
  test(`fhir-r4@cread ${JSON.stringify(headers)}: ${why}`, async () => {
    const answer = await there.send('GET', '/Patient/p', { headers });
    assert.equal(answer.status, status);
    assert.equal(answer.headers.ETag, 'W/"2"');
    assert.equal(answer.body === undefined, status === 304);
  });
}

test('a caller with a narrow view sees "not found", never "deleted" or "forbidden"', async () => {
  const narrow = world({ visible: () => ({ kind: 'ids', ids: ['mine'] }) });
  const open = world();
  for (const id of ['mine', 'other']) {
    const { commands } = await committedBy(open, id);
    await narrow.store.commit({ commands, audit: [] });
  }
  const statuses = await Promise.all(
    [
      '/Patient/mine',
      '/Patient/other',
      '/Patient/other/_history/1',
      '/Patient/other/_history',
      '/Patient/mine/_history',
    ].map(async (url) => (await narrow.send('GET', url)).status),
  );
  assert.deepEqual(statuses, [200, 404, 404, 404, 200]);
});

async function committedBy(open: World, id: string) {
  await open.send('PUT', `/Patient/${id}`, { body: { resourceType: 'Patient', id } });
  const commit = open.store.commits.findLast(({ commands }) => commands.some(({ op }) => op === 'put'));
  assert.ok(commit);
  return commit;
}
