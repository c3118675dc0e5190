// http.html#history: instance, type and system; parameters; paging.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { at, json, linkOf, type World, world } from '../world.ts';

let there: World;
/** p: created :06, updated :07, deleted :08; o created by POST :09. */
before(async () => {
  there = world();
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p' } });
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p', active: true } });
  await there.send('DELETE', '/Patient/p');
  await there.send('POST', '/Basic', {
    body: { resourceType: 'Basic', code: { text: 'x' }, subject: { reference: 'Patient/p' } },
  });
});

const versions = (bundle: JsonObject): readonly unknown[] =>
  (Array.isArray(bundle.entry) ? bundle.entry : []).map((entry) => at(entry, 'response.etag'));

test('fhir-r4@history-instance: newest first, each with how it came to be', async () => {
  const bundle = json(await there.send('GET', '/Patient/p/_history'));
  assert.equal(bundle.type, 'history');
  assert.equal(bundle.total, 3);
  const found = [0, 1, 2].map((index) => [
    at(bundle, `entry.${index}.request.method`),
    at(bundle, `entry.${index}.request.url`),
    at(bundle, `entry.${index}.response.status`),
    at(bundle, `entry.${index}.resource.meta.versionId`),
  ]);
  assert.deepEqual(found, [
    ['DELETE', 'Patient/p', '204 No Content', undefined],
    ['PUT', 'Patient/p', '200 OK', '2'],
    ['PUT', 'Patient/p', '201 Created', '1'],
  ]);
  assert.equal(at(bundle, 'entry.1.fullUrl'), 'http://127.0.0.1:8080/fhir/Patient/p');
  assert.equal(at(bundle, 'entry.1.response.lastModified'), '2026-01-02T03:04:07.678Z');
});

const rows: readonly [url: string, expected: readonly string[] | number, why: string][] = [
  ['/Patient/p/_history', ['W/"3"', 'W/"2"', 'W/"1"'], 'control'],
  ['/Patient/absent/_history', 404, 'never existed'],
  ['/Patient/_history', ['W/"3"', 'W/"2"', 'W/"1"'], 'type'],
  ['/Basic/_history', ['W/"1"'], 'type: only this one'],
  ['/Observation/_history', [], 'type: nothing yet'],
  ['/_history', ['W/"1"', 'W/"3"', 'W/"2"', 'W/"1"'], 'system'],
  ['/AuditEvent/_history', 405, 'not claimed'],
  ['/Patient/p/_history?_since=2026-01-02T03:04:07.678Z', ['W/"3"', 'W/"2"'], '_since includes its instant'],
  ['/Patient/p/_history?_since=2026-01-02T03:04:07.679Z', ['W/"3"'], '_since: one ms later'],
  [
    '/Patient/p/_history?_since=2026-01-02T04:04:07.678+01:00',
    ['W/"3"', 'W/"2"'],
    '_since: a zone with an unescaped plus',
  ],
  ['/Patient/p/_history?_since=2027-01-01T00:00:00Z', [], '_since: nothing after'],
  ['/Patient/p/_history?_since=2026-01-02', 400, '_since must be an instant'],
  ['/Patient/p/_history?_since=2026-02-30T00:00:00Z', 400, '_since: no such day'],
  ['/Patient/p/_history?_at=2026-01-02T03:04:07.000Z', ['W/"1"'], '_at: version 1 was current'],
  [
    '/Patient/p/_history?_at=2026-01-02T03:04:07Z',
    ['W/"2"', 'W/"1"'],
    '_at a whole second: both were current during it',
  ],
  ['/Patient/p/_history?_at=2026', ['W/"3"', 'W/"2"', 'W/"1"'], '_at a year'],
  ['/Patient/p/_history?_at=2025', [], '_at before it existed'],
  ['/Patient/p/_history?_at=x', 400, '_at malformed'],
  ['/Patient/_history?_at=2026-01-02T03:04:07.000Z', ['W/"1"'], '_at of a type: version 1 was current'],
  ['/Patient/_history?_at=2026-01-02T03:04:07Z', ['W/"2"', 'W/"1"'], '_at of a type, a whole second: both were'],
  ['/Patient/_history?_at=2026-01-02T03:04:07.678Z', ['W/"2"'], '_at of a type: the instant of version 2'],
  ['/Patient/_history?_at=2026', ['W/"3"', 'W/"2"', 'W/"1"'], '_at of a type, a year'],
  ['/Patient/_history?_at=2025', [], '_at of a type, before there was any'],
  ['/_history?_at=2026-01-02T03:04:09.678Z', ['W/"1"', 'W/"3"'], '_at of everything: what each was then'],
  ['/_history?_at=2026-01-02T03:04:07.900Z', ['W/"2"'], '_at of everything, between two writes'],
  ['/_history?_at=2027', ['W/"1"', 'W/"3"'], '_at of everything, later: as it is now'],
  ['/_history?_at=x', 400, '_at malformed'],
  ['/Patient/p/_history?_at=2026&_since=2026-01-02T03:04:07Z', 400, 'contradiction'],
  ['/Patient/p/_history?_count=x', 400, '_count malformed'],
  ['/Patient/p/_history?_count=2', ['W/"3"', 'W/"2"'], '_count'],
  ['/Patient/p/_history?_sort=x', 400, 'unknown parameter'],
  ['/Patient/p/_history?_cursor=abc', 400, 'not a cursor of ours'],
];
for (const [url, expected, why] of rows) {
  test(`fhir-r4@history ${url}: ${why}`, async () => {
    const answer = await there.send('GET', url);
    assert.deepEqual(answer.status === 200 ? versions(json(answer)) : answer.status, expected);
  });
}

test('fhir-r4@paging: next links give every version once, and the last page has none', async () => {
  const seen: unknown[] = [];
  let url: string | undefined = '/_history?_count=1&_pretty=true';
  for (let page = 0; url !== undefined && page < 9; page++) {
    const bundle: JsonObject = json(await there.send('GET', url));
    seen.push(...versions(bundle));
    assert.equal(bundle.total, undefined);
    url = linkOf(bundle, 'next');
  }
  assert.deepEqual(seen, ['W/"1"', 'W/"3"', 'W/"2"', 'W/"1"']);
});

test('fhir-r4@history-at: of a type, in pages, each version once', async () => {
  const seen: unknown[] = [];
  let url: string | undefined = '/_history?_at=2026&_count=1';
  for (let page = 0; url !== undefined && page < 9; page++) {
    const bundle: JsonObject = json(await there.send('GET', url));
    seen.push(...versions(bundle));
    url = linkOf(bundle, 'next');
  }
  assert.deepEqual(seen, ['W/"1"', 'W/"3"', 'W/"2"', 'W/"1"']);
});

test('a history is audited with every patient it shows', async () => {
  const fresh = world();
  await fresh.send('POST', '/Basic', {
    body: { resourceType: 'Basic', code: { text: 'x' }, subject: { reference: 'Patient/p' } },
  });
  await fresh.send('GET', '/_history?_count=5');
  const { entries, status } = fresh.accesses.at(-1) ?? {};
  assert.equal(status, 200);
  assert.deepEqual(entries, [{ interaction: 'history-system', query: 'GET /fhir/_history?_count=5', patients: ['p'] }]);
});
