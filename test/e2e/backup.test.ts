// docs/operations.md#backup, #restore: the drill. Taken while a server takes writes, the server killed, restored elsewhere, served again.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { embeddedOnly } from '../test-store.ts';
import { command } from './command.ts';
import { newFolder, removeFolder, start } from './server.ts';

const TYPE = { 'content-type': 'application/fhir+json' };
const CANARY = 'Canary9127';
const folders: string[] = [];
const folder = (): string => {
  const made = newFolder();
  folders.push(made);
  return made;
};
after(() => {
  for (const each of folders) removeFolder(each);
});

interface Check {
  readonly name: string;
  readonly observedValue?: number;
}
interface Answer {
  readonly status: number;
  readonly json: {
    readonly id?: string;
    readonly total?: number;
    readonly meta?: { readonly versionId: string };
    readonly entry?: readonly { readonly resource: { readonly id: string; readonly recorded?: string } }[];
  };
}
async function ask(url: string, path: string, method = 'GET', body?: unknown): Promise<Answer> {
  const response = await fetch(`${url}/fhir/${path}`, {
    method,
    headers: TYPE,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? {} : JSON.parse(text) };
}
const patient = (id: string, value = id) => ({
  resourceType: 'Patient',
  id,
  name: [{ family: CANARY }],
  identifier: [{ system: 'urn:drill', value }],
});
async function purged(url: string, id: string): Promise<void> {
  const response = await fetch(`${url}/fhir/Patient/${id}/$purge`, {
    method: 'POST',
    headers: { prefer: 'respond-async' },
  });
  assert.equal(response.status, 202, await response.text());
  const status = response.headers.get('content-location') ?? '';
  for (let code = 202; code === 202; await new Promise((resolve) => setTimeout(resolve, 50)))
    code = (await fetch(status)).status;
}

test('reliability@backup-drill: taken under writes, killed, restored elsewhere, served', {
  skip: embeddedOnly,
  timeout: 240_000,
}, async () => {
  const [data, other, kept] = [folder(), join(folder(), 'new'), folder()];
  const keyFile = join(kept, 'data.key');
  writeFileSync(keyFile, 'a passphrase of the drill');
  const key = { DATA_KEY_FILE: keyFile };
  const file = join(kept, 'night.fwbackup');
  const watched = { ...key, MONITORING: 'on' };
  const server = await start(watched, data);
  for (const id of ['stays', 'erased'])
    assert.equal((await ask(server.url, `Patient/${id}`, 'PUT', patient(id))).status, 201);
  assert.equal((await ask(server.url, 'Patient/stays', 'PUT', patient('stays', 'second'))).status, 200);

  let dead = false;
  const acknowledged: string[] = [];
  const writer = async (name: string): Promise<void> => {
    for (let count = 0; !dead; count++) {
      const id = `${name}-${count}`;
      const { status } = await ask(server.url, `Patient/${id}`, 'PUT', patient(id)).catch(() => ({ status: 0 }));
      if (status === 201) acknowledged.push(id);
    }
  };
  const writers = ['a', 'b', 'c'].map(writer);
  while (acknowledged.length < 30) await new Promise((resolve) => setTimeout(resolve, 20));
  const before = [...acknowledged];
  const taken = await command({ DATA_DIR: data, ...key }, 'backup', file);
  const during = acknowledged.length - before.length;
  assert.equal(taken.code, 0, taken.output);
  assert.ok(during > 0, 'writes went on while it was taken');
  assert.deepEqual(readdirSync(kept).toSorted(), ['data.key', 'night.fwbackup', 'night.fwbackup.sha256']);
  assert.equal(statSync(file).mode & 0o077, 0, 'nobody else reads it');
  assert.ok(!readFileSync(file).includes(CANARY), 'encrypted as the data is');

  // After the backup: a version, a resource and an erasure that the backup does not know.
  assert.equal((await ask(server.url, 'Patient/stays', 'PUT', patient('stays', 'third'))).status, 200);
  await purged(server.url, 'erased');
  const late = await ask(server.url, 'AuditEvent?_sort=-date&_count=1');
  const lost = late.json.entry?.[0]?.resource.id ?? '';
  await server.stop('SIGKILL');
  dead = true;
  await Promise.all(writers);

  const verified = await command(key, 'backup', '--verify', file);
  assert.equal(verified.code, 0, verified.output);
  const note = JSON.parse(verified.said);
  assert.equal(note.encrypted, true);
  assert.ok(note.counts.resource >= before.length + 2);
  assert.deepEqual(
    note.files,
    ['audit.key', 'cursor.key', 'record.key'].filter((name) => existsSync(join(data, name))),
  );

  const restored = await command(
    { DATA_DIR: other, ...key },
    ...['restore', file, '--erasures', join(data, 'erasures.ndjson')],
  );
  assert.equal(restored.code, 0, restored.output);
  assert.equal(JSON.parse(restored.said).erasures, 1);
  assert.deepEqual(readFileSync(join(other, 'cursor.key')), readFileSync(join(data, 'cursor.key')));

  const second = await start(watched, other);
  for (const id of before)
    assert.equal((await ask(second.url, `Patient/${id}`)).status, 200, `${id} was acknowledged before`);
  assert.equal((await ask(second.url, 'Patient/erased')).status, 404, 'who was erased since does not come back');
  assert.equal((await ask(second.url, 'Patient?identifier=urn:drill|erased&_total=accurate')).json.total, 0);
  assert.equal(
    (await ask(second.url, 'Patient?identifier=urn:drill|second&_total=accurate')).json.total,
    1,
    'searched',
  );
  const stays = await ask(second.url, 'Patient/stays');
  assert.equal(stays.json.meta?.versionId, '2', 'the third version came after');
  const next = await ask(second.url, 'Patient/stays', 'PUT', patient('stays', 'fourth'));
  assert.equal(next.json.meta?.versionId, '3');
  assert.equal((await ask(second.url, `AuditEvent/${lost}`)).status, 404, 'an id that was lost is not given again');
  const told = await ask(second.url, 'AuditEvent?subtype=restore');
  assert.equal(told.json.entry?.length, 1, 'the restore is recorded');
  const [, rows = '0'] = told.json.entry?.[0]?.resource.id.split('-') ?? [];
  assert.ok(Number(rows) >= 1);
  // The sequences that were left out are no changes to be read.
  for (let behind = -1; behind !== 0; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const { checks } = (await (await fetch(`${second.url}/health/ready`)).json()) as { checks: Check[] };
    behind = checks.find(({ name }) => name === 'monitoring')?.observedValue ?? -1;
    assert.ok(behind < 10_000, `monitoring is ${behind} changes behind`);
  }
  assert.equal(await second.stop(), 0);
  const chain = await command({ DATA_DIR: other, ...key }, 'verify-audit');
  assert.equal(chain.code, 0, chain.output);
});
