// docs/decisions/0052: a job belongs to one run at a time. What a run that was taken over still does is not written, its files are not read further
// than they were saved, and places of a caller are counted over all processes.
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Jobs } from '../../src/jobs/desk.ts';
import { JobLedger } from '../../src/jobs/ledger.ts';
import { NdjsonFiles } from '../../src/jobs/ndjson.ts';
import { type JobProgress, type JobTicket, jobRun } from '../../src/jobs/run.ts';
import { jobPlaces } from '../../src/open/job-folders.ts';
import type { JobFile, JobOrder, JobResult } from '../../src/rest/jobs/job.ts';
import { factsOf, localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { fencedStore } from '../../src/store/fenced.ts';
import { type Command, StoreError } from '../../src/store/port.ts';
import { engineWorld } from '../rest/engine-world.ts';

const engine = await engineWorld([]);
const { store } = engine.context;
const root = mkdtempSync(join(tmpdir(), 'jobs-'));
after(async () => {
  await engine.close();
  rmSync(root, { recursive: true });
});
const orderOf = (id: string, principal = 'anna'): JobOrder => ({
  ...{ id, request: '' },
  caller: { ...factsOf(localCaller(localFacts('r', '127.0.0.1'))), principal },
});
const lease = (value: number, expect?: number): Command => ({
  ...{ op: 'set', space: 'lease', key: 'test', value: String(value) },
  expect: expect === undefined ? undefined : String(expect),
});
interface Progress extends JobProgress {
  readonly files: readonly JobFile[];
}

/** The run of a job by the process whose turn it is. */
async function runOf(id: string, term: number) {
  const known = await new JobLedger<JobOrder, JobResult>(store, 'test').fence(id);
  const folder = join(root, 'test', id);
  const ticket: JobTicket = { kind: 'test', id, folder, term, fence: [lease(term, term), ...known] };
  const run = jobRun<Progress, JobResult>(ticket, fencedStore(store, ticket.fence));
  const files = await NdjsonFiles.resume(run, 10, (await run.progress())?.files ?? []);
  return { run, files, save: async () => run.save({ percent: 1, files: await files.synced() }) };
}
const isTaken = (error: unknown): boolean => error instanceof StoreError && error.reason === 'unavailable';

test('jobs@takeover: the second run goes on from what the first saved; what the first does later is not in the result', async () => {
  const desk = await Jobs.open<JobOrder, JobResult>({
    ...{ kind: 'test', store, folder: join(root, 'test'), url: 'http://x', expiryMs: 1000, now: () => 0 },
    ...{ start: () => new Promise(() => undefined), report: () => undefined },
  });
  assert.equal(await desk.prepare(orderOf('j')), true);
  await desk.accept('j', 5);
  await store.commit({ commands: [lease(1)], audit: [] });
  const first = await runOf('j', 1);
  await first.files.append('Patient', ['1', '2']);
  await first.save();
  await first.files.append('Patient', ['lost']);

  await store.commit({ commands: [lease(2, 1)], audit: [] });
  const second = await runOf('j', 2);
  await second.files.append('Patient', ['3']);
  await first.files.append('Patient', ['late']);
  await assert.rejects(first.save(), isTaken, 'its progress');
  const result = async (files: NdjsonFiles) => ({ completedAt: 0, output: await files.synced(), error: [] });
  await assert.rejects(first.run.complete(await result(first.files)), isTaken, 'its result');
  await second.run.complete(await result(second.files));

  const found = await desk.find('j', 'anna');
  assert.equal(found?.state.state, 'complete');
  const output = found?.state.state === 'complete' ? found.state.result.output : [];
  assert.deepEqual(
    output.map(({ name, count }) => [name, count]),
    [
      ['Patient-1.ndjson', 2],
      ['Patient-10001.ndjson', 1],
    ],
  );
  assert.match(readFileSync(join(root, 'test', 'j', 'Patient-1.ndjson'), 'utf8'), /late/, 'control');
  let text = '';
  for (const { name, bytes } of output) {
    for await (const part of desk.open('j', name, bytes)) text += Buffer.from(part).toString();
  }
  assert.equal(text, '1\n2\n3\n');
  for (const { files } of [first, second]) await files.close();
});

test('jobs@cancel: what is cancelled anywhere can write nothing more, audit rows and data neither', async () => {
  const ledger = new JobLedger<JobOrder, JobResult>(store, 'test');
  await ledger.take(orderOf('c'), 1, 0);
  await ledger.accept('c', 1);
  const fenced = fencedStore(store, await ledger.fence('c'));
  const kept = { op: 'keep', key: 'jobs-cancel', value: '1' } as const;
  assert.equal((await fenced.commit({ commands: [], audit: [] })).ok, true, 'control');
  await ledger.remove('c');
  await assert.rejects(fenced.commit({ commands: [kept], audit: [] }), isTaken);
  assert.equal(await store.kept('jobs-cancel'), undefined);
  const refused = fencedStore(store, [lease(2, 2)]);
  await store.commit({ commands: [{ ...kept, key: 'k' }], audit: [] });
  const late = await refused.commit({ commands: [lease(2), { ...kept, key: 'k' }], audit: [] });
  assert.deepEqual(late, { ok: false, reason: 'conflict', command: 1 }, 'counted without the fence');
});

test('jobs@places: orders of one caller that meet at several processes take as many places as there are', async () => {
  const ledgers = [1, 2, 3].map(() => new JobLedger<JobOrder, JobResult>(store, 'place'));
  const taken = await Promise.all(
    Array.from({ length: 12 }, (_, index) => ledgers[index % 3]?.take(orderOf(`p${index}`), 10, 0)),
  );
  assert.equal(taken.filter((each) => each === true).length, 10);
  const [one] = ledgers;
  assert.equal(await one?.take(orderOf('q', 'bert'), 1, 0), true, 'another caller is not counted');
  await one?.remove(`p${taken.indexOf(true)}`);
  assert.equal(await one?.take(orderOf('again'), 10, 0), true, 'a place is free again');
});

test('jobs@abandoned: an order whose process died before it became a job is dropped ten minutes later, a job is not', async () => {
  const ledger = new JobLedger<JobOrder, JobResult>(store, 'old');
  await ledger.take(orderOf('order'), 2, 0);
  await ledger.take(orderOf('job'), 2, 0);
  await ledger.accept('job', 1);
  assert.deepEqual(await ledger.abandoned(599_999), []);
  assert.deepEqual(await ledger.abandoned(600_000), ['order']);
  assert.deepEqual(await ledger.open(), ['job']);
});

test('jobs@folder: a job whose files stayed behind is forgotten at the next start, an order that is being taken is not', async () => {
  const settings = {
    ...{ kind: 'lost', store, folder: join(root, 'lost'), url: 'http://x', expiryMs: 1000, now: () => 0, most: 2 },
    ...{ start: () => new Promise<never>(() => undefined), report: () => undefined },
    duty: { isShared: true, isOurs: () => false, term: () => 1, fence: () => [] },
  };
  const desk = await Jobs.open<JobOrder, JobResult>(settings);
  for (const id of ['gone', 'here']) {
    await desk.prepare(orderOf(id));
    await desk.accept(id, 1);
  }
  await new JobLedger<JobOrder, JobResult>(store, 'lost').take(orderOf('taken', 'bert'), 1, 0);
  rmSync(join(root, 'lost', 'gone'), { recursive: true });
  const next = await Jobs.open<JobOrder, JobResult>(settings);
  assert.equal(await next.find('gone', 'anna'), undefined);
  assert.equal((await next.find('here', 'anna'))?.state.state, 'running');
  await next.accept('taken', 2);
  assert.equal(await next.prepare(orderOf('again')), true, 'its place is free');
});

test('jobs@folder: several processes need one folder, and it is the same one', async () => {
  const [shared, other] = [join(root, 'shared'), join(root, 'other')];
  const config = { DATA_DIR: root, DATA_KEY_FILE: undefined, EXPORT_UNENCRYPTED: false, JOBS_DIR: undefined };
  const asked = (more: object) =>
    jobPlaces({ ...config, MONGODB_URL: undefined, ...more }, store, () => `name-${Math.random()}`);
  const url = { MONGODB_URL: 'mongodb://x' };
  assert.deepEqual(await asked({}), { folder: root, refusal: undefined }, 'the embedded database: its folder');
  assert.match((await asked({ DATA_KEY_FILE: 'k' })).refusal ?? '', /encrypted/);
  const none = await asked(url);
  assert.deepEqual([none.folder, /JOBS_DIR/.test(none.refusal ?? '')], [undefined, true]);
  assert.deepEqual(await asked({ ...url, JOBS_DIR: shared }), { folder: shared, refusal: undefined });
  assert.deepEqual(await asked({ ...url, JOBS_DIR: shared }), { folder: shared, refusal: undefined }, 'again');
  mkdirSync(other);
  await assert.rejects(asked({ ...url, JOBS_DIR: other }), /not the folder/);
  const [, name = ''] =
    /with the text (\S+) /.exec(String(await asked({ ...url, JOBS_DIR: other }).catch(String))) ?? [];
  writeFileSync(join(other, 'jobs.id'), name);
  assert.equal((await asked({ ...url, JOBS_DIR: other })).folder, other, 'named by hand after the first was lost');
  appendFileSync(join(other, 'jobs.id'), 'x');
  await assert.rejects(asked({ ...url, JOBS_DIR: other }), /not the folder/);
});
