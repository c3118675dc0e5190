// Inputs of scores (docs/models.md): computed kinds, the choice of a value, and what must never be taken for something else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { featuresOf } from '../../src/risk/assess.ts';
import { readFeature } from '../../src/risk/features/features.ts';
import type { FeatureSpec } from '../../src/risk/manifest.ts';
import { loadSchemas, readChecked } from '../../src/risk/manifest.ts';
import type { ScoreFile } from '../../src/risk/scores/score-file.ts';
import { infusion } from './score-world.ts';
import { AT, bloodPressure, born, HOUR, iso, knowledge, MODELS, measured, quantity, roomAir } from './world.ts';

const schemas = loadSchemas(MODELS);
const file = (id: string): ScoreFile => readChecked(`${MODELS}/scores`, `${id}.json`, schemas.score);
const specOf = (id: string, name: string): FeatureSpec => {
  const spec = file(id).features.find((feature) => feature.name === name);
  if (spec === undefined) throw new TypeError(`${id} has no ${name}`);
  return spec;
};
const TOTAL: FeatureSpec = {
  name: 'calcium',
  display: 'Calcium',
  kind: 'latest-observation',
  codes: ['17861-6'],
  unit: 'mg/dL',
  analyte: 'calcium',
  required: true,
};
const BNP: FeatureSpec = { ...TOTAL, name: 'bnp', codes: ['30934-4'], unit: 'pg/mL' };
const ago = (hours: number): string => iso(AT - hours * HOUR);
const gcs = (value: number, hours = 1): Resource =>
  measured('9269-2', value, '{score}', { id: `t${hours}`, effectiveDateTime: ago(hours) });
const part = (code: string, value: number, hours = 1): Resource =>
  measured(code, value, '{score}', { effectiveDateTime: ago(hours) });
const parts = (eye: number, verbal: number, motor: number, hours = 1): readonly Resource[] => [
  part('9267-6', eye, hours),
  part('9270-0', verbal, hours),
  part('9268-4', motor, hours),
];
const RATE = specOf('sofa', 'norepinephrine');
const MAP = specOf('rems', 'map');
const PF = specOf('sofa', 'pf');
const SF = specOf('sofa', 'sf');
const URINE = specOf('sofa', 'urine');
const GCS = specOf('rems', 'gcs');
const CREATININE = specOf('ckd-epi-2021', 'creatinine');
const SPO2 = specOf('rems', 'spo2');
const TEMPERATURE = specOf('mews', 'temperature');
const PULSE = specOf('rems', 'pulse');
const LOWEST: FeatureSpec = { ...PULSE, choose: 'min' };
const FIRST: FeatureSpec = { ...PULSE, choose: 'first' };
const pulse = (value: number, hours: number, over = {}): Resource =>
  measured('8867-4', value, '/min', { id: `p${hours}`, effectiveDateTime: ago(hours), ...over });
const pao2 = measured('2703-7', 80, 'mm[Hg]');
const fio2 = (value: number, hours = 1, unit = '%'): Resource =>
  measured('3150-6', value, unit, { effectiveDateTime: ago(hours) });

