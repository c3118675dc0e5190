// docs/monitoring.md, "Being told": a subscriber of monitoring's Flag and CommunicationRequest is told after a crossing Observation, by rest-hook and websocket.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { type Received, receiver, until } from '../subscriptions/receiver.ts';
import { byCriteria, byTopic } from '../subscriptions/world.ts';
import { limit } from '../test-store.ts';
import { type Json, type Send, sender } from './client.ts';
import { removeFolder, start } from './server.ts';

const PATIENT = { resourceType: 'Patient', id: 'p1', birthDate: '1960-01-01' };
const stay = () => ({
  resourceType: 'Encounter',
  id: 'stay',
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
  subject: { reference: 'Patient/p1' },
  period: { start: new Date(Date.now() - 3_600_000).toISOString() },
});
const vital = (id: string, code: string, value: number) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code }] },
  subject: { reference: 'Patient/p1' },
  effectiveDateTime: new Date().toISOString(),
  valueQuantity: { value, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

async function subscribed(send: Send, resource: object): Promise<string> {
  const { status, json, text } = await send('POST', '/Subscription', resource);
  assert.equal(status, 201, text);
  const id = String(json.id);
  await until(async () => (await send('GET', `/Subscription/${id}`)).json.status === 'active');
  return id;
}
const overSocket = (criteria: string): object => ({
  resourceType: 'Subscription',
  status: 'requested',
  reason: 'alerts of the ward',
  criteria,
  channel: { type: 'websocket' },
});

test('monitoring@subscriber: Flag and CommunicationRequest of a crossing reach a rest-hook, a websocket and server-sent events, and their end the rest-hook', {
  timeout: limit(60_000),
}, async () => {
  const hook = await receiver();
  const server = await start({ MONITORING: 'on', MONITORING_INTERVAL_MS: '100' });
  try {
    const send = sender(`${server.url}/fhir`);
    for (const each of [PATIENT, stay()]) {
      assert.equal((await send('PUT', `/${each.resourceType}/${each.id}`, each)).status, 201);
    }
    const payload = { payload: 'application/fhir+json' };
    await subscribed(send, byCriteria('Flag?patient=p1', `${hook.url}/flags`, payload));
    await subscribed(send, byCriteria('CommunicationRequest?status=active', `${hook.url}/requests`, payload));
    const flags = await subscribed(send, overSocket('Flag?patient=p1'));
    const requests = await subscribed(send, overSocket('CommunicationRequest?status=active'));
    const alerts = await subscribed(send, byTopic('alert', undefined));
    const stream = await fetch(`${server.url}/subscriptions/${alerts}/events?eventsSinceNumber=1`);
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/subscriptions`);
    const heard: string[] = [];
    socket.on('message', (data) => heard.push(String(data)));
    await once(socket, 'open');
    for (const id of [flags, requests]) socket.send(`bind ${id}`);
    await until(() => heard.includes(`bound ${flags}`) && heard.includes(`bound ${requests}`));

    await send('PUT', '/Observation/pulse', vital('pulse', '8867-4', 115));
    await send('PUT', '/Observation/breathing', vital('breathing', '9279-1', 30));
    const told = (type: string) => hook.received.filter(({ path }) => path.includes(`/${type}/`));
    await until(() => told('Flag').length > 0 && told('CommunicationRequest').length > 0);
    await until(() => heard.includes(`ping ${flags}`) && heard.includes(`ping ${requests}`));
    const resourceOf = (received: Received | undefined): Json => JSON.parse(received?.body ?? 'null');
    const flag = resourceOf(told('Flag')[0]);
    assert.equal(flag.status, 'active');
    assert.match(JSON.stringify(flag.code), /"news2\.urgent"/);
    const { json } = await send('GET', `/Flag/${flag.id}`);
    assert.equal(json.id, flag.id, 'what is told is held');
    const request = resourceOf(told('CommunicationRequest')[0]);
    assert.match(JSON.stringify(request), new RegExp(`"reference":"Flag/${flag.id}"`));

    let streamed = '';
    while (!/Flag[\s\S]*CommunicationRequest|CommunicationRequest[\s\S]*Flag/.test(streamed)) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      assert.ok(!done, streamed);
      streamed += value;
    }
    assert.ok(streamed.includes(`/Flag/${flag.id}"`), 'server-sent events name the Flag');
    await send('PUT', '/Observation/calm', vital('calm', '9279-1', 16));
    await until(() => told('Flag').some((each) => resourceOf(each).status === 'inactive'));
    await until(() => heard.filter((each) => each === `ping ${flags}`).length === 2);
    socket.close();
    assert.equal(await server.stop(), 0);
  } finally {
    await hook.close();
    await server.stop('SIGKILL');
    removeFolder(server.folder);
  }
});
