// ESI decision points A to D on written vignettes, in the manner of the handbook's cases (AHRQ 12-0014, chapters 3 to 9), from FHIR resources to the level.
// Every person is invented. Vital signs that a row does not name are normal for the age; consciousness is alert, pain 0.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { loadSchemas, readChecked } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { decideEsi, type EsiDecision, type EsiFacts } from '../../src/risk/triage/esi.ts';
import { triageOf } from '../../src/risk/triage/triage.ts';
import { AT, acvpu, HOUR, iso, knowledge, MODELS, measured, NEVER, observation, snomed, visit } from './world.ts';

const TABLE = readChecked(MODELS, 'esi.json', loadSchemas(MODELS).esi);
const triage = triageOf(TABLE, knowledge);
const edition = (id: 'v4' | 'v5') => {
  const found = TABLE.editions.find((one) => one.id === id);
  if (found === undefined) throw new TypeError(id);
  return found;
};

/** `45a` years, `5mo` months, `10d` days before AT. */
function bornAt(age: string): Resource {
  const [, number, unit] = /^(\d+)(a|mo|d)$/.exec(age) ?? [];
  const day = new Date(AT);
  if (unit === 'a') day.setUTCFullYear(day.getUTCFullYear() - Number(number));
  else if (unit === 'mo') day.setUTCMonth(day.getUTCMonth() - Number(number));
  else day.setUTCDate(day.getUTCDate() - Number(number));
  return { resourceType: 'Patient', id: 'p', birthDate: day.toISOString().slice(0, 10) };
}
interface Findings {
  readonly hr?: number;
  readonly rr?: number;
  readonly spo2?: number;
  readonly t?: number;
  readonly pain?: number;
  readonly c?: 'A' | 'C' | 'V' | 'P' | 'U';
  /** Resources that the nurse expects; absent: estimated from the complaint. */
  readonly n?: number;
}
const NORMAL_RATES: readonly (readonly [months: number, pulse: number, rate: number])[] = [
  [12, 130, 36],
  [60, 110, 24],
  [144, 95, 20],
  [Number.POSITIVE_INFINITY, 80, 16],
];
const MONTHS_IN: Readonly<Record<string, number>> = { a: 12, mo: 1, d: 1 / 30 };
function monthsOf(age: string): number {
  const [, number, unit] = /^(\d+)(a|mo|d)$/.exec(age) ?? [];
  return Number(number) * (MONTHS_IN[unit ?? 'a'] ?? 12);
}
function findings(age: string, given: Findings): readonly Resource[] {
  const [, pulse, rate] = NORMAL_RATES.find(([below]) => monthsOf(age) < below) ?? [0, 80, 16];
  const { hr = pulse, rr = rate, spo2 = 98, t = 36.8, pain = 0, c = 'A', n } = given;
  const expected = measured('x', n ?? 0, '{count}', {
    code: { coding: [{ system: 'urn:firewatch:triage', code: 'expected-resources' }] },
  });
  return [
    measured('8867-4', hr, '/min'),
    measured('9279-1', rr, '/min'),
    measured('59408-5', spo2, '%'),
    measured('8310-5', t, 'Cel'),
    measured('72514-3', pain, '{score}'),
    acvpu(c),
    ...(n === undefined ? [] : [expected]),
  ];
}
const assess = (age: string, complaint: string, given: Findings = {}, more: readonly Resource[] = []) =>
  triage.assess({ patient: bornAt(age), resources: [visit(complaint), ...findings(age, given), ...more], at: AT });

/** `2?`: consider 2. */
const shown = ({ level, strength }: EsiDecision): string => `${level ?? '3-5'}${strength === 'consider' ? '?' : ''}`;

