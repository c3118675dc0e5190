// docs/models.md: what holds of every model, score and input that is shipped, asked of all of them at once.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { newestOf } from '../../models/train/newest.ts';
import { convertUnit } from '../../src/fhir/quantity.ts';
import { isJsonObject, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import { readFeature } from '../../src/risk/features/features.ts';
import { convertAnalyte } from '../../src/risk/features/observation.ts';
import type { FeatureSpec } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import {
  AT,
  acvpu,
  bloodPressure,
  born,
  HOUR,
  iso,
  knowledge,
  loinc,
  MODELS,
  measured,
  NEVER,
  observation,
  specOf,
} from './world.ts';

const models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
after(() => models.close());

const ADULT = born('1960-05-05', { gender: 'female' });
const stay = (code: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Encounter',
  id: 'stay',
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code },
  period: { start: iso(AT - 2 * HOUR) },
  ...over,
});
const VITALS: readonly Resource[] = [
  measured('9279-1', 30, '/min'),
  measured('59408-5', 90, '%'),
  measured('8867-4', 130, '/min'),
  measured('8310-5', 39, 'Cel'),
  measured('6690-2', 18, '10*3/uL'),
  bloodPressure(85),
  acvpu('V'),
];
const assessed = (id: string, resources: readonly Resource[], patient: Resource = ADULT) =>
  models.assess(id, { patient, resources: [...VITALS, ...resources], at: AT }, NEVER);

/** What was learned from data: it has an evaluation. */
const LEARNED = ['sepsis-icu', 'icu-mortality-24h', 'icu-mortality-48h', 'triage-critical-care', 'triage-high-acuity'];
test('risk-sentences@learned: these, and no others, have an evaluation', () => {
  const found = [...models.manifests.keys()].filter(
    (id) => !existsSync(join(MODELS, 'scores', `${id}.json`)) && existsSync(join(newestOf(id), 'evaluation.json')),
  );
  assert.deepEqual(found.toSorted(), LEARNED.toSorted());
});

const elsewhere: readonly (readonly [why: string, resources: readonly Resource[]])[] = [
  ['a ward', [stay('IMP')]],
  ['observation', [stay('OBSENC')]],
  ['an outpatient visit', [stay('AMB')]],
  ['at home', [stay('HH')]],
  ['no encounter', []],
];
test('risk-sentences@elsewhere: outside intensive care and emergency no learned model is run; the rules are', async () => {
  const wrong: string[] = [];
  for (const [why, resources] of elsewhere) {
    for (const id of LEARNED) {
      const { outputs, outsidePopulation } = await assessed(id, resources);
      if (Object.keys(outputs).length > 0 || outsidePopulation === undefined) wrong.push(`${id}: ${why}`);
    }
  }
  assert.deepEqual(wrong, []);
  for (const id of ['news2', 'qsofa', 'sirs']) {
    assert.ok(((await assessed(id, [stay('IMP')])).outputs.total ?? 0) > 0, id);
  }
});

test('risk-sentences@mortality: the models of intensive care say "ICU mortality risk", that it is death in hospital, and that the hours are those looked at', () => {
  const titles = ['icu-mortality-24h', 'icu-mortality-48h'].map((id) => models.manifests.get(id)?.title);
  assert.deepEqual(titles, [
    'ICU mortality risk: death in hospital, from the first 24 h',
    'ICU mortality risk: death in hospital, from the first 48 h',
  ]);
});

const COMFORT: Resource = {
  resourceType: 'Condition',
  id: 'comfort',
  code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'Z51.5' }] },
};
/** Measures of function and of dosing, and the triage level, no scores of risk: they are computed for whoever is alive, also in comfort care. */
const FUNCTION = new Set(['triage-vitals', 'ckd-epi-2021', 'schwartz', 'cockcroft-gault', 'child-pugh', 'morse']);
test('risk-sentences@none: the dead get no number of any model or score, and those in comfort care none of risk', async () => {
  const wrong: string[] = [];
  for (const id of models.manifests.keys()) {
    const kinds = [stay('IMP'), stay('EMER', { location: [{ location: { display: 'Intensive care unit' } }] })];
    for (const where of kinds) {
      const dead = await assessed(id, [where], { ...ADULT, deceasedBoolean: true });
      if (Object.keys(dead.outputs).length > 0) wrong.push(`${id}: deceased`);
      const comforted = await assessed(id, [where, COMFORT]);
      if (Object.keys(comforted.outputs).length > 0 && !FUNCTION.has(id)) wrong.push(`${id}: comfort care`);
    }
  }
  assert.deepEqual([...new Set(wrong)], []);
});

