/** Which test files belong to which run. Slow ones are named here, once, with why. */
import { globSync } from 'node:fs';
import type { Step } from './steps.ts';

/** Left out of `npm run check`: they start processes, kill them, or build the product. */
const SLOW = ['test/store/crash.test.ts', 'test/e2e/'];

/** What `npm test` does not reduce: leaks are looked for in full wherever the whole suite runs. */
export const COUNTS: Readonly<Record<string, string>> = { LEAK_CASES: '10000' };

/** The stated counts of `npm run test:full`; the defaults in the tests are the reduced ones. */
export const FULL_COUNTS: Readonly<Record<string, string>> = {
  ...COUNTS,
  CRASH_ROUNDS: '40',
  EQUAL_REQUESTS: '5000',
  GENERATED_CASES: '10000',
  RACE_ROUNDS: '1000',
  RETRAINED_MODELS: '5',
  STORE_ROWS: '1000000',
};

const isSlow = (file: string): boolean => SLOW.some((slow) => file.startsWith(slow));

/**
 * A step that runs the test files of a kind with Node's test runner, two files at a time.
 * @param summaryFile where the closing summary is written as well
 */
export function testStep(
  name: string,
  kind: 'fast' | 'all',
  env: Readonly<Record<string, string>> = {},
  summaryFile?: string,
): Step {
  const files = globSync('test/**/*.test.ts')
    .filter((file) => kind === 'all' || !isSlow(file))
    .toSorted();
  return {
    name: `${name} (${files.length} files)`,
    command: process.execPath,
    args: [
      '--test',
      '--test-concurrency=2',
      '--test-reporter=dot',
      '--test-reporter-destination=stdout',
      '--test-reporter=./scripts/test-summary.mjs',
      '--test-reporter-destination=stdout',
      ...(summaryFile === undefined
        ? []
        : ['--test-reporter=./scripts/test-summary.mjs', `--test-reporter-destination=${summaryFile}`]),
      ...files,
    ],
    env,
  };
}
