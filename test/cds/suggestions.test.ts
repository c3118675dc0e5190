// What may be accepted on a drug card (CDS Hooks 2.0.1 "Suggestion", "Action"), with the real tables: whole valid resources, checked again before they are offered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Card, Suggestion } from '../../src/cds/cards/card.ts';
import { loweredDose } from '../../src/cds/cards/dose-change.ts';
import type { Json, JsonObject, Resource } from '../../src/fhir/resource.ts';
import type { DrugMention } from '../../src/risk/drugs/finding.ts';
import { active, draft, named, safety } from '../risk/drug-world.ts';
import { AT, bundle, FINDING, INSTANCE, ORDER, orderSign, world } from './world.ts';

const PATIENT = { resourceType: 'Patient', id: '1288992', birthDate: '1950-01-01', gender: 'female' };
const PEOPLE = {
  subject: { reference: 'Patient/1288992' },
  encounter: { reference: 'Encounter/89284' },
  requester: { reference: 'Practitioner/example' },
};
const daily = (value: number, frequency: number, more: JsonObject = {}): JsonObject => ({
  timing: { repeat: { frequency, period: 1, periodUnit: 'd' } },
  doseAndRate: [{ doseQuantity: { value, unit: 'mg', system: 'http://unitsofmeasure.org', code: 'mg' } }],
  ...more,
});
const ordered = (name: string, more: Readonly<Record<string, Json>> = {}, id = 'd1') => ({
  ...draft(named(name), id),
  ...PEOPLE,
  ...more,
});
const current = (name: string, more: Readonly<Record<string, Json>> = {}) => ({
  ...active(named(name)),
  ...PEOPLE,
  ...more,
});

async function sign(entries: readonly Resource[], medications: readonly Resource[], hookInstance = INSTANCE) {
  const prefetch = {
    medications: bundle(...medications),
    stopped: null,
    statements: null,
    allergies: null,
    patient: PATIENT,
    labs: null,
    conditions: null,
    encounters: null,
    procedures: null,
  };
  const body = orderSign(
    { hookInstance, prefetch },
    entries.map((resource) => ({ resource })),
  );
  return (await world({ check: safety.check }).call('drug-interactions-sign', body)).cards;
}
const offers = (card: Card | undefined): readonly Suggestion[] => card?.suggestions ?? [];
const offer = (card: Card | undefined, start: string): Suggestion => {
  const found = offers(card).find(({ label }) => label.startsWith(start));
  assert.ok(found, `${start} is not among ${offers(card).map(({ label }) => label)}`);
  return found;
};

test('§1.6.7 cds-suggestion@alternative: creates a draft of the other drug without dosage and deletes the one that conflicts', async () => {
  const dosed = ordered('clarithromycin 500 MG Oral Tablet', {
    dosageInstruction: [daily(500, 2, { text: '500 mg twice' })],
  });
  const [card] = await sign([dosed], [current('simvastatin 40 MG Oral Tablet')]);
  const { actions, isRecommended } = offer(card, 'Replace by azithromycin');
  assert.equal(card?.indicator, 'critical');
  assert.equal(card?.selectionBehavior, 'at-most-one');
  assert.equal(isRecommended, undefined);
  assert.deepEqual(
    actions.map(({ type, resourceId }) => [type, resourceId]),
    [
      ['create', undefined],
      ['delete', 'MedicationRequest/d1'],
    ],
  );
  const [{ resource } = {}] = actions;
  assert.ok(resource);
  const { note, ...rest } = resource;
  assert.deepEqual(rest, {
    resourceType: 'MedicationRequest',
    status: 'draft',
    intent: 'order',
    medicationCodeableConcept: {
      coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '18631', display: 'azithromycin' }],
      text: 'azithromycin',
    },
    ...PEOPLE,
  });
  assert.match(JSON.stringify(note), /no dosage/);
});

test('cds-suggestion@alternative: passes every check that the order went through', async () => {
  const others = [current('simvastatin 40 MG Oral Tablet')];
  const [card] = await sign([ordered('clarithromycin')], others);
  const created = offers(card).flatMap(({ actions }) =>
    actions.flatMap(({ type, resource }) => (type === 'create' && resource ? [resource] : [])),
  );
  assert.ok(created.length > 0);
  for (const resource of created) {
    const { findings } = safety.check(
      [{ ...resource, resourceType: resource.resourceType, id: 'new' }],
      [...others, PATIENT],
      AT,
    );
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'low'),
      [],
    );
  }
});

