// Mounts, health, faults, draining.
import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { after, before, test } from 'node:test';
import { closeGracefully } from '../../src/http/app.ts';
import { type Listening, listening } from './server.ts';

let open: Listening;
before(async () => {
  open = await listening();
});
after(() => open.close());

const rows: readonly [path: string, status: number, why: string][] = [
  ['/fhir/metadata', 200, 'control'],
  ['/fhir', 200, 'the base itself: a search of everything'],
  ['/fhir/Patient/', 404, 'a trailing slash is an empty id'],
  ['/FHIR/metadata', 404, 'paths have case'],
  ['/fhirx/metadata', 404, 'not below the base'],
  ['/fhir/../metadata', 404, 'paths are not normalised'],
  ['/cds-services', 200, 'CDS Hooks'],
  ['/cds-services/x', 200, 'below CDS Hooks'],
  ['/health/live', 200, 'alive'],
  ['/health/ready', 200, 'ready'],
  ['/', 404, 'nothing'],
  ['/cds-services/broken', 500, 'a fault'],
];
for (const [path, status, why] of rows) {
  test(`GET ${path}: ${why}`, async () => {
    const answer = await open.ask('GET', path);
    assert.equal(answer.status, status);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.doesNotMatch(answer.body, /secret|at Object|node_modules/);
    if (status >= 400) assert.equal(JSON.parse(answer.body).resourceType, 'OperationOutcome');
  });
}

test('a fault is reported to the operator', () => assert.equal(open.reported.length, 1));

test('RFC 9112 §3.2.2: a target with a host is taken, and its host counts instead of the header', async () => {
  const rows: readonly (readonly [target: string, status: number, why: string])[] = [
    [`http://127.0.0.1:${open.port}/fhir/metadata`, 200, 'ours'],
    [`http://127.0.0.1:${open.port}/cds-services/x`, 200, 'ours, below another room'],
    [`http://127.0.0.1:${open.port}?x`, 404, 'no path'],
    ['http://attacker.example/fhir/metadata', 421, 'of another host, whatever the header says'],
    [`http://127.0.0.1:${open.port}@attacker.example/fhir/metadata`, 421, 'user information is not a host'],
    ['ftp://127.0.0.1/fhir/metadata', 404, 'another scheme is no path of ours'],
  ];
  for (const [target, status, why] of rows) assert.equal((await open.ask('GET', target)).status, status, why);
});

test('not ready is 503, alive stays 200', async () => {
  open.there.store.fails = { read: new Error('down') };
  assert.equal((await open.ask('GET', '/health/ready')).status, 503);
  assert.equal((await open.ask('GET', '/health/live')).status, 200);
  open.there.store.fails = {};
});

test('draining: what is in flight is answered, idle connections end, nothing new is accepted', async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let entered = (): void => undefined;
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const one = await listening({
    isHeavy: ({ path }) => path === '/Patient',
    heavy: async () => {
      entered();
      await released;
      return { status: 200, headers: {}, body: '{}' };
    },
  });
  const agent = new Agent({ keepAlive: true });
  await new Promise<void>((resolve, reject) => {
    httpRequest({ port: one.port, host: '127.0.0.1', path: '/health/live', agent }, (response) => {
      response.resume().on('end', resolve);
    })
      .on('error', reject)
      .end();
  });
  const inFlight = one.ask('GET', '/fhir/Patient');
  await inside;
  const closed = closeGracefully(one.server, 5000);
  await assert.rejects(one.ask('GET', '/health/live'), { code: 'ECONNREFUSED' });
  release();
  assert.equal((await inFlight).status, 200);
  await closed;
  agent.destroy();
});

test('draining ends at its limit even when a request never does', async () => {
  let entered = (): void => undefined;
  const inside = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const one = await listening({
    isHeavy: () => true,
    heavy: () => {
      entered();
      return new Promise(() => undefined);
    },
  });
  const lost = one.ask('GET', '/fhir/Patient').catch((error: NodeJS.ErrnoException) => error.code);
  await inside;
  await closeGracefully(one.server, 50);
  assert.equal(await lost, 'ECONNRESET');
});
