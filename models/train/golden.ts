/**
 * Writes golden.json of the trained models: invented patients as FHIR resources, the vector the server reads, the answer of the file:
 * `node models/train/golden.ts [id ...]`. Cases that are not below keep their resources and get their vector and answer anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Resource } from '../../src/fhir/resource.ts';
import { featuresOf } from '../../src/risk/assess.ts';
import { loadKnowledge } from '../../src/risk/knowledge.ts';
import { type Golden, loadSchemas, type ModelManifest, readChecked } from '../../src/risk/manifest.ts';
import { openRunner } from '../../src/risk/models/session.ts';
import { newestOf } from './newest.ts';
import { STUDIES } from './studies.ts';

const MODELS = join(import.meta.dirname, '..');
const AT = Date.UTC(2026, 2, 1, 12);
const before = (hours: number): string => new Date(AT - hours * 3_600_000).toISOString();

const UNITS: Readonly<Record<string, string>> = {
  '8867-4': '/min',
  '9279-1': '/min',
  '8310-5': 'Cel',
  '76534-7': 'mm[Hg]',
  '76535-4': 'mm[Hg]',
  '8478-0': 'mm[Hg]',
  '9269-2': '{score}',
  '6690-2': '10*3/uL',
  '2160-0': 'mg/dL',
  '3094-0': 'mg/dL',
  '2524-7': 'mmol/L',
  '777-3': '10*3/uL',
  '9187-6': 'mL',
  '2744-1': '[pH]',
  '2703-7': 'mm[Hg]',
  '3150-6': '%',
  '29463-7': 'kg',
};
/** `hours` before AT, LOINC code, value. */
type Reading = readonly [hours: number, code: string, value: number];

const observation = ([hours, code, value]: Reading, index: number): Resource => ({
  resourceType: 'Observation',
  id: `o${index}`,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code }] },
  effectiveDateTime: before(hours),
  valueQuantity: {
    value,
    unit: UNITS[code] ?? '1',
    system: 'http://unitsofmeasure.org',
    code: UNITS[code] ?? '1',
  },
});
const order = (id: string, name: string): Resource => ({
  resourceType: 'MedicationRequest',
  id,
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text: name },
  authoredOn: before(3),
});
const problem = (id: string, name: string): Resource => ({
  resourceType: 'Condition',
  id,
  code: { text: name },
  recordedDate: before(2),
});
const culture: Resource = {
  resourceType: 'ServiceRequest',
  id: 'culture',
  status: 'active',
  intent: 'order',
  code: { text: 'Blood culture' },
  authoredOn: before(3),
};
const stay = (place: string, hours: number): Resource => ({
  resourceType: 'Encounter',
  id: 'stay',
  status: 'in-progress',
  class: { code: 'IMP' },
  location: [{ location: { display: place }, period: { start: before(hours) } }],
  period: { start: before(hours) },
});
const person = (birthDate: string, gender: string): Resource => ({
  resourceType: 'Patient',
  id: 'golden',
  birthDate,
  gender,
});

interface Case {
  readonly name: string;
  readonly patient: Resource;
  readonly place: readonly [string, number];
  readonly readings: readonly Reading[];
  readonly others?: readonly Resource[];
}

const SHOCKED: readonly Reading[] = [
  [1, '8867-4', 124],
  [4, '8867-4', 118],
  [1, '9279-1', 28],
  [1, '8310-5', 39.1],
  [1, '76534-7', 84],
  [3, '76534-7', 96],
  [1, '76535-4', 42],
  [1, '8478-0', 56],
  [1, '9269-2', 12],
  [2, '6690-2', 19.4],
  [2, '2160-0', 2.4],
  [2, '3094-0', 44],
  [2, '2524-7', 4.6],
  [2, '777-3', 88],
  [2, '2744-1', 7.26],
  [2, '9187-6', 20],
];
/** With weight: what the ratios of the mortality models stand on. */
const GASES: readonly Reading[] = [
  [2, '2703-7', 62],
  [3, '3150-6', 70],
  [20, '29463-7', 81],
];
const QUIET: readonly Reading[] = [
  [1, '8867-4', 76],
  [6, '8867-4', 82],
  [1, '9279-1', 16],
  [1, '8310-5', 36.8],
  [1, '76534-7', 128],
  [1, '76535-4', 70],
  [1, '9269-2', 15],
  [2, '6690-2', 8.1],
  [2, '2160-0', 0.9],
  [2, '9187-6', 300],
];

