// Bytes in, bytes out: RFC 9110 (HEAD, Content-Length, 413, 415), docs/threat-model.md (exhaustion, headers).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { isHeavy } from '../../src/http/fhir.ts';
import { StoreError } from '../../src/store/port.ts';
import { world } from '../world.ts';
import { type Asked, type Listening, listening } from './server.ts';

let open: Listening;
before(async () => {
  open = await listening();
  await open.there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p' } });
});
after(() => open.close());

const JSON_TYPE = { 'content-type': 'application/fhir+json' };
const patient = (filler: string): string => JSON.stringify({ resourceType: 'Patient', name: [{ text: filler }] });

test('a read over the wire: type, length, security headers, request id', async () => {
  const { status, headers, body } = await open.ask('GET', '/fhir/Patient/p');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/fhir+json; charset=utf-8');
  assert.equal(headers['content-length'], String(Buffer.byteLength(body)));
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['referrer-policy'], 'no-referrer');
  assert.match(String(headers['content-security-policy']), /default-src 'none'/);
  assert.equal(headers['x-powered-by'], undefined);
  assert.match(String(headers['x-request-id']), /^minted-/);
});

test('HEAD has the headers of GET and no body', async () => {
  const { headers: got } = await open.ask('GET', '/fhir/Patient/p');
  const { status, headers, body } = await open.ask('HEAD', '/fhir/Patient/p');
  assert.deepEqual([status, body, headers['content-length'], headers.etag], [200, '', got['content-length'], got.etag]);
});

test('304 has no body', async () => {
  const { status, body } = await open.ask('GET', '/fhir/Patient/p', { headers: { 'if-none-match': 'W/"1"' } });
  assert.deepEqual([status, body], [304, '']);
});

const ids: readonly [given: string, echoed: boolean][] = [
  ['abc-DEF_1.2', true],
  ['a'.repeat(128), true],
  ['a'.repeat(129), false],
  ['a b', false],
  ['<x>', false],
];
for (const [given, echoed] of ids) {
  test(`X-Request-Id ${given.slice(0, 12)} (${given.length}) is ${echoed ? 'echoed' : 'replaced'}`, async () => {
    const { headers } = await open.ask('GET', '/fhir/metadata?_elements=date', { headers: { 'x-request-id': given } });
    assert.equal(headers['x-request-id'] === given, echoed);
  });
}

const bodies: readonly [why: string, sent: Asked, status: number][] = [
  ['control', { headers: JSON_TYPE, body: patient('x') }, 201],
  ['gzip', { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(patient('x')) }, 201],
  ['a byte order mark', { headers: JSON_TYPE, body: `\ufeff${patient('x')}` }, 201],
  ['chunked', { headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, body: patient('x') }, 201],
  ['larger than the limit', { headers: JSON_TYPE, body: patient('x'.repeat(200_000)) }, 413],
  [
    'larger, chunked',
    { headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, body: patient('x'.repeat(300_000)) },
    413,
  ],
  [
    'larger after decompression',
    { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(patient('x'.repeat(5_000_000))) },
    413,
  ],
  [
    'ratio above 50',
    { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(patient('x'.repeat(150_000))) },
    413,
  ],
  ['not gzip', { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: 'plain' }, 400],
  [
    'gzip cut short',
    { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: gzipSync(patient('x')).subarray(0, 20) },
    400,
  ],
  ['compress', { headers: { ...JSON_TYPE, 'content-encoding': 'compress' }, body: 'x' }, 415],
  ['two layers', { headers: { ...JSON_TYPE, 'content-encoding': 'gzip, gzip' }, body: 'x' }, 415],
  ['invalid UTF-8', { headers: JSON_TYPE, body: Buffer.from([0x22, 0xc3, 0x28, 0x22]) }, 400],
  ['a header twice', { headers: { ...JSON_TYPE, 'if-match': ['W/"1"', 'W/"1"'] }, body: patient('x') }, 400],
];
for (const [why, sent, status] of bodies) {
  test(`body: ${why} is ${status}`, async () => {
    const answer = await open.ask('POST', '/fhir/Patient', sent);
    assert.equal(answer.status, status, answer.body.slice(0, 300));
    assert.equal(open.there.accesses.at(-1)?.status, status, 'audited');
  });
}

test('a URL above 8 KB is 414 with advice; above 32 KB of headers 431', async () => {
  const long = await open.ask('GET', `/fhir/Patient?_id=${'a'.repeat(9000)}`);
  assert.deepEqual([long.status, /POST/.test(long.body)], [414, true]);
  assert.equal((await open.ask('GET', `/fhir/Patient?_id=${'a'.repeat(34_000)}`)).status, 431);
});

test('large bodies, batches and searches handed back go to the other thread', async () => {
  const heavy: string[] = [];
  const there = world();
  const one = await listening(
    { heavy: async ({ path }) => ({ status: 200, headers: {}, body: String(heavy.push(path)) }) },
    there,
  );
  await one.ask('POST', '/fhir/Patient', { headers: JSON_TYPE, body: patient('x'.repeat(70_000)) });
  await one.ask('POST', '/fhir', { headers: JSON_TYPE, body: '{"resourceType":"Bundle","type": "batch"}' });
  there.store.fails = { search: new StoreError('bounded-thread', 'elsewhere') };
  await one.ask('GET', '/fhir/Patient?_id=1');
  there.store.fails = {};
  await one.ask('GET', '/fhir/Patient?_id=1');
  await one.close();
  assert.deepEqual(heavy, ['/Patient', '', '/Patient']);
});

test('when the other thread is gone the answer is 503', async () => {
  const one = await listening({ heavy: async () => Promise.reject(new Error('gone')), isHeavy: () => true });
  const { status, headers } = await one.ask('GET', '/fhir/Patient');
  await one.close();
  assert.deepEqual([status, headers['retry-after']], [503, '1']);
});

test('a client that goes away, or talks nonsense, breaks nothing', async () => {
  const half = connect(open.port, '127.0.0.1');
  half.write(
    `POST /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1:${open.port}\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{`,
  );
  await once(half, 'connect');
  half.resetAndDestroy();
  const hurried = connect(open.port, '127.0.0.1');
  hurried.end(`GET /fhir/Patient/p HTTP/1.1\r\nHost: 127.0.0.1:${open.port}\r\n\r\n`);
  hurried.destroy();
  const nonsense = connect(open.port, '127.0.0.1');
  nonsense.end('NONSENSE\r\n\r\n');
  nonsense.resume();
  await once(nonsense, 'close');
  assert.equal((await open.ask('GET', '/fhir/Patient/p')).status, 200);
});

const heavy: readonly (readonly [path: string, heavy: boolean])[] = [
  ['/ValueSet/$expand', true],
  ['/ValueSet/x/$validate-code', true],
  ['/CodeSystem/%24lookup', true],
  ['/Patient/$validate', false],
  ['/Patient/x', false],
];
for (const [path, expected] of heavy) {
  test(`operations that compute at length run on the thread for large requests: ${path} ${expected}`, () => {
    assert.equal(isHeavy({ method: 'GET', path, query: '', headers: {}, body: undefined }), expected);
  });
}
