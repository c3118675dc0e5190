// What a write of a Subscription must keep to: FHIR R4 subscription.html, Subscriptions R5 Backport 1.1.0; docs/subscriptions.md.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { limit } from '../test-store.ts';
import { at, json } from '../world.ts';
import { type Receiver, receiver, until } from './receiver.ts';
import { byCriteria, byTopic, EXTENSION, heartRate, type SubscriptionWorld, subscriptionWorld } from './world.ts';

const HOOK = 'http://127.0.0.1:9/hook';
let there: SubscriptionWorld;
let hook: Receiver;
before(async () => {
  there = await subscriptionWorld({ patience: { attempts: 1 } });
  hook = await receiver();
});
after(async () => {
  await hook.close();
  await there.close();
});

const criteria = (text: string) => byCriteria(text, HOOK);
const channel = (more: JsonObject) => byCriteria('Patient', HOOK, more);
const extended = (name: string, value: JsonObject) =>
  byTopic('observation-final', HOOK, { extension: [{ url: EXTENSION + name, ...value }] });
const C = 'Subscription.criteria';
const CH = 'Subscription.channel';

const refused: readonly [why: string, resource: JsonObject, expression: string][] = [
  ['no type', criteria('?status=final'), C],
  ['a type that is not served', criteria('Nonsense?x=1'), C],
  ['a parameter that is not claimed', criteria('Observation?colour=red'), C],
  ['a value that is none', criteria('Observation?date=yesterday'), C],
  ['a chain', criteria('Observation?patient.name=x'), C],
  ['_has', criteria('Patient?_has:Observation:patient:code=1'), C],
  ['a result parameter', criteria('Observation?status=final&_count=1'), C],
  ['an include', criteria('Observation?_include=Observation:patient'), C],
  ['what depends on today', criteria('Observation?date=ap2020'), C],
  ['the audit', criteria('AuditEvent?action=R'), C],
  ['a channel that is not served', channel({ type: 'email', endpoint: 'mailto:a@example.org' }), `${CH}.type`],
  ['no endpoint', channel({ endpoint: '' }), ''],
  ['an endpoint that is not listed', channel({ endpoint: 'https://evil.example' }), `${CH}.endpoint`],
  ['a private address', channel({ endpoint: 'http://10.0.0.1/' }), `${CH}.endpoint`],
  ['the address of metadata', channel({ endpoint: 'http://169.254.169.254/' }), `${CH}.endpoint`],
  ['a relative endpoint', channel({ endpoint: '/hook' }), `${CH}.endpoint`],
  ['another payload', channel({ payload: 'text/plain' }), `${CH}.payload`],
  ['a header without colon', channel({ header: ['Authorization'] }), `${CH}.header[0]`],
  ['a header of the server', channel({ header: ['X-A: 1', 'Host: evil'] }), `${CH}.header[1]`],
  ['a header that splits', channel({ header: ['X-A: 1\r\nX-B: 2'] }), `${CH}.header[0]`],
  ['an endpoint of a websocket', channel({ type: 'websocket' }), `${CH}.endpoint`],
  ['an end that has passed', { ...criteria('Patient'), end: '2026-01-01T23:59:59Z' }, 'Subscription.end'],
  ['a topic that is not held', byTopic('urn:x:none', HOOK), C],
  ['a version of a topic that is not held', byTopic('observation-final|9', HOOK), C],
  [
    'a filter of another type',
    byTopic('observation-final', HOOK, { filters: ['Patient?active=true'] }),
    `${C}.extension[0].value`,
  ],
  [
    'a filter that the topic has not',
    byTopic('observation-final', HOOK, { filters: ['Observation?date=2020'] }),
    `${C}.extension[0].value`,
  ],
  [
    'a modifier that the topic has not',
    byTopic('observation-final', HOOK, { filters: ['Observation?patient=p1', 'Observation?category:not=x'] }),
    `${C}.extension[1].value`,
  ],
  ['a content that is none', byTopic('observation-final', HOOK, { content: 'all' }), `${CH}.payload.extension`],
  [
    'a heartbeat over a day',
    extended('heartbeat-period', { valueUnsignedInt: 86_401 }),
    `${CH}.extension('${EXTENSION}heartbeat-period')`,
  ],
  ['a timeout over a minute', extended('timeout', { valueUnsignedInt: 61 }), `${CH}.extension('${EXTENSION}timeout')`],
  ['no event at all', extended('max-count', { valuePositiveInt: 101 }), `${CH}.extension('${EXTENSION}max-count')`],
];
for (const [why, resource, expression] of refused) {
  if (expression === '') continue;
  test(`subscriptions@refused ${why}: 422 with expression`, async () => {
    for (const status of ['requested', 'active']) {
      const response = await there.send('POST', '/Subscription', { body: { ...resource, status } });
      assert.equal(response.status, 422, response.body);
      assert.equal(at(json(response), 'issue.0.expression.0'), expression, response.body);
    }
    const inert = await there.send('POST', '/Subscription', { body: { ...resource, status: 'off' } });
    assert.equal(inert.status, 201, 'off: it is stored, and never served');
  });
}

