// Decision 0001: whatever Node the machine has, the project's code runs on 24 or newer; signals and exit codes pass through.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, resolve } from 'node:path';
import { test } from 'node:test';
import { limit, storeSettings } from '../test-store.ts';
import { newFolder, removeFolder } from './server.ts';

/** The machine's own PATH, without the folder that the bootstrap put in front. */
const PATH = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !resolve(folder).startsWith(resolve('runtime')))
  .join(delimiter);
const env = { ...process.env, PATH };

test('the bootstrap runs code on Node 24 or newer, from whatever Node starts it', () => {
  const own = spawnSync('node', ['--version'], { env, encoding: 'utf8' });
  const { stdout, status } = spawnSync('node', ['runtime/run.cjs', '-p', 'process.versions.node'], {
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.ok(Number(stdout.split('.')[0]) >= 24, `started by ${own.stdout.trim()}, ran on ${stdout.trim()}`);
});

test('exit codes pass through', () => {
  assert.equal(spawnSync('node', ['runtime/run.cjs', '-e', 'process.exit(7)'], { env }).status, 7);
});

test('SIGTERM reaches the server', async () => {
  const script = "process.on('SIGTERM', () => process.exit(5)); setInterval(() => {}, 1000); console.log('up')";
  const child = spawn('node', ['runtime/run.cjs', '-e', script], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 5);
});

test('a killed bootstrap leaves no server behind: port and data folder are free again', {
  timeout: limit(60_000),
}, async () => {
  const folder = newFolder();
  const port = String(19_000 + (process.pid % 1000));
  const own = { ...env, SEED: 'none', PORT: port, ...storeSettings(folder) };
  const answers = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/health/live`).then(
      () => true,
      () => false,
    );
  const until = async (wanted: boolean): Promise<void> => {
    while ((await answers()) !== wanted) await new Promise((done) => setTimeout(done, 50));
  };
  for (const killed of ['first', 'second']) {
    const child = spawn('node', ['runtime/run.cjs', 'src/main.ts'], { env: own, stdio: 'ignore' });
    await until(true);
    child.kill('SIGKILL');
    await until(false);
    assert.ok(killed);
  }
  removeFolder(folder);
});
