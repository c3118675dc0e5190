// A new allergy against what the patient takes (hook allergyintolerance-create), with the real tables; stale entries are marked, unknown drugs are named.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { active, coded, named, safety } from '../risk/drug-world.ts';
import { bundle, INSTANCE, world } from './world.ts';

const ALLERGY = {
  resourceType: 'AllergyIntolerance',
  clinicalStatus: {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
  },
  code: coded('7980', 'penicillin G'),
  patient: { reference: 'Patient/1288992' },
};
const current = (name: string, id = 'a1', more: object = {}) => ({
  ...active(named(name), id),
  subject: { reference: 'Patient/1288992' },
  ...more,
});

async function cardsFor(medications: readonly object[], allergy: object = ALLERGY) {
  const one = world({ drugSafety: safety });
  const { status, cards } = await one.call('allergy-create', {
    hookInstance: INSTANCE,
    hook: 'allergyintolerance-create',
    context: { userId: 'Practitioner/example', patientId: '1288992', allergyIntolerance: allergy },
    prefetch: { medications: bundle(...medications), statements: null },
  });
  assert.equal(status, 200);
  return cards;
}

test('allergy-create@conflict the card names the drug that is taken and the allergy, and changes no order', async () => {
  const [card, ...more] = await cardsFor([current('amoxicillin 500 MG Oral Capsule'), current('metformin', 'a2')]);
  assert.deepEqual(more, []);
  assert.equal(card?.indicator, 'critical');
  assert.match(card?.summary ?? '', /^Contraindicated allergy conflict: amoxicillin, allergy to penicillin G/);
  assert.match(card?.detail ?? '', /- amoxicillin 500 MG Oral Capsule: current/);
  assert.equal(card?.suggestions, undefined);
});

const silent: readonly [why: string, medications: readonly object[], allergy?: object][] = [
  ['nothing is taken', []],
  ['nothing that is taken is concerned', [current('metformin')]],
  ['the drug was stopped', [{ ...current('amoxicillin'), status: 'stopped' }]],
  ['the two drugs interact, which is not the question', [current('clarithromycin'), current('simvastatin', 'a2')]],
  [
    'the allergy is refuted',
    [current('amoxicillin')],
    {
      ...ALLERGY,
      verificationStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-verification', code: 'refuted' }],
      },
    },
  ],
];
for (const [why, medications, allergy] of silent) {
  test(`allergy-create@silent ${why}`, async () => assert.deepEqual(await cardsFor(medications, allergy), []));
}

test('allergy-create@stale an entry of over a year ago is marked', async () => {
  const [card] = await cardsFor([current('amoxicillin', 'a1', { authoredOn: '2021-01-01' })]);
  assert.match(card?.detail ?? '', /- amoxicillin: current, 2021-01-01 \(over a year old: may not be taken any more\)/);
});

test('allergy-create@unknown a drug that no table knows is named', async () => {
  const cards = await cardsFor([current('Wonder drug 7')]);
  assert.deepEqual(
    cards.map(({ summary, indicator }) => [indicator, summary]),
    [['info', 'Not checked: Wonder drug 7']],
  );
});

test('allergy-create@unknown on order-sign too: one notice for each order that could not be checked, naming it', async () => {
  const order = (name: string, id: string): { resource: Resource } => ({
    resource: { ...current(name, id), status: 'draft' } as Resource,
  });
  const { cards } = await world({ drugSafety: safety }).call('drug-interactions-sign', {
    hookInstance: INSTANCE,
    hook: 'order-sign',
    context: {
      userId: 'Practitioner/example',
      patientId: '1288992',
      draftOrders: {
        resourceType: 'Bundle',
        entry: [order('Wonder drug 7', 'd1'), order('metformin', 'd2'), order('Elixir', 'd3')],
      },
    },
    prefetch: { medications: null, stopped: null, statements: null, allergies: null },
  });
  assert.deepEqual(
    cards.map(({ summary }) => summary),
    ['Not checked: Wonder drug 7', 'Not checked: Elixir'],
  );
});
