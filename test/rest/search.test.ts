// search.html, http.html#search, #paging, bundle.html#searchset: the page around the matches. What parameters mean is specified in test/fhir/search.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { StoreError } from '../../src/store/port.ts';
import { at, idsOf, json, linkOf, type World, world } from '../world.ts';

let there: World;
const observation = (id: string, patient: string, more: object = {}) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }], text: id },
  subject: { reference: `Patient/${patient}` },
  ...more,
});

/** Patients p1 p2; observations a1 a2 a3 of p1, b1 of p2; encounter e1 of p1 and a1 belongs to it; e1 is part of e0, e0 of e1: a cycle. */
async function filled(options: Parameters<typeof world>[0] = {}): Promise<World> {
  const made = world(options);
  const open = world();
  const bodies = [
    { resourceType: 'Patient', id: 'p1' },
    { resourceType: 'Patient', id: 'p2' },
    observation('a1', 'p1', { encounter: { reference: 'Encounter/e1' } }),
    observation('a2', 'p1', { valueQuantity: { value: 1, unit: 'x' } }),
    observation('a3', 'p1'),
    observation('b1', 'p2'),
    ...['e0', 'e1'].map((id) => ({
      resourceType: 'Encounter',
      id,
      status: 'finished',
      class: { code: 'AMB', system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode' },
      partOf: { reference: `Encounter/${id === 'e0' ? 'e1' : 'e0'}` },
      subject: { reference: 'Patient/p1' },
    })),
  ];
  for (const body of bodies) {
    const { status, body: text } = await open.send('PUT', `/${body.resourceType}/${body.id}`, { body });
    assert.equal(status, 201, text);
  }
  for (const { commands } of open.store.commits) await made.store.commit({ commands, audit: [] });
  return made;
}
before(async () => {
  there = await filled();
});

const found: readonly [url: string, matches: readonly string[], includes: readonly string[], why: string][] = [
  ['/Observation', ['a1', 'a2', 'a3', 'b1'], [], 'control'],
  ['/Observation?subject=Patient/p1', ['a1', 'a2', 'a3'], [], 'a reference'],
  ['/Observation?_id=a1,b1', ['a1', 'b1'], [], '_id'],
  ['/Observation?_id=a1,b1&_include=Observation:subject', ['a1', 'b1'], ['p1', 'p2'], '_include'],
  ['/Observation?_include=Observation:subject', ['a1', 'a2', 'a3', 'b1'], ['p1', 'p2'], 'each once'],
  ['/Observation?_id=a1&_include=Observation:subject:Group', ['a1'], [], '_include of another target type'],
  ['/Observation?_id=a1&_include=Observation:encounter', ['a1'], ['e1'], 'another parameter'],
  ['/Observation?_id=a1&_include=Observation:*', ['a1'], ['e1', 'p1'], 'every reference parameter'],
  ['/Observation?_id=a1&_include=Observation:encounter&_include=Encounter:part-of', ['a1'], ['e1'], 'without iterate'],
  [
    '/Observation?_id=a1&_include=Observation:encounter&_include:iterate=Encounter:part-of',
    ['a1'],
    ['e0', 'e1'],
    'iterate ends in a cycle',
  ],
  ['/Encounter?_id=e0&_include:iterate=Encounter:part-of', ['e0'], ['e1'], 'a match is never included again'],
  ['/Patient?_id=p1&_revinclude=Observation:subject', ['p1'], ['a1', 'a2', 'a3'], '_revinclude'],
  ['/Patient?_id=p2&_revinclude=Observation:subject', ['p2'], ['b1'], '_revinclude of the other'],
  ['/Patient?_id=p2&_revinclude=Observation:*', ['p2'], ['b1'], '_revinclude by every parameter'],
  [
    '/Patient?_id=p1&_revinclude=Observation:subject&_include:iterate=Observation:encounter',
    ['p1'],
    ['a1', 'a2', 'a3', 'e1'],
    'iterate over what came in',
  ],
  ['/Observation?_id=b1&_include=Observation:encounter', ['b1'], [], 'nothing to include is no error'],
  ['/Patient?_id=none', [], [], 'nothing'],
];
for (const [url, matches, includes, why] of found) {
  test(`fhir-r4@search ${url}: ${why}`, async () => {
    const bundle = json(await there.send('GET', url));
    assert.deepEqual([idsOf(bundle), idsOf(bundle, 'include').toSorted()], [matches, includes]);
    assert.equal(bundle.total, matches.length);
  });
}

test('fhir-r4@search: shape of a page', async () => {
  const bundle = json(await there.send('GET', '/Observation?_id=a1'));
  assert.deepEqual([bundle.resourceType, bundle.type, bundle.id !== undefined], ['Bundle', 'searchset', true]);
  assert.equal(at(bundle, 'entry.0.fullUrl'), 'http://127.0.0.1:8080/fhir/Observation/a1');
  assert.equal(linkOf(bundle, 'self'), 'http://127.0.0.1:8080/fhir/Observation?_id=a1');
  assert.equal('entry' in json(await there.send('GET', '/Observation?_id=none')), false, 'no empty arrays');
});

test('fhir-r4@search by POST is the same search', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' };
  const byPost = json(
    await there.send('POST', '/Observation/_search?_count=2', { headers, body: 'subject=Patient%2Fp1' }),
  );
  const byGet = json(await there.send('GET', '/Observation?_count=2&subject=Patient/p1'));
  assert.deepEqual(idsOf(byPost), idsOf(byGet));
  assert.equal(linkOf(byPost, 'self'), linkOf(byGet, 'self'));
});

