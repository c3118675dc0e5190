/**
 * How long `RiskAssessment/$evaluate` takes for 100 patients in one request, with 100 Observations each: `node bench/evaluate.ts`. A published score
 * as a graph, the trained model of intensive care, and every model and score; wall time and CPU time of the server, over ten rounds.
 */
import { loadavg } from 'node:os';
import { observationOf, patientId, patientOf } from './data.ts';
import { startServer } from './server.ts';

const PATIENTS = 100;
const OBSERVATIONS = 100;
const ROUNDS = 10;
/** Observations of the synthetic patients reach back 100 h from here, each patient's a further while. */
const NOW = Date.now();
const HOUR = 3_600_000;

const server = await startServer([]);
const post = async (path: string, body: object): Promise<{ readonly status: number; readonly text: string }> => {
  const answer = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text() };
};

/** In intensive care for ten hours, or for thirty: one of the trained models is for each. */
function stayOf(patient: number) {
  const start = new Date(NOW - (patient % 2 === 0 ? 10 : 30) * HOUR).toISOString();
  return {
    resourceType: 'Encounter',
    id: `bench-${patient}-e`,
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: { reference: `Patient/${patientId(patient)}` },
    period: { start },
    location: [{ location: { display: 'Intensive care unit' }, period: { start } }],
  };
}

async function load(patient: number): Promise<void> {
  const later = (patient % 240) * HOUR;
  const observations = Array.from({ length: OBSERVATIONS }, (_each, index) =>
    observationOf(patient, index, NOW + later),
  );
  const resources = [patientOf(patient), stayOf(patient), ...observations];
  const { status, text } = await post('/fhir', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: resources.map((resource) => ({
      resource,
      request: { method: 'PUT', url: `${resource.resourceType}/${resource.id ?? ''}` },
    })),
  });
  if (status !== 200) throw new Error(`Loading was answered ${status}: ${text.slice(0, 300)}`);
}

async function round(models: readonly string[]) {
  const from = performance.now();
  const cpu = server.cpuSeconds();
  const { status, text } = await post('/fhir/RiskAssessment/$evaluate', {
    resourceType: 'Parameters',
    parameter: [
      ...Array.from({ length: PATIENTS }, (_each, index) => ({
        name: 'subject',
        valueString: `Patient/${patientId(index)}`,
      })),
      ...models.map((model) => ({ name: 'model', valueString: model })),
      { name: 'at', valueDateTime: new Date(NOW).toISOString() },
    ],
  });
  if (status !== 200) throw new Error(`$evaluate was answered ${status}: ${text.slice(0, 300)}`);
  const computed = text.split('"prediction"').length - 1;
  return { ms: performance.now() - from, cpu: (server.cpuSeconds() - cpu) * 1000, computed };
}

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const known: { readonly checks: readonly { readonly name: string }[] } = JSON.parse(
  await (await fetch(`${server.url}/health/ready`)).text(),
);
const graphs = known.checks.flatMap(({ name }) => /^model:(.+)\|/.exec(name)?.[1] ?? []);
const scores = ['mews', 'rems', 'cart', 'shock-index', 'sofa', 'sepsis-3', 'ckd-epi-2021', 'child-pugh', 'lace'];
const ASKED: readonly (readonly [what: string, models: readonly string[]])[] = [
  ['NEWS2', ['news2']],
  ['icu-mortality-24h', ['icu-mortality-24h']],
  [`${graphs.length} graphs`, graphs],
  [`${graphs.length} graphs and ${scores.length} scores`, [...graphs, ...scores]],
];

for (let patient = 0; patient < PATIENTS; patient++) await load(patient);
process.stdout.write(
  '| asked of 100 patients | computed | median ms | worst ms | CPU ms |\n| --- | --- | --- | --- | --- |\n',
);
for (const [what, models] of ASKED) {
  await round(models);
  const rounds = [];
  for (let turn = 0; turn < ROUNDS; turn++) rounds.push(await round(models));
  const times = rounds.map(({ ms }) => ms);
  const cells = [what, rounds[0]?.computed, middle(times).toFixed(0), Math.max(...times).toFixed(0)];
  process.stdout.write(`| ${cells.join(' | ')} | ${middle(rounds.map(({ cpu }) => cpu)).toFixed(0)} |\n`);
}
process.stdout.write(
  `Load average ${loadavg()
    .map((each) => each.toFixed(1))
    .join(', ')}.\n`,
);
await server.stop();
