// http.html#ccreate, #cond-update, #2.21.0.10.3 over three servers and one database: what was judged by one is not passed by another. docs/decisions/0057.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testServer } from '../store/mongodb-server.ts';
import { type Answer, labels, type Send, sender } from './client.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const server = await testServer();
const SYSTEM = 'http://example.org/mrn';
/** Requests of a race, spread over the servers. */
const RACERS = 24;

const patient = (value: string, from: number) => ({
  resourceType: 'Patient',
  identifier: [{ system: SYSTEM, value }],
  multipleBirthInteger: from + 1,
});
const criteria = (value: string): string => `identifier=${SYSTEM}|${value}`;
const counted = (answers: readonly Answer[]) =>
  Object.fromEntries(
    [...Map.groupBy(answers, ({ status }) => status)].map(([status, of]) => [status, of.length] as const),
  );

test('conditional interactions of three processes', {
  skip: 'skip' in server ? server.skip : false,
  timeout: 300_000,
}, async (t) => {
  if ('skip' in server) return;
  const folders = [newFolder(), newFolder(), newFolder()];
  const running: Running[] = [];
  t.after(async () => {
    for (const each of running) await each.stop('SIGKILL');
    for (const folder of folders) removeFolder(folder);
  });
  const sends: Send[] = [];
  const url = server.url();
  for (const folder of folders) {
    const [first] = folders;
    for (const key of readdirSync(first ?? '').filter((name) => name.endsWith('.key') && folder !== first))
      copyFileSync(join(first ?? '', key), join(folder, key));
    const each = await start({ MONGODB_URL: url, JOBS_DIR: first ?? '', LOG_LEVEL: 'error' }, folder);
    running.push(each);
    sends.push(sender(`${each.url}/fhir`));
  }
  const raced = (ask: (send: Send, index: number) => Promise<Answer>): Promise<readonly Answer[]> =>
    Promise.all(Array.from({ length: RACERS }, (_, index) => ask(sends[index % sends.length] ?? assert.fail(), index)));
  const found = async (value: string): Promise<readonly string[]> =>
    labels((await sends[0]?.('GET', `/Patient?${criteria(value)}`))?.json ?? {});

  await t.test('conditional create: one is created, the others are told of it', async () => {
    const answers = await raced((send, index) =>
      send('POST', '/Patient', patient('create', index), { 'if-none-exist': criteria('create') }),
    );
    assert.deepEqual(counted(answers), { 200: RACERS - 1, 201: 1 });
    const created = answers.find(({ status }) => status === 201)?.json.id;
    assert.deepEqual(await found('create'), [`Patient/${created}`]);
    const places = new Set(answers.map(({ headers }) => new URL(headers.get('location') ?? '').pathname));
    assert.deepEqual([...places], [`/fhir/Patient/${created}/_history/1`]);
  });

  await t.test('conditional update: one creates, each other makes the next version of it', async () => {
    const answers = await raced((send, index) =>
      send('PUT', `/Patient?${criteria('update')}`, patient('update', index)),
    );
    const { 201: created, 200: updated } = counted(answers);
    assert.deepEqual([created, updated], [1, RACERS - 1], answers.map(({ text }) => text).join('\n'));
    assert.equal((await found('update')).length, 1);
    const versions = answers.map(({ json }) => Number(json.meta?.versionId)).toSorted((a, b) => a - b);
    assert.deepEqual(
      versions,
      Array.from({ length: RACERS }, (_, index) => index + 1),
    );
  });

  await t.test('in transactions: one creates, the others name what is there', async () => {
    const answers = await raced((send, index) => {
      const request = { method: 'POST', url: 'Patient', ifNoneExist: criteria('transaction') };
      const entry = [
        { fullUrl: 'urn:uuid:3f8d6c1e-0000-4000-8000-000000000000', resource: patient('transaction', index), request },
      ];
      return send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry });
    });
    assert.deepEqual(counted(answers), { 200: RACERS }, answers.map(({ text }) => text).join('\n'));
    const statuses = answers.map(({ json }) => json.entry?.[0]?.response?.status.slice(0, 3));
    assert.equal(statuses.filter((status) => status === '201').length, 1);
    assert.equal((await found('transaction')).length, 1);
  });

  await t.test('if-match: of those who know one version, one is let write', async () => {
    const made = await sends[0]?.('PUT', '/Patient/known', { ...patient('known', 0), id: 'known' });
    assert.equal(made?.status, 201);
    const answers = await raced((send, index) =>
      send('PUT', `/Patient?${criteria('known')}`, patient('known', index + 1), { 'if-match': 'W/"1"' }),
    );
    assert.deepEqual(counted(answers), { 200: 1, 412: RACERS - 1 });
  });

  await t.test('two that match: nobody creates or updates', async () => {
    for (const id of ['twin-a', 'twin-b']) await sends[1]?.('PUT', `/Patient/${id}`, { ...patient('twin', 0), id });
    const answers = await raced((send, index) =>
      index % 2 === 0
        ? send('POST', '/Patient', patient('twin', index), { 'if-none-exist': criteria('twin') })
        : send('PUT', `/Patient?${criteria('twin')}`, patient('twin', index)),
    );
    assert.deepEqual(counted(answers), { 412: RACERS });
    assert.equal((await found('twin')).length, 2);
  });
});
