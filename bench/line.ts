/**
 * The one line of commits of the MongoDB engine: 1, 2, 4 and 8 processes commit into one database as fast as they can, small requests (16 at once a
 * process) or Bundles (one at a time), by turns and as it comes. Ratios in one run; each combination in a database of its own. What each process sent is counted from the driver's
 * own events. `MONGODB_URL=… node bench/line.ts [--processes 1,2,4,8] [--seconds 6] [--write]`
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { CommandStartedEvent, MongoClient } from 'mongodb';
import type { IndexEntry } from '../src/fhir/search/algebra.ts';
import { attachMongo, type MongoOptions, openMongo } from '../src/store/mongodb.ts';
import type { Command, CommitRequest } from '../src/store/port.ts';

const { values } = parseArgs({
  options: {
    processes: { type: 'string', default: '1,2,4,8' },
    seconds: { type: 'string', default: '6' },
    write: { type: 'boolean', default: false },
    /** Of a process that commits: its number, and what it does. */
    writer: { type: 'string' },
    work: { type: 'string', default: 'small' },
    turns: { type: 'string', default: 'by turns' },
  },
});
const SECONDS = Number(values.seconds);
const BUNDLE = 100;
const WORKS = { small: { atOnce: 16, puts: 1 }, bundle: { atOnce: 1, puts: BUNDLE } } as const;
type WorkName = keyof typeof WORKS;

/** What one process did. Times in ms. */
interface Figures {
  readonly versions: number;
  readonly attempts: number;
  readonly lost: number;
  readonly longestMs: number;
  readonly heldMs: readonly number[];
  /** Round trips while the head was held, and all. */
  readonly tripsHeld: number;
  readonly trips: number;
}

const URL_OF = process.env.MONGODB_URL ?? '';
const options = (database: string): MongoOptions => {
  const [base = '', query] = URL_OF.split('?');
  const place = base.split('/').slice(0, 3).join('/');
  return {
    url: `${place}/${database}?${query === undefined ? '' : `${query}&`}monitorCommands=true`,
    renderAudit: ({ bytes }) => bytes,
    headKey: new Uint8Array(32),
    indexHash: 'line',
    types: ['Observation'],
  };
};

function put(id: string): Command {
  const token = (name: string, code: string): IndexEntry => ({
    ...{ kind: 'token', parameter: `Observation.${name}`, system: 'http://loinc.org', code, group: 0 },
  });
  const patient = {
    kind: 'reference',
    parameter: 'Observation.patient',
    target: `Patient/${id}`,
    version: '',
    group: 0,
  };
  const entries = [token('code', '8867-4'), token('status', 'final'), token('identifier', id), patient as IndexEntry];
  const tail = `"},"note":[{"text":"${'x'.repeat(600)}"}]}`;
  const body = { head: `{"resourceType":"Observation","id":"${id}","meta":{"lastUpdated":"`, tail };
  return { op: 'put', key: { type: 'Observation', id }, version: 1, method: 'POST', body, entries, patients: [] };
}

function requestOf(name: string, puts: number): CommitRequest {
  const kind = { key: `line-${puts}`, entries: [] };
  const event = { kind, agents: kind, subjects: [], entities: [`Observation/${name}-0`] };
  const audit = [{ form: 1, bytes: `{"of":"${name}"}`, events: [event], subjects: [], erasable: undefined }] as const;
  return { commands: Array.from({ length: puts }, (_, index) => put(`${name}-${index}`)), audit };
}

/** Counts what a store's committer of versions sends, from the driver's events. */
function counted(client: MongoClient) {
  const figures = { attempts: 0, lost: 0, tripsHeld: 0, trips: 0, heldMs: [] as number[] };
  const begins = new Map<number, string>();
  let session = '';
  let since: number | undefined;
  const sessionOf = ({ command }: CommandStartedEvent) => String(command.lsid?.id?.toString('hex'));
  client.on('commandStarted', (event) => {
    figures.trips++;
    if (event.commandName === 'findAndModify' && event.command.findAndModify === 'head') {
      figures.attempts++;
      session = sessionOf(event);
      begins.set(event.requestId, event.commandName);
    } else if (since !== undefined && sessionOf(event) === session) {
      figures.tripsHeld++;
      if (event.commandName === 'commitTransaction') begins.set(event.requestId, event.commandName);
    }
  });
  client.on('commandSucceeded', ({ requestId }) => {
    const name = begins.get(requestId);
    begins.delete(requestId);
    if (name === 'findAndModify') since = performance.now();
    if (name === 'commitTransaction' && since !== undefined) {
      figures.heldMs.push(performance.now() - since);
      since = undefined;
    }
  });
  client.on('commandFailed', ({ requestId }) => {
    if (begins.get(requestId) === 'findAndModify') figures.lost++;
    begins.delete(requestId);
    since = undefined;
  });
  return figures;
}

