// CDS Hooks 2.0.1 "Prefetch Template": the decision table for each key, row by row, and whose data is used.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import {
  bundle,
  DRUG_PREFETCH,
  FHIR_BASE,
  FULL_PREFETCH,
  ORDER,
  orderSign,
  PATIENT,
  patientView,
  world,
} from './world.ts';

const vital = (id: string, change: object = {}): Resource => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  subject: { reference: 'Patient/1288992' },
  ...change,
});
const ERROR = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'timeout' }] };
const WARNING = { resourceType: 'OperationOutcome', issue: [{ severity: 'warning', code: 'informational' }] };
const FOREIGN = 'https://ehr.example.org/fhir';
const STORED = {
  '/Patient/1288992': PATIENT,
  '/Observation?patient=1288992&code=http://loinc.org|85354': bundle(vital('own')),
};

interface Expected {
  readonly status: number;
  /** Ids of what the model saw of the key `vitals`. */
  readonly seen?: readonly string[];
  readonly state?: 'given' | 'fetched' | 'missing';
  readonly reads?: number;
}
const rows: readonly [vitals: unknown, request: object, expected: Expected, why: string][] = [
  [
    bundle(vital('a'), vital('b')),
    {},
    { status: 200, seen: ['a', 'b'], state: 'given', reads: 0 },
    '§1.4.3 Bundle: used',
  ],
  [vital('a'), {}, { status: 200, seen: ['a'], state: 'given', reads: 0 }, 'single resource for a search: used'],
  [
    null,
    {},
    { status: 200, seen: [], state: 'given', reads: 0 },
    '§1.1.3 §1.4.3 §8.3 null: looked, nothing there; no query',
  ],
  [bundle(), {}, { status: 200, seen: [], state: 'given', reads: 0 }, '§1.4.3 empty Bundle: same'],
  [{ resourceType: 'Bundle' }, {}, { status: 200, seen: [], state: 'given', reads: 0 }, 'Bundle without entry: same'],
  [
    ERROR,
    {},
    { status: 200, seen: [], state: 'missing', reads: 0 },
    '§1.4.3 §8.3 OperationOutcome: failed, not asked again',
  ],
  [
    bundle(ERROR),
    {},
    { status: 200, seen: [], state: 'missing', reads: 0 },
    '§1.4.3 OperationOutcome alone in a Bundle: failed',
  ],
  [
    bundle(vital('a'), ERROR),
    {},
    { status: 200, seen: ['a'], state: 'given', reads: 0 },
    'data and an error: the data is used',
  ],
  [bundle(vital('a'), WARNING), {}, { status: 200, seen: ['a'], state: 'given', reads: 0 }, 'a warning is no error'],
  [
    { resourceType: 'Practitioner', id: 'x' },
    {},
    { status: 200, seen: [], state: 'missing', reads: 0 },
    'another type: failed',
  ],
  [
    JSON.stringify(bundle(vital('a'))),
    {},
    { status: 200, seen: ['a'], state: 'given', reads: 0 },
    '§1.4.3 JSON in a string',
  ],
  [
    undefined,
    { fhirServer: FHIR_BASE },
    { status: 200, seen: ['own'], state: 'fetched', reads: 2 },
    '§1.4.3 absent, our server: read here',
  ],
  [
    undefined,
    { fhirServer: `${FHIR_BASE}/` },
    { status: 200, seen: ['own'], state: 'fetched', reads: 2 },
    'with trailing slash',
  ],
  [
    undefined,
    {},
    { status: 200, seen: ['own'], state: 'fetched', reads: 2 },
    'absent, no server named, patient known: read here',
  ],
  ['not json', {}, { status: 200, seen: ['own'], state: 'fetched', reads: 2 }, 'string that is not JSON: absent'],
  [{}, {}, { status: 200, seen: ['own'], state: 'fetched', reads: 2 }, 'empty object: absent'],
  [undefined, { fhirServer: FOREIGN }, { status: 412, reads: 0 }, '§1.4.4 absent, foreign server: 412, nothing read'],
  [
    undefined,
    { fhirServer: `${FHIR_BASE}.evil.example` },
    { status: 412, reads: 0 },
    'a server that only begins like ours',
  ],
  [
    bundle(vital('a')),
    { fhirServer: FOREIGN },
    { status: 200, seen: ['a'], state: 'given', reads: 0 },
    'foreign server, all sent',
  ],
];
for (const [vitals, request, { status, seen, state, reads }, why] of rows) {
  test(`${why} (cds-hooks-2.0@prefetch ${status})`, async () => {
    const one = world({ stored: STORED });
    const answer = await one.call(
      'deterioration-sepsis',
      patientView({ prefetch: { ...FULL_PREFETCH, vitals }, ...request }),
    );
    assert.equal(answer.status, status);
    assert.equal(one.reads.length, reads ?? 0);
    if (seen !== undefined)
      assert.deepEqual(
        one.evidence[0]?.resources.map(({ id }) => id),
        seen,
      );
    const { prefetch } = one.audits[0]?.hook ?? {};
    if (state !== undefined) assert.ok(prefetch?.[state].includes('vitals'), JSON.stringify(prefetch));
  });
}