type Vignette = readonly [age: string, complaint: string, given: Findings, level: string];
const level1: readonly Vignette[] = [
  ['62a', 'cardiac arrest, CPR in progress', {}, '1'],
  ['34a', 'found down, overdose, not breathing', { rr: 4, spo2: 70, c: 'U' }, '1'],
  ['70a', 'unresponsive', { c: 'U' }, '1'],
  ['58a', 'chest pain', { c: 'P', hr: 40 }, '1'],
  ['67a', 'SOB, history of COPD', { spo2: 84, rr: 34 }, '1'],
  ['45a', 'pneumonia, cough', { spo2: 89, rr: 24 }, '1'],
  ['22a', 'severe respiratory distress, asthma', { spo2: 93, rr: 36 }, '1'],
  ['22a', 'asthma, unable to speak', { spo2: 92, rr: 32 }, '1'],
  ['30a', 'anaphylaxis after bee sting', { hr: 120 }, '1'],
  ['19a', 'ate shrimp, throat closing', {}, '1'],
  ['27a', 'GSW to abdomen', { hr: 110 }, '1'],
  ['24a', 'stabbed in the chest', {}, '1'],
  ['40a', 'motorcycle crash, unresponsive', { c: 'P' }, '1'],
  ['55a', 'hemorrhagic shock, vomiting blood', { hr: 130 }, '1'],
  ['78a', 'septic shock from nursing home', { hr: 130, rr: 28, c: 'V' }, '1'],
  ['33a', 'status epilepticus', { c: 'U' }, '1'],
  ['29a', '34 weeks, eclampsia', {}, '1'],
  ['10d', 'limp baby, not feeding', { hr: 190 }, '1'],
  ['3mo', 'baby is floppy and pale', {}, '1'],
  ['5a', 'drowning in pool', { spo2: 80 }, '1'],
  ['2a', 'choking on grape', { spo2: 88 }, '1'],
  ['6a', 'actively seizing for 10 minutes', { c: 'U' }, '1'],
  ['16a', 'hypoglycemia, confused', { c: 'C' }, '1'],
  ['50a', 'bleeding out from dialysis fistula', { hr: 128 }, '1'],
  ['81a', 'agonal breathing', { rr: 5 }, '1'],
  ['47a', 'no pulse', {}, '1'],
  ['66a', 'ankle pain', { spo2: 89 }, '1'],
  ['35a', 'fever and headache', { c: 'P' }, '1'],
  ['41a', 'tongue swelling on lisinopril', {}, '1'],
  ['7a', 'allergic reaction, difficulty breathing', { spo2: 95 }, '1'],
  ['60a', 'traumatic amputation of leg in machine', { hr: 125 }, '1'],
  ['38a', 'smoke inhalation, cannot speak', {}, '1'],
  ['25a', 'overdose, unresponsive', { rr: 8, c: 'U' }, '1'],
  ['52a', 'cyanotic and gasping', { spo2: 75 }, '1'],
];
const level2: readonly Vignette[] = [
  ['58a', 'chest pain radiating to the jaw, sweating', {}, '2'],
  ['46a', 'chest pressure since this morning', { hr: 92 }, '2'],
  ['71a', 'left sided weakness and slurred speech for 1 hour', {}, '2'],
  ['64a', 'facial droop, resolved', {}, '2'],
  ['83a', 'new confusion', { c: 'C' }, '2'],
  ['76a', 'lethargic', { c: 'V' }, '2'],
  ['79a', 'general weakness', { c: 'C' }, '2'],
  ['26a', 'sore throat', { c: 'V' }, '2'],
  ['31a', 'suicidal with a plan', {}, '2'],
  ['17a', 'took a whole bottle of tylenol', {}, '2'],
  ['44a', 'vomiting blood', { hr: 98 }, '2'],
  ['69a', 'black tarry stools', {}, '2'],
  ['28a', 'pregnant 8 weeks, abdominal pain', { pain: 5 }, '2'],
  ['32a', 'vaginal bleeding, pregnant', {}, '2'],
  ['35a', 'in labor, water broke', {}, '2'],
  ['15a', 'testicular pain, sudden onset', { pain: 6 }, '2'],
  ['39a', 'worst headache of my life', {}, '2'],
  ['20a', 'fever and stiff neck', { t: 39.4 }, '2'],
  ['54a', 'fever on chemotherapy', { t: 38.3 }, '2'],
  ['48a', 'SOB', { spo2: 95, rr: 20 }, '2'],
  ['59a', 'shortness of breath, PE last year', { spo2: 93 }, '2'],
  ['37a', 'seizure, now postictal', {}, '2'],
  ['66a', 'syncope while shopping', {}, '2'],
  ['50a', 'tearing chest pain to the back', { pain: 6 }, '2'],
  ['42a', 'renal colic, flank pain', { pain: 9 }, '2'],
  ['36a', 'sickle cell crisis', { pain: 6 }, '2'],
  ['23a', 'sexual assault', {}, '2'],
  ['18a', 'stabbed in the leg', {}, '2'],
  ['30a', 'fell from ladder', {}, '2'],
  ['68a', 'hit head, on warfarin', {}, '2'],
  ['57a', 'palpitations, SVT', { hr: 170 }, '2'],
  ['61a', 'DKA', { rr: 20 }, '2'],
  ['73a', 'missed dialysis, weak', {}, '2'],
  ['43a', 'bleach in eye', { pain: 6 }, '2'],
  ['55a', 'sudden loss of vision', {}, '2'],
  ['29a', 'hearing voices', {}, '2'],
  ['34a', 'carbon monoxide alarm at home, headache', {}, '2'],
  ['80a', 'cold pale leg with pain', { pain: 6 }, '2'],
  ['12a', 'head injury with vomiting', {}, '2'],
  ['8a', 'swallowed 10 pills of grandmother', {}, '2'],
  ['14d', 'fever', { t: 38.2 }, '2'],
  ['28d', 'fever', { t: 38.1 }, '2'],
  ['20d', 'vomiting', { t: 38.5 }, '2'],
  ['4a', 'petechial rash', { t: 38.9 }, '2'],
  ['9mo', 'inconsolable crying', {}, '2'],
  ['33a', 'laceration of hand', { pain: 7 }, '2'],
  ['21a', 'toothache', { pain: 10 }, '2'],
  ['45a', 'migraine', { pain: 8 }, '2'],
  ['52a', 'burn to face', {}, '2'],
  ['65a', 'hemoptysis', {}, '2'],
  ['38a', 'compartment syndrome after cast', {}, '2'],
  ['70a', 'back pain and unable to move legs', {}, '2'],
  ['19a', 'rape', {}, '2'],
  ['24a', 'post-ictal', {}, '2'],
  ['47a', 'hypotension at clinic', {}, '2'],
];
const considered: readonly Vignette[] = [
  ['40a', 'abdominal pain', { hr: 120, pain: 5 }, '2?'],
  ['40a', 'abdominal pain', { rr: 24, pain: 5 }, '2?'],
  ['40a', 'fever and cough', { spo2: 91, t: 38.9 }, '2?'],
  ['75a', 'general weakness', { hr: 108 }, '2?'],
  ['6a', 'vomiting', { hr: 145 }, '2?'],
  ['2a', 'diarrhea', { hr: 165 }, '2?'],
  ['2a', 'fever and cough', { rr: 44, t: 38.4 }, '2?'],
  ['2mo', 'cough', { t: 38.2 }, '2?'],
  ['40d', 'rash', { t: 38.3, n: 0 }, '2?'],
  ['2mo', 'vomiting', { hr: 185 }, '2?'],
  ['10a', 'abdominal pain', { hr: 118, rr: 24, pain: 4 }, '2?'],
  ['30a', 'abdominal pain', { hr: 101, n: 2, pain: 4 }, '2?'],
];
const level3: readonly Vignette[] = [
  ['35a', 'abdominal pain', { pain: 5 }, '3'],
  ['50a', 'flank pain', { pain: 6 }, '3'],
  ['44a', 'vomiting and diarrhea', {}, '3'],
  ['72a', 'general weakness', {}, '3'],
  ['29a', 'dizziness', {}, '3'],
  ['38a', 'leg swelling', {}, '3'],
  ['33a', 'vaginal bleeding', { pain: 3 }, '3'],
  ['62a', 'fever and cough', { t: 38.6 }, '3'],
  ['41a', 'high blood sugar', {}, '3'],
  ['56a', 'palpitations', {}, '3'],
  ['27a', 'migraine with vomiting', { pain: 6 }, '3'],
  ['47a', 'rectal bleeding', {}, '3'],
  ['64a', 'urinary retention', { pain: 5 }, '3'],
  ['25a', 'headache', { pain: 5 }, '3'],
  ['19a', 'MVA, neck pain', { pain: 4 }, '3'],
  ['80a', 'loss of appetite', {}, '3'],
  ['58a', 'heart failure, leg swelling', {}, '3'],
  ['9a', 'abdominal pain and vomiting', { pain: 4 }, '3'],
  ['3a', 'vomiting', {}, '3'],
  ['31a', 'pelvic pain', { pain: 4 }, '3'],
  ['52a', 'cellulitis', { n: 2 }, '3'],
  ['36a', 'abscess', { n: 3 }, '3'],
  ['7a', 'swallowed coin', {}, '3'],
  ['18mo', 'rash', { t: 39.4 }, '3?'],
  ['5mo', 'ear infection', { t: 39.2 }, '3?'],
  ['40a', 'sore throat', { hr: 112 }, '3?'],
  ['40a', 'ankle sprain', { hr: 104, pain: 5 }, '3?'],
];
const level4: readonly Vignette[] = [
  ['22a', 'ankle sprain', { pain: 4 }, '4'],
  ['14a', 'wrist injury playing football', { pain: 5 }, '4'],
  ['31a', 'laceration to finger', { pain: 3 }, '4'],
  ['8a', 'sore throat', {}, '4'],
  ['26a', 'dysuria', {}, '4'],
  ['45a', 'low back pain', { pain: 6 }, '4'],
  ['20a', 'wheezing', {}, '4'],
  ['37a', 'abscess of buttock', { pain: 5 }, '4'],
  ['34a', 'burn on hand', { pain: 5 }, '4'],
  ['6a', 'cough', {}, '4'],
  ['28a', 'knee pain', { pain: 4 }, '4'],
  ['50a', 'nosebleed', {}, '4'],
  ['24a', 'anxiety', {}, '4'],
  ['11a', 'head injury, no LOC', {}, '4'],
  ['29a', 'hives, allergic reaction', {}, '4'],
  ['43a', 'chest wall pain', { pain: 3 }, '4'],
  ['60a', 'fell, denies LOC, hip pain', { pain: 5 }, '4'],
  ['33a', 'rash', { n: 1 }, '4'],
  ['40a', 'ankle sprain', { hr: 104, n: 1, pain: 5 }, '4'],
  ['55a', 'numbness', { n: 1 }, '4'],
];
const level5: readonly Vignette[] = [
  ['10a', 'poison ivy rash', {}, '5'],
  ['52a', 'medication refill', {}, '5'],
  ['35a', 'suture removal', {}, '5'],
  ['22a', 'toothache', { pain: 5 }, '5'],
  ['4a', 'ear infection', {}, '5'],
  ['27a', 'pink eye', {}, '5'],
  ['30a', 'insect bite', {}, '5'],
  ['45a', 'wound check', {}, '5'],
  ['19a', 'work note', {}, '5'],
  ['65a', 'constipation', {}, '5'],
  ['38a', 'tetanus shot', {}, '5'],
  ['12a', 'stye', {}, '5'],
  ['50a', 'med refill, denies chest pain, no SOB', {}, '5'],
  ['29a', 'rash, no fever', {}, '5'],
  ['40a', 'sore throat', { n: 0 }, '5'],
];
const vignettes = [...level1, ...level2, ...considered, ...level3, ...level4, ...level5];

