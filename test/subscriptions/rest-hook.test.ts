// rest-hook: FHIR R4 subscription.html and valueset-subscription-channel-type; Subscriptions R5 Backport 1.1.0, channels, notifications, payloads.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { limit } from '../test-store.ts';
import { at, json } from '../world.ts';
import { type Receiver, receiver, until } from './receiver.ts';
import {
  byCriteria,
  byTopic,
  EXTENSION,
  heartRate,
  numbersOf,
  type SubscriptionWorld,
  statusOf,
  subscriptionWorld,
  TOPIC,
} from './world.ts';

const LIMIT = { timeout: limit(20_000) };
let there: SubscriptionWorld;
let hook: Receiver;
before(async () => {
  there = await subscriptionWorld();
});
after(() => there.close());
beforeEach(async () => {
  hook = await receiver();
});
afterEach(() => hook.close());

const off = (id: string) => there.send('DELETE', `/Subscription/${id}`);

test('subscriptions@r4-no-payload: a POST without body says only that something happened', LIMIT, async () => {
  const id = await there.active(byCriteria('Observation?code=http://loinc.org|8867-4', `${hook.url}/hook`));
  await there.create(heartRate(80));
  await until(() => hook.received.length === 1);
  const [first] = hook.received;
  assert.deepEqual([first?.method, first?.path, first?.body], ['POST', '/hook', '']);
  assert.equal(first?.headers['idempotency-key'], `"${id}/1"`);
  await off(id);
});

for (const [payload, starts] of [
  ['application/fhir+json', '{"resourceType":"Observation"'],
  ['application/fhir+xml', '<?xml'],
] as const) {
  test(`subscriptions@r4-payload ${payload}: the endpoint is a service base and gets an update`, LIMIT, async () => {
    const header = ['Authorization: Bearer abc'];
    const id = await there.active(byCriteria('Observation?status=final', `${hook.url}/base`, { payload, header }));
    const observation = await there.create(heartRate(81));
    await until(() => hook.received.length === 1);
    const [first] = hook.received;
    assert.deepEqual([first?.method, first?.path], ['PUT', `/base/Observation/${observation}`]);
    assert.equal(first?.headers['content-type'], `${payload}; charset=utf-8`);
    assert.equal(first?.headers.authorization, 'Bearer abc');
    assert.ok(first?.body.startsWith(starts), first?.body);
    await off(id);
  });
}

test('subscriptions@handshake: requested, handshake, active; then events', LIMIT, async () => {
  const id = await there.active(byTopic('observation-final', hook.url, { content: 'id-only' }));
  const handshake = JSON.parse(hook.received[0]?.body ?? '');
  assert.deepEqual(
    ['subscription', 'topic', 'status', 'type', 'events-since-subscription-start'].map((name) =>
      statusOf(handshake, name),
    ),
    [
      { reference: `http://127.0.0.1:8080/fhir/Subscription/${id}` },
      `${TOPIC}observation-final`,
      'requested',
      'handshake',
      '0',
    ],
  );
  const observation = await there.create(heartRate(82));
  await until(() => hook.received.length === 2);
  const event = JSON.parse(hook.received[1]?.body ?? '');
  assert.equal(event.type, 'history');
  assert.equal(statusOf(event, 'type'), 'event-notification');
  assert.equal(statusOf(event, 'events-since-subscription-start'), '1');
  assert.deepEqual(numbersOf(event), [1]);
  const part = at(event, 'entry.0.resource.parameter.5.part.2');
  assert.deepEqual(part, {
    name: 'focus',
    valueReference: { reference: `http://127.0.0.1:8080/fhir/Observation/${observation}` },
  });
  assert.equal(event.entry.length, 1);
  await off(id);
});

test(
  'subscriptions@from-creation: what is written while the handshake is under way is told after it',
  LIMIT,
  async () => {
    let open = (): void => undefined;
    hook.answer = (_request, response) => {
      open = () => response.end();
    };
    const id = await there.create(byTopic('observation-final', hook.url));
    await there.create(heartRate(79));
    await until(() => hook.received.length === 1);
    hook.answer = (_request, response) => response.end();
    open();
    await until(() => hook.received.length === 2);
    assert.deepEqual(numbersOf(JSON.parse(hook.received[1]?.body ?? '')), [1]);
    await off(id);
  },
);

