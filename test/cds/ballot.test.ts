// CDS Hooks 3.0.0-ballot: what CDS_HOOKS_3 switches on, and that nothing of it is there without. docs/cds-hooks.md#the-30-ballot.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Action, BuiltCard } from '../../src/cds/cards/card.ts';
import { shaped } from '../../src/cds/cards/client-profile.ts';
import { DRUG_PREFETCH, FHIR_BASE, FINDING, ORDER, orderSign, PATIENT, patientView, ROOT, world } from './world.ts';

const folders = mkdtempSync(join(tmpdir(), 'firewatch-ballot-'));
after(() => rmSync(folders, { recursive: true }));
type Json = Record<string, unknown>;
const read = (name: string): Json => JSON.parse(readFileSync(join(ROOT, 'cds-services', `${name}.json`), 'utf8'));
const SIGN = read('drug-interactions-sign');
const VIEW = read('deterioration-sepsis');

/** One service whose prefetch is this; every key but the first is optional. */
function folderOf(prefetch: Readonly<Record<string, string>>, service = SIGN): string {
  const folder = mkdtempSync(join(folders, 'services-'));
  cpSync(join(ROOT, 'cds-services', 'schema.json'), join(folder, 'schema.json'));
  const optionalPrefetch = Object.keys(prefetch).slice(1);
  const file = { ...service, prefetch, optionalPrefetch, refiningPrefetch: undefined };
  writeFileSync(join(folder, 'one.json'), JSON.stringify(file));
  return folder;
}
const MEDICATIONS = 'MedicationRequest?patient={{context.patientId}}&status=active';
const problems = (prefetch: Readonly<Record<string, string>>, hooks3: boolean) =>
  world({ folder: folderOf({ medications: MEDICATIONS, ...prefetch }), hooks3 }).cds.problems;

const OBSERVED = (date: string) => `Observation?patient={{context.patientId}}&date=${date}`;
const legality: readonly [legal: boolean, prefetch: Readonly<Record<string, string>>, why: string][] = [
  [true, { a: OBSERVED('ge{{today()}}') }, 'today()'],
  [true, { a: OBSERVED('ge{{today() - 30 days}}') }, 'today() with an offset'],
  [false, { a: OBSERVED('ge{{today() - 30 hours}}') }, 'a unit that is no part of a date'],
  [false, { a: OBSERVED('ge{{now()}}') }, 'now()'],
  [
    true,
    { a: 'Practitioner/{{context.draftOrders.entry.resource.ofType(MedicationRequest).requester.resolve().id}}' },
    'a path through the orders',
  ],
  [
    true,
    {
      a: 'Medication?_id={{context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().id|context.draftOrders.entry.resource.ofType(MedicationDispense).medication.resolve().id}}',
    },
    'two paths',
  ],
  [false, { a: 'Medication?_id={{context.draftOrders}}' }, 'no primitive'],
  [false, { a: 'Medication?_id={{context.selections.id}}' }, 'a field that the hook does not have'],
  [false, { a: 'Medication?_id={{context.draftOrders.entry.where(true)}}' }, 'another function'],
  [
    true,
    { p: 'Patient/{{context.patientId}}', a: 'Practitioner/{{%p.generalPractitioner.resolve().id}}' },
    'an earlier read',
  ],
  [
    false,
    { a: 'Practitioner/{{%p.generalPractitioner.resolve().id}}', p: 'Patient/{{context.patientId}}' },
    'a read that stands later',
  ],
  [false, { a: 'Practitioner/{{%a.generalPractitioner.resolve().id}}' }, 'a key that names itself'],
  [false, { a: 'Practitioner/{{%medications.entry.resource.requester.resolve().id}}' }, 'an earlier search'],
  [true, { a: `${OBSERVED('ge2020')}&_maxresults=5` }, '_maxresults'],
];
for (const [legal, prefetch, why] of legality) {
  test(`§1.10.1 tokens of the ballot: ${why} is ${legal ? 'legal when switched on, and stops the start otherwise' : 'illegal'}`, () => {
    assert.equal(problems(prefetch, true).length === 0, legal, problems(prefetch, true).join('; '));
    assert.notEqual(problems(prefetch, false).length, 0);
  });
}

