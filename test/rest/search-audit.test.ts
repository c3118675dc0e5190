// AuditEvents by what their references lead to: auditevent.html#search, search.html#chaining; what is refused says so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { idsOf, json } from '../world.ts';
import { type EngineWorld, engineWorld } from './engine-world.ts';

const patient = (id: string, mrn: string, more: object = {}) => ({
  resourceType: 'Patient',
  id,
  identifier: [{ system: 'urn:mrn', value: mrn }],
  ...more,
});
/** More patients than a chain may lead to. */
const CROWD = 201;

let there: EngineWorld;
before(async () => {
  const resources = [
    { resourceType: 'Organization', id: 'org', name: 'Ward' },
    patient('a', '1', { managingOrganization: { reference: 'Organization/org' } }),
    patient('b', '2'),
    { resourceType: 'Observation', id: 'o', status: 'final', code: { text: 'x' }, subject: { reference: 'Patient/b' } },
  ];
  there = await engineWorld(resources);
  const crowd = Array.from({ length: CROWD }, (_, index) => ({
    resource: patient(`crowd-${index}`, `c${index}`, { gender: index === 0 ? 'other' : 'unknown' }),
    request: { method: 'PUT', url: `Patient/crowd-${index}` },
  }));
  for (const part of [crowd.slice(0, 100), crowd.slice(100, 200), crowd.slice(200)]) {
    const body = { resourceType: 'Bundle', type: 'transaction', entry: part };
    assert.equal((await there.send('POST', '', { body })).status, 200);
  }
});
after(() => there.close());

const total = async (query: string): Promise<number> => {
  const answer = json(await there.send('GET', `/AuditEvent?${query}&_summary=count`));
  assert.equal(typeof answer.total, 'number', JSON.stringify(answer));
  return Number(answer.total);
};

const rows: readonly [query: string, same: string, why: string][] = [
  [
    'patient.identifier=urn:mrn|1&subtype=update',
    'patient=Patient/a&subtype=update',
    'control: a patient by identifier',
  ],
  ['patient.identifier=2&subtype=update', 'patient=Patient/b&subtype=update', 'any system'],
  ['patient:Patient.identifier=2&subtype=update', 'patient=Patient/b&subtype=update', 'typed'],
  ['patient.organization.name=ward', 'patient=Patient/a', 'two references'],
  ['patient.identifier=1,2&subtype=update', 'patient=Patient/a,Patient/b&subtype=update', 'OR'],
  ['patient.identifier=nobody', 'patient=Patient/nobody', 'nobody'],
  ['entity:Observation.code:text=x', 'entity=Observation/o', 'another kind of entity'],
  ['entity:Patient.gender=other', 'entity=Patient/crowd-0', 'a patient as entity'],
];
test('fhir-r4@chaining from AuditEvent: the events of what the chain leads to', async () => {
  const wrong: string[] = [];
  for (const [query, same, why] of rows) {
    // Counting is audited too: the reference is asked first, of fewer events.
    const expected = await total(`${same}&subtype=update`);
    const found = await total(`${query}&subtype=update`);
    if (found !== expected) wrong.push(`${query}: ${found}, not ${expected}: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
  assert.ok((await total('patient.identifier=1&subtype=update')) >= 1);
});

test('fhir-r4@chaining from AuditEvent: pages are those of the reference', async () => {
  const ids = async (query: string) => idsOf(json(await there.send('GET', `/AuditEvent?${query}`)));
  const found = await ids('patient.identifier=urn:mrn|2&subtype=update&_sort=-date');
  assert.deepEqual(found, await ids('patient=Patient/b&subtype=update&_sort=-date'));
  assert.ok(found.length > 0);
});

const refused: readonly [query: string, message: RegExp, why: string][] = [
  ['patient.gender=unknown,other', /leads to more than 200 Patient/, 'one more than a chain may lead to'],
  ['patient:identifier=urn:mrn|1', /patient:identifier.*not indexed; use a reference or a chain/, 'rendered only'],
  ['entity:identifier=request-1', /entity:identifier.*not indexed/, 'rendered only'],
  ['_has:Provenance:target:agent=x', /has/, 'what points at events'],
];
test('fhir-r4@chaining from AuditEvent: what is not done is refused by name, never answered as empty', async () => {
  const wrong: string[] = [];
  for (const [query, message, why] of refused) {
    const { status, body } = await there.send('GET', `/AuditEvent?${query}`);
    if (status !== 400 || !message.test(body ?? '')) wrong.push(`${query}: ${status} ${body}: ${why}`);
  }
  assert.equal(wrong.join('\n'), '');
});

test('fhir-r4@chaining from AuditEvent: as many as a chain may lead to', async () => {
  assert.ok((await total('patient.gender=unknown&subtype=update')) >= 200);
});

test('balp@query-empty-patient: a search that names a patient and finds nothing is an event of that patient', async () => {
  const about = 'patient=Patient/nobody-yet&subtype=search-type';
  const before = await total(about);
  const found = json(await there.send('GET', '/Observation?patient=Patient/nobody-yet'));
  assert.equal(found.total, 0);
  assert.equal(await total(about), before + 2, 'the search, and the first count, which named the patient too');
});
