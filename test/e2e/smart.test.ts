// docs/authorization.md: the real server with an issuer: who is told what without a token, and that threads hold the same scopes. SMART App Launch 2.2.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { claims, ISSUER, KEYS, signed } from '../smart/tokens.ts';
import { limit } from '../test-store.ts';
import { at } from '../world.ts';
import { newFolder, removeFolder, start } from './server.ts';

const BASE = 'https://fhir.example.org/fhir';
const METADATA = {
  token_endpoint: `${ISSUER}/token`,
  grant_types_supported: ['client_credentials'],
  capabilities: ['client-confidential-asymmetric'],
};

test('smart@server: open documents, 401 for the rest, and scopes on every thread', {
  timeout: limit(120_000),
}, async () => {
  const issuers = mkdtempSync(join(tmpdir(), 'issuers-'));
  const file = { issuer: ISSUER, audience: [BASE], jwks: { keys: [KEYS.jwk] }, metadata: METADATA };
  writeFileSync(join(issuers, 'one.json'), JSON.stringify(file));
  const folder = newFolder();
  const env = { ISSUERS_DIR: issuers, PUBLIC_URL: 'https://fhir.example.org', SEED: 'demo' };
  const there = await start(env, folder);
  try {
    const bearer = async (scope: string, patient?: string, roles?: readonly string[]) => ({
      authorization: `Bearer ${await signed(claims(Date.now(), { aud: BASE, scope, patient, roles }))}`,
    });
    const ask = async (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
      fetch(`${there.url}${path}`, { ...init, headers: { ...headers, ...(init.headers as Record<string, string>) } });
    const discovery = await ask('/fhir/.well-known/smart-configuration', { accept: 'text/html' });
    assert.deepEqual(
      [discovery.status, discovery.headers.get('content-type'), discovery.headers.get('access-control-allow-origin')],
      [200, 'application/json; charset=utf-8', '*'],
    );
    const said: Record<string, unknown> = Object(await discovery.json());
    assert.equal(said.token_endpoint, METADATA.token_endpoint);
    assert.deepEqual(said.code_challenge_methods_supported, ['S256']);
    assert.ok(String(said.capabilities).includes('permission-v2') && !('issuer' in said));
    const metadata: unknown = await (await ask('/fhir/metadata')).json();
    assert.equal(at(metadata, 'rest.0.security.service.0.coding.0.code'), 'SMART-on-FHIR');
    for (const path of [
      '/fhir/Patient',
      '/fhir/Patient/a',
      '/fhir/',
      '/fhir/_history',
      '/export/x',
      '/async/x',
      '/import/x',
      '/subscriptions/x/events',
    ]) {
      assert.equal((await ask(path)).status, 401, path);
    }
    assert.equal((await ask('/cds-services')).status, 200, 'services are listed for everyone');
    const call = await ask('/cds-services/triage', {}, { method: 'POST', body: '{}' });
    assert.equal(call.status, 401, 'without registered clients nobody calls');

    const all = {
      ...(await bearer('system/*.cruds', undefined, ['integration-engine'])),
      'content-type': 'application/fhir+json',
    };
    const put = (type: string, id: string, more: object = {}) => ({
      resource: { resourceType: type, id, ...more },
      request: { method: 'PUT', url: `${type}/${id}` },
    });
    const note = (id: string, subject: string) =>
      put('Basic', id, { code: { text: 'note' }, subject: { reference: `Patient/${subject}` } });
    const bundle = (type: string, entry: object[]) => ({
      method: 'POST',
      body: JSON.stringify({ resourceType: 'Bundle', type, entry }),
    });
    const filled = await ask(
      '/fhir/',
      all,
      bundle('transaction', [put('Patient', 'a'), put('Patient', 'b'), note('an', 'a'), note('bn', 'b')]),
    );
    assert.equal(filled.status, 200, await filled.text());
    const held: unknown = await (await ask('/fhir/Patient?_summary=count', all)).json();
    assert.equal(at(held, 'total'), 2, 'no synthetic patients where others can reach the server');
    assert.match(there.output(), /SEED=demo loads no synthetic patients here/);
    const own = { ...(await bearer('patient/*.rs', 'a')), 'content-type': 'application/fhir+json' };
    const found: unknown = await (await ask('/fhir/Basic?_total=accurate', own)).json();
    assert.equal(at(found, 'total'), 1);
    const batch = await ask(
      '/fhir/',
      own,
      bundle(
        'batch',
        ['Basic/an', 'Basic/bn', 'Basic'].map((url) => ({ request: { method: 'GET', url } })),
      ),
    );
    const answered: unknown = await batch.json();
    assert.deepEqual(
      [0, 1, 2].map((index) => String(at(answered, `entry.${index}.response.status`)).slice(0, 3)),
      ['200', '404', '200'],
      'a batch is answered on the thread for large requests',
    );
    assert.equal(at(answered, 'entry.2.resource.total'), 1);
    const later = await ask('/fhir/Patient/a/$everything', { ...own, prefer: 'respond-async' });
    assert.equal(later.status, 202);
    const status = new URL(later.headers.get('content-location') ?? '').pathname;
    assert.equal((await ask(status)).status, 401, 'a job is polled with a token');
    assert.equal((await ask(status, await bearer('patient/*.rs', 'b'))).status, 404, 'and with one of the same rights');
    const polled = await ask(status, own);
    assert.ok([200, 202].includes(polled.status), await polled.text());

    const doctor = {
      ...(await bearer('user/*.rs', undefined, ['physician'])),
      'content-type': 'application/fhir+json',
    };
    const asked = async () => {
      const read = ['Basic/an', 'Basic/bn'].map((url) => ({ request: { method: 'GET', url } }));
      const body: unknown = await (await ask('/fhir/', doctor, bundle('batch', read))).json();
      const inBatch = [0, 1].map((index) => String(at(body, `entry.${index}.response.status`)).slice(0, 3));
      const alone = await Promise.all(['an', 'bn'].map(async (id) => (await ask(`/fhir/Basic/${id}`, doctor)).status));
      return [...inBatch.map(Number), ...alone];
    };
    assert.deepEqual(await asked(), [200, 200, 200, 200]);
    const coding = (code: string) => ({ coding: [{ code }] });
    const consent = {
      ...{ scope: coding('patient-privacy'), category: [coding('x')], patient: { reference: 'Patient/a' } },
      ...{ status: 'active', policyRule: coding('OPTIN'), provision: { type: 'deny' } },
    };
    const consented = await ask('/fhir/', all, bundle('transaction', [put('Consent', 'no', consent)]));
    assert.equal(consented.status, 200, await consented.text());
    assert.deepEqual(await asked(), [404, 200, 404, 200], 'written on one thread, a Consent holds on every one');
  } finally {
    await there.stop();
    removeFolder(folder);
    removeFolder(issuers);
  }
});
