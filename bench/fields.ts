/**
 * What a data key costs the MongoDB engine: the same commits, reads and searches on two databases of one server, with and without, in turn. CPU is this process's, the
 * bytes are those of the documents; time is the server's too, so of the stand-in of decision 0041 when that is what answers. Ratios of medians over rounds.
 * `MONGODB_URL=… node bench/fields.ts [--rounds 6]`, with an empty server.
 */
import { parseArgs } from 'node:util';
import { BSON } from 'mongodb';
import { systemAmbient } from '../src/ambient.ts';
import { readConfig } from '../src/config.ts';
import type { Predicate, SortKey } from '../src/fhir/search/algebra.ts';
import { indexOf, layGround, storeParts } from '../src/open/ground.ts';
import { connectMongo, mongoFields } from '../src/store/mongodb/connect.ts';
import { openMongo } from '../src/store/mongodb.ts';
import type { Command, ResourceStore } from '../src/store/port.ts';
import { observationOf, patientOf } from './data.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '6' } } });
const ROUNDS = Number(values.rounds);
const BUNDLE = 20;
const END = Date.UTC(2026, 0, 2);

const [base = '', query = ''] = (process.env.MONGODB_URL ?? '').split('?');
const urlOf = (database: string): string => `${base.split('/').slice(0, 3).join('/')}/${database}?${query}`;
const ground = layGround(readConfig(), systemAmbient());
const index = indexOf(ground);

function putOf(resource: { readonly resourceType: string; readonly id?: string | undefined }): Command {
  const { resourceType: type, id = '' } = resource;
  const { id: _id, resourceType: _type, ...rest } = resource;
  const tail = `"},${JSON.stringify(rest).slice(1)}`;
  const head = `{"resourceType":"${type}","id":"${id}","meta":{"versionId":"1","lastUpdated":"`;
  const { entries, patients } = index(JSON.stringify(resource));
  return { op: 'put', key: { type, id }, version: 1, method: 'POST', body: { head, tail }, entries, patients };
}

const plan = (type: string, where: Predicate, sort: readonly SortKey[] = []) => ({ type, where, sort, principal: '' });
const family: SortKey = { parameter: 'Patient.family', indexed: 'string', descending: false };
const WORKS: Readonly<Record<string, (store: ResourceStore, round: number) => Promise<unknown>>> = {
  [`create ${BUNDLE} Observations`]: (store, round) =>
    store.commit({
      commands: Array.from({ length: BUNDLE }, (_, at) => putOf(observationOf(round, at, END))),
      audit: [],
    }),
  [`create ${BUNDLE} Patients`]: (store, round) =>
    store.commit({
      commands: Array.from({ length: BUNDLE }, (_, at) => putOf(patientOf(round * BUNDLE + at))),
      audit: [],
    }),
  'read, 20 times': async (store, round) => {
    for (let at = 0; at < BUNDLE; at++) await store.read({ type: 'Observation', id: `bench-${round}-o${at}` });
  },
  'page of 20 by patient': (store, round) => {
    const targets = [`Patient/bench-${round}`];
    return store.search(plan('Observation', { kind: 'reference', parameter: 'Observation.patient', targets }), {
      count: 20,
    });
  },
  'page of 20 by the beginning of a name': (store) =>
    store.search(plan('Patient', { kind: 'string', parameter: 'Patient.family', match: 'prefix', value: 'testfall' }), {
      count: 20,
    }),
  'page of 20 sorted by name': (store) => store.search(plan('Patient', { kind: 'all' }, [family]), { count: 20 }),
  'name:contains': (store) =>
    store.search(plan('Patient', { kind: 'string', parameter: 'Patient.family', match: 'contains', value: 'fall1' }), {
      count: 20,
    }),
};

async function place(key: string | undefined) {
  const url = urlOf(`bench-fields-${key === undefined ? 'clear' : 'sealed'}`);
  const fields = await mongoFields(url, key);
  return {
    url,
    store: await openMongo({ url, fields, headKey: new Uint8Array(32), budgetMs: 60_000, ...storeParts(ground) }),
  };
}

async function bytesOf(url: string, name: string): Promise<number> {
  const { client, db } = connectMongo(url);
  const all = await db.collection(name).find().toArray();
  await client.close();
  return all.reduce((sum, each) => sum + BSON.calculateObjectSize(each), 0) / all.length;
}

const median = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] ?? Number.NaN;

const [clear, sealed] = [await place(undefined), await place('a passphrase')];
const took = new Map<string, { cpu: number[]; ms: number[] }>();
// The first two rounds warm both up.
for (let round = 0; round < ROUNDS + 2; round++) {
  for (const [what, work] of Object.entries(WORKS)) {
    for (const { url, store } of round % 2 === 0 ? [clear, sealed] : [sealed, clear]) {
      const [began, before] = [performance.now(), process.cpuUsage()];
      await work(store, round);
      const [ms, { user, system }] = [performance.now() - began, process.cpuUsage(before)];
      if (round < 2) continue;
      const held = took.get(`${what} ${url}`) ?? { cpu: [], ms: [] };
      took.set(`${what} ${url}`, held);
      held.cpu.push((user + system) / 1000);
      held.ms.push(ms);
    }
  }
}
console.log('| | CPU ms without | with | ratio | time, ratio |\n|---|---|---|---|---|');
for (const what of Object.keys(WORKS)) {
  const [a, b] = [clear, sealed].map(({ url }) => took.get(`${what} ${url}`) ?? { cpu: [], ms: [] });
  const [one, two] = [median(a?.cpu ?? []), median(b?.cpu ?? [])];
  const time = median(b?.ms ?? []) / median(a?.ms ?? []);
  console.log(`| ${what} | ${one.toFixed(1)} | ${two.toFixed(1)} | ${(two / one).toFixed(1)} | ${time.toFixed(1)} |`);
}
for (const name of ['version', 'resource']) {
  const [one, two] = [await bytesOf(clear.url, name), await bytesOf(sealed.url, name)];
  console.log(
    `| bytes of a document of \`${name}\` | ${one.toFixed(0)} | ${two.toFixed(0)} | ${(two / one).toFixed(2)} | |`,
  );
}
for (const { store } of [clear, sealed]) await store.close();
