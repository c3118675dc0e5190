// Sepsis, shock and early warning as an intensivist would try them, through RiskAssessment/$evaluate: units, pressors, dialysis, prophylaxis, brands, children, scale 2. Decision 0059.
// Sources: Singer and Seymour 2016 (Sepsis-3), Vincent 1996 (SOFA), Schlapbach 2024 (Phoenix), Royal College of Physicians 2017 (NEWS2), Bone 1992 (SIRS), Singer 2016 (qSOFA).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isJsonObject, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { riskDesk } from '../../src/risk/desk.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { infusion } from '../risk/score-world.ts';
import { AT, acvpu, HOUR, iso, measured, quantity, roomAir, saturationGoal } from '../risk/world.ts';
import { json, world } from '../world.ts';
import { type OperationsWorld, operationsWorld } from './operations-world.ts';

const ago = (hours: number): string => iso(AT - hours * HOUR);
const at = (code: string, value: number, unit: string, hours = 1): Resource =>
  measured(code, value, unit, { id: `o${code}-${hours}`, effectiveDateTime: ago(hours) });
const given = (text: string, hours: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationAdministration',
  id: `given-${hours}`,
  status: 'completed',
  medicationCodeableConcept: { text },
  effectiveDateTime: ago(hours),
  ...over,
});
const ordered = (text: string, hours: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationRequest',
  id: `ordered-${hours}`,
  status: 'active',
  intent: 'order',
  medicationCodeableConcept: { text },
  authoredOn: ago(hours),
  ...over,
});
const culture = (hours: number): Resource => at('600-7', 0, '1', hours);
const condition = (text: string): Resource => ({
  resourceType: 'Condition',
  id: 'condition',
  clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
  code: { text },
});
const running = (drug: string, value: number, unit: string): Resource =>
  infusion(drug, 0.05, { dosage: { rateQuantity: quantity(value, unit) } });
const asText = (drug: string, value: number, unit: string): Resource =>
  infusion(drug, 0.05, { dosage: { rateQuantity: { value, unit } } });
const weight = at('29463-7', 80, 'kg');
const creatinine = (value: number, hours = 2): Resource => at('2160-0', value, 'mg/dL', hours);
const lactate = (value: number, unit = 'mmol/L'): Resource => at('2524-7', value, unit);
/** Antibiotic given and culture taken ten hours ago; creatinine 2.1 is a rise of 2. */
const INFECTED = [given('Ceftriaxone 2 g', 10), culture(10)];
const SICK = [...INFECTED, creatinine(2.1)];
/** Antibiotic ordered, none given. */
const suspected = (text: string, over: JsonObject = {}) => [ordered(text, 40, over), culture(30), creatinine(2.5, 20)];

