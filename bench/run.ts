/** Measures the real server from outside, row by row: `npm run bench -- --help`. Source: docs/architecture.md, bench/rows.ts. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { patientOf, RESOURCES, recordOf } from './data.ts';
import { load, type Measured } from './load.ts';
import { type Body, type Ground, ROWS, type Row } from './rows.ts';
import { type Measurable, startServer } from './server.ts';

const HELP = `npm run bench -- [options]
  --patients N        patients loaded before measuring, ${RESOURCES} resources each (200)
  --seconds N         length of each measurement (5)
  --connections A,B   connections of the load generator (16,64; hook calls also 1, and the first after a start)
  --only A,B          rows: ${ROWS.map(({ name }) => name).join(', ')}, stall
  --node-options=X    for the server, e.g. --inspect=127.0.0.1:9229 to profile it. Not --cpu-prof: its signals, one each ms, end SQLite's
                      sleeps, so that the 5 s a writer waits for a lock are over in 20 ms and calls are answered 503
  --write             keep the tables as bench/results/<day>.md
  --quick             about 30 s: 1 s each, 16 connections, 50 patients
Needs Linux (/proc). CPU is user + system time of the whole server process, all threads.`;

const { values } = parseArgs({
  options: {
    patients: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string' },
    only: { type: 'string' },
    'node-options': { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

interface Line extends Measured {
  readonly row: Row;
  readonly connections: number;
  /** Requests per second of CPU time of the whole server. */
  readonly perCore: number;
}

/** @throws Error naming the step and the answer */
async function expectStatus(response: Response, status: number, what: string): Promise<Body> {
  const text = await response.text();
  if (response.status !== status) throw new Error(`${what} was answered ${response.status}: ${text.slice(0, 400)}`);
  return JSON.parse(text);
}

async function post(url: string, method: string, path: string, body: unknown): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** Loads every patient, and three more versions of the first fifty. @returns resources per second, per second of CPU */
async function fill(server: Measurable, { patients, end }: Ground): Promise<string> {
  const start = performance.now();
  const cpu = server.cpuSeconds();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < patients) {
      await expectStatus(await post(server.url, 'POST', '/fhir', recordOf(next++, end)), 200, 'loading');
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
  const resources = patients * RESOURCES;
  const rate = (resources / (performance.now() - start)) * 1000;
  const perCore = resources / (server.cpuSeconds() - cpu);
  for (const city of ['Here', 'There', 'Elsewhere']) {
    for (let patient = 0; patient < Math.min(50, patients); patient++) {
      const changed = patientOf(patient, city);
      await expectStatus(await post(server.url, 'PUT', `/fhir/Patient/${changed.id}`, changed), 200, 'updating');
    }
  }
  return `${resources} resources loaded by transactions of ${RESOURCES} on 4 connections: ${rate.toFixed(0)} resources/s, ${perCore.toFixed(0)} per core`;
}

async function measure(
  server: Measurable,
  row: Row,
  connections: number,
  seconds: number,
  ground: Ground,
): Promise<Line> {
  const { method, path, body = null } = row.call(0, ground);
  const headers = { 'Content-Type': 'application/json' };
  const first = await fetch(`${server.url}${path}`, { method, body, headers });
  const answer = await expectStatus(first, row.status, row.name);
  if (!row.right(answer))
    throw new Error(`${row.name}: the answer is not right: ${JSON.stringify(answer).slice(0, 400)}`);
  const options = { url: server.url, row: row.name, connections, ground };
  await load({ ...options, seconds: Math.min(1, seconds / 2) });
  const cpu = server.cpuSeconds();
  const measured = await load({ ...options, seconds });
  return { ...measured, row, connections, perCore: measured.requests / (server.cpuSeconds() - cpu) };
}

const HEAD = [
  'row',
  'connections',
  'req/s',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'CPU ms',
  'per core',
  'to read',
  'goal',
  'to goal',
  'wrong',
];

