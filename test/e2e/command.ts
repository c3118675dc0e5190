/** `firewatch <command>` as its own process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ended {
  readonly code: number | null;
  /** Standard output. */
  readonly said: string;
  /** Both streams. */
  readonly output: string;
}

/** Runs to its end with these settings over those of the test's process. */
export async function command(env: Readonly<Record<string, string>>, ...given: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, ['src/main.ts', ...given], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [said, output] = ['', ''];
  child.stdout.on('data', (chunk) => {
    said += chunk;
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  return { code: child.exitCode, said, output };
}
