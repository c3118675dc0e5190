/** The measured server: the real one, as its own process, over a temporary folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
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
  /** Ends it and starts it again on the same data. */
  again(): Promise<Measurable>;
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

/** What cards about sepsis ask for outside a demonstration: every version that is here is attested. */
function attestations(): string {
  const models = new URL('../models/', import.meta.url).pathname;
  const scores = ['sepsis-3', 'sofa', 'sepsis-hour-1'].map((model) => {
    const { version } = JSON.parse(readFileSync(join(models, 'scores', `${model}.json`), 'utf8'));
    return { model, version };
  });
  const graphs = readdirSync(join(models, 'sepsis-icu')).map((version) => ({ model: 'sepsis-icu', version }));
  return JSON.stringify([...scores, ...graphs].map((each) => ({ attestedBy: 'benchmark', at: '2026-01-01', ...each })));
}

/** @param nodeOptions options of Node before the file, e.g. `--inspect` */
export async function startServer(
  nodeOptions: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  folder: string = mkdtempSync(join(tmpdir(), 'firewatch-bench-')),
): Promise<Measurable> {
  const port = await freePort();
  const preload = new URL('./loop-delay.ts', import.meta.url).href;
  const main = new URL('../src/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [...AS_DELIVERED, ...nodeOptions, '--import', preload, main, 'serve'], {
    env: {
      ...process.env,
      SEED: 'none',
      SEPSIS_ATTESTATION: attestations(),
      ...settings,
      DATA_DIR: folder,
      PORT: String(port),
    },
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
  const end = async (): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
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
    again: async () => {
      await end();
      return startServer(nodeOptions, settings, folder);
    },
    stop: async () => {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