type Row = readonly [expected: number | RegExp, spec: FeatureSpec, resources: readonly Resource[], why: string];
const rows: readonly Row[] = [
  [14, GCS, [gcs(14)], 'control: a total'],
  [11, GCS, parts(3, 3, 5), 'the sum of three parts of one instant'],
  [/no usable/, GCS, parts(3, 3, 5).slice(0, 2), 'two parts are no score'],
  [/no usable/, GCS, [...parts(3, 3, 5).slice(0, 2), part('9268-4', 5, 2)], 'parts of different instants'],
  [9, GCS, [gcs(9), ...parts(4, 5, 6)], 'the total counts at the same instant'],
  [15, GCS, [gcs(9, 2), ...parts(4, 5, 6)], 'newer parts count before an older total'],
  [/implausible/, GCS, [gcs(2)], 'below 3'],
  [/whole number/, GCS, [gcs(12.5)], 'not a whole number'],

  [85, MAP, [measured('8478-0', 85, 'mm[Hg]')], 'control: measured'],
  [81, MAP, [bloodPressure(124)], 'computed: 60 + 64 / 3 = 81.3'],
  [90, MAP, [bloodPressure(124), measured('8478-0', 90, 'mm[Hg]')], 'measured counts at the same instant'],
  [
    /no usable/,
    MAP,
    [measured('8480-6', 124, 'mm[Hg]'), measured('8462-4', 60, 'mm[Hg]', { effectiveDateTime: ago(2) })],
    'systolic and diastolic of different instants',
  ],
  [
    /implausible/,
    MAP,
    [measured('8480-6', 60, 'mm[Hg]'), measured('8462-4', 124, 'mm[Hg]')],
    'diastolic above systolic',
  ],

  [200, PF, [pao2, fio2(40)], 'control: 80 / 0.40'],
  [200, PF, [pao2, fio2(0.4, 1, '1')], 'a fraction'],
  [200, PF, [measured('2703-7', 10.6658, 'kPa'), fio2(40)], 'kPa'],
  [381, PF, [pao2, roomAir()], 'room air is 21 %'],
  [200, PF, [pao2, fio2(40, 5)], 'inspired oxygen exactly 4 h before'],
  [/no inspired oxygen/, PF, [pao2, fio2(40, 5.01)], 'longer before'],
  [/no inspired oxygen/, PF, [pao2, fio2(40, 0.5)], 'recorded later'],
  [/no inspired oxygen/, PF, [pao2, measured('3151-8', 4, 'L/min')], 'a flow is no fraction'],
  [/no usable/, PF, [measured('2705-2', 40, 'mm[Hg]'), fio2(40)], 'a venous gas'],
  [243, SF, [measured('59408-5', 97, '%'), fio2(40)], 'SpO2 97 %'],
  [/implausible/, SF, [measured('59408-5', 98, '%'), fio2(40)], 'above 97 % the curve is flat'],

  [0.05, RATE, [infusion('norepinephrine', 0.05)], 'control'],
  [0, RATE, [], 'none recorded'],
  [
    0.1,
    RATE,
    [infusion('norepinephrine', 0, { dosage: { rateQuantity: quantity(7, 'ug/min') } }), measured('29463-7', 70, 'kg')],
    'per minute, by the weight',
  ],
  [
    0.1,
    RATE,
    [
      infusion('norepinephrine', 0, { dosage: { rateQuantity: quantity(0.42, 'mg/h') } }),
      measured('29463-7', 70, 'kg'),
    ],
    'mg per hour, by the weight',
  ],
  [
    /not understood/,
    RATE,
    [infusion('norepinephrine', 0, { dosage: { rateQuantity: quantity(7, 'ug/min') } })],
    'per minute without a weight',
  ],
  [
    /not understood/,
    RATE,
    [infusion('norepinephrine', 0, { dosage: { rateQuantity: quantity(5, 'mL/h') } })],
    'mL per hour says nothing',
  ],
  [0, RATE, [infusion('norepinephrine', 0.05, { status: 'not-done' })], 'not given'],
  [
    0,
    RATE,
    [infusion('norepinephrine', 0.05, { status: 'completed', effectivePeriod: { start: ago(3), end: ago(2.01) } })],
    'less than an hour',
  ],
  [
    0.05,
    RATE,
    [infusion('norepinephrine', 0.05, { status: 'completed', effectivePeriod: { start: ago(3), end: ago(2) } })],
    'an hour',
  ],
  [
    0,
    RATE,
    [infusion('norepinephrine', 0.05, { status: 'completed', effectivePeriod: { start: ago(40), end: ago(25) } })],
    'ended before the window',
  ],
  [0, RATE, [infusion('epinephrine', 0.05)], 'another drug'],

  [400, URINE, [measured('9192-6', 400, 'mL/(24.h)')], 'control'],
  [400, URINE, [measured('9192-6', 400, 'mL')], 'the volume of 24 h'],
  [/no usable/, URINE, [measured('9188-4', 400, 'mL/(8.h)')], '8 h urine'],
  [/no usable/, URINE, [measured('9187-6', 40, 'mL/h')], 'hourly urine'],
  [/no usable/, TOTAL, [measured('1994-3', 1.2, 'mmol/L'), measured('1995-0', 4.8, 'mg/dL')], 'ionised calcium'],
  [10, TOTAL, [measured('17861-6', 2.49500998003992, 'mmol/L')], 'total calcium in mmol/L'],
  [/no usable/, BNP, [measured('33762-6', 900, 'pg/mL')], 'NT-proBNP is not BNP'],

  [1, CREATININE, [measured('14682-9', 88.42, 'umol/L')], 'control: molar'],
  [/implausible/, CREATININE, [measured('2160-0', 90, 'mg/dL')], '90 mg/dL is umol/L with the wrong unit'],
  [/implausible/, SPO2, [measured('59408-5', 0.97, '%')], '0.97 %'],
  [97, SPO2, [measured('59408-5', 0.97, '1')], '0.97 of 1'],
  [/implausible/, TEMPERATURE, [measured('8310-5', 98.6, 'Cel')], '98.6 Cel'],
  [37, TEMPERATURE, [measured('8310-5', 98.6, '[degF]')], '98.6 degF'],

  [70, PULSE, [pulse(90, 3), pulse(70, 1)], 'the latest'],
  [70, LOWEST, [pulse(90, 3), pulse(70, 2), pulse(80, 1)], 'the lowest'],
  [90, FIRST, [pulse(90, 3), pulse(70, 1)], 'the first of the window'],
  [80, LOWEST, [pulse(5, 2), pulse(80, 1)], 'an artefact is not the lowest'],
  [80, LOWEST, [pulse(60, 24), pulse(80, 1)], 'exactly 24 h ago lies outside'],
  [80, LOWEST, [pulse(60, 1, { status: 'preliminary' }), pulse(80, 2)], 'preliminary'],
  [80, LOWEST, [pulse(60, 1, { status: 'entered-in-error' }), pulse(80, 2)], 'entered in error'],
  [60, LOWEST, [pulse(60, 1, { status: 'corrected' }), pulse(80, 2)], 'corrected'],
  [80, LOWEST, [pulse(60, -1), pulse(80, 2)], 'the future'],
  [60, LOWEST, [pulse(60, 0, { effectiveDateTime: '2026-03-01T23:00:00+11:00' })], 'another time zone'],
  [
    70,
    LOWEST,
    Array.from({ length: 5000 }, (_each, index) => pulse(70 + (index % 30), 1 + index / 1000)),
    'a flood of a device',
  ],
];

