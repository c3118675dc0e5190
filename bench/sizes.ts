/**
 * What a resource takes on either engine: bytes by table and index of the embedded one, BSON bytes and index keys of MongoDB's documents. Both are
 * filled through the door with the same synthetic patients. `MONGODB_URL=… node bench/sizes.ts [--patients 200] [--write]`
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3-multiple-ciphers';
import { BSON, type Document, MongoClient } from 'mongodb';
import { readConfig } from '../src/config.ts';
import { answer } from '../src/rest/interact.ts';
import { localCaller, localFacts } from '../src/rest/permission/caller.ts';
import { INDEXES } from '../src/store/mongodb/layout.ts';
import { quietSystem } from '../src/system.ts';
import { RESOURCES, recordOf } from './data.ts';
import { indexBytes, indexKeys } from './index-keys.ts';

const { values } = parseArgs({
  options: { patients: { type: 'string', default: '200' }, write: { type: 'boolean', default: false } },
});
const PATIENTS = Number(values.patients);
const END = Date.UTC(2026, 0, 2);
const caller = localCaller(localFacts('sizes', '127.0.0.1'));

/** Loads the patients, reads each record once, and leaves. */
async function fill(environment: Readonly<Record<string, string>>): Promise<void> {
  const { context, close } = await quietSystem(readConfig({ SEED: 'none', ...environment }));
  const send = async (method: string, path: string, body?: string): Promise<void> => {
    const headers = { 'content-type': 'application/fhir+json' };
    const { status, body: text } = await answer({ method, path, query: '', headers, body }, caller, context);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text?.slice(0, 200)}`);
  };
  for (let patient = 0; patient < PATIENTS; patient++) await send('POST', '', JSON.stringify(recordOf(patient, END)));
  for (let patient = 0; patient < PATIENTS; patient++) await send('GET', `/Patient/bench-${patient}`);
  await close();
}

const folder = mkdtempSync(join(tmpdir(), 'sizes-'));
const lines: string[] = [];
const resources = PATIENTS * RESOURCES;
const each = (bytes: number): string => (bytes / resources).toFixed(1);
try {
  await fill({ DATA_DIR: join(folder, 'sqlite') });
  const database = new Database(join(folder, 'sqlite', 'firewatch.db'));
  const rows = database
    .prepare('SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY 2 DESC')
    .all() as {
    readonly name: string;
    readonly bytes: number;
  }[];
  database.close();
  lines.push('| embedded: table or index | bytes a resource |', '| --- | --- |');
  for (const { name, bytes } of rows) if (bytes / resources >= 10) lines.push(`| ${name} | ${each(bytes)} |`);
  lines.push(`| all | ${each(rows.reduce((sum, { bytes }) => sum + bytes, 0))} |`, '');

  const url = process.env.MONGODB_URL;
  if (url !== undefined) {
    await fill({ DATA_DIR: join(folder, 'mongodb'), MONGODB_URL: url });
    const client = await new MongoClient(url).connect();
    lines.push(
      '| MongoDB: collection | documents a resource | BSON bytes a resource | index keys a resource | bytes of them | without shared prefixes |',
      '| --- | --- | --- | --- | --- | --- |',
    );
    for (const name of ['version', 'resource', 'audit', 'audit_event', 'facet', 'subject']) {
      let [count, bytes] = [0, 0];
      const indexes = Object.entries(INDEXES).find(([key]) => key.toLowerCase() === name.replace('_', ''))?.[1] ?? [];
      const all = [['_id'], ...indexes.map(([paths]) => Object.keys(paths))];
      const held: Buffer[][] = all.map(() => []);
      for await (const document of client.db().collection<Document>(name).find()) {
        count++;
        bytes += BSON.calculateObjectSize(document);
        for (const [index, paths] of all.entries()) held[index]?.push(...indexKeys(document, paths));
      }
      const keys = held.reduce((sum, { length }) => sum + length, 0);
      const sizes = held.map(indexBytes);
      const whole = sizes.reduce((sum, size) => sum + size.whole, 0);
      const suffixes = sizes.reduce((sum, size) => sum + size.suffixes, 0);
      lines.push(
        `| ${name} | ${(count / resources).toFixed(3)} | ${each(bytes)} | ${each(keys)} | ${each(whole)} | ${each(suffixes)} |`,
      );
    }
    await client.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const page = [
  `# Sizes, ${new Date().toISOString().slice(0, 10)}`,
  '',
  `- command: \`node bench/sizes.ts --patients ${PATIENTS} --write\``,
  `- data: ${PATIENTS} synthetic patients, ${RESOURCES} resources each, one transaction a patient, one read a patient`,
  '- BSON bytes are before compression. Bytes of index keys are computed from the documents by `bench/index-keys.ts`, not read from a server: no pages, no cells',
  '',
  ...lines,
  '',
].join('\n');
console.log(page);
if (values.write) writeFileSync(`bench/results/${new Date().toISOString().slice(0, 10)}-sizes.md`, page);
