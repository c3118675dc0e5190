// Which reading becomes an input: codes, status, effective time, window, unit, plausibility. FHIR R4 observation.html, UCUM, LOINC 2.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { readFeature } from '../../src/risk/features/features.ts';
import { convertAnalyte, roundTo } from '../../src/risk/features/observation.ts';
import { spanText } from '../../src/risk/features/pick.ts';
import type { FeatureSpec } from '../../src/risk/manifest.ts';
import {
  AT,
  acvpu,
  bloodPressure,
  born,
  HOUR,
  iso,
  knowledge,
  loinc,
  measured,
  observation,
  quantity,
  roomAir,
  saturationGoal,
  snomed,
  specOf,
  visit,
} from './world.ts';

const read = (spec: FeatureSpec, resources: readonly Resource[], patient?: Resource) =>
  readFeature(spec, { patient, resources, at: AT }, knowledge);

const TEMPERATURE = specOf('news2', 'temperature');
const SPO2 = specOf('news2', 'spo2');
const SYSTOLIC = specOf('news2', 'systolicBloodPressure');
const PULSE = specOf('news2', 'pulse');
const RATE = specOf('news2', 'respiratoryRate');
const LEUKOCYTES = specOf('sirs', 'leukocytes');
const PACO2 = specOf('sirs', 'paco2');
const PAIN = specOf('triage-vitals', 'pain');
const LACTATE: FeatureSpec = {
  name: 'lactate',
  display: 'Lactate',
  kind: 'latest-observation',
  codes: ['2524-7'],
  unit: 'mmol/L',
  range: [0.1, 35],
  analyte: 'lactate',
  required: true,
};
const CREATININE: FeatureSpec = {
  ...LACTATE,
  name: 'creatinine',
  codes: ['2160-0'],
  unit: 'mg/dL',
  range: [0.05, 30],
  analyte: 'creatinine',
};
const GLUCOSE: FeatureSpec = {
  ...LACTATE,
  name: 'glucose',
  codes: ['2345-7'],
  unit: 'mg/dL',
  range: [10, 2000],
  analyte: 'glucose',
};
const SODIUM: FeatureSpec = { ...LACTATE, name: 'sodium', codes: ['2951-2'], range: [95, 200], analyte: 'sodium' };

