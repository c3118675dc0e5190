/**
 * Runs the test files that open a store on the stand-in of MongoDB (decision 0041), each on a fresh one, and writes docs/store-stand-in.md. `npm test`
 * runs the same files on the embedded engine, and with MONGODB_URL on a replica set. Needs what the tests installed before.
 *
 *     node scripts/test-stand-in.ts [--results <file>] [--page <file>] [--at-once <n>] [--told] [file ...]
 *
 * Without files all of them, but for those that the file of results already has of a pass: a pass that was cut short goes on. Files that are named
 * run again and are told as such. `--told`: nothing runs, the page is written of what the file of results has. Output of each file: beside the file of results.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  createWriteStream,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { answers, program, STAND_IN, standIn } from '../test/store/stand-in.ts';
import { STAND_IN_NAME } from '../test/test-store.ts';
import { type FileRun, rowsOf, standInPage } from './stand-in-page.ts';

/** Longest time of a file, s. */
const MOST_SECONDS = 900;
/** The stand-in does some hundred writes a second. */
const COUNTS = { LEAK_CASES: '60', GENERATED_CASES: '40', EQUAL_REQUESTS: '300', CRASH_ROUNDS: '2', RACE_ROUNDS: '2' };
const GOAL = resolve('test/test-store.ts');

const imports = new Map<string, readonly string[]>();
function importsOf(file: string): readonly string[] {
  const known = imports.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(file, 'utf8');
  // Tests may hold the text of a program that imports: it is no file here.
  const found = [...text.matchAll(/(?:from|import) *\(?'(\.[^']+\.ts)'/g)]
    .map(([, path = '']) => resolve(dirname(file), path))
    .filter((path) => existsSync(path));
  imports.set(file, found);
  return found;
}
function opensStore(file: string): boolean {
  const seen = new Set([resolve(file)]);
  for (const each of seen) for (const path of importsOf(each)) seen.add(path);
  return seen.has(GOAL);
}

const { values, positionals: named } = parseArgs({
  allowPositionals: true,
  options: {
    results: { type: 'string', default: join(tmpdir(), 'firewatch-stand-in.ndjson') },
    page: { type: 'string', default: 'docs/store-stand-in.md' },
    'at-once': { type: 'string', default: '1' },
    told: { type: 'boolean', default: false },
  },
});
const { results, page } = values;
const atOnce = Math.max(1, Number(values['at-once']));
const logs = `${results}.output`;
mkdirSync(logs, { recursive: true });

const found = program();
if (typeof found !== 'string') throw new Error(found.skip);
const git = async (...args: readonly string[]): Promise<string> => {
  const child = spawn('git', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  return (await child.stdout.toArray()).join('').trim();
};
const commit =
  (await git('rev-parse', '--short', 'HEAD')) + ((await git('status', '--porcelain')) === '' ? '' : ' and changes');

async function run(file: string, isPass: boolean): Promise<FileRun> {
  const { command, url } = await standIn(typeof found === 'string' ? found : '');
  const [path, ...settings] = command;
  const server = spawn(path, settings, { stdio: 'ignore' });
  await answers(url);
  const began = new Date().toISOString();
  const since = performance.now();
  const log = join(logs, `${file.replaceAll('/', '.')}.txt`);
  const written = createWriteStream(log);
  const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file], {
    env: { ...process.env, ...COUNTS, MONGODB_URL: `${url}&${STAND_IN_NAME}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(written, { end: false });
  child.stderr.pipe(written, { end: false });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill();
  }, MOST_SECONDS * 1000);
  await once(child, 'close');
  clearTimeout(timer);
  await new Promise<void>((ended) => written.end(ended));
  server.kill();
  if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  const end = isLate ? 'time' : child.exitCode === 0 ? 'passes' : 'fails';
  const seconds = Math.round((performance.now() - since) / 1000);
  return { file, commit, isPass, began, seconds, end, ...rowsOf(readFileSync(log, 'utf8')) };
}

const before = (): readonly FileRun[] =>
  existsSync(results)
    ? readFileSync(results, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line): FileRun => JSON.parse(line))
    : [];
const all = globSync('test/**/*.test.ts').toSorted().filter(opensStore);
const isPass = named.length === 0;
const had = new Set(before().flatMap((each) => (each.isPass ? [each.file] : [])));
const waiting = isPass ? all.filter((file) => !had.has(file)) : [...named];
let failed = 0;
const work = async (): Promise<void> => {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const done = await run(file, isPass);
    appendFileSync(results, `${JSON.stringify(done)}\n`);
    const { end, passed, skips, seconds, failing } = done;
    console.log(`${end} ${file}: ${passed} passed, ${done.failed} failed, ${skips.length} skipped, ${seconds} s`);
    for (const name of failing) console.log(`       ${name}`);
    if (end !== 'passes') failed++;
  }
};
if (!values.told) await Promise.all(Array.from({ length: atOnce }, work));
const settings = {
  standIn: STAND_IN.replace('==', ' '),
  counts: COUNTS,
  machine: `${availableParallelism()} cores, Node ${process.versions.node}, ${process.platform}-${process.arch}`,
  files: all,
};
writeFileSync(page, standInPage(before(), settings));
console.log(`Written: ${page}.`);
process.exitCode = failed === 0 ? 0 : 1;
