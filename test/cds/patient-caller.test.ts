// CDS Hooks 2.0.1 "Security and Safety": what a registered client's call reads of our own store is of the patient of the call. docs/cds-hooks.md#prefetch.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { patientCaller } from '../../src/cds/call/patient-caller.ts';
import { demonstrationClient } from '../../src/cds/clients/client.ts';
import type { Caller } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { json, world as restWorld } from '../world.ts';
import { AT, PATIENT, PEER, patientView, world } from './world.ts';

const { privateKey, publicKey } = await generateKeyPair('ES384');
const DEMO = demonstrationClient([]);
const EHR = { ...DEMO, name: 'ehr', issuer: 'https://ehr.example' };

const rows: readonly [method: string, url: string, ofEhr: number, ofDemo: number, why: string][] = [
  ['GET', '/Patient/a', 200, 200, 'control: the patient of the call'],
  ['GET', '/Observation/oa', 200, 200, 'control: what is of the patient'],
  ['GET', '/Patient/a2', 200, 200, 'another record of the same person'],
  ['GET', '/Practitioner/d', 200, 200, "what is nobody's"],
  ['GET', '/Patient/b', 404, 200, 'another patient'],
  ['GET', '/Observation/ob', 404, 200, 'what is of another patient'],
  ['GET', '/AuditEvent', 403, 200, 'the audit'],
  ['GET', '/Subscription', 403, 200, 'a type outside the compartment'],
  ['DELETE', '/Observation/oa', 403, 204, 'a call writes nothing by this'],
];
for (const [method, url, ofEhr, ofDemo, why] of rows) {
  test(`cds-hooks-2.0@own-reads ${method} ${url}: ${ofEhr} to a registered client, ${why}`, async () => {
    const { context, send, wire } = restWorld();
    const put = (type: string, id: string, more: object = {}) =>
      send('PUT', `/${type}/${id}`, { body: { resourceType: type, id, ...more } });
    const code = { text: 'x' };
    await put('Patient', 'a', { link: [{ other: { reference: 'Patient/a2' }, type: 'seealso' }] });
    await put('Patient', 'a2');
    await put('Patient', 'b');
    await put('Practitioner', 'd');
    await put('Observation', 'oa', { status: 'final', code, subject: { reference: 'Patient/a' } });
    await put('Observation', 'ob', { status: 'final', code, subject: { reference: 'Patient/b' } });
    const caller = localCaller(localFacts('r', '127.0.0.1'));
    for (const [client, expected] of [
      [EHR, ofEhr],
      [DEMO, ofDemo],
    ] as const) {
      const asking = await patientCaller('a', { caller, client, context });
      if (client === EHR && method === 'GET') {
        const all = json(await answer(wire('GET', '/Observation?_total=accurate'), asking, context));
        assert.equal(all.total, 1, 'a search is cut the same way');
      }
      assert.equal((await answer(wire(method, url), asking, context)).status, expected, client.name);
    }
  });
}

test('cds-hooks-2.0@own-reads a signed call of a client whose patients are ours reads in its own name, of one patient', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clients-'));
  try {
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES384' };
    const file = { name: 'ehr', issuer: EHR.issuer, services: ['*'], ownPatients: true, jwks: { keys: [jwk] } };
    writeFileSync(join(folder, 'ehr.json'), JSON.stringify(file));
    const callers: Caller[] = [];
    const { cds } = world({
      clientsFolder: folder,
      door: async (wire, caller) => {
        callers.push(caller);
        const body = wire.path === '/Patient/1288992' ? PATIENT : { resourceType: 'Bundle', type: 'searchset' };
        return { status: 200, headers: {}, body: JSON.stringify(body) };
      },
    });
    const { prefetch: _none, ...view } = patientView();
    const at = { path: '/deterioration-sepsis', service: 'deterioration-sepsis' };
    const now = AT / 1000;
    const aud = 'http://127.0.0.1:8080/cds-services/deterioration-sepsis';
    const token = await new SignJWT({ iss: EHR.issuer, aud, iat: now, exp: now + 60, jti: 'one' })
      .setProtectedHeader({ alg: 'ES384', kid: 'k', typ: 'JWT' })
      .sign(privateKey);
    const admitted = await cds.admit(at, PEER, { authorization: `Bearer ${token}` });
    const answered = await cds.invoke(at.service, JSON.stringify(view), admitted);
    assert.equal(answered.status, 200, answered.body);
    assert.ok(callers.length > 1);
    for (const { rights, access, client } of callers) {
      assert.deepEqual(client, { system: 'https://ehr.example', value: 'ehr' });
      assert.ok(rights.kind === 'granted' && rights.patients.join() === '1288992');
      assert.deepEqual(access.visible('Patient', 'read'), { kind: 'ids', ids: ['1288992'] });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
