/** The store alone, no HTTP: operations a second and CPU per operation of the whole process. `node bench/store.ts [observations]` */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IndexEntry, Predicate, SearchPlan } from '../src/fhir/search/algebra.ts';
import type { AuditRow, CommitRequest } from '../src/store/port.ts';
import { openSqlite } from '../src/store/sqlite.ts';

const PATIENTS = 2000;
const observations = Number(process.argv[2] ?? 20_000);
const SYSTEM = 'http://loinc.org';
const FILLER = 'x'.repeat(1100);

let counter = 0;
/** Sorted by time like the server's ids. */
const newId = (): string => {
  const hex = (counter++).toString(16).padStart(12, '0');
  return `0193${hex.slice(0, 4)}-${hex.slice(4, 8)}-7${hex.slice(8, 11)}-8000-${hex}`;
};
const patientOf = (index: number): string => `p${index % PATIENTS}`;

function entries(index: number): readonly IndexEntry[] {
  const at = 1_700_000_000_000 + index * 60_000;
  const token = (name: string, code: string): IndexEntry => ({
    kind: 'token',
    parameter: `Observation.${name}`,
    system: SYSTEM,
    code,
    group: 0,
  });
  const reference = (name: string, target: string): IndexEntry => ({
    kind: 'reference',
    parameter: `Observation.${name}`,
    target,
    version: '',
    group: 0,
  });
  const patient = `Patient/${patientOf(index)}`;
  return [
    token('code', `code-${index % 20}`),
    token('combo-code', `code-${index % 20}`),
    token('status', 'final'),
    token('category', 'vital-signs'),
    token('identifier', `id-${index}`),
    reference('subject', patient),
    reference('patient', patient),
    reference('encounter', `Encounter/e${index % 4000}`),
    reference('performer', `Practitioner/${index % 50}`),
    { kind: 'date', parameter: 'Observation.date', low: at, high: at + 1000, group: 0 },
    {
      kind: 'quantity',
      parameter: 'Observation.value-quantity',
      unit: 'u|mg',
      low: index % 300,
      high: index % 300,
      group: 0,
    },
    {
      kind: 'string',
      parameter: 'Observation.value-string',
      folded: `text ${index % 500}`,
      exact: `Text ${index % 500}`,
      group: 0,
    },
  ];
}

function auditRow(index: number, kind: string, subject: string): AuditRow {
  const token = (parameter: string, code: string): IndexEntry => ({
    kind: 'token',
    parameter: `AuditEvent.${parameter}`,
    system: SYSTEM,
    code,
    group: 0,
  });
  return {
    form: 1,
    bytes: JSON.stringify({
      kind,
      index,
      agent: 'local',
      address: '127.0.0.1',
      subject,
      request: `r-${index}`,
      pad: 'y'.repeat(120),
    }),
    erasable: JSON.stringify({ query: `GET /Observation?patient=${index}`, salt: 'abcdef0123456789' }),
    events: [
      {
        kind: { key: `kind ${kind}`, entries: [token('action', kind), token('type', 'rest'), token('outcome', '0')] },
        agents: { key: 'agents local', entries: [token('agent', 'local'), token('source', 'here')] },
        subjects: [subject],
        entities: [],
      },
    ],
    subjects: [{ key: subject, patient: patientOf(index) }],
  };
}

const folder = mkdtempSync(join(tmpdir(), 'store-bench-'));
const opened = performance.now();
const store = await openSqlite({
  folder,
  renderAudit: (row) => row.bytes,
  indexHash: 'bench',
  types: ['Patient', 'Observation'],
});
process.stdout.write(`open ${(performance.now() - opened).toFixed(0)} ms\n`);

function create(index: number): CommitRequest {
  const id = newId();
  const patient = patientOf(index);
  const [subject = ''] = store.subjectKeys([patient]);
  return {
    commands: [
      {
        op: 'put',
        key: { type: 'Observation', id },
        version: 1,
        method: 'POST',
        body: {
          head: `{"resourceType":"Observation","id":"${id}","meta":{"versionId":"1","lastUpdated":"`,
          tail: `"},"code":{"coding":[{"system":"${SYSTEM}","code":"code-${index % 20}"}]},"subject":{"reference":"Patient/${patient}"},"note":[{"text":"${FILLER}"}]}`,
        },
        entries: entries(index),
        patients: [patient],
      },
    ],
    audit: [auditRow(index, 'create', subject)],
  };
}

