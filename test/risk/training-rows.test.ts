// From FHIR to tensor: the records behind rows of the training tables, as resources, give the same rows (models/train/derive_*.py).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { featuresOf } from '../../src/risk/assess.ts';
import type { FeatureSpec, ModelManifest } from '../../src/risk/manifest.ts';
import { AT, HOUR, iso, knowledge, manifestOf, measured } from './world.ts';

type Row = Readonly<Record<string, number | null>>;
interface Sepsis {
  readonly key: number;
  readonly row: Row;
  readonly records: readonly (readonly [type: string, text: string, code: string])[];
  readonly pressures: readonly (readonly [offset: number, systolic: number | null, diastolic: number | null])[];
}
interface Icu {
  readonly key: number;
  readonly row: Row;
  readonly readings: readonly (readonly [minute: number, code: string, value: number])[];
  readonly ventilated: readonly number[];
}
interface Cases {
  readonly sepsis: readonly Sepsis[];
  readonly icu24: readonly Icu[];
  readonly icu48: readonly Icu[];
}
const cases: Cases = JSON.parse(readFileSync(join(import.meta.dirname, 'cases', 'training-rows.json'), 'utf8'));

const born = (age: number): Resource => ({
  resourceType: 'Patient',
  birthDate: `${2026 - Math.floor(age) - 1}-06-15`,
});
const person = ({ age, sex }: Row): Resource => ({
  ...born(age ?? 0),
  ...(sex === null ? {} : { gender: sex === 1 ? 'female' : 'male' }),
});

/** Compares every input; differences are collected and shown together. */
function sameRow(manifest: ModelManifest, patient: Resource, resources: readonly Resource[], row: Row): void {
  const found = featuresOf(manifest, { patient, resources, at: AT }, knowledge);
  const different = manifest.features.flatMap(({ name }, index) => {
    const [value, wanted] = [found[index]?.value ?? Number.NaN, row[name] ?? Number.NaN];
    const same =
      (Number.isNaN(value) && Number.isNaN(wanted)) || Math.abs(value - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted));
    return same ? [] : [`${name}: ${value}, in the table ${wanted}`];
  });
  assert.deepEqual(different, []);
}

const concept = (text: string, code: string): JsonObject => ({
  text,
  coding: code.split(',').map((one) => ({ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: one.trim() })),
});
const date = iso(AT - HOUR);
/** Record type of the table -> resource. */
const RECORDS: Readonly<Record<string, (text: string, code: string) => Resource>> = {
  order: (text) => ({
    resourceType: 'MedicationRequest',
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: { text },
    authoredOn: date,
  }),
  given: (text) => ({
    resourceType: 'MedicationAdministration',
    status: 'completed',
    medicationCodeableConcept: { text },
    effectiveDateTime: date,
  }),
  service: (text) => ({
    resourceType: 'ServiceRequest',
    status: 'active',
    intent: 'order',
    code: { text },
    authoredOn: date,
  }),
  specimen: (text) => ({ resourceType: 'Specimen', type: { text }, collection: { collectedDateTime: date } }),
  condition: (text, code) => ({ resourceType: 'Condition', code: concept(text, code), recordedDate: date }),
  encounter: (text) => ({
    resourceType: 'Encounter',
    status: 'in-progress',
    hospitalization: { admitSource: { text } },
  }),
};
/** First-day worst values, of which the table has one each. */
const isWorst = ({ aggregate, codes }: FeatureSpec): boolean =>
  aggregate === 'farthest' || codes?.[0] === '9192-6' || codes?.[0] === '9269-2';

for (const { key, row, records, pressures } of cases.sepsis) {
  test(`risk-training-row@sepsis ${key}`, () => {
    const manifest = manifestOf('sepsis-icu');
    const worst = manifest.features.filter(isWorst).flatMap(({ name, codes, unit }) => {
      const value = row[name];
      return value === null || value === undefined ? [] : [measured(codes?.[0] ?? '', value, unit)];
    });
    const cuffs = pressures.flatMap(([offset, systolic, diastolic]) => {
      const over = { effectiveDateTime: iso(AT - (360 - offset) * 60_000) };
      return [
        ...(systolic === null ? [] : [measured('76534-7', systolic, 'mm[Hg]', over)]),
        ...(diastolic === null ? [] : [measured('76535-4', diastolic, 'mm[Hg]', over)]),
      ];
    });
    const others = records.flatMap(([type, text, code]) => RECORDS[type]?.(text, code) ?? []);
    sameRow(manifest, person(row), [...worst, ...cuffs, ...others], row);
  });
}

const UNITS: Readonly<Record<string, string>> = {
  coronaryCare: 'CCU',
  cardiacSurgery: 'CSRU',
  medicalUnit: 'Medical ICU',
  surgicalUnit: 'Surgical ICU',
};

for (const [hours, rows] of [
  [24, cases.icu24],
  [48, cases.icu48],
] as const) {
  for (const { key, row, readings, ventilated } of rows) {
    test(`risk-training-row@icu ${key} after ${hours} h`, () => {
      const manifest = manifestOf(`icu-mortality-${hours}h`);
      const unitOf = new Map(manifest.features.map(({ codes, unit }) => [codes?.[0] ?? '', unit]));
      const when = (minute: number): string => iso(AT - (hours * 60 - minute) * 60_000);
      const measurements = readings.map(([minute, code, value]) =>
        measured(code, value, unitOf.get(code) ?? '1', { effectiveDateTime: when(minute) }),
      );
      const ventilation = ventilated.map(
        (minute): Resource => ({
          resourceType: 'Procedure',
          status: 'in-progress',
          code: { text: 'Mechanical ventilation' },
          performedDateTime: when(minute),
        }),
      );
      const [unit] = Object.entries(UNITS).filter(([name]) => row[name] === 1);
      const stay: Resource = {
        resourceType: 'Encounter',
        status: 'in-progress',
        location: [{ location: { display: unit?.[1] ?? '' } }],
      };
      sameRow(manifest, person(row), [...measurements, ...ventilation, stay], row);
    });
  }
}