test('cds-suggestion@recommended: the removal of the one contraindicated order, and nothing that keeps it', async () => {
  const [card] = await sign([ordered('clarithromycin')], [current('simvastatin')]);
  assert.deepEqual(
    offers(card)
      .filter(({ isRecommended }) => isRecommended)
      .map(({ label }) => label),
    ['Remove the draft order: clarithromycin'],
  );
  assert.ok(!offers(card).some(({ label }) => label.startsWith('Keep')));
  const [both] = await sign([ordered('clarithromycin'), ordered('simvastatin', {}, 'd2')], []);
  assert.equal(offers(both).filter(({ label }) => label.startsWith('Remove')).length, 2);
  assert.ok(!offers(both).some(({ isRecommended }) => isRecommended));
});

test('§1.6.8 §8.8 §1.10.8 cds-suggestion@dose: gives the whole order back with the lowered dose, and the check has no finding left', async () => {
  const order = ordered('citalopram', {
    dosageInstruction: [daily(40, 1, { text: 'take 40 mg daily' })],
    priority: 'routine',
    meta: { versionId: '7' },
  });
  const [card] = await sign([order], []);
  const { label, actions } = offer(card, 'Lower the dose');
  assert.equal(label, 'Lower the dose to 20 mg: citalopram');
  assert.deepEqual(
    actions.map(({ type, resource, resourceId }) => ({ type, resource, resourceId })),
    [
      {
        type: 'update',
        resource: { ...order, dosageInstruction: [daily(20, 1, { text: 'take 20 mg daily' })] },
        resourceId: undefined,
      },
    ],
  );
  const [lowered] = actions;
  assert.ok(lowered?.resource);
  assert.deepEqual(safety.check([lowered.resource], [PATIENT], AT).findings, []);
});

const CITALOPRAM: DrugMention = {
  display: 'citalopram',
  rxcui: undefined,
  ingredients: ['citalopram'],
  source: 'MedicationRequest/d1',
  state: 'draft',
  at: undefined,
};
const named20 = { ...CITALOPRAM, display: 'citalopram 20 MG Oral Tablet' };
const named40 = { ...CITALOPRAM, display: 'citalopram 40 MG Oral Tablet' };
const tablets = (value: number) => ({
  dosageInstruction: [{ ...daily(1, 1), doseAndRate: [{ doseQuantity: { value, unit: 'tablet' } }] }],
});
const MAX = { value: 20, unit: 'mg', per: 'day' } as const;
const doses: readonly [
  dose: string | undefined,
  more: Readonly<Record<string, Json>>,
  mention: DrugMention,
  why: string,
][] = [
  ['20 mg', { dosageInstruction: [daily(40, 1)] }, CITALOPRAM, 'the ceiling itself'],
  ['10 mg', { dosageInstruction: [daily(40, 2)] }, CITALOPRAM, 'the ceiling shared by two doses'],
  [undefined, { dosageInstruction: [daily(20, 1)] }, CITALOPRAM, 'at the ceiling: nothing to lower'],
  ['5 mg', { dosageInstruction: [daily(20, 3)] }, CITALOPRAM, 'a third is no dose: a quarter'],
  ['20 mg', { dosageInstruction: [daily(40, 1)] }, named20, 'a whole tablet of the named strength'],
  [undefined, { dosageInstruction: [daily(40, 1)] }, named40, 'no tablet is split'],
  ['1 tablet', tablets(2), named20, 'two tablets to one'],
  [undefined, tablets(1), named40, 'one tablet cannot be less'],
  [undefined, { dosageInstruction: [daily(40, 1), daily(10, 1)] }, CITALOPRAM, 'two dosages'],
  [
    undefined,
    { dosageInstruction: [daily(40, 1, { text: 'as discussed' })] },
    CITALOPRAM,
    'text that does not state the dose',
  ],
  [
    undefined,
    { dosageInstruction: [daily(40, 1, { text: '40 mg, at most 40 mg' })] },
    CITALOPRAM,
    'text that states it twice',
  ],
  [undefined, { dosageInstruction: [daily(40, 1, { text: '140 mg' })] }, CITALOPRAM, 'text with another number'],
  [
    undefined,
    { dosageInstruction: [daily(40, 1, { patientInstruction: 'two' })] },
    CITALOPRAM,
    'words for the patient',
  ],
  [undefined, { dosageInstruction: [{ text: '40 mg daily' }] }, CITALOPRAM, 'no structured dose'],
  [undefined, {}, CITALOPRAM, 'no dosage'],
  [
    undefined,
    { dosageInstruction: [daily(40, 1)] },
    { ...CITALOPRAM, ingredients: ['citalopram', 'x'] },
    'several ingredients',
  ],
  [
    undefined,
    { dosageInstruction: [daily(40, 1)], text: { status: 'additional', div: '<div/>' } },
    CITALOPRAM,
    'a narrative that says more',
  ],
];
for (const [dose, more, mention, why] of doses) {
  test(`cds-suggestion@dose: ${dose ?? 'nothing'}: ${why}`, () => {
    assert.equal(loweredDose(ordered('citalopram', more), mention, MAX)?.dose, dose);
  });
}