const totals: readonly [url: string, total: number | undefined, entries: number, why: string][] = [
  ['/Observation?_count=2', undefined, 2, 'not asked, not known'],
  ['/Observation?_count=2&_total=accurate', 4, 2, 'counted'],
  ['/Observation?_count=2&_total=none', undefined, 2, 'not wanted'],
  ['/Observation?_total=none', undefined, 4, 'not wanted, though known'],
  ['/Observation?_summary=count', 4, 0, 'only the count'],
  ['/Observation?_count=0', 4, 0, 'only the count'],
  ['/Observation?_count=1000', 4, 4, 'lowered to the largest page'],
];
for (const [url, total, entries, why] of totals) {
  test(`fhir-r4@search-total ${url}: ${why}`, async () => {
    const bundle = json(await there.send('GET', url));
    assert.deepEqual([bundle.total, idsOf(bundle).length], [total, entries]);
  });
}

test('fhir-r4@paging: next links give every match once; self is the request', async () => {
  const seen: string[] = [];
  let url: string | undefined = 'http://127.0.0.1:8080/fhir/Observation?_count=3&_format=json';
  while (url !== undefined) {
    const bundle = json(await there.send('GET', url));
    seen.push(...idsOf(bundle));
    assert.match(linkOf(bundle, 'self') ?? '', /_format=json/);
    url = linkOf(bundle, 'next');
  }
  assert.deepEqual(seen, ['a1', 'a2', 'a3', 'b1']);
});

test('fhir-r4@paging: later pages lead back to the first', async () => {
  const one = json(await there.send('GET', '/Observation?_count=3&_total=none'));
  assert.equal(linkOf(one, 'first'), undefined, 'the first page is itself');
  const two = json(await there.send('GET', linkOf(one, 'next') ?? ''));
  assert.equal(linkOf(two, 'first'), linkOf(one, 'self'));
  const again = json(await there.send('GET', linkOf(two, 'first') ?? ''));
  assert.deepEqual(idsOf(again), idsOf(one));
});

test('fhir-r4@paging: each page brings its own includes, which `_count` does not count', async () => {
  let url: string | undefined = '/Observation?_id=a1,a2&_count=1&_include=Observation:subject';
  const seen: unknown[] = [];
  while (url !== undefined) {
    const bundle = json(await there.send('GET', url));
    seen.push([idsOf(bundle), idsOf(bundle, 'include')]);
    url = linkOf(bundle, 'next');
  }
  assert.deepEqual(seen, [
    [['a1'], ['p1']],
    [['a2'], ['p1']],
  ]);
});

test('fhir-r4@paging: a cursor belongs to its search, its caller and its hour', async () => {
  const next = linkOf(json(await there.send('GET', '/Observation?_count=3')), 'next') ?? '';
  const cursor = next.slice(next.indexOf('_cursor='));
  const other = await filled({ principal: 'other' });
  assert.equal((await there.send('GET', next)).status, 200, 'control');
  assert.equal((await other.send('GET', next)).status, 400, 'another caller');
  assert.equal((await there.send('GET', `/Patient?_count=3&${cursor}`)).status, 400, 'another type');
  assert.equal(
    (await there.send('GET', `/Observation?_count=3&subject=Patient/p1&${cursor}`)).status,
    400,
    'other criteria',
  );
  assert.equal((await there.send('GET', '/Observation?_cursor=3')).status, 400, 'made up');
  const late = await filled();
  const stale = linkOf(json(await late.send('GET', '/Observation?_count=3')), 'next') ?? '';
  late.advance(3_600_001);
  assert.equal((await late.send('GET', stale)).status, 400, 'too old');
});