/** A process that commits from the word `go` on, for SECONDS. */
async function write(number: string, work: WorkName, database: string): Promise<void> {
  const { atOnce, puts } = WORKS[work];
  const store = attachMongo({ ...options(database), takesTurns: values.turns === 'by turns' });
  // Its chain and its connections are there before it is measured.
  await store.commit(requestOf(`${number}-first`, 1));
  process.send?.('ready');
  await once(process, 'message');
  const figures = counted(store.database.client);
  let [versions, longestMs] = [0, 0];
  const end = performance.now() + SECONDS * 1000;
  const loop = async (of: number): Promise<void> => {
    for (let each = 0; performance.now() < end; each++) {
      const began = performance.now();
      const { ok } = await store.commit(requestOf(`${number}-${of}-${each}`, puts));
      if (!ok) throw new Error('A commit was refused.');
      longestMs = Math.max(longestMs, performance.now() - began);
      // What ends after the others have stopped is not counted.
      if (performance.now() < end) versions += puts;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, of) => loop(of)));
  await store.close();
  process.send?.({ ...figures, versions, longestMs } satisfies Figures);
  process.disconnect();
}

async function measure(count: number, work: WorkName, turns: string): Promise<readonly Figures[]> {
  const database = `line-${work}-${count}-${turns.length}-${process.pid}`;
  const opened = await openMongo(options(database));
  const children = Array.from({ length: count }, (_, index) =>
    fork(
      new URL(import.meta.url).pathname,
      ['--writer', String(index), '--work', work, '--turns', turns, '--seconds', values.seconds],
      {
        env: { ...process.env, LINE_DATABASE: database },
      },
    ),
  );
  await Promise.all(children.map((child) => once(child, 'message')));
  const answers = children.map((child) => once(child, 'message'));
  for (const child of children) child.send('go');
  const figures = (await Promise.all(answers)).map(([each]) => each as Figures);
  await opened.database.dropDatabase();
  await opened.close();
  return figures;
}

const sum = (of: readonly number[]): number => of.reduce((total, each) => total + each, 0);
const quantile = (of: readonly number[], q: number): number =>
  of.toSorted((a, b) => a - b)[Math.min(of.length - 1, Math.floor(of.length * q))] ?? 0;

function rowOf(what: readonly (string | number)[], all: readonly Figures[]): string {
  const each = all.map(({ versions }) => versions);
  const held = all.flatMap(({ heldMs }) => heldMs);
  const attempts = sum(all.map((of) => of.attempts));
  const lost = (100 * sum(all.map((of) => of.lost))) / attempts;
  const [inside, trips] = [sum(all.map((of) => of.tripsHeld)), sum(all.map((of) => of.trips))];
  const cells = [
    ...[
      ...what,
      (sum(each) / SECONDS).toFixed(0),
      `${Math.min(...each)} : ${Math.max(...each)}`,
      `${lost.toFixed(0)} %`,
    ],
    ...[quantile(held, 0.5).toFixed(1), quantile(held, 0.99).toFixed(1)],
    ...[(inside / held.length).toFixed(1), (trips / held.length).toFixed(1)],
    Math.max(...all.map(({ longestMs }) => longestMs)).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

async function run(): Promise<void> {
  const lines = [
    '| work | processes | head taken | versions/s | versions of the least : most | attempts lost | held p50, ms | held p99, ms | trips a hold | trips a group | longest wait, ms |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
  ];
  for (const work of ['small', 'bundle'] as const) {
    for (const count of values.processes.split(',').map(Number)) {
      for (const turns of ['as it comes', 'by turns']) {
        lines.push(rowOf([work, count, turns], await measure(count, work, turns)));
        console.log(lines.at(-1));
      }
    }
  }
  if (!values.write) return;
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} x ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GB, shared with other work, load average at the end ${loadavg()[0]?.toFixed(0)}; Node ${process.version}`;
  const text = [
    `# The line of commits, ${date}`,
    '',
    `- machine: ${machine}`,
    `- command: \`MONGODB_URL=… node bench/line.ts --processes ${values.processes} --seconds ${values.seconds} --write\``,
    `- method: small is one put and one audit row a request, 16 requests at once a process; bundle is ${BUNDLE} puts and one audit row, one at a time. "Held" is from the answer to the update of the head to the answer to the commit. A group is one transaction. The server is the stand-in of decision 0041 on the same cores: rates say nothing of mongod; compare the columns.`,
    '',
    ...lines,
    '',
  ];
  writeFileSync(new URL(`results/${date}-line.md`, import.meta.url), text.join('\n'));
}

const isWork = (name: string): name is WorkName => name in WORKS;
if (URL_OF === '') throw new Error('MONGODB_URL names the server.');
if (values.writer === undefined) await run();
else if (isWork(values.work)) await write(values.writer, values.work, process.env.LINE_DATABASE ?? '');
