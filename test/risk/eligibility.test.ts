// docs/models.md, Eligibility: each kind of rule, both sides of each boundary, and that manifests which use it keep the model from running.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { eligibilityProblems, ineligible } from '../../src/risk/eligibility.ts';
import type { EligibilityRule, FeatureSpec } from '../../src/risk/manifest.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { AT, born, HOUR, iso, knowledge, loinc, MODELS, measured, NEVER, quantity, snomed } from './world.ts';

const ADULT = born('1960-05-05');
const ago = (hours: number): string => iso(AT - hours * HOUR);
const encounter = (code: string, over: JsonObject = {}): Resource => ({
  resourceType: 'Encounter',
  id: `e-${code}`,
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code },
  period: { start: ago(10) },
  ...over,
});
const icd = (code: string): JsonObject => ({ coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code }] });
const condition = (code: JsonObject, over: JsonObject = {}): Resource => ({
  resourceType: 'Condition',
  id: 'c',
  code,
  ...over,
});
const clinical = (code: string): JsonObject => ({
  clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code }] },
});
const given = (text: string, hours: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationAdministration',
  id: 'given',
  status: 'completed',
  medicationCodeableConcept: { text },
  effectiveDateTime: ago(hours),
  ...over,
});
const ordered = (text: string, hours: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationRequest',
  id: 'ordered',
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text },
  authoredOn: ago(hours),
  ...over,
});
const inIcu = (hours: number, over: JsonObject = {}): Resource =>
  encounter('IMP', {
    period: { start: ago(100) },
    location: [{ location: { display: 'Surgical ICU, bed 3' }, period: { start: ago(hours) } }],
    ...over,
  });

