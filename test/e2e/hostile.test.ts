// Bad input gets a clear error and nothing is stored: mutants of good requests, oversized and slow bodies, PHI canaries.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { limit } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const CASES = Number(process.env.GENERATED_CASES ?? 500);
const TYPE = { 'content-type': 'application/fhir+json' };

let server: Running;
before(async () => {
  server = await start({ BODY_LIMIT_MB: '2', REQUEST_TIMEOUT_MS: '2000' }, newFolder());
});
after(async () => {
  assert.equal(await server.stop(), 0, 'the server lived through all of it');
  removeFolder(server.folder);
});

const total = async (): Promise<number> =>
  ((await (await fetch(`${server.url}/fhir/Observation?_summary=count`)).json()) as { total: number }).total;

test(`${CASES} mutants of an Observation, a transaction and a hook call: 2xx or 4xx with an OperationOutcome, never 5xx`, {
  timeout: limit(300_000),
}, async () => {
  const observation = readFileSync('test/data/fhir-examples/Observation-date-lastmp.json', 'utf8');
  const bundle = JSON.stringify({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { fullUrl: 'urn:uuid:1', resource: JSON.parse(observation), request: { method: 'POST', url: 'Observation' } },
    ],
  });
  const hook = JSON.stringify({
    hook: 'patient-view',
    hookInstance: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
    context: { userId: 'Practitioner/1', patientId: '1' },
    prefetch: { patient: null },
  });
  const poison = fc.constantFrom(
    'null',
    '[]',
    '{}',
    '""',
    '"\\u0000"',
    '-1e999',
    '1e400',
    '{"__proto__":1}',
    '[[[[[[]]]]]]',
    '"<script>"',
    "'; DROP TABLE resource;--",
    '9'.repeat(50),
    'true',
    '\u202e',
    '"2023-02-30"',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(observation, bundle, hook),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat({ max: 40 }),
      poison,
      async (text, where, length, inserted) => {
        const at = Math.floor(where * text.length);
        const mutant = text.slice(0, at) + inserted + text.slice(at + length);
        const path =
          text === hook ? '/cds-services/deterioration-sepsis' : text === bundle ? '/fhir' : '/fhir/Observation';
        const response = await fetch(server.url + path, {
          method: 'POST',
          headers: { ...TYPE, prefer: 'return=minimal' },
          body: mutant,
        });
        const body = await response.text();
        assert.ok(response.status < 500, `${response.status} for ${mutant.slice(Math.max(0, at - 60), at + 80)}`);
        if (response.status >= 400)
          assert.equal((JSON.parse(body) as { resourceType: string }).resourceType, 'OperationOutcome');
        assert.ok(!/node_modules|\.ts:\d+|at async/.test(body), 'no stack trace');
      },
    ),
    { numRuns: CASES },
  );
});

const REFUSED: readonly (readonly [
  why: string,
  method: string,
  path: string,
  body: string | undefined,
  status: number,
])[] = [
  ['malformed JSON', 'POST', '/Patient', '{"resourceType":"Patient"', 400],
  ['a JSON array', 'POST', '/Patient', '[]', 400],
  ['an impossible date', 'POST', '/Patient', '{"resourceType":"Patient","birthDate":"2023-02-30"}', 400],
  ['an unknown element', 'POST', '/Patient', '{"resourceType":"Patient","nme":[]}', 400],
  ['a wrong type', 'POST', '/Patient', '{"resourceType":"Patient","active":"yes"}', 400],
  [
    'nesting over 64 levels',
    'POST',
    '/Patient',
    `{"resourceType":"Patient","name":${'['.repeat(100)}${']'.repeat(100)}}`,
    400,
  ],
  ['a NUL character', 'POST', '/Patient', '{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}', 400],
  ['prototype pollution', 'POST', '/Patient', '{"resourceType":"Patient","__proto__":{"active":true}}', 400],
  ['another type than the path', 'POST', '/Patient', '{"resourceType":"Observation"}', 400],
  ['an unknown type', 'GET', '/Patients', undefined, 404],
  ['an unknown parameter', 'GET', '/Patient?nme=x', undefined, 400],
  ['an unknown modifier', 'GET', '/Patient?name:near=x', undefined, 400],
  ['a malformed escape', 'GET', '/Patient?name=%zz', undefined, 400],
  ['a foreign cursor', 'GET', '/Patient?_cursor=abc', undefined, 400],
  ['an update of an AuditEvent', 'PUT', '/AuditEvent/1-1-1', '{"resourceType":"AuditEvent","id":"1-1-1"}', 405],
  ['a delete of an AuditEvent', 'DELETE', '/AuditEvent/1-1-1', undefined, 405],
];
for (const [why, method, path, body, status] of REFUSED) {
  test(`refused with ${status}: ${why}`, async () => {
    const before = await total();
    const response = await fetch(`${server.url}/fhir${path}`, {
      method,
      headers: body === undefined ? {} : TYPE,
      ...(body === undefined ? {} : { body }),
    });
    const outcome = (await response.json()) as { resourceType: string; issue: { diagnostics: string }[] };
    assert.equal(response.status, status, JSON.stringify(outcome));
    assert.equal(outcome.resourceType, 'OperationOutcome');
    assert.equal(await total(), before, 'nothing stored');
  });
}

test('a body over the limit: 413, and the server goes on', async () => {
  const response = await fetch(`${server.url}/fhir/Patient`, {
    method: 'POST',
    headers: TYPE,
    body: `{"resourceType":"Patient","name":[{"family":"${'x'.repeat(3_000_000)}"}]}`,
  });
  assert.equal(response.status, 413);
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200);
});

test('a slow client is cut off, others are served', { timeout: limit(60_000) }, async () => {
  const { port } = new URL(server.url);
  const ended = new Promise<string>((resolve) => {
    let received = '';
    const socket = connect(Number(port), '127.0.0.1', () =>
      socket.write(
        `POST /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{`,
      ),
    );
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('close', () => resolve(received));
    socket.on('error', () => resolve(received));
  });
  assert.equal((await fetch(`${server.url}/health/live`)).status, 200, 'others are served meanwhile');
  assert.doesNotMatch(await ended, /HTTP\/1\.1 [25]/, 'refused or cut, not answered');
});

test('§1.8.9 §8.16 no PHI in logs: canaries sent in every place do not appear', async () => {
  const canary = 'Canary7f3a';
  await fetch(`${server.url}/fhir/Patient`, {
    method: 'POST',
    headers: TYPE,
    body: JSON.stringify({ resourceType: 'Patient', name: [{ family: canary }], birthDate: `${canary}` }),
  });
  await fetch(`${server.url}/fhir/Patient`, {
    method: 'POST',
    headers: TYPE,
    body: JSON.stringify({ resourceType: 'Patient', name: [{ family: canary }] }),
  });
  await fetch(`${server.url}/fhir/Patient?name=${canary}&identifier=${canary}`);
  await fetch(`${server.url}/fhir/Patient?${canary}=x`);
  await fetch(`${server.url}/fhir/${canary}/1`, { headers: { 'x-request-id': canary, 'user-agent': canary } });
  await fetch(`${server.url}/cds-services/deterioration-sepsis`, {
    method: 'POST',
    headers: TYPE,
    body: JSON.stringify({ hook: canary, hookInstance: canary, context: { patientId: canary } }),
  });
  assert.ok(!server.output().includes(canary), 'a canary is in the log');
});
