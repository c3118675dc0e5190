/**
 * Runs the test files that open a store on the stand-in of MongoDB (decision 0041), each on a fresh one, and prints a line a file. `npm test` runs
 * the same files on the embedded engine, and with MONGODB_URL on a replica set. Arguments: files; none: all. Needs what the tests installed before.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { answers, freePort, program } from '../test/store/mongodb-server.ts';
import { STAND_IN_NAME } from '../test/test-store.ts';

/** Longest time of a file, ms. */
const MOST_MS = 900_000;
const GOAL = resolve('test/test-store.ts');

const imports = new Map<string, readonly string[]>();
function importsOf(file: string): readonly string[] {
  const known = imports.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/(?:from|import) *\(?'(\.[^']+\.ts)'/g)].map(([, path = '']) =>
    resolve(dirname(file), path),
  );
  imports.set(file, found);
  return found;
}
function opensStore(file: string): boolean {
  const seen = new Set([resolve(file)]);
  for (const each of seen) for (const path of importsOf(each)) seen.add(path);
  return seen.has(GOAL);
}

const found = program();
if (typeof found !== 'string') throw new Error(found.skip);
const given = process.argv.slice(2);
const files = given.length > 0 ? given : globSync('test/**/*.test.ts').toSorted().filter(opensStore);
let failed = 0;
for (const file of files) {
  const port = await freePort();
  const settings = [
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--storage-path',
    ':memory:',
    '--log-level',
    'ERROR',
  ];
  const server = spawn(resolve(found, '..', 'python'), [found, ...settings, '--enable-test-commands'], {
    stdio: 'ignore',
  });
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  await answers(url);
  const began = performance.now();
  const run = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
    encoding: 'utf8',
    env: { ...process.env, MONGODB_URL: `${url}&${STAND_IN_NAME}` },
    maxBuffer: 256 * 1_048_576,
    timeout: MOST_MS,
  });
  server.kill();
  if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  const count = (what: string) => new RegExp(`^# ${what} (\\d+)`, 'm').exec(run.stdout)?.[1] ?? '?';
  const seconds = Math.round((performance.now() - began) / 1000);
  const told = ['pass', 'fail', 'cancelled', 'skipped'].map((what) => `${what} ${count(what)}`).join(', ');
  console.log(`${run.status === 0 ? 'passes' : 'FAILS '} ${file}: ${told}, ${seconds} s`);
  for (const [line] of run.stdout.matchAll(/^ *not ok .*$/gm)) console.log(`       ${line.trim()}`);
  if (run.status !== 0) failed++;
}
console.log(`${files.length - failed} of ${files.length} files pass.`);
process.exitCode = failed === 0 ? 0 : 1;