const HYPERCAPNIC = saturationGoal(88, 92, { description: { text: 'Target saturation' } });
const ADULT = '1960-05-05';
type Row = readonly [model: string, told: string, resources: readonly Resource[], why: string, born?: string];
const ROWS: readonly Row[] = [
  // Septic shock: vasopressor and lactate above 2 mmol/L
  [
    'sepsis-3',
    'treated-shock',
    [...SICK, running('norepinephrine', 0.05, 'ug/kg/min'), lactate(2.1)],
    'lactate 2.1 mmol/L',
  ],
  ['sepsis-3', 'treated', [...SICK, running('norepinephrine', 0.05, 'ug/kg/min'), lactate(2.0)], 'lactate 2.0 mmol/L'],
  [
    'sepsis-3',
    'treated-shock',
    [...SICK, running('norepinephrine', 0.05, 'ug/kg/min'), lactate(27, 'mg/dL')],
    '27 mg/dL is 3.0 mmol/L',
  ],
  [
    'sepsis-3',
    'treated',
    [...SICK, running('norepinephrine', 0.05, 'ug/kg/min'), lactate(17, 'mg/dL')],
    '17 mg/dL is 1.9 mmol/L',
  ],
  [
    'sepsis-3',
    'treated-shock',
    [...SICK, running('vasopressin', 0.03, '[iU]/min'), lactate(4)],
    'vasopressin is a vasopressor',
  ],
  ['sepsis-3', 'treated', [...SICK, running('dobutamine', 5, 'ug/kg/min'), lactate(4)], 'dobutamine is none'],
  ['sepsis-3', 'treated', [...SICK, infusion('norepinephrine', 0.1, { status: 'not-done' }), lactate(4)], 'not given'],
  ['sepsis-3', 'treated', [...SICK, lactate(6)], 'lactate 6 without vasopressor'],
  // Organ failure from before
  [
    'sepsis-3',
    'suspected',
    [...INFECTED, creatinine(6), condition('End stage renal disease')],
    'the first creatinine of a dialysis patient is no rise',
  ],
  [
    'sepsis-3',
    'suspected',
    [...INFECTED, creatinine(6), condition('Dependence on renal dialysis')],
    'the same in other words',
  ],
  [
    'sepsis-3',
    'treated',
    [...INFECTED, creatinine(6), condition('End stage renal disease'), at('777-3', 90, '10*3/uL', 3)],
    'other organs of a dialysis patient count',
  ],
  ['sepsis-3', 'treated', [...INFECTED, creatinine(6), condition('Acute kidney injury')], 'acute kidney injury counts'],
  ['sepsis-3', 'suspected', [...INFECTED, creatinine(6.2, 70), creatinine(6)], 'as bad three days before'],
  [
    'sepsis-3',
    'treated',
    [...INFECTED, creatinine(6.2, 720), creatinine(6)],
    'a month ago is beyond the window: the definition takes 0',
  ],
  // Suspected infection by orders
  ['sepsis-3', 'sepsis', suspected('Zosyn 3.375 g IV'), 'a brand, by name alone'],
  ['sepsis-3', 'sepsis', suspected('Rocephin 1 g'), 'another'],
  ['sepsis-3', 'sepsis', suspected('Merrem'), 'another'],
  ['sepsis-3', 'sepsis', suspected('Bactrim DS'), 'a combination'],
  ['sepsis-3', 'sepsis', suspected('vanc 1 g IV'), 'as it is written'],
  [
    'sepsis-3',
    'not-suspected',
    suspected('cefazolin 2 g', { reasonCode: [{ text: 'Surgical prophylaxis' }] }),
    'surgical prophylaxis',
  ],
  [
    'sepsis-3',
    'not-suspected',
    suspected('Ancef 2 g', { reasonCode: [{ text: 'Perioperative prophylaxis' }] }),
    'the same by brand',
  ],
  [
    'sepsis-3',
    'not-suspected',
    suspected('Bactrim DS', { reasonCode: [{ text: 'PJP prophylaxis' }] }),
    'prophylaxis of the immunosuppressed',
  ],
  ['sepsis-3', 'not-suspected', suspected('erythromycin ophthalmic ointment'), 'in the eye'],
  ['sepsis-3', 'not-suspected', suspected('rifaximin 550 mg'), 'for encephalopathy, not absorbed'],
  ['sepsis-3', 'not-suspected', suspected('fluconazole IV'), 'an antifungal is no antibiotic of the definition'],
  ['sepsis-3', 'not-suspected', suspected('Ceftriaxone 1 g', { status: 'cancelled' }), 'cancelled'],
  ['sepsis-3', 'not-suspected', [ordered('Ceftriaxone 1 g', 40), creatinine(2.5)], 'no culture'],
  // Immunosuppressed: white cells missing or absent
  ['sirs', 'positive', [at('6690-2', 0.5, '10*3/uL'), at('8310-5', 38.1, 'Cel')], 'leukocytes 0.5 and 38.1'],
  ['sirs', 'positive', [at('6690-2', 500, '/uL'), at('8310-5', 101.3, '[degF]')], 'the same in other units'],
  ['qsofa', 'positive', [at('9279-1', 22, '/min'), at('8480-6', 100, 'mm[Hg]')], 'both at the limit'],
  ['qsofa', 'negative', [at('9279-1', 21, '/min'), at('8480-6', 101, 'mm[Hg]'), acvpu('A')], 'both beyond it'],
  // NEWS2: the second scale, oxygen, what is missing
  [
    'news2',
    'low',
    [
      at('59408-5', 88, '%'),
      roomAir(),
      HYPERCAPNIC,
      at('9279-1', 16, '/min'),
      at('8480-6', 130, 'mm[Hg]'),
      at('8867-4', 80, '/min'),
      acvpu('A'),
      at('8310-5', 37, 'Cel'),
    ],
    'scale 2: 88 % on air is 0',
  ],
  [
    'news2',
    'low-medium',
    [
      at('59408-5', 88, '%'),
      roomAir(),
      at('9279-1', 16, '/min'),
      at('8480-6', 130, 'mm[Hg]'),
      at('8867-4', 80, '/min'),
      acvpu('A'),
      at('8310-5', 37, 'Cel'),
    ],
    'scale 1: 88 % is 3',
  ],
  [
    'news2',
    'medium',
    [at('59408-5', 97, '%'), at('3151-8', 2, 'L/min'), HYPERCAPNIC],
    'scale 2: 97 % on oxygen is 3, oxygen 2; the others are missing',
  ],
  ['news2', 'low-medium', [at('9279-1', 26, '/min')], 'one input: at least 3'],
  // Children: Phoenix
  ['phoenix', 'shock', [lactate(11)], 'lactate 11 mmol/L is 2 points', '2018-02-25'],
  ['phoenix', 'shock', [lactate(99.1, 'mg/dL')], '99.1 mg/dL is 11.0 mmol/L', '2018-02-25'],
  [
    'phoenix',
    'shock',
    [running('epinephrine', 0.1, 'ug/kg/min'), running('norepinephrine', 0.1, 'ug/kg/min')],
    'two vasoactive drugs',
    '2018-02-25',
  ],
];

