/** Format and lint with Biome's own binary: `npm run lint`, `npm run format` (--write). */
import { existsSync } from 'node:fs';
import { runSteps, type Step } from './steps.ts';

const BINARY = `node_modules/@biomejs/cli-${process.platform}-${process.arch}/biome`;

/** The step; on a platform without the binary it says so and fails. */
export function lintStep(write = false): Step {
  if (!existsSync(BINARY)) {
    console.error(
      `No formatter for ${process.platform}-${process.arch} is in the lockfile: run this on Linux (x64 or arm64).`,
    );
    process.exit(1);
  }
  const args = ['check', '--error-on-warnings', ...(write ? ['--write'] : []), '.'];
  return { name: 'format and lint', command: BINARY, args };
}

if (import.meta.main) await runSteps([lintStep(process.argv.includes('--write'))]);
