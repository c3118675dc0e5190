// CDS Hooks 2.0.1 "HTTP Request", "FHIR Resource Access": what a call may hold, and the same call sent again. docs/cds-hooks.md#a-call.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SAME_ANSWER_MS } from '../../src/cds/call/answered.ts';
import { AT, bundle, FHIR_BASE, FINDING, INSTANCE, orderSign, PATIENT, PEER, patientView, world } from './world.ts';

const OWN = { fhirServer: FHIR_BASE, prefetch: undefined };
const TOKEN = 'secret-token-of-the-ehr';
const AUTHORIZATION = {
  access_token: TOKEN,
  token_type: 'Bearer',
  expires_in: 300,
  scope: 'patient/*.rs',
  subject: 'cds',
};

test('§1.3.7 cds-hooks-2.0@call-idempotent within the window the same call is answered as before, audited each time; then it is judged anew', async () => {
  let now = AT;
  const findings = [FINDING];
  const check = () => ({ findings, unresolved: [], considered: [] });
  const one = world({ now: () => now, check, stored: { '/Patient/1288992': PATIENT } });
  const call = orderSign(OWN);
  const first = await one.call('drug-interactions-sign', call);
  const reads = one.reads.length;
  findings.pop();
  now += SAME_ANSWER_MS - 1;
  const again = await one.call('drug-interactions-sign', call);
  assert.equal(again.text, first.text, 'the same cards with the same uuids');
  assert.equal(one.reads.length, reads, 'nothing is read again');
  assert.deepEqual(
    one.audits.map(({ status, hook }) => [status, hook?.cards.length, hook?.user]),
    [
      [200, 1, 'Practitioner/example'],
      [200, 1, 'Practitioner/example'],
    ],
  );
  assert.match(one.audits[1]?.outcomeDescription ?? '', /answered as before/);
  now += 1;
  assert.deepEqual((await one.call('drug-interactions-sign', call)).cards, [], 'the window has ended');
});

const others: readonly [why: string, change: (body: Record<string, unknown>) => object, service?: string][] = [
  ['another hookInstance', (body) => ({ ...body, hookInstance: INSTANCE.replace('d1', 'd2') })],
  ['another body', (body) => ({ ...body, extension: { 'com.example': 1 } })],
];
for (const [why, change] of others) {
  test(`cds-hooks-2.0@call-idempotent ${why} is another call`, async () => {
    const one = world({ findings: [FINDING], stored: { '/Patient/1288992': PATIENT } });
    await one.call('drug-interactions-sign', orderSign(OWN));
    await one.call('drug-interactions-sign', change(orderSign(OWN)));
    assert.equal(one.checks.length, 2);
  });
}

const states: readonly [why: string, stamps: readonly [number | undefined, number | undefined], checks: number][] = [
  ['the same state', [1, 1], 1],
  ['data was committed', [1, 2], 2],
  ['an engine that cannot tell', [undefined, undefined], 2],
];
for (const [why, [before, later], checks] of states) {
  test(`cds-hooks-2.0@call-idempotent an answer is given again only while no data was committed: ${why}`, async () => {
    let stamp = before;
    const one = world({ stamp: () => stamp, findings: [FINDING], stored: { '/Patient/1288992': PATIENT } });
    await one.call('drug-interactions-sign', orderSign(OWN));
    stamp = later;
    await one.call('drug-interactions-sign', orderSign(OWN));
    assert.equal(one.checks.length, checks);
  });
}

test('cds-hooks-2.0@call-idempotent a refusal and a failed engine are not kept: sent again they may succeed', async () => {
  let fails = true;
  const one = world({
    stored: { '/Patient/1288992': PATIENT },
    check: () => {
      if (fails) throw new Error('broken');
      return { findings: [FINDING], unresolved: [], considered: [] };
    },
  });
  const before = await one.call('drug-interactions-sign', orderSign(OWN));
  fails = false;
  const after_ = await one.call('drug-interactions-sign', orderSign(OWN));
  assert.notEqual(after_.text, before.text);
  assert.equal(after_.cards.length, 1);
});

test('§1.5.1 §1.5.3 cds-hooks-2.0@access-token once a call is answered its token is held nowhere', async () => {
  const used = new Map();
  const one = world({ used, findings: [FINDING], stored: { '/Patient/1288992': PATIENT } });
  const { text } = await one.call('drug-interactions-sign', orderSign({ ...OWN, fhirAuthorization: AUTHORIZATION }));
  assert.ok(text.includes('uuid'));
  const said = JSON.stringify([text, one.audits, one.events, one.faults, one.reads, [...used]]);
  assert.ok(!said.includes(TOKEN));
});

const folder = mkdtempSync(join(tmpdir(), 'firewatch-https-'));
after(() => rmSync(folder, { recursive: true }));
const jwk = { kty: 'EC', kid: 'k', crv: 'P-384', x: 'x', y: 'y' };
writeFileSync(
  join(folder, 'ehr.json'),
  JSON.stringify({ name: 'ehr', issuer: 'https://ehr.example', services: ['*'], jwks: { keys: [jwk] } }),
);

const servers: readonly [server: string, demonstration: number, registered: number][] = [
  ['https://ehr.example/fhir', 200, 200],
  ['http://ehr.example/fhir', 200, 400],
  ['http://10.0.0.1/fhir', 200, 400],
  ['http://127.0.0.1:9999/fhir', 200, 200],
  ['http://127.0.0.1.evil.example/fhir', 200, 400],
  [FHIR_BASE, 200, 200],
  ['ftp://ehr.example/fhir', 400, 400],
];
for (const [fhirServer, demonstration, registered] of servers) {
  test(`§1.1.1 §1.3.2 cds-hooks-2.0@call-server-https ${fhirServer}: ${demonstration} in a demonstration, ${registered} of a registered client`, async () => {
    const body = JSON.stringify(patientView({ fhirServer, prefetch: { ...(patientView().prefetch as object) } }));
    const open = world();
    assert.equal((await open.call('deterioration-sepsis', body)).status, demonstration);
    const closed = world({ clientsFolder: folder });
    assert.deepEqual(closed.cds.problems, []);
    const { client, caller } = await open.cds.admit({ path: '/x', service: undefined }, PEER);
    const ehr = { ...client, name: 'ehr', issuer: 'https://ehr.example', ownPatients: false };
    const sender = { client: ehr, caller, replay: undefined, release: () => undefined };
    assert.equal((await closed.cds.invoke('deterioration-sepsis', body, sender)).status, registered);
  });
}

const duplicates: readonly [why: string, body: string][] = [
  ['at the root', `{"hook":"patient-view",${JSON.stringify(patientView()).slice(1)}`],
  ['in the context', JSON.stringify(patientView()).replace('"userId":', '"patientId":"1","userId":')],
  ['escaped', JSON.stringify(patientView()).replace('"userId":', '"patient\\u0049d":"1","userId":')],
];
for (const [why, body] of duplicates) {
  test(`§1.1.5 cds-hooks-2.0@json-duplicate a property name twice is 400: ${why}`, async () => {
    const one = world({ stored: { '/Patient/1288992': bundle() } });
    assert.equal((await one.call('deterioration-sepsis', JSON.stringify(patientView()))).status, 200, 'control');
    assert.equal((await one.call('deterioration-sepsis', body)).status, 400);
  });
}
