// What breaks behind a hook call costs data or a model, never the answer: the real server with a broken graph, and FHIR servers that misbehave.
// docs/cds-hooks.md#a-call. Faults of the store are in test/cds/deadline.test.ts.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { limit } from '../test-store.ts';
import { answerProblems } from './cds-reader.ts';
import {
  type Ehr,
  ehr,
  goodCall,
  type Json,
  newKey,
  type Registered,
  registeredServer,
  registration,
} from './registered.ts';

const DEADLINE_MS = limit(1500);
const BUNDLE = { resourceType: 'Bundle', type: 'searchset' };
const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/fhir+json' }).end(JSON.stringify(body));
};

/** 50 MB of an answer that is JSON to its end. */
function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(1024 * 1024, ' ');
  let sent = 0;
  response.writeHead(200, { 'content-type': 'application/fhir+json' });
  response.write('{"resourceType":"Bundle","type":"searchset"');
  const more = (): void => {
    while (sent++ < 50) if (!response.write(chunk)) return void response.once('drain', more);
    response.end('}');
  };
  more();
}

/** What a FHIR server does with each read, by the name of the fault. */
const FAULTS = {
  'answers as it should': (request: IncomingMessage, response: ServerResponse) =>
    request.url?.includes('/Patient/')
      ? json(response, { resourceType: 'Patient', id: 'demo-polypharmacy', birthDate: '1950-01-01' })
      : json(response, BUNDLE),
  'never answers': () => undefined,
  'hangs up': (_request: IncomingMessage, response: ServerResponse) => void response.destroy(),
  'fails with 500': (_request: IncomingMessage, response: ServerResponse) => json(response, { error: 'x' }, 500),
  'refuses with 401': (_request: IncomingMessage, response: ServerResponse) => json(response, {}, 401),
  'answers HTML': (_request: IncomingMessage, response: ServerResponse) => void response.end('<html>login</html>'),
  'answers broken JSON': (_request: IncomingMessage, response: ServerResponse) => void response.end('{"resourceType":'),
  'answers another type': (_request: IncomingMessage, response: ServerResponse) =>
    json(response, { resourceType: 'Practitioner', id: 'x' }),
  'answers 50 MB': (_request: IncomingMessage, response: ServerResponse) => flood(response),
  'has pages without end': (request: IncomingMessage, response: ServerResponse) =>
    json(response, { ...BUNDLE, link: [{ relation: 'next', url: `http://${request.headers.host}${request.url}x` }] }),
  'redirects to the metadata service': (_request: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end(),
} as const satisfies Record<string, (request: IncomingMessage, response: ServerResponse) => void>;
type Fault = keyof typeof FAULTS;
const faults = Object.keys(FAULTS) as Fault[];

const servers = new Map<Fault, { readonly server: Server; readonly base: string; asked: number }>();
const key = await newKey('ES384', 'es');
const folder = mkdtempSync(join(tmpdir(), 'firewatch-faults-'));
let there: Registered;
let one: Ehr;
before(async () => {
  for (const fault of faults) {
    const server = createServer((request, response) => {
      const entry = servers.get(fault);
      if (entry !== undefined) entry.asked++;
      FAULTS[fault](request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.set(fault, { server, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`, asked: 0 });
  }
  const models = join(folder, 'models');
  cpSync('models', models, { recursive: true });
  const graph = join(models, 'news2', '1.0.0', 'model.onnx');
  const bytes = readFileSync(graph);
  writeFileSync(graph, bytes.subarray(0, bytes.length / 2));
  const fhirServers = [...servers.values()].map(({ base }) => base);
  there = await registeredServer(
    [registration('ehr', [key], { fhirServers }), registration('own', [key], { ownPatients: true })],
    { MODELS_DIR: models, CDS_DEADLINE_MS: String(DEADLINE_MS) },
  );
  one = ehr(there.server.url, 'https://ehr.example/fhir', key);
});
after(async () => {
  for (const { server } of servers.values()) {
    server.closeAllConnections();
    server.close();
  }
  await there.end();
  rmSync(folder, { recursive: true });
});

const AUTHORIZATION = { access_token: 't', token_type: 'Bearer', expires_in: 300, scope: 'x', subject: 'cds' };
const cardsOf = (answer: Json | undefined) =>
  (answer?.cards ?? []) as readonly { readonly summary: string; readonly detail: string }[];
for (const fault of faults) {
  test(`§1.6.12 a FHIR server that ${fault}: 200 within the deadline, and the card says what was not received`, async () => {
    const fhirServer = servers.get(fault)?.base;
    const body = goodCall('drug-interactions-sign', { fhirServer, fhirAuthorization: AUTHORIZATION, prefetch: {} });
    const { status, json: answer, text } = await one.ask('/drug-interactions-sign', body);
    assert.deepEqual([status, answerProblems(answer)], [200, []], text);
    const said = cardsOf(answer)
      .map(({ detail }) => detail)
      .join('\n');
    if (fault === 'answers as it should') assert.doesNotMatch(said, /Not received|Incomplete data/);
    else assert.match(said, /\*\*(?:Not received|Incomplete data):\*\*/);
    const asked = servers.get(fault)?.asked ?? 0;
    assert.ok(asked > 0 && asked <= 11 * 5, `${asked} requests: at most five pages of each key`);
  });
}

test('§1.6.12 a graph that cannot be read is answered by its stand-in, marked as such', async () => {
  const own = ehr(there.server.url, 'https://own.example/fhir', key);
  const { status, json: answer } = await own.ask('/deterioration-sepsis', goodCall('deterioration-sepsis'));
  assert.deepEqual([status, answerProblems(answer)], [200, []]);
  const [card] = cardsOf(answer);
  assert.match(card?.summary ?? '', /^NEWS2 /);
  assert.match(card?.detail ?? '', /news2 version 1\.0\.0, answered by the rule-based stand-in with low confidence/);
  assert.match(card?.detail ?? '', /qsofa version 1\.0\.0;/, 'the others answer themselves');
  const ready = await fetch(`${there.server.url}/health/ready`);
  assert.equal(ready.status, 200, 'the server serves; readiness names the model');
  assert.match(await ready.text(), /news2/);
});
