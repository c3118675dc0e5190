// Without identity provider: only programs of this machine, by its own name. RFC 9110 §7.2 and §15.5.20, Fetch (Origin), RFC 7239.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isLoopback } from '../../src/http/access.ts';
import { type Listening, listening } from './server.ts';

let open: Listening;
before(async () => {
  open = await listening();
});
after(() => open.close());

const rows: readonly [headers: (port: number) => Record<string, string | string[]>, status: number, why: string][] = [
  [() => ({}), 200, 'control: the address it listens on'],
  [(port) => ({ host: `localhost:${port}` }), 200, 'by name'],
  [(port) => ({ host: `LOCALHOST:${port}` }), 200, 'names have no case'],
  [(port) => ({ host: `[::1]:${port}` }), 200, 'IPv6'],
  [() => ({ host: 'fhir.example.org' }), 200, 'the host of PUBLIC_URL'],
  [() => ({ host: 'localhost' }), 421, 'another port'],
  [(port) => ({ host: `evil.example:${port}` }), 421, 'DNS rebinding'],
  [(port) => ({ host: `127.0.0.1.evil.example:${port}` }), 421, 'a name that starts like ours'],
  [() => ({ host: 'fhir.example.org.evil' }), 421, 'a name that starts like PUBLIC_URL'],
  [(port) => ({ origin: `http://127.0.0.1:${port}` }), 200, 'same origin'],
  [() => ({ origin: 'https://fhir.example.org' }), 200, 'origin of PUBLIC_URL'],
  [() => ({ origin: 'https://evil.example' }), 403, 'a foreign page'],
  [() => ({ origin: 'http://127.0.0.1:1' }), 403, 'another port is another origin'],
  [() => ({ origin: 'null' }), 403, 'a sandboxed page'],
  [() => ({ forwarded: 'for=1.2.3.4' }), 403, 'a proxy'],
  [() => ({ 'x-forwarded-for': '1.2.3.4' }), 403, 'a proxy'],
  [() => ({ 'x-forwarded-host': 'a' }), 403, 'a proxy'],
  [() => ({ 'x-real-ip': '1.2.3.4' }), 403, 'a proxy'],
  [() => ({ via: '1.1 proxy' }), 403, 'a proxy'],
];
for (const [headers, status, why] of rows) {
  test(`access: ${why} is ${status}`, async () => {
    const answer = await open.ask('GET', '/fhir/metadata?_elements=date', { headers: headers(open.port) });
    assert.equal(answer.status, status);
    const { resourceType } = JSON.parse(answer.body);
    assert.equal(resourceType, status === 200 ? 'CapabilityStatement' : 'OperationOutcome');
    assert.equal(open.there.accesses.at(-1)?.status, status, 'audited');
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
  });
}

test('a write from a foreign page does not happen', async () => {
  const before = open.there.store.commits.length;
  const headers = { origin: 'https://evil.example', 'content-type': 'application/json' };
  const { status } = await open.ask('POST', '/fhir/Patient', { headers, body: '{"resourceType":"Patient"}' });
  assert.equal(status, 403);
  assert.deepEqual(
    open.there.store.commits.slice(before).map(({ commands }) => commands.length),
    [0],
  );
});

const hosts: readonly [host: string, loopback: boolean][] = [
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['192.168.0.1', false],
  ['127.0.0.1.example', false],
];
for (const [host, loopback] of hosts) test(`isLoopback ${host}`, () => assert.equal(isLoopback(host), loopback));