function cells(line: Line, read: Line | undefined): readonly string[] {
  const { row, connections, requests, seconds, p50, p95, p99, perCore, wrong } = line;
  const counted = perCore * (row.resources ?? 1);
  return [
    row.name,
    String(connections),
    (requests / seconds).toFixed(requests / seconds < 100 ? 1 : 0),
    ...[p50, p95, p99].map((ms) => ms.toFixed(1)),
    (1000 / perCore).toFixed(3),
    perCore.toFixed(perCore < 100 ? 1 : 0),
    read === undefined ? '-' : (perCore / read.perCore).toFixed(3),
    row.goal === undefined ? '-' : `${row.goal}${row.resources === undefined ? '' : ' res'}`,
    row.goal === undefined ? '-' : (counted / row.goal).toFixed(2),
    String(wrong),
  ];
}

const WIDTHS = [24, 11, 8, 8, 8, 8, 8, 8, 8, 9, 8, 5];
const padded = (texts: readonly string[]): string => texts.map((text, at) => text.padEnd(WIDTHS[at] ?? 8)).join(' ');
const tableLine = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;

/** What reads and the main thread feel while Bundles load: read and probe latencies, and the main thread's own delays. */
async function stalls(server: Measurable, seconds: number, ground: Ground): Promise<readonly (readonly string[])[]> {
  const lines: (readonly string[])[] = [];
  for (const row of ['nothing', 'bulk-1000', 'bundle-below-threshold']) {
    const options = { url: server.url, ground, seconds };
    await server.loopDelay();
    const [live, reads, bundles] = await Promise.all([
      load({ ...options, row: 'live', connections: 1, everyMs: 5 }),
      load({ ...options, row: 'read', connections: 4, everyMs: 5 }),
      ...(row === 'nothing' ? [] : [load({ ...options, row, connections: 2 })]),
    ]);
    const delay = await server.loopDelay();
    const numbers = [
      live.p50,
      live.p99,
      live.worst,
      reads.p50,
      reads.p99,
      reads.worst,
      delay.p99,
      delay.worst,
      delay.work,
    ];
    lines.push([
      row,
      (bundles === undefined ? 0 : bundles.requests / bundles.seconds).toFixed(1),
      ...numbers.map((ms) => ms.toFixed(1)),
    ]);
    console.log(lines.at(-1)?.join('  '));
  }
  return lines;
}
const STALL_HEAD = [
  'while loading',
  'bundles/s',
  'live p50',
  'p99',
  'worst',
  'read p50',
  'p99',
  'worst',
  'main thread p99',
  'worst',
  'own work, worst',
];

const FIRST_HEAD = ['first calls after the start, ms', 'cold', 'second', 'tenth'];

/** Each hook right after the server says that it is ready, those before it asked only. ms */
async function firstCalls(
  { url }: Measurable,
  rows: readonly Row[],
  ground: Ground,
): Promise<readonly (readonly string[])[]> {
  const lines: (readonly string[])[] = [];
  for (const row of rows) {
    const times: number[] = [];
    for (let index = 0; index < 10; index++) {
      const { method, path, body } = row.call(index, ground);
      const start = performance.now();
      await expectStatus(await post(url, method, path, JSON.parse(body ?? '{}')), row.status, row.name);
      times.push(performance.now() - start);
    }
    lines.push([row.name, ...[0, 1, 9].map((at) => (times[at] ?? 0).toFixed(1))]);
    console.log(lines.at(-1)?.join('  '));
  }
  return lines;
}