test('fhir-r4@search: what lenient handling ignored is said in the page', async () => {
  assert.equal((await there.send('GET', '/Observation?nonsense=1')).status, 400);
  const bundle = json(
    await there.send('GET', '/Observation?nonsense=1&_id=a1', { headers: { prefer: 'handling=lenient' } }),
  );
  assert.deepEqual(idsOf(bundle), ['a1']);
  assert.equal(at(bundle, 'entry.1.search.mode'), 'outcome');
  assert.equal(at(bundle, 'entry.1.resource.issue.0.severity'), 'warning');
  assert.doesNotMatch(linkOf(bundle, 'self') ?? '', /nonsense/);
});

test('included resources obey the limit, and the caller may not see more by including', async () => {
  const small = await filled({ settings: { includeLimit: 2 } });
  assert.equal((await small.send('GET', '/Patient?_id=p1&_revinclude=Observation:subject')).status, 400);
  assert.equal((await small.send('GET', '/Observation?_include=Observation:subject')).status, 200, 'exactly the limit');
  const narrow = await filled({
    visible: (type) => (type === 'Patient' ? { kind: 'ids', ids: ['p2'] } : { kind: 'all' }),
  });
  const bundle = json(await narrow.send('GET', '/Observation?_include=Observation:subject'));
  assert.deepEqual(idsOf(bundle, 'include'), ['p2']);
});

test('a search is audited with its text and every patient shown, included ones too', async () => {
  const fresh = await filled();
  await fresh.send('GET', '/Observation?_id=b1,a1');
  assert.deepEqual(fresh.accesses.at(-1)?.entries, [
    {
      interaction: 'search-type',
      type: 'Observation',
      query: 'GET /fhir/Observation?_id=b1,a1',
      patients: ['p1', 'p2'],
    },
  ]);
});

test('fhir-r4@search: `_elements` leaves included resources whole', async () => {
  const bundle = json(await there.send('GET', '/Observation?_id=a1&_elements=status&_include=Observation:encounter'));
  assert.equal(at(bundle, 'entry.0.resource.encounter'), undefined);
  assert.equal(at(bundle, 'entry.1.resource.partOf.reference'), 'Encounter/e0');
  assert.equal(at(bundle, 'entry.1.resource.meta.tag'), undefined);
});

test('a search by POST is audited with its form', async () => {
  const fresh = await filled();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  await fresh.send('POST', '/Observation/_search', { headers, body: '_id=b1' });
  assert.equal(fresh.accesses.at(-1)?.entries[0]?.query, 'POST /fhir/Observation/_search?_id=b1');
});

test('_summary=text and includes exclude each other', async () => {
  assert.equal((await there.send('GET', '/Observation?_summary=text&_include=Observation:subject')).status, 400);
});

test('a search that may not run on this thread is handed back before anything is committed', async () => {
  const fresh = await filled();
  const before = fresh.store.commits.length;
  fresh.store.fails = { search: new StoreError('bounded-thread', 'elsewhere') };
  await assert.rejects(fresh.send('GET', '/Observation'), { reason: 'bounded-thread' });
  assert.equal(fresh.store.commits.length, before);
});

const namedBy: readonly [url: string, patients: readonly string[], why: string][] = [
  ['/Observation?subject=Patient/nobody', ['nobody'], 'a search that finds nothing names the patient it was for'],
  ['/Observation?subject=Patient/nobody&_summary=count', ['nobody'], 'a count too'],
  ['/Patient?_id=nobody', ['nobody'], 'by id'],
  ['/Observation?subject=Patient/p1,Patient/nobody&_count=1', ['nobody', 'p1'], 'each of several'],
  ['/Observation?code=none', [], 'control: nobody is named'],
];
for (const [url, patients, why] of namedBy) {
  test(`balp@patient-query ${url}: ${why}`, async () => {
    const fresh = await filled();
    await fresh.send('GET', url);
    assert.deepEqual([...(fresh.accesses.at(-1)?.entries[0]?.patients ?? [])].toSorted(), patients);
  });
}