/** Every input of every shipped model, score and laboratory term of the drug rules: where, what codes, what unit. */
interface Input {
  readonly where: string;
  readonly codes: readonly string[];
  readonly unit: string;
  readonly analyte?: string | undefined;
}
const json = (path: string): JsonObject => {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
  assert.ok(isJsonObject(value));
  return value;
};
const rows = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value.filter(isJsonObject) : []);
const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
const KNOWLEDGE = join(import.meta.dirname, '..', '..', 'knowledge');
const files = [
  ...readdirSync(join(MODELS, 'scores')).map((name) => join(MODELS, 'scores', name)),
  ...[...models.manifests.keys()]
    .filter((id) => !existsSync(join(MODELS, 'scores', `${id}.json`)))
    .map((id) => join(newestOf(id), 'manifest.json')),
];
const inputs: readonly Input[] = [
  ...files.flatMap((file) =>
    rows(json(file).features).map((each) => [`${json(file).id}.${each.name}`, each, each.codes] as const),
  ),
  ...rows(json(join(KNOWLEDGE, 'patient-terms.json')).labs).map(
    (each) => [`drugs.${each.name}`, each, each.loinc] as const,
  ),
].flatMap(([where, each, codes]) => {
  const analyte = typeof each.analyte === 'string' ? each.analyte : undefined;
  return codes === undefined ? [] : [{ where, codes: texts(codes), unit: String(each.unit), analyte }];
});

/** Measurements that are never taken for each other. Source: LOINC 2.80 (component, system, timing). */
const APART: Readonly<Record<string, readonly string[]>> = {
  'total calcium': ['17861-6', '2000-8'],
  'ionised calcium': ['1994-3', '1995-0', '12180-6', '41645-3', '47596-2', '19072-8', '17863-2'],
  'urine of 24 h': ['9192-6', '3167-4'],
  'urine of 8 h': ['9188-4', '9190-0'],
  'urine of 1 h': ['9187-6'],
  'oxygen flow': ['3151-8'],
  'inspired fraction': ['3150-6', '19994-3', '71835-3'],
  'NT-proBNP': ['33762-6', '33763-4', '83107-3'],
  BNP: ['30934-4', '42637-9', '47255-5'],
  'arterial PaO2': ['2703-7'],
  'venous PO2': ['2705-2'],
  'arterial PaCO2': ['2019-8'],
  'venous PCO2': ['2021-4'],
  'arterial pH': ['2744-1'],
  'venous pH': ['2746-6'],
};
/** Asks whether oxygen is given at all, for which flow and fraction say the same; and reads each by its own unit. */
const ASKS_WHETHER = /^(?:news2|.*)\.oxygen$/;
test('risk-sentences@apart: no input of any file reads two measurements that are never taken for each other', () => {
  assert.ok(inputs.length > 100, String(inputs.length));
  const wrong = inputs.flatMap(({ where, codes }) => {
    const of = Object.entries(APART).filter(([, wanted]) => wanted.some((code) => codes.includes(code)));
    return of.length > 1 && !ASKS_WHETHER.test(where) ? [`${where}: ${of.map(([name]) => name).join(', ')}`] : [];
  });
  assert.deepEqual(wrong, []);
});

/** Another unit that the same quantity comes in, for each unit in use; `{...}` and 1 are counts and pH is a logarithm, which have none. */
const ALSO: Readonly<Record<string, string>> = {
  '/min': '/s',
  '%': '1',
  'mm[Hg]': 'kPa',
  Cel: '[degF]',
  kg: '[lb_av]',
  cm: '[in_i]',
  'mL/(24.h)': 'L/d',
  'mmol/L': 'umol/L',
  'mg/dL': 'g/L',
  'g/dL': 'g/L',
  'g/L': 'mg/mL',
  'ng/mL': 'ug/L',
  'pg/mL': 'ng/L',
  'ng/L': 'pg/mL',
  'ug/mL': 'mg/L',
  'mg/L': 'ug/mL',
  'ug/dL': 'ug/L',
  '10*3/uL': '10*9/L',
  '10*6/uL': '10*12/L',
  '10*9/L': '10*3/uL',
  'U/L': 'mU/mL',
  'ug/mL{FEU}': 'mg/L{FEU}',
  'L/min': 'mL/min',
  h: 'min',
  ms: 's',
  mL: 'L',
  'mL/h': 'L/h',
  'meq/L': 'eq/L',
  'mmol/kg': 'mol/kg',
  'mosm/kg': 'osm/kg',
  'mL/min/{1.73_m2}': 'mL/s/{1.73_m2}',
  'mL/min': 'L/h',
  'kg/m2': 'g/cm2',
  'ug/kg/min': 'mg/kg/h',
};
test('risk-sentences@units: every unit in use is UCUM, and each quantity converts from another unit and back', () => {
  const wrong = inputs.flatMap(({ where, unit, analyte }) => {
    if (unit === '1' || unit === '[pH]' || /^\{[^{}]*\}$/.test(unit)) return [];
    const other = ALSO[unit];
    if (other === undefined) return [`${where}: no other unit of ${unit} is tried`];
    const there = convertAnalyte(100, unit, other, analyte, knowledge.units);
    const back = there === undefined ? undefined : convertUnit(there, other, unit);
    return back !== undefined && Math.abs(back - 100) < 0.1 ? [] : [`${where}: ${unit} by ${other}: ${back}`];
  });
  assert.deepEqual([...new Set(wrong)], []);
});

