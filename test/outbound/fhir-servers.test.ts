// Reads of other FHIR servers: the token goes where it may, nothing else does, and no server can hold us up. CDS Hooks 2.0.1 "FHIR Resource Access".
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { allowList } from '../../src/outbound/allow-list.ts';
import { FhirServers } from '../../src/outbound/fhir-servers.ts';
import { type CallFault, OutboundError } from '../../src/outbound/outbound.ts';

const PATIENT = '{"resourceType":"Patient","id":"1"}';
const seen: IncomingMessage[] = [];
const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/fhir/Patient/1': (response) => response.end(PATIENT),
  '/fhir/Observation?patient=1&code=http://loinc.org|1': (response) => response.end('{"resourceType":"Bundle"}'),
  '/fhir/page?2': (response) => response.end('{"resourceType":"Bundle"}'),
  '/fhir/Patient/gone': (response) => response.writeHead(410).end('{"resourceType":"OperationOutcome"}'),
  '/fhir/Patient/secret': (response) => response.writeHead(403).end(),
  '/fhir/Patient/moved': (response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end(),
  '/fhir/Patient/broken': (response) => response.writeHead(500).end('{"x":'),
  '/fhir/Patient/html': (response) => response.end('<html>'),
  '/fhir/Patient/huge': (response) => response.end(JSON.stringify({ x: 'x'.repeat(20_000) })),
  '/fhir/Patient/cut': (response) => {
    response.write('{"resourceType"');
    setImmediate(() => response.destroy());
  },
  '/fhir/Patient/slow': () => undefined,
};
let server: Server;
let base = '';
before(async () => {
  server = createServer((request, response) => {
    seen.push(request);
    (answers[request.url ?? ''] ?? ((each: ServerResponse) => each.writeHead(404).end()))(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/fhir`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const open = (context: { after(work: () => Promise<void>): void }, allow: string | undefined = undefined) => {
  const servers = new FhirServers({ allow: allowList(allow), answerBytes: 10_000, resetMs: 60_000 });
  context.after(() => servers.close());
  return (path: string, timeoutMs = 2000, at = base) => servers.read({ server: at, token: 'tok', path, timeoutMs });
};

test('§1.5.1 §1.5.2 outbound@fhir: reads with the token, by fhir-kit-client, and says what came back', async (context) => {
  const read = open(context);
  assert.deepEqual(JSON.parse(JSON.stringify(await read('Patient/1'))), { status: 200, body: JSON.parse(PATIENT) });
  const headers = seen.at(-1)?.headers;
  assert.deepEqual([headers?.authorization, headers?.accept], ['Bearer tok', 'application/fhir+json']);
  assert.equal((await read('Observation?patient=1&code=http://loinc.org|1')).status, 200);
  assert.equal((await read(`${base}/page?2`)).status, 200, 'a next link');
  assert.deepEqual(await read('Patient/gone'), { status: 410, body: undefined });
  assert.deepEqual(await read('Patient/secret'), { status: 403, body: undefined });
  assert.deepEqual(await read('Patient/nobody'), { status: 404, body: undefined });
});

const faults: readonly [fault: CallFault, path: string, status?: number][] = [
  ['redirect', 'Patient/moved', 302],
  ['connection', 'Patient/broken', 500],
  ['connection', 'Patient/html'],
  ['connection', 'Patient/huge'],
  ['connection', 'Patient/cut'],
  ['timeout', 'Patient/slow'],
  ['not-allowed', 'http://127.0.0.1:1/fhir/Patient/1'],
  ['not-allowed', 'HTTPS://evil.example/fhir/Patient/1'],
];
for (const [fault, path, status] of faults) {
  test(`§1.5.2 outbound@fhir ${fault}: ${path}`, async (context) => {
    const read = open(context);
    await assert.rejects(
      read(path, 300),
      (error) => error instanceof OutboundError && error.fault === fault && error.status === status,
    );
  });
}

test('outbound@fhir a server that is not allow-listed is never connected to', async (context) => {
  const before = seen.length;
  for (const allow of ['', 'https://ehr.example.org/fhir']) {
    await assert.rejects(
      open(context, allow)('Patient/1'),
      (error) => error instanceof OutboundError && error.fault === 'not-allowed',
    );
  }
  await assert.rejects(open(context)('Patient/1', 1000, 'http://169.254.169.254/fhir'), OutboundError);
  assert.equal(seen.length, before);
});

test('outbound@fhir a server that fails again and again is left alone; another one is not', async (context) => {
  const read = open(context);
  const fault = async (path: string) => {
    try {
      await read(path, 200);
      return undefined;
    } catch (error) {
      return error instanceof OutboundError ? error.fault : 'none';
    }
  };
  for (let call = 0; call < 6; call++) await fault('Patient/broken');
  const before = seen.length;
  assert.equal(await fault('Patient/1'), 'open');
  assert.equal(seen.length, before, 'nothing is sent');
  const other = base.replace('127.0.0.1', 'localhost');
  assert.equal((await read('Patient/1', 2000, other)).status, 200);
});
