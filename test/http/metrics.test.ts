// docs/cds-hooks.md#feedback-and-explanation: counters are read without a token, by programs of this machine, or by everyone when the site says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOfThisMachine } from '../../src/http/ops.ts';
import { listening } from './server.ts';

const metrics = (): string => 'firewatch_cds_calls_total 1\n';

const rows: readonly [address: string | undefined, headers: Record<string, string>, may: boolean, why: string][] = [
  ['127.0.0.1', {}, true, 'control'],
  ['127.9.9.9', {}, true, 'loopback is a network'],
  ['::1', {}, true, 'loopback of IPv6'],
  ['::ffff:127.0.0.1', {}, true, 'IPv4 on a socket of both'],
  ['10.0.0.7', {}, false, 'another machine'],
  ['::ffff:10.0.0.7', {}, false, 'the same on a socket of both'],
  ['fe80::1', {}, false, 'another machine of the link'],
  ['127.0.0.1.evil', {}, false, 'no address'],
  [undefined, {}, false, 'a socket that is gone'],
  ['127.0.0.1', { 'x-forwarded-for': '10.0.0.7' }, false, 'through a proxy of this machine'],
  ['127.0.0.1', { forwarded: 'for=10.0.0.7' }, false, 'the same, RFC 7239'],
  ['127.0.0.1', { via: '1.1 proxy' }, false, 'the same, RFC 9110'],
];
for (const [remoteAddress, headers, may, why] of rows) {
  test(`cds-hooks-2.0@metrics-closed ${remoteAddress} ${Object.keys(headers)}: ${why}`, () => {
    assert.equal(isOfThisMachine({ headers, socket: { remoteAddress } }), may);
  });
}

test('cds-hooks-2.0@metrics-closed: who may not read them is answered as where there are none', async () => {
  const status = async (parts: Parameters<typeof listening>[2], headers = {}) => {
    const open = await listening({}, undefined, parts);
    try {
      const { status: found, body } = await open.ask('GET', '/metrics', { headers });
      return [found, body.startsWith('firewatch_')];
    } finally {
      await open.close();
    }
  };
  const proxied = { 'x-forwarded-for': '10.0.0.7' };
  assert.deepEqual(await status({ metrics }), [200, true]);
  assert.deepEqual(await status({ metrics }, proxied), [404, false]);
  assert.deepEqual(await status({ metrics, mayMeasure: () => true }, proxied), [200, true]);
  assert.deepEqual(await status({}), [404, false]);
});
