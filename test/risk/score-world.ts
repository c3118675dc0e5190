/** Resources from the plain inputs of the vignettes: what a record holds when a publication says "pulse 110". All people are invented. */
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { AT, acvpu, HOUR, iso, measured, observation, quantity, roomAir, saturationGoal, snomed } from './world.ts';

export type Inputs = Readonly<Record<string, unknown>>;
const DAY = 24 * HOUR;
const ago = (ms: number): string => iso(AT - ms);
const icd = (code: string): JsonObject => ({ coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code }] });
const ACT = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';
const PRIORITY = 'http://terminology.hl7.org/CodeSystem/v3-ActPriority';

/** A measured value: LOINC code and UCUM unit. */
const MEASURED: Readonly<Record<string, readonly [code: string, unit: string]>> = {
  respiratoryRate: ['9279-1', '/min'],
  pulse: ['8867-4', '/min'],
  systolic: ['8480-6', 'mm[Hg]'],
  diastolic: ['8462-4', 'mm[Hg]'],
  map: ['8478-0', 'mm[Hg]'],
  spo2: ['59408-5', '%'],
  temperature: ['8310-5', 'Cel'],
  gcs: ['9269-2', '{score}'],
  creatinine: ['2160-0', 'mg/dL'],
  bilirubin: ['1975-2', 'mg/dL'],
  platelets: ['777-3', '10*3/uL'],
  inr: ['6301-6', '{INR}'],
  lactate: ['2524-7', 'mmol/L'],
  pao2: ['2703-7', 'mm[Hg]'],
  fio2: ['3150-6', '%'],
  urine: ['9192-6', 'mL/(24.h)'],
  weight: ['29463-7', 'kg'],
  height: ['8302-2', 'cm'],
  albumin: ['1751-7', 'g/dL'],
  haemoglobin: ['718-7', 'g/dL'],
  sodium: ['2951-2', 'mmol/L'],
  bandForms: ['764-1', '%'],
  dDimer: ['48065-7', 'ug/mL{FEU}'],
  fibrinogen: ['3255-7', 'mg/dL'],
  history: ['59454-9', '{score}'],
  secondaryDiagnosis: ['59455-6', '{score}'],
  ambulatoryAid: ['59456-4', '{score}'],
  intravenous: ['59457-2', '{score}'],
  gait: ['59458-0', '{score}'],
  mentalStatus: ['59459-8', '{score}'],
};

export const infusion = (drug: string, rate: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationAdministration',
  id: `run-${drug}`,
  status: 'in-progress',
  medicationCodeableConcept: { text: `${drug} infusion` },
  effectivePeriod: { start: ago(3 * HOUR) },
  dosage: { rateQuantity: quantity(rate, 'ug/kg/min') },
  ...over,
});
const finding = (code: string, valueString: string): Resource => ({
  ...observation(code, { valueString }),
  code: { coding: [{ system: 'urn:firewatch:score', code }] },
});
export const stay = (code: string, start: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Encounter',
  id: `e-${code}-${start}`,
  status: 'in-progress',
  class: { system: ACT, code },
  period: { start },
  ...over,
});
const past = (code: string, days: number): Resource =>
  stay(code, ago(days * DAY), { status: 'finished', period: { start: ago(days * DAY), end: ago((days - 1) * DAY) } });
const procedure = (code: JsonObject, over: JsonObject): Resource => ({
  resourceType: 'Procedure',
  status: 'completed',
  code,
  ...over,
});

type Build = (value: unknown, inputs: Inputs) => readonly Resource[];
const many =
  (make: (index: number) => Resource): Build =>
  (value) =>
    Array.from({ length: Number(value) }, (_each, index) => make(index));
const when =
  (make: (inputs: Inputs) => Resource): Build =>
  (value, inputs) =>
    value ? [make(inputs)] : [];
const drug = (name: string): Build => when((inputs) => infusion(name, Number(inputs[name])));
const LEVELS = ['A', 'C', 'V', 'P', 'U'] as const;

const BUILDS: Readonly<Record<string, Build>> = {
  ...Object.fromEntries(
    Object.entries(MEASURED).map(([name, [code, unit]]): [string, Build] => [
      name,
      (value) => [measured(code, Number(value), unit)],
    ]),
  ),
  acvpu: (value) => LEVELS.filter((level) => level === value).map((level) => acvpu(level)),
  oxygen: (value) => [value === 'air' ? roomAir() : measured('3151-8', 2, 'L/min')],
  target: when(() => saturationGoal(88, 92)),
  conditions: (value) =>
    (Array.isArray(value) ? value : []).map((code, index) => ({
      resourceType: 'Condition',
      id: `c${index}`,
      code: icd(String(code)),
    })),
  terminal: when(() => ({ resourceType: 'Condition', id: 'terminal', code: { text: 'Terminal illness' } })),
  fixedPupils: when(() => ({ resourceType: 'Condition', id: 'pupils', code: { text: 'Fixed pupils bilaterally' } })),
  ventilated: when(() =>
    procedure(snomed('40617009'), { status: 'in-progress', performedPeriod: { start: ago(5 * HOUR) } }),
  ),
  norepinephrine: drug('norepinephrine'),
  epinephrine: drug('epinephrine'),
  dopamine: drug('dopamine'),
  dobutamine: drug('dobutamine'),
  ascites: (value) => [finding('ascites', String(value))],
  encephalopathy: (value) => [finding('hepatic-encephalopathy', String(value))],
  arrivalHours: (value) => [stay('EMER', ago(Number(value) * HOUR))],
  stayDays: (value, { urgent, oncology }) => [
    stay('IMP', ago(Number(value) * DAY), {
      id: 'stay',
      ...(urgent === undefined
        ? {}
        : { priority: { coding: [{ system: PRIORITY, code: urgent === true ? 'EM' : 'EL' }] } }),
      ...(oncology === true ? { serviceType: snomed('394593009') } : {}),
    }),
  ],
  emergencyVisits: many((index) => past('EMER', 40 + index)),
  admissions: many((index) => past('IMP', 40 + 2 * index)),
  procedures: many(() => procedure({ text: 'bronchoscopy' }, { performedDateTime: ago(HOUR) })),
  age: () => [],
  ageMonths: () => [],
  sex: () => [],
  urgent: () => [],
  oncology: () => [],
};

/** The birthday on which the age is exactly what the inputs say; AT is the first of a month. */
export function patientOf({ age, ageMonths, sex }: Inputs): Resource {
  const born = new Date(AT);
  if (ageMonths === undefined) born.setUTCFullYear(born.getUTCFullYear() - Number(age));
  else born.setUTCMonth(born.getUTCMonth() - Number(ageMonths));
  const gender = sex === undefined ? {} : { gender: String(sex) };
  return { resourceType: 'Patient', id: 'p', birthDate: born.toISOString().slice(0, 10), ...gender };
}

/** @throws TypeError for an input that nothing builds */
export function resourcesOf(inputs: Inputs): readonly Resource[] {
  return Object.entries(inputs).flatMap(([name, value]) => {
    const build = BUILDS[name];
    if (build === undefined) throw new TypeError(`nothing builds ${name}`);
    return build(value, inputs);
  });
}
