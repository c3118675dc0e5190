/** The measured server: the real one, as its own process, over a temporary folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Measurable {
  readonly url: string;
  /** CPU time of all its threads so far, in seconds. Linux only. */
  cpuSeconds(): number;
  /** Resident memory in MB. */
  memoryMb(): number;
  /** Delays of its main thread since the last call, in ms. */
  loopDelay(): Promise<{ readonly p99: number; readonly worst: number; readonly work: number }>;
  stop(): Promise<void>;
}

/** As `npm start` and the image start it: a larger young generation (see the commit that set it for ratios). */
const AS_DELIVERED = ['--max-semi-space-size=64'];
const TICKS_PER_SECOND = 100;
const PAGE_MB = 4096 / 1_048_576;

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** @param nodeOptions options of Node before the file, e.g. `--cpu-prof` */
export async function startServer(
  nodeOptions: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<Measurable> {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-bench-'));
  const port = await freePort();
  const preload = new URL('./loop-delay.ts', import.meta.url).href;
  const main = new URL('../src/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [...AS_DELIVERED, ...nodeOptions, '--import', preload, main, 'serve'], {
    env: { ...process.env, SEED: 'none', ...settings, DATA_DIR: folder, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}:\n${output}`);
    const { ok } = await fetch(`${url}/health/ready`).catch(() => ({ ok: false }));
    if (ok) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const proc = (file: string): readonly string[] =>
    readFileSync(`/proc/${child.pid}/${file}`, 'utf8')
      .replace(/^.*\) /s, '')
      .trim()
      .split(' ');
  return {
    url,
    cpuSeconds: () => {
      const fields = proc('stat');
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    memoryMb: () => Number(proc('statm')[1]) * PAGE_MB,
    loopDelay: async () => {
      const seen = output.length;
      child.kill('SIGUSR2');
      for (;;) {
        const line = /loop-delay (\{.*\})\n/.exec(output.slice(seen));
        if (line?.[1] !== undefined) return JSON.parse(line[1]);
        await once(child.stderr, 'data');
      }
    },
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
