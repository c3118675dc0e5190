// FHIR Bulk Data Access 2.0.0, export: kick-off, status, files, cancel; kill -9 during an export, and the next start goes on.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { limit, notOnStandIn } from '../test-store.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const TYPE = { 'content-type': 'application/fhir+json' };
const ASYNC = { prefer: 'respond-async', accept: 'application/fhir+json' };

interface Listed {
  readonly type: string;
  readonly url: string;
  readonly count: number;
}
interface Manifest {
  readonly transactionTime: string;
  readonly request: string;
  readonly requiresAccessToken: boolean;
  readonly output: readonly Listed[];
  readonly error: readonly Listed[];
}

/** Transactions of one Patient and `size` Observations each. */
async function load(url: string, patients: number, size: number): Promise<void> {
  for (let number = 0; number < patients; number++) {
    const entry = [
      {
        resource: { resourceType: 'Patient', id: `p${number}` },
        request: { method: 'PUT', url: `Patient/p${number}` },
      },
      ...Array.from({ length: size }, (_, index) => ({
        resource: {
          resourceType: 'Observation',
          status: index % 2 === 0 ? 'final' : 'amended',
          code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
          subject: { reference: `Patient/p${number}` },
        },
        request: { method: 'POST', url: 'Observation' },
      })),
    ];
    const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
    const response = await fetch(`${url}/fhir`, { method: 'POST', headers: TYPE, body });
    assert.equal(response.status, 200, await response.text());
  }
}

async function kickOff(url: string, path: string): Promise<string> {
  const response = await fetch(`${url}/fhir/${path}`, { headers: ASYNC });
  assert.equal(response.status, 202, await response.text());
  return response.headers.get('content-location') ?? '';
}

async function finished(status: string): Promise<Manifest> {
  for (;;) {
    const response = await fetch(status);
    if (response.status === 200) {
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      assert.ok(Number.isFinite(Date.parse(response.headers.get('expires') ?? '')));
      return (await response.json()) as Manifest;
    }
    assert.equal(response.status, 202, await response.text());
    assert.match(response.headers.get('x-progress') ?? '', /^\d{1,2}%$/);
    assert.equal(response.headers.get('retry-after'), '2');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ids of every line of a type; each line is one resource of the type. */
async function idsOf({ output }: Manifest, type: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const file of output.filter((each) => each.type === type)) {
    const response = await fetch(file.url);
    assert.equal(response.headers.get('content-type'), 'application/fhir+ndjson');
    const lines = (await response.text()).split('\n');
    assert.equal(lines.pop(), '', 'the last line ends too');
    assert.equal(lines.length, file.count);
    for (const line of lines) {
      const resource = JSON.parse(line) as { resourceType: string; id: string };
      assert.equal(resource.resourceType, type);
      ids.push(resource.id);
    }
  }
  return ids;
}

const totalOf = async ({ url }: Running, search: string): Promise<number> =>
  ((await (await fetch(`${url}/fhir/${search}`)).json()) as { total: number }).total;

test('bulk-data-2.0@export 10,000 resources: each once, AuditEvents never; every step is audited', {
  timeout: limit(120_000),
  skip: notOnStandIn('10,000 resources in 120 s'),
}, async () => {
  const server = await start();
  try {
    await load(server.url, 20, 499);
    const status = await kickOff(server.url, '$export');
    assert.ok(status.startsWith(`${server.url}/export/`));
    const again = await fetch(`${server.url}/fhir/$export`, { headers: ASYNC });
    assert.equal(again.status, 429, 'one job at a time for a caller');
    assert.equal(again.headers.get('retry-after'), '30');
    const late = await fetch(`${server.url}/fhir/Patient/late`, {
      method: 'PUT',
      headers: TYPE,
      body: '{"resourceType":"Patient","id":"late"}',
    });
    assert.equal(late.status, 201);
    const manifest = await finished(status);
    assert.equal(manifest.request, `${server.url}/fhir/$export`);
    assert.equal(manifest.requiresAccessToken, false);
    assert.deepEqual(manifest.error, []);
    assert.deepEqual([...new Set(manifest.output.map(({ type }) => type))].toSorted(), ['Observation', 'Patient']);
    const observations = await idsOf(manifest, 'Observation');
    assert.equal(observations.length, 9980);
    assert.equal(new Set(observations).size, 9980);
    assert.equal((await idsOf(manifest, 'Patient')).includes('late'), false, 'changed after transactionTime');

    const next = await finished(await kickOff(server.url, `$export?_since=${manifest.transactionTime}`));
    assert.deepEqual(await idsOf(next, 'Patient'), ['late'], '_since the last transactionTime gives what came later');

    const file = manifest.output[0]?.url ?? '';
    const coded = await fetch(file, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(coded.headers.get('content-encoding'), 'gzip');
    await coded.arrayBuffer();
    assert.equal((await fetch(file, { method: 'HEAD' })).status, 200);
    assert.equal((await fetch(file, { method: 'DELETE' })).status, 405);
    assert.equal((await fetch(`${status}/..%2f..%2fjob.json`)).status, 404);
    assert.equal((await fetch(`${status}/job.json`)).status, 404);
    assert.equal((await fetch(`${status}/Patient-9.ndjson`)).status, 404);
    assert.equal((await fetch(status, { headers: { 'x-forwarded-for': '1.2.3.4' } })).status, 403);

    const before = await totalOf(server, 'AuditEvent?subtype=operation&_total=accurate&_count=1');
    assert.equal((await fetch(status, { method: 'DELETE' })).status, 202);
    assert.equal((await fetch(status)).status, 404);
    assert.equal((await fetch(status, { method: 'DELETE' })).status, 404);
    assert.equal((await fetch(file)).status, 404);
    assert.equal(await totalOf(server, 'AuditEvent?subtype=operation&_total=accurate&_count=1'), before + 4);
    assert.equal(readdirSync(join(server.folder, 'export')).length, 1, 'the other job is still kept');
    assert.equal(await server.stop(), 0);
  } finally {
    removeFolder(server.folder);
  }
});

test('bulk-data-2.0@export kill -9 during an export: the next start goes on, and each resource is there once', {
  timeout: limit(120_000),
  skip: notOnStandIn('10,000 resources in 120 s'),
}, async () => {
  const folder = newFolder();
  try {
    const first = await start({}, folder);
    await load(first.url, 24, 499);
    const status = new URL(await kickOff(first.url, 'Patient/$export'));
    const progress = async () => (await fetch(status)).headers.get('x-progress');
    // Types are what is counted: the first of two is done.
    while ((await progress()) === '0%') await new Promise((resolve) => setTimeout(resolve, 5));
    const seen = await progress();
    await first.stop('SIGKILL');
    assert.notEqual(seen, null, 'control: it was killed before the end');

    const second = await start({}, folder);
    const manifest = await finished(second.url + status.pathname);
    const observations = await idsOf(manifest, 'Observation');
    assert.equal(observations.length, 24 * 499);
    assert.equal(new Set(observations).size, 24 * 499);
    assert.equal((await idsOf(manifest, 'Patient')).length, 24);
    assert.ok(
      (await totalOf(second, 'AuditEvent?subtype=operation&patient=p7&_total=accurate&_count=1')) >= 1,
      'an export by patients names each of them in the audit',
    );
    assert.equal(await second.stop(), 0);
  } finally {
    removeFolder(folder);
  }
});
