// What a record says of a drug: which one (medication.html), and whether it is taken now, still acts, or is over (status tables of the four resources).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json, JsonObject, Resource } from '../../src/fhir/resource.ts';
import { AT, active, ago, coded, DAY, draft, ending, named, RXNORM, safety, stopped, told } from './drug-world.ts';

const HIT = ['contraindicated interaction ONC-HP-25'];
const clarithromycin = [active(named('clarithromycin'))];

const CONCEPTS: readonly [concept: JsonObject, why: string][] = [
  [coded('36567'), 'ingredient'],
  [coded('312961'), 'product, 20 MG Oral Tablet'],
  [coded('104491'), 'branded product'],
  [coded('1245438'), 'combination with ezetimibe'],
  [
    {
      coding: [
        { system: 'http://hl7.org/fhir/sid/ndc', code: '0006-0749-31' },
        { system: RXNORM, code: '36567' },
      ],
    },
    'second coding',
  ],
  [
    { coding: [{ system: 'http://snomed.info/sct', code: '387584000', display: 'Simvastatin (substance)' }] },
    'SNOMED CT by display',
  ],
  [{ coding: [{ system: RXNORM, code: '999999999', display: 'simvastatin 20 mg' }] }, 'unknown code by display'],
  [named('Simvastatin 20 MG Oral Tablet'), 'text'],
  [named('SIMVASTATIN'), 'upper case'],
  [named('simvastátin'), 'accent'],
  [named('Zocor'), 'brand'],
  [named('Vytorin 10/20'), 'brand of a combination'],
  [{ coding: [{ system: RXNORM, code: '6809', display: 'Simvastatin 20 mg' }] }, 'code and name disagree: both count'],
];
for (const [concept, why] of CONCEPTS) {
  test(`medication@${why}`, () => {
    assert.deepEqual(told([draft(concept)], clarithromycin), HIT);
    assert.deepEqual(safety.check([draft(concept)], [], AT).unresolved, []);
  });
}

const NAMES: readonly [text: string, ingredients: readonly string[]][] = [
  ['naproxen sodium 220 mg', ['naproxen']],
  ['Losartan potassium 50 mg', ['losartan']],
  ['Potassium chloride 20 mEq', ['potassium chloride']],
  ['Penicillin V Potassium 500 MG', ['penicillin v']],
  ['co-trimoxazole', ['sulfamethoxazole', 'trimethoprim']],
  ['Hydrocodone-acetaminophen 5/325', ['acetaminophen', 'hydrocodone']],
  ['paracetamol', ['acetaminophen']],
  ["St. John's wort", ['st john’s wort']],
  ['St John’s Wort', ['st john’s wort']],
  ['simvastatinate', []],
  ['', []],
];
for (const [text, ingredients] of NAMES) {
  test(`medication@name "${text}"`, () => {
    const [mention] = safety.check([draft(named(text))], [], AT).considered;
    assert.deepEqual(mention?.ingredients.toSorted(), ingredients);
  });
}

const { medicationCodeableConcept: _none, ...bare } = draft(named(''));
const pointing = (reference: string, extra: Readonly<Record<string, Json>> = {}): Resource => ({
  ...bare,
  resourceType: 'MedicationRequest',
  medicationReference: { reference },
  ...extra,
});
const medication = (id: string, extra: Readonly<Record<string, Json>>): Resource => ({
  resourceType: 'Medication',
  id,
  ...extra,
});
const REFERENCES: readonly [draft: Resource, context: readonly Resource[], why: string][] = [
  [pointing('#m', { contained: [medication('m', { code: coded('36567') })] }), [], 'contained'],
  [pointing('Medication/m'), [medication('m', { code: coded('36567') })], 'in the context'],
  [
    pointing('https://ehr.example/fhir/Medication/m/_history/2'),
    [medication('m', { code: named('simvastatin') })],
    'absolute, of a version',
  ],
  [
    pointing('Medication/m'),
    [
      medication('m', {
        ingredient: [{ itemCodeableConcept: coded('341248') }, { itemCodeableConcept: coded('36567') }],
      }),
    ],
    'ingredients',
  ],
  [
    pointing('Medication/m'),
    [
      medication('m', { ingredient: [{ itemReference: { reference: 'Medication/n' } }] }),
      medication('n', { code: coded('36567') }),
    ],
    'ingredient by reference',
  ],
  [
    {
      ...bare,
      resourceType: 'MedicationRequest',
      medicationReference: { reference: 'Medication/gone', display: 'Simvastatin' },
    },
    [],
    'only the display of the reference',
  ],
];
for (const [ordered, context, why] of REFERENCES) {
  test(`medication@reference: ${why}`, () => assert.deepEqual(told([ordered], [...clarithromycin, ...context]), HIT));
}
test('medication@reference: a Medication that is its own ingredient ends', () => {
  const loop = medication('m', { ingredient: [{ itemReference: { reference: 'Medication/m' } }] });
  assert.equal(safety.check([pointing('Medication/m')], [loop], AT).unresolved.length, 1);
});

