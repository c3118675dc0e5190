/** What a synthetic patient's story is made of, and the codes that it is written with. All invented. */
const NOW = Date.parse('2026-01-15T12:00:00Z');
const HOUR = 3_600_000;
export const LOINC = 'http://loinc.org';
export const SNOMED = 'http://snomed.info/sct';
export const UCUM = 'http://unitsofmeasure.org';
export const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

export type Element = Record<string, unknown>;
export const at = (hoursAgo: number): string => new Date(NOW - hoursAgo * HOUR).toISOString().replace('.000Z', 'Z');
export const coded = (system: string, code: string, display: string): Element => ({
  coding: [{ system, code, display }],
  text: display,
});

/** Vital signs: key -> LOINC code, name, UCUM unit. */
export const VITALS = {
  hr: ['8867-4', 'Heart rate', '/min'],
  rr: ['9279-1', 'Respiratory rate', '/min'],
  temp: ['8310-5', 'Body temperature', 'Cel'],
  sbp: ['8480-6', 'Systolic blood pressure', 'mm[Hg]'],
  dbp: ['8462-4', 'Diastolic blood pressure', 'mm[Hg]'],
  spo2: ['59408-5', 'Oxygen saturation in Arterial blood by Pulse oximetry', '%'],
  o2flow: ['3151-8', 'Inhaled oxygen flow rate', 'L/min'],
  gcs: ['9269-2', 'Glasgow coma score total', '{score}'],
  pain: ['72514-3', 'Pain severity - 0-10 verbal numeric rating', '{score}'],
  weight: ['29463-7', 'Body weight', 'kg'],
  lactate: ['2524-7', 'Lactate [Moles/volume] in Serum or Plasma', 'mmol/L'],
  wbc: ['6690-2', 'Leukocytes [#/volume] in Blood by Automated count', '10*3/uL'],
  creatinine: ['2160-0', 'Creatinine [Mass/volume] in Serum or Plasma', 'mg/dL'],
  platelets: ['777-3', 'Platelets [#/volume] in Blood by Automated count', '10*3/uL'],
  potassium: ['2823-3', 'Potassium [Moles/volume] in Serum or Plasma', 'mmol/L'],
  glucose: ['2345-7', 'Glucose [Mass/volume] in Serum or Plasma', 'mg/dL'],
  inr: ['6301-6', 'INR in Platelet poor plasma by Coagulation assay', '{INR}'],
  map: ['8478-0', 'Mean blood pressure', 'mm[Hg]'],
  fio2: ['3150-6', 'Inhaled oxygen concentration', '%'],
  height: ['8302-2', 'Body height', 'cm'],
  urine: ['9187-6', 'Urine output', 'mL'],
  sodium: ['2951-2', 'Sodium [Moles/volume] in Serum or Plasma', 'mmol/L'],
  bicarbonate: ['1963-8', 'Bicarbonate [Moles/volume] in Serum or Plasma', 'mmol/L'],
  bun: ['3094-0', 'Urea nitrogen [Mass/volume] in Serum or Plasma', 'mg/dL'],
  bilirubin: ['1975-2', 'Bilirubin.total [Mass/volume] in Serum or Plasma', 'mg/dL'],
  haematocrit: ['4544-3', 'Hematocrit [Volume Fraction] of Blood by Automated count', '%'],
  ph: ['2744-1', 'pH of Arterial blood', '[pH]'],
  pao2: ['2703-7', 'Oxygen [Partial pressure] in Arterial blood', 'mm[Hg]'],
  paco2: ['2019-8', 'Carbon dioxide [Partial pressure] in Arterial blood', 'mm[Hg]'],
} as const satisfies Record<string, readonly [string, string, string]>;
export type Vital = keyof typeof VITALS;
export const LABORATORY: readonly Vital[] = [
  'lactate',
  'wbc',
  'creatinine',
  'platelets',
  'potassium',
  'glucose',
  'inr',
  'sodium',
  'bicarbonate',
  'bun',
  'bilirubin',
  'haematocrit',
  'ph',
  'pao2',
  'paco2',
];

/** One set of measurements, `hoursAgo` before the story's now. `avpu`: LOINC answer of 67775-7. `air`: breathing room air was recorded. */
export type Reading = {
  readonly hoursAgo: number;
  readonly avpu?: 'A' | 'C' | 'V' | 'P' | 'U';
  readonly air?: boolean;
} & Partial<Record<Vital, number>>;

export interface Story {
  readonly id: string;
  readonly family: string;
  readonly given: string;
  readonly gender: 'female' | 'male';
  readonly birthDate: string;
  /** SNOMED code and display; `years`/`hours` since onset. */
  readonly conditions: readonly (readonly [code: string, display: string, hoursAgo: number])[];
  readonly encounter: {
    readonly class: 'EMER' | 'IMP' | 'AMB';
    readonly hoursAgo: number;
    readonly complaint?: readonly [string, string];
    /** Hours since admission to the intensive-care unit of this hospital, where the patient still is. */
    readonly intensiveCareHours?: number;
  };
  readonly readings: readonly Reading[];
  /** RxNorm ingredient, name, dose text, status, hours since it was written, hours since it ended. */
  readonly medications: readonly (readonly [
    rxcui: string,
    display: string,
    dose: string,
    status: 'active' | 'stopped' | 'completed',
    hoursAgo: number,
    endedHoursAgo?: number,
  ])[];
  readonly allergies: readonly (readonly [
    system: string,
    code: string,
    display: string,
    reaction: string,
    criticality: 'high' | 'low',
  ])[];
  readonly extra?: (subject: Element, encounter: Element) => readonly Element[];
}