type UnitRow = readonly [spec: FeatureSpec, value: JsonObject, expected: number | string];
const unitRows: readonly UnitRow[] = [
  [TEMPERATURE, quantity(37.2, 'Cel'), 37.2],
  [TEMPERATURE, quantity(98.6, '[degF]'), 37],
  [TEMPERATURE, quantity(100.4, '[degF]'), 38],
  [TEMPERATURE, quantity(100.5, '[degF]'), 38.1],
  [TEMPERATURE, quantity(310.15, 'K'), 37],
  [TEMPERATURE, quantity(98.6, 'Cel'), 'implausible value'],
  [TEMPERATURE, quantity(37, '[degF]'), 'implausible value'],
  [TEMPERATURE, quantity(37, '%'), 'unit not convertible to Cel'],
  [TEMPERATURE, { value: 37, unit: '°C' }, 37],
  [TEMPERATURE, { value: 37 }, 'no UCUM unit'],
  [TEMPERATURE, { value: 37, unit: 'warm' }, 'unit not convertible to Cel'],
  [TEMPERATURE, { value: 37, unit: 'C', system: 'http://example.org/units', code: 'Cel' }, 'no UCUM unit'],
  [SPO2, quantity(97, '%'), 97],
  [SPO2, quantity(0.97, '1'), 97],
  [SPO2, quantity(0.97, '%'), 'implausible value'],
  [SYSTOLIC, quantity(16, 'kPa'), 120],
  [SYSTOLIC, quantity(120, 'mm[Hg]'), 120],
  [SYSTOLIC, { value: 120, unit: 'mmHg' }, 120],
  [SYSTOLIC, quantity(120, 'mmHg'), 'unit not convertible to mm[Hg]'],
  [SYSTOLIC, quantity(12, 'mm[Hg]'), 'implausible value'],
  [PULSE, quantity(72, '/min'), 72],
  [PULSE, quantity(72, '{beats}/min'), 72],
  [PULSE, quantity(1.2, '/s'), 72],
  [PULSE, { value: 72, unit: 'bpm' }, 72],
  [RATE, quantity(16, '{breaths}/min'), 16],
  [RATE, quantity(-16, '/min'), 'implausible value'],
  [LEUKOCYTES, quantity(12.5, '10*3/uL'), 12.5],
  [LEUKOCYTES, quantity(12.5, '10*9/L'), 12.5],
  [LEUKOCYTES, quantity(12500, '/uL'), 12.5],
  [LEUKOCYTES, quantity(12500, '10*3/uL'), 'implausible value'],
  [PACO2, quantity(4.2, 'kPa'), 31.5],
  [PAIN, quantity(7, '{score}'), 7],
  [PAIN, quantity(7, '1'), 7],
  [PAIN, quantity(7, 'kg'), 'unit not convertible to {score}'],
  [CREATININE, quantity(88.42, 'umol/L'), 1],
  [CREATININE, quantity(1.2, 'mg/dL'), 1.2],
  [CREATININE, quantity(0.08842, 'mmol/L'), 1],
  [CREATININE, quantity(106, 'mg/dL'), 'implausible value'],
  [LACTATE, quantity(18.016, 'mg/dL'), 2],
  [LACTATE, quantity(36, 'mmol/L'), 'implausible value'],
  [GLUCOSE, quantity(5.5, 'mmol/L'), 99.088],
  [GLUCOSE, quantity(1, 'g/L'), 100],
  [SODIUM, quantity(140, 'meq/L'), 140],
  [{ ...SODIUM, analyte: 'unknown' }, quantity(140, 'meq/L'), 'unit not convertible to mmol/L'],
  [TEMPERATURE, { ...quantity(37, 'Cel'), comparator: '<' }, 'value has a comparator'],
  [TEMPERATURE, {}, 'no numeric value'],
];
for (const [spec, valueQuantity, expected] of unitRows) {
  test(`§6.3.7 ucum ${spec.name} ${JSON.stringify(valueQuantity)} is ${expected}`, () => {
    const found = read(spec, [observation(spec.codes?.[0] ?? '', { valueQuantity })]);
    if (typeof expected === 'string') assert.deepEqual(found, { value: Number.NaN, reason: expected });
    else assert.ok(Math.abs(found.value - expected) < 1e-9, `${found.value}`);
  });
}
test('§6.3.7 units: every row of the table converts there and back within 0.1 %', () => {
  for (const { analyte, from, to } of knowledge.units.analytes) {
    const there = convertAnalyte(10, from, to, analyte, knowledge.units) ?? Number.NaN;
    const back = convertAnalyte(there, to, from, analyte, knowledge.units);
    assert.ok(Number.isFinite(there));
    if (back !== undefined) assert.ok(Math.abs(back - 10) < 0.01, `${analyte} ${from} ${to} ${back}`);
  }
});

const rounding: readonly (readonly [value: number, decimals: number, expected: number])[] = [
  [38.04, 1, 38.0],
  [38.05, 1, 38.1],
  [38.049999, 1, 38.0],
  [35.05, 1, 35.1],
  [35.0499, 1, 35.0],
  [36.05, 1, 36.1],
  [39.05, 1, 39.1],
  [20.5, 0, 21],
  [20.49, 0, 20],
  [91.5, 0, 92],
  [-0.5, 0, 0],
];
for (const [value, decimals, expected] of rounding) {
  test(`chart precision: ${value} is ${expected} at ${decimals} decimals`, () => {
    assert.equal(roundTo(value, decimals) + 0, expected);
  });
}

