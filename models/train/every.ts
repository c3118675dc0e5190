/**
 * Makes every model again, one command: `npm run models:train`; `-- <id> ...` only the learned ones that are named. The learned ones by train.py
 * (Python packages of Debian), the rules and the ranker of drug findings from their tables. Then `node models/train/golden.ts` and
 * `npm run models:evaluate` write what is said of them.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Debian's, which has the packages; not whichever comes first on the path. */
const PYTHON = '/usr/bin/python3';

function run(command: string, file: string, args: readonly string[] = []): void {
  const { status, error } = spawnSync(command, [join(import.meta.dirname, file), ...args], { stdio: 'inherit' });
  if (error !== undefined) process.stderr.write(`${command} cannot be started: ${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

const wanted = process.argv.slice(2);
if (wanted.length === 0) {
  run(process.execPath, 'build.ts');
  run(process.execPath, 'finding-ranker.ts');
}
run(PYTHON, 'train.py', wanted);