test('score@inputs: computed, chosen, and never taken for something else', () => {
  const patient = born('1960-05-05');
  const wrong = rows.flatMap(([expected, spec, resources, why]) => {
    const { value, reason } = readFeature(spec, { patient, resources, at: AT }, knowledge);
    const fits =
      typeof expected === 'number' ? Math.abs(value - expected) < 1e-9 : reason !== undefined && expected.test(reason);
    return fits ? [] : [`${spec.name}: ${why}: ${value} ${reason}`];
  });
  assert.deepEqual(wrong, []);
});

test('score@computed: what was computed is said beside the value', () => {
  const said = (spec: FeatureSpec, resources: readonly Resource[]) =>
    readFeature(spec, { patient: undefined, resources, at: AT }, knowledge).note;
  assert.equal(said(GCS, parts(3, 3, 5)), 'sum of eye, verbal and motor response');
  assert.equal(said(MAP, [bloodPressure(124)]), 'computed from systolic and diastolic pressure');
  assert.equal(said(PF, [pao2, fio2(40)]), 'with 40 % inspired oxygen');
  assert.equal(said(RATE, []), 'none recorded');
});

const simultaneous: readonly (readonly [
  of: 'now' | 'each-other' | undefined,
  hours: readonly [number, number],
  missing: readonly string[],
])[] = [
  [undefined, [3, 1], []],
  ['each-other', [2, 1], []],
  ['each-other', [2.001, 1], ['pulse']],
  ['each-other', [5, 5], []],
  ['now', [1, 0.5], []],
  ['now', [1.001, 0.5], ['pulse']],
  ['now', [5, 5], ['pulse', 'spo2']],
];
test('score@simultaneity: inputs of one moment, where a file or a site asks for it: within 1 h, the end included', () => {
  for (const [of, [first, second], missing] of simultaneous) {
    const resources = [pulse(80, first), measured('59408-5', 97, '%', { effectiveDateTime: ago(second) })];
    const manifest = { features: [PULSE, SPO2], ...(of === undefined ? {} : { simultaneity: { hours: 1, of } }) };
    const found = featuresOf(manifest, { patient: undefined, resources, at: AT }, knowledge);
    assert.deepEqual(
      [
        of,
        first,
        manifest.features.filter((_spec, index) => found[index]?.reason !== undefined).map(({ name }) => name),
      ],
      [of, first, missing],
    );
  }
});