// Window (at - 24 h, at]: open at the old end, closed at the new one.
type Pick = readonly [why: string, over: JsonObject, expected: number | string];
const dates: readonly Pick[] = [
  ['control', {}, 70],
  ['at the instant itself', { effectiveDateTime: iso(AT) }, 70],
  ['1 ms after it', { effectiveDateTime: iso(AT + 1) }, 'after the instant'],
  ['1 ms inside the window', { effectiveDateTime: iso(AT - 24 * HOUR + 1) }, 70],
  ['exactly as old as the window', { effectiveDateTime: iso(AT - 24 * HOUR) }, 'no usable Observation within 24 h'],
  ['a bare date counts from its start', { effectiveDateTime: '2026-03-01' }, 70],
  ['a bare date that may be older than the window', { effectiveDateTime: '2026-02-28' }, 'no usable'],
  ['offset of a zone', { effectiveDateTime: '2026-03-01T16:30:00+05:30' }, 70],
  ['no effective time', { effectiveDateTime: undefined }, 'no usable effective time'],
  ['malformed time', { effectiveDateTime: 'yesterday' }, 'no usable effective time'],
  ['instant', { effectiveDateTime: undefined, effectiveInstant: iso(AT - 1) }, 70],
  [
    'period counts by its end',
    { effectiveDateTime: undefined, effectivePeriod: { start: iso(AT - 30 * HOUR), end: iso(AT - HOUR) } },
    70,
  ],
  [
    'period without end by its start',
    { effectiveDateTime: undefined, effectivePeriod: { start: iso(AT - 30 * HOUR) } },
    'no usable',
  ],
  [
    'timing by its last event',
    { effectiveDateTime: undefined, effectiveTiming: { event: [iso(AT - 30 * HOUR), iso(AT - HOUR)] } },
    70,
  ],
  [
    '§6.2.1 a waveform is read by no score',
    {
      valueQuantity: undefined,
      valueSampledData: { origin: { value: 0 }, period: 4, dimensions: 1, data: '70 71 70' },
    },
    'no numeric value',
  ],
  ['amended', { status: 'amended' }, 70],
  ['corrected', { status: 'corrected' }, 70],
  ['preliminary', { status: 'preliminary' }, 'status preliminary is not scored'],
  ['entered-in-error', { status: 'entered-in-error' }, 'status entered-in-error'],
  ['another code', { code: loinc('8310-5') }, 'no usable Observation'],
  ['same code of another system', { code: snomed('8867-4') }, 'no usable Observation'],
  [
    'second coding',
    {
      code: {
        coding: [...[snomed('364075005').coding].flat(), { system: 'http://loinc.org', code: '8867-4' }],
      } as JsonObject,
    },
    70,
  ],
];
for (const [why, over, expected] of dates) {
  test(`latest-observation: ${why}`, () => {
    const found = read(PULSE, [measured('8867-4', 70, '/min', over)]);
    if (typeof expected === 'number') assert.equal(found.value, expected);
    else assert.ok(Number.isNaN(found.value) && found.reason?.includes(expected), found.reason);
  });
}

const older = (value: number, over: JsonObject = {}) =>
  measured('8867-4', value, '/min', { id: 'older', effectiveDateTime: iso(AT - 2 * HOUR), ...over });
