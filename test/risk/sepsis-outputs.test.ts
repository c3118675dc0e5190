// docs/models.md, "Where no sepsis score is given": every sepsis and deterioration output, for the dead, in comfort care, for outpatients, for children; and none that alerts once treated.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { AT, born, HOUR, iso, MODELS, measured, NEVER } from './world.ts';

const models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
after(() => models.close());

const ago = (hours: number): string => iso(AT - hours * HOUR);
const ADULT = born('1960-05-05');
const stay = (code: string): Resource => ({
  resourceType: 'Encounter',
  id: `stay-${code}`,
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code },
  period: { start: ago(10) },
});
const drug = (over: JsonObject): Resource => ({
  resourceType: 'MedicationAdministration',
  id: 'drug',
  status: 'completed',
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  ...over,
});
const ORDER = drug({ resourceType: 'MedicationRequest', status: 'active', intent: 'order', authoredOn: ago(3) });
const given = (hours: number, over: JsonObject = {}) => drug({ id: 'given', effectiveDateTime: ago(hours), ...over });
/** Suspected infection by orders alone, and creatinine from normal to 2.4 (SOFA 2). */
const SEPTIC: readonly Resource[] = [
  ORDER,
  {
    resourceType: 'ServiceRequest',
    id: 'c',
    status: 'active',
    intent: 'order',
    code: { text: 'Blood culture' },
    authoredOn: ago(3),
  },
  measured('2160-0', 2.4, 'mg/dL', { effectiveDateTime: ago(2) }),
  measured('9279-1', 30, '/min'),
  measured('8867-4', 140, '/min'),
  measured('8480-6', 85, 'mm[Hg]'),
];
const COMFORT: Resource = {
  resourceType: 'Condition',
  id: 'comfort',
  code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'Z51.5' }] },
};
const assessed = (id: string, resources: readonly Resource[], patient: Resource = ADULT) =>
  models.assess(id, { patient, resources, at: AT }, NEVER);

/** Scores of sepsis and of deterioration. */
const OUTPUTS = [
  ...['news2', 'qsofa', 'sirs', 'sepsis-icu', 'sepsis-3', 'sepsis-hour-1', 'sofa'],
  ...['meds', 'mews', 'rems', 'cart', 'uva', 'shock-index'],
];
const outside: readonly (readonly [why: RegExp, resources: readonly Resource[], patient: Resource])[] = [
  [/deceased/, [stay('IMP')], born('1960-05-05', { deceasedBoolean: true })],
  [/comfort or palliative/, [stay('IMP'), COMFORT], ADULT],
  [/class AMB|no current stay in intensive care/, [stay('AMB')], ADULT],
  [/younger than/, [stay('IMP')], born('2018-05-05')],
];
test('sepsis-outputs@outside: no output, no band, and why: the dead, comfort care, outpatients, children', async () => {
  for (const id of OUTPUTS) {
    for (const [why, resources, patient] of outside) {
      const { outputs, band, outsidePopulation } = await assessed(id, [...SEPTIC, ...resources], patient);
      assert.deepEqual([id, String(why), outputs, band], [id, String(why), {}, undefined]);
      assert.match(outsidePopulation ?? '', why, id);
    }
  }
});

test('sepsis-outputs@phoenix: the score of children is none of adults, outpatients or comfort care', async () => {
  const child = born('2018-05-05');
  const rows: readonly (readonly [RegExp, readonly Resource[], Resource])[] = [
    [/older than 17/, [stay('IMP')], ADULT],
    [/class AMB/, [stay('AMB')], child],
    [/comfort or palliative/, [stay('IMP'), COMFORT], child],
  ];
  for (const [why, resources, patient] of rows) {
    assert.match((await assessed('phoenix', [...SEPTIC, ...resources], patient)).outsidePopulation ?? '', why);
  }
});

const treated: readonly (readonly [band: string, added: readonly Resource[], why: string])[] = [
  ['sepsis', [], 'control: antibiotic and culture ordered, none given'],
  ['treated', [given(1)], 'given'],
  ['treated', [given(1, { status: 'in-progress' })], 'being given'],
  ['treated', [given(1, { status: 'stopped' })], 'given in part'],
  ['treated', [given(23.99)], 'just inside 24 h'],
  ['sepsis', [given(24)], '24 h ago: no longer'],
  ['sepsis', [given(-1)], 'to be given'],
  ['sepsis', [given(1, { status: 'not-done' })], 'not given'],
  ['sepsis', [given(1, { status: 'entered-in-error' })], 'a mistake'],
  ['sepsis', [given(1, { reasonCode: [{ text: 'surgical prophylaxis' }] })], 'surgical prophylaxis is no treatment'],
  ['sepsis', [given(1, { medicationCodeableConcept: { text: 'Chloramphenicol eye drops' } })], 'not systemic'],
];
test('sepsis-outputs@treated: Sepsis-3 once an antibiotic was given in (at - 24 h, at] is of another band', async () => {
  for (const [band, added, why] of treated) {
    assert.deepEqual([why, (await assessed('sepsis-3', [stay('IMP'), ...SEPTIC, ...added])).band], [why, band]);
  }
});

test('sepsis-outputs@treated-shock: what is septic shock is still said to be so', async () => {
  const pressor = drug({
    id: 'pressor',
    status: 'in-progress',
    medicationCodeableConcept: { text: 'norepinephrine' },
    effectivePeriod: { start: ago(2) },
  });
  const lactate = measured('2524-7', 2.1, 'mmol/L');
  const shock = [stay('IMP'), ...SEPTIC, pressor, lactate];
  assert.equal((await assessed('sepsis-3', shock)).band, 'septic-shock');
  assert.equal((await assessed('sepsis-3', [...shock, given(1)])).band, 'treated-shock');
});

test('sepsis-outputs@no-alert: what a card says of a band of sepsis-3 that stands for treated patients is information, never a warning', () => {
  const folder = join(MODELS, '..', 'cds-services');
  const rules = readdirSync(folder)
    .filter((name) => name.startsWith('sepsis-3'))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')).engine.rules);
  assert.equal(rules.length, 8);
  for (const { band, indicator } of rules)
    assert.equal(indicator, band.startsWith('treated') ? 'info' : 'warning', band);
});
