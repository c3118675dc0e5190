// CDS Hooks 2.0.1 "HTTP Request" and the hook library: what a call must hold, and what is tolerated. Every row goes through the public door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INSTANCE, ORDER, orderSign, patientView, world } from './world.ts';

const context = (change: object) => ({ context: { userId: 'Practitioner/example', patientId: '1288992', ...change } });
const AUTHORIZATION = {
  access_token: 'some-opaque-token',
  token_type: 'Bearer',
  expires_in: 300,
  scope: 'patient/*.read',
  subject: 'cds-service4',
};
const SERVER = 'http://127.0.0.1:8080/fhir';
const without = (field: string) => Object.fromEntries(Object.entries(patientView()).filter(([name]) => name !== field));

const rows: readonly [status: number, body: unknown, why: string][] = [
  [200, patientView(), 'control'],
  [400, '', 'no body'],
  [400, '{', 'not JSON'],
  [400, [], 'a list'],
  [400, 'null', 'null'],
  [400, '{"__proto__":{}}', '§1.1.5 prototype pollution'],
  [400, without('hook'), 'hook is required'],
  [400, patientView({ hook: 'order-sign' }), '§1.3.1 hook of another service'],
  [400, patientView({ hook: null }), '§1.1.3 a required field may not be null'],
  [400, without('hookInstance'), '§1.3.1 hookInstance is required'],
  [400, patientView({ hookInstance: 'not-a-uuid' }), '§1.3.1 hookInstance is a UUID'],
  [400, patientView({ hookInstance: `${INSTANCE}0` }), 'hookInstance one character too long'],
  [200, patientView({ hookInstance: INSTANCE.toUpperCase() }), 'hookInstance in upper case'],
  [400, without('context'), 'context is required'],
  [400, patientView({ context: [] }), '§1.3.1 context is an object'],
  [400, patientView({ context: { patientId: '1' } }), '§1.9 userId is required'],
  [400, patientView({ context: { userId: 'Practitioner/1' } }), '§1.9 patientId is required'],
  [400, patientView(context({ patientId: null })), 'patientId may not be null'],
  [400, patientView(context({ patientId: '' })), 'patientId may not be empty'],
  [400, patientView(context({ patientId: 7 })), 'patientId is a string'],
  [400, patientView(context({ patientId: '../Observation' })), '§1.3.4 patientId as path'],
  [400, patientView(context({ patientId: '1,2' })), 'patientId as list'],
  [400, patientView(context({ patientId: '*' })), 'patientId as wildcard'],
  [400, patientView(context({ patientId: 'x'.repeat(65) })), 'patientId of 65 characters'],
  [
    200,
    patientView({
      ...context({ patientId: 'x'.repeat(64) }),
      prefetch: { ...orderPrefetch(), patient: null, vitals: null },
    }),
    'patientId of 64 characters',
  ],
  [200, patientView(context({ patientId: 'Patient/1288992' })), '§1.3.4 Patient/ before the id is tolerated'],
  [400, patientView(context({ patientId: 'Group/1288992' })), '§1.3.4 another type before the id is not'],
  [400, patientView(context({ userId: 'example' })), '§1.3.4 userId is Type/id'],
  [200, patientView(context({ userId: 'PractitionerRole/7' })), 'a role as user'],
  [200, patientView(context({ encounterId: null })), 'null optional in context'],
  [200, patientView(context({ encounterId: 'Encounter/7' })), 'Encounter/ before the id'],
  [400, patientView(context({ encounterId: 'a b' })), 'encounterId that is no id'],
  [200, patientView({ fhirServer: SERVER }), 'fhirServer alone'],
  [
    200,
    patientView({ fhirServer: `${SERVER}/`, fhirAuthorization: AUTHORIZATION }),
    'with authorization and trailing slash',
  ],
  [400, patientView({ fhirAuthorization: AUTHORIZATION }), '§1.3.2 §1.10.10 fhirAuthorization without fhirServer'],
  [
    400,
    patientView({ fhirServer: SERVER, fhirAuthorization: { ...AUTHORIZATION, expires_in: 'soon' } }),
    '§1.3.3 expires_in is an integer',
  ],
  [
    200,
    JSON.stringify(patientView({ fhirServer: SERVER, fhirAuthorization: AUTHORIZATION })).replace(':300', ':300.0'),
    'expires_in as 300.0',
  ],
  [
    400,
    patientView({ fhirServer: SERVER, fhirAuthorization: { ...AUTHORIZATION, token_type: 'mac' } }),
    '§1.3.3 token_type is Bearer',
  ],
  [
    400,
    patientView({ fhirServer: SERVER, fhirAuthorization: { ...AUTHORIZATION, subject: undefined } }),
    '§1.3.3 subject is required',
  ],
  [
    200,
    patientView({ fhirServer: SERVER, fhirAuthorization: { ...AUTHORIZATION, patient: '1288992' } }),
    'token of this patient',
  ],
  [
    400,
    patientView({ fhirServer: SERVER, fhirAuthorization: { ...AUTHORIZATION, patient: '2' } }),
    '§1.3.3 §1.5.3 token of another patient',
  ],
  [400, patientView({ fhirServer: 'ehr/fhir' }), 'fhirServer relative'],
  [400, patientView({ fhirServer: 'file:///etc' }), 'fhirServer not http'],
  [400, patientView({ fhirServer: 'http://u:p@ehr/fhir' }), 'fhirServer with user information'],
  [400, patientView({ fhirServer: 'http://ehr/fhir#x' }), 'fhirServer with fragment'],
  [200, patientView({ fhirServer: null, fhirAuthorization: null, extension: null }), '§1.1.3 null optionals'],
  [200, patientView({ fhirServer: '', fhirAuthorization: {} }), '§1.1.3 empty optionals'],
  [
    200,
    patientView({ extension: { 'com.example': { a: 1 } }, user: 'x', more: [1] }),
    '§1.1.5 §1.8.10 extension and unknown fields',
  ],
  [400, patientView({ prefetch: 'none' }), 'prefetch is an object'],
];

