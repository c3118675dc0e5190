/** Runs named steps of a script one after another, shows each with its time, and stops at the first that fails. */
import { spawn } from 'node:child_process';

export interface Step {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Exit code of one command, its output shown as it comes. */
function run(step: Step): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(step.command, step.args, { stdio: 'inherit', env: { ...process.env, ...step.env } });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** Runs all steps; ends the process with the failing step's code. */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  const began = performance.now();
  for (const [index, step] of steps.entries()) {
    console.log(`\n[${index + 1}/${steps.length}] ${step.name}`);
    const started = performance.now();
    const code = await run(step);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (code !== 0) {
      console.error(`\n${step.name}: failed after ${seconds} s.`);
      process.exit(code);
    }
    console.log(`${step.name}: done in ${seconds} s.`);
  }
  console.log(`\nAll ${steps.length} steps done in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
}