const UNRESOLVED: readonly [
  drafts: readonly Resource[],
  context: readonly Resource[],
  expected: readonly string[],
  why: string,
][] = [
  [[draft(named('Frobozzol 5 mg'))], [], ['Frobozzol 5 mg'], 'draft'],
  [[], [active(named('Frobozzol'))], ['Frobozzol'], 'current'],
  [[draft(named('Frobozzol sodium lotion'))], [], ['Frobozzol sodium lotion'], 'a salt and a form are no drug'],
  [[draft(named('Sodium 20 mEq'))], [], [], 'alone they are'],
  [[], [stopped(named('Frobozzol'), ago(2))], [], 'stopped: no wash-out is known'],
  [
    [draft({ coding: [{ system: 'http://hl7.org/fhir/sid/ndc', code: '1-2-3' }] })],
    [],
    ['NDC 1-2-3'],
    'a code without name',
  ],
  [[draft(undefined)], [], ['drug without name'], 'no medication at all'],
  [[draft(named('simvastatin'))], [], [], 'control'],
];
for (const [drafts, context, expected, why] of UNRESOLVED) {
  test(`unresolved@${why}`, () => assert.deepEqual(safety.check(drafts, context, AT).unresolved, expected));
}

// --- status -----------------------------------------------------------------------------------------------------------
const other = (resourceType: string, status: string, extra: Readonly<Record<string, Json>> = {}): Resource => ({
  resourceType,
  id: 'x',
  status,
  medicationCodeableConcept: named('clarithromycin'),
  ...extra,
});
const handedOver = (days: number, supply?: number) => ({
  whenHandedOver: ago(days),
  ...(supply === undefined ? {} : { daysSupply: { value: supply } }),
});
const STATUSES: readonly (readonly [resource: Resource, isCurrent: boolean, why: string])[] = [
  [other('MedicationRequest', 'active'), true, 'active'],
  [other('MedicationRequest', 'on-hold'), true, 'on hold: may be resumed'],
  [other('MedicationRequest', 'unknown'), true, 'unknown cannot be ruled out'],
  [other('MedicationRequest', 'active', { doNotPerform: true }), false, 'an order not to give it'],
  [other('MedicationRequest', 'active', ending('2026-01-14')), false, 'planned end yesterday'],
  [other('MedicationRequest', 'active', ending('2026-01-15')), true, 'planned end today: the whole day'],
  [other('MedicationRequest', 'active', ending('2026-01')), true, 'planned end some day this month'],
  [other('MedicationRequest', 'active', ending('2026-01-15T12:00:00Z')), false, 'planned end at this instant'],
  [other('MedicationRequest', 'active', ending('2026-01-15T12:00:01Z')), true, 'planned end in a second'],
  [
    other('MedicationRequest', 'active', { dispenseRequest: { validityPeriod: { end: '2025-12-31' } } }),
    false,
    'prescription expired',
  ],
  [
    other('MedicationRequest', 'active', {
      ...ending('2026-02-01'),
      dispenseRequest: { validityPeriod: { end: '2025-12-31' } },
    }),
    true,
    'dosage outlasts the prescription',
  ],
  ...['stopped', 'completed', 'cancelled', 'draft', 'entered-in-error'].map(
    (status) => [other('MedicationRequest', status), false, status] as const,
  ),
  ...['active', 'intended', 'on-hold', 'unknown'].map(
    (status) => [other('MedicationStatement', status), true, status] as const,
  ),
  ...['completed', 'stopped', 'not-taken', 'entered-in-error'].map(
    (status) => [other('MedicationStatement', status), false, status] as const,
  ),
  [other('MedicationStatement', 'active', { effectivePeriod: { end: '2026-01-14' } }), false, 'period over'],
  [other('MedicationDispense', 'completed', handedOver(29)), true, 'day 29 of the default 30'],
  [other('MedicationDispense', 'completed', handedOver(30)), false, 'after the default 30 days'],
  [other('MedicationDispense', 'completed', handedOver(80, 90)), true, 'day 80 of 90'],
  [other('MedicationDispense', 'in-progress', handedOver(8, 7)), false, 'day 8 of 7'],
  [other('MedicationDispense', 'declined', handedOver(1)), false, 'declined'],
  [other('MedicationAdministration', 'in-progress', { effectiveDateTime: ago(3) }), true, 'still running'],
  [other('MedicationAdministration', 'completed', { effectiveDateTime: ago(1, -1) }), true, 'given within 24 hours'],
  [other('MedicationAdministration', 'completed', { effectiveDateTime: ago(1) }), false, 'given 24 hours ago'],
  [other('MedicationAdministration', 'not-done', { effectiveDateTime: ago(0) }), false, 'not done'],
];
for (const [resource, isCurrent, why] of STATUSES) {
  test(`status@${resource.resourceType} ${resource.status}: ${why}`, () =>
    assert.deepEqual(told([draft(named('simvastatin'))], [resource]), isCurrent ? HIT : []));
}

