/**
 * How the latency of indexed searches grows with the store, the size of their answers being the same: ratios in one run, on one store that grows.
 * The store alone, as its read connection answers on the main thread. `node bench/growth.ts [--sizes 10000,100000,1000000] [--write]`
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { IndexEntry, Predicate, SearchPlan, SortKey } from '../src/fhir/search/algebra.ts';
import type { Command } from '../src/store/port.ts';
import { openSqlite } from '../src/store/sqlite.ts';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10000,100000,1000000' },
    searches: { type: 'string', default: '400' },
    write: { type: 'boolean', default: false },
  },
});
const SIZES = values.sizes.split(',').map(Number);
const SEARCHES = Number(values.searches);

const LOINC = 'http://loinc.org';
const START = Date.UTC(2020, 0, 1);
const MINUTE = 60_000;
/** Observations of one patient, however many patients there are: answers stay the same size. */
const OF_PATIENT = 100;
const CODES = 20;
const FILLER = 'x'.repeat(600);

const patientOf = (row: number): string => `p${Math.floor(row / OF_PATIENT)}`;
const of = (name: string): string => `Observation.${name}`;

function entries(row: number): readonly IndexEntry[] {
  const low = START + row * MINUTE;
  return [
    { kind: 'token', parameter: of('code'), system: LOINC, code: `c${row % CODES}`, group: 0 },
    { kind: 'token', parameter: of('identifier'), system: 'urn:growth', code: `id${row}`, group: 0 },
    { kind: 'reference', parameter: of('patient'), target: `Patient/${patientOf(row)}`, version: '', group: 0 },
    { kind: 'date', parameter: of('date'), low, high: low + MINUTE, group: 0 },
    { kind: 'quantity', parameter: of('value-quantity'), unit: 'u|mg', low: row, high: row, group: 0 },
    { kind: 'string', parameter: of('value-string'), folded: `text ${row}`, exact: `Text ${row}`, group: 0 },
  ];
}

function command(row: number): Command {
  const id = `o${row}`;
  return {
    op: 'put',
    key: { type: 'Observation', id },
    version: 1,
    method: 'POST',
    body: {
      head: `{"resourceType":"Observation","id":"${id}","meta":{"lastUpdated":"`,
      tail: `"},"note":[{"text":"${FILLER}"}]}`,
    },
    entries: entries(row),
    patients: [],
  };
}
const family = (patient: number): Command => ({
  op: 'put',
  key: { type: 'Patient', id: `p${patient}` },
  version: 1,
  method: 'POST',
  body: { head: `{"resourceType":"Patient","id":"p${patient}","meta":{"lastUpdated":"`, tail: '"}}' },
  entries: [
    { kind: 'string', parameter: 'Patient.family', folded: `family${patient}`, exact: `Family${patient}`, group: 0 },
  ],
  patients: [],
});

const newest: readonly SortKey[] = [{ parameter: of('date'), indexed: 'date', descending: true }];
const patient = (row: number): Predicate => ({
  kind: 'reference',
  parameter: of('patient'),
  targets: [`Patient/${patientOf(row)}`],
});
const code = (row: number): Predicate => ({
  kind: 'token',
  parameter: of('code'),
  system: LOINC,
  code: `c${row % CODES}`,
});
const since = (relation: 'ge' | 'lt', row: number): Predicate => ({
  kind: 'interval',
  parameter: of('date'),
  relation,
  low: START + row * MINUTE,
  high: START + (row + 1) * MINUTE,
});

/** A search for a row that is there, and how many it finds at every size. */
const SCENARIOS: Readonly<
  Record<string, readonly [where: (row: number) => Predicate, sort: readonly SortKey[], found: number]>
