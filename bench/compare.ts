/**
 * Two versions of the server beside each other: `node bench/compare.ts --with ../other-tree`. Both run at once over the same data and are loaded in
 * turn, so that what else the machine does meets both alike; `b` is this tree, `a` the other. CPU a request is that of the whole server.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { recordOf } from './data.ts';
import { load } from './load.ts';
import { type Measurable, startServer } from './server.ts';

const { values } = parseArgs({
  options: {
    with: { type: 'string', default: '' },
    rows: { type: 'string', default: 'read,search-patient-code,search-complex,create,transaction-50' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '64' },
    patients: { type: 'string', default: '200' },
  },
});
const [rounds, seconds, connections, patients] = [
  Number(values.rounds),
  Number(values.seconds),
  Number(values.connections),
  Number(values.patients),
];
if (values.with === '' || !(rounds > 0 && seconds > 0 && connections > 0 && patients > 0)) {
  console.log(
    'node bench/compare.ts --with DIR [--rows A,B] [--rounds 5] [--seconds 2] [--connections 64] [--patients 200]\nBesides rows: beside.',
  );
  process.exit(1);
}
const ground = { patients, end: Date.now() };

async function filled(server: Measurable): Promise<Measurable> {
  for (let patient = 0; patient < patients; patient++) {
    const body = JSON.stringify(recordOf(patient, ground.end));
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch(`${server.url}/fhir`, { method: 'POST', headers, body });
    await answer.text();
    if (answer.status !== 200) throw new Error(`Loading was answered ${answer.status}.`);
  }
  return server;
}

const other: { readonly startServer: typeof startServer } = await import(
  pathToFileURL(join(resolve(values.with), 'bench', 'server.ts')).href
);
const servers = { a: await filled(await other.startServer([])), b: await filled(await startServer([])) };

interface Seen {
  /** Of the whole server, us a request. */
  readonly cpu: number;
  readonly p50: number;
  readonly p99: number;
  readonly wrong: number;
}

async function seen(server: Measurable, row: string): Promise<Seen> {
  const before = server.cpuSeconds();
  const { requests, p50, p99, wrong } = await load({ url: server.url, row, connections, seconds, ground });
  return { cpu: ((server.cpuSeconds() - before) * 1e6) / requests, p50, p99, wrong };
}

/** What four readers feel while two connections load Bundles of 1,000. */
async function seenBeside(server: Measurable): Promise<Seen> {
  const options = { url: server.url, seconds: seconds * 2, ground };
  const [reads, bundles] = await Promise.all([
    load({ ...options, row: 'read', connections: 4, everyMs: 5 }),
    load({ ...options, row: 'bulk-1000', connections: 2 }),
  ]);
  return { cpu: Number.NaN, p50: reads.p50, p99: reads.p99, wrong: reads.wrong + bundles.wrong };
}

const median = (all: readonly number[]): number => all.toSorted((x, y) => x - y)[all.length >> 1] ?? Number.NaN;

async function compare(name: string, look: (server: Measurable) => Promise<Seen>): Promise<void> {
  const found: Record<'a' | 'b', Seen[]> = { a: [], b: [] };
  for (let round = -1; round < rounds; round++) {
    for (const which of round % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const)) {
      const each = await look(servers[which]);
      if (round >= 0) found[which].push(each);
    }
  }
  const of = (which: 'a' | 'b', value: (each: Seen) => number): number => median(found[which].map(value));
  const pair = (value: (each: Seen) => number, digits: number): string =>
    `${of('a', value).toFixed(digits)} | ${of('b', value).toFixed(digits)}`;
  const ratio = of('b', ({ cpu }) => cpu) / of('a', ({ cpu }) => cpu);
  const cpus = Number.isNaN(ratio) ? '- | - | -' : `${pair(({ cpu }) => cpu, 0)} | ${ratio.toFixed(2)}`;
  const wrong = [...found.a, ...found.b].reduce((sum, each) => sum + each.wrong, 0);
  console.log(`| ${name} | ${cpus} | ${pair(({ p50 }) => p50, 1)} | ${pair(({ p99 }) => p99, 1)} | ${wrong} |`);
}

try {
  console.log(`Medians of ${rounds} rounds of ${seconds} s, ${connections} connections, ${patients} patients.\n`);
  console.log(
    '| row | CPU us a | b | b to a | p50 ms a | b | p99 ms a | b | wrong |\n|---|---|---|---|---|---|---|---|---|',
  );
  for (const row of values.rows.split(',')) {
    await compare(row, row === 'beside' ? seenBeside : (server) => seen(server, row));
  }
} finally {
  await servers.a.stop();
  await servers.b.stop();
}
