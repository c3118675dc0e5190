// The one way out: allow-list by component, addresses judged where they are connected to, no redirects, bounded, a circuit breaker. docs/threat-model.md.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPublic } from '../../src/outbound/address.ts';
import { allowList } from '../../src/outbound/allow-list.ts';
import { type CallFault, Outbound, OutboundError } from '../../src/outbound/outbound.ts';
import { type Receiver, receiver } from '../subscriptions/receiver.ts';

const LISTED =
  'https://hooks.example.org, https://ehr.example.org/notify , http://10.1.2.3:8080/in, 10.20.0.0/16, fd00::/8';

const urls: readonly [url: string, allowed: boolean, why: string][] = [
  ['https://hooks.example.org', true, 'control: the origin'],
  ['https://hooks.example.org/any/path?x=1', true, 'anything below it'],
  ['https://ehr.example.org/notify', true, 'the path itself'],
  ['https://ehr.example.org/notify/a', true, 'below the path'],
  ['https://ehr.example.org/notify-evil', false, 'not a segment boundary'],
  ['https://ehr.example.org/', false, 'above the path'],
  ['https://ehr.example.org/notify/../admin', false, 'dots are resolved first'],
  ['https://ehr.example.org/notify/%2e%2e/admin', false, 'encoded dots'],
  ['https://ehr.example.org/notify/%2Fadmin', false, 'encoded slash'],
  ['http://hooks.example.org', false, 'another scheme'],
  ['https://hooks.example.org:444', false, 'another port'],
  ['https://hooks.example.org.evil.test', false, 'a longer host'],
  ['https://hooks.example.org@evil.test', false, 'credentials'],
  ['https://user:pass@hooks.example.org', false, 'credentials of the right host'],
  ['https://hooks.example.org\\@evil.test', false, 'a backslash'],
  ['https://hooks.example.org/#x', false, 'a fragment'],
  [' https://hooks.example.org', false, 'white space'],
  ['https://hooks.example.org/\tx', false, 'a tab, which the parser would drop'],
  ['ftp://hooks.example.org', false, 'another protocol'],
  ['file:///etc/passwd', false, 'a file'],
  ['javascript:alert(1)', false, 'a script'],
  ['//hooks.example.org', false, 'no scheme'],
  ['http://10.1.2.3:8080/in', true, 'an address that is listed itself'],
  ['http://10.1.2.4:8080/in', false, 'its neighbour'],
  ['http://0xa010203:8080/in', true, 'the same address in hexadecimal: it is compared as what it means'],
  ['http://localhost:9000', false, 'loopback is not listed'],
  [`https://hooks.example.org/${'a'.repeat(2000)}`, false, 'too long'],
];
test('outbound@allow-list: by component', () => {
  const list = allowList(LISTED);
  const wrong = urls.filter(([url, allowed]) => (list.refusal(url) === undefined) !== allowed);
  assert.deepEqual(wrong, []);
});

test('outbound@allow-list: unset is loopback only, empty is nothing', () => {
  for (const [url, allowed] of [
    ['http://127.0.0.1:9000/x', true],
    ['http://localhost:9000', true],
    ['http://[::1]:9000', true],
    ['http://2130706433:9000', true],
    ['http://127.0.0.2:9000', false],
    ['http://0.0.0.0:9000', false],
    ['http://169.254.169.254/latest/meta-data', false],
    ['http://localhost.evil.test', false],
    ['https://example.org', false],
  ] as const) {
    assert.equal(allowList(undefined).refusal(url) === undefined, allowed, url);
    assert.notEqual(allowList('').refusal(url), undefined, url);
  }
});

test('outbound@allow-list: an entry that is neither origin nor network stops the start', () => {
  for (const text of [
    'hooks.example.org',
    'https://a/?q',
    '10.0.0.0/33',
    '10.0.0.0',
    'https://u:p@a',
    'x/8',
    '::1/129',
  ]) {
    assert.throws(() => allowList(text), TypeError, text);
  }
});

const addresses: readonly [address: string, isOpen: boolean][] = [
  ['93.184.216.34', true],
  ['2606:2800:220:1:248:1893:25c8:1946', true],
  ...['0.0.0.0', '10.255.255.255', '100.64.0.1', '127.0.0.1', '127.255.0.1', '169.254.169.254', '172.16.0.1'].map(
    (address): [string, boolean] => [address, false],
  ),
  ...['172.31.255.255', '192.168.0.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '::', '::1'].map(
    (address): [string, boolean] => [address, false],
  ),
  ...['::ffff:10.0.0.1', '::ffff:127.0.0.1', '64:ff9b::a00:1', 'fc00::1', 'fe80::1', 'ff02::1', '2002:a00:1::'].map(
    (address): [string, boolean] => [address, false],
  ),
  ['172.32.0.1', true],
  ['100.128.0.1', true],
  ['not an address', false],
];
test('outbound@addresses: public ones, and both sides of the boundaries', () => {
  assert.deepEqual(
    addresses.filter(([address, isOpen]) => isPublic(address) !== isOpen),
    [],
  );
});

