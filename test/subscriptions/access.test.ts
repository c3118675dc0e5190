// In whose name a subscription is served: docs/subscriptions.md#rights, docs/authorization.md; FHIR R4 subscription.html#safety.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { WebSocket } from 'ws';
import type { JsonObject } from '../../src/fhir/resource.ts';
import type { Term } from '../../src/rest/context.ts';
import type { CallerFacts } from '../../src/rest/permission/caller.ts';
import { scopesOf } from '../../src/smart/scopes.ts';
import { limit } from '../test-store.ts';
import { at, json } from '../world.ts';
import { type Receiver, receiver, until } from './receiver.ts';
import {
  byCriteria,
  byTopic,
  heartRate,
  numbersOf,
  START,
  type SubscriptionWorld,
  subscriptionWorld,
} from './world.ts';

const LIMIT = { timeout: limit(30_000) };
const SUBSCRIBE = 'user/Subscription.cruds';
/** Clients whose grant was withdrawn. */
const withdrawn = new Set<string>();
let there: SubscriptionWorld;
let hook: Receiver;
before(async () => {
  there = await subscriptionWorld({
    stands: ({ client, term }, now) => !withdrawn.has(client.value) && now < (term?.until ?? Number.POSITIVE_INFINITY),
  });
  hook = await receiver();
});
afterEach(() => {
  hook.received.length = 0;
  withdrawn.clear();
});
after(async () => {
  await hook.close();
  await there.close();
});

/** Somebody with a token. */
function holder(scope: string, patients: readonly string[] = [], client = 'app', term: Term = {}): CallerFacts {
  return {
    principal: `token:${client} ${scope} ${patients.join()}`,
    client: { system: 'https://issuer.example', value: client },
    user: undefined,
    address: '127.0.0.1',
    requestId: 'r',
    rights: {
      ...{ kind: 'granted', scopes: scopesOf(scope), patients },
      situation: { purposes: [], actors: [], holder: client },
    },
    term,
  };
}

async function made(resource: JsonObject, facts: CallerFacts, method = 'POST', id = ''): Promise<string> {
  const sent = { body: id === '' ? resource : { ...resource, id } };
  const response = await there.send(method, id === '' ? '/Subscription' : `/Subscription/${id}`, sent, facts);
  assert.ok(response.status < 300, response.body);
  const found = id === '' ? String(json(response).id) : id;
  await until(() => there.desk.statuses([found])[0]?.status === 'active');
  return found;
}
const status = async (id: string) => json(await there.send('GET', `/Subscription/${id}`));
const values = (): readonly unknown[] =>
  hook.received.filter(({ method }) => method === 'PUT').map(({ body }) => at(JSON.parse(body), 'valueQuantity.value'));
const OBSERVATIONS = (payload = 'application/fhir+json'): JsonObject =>
  byCriteria('Observation?code=8867-4', hook.url, { payload });

const laboratory = (value: number, patient: string): JsonObject => ({
  ...heartRate(value, patient),
  category: [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] },
  ],
});

/** What is written in turn, and which of it each holder is told. */
const written: readonly JsonObject[] = [
  heartRate(1, 'p1'),
  heartRate(2, 'p2'),
  laboratory(3, 'p1'),
  laboratory(4, 'p2'),
  heartRate(5, 'p1'),
];
const told: readonly [scope: string, patients: readonly string[], values: readonly number[], why: string][] = [
  [`${SUBSCRIBE} user/Observation.rs`, [], [1, 2, 3, 4, 5], 'control: whoever may see all is told all'],
  [`${SUBSCRIBE} patient/Observation.rs`, ['p1'], [1, 3, 5], 'patient/: of the patient of the launch only'],
  [`${SUBSCRIBE} user/Observation.rs?category=laboratory`, [], [3, 4], 'a scope with a search: what satisfies it'],
  [`${SUBSCRIBE} patient/Observation.rs?category=laboratory`, ['p1'], [3], 'both'],
  [`${SUBSCRIBE} user/Observation.s patient/Observation.r`, ['p2'], [2, 4], 'what may be searched and read'],
];
for (const [scope, patients, expected, why] of told) {
  test(`subscriptions@access ${scope}: ${why}`, LIMIT, async () => {
    const id = await made(OBSERVATIONS(), holder(scope, patients));
    const control = await made(
      byCriteria('Observation?code=8867-4', `${hook.url}/control`),
      holder(`${SUBSCRIBE} user/*.rs`),
    );
    for (const resource of written) await there.create(resource);
    await until(() => hook.received.filter(({ path }) => path === '/control').length === written.length);
    await until(() => values().length >= expected.length);
    assert.deepEqual(values(), expected);
    for (const each of [id, control]) await there.send('DELETE', `/Subscription/${each}`);
  });
}

