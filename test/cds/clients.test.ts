// What real clients send, and whatever else may arrive. Shapes of the specification's examples, the public sandbox and Epic's public tutorials, with invented data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bundle, DRUG_PREFETCH, FHIR_BASE, FINDING, INSTANCE, ORDER, orderSign, patientView, world } from './world.ts';

const SERVICES = ['deterioration-sepsis', 'triage', 'drug-interactions-select', 'drug-interactions-sign'];

test("cds-hooks-2.0@example order-select: the specification's two orders, one selected", async () => {
  const order = (id: string, text: string) => ({
    resource: {
      resourceType: 'MedicationRequest',
      id,
      status: 'draft',
      intent: 'order',
      medicationCodeableConcept: {
        coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '857001', display: text }],
        text,
      },
      subject: { reference: 'Patient/1288992' },
      dosageInstruction: [{ text: 'Take 1 tablet', timing: { repeat: { frequency: 1, period: 6, periodUnit: 'h' } } }],
    },
  });
  const one = world({
    findings: [{ ...FINDING, draft: { ...FINDING.draft, source: 'MedicationRequest/smart-MedicationRequest-103' } }],
  });
  const { status, cards } = await one.call('drug-interactions-select', {
    hookInstance: INSTANCE,
    fhirServer: FHIR_BASE,
    hook: 'order-select',
    fhirAuthorization: {
      access_token: 't',
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'user/Patient.read',
      subject: 'cds-service4',
    },
    context: {
      userId: 'Practitioner/123',
      patientId: '1288992',
      encounterId: '89284',
      selections: ['MedicationRequest/smart-MedicationRequest-103'],
      draftOrders: {
        resourceType: 'Bundle',
        entry: [
          order('smart-MedicationRequest-103', 'Acetaminophen'),
          order('smart-MedicationRequest-104', 'Ibuprofen'),
        ],
      },
    },
    prefetch: DRUG_PREFETCH,
  });
  assert.deepEqual([status, cards.length, one.checks[0]?.drafts.length], [200, 1, 2]);
});

test('§1.9.2 §2.1 cds-hooks-2.0@sandbox: no Bundle type, keys it could not fetch left out, null authorization, no encounter', async () => {
  const one = world({
    stored: { '/Patient/1288992': { resourceType: 'Patient', id: '1288992' } },
    findings: [FINDING],
  });
  const { status, cards } = await one.call('drug-interactions-sign', {
    ...orderSign({ fhirServer: FHIR_BASE, fhirAuthorization: null }),
    context: {
      patientId: '1288992',
      userId: 'Practitioner/COREPRACTITIONER1',
      encounterId: undefined,
      draftOrders: { resourceType: 'Bundle', entry: [{ resource: { ...ORDER, meta: null, dosageInstruction: [] } }] },
    },
    prefetch: {
      medications: bundle(),
      allergies: { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'exception' }] },
    },
  });
  assert.deepEqual([status, cards.map(({ indicator }) => indicator)], [200, ['critical', 'info']]);
  assert.deepEqual(one.audits[0]?.hook?.prefetch, {
    given: ['medications'],
    fetched: ['stopped', 'statements', 'patient', 'labs', 'pulse', 'glucose', 'conditions', 'encounters', 'procedures'],
    missing: ['allergies'],
  });
});

test('§1.8.10 §2.2 §8.5 cds-hooks-2.0@epic: own prefetch keys, vendor extensions, PractitionerRole, scopes of its own', async () => {
  const one = world();
  const { status } = await one.call('deterioration-sepsis', {
    ...patientView(),
    fhirServer: 'https://epic.example.org/interconnect/api/FHIR/R4',
    fhirAuthorization: {
      access_token: 't',
      token_type: 'bearer',
      expires_in: 900,
      scope: 'OBSERVATION.READ PATIENT.READ',
      subject: 'f7a0c0de',
    },
    extension: { 'com.epic.cdshooks.request.bpa-trigger-action': '60', 'com.epic.cdshooks.request.fhir-version': 'R4' },
    context: { patientId: '1288992', userId: 'PractitionerRole/eH-1', encounterId: 'eX3.a-b' },
    prefetch: { ...(patientView().prefetch as object), practitioner: { resourceType: 'Practitioner', id: 'p' } },
  });
  assert.equal(status, 200);
});

test('cds-hooks-2.0@never-5xx: any text', async () => {
  const one = world({ findings: [FINDING] });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...SERVICES), fc.oneof(fc.string(), fc.json()), async (id, body) => {
      assert.equal((await one.call(id, body)).status, 400);
    }),
    { numRuns: 100, seed: 1 },
  );
});

test('cds-hooks-2.0@never-5xx: any JSON in every place of an otherwise good call', async () => {
  const one = world({
    findings: [FINDING],
    stored: { '/Patient/1288992': { resourceType: 'Patient', id: '1288992' } },
  });
  const resource = fc.record(
    {
      resourceType: fc.constantFrom('Bundle', 'Patient', 'MedicationRequest', 'Observation', 'OperationOutcome'),
      id: fc.constantFrom('1288992', 'x', ''),
      subject: fc.jsonValue(),
      medicationReference: fc.jsonValue(),
      contained: fc.jsonValue(),
      entry: fc.jsonValue(),
      link: fc.jsonValue(),
      issue: fc.jsonValue(),
    },
    { requiredKeys: ['resourceType'] },
  );
  const nested = fc.oneof(
    fc.jsonValue(),
    resource,
    fc.array(resource.map((one_) => ({ resource: one_ }))).map((entry) => ({ resourceType: 'Bundle', entry })),
  );
  const places: readonly ((value: unknown, body: Record<string, unknown>) => unknown)[] = [
    (value, body) => ({ ...body, prefetch: { patient: value, vitals: value, medications: value, allergies: value } }),
    (value, body) => ({ ...body, prefetch: value }),
    (value, body) => ({ ...body, context: value }),
    (value, body) => ({ ...body, context: { ...(body.context as object), draftOrders: value } }),
    (value, body) => ({ ...body, context: { ...(body.context as object), selections: value } }),
    (value, body) => ({ ...body, fhirServer: value, fhirAuthorization: value, extension: value }),
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...SERVICES), fc.constantFrom(...places), nested, async (id, place, value) => {
      const body = id.startsWith('drug')
        ? { ...orderSign(), hook: id.endsWith('sign') ? 'order-sign' : 'order-select' }
        : patientView();
      const { status } = await one.call(id, place(value, body));
      assert.ok([200, 400, 412].includes(status), String(status));
    }),
    { numRuns: 300, seed: 2 },
  );
  assert.ok(
    !one.events.some(([event]) => event === 'engine-failed' || event === 'card-refused'),
    JSON.stringify(one.events),
  );
});
