/** Load generator, in a thread of its own: keep-alive connections, each sends its next request when the last is answered. */
import { Agent, request } from 'node:http';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { type Call, type Ground, PROBES, ROWS } from './rows.ts';

export interface Load {
  readonly url: string;
  readonly row: string;
  readonly connections: number;
  readonly seconds: number;
  readonly ground: Ground;
  /** A pause between requests of one connection, for probes. ms */
  readonly everyMs?: number;
}
/** Latencies in ms. `wrong` counts answers with another status than the row's, and broken connections. */
export interface Measured {
  readonly requests: number;
  readonly wrong: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly worst: number;
}

/** Resolves after `seconds` and the last answer. */
export function load(options: Load): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** One request; resolves with its status, 0 when the connection broke. The body is read and dropped. */
function send(agent: Agent, url: URL, { method, path, body }: Call): Promise<number> {
  return new Promise((resolve) => {
    const headers: Record<string, string | number> =
      body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    const sent = request({ agent, host: url.hostname, port: url.port, method, path, headers }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', () => resolve(0));
    });
    sent.once('error', () => resolve(0));
    sent.end(body);
  });
}

/** The value below which `part` of the sorted list lies. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

async function run({ url, row: name, connections, seconds, ground, everyMs }: Load): Promise<Measured> {
  const row = [...ROWS, ...PROBES].find((each) => each.name === name);
  if (row === undefined) throw new TypeError(`There is no row ${name}.`);
  const calls = Array.from({ length: row.different }, (_, index) => row.call(index, ground));
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  let wrong = 0;
  let next = 0;
  const start = performance.now();
  const stop = start + seconds * 1000;
  const connection = async (): Promise<void> => {
    while (performance.now() < stop) {
      const call = calls[next++ % calls.length];
      if (call === undefined) return;
      const sent = performance.now();
      if ((await send(agent, new URL(url), call)) !== row.status) wrong++;
      latencies.push(performance.now() - sent);
      if (everyMs !== undefined) await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  const end = performance.now();
  agent.destroy();
  latencies.sort((a, b) => a - b);
  return {
    requests: latencies.length,
    wrong,
    seconds: (end - start) / 1000,
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
    worst: latencies.at(-1) ?? 0,
  };
}

if (parentPort !== null) parentPort.postMessage(await run(workerData));