const accepted: readonly [why: string, resource: JsonObject][] = [
  ['the type alone', criteria('Patient')],
  ['many parameters', criteria('Observation?code=8867-4&value-quantity=gt100&patient=Patient/p1&date=ge2020')],
  ['_lastUpdated and _id', criteria('Patient?_lastUpdated=ge2020&_id=a,b')],
  ['a composite', criteria('Observation?code-value-quantity=8867-4$gt100')],
  [
    'a filter with a modifier of the topic',
    byTopic('observation-final', HOOK, { filters: ['Observation?code:not=8867-4'] }),
  ],
  ['the version of a topic', byTopic('observation-final|1.0.0', HOOK)],
  ['the bounds', extended('timeout', { valueUnsignedInt: 60 })],
];
for (const [why, resource] of accepted) {
  test(`subscriptions@accepted ${why}`, async () => {
    const id = await there.create(resource);
    assert.equal((await there.send('DELETE', `/Subscription/${id}`)).status, 204);
  });
}

test('subscriptions@headers: values are sent, and never come back', { timeout: limit(20_000) }, async () => {
  const secret = 'Bearer s3cr3t-canary';
  const id = await there.active(
    byCriteria('Observation?status=final', hook.url, { header: [`Authorization: ${secret}`] }),
  );
  const reads = [
    `/Subscription/${id}`,
    `/Subscription/${id}/_history`,
    `/Subscription/${id}/_history/1`,
    '/Subscription?_count=50',
    '/AuditEvent?_count=50',
    `/Subscription/${id}/$status`,
  ];
  for (const url of reads) {
    const { status, body } = await there.send('GET', url);
    assert.equal(status, 200, `${url} ${body}`);
    assert.ok(!body?.includes('canary'), url);
  }
  const found = await there.send('GET', '/Subscription?_content=canary');
  assert.equal(json(found).entry, undefined, 'nor can they be searched');
  const held = json(await there.send('GET', `/Subscription/${id}`));
  assert.deepEqual(at(held, 'channel.header'), ['Authorization: (withheld)']);
  // What comes back as it was read keeps the value.
  const put = await there.send('PUT', `/Subscription/${id}`, { body: { ...held, reason: 'another' } });
  assert.equal(json(put).status, 'requested', 'a change asks again');
  await until(async () => (await there.status(id)) === 'active');
  await there.create(heartRate(1));
  await until(() => hook.received.length === 1);
  assert.equal(hook.received[0]?.headers.authorization, secret);
  // The value belongs to the origin it was given for.
  const other = await receiver();
  const moved = { ...held, channel: { type: 'rest-hook', endpoint: other.url, header: ['Authorization: (withheld)'] } };
  await there.send('PUT', `/Subscription/${id}`, { body: moved });
  await until(async () => (await there.status(id)) === 'active');
  await there.create(heartRate(2));
  await until(async () => (await there.status(id)) === 'error');
  assert.equal(other.received.length, 0);
  await there.send('DELETE', `/Subscription/${id}`);
  const kept = () => there.store.keyedPage('subscription.header', { count: 100 });
  await until(async () => !(await kept()).some(({ key }) => key.startsWith(`${id} `)));
  await other.close();
});

test('subscriptions@unchanged: a PUT of what is held changes nothing', { timeout: limit(20_000) }, async () => {
  const id = await there.active(byCriteria('Patient', hook.url));
  const held = json(await there.send('GET', `/Subscription/${id}`));
  const put = await there.send('PUT', `/Subscription/${id}`, { body: held });
  assert.equal(at(json(put), 'meta.versionId'), at(held, 'meta.versionId'));
  await there.send('DELETE', `/Subscription/${id}`);
});