async function main(): Promise<void> {
  const quick = values.quick;
  const patients = Number(values.patients ?? (quick ? 50 : 200));
  const seconds = Number(values.seconds ?? (quick ? 1 : 5));
  const connections = (values.connections ?? (quick ? '16' : '16,64')).split(',').map(Number);
  const only = values.only?.split(',');
  const chosen = (name: string): boolean => only === undefined || only.includes(name);
  const ground = { patients, end: Date.now() };
  const report: string[] = [];
  const say = (text: string): void => {
    console.log(text);
    report.push(text);
  };

  let server = await startServer(values['node-options'].split(' ').filter((option) => option !== ''));
  const first = async (kind: Row['hook']): Promise<void> => {
    const rows = ROWS.filter(({ name, hook }) => hook === kind && chosen(name));
    if (rows.length === 0) return;
    const lines = await firstCalls(server, rows, ground);
    report.push('', tableLine(FIRST_HEAD), tableLine(FIRST_HEAD.map(() => '---')), ...lines.map(tableLine), '');
  };
  try {
    const empty = server.memoryMb();
    await first('given');
    console.log(`loading ${patients} patients ...`);
    say(
      `${await fill(server, ground)}; memory ${empty.toFixed(0)} MB empty, ${server.memoryMb().toFixed(0)} MB loaded.`,
    );
    server = await server.again();
    await first('fetched');
    console.log(`\n${padded(HEAD)}`);
    report.push('', tableLine(HEAD), tableLine(HEAD.map(() => '---')));
    const alone = values.connections === undefined && !quick ? [1] : [];
    const reads = new Map<number, Line>();
    for (const writes of [undefined, true]) {
      for (const count of [...alone, ...connections]) {
        const isDue = ({ name, hook, writes: also }: Row): boolean =>
          chosen(name) && also === writes && (count > 1 || hook !== undefined);
        for (const row of ROWS.filter(isDue)) {
          const line = await measure(server, row, count, seconds, ground);
          if (row.name === 'read') reads.set(count, line);
          console.log(padded(cells(line, reads.get(count))));
          report.push(tableLine(cells(line, reads.get(count))));
        }
      }
    }
    if (chosen('stall')) {
      console.log(`\n${STALL_HEAD.join('  ')}   (ms)`);
      const lines = await stalls(server, seconds, ground);
      report.push('', tableLine(STALL_HEAD), tableLine(STALL_HEAD.map(() => '---')), ...lines.map(tableLine));
    }
    say(`\nMemory of the server at the end: ${server.memoryMb().toFixed(0)} MB.`);
  } finally {
    await server.stop();
  }
  if (values.write) keep(report, ground);
}

/** bench/results/<day>.md: the tables with what is needed to repeat and to judge them. */
function keep(report: readonly string[], { patients, end }: Ground): void {
  const name = new Date(end).toISOString().slice(0, 10);
  const options = process.argv.slice(2).filter((option) => option !== '--write');
  const text = [
    `# Measured ${name}`,
    '',
    `- machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GB, shared with other work and with the load generator; Node ${process.version}`,
    `- data: ${patients} synthetic patients, ${RESOURCES} resources each (100 Observations, 4 MedicationRequests, 8 Conditions)`,
    `- command: \`npm run bench -- ${[...options, '--write'].join(' ')}\``,
    '- method: the server as it is delivered, one process on a temporary folder; audit and durable writes on. The load generator is a thread of another process, with keep-alive connections that each send the next request when the last is answered. One warm-up, then the measurement. "per core" is requests per second of CPU time (user + system, every thread of the server, from /proc). "to read": per core divided by that of read in the same run. "to goal": per core (resources per core where the goal says `res`) divided by the goal. "wrong": answers with another status. The first answer of each row is checked for content.',
    "- stalls: /health/live every 5 ms and four readers from other threads, two loading connections; then the delays of the server's main thread by perf_hooks in a preload file (waiting for a core included), and the most CPU time that thread used in one turn.",
    '- Compare ratios inside a table; absolute figures of a shared machine vary.',
    '',
    ...report,
    '',
  ].join('\n');
  mkdirSync(new URL('./results/', import.meta.url), { recursive: true });
  writeFileSync(new URL(`./results/${name}.md`, import.meta.url), text);
}

if (values.help) console.log(HELP);
else await main();
