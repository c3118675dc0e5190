// Sepsis-3 by the record, on a card: what of the one-hour bundle is offered as a draft, on both sides of each condition (src/cds/cards/order-set.ts).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Card } from '../../src/cds/cards/card.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { infusion } from '../risk/score-world.ts';
import { HOUR, iso, measured } from '../risk/world.ts';
import { AT, bundle, INSTANCE, PATIENT, ROOT, world } from './world.ts';

let models: LoadedModels;
before(async () => {
  models = await loadModels(join(ROOT, 'models'), { now: () => AT, mode: 'inline' });
});
after(() => models.close());

const ago = (hours: number): string => iso(AT - hours * HOUR);
const value = (code: string, amount: number, unit: string, hours: number): Resource =>
  measured(code, amount, unit, { id: `${code}-${hours}`, effectiveDateTime: ago(hours) });
const ANTIBIOTIC: Resource = {
  resourceType: 'MedicationAdministration',
  id: 'antibiotic',
  status: 'completed',
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  effectiveDateTime: ago(10),
};
const ORDERED: Resource = {
  resourceType: 'MedicationRequest',
  id: 'order',
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  authoredOn: ago(10),
};
/** Sepsis by Sepsis-3: an antibiotic and a culture, creatinine from normal to 2.0. */
const SEPSIS = [
  ANTIBIOTIC,
  value('600-7', 0, '1', 10),
  value('2160-0', 1.9, 'mg/dL', 2),
  value('777-3', 140, '10*3/uL', 2),
];
/** The same before the first dose: the antibiotic is ordered. */
const UNTREATED = SEPSIS.map((one) => (one === ANTIBIOTIC ? { ...ORDERED } : one));
const pressure = (systolic: number): Resource => value('8480-6', systolic, 'mm[Hg]', 1);
const lactate = (amount: number, hours = 1): Resource => value('2524-7', amount, 'mmol/L', hours);
const CULTURE: Resource = {
  resourceType: 'ServiceRequest',
  id: 'culture',
  status: 'completed',
  intent: 'order',
  code: { text: 'Blood culture' },
  authoredOn: ago(10),
};
const HEART_FAILURE: Resource = {
  resourceType: 'Condition',
  id: 'hf',
  clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
  code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'I50.9' }] },
};

async function cardFor(
  resources: readonly Resource[],
  hook = 'patient-view',
  id = 'sepsis-3-view',
): Promise<Card | undefined> {
  const about = resources.map((resource) => ({ ...resource, subject: { reference: 'Patient/1288992' } }));
  const of = (...types: readonly string[]) =>
    bundle(...about.filter(({ resourceType }) => types.includes(resourceType)));
  const prefetch = {
    patient: PATIENT,
    encounters: bundle(),
    vitals: of('Observation'),
    measurements: bundle(),
    conditions: of('Condition'),
    procedures: bundle(),
    orders: of('ServiceRequest'),
    medications: of('MedicationRequest'),
    administrations: of('MedicationAdministration'),
    specimens: bundle(),
    reports: bundle(),
  };
  const context = { userId: 'Practitioner/example', patientId: '1288992', encounterId: '89284' };
  const { cards } = await world({ models, deadlineMs: 60_000 }).call(id, {
    hookInstance: INSTANCE,
    hook,
    context,
    prefetch,
  });
  assert.ok(cards.length <= 1);
  return cards[0];
}
const labels = (card: Card | undefined) => card?.suggestions?.map(({ label }) => label.replace('Draft: ', '')) ?? [];