const choices: readonly (readonly [why: string, resources: readonly Resource[], value: number, note?: string])[] = [
  ['the newest wins', [older(60), measured('8867-4', 70, '/min')], 70],
  ['whatever their order', [measured('8867-4', 70, '/min'), older(60)], 70],
  [
    'same time: later issued wins',
    [measured('8867-4', 70, '/min', { issued: iso(AT - 10) }), measured('8867-4', 75, '/min', { issued: iso(AT - 9) })],
    75,
  ],
  [
    'same time and issue: higher version wins',
    [
      measured('8867-4', 70, '/min', { meta: { versionId: '10' } }),
      measured('8867-4', 75, '/min', { meta: { versionId: '9' } }),
    ],
    70,
  ],
  [
    'an implausible newest is skipped, and that is said',
    [older(60), measured('8867-4', 999, '/min')],
    60,
    'a newer reading was skipped: implausible value',
  ],
  [
    'an empty newest is skipped, and that is said',
    [older(60), observation('8867-4', { dataAbsentReason: { text: 'error' } })],
    60,
    'a newer reading was skipped: no numeric value',
  ],
  [
    'a newest with comparator is not hidden by an older one',
    [older(60), measured('8867-4', 0, '/min', { valueQuantity: { ...quantity(40, '/min'), comparator: '<' } })],
    Number.NaN,
  ],
  [
    'a newest without unit is not hidden by an older one',
    [older(60), observation('8867-4', { valueQuantity: { value: 140 } })],
    Number.NaN,
  ],
  [
    'a preliminary newest leaves the older final one',
    [older(60), measured('8867-4', 70, '/min', { status: 'preliminary' })],
    60,
  ],
];
for (const [why, resources, value, note] of choices) {
  test(`latest-observation: ${why}`, () => {
    const found = read(PULSE, resources);
    assert.deepEqual([found.value, found.note], [value, note]);
  });
}
test('latest-observation: a component of the blood pressure panel', () => {
  assert.deepEqual(read(SYSTOLIC, [bloodPressure(98)]), { value: 98, at: AT - HOUR, source: 'Observation/o85354-9' });
});
test('latest-observation: a resource without id has no source', () => {
  assert.equal(read(PULSE, [measured('8867-4', 70, '/min', { id: undefined })]).source, undefined);
});

const CONSCIOUSNESS = specOf('news2', 'consciousness');
const gcs = (total: number) => measured('9269-2', total, '{score}');
const said = (valueString: string) => observation('67775-7', { valueString });
const levels: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['A', [acvpu('A')], 0],
  ['C', [acvpu('C')], 1],
  ['V', [acvpu('V')], 2],
  ['P', [acvpu('P')], 3],
  ['U', [acvpu('U')], 4],
  ['text', [said('Alert')], 0],
  ['text, one letter', [said('v')], 2],
  ['text not understood', [said('sleepy?')], Number.NaN],
  ['GCS 15', [gcs(15)], 0],
  ['GCS 14', [gcs(14)], 1],
  ['GCS 13', [gcs(13)], 2],
  ['GCS 8', [gcs(8)], 3],
  ['GCS 6', [gcs(6)], 4],
  ['GCS 2 is no GCS', [gcs(2)], Number.NaN],
  ['GCS 16 is no GCS', [gcs(16)], Number.NaN],
  ['GCS as integer', [observation('9269-2', { valueInteger: 15 })], 0],
  ['same instant: the deeper level', [acvpu('A'), gcs(9)], 3],
  ['an older level does not count', [acvpu('A'), acvpu('U', { effectiveDateTime: iso(AT - 2 * HOUR) })], 0],
  [
    'a newer unreadable one is not hidden',
    [said('??'), acvpu('A', { effectiveDateTime: iso(AT - 2 * HOUR) })],
    Number.NaN,
  ],
  ['none', [], Number.NaN],
];
for (const [why, resources, value] of levels) {
  test(`consciousness: ${why}`, () => assert.equal(read(CONSCIOUSNESS, resources).value, value));
}