const SPO2 = specOf('news2', 'spo2');
const US_CORE = loinc('59408-5');
const bothCodes = { coding: [...rows(loinc('2708-6').coding), ...rows(US_CORE.coding)] };
const profiles: readonly (readonly [why: string, spec: FeatureSpec, resource: Resource, value: number])[] = [
  ['pulse oximetry with both of its codes', SPO2, measured('59408-5', 94, '%', { code: bothCodes }), 94],
  ['2708-6 alone', SPO2, measured('2708-6', 94, '%'), 94],
  [
    'pulse oximetry with flow and concentration as components',
    SPO2,
    measured('59408-5', 94, '%', {
      code: bothCodes,
      component: [
        { code: loinc('3151-8'), valueQuantity: { value: 6, system: 'http://unitsofmeasure.org', code: 'L/min' } },
        { code: loinc('3150-6'), valueQuantity: { value: 40, system: 'http://unitsofmeasure.org', code: '%' } },
      ],
    }),
    94,
  ],
  ['the systolic component of 85354-9', specOf('news2', 'systolicBloodPressure'), bloodPressure(118), 118],
];
test('risk-sentences@us-core: panels and components of the US Core vital signs', () => {
  const wrong = profiles.flatMap(([why, spec, resource, value]) => {
    const found = readFeature(spec, { patient: ADULT, resources: [resource], at: AT }, knowledge);
    return found.value === value ? [] : [`${why}: ${found.value} ${found.reason}`];
  });
  assert.deepEqual(wrong, []);
  const panel = observation('85354-9', { dataAbsentReason: { text: 'not done' } });
  const none = readFeature(
    specOf('news2', 'systolicBloodPressure'),
    { patient: ADULT, resources: [panel], at: AT },
    knowledge,
  );
  assert.ok(Number.isNaN(none.value), 'a panel without components is no value');
});

test('risk-sentences@evaluated: each learned model has worked cases, drift reference, figures by subgroup, decision curve, alerts per 100, 31 attributes and plots', () => {
  const wrong = LEARNED.flatMap((id) => {
    const folder = newestOf(id);
    const evaluation = json(join(folder, 'evaluation.json'));
    const cohorts = isJsonObject(evaluation.cohorts) ? Object.entries(evaluation.cohorts) : [];
    const bands = cohorts.flatMap(([name, cohort]) => {
      const told = isJsonObject(cohort) && isJsonObject(cohort.bands) ? JSON.stringify(cohort.bands) : '';
      return told.includes('"alertsPer100"') && isJsonObject(cohort) && rows(cohort.netBenefitPer100).length > 3
        ? []
        : [name];
    });
    const subgroups = isJsonObject(evaluation.subgroups) ? Object.keys(evaluation.subgroups) : [];
    const golden: unknown = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
    const plots = ['roc', 'precision-recall', 'calibration', 'decision-curve', 'contributions'].filter(
      (name) => !existsSync(join(folder, `${name}.svg`)),
    );
    const version = String(json(join(folder, 'manifest.json')).version);
    return [
      ...bands.map((name) => `${id}: no alerts per 100 or decision curve of ${name}`),
      ...(cohorts.length === 0 ? [`${id}: no cohorts`] : []),
      ...['sex', 'age'].filter((name) => !subgroups.includes(name)).map((name) => `${id}: no figures by ${name}`),
      ...(rows(golden).length > 1 ? [] : [`${id}: no worked cases`]),
      ...plots.map((name) => `${id}: no plot ${name}`),
      ...(json(join(folder, 'reference.json')).sha256 === models.manifests.get(id)?.sha256
        ? []
        : [`${id}: no drift reference`]),
      ...(models.cards.get(`${id}|${version}`)?.attributes.length === 31 ? [] : [`${id}: not 31 attributes`]),
    ];
  });
  assert.deepEqual(wrong, []);
});

test('risk-sentences@before-treatment: figures before the first antibiotic or culture order are reported apart', () => {
  const evaluation = json(join(newestOf('sepsis-icu'), 'evaluation.json'));
  const cohorts = isJsonObject(evaluation.cohorts) ? evaluation.cohorts : {};
  const [before, all] = [cohorts.beforeOrdersHeldOut, cohorts.recordedHeldOut];
  assert.ok(isJsonObject(before) && isJsonObject(all));
  assert.ok(Number(before.rows) > 0 && Number(before.rows) < Number(all.rows), 'a part of the stays');
  const said = JSON.stringify(json(join(newestOf('sepsis-icu'), 'card.json')).attributes);
  assert.match(said, /Before any antibiotic or culture has been ordered/);
  assert.ok(said.includes(`on ${before.rows} stays, ${before.cases} cases`), 'the card quotes them');
});
