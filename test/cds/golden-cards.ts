// The scenarios of test/cds/golden: what a clinician is shown for the seed patients. Written anew by `node scripts/golden-cards.ts`; a change in wording is seen in review.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../../models/train/newest.ts';
import type { Card } from '../../src/cds/cards/card.ts';
import { BASIS_LABEL } from '../../src/cds/cards/lint.ts';
import type { Golden } from '../../src/risk/manifest.ts';
import { type SeedWorld, seedWorld } from './seed-world.ts';
import { patientView, ROOT, world } from './world.ts';

export const GOLDEN = join(ROOT, 'test', 'cds', 'golden');

/** Seed patient -> orders that are to be signed, as an EHR writes them; with `dose`, milligrams and doses a day. */
const ORDERS: readonly (readonly [patient: string, name: string, drug: string, dose?: readonly [number, number]])[] = [
  ['demo-polypharmacy', 'clarithromycin', 'clarithromycin 500 MG Oral Tablet', [500, 2]],
  ['demo-polypharmacy', 'cotrimoxazole', 'sulfamethoxazole 800 MG / trimethoprim 160 MG Oral Tablet'],
  ['demo-penicillin', 'amoxicillin', 'amoxicillin 500 MG Oral Capsule', [500, 3]],
  ['demo-washout', 'sertraline', 'sertraline 50 MG Oral Tablet', [50, 1]],
  ['demo-heart-failure', 'ibuprofen', 'ibuprofen 400 MG Oral Tablet', [400, 3]],
  ['demo-heart-failure', 'potassium', 'potassium chloride 20 MEQ Extended Release Oral Tablet'],
  ['demo-diabetes', 'metformin', 'metformin', [2000, 2]],
  ['demo-postoperative', 'tramadol', 'tramadol 50 MG Oral Tablet', [50, 4]],
  ['demo-copd', 'propranolol', 'propranolol 40 MG Oral Tablet', [40, 2]],
  ['demo-chest-pain', 'warfarin', 'warfarin 5 MG Oral Tablet', [5, 1]],
  ['demo-child', 'codeine', 'codeine sulfate 15 MG Oral Tablet', [15, 4]],
  ['demo-control', 'unknown', 'Wonder drug 7'],
];
const PATIENTS = [
  'demo-sepsis',
  'demo-copd',
  'demo-control',
  'demo-polypharmacy',
  'demo-penicillin',
  'demo-child',
  'demo-chest-pain',
  'demo-washout',
  'demo-heart-failure',
  'demo-diabetes',
  'demo-postoperative',
  'demo-incomplete',
  'demo-septic-shock',
  'demo-icu-day2',
] as const;
const VIEWS = [
  ['deterioration-sepsis', 'patient-view'],
  ['triage', 'patient-view'],
  ['sepsis-3-view', 'patient-view'],
  ['sepsis-icu', 'patient-view'],
  ['icu-mortality', 'patient-view'],
  ['readmission-discharge', 'encounter-discharge'],
] as const;
/** Worked cases of the trained models, beside the seed patients in intensive care. */
const TRAINED: readonly (readonly [service: string, model: string, name: string])[] = [
  ['sepsis-icu', 'sepsis-icu', 'hypotension, fever, antibiotics, culture, pneumonia'],
  ['icu-mortality', 'icu-mortality-24h', 'shock'],
];

const draftOf = (patient: string, drug: string, dose: readonly [number, number] | undefined) => ({
  resourceType: 'MedicationRequest',
  id: 'draft',
  status: 'draft',
  intent: 'order',
  subject: { reference: `Patient/${patient}` },
  medicationCodeableConcept: { text: drug },
  ...(dose === undefined
    ? {}
    : {
        dosageInstruction: [
          {
            timing: { repeat: { frequency: dose[1], period: 1, periodUnit: 'd' } },
            doseAndRate: [{ doseQuantity: { value: dose[0], unit: 'mg' } }],
          },
        ],
      }),
});

/** File name -> cards as they are kept: the detail by line, suggestions by label and actions, links by label. */
export async function goldenCards(): Promise<ReadonlyMap<string, readonly object[]>> {
  const found = new Map<string, readonly object[]>();
  const one = await seedWorld();
  try {
    for (const patient of PATIENTS) {
      for (const [service, hook] of VIEWS)
        found.set(`${service}.${patient}`, kept(await one.cards(service, hook, patient)));
    }
    for (const [patient, name, drug, dose] of ORDERS) {
      const draftOrders = { resourceType: 'Bundle', entry: [{ resource: draftOf(patient, drug, dose) }] };
      const cards = await one.cards('drug-interactions-sign', 'order-sign', patient, { draftOrders });
      found.set(`drug-interactions-sign.${patient}.${name}`, kept(cards));
    }
    for (const [service, model, name] of TRAINED)
      found.set(`${service}.${name.split(',')[0]}`, kept(await trained(one, service, model, name)));
  } finally {
    await one.close();
  }
  return new Map([...found].filter(([, cards]) => cards.length > 0));
}

async function trained({ models }: SeedWorld, service: string, model: string, name: string): Promise<readonly Card[]> {
  const cases: readonly Golden[] = JSON.parse(readFileSync(join(newestOf(model), 'golden.json'), 'utf8'));
  const worked = cases.find((each) => each.name === name);
  if (worked === undefined) throw new Error(`${model} has no case "${name}"`);
  const evidence = { patient: worked.patient, resources: worked.resources, at: Date.parse(worked.at) };
  const assess = (id: string) => models.assess(id, evidence, Number.POSITIVE_INFINITY);
  return (await world({ assess, deadlineMs: 60_000 }).call(service, patientView())).cards;
}

function kept(cards: readonly Card[]): readonly object[] {
  return cards.map(({ indicator, summary, detail, suggestions = [], selectionBehavior, links = [] }) => ({
    indicator,
    summary,
    detail: detail.split('\n'),
    suggestions: suggestions.map(({ label, isRecommended, actions }) => ({
      label: isRecommended === true ? `${label} (recommended)` : label,
      actions: actions.map(({ type, description }) => `${type}: ${description}`),
    })),
    selectionBehavior,
    // The address of a basis is made of chance.
    links: links.map(({ label, url }) => (label === BASIS_LABEL ? label : `${label}: ${url}`)),
  }));
}
