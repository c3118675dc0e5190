/** `npm run check`: format, lint, types, architecture rules, fast tests, docs drift. Before every commit; under 3 minutes. */
import { lintStep } from './lint.ts';
import { runSteps } from './steps.ts';
import { testStep } from './test-files.ts';

await runSteps([
  lintStep(),
  { name: 'types', command: 'node_modules/.bin/tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'docs drift', command: process.execPath, args: ['scripts/docs.ts', '--check'] },
  testStep('fast tests', 'fast'),
]);
