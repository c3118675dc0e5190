// Counts of records that name a concept (models/concepts.json, src/risk/features/concepts.ts): orders, cultures, problems.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { readFeature } from '../../src/risk/features/features.ts';
import type { FeatureSpec } from '../../src/risk/manifest.ts';
import { AT, HOUR, iso, knowledge } from './world.ts';

const ORDERS = ['MedicationRequest', 'MedicationAdministration', 'ServiceRequest'];
const spec = (concept: string, over: Partial<FeatureSpec> = {}): FeatureSpec => ({
  name: 'one',
  display: 'One',
  kind: 'record-count',
  concept,
  resources: ORDERS,
  counts: 'kinds',
  windowHours: 48,
  unit: '1',
  required: false,
  ...over,
});
const order = (text: string, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationRequest',
  id: 'order',
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text },
  authoredOn: iso(AT - HOUR),
  ...over,
});
const problem = (text: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Condition',
  id: 'problem',
  code: { text },
  recordedDate: iso(AT - HOUR),
  ...over,
});
const count = (one: FeatureSpec, ...resources: readonly Resource[]) =>
  readFeature(one, { patient: undefined, resources, at: AT }, knowledge);

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const coded = (code: string) => ({ coding: [{ system: RXNORM, code }] });
const antibiotics: readonly (readonly [string, readonly Resource[], number])[] = [
  ['an order counts', [order('VANCOMYCIN 1 GM IVPB')], 1],
  ['two orders of one kind count once', [order('vancomycin 1 g'), order('Vancocin 750 mg')], 1],
  ['two kinds in one product count twice', [order('ampicillin, gentamicin kit')], 2],
  ['by RxNorm code without any text', [order('', { medicationCodeableConcept: coded('11124') })], 1],
  ['another code does not', [order('', { medicationCodeableConcept: coded('99999') })], 0],
  ['a word is found only at the start of a word', [order('novancomycin')], 0],
  ['eye drops are not systemic', [order('gentamicin ophth soln')], 0],
  ['a cancelled order does not count', [order('cefepime', { status: 'cancelled' })], 0],
  ['an order not to give does not count', [order('cefepime', { doNotPerform: true })], 0],
  ['exactly a window before: no more', [order('cefepime', { authoredOn: iso(AT - 48 * HOUR) })], 0],
  ['just inside the window', [order('cefepime', { authoredOn: iso(AT - 47.9 * HOUR) })], 1],
  ['after the instant: not yet', [order('cefepime', { authoredOn: iso(AT + HOUR) })], 0],
  ['no order is 0, not missing', [], 0],
];
for (const [why, resources, wanted] of antibiotics) {
  test(`risk-concepts@antibiotics ${why}`, () =>
    assert.equal(count(spec('systemic-antibiotic'), ...resources).value, wanted));
}

const infection = spec('infection', { resources: ['Condition'] });
const { windowHours: _, ...always } = infection;
const icd10 = (code: string): JsonObject => ({
  code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code }] },
});
const problems: readonly (readonly [string, Resource, number])[] = [
  ['pneumonia counts', problem('Pneumonia, right lower lobe'), 1],
  ['by the beginning of an ICD-10-CM code', problem('', icd10('J18.9')), 1],
  ['a name with sepsis is never read: it is the label', problem('sepsis due to pneumonia'), 0],
  ['nor is a code of sepsis', problem('pneumonia', icd10('A41.9')), 0],
  [
    'a refuted problem does not count',
    problem('pneumonia', { verificationStatus: { coding: [{ system: 's', code: 'refuted' }] } }),
    0,
  ],
  [
    'a resolved problem does not count',
    problem('pneumonia', { clinicalStatus: { coding: [{ system: 's', code: 'resolved' }] } }),
    0,
  ],
  ['a problem without a date counts', { resourceType: 'Condition', code: { text: 'cellulitis' } }, 1],
];
for (const [why, resource, wanted] of problems) {
  test(`risk-concepts@infection ${why}`, () => assert.equal(count(always, resource).value, wanted));
}

test('risk-concepts@shown the kinds are named with the newest record', () => {
  const found = count(
    spec('systemic-antibiotic'),
    order('vancomycin', { id: 'old', authoredOn: iso(AT - 3 * HOUR) }),
    order('cefepime'),
  );
  assert.equal(found.shown, 'antipseudomonal beta-lactam, vancomycin');
  assert.deepEqual([found.source, found.at], ['MedicationRequest/order', AT - HOUR]);
});

test('risk-concepts@any answers 1 for any number of kinds', () => {
  assert.equal(count(spec('systemic-antibiotic', { counts: 'any' }), order('vancomycin'), order('cefepime')).value, 1);
});

test('risk-concepts@source the source of admission of the current encounter is read', () => {
  const stay: Resource = {
    resourceType: 'Encounter',
    status: 'in-progress',
    hospitalization: { admitSource: { text: 'Operating Room' } },
  };
  assert.equal(count({ ...always, concept: 'operating-theatre', resources: ['Encounter'] }, stay).value, 1);
});
