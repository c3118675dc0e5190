// The order in which the writer commits what waits: small before large, in turn. docs/decisions/0003-storage-layout.md
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Committer } from '../../src/store/sqlite/commit.ts';
import {
  encodeRequests,
  type FromWriter,
  OUTCOME_WIDTH,
  STATUS,
  type ToWriter,
  wireRequest,
} from '../../src/store/sqlite/message.ts';
import { Reserve } from '../../src/store/sqlite/reserve.ts';
import { CHAIN_SPAN, connect, migrate } from '../../src/store/sqlite/schema.ts';
import { Signals } from '../../src/store/sqlite/snapshot.ts';
import { LARGE, Writer } from '../../src/store/sqlite/writer.ts';
import { auditRow, put } from './world.ts';

/** What a commit request is, and the place of its audit row in the chain that it must get. */
type Asked = readonly [channel: 0 | 1, size: 'small' | 'large', place: number];
/** More small ones than one transaction takes. */
const GROUP = 256;

let next = 0;
function message(size: Asked[1], from: number): ToWriter {
  const name = `p${next++}`;
  const bytes = size === 'large' ? name + ' '.repeat(LARGE) : name;
  const request = { commands: [put('Patient', name)], audit: [auditRow(bytes)] };
  return { op: 'commit', from, requests: encodeRequests([wireRequest(request, new Set())]) };
}

function written(context: TestContext): Writer {
  const folder = mkdtempSync(join(tmpdir(), 'store-writer-'));
  const connection = connect({ folder });
  migrate(connection);
  context.after(() => {
    connection.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const signals = new Signals();
  const reserve = new Reserve(connection, { folder, bytes: 0, signals });
  return new Writer(new Committer(connection, 'system', reserve), signals, () => undefined);
}

/** Everything is in the channels before the writer looks. */
async function placesOf(context: TestContext, asked: readonly Asked[]): Promise<readonly number[]> {
  const writer = written(context);
  const channels = [new MessageChannel(), new MessageChannel()];
  context.after(() => {
    for (const { port1 } of channels) port1.close();
  });
  const places: number[] = [];
  const answered = channels.map(({ port1 }, index) =>
    receive(port1, asked.filter(([at]) => at === index).length, places),
  );
  for (const [from, [channel, size]] of asked.entries()) channels[channel]?.port1.postMessage(message(size, from));
  for (const { port2 } of channels) writer.listen(port2);
  await Promise.all(answered);
  return places;
}

async function receive(port: MessagePort, count: number, places: number[]): Promise<void> {
  for (let left = count; left > 0; ) {
    const [answer]: readonly FromWriter[] = await once(port, 'message');
    assert.ok(answer?.op === 'outcomes');
    for (let at = 0; at < answer.outcomes.length; at += OUTCOME_WIDTH) {
      const [id = -1, status, , , audit = 0] = answer.outcomes.slice(at);
      assert.equal(status, STATUS.done);
      places[id] = audit % CHAIN_SPAN;
      left--;
    }
  }
}

const many = (count: number, from: number): readonly Asked[] =>
  Array.from({ length: count }, (_, index): Asked => [1, 'small', from + index]);

const rows: readonly [what: string, asked: readonly Asked[]][] = [
  [
    'one after the other on one channel',
    [
      [0, 'small', 1],
      [0, 'small', 2],
    ],
  ],
  [
    'a small one before the large one that came first',
    [
      [0, 'large', 2],
      [1, 'small', 1],
    ],
  ],
  [
    'a small one before both large ones',
    [
      [0, 'large', 2],
      [0, 'large', 3],
      [1, 'small', 1],
    ],
  ],
  [
    'a large one after one group of small ones, however many wait',
    [[0, 'large', GROUP + 1], ...many(GROUP, 1), [1, 'small', GROUP + 2]],
  ],
];
for (const [what, asked] of rows) {
  test(`store-sqlite-writer: ${what}`, async (context) => {
    assert.deepEqual(
      await placesOf(context, asked),
      asked.map(([, , place]) => place),
    );
  });
}

test('store-sqlite-writer: whoever asks whether the writer is there is answered after what was asked before, large or small', async (context) => {
  const writer = written(context);
  const { port1, port2 } = new MessageChannel();
  context.after(() => port1.close());
  const answers: string[] = [];
  const done = new Promise<void>((resolve) => {
    port1.on('message', (answer: FromWriter) => {
      answers.push(answer.op);
      if (answer.op === 'done') resolve();
    });
  });
  port1.postMessage(message('large', 0));
  port1.postMessage(message('small', 1));
  port1.postMessage({ op: 'ping', id: 2 } satisfies ToWriter);
  writer.listen(port2);
  await done;
  assert.deepEqual(answers, ['outcomes', 'outcomes', 'done']);
});