test('cds-suggestion@monitoring: drafts the test with its LOINC code beside the order that stays; once a call, and not what is ordered already', async () => {
  const warfarin = [current('warfarin')];
  const [card] = await sign([ordered('metronidazole')], warfarin);
  const { actions, label } = offer(card, 'Keep metronidazole and add: INR');
  assert.ok(label.length <= 80);
  assert.deepEqual(
    actions.map(({ type, resource }) => [
      type,
      resource?.resourceType,
      resource?.status,
      resource?.code,
      resource?.subject,
    ]),
    [
      [
        'create',
        'ServiceRequest',
        'draft',
        { coding: [{ system: 'http://loinc.org', code: '6301-6', display: 'INR' }], text: 'INR' },
        PEOPLE.subject,
      ],
    ],
  );
  const two = await sign([ordered('metronidazole'), ordered('fluconazole', {}, 'd2')], warfarin);
  const creates = two.flatMap(offers).filter(({ label: said }) => /^Keep .*INR/.test(said));
  assert.equal(creates.length, 1);
  const inr = {
    resourceType: 'ServiceRequest',
    id: 'inr',
    status: 'draft',
    intent: 'order',
    subject: PEOPLE.subject,
    code: { coding: [{ system: 'http://loinc.org', code: '6301-6' }] },
  };
  const [known] = await sign([ordered('metronidazole'), inr], warfarin);
  assert.ok(!offers(known).some(({ label: said }) => said.includes('INR')));
});

const unnamed: readonly [why: string, entry: object, labels: readonly RegExp[]][] = [
  [
    'a draft without subject: removal only',
    { resource: { ...ordered('metronidazole'), subject: undefined } },
    [/^Remove/],
  ],
  [
    'a draft without id: nothing to delete',
    { fullUrl: 'urn:uuid:7', resource: { ...ordered('metronidazole'), id: undefined } },
    [/^Keep/],
  ],
];
for (const [why, entry, labels] of unnamed) {
  test(`cds-suggestion@names: ${why}`, async () => {
    const prefetch = {
      medications: bundle(current('warfarin')),
      stopped: null,
      statements: null,
      allergies: null,
      patient: PATIENT,
    };
    const { cards } = await world({ check: safety.check }).call(
      'drug-interactions-sign',
      orderSign({ prefetch }, [entry]),
    );
    const card = cards.find(({ summary }) => summary.includes('warfarin'));
    assert.equal(offers(card).length, labels.length);
    assert.ok(labels.every((label, index) => label.test(offers(card)[index]?.label ?? '')));
  });
}

test('cds-suggestion@valid: a change of an order that was not valid as received is not offered', async () => {
  const wrong = ordered('citalopram', { dosageInstruction: [daily(40, 1)], priority: 'some day' });
  const [card] = await sign([wrong], []);
  assert.deepEqual(
    offers(card).map(({ label }) => label),
    ['Remove the draft order: citalopram'],
  );
});

test('cds-suggestion@uuid: the same call gives the same, all different', async () => {
  const uuids = async (instance: string) =>
    (await sign([ordered('clarithromycin')], [current('simvastatin'), current('warfarin')], instance)).flatMap(
      (card) => [card.uuid, ...offers(card).map(({ uuid }) => uuid)],
    );
  const ids = await uuids(INSTANCE);
  assert.deepEqual(await uuids(INSTANCE), ids);
  assert.equal(new Set([...ids, ...(await uuids(INSTANCE.replace('d', 'e')))]).size, ids.length * 2);
});

test('cds-suggestion@hostile: names of data in labels and descriptions are cut and plain', async () => {
  const mention = { ...FINDING.draft, display: `<b>${'x'.repeat(300)}` };
  const tests = [{ kind: 'test' as const, id: 'inr', display: 'INR', loinc: '6301-6', timing: 'soon' }];
  const { cards } = await world({
    findings: [
      {
        ...FINDING,
        severity: 'major',
        draft: mention,
        alternatives: [{ name: `<i>${'y'.repeat(200)}`, ingredient: '1', reason: '<u>' }],
        proposals: tests,
      },
    ],
  }).call('drug-interactions-sign', orderSign({}, [{ resource: ORDER }]));
  assert.equal(offers(cards[0]).length, 3);
  assert.ok(offers(cards[0]).every(({ label }) => label.length <= 80 && !/[<>]/.test(label)));
});
