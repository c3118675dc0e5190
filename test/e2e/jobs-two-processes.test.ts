// docs/decisions/0052: jobs belong to whoever lives. Two servers over one database and one folder of jobs: either takes orders, tells states and
// gives files; one runs the jobs; killed, the other goes on from the last durable point, and nothing is done twice.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MongoClient } from 'mongodb';
import { testServer } from '../store/mongodb-server.ts';
import { until } from '../subscriptions/receiver.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const server = await testServer();
const LIMIT_MS = 900_000;
const LINES = 600;
const ASYNC = { 'content-type': 'application/fhir+json', accept: 'application/fhir+json', prefer: 'respond-async' };
const NDJSON = { 'content-type': 'application/fhir+ndjson' };

interface Manifest {
  readonly output: readonly { readonly type: string; readonly url: string; readonly count: number }[];
}
interface Answer {
  readonly total?: number;
  readonly entry?: readonly { readonly response: { readonly status: string } }[];
}

const line = (index: number): string =>
  JSON.stringify({
    resourceType: 'Observation',
    id: `o${index}`,
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
    subject: { reference: `Patient/p${index % 10}` },
  });
const eventually = (holds: () => Promise<boolean>): Promise<void> =>
  until(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return holds().catch(() => false);
  });
const pathOf = (response: Response): string => new URL(response.headers.get('content-location') ?? '').pathname;
const ask = async ({ url }: Running, path: string): Promise<Answer> =>
  (await (await fetch(`${url}/fhir/${path}`)).json()) as Answer;
/** What is not there yet, or was refused while the lock of a killed process was waited for, is asked again. */
async function completed(at: Running, path: string): Promise<Response> {
  let last: Response | undefined;
  await eventually(async () => {
    last = await fetch(at.url + path);
    return last.status !== 202 && last.status !== 503;
  });
  assert.equal(last?.status, 200, await last?.clone().text());
  return last ?? assert.fail();
}
/** Asks for the state all the time, until it is told to end. @returns every status that it was answered with */
function watched(at: Running, path: string): () => Promise<readonly number[]> {
  const statuses = new Set<number>();
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      statuses.add(
        await fetch(at.url + path).then(
          ({ status }) => status,
          () => 0,
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return [...statuses].toSorted();
  };
}
/** Ids of the lines of all files, as this server gives them. */
async function exported(at: Running, { output }: Manifest): Promise<readonly string[]> {
  const texts = await Promise.all(output.map(async ({ url }) => (await fetch(at.url + new URL(url).pathname)).text()));
  return texts.flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((each) => String(JSON.parse(each).id)),
  );
}
/** Sent again while the database waits for the end of a transaction whose process is gone. */
async function accepted(send: () => Promise<Response>): Promise<string> {
  let path = '';
  await eventually(async () => {
    const response = await send();
    if (response.status === 503) return false;
    assert.equal(response.status, 202, await response.clone().text());
    path = pathOf(response);
    return true;
  });
  return path;
}