for (const [age, complaint, given, level] of vignettes) {
  test(`esi@vignette ${age}: ${complaint} ${JSON.stringify(given)} is ${level}`, () => {
    const { decision } = assess(age, complaint, given);
    assert.equal(shown(decision), level, decision.reasons.join('; '));
  });
}
test('esi@vignette: at least 150 of them', () => assert.ok(vignettes.length >= 150, String(vignettes.length)));

const WELL: EsiFacts = {
  ageMonths: 480,
  ageDays: 14600,
  pulse: 80,
  respiratoryRate: 16,
  spo2: 98,
  temperature: 36.8,
  consciousness: 0,
  pain: 0,
  complaints: [],
  interventions: [],
  resources: { count: 2, basis: 'recorded', kinds: [] },
};
const decide = (over: Partial<EsiFacts>, id: 'v4' | 'v5' = 'v4') => shown(decideEsi({ ...WELL, ...over }, edition(id)));

// Danger zone, both sides of every limit, on the first and last month of every age band.
const BANDS = {
  v4: [
    [0, 2, 180, 50],
    [3, 35, 160, 40],
    [36, 95, 140, 30],
    [96, 1200, 100, 20],
  ],
  v5: [
    [0, 0, 190, 60],
    [1, 11, 180, 55],
    [12, 35, 140, 40],
    [36, 59, 120, 35],
    [60, 143, 120, 30],
    [144, 1200, 100, 20],
  ],
} as const;
for (const id of ['v4', 'v5'] as const) {
  for (const [first, last, pulse, respiratoryRate] of BANDS[id]) {
    for (const ageMonths of [first, last]) {
      test(`esi@danger-zone ${id} at ${ageMonths} months: pulse above ${pulse}, breathing above ${respiratoryRate}, SpO2 below 92`, () => {
        const calm = { ageMonths, ageDays: ageMonths * 30 + 29, pulse: 60, respiratoryRate: 15 };
        assert.equal(decide({ ...calm, pulse }, id), '3');
        assert.equal(decide({ ...calm, pulse: pulse + 1 }, id), '2?');
        assert.equal(decide({ ...calm, respiratoryRate }, id), '3');
        assert.equal(decide({ ...calm, respiratoryRate: respiratoryRate + 1 }, id), '2?');
        assert.equal(decide({ ...calm, spo2: 92 }, id), '3');
        assert.equal(decide({ ...calm, spo2: 91 }, id), '2?');
        assert.equal(decide({ ...calm, spo2: 90 }, id), '2?');
        assert.equal(decide({ ...calm, spo2: 89 }, id), '1');
      });
    }
  }
}

