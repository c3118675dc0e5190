// Both engines under the same door: the same generated requests, the same answers. EQUAL_REQUESTS: how many (default 300).
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { mongoFields } from '../../src/store/mongodb/connect.ts';
import { openMongo } from '../../src/store/mongodb.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { engineWorld } from '../rest/engine-world.ts';
import { json, linkOf } from '../world.ts';
import { type Step, steps } from './equal-requests.ts';
import { testServer } from './mongodb-server.ts';

const REQUESTS = Number(process.env.EQUAL_REQUESTS ?? 300);
const SEED = 20_260_102;
/** Clocks stand still, so that instants are equal too. */
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

const server = await testServer();

/** What a client sees, without what is another each time: cursors, and the ids of Bundles made side by side in a batch. */
function shown({ status, headers, body }: { status: number; headers: object; body?: string | undefined }): string {
  const text = (body ?? '')
    .replaceAll(/_cursor=[^"&]+/g, '_cursor=...')
    .replaceAll(/("Bundle","id":)"[^"]+"/g, '$1"..."');
  return JSON.stringify([status, headers, text]);
}

for (const key of [undefined, 'a passphrase']) {
  const how = key === undefined ? '' : ', MongoDB with a data key';
  test(
    `the same ${REQUESTS} requests have the same answers from both engines${how}`,
    {
      skip: 'skip' in server ? server.skip : false,
    },
    (context) => compared(context, key),
  );
}

async function compared(context: TestContext, key: string | undefined): Promise<void> {
  if ('skip' in server) return;
  const embedded = await engineWorld([], AT, openSqlite);
  context.after(() => embedded.close());
  const url = server.url();
  const other = await engineWorld([], AT, async ({ folder: _folder, ...options }) =>
    openMongo({ ...options, url, fields: await mongoFields(url, key), headKey: new Uint8Array(32) }),
  );
  context.after(() => other.close());
  const next: (string | undefined)[] = [undefined, undefined];
  const wrong: string[] = [];
  const statuses = new Map<number, number>();
  const both = async (step: Step, index: number): Promise<void> => {
    const answers = await Promise.all(
      [embedded, other].map(async (world, side) => {
        const asked = step === 'next' ? { method: 'GET', url: next[side] ?? '/Patient?_count=2' } : step;
        const answer = await world.send(asked.method, asked.url, asked);
        next[side] = answer.status === 200 ? linkOf(json(answer), 'next') : undefined;
        return answer;
      }),
    );
    const [one, two] = answers.map(shown);
    const status = answers[0]?.status ?? 0;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (one === two) return;
    const asked = step === 'next' ? step : `${step.method} ${step.url} ${JSON.stringify(step.body ?? '')}`;
    wrong.push(`${index}: ${asked}\n  embedded ${one?.slice(0, 1500)}\n  mongodb  ${two?.slice(0, 1500)}`);
  };
  for (const [index, step] of steps(REQUESTS, SEED).entries()) await both(step, index);
  context.diagnostic([...statuses].map(([status, count]) => `${status}: ${count}`).join(', '));
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${REQUESTS} differ`);
  const changes = await Promise.all([embedded, other].map(({ store }) => store.changes(0, 100_000)));
  assert.deepEqual(changes[1], changes[0]);
  // The stream is no monologue of refusals.
  for (const status of [200, 201, 400, 404, 410, 412]) assert.ok((statuses.get(status) ?? 0) > 0, `no ${status}`);
}