type Row = readonly [
  expected: RegExp | undefined,
  rule: EligibilityRule,
  resources: readonly Resource[],
  why: string,
  patient?: Resource,
];
const ALIVE: EligibilityRule = { rule: 'alive' };
const COMFORT: EligibilityRule = { rule: 'no-comfort-care' };
const WARD: EligibilityRule = { rule: 'setting', classes: ['IMP', 'EMER'], unknown: 'eligible' };
const KNOWN_WARD: EligibilityRule = { ...WARD, unknown: 'outside' };
const FIRST: EligibilityRule = { rule: 'first-vitals', hours: 4 };
const AROUND: EligibilityRule = { rule: 'icu-hours', from: 0, below: 24 };
const AFTER: EligibilityRule = { rule: 'icu-hours', from: 24 };
const UNTREATED: EligibilityRule = { rule: 'untreated-infection', hours: 72 };
const ADULTS: EligibilityRule = { rule: 'age', unit: 'a', from: 18, below: 90 };
const DEAD = /deceased/;
const PALLIATIVE = /comfort or palliative care/;
const rows: readonly Row[] = [
  [undefined, ALIVE, [], 'control: nothing says deceased'],
  [DEAD, ALIVE, [], 'deceasedBoolean', born('1960-05-05', { deceasedBoolean: true })],
  [undefined, ALIVE, [], 'deceasedBoolean false', born('1960-05-05', { deceasedBoolean: false })],
  [DEAD, ALIVE, [], 'died at the instant judged at', born('1960-05-05', { deceasedDateTime: iso(AT) })],
  [undefined, ALIVE, [], 'died later: alive then', born('1960-05-05', { deceasedDateTime: iso(AT + 1) })],
  [
    DEAD,
    ALIVE,
    [],
    'the same instant in another time zone',
    born('1960-05-05', { deceasedDateTime: '2026-03-01T14:00:00+02:00' }),
  ],

  [undefined, COMFORT, [condition(icd('I50.9'))], 'control: another condition'],
  [PALLIATIVE, COMFORT, [condition(icd('Z51.5'))], 'ICD-10-CM Z51.5'],
  [undefined, COMFORT, [condition(icd('Z51.5'), clinical('resolved'))], 'resolved'],
  [undefined, COMFORT, [condition(icd('Z66'))], 'do not resuscitate is not comfort care: warnings still help'],
  [undefined, COMFORT, [condition(icd('Z51.5'), { recordedDate: iso(AT + HOUR) })], 'recorded later'],
  [PALLIATIVE, COMFORT, [condition(icd('Z51.5'), { recordedDate: iso(AT) })], 'recorded at the instant'],
  [
    PALLIATIVE,
    COMFORT,
    [{ resourceType: 'ServiceRequest', status: 'active', code: snomed('103735009') }],
    'an active order',
  ],
  [
    undefined,
    COMFORT,
    [{ resourceType: 'ServiceRequest', status: 'revoked', code: snomed('103735009') }],
    'a revoked order',
  ],
  [
    PALLIATIVE,
    COMFORT,
    [{ resourceType: 'CarePlan', status: 'active', category: [{ text: 'Hospice care plan' }] }],
    'a plan, in words',
  ],
  [
    undefined,
    COMFORT,
    [{ resourceType: 'Flag', status: 'active', code: { text: 'No palliative care needs' } }],
    'denied in words',
  ],
  [PALLIATIVE, COMFORT, [encounter('IMP', { serviceType: snomed('385763009') })], 'the service of the current stay'],

  [undefined, WARD, [encounter('IMP')], 'control: inpatient'],
  [undefined, WARD, [encounter('EMER')], 'emergency department'],
  [/class AMB, not IMP, EMER/, WARD, [encounter('AMB')], 'outpatient'],
  [/class HH/, WARD, [encounter('HH')], 'at home'],
  [undefined, WARD, [encounter('AMB'), encounter('IMP')], 'an outpatient visit left open does not hide the stay'],
  [undefined, WARD, [], 'unknown: eligible where the manifest says so'],
  [/no current encounter/, KNOWN_WARD, [], 'unknown: outside where the manifest says so'],
  [
    undefined,
    KNOWN_WARD,
    [encounter('IMP', { period: { start: ago(9), end: iso(AT) } })],
    'ended at the instant: Period.end is inclusive',
  ],
  [/no current encounter/, KNOWN_WARD, [encounter('IMP', { period: { start: ago(9), end: iso(AT - 1) } })], 'ended'],
  [
    undefined,
    KNOWN_WARD,
    [encounter('IMP', { status: 'finished', period: { start: ago(9), end: iso(AT + 1000) } })],
    'judged in the past: under way then',
  ],
  [/no current encounter/, KNOWN_WARD, [encounter('IMP', { status: 'finished' })], 'finished, no end known'],
  [/no current encounter/, KNOWN_WARD, [encounter('IMP', { status: 'planned' })], 'planned'],
  [/no current encounter/, KNOWN_WARD, [encounter('IMP', { status: 'entered-in-error' })], 'entered in error'],
  [/no current encounter/, KNOWN_WARD, [encounter('IMP', { period: { start: iso(AT + 1) } })], 'begins later'],
  [undefined, KNOWN_WARD, [encounter('IMP', { period: { start: iso(AT) } })], 'begins at the instant'],

  [/younger than 18 years/, ADULTS, [], 'the day before the 18th birthday', born('2008-03-02')],
  [undefined, ADULTS, [], 'the 18th birthday', born('2008-03-01')],
  [undefined, ADULTS, [], 'the day before the 90th birthday', born('1936-03-02')],
  [/90 years or older/, ADULTS, [], 'the 90th birthday', born('1936-03-01')],
  [/age is not certain/, ADULTS, [], 'a year that spans the limit', born('2008')],
  [/younger than 28 days/, { rule: 'age', unit: 'd', from: 28 }, [], '27 days', born('2026-02-02')],
  [undefined, { rule: 'age', unit: 'd', from: 28 }, [], '28 days', born('2026-02-01')],

  [undefined, FIRST, [encounter('EMER', { period: { start: ago(4) } })], 'exactly 4 h after arrival'],
  [
    /more than 4 h after arrival/,
    FIRST,
    [encounter('EMER', { period: { start: iso(AT - 4 * HOUR - 1) } })],
    'a moment more',
  ],
  [/time of arrival is not recorded/, FIRST, [], 'no encounter'],

  [undefined, AROUND, [inIcu(0)], 'at admission to intensive care'],
  [undefined, AROUND, [inIcu(23.99)], 'just under 24 h'],
  [/24 h or more after/, AROUND, [inIcu(24)], 'exactly 24 h'],
  [/earlier than 24 h/, AFTER, [inIcu(23.99)], 'just under 24 h'],
  [undefined, AFTER, [inIcu(24)], 'exactly 24 h'],
  [/no current stay in intensive care/, AFTER, [encounter('IMP')], 'a ward'],
  [
    /no current stay/,
    AFTER,
    [inIcu(48, { location: [{ location: { display: 'ICU' }, period: { start: ago(48), end: ago(2) } }] })],
    'moved to the ward 2 h ago',
  ],
  [
    undefined,
    AFTER,
    [
      inIcu(0, { location: [{ location: { reference: 'Location/l1' }, period: { start: ago(30) } }] }),
      {
        resourceType: 'Location',
        id: 'l1',
        type: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-RoleCode', code: 'ICU' }] }],
      },
    ],
    'by the type of the Location',
  ],

  [undefined, UNTREATED, [given('paracetamol 1 g', 2)], 'control: another drug'],
  [/antibiotic is recorded/, UNTREATED, [given('Ceftriaxone 1 g injection', 2)], 'given'],
  [
    /antibiotic is recorded/,
    UNTREATED,
    [
      given('x', 71.99, {
        medicationCodeableConcept: { coding: [{ system: 'http://www.whocc.no/atc', code: 'J01DH02' }] },
      }),
    ],
    'by ATC, just inside 72 h',
  ],
  [undefined, UNTREATED, [given('ceftriaxone', 72)], 'exactly 72 h ago'],
  [undefined, UNTREATED, [given('ceftriaxone', -1)], 'given later'],
  [undefined, UNTREATED, [given('ceftriaxone', 2, { status: 'not-done' })], 'not given'],
  [undefined, UNTREATED, [given('ceftriaxone', 2, { status: 'entered-in-error' })], 'entered in error'],
  [undefined, UNTREATED, [given('tobramycin 0.3 % ophthalmic solution', 2)], 'eye drops'],
  [
    undefined,
    UNTREATED,
    [given('cefazolin 2 g', 2, { reasonCode: [{ text: 'Surgical prophylaxis' }] })],
    'surgical prophylaxis, in words',
  ],
  [
    undefined,
    UNTREATED,
    [given('cefazolin 2 g', 2, { reasonCode: [snomed('360271000')] })],
    'surgical prophylaxis, by code',
  ],
  [
    undefined,
    UNTREATED,
    [
      given('cefazolin 2 g', 2, { request: { reference: 'MedicationRequest/ordered' } }),
      ordered('cefazolin 2 g', 3, { reasonCode: [{ text: 'perioperative prophylaxis' }] }),
    ],
    'prophylaxis said by the order only',
  ],
  [/antibiotic is recorded/, UNTREATED, [given('cefazolin 2 g', 2)], 'no reason: never guessed to be prophylaxis'],
  [/antibiotic is recorded/, UNTREATED, [ordered('meropenem', 1)], 'ordered'],
  [undefined, UNTREATED, [ordered('meropenem', 1, { intent: 'proposal' })], 'only proposed'],
  [undefined, UNTREATED, [ordered('meropenem', 1, { status: 'cancelled' })], 'cancelled'],
  [undefined, UNTREATED, [ordered('meropenem', 1, { doNotPerform: true })], 'an order not to give it'],
  [
    /antibiotic is recorded/,
    UNTREATED,
    [
      { ...given('x', 1), medicationCodeableConcept: undefined, medicationReference: { reference: 'Medication/m1' } },
      {
        resourceType: 'Medication',
        id: 'm1',
        code: { coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '11124' }] },
      },
    ],
    'vancomycin by RxNorm, through a Medication',
  ],
  [/culture is recorded/, UNTREATED, [measured('600-7', 1, '1')], 'a blood culture'],
  [
    /culture is recorded/,
    UNTREATED,
    [{ resourceType: 'ServiceRequest', status: 'active', code: loinc('600-7'), authoredOn: ago(1) }],
    'ordered culture',
  ],
  [
    undefined,
    UNTREATED,
    [{ resourceType: 'ServiceRequest', status: 'revoked', code: loinc('600-7'), authoredOn: ago(1) }],
    'revoked culture',
  ],
  [
    /culture is recorded/,
    UNTREATED,
    [{ resourceType: 'Specimen', type: snomed('446131002'), collection: { collectedDateTime: ago(1) } }],
    'a specimen',
  ],

  [undefined, { rule: 'without', set: 'dialysis' }, [condition(icd('I10'))], 'control'],
  [/dialysis is recorded/, { rule: 'without', set: 'dialysis' }, [condition(icd('Z99.2'))], 'dependence on dialysis'],
  [
    /acute kidney injury is recorded/,
    { rule: 'without', set: 'acute-kidney-injury' },
    [condition(icd('N17.9'))],
    'N17',
  ],
  [undefined, { rule: 'with', set: 'cirrhosis' }, [condition(icd('K74.60'))], 'recorded'],
  [/cirrhosis of the liver is not recorded/, { rule: 'with', set: 'cirrhosis' }, [], 'not recorded'],
];

