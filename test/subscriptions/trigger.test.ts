// Which changes trigger: criteria are searches judged on the new version (FHIR R4 subscription.html), topics as in R5 subscriptiontopic.html.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadTopics, topicOf } from '../../src/subscriptions/topic.ts';
import { limit } from '../test-store.ts';
import { world } from '../world.ts';
import { type Receiver, receiver, until } from './receiver.ts';
import {
  byCriteria,
  byTopic,
  heartRate,
  numbersOf,
  patientWith,
  type SubscriptionWorld,
  subscriptionWorld,
} from './world.ts';

const LIMIT = { timeout: limit(20_000) };
let there: SubscriptionWorld;
let hook: Receiver;
before(async () => {
  [there, hook] = [await subscriptionWorld(), await receiver()];
});
after(async () => {
  await hook.close();
  await there.close();
});

/** Observations by value; p2 has them preliminary. */
const CHANGES = [
  ['a', heartRate(50)],
  ['b', heartRate(100)],
  ['c', heartRate(150)],
  ['d', heartRate(100, 'p2', 'preliminary')],
] as const;
const rows: readonly [criteria: string, ids: string, why: string][] = [
  ['Observation', 'abcd', 'control: everything of the type'],
  ['Patient', '', 'another type'],
  ['Observation?status=final', 'abc', 'token'],
  ['Observation?status=http://hl7.org/fhir/observation-status|final', 'abc', 'token with system'],
  ['Observation?status=other|final', '', 'token of another system'],
  ['Observation?status:not=final', 'd', 'negated'],
  ['Observation?code=http://loinc.org|', 'abcd', 'any code of a system'],
  ['Observation?value-quantity=gt100', 'c', 'above the boundary'],
  ['Observation?value-quantity=ge100', 'bcd', 'with the boundary'],
  ['Observation?value-quantity=lt100||/min', 'a', 'by unit'],
  ['Observation?value-quantity=100|http://unitsofmeasure.org|/h', '', 'another unit'],
  ['Observation?patient=p2', 'd', 'reference by id'],
  ['Observation?subject=Patient/p1', 'abc', 'reference by type and id'],
  ['Observation?subject:Patient=p1,p2', 'abcd', 'one of several'],
  ['Observation?status=final&value-quantity=le100', 'ab', 'both'],
  ['Observation?code-value-quantity=http://loinc.org|8867-4$gt120', 'c', 'composite'],
  ['Observation?date:missing=true', 'abcd', 'missing'],
  ['Observation?code:missing=true', '', 'not missing'],
  ['Observation?_id=b,d', 'bd', 'ids'],
  ['Observation?_lastUpdated=gt2020', 'abcd', 'the instant of the commit'],
  ['Observation?_lastUpdated=lt2020', '', 'and before it'],
  ['Observation?_filter=status eq final and value-quantity gt 100', 'c', 'filter'],
];
test('subscriptions@criteria: each row, each change', LIMIT, async () => {
  const ids = new Map<string, readonly [criteria: string, expected: string, why: string]>();
  for (const row of rows) ids.set(await there.active(byCriteria(row[0], hook.url)), row);
  for (const [id, body] of CHANGES) await there.send('PUT', `/Observation/${id}`, { body: { ...body, id } });
  const total = rows.reduce((sum, [, expected]) => sum + expected.length, 0);
  await until(() => hook.received.length >= total);
  const told = Map.groupBy(hook.received, ({ headers }) => String(headers['idempotency-key']).replace(/^"|\/.*/g, ''));
  const wrong = [...ids].filter(([id, [, expected]]) => (told.get(id) ?? []).length !== expected.length);
  assert.deepEqual(wrong, []);
  for (const id of ids.keys()) await there.send('DELETE', `/Subscription/${id}`);
  hook.received.length = 0;
});

const encounter = (status: string) => ({
  resourceType: 'Encounter',
  id: 'e1',
  status,
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
  subject: { reference: 'Patient/p1' },
});
const steps: readonly [step: string, body: object | undefined, triggers: boolean][] = [
  ['created planned', encounter('planned'), false],
  ['now in progress', encounter('in-progress'), false],
  ['finished', encounter('finished'), true],
  ['finished still, otherwise changed', { ...encounter('finished'), priority: { text: 'x' } }, false],
  ['open again', encounter('in-progress'), false],
  ['deleted', undefined, false],
  ['created anew as finished', encounter('finished'), true],
];
test('subscriptions@topic: previous and current, by query and FHIRPath', LIMIT, async () => {
  const id = await there.active(byTopic('encounter-complete', hook.url, { filters: ['Encounter?patient=p1'] }));
  const other = await there.active(byTopic('encounter-complete', hook.url, { filters: ['Encounter?patient=p2'] }));
  const marker = await there.active(byCriteria('Encounter', `${hook.url}/marker`));
  const count = { told: 0, marked: 0 };
  for (const [step, body, fires] of steps) {
    const method = body === undefined ? 'DELETE' : 'PUT';
    const { status } = await there.send(method, '/Encounter/e1', body && { body });
    assert.ok(status < 300, step);
    count.told += fires ? 1 : 0;
    count.marked += body === undefined ? 0 : 1;
  }
  const events = () => hook.received.filter(({ body }) => body !== '' && numbersOf(JSON.parse(body)).length > 0);
  await until(() => hook.received.filter(({ path }) => path === '/marker').length === count.marked);
  await until(() => events().flatMap(({ body }) => numbersOf(JSON.parse(body))).length === count.told);
  assert.ok(events().every(({ body }) => body.includes(`/Subscription/${id}"`)));
  for (const each of [id, other, marker]) await there.send('DELETE', `/Subscription/${each}`);
  hook.received.length = 0;
});

test('subscriptions@topic-delete: a deletion is an event, its filter is judged on what was there', LIMIT, async () => {
  const id = await there.active(
    byTopic('patient-change', hook.url, { content: 'full-resource', filters: ['Patient?active=true'] }),
  );
  await there.send('PUT', '/Patient/px', { body: patientWith('px', true) });
  await there.send('PUT', '/Patient/py', { body: patientWith('py', false) });
  await there.send('DELETE', '/Patient/py');
  await there.send('DELETE', '/Patient/px');
  const bundles = () => hook.received.map(({ body }) => JSON.parse(body));
  await until(() => bundles().flatMap(numbersOf).length === 2);
  const entries = bundles().flatMap(({ entry }) => entry.slice(1));
  assert.deepEqual(
    entries.map(({ request, resource }) => [request.method, request.url, resource?.id]),
    [
      ['POST', 'Patient', 'px'],
      ['DELETE', 'Patient/px', undefined],
    ],
  );
  await there.send('DELETE', `/Subscription/${id}`);
  hook.received.length = 0;
});

test('subscriptions@topics: what a file holds and cannot be kept stops the start', () => {
  const { capability, parseSearch, planSearch } = world().context;
  const meaning = { capability, parseSearch, planSearch };
  const trigger = { resource: 'Encounter', supportedInteraction: ['create'] };
  const topic = { resourceType: 'SubscriptionTopic', url: 'urn:t', resourceTrigger: [trigger] };
  assert.equal(topicOf(topic, meaning).triggers.length, 1, 'control');
  for (const wrong of [
    { ...topic, resourceType: 'Basic' },
    { ...topic, url: undefined },
    { ...topic, resourceTrigger: [] },
    { ...topic, eventTrigger: [{}] },
    { ...topic, notificationShape: [{}] },
    { ...topic, resourceTrigger: [{ ...trigger, resource: 'Nonsense' }] },
    { ...topic, resourceTrigger: [{ ...trigger, supportedInteraction: ['read'] }] },
    { ...topic, resourceTrigger: [{ ...trigger, queryCriteria: { current: 'colour=red' } }] },
    { ...topic, canFilterBy: [{ resource: 'Patient', filterParameter: 'active' }] },
    { ...topic, canFilterBy: [{ resource: 'Encounter', filterParameter: 'colour' }] },
  ]) {
    assert.throws(() => topicOf(wrong, meaning), Error, JSON.stringify(wrong));
  }
});

test('subscriptions@topics: those that the statement claims are those that are held', () => {
  const { capability, parseSearch, planSearch } = world().context;
  const held = loadTopics('profiles/topic', { capability, parseSearch, planSearch });
  const claimed = [...capability.statement.matchAll(/topic-canonical","valueCanonical":"([^"]+)"/g)].map(
    ([, url]) => url,
  );
  assert.ok(held.size > 0, 'control');
  assert.deepEqual(claimed.toSorted(), [...held.keys()].toSorted());
});