function orderPrefetch() {
  return { labs: null, pregnancy: null, conditions: null, encounters: null, goals: null };
}

for (const [status, body, why] of rows) {
  test(`${why} (cds-hooks-2.0@request ${status})`, async () => {
    assert.equal((await world().call('deterioration-sepsis', body)).status, status);
  });
}

const orderRows: readonly [status: number, change: object, why: string][] = [
  [200, { draftOrders: { resourceType: 'Bundle', entry: [] } }, 'control: empty draft'],
  [400, {}, '§1.9 draftOrders is required'],
  [400, { draftOrders: {} }, 'draftOrders is a Bundle'],
  [400, { draftOrders: { resourceType: 'Patient' } }, 'draftOrders of another type'],
  [400, { draftOrders: { resourceType: 'Bundle', entry: [1] } }, 'entries are objects'],
  [200, { draftOrders: { resourceType: 'Bundle', entry: [{}, { resource: null }] } }, 'entries without resource'],
  [200, { draftOrders: { resourceType: 'Bundle', entry: null } }, 'entry null'],
  [
    400,
    {
      draftOrders: {
        resourceType: 'Bundle',
        entry: [{ resource: { ...ORDER, subject: { reference: 'Patient/other' } } }],
      },
    },
    'an order for another patient',
  ],
];
for (const [status, change, why] of orderRows) {
  test(`${why} (cds-hooks-2.0@order-sign ${status})`, async () => {
    assert.equal((await world().call('drug-interactions-sign', orderSign(context(change)))).status, status);
  });
}

test('§1.9 cds-hooks-2.0@order-select: selections are required, and strings', async () => {
  const draftOrders = { resourceType: 'Bundle', entry: [{ resource: ORDER }] };
  const call = (change: object) =>
    world().call('drug-interactions-select', {
      ...orderSign(),
      hook: 'order-select',
      ...context({ draftOrders, ...change }),
    });
  assert.deepEqual(
    await Promise.all(
      [
        {},
        { selections: null },
        { selections: [7] },
        { selections: [] },
        { selections: ['MedicationRequest/new'] },
      ].map(async (one) => (await call(one)).status),
    ),
    [400, 400, 400, 200, 200],
  );
});

test('§1.3.5 §1.10.3 cds-hooks-2.0@errors: a refusal is an OperationOutcome that repeats nothing of the request', async () => {
  const canary = 'Zyxwvut-Canary';
  for (const body of [
    patientView({ hook: canary }),
    patientView({ hookInstance: canary }),
    patientView(context({ patientId: `${canary} ${canary}` })),
    patientView({ prefetch: { patient: { resourceType: 'Patient', id: canary }, vitals: null } }),
    patientView({ fhirServer: `${canary}:x` }),
    `{"${canary}": `,
  ]) {
    const { status, text } = await world().call('deterioration-sepsis', body);
    assert.equal(status, 400);
    assert.equal(JSON.parse(text).resourceType, 'OperationOutcome');
    assert.ok(!text.includes(canary), text);
  }
});

test('§1.5.1 §1.8.9 cds-hooks-2.0@authorization: the access token is in no answer, audit row or event', async () => {
  for (const change of [{}, { fhirAuthorization: { ...AUTHORIZATION, expires_in: 'soon' } }]) {
    const one = world();
    const body = patientView({ fhirServer: SERVER, fhirAuthorization: AUTHORIZATION, ...change });
    const { text } = await one.call('deterioration-sepsis', body);
    assert.equal(one.audits.length, 1);
    assert.ok(!JSON.stringify([text, one.audits, one.events, one.reads]).includes(AUTHORIZATION.access_token));
  }
});

test('cds-hooks-2.0@unknown-service: 404, audited', async () => {
  const { call, audits } = world();
  assert.equal((await call('no-such-service', patientView())).status, 404);
  assert.equal(audits[0]?.status, 404);
});

test('§8.12 cds-hooks-2.0@audit: every call leaves one row before the answer, refused ones too; without it 503', async () => {
  const one = world();
  await one.call('deterioration-sepsis', patientView());
  await one.call('deterioration-sepsis', patientView({ hookInstance: 'x' }));
  assert.deepEqual(
    one.audits.map(({ status, hook }) => [
      status,
      hook?.hook,
      hook?.service,
      hook?.patient,
      hook?.prefetch.given.length,
    ]),
    [
      [200, 'patient-view', 'deterioration-sepsis', '1288992', 7],
      [400, 'patient-view', 'deterioration-sepsis', undefined, 0],
    ],
  );
  const failing = await world({ auditFails: true }).call('deterioration-sepsis', patientView());
  assert.deepEqual([failing.status, JSON.parse(failing.text).resourceType], [503, 'OperationOutcome']);
});

test('§6.2.3 cds-hooks-2.0@roles: cards are for professionals; a patient as user gets none and nothing is read', async () => {
  const { call, reads, evidence } = world();
  const { status, cards } = await call(
    'deterioration-sepsis',
    patientView({ ...context({ userId: 'Patient/1288992' }), prefetch: {} }),
  );
  assert.deepEqual([status, cards, reads, evidence], [200, [], [], []]);
});