test('outbound@addresses: what a listed name may resolve to', () => {
  const list = allowList(LISTED);
  const rows: readonly [host: string, address: string, permitted: boolean][] = [
    ['hooks.example.org', '93.184.216.34', true],
    ['hooks.example.org', '10.0.0.1', false],
    ['hooks.example.org', '127.0.0.1', false],
    ['hooks.example.org', '::ffff:127.0.0.1', false],
    ['hooks.example.org', '10.20.3.4', true],
    ['hooks.example.org', '10.21.0.0', false],
    ['hooks.example.org', 'fd12::1', true],
    ['10.1.2.3', '10.1.2.3', true],
    ['hooks.example.org', '10.1.2.3', false],
  ];
  assert.deepEqual(
    rows.filter(([host, address, permitted]) => list.permitsAddress(host, address) !== permitted),
    [],
  );
});

let peer: Receiver;
before(async () => {
  peer = await receiver();
});
after(() => peer.close());

const call = (outbound: Outbound, url: string, more: object = {}) =>
  outbound.call({ method: 'POST', url, headers: {}, body: 'x', timeoutMs: 2000, ...more });
async function faultOf(asked: Promise<unknown>): Promise<CallFault | 'none'> {
  return asked.then(
    () => 'none',
    (error: unknown) => (error instanceof OutboundError ? error.fault : assert.fail(String(error))),
  );
}

type Answer = Receiver['answer'];
const hostile: readonly [why: string, answer: Answer, fault: CallFault | 'none', more?: object][] = [
  ['control', (_request, response) => response.end('thanks'), 'none'],
  ['a redirect', (_r, response) => response.writeHead(307, { Location: 'http://169.254.169.254/' }).end(), 'redirect'],
  ['more than the bound', (_request, response) => response.end('x'.repeat(65_537)), 'too-large'],
  ['exactly the bound', (_request, response) => response.end('x'.repeat(65_536)), 'none'],
  ['never answers', () => undefined, 'timeout', { timeoutMs: 50 }],
  ['never ends', (_request, response) => void response.write('x'), 'timeout', { timeoutMs: 50 }],
  ['hangs up', (_request, response) => void response.destroy(), 'connection'],
  ['headers too large', (_r, response) => response.writeHead(200, { long: 'x'.repeat(20_000) }).end(), 'connection'],
  ['a refusal is an answer', (_request, response) => response.writeHead(500).end(), 'none'],
];
for (const [why, answer, fault, more] of hostile) {
  test(`outbound@call ${why}: ${fault}`, { timeout: 20_000 }, async () => {
    const outbound = new Outbound({ allow: allowList(undefined) });
    peer.answer = answer;
    assert.equal(await faultOf(call(outbound, peer.url, more)), fault);
    outbound.close();
    assert.equal(await faultOf(call(outbound, peer.url)), 'closed');
  });
}

test('outbound@call: names are judged by the address they have, not by the list', { timeout: 20_000 }, async () => {
  const { port } = new URL(peer.url);
  peer.answer = (_request, response) => response.end();
  const count = peer.received.length;
  // The name is listed, so the URL passes; its address is loopback, for which no network is listed.
  const named = `http://localhost.localdomain:${port}`;
  const outbound = new Outbound({ allow: { ...allowList(named), refusal: () => undefined } });
  for (const url of [`http://localhost:${port}`, `http://127.0.0.1:${port}`, `http://[::ffff:127.0.0.1]:${port}`]) {
    assert.equal(await faultOf(call(outbound, url)), 'address', url);
  }
  assert.equal(peer.received.length, count, 'nothing was connected to');
  outbound.close();
});

test('outbound@breaker: an origin that fails again and again is left alone, another is not', {
  timeout: 20_000,
}, async () => {
  const outbound = new Outbound({ allow: allowList(undefined), resetMs: 60_000 });
  const dead = await receiver();
  await dead.close();
  const faults: string[] = [];
  for (let count = 0; count < 8; count++) faults.push(await faultOf(call(outbound, dead.url)));
  assert.equal(faults[0], 'connection');
  assert.equal(faults.at(-1), 'open');
  peer.answer = (_request, response) => response.end();
  assert.equal((await call(outbound, peer.url)).status, 200);
  outbound.close();
});
