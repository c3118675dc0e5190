// docs/decisions/0015-bulk-export.md, import: NDJSON as the body, over HTTP; kill -9 during an import, and the next start goes on.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const NDJSON = { 'content-type': 'application/fhir+ndjson' };
const LINES = 3000;

const observation = (index: number, status = 'final') => ({
  resourceType: 'Observation',
  id: `o${index}`,
  status,
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: `Patient/p${index % 10}` },
});
const text = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => `${JSON.stringify(observation(from + index))}\n`).join('');

interface Manifest {
  readonly output: readonly { readonly count: number; readonly refused: number }[];
  readonly error: readonly { readonly url: string; readonly count: number }[];
}

const kickOff = (url: string, body: string | Buffer, headers: Record<string, string> = NDJSON) =>
  fetch(`${url}/fhir/$import`, { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) });

/** Polls until the job is complete; the percentages seen on the way. */
async function finished(status: string): Promise<{ manifest: Manifest; seen: readonly string[] }> {
  const seen: string[] = [];
  for (;;) {
    const response = await fetch(status);
    if (response.status === 200) return { manifest: (await response.json()) as Manifest, seen };
    assert.equal(response.status, 202, await response.text());
    seen.push(response.headers.get('x-progress') ?? '');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function total(url: string, query: string): Promise<number> {
  const response = await fetch(`${url}/fhir/${query}&_summary=count`);
  const { total: count } = (await response.json()) as { total: number };
  return count;
}

test('import: a body is taken, plain and compressed; what it cannot be is refused and leaves nothing', async () => {
  const server = await start({ IMPORT_LIMIT_MB: '1' });
  try {
    const started = await kickOff(server.url, `${text(0, 50)}{"broken\n`);
    assert.equal(started.status, 202, await started.text());
    const { manifest } = await finished(started.headers.get('content-location') ?? '');
    assert.deepEqual(manifest.output, [{ count: 50, refused: 1 }]);
    const report = await fetch(manifest.error[0]?.url ?? '');
    assert.match(report.headers.get('content-type') ?? '', /ndjson/);
    assert.match(await report.text(), /Input 1, line 51: /);
    const coded = await kickOff(server.url, gzipSync(text(50, 60)), { ...NDJSON, 'content-encoding': 'gzip' });
    assert.equal(coded.status, 202);
    await finished(coded.headers.get('content-location') ?? '');
    assert.equal(await total(server.url, 'Observation?status=final'), 60);
    const refused = [
      await kickOff(server.url, 'x', { ...NDJSON, 'content-encoding': 'br' }),
      await kickOff(server.url, 'not gzip', { ...NDJSON, 'content-encoding': 'gzip' }),
      await kickOff(server.url, 'x'.repeat(1_048_577)),
      await kickOff(server.url, gzipSync('x'.repeat(1_048_577)), { ...NDJSON, 'content-encoding': 'gzip' }),
      await kickOff(server.url, 'x', { 'content-type': 'text/csv' }),
    ];
    assert.deepEqual(
      refused.map(({ status }) => status),
      [415, 400, 413, 413, 415],
    );
    for (const response of refused) await response.text();
    // Where several processes may be each has a folder in it.
    const left = readdirSync(join(server.folder, 'import-uploads'), { recursive: true, withFileTypes: true });
    assert.deepEqual(
      left.filter((each) => each.isFile()),
      [],
    );
    writeFileSync(join(server.folder, 'import', 'named.ndjson'), text(60, 70));
    const named = await kickOff(server.url, JSON.stringify({ input: [{ url: 'named.ndjson' }] }), {
      'content-type': 'application/json',
    });
    assert.equal(named.status, 202, await named.text());
    await finished(named.headers.get('content-location') ?? '');
    assert.equal(await total(server.url, 'Observation?status=final'), 70);
  } finally {
    await server.stop();
    removeFolder(server.folder);
  }
});

test('import: kill -9 during an import: the next start goes on, nothing is lost and nothing is there twice', async () => {
  const folder = newFolder();
  let server: Running = await start({}, folder);
  try {
    const started = await kickOff(server.url, text(0, LINES));
    assert.equal(started.status, 202, await started.text());
    const job = (started.headers.get('content-location') ?? '').split('/').at(-1) ?? '';
    while ((await total(server.url, 'Observation?status=final')) === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { status } = await fetch(`${server.url}/import/${job}`);
    await server.stop('SIGKILL');
    assert.equal(status, 202, 'control: it had not ended');
    server = await start({}, folder);
    const { manifest, seen } = await finished(`${server.url}/import/${job}`);
    assert.deepEqual(manifest.output, [{ count: LINES, refused: 0 }]);
    assert.ok(
      seen.every((percent) => /^\d{1,2}%$/.test(percent)),
      seen.join(' '),
    );
    assert.equal(await total(server.url, 'Observation?status=final'), LINES);
    const history = await fetch(`${server.url}/fhir/Observation/_history?_summary=count`);
    const versions = (await history.json()) as { total?: number };
    if (versions.total !== undefined) assert.equal(versions.total, LINES, 'one version each');
    assert.equal(existsSync(join(folder, 'import-jobs', job, 'upload')), false, 'the body is not kept');
    assert.equal((await fetch(`${server.url}/import/${job}`, { method: 'DELETE' })).status, 202);
    assert.equal((await fetch(`${server.url}/import/${job}`)).status, 404);
    assert.deepEqual(readdirSync(join(folder, 'import-jobs')), []);
  } finally {
    await server.stop();
    removeFolder(folder);
  }
});