const rows: readonly [offered: readonly string[] | undefined, resources: readonly Resource[], why: string][] = [
  [undefined, [], 'nothing recorded: silent'],
  [undefined, [ANTIBIOTIC, value('600-7', 0, '1', 10)], 'infection without a rise of SOFA: silent'],
  [['lactate', 'blood cultures'], SEPSIS, 'sepsis, nothing of the bundle recorded'],
  [['lactate'], [...SEPSIS, CULTURE], 'cultures ordered'],
  [[], [...SEPSIS, CULTURE, lactate(2)], 'lactate 2.0: nothing is due'],
  [['lactate'], [...SEPSIS, CULTURE, lactate(2.1)], 'lactate 2.1: again'],
  [['lactate'], [...SEPSIS, CULTURE, lactate(1, 7)], 'a lactate of 7 h ago is old'],
  [['lactate'], [...SEPSIS, CULTURE, lactate(3.9)], 'lactate 3.9: no fluids'],
  [['lactate', 'fluids by vein'], [...SEPSIS, CULTURE, lactate(4)], 'lactate 4.0: fluids'],
  [[], [...SEPSIS, CULTURE, lactate(2), pressure(90)], 'systolic 90: no fluids'],
  [['fluids by vein'], [...SEPSIS, CULTURE, lactate(2), pressure(89)], 'systolic 89: fluids'],
  [
    ['fluids by vein (caution)'],
    [...SEPSIS, CULTURE, lactate(2), pressure(89), HEART_FAILURE],
    'fluids in heart failure',
  ],
  [
    ['fluids by vein (caution)'],
    [...SEPSIS, CULTURE, lactate(2), pressure(89), value('2160-0', 2, 'mg/dL', 1)],
    'fluids at a creatinine of 2.0',
  ],
];
for (const [offered, resources, why] of rows) {
  test(`sepsis-bundle@due: ${why}`, async () => {
    const card = await cardFor(resources);
    assert.deepEqual(card === undefined ? undefined : labels(card), offered);
  });
}

test('sepsis-bundle@drafts: whole ServiceRequests for this patient, encounter and user; no antibiotic, and the card says why', async () => {
  const card = await cardFor(UNTREATED);
  assert.deepEqual([card?.indicator, card?.selectionBehavior], ['warning', 'any']);
  assert.match(card?.summary ?? '', /^Sepsis-3: sepsis criteria met\. Suspected infection/);
  assert.match(
    card?.detail ?? '',
    /No antibiotic is proposed: allergies and kidney function are checked when one is ordered/,
  );
  const [first] = card?.suggestions?.[0]?.actions ?? [];
  const { note, ...draft } = first?.resource ?? { resourceType: '' };
  assert.deepEqual(draft, {
    resourceType: 'ServiceRequest',
    status: 'draft',
    intent: 'order',
    code: {
      coding: [{ system: 'http://loinc.org', code: '2524-7', display: 'Lactate in serum or plasma' }],
      text: 'Lactate in serum or plasma',
    },
    subject: { reference: 'Patient/1288992' },
    encounter: { reference: 'Encounter/89284' },
    requester: { reference: 'Practitioner/example' },
  });
  assert.match(JSON.stringify(note), /Now, and again within 2 to 4 h/);
  assert.ok(!card?.suggestions?.some(({ isRecommended }) => isRecommended));
});

test('sepsis-bundle@treated: once an antibiotic was given no warning is shown, but information with what is due; shock is still said', async () => {
  const card = await cardFor(SEPSIS);
  assert.deepEqual([card?.indicator, labels(card)], ['info', ['lactate', 'blood cultures']]);
  assert.match(card?.summary ?? '', /^Sepsis-3: sepsis criteria met, an antibiotic has been given\. For information/);
  const shock = [...SEPSIS, infusion('norepinephrine', 0.05, { effectivePeriod: { start: ago(3) } }), lactate(2.1)];
  const treated = await cardFor(shock);
  assert.equal(treated?.indicator, 'info');
  assert.match(treated?.summary ?? '', /^Sepsis-3: septic shock criteria met, an antibiotic has been given/);
});

test('sepsis-bundle@shock: septic shock is said, and encounter-start says the same', async () => {
  const shock = [...UNTREATED, infusion('norepinephrine', 0.05, { effectivePeriod: { start: ago(3) } }), lactate(2.1)];
  const view = await cardFor(shock);
  assert.match(view?.summary ?? '', /^Sepsis-3: septic shock criteria met\./);
  const start = await cardFor(shock, 'encounter-start', 'sepsis-3-start');
  assert.deepEqual([start?.summary, labels(start)], [view?.summary, labels(view)]);
});