> = {
  identifier: [
    (row) => ({ kind: 'token', parameter: of('identifier'), system: 'urn:growth', code: `id${row}` }),
    [],
    1,
  ],
  'patient, newest first': [patient, newest, 20],
  'patient and code': [(row) => ({ kind: 'and', of: [patient(row), code(row)] }), [], 5],
  'code, newest first': [code, newest, 20],
  'date between two': [(row) => ({ kind: 'and', of: [since('ge', row), since('lt', row + 20)] }), [], 20],
  'string prefix': [
    (row) => ({ kind: 'string', parameter: of('value-string'), match: 'exact', value: `Text ${row}` }),
    [],
    1,
  ],
  quantity: [
    (row) => ({ kind: 'quantity', parameter: of('value-quantity'), unit: 'u|mg', relation: 'eq', low: row, high: row }),
    [],
    1,
  ],
  'chain to a patient by name': [
    (row) => ({
      kind: 'chain',
      parameter: of('patient'),
      type: 'Patient',
      where: {
        kind: 'string',
        parameter: 'Patient.family',
        match: 'exact',
        value: `Family${Math.floor(row / OF_PATIENT)}`,
      },
    }),
    [],
    20,
  ],
  'all, newest first': [() => ({ kind: 'all' }), newest, 20],
};

const folder = mkdtempSync(join(tmpdir(), 'growth-bench-'));
const store = await openSqlite({
  folder,
  renderAudit: () => '',
  indexHash: 'growth',
  types: ['Patient', 'Observation'],
  budgetMs: 60_000,
});
const measured = new Map<string, number[]>();
try {
  let rows = 0;
  for (const size of SIZES) {
    for (; rows < size; rows += 500) {
      const commands = Array.from({ length: Math.min(500, size - rows) }, (_, index) => command(rows + index));
      const first = Math.floor(rows / OF_PATIENT);
      const patients = Array.from({ length: Math.ceil(commands.length / OF_PATIENT) }, (_, index) =>
        family(first + index),
      );
      const result = await store.commit({ commands: [...commands, ...patients], audit: [] });
      if (!result.ok) throw new Error('A commit was refused.');
    }
    for (const [name, [where, sort, found]] of Object.entries(SCENARIOS)) {
      const times: number[] = [];
      for (let round = 0; round < SEARCHES; round++) {
        // Spread over the whole store, whatever its size; never the last rows, so that ranges are full.
        const row = Math.floor(((round * 0.618034) % 1) * (size - OF_PATIENT));
        const plan: SearchPlan = { type: 'Observation', where: where(row), sort, principal: 'bench' };
        const began = performance.now();
        const { matches } = await store.search(plan, { count: 20 });
        times.push(performance.now() - began);
        if (matches.length !== found) throw new Error(`${name}: ${matches.length} found among ${size}, not ${found}.`);
      }
      times.sort((a, b) => a - b);
      const warm = times[Math.floor(times.length / 2)] ?? Number.NaN;
      measured.set(name, [...(measured.get(name) ?? []), warm]);
      console.log(`${String(size).padStart(9)}  ${name.padEnd(28)} ${warm.toFixed(3)} ms`);
    }
  }
} finally {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
}

const head = ['search (median)', ...SIZES.map((size) => size.toLocaleString('en')), 'last to first'];
const lines = [...measured].map(([name, medians]) => [
  name,
  ...medians.map((ms) => `${ms.toFixed(3)} ms`),
  ((medians.at(-1) ?? Number.NaN) / (medians[0] ?? Number.NaN)).toFixed(2),
]);
const table = [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`);
console.log(`\n${table.join('\n')}`);
if (values.write) {
  const day = new Date().toISOString().slice(0, 10);
  const text = [
    `# Growth of search latency, ${day}`,
    '',
    `- machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GB, shared with other work; Node ${process.version}`,
    `- command: \`node bench/growth.ts --sizes ${values.sizes} --write\``,
    `- method: one store on disk that grows; ${SEARCHES} searches of each kind at each size, spread over all rows, of answers of the same size; the store's own read path without HTTP and audit. Compare the ratio; it is what the depth of the indexes and the page cache cost.`,
    '',
    ...table,
    '',
  ].join('\n');
  mkdirSync(new URL('./results/', import.meta.url), { recursive: true });
  writeFileSync(new URL(`./results/${day}-growth.md`, import.meta.url), text);
}
