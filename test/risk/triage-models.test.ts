// docs/triage.md "Learned risk": for whom the two models answer, and that the figures of their cards are those of their evaluations.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newestOf, newestVersion } from '../../models/train/newest.ts';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import {
  AT,
  acvpu,
  bloodPressure,
  born,
  HOUR,
  iso,
  MODELS,
  measured,
  NEVER,
  observation,
  snomed,
  visit,
} from './world.ts';

const IDS = ['triage-critical-care', 'triage-high-acuity'] as const;
let models: LoadedModels;
before(async () => {
  models = await loadModels(MODELS, { now: () => AT });
});
after(() => models.close());

const emergency = (over: JsonObject = {}): Resource => visit('ankle sprain', { class: { code: 'EMER' }, ...over });
const VITALS: readonly Resource[] = [
  measured('8867-4', 80, '/min'),
  measured('9279-1', 16, '/min'),
  measured('59408-5', 98, '%'),
  measured('8310-5', 36.8, 'Cel'),
  bloodPressure(125),
  acvpu('A'),
];
const ADULT = born('1980-01-01', { gender: 'female' });
const sick: readonly Resource[] = [
  measured('8867-4', 135, '/min'),
  measured('9279-1', 32, '/min'),
  measured('59408-5', 88, '%'),
  measured('8310-5', 39.2, 'Cel'),
  bloodPressure(82),
  acvpu('V'),
];
const assess = (id: string, patient: Resource, resources: readonly Resource[]) =>
  models.assess(id, { patient, resources, at: AT }, NEVER);

const again = measured('8867-4', 110, '/min', { id: 'again', effectiveDateTime: iso(AT - 60_000) });
const pregnant = observation('82810-3', { valueCodeableConcept: snomed('77386006') });
const outside: readonly (readonly [why: string, patient: Resource, resources: readonly Resource[]])[] = [
  ['a child the day before the eighteenth birthday', born('2008-03-02'), [emergency(), ...VITALS]],
  ['an inpatient', ADULT, [emergency({ class: { code: 'IMP' } }), ...VITALS]],
  ['no encounter', ADULT, VITALS],
  ['more than 4 h after arrival', ADULT, [emergency({ period: { start: iso(AT - 5 * HOUR) } }), ...VITALS]],
  ['pregnant', ADULT, [emergency(), ...VITALS, pregnant]],
  ['re-triage: pulse measured again', ADULT, [emergency({ period: { start: iso(AT - 3 * HOUR) } }), ...VITALS, again]],
  ['the first set is not complete', ADULT, [emergency(), ...VITALS.slice(1)]],
  ['deceased', { ...ADULT, deceasedBoolean: true }, [emergency(), ...VITALS]],
];
for (const id of IDS) {
  test(`triage-models@population: ${id} answers for an adult on the eighteenth birthday`, async () => {
    const found = await assess(id, born('2008-03-01'), [emergency(), ...VITALS]);
    assert.deepEqual([found.outsidePopulation, found.answeredBy, found.band], [undefined, 'model', 'low']);
  });
  for (const [why, patient, resources] of outside) {
    test(`triage-models@population: ${id} does not answer: ${why}`, async () => {
      const found = await assess(id, patient, resources);
      assert.ok(found.outsidePopulation !== undefined);
      assert.deepEqual([found.band, found.outputs], [undefined, {}]);
    });
  }
  test(`triage-models@direction: ${id} is high for shock and low for an ankle`, async () => {
    const worse = await assess(id, ADULT, [emergency({ reasonCode: [{ text: 'shortness of breath' }] }), ...sick]);
    const better = await assess(id, ADULT, [emergency(), ...VITALS]);
    assert.equal(worse.band, 'high');
    assert.ok((worse.outputs.probability ?? 0) > 10 * (better.outputs.probability ?? 1));
  });
  test(`triage-models@figures: the card of ${id} quotes its evaluation, and that is of the committed file`, () => {
    const folder = newestOf(id);
    const evaluation = JSON.parse(readFileSync(join(folder, 'evaluation.json'), 'utf8'));
    const { overall } = evaluation.cohorts.allHeldOut;
    assert.equal(evaluation.sha256, models.manifests.get(id)?.sha256);
    const [auroc, low, high] = overall.auroc.map((value: number) => value.toFixed(3));
    const said =
      models.cards.get(`${id}|${newestVersion(id)}`)?.attributes.find(({ number }) => number === 21)?.value ?? '';
    assert.ok(said.includes(`AUROC ${auroc} (${low}-${high})`), said);
    assert.ok(overall.auroc[0] >= 0.89);
    assert.ok(!said.includes('{{'));
  });
}