const sepsisCases: readonly Case[] = [
  {
    name: 'hypotension, fever, antibiotics, culture, pneumonia',
    patient: person('1950-05-01', 'female'),
    place: ['Medical ICU', 6],
    readings: SHOCKED,
    others: [
      order('v', 'Vancomycin 1 g IV'),
      order('p', 'Piperacillin-tazobactam 4.5 g IV'),
      culture,
      problem('c', 'Pneumonia'),
    ],
  },
  {
    name: 'after surgery, nothing of infection',
    patient: person('1961-05-01', 'male'),
    place: ['Surgical ICU', 6],
    readings: QUIET,
    others: [order('a', 'Acetaminophen 650 mg')],
  },
  {
    name: 'three vital signs only',
    patient: person('1990-05-01', 'male'),
    place: ['ICU', 6],
    readings: [
      [1, '8867-4', 98],
      [1, '9279-1', 20],
      [1, '76534-7', 110],
    ],
  },
];
const mortalityCases = (hours: number): readonly Case[] => [
  {
    name: 'shock',
    patient: person('1941-05-01', 'male'),
    place: ['Medical ICU', hours + 1],
    readings: [...SHOCKED, ...GASES],
  },
  {
    name: 'stable',
    patient: person('1972-05-01', 'female'),
    place: ['Cardiac surgery ICU', hours + 1],
    readings: QUIET,
  },
  {
    name: 'three measurements only',
    patient: person('1990-05-01', 'male'),
    place: ['ICU', hours + 1],
    readings: [
      [1, '8867-4', 98],
      [1, '9269-2', 15],
      [1, '76534-7', 110],
    ],
  },
];

const CASES: Readonly<Record<string, readonly Case[]>> = {
  'sepsis-icu': sepsisCases,
  'icu-mortality-24h': mortalityCases(24),
  'icu-mortality-48h': mortalityCases(48),
};

/** A worked case before it has an answer. */
type Asked = Pick<Golden, 'name' | 'at' | 'patient' | 'resources'>;

const written = ({ name, patient, place, readings, others = [] }: Case): Asked => ({
  name,
  at: new Date(AT).toISOString(),
  patient,
  resources: [stay(...place), ...readings.map(observation), ...others],
});

async function goldens(folder: string, manifest: ModelManifest, cases: readonly Asked[]): Promise<readonly Golden[]> {
  const knowledge = loadKnowledge(MODELS, loadSchemas(MODELS));
  const outputs = manifest.outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length }));
  const input = { tensor: manifest.input.tensor, width: manifest.features.length };
  const runner = await openRunner(new Uint8Array(readFileSync(join(folder, 'model.onnx'))), { input, outputs });
  const made: Golden[] = [];
  for (const asked of cases) {
    const evidence = { patient: asked.patient, resources: asked.resources, at: Date.parse(asked.at) };
    const found = featuresOf(manifest, evidence, knowledge).map(({ value }) => value);
    const answer = await runner.run(Float32Array.from(found));
    made.push({
      ...asked,
      vector: found.map((value) => (Number.isNaN(value) ? null : Number(value.toPrecision(12)))),
      outputs: Object.fromEntries(
        Object.entries(answer).map(([tensor, values]) => [tensor, values.map((one) => Number(one.toFixed(7)))]),
      ),
    });
  }
  await runner.close();
  return made;
}

if (import.meta.main) {
  const schemas = loadSchemas(MODELS);
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : STUDIES.map(({ model }) => model);
  for (const model of wanted) {
    const folder = newestOf(model);
    const cases = CASES[model]?.map(written) ?? readChecked(folder, 'golden.json', schemas.golden);
    const made = await goldens(folder, readChecked(folder, 'manifest.json', schemas.manifest), cases);
    writeFileSync(join(folder, 'golden.json'), `${JSON.stringify(made, null, 1)}\n`);
    process.stdout.write(
      `${model}: ${made.map(({ name, outputs }) => `${name} ${outputs.probability?.[0]}`).join('; ')}\n`,
    );
  }
}
