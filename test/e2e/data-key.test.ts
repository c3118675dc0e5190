// docs/mongodb.md#a-database-that-does-not-read-what-it-holds: the settings and commands of a site that has a data key.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testServer } from '../store/mongodb-server.ts';
import { sender } from './client.ts';
import { newFolder, removeFolder, start } from './server.ts';

const server = await testServer();

test('fields@commands: a server and every command need the passphrase; another one opens the same data', {
  timeout: 300_000,
  skip: 'skip' in server ? server.skip : false,
}, async (context) => {
  if ('skip' in server) return;
  const folder = newFolder();
  context.after(() => removeFolder(folder));
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  writeFileSync(first, 'one passphrase\n');
  writeFileSync(second, 'another\n');
  const place = { MONGODB_URL: server.url(), JOBS_DIR: folder };
  const running = await start({ ...place, DATA_KEY_FILE: first }, folder);
  const { status, text } = await sender(`${running.url}/fhir`)('PUT', '/Patient/a', {
    resourceType: 'Patient',
    id: 'a',
    name: [{ family: 'Zwolfhagen' }],
  });
  assert.equal(status, 201, text);
  await running.stop();

  const run = (key: string | undefined, ...words: readonly string[]) => {
    const { DATA_KEY_FILE: _, ...inherited } = process.env;
    const env = { ...inherited, SEED: 'none', DATA_DIR: folder, ...place };
    const given = key === undefined ? env : { ...env, DATA_KEY_FILE: key };
    return spawnSync(process.execPath, ['src/main.ts', ...words], { env: given, encoding: 'utf8', timeout: 100_000 });
  };
  const refused: readonly [key: string | undefined, said: RegExp][] = [
    [second, /does not hold the passphrase of this database/],
    [undefined, /was written with a data key: give its passphrase with DATA_KEY_FILE/],
  ];
  for (const [key, said] of refused) {
    const { status: code, stderr } = run(key, 'verify-audit');
    assert.equal(code, 1, stderr);
    assert.match(stderr, said);
  }
  const changed = run(first, 'change-data-key', '--to', second);
  assert.equal(changed.status, 0, changed.stderr);
  const verified = run(second, 'verify-audit');
  assert.equal(verified.status, 0, verified.stderr);
  const upgraded = run(second, 'upgrade', '--finish');
  assert.equal(upgraded.status, 0, upgraded.stderr);
  const again = await start({ ...place, DATA_KEY_FILE: second }, folder);
  const found = await sender(`${again.url}/fhir`)('GET', '/Patient?family=zwolf');
  assert.match(found.text, /Zwolfhagen/);
  await again.stop();
});