test('eligibility@rules: every kind on both sides of its boundary', () => {
  const wrong = rows.flatMap(([expected, rule, resources, why, patient = ADULT]) => {
    const reason = ineligible([rule], { patient, resources, at: AT }, knowledge);
    const fits = expected === undefined ? reason === undefined : reason !== undefined && expected.test(reason);
    return fits ? [] : [`${rule.rule}: ${why}: ${reason}`];
  });
  assert.deepEqual(wrong, []);
});

const CREATININE: FeatureSpec = {
  ...{ name: 'creatinine', display: 'Creatinine', kind: 'latest-observation', codes: ['2160-0', '14682-9'] },
  ...{ unit: 'mg/dL', analyte: 'creatinine', windowHours: 2160, range: [0.05, 30], required: true },
};
const creatinine = (value: number, hours: number, unit = 'mg/dL', over: JsonObject = {}): Resource =>
  measured(unit === 'mg/dL' ? '2160-0' : '14682-9', value, unit, { effectiveDateTime: ago(hours), ...over });
const RISING = /creatinine is rising as in acute kidney injury/;
const rises: readonly (readonly [expected: RegExp | undefined, resources: readonly Resource[], why: string])[] = [
  [undefined, [creatinine(2.2, 1)], 'one value says nothing of a rise'],
  [RISING, [creatinine(1.3, 1), creatinine(1.0, 49)], 'by 0.3 within 48 h'],
  [undefined, [creatinine(1.29, 1), creatinine(1.0, 49)], 'by less'],
  [undefined, [creatinine(1.3, 1), creatinine(1.0, 49.1)], 'by 0.3 in more than 48 h'],
  [RISING, [creatinine(1.5, 1), creatinine(1.0, 167)], 'to 1.5 times within 7 days'],
  [undefined, [creatinine(1.5, 1), creatinine(1.0, 168)], 'exactly 7 days ago lies outside'],
  [undefined, [creatinine(1.0, 1), creatinine(2.0, 20)], 'it falls'],
  [RISING, [creatinine(132.6, 1, 'umol/L'), creatinine(1.0, 20)], 'in other units'],
  [
    undefined,
    [creatinine(2.0, 1), creatinine(1.0, 20, 'mg/dL', { status: 'entered-in-error' })],
    'the earlier was a mistake',
  ],
  [undefined, [creatinine(90, 1), creatinine(1.0, 20)], 'an implausible value is no rise'],
];
for (const [expected, resources, why] of rises) {
  test(`eligibility@steady-creatinine: ${why}`, () => {
    const evidence = { patient: ADULT, resources, at: AT };
    const reason = ineligible([{ rule: 'steady-creatinine' }], evidence, knowledge, [CREATININE]);
    if (expected === undefined) assert.equal(reason, undefined);
    else assert.match(reason ?? '', expected);
  });
}
test('eligibility@steady-creatinine: kidney formulas are not run while creatinine rises, and say why', async () => {
  const rising = [creatinine(2.2, 1), creatinine(1.0, 9), measured('29463-7', 80, 'kg')];
  const patient = { ...ADULT, gender: 'male' };
  for (const [id, resources, runs] of [
    ['cockcroft-gault', rising, false],
    ['ckd-epi-2021', rising, false],
    ['cockcroft-gault', rising.toSpliced(1, 1), true],
    ['ckd-epi-2021', rising.toSpliced(1, 1), true],
  ] as const) {
    const { outputs, outsidePopulation } = await models.assess(id, { patient, resources, at: AT }, NEVER);
    assert.equal(Object.keys(outputs).length > 0, runs, id);
    assert.equal(outsidePopulation === undefined, runs, outsidePopulation);
  }
  assert.deepEqual(eligibilityProblems([{ rule: 'steady-creatinine' }], knowledge.vocabulary, []), [
    'eligibility: there is no input creatinine',
  ]);
});