const order = (id: string, more: Json): Json => {
  const { medicationCodeableConcept: _none, ...bare } = ORDER;
  return { ...bare, id, ...more };
};
const ORDERS = [
  {
    resource: order('a', {
      medicationReference: { reference: 'Medication/m1' },
      requester: { reference: 'Practitioner/7' },
    }),
  },
  {
    resource: order('b', {
      medicationReference: { reference: '#m2' },
      contained: [{ resourceType: 'Medication', id: 'm2' }],
    }),
  },
  { resource: order('c', { medicationReference: { reference: 'urn:uuid:1' } }) },
  { fullUrl: 'urn:uuid:1', resource: { resourceType: 'Medication', id: 'm3' } },
  { resource: order('d', { medicationReference: { reference: 'https://ehr.example/fhir/Medication/m1' } }) },
  { resource: order('e', { medicationCodeableConcept: { text: 'by name' } }) },
  { resource: { ...order('f', {}), resourceType: 'ServiceRequest', requester: { reference: 'Practitioner/8' } } },
];
const MEDICATION_IDS =
  'Medication?_id={{context.draftOrders.entry.resource.ofType(MedicationRequest).medication.resolve().ofType(Medication).id}}';
// The clock stands at 2026-01-15T12:00Z.
const asked: readonly [question: string | undefined, template: string, why: string][] = [
  ['/Observation?patient=1288992&date=ge2026-01-15', OBSERVED('ge{{today()}}'), 'today'],
  ['/Observation?patient=1288992&date=ge2025-12-16', OBSERVED('ge{{today() - 30 days}}'), 'days back'],
  ['/Observation?patient=1288992&date=le2026-01-29', OBSERVED('le{{today() + 2 weeks}}'), 'weeks ahead'],
  ['/Observation?patient=1288992&date=ge2025-11-15', OBSERVED('ge{{today() - 2 months}}'), 'months back'],
  ['/Observation?patient=1288992&date=ge2025-01-15', OBSERVED('ge{{today() - 1 year}}'), 'a year back'],
  ['/Medication?_id=m1,m2,m3', MEDICATION_IDS, 'each once: in the call, contained, by fullUrl, elsewhere by its id'],
  [
    '/Practitioner/7',
    'Practitioner/{{context.draftOrders.entry.resource.ofType(MedicationRequest).requester.resolve().id}}',
    'one value for a read',
  ],
  [undefined, 'Practitioner/{{context.draftOrders.entry.resource.requester.resolve().id}}', 'two values are no read'],
  [
    '/Practitioner?_id=7,8',
    'Practitioner?_id={{context.draftOrders.entry.resource.ofType(MedicationRequest).requester.resolve().id|context.draftOrders.entry.resource.ofType(ServiceRequest).requester.resolve().id}}',
    'both paths',
  ],
  [undefined, 'Device?_id={{context.draftOrders.entry.resource.ofType(DeviceRequest).id}}', 'nothing found: not asked'],
  [undefined, 'Medication?_id={{context.draftOrders.entry.resource.subject}}', 'an object is no value'],
  ['/Observation?patient=1288992&date=ge2020&_count=5', `${OBSERVED('ge2020')}&_maxresults=5`, '_maxresults as _count'],
];
for (const [question, template, why] of asked) {
  test(`§1.10.1 a token of the ballot stands for what the call holds: ${why}`, async () => {
    const folder = folderOf({ medications: MEDICATIONS, x: template });
    const one = world({ folder, hooks3: true, stored: { '/Patient/1288992': PATIENT } });
    assert.deepEqual(one.cds.problems, []);
    const body = orderSign({ prefetch: { medications: null }, fhirServer: FHIR_BASE }, ORDERS);
    const { status } = await one.call('drug-interactions-sign', body);
    assert.equal(status, 200);
    const others = one.reads.filter((path) => path !== '/Patient/1288992' && path !== '/Medication?_id=m1&_count=1');
    assert.deepEqual(others, question === undefined ? [] : [question]);
    assert.equal(one.audits[0]?.hook?.prefetch.missing.includes('x'), question === undefined);
  });
}

