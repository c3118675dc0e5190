// SMART App Launch 2.2, CORS for browser-based apps: pages of registered origins may read, all others may not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crossOrigin } from '../../src/http/cross-origin.ts';
import { strangerFacts } from '../../src/rest/permission/caller.ts';
import { listening } from './server.ts';

const APP = 'https://app.example';
const allows = async (origin: string): Promise<boolean> => origin === APP;
const PREFLIGHT = { 'access-control-request-method': 'GET' };

const rows: readonly [
  name: string,
  method: string,
  headers: Record<string, string>,
  allowed: boolean,
  preflight: boolean,
][] = [
  ['no page', 'GET', {}, false, false],
  ['a registered page', 'GET', { origin: APP }, true, false],
  ['its preflight', 'OPTIONS', { origin: APP, ...PREFLIGHT }, true, true],
  ['OPTIONS that is no preflight', 'OPTIONS', { origin: APP }, true, false],
  ['a stranger', 'GET', { origin: 'https://evil.example' }, false, false],
  ["a stranger's preflight", 'OPTIONS', { origin: 'https://evil.example', ...PREFLIGHT }, false, false],
  ['an origin that begins like it', 'GET', { origin: `${APP}.evil.example` }, false, false],
  ['a sandboxed frame', 'GET', { origin: 'null' }, false, false],
];
for (const [name, method, headers, allowed, preflight] of rows) {
  test(`smart@cors ${name}`, async () => {
    const got = await crossOrigin({ method, headers }, allows);
    assert.equal(got.headers['Access-Control-Allow-Origin'], allowed ? APP : undefined);
    assert.equal(got.headers.Vary, 'Origin', 'whatever was asked: another origin is answered otherwise');
    assert.equal(got.headers['Access-Control-Allow-Credentials'], undefined);
    assert.equal(got.preflight, preflight);
    if (preflight) assert.match(got.headers['Access-Control-Allow-Headers'] ?? '', /Authorization/);
    if (allowed && !preflight) assert.match(got.headers['Access-Control-Expose-Headers'] ?? '', /ETag/);
  });
}

test('smart@cors-vary: an answer that is compressed still says that it depends on the origin', async () => {
  const identify = async () => ({ ...strangerFacts('r', '127.0.0.1'), rights: { kind: 'everything' } as const });
  const open = await listening({ identify, allowsOrigin: allows, guard: () => undefined });
  try {
    const large = { resourceType: 'Basic', id: 'large', code: { text: 'x'.repeat(20_000) } };
    await open.there.send('PUT', '/Basic/large', { body: large });
    for (const [origin, readable] of [
      [APP, APP],
      ['https://evil.example', undefined],
      [undefined, undefined],
    ] as const) {
      for (const coding of ['gzip', 'identity']) {
        const headers = { 'accept-encoding': coding, ...(origin === undefined ? {} : { origin }) };
        const got = await open.ask('GET', '/fhir/Basic/large', { headers });
        const varies = coding === 'gzip' ? 'Origin, Accept-Encoding' : 'Origin';
        assert.deepEqual(
          [got.status, got.headers.vary, got.headers['access-control-allow-origin'], got.headers['content-encoding']],
          [200, varies, readable, coding === 'gzip' ? 'gzip' : undefined],
        );
      }
    }
  } finally {
    await open.close();
  }
});
