// CDS Hooks 2.0.1 "FHIR Resource Access" over real sockets: this server as CDS service, another process of it as the EHR, keys by address.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { removeFolder, start } from './server.ts';

const { privateKey, publicKey } = await generateKeyPair('ES384');
const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES384' };

test('cds-hooks-2.0@fetch the EHR is read with its token; its patient is not ours of the same id', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-outside-'));
  context.after(() => removeFolder(folder));
  const keys = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })));
  keys.listen(0, '127.0.0.1');
  await once(keys, 'listening');
  context.after(() => keys.close());
  const address = keys.address();
  const jku = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/jwks.json`;

  const ehr = await start({ SEED: 'demo' });
  context.after(() => ehr.stop().then(() => removeFolder(ehr.folder)));
  const clients = join(folder, 'clients');
  const data = join(folder, 'data');
  for (const each of [clients, data]) mkdirSync(each);
  const client = {
    name: 'ehr',
    issuer: 'https://ehr.example',
    services: ['*'],
    jku: [jku],
    fhirServers: [`${ehr.url}/fhir`],
  };
  writeFileSync(join(clients, 'ehr.json'), JSON.stringify(client));
  const server = await start({ CDS_CLIENTS_DIR: clients }, data);
  context.after(() => server.stop());
  // Somebody else of the same id is held here: nothing of him may be used.
  const stranger = { resourceType: 'Patient', id: 'demo-sepsis', birthDate: '2020-01-01', gender: 'male' };
  const headers = { 'content-type': 'application/fhir+json' };
  await fetch(`${server.url}/fhir/Patient/demo-sepsis`, { method: 'PUT', headers, body: JSON.stringify(stranger) });

  let uses = 0;
  const call = async (fhirServer: string) => {
    const now = Math.floor(Date.now() / 1000);
    const path = 'cds-services/deterioration-sepsis';
    const token = await new SignJWT({
      iss: client.issuer,
      aud: `${server.url}/${path}`,
      iat: now,
      exp: now + 60,
      jti: `${uses++}`,
    })
      .setProtectedHeader({ alg: 'ES384', kid: 'k', typ: 'JWT', jku })
      .sign(privateKey);
    const body = {
      hook: 'patient-view',
      hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
      fhirServer,
      fhirAuthorization: {
        access_token: 'tok',
        token_type: 'Bearer',
        expires_in: 300,
        scope: 'patient/*.rs',
        subject: 'cds',
      },
      context: { userId: 'Practitioner/demo-physician', patientId: 'demo-sepsis' },
    };
    const response = await fetch(`${server.url}/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  const { status, body } = await call(`${ehr.url}/fhir`);
  assert.equal(status, 200);
  assert.equal((body as { cards: unknown[] }).cards.length, 1, 'the septic patient of the EHR');
  assert.equal((await call('https://elsewhere.example/fhir')).status, 412);
  const events = (await (await fetch(`${ehr.url}/fhir/AuditEvent?patient=demo-sepsis&_count=50`)).json()) as {
    entry?: unknown[];
  };
  assert.ok((events.entry?.length ?? 0) >= 5, 'the EHR was asked for each key');
});