test('§1.10.1 an earlier read is waited for, whoever gave it, and its values are no part of the query', async () => {
  const folder = folderOf(
    {
      p: 'Patient/{{context.patientId}}',
      gp: 'Practitioner/{{%p.generalPractitioner.resolve().id}}',
      same: 'Observation?patient={{context.patientId}}&code={{%p.maritalStatus.coding.code}}',
    },
    VIEW,
  );
  const patient = {
    ...PATIENT,
    generalPractitioner: [{ reference: 'Practitioner/gp-1' }],
    maritalStatus: { coding: [{ code: 'M&patient=other|x,y' }] },
  };
  const from = async (prefetch: object, stored: Record<string, typeof PATIENT>) => {
    const one = world({ folder, hooks3: true, stored });
    await one.call('deterioration-sepsis', patientView({ prefetch, fhirServer: FHIR_BASE }));
    return one.reads.filter((path) => !path.startsWith('/Patient/'));
  };
  const expected = [
    '/Practitioner/gp-1',
    `/Observation?patient=1288992&code=${encodeURIComponent('M&patient=other\\|x\\,y')}`,
  ];
  const held = { '/Patient/1288992': patient };
  assert.deepEqual((await from({ p: patient }, held)).toSorted(), expected.toSorted(), 'sent');
  assert.deepEqual((await from({}, held)).toSorted(), expected.toSorted(), 'read');
  assert.deepEqual(await from({ p: PATIENT }, held), [], 'without value nothing is asked');
});

const removal: Action = { type: 'delete', description: 'Removes it.', resourceId: 'MedicationRequest/new' };
const two = { label: 'two', uuid: 'u2', actions: [removal, removal] };
const one_ = { label: 'one', uuid: 'u1', actions: [removal] };
const card: BuiltCard['card'] = {
  uuid: 'c',
  summary: 's',
  detail: 'd',
  indicator: 'info',
  source: { label: 'l', topic: { system: 'urn:x', code: 'x', display: 'X' } },
  suggestions: [one_, two],
  selectionBehavior: 'at-most-one',
};
test('§1.10.2 actionSelectionBehavior is sent to clients that are known to read it, and means all', () => {
  const answer = { cards: [{ kind: 'finding' as const, key: 'k', card }], systemActions: [] };
  const sent = (hooks3: boolean) => shaped({ profile: 'generic', hooks3 }, answer).cards[0]?.suggestions;
  assert.deepEqual(sent(true), [one_, { ...two, actionSelectionBehavior: 'all' }]);
  assert.deepEqual(sent(false), [one_, two]);
});
test('§1.10.2 a registration alone does not switch it on, nor does the setting', async () => {
  for (const [hooks3, registered] of [
    [true, false],
    [false, true],
  ] as const) {
    const one = world({ hooks3, findings: [FINDING] });
    const admitted = await one.cds.admit({ path: '/x', service: undefined }, { requestId: 'r', address: '127.0.0.1' });
    const sender = { ...admitted, client: { ...admitted.client, hooks3: registered } };
    const { body } = await one.cds.invoke(
      'drug-interactions-sign',
      JSON.stringify(orderSign({ prefetch: DRUG_PREFETCH })),
      sender,
    );
    assert.doesNotMatch(body, /actionSelectionBehavior/);
  }
});

test('§1.10.5 scopes of SMART 1 and 2 are taken alike: they bind the server that gave the token', async () => {
  for (const scope of ['patient/*.read', 'patient/Observation.rs?category=vital-signs', 'OBSERVATION.READ']) {
    const fhirAuthorization = { access_token: 't', token_type: 'Bearer', expires_in: 300, scope, subject: 'cds' };
    const { status } = await world().call(
      'deterioration-sepsis',
      patientView({ fhirServer: FHIR_BASE, fhirAuthorization }),
    );
    assert.equal(status, 200, scope);
  }
});
