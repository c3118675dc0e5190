// search.html#all, #compartments, http.html#search over the real engine: searches over several types, in one stable order, and in compartments.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { idsOf, json, linkOf } from '../world.ts';
import { type EngineWorld, engineWorld } from './engine-world.ts';

const subject = (id: string) => ({ subject: { reference: `Patient/${id}` } });
const observation = (id: string, patient: string, more: object = {}) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ code: id.slice(0, 1) }] },
  ...subject(patient),
  ...more,
});
const RESOURCES = [
  { resourceType: 'Patient', id: 'p1', active: true, meta: { tag: [{ code: 'red' }] } },
  observation('o1', 'p1', { meta: { tag: [{ code: 'red' }] } }),
  { resourceType: 'Patient', id: 'p2' },
  observation('o2', 'p2', { performer: [{ reference: 'Practitioner/d1' }] }),
  {
    resourceType: 'Encounter',
    id: 'e1',
    status: 'finished',
    class: { code: 'AMB', system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode' },
    ...subject('p1'),
  },
  observation('x3', 'p1', { encounter: { reference: 'Encounter/e1' }, device: { reference: 'Device/v1' } }),
  { resourceType: 'Practitioner', id: 'd1' },
  { resourceType: 'Device', id: 'v1', patient: { reference: 'Patient/p2' } },
  { resourceType: 'RelatedPerson', id: 'r1', patient: { reference: 'Patient/p1' } },
  { resourceType: 'Medication', id: 'm1' },
];

let there: EngineWorld;
before(async () => {
  there = await engineWorld(RESOURCES);
});
after(() => there.close());
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const rows: readonly [url: string, ids: string, why: string][] = [
  ['/?_type=Patient', 'p1 p2', 'control: one type'],
  ['/?_type=Patient,Observation', 'o1 o2 p1 p2 x3', 'two types'],
  ['?_type=Patient,Observation&_tag=red', 'o1 p1', 'a parameter of all types; the base without slash'],
  ['/?_type=Patient,Observation&_id=p1,o2', 'o2 p1', '_id in each type'],
  ['/?_id=p1,v1,none', 'p1 v1', 'all types'],
  ['/?_tag=red', 'o1 p1', 'all types'],
  ['/?_type=Observation&code=o', 'o1 o2', 'a parameter of that type'],
  ['/?_type=Observation,Encounter&subject=Patient/p1', 'e1 o1 x3', 'a parameter that both types have'],
  ['/?_type=Observation,Encounter&subject:Patient._tag=red', 'e1 o1 x3', 'chained'],
  ['/?_type=Medication,Device&_lastUpdated=lt2000', '', 'none'],
  ['/Patient/p1/Observation', 'o1 x3', 'Patient compartment'],
  ['/Patient/p1/Observation?code=x', 'x3', 'Patient compartment with criteria'],
  ['/Patient/p2/Observation', 'o2', 'the other Patient'],
  ['/Patient/none/Observation', '', 'of a Patient that is not there'],
  ['/Patient/p1/Patient', 'p1', 'a Patient is in its own compartment'],
  ['/Patient/p1/*', 'e1 o1 p1 r1 x3', 'the whole Patient compartment'],
  ['/Patient/p1/*?_type=Observation,Encounter', 'e1 o1 x3', 'some types of it'],
  ['/Patient/p1/*?_tag=red', 'o1 p1', 'with criteria'],
  ['/Encounter/e1/Observation', 'x3', 'Encounter compartment'],
  ['/Encounter/e1/*', 'e1 x3', 'an Encounter is in its own compartment'],
  ['/Practitioner/d1/Observation', 'o2', 'Practitioner compartment'],
  ['/Device/v1/Observation', 'x3', 'Device compartment'],
  ['/RelatedPerson/r1/*', 'r1', 'RelatedPerson compartment'],
];
test('fhir-r4@search-system and @compartments over the engine: what is found', async () => {
  const { send } = there;
  const wrong: string[] = [];
  for (const [url, ids, why] of rows) {
    const bundle = json(await send('GET', url));
    const found = idsOf(bundle).toSorted().join(' ');
    if (found !== ids || bundle.total !== idsOf(bundle).length)
      wrong.push(`${url} found [${found}] of ${bundle.total}: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
});

const refused: readonly [url: string, status: number, why: string][] = [
  ['/?_type=Patient,Nonsense', 400, 'no such type'],
  ['/?_type=Patient,AuditEvent', 400, 'AuditEvent is searched by itself'],
  ['/?_type=Patient&_type=Device', 400, 'given twice'],
  ['/?_type=', 400, 'no value'],
  ['/?_type=Patient,Observation&code=x', 400, 'not a parameter of Patient'],
  ['/?identifier=x', 400, 'not a parameter of every type'],
  ['/?_type=Patient,Observation&_include=Encounter:nonsense', 400, 'an include of no type'],
  ['/Patient/p1/Medication', 404, 'no Medication is in a Patient compartment'],
  ['/Patient/p1/Nonsense', 404, 'no such type'],
  ['/Medication/m1/Observation', 404, 'no such compartment'],
  ['/Patient/p1/Observation?nonsense=1', 400, 'criteria are checked'],
  ['/Patient/p1/Observation/o1', 404, 'nothing lies below'],
];
test('fhir-r4@search-system and @compartments: what is refused', async () => {
  const { send } = there;
  const wrong: string[] = [];
  for (const [url, status, why] of refused) {
    const found = (await send('GET', url)).status;
    if (found !== status) wrong.push(`${url}: ${found}, not ${status}: ${why}`);
  }
  const deleted = await send('DELETE', '/Patient/p1/Observation');
  if (deleted.status !== 405) wrong.push(`DELETE: ${deleted.status}`);
  assert.equal(wrong.join('\n'), '');
});

const posts: readonly [path: string, body: string, ids: string][] = [
  ['/_search', '_type=Patient,Observation&_tag=red', 'o1 p1'],
  ['/Patient/p1/Observation/_search', 'code=x', 'x3'],
  ['/Patient/p1/*/_search', '_type=Observation', 'o1 x3'],
];
for (const [path, body, ids] of posts) {
  test(`fhir-r4@search by POST to ${path} is the same search`, async () => {
    const { send } = there;
    const bundle = json(await send('POST', path, { headers: FORM, body }));
    assert.equal(idsOf(bundle).toSorted().join(' '), ids);
    assert.equal(linkOf(bundle, 'self')?.includes('_search'), false, 'the self link is a GET');
  });
}

const paged: readonly [url: string, order: string | undefined][] = [
  ['/?_type=Patient,Observation,Device&_count=2', undefined],
  ['/?_type=Patient,Observation,Device&_count=1&_sort=_id', 'o1 o2 p1 p2 v1 x3'],
  ['/?_type=Patient,Observation,Device&_count=2&_sort=-_id', 'x3 v1 p2 p1 o2 o1'],
  ['/?_type=Observation,Patient,Device&_count=2&_sort=-_lastUpdated', 'v1 x3 o2 p2 o1 p1'],
  ['/?_type=Observation,Patient,Device&_count=4&_sort=_lastUpdated', 'p1 o1 p2 o2 x3 v1'],
  ['/?_type=Observation,Patient,Device&_count=1&_sort=_tag,-_id', 'p1 o1 x3 v1 p2 o2'],
  ['/Patient/p1/*?_count=1&_sort=_id', 'e1 o1 p1 r1 x3'],
];
for (const [url, order] of paged) {
  test(`fhir-r4@paging ${url}: each match once, in one order over all types`, async () => {
    const { send } = there;
    const seen: string[] = [];
    let next: string | undefined = url;
    while (next !== undefined && seen.length < 20) {
      const bundle = json(await send('GET', next));
      seen.push(...idsOf(bundle));
      next = linkOf(bundle, 'next');
    }
    if (order !== undefined) assert.equal(seen.join(' '), order);
    else assert.equal(seen.toSorted().join(' '), 'o1 o2 p1 p2 v1 x3');
  });
}

test('fhir-r4@search-system: includes, totals, lenient handling', async () => {
  const { send } = there;
  const included = json(
    await send('GET', '/?_type=Encounter,Device&_id=e1,v1&_include=Encounter:subject&_include=Device:patient'),
  );
  assert.deepEqual(
    [idsOf(included).toSorted(), idsOf(included, 'include').toSorted()],
    [
      ['e1', 'v1'],
      ['p1', 'p2'],
    ],
  );
  assert.equal(json(await send('GET', '/?_type=Patient,Observation&_summary=count')).total, 5);
  assert.equal(json(await send('GET', '/?_type=Patient,Observation&_count=1&_total=accurate')).total, 5);
  assert.equal(json(await send('GET', '/?_type=Patient,Observation&_count=1&_total=estimate')).total, 5);
  const lenient = { headers: { prefer: 'handling=lenient' } };
  const both = json(await send('GET', '/?_type=Patient,Observation&code=x&_tag=red', lenient));
  assert.equal(idsOf(both).toSorted().join(' '), 'o1 p1', 'what one type lacks is ignored for both');
  assert.equal(linkOf(both, 'self')?.includes('code='), false);
});

test('compartment searches name their patient in the audit, found or not; a filter hides', async () => {
  const { send, store } = there;
  for (const url of ['/Patient/p1/Encounter', '/Patient/p1/Device', '/Patient/p2/Device']) await send('GET', url);
  const ofPatient = json(await send('GET', '/AuditEvent?patient=Patient/p1&_count=50&subtype=search-type'));
  assert.ok(idsOf(ofPatient).length >= 2);
  assert.equal((await store.verifyAudit()).broken, undefined);
});