// --- wash-out ----------------------------------------------------------------------------------------------------------
const MAOI = 'contraindicated interaction ONC-HP-8';
const WASH_OUTS: readonly [stopped: string, end: string, draft: string, expected: readonly string[], why: string][] = [
  ['phenelzine', ago(13), 'sertraline', [MAOI], 'MAO inhibitor, 13 days'],
  ['phenelzine', ago(14, -1), 'sertraline', [MAOI], 'a millisecond before 14 days'],
  ['phenelzine', ago(14), 'sertraline', [], '14 days have elapsed'],
  ['phenelzine', ago(15), 'sertraline', [], '15 days'],
  ['phenelzine', '2026-01-01', 'sertraline', [MAOI], 'stopped on a day: until 14 days after its end'],
  ['phenelzine', '2025-12-31', 'sertraline', [], 'the day before'],
  ['phenelzine', '2026-01', 'sertraline', [MAOI], 'stopped some day this month'],
  ['phenelzine', '2025-12', 'sertraline', [], 'the last day of December is 14.5 days ago'],
  ['fluoxetine', ago(34), 'phenelzine', [MAOI], 'fluoxetine, 34 days'],
  ['fluoxetine', ago(35, -1), 'phenelzine', [MAOI], 'a millisecond before 35 days'],
  ['fluoxetine', ago(35), 'phenelzine', [], '35 days have elapsed'],
  ['fluoxetine', ago(36), 'phenelzine', [], '36 days'],
  ['sertraline', ago(13), 'phenelzine', [MAOI], 'SSRI before an MAO inhibitor, 13 days'],
  ['sertraline', ago(14), 'phenelzine', [], '14 days'],
  ['sertraline', ago(1), 'tramadol', [], 'that interval is for MAO inhibitors only'],
  ['amiodarone', ago(89), 'simvastatin', ['contraindicated interaction ONC-HP-25'], 'amiodarone, 89 days'],
  ['amiodarone', ago(90), 'simvastatin', [], '90 days'],
  ['clarithromycin', ago(0, 1), 'simvastatin', [], 'no wash-out'],
  ['phenelzine', '2027-01-01', 'sertraline', [MAOI], 'stopped before its planned end, nobody knows when'],
];
for (const [drug, end, ordered, expected, why] of WASH_OUTS) {
  test(`wash-out@${drug} then ${ordered}: ${why}`, () => {
    const { findings } = safety.check([draft(named(ordered))], [stopped(named(drug), end)], AT);
    assert.deepEqual(
      findings.map(({ severity, rule }) => `${severity} interaction ${rule.id}`),
      expected,
    );
    assert.ok(findings.every(({ other: mention }) => mention?.state === 'washout'));
  });
}
test('wash-out@unrecorded end: the last change of the record stands in, then the date of the order', () => {
  const unended = { ...active(named('phenelzine')), status: 'stopped' };
  const dated = (days: number) => ({ meta: { lastUpdated: ago(days) }, authoredOn: ago(400) });
  assert.deepEqual(told([draft(named('sertraline'))], [{ ...unended, ...dated(13) }]), [MAOI]);
  assert.deepEqual(told([draft(named('sertraline'))], [{ ...unended, ...dated(14) }]), []);
  assert.deepEqual(told([draft(named('sertraline'))], [{ ...unended, authoredOn: ago(20) }]), []);
});
test('wash-out@other records: statement, dispense and dose given', () => {
  const of = (resourceType: string, status: string, extra: Readonly<Record<string, Json>>) => ({
    ...other(resourceType, status, extra),
    medicationCodeableConcept: named('phenelzine'),
  });
  const list = (days: number): readonly Resource[] => [
    of('MedicationStatement', 'stopped', { effectivePeriod: { end: ago(days) } }),
    of('MedicationDispense', 'completed', handedOver(days + 30)),
    of('MedicationAdministration', 'completed', { effectiveDateTime: ago(days) }),
  ];
  for (const one of list(13)) assert.deepEqual(told([draft(named('sertraline'))], [one]), [MAOI], one.resourceType);
  for (const one of list(14)) assert.deepEqual(told([draft(named('sertraline'))], [one]), [], one.resourceType);
});
test('wash-out@current too: the current record speaks', () => {
  const { findings } = safety.check(
    [draft(named('sertraline'))],
    [stopped(named('phenelzine'), ago(2)), active(named('Nardil'))],
    AT,
  );
  assert.deepEqual(
    findings.map(({ other: mention }) => mention?.state),
    ['active'],
  );
});

