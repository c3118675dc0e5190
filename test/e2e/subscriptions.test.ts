// Subscriptions over real sockets and processes: kill -9 in the middle of deliveries, websockets of both kinds, the guard. docs/subscriptions.md.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { receiver, until } from '../subscriptions/receiver.ts';
import { byCriteria, byTopic, heartRate, numbersOf, statusOf } from '../subscriptions/world.ts';
import { limit } from '../test-store.ts';
import { type Json, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 2);
const BACKOFF = { SUBSCRIPTION_BACKOFF_MS: '10', SUBSCRIPTION_ATTEMPTS: '100' };

async function active(send: Send, resource: object): Promise<string> {
  const { status, json, text } = await send('POST', '/Subscription', resource);
  assert.equal(status, 201, text);
  const id = String(json.id);
  await until(async () => (await send('GET', `/Subscription/${id}`)).json.status === 'active');
  await until(async () => statusIn((await send('GET', `/Subscription/${id}/$status`)).json) === 'active');
  return id;
}
const statusIn = (searchset: Json): unknown => statusOf(searchset, 'status');

test(`subscriptions@kill -9 in the middle of deliveries, ${ROUNDS} rounds: nothing lost, numbers gapless, duplicates carry their number`, {
  timeout: limit(60_000 + ROUNDS * 20_000),
}, async (t) => {
  const folder = newFolder();
  const hook = await receiver();
  t.after(async () => {
    await running?.stop('SIGKILL');
    await hook.close();
    removeFolder(folder);
  });
  let running: Running | undefined;
  const focus = new Map<number, Set<string>>();
  hook.answer = ({ body }, response) => {
    const bundle = JSON.parse(body);
    const events = bundle.entry[0].resource.parameter.filter(
      ({ name }: { name: string }) => name === 'notification-event',
    );
    for (const { part } of events) {
      const number = Number(part[0].valueString);
      const told = String(part[2].valueReference.reference).replace(/.*\//, ''); // the port differs from life to life
      focus.set(number, (focus.get(number) ?? new Set()).add(told));
    }
    setImmediate(() => response.end());
  };
  const acknowledged: string[] = [];
  let subscription = '';
  for (let round = 0; round <= ROUNDS; round++) {
    const server = await start(BACKOFF, folder);
    running = server;
    const send = sender(`${server.url}/fhir`);
    if (round === 0) subscription = await active(send, byTopic('observation-final', `${hook.url}/hook`));
    if (round === ROUNDS) {
      const told = () => new Set([...focus.values()].flatMap((set) => [...set]));
      await until(() => [...told()].length >= acknowledged.length && acknowledged.every((id) => told().has(id)));
      const numbers = [...focus.keys()].toSorted((a, b) => a - b);
      assert.deepEqual(
        numbers,
        Array.from(numbers, (_, index) => index + 1),
        'no gap',
      );
      assert.ok(
        [...focus.values()].every((set) => set.size === 1),
        'a number means one event',
      );
      const { json } = await send('GET', `/Subscription/${subscription}/$events?eventsUntilNumber=3`);
      assert.deepEqual(numbersOf(json), [1, 2, 3]);
      await server.stop();
      break;
    }
    let dead = false;
    const writer = async (): Promise<void> => {
      while (!dead) {
        const made = await send('POST', '/Observation', heartRate(80)).catch(() => undefined);
        if (made?.status === 201) acknowledged.push(String(made.json.id));
      }
    };
    const writers = [writer(), writer()];
    const goal = focus.size + 40;
    await until(() => focus.size >= goal);
    await server.stop('SIGKILL');
    dead = true;
    await Promise.all(writers);
  }
});

let server: Running;
let send: Send;
before(async () => {
  server = await start(BACKOFF, newFolder());
  send = sender(`${server.url}/fhir`);
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

const LIMIT = { timeout: limit(30_000) };
const socketUrl = (): string => `${server.url.replace('http', 'ws')}/subscriptions`;

async function connected(): Promise<{ readonly socket: WebSocket; readonly heard: string[] }> {
  const socket = new WebSocket(socketUrl());
  const heard: string[] = [];
  socket.on('message', (data) => heard.push(String(data)));
  await once(socket, 'open');
  return { socket, heard };
}
const closing = async (socket: WebSocket): Promise<number> => (await once(socket, 'close'))[0];

test('subscriptions@websocket-r4: bind, bound, ping; what came before waits', LIMIT, async () => {
  const id = await active(send, byCriteria('Observation?status=final', '', { type: 'websocket', endpoint: undefined }));
  await send('POST', '/Observation', heartRate(1));
  const { socket, heard } = await connected();
  socket.send(`bind ${id}`);
  await until(() => heard.length === 2);
  await send('POST', '/Observation', heartRate(2));
  await until(() => heard.length === 3);
  assert.deepEqual(heard, [`bound ${id}`, `ping ${id}`, `ping ${id}`]);
  const closed = closing(socket);
  await send('DELETE', `/Subscription/${id}`);
  assert.equal(await closed, 1001);
});

test('subscriptions@websocket-token: handshake, then notifications; the statement says where', LIMIT, async () => {
  const id = await active(send, byTopic('observation-final', undefined, { content: 'full-resource' }));
  const metadata = (await send('GET', '/metadata')).text;
  assert.ok(metadata.includes(`"valueUri":"${socketUrl()}"`));
  const { json, status } = await send('GET', `/Subscription/${id}/$get-ws-binding-token`);
  assert.equal(status, 200);
  const parameter = json.parameter as readonly { readonly name: string; readonly [value: string]: string }[];
  assert.equal(parameter.find(({ name }) => name === 'websocket-url')?.valueUrl, socketUrl());
  const token = parameter.find(({ name }) => name === 'token')?.valueString;
  const { socket, heard } = await connected();
  socket.send(`bind-with-token ${token}`);
  await until(() => heard.length === 1);
  assert.equal(statusOf(JSON.parse(heard[0] ?? ''), 'type'), 'handshake');
  await send('POST', '/Observation', heartRate(3));
  await until(() => heard.length === 2);
  const bundle = JSON.parse(heard[1] ?? '');
  assert.deepEqual(numbersOf(bundle), [1]);
  assert.equal(bundle.entry[1].resource.resourceType, 'Observation');
  socket.terminate();
});

const refusedMessages: readonly [what: string, message: string | Buffer, code: number][] = [
  ['a subscription that is not there', 'bind nothing', 1008],
  ['a wrong token', 'bind-with-token x', 1008],
  ['something else', '{"hello":1}', 1008],
  ['binary', Buffer.from('bind x'), 1008],
  ['too long', 'x'.repeat(5000), 1009],
];
for (const [what, message, code] of refusedMessages) {
  test(`subscriptions@websocket-refused ${what}: closed with ${code}`, LIMIT, async () => {
    const { socket } = await connected();
    const closed = closing(socket);
    socket.send(message);
    assert.equal(await closed, code);
  });
}

test('subscriptions@websocket-token: a topic is bound by token only', LIMIT, async () => {
  const id = await active(send, byTopic('observation-final', undefined));
  const { socket } = await connected();
  const closed = closing(socket);
  socket.send(`bind ${id}`);
  assert.equal(await closed, 1008);
});

const upgrades: readonly [what: string, path: string, headers: Readonly<Record<string, string>>, status: number][] = [
  ['a page of another origin', '', { origin: 'https://evil.example' }, 403],
  ['another host', '', { host: 'evil.example' }, 421],
  ['a proxy', '', { 'x-forwarded-for': '1.2.3.4' }, 403],
  ['another path', '/other', {}, 404],
];
for (const [what, path, headers, status] of upgrades) {
  test(`subscriptions@websocket-guard ${what}: ${status}`, LIMIT, async () => {
    const socket = new WebSocket(socketUrl() + path, { headers });
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, status);
  });
}

test('subscriptions@status: of one, of several, by status; XML too', LIMIT, async () => {
  const id = await active(send, byCriteria('Patient', `${server.url}/nowhere`));
  const one = await send('GET', `/Subscription/${id}/$status`);
  assert.equal(one.json.type, 'searchset');
  assert.equal(statusOf(one.json, 'type'), 'query-status');
  assert.equal((await send('GET', `/Subscription/$status?id=${id}&status=active`)).json.total, 1);
  assert.equal((await send('GET', `/Subscription/$status?id=${id}&status=error`)).json.total, 0);
  assert.ok(Number((await send('GET', '/Subscription/$status')).json.total) >= 1);
  const xml = await send('GET', `/Subscription/${id}/$status?_format=xml`);
  assert.ok(xml.text.includes('<Parameters>') && xml.status === 200, xml.text);
  assert.equal((await send('GET', '/Subscription/none/$status')).status, 404);
  assert.equal((await send('GET', `/Subscription/${id}/$events?eventsSinceNumber=x`)).status, 400);
  assert.equal((await send('GET', `/Subscription/${id}/$get-ws-binding-token`)).status, 422);
  await send('DELETE', `/Subscription/${id}`);
  assert.equal((await send('GET', `/Subscription/${id}/$status`)).status, 410);
});

test('subscriptions@large: rules hold on the thread for large requests and in transactions', LIMIT, async () => {
  const wrong = { ...byCriteria('Patient', 'https://evil.example'), reason: 'x'.repeat(20_000) };
  assert.equal((await send('POST', '/Subscription', wrong)).status, 422);
  const entry = [{ resource: wrong, request: { method: 'POST', url: 'Subscription' } }];
  assert.equal((await send('POST', '/', { resourceType: 'Bundle', type: 'transaction', entry })).status, 422);
  const secret = {
    ...byCriteria('Patient', `${server.url}/x`, { header: ['X-Key: canary'] }),
    reason: 'x'.repeat(20_000),
  };
  const made = await send('POST', '/Subscription', secret);
  assert.equal(made.status, 201);
  assert.ok(!made.text.includes('canary'));
  await send('DELETE', `/Subscription/${made.json.id}`);
});
