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

interface Event {
  readonly outcome: string;
  readonly outcomeDesc?: string;
  readonly subtype?: readonly { readonly code: string }[];
  readonly source: { readonly observer: { readonly identifier?: { readonly value: string } } };
  readonly agent: readonly {
    readonly type: { readonly coding: readonly { readonly code: string }[] };
    readonly who: { readonly reference?: string; readonly identifier?: { readonly value: string } };
    readonly requestor: boolean;
  }[];
  readonly entity: readonly {
    readonly what?: { readonly reference?: string; readonly identifier?: { readonly value: string } };
    readonly role?: { readonly code: string };
    readonly query?: string;
  }[];
}
const subtypeOf = ({ subtype }: Event): string | undefined => subtype?.[0]?.code;

test('§5.6.4 cds-hooks-2.0@fetch the EHR is read with its token, each read is recorded; its patient is not ours of the same id', async (context) => {
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
    const requestId = response.headers.get('x-request-id') ?? '';
    const events = await audited(server.url, '_count=200&_sort=-date');
    const mine = events.filter(({ entity }) => entity.some(({ what }) => what?.identifier?.value === requestId));
    return { status: response.status, body: await response.json(), events: mine };
  };
  const audited = async (url: string, query: string): Promise<readonly Event[]> => {
    const found = (await (await fetch(`${url}/fhir/AuditEvent?${query}`)).json()) as {
      readonly entry?: readonly { readonly resource: Event }[];
    };
    return (found.entry ?? []).map(({ resource }) => resource);
  };
  const { status, body, events } = await call(`${ehr.url}/fhir`);
  assert.equal(status, 200);
  assert.equal((body as { cards: unknown[] }).cards.length, 1, 'the septic patient of the EHR');
  assert.equal((await call('https://elsewhere.example/fhir')).status, 412);
  const there = (await audited(ehr.url, 'patient=demo-sepsis&_count=50')).filter((event) =>
    ['read', 'search-type'].includes(subtypeOf(event) ?? ''),
  );
  assert.ok(there.length >= 5, 'the EHR was asked for each key');

  // What the EHR recorded as asked of it, we recorded as asked by us: the same reads, the other way round.
  const elsewhere = events.filter((event) => subtypeOf(event) !== 'operation');
  assert.equal(events.length, elsewhere.length + 1, 'and the event of the call');
  assert.deepEqual(elsewhere.map(subtypeOf).toSorted(), there.map(subtypeOf).toSorted());
  for (const event of elsewhere) {
    const [us, them, ehrClient, user] = event.agent;
    assert.equal(event.outcome, '0');
    assert.equal(event.source.observer.identifier?.value, `${server.url}/fhir`);
    const roles = subtypeOf(event) === 'read' ? ['110152', '110153'] : ['110153', '110152'];
    assert.deepEqual(
      [us, them].map((agent) => agent?.type.coding[0]?.code),
      roles,
    );
    assert.deepEqual(
      [us, them, ehrClient].map((agent) => agent?.who.identifier?.value),
      [`${server.url}/fhir`, `${ehr.url}/fhir`, 'ehr'],
    );
    assert.deepEqual([user?.who.reference, user?.requestor], ['Practitioner/demo-physician', true]);
    assert.ok(event.entity.some(({ what, role }) => role?.code === '1' && what?.reference === 'Patient/demo-sepsis'));
    const query = event.entity.find(({ role }) => role?.code === '24')?.query;
    const raw = Buffer.from(query ?? '', 'base64').toString();
    assert.ok(subtypeOf(event) === 'read' ? query === undefined : raw.startsWith(`GET ${ehr.url}/fhir/`), raw);
  }
  const asked = encodeURIComponent(`${ehr.url}/fhir`);
  assert.equal((await audited(server.url, `address=${asked}&_count=50`)).length, elsewhere.length, 'found by server');
  assert.doesNotMatch(JSON.stringify(await audited(server.url, '_count=200')), /"[^"]*\btok\b[^"]*"/);

  // The EHR goes away: reads that failed are recorded as such, and a server that is left alone was not read.
  await ehr.stop();
  const failed = await call(`${ehr.url}/fhir`);
  const reads = failed.events.filter((event) => subtypeOf(event) !== 'operation');
  assert.ok(reads.length >= 5, 'each read that was tried');
  assert.deepEqual(
    new Set(reads.map(({ outcome, outcomeDesc }) => `${outcome} ${outcomeDesc}`)),
    new Set(['8 No answer.']),
  );
  const later: (readonly Event[])[] = [];
  while (later.length < 5 && later.at(-1)?.length !== 1) later.push((await call(`${ehr.url}/fhir`)).events);
  assert.deepEqual(later.at(-1)?.map(subtypeOf), ['operation'], 'the circuit is open: nothing was read');
});
