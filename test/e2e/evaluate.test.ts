// RiskAssessment/$evaluate on the real server: models and scores are there, 100 patients in one run, nothing is stored.
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
  readonly total?: number;
  readonly entry?: readonly { readonly resource?: { readonly note?: readonly { readonly text: string }[] } }[];
}
const asked = async (method: string, path: string, body?: object) => {
  const headers = { 'content-type': 'application/fhir+json' };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${server.url}${path}`, { method, headers, ...sent });
  return { status: response.status, body: (await response.json()) as Answer };
};
const ids = Array.from({ length: 100 }, (_each, index) => `p${index}`);
const rate = (id: string, value: number) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '9279-1' }] },
  subject: { reference: `Patient/${id}` },
  effectiveDateTime: '2026-03-01T11:00:00Z',
  valueQuantity: { value, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

test('evaluate@hundred: a graph and a score for 100 patients in one run', async () => {
  const entry = ids.flatMap((id, index) => [
    {
      resource: { resourceType: 'Patient', id, birthDate: '1960-05-05' },
      request: { method: 'PUT', url: `Patient/${id}` },
    },
    { resource: rate(id, index % 2 === 0 ? 16 : 30), request: { method: 'POST', url: 'Observation' } },
  ]);
  assert.equal((await asked('POST', '/fhir', { resourceType: 'Bundle', type: 'transaction', entry })).status, 200);
  const { status, body } = await asked('POST', '/fhir/RiskAssessment/$evaluate', {
    resourceType: 'Parameters',
    parameter: [
      ...ids.map((id) => ({ name: 'subject', valueString: `Patient/${id}` })),
      { name: 'model', valueString: 'news2' },
      { name: 'model', valueString: 'mews' },
      { name: 'at', valueDateTime: '2026-03-01T12:00:00Z' },
    ],
  });
  assert.equal(status, 200, JSON.stringify(body).slice(0, 300));
  const found = (body.entry ?? []).map(
    ({ resource }) => resource?.note?.find(({ text }) => text.startsWith('total: '))?.text,
  );
  assert.equal(found.length, 200);
  assert.deepEqual(found.slice(0, 4), [
    'total: at least 0',
    'total: at least 1',
    'total: at least 3',
    'total: at least 3',
  ]);
  assert.equal((await asked('GET', '/fhir/RiskAssessment?_summary=count')).body.total, 0);
});