// --- hostile input -----------------------------------------------------------------------------------------------------
const junk = fc.jsonValue();
const resourceLike = fc.record(
  {
    resourceType: fc.constantFrom(
      'MedicationRequest',
      'MedicationStatement',
      'MedicationDispense',
      'MedicationAdministration',
      'AllergyIntolerance',
      'Medication',
      '__proto__',
      'constructor',
    ),
    id: fc.string(),
    status: fc.oneof(fc.constantFrom('active', 'stopped', 'completed', 'constructor'), junk),
    medicationCodeableConcept: fc.oneof(
      junk,
      fc.record({
        text: junk,
        coding: fc.array(
          fc.record({ system: fc.constant(RXNORM), code: fc.oneof(fc.string(), fc.constant('36567')), display: junk }),
        ),
      }),
    ),
    medicationReference: fc.oneof(
      junk,
      fc.record({ reference: fc.oneof(fc.string(), fc.constant('#a')), display: junk }),
    ),
    contained: fc.oneof(junk, fc.array(fc.record({ id: fc.constant('a'), code: junk, ingredient: junk }))),
    dosageInstruction: fc.oneof(
      junk,
      fc.array(fc.record({ timing: fc.record({ repeat: fc.record({ boundsPeriod: junk }) }) })),
    ),
    dispenseRequest: junk,
    effectivePeriod: junk,
    effectiveDateTime: junk,
    whenHandedOver: junk,
    daysSupply: fc.record({ value: junk }),
    meta: junk,
    authoredOn: junk,
    priorPrescription: junk,
    code: junk,
    reaction: fc.oneof(junk, fc.array(fc.record({ substance: junk, manifestation: junk }))),
    category: junk,
    clinicalStatus: junk,
    verificationStatus: junk,
    type: junk,
    criticality: junk,
  },
  { requiredKeys: ['resourceType'] },
);
const asResource = (value: object): Resource => JSON.parse(JSON.stringify(value));
test('property@never throws: any JSON in any element', () =>
  fc.assert(
    fc.property(
      fc.array(resourceLike, { maxLength: 3 }),
      fc.array(resourceLike, { maxLength: 4 }),
      (drafts, context) => {
        safety.check(drafts.map(asResource), context.map(asResource), AT);
      },
    ),
    { numRuns: 300 },
  ));
test('property@time: a stopped drug never comes back', () =>
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), (first, later) => {
      const count = (days: number) =>
        told([draft(named('sertraline'))], [stopped(named('phenelzine'), ago(0))], AT + days * DAY).length;
      assert.ok(count(first + later) <= count(first));
    }),
    { numRuns: 50 },
  ));