const VITAL = (name: string, code: string, unit: string): FeatureSpec => ({
  ...{ name, display: name, kind: 'latest-observation', codes: [code], unit, windowHours: 4, range: [1, 300] },
  required: true,
});
const INPUTS = [VITAL('pulse', '8867-4', '/min'), VITAL('breathing', '9279-1', '/min')];
const SET: EligibilityRule = { rule: 'first-vitals', hours: 4, vitals: ['pulse', 'breathing'], againMinutes: 15 };
const VISIT = encounter('EMER', { id: 'now', period: { start: ago(2) } });
const minute = (minutes: number, ms = 0): string => iso(AT - 2 * HOUR + minutes * 60_000 + ms);
const pulse = (minutes: number, over: JsonObject = {}, ms = 0): Resource =>
  measured('8867-4', 90, '/min', { effectiveDateTime: minute(minutes, ms), ...over });
const breathing = (minutes: number, over: JsonObject = {}): Resource =>
  measured('9279-1', 18, '/min', { effectiveDateTime: minute(minutes), ...over });
const of = (id: string): JsonObject => ({ encounter: { reference: `Encounter/${id}` } });
const AGAIN = /measured again, and only the first complete vital signs/;
const INCOMPLETE = /not complete \(missing: breathing\)/;
/** Minutes after arrival. */
const sets: readonly (readonly [expected: RegExp | undefined, resources: readonly Resource[], why: string])[] = [
  [undefined, [pulse(5), breathing(9)], 'control: one of each'],
  [undefined, [pulse(0), breathing(0)], 'at arrival itself'],
  [INCOMPLETE, [pulse(5)], 'one is missing'],
  [/not complete \(missing: pulse, breathing\)/, [], 'none'],
  [INCOMPLETE, [pulse(0), breathing(-1)], 'a minute before arrival: not of this visit'],
  [undefined, [pulse(0), breathing(-1, of('now'))], 'before its recorded start, but it names the visit'],
  [INCOMPLETE, [pulse(0), breathing(9, of('last'))], 'of another visit'],
  [undefined, [pulse(1), pulse(8), breathing(9)], 'repeated before the set is complete'],
  [undefined, [pulse(5), breathing(9), pulse(24)], '15 min after it was complete belongs to it'],
  [AGAIN, [pulse(5), breathing(9), pulse(24, {}, 1)], '1 ms later is a second measurement'],
  [AGAIN, [pulse(5), breathing(9), pulse(90), breathing(91)], 're-triage: a second whole set'],
  [undefined, [pulse(5), breathing(9), pulse(90, of('last'))], 'the second is of another visit'],
  [undefined, [pulse(5), breathing(9), pulse(90, { status: 'entered-in-error' })], 'the second was a mistake'],
  [undefined, [pulse(5), breathing(9), pulse(90, { valueQuantity: quantity(0, '/min') })], 'the second is implausible'],
  [
    INCOMPLETE,
    [pulse(5), breathing(9, { valueQuantity: quantity(0, '/min') })],
    'an implausible one completes nothing',
  ],
  [INCOMPLETE, [pulse(5), breathing(9, { status: 'preliminary' })], 'nor does a preliminary one'],
];
test('eligibility@first-set: the first complete set of vital signs of the visit; what is measured again is another', () => {
  const wrong = sets.flatMap(([expected, resources, why]) => {
    const reason = ineligible([SET], { patient: ADULT, resources: [VISIT, ...resources], at: AT }, knowledge, INPUTS);
    const fits = expected === undefined ? reason === undefined : reason !== undefined && expected.test(reason);
    return fits ? [] : [`${why}: ${reason}`];
  });
  assert.deepEqual(wrong, []);
  assert.deepEqual(eligibilityProblems([SET], knowledge.vocabulary, INPUTS), []);
  assert.deepEqual(eligibilityProblems([SET], knowledge.vocabulary, INPUTS.slice(1)), [
    'eligibility: there is no input pulse',
  ]);
});

