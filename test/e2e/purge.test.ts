// Patient/$purge of a running server: its job, its files, its register over a restored backup, kill -9. docs/privacy.md
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { embeddedOnly, storeSettings } from '../test-store.ts';
import { newFolder, removeFolder, start } from './server.ts';

const TYPE = { 'content-type': 'application/fhir+json' };
const CANARY = 'Canary7351';

async function load(url: string, patient: string, observations: number): Promise<void> {
  const entry = [
    {
      resource: { resourceType: 'Patient', id: patient, name: [{ family: CANARY }] },
      request: { method: 'PUT', url: `Patient/${patient}` },
    },
    ...Array.from({ length: observations }, () => ({
      resource: {
        resourceType: 'Observation',
        status: 'final',
        code: { text: CANARY },
        subject: { reference: `Patient/${patient}` },
      },
      request: { method: 'POST', url: 'Observation' },
    })),
  ];
  const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
  const response = await fetch(`${url}/fhir`, { method: 'POST', headers: TYPE, body });
  assert.equal(response.status, 200, await response.text());
}

async function kickOff(url: string, path: string, method = 'POST'): Promise<string> {
  const response = await fetch(`${url}/fhir/${path}`, { method, headers: { prefer: 'respond-async' } });
  assert.equal(response.status, 202, await response.text());
  return response.headers.get('content-location') ?? '';
}

async function finished(status: string): Promise<Response> {
  for (;;) {
    const response = await fetch(status);
    if (response.status !== 202) return response;
    assert.match(response.headers.get('x-progress') ?? '', /^\d{1,2}%$/);
    await response.text();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;
const filesWith = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => {
    try {
      return readFileSync(join(folder, file)).toString('latin1').includes(CANARY);
    } catch {
      return false; // a folder
    }
  });

test('privacy@purge-e2e: job, export files, register, restored backup, compact', { skip: embeddedOnly }, async () => {
  const [folder, backup, registers] = [newFolder(), newFolder(), newFolder()];
  const env = { ERASURE_REGISTER: join(registers, 'erasures.ndjson') };
  try {
    const first = await start(env, folder);
    await load(first.url, 'p', 30);
    assert.equal(await first.stop(), 0);
    cpSync(folder, backup, { recursive: true });

    const second = await start(env, folder);
    const exported = await kickOff(second.url, '$export', 'GET');
    assert.equal((await finished(exported)).status, 200, 'control: an export that holds the patient');
    assert.equal(await statusOf(`${second.url}/fhir/Patient/x/$purge`), 405, 'a purge is no GET');
    const status = await kickOff(second.url, 'Patient/p/$purge');
    const answer = await finished(status);
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    assert.match(text, /31 resources/);
    assert.equal(await statusOf(`${second.url}/fhir/Patient/p`), 404);
    assert.equal(await statusOf(exported), 404, 'its files are gone');
    assert.equal(await second.stop(), 0);
    assert.match(readFileSync(env.ERASURE_REGISTER, 'utf8'), /"patient":"p"/);
    const run = { ...process.env, ...env, ...storeSettings(folder) };
    execFileSync(process.execPath, ['src/main.ts', 'compact'], { env: run });
    assert.deepEqual(filesWith(folder), [], 'nothing in any file of the data folder');

    assert.ok(filesWith(backup).length > 0, 'control: the backup holds the patient');
    const third = await start(env, backup);
    assert.equal(await statusOf(`${third.url}/fhir/Patient/p`), 404, 'purged before the first answer');
    const total = await (await fetch(`${third.url}/fhir/Observation?_summary=count`)).json();
    assert.equal((total as { total: number }).total, 0);
    assert.equal(await third.stop(), 0);
  } finally {
    for (const each of [folder, backup, registers]) removeFolder(each);
  }
});

test('privacy@purge-kill: killed while a purge runs, the next start ends it; the register is beside the database', async () => {
  const folder = newFolder();
  try {
    const first = await start({}, folder);
    await load(first.url, 'p', 50);
    const path = new URL(await kickOff(first.url, 'Patient/p/$purge')).pathname;
    await first.stop('SIGKILL');
    const second = await start({}, folder);
    assert.equal((await finished(`${second.url}${path}`)).status, 200);
    assert.equal(await statusOf(`${second.url}/fhir/Patient/p`), 404);
    assert.equal(await second.stop(), 0);
    assert.ok(existsSync(join(folder, 'erasures.ndjson')));
    const env = { ...process.env, ...storeSettings(folder) };
    const said = execFileSync(process.execPath, ['src/main.ts', 'erasures'], { env, encoding: 'utf8' });
    assert.match(said, /"patient":"p"/);
  } finally {
    removeFolder(folder);
  }
});