const OXYGEN = specOf('news2', 'oxygen');
const oxygenRows: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['nothing recorded is missing, not air', [], Number.NaN],
  ['room air finding', [roomAir()], 0],
  ['room air negated', [roomAir({ valueBoolean: false })], 1],
  ['flow 2 L/min', [measured('3151-8', 2, 'L/min')], 1],
  ['flow 0', [measured('3151-8', 0, 'L/min')], 0],
  ['FiO2 21 %', [measured('3150-6', 21, '%')], 0],
  ['FiO2 22 %', [measured('3150-6', 22, '%')], 1],
  ['FiO2 as fraction 0.21', [measured('3150-6', 0.21, '1')], 0],
  ['FiO2 as fraction 0.40', [measured('3150-6', 0.4, '1')], 1],
  ['FiO2 0.4 %', [measured('3150-6', 0.4, '%')], Number.NaN],
  ['text room air', [observation('3151-8', { valueString: 'Room air' })], 0],
  ['flow without unit', [observation('3151-8', { valueQuantity: { value: 2 } })], Number.NaN],
  [
    'component of the oximetry',
    [measured('59408-5', 95, '%', { component: [{ code: loinc('3151-8'), valueQuantity: quantity(2, 'L/min') }] })],
    1,
  ],
  [
    'SNOMED on oxygen, answered no',
    [{ ...roomAir(), code: snomed('371825009'), valueCodeableConcept: snomed('373067005') }],
    0,
  ],
  ['SNOMED on oxygen', [{ ...roomAir(), code: snomed('371825009') }], 1],
  ['newest decides', [roomAir(), measured('3151-8', 2, 'L/min', { effectiveDateTime: iso(AT - 2 * HOUR) })], 0],
  ['both at once: oxygen', [roomAir(), measured('3151-8', 2, 'L/min')], 1],
];
for (const [why, resources, value] of oxygenRows) {
  test(`oxygen: ${why}`, () => assert.equal(read(OXYGEN, resources).value, value));
}

const SCALE = specOf('news2', 'spo2Scale');
const copd: Resource = { resourceType: 'Condition', id: 'copd', code: snomed('13645005') };
const scaleRows: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['no target', [], 1],
  ['COPD alone is no target', [copd], 1],
  ['Goal 88-92 %', [copd, saturationGoal(88, 92)], 2],
  ['Goal 94-98 %', [saturationGoal(94, 98)], 1],
  ['Goal 88-94 %', [saturationGoal(88, 94)], 1],
  ['Goal not active', [saturationGoal(88, 92, { lifecycleStatus: 'proposed' })], 1],
  ['Goal completed', [saturationGoal(88, 92, { lifecycleStatus: 'completed' })], 1],
];
for (const [why, resources, value] of scaleRows) {
  test(`spo2-scale: ${why}`, () => assert.equal(read(SCALE, resources).value, value));
}

const MONTHS = specOf('triage-vitals', 'ageMonths');
const YEARS: FeatureSpec = { ...MONTHS, unit: 'a', cuts: [16] };
const DAYS: FeatureSpec = { ...MONTHS, unit: 'd', cuts: [29] };
const ages: readonly (readonly [spec: FeatureSpec, birthDate: string, value: number])[] = [
  [YEARS, '2010-03-01', 16],
  [YEARS, '2010-03-02', 15],
  [YEARS, '1950', 75],
  [YEARS, '2010', Number.NaN],
  [YEARS, '2010-03', Number.NaN],
  [YEARS, '2010-02', 16],
  [YEARS, '2026-03-02', Number.NaN],
  [YEARS, 'unknown', Number.NaN],
  [MONTHS, '2025-12-01', 3],
  [MONTHS, '2025-12-02', 2],
  [MONTHS, '2018-03-01', 96],
  [MONTHS, '2018-03-02', 95],
  [MONTHS, '2025-12', Number.NaN],
  [DAYS, '2026-02-01', 28],
  [DAYS, '2026-01-31', 29],
  [DAYS, '2026-03-01', 0],
  [DAYS, '2026-02', 1],
];
for (const [spec, birthDate, value] of ages) {
  test(`age in ${spec.unit}: born ${birthDate} is ${value}`, () =>
    assert.equal(read(spec, [], born(birthDate)).value, value));
}