test('§1.4.4 cds-hooks-2.0@412: no server named and the patient not known here', async () => {
  const one = world();
  const { status, text } = await one.call('deterioration-sepsis', patientView({ prefetch: {} }));
  assert.deepEqual([status, one.audits[0]?.status, one.evidence.length], [412, 412, 0]);
  assert.ok(!text.includes('1288992'));
});

test('§1.4.4 §1.4.5 §8.2 cds-hooks-2.0@412: data that is asked and empty is 200; an optional key that cannot be had is 200 and said', async () => {
  const prefetch = { patient: PATIENT, vitals: null };
  const one = world();
  assert.equal((await one.call('deterioration-sepsis', patientView({ fhirServer: FOREIGN, prefetch }))).status, 200);
  assert.deepEqual(one.audits[0]?.hook?.prefetch.missing, ['labs', 'pregnancy', 'conditions', 'encounters', 'goals']);
});

test('cds-hooks-2.0@prefetch a type that is no name of a type is no resource: tables are never asked for what every object has', async () => {
  for (const resourceType of ['constructor', 'toString', 'hasOwnProperty', 'valueOf', '', 'observation', 'A b']) {
    const one = world();
    const vitals = bundle(vital('a'), { ...vital('b'), resourceType });
    const { status } = await one.call('deterioration-sepsis', patientView({ prefetch: { ...FULL_PREFETCH, vitals } }));
    assert.deepEqual([status, one.evidence[0]?.resources.map(({ id }) => id)], [200, ['a']], resourceType);
  }
});

test('cds-hooks-2.0@prefetch-read: the same question is asked once', async () => {
  const one = world({ stored: STORED });
  await one.call('deterioration-sepsis', patientView({ prefetch: undefined }));
  assert.equal(one.reads.length, 7);
  assert.equal(new Set(one.reads).size, 7);
});

test('cds-hooks-2.0@prefetch-failed-read: a read of ours that fails is missing, not empty, and no 5xx', async () => {
  const doors: readonly [faults: number, door: () => Promise<FhirResponse>][] = [
    [0, async () => ({ status: 503, headers: {}, body: '{}' })],
    [7, async () => ({ status: 200, headers: {}, body: 'not json' })],
    [7, async () => Promise.reject(new Error('gone'))],
    [0, () => new Promise<never>(() => undefined)],
  ];
  for (const [faults, door] of doors) {
    const one = world({ door, deadlineMs: 50 });
    assert.equal((await one.call('deterioration-sepsis', patientView({ prefetch: undefined }))).status, 200);
    assert.equal(one.audits[0]?.hook?.prefetch.missing.length, 7);
    assert.equal(one.faults.length, faults);
  }
});

