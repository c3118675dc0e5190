// CDS Hooks over HTTP: paths, methods, limits, headers. Mounted as the server mounts it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import express from 'express';
import request from 'supertest';
import { fhirError } from '../../src/fhir/outcome.ts';
import { cdsHandler } from '../../src/http/cds.ts';
import { FINDING, orderSign, patientView, world } from './world.ts';

const CDS_BODY_LIMIT = 5 * 1024 * 1024;

function app(refuse = false) {
  const one = express();
  one.disable('etag');
  const { cds, audits } = world({ findings: [FINDING] });
  one.locals.audits = audits;
  one.use(
    '/cds-services',
    cdsHandler({
      cds,
      guard: () => (refuse ? fhirError('forbidden', 'Refused.') : undefined),
      origins: cds.origins,
      bodyLimitBytes: CDS_BODY_LIMIT,
    }),
  );
  return one;
}
const call = (path: string, body: string, type = 'application/json') =>
  request(app()).post(path).set('Content-Type', type).send(body);
const GOOD = JSON.stringify(patientView());

const rows: readonly [
  status: number,
  method: 'get' | 'head' | 'options' | 'put' | 'delete' | 'post',
  path: string,
  why: string,
][] = [
  [200, 'get', '/cds-services', '§1.2.1 discovery'],
  [200, 'get', '/cds-services/', '§1.2.5 discovery with trailing slash'],
  [200, 'head', '/cds-services', '§1.2.5 HEAD'],
  [204, 'options', '/cds-services', '§1.2.5 OPTIONS'],
  [204, 'options', '/cds-services/triage', 'OPTIONS of a service'],
  [405, 'post', '/cds-services', 'POST of the list'],
  [405, 'get', '/cds-services/triage', '§1.3.1 GET of a service'],
  [405, 'put', '/cds-services/triage', 'PUT of a service'],
  [405, 'delete', '/cds-services/triage', 'DELETE of a service'],
  [404, 'post', '/cds-services/unknown', '§1.3.1 unknown service'],
  [400, 'post', '/cds-services/triage/feedback', 'feedback without a body'],
  [404, 'post', '/cds-services/unknown/feedback', 'feedback for no service'],
  [405, 'get', '/cds-services/triage/feedback', 'GET of feedback'],
  [405, 'post', '/cds-services/explain/x', 'POST of an explanation'],
  [404, 'get', '/cds-services/explain/x', 'an unknown card'],
  [404, 'get', '/cds-services/a/b/c', 'deeper path'],
  [404, 'post', '/cds-services/%2e%2e%2ftriage', 'an id that is a path'],
];
for (const [status, method, path, why] of rows) {
  test(`${why} (cds-http ${status} ${method} ${path})`, async () => {
    const server = app();
    const answer = await request(server)[method](path);
    assert.equal(answer.status, status);
    if (status >= 400) assert.equal(server.locals.audits.length, 1, 'the refusal is audited');
    if (status >= 400) assert.equal(answer.body.resourceType, 'OperationOutcome');
    if (status === 405 || status === 204) assert.ok(answer.headers.allow);
  });
}

const types: readonly [status: number, type: string][] = [
  [200, 'application/json'],
  [200, 'application/json; charset=utf-8'],
  [200, 'application/fhir+json'],
  [200, 'application/json+fhir'],
  [200, 'text/plain'],
  [415, 'application/xml'],
  [415, 'application/x-www-form-urlencoded'],
];
for (const [status, type] of types) {
  test(`§1.1.4 §2.1 cds-http ${status} Content-Type ${type}`, async () =>
    assert.equal((await call('/cds-services/deterioration-sepsis', GOOD, type)).status, status));
}

test('§1.1.4 §1.6.1 §8.1 cds-http: an answer is JSON in UTF-8, not stored, and whole cards', async () => {
  const answer = await call('/cds-services/drug-interactions-sign/', JSON.stringify(orderSign()));
  assert.deepEqual(
    [answer.status, answer.headers['content-type'], answer.headers['cache-control'], answer.body.cards.length],
    [200, 'application/json; charset=utf-8', 'no-store', 1],
  );
  const none = await call('/cds-services/deterioration-sepsis', GOOD);
  assert.equal(none.text, '{"cards":[]}');
});

test('§1.2.5 cds-http: discovery may be kept for a while, and asked again by ETag', async () => {
  const { headers } = await request(app()).get('/cds-services');
  assert.match(headers['cache-control'] ?? '', /max-age=\d+/);
  assert.equal(
    (
      await request(app())
        .get('/cds-services')
        .set('If-None-Match', headers.etag ?? '')
    ).status,
    304,
  );
});

test('§1.1.4 cds-http: 5 MB is read, one byte more is 413', async () => {
  const filled = (size: number) => GOOD + ' '.repeat(size - GOOD.length);
  assert.equal((await call('/cds-services/deterioration-sepsis', filled(CDS_BODY_LIMIT))).status, 200);
  assert.equal((await call('/cds-services/deterioration-sepsis', filled(CDS_BODY_LIMIT + 1))).status, 413);
});

test('cds-http: a compressed body is read, bytes that are not UTF-8 are 400', async () => {
  const post = () => request(app()).post('/cds-services/deterioration-sepsis').set('Content-Type', 'application/json');
  const zipped = await post()
    .set('Content-Encoding', 'gzip')
    .serialize((body: Buffer) => body as unknown as string)
    .send(gzipSync(GOOD) as unknown as object);
  assert.equal(zipped.status, 200);
  const broken = await post()
    .serialize((body: Buffer) => body as unknown as string)
    .send(Buffer.from([0x7b, 0xff, 0x7d]) as unknown as object);
  assert.equal(broken.status, 400);
});

test('cds-http: what the guard refuses is audited', async () => {
  const server = app(true);
  await request(server).get('/cds-services');
  assert.deepEqual(
    server.locals.audits.map(({ status }: { status: number }) => status),
    [403],
  );
});

test('cds-http: what the guard refuses reaches no service', async () => {
  assert.equal((await request(app(true)).get('/cds-services')).status, 403);
  assert.equal(
    (await request(app(true)).post('/cds-services/triage').set('Content-Type', 'application/json').send(GOOD)).status,
    403,
  );
});

test('cds-http: no CORS header is sent', async () => {
  const { headers } = await request(app())
    .options('/cds-services')
    .set('Origin', 'https://sandbox.example')
    .set('Access-Control-Request-Method', 'GET');
  assert.deepEqual(
    Object.keys(headers).filter((name) => name.startsWith('access-control')),
    [],
  );
});
