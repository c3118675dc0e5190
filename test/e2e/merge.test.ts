// docs/decisions/0019-patient-merge.md over HTTP: after a merge, a hook and an export asked of either record see the allergies of both.
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

async function send(method: string, path: string, body?: unknown) {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { 'content-type': 'application/fhir+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text === '' ? {} : JSON.parse(text);
}

/** Indicators of the cards for an order of amoxicillin; nothing is prefetched by the client. */
async function indicators(patientId: string): Promise<readonly string[]> {
  const order = {
    resourceType: 'MedicationRequest',
    status: 'draft',
    intent: 'order',
    subject: { reference: `Patient/${patientId}` },
    medicationCodeableConcept: { text: 'amoxicillin' },
  };
  const { cards } = await send('POST', '/cds-services/drug-interactions-sign', {
    hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
    hook: 'order-sign',
    context: {
      userId: 'Practitioner/example',
      patientId,
      draftOrders: { resourceType: 'Bundle', type: 'collection', entry: [{ resource: order }] },
    },
  });
  return cards.map((card: { indicator: string }) => card.indicator);
}

test('merge: a hook called with either id sees the allergy of the source', async () => {
  const active = { system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' };
  await send('PUT', '/fhir/Patient/source', { resourceType: 'Patient', id: 'source' });
  await send('PUT', '/fhir/Patient/target', { resourceType: 'Patient', id: 'target' });
  await send('POST', '/fhir/AllergyIntolerance', {
    resourceType: 'AllergyIntolerance',
    clinicalStatus: { coding: [active] },
    patient: { reference: 'Patient/source' },
    code: { text: 'penicillin' },
  });
  assert.ok((await indicators('source')).includes('critical'), 'control: the allergy is found');
  assert.ok(!(await indicators('target')).includes('critical'), 'control: two persons');
  await send('POST', '/fhir/Patient/$merge', {
    resourceType: 'Parameters',
    parameter: [
      { name: 'source-patient', valueReference: { reference: 'Patient/source' } },
      { name: 'target-patient', valueReference: { reference: 'Patient/target' } },
    ],
  });
  assert.ok((await indicators('target')).includes('critical'));
  assert.ok((await indicators('source')).includes('critical'));
});

test("merge: the export of a Group of the target holds what is the source's", async () => {
  await send('PUT', '/fhir/Group/g', {
    resourceType: 'Group',
    id: 'g',
    type: 'person',
    actual: true,
    member: [{ entity: { reference: 'Patient/target' } }],
  });
  const started = await fetch(`${server.url}/fhir/Group/g/$export`, { headers: { prefer: 'respond-async' } });
  const status = started.headers.get('content-location') ?? '';
  let answer = await fetch(status);
  while (answer.status === 202) {
    await answer.text();
    await new Promise((resolve) => setTimeout(resolve, 50));
    answer = await fetch(status);
  }
  const { output } = (await answer.json()) as { output: { type: string; count: number }[] };
  const counts = output.map(({ type, count }) => [type, count]);
  assert.deepEqual(Object.fromEntries(counts), { AllergyIntolerance: 1, Group: 1, Patient: 2, Provenance: 1 });
});
