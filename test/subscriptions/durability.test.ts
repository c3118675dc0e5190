// At least once, in order, gapless: back-off, endpoints that are down and come back, restarts. Source: docs/decisions/0018-subscriptions.md.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pauseAfter } from '../../src/subscriptions/lane.ts';
import { limit } from '../test-store.ts';
import { at, json } from '../world.ts';
import { receiver, until } from './receiver.ts';
import { byCriteria, byTopic, heartRate, numbersOf, subscriptionWorld } from './world.ts';

const LIMIT = { timeout: limit(20_000) };

/** Closed at the end, however the test ends. */
async function opened(t: TestContext) {
  const [there, hook] = [await subscriptionWorld(), await receiver()];
  t.after(async () => {
    await hook.close();
    await there.close();
  });
  return { there, hook };
}

const waits: readonly [failures: number, random: number, ms: number, why: string][] = [
  [1, 0, 1000, 'control: the base'],
  [2, 0, 2000, 'doubles'],
  [5, 0, 16_000, 'and again'],
  [9, 0, 256_000, 'the last below the most'],
  [10, 0, 300_000, 'at most'],
  [60, 0, 300_000, 'no overflow'],
  [1, 0.999999, 501, 'at random down to half, rounded up'],
  [10, 0.5, 225_000, 'in between'],
];
test('subscriptions@back-off: exponential, bounded, with jitter', () => {
  const patience = { attempts: 10, baseMs: 1000, mostMs: 300_000 };
  for (const [failures, random, ms, why] of waits) {
    assert.ok(Math.abs(pauseAfter(failures, patience, random) - ms) <= 1, why);
  }
});

test(
  'subscriptions@retry: down and back, nothing lost, the order kept, duplicates carry the same number',
  LIMIT,
  async (t) => {
    const { there, hook } = await opened(t);
    const id = await there.active(byTopic('observation-final', hook.url, { channel: {} }));
    hook.answer = (_request, response) => response.writeHead(503).end();
    for (const value of [1, 2, 3]) await there.create(heartRate(value));
    await until(() => hook.received.length >= 2 && there.waiting.includes(1000));
    there.advance(999);
    assert.equal(hook.received.length, 2, 'not before its time');
    there.advance(1);
    await until(() => hook.received.length === 3 && there.waiting.includes(2000));
    hook.answer = (_request, response) => response.end();
    there.advance(2000);
    await until(() => hook.received.length === 4);
    const told = hook.received.slice(1).map(({ body }) => numbersOf(JSON.parse(body)));
    assert.equal(told[0]?.[0], 1);
    assert.equal(told[1]?.[0], 1, 'the second attempt begins with the same event');
    const keys = hook.received.slice(1, 4).map(({ headers }) => headers['idempotency-key']);
    assert.deepEqual(keys, [`"${id}/1"`, `"${id}/1"`, `"${id}/1"`]);
    assert.deepEqual([...new Set(told.flat())], [1, 2, 3]);
  },
);

const numbers = (received: readonly { readonly body: string }[]): readonly number[] =>
  received.flatMap(({ body }) => (body === '' ? [] : numbersOf(JSON.parse(body))));

test(
  'subscriptions@dead: error after the last attempt, with a line for the operator; re-activated, it goes on where it was',
  LIMIT,
  async (t) => {
    const { there, hook } = await opened(t);
    const id = await there.active(byTopic('observation-final', hook.url));
    hook.answer = (_request, response) => response.writeHead(500).end('secret');
    await there.create(heartRate(1));
    for (const wait of [1000, 2000]) {
      await until(() => there.waiting.includes(wait));
      there.advance(wait);
    }
    await until(async () => (await there.status(id)) === 'error' && there.failed.length === 1);
    assert.deepEqual(there.failed, [id]);
    assert.equal(hook.received.length, 4, 'handshake and three attempts');
    const held = json(await there.send('GET', `/Subscription/${id}`));
    assert.equal(held.error, 'A notification could not be delivered: The endpoint answered with status 500.');
    await there.create(heartRate(2));
    hook.answer = (_request, response) => response.end();
    const { error: _error, ...again } = held;
    const put = await there.send('PUT', `/Subscription/${id}`, { body: { ...again, status: 'requested' } });
    assert.equal(put.status, 200, put.body);
    await until(() => numbers(hook.received.slice(4)).includes(2));
    assert.deepEqual(numbers(hook.received.slice(4)), [1, 2]);
    assert.equal(await there.status(id), 'active');
  },
);

test('subscriptions@restart: numbers, back-off and what waits survive', LIMIT, async (t) => {
  const { there, hook } = await opened(t);
  const id = await there.active(byCriteria('Observation?status=final', hook.url));
  await there.create(heartRate(1));
  await until(() => hook.received.length === 1);
  hook.answer = (_request, response) => response.writeHead(503).end();
  await there.create(heartRate(2));
  await until(() => hook.received.length === 2 && there.waiting.includes(1000));
  await there.create(heartRate(3));
  await there.restart();
  hook.answer = (_request, response) => response.end();
  await until(() => there.waiting.includes(1000));
  assert.equal(hook.received.length, 2, 'the wait goes on');
  there.advance(1000);
  await until(() => hook.received.length === 4);
  await there.create(heartRate(4));
  await until(() => hook.received.length === 5);
  const keys = hook.received.map(({ headers }) => headers['idempotency-key']);
  assert.deepEqual(
    keys,
    [1, 2, 2, 3, 4].map((number) => `"${id}/${number}"`),
  );
});

test('subscriptions@off-on: what happened while it was off is no event; numbers go on', LIMIT, async (t) => {
  const { there, hook } = await opened(t);
  const id = await there.active(byCriteria('Observation?status=final', hook.url));
  await there.create(heartRate(1));
  await until(() => hook.received.length === 1);
  const resource = byCriteria('Observation?status=final', hook.url);
  await there.send('PUT', `/Subscription/${id}`, { body: { ...resource, id, status: 'off' } });
  await there.create(heartRate(2));
  await there.send('PUT', `/Subscription/${id}`, { body: { ...resource, id } });
  await until(async () => (await there.status(id)) === 'active');
  await until(() => there.desk.statuses([id])[0]?.status === 'active');
  await there.create(heartRate(3));
  await until(() => hook.received.length === 2);
  assert.equal(hook.received[1]?.headers['idempotency-key'], `"${id}/2"`);
});

test('subscriptions@audit: who was told of whom is durable before it leaves', LIMIT, async (t) => {
  const { there, hook } = await opened(t);
  const seen: string[] = [];
  const id = await there.active(byTopic('observation-final', `${hook.url}/secret-path`, { content: 'full-resource' }));
  hook.answer = (_request, response) => {
    there.send('GET', '/AuditEvent?patient=p9&_count=50').then((found) => {
      seen.push(found.body ?? '');
      response.end();
    });
  };
  await there.create(heartRate(1, 'p9'));
  await until(() => seen.length === 1);
  const entries = JSON.parse(seen[0] ?? '').entry as readonly unknown[];
  const told = entries
    .map((entry) => at(entry, 'resource'))
    .filter((event) => JSON.stringify(event).includes('$notify'));
  assert.equal(told.length, 1);
  const text = JSON.stringify(told[0]);
  assert.ok(text.includes(`"value":"${hook.url}"`), text);
  assert.ok(text.includes(`"${id}.1"`), text);
  assert.ok(/Observation\/[^"]+\/_history\/1/.test(text), text);
  assert.ok(!text.includes('secret-path'));
});
