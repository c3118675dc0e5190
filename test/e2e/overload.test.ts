// docs/operations.md#overload, through the real server: a flood of searches on the thread of large requests, hook calls meanwhile. Counts, no times.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sender } from './client.ts';
import { newFolder, removeFolder, start } from './server.ts';

const PULSES = 600;
const FLOOD = 300;
const HOOKS = 10;

const bundle = {
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [
    { resource: { resourceType: 'Patient', id: 'p' }, request: { method: 'PUT', url: 'Patient/p' } },
    ...Array.from({ length: PULSES }, (_, index) => ({
      resource: {
        resourceType: 'Observation',
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
        subject: { reference: 'Patient/p' },
        effectiveDateTime: '2026-01-02T03:04:05Z',
        valueQuantity: { value: 60 + (index % 60), unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
      },
      request: { method: 'POST', url: 'Observation' },
    })),
  ],
};
const call = {
  hook: 'order-sign',
  hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
  context: {
    userId: 'Practitioner/one',
    patientId: 'p',
    draftOrders: {
      resourceType: 'Bundle',
      type: 'collection',
      entry: [
        {
          resource: {
            resourceType: 'MedicationRequest',
            id: 'draft-1',
            status: 'draft',
            intent: 'order',
            subject: { reference: 'Patient/p' },
            medicationCodeableConcept: {
              coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '21212' }],
            },
          },
        },
      ],
    },
  },
};

test('reliability@r8-shed-e2e: searches are answered or told to come again, hook calls and health are answered', {
  timeout: 240_000,
}, async () => {
  const folder = newFolder();
  try {
    const server = await start({ SEARCH_BUDGET_MS: '20000' }, folder);
    const send = sender(`${server.url}/fhir`);
    const stored = await send('POST', '', bundle);
    assert.equal(stored.status, 200, stored.text);
    const search = async () => {
      const { status, headers } = await send('GET', `/Observation?subject=Patient/p&_count=${PULSES}&_format=xml`);
      return { status, again: headers.get('retry-after') };
    };
    assert.equal((await search()).status, 200, 'control');
    const flood = Array.from({ length: FLOOD }, search);
    const service = `${server.url}/cds-services/drug-interactions-sign`;
    const hooks = await Promise.all(
      Array.from({ length: HOOKS }, async () => (await send('POST', service, call)).status),
    );
    const live = (await fetch(`${server.url}/health/live`)).status;
    const answers = await Promise.all(flood);
    const turnedAway = answers.filter(({ status }) => status === 503);
    assert.deepEqual(hooks, Array(HOOKS).fill(200), 'each hook call is answered');
    assert.equal(live, 200);
    assert.equal(answers.filter(({ status }) => status === 200).length + turnedAway.length, FLOOD, 'nothing else');
    assert.ok(turnedAway.length > 0, 'control: it was too much');
    assert.ok(turnedAway.every(({ again }) => again === '2'));
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(
      metrics,
      new RegExp(`^firewatch_turned_away_total{class="search",thread="heavy"} ${turnedAway.length}$`, 'm'),
    );
    assert.doesNotMatch(metrics, /turned_away_total{class="(?:hook|emergency)"/);
    const recorded = await send('GET', '/AuditEvent?outcome=8&_total=accurate&_count=1');
    assert.equal(recorded.json.total, turnedAway.length, 'each is recorded');
    assert.equal((await search()).status, 200, 'and it is over when it is over');
    assert.equal(await server.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});