/** Points of SOFA for norepinephrine, by the rate that a pump or a nurse writes, beside normal values: above 0.1 ug/kg/min 4, else 3. */
const RATES: readonly (readonly [points: 3 | 4, resources: readonly Resource[], why: string])[] = [
  [3, [running('norepinephrine', 0.1, 'ug/kg/min')], 'as the definition has it'],
  [4, [running('norepinephrine', 0.11, 'ug/kg/min')], 'above it'],
  [3, [running('norepinephrine', 8, 'ug/min'), weight], '8 ug/min for 80 kg'],
  [4, [running('norepinephrine', 9, 'ug/min'), weight], '9 ug/min for 80 kg'],
  [4, [running('norepinephrine', 0.6, 'mg/h'), weight], '0.6 mg/h for 80 kg'],
  [4, [asText('norepinephrine', 0.2, 'mcg/kg/min')], 'mcg/kg/min as a text'],
  [4, [asText('norepinephrine', 16, 'mcg/min'), weight], 'mcg/min as a text'],
  [3, [running('norepinephrine', 9, 'ug/min')], 'without weight it runs, and no more is known'],
  [3, [running('norepinephrine', 10, 'mL/h'), weight], 'mL/h of an unknown strength: the same'],
];
const NORMAL = [
  at('777-3', 200, '10*3/uL'),
  at('1975-2', 0.5, 'mg/dL'),
  at('8478-0', 80, 'mm[Hg]'),
  at('9269-2', 15, '{score}'),
  creatinine(0.9),
];

let w: OperationsWorld;
let models: LoadedModels;
let send: (method: string, url: string, body?: object) => ReturnType<OperationsWorld['send']>;
before(async () => {
  w = await operationsWorld();
  models = await loadModels(join(import.meta.dirname, '..', '..', 'models'), { now: () => AT, mode: 'inline' });
  const context = { ...w.context, risk: riskDesk(models, () => AT) };
  const { wire } = world();
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  send = (method, url, body) => answer(wire(method, url, body === undefined ? {} : { body }), local, context);
});
after(async () => {
  await w.close();
  await models.close();
  assert.deepEqual(w.reported, []);
});

let patients = 0;
/** The RiskAssessment of a model for a new patient with these resources. */
async function evaluated(model: string, born: string, resources: readonly Resource[]): Promise<JsonObject> {
  const id = `patient-${++patients}`;
  const subject = { reference: `Patient/${id}` };
  await w.hold(
    { resourceType: 'Patient', id, birthDate: born },
    ...resources.map((resource, index) => ({ ...resource, id: `${id}-${index}`, subject })),
  );
  const response = await send('POST', `/RiskAssessment/$evaluate?subject=Patient/${id}&model=${model}&at=${iso(AT)}`);
  assert.equal(response.status, 200, response.body);
  const { entry } = json(response);
  const [first] = Array.isArray(entry) ? entry : [];
  return isJsonObject(first) && isJsonObject(first.resource) ? first.resource : {};
}
const notes = ({ note }: JsonObject): string =>
  (Array.isArray(note) ? note : []).map((each) => (isJsonObject(each) ? String(each.text) : '')).join('\n');

for (const [model, told, resources, why, born = ADULT] of ROWS) {
  test(`intensivist@${model} ${told}: ${why}`, async () => {
    const risk = await evaluated(model, born, resources);
    assert.match(
      JSON.stringify(risk.prediction ?? null),
      new RegExp(`"code":"${told}"`),
      `${notes(risk)}\n${JSON.stringify(risk.prediction)}`,
    );
  });
}
for (const [points, resources, why] of RATES) {
  test(`intensivist@rate ${points} points: ${why}`, async () => {
    const risk = await evaluated('sofa', ADULT, [...NORMAL, ...resources]);
    assert.match(notes(risk), new RegExp(`(?:total|Total|SOFA)[^\\n]*\\b${points}\\b`));
  });
}
test('intensivist@outside: adults have no Phoenix, children no Sepsis-3, and that is said', async () => {
  for (const [model, born, why] of [
    ['phoenix', ADULT, /older than 17/],
    ['sepsis-3', '2018-02-25', /younger than 18/],
  ] as const) {
    const risk = await evaluated(model, born, SICK);
    assert.deepEqual([risk.status, risk.prediction], ['cancelled', undefined]);
    assert.match(notes(risk), why);
  }
});
