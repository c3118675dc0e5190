// Sepsis-3 (Singer 2016; Seymour 2016): suspicion of infection on both sides of 24 h and 72 h, rise of SOFA in -48 to +24 h, septic shock.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { infusion } from './score-world.ts';
import { AT, born, HOUR, iso, MODELS, measured, NEVER } from './world.ts';

const ADULT = born('1960-05-05');
const ago = (hours: number): string => iso(AT - hours * HOUR);
const antibiotic = (hours: number, over: JsonObject = {}): Resource => ({
  resourceType: 'MedicationAdministration',
  id: `antibiotic-${hours}`,
  status: 'completed',
  medicationCodeableConcept: { text: 'Piperacillin / tazobactam 4.5 g' },
  effectiveDateTime: ago(hours),
  ...over,
});
const at = (code: string, value: number, unit: string, hours: number): Resource =>
  measured(code, value, unit, { id: `${code}-${hours}`, effectiveDateTime: ago(hours) });
const culture = (hours: number): Resource => at('600-7', 0, '1', hours);
const creatinine = (value: number, hours: number): Resource => at('2160-0', value, 'mg/dL', hours);
const platelets = (value: number, hours: number): Resource => at('777-3', value, '10*3/uL', hours);
const lactate = (value: number): Resource => at('2524-7', value, 'mmol/L', 1);

const MOMENT = 0.001;
type Found = readonly [suspected: number | undefined, rise: number | undefined, band: string | undefined];
const NOT: Found = [0, undefined, 'not-suspected'];
const SICK = [creatinine(2.0, 2)];
const INFECTED = [antibiotic(10), culture(10)];
const rows: readonly (readonly [expected: Found, resources: readonly Resource[], why: string])[] = [
  [NOT, [], 'control: nothing'],
  [NOT, [antibiotic(30), ...SICK], 'an antibiotic alone'],
  [NOT, [culture(30), ...SICK], 'a culture alone'],
  [[1, 2, 'sepsis'], [antibiotic(30), culture(6), creatinine(2.0, 10)], 'antibiotic, then culture after exactly 24 h'],
  [NOT, [antibiotic(30), culture(6 - MOMENT), creatinine(2.0, 10)], 'antibiotic, then culture after more than 24 h'],
  [[1, 2, 'treated'], [culture(80), antibiotic(8), creatinine(2.0, 60)], 'culture, then antibiotic after exactly 72 h'],
  [NOT, [culture(80), antibiotic(8 - MOMENT), creatinine(2.0, 60)], 'culture, then antibiotic after more than 72 h'],
  [NOT, [antibiotic(10, { reasonCode: [{ text: 'surgical prophylaxis' }] }), culture(10), ...SICK], 'prophylaxis'],
  [NOT, [antibiotic(10, { status: 'not-done' }), culture(10), ...SICK], 'not given'],
  [NOT, [antibiotic(200), culture(200), ...SICK], 'more than 7 days ago'],
  [[1, 0, 'suspected'], INFECTED, 'no organ dysfunction recorded'],
  [[1, 1, 'suspected'], [...INFECTED, creatinine(1.9, 2)], 'rise of 1'],
  [[1, 2, 'treated'], [...INFECTED, creatinine(2.0, 2)], 'rise of 2'],
  [[1, 2, 'treated'], [...INFECTED, creatinine(1.2, 2), platelets(149, 3)], 'rise of 2 from two organs'],
  [[1, 0, 'suspected'], [...INFECTED, creatinine(2.0, 70), creatinine(2.0, 2)], 'as bad before: no rise'],
  [[1, 1, 'suspected'], [...INFECTED, creatinine(2.0, 70), creatinine(3.5, 2)], 'from 2 to 3: a rise of 1'],
  [[1, 0, 'suspected'], [antibiotic(60), culture(60), creatinine(2.0, 2)], 'more than 24 h after the onset'],
  [[1, 2, 'treated'], [...INFECTED, ...SICK, lactate(2.1)], 'lactate without vasopressor'],
  [
    [1, 5, 'treated'],
    [...INFECTED, ...SICK, infusion('norepinephrine', 0.05), lactate(2.0)],
    'vasopressor, lactate exactly 2',
  ],
  [
    [1, 5, 'treated-shock'],
    [...INFECTED, ...SICK, infusion('norepinephrine', 0.05), lactate(2.1)],
    'vasopressor and lactate above 2',
  ],
];

let models: LoadedModels;
before(async () => {
  models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
});
after(() => models.close());

test('score@sepsis-3: suspected infection, rise of SOFA, septic shock', async () => {
  const wrong: string[] = [];
  for (const [expected, resources, why] of rows) {
    const { outputs, band } = await models.assess('sepsis-3', { patient: ADULT, resources, at: AT }, NEVER);
    const found: Found = [outputs.suspected, outputs.rise, band];
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${why}: ${JSON.stringify(found)}`);
  }
  assert.deepEqual(wrong, []);
});
