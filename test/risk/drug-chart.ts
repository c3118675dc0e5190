/** A patient's chart for the vignettes, in few words. */
import type { Json, JsonObject, Resource } from '../../src/fhir/resource.ts';
import { AT, active, ago, draft, named } from './drug-world.ts';

type Extra = Readonly<Record<string, Json>>;
const LOINC = 'http://loinc.org';
let count = 0;
const next = () => `x${++count}`;

export const route = (text: string): JsonObject => ({ route: { text } });
/** An order of a name with one dosage: `rx('ibuprofen', { route, dose: [400, 'mg'], timing: 'TID', prn: true })`. */
export interface Rx {
  readonly route?: string;
  readonly dose?: readonly [number, string];
  readonly doseHigh?: number;
  readonly times?: readonly [frequency: number, period: number, unit: string];
  readonly timing?: string;
  readonly prn?: boolean;
  readonly max?: readonly [number, string];
  readonly once?: boolean;
}
export function dosage({ route: by, dose, doseHigh, times, timing, prn, max, once }: Rx): Extra {
  const quantity = (value: number, unit: string) => ({ value, unit, system: 'http://unitsofmeasure.org', code: unit });
  const repeat = {
    ...(times === undefined ? {} : { frequency: times[0], period: times[1], periodUnit: times[2] }),
    ...(once === true ? { count: 1 } : {}),
  };
  return {
    dosageInstruction: [
      {
        ...(by === undefined ? {} : { route: { text: by } }),
        ...(prn === true ? { asNeededBoolean: true } : {}),
        timing: { repeat, ...(timing === undefined ? {} : { code: { text: timing } }) },
        ...(dose === undefined
          ? {}
          : {
              doseAndRate: [
                doseHigh === undefined
                  ? { doseQuantity: quantity(dose[0], dose[1]) }
                  : { doseRange: { low: quantity(dose[0], dose[1]), high: quantity(doseHigh, dose[1]) } },
              ],
            }),
        ...(max === undefined
          ? {}
          : { maxDosePerPeriod: { numerator: quantity(max[0], max[1]), denominator: quantity(1, 'd') } }),
      },
    ],
  };
}
export const order = (text: string, rx: Rx = {}) => draft(named(text), 'draft-1', dosage(rx));
export const on = (text: string, rx: Rx = {}, extra: Extra = {}) =>
  active(named(text), next(), { ...dosage(rx), ...extra });
export const lab = (code: string, value: number, unit: string, days = 1, extra: Extra = {}): Resource => ({
  resourceType: 'Observation',
  id: next(),
  status: 'final',
  code: { coding: [{ system: LOINC, code }] },
  effectiveDateTime: ago(days),
  valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
  ...extra,
});
export const potassium = (value: number, days = 1) => lab('2823-3', value, 'mmol/L', days);
export const creatinine = (value: number, days = 1) => lab('2160-0', value, 'mg/dL', days);
export const weight = (kg: number) => lab('29463-7', kg, 'kg');
export const height = (cm: number) => lab('8302-2', cm, 'cm');
export const qtc = (ms: number) => lab('8636-3', ms, 'ms');
export const person = (years: number, gender = 'male'): Resource => ({
  resourceType: 'Patient',
  id: 'p',
  gender,
  birthDate: new Date(AT - (years * 365.25 + 40) * 86_400_000).toISOString().slice(0, 10),
});
export const newborn = (days: number): Resource => ({
  resourceType: 'Patient',
  id: 'p',
  birthDate: ago(days).slice(0, 10),
});
export const condition = (text: string, extra: Extra = {}): Resource => ({
  resourceType: 'Condition',
  id: next(),
  clinicalStatus: { coding: [{ code: 'active', system: 'http://terminology.hl7.org/CodeSystem/condition-clinical' }] },
  code: { text },
  ...extra,
});
export const snomed = (code: string): Resource =>
  condition('', { code: { coding: [{ system: 'http://snomed.info/sct', code }] } });
export const intensiveCare: Resource = {
  resourceType: 'Encounter',
  id: 'e',
  status: 'in-progress',
  location: [{ location: { display: 'Intensive care unit 2' } }],
};
export const ventilated: Resource = {
  resourceType: 'Procedure',
  id: 'v',
  status: 'in-progress',
  code: { coding: [{ system: 'http://snomed.info/sct', code: '40617009' }] },
};