const boundaries: readonly (readonly [why: string, over: Partial<EsiFacts>, level: string])[] = [
  ['pain 6', { pain: 6 }, '3'],
  ['pain 7', { pain: 7 }, '2'],
  ['alert', { consciousness: 0 }, '3'],
  ['new confusion', { consciousness: 1 }, '2'],
  ['responds to voice', { consciousness: 2 }, '2'],
  ['responds to pain', { consciousness: 3 }, '1'],
  ['unresponsive', { consciousness: 4 }, '1'],
  ['no resource', { resources: { count: 0, basis: 'recorded', kinds: [] } }, '5'],
  ['one resource', { resources: { count: 1, basis: 'recorded', kinds: [] } }, '4'],
  ['two resources', { resources: { count: 2, basis: 'recorded', kinds: [] } }, '3'],
  ['resources not known', { resources: undefined }, '3-5'],
  ['resources not known, danger zone', { resources: undefined, pulse: 101 }, '2?'],
  ['complaint not known', { complaints: undefined }, '3-5'],
  ['28 days, 38.0', { ageMonths: 0, ageDays: 28, temperature: 38, pulse: 150, respiratoryRate: 40 }, '3'],
  ['28 days, 38.1', { ageMonths: 0, ageDays: 28, temperature: 38.1, pulse: 150, respiratoryRate: 40 }, '2'],
  ['29 days, 38.0', { ageMonths: 0, ageDays: 29, temperature: 38, pulse: 150, respiratoryRate: 40 }, '3'],
  ['29 days, 38.1', { ageMonths: 0, ageDays: 29, temperature: 38.1, pulse: 150, respiratoryRate: 40 }, '2?'],
  ['2 months, 38.1', { ageMonths: 2, ageDays: 80, temperature: 38.1, pulse: 150, respiratoryRate: 40 }, '2?'],
  ['3 months, 38.1', { ageMonths: 3, ageDays: 91, temperature: 38.1, pulse: 150, respiratoryRate: 40 }, '3'],
  ['life-saving intervention', { interventions: ['life-saving intervention'] }, '1'],
  ['A before B', { interventions: ['x'], pain: 10, consciousness: 1 }, '1'],
  ['B before D', { pain: 7, pulse: 150 }, '2'],
];
for (const [why, over, level] of boundaries)
  test(`esi@boundary: ${why} is ${level}`, () => assert.equal(decide(over), level));