const COMPLAINT = specOf('triage-vitals', 'complaint');
const diagnosis = (over: JsonObject): Resource => ({
  resourceType: 'Condition',
  id: 'dx',
  category: [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-category', code: 'encounter-diagnosis' }] },
  ],
  code: snomed('29857009'),
  recordedDate: iso(AT - HOUR),
  ...over,
});
const complaints: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['none recorded', [], Number.NaN],
  ['no red flag', [visit('twisted ankle')], 0],
  ['chest pain', [visit('Chest pain since 8 am')], 1],
  ['denied', [visit('twisted ankle, denies chest pain')], 0],
  ['a comma ends the negation', [visit('no allergies, chest pain')], 1],
  ['one negation for two', [visit('no shortness of breath or chest pain')], 0],
  ['denied, then said', [visit('no fever, but chest pain')], 1],
  ['part of another word', [visit('stroked a cat')], 0],
  ['arrest', [visit('cardiac arrest, CPR in progress')], 2],
  ['coded', [visit('x', { reasonCode: [snomed('230690007')] })], 1],
  ['finished visit', [visit('chest pain', { status: 'finished' })], Number.NaN],
  ['visit of another day', [visit('chest pain', { period: { start: iso(AT - 48 * HOUR) } })], Number.NaN],
  ['chief complaint in words', [observation('8661-1', { valueString: 'shortness of breath' })], 1],
  ['diagnosis of the encounter', [diagnosis({})], 1],
  [
    'refuted diagnosis',
    [diagnosis({ verificationStatus: { coding: [{ system: 'x', code: 'refuted' }] } })],
    Number.NaN,
  ],
  ['old problem list entry', [diagnosis({ category: undefined, recordedDate: '2020-01-01' })], Number.NaN],
];
for (const [why, resources, value] of complaints) {
  test(`complaint: ${why}`, () => assert.equal(read(COMPLAINT, resources).value, value));
}
test('complaint: shows the category, never the words', () => {
  const found = read(COMPLAINT, [visit('Jane Roe has chest pain')]);
  assert.equal(found.shown, 'chest pain');
});
test('hostile shapes are missing, not errors', () => {
  const shapes: readonly JsonObject[] = [
    { valueQuantity: [] },
    { valueQuantity: { value: 'x' } },
    { component: 'x' },
    { component: [null] },
    { code: null },
    { code: { coding: {} } },
    { effectivePeriod: 'x', effectiveDateTime: undefined },
    { meta: 7 },
  ];
  for (const shape of shapes) {
    for (const spec of [PULSE, CONSCIOUSNESS, OXYGEN, COMPLAINT, SCALE]) read(spec, [observation('8867-4', shape)]);
  }
});

const SHOCK: FeatureSpec = { ...PULSE, name: 'shockIndex', kind: 'shock-index', windowHours: 4 };
const systolic = (value: number) => measured('8480-6', value, 'mm[Hg]');
const shocks: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['pulse by systolic pressure', [measured('8867-4', 120, '/min'), systolic(100)], 1.2],
  ['the component of a panel counts', [measured('8867-4', 90, '/min'), bloodPressure(90)], 1],
  ['no pulse', [systolic(100)], Number.NaN],
  ['no pressure', [measured('8867-4', 120, '/min')], Number.NaN],
  [
    'outside the window',
    [measured('8867-4', 120, '/min', { effectiveDateTime: iso(AT - 5 * HOUR) }), systolic(100)],
    Number.NaN,
  ],
];
for (const [why, resources, value] of shocks) {
  test(`shock index: ${why}`, () => assert.equal(read(SHOCK, resources).value, value));
}

const CHEST: FeatureSpec = { ...COMPLAINT, name: 'chest', kind: 'complains-of', codes: ['chest-pain', 'stroke'] };
const asked: readonly (readonly [why: string, resources: readonly Resource[], value: number])[] = [
  ['one of the categories', [visit('chest pain')], 1],
  ['another complaint', [visit('ankle sprain')], 0],
  ['denied', [visit('denies chest pain')], 0],
  ['not understood', [visit('qwerty')], Number.NaN],
  ['none recorded', [], Number.NaN],
];
for (const [why, resources, value] of asked) {
  test(`complains of: ${why}`, () => assert.equal(read(CHEST, resources).value, value));
}

test('missing@span: a window of days is said in days, one of hours in hours', () => {
  const spans = [1, 24, 72, 95, 96, 100, 168, 2160].map(spanText);
  assert.deepEqual(spans, ['1 h', '24 h', '72 h', '95 h', '4 days', '100 h', '7 days', '90 days']);
});
