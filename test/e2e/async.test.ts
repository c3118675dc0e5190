// async.html, R5 async-bundle.html: Prefer: respond-async on what may take long; kill -9 during a transaction.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const TYPE = { 'content-type': 'application/fhir+json' };
const ASYNC = { ...TYPE, prefer: 'respond-async' };
const folder = newFolder();
let server: Running;

interface Bundle {
  readonly type: string;
  readonly total?: number;
  readonly entry: readonly {
    readonly resource?: Bundle & { readonly resourceType: string; readonly id?: string };
    readonly response: { readonly status: string; readonly outcome?: { readonly issue: readonly object[] } };
  }[];
}

const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = ASYNC) =>
  fetch(`${server.url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

/** Where the answer will be; the request must be taken. */
async function taken(method: string, path: string, body?: unknown, headers = ASYNC): Promise<string> {
  const response = await send(method, path, body, headers);
  assert.equal(response.status, 202, await response.text());
  return new URL(response.headers.get('content-location') ?? '').pathname;
}

async function finished(status: string): Promise<Bundle> {
  for (;;) {
    const response = await send('GET', status);
    if (response.status === 200) {
      assert.match(response.headers.get('content-type') ?? '', /^application\/fhir\+json/);
      assert.ok(Number.isFinite(Date.parse(response.headers.get('expires') ?? '')));
      return (await response.json()) as Bundle;
    }
    assert.equal(response.status, 202, await response.text());
    assert.match(response.headers.get('x-progress') ?? '', /^\d{1,2}%$/);
    assert.ok(response.headers.get('retry-after') !== null);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const transaction = (size: number) => ({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: Array.from({ length: size }, () => ({
    resource: { resourceType: 'Condition', subject: { reference: 'Patient/p' } },
    request: { method: 'POST', url: 'Condition' },
  })),
});

before(async () => {
  server = await start({}, folder);
  assert.equal((await send('PUT', '/fhir/Patient/p', { resourceType: 'Patient', id: 'p' }, TYPE)).status, 201);
});
after(async () => {
  await server.stop();
  removeFolder(folder);
});

test('async: searches, history, $everything and transactions are answered by a batch-response of one entry', async () => {
  const asked = [
    await taken('POST', '/fhir', transaction(3)),
    await taken('GET', '/fhir/Condition?patient=p&_format=xml'),
    await taken('GET', '/fhir/Patient/p/_history'),
    await taken('GET', '/fhir/Patient/p/$everything'),
    await taken('GET', '/fhir/Condition?nothing=x'),
  ];
  const found: unknown[] = [];
  for (const status of asked) {
    const { type, entry } = await finished(status);
    assert.deepEqual([type, entry.length], ['batch-response', 1]);
    const { response, resource } = entry[0] ?? assert.fail();
    found.push([response.status, resource?.type, resource?.entry.length ?? response.outcome?.issue.length]);
  }
  assert.deepEqual(found, [
    ['200 OK', 'transaction-response', 3],
    ['200 OK', 'searchset', 3],
    ['200 OK', 'history', 1],
    ['200 OK', 'searchset', 4],
    ['400 Bad Request', undefined, 1],
  ]);
});

const AT_ONCE: readonly [method: string, path: string, body: unknown, status: number, why: string][] = [
  ['GET', '/fhir/Patient/p', undefined, 200, 'a read'],
  ['POST', '/fhir/Condition', { resourceType: 'Condition', subject: { reference: 'Patient/p' } }, 201, 'a create'],
  ['POST', '/fhir', { resourceType: 'Bundle', type: 'batch' }, 200, 'a batch: it cannot be taken up'],
  ['GET', '/fhir/metadata', undefined, 200, 'capabilities'],
  ['GET', '/fhir/Patient/p/$meta', undefined, 200, 'an operation that is never long'],
  ['GET', '/fhir/nothing/at/all/here', undefined, 404, 'no place'],
];
for (const [method, path, body, status, why] of AT_ONCE)
  test(`async: the preference is ignored for ${why}`, async () =>
    assert.equal((await send(method, path, body)).status, status));

test('async: without the preference a search is answered at once', async () =>
  assert.equal((await send('GET', '/fhir/Condition?patient=p', undefined, TYPE)).status, 200));

test('async: cancelled it is gone; too many of one caller are refused', async () => {
  const all = await Promise.all(Array.from({ length: 12 }, () => send('GET', '/fhir/Condition?patient=p')));
  const statuses = all.map(({ status }) => status);
  assert.deepEqual(
    [statuses.filter((each) => each === 202).length, statuses.filter((each) => each === 429).length],
    [10, 2],
  );
  assert.ok(all.find(({ status }) => status === 429)?.headers.has('retry-after'));
  for (const response of all) {
    await response.text();
    const location = response.headers.get('content-location');
    if (location === null) continue;
    assert.equal((await fetch(location, { method: 'DELETE' })).status, 202);
    assert.equal((await fetch(location)).status, 404);
  }
});

test('async: kill -9 during a transaction: the next start ends it, and it is done once', async () => {
  const count = async () => {
    const response = await send('GET', '/fhir/Condition?patient=p&_summary=count', undefined, TYPE);
    return ((await response.json()) as Bundle).total ?? 0;
  };
  const before = await count();
  const status = await taken('POST', '/fhir', transaction(500));
  // As soon as the writes can be seen the server is killed: the result is then not on disk, or only just.
  while ((await count()) === before) await new Promise((resolve) => setTimeout(resolve, 2));
  await server.stop('SIGKILL');
  server = await start({}, folder);
  const { entry } = await finished(status);
  assert.equal(entry[0]?.response.status, '200 OK');
  assert.equal(await count(), before + 500);
  const job = join(folder, 'async', status.split('/').at(-1) ?? '');
  assert.ok(existsSync(join(job, 'answer-1.json')));
  assert.equal((await send('DELETE', status)).status, 202);
  assert.ok(!readdirSync(join(folder, 'async')).includes(status.split('/').at(-1) ?? ''));
});
