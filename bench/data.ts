/** Synthetic patients for measurements: deterministic but for the day they end on. No real person. */
import type { Bundle, Condition, MedicationRequest, Observation, Patient } from 'fhir/r4.d.ts';

export const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';
const HOUR = 3_600_000;

/** Measurements of one round, an hour apart: code, name, unit, smallest and largest value. */
const MEASURED: readonly (readonly [code: string, name: string, unit: string, low: number, high: number])[] = [
  ['8867-4', 'Heart rate', '/min', 55, 130],
  ['9279-1', 'Respiratory rate', '/min', 10, 28],
  ['8310-5', 'Body temperature', 'Cel', 36, 39],
  ['59408-5', 'Oxygen saturation', '%', 90, 100],
  ['8480-6', 'Systolic blood pressure', 'mm[Hg]', 85, 170],
  ['8462-4', 'Diastolic blood pressure', 'mm[Hg]', 50, 100],
  ['6690-2', 'Leukocytes', '10*3/uL', 3, 20],
  ['2345-7', 'Glucose', 'mg/dL', 60, 300],
  ['2160-0', 'Creatinine', 'mg/dL', 0.5, 3],
  ['718-7', 'Hemoglobin', 'g/dL', 7, 17],
];
/** RxNorm ingredients, as a medication list has them. */
const DRUGS: readonly (readonly [rxcui: string, name: string])[] = [
  ['36567', 'simvastatin'],
  ['11289', 'warfarin'],
  ['6809', 'metformin'],
  ['29046', 'lisinopril'],
];
export const OBSERVATIONS = 100;
export const RESOURCES = 1 + OBSERVATIONS + DRUGS.length + 8;

/** A number from 0 (included) to 1 that depends on `index` only. */
function noise(index: number): number {
  const x = Math.imul(index ^ (index >>> 15), 0x2c1b3c6d);
  const y = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((y ^ (y >>> 15)) >>> 0) / 4_294_967_296;
}

export const patientId = (patient: number): string => `bench-${patient}`;
export const observationId = (patient: number, index: number): string => `bench-${patient}-o${index}`;
const subjectOf = (patient: number) => ({ reference: `Patient/${patientId(patient)}` });

export function patientOf(patient: number, city = 'Nowhere'): Patient {
  return {
    resourceType: 'Patient',
    id: patientId(patient),
    identifier: [{ system: 'https://firewatch.example/fhir/identifier/bench', value: `B-${patient}` }],
    active: true,
    name: [{ use: 'official', family: `Testfall${patient % 97}`, given: [`Muster${patient % 31}`] }],
    gender: patient % 2 === 0 ? 'female' : 'male',
    birthDate: `${1935 + (patient % 60)}-0${1 + (patient % 9)}-1${patient % 10}`,
    address: [{ city, country: 'XX' }],
  };
}

/** @param end ms; rounds of ten measurements reach back from here, an hour apart */
export function observationOf(patient: number, index: number, end: number): Observation {
  const [code, display, unit, low, high] = MEASURED[index % MEASURED.length] ?? ['', '', '', 0, 0];
  const value = Math.round((low + noise(patient * 1009 + index) * (high - low)) * 10) / 10;
  return {
    resourceType: 'Observation',
    id: observationId(patient, index),
    status: 'final',
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: index % 10 < 6 ? 'vital-signs' : 'laboratory',
          },
        ],
      },
    ],
    code: { coding: [{ system: LOINC, code, display }], text: display },
    subject: subjectOf(patient),
    encounter: { reference: `Encounter/bench-${patient}-e` },
    effectiveDateTime: new Date(
      end - (Math.floor(index / 10) * 60 + (index % 10)) * 60_000 - (patient % 240) * HOUR,
    ).toISOString(),
    issued: new Date(end).toISOString(),
    performer: [{ reference: `Practitioner/bench-${patient % 20}`, display: 'Ward nurse' }],
    valueQuantity: { value, unit, system: UCUM, code: unit },
    interpretation: [
      { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code: 'N' }] },
    ],
    referenceRange: [
      { low: { value: low, unit, system: UCUM, code: unit }, high: { value: high, unit, system: UCUM, code: unit } },
    ],
  };
}

export function medicationOf(patient: number, index: number, end: number): MedicationRequest {
  const [code, display] = DRUGS[index % DRUGS.length] ?? ['', ''];
  return {
    resourceType: 'MedicationRequest',
    id: `bench-${patient}-m${index}`,
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: {
      coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code, display }],
      text: display,
    },
    subject: subjectOf(patient),
    authoredOn: new Date(end - (index + 1) * 24 * HOUR).toISOString(),
    dosageInstruction: [{ text: 'once daily' }],
  };
}

function conditionOf(patient: number, index: number): Condition {
  return {
    resourceType: 'Condition',
    id: `bench-${patient}-c${index}`,
    clinicalStatus: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
    },
    code: { coding: [{ system: 'http://snomed.info/sct', code: ['38341003', '44054006'][index % 2] ?? '' }] },
    subject: subjectOf(patient),
    recordedDate: '2024-05-01',
  };
}

/** Everything of one patient as a transaction of `RESOURCES` entries, by PUT. */
export function recordOf(patient: number, end: number): Bundle {
  return putAll([
    patientOf(patient),
    ...Array.from({ length: OBSERVATIONS }, (_, index) => observationOf(patient, index, end)),
    ...DRUGS.map((_, index) => medicationOf(patient, index, end)),
    ...Array.from({ length: 8 }, (_, index) => conditionOf(patient, index)),
  ]);
}

type Kept = Patient | Observation | MedicationRequest | Condition;

function putAll(resources: readonly Kept[]): Bundle {
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: resources.map((resource) => ({
      resource,
      request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
    })),
  };
}

/** A transaction that creates `size` Observations of one patient, by POST. */
export function creating(patient: number, size: number, end: number): Bundle {
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: Array.from({ length: size }, (_, index) => ({
      resource: withoutId(observationOf(patient, index, end)),
      request: { method: 'POST', url: 'Observation' },
    })),
  };
}

export function withoutId({ id: _id, ...observation }: Observation): Observation {
  return observation;
}

/** A searchset, as a CDS client sends it as prefetch. */
export function searchset(resources: readonly Kept[]): Bundle {
  return { resourceType: 'Bundle', type: 'searchset', entry: resources.map((resource) => ({ resource })) };
}