test('jobs of two processes', { skip: 'skip' in server ? server.skip : false, timeout: LIMIT_MS }, async (t) => {
  if ('skip' in server) return;
  const [one, other, jobs] = [newFolder(), newFolder(), newFolder()];
  const running: Running[] = [];
  t.after(async () => {
    for (const each of running) await each.stop('SIGKILL');
    for (const folder of [one, other, jobs]) removeFolder(folder);
  });
  const env = { MONGODB_URL: server.url(), JOBS_DIR: jobs, PUBLIC_URL: 'http://fhir.example', LOG_LEVEL: 'error' };
  const begun = async (folder: string): Promise<Running> => {
    const process = await start(env, folder);
    running.push(process);
    return process;
  };
  const first = await begun(one);
  for (const key of readdirSync(one).filter((name) => name.endsWith('.key')))
    copyFileSync(join(one, key), join(other, key));
  const second = await begun(other);

  await t.test('an import whose process is killed is ended by the other, each line once', async () => {
    const body = Array.from({ length: LINES }, (_, index) => `${line(index)}\n`).join('');
    const started = await fetch(`${second.url}/fhir/$import`, { method: 'POST', headers: NDJSON, body });
    assert.equal(started.status, 202, await started.text());
    const path = pathOf(started);
    // The first was there first: it runs what the second took. Both tell how far it is.
    await eventually(
      async () => Number.parseInt((await fetch(second.url + path)).headers.get('x-progress') ?? '', 10) > 20,
    );
    assert.equal((await fetch(first.url + path)).status, 202);
    const states = watched(second, path);
    await first.stop('SIGKILL');
    assert.equal((await fetch(second.url + path)).status, 202, 'control: it had not ended');
    const manifest = (await (await completed(second, path)).json()) as Manifest;
    assert.deepEqual(manifest.output, [{ count: LINES, refused: 0 }]);
    assert.deepEqual(await states(), [200, 202], 'the state was told all the time');
    assert.equal((await ask(second, 'Observation?status=final&_summary=count')).total, LINES);
    const twice = await ask(second, 'Observation/_history?_summary=count');
    if (twice.total !== undefined) assert.equal(twice.total, LINES, 'one version each');
  });

  const third = await begun(one);

  await t.test(
    'an export: either tells its state and gives its files, each resource once; cancelled it is gone',
    async () => {
      const path = await accepted(() => fetch(`${third.url}/fhir/$export?_type=Observation`, { headers: ASYNC }));
      const manifest = (await (await completed(second, path)).json()) as Manifest;
      assert.deepEqual(await (await completed(third, path)).json(), manifest);
      for (const at of [second, third]) {
        const ids = await exported(at, manifest);
        assert.deepEqual([ids.length, new Set(ids).size], [LINES, LINES]);
      }
      assert.equal((await fetch(third.url + path, { method: 'DELETE' })).status, 202);
      assert.equal((await fetch(second.url + path)).status, 404);
      assert.deepEqual(readdirSync(join(jobs, 'export')), []);
    },
  );

  await t.test('an asynchronous transaction, a purge: ordered at one, done once, answered by the other', async () => {
    const entry = Array.from({ length: 5 }, () => ({
      resource: { resourceType: 'Condition', subject: { reference: 'Patient/p' } },
      request: { method: 'POST', url: 'Condition' },
    }));
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
    const path = await accepted(() => fetch(`${third.url}/fhir`, { method: 'POST', headers: ASYNC, body }));
    const answer = (await (await completed(second, path)).json()) as Answer;
    assert.equal(answer.entry?.[0]?.response.status, '200 OK');
    assert.equal((await ask(third, 'Condition?_summary=count')).total, 5);
    const put = { method: 'PUT', headers: ASYNC, body: '{"resourceType":"Patient","id":"gone"}' };
    assert.equal((await fetch(`${third.url}/fhir/Patient/gone`, put)).status, 201);
    const purge = await accepted(() => fetch(`${third.url}/fhir/Patient/gone/$purge`, { method: 'POST' }));
    await completed(second, purge);
    for (const at of [second, third]) assert.equal((await fetch(`${at.url}/fhir/Patient/gone`)).status, 404);
  });

  await t.test(
    'index rows of a new parameter are made by the other when the process that makes them is killed',
    async () => {
      const parameter = {
        ...{ resourceType: 'SearchParameter', id: 'by', url: 'http://example.org/by', name: 'by', status: 'active' },
        ...{ description: 'status by another name', code: 'by-status', base: ['Observation'], type: 'token' },
        expression: 'Observation.status',
      };
      const put = {
        method: 'PUT',
        headers: { 'content-type': 'application/fhir+json' },
        body: JSON.stringify(parameter),
      };
      const { status } = await fetch(`${third.url}/fhir/SearchParameter/by`, put);
      assert.equal(status, 201);
      // Rows are made 4 s later at the earliest, by the second.
      await second.stop('SIGKILL');
      await eventually(async () => (await ask(third, 'Observation?by-status=final&_summary=count')).total === LINES);
    },
  );

  const fourth = await begun(other);

  await t.test(
    'an export whose process is killed before its end is done by the other: each resource once',
    async () => {
      const path = await accepted(() => fetch(`${fourth.url}/fhir/$export?_type=Observation`, { headers: ASYNC }));
      const id = path.slice(path.lastIndexOf('/') + 1);
      const client = new MongoClient(env.MONGODB_URL);
      try {
        // Nobody can say that it has ended while this is open: it is killed before, however fast it is.
        const held = client.startSession();
        held.startTransaction();
        const values = client.db().collection<{ _id: string; v: string }>('keyed');
        await values.insertOne({ _id: `job.export.end ${id}`, v: '' }, { session: held });
        const states = watched(fourth, path);
        const files = join(jobs, 'export', id);
        const written = () =>
          existsSync(files) && readdirSync(files).some((name) => statSync(join(files, name)).size > 0);
        await eventually(async () => written());
        const before = new Set(readdirSync(files));
        await third.stop('SIGKILL');
        await held.abortTransaction();
        assert.equal((await fetch(fourth.url + path)).status, 202, 'control: it had not ended');
        const manifest = (await (await completed(fourth, path)).json()) as Manifest;
        assert.deepEqual(await states(), [200, 202], 'the state was told all the time');
        const ids = await exported(fourth, manifest);
        assert.deepEqual([ids.length, new Set(ids).size], [LINES, LINES]);
        const given = manifest.output.map(({ url }) => url.slice(url.lastIndexOf('/') + 1));
        assert.deepEqual(
          given.filter((name) => before.has(name)),
          [],
          'files of the run that was cut off are not given',
        );
      } finally {
        await client.close();
      }
    },
  );
});
