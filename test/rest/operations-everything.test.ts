// patient-operation-everything.html, encounter-operation-everything.html.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, idsOf, json, linkOf } from '../world.ts';
import { type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

let w: OperationsWorld;
const subject = { reference: 'Patient/p1' };
const coded = { status: 'final', code: { text: 'x' } };

before(async () => {
  w = await operationsWorld();
  await w.hold(
    { resourceType: 'Organization', id: 'hospital', name: 'x' },
    { resourceType: 'Practitioner', id: 'nurse' },
    { resourceType: 'Practitioner', id: 'stranger' },
    { resourceType: 'Medication', id: 'pill' },
    { resourceType: 'Patient', id: 'p1', managingOrganization: { reference: 'Organization/hospital' } },
    { resourceType: 'Patient', id: 'p2' },
    { resourceType: 'Encounter', id: 'e1', status: 'finished', class: { code: 'IMP' }, subject },
    {
      resourceType: 'Observation',
      id: 'old',
      ...coded,
      subject,
      effectiveDateTime: '2020-05-01',
      performer: [{ reference: 'Practitioner/nurse' }],
    },
    {
      resourceType: 'Observation',
      id: 'new',
      ...coded,
      subject,
      effectiveDateTime: '2025-05-01',
      encounter: { reference: 'Encounter/e1' },
      performer: [{ reference: 'Practitioner/nurse' }],
    },
    { resourceType: 'Observation', id: 'undated', ...coded, subject },
    {
      resourceType: 'MedicationRequest',
      id: 'm1',
      status: 'active',
      intent: 'order',
      subject,
      medicationReference: { reference: 'Medication/pill' },
      authoredOn: '2025-05-02',
    },
    {
      resourceType: 'Observation',
      id: 'foreign',
      ...coded,
      subject: { reference: 'Patient/p2' },
      performer: [{ reference: 'Practitioner/stranger' }],
    },
    { resourceType: 'Condition', id: 'c2', subject: { reference: 'Patient/p2' } },
    {
      resourceType: 'DiagnosticReport',
      id: 'd1',
      ...coded,
      subject,
      result: [{ reference: 'Observation/foreign' }],
    },
  );
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

const ALL = ['d1', 'e1', 'm1', 'new', 'old', 'p1', 'undated'];
const LINKED = ['hospital', 'nurse', 'pill'];
const rows: readonly (readonly [url: string, matches: readonly string[], includes: readonly string[], why: string])[] =
  [
    ['/Patient/p1/$everything', ALL, LINKED, 'compartment and what it points at; nothing of another patient'],
    ['/Patient/p2/$everything', ['c2', 'foreign', 'p2'], ['stranger'], 'control: the other patient'],
    ['/Patient/p1/$everything?_type=Observation', ['new', 'old', 'undated'], [], 'only that type'],
    [
      '/Patient/p1/$everything?_type=Patient,Practitioner,Observation',
      ['new', 'old', 'p1', 'undated'],
      ['nurse'],
      'list',
    ],
    ['/Patient/p1/$everything?_type=Patient&_type=Encounter', ['e1', 'p1'], [], '_type repeats'],
    [
      '/Patient/p1/$everything?start=2025-01-01&_type=Observation',
      ['new', 'undated'],
      [],
      'start: care dates; without date stays',
    ],
    ['/Patient/p1/$everything?end=2024&_type=Observation,MedicationRequest', ['old', 'undated'], [], 'end'],
    ['/Patient/p1/$everything?start=2020-05-01&end=2020-05-01&_type=Observation', ['old', 'undated'], [], 'one day'],
    ['/Patient/p1/$everything?_since=2099-01-01T00:00:00Z', [], [], '_since: record time'],
    ['/Encounter/e1/$everything', ['e1', 'new'], ['nurse', 'p1'], 'compartment of an encounter'],
  ];
for (const [url, matches, includes, why] of rows) {
  test(`everything ${url}: ${why}`, async () => {
    const bundle = json(await w.send('GET', url));
    assert.deepEqual([idsOf(bundle).toSorted(), idsOf(bundle, 'include').toSorted()], [matches, includes]);
    assert.deepEqual([bundle.type, bundle.total], ['searchset', matches.length]);
  });
}

test('everything: the patient is the first entry', async () => {
  assert.equal(at(json(await w.send('GET', '/Patient/p1/$everything')), 'entry.0.resource.id'), 'p1');
});

for (const count of [1, 2, 3, 6, 7]) {
  test(`everything is paged: _count=${count} gives each match once`, async () => {
    const seen: string[] = [];
    let next: string | undefined = `/Patient/p1/$everything?_count=${count}`;
    for (let pages = 0; next !== undefined && pages < 10; pages++) {
      const bundle = json(await w.send('GET', next));
      assert.ok(idsOf(bundle).length <= count);
      seen.push(...idsOf(bundle));
      next = linkOf(bundle, 'next');
    }
    assert.deepEqual(seen.toSorted(), ALL);
  });
}

test('everything by POST: next links are GETs with the same parameters', async () => {
  const body = parameters(['_count', { valueInteger: 2 }], ['_type', { valueCode: 'Observation' }]);
  const first = json(await w.send('POST', '/Patient/p1/$everything', { body }));
  const second = json(await w.send('GET', linkOf(first, 'next') ?? ''));
  assert.deepEqual([...idsOf(first), ...idsOf(second)].toSorted(), ['new', 'old', 'undated']);
});

const refused: readonly (readonly [url: string, status: number, why: string])[] = [
  ['/Patient/$everything', 404, 'everything of everybody'],
  ['/Patient/nobody/$everything', 404, 'not held'],
  ['/Observation/old/$everything', 404, 'not defined for the type'],
  ['/Patient/p1/$everything?_type=Nothing', 400, 'no such type'],
  ['/Patient/p1/$everything?_count=0', 400, 'no page'],
  ['/Patient/p1/$everything?_count=x', 400, 'not a number'],
  ['/Patient/p1/$everything?start=2025&end=2024', 400, 'start after end'],
  ['/Patient/p1/$everything?start=yesterday', 400, 'not a date'],
  ['/Patient/p1/$everything?_since=2025', 400, 'not an instant'],
  ['/Patient/p1/$everything?_cursor=abc', 400, 'not our cursor'],
  ['/Encounter/e1/$everything?start=2025', 400, 'start is for patients'],
];
for (const [url, status, why] of refused) {
  test(`everything refuses ${url}: ${why}`, async () => assert.equal((await w.send('GET', url)).status, status));
}

test('everything: a cursor belongs to its parameters', async () => {
  const cursor = /_cursor=([^&"]+)/.exec((await w.send('GET', '/Patient/p1/$everything?_count=2')).body ?? '')?.[1];
  assert.equal((await w.send('GET', `/Patient/p2/$everything?_count=2&_cursor=${cursor}`)).status, 400);
});

test('everything: deleted is 410', async () => {
  await w.hold({ resourceType: 'Patient', id: 'gone' });
  await w.send('DELETE', '/Patient/gone');
  assert.equal((await w.send('GET', '/Patient/gone/$everything')).status, 410);
});

test('everything under a narrower view: no type that is hidden, matched or linked', async () => {
  const visible = (type: string) =>
    type === 'Practitioner' || type === 'DiagnosticReport' ? ({ kind: 'none' } as const) : ({ kind: 'all' } as const);
  const bundle = json(await w.sendAs(visible, 'GET', '/Patient/p1/$everything'));
  assert.deepEqual(idsOf(bundle).toSorted(), ['e1', 'm1', 'new', 'old', 'p1', 'undated']);
  assert.deepEqual(idsOf(bundle, 'include').toSorted(), ['hospital', 'pill']);
  const hidden = () => ({ kind: 'none' }) as const;
  assert.equal((await w.sendAs(hidden, 'GET', '/Patient/p1/$everything')).status, 403);
  const another = () => ({ kind: 'ids', ids: ['p2'] }) as const;
  assert.equal((await w.sendAs(another, 'GET', '/Patient/p1/$everything')).status, 404);
});

test('everything: the audit names the patient, never AuditEvents in the answer', async () => {
  w.accesses.length = 0;
  const { body } = await w.send('GET', '/Patient/p1/$everything');
  assert.ok(!body?.includes('"AuditEvent"'));
  const [entry] = w.accesses[0]?.entries ?? [];
  assert.deepEqual(
    [entry?.operation, entry?.resource, entry?.patients],
    ['everything', { type: 'Patient', id: 'p1' }, ['p1']],
  );
});