const refused: readonly [scope: string, resource: () => JsonObject, status: number, why: string][] = [
  [SUBSCRIBE, OBSERVATIONS, 403, 'nothing of the type may be seen'],
  [`${SUBSCRIBE} user/Observation.r`, OBSERVATIONS, 403, 'the type may be read, not searched'],
  [`${SUBSCRIBE} user/Observation.s`, OBSERVATIONS, 403, 'the type may be searched, not read'],
  [`${SUBSCRIBE} patient/Observation.rs`, OBSERVATIONS, 403, 'patient/ without a patient reaches nothing'],
  [`user/Subscription.rs user/Observation.rs`, OBSERVATIONS, 403, 'subscriptions may not be created'],
  [`${SUBSCRIBE} user/Patient.rs`, () => byTopic('observation-final', hook.url), 403, 'a topic of another type'],
  [`${SUBSCRIBE} user/Observation.rs`, OBSERVATIONS, 201, 'control'],
  [`${SUBSCRIBE} user/Observation.rs`, () => byTopic('observation-final', hook.url), 201, 'control: a topic'],
];
for (const [scope, resource, expected, why] of refused) {
  test(`subscriptions@access-refused ${scope}: ${expected}, ${why}`, LIMIT, async () => {
    const response = await there.send('POST', '/Subscription', { body: resource() }, holder(scope));
    assert.equal(response.status, expected, response.body);
    if (expected === 201) await there.send('DELETE', `/Subscription/${String(json(response).id)}`);
  });
}

test('subscriptions@access-deletion: a topic tells of the deletion of what its owner could see', LIMIT, async () => {
  const facts = holder(`${SUBSCRIBE} patient/Patient.rs`, ['d1']);
  const id = await made(byTopic('patient-change', hook.url), facts);
  for (const patient of ['d2', 'd1']) {
    await there.send('PUT', `/Patient/${patient}`, { body: { resourceType: 'Patient', id: patient } });
    assert.equal((await there.send('DELETE', `/Patient/${patient}`)).status, 204);
  }
  const events = (): number => Math.max(0, ...hook.received.flatMap(({ body }) => numbersOf(JSON.parse(body))));
  await until(() => events() === 2);
  assert.ok(hook.received.every(({ body }) => !body.includes('Patient/d2')));
  await there.send('DELETE', `/Subscription/${id}`);
});

test('subscriptions@access-ended: withdrawn, nothing more is told; written again it goes on', LIMIT, async () => {
  const facts = holder(`${SUBSCRIBE} user/Observation.rs`, [], 'ending');
  const id = await made(OBSERVATIONS(), facts);
  await there.create(heartRate(1));
  await until(() => values().length === 1);
  withdrawn.add('ending');
  await there.create(heartRate(2));
  await until(async () => (await status(id)).status === 'off');
  const { error } = await status(id);
  assert.match(String(error), /rights of who asked for it have ended/);
  assert.deepEqual(values(), [1]);
  withdrawn.clear();
  await until(() => there.desk.statuses([id])[0]?.status === 'off');
  await made(OBSERVATIONS(), facts, 'PUT', id);
  await there.create(heartRate(3));
  await until(() => values().length === 2);
  assert.deepEqual(values(), [1, 3], 'what came while it was off is no event');
  await there.send('DELETE', `/Subscription/${id}`);
});

test('subscriptions@access-ended: at the instant its token ends, not before', LIMIT, async () => {
  const HOUR = 3_600_000; // the clock stands at START until here
  const facts = holder(`${SUBSCRIBE} user/Observation.rs`, [], 'short', { until: START + HOUR, token: 't' });
  const id = await made(OBSERVATIONS(), facts);
  there.advance(HOUR - 1);
  await there.create(heartRate(1));
  await until(() => values().length === 1);
  await until(() => there.waiting.includes(1));
  assert.equal((await status(id)).status, 'active');
  there.advance(1);
  await until(async () => (await status(id)).status === 'off');
  await there.send('DELETE', `/Subscription/${id}`);
});

test('subscriptions@access-owner: with other rights it begins anew', LIMIT, async () => {
  const wide = holder(`${SUBSCRIBE} user/Observation.rs`);
  const id = await made(byTopic('observation-final', undefined), wide);
  await there.create(heartRate(1, 'p2'));
  await until(
    () => Number(at(JSON.parse(there.desk.statuses([id])[0]?.text ?? '{}'), 'parameter.4.valueString')) === 1,
  );
  const narrow = holder(`${SUBSCRIBE} patient/Observation.rs`, ['p1']);
  await made(byTopic('observation-final', hook.url), narrow, 'PUT', id);
  await there.create(heartRate(2, 'p2'));
  await there.create(heartRate(3, 'p1'));
  const events = () => hook.received.flatMap(({ body }) => numbersOf(JSON.parse(body)));
  await until(() => events().length === 1);
  assert.deepEqual(events(), [2], 'the event of before is not for these rights, and nothing of p2 is one');
  const replayed = json(await there.send('GET', `/Subscription/${id}/$events`, undefined, narrow));
  assert.deepEqual(numbersOf(replayed), [2]);
  await there.send('DELETE', `/Subscription/${id}`);
});