async function measure(
  name: string,
  count: number,
  inFlight: number,
  each: (index: number) => Promise<unknown>,
): Promise<void> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await each(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  const micros = (used.user + used.system) / count;
  process.stdout.write(
    `${name.padEnd(44)} ${(count / seconds).toFixed(0).padStart(8)}/s ${micros.toFixed(0).padStart(6)} us CPU ${(1e6 / micros).toFixed(0).padStart(8)}/s/core\n`,
  );
}

const plan = (...of: Predicate[]): SearchPlan => ({
  type: 'Observation',
  where: { kind: 'and', of },
  sort: [],
  principal: 'bench',
});
const ofPatient = (index: number): Predicate => ({
  kind: 'reference',
  parameter: 'Observation.patient',
  targets: [`Patient/${patientOf(index)}`],
});
const ofCode = (index: number): Predicate => ({
  kind: 'token',
  parameter: 'Observation.code',
  system: SYSTEM,
  code: `code-${index % 20}`,
});
const since = (index: number): Predicate => ({
  kind: 'interval',
  parameter: 'Observation.date',
  relation: 'ge',
  low: 1_700_000_000_000 + index,
  high: 1_700_000_000_000 + index,
});
const above: Predicate = {
  kind: 'quantity',
  parameter: 'Observation.value-quantity',
  unit: 'u|mg',
  relation: 'gt',
  low: 100,
  high: 100,
};

const ids: string[] = [];
await measure('create + audit, 64 in flight', observations, 64, async (index) => {
  const result = await store.commit(create(index));
  if (result.ok) ids.push(result.versions[0]?.key.id ?? '');
});
await measure('transaction of 50 creates + 50 audits (bundles)', 100, 4, (bundle) => {
  const all = Array.from({ length: 50 }, (_, index) => create(observations + bundle * 50 + index));
  return store.commit({ commands: all.flatMap(({ commands }) => commands), audit: all.flatMap(({ audit }) => audit) });
});
await measure('audit row only, 64 in flight', 40_000, 64, (index) => {
  const [subject = ''] = store.subjectKeys([patientOf(index)]);
  return store.commit({ commands: [], audit: [auditRow(index, 'read', subject)] });
});
const at = (index: number): string => ids[(index * 7919) % ids.length] ?? '';
await measure('read', 100_000, 1, (index) => store.read({ type: 'Observation', id: at(index) }));
await measure('read + audit, 64 in flight', 40_000, 64, async (index) => {
  await store.read({ type: 'Observation', id: at(index) });
  const [subject = ''] = store.subjectKeys([patientOf(index)]);
  return store.commit({ commands: [], audit: [auditRow(index, 'read', subject)] });
});
await measure('search code + patient', 20_000, 1, (index) =>
  store.search(plan(ofPatient(index), ofCode(index)), { count: 20 }),
);
await measure('search patient, newest first', 10_000, 1, (index) =>
  store.search(
    { ...plan(ofPatient(index)), sort: [{ parameter: 'Observation.date', indexed: 'date', descending: true }] },
    { count: 20 },
  ),
);
await measure('search code + date + quantity, sorted by date', 500, 1, (index) =>
  store.search(
    {
      ...plan(ofCode(index), since(index), above),
      sort: [{ parameter: 'Observation.date', indexed: 'date', descending: true }],
    },
    { count: 20 },
  ),
);
await measure('count code + patient', 10_000, 1, (index) => store.count(plan(ofPatient(index), ofCode(index))));
const verified = performance.now();
const verdict = store.verifyAudit();
process.stdout.write(
  `audit chain: ${verdict.rows} rows, broken ${verdict.broken} in ${(performance.now() - verified).toFixed(0)} ms\n`,
);
await store.close();
rmSync(folder, { recursive: true });
