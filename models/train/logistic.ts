/**
 * A logistic model from a CSV of coefficients, without code: `npm run models:logistic -- <folder> [<models folder>]`.
 * The folder holds coefficients.csv and about.json (docs/your-own-model.md); the four files of models/<id>/<version>/ are written.
 * Graph: one product with the coefficients, the intercept, and the logistic function. Where nothing at all is recorded, `whenMissing` counts, and
 * the card says so; without it, or where something is recorded that cannot be used, nothing is said.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Resource } from '../../src/fhir/resource.ts';
import { featuresOf } from '../../src/risk/assess.ts';
import { loadKnowledge } from '../../src/risk/knowledge.ts';
import { type FeatureSpec, loadSchemas, type ModelManifest } from '../../src/risk/manifest.ts';
import { onnxBytes } from './onnx-writer.ts';

const MODELS = join(import.meta.dirname, '..');
const AT = Date.UTC(2026, 2, 1, 12);
const HEAD = 'name,display,kind,code,unit,windowHours,low,high,whenMissing,example,coefficient';

/** One line of coefficients.csv. */
interface Row {
  readonly name: string;
  readonly display: string;
  readonly kind: string;
  readonly code: string;
  readonly unit: string;
  readonly windowHours: number | undefined;
  readonly range: readonly [number, number];
  readonly whenMissing: number | undefined;
  readonly example: number;
  readonly coefficient: number;
}
/** about.json: what a manifest says besides its inputs, and the texts of the card by attribute number. */
interface About
  extends Pick<
    ModelManifest,
    'id' | 'version' | 'title' | 'population' | 'limits' | 'citation' | 'intendedPopulation' | 'eligibility'
  > {
  readonly bands: readonly { readonly name: string; readonly display: string; readonly from: number }[];
  readonly card: Readonly<Record<string, string>>;
}

const number = (text: string, where: string): number => {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) throw new TypeError(`${where} is no number: \`${text}\``);
  return value;
};

/** @throws TypeError naming the line and column that is wrong */
function readRows(text: string): { readonly rows: readonly Row[]; readonly intercept: number } {
  const [head = '', ...lines] = text.trim().split(/\r?\n/);
  if (head.trim() !== HEAD) throw new TypeError(`The first line must be ${HEAD}`);
  let intercept: number | undefined;
  const rows = lines.flatMap((line, index): readonly Row[] => {
    const fields = line.split(',').map((field) => field.trim());
    const where = `Line ${index + 2}`;
    if (fields.length !== 11)
      throw new TypeError(`${where} has ${fields.length} fields, not 11; a field may hold no comma`);
    const [
      name = '',
      display = '',
      kind = '',
      code = '',
      unit = '',
      hours = '',
      low = '',
      high = '',
      fill = '',
      example = '',
      weight = '',
    ] = fields;
    const coefficient = number(weight, `${where}: coefficient`);
    if (name === 'intercept') {
      intercept = coefficient;
      return [];
    }
    if (!['age', 'sex', 'latest-observation'].includes(kind))
      throw new TypeError(`${where}: kind must be age, sex or latest-observation`);
    if (kind !== 'latest-observation' && fill !== '') {
      throw new TypeError(`${where}: ${kind} is never replaced; leave whenMissing empty`);
    }
    return [
      {
        name,
        display,
        kind,
        code,
        unit,
        windowHours: hours === '' ? undefined : number(hours, `${where}: windowHours`),
        range: kind === 'latest-observation' ? [number(low, `${where}: low`), number(high, `${where}: high`)] : [0, 0],
        whenMissing: fill === '' ? undefined : number(fill, `${where}: whenMissing`),
        example: number(example, `${where}: example`),
        coefficient,
      },
    ];
  });
  if (intercept === undefined) throw new TypeError('No line is named intercept.');
  return { rows, intercept };
}

const featureOf = ({ name, display, kind, code, unit, windowHours, range, whenMissing }: Row): FeatureSpec => {
  if (kind === 'age') return { name, display, kind, unit: 'a', required: true };
  if (kind === 'sex') return { name, display, kind, unit: '1', required: true };
  return {
    name,
    display,
    kind: 'latest-observation',
    codes: code.split(' '),
    unit,
    windowHours: windowHours ?? 24,
    range,
    ...(whenMissing === undefined ? {} : { absent: whenMissing }),
    required: true,
  };
};

function manifestOf({ card: _, bands, ...about }: About, rows: readonly Row[], sha256: string): ModelManifest {
  return {
    id: about.id,
    version: about.version,
    sha256,
    title: about.title,
    population: about.population,
    limits: about.limits,
    citation: about.citation,
    intendedPopulation: about.intendedPopulation,
    ...(about.eligibility === undefined ? {} : { eligibility: about.eligibility }),
    maxMissing: 0,
    fallback: 'none',
    input: { tensor: 'inputs' },
    outputs: [
      { tensor: 'margin', columns: ['margin'], role: 'result' },
      { tensor: 'probability', columns: ['probability'], role: 'result' },
    ],
    bands: bands.map((band) => ({ ...band, output: 'probability' })),
    features: rows.map(featureOf),
  };
}

