// docs/cds-hooks.md: decision support informs. An order that a card calls contraindicated is accepted all the same, signed or changed, alone or in a transaction.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Running, removeFolder, start } from './server.ts';

let server: Running;
before(async () => {
  server = await start();
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

interface Answer {
  readonly cards?: readonly { readonly indicator: string; readonly summary: string }[];
  readonly systemActions?: readonly unknown[];
}
const asked = async (method: string, path: string, body: object, type = 'application/fhir+json') => {
  const headers = { 'content-type': type };
  const response = await fetch(`${server.url}${path}`, { method, headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Answer };
};
const order = (id: string, status: string, text: string) => ({
  resourceType: 'MedicationRequest',
  id,
  status,
  intent: 'order',
  subject: { reference: 'Patient/ann' },
  medicationCodeableConcept: { text },
  authoredOn: new Date(Date.now() - 3_600_000).toISOString(),
});

test('orders@never-blocked: a contraindicated order gets a critical card, and is stored as it is sent', async () => {
  const taken = order('taken', 'active', 'clarithromycin 500 mg oral tablet');
  const draft = order('draft', 'draft', 'simvastatin 40 mg oral tablet');
  const patient = { resourceType: 'Patient', id: 'ann', birthDate: '1950-01-01', gender: 'female' };
  for (const each of [patient, taken]) {
    assert.equal((await asked('PUT', `/fhir/${each.resourceType}/${each.id}`, each)).status, 201);
  }
  const signing = await asked(
    'POST',
    '/cds-services/drug-interactions-sign',
    {
      hook: 'order-sign',
      hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
      context: {
        userId: 'Practitioner/one',
        patientId: 'ann',
        draftOrders: { resourceType: 'Bundle', type: 'collection', entry: [{ resource: draft }] },
      },
    },
    'application/json',
  );
  assert.equal(signing.status, 200);
  const told = (signing.body.cards ?? []).map(({ indicator, summary }) => `${indicator}: ${summary}`);
  assert.match(told.join('\n'), /^critical: /m, 'control: it is contraindicated');
  assert.equal(signing.body.systemActions, undefined, 'nothing is done to the order');
  const signed = { ...draft, status: 'active' };
  assert.equal((await asked('PUT', '/fhir/MedicationRequest/draft', signed)).status, 201);
  assert.equal((await asked('PUT', '/fhir/MedicationRequest/draft', { ...signed, priority: 'stat' })).status, 200);
  const bundle = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [{ resource: { ...signed, id: undefined }, request: { method: 'POST', url: 'MedicationRequest' } }],
  };
  assert.equal((await asked('POST', '/fhir', bundle)).status, 200);
});
