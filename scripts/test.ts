/** `npm test`: everything, with reduced counts (under 10 minutes). `npm run test:full`: the stated counts, written to docs/test-results.md. */
import { lintStep } from './lint.ts';
import { runSteps } from './steps.ts';
import { FULL_COUNTS, testStep } from './test-files.ts';

const full = process.argv.includes('--full');
await runSteps([
  lintStep(),
  { name: 'types', command: 'node_modules/.bin/tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'docs drift', command: process.execPath, args: ['scripts/docs.ts', '--check'] },
  testStep(full ? 'all tests, stated counts' : 'all tests, reduced counts', 'all', full ? FULL_COUNTS : {}),
]);
