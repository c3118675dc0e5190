// docs/decisions/0042: two servers over one database, no sticky sessions: what one takes in the other knows, one delivers, and when it is killed the other goes on.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { testServer } from '../store/mongodb-server.ts';
import { receiver, until } from '../subscriptions/receiver.ts';
import { byTopic, heartRate, numbersOf } from '../subscriptions/world.ts';
import { limit } from '../test-store.ts';
import { labels, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const server = await testServer();
/** Of a process that is killed: what it held is free after 8 s, and taken by whoever looks. */
const LIMIT_MS = limit(240_000);

/** Looks again and again; the test's own limit ends it. */
const eventually = (holds: () => Promise<boolean>): Promise<void> =>
  until(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return holds();
  });

test('two processes over one database', {
  skip: 'skip' in server ? server.skip : false,
  timeout: LIMIT_MS,
}, async (t) => {
  if ('skip' in server) return;
  const [one, other] = [newFolder(), newFolder()];
  const hook = await receiver();
  const running: Running[] = [];
  t.after(async () => {
    for (const each of running) await each.stop('SIGKILL');
    await hook.close();
    for (const folder of [one, other]) removeFolder(folder);
  });
  const env = {
    MONGODB_URL: server.url(),
    JOBS_DIR: one,
    OUTBOUND_ALLOW: hook.url,
    SUBSCRIPTION_BACKOFF_MS: '50',
    LOG_LEVEL: 'error',
    ...{ MONITORING: 'on', MONITORING_INTERVAL_MS: '100' },
  };
  const begun = async (folder: string): Promise<Send> => {
    const process = await start(env, folder);
    running.push(process);
    return sender(`${process.url}/fhir`);
  };
  const first = await begun(one);
  // The keys of the installation are the same everywhere.
  for (const key of readdirSync(one).filter((name) => name.endsWith('.key')))
    copyFileSync(join(one, key), join(other, key));
  const second = await begun(other);

  await t.test('a resource, its history and its next page are the same behind either door', async () => {
    for (const id of ['a', 'b', 'c']) {
      const { status, text } = await first('PUT', `/Patient/${id}`, { resourceType: 'Patient', id, active: true });
      assert.equal(status, 201, text);
    }
    const page = await first('GET', '/Patient?_count=2&_sort=_id');
    assert.deepEqual(labels(page.json), ['Patient/a', 'Patient/b']);
    const next = page.json.link?.find(({ relation }) => relation === 'next')?.url ?? '';
    const rest = await second('GET', next.slice(next.indexOf('/Patient?')));
    assert.deepEqual(labels(rest.json), ['Patient/c'], rest.text);
    const lost = await second('PUT', '/Patient/a', { resourceType: 'Patient', id: 'a' }, { 'if-match': 'W/"9"' });
    assert.equal(lost.status, 412);
  });

  await t.test('a search parameter that one takes in is known to the other, whose writes are found by it', async () => {
    const parameter = {
      ...{ resourceType: 'SearchParameter', id: 'eye', url: 'http://example.org/eye', name: 'eye', status: 'active' },
      ...{ description: 'eye colour', code: 'eye-colour', base: ['Patient'], type: 'string' },
      expression: "Patient.extension.where(url = 'http://example.org/eye').value.ofType(string)",
    };
    const { status, text } = await first('PUT', '/SearchParameter/eye', parameter);
    assert.equal(status, 201, text);
    const knows = (send: Send) => async () => (await send('GET', '/Patient?eye-colour=green')).status === 200;
    await eventually(knows(second));
    await eventually(knows(first));
    const extension = [{ url: 'http://example.org/eye', valueString: 'green' }];
    const put = await second('PUT', '/Patient/green', { resourceType: 'Patient', id: 'green', extension });
    assert.equal(put.status, 201, put.text);
    for (const send of [first, second]) {
      assert.deepEqual(labels((await send('GET', '/Patient?eye-colour=green')).json), ['Patient/green']);
    }
  });

  await t.test(
    'a websocket is bound at one by the token of the other, once, and told what either takes in',
    async () => {
      const made = await first('POST', '/Subscription', byTopic('observation-final', undefined));
      assert.equal(made.status, 201, made.text);
      const at = `/Subscription/${made.json.id}`;
      await eventually(async () => (await first('GET', at)).json.status === 'active');
      for (const send of [second, first]) assert.equal((await send('GET', `${at}/$get-ws-binding-token`)).status, 200);
      const issued = await first('GET', `${at}/$get-ws-binding-token`);
      assert.equal(issued.status, 200, issued.text);
      const token = /"name":"token","valueString":"([^"]+)"/.exec(issued.text)?.[1] ?? '';
      const opened = async (url = '') => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/subscriptions`);
        const heard: string[] = [];
        let code = 0;
        socket.on('message', (data) => heard.push(String(data)));
        socket.on('close', (closed) => {
          code = closed;
        });
        await new Promise((resolve) => socket.once('open', resolve));
        socket.send(`bind-with-token ${token}`);
        return { socket, heard, closed: () => code };
      };
      const { socket, heard } = await opened(running[1]?.url);
      await eventually(async () => heard.length === 1);
      const again = await opened(running[0]?.url);
      await eventually(async () => again.closed() === 1008);
      for (const [index, send] of [first, second].entries()) {
        assert.equal((await send('POST', '/Observation', heartRate(20 + index))).status, 201);
      }
      const numbers = () => new Set(heard.slice(1).flatMap((each) => numbersOf(JSON.parse(each))));
      await eventually(async () => numbers().size === 2);
      socket.terminate();
      await first('DELETE', at);
    },
  );

  await t.test('what the monitoring of one tells is heard at both', async () => {
    const streams = await Promise.all(
      running.map(async ({ url }) => {
        const { body } = await fetch(`${url}/monitor/events`);
        return body?.pipeThrough(new TextDecoderStream()).getReader() ?? assert.fail();
      }),
    );
    const at = new Date().toISOString();
    const subject = { reference: 'Patient/ill' };
    const inpatient = { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' };
    const vital = (id: string, code: string, value: number) => ({
      ...{ resourceType: 'Observation', id, status: 'final', subject, effectiveDateTime: at },
      code: { coding: [{ system: 'http://loinc.org', code }] },
      valueQuantity: { value, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
    });
    const sent = [
      { resourceType: 'Patient', id: 'ill', birthDate: '1960-01-01' },
      {
        resourceType: 'Encounter',
        id: 'stay',
        status: 'in-progress',
        class: inpatient,
        subject,
        period: { start: at },
      },
      vital('rr', '9279-1', 30),
      vital('hr', '8867-4', 140),
    ];
    for (const each of sent) {
      const { status, text } = await second('PUT', `/${each.resourceType}/${each.id}`, each);
      assert.equal(status, 201, text);
    }
    const raised = await Promise.all(
      streams.map(async (reader) => {
        let text = '';
        while (!text.includes('event: told')) text += (await reader.read()).value ?? '';
        await reader.cancel();
        return [...text.matchAll(/event: raised\ndata: (.*)\n/g)].map(([, data]) => data);
      }),
    );
    assert.equal(raised[0]?.length, 1, 'once');
    assert.deepEqual(raised[0], raised[1]);
  });

  await t.test(
    'events of writes through either are delivered once; killed, the other delivers what comes',
    async () => {
      const made = await second('POST', '/Subscription', byTopic('observation-final', hook.url));
      assert.equal(made.status, 201, made.text);
      const at = `/Subscription/${made.json.id}`;
      await eventually(async () => (await second('GET', at)).json.status === 'active');
      const numbers = () => hook.received.flatMap(({ body }) => numbersOf(JSON.parse(body)));
      for (const [index, send] of [first, second, first, second].entries()) {
        assert.equal((await send('POST', '/Observation', heartRate(index))).status, 201);
      }
      await eventually(async () => new Set(numbers()).size === 4);
      assert.deepEqual(numbers(), [1, 2, 3, 4], 'each once, in order');
      // The first was there first, so it holds the lease.
      await running[0]?.stop('SIGKILL');
      // Killed in a transaction, it leaves its lock to the database's own limit: until then writes are refused, and sent again.
      for (const id of ['e', 'f']) {
        const sent = { ...heartRate(5), id };
        await eventually(async () => [200, 201].includes((await second('PUT', `/Observation/${id}`, sent)).status));
      }
      await eventually(async () => new Set(numbers()).size >= 6);
      const distinct = [...new Set(numbers())];
      assert.deepEqual(
        distinct,
        Array.from({ length: distinct.length }, (_, index) => index + 1),
        'no gap',
      );
    },
  );
});
