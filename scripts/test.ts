/** `npm test`: everything, with reduced counts (about 15 minutes). `npm run test:full`: the stated counts, written to docs/test-results.md. MONGODB_URL: on a replica set. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { lintStep } from './lint.ts';
import { runSteps } from './steps.ts';
import { COUNTS, FULL_COUNTS, testStep } from './test-files.ts';

const full = process.argv.includes('--full');
const summaryFile = join(mkdtempSync(join(tmpdir(), 'firewatch-test-')), 'summary.txt');
const began = performance.now();
/** With MONGODB_URL the run leaves databases of its own on the server, as does one that was stopped. */
const dropping =
  (process.env.MONGODB_URL ?? '') === ''
    ? []
    : [{ name: 'drop test databases', command: process.execPath, args: ['scripts/drop-test-databases.ts'] }];
await runSteps([
  ...dropping,
  lintStep(),
  { name: 'types', command: 'node_modules/.bin/tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'docs drift', command: process.execPath, args: ['scripts/docs.ts', '--check'] },
  testStep(
    full ? 'all tests, stated counts' : 'all tests, reduced counts',
    'all',
    full ? FULL_COUNTS : COUNTS,
    full ? summaryFile : undefined,
  ),
  ...dropping,
]);

if (full) {
  const closing = readFileSync(summaryFile, 'utf8').trim().split('\n').at(-1) ?? '';
  const counts = Object.entries(FULL_COUNTS).map(
    ([name, count]) => `| \`${name}\` | ${Number(count).toLocaleString('en')} |`,
  );
  const page = [
    '# Results of the full test run',
    '',
    `Written by \`npm run test:full\` on ${new Date().toISOString().slice(0, 10)}: **${closing}**, in ${Math.round((performance.now() - began) / 1000)} s`,
    `on ${availableParallelism()} cores, Node ${process.versions.node}, ${process.platform}-${process.arch}.`,
    '',
    '| stated count | value |',
    '|---|---|',
    ...counts,
    '',
    '`CRASH_ROUNDS`: rounds of kill -9 (store and whole server). `EQUAL_REQUESTS`: generated requests that both storage engines answer alike. `GENERATED_CASES`: cases of each property test that takes a count. `LEAK_CASES`: requests of the leak test. `RACE_ROUNDS`: rounds of 64 conditional creates at once. `RETRAINED_MODELS`: trained models that are fitted again. `STORE_ROWS`: Observations in the scale test.',
    '',
  ].join('\n');
  writeFileSync('docs/test-results.md', page);
  console.log('Written: docs/test-results.md.');
}