const page = (next: string | undefined, ...resources: readonly object[]) => ({
  ...bundle(...resources),
  ...(next === undefined ? {} : { link: [{ relation: 'next', url: next }] }),
});
const medication = (id: string) => ({ ...ORDER, id, status: 'active' });
const pages: readonly [next: string, request: object, seen: readonly string[], complete: boolean, why: string][] = [
  [
    `${FHIR_BASE}/MedicationRequest?_cursor=p2`,
    {},
    ['m1', 'm2'],
    true,
    '§1.4.3 §8.3 own next link is followed through the door',
  ],
  [
    `${FOREIGN}/MedicationRequest?p=2`,
    { fhirServer: FOREIGN },
    ['m1'],
    false,
    '§1.4.3 foreign next link is not followed',
  ],
  [
    `${FHIR_BASE}/MedicationRequest?_cursor=p2`,
    { fhirServer: FOREIGN },
    ['m1'],
    false,
    'own next link in a foreign call',
  ],
  [`${FHIR_BASE}/Patient?_cursor=p2`, {}, ['m1'], false, 'next link to another type'],
  [`${FHIR_BASE}/MedicationRequest?_cursor=loop`, {}, ['m1', 'm3'], false, 'pages without end stop at the cap'],
];
for (const [next, request, seen, complete, why] of pages) {
  test(`${why} (cds-hooks-2.0@paging)`, async () => {
    const one = world({
      stored: {
        '/MedicationRequest?_cursor=p2': page(undefined, medication('m2')),
        '/MedicationRequest?_cursor=loop': page(`${FHIR_BASE}/MedicationRequest?_cursor=loop`, medication('m3')),
      },
    });
    const prefetch = { ...DRUG_PREFETCH, medications: page(next, medication('m1')) };
    const { status, cards } = await one.call('drug-interactions-sign', orderSign({ prefetch, ...request }));
    assert.equal(status, 200);
    assert.deepEqual(
      one.checks[0]?.context.map(({ id }) => id),
      seen,
    );
    assert.equal(
      cards.some(({ detail }) => detail.includes('Incomplete data')),
      !complete,
    );
    assert.ok(one.reads.length <= 9);
  });
}

test('cds-hooks-2.0@paging: a full page of the newest is all that was asked for', async () => {
  const full = Array.from({ length: 100 }, (_one, index) => medication(`s${index}`));
  const incompleteAt = async (count: number) => {
    const prefetch = { ...DRUG_PREFETCH, stopped: page(`${FOREIGN}/x`, ...full.slice(0, count)) };
    const { cards } = await world().call('drug-interactions-sign', orderSign({ prefetch }));
    return cards.length;
  };
  assert.deepEqual([await incompleteAt(99), await incompleteAt(100)], [1, 0]);
});

const patients: readonly [status: number, patient: unknown, why: string][] = [
  [200, PATIENT, 'control'],
  [400, { ...PATIENT, id: 'other' }, '§1.4.6 another Patient'],
  [400, bundle({ ...PATIENT, id: 'other' }), 'another Patient in a Bundle'],
  [400, bundle(PATIENT, { ...PATIENT, id: 'other' }), '§1.4.6 another Patient beside the right one'],
];
for (const [status, patient, why] of patients) {
  test(`${why} (cds-hooks-2.0@foreign-patient ${status})`, async () => {
    const body = patientView({ prefetch: { ...FULL_PREFETCH, patient } });
    assert.equal((await world().call('deterioration-sepsis', body)).status, status);
  });
}

