// docs/subscriptions.md, "Server-sent events": the same events by number; Last-Event-ID goes on exactly there, also over a restart; guarded like the API.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../subscriptions/receiver.ts';
import { byTopic, heartRate, numbersOf } from '../subscriptions/world.ts';
import { limit } from '../test-store.ts';
import { type Send, sender } from './client.ts';
import { type Running, removeFolder, start } from './server.ts';

const LIMIT = { timeout: limit(30_000) };
let server: Running;
let send: Send;
before(async () => {
  server = await start();
  send = sender(`${server.url}/fhir`);
});
after(async () => {
  await server.stop();
  removeFolder(server.folder);
});

interface Message {
  readonly id: string;
  readonly event: string;
  readonly numbers: readonly number[];
}
interface Listening {
  readonly response: Response;
  readonly messages: Message[];
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>;
  stop(): void;
}
const feed = (id: string): string => `${server.url}/subscriptions/${id}/events`;

async function listen(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Listening> {
  const stop = new AbortController();
  const response = await fetch(url, { headers, signal: stop.signal });
  const messages: Message[] = [];
  const read = async (): Promise<void> => {
    let text = '';
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part;
      const whole = text.split('\n\n');
      text = whole.pop() ?? '';
      for (const each of whole) {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(each)?.[1] ?? '';
        const data = field('data');
        if (data !== '')
          messages.push({ id: field('id'), event: field('event'), numbers: numbersOf(JSON.parse(data)) });
      }
    }
  };
  return { response, messages, ended: read().catch(() => undefined), stop: () => stop.abort() };
}
const numbersHeard = ({ messages }: Listening): readonly number[] => messages.flatMap(({ numbers }) => numbers);

async function subscribed(): Promise<string> {
  const { status, json, text } = await send('POST', '/Subscription', byTopic('observation-final', undefined));
  assert.equal(status, 201, text);
  const id = String(json.id);
  await until(async () => (await fetch(`${feed(id)}`, { method: 'GET' }).then(hangUp)) === 200);
  return id;
}
async function hangUp(response: Response): Promise<number> {
  await response.body?.cancel();
  return response.status;
}
const happen = async (count: number): Promise<void> => {
  for (let each = 0; each < count; each++) {
    assert.equal((await send('POST', '/Observation', heartRate(60 + each))).status, 201);
  }
};

test('subscriptions@sse: events as they happen, in order, each once, numbered by `id`', LIMIT, async () => {
  const id = await subscribed();
  const listening = await listen(feed(id));
  assert.equal(listening.response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  await happen(3);
  await until(() => numbersHeard(listening).length >= 3);
  assert.deepEqual(numbersHeard(listening), [1, 2, 3]);
  for (const { id: last, event, numbers } of listening.messages) {
    assert.deepEqual([event, last], ['notification', String(numbers.at(-1))]);
  }
  listening.stop();
});

test(
  'subscriptions@sse-resume: Last-Event-ID goes on after it; eventsSinceNumber with it; without either what is new',
  LIMIT,
  async () => {
    const id = await subscribed();
    await happen(4);
    const all = await listen(`${feed(id)}?eventsSinceNumber=1`);
    await until(() => numbersHeard(all).length >= 4);
    assert.deepEqual(numbersHeard(all), [1, 2, 3, 4]);
    const later = await listen(feed(id), { 'last-event-id': '2' });
    await until(() => numbersHeard(later).length >= 2);
    const fresh = await listen(feed(id));
    await happen(1);
    await until(() => [all, later, fresh].every((each) => numbersHeard(each).at(-1) === 5));
    assert.deepEqual([numbersHeard(later), numbersHeard(fresh)], [[3, 4, 5], [5]]);
    const ahead = await listen(feed(id), { 'last-event-id': '99' });
    await happen(1);
    await until(() => numbersHeard(ahead).length > 0);
    assert.deepEqual(numbersHeard(ahead), [6], 'a number that was never given is the newest');
    for (const each of [all, later, fresh, ahead]) each.stop();
  },
);

test('subscriptions@sse-many: more than one message holds, in order', LIMIT, async () => {
  const id = await subscribed();
  await happen(45);
  const listening = await listen(`${feed(id)}?eventsSinceNumber=1`);
  await until(() => numbersHeard(listening).length >= 45);
  assert.deepEqual(
    numbersHeard(listening),
    Array.from({ length: 45 }, (_each, index) => index + 1),
  );
  assert.deepEqual(
    listening.messages.map(({ id: last }) => last),
    ['20', '40', '45'],
  );
  listening.stop();
});

test('subscriptions@sse-off: the stream ends with the subscription', LIMIT, async () => {
  const id = await subscribed();
  const listening = await listen(feed(id));
  assert.equal((await send('DELETE', `/Subscription/${id}`)).status, 204);
  await listening.ended;
  assert.equal(await fetch(feed(id)).then(hangUp), 410);
});

test('subscriptions@sse-audit: what is told is audited before it leaves, by the subscription', LIMIT, async () => {
  const id = await subscribed();
  const listening = await listen(feed(id));
  await happen(1);
  await until(() => numbersHeard(listening).length === 1);
  const { json } = await send('GET', `/AuditEvent?entity=Subscription/${id}&_summary=count`);
  assert.ok(Number(json.total) >= 3, 'its create, the opening of the stream, and what was told');
  listening.stop();
});

const refused: readonly (readonly [what: string, path: string, init: RequestInit, status: number])[] = [
  ['a subscription that is not there', '/subscriptions/none/events', {}, 404],
  ['another path', '/subscriptions/none/other', {}, 404],
  ['no id', '/subscriptions//events', {}, 404],
  ['a number that is none', '/subscriptions/none/events', { headers: { 'last-event-id': 'x' } }, 400],
  ['another method', '/subscriptions/none/events', { method: 'POST' }, 405],
  ['a page of another origin', '/subscriptions/none/events', { headers: { origin: 'https://evil.example' } }, 403],
];
test('subscriptions@sse-refused: each with its status and an OperationOutcome', LIMIT, async () => {
  for (const [what, path, init, status] of refused) {
    const response = await fetch(server.url + path, init);
    assert.equal(response.status, status, what);
    assert.match(await response.text(), /"OperationOutcome"/, what);
  }
});

test(
  'subscriptions@sse-restart: an open stream does not hold up the end; after it the listener goes on',
  LIMIT,
  async () => {
    const id = await subscribed();
    const listening = await listen(feed(id));
    await happen(2);
    await until(() => numbersHeard(listening).length >= 2);
    assert.equal(await server.stop(), 0);
    await listening.ended;
    server = await start({}, server.folder);
    send = sender(`${server.url}/fhir`);
    const again = await listen(feed(id), { 'last-event-id': '1' });
    await happen(1);
    await until(() => numbersHeard(again).length >= 2);
    assert.deepEqual(numbersHeard(again), [2, 3]);
    again.stop();
  },
);