for (const [content, topic, focus, resource] of [
  ['empty', false, false, false],
  ['id-only', true, true, false],
  ['full-resource', true, true, true],
] as const) {
  test(
    `subscriptions@content ${content}: topic ${topic}, focus ${focus}, resource ${resource}; valid R4`,
    LIMIT,
    async () => {
      const id = await there.active(byTopic('observation-final', hook.url, { content }));
      const observation = await there.create(heartRate(83));
      await until(() => hook.received.length === 2);
      const bundle = JSON.parse(hook.received[1]?.body ?? '');
      assert.equal(statusOf(bundle, 'topic') !== undefined, topic);
      assert.equal(JSON.stringify(bundle.entry[0]).includes('"focus"'), focus);
      assert.equal(bundle.entry.length, resource ? 2 : 1);
      if (resource) {
        assert.equal(bundle.entry[1].resource.id, observation);
        assert.deepEqual(bundle.entry[1].request, { method: 'POST', url: 'Observation' });
      }
      const judged = await there.send('POST', '/Bundle/$validate', { body: bundle });
      const issues = json(judged).issue;
      assert.ok(Array.isArray(issues));
      assert.deepEqual(
        issues.filter((issue) => ['error', 'fatal'].includes(String(at(issue, 'severity')))),
        [],
      );
      await off(id);
    },
  );
}

test('subscriptions@max-count: no notification holds more events, none is left out', LIMIT, async () => {
  let open = (): void => undefined;
  const id = await there.active(
    byTopic('observation-final', hook.url, { extension: [{ url: `${EXTENSION}max-count`, valuePositiveInt: 2 }] }),
  );
  hook.answer = (_request, response) => {
    open = () => response.end();
  };
  await there.create(heartRate(84));
  await until(() => hook.received.length === 2);
  for (const value of [85, 86, 87]) await there.create(heartRate(value));
  await until(() =>
    String(there.desk.statuses([id])[0]?.text).includes('"events-since-subscription-start","valueString":"4"'),
  );
  hook.answer = (_request, response) => response.end();
  open();
  await until(() => hook.received.length === 4);
  const told = hook.received.slice(1).map(({ body }) => numbersOf(JSON.parse(body)));
  assert.deepEqual(told, [[1], [2, 3], [4]]);
  assert.equal(statusOf(JSON.parse(hook.received[2]?.body ?? ''), 'events-since-subscription-start'), '3');
  await off(id);
});

test('subscriptions@heartbeat: after each period without contact', LIMIT, async () => {
  const id = await there.active(
    byTopic('observation-final', hook.url, {
      extension: [{ url: `${EXTENSION}heartbeat-period`, valueUnsignedInt: 60 }],
    }),
  );
  await until(() => there.waiting.includes(60_000));
  there.advance(59_999);
  assert.equal(hook.received.length, 1);
  there.advance(1);
  await until(() => hook.received.length === 2);
  assert.equal(statusOf(JSON.parse(hook.received[1]?.body ?? ''), 'type'), 'heartbeat');
  await off(id);
});

test('subscriptions@handshake-fails: status error, and the reason without what the endpoint said', LIMIT, async () => {
  hook.answer = (_request, response) => response.writeHead(500).end('Mrs. Secret');
  const id = await there.create(byTopic('observation-final', hook.url));
  await until(async () => (await there.status(id)) === 'error');
  const { error } = json(await there.send('GET', `/Subscription/${id}`));
  assert.equal(error, 'The handshake failed: The endpoint answered with status 500.');
  await off(id);
});

test('subscriptions@deleted: nothing more is sent', LIMIT, async () => {
  const id = await there.active(byCriteria('Observation?status=final', hook.url));
  await off(id);
  const other = await there.active(byCriteria('Observation?status=final', `${hook.url}/other`));
  await there.create(heartRate(88));
  await until(() => hook.received.length === 1);
  assert.equal(hook.received[0]?.path, '/other');
  await off(other);
});

test('subscriptions@updated: new criteria hold from their version on, numbers go on', LIMIT, async () => {
  const id = await there.active(byCriteria('Observation?status=final', hook.url));
  await there.create(heartRate(89));
  await until(() => hook.received.length === 1);
  await there.send('PUT', `/Subscription/${id}`, {
    body: { ...byCriteria('Observation?status=preliminary', hook.url), id },
  });
  await there.create(heartRate(90));
  await there.create(heartRate(91, 'p1', 'preliminary'));
  await until(() => hook.received.length === 2);
  assert.equal(hook.received[1]?.headers['idempotency-key'], `"${id}/2"`);
  await off(id);
});

test('subscriptions@end: it is off from then on', LIMIT, async () => {
  const soon = { ...byCriteria('Observation?status=final', hook.url), end: '2026-01-05T00:00:00Z' };
  const id = await there.active(soon);
  await until(() => there.waiting.some((ms) => ms > 0));
  there.advance(4 * 86_400_000);
  await until(async () => (await there.status(id)) === 'off');
  await there.create(heartRate(92));
  assert.equal(hook.received.length, 0);
});

test('subscriptions@slow: one endpoint that does not answer holds up no other', LIMIT, async () => {
  const stuck = await receiver();
  stuck.answer = () => undefined;
  const slow = await there.active(byCriteria('Observation?status=final', stuck.url));
  const quick = await there.active(byCriteria('Observation?status=final', hook.url));
  for (const value of [93, 94, 95]) await there.create(heartRate(value));
  await until(() => hook.received.length === 3);
  assert.equal(stuck.received.length, 1, 'control: it is still busy with the first');
  await off(slow);
  await off(quick);
  await stuck.close();
});
