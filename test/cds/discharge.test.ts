// LACE and HOSPITAL at encounter-discharge, from what is recorded of the stay (cds-services/readmission-discharge.json).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import { resourcesOf } from '../risk/score-world.ts';
import { AT } from '../risk/world.ts';
import { bundle, INSTANCE, PATIENT, ROOT, world } from './world.ts';

const HIGH = { age: 50, stayDays: 30, urgent: false, emergencyVisits: 4, conditions: ['B20'] };
const LOW = { age: 50, stayDays: 1, urgent: false, emergencyVisits: 0, conditions: [] };

let models: LoadedModels;
before(async () => {
  models = await loadModels(join(ROOT, 'models'), { now: () => AT, mode: 'inline' });
});
after(() => models.close());

async function cardsFor(inputs: Readonly<Record<string, unknown>>) {
  const resources = resourcesOf(inputs).map((one) => ({ ...one, subject: { reference: 'Patient/1288992' } }));
  const of = (type: string) => bundle(...resources.filter(({ resourceType }) => resourceType === type));
  const prefetch = {
    patient: PATIENT,
    encounters: of('Encounter'),
    conditions: of('Condition'),
    procedures: of('Procedure'),
    labs: of('Observation'),
    orders: of('ServiceRequest'),
  };
  const context = { userId: 'Practitioner/example', patientId: '1288992', encounterId: 'stay' };
  const body = { hookInstance: INSTANCE, hook: 'encounter-discharge', context, prefetch };
  return (await world({ models, now: () => AT, deadlineMs: 60_000 }).call('readmission-discharge', body)).cards;
}

test('discharge-card@lace a high index is told with the score beside it; both are on one card of level info', async () => {
  const [card, ...more] = await cardsFor(HIGH);
  assert.deepEqual(more, []);
  assert.equal(card?.indicator, 'info');
  assert.match(card?.summary ?? '', /^Readmission risk: LACE (?:at least )?\d+, high: 10 or more/);
  assert.match(card?.detail ?? '', /\| Length of stay \|/);
  assert.equal(card?.suggestions, undefined);
});

test('discharge-card@lace a low index is silent', async () => assert.deepEqual(await cardsFor(LOW), []));