test('eligibility@first: rules are judged in order, the first that is not met is the reason', () => {
  const dead = born('1960-05-05', { deceasedBoolean: true });
  const evidence = { patient: dead, resources: [encounter('AMB')], at: AT };
  assert.match(ineligible([ALIVE, WARD], evidence, knowledge) ?? '', DEAD);
  assert.match(ineligible([WARD, ALIVE], evidence, knowledge) ?? '', /class AMB/);
  assert.equal(ineligible([], evidence, knowledge), undefined);
});

test('eligibility@problems: a set that is not there and an empty range stop the manifest', () => {
  assert.deepEqual(eligibilityProblems([{ rule: 'without', set: 'unheard-of' }], knowledge.vocabulary), [
    'eligibility: there is no set unheard-of',
  ]);
  assert.deepEqual(eligibilityProblems([{ rule: 'icu-hours', from: 24, below: 24 }], knowledge.vocabulary), [
    'eligibility: icu-hours has an empty range',
  ]);
  assert.deepEqual(eligibilityProblems([AFTER, { rule: 'without', set: 'dialysis' }], knowledge.vocabulary), []);
});

let models: LoadedModels;
before(async () => {
  models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
});
after(() => models.close());

const kept: readonly (readonly [id: string, resources: readonly Resource[], patient: Resource, reason: RegExp])[] = [
  ...['news2', 'qsofa', 'sirs'].flatMap((id) => [
    [id, [], born('1960-05-05', { deceasedBoolean: true }), DEAD] as const,
    [id, [condition(icd('Z51.5'))], ADULT, PALLIATIVE] as const,
    [id, [encounter('AMB')], ADULT, /class AMB/] as const,
  ]),
  ['triage-vitals', [], born('1960-05-05', { deceasedBoolean: true }), DEAD],
];
test('eligibility@enforced: outside, the published scores are not run and say why', async () => {
  for (const [id, resources, patient, reason] of kept) {
    const vitals = [measured('9279-1', 30, '/min'), measured('8867-4', 140, '/min')];
    const { outputs, band, outsidePopulation } = await models.assess(
      id,
      { patient, resources: [...vitals, ...resources], at: AT },
      NEVER,
    );
    assert.deepEqual([id, outputs, band], [id, {}, undefined]);
    assert.match(outsidePopulation ?? '', reason);
  }
  const { outsidePopulation } = await models.assess(
    'qsofa',
    { patient: ADULT, resources: [encounter('IMP')], at: AT },
    NEVER,
  );
  assert.equal(outsidePopulation, undefined, 'control: an inpatient');
});