const NONE = { count: 0, basis: 'recorded', kinds: [] } as const;
for (const [ageMonths, temperature, level] of [
  [3, 39, '5'],
  [3, 39.1, '3?'],
  [35, 39.1, '3?'],
  [36, 39.1, '5'],
] as const) {
  test(`esi@fever: ${temperature} Cel at ${ageMonths} months and no resource is ${level}`, () =>
    assert.equal(
      decide({ ageMonths, ageDays: ageMonths * 31, temperature, pulse: 110, respiratoryRate: 24, resources: NONE }),
      level,
    ));
}

test('esi@open: what is not recorded is said, and what the level takes for granted of it', () => {
  const { decision, missing } = triage.assess({ patient: bornAt('30a'), resources: [visit('ankle sprain')], at: AT });
  assert.equal(decision.level, 4);
  assert.deepEqual(
    decision.open.map(({ input }) => input),
    ['level of consciousness', 'SpO2', 'pain', 'pulse', 'respiratory rate'],
  );
  assert.deepEqual(
    missing.map(({ display }) => display),
    [
      'Pulse',
      'Respiratory rate',
      'Oxygen saturation',
      'Body temperature',
      'Pain (0 to 10)',
      'Level of consciousness (ACVPU)',
    ],
  );
  const none = triage.assess({ patient: undefined, resources: [], at: AT });
  assert.deepEqual([none.decision.level, none.decision.point], [undefined, 'C']);
});