const subjects: readonly [used: boolean, subject: object, why: string][] = [
  [true, { subject: { reference: 'Patient/1288992' } }, 'relative'],
  [true, { subject: { reference: `${FOREIGN}/Patient/1288992` } }, 'absolute'],
  [true, { subject: { reference: 'Patient/1288992/_history/3' } }, 'versioned'],
  [true, { subject: undefined }, 'no subject'],
  [true, { subject: { display: 'by name only' } }, 'subject without reference'],
  [false, { subject: { reference: 'Patient/12889921' } }, '§1.4.6 an id that only begins like it'],
  [false, { subject: { reference: 'Group/1288992' } }, 'a group'],
  [false, { subject: { reference: 'urn:uuid:d1577c69-dfbe-44ad-ba6d-3e05e953b2ea' } }, 'an unknown urn'],
  [false, { subject: undefined, patient: { reference: 'Patient/other' } }, 'patient instead of subject'],
];
for (const [used, subject, why] of subjects) {
  test(`${why} (cds-hooks-2.0@foreign-subject ${used ? 'used' : 'dropped'})`, async () => {
    const one = world();
    const vitals = bundle(vital('a'), vital('b', subject), { ...PATIENT, id: 'included' });
    const { status } = await one.call('deterioration-sepsis', patientView({ prefetch: { ...FULL_PREFETCH, vitals } }));
    assert.deepEqual([status, one.evidence[0]?.resources.map(({ id }) => id)], [200, used ? ['a', 'b'] : ['a']]);
    assert.deepEqual(one.events, [['foreign-resource', used ? 1 : 2]]);
    assert.match(one.audits[0]?.outcomeDescription ?? '', /resources of others dropped/);
  });
}

const linked: readonly [used: boolean, link: object, why: string][] = [
  [true, { other: { reference: 'Patient/other' }, type: 'replaces' }, 'replaces'],
  [true, { other: { reference: `${FOREIGN}/Patient/other` }, type: 'seealso' }, 'absolute, seealso'],
  [false, { other: { reference: 'Patient/third' }, type: 'replaces' }, 'another one'],
  [false, { other: { reference: 'RelatedPerson/other' }, type: 'seealso' }, 'no Patient'],
  [false, { other: { display: 'other' }, type: 'replaces' }, 'without reference'],
];
for (const [used, link, why] of linked) {
  test(`cds-hooks-2.0@linked-patient ${used ? 'used' : 'dropped'}: the Patient sent links to the subject, ${why}`, async () => {
    const one = world();
    const vitals = bundle(vital('a'), vital('b', { subject: { reference: 'Patient/other' } }));
    const prefetch = { ...FULL_PREFETCH, patient: { ...PATIENT, link: [link] }, vitals };
    await one.call('deterioration-sepsis', patientView({ prefetch }));
    assert.deepEqual(
      one.evidence[0]?.resources.map(({ id }) => id),
      used ? ['a', 'b'] : ['a'],
    );
  });
}

test('§1.9.2 §8.11 cds-hooks-2.0@medication-reference: contained, by fullUrl, by Type/id in the draft, in prefetch, in our own store', async () => {
  const { medicationCodeableConcept: _none, ...bare } = ORDER;
  const named = (text: string, id?: string) => ({
    resourceType: 'Medication',
    ...(id === undefined ? {} : { id }),
    code: { text },
  });
  const order = (id: string, reference: string, more: object = {}) => ({
    resource: { ...bare, id, medicationReference: { reference }, ...more },
  });
  const one = world({
    stored: { '/Patient/1288992': PATIENT, '/Medication?_id=': bundle(named('from store', 'far')) },
  });
  await one.call(
    'drug-interactions-sign',
    orderSign(
      { fhirServer: FHIR_BASE, prefetch: { ...DRUG_PREFETCH, medications: bundle(named('from prefetch', 'pre')) } },
      [
        order('o1', '#m', { contained: [named('contained', 'm')] }),
        order('o2', 'urn:uuid:1'),
        { fullUrl: 'urn:uuid:1', resource: named('by fullUrl') },
        order('o3', 'Medication/here'),
        { resource: named('by id', 'here') },
        order('o4', 'Medication/pre'),
        order('o5', 'Medication/far'),
        order('o6', '#missing'),
      ],
    ),
  );
  const texts = one.checks[0]?.drafts.map(({ medicationCodeableConcept }) =>
    JSON.stringify(medicationCodeableConcept ?? null),
  );
  assert.deepEqual(texts, [
    '{"text":"contained"}',
    '{"text":"by fullUrl"}',
    '{"text":"by id"}',
    '{"text":"from prefetch"}',
    '{"text":"from store"}',
    'null',
  ]);
});
