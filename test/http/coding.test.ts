// Content codings, RFC 9110 §8.4 and §12.5.3: answers over 1 KB when asked, bodies within the ratio limit.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateRawSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
} from 'node:zlib';
import { codingOf } from '../../src/http/coding.ts';
import { type Listening, listening } from './server.ts';

let open: Listening;
before(async () => {
  open = await listening();
  const text = 'lorem ipsum '.repeat(200);
  await open.there.send('PUT', '/Patient/large', { body: { resourceType: 'Patient', id: 'large', name: [{ text }] } });
  await open.there.send('PUT', '/Patient/small', { body: { resourceType: 'Patient', id: 'small' } });
});
after(() => open.close());

const rows: readonly [accept: string | undefined, bytes: number, coding: string | undefined, why: string][] = [
  ['gzip', 2000, 'gzip', 'control'],
  [undefined, 2000, undefined, 'not asked'],
  ['', 2000, undefined, 'empty: as it is'],
  ['gzip', 1024, undefined, '1 KB is small'],
  ['gzip', 1025, 'gzip', 'over 1 KB'],
  ['x-gzip', 2000, 'gzip', 'the old name'],
  ['br', 2000, 'br', 'Brotli'],
  ['deflate', 2000, 'deflate', 'zlib'],
  ['gzip, deflate, br', 2000, 'gzip', 'all alike: the one that needs least memory'],
  ['gzip;q=0.5, br', 2000, 'br', 'the most wanted'],
  ['gzip;q=0', 2000, undefined, 'refused'],
  ['gzip;q=0, *', 2000, 'br', 'anything but gzip'],
  ['*', 2000, 'gzip', 'anything'],
  ['*;q=0', 2000, undefined, 'nothing'],
  ['identity, gzip;q=0.5', 2000, undefined, 'plain is wanted more'],
  ['zstd', 2000, undefined, 'unknown'],
  ['gzip;q=x', 2000, undefined, 'a weight that is none'],
  [',;,=;q', 2000, undefined, 'garbage'],
];
for (const [accept, bytes, coding, why] of rows) {
  test(`Accept-Encoding ${accept} for ${bytes} bytes: ${why}`, () => assert.equal(codingOf(accept, bytes), coding));
}

function raw(path: string, accept: string, method = 'GET') {
  return new Promise<{ headers: NodeJS.Dict<string | string[]>; body: Buffer }>((resolve, reject) => {
    const headers = { 'accept-encoding': accept };
    const asked = request({ host: '127.0.0.1', port: open.port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

for (const [coding, decode] of [
  ['gzip', gunzipSync],
  ['br', brotliDecompressSync],
  ['deflate', inflateSync],
] as const) {
  test(`an answer in ${coding} holds the same text`, async () => {
    const plain = await raw('/fhir/Patient/large', 'identity');
    const { headers, body } = await raw('/fhir/Patient/large', coding);
    assert.deepEqual(
      [headers['content-encoding'], headers['content-length'], headers.vary, decode(body).equals(plain.body)],
      [coding, String(body.length), 'Accept-Encoding', true],
    );
  });
}

test('small answers, HEAD and 404s go out as they are', async () => {
  const small = await raw('/fhir/Patient/small', 'gzip');
  const head = await raw('/fhir/Patient/large', 'gzip', 'HEAD');
  const absent = await raw('/fhir/Patient/none', 'gzip');
  assert.deepEqual(
    [small, head, absent].map(({ headers }) => headers['content-encoding']),
    [undefined, undefined, undefined],
  );
});

const patient = (filler: string): string => JSON.stringify({ resourceType: 'Patient', name: [{ text: filler }] });
const CODED: readonly [why: string, coding: string, body: Buffer | string, status: number][] = [
  ['Brotli', 'br', brotliCompressSync(patient('x')), 201],
  ['deflate', 'deflate', deflateSync(patient('x')), 201],
  ['gzip by its old name', 'X-GZIP', gzipSync(patient('x')), 201],
  ['Brotli above ratio 50', 'br', brotliCompressSync(patient('x'.repeat(150_000))), 413],
  ['deflate above ratio 50', 'deflate', deflateSync(patient('x'.repeat(150_000))), 413],
  ['a Brotli bomb', 'br', brotliCompressSync(Buffer.alloc(20_000_000)), 413],
  ['not Brotli', 'br', 'plain', 400],
  ['Brotli cut short', 'br', brotliCompressSync(patient('lorem ipsum')).subarray(0, 12), 400],
  ['deflate without its header', 'deflate', deflateRawSync(patient('x')), 400],
  ['two layers', 'br, gzip', 'x', 415],
  ['unknown', 'zstd', 'x', 415],
];
for (const [why, coding, body, status] of CODED) {
  test(`a body in ${coding}, ${why}: ${status}`, async () => {
    const headers = { 'content-type': 'application/fhir+json', 'content-encoding': coding };
    const answer = await open.ask('POST', '/fhir/Patient', { headers, body });
    assert.equal(answer.status, status, answer.body.slice(0, 300));
  });
}