function graphOf({ id }: About, rows: readonly Row[], intercept: number): Uint8Array {
  const constant = (name: string, dims: readonly number[], values: readonly number[]) => ({
    name,
    dims,
    type: 'float32' as const,
    values,
  });
  return onnxBytes({
    name: id,
    inputs: [{ name: 'inputs', width: rows.length }],
    outputs: [
      { name: 'margin', width: 1 },
      { name: 'probability', width: 1 },
    ],
    constants: [
      constant(
        'coefficients',
        [rows.length, 1],
        rows.map(({ coefficient }) => coefficient),
      ),
      constant('intercept', [1], [intercept]),
    ],
    calls: [
      { operator: 'MatMul', inputs: ['inputs', 'coefficients'], output: 'weighted' },
      { operator: 'Add', inputs: ['weighted', 'intercept'], output: 'margin' },
      { operator: 'Sigmoid', inputs: ['margin'], output: 'probability' },
    ],
  });
}

/** An invented patient with the example value of each row that is named. */
function patientWith(rows: readonly Row[]): { readonly patient: Resource; readonly resources: readonly Resource[] } {
  const exampleOf = (kind: string) => rows.find((row) => row.kind === kind)?.example;
  const [age, sex] = [exampleOf('age') ?? 60, exampleOf('sex')];
  return {
    patient: {
      resourceType: 'Patient',
      id: 'example',
      birthDate: `${2026 - age}-01-01`,
      ...(sex === undefined ? {} : { gender: sex === 1 ? 'female' : 'male' }),
    },
    resources: rows
      .filter(({ kind }) => kind === 'latest-observation')
      .map(({ code, example, unit }, index) => ({
        resourceType: 'Observation',
        id: `o${index}`,
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: code.split(' ')[0] ?? '' }] },
        effectiveDateTime: new Date(AT - 1_800_000).toISOString(),
        valueQuantity: { value: example, unit, system: 'http://unitsofmeasure.org', code: unit },
      })),
  };
}

/** Two worked cases, everything known and only what is required; the outputs are computed here, not by the graph. */
function goldenOf(
  manifest: ModelManifest,
  rows: readonly Row[],
  intercept: number,
  schemas: ReturnType<typeof loadSchemas>,
): readonly object[] {
  const knowledge = loadKnowledge(MODELS, schemas);
  const cases: readonly (readonly [string, readonly Row[]])[] = [
    ['every input as in the column example', rows],
    ['only what is required', rows.filter(({ whenMissing }) => whenMissing === undefined)],
  ];
  return cases.map(([name, known]) => {
    const { patient, resources } = patientWith(known);
    const vector = featuresOf(manifest, { patient, resources, at: AT }, knowledge).map(({ value }) => value);
    const margin = rows.reduce(
      (sum, { coefficient }, index) => sum + coefficient * (vector[index] ?? Number.NaN),
      intercept,
    );
    return {
      name,
      at: new Date(AT).toISOString(),
      patient,
      resources,
      vector,
      outputs: { margin: [margin], probability: [1 / (1 + Math.exp(-margin))] },
    };
  });
}

/** Names of the 31 attributes, from a card that is complete. */
function cardOf({ id, version, card }: About): object {
  const complete: { attributes: readonly { number: number; name: string }[] } = JSON.parse(
    readFileSync(join(MODELS, 'news2', '1.0.0', 'card.json'), 'utf8'),
  );
  const attributes = complete.attributes.map(({ number: at, name }) => ({
    number: at,
    name,
    value: card[at] ?? 'not available',
  }));
  return { model: id, version, attributes };
}

/** Writes the model folder. @returns its path @throws TypeError naming what is wrong in the two files */
export function buildLogistic(folder: string, models: string): string {
  const about: About = JSON.parse(readFileSync(join(folder, 'about.json'), 'utf8'));
  const { rows, intercept } = readRows(readFileSync(join(folder, 'coefficients.csv'), 'utf8'));
  const bytes = graphOf(about, rows, intercept);
  const manifest = manifestOf(about, rows, createHash('sha256').update(bytes).digest('hex'));
  const schemas = loadSchemas(MODELS);
  if (!schemas.manifest(manifest)) {
    const [first] = schemas.manifest.errors ?? [];
    throw new TypeError(`The manifest would be wrong: ${first?.instancePath} ${first?.message}`);
  }
  const target = join(models, about.id, about.version);
  const golden = goldenOf(manifest, rows, intercept, schemas);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'model.onnx'), bytes);
  for (const [name, value] of Object.entries({ manifest, golden, card: cardOf(about) })) {
    writeFileSync(join(target, `${name}.json`), `${JSON.stringify(value, null, 2)}\n`);
  }
  return target;
}

if (import.meta.main) {
  const [folder, models = MODELS] = process.argv.slice(2);
  if (folder === undefined) {
    console.error('Usage: npm run models:logistic -- <folder with coefficients.csv and about.json> [<models folder>]');
    process.exitCode = 2;
  } else {
    const target = buildLogistic(folder, models);
    console.log(`Written: ${target}\nNext: firewatch model check ${target}`);
  }
}
