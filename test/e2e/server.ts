/** Starts the real server as its own process, on a free loopback port, over a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeSettings } from '../test-store.ts';

export interface Running {
  readonly url: string;
  readonly folder: string;
  readonly pid: number;
  /** Everything written to standard output and standard error so far. */
  output(): string;
  /** Sends the signal and waits for the end; the exit code, or the signal's name. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** A test that fails before it stops its server must not leave it behind, nor wait for it: it is ended with the test's process. */
const started = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A new temporary folder; remove it with `removeFolder`. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'firewatch-'));
}
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * Resolves when `/health/ready` answers 200.
 * @throws Error with the server's output when it ends instead
 */
export async function start(
  env: Readonly<Record<string, string>> = {},
  folder: string = newFolder(),
): Promise<Running> {
  const port = await freePort();
  const child: ChildProcess = spawn(process.execPath, ['src/main.ts', 'serve'], {
    env: { ...process.env, SEED: 'none', RESERVE_MB: '0', ...storeSettings(folder), ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.add(child);
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  child.unref();
  for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref();
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}:\n${output}`);
    const ready = await fetch(`${url}/health/ready`).then(
      ({ status }) => status === 200,
      () => false,
    );
    // Its own word too: another file's server may have taken the port since it was found free.
    if (ready && output.includes('Firewatch is ready')) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    folder,
    pid: child.pid ?? 0,
    output: () => output,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null) return child.exitCode;
      if (child.signalCode !== null) return child.signalCode;
      child.ref();
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
      return child.exitCode ?? child.signalCode ?? 'unknown';
    },
  };
}