test('subscriptions@access-events: $events gives who asks what they may see', LIMIT, async () => {
  const id = await made(byTopic('observation-final', undefined), holder(`${SUBSCRIBE} user/Observation.rs`));
  for (const patient of ['p1', 'p2', 'p1']) await there.create(heartRate(1, patient));
  const asked = async (facts: CallerFacts) =>
    numbersOf(json(await there.send('GET', `/Subscription/${id}/$events`, undefined, facts)));
  await until(async () => (await asked(holder('user/*.rs'))).length === 3);
  assert.deepEqual(await asked(holder('user/Subscription.r patient/Observation.r', ['p1'])), [1, 3]);
  assert.deepEqual(await asked(holder('user/Subscription.r')), []);
  const unseen = await there.send('GET', `/Subscription/${id}/$events`, undefined, holder('user/Observation.rs'));
  assert.equal(unseen.status, 403);
  await there.send('DELETE', `/Subscription/${id}`);
});

test(
  'subscriptions@access-websocket: a socket is bound with the rights of its owner; to others it is not there',
  LIMIT,
  async () => {
    const owner = holder(`${SUBSCRIBE} user/Observation.rs`, [], 'socket');
    const topics = await made(byTopic('observation-final', undefined), owner);
    const pings = await made(
      byCriteria('Observation?status=final', '', { type: 'websocket', endpoint: undefined }),
      owner,
    );
    for (const id of [topics, pings]) {
      const token = (facts: CallerFacts) =>
        there.send('GET', `/Subscription/${id}/$get-ws-binding-token`, undefined, facts);
      assert.equal((await token(owner)).status, 200);
      assert.equal((await token(holder(`${SUBSCRIBE} patient/Observation.rs`, ['p1'], 'socket'))).status, 422);
      assert.equal((await token(holder(`${SUBSCRIBE} user/Observation.rs`, [], 'another'))).status, 404);
      await there.send('DELETE', `/Subscription/${id}`);
    }
  },
);

test('subscriptions@access-headers: who takes one over must send the values of headers anew', LIMIT, async () => {
  const secret = {
    ...OBSERVATIONS(),
    channel: { ...Object(OBSERVATIONS().channel), header: ['Authorization: Bearer s'] },
  };
  const values = () => hook.received.map(({ headers }) => headers.authorization);
  const facts = holder(`${SUBSCRIBE} user/Observation.rs`);
  const id = await made(secret, facts);
  await there.create(heartRate(1));
  await until(() => values().length === 1);
  const held = await status(id);
  assert.deepEqual(at(held, 'channel.header'), ['Authorization: (withheld)']);
  const back = JSON.parse(JSON.stringify({ ...held, status: 'requested' }));
  const again = await there.send('PUT', `/Subscription/${id}`, { body: back }, facts);
  assert.equal(again.status, 200, again.body);
  await until(async () => (await status(id)).status === 'active');
  await there.create(heartRate(2));
  await until(() => values().length === 2);
  assert.deepEqual(values(), ['Bearer s', 'Bearer s'], 'its owner keeps the value');
  const kept = () => there.store.keyed('subscription.header', `${id} ${new URL(hook.url).origin} authorization`);
  assert.equal((await kept())?.value, 'Bearer s', 'control');
  const { extension: _mark, ...anothers } = JSON.parse(JSON.stringify({ ...held, status: 'requested' }));
  const taken = await there.send('PUT', `/Subscription/${id}`, { body: anothers });
  assert.equal(taken.status, 200, taken.body);
  assert.equal(await kept(), undefined, 'the value is forgotten');
  await until(async () => (await status(id)).status !== 'requested');
  await there.create(heartRate(3));
  await until(async () => ['error', 'off'].includes(String((await status(id)).status)));
  assert.equal(values().length, 2, 'nothing is sent with the value of another');
  await there.send('DELETE', `/Subscription/${id}`);
});

test(
  'subscriptions@access-idle: a socket on which nothing happens is let go at the next ping after the grant has ended',
  LIMIT,
  async () => {
    there.advance(Date.now() - START); // the store keeps binding tokens by its own clock
    const owner = holder(`${SUBSCRIBE} user/Observation.rs`, [], 'idle');
    const id = await made(byTopic('observation-final', undefined), owner);
    const server = createServer().listen(0, '127.0.0.1');
    server.on('upgrade', (request, socket, head) => there.desk.sockets.upgrade(request, socket, head));
    await once(server, 'listening');
    const address = server.address();
    const socket = new WebSocket(`ws://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/subscriptions`);
    await once(socket, 'open');
    const given = await there.send('GET', `/Subscription/${id}/$get-ws-binding-token`, undefined, owner);
    const closed = once(socket, 'close');
    const bound = once(socket, 'message');
    socket.send(`bind-with-token ${/"token","valueString":"([^"]+)"/.exec(given.body ?? '')?.[1]}`);
    await bound;
    assert.equal(socket.readyState, socket.OPEN, 'control');
    withdrawn.add('idle');
    there.advance(30_000);
    const [code] = await closed;
    assert.equal(code, 1001);
    server.close();
    await there.send('DELETE', `/Subscription/${id}`);
  },
);