const order = (over: JsonObject): Resource => ({
  resourceType: 'ServiceRequest',
  id: 'order',
  status: 'active',
  intent: 'order',
  authoredOn: iso(AT - HOUR),
  ...over,
});
test('esi@resources: recorded before orders and complaint; each kind once; what is no resource in ESI does not count', () => {
  const ordered = [
    order({ code: { text: 'Complete blood count' } }),
    order({ id: 'o2', code: { text: 'Troponin' } }),
    order({ id: 'o3', code: { text: 'Chest X-ray' } }),
    order({ id: 'o4', code: { text: 'Urine dipstick, point of care' } }),
    order({ id: 'o5', code: { text: 'CT head' }, authoredOn: iso(AT - 30 * HOUR) }),
    order({ id: 'o6', code: { text: 'MRI' }, status: 'revoked' }),
  ];
  const estimate = assess('30a', 'rash', {}, ordered).resources;
  assert.deepEqual([estimate?.count, estimate?.basis, estimate?.kinds], [2, 'orders', ['laboratory', 'X-ray']]);
  const both = assess('30a', 'ankle sprain', {}, [order({ code: { text: 'CBC' } })]).resources;
  assert.deepEqual([both?.count, both?.basis], [2, 'estimate']);
  assert.equal(assess('30a', 'rash', { n: 1 }, ordered).resources?.basis, 'recorded');
  assert.equal(assess('30a', 'qwerty').resources, undefined);
});
test('esi@resources: a route makes a medicine a resource, by mouth it is none', () => {
  const medicine = (text: string) =>
    order({
      resourceType: 'MedicationRequest',
      medicationCodeableConcept: { text: 'drug' },
      dosageInstruction: [{ route: { text } }],
    });
  assert.equal(assess('30a', 'rash', {}, [medicine('Intravenous')]).resources?.count, 1);
  assert.equal(assess('30a', 'rash', {}, [medicine('oral')]).resources?.count, 0);
});
test('esi@intervention: a life-saving procedure is level 1, one that is only drafted is not', () => {
  const intubation = { code: snomed('112798008') };
  assert.equal(shown(assess('50a', 'cough', {}, [order(intubation)]).decision), '1');
  assert.notEqual(shown(assess('50a', 'cough', {}, [order({ ...intubation, status: 'draft' })]).decision), '1');
});
test('esi@questionnaire: answers whose linkId is a LOINC code count as observations', () => {
  const answers: Resource = {
    resourceType: 'QuestionnaireResponse',
    id: 'q',
    status: 'completed',
    authored: iso(AT - HOUR),
    item: [
      { linkId: '/54094-8', item: [{ linkId: '/54094-8/8661-1', answer: [{ valueString: 'chest pain' }] }] },
      { linkId: '72514-3', answer: [{ valueInteger: 4 }] },
      { linkId: '67775-7', answer: [{ valueCoding: { system: 'http://loinc.org', code: 'LA9340-6' } }] },
      { linkId: 'other', answer: [{ valueString: 'unresponsive' }] },
    ],
  };
  const found = triage.assess({ patient: bornAt('60a'), resources: [answers], at: AT });
  assert.equal(shown(found.decision), '2');
  assert.deepEqual(
    found.used.map(({ display }) => display),
    ['Presenting complaint', 'Age', 'Pain (0 to 10)', 'Level of consciousness (ACVPU)'],
  );
  const draft = { ...answers, status: 'in-progress' };
  assert.equal(triage.assess({ patient: bornAt('60a'), resources: [draft], at: AT }).decision.level, undefined);
});
test('esi@pregnancy: a recorded pregnancy joins the complaint', () => {
  const pregnant = observation('82810-3', { valueCodeableConcept: snomed('77386006') });
  assert.equal(shown(assess('28a', 'abdominal pain', {}, [pregnant]).decision), '2');
  assert.equal(shown(assess('28a', 'abdominal pain').decision), '3');
});
test('esi@setting: only while an emergency encounter is under way', () => {
  const at = (code: string) =>
    triage.outside({ patient: undefined, resources: [visit('cough', { class: { code } })], at: AT });
  assert.equal(at('EMER'), undefined);
  assert.notEqual(at('IMP'), undefined);
  assert.notEqual(at('AMB'), undefined);
});

test('esi@graph: levels 1 and 2 of the ONNX graph of the same rules are never lowered', async () => {
  const models = await loadModels(MODELS, { now: () => AT });
  try {
    for (const [age, complaint, given] of vignettes) {
      const evidence = { patient: bornAt(age), resources: [visit(complaint), ...findings(age, given)], at: AT };
      const { outputs } = await models.assess('triage-vitals', evidence, NEVER);
      const level = triage.assess(evidence).decision.level ?? 5;
      if (outputs.level1 === 1) assert.equal(level, 1, `${age} ${complaint}`);
      if (outputs.level2 === 1) assert.ok(level <= 2, `${age} ${complaint}`);
    }
  } finally {
    await models.close();
  }
});
