// Cards of trained models: the inputs that moved the answer most, with value, date and direction (src/cds/score-card.ts); worked cases of the models.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Golden } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models.ts';
import { patientView, ROOT, world } from './world.ts';

const models = await loadModels(join(ROOT, 'models'), { now: () => 0 });
after(() => models.close());

/** The cards of a service for a worked case of its model. */
async function cardsFor(service: string, model: string, name: string) {
  const goldens: readonly Golden[] = JSON.parse(
    readFileSync(join(ROOT, 'models', model, '1.0.0', 'golden.json'), 'utf8'),
  );
  const golden = goldens.find((one) => one.name === name);
  assert.ok(golden, name);
  const { patient, resources, at } = golden;
  const evidence = { patient, resources, at: Date.parse(at) };
  const { cards } = await world({
    assess: (id) => models.assess(id, evidence, Number.POSITIVE_INFINITY),
  }).call(service, patientView());
  return cards;
}

test('trained-card@inputs the eight inputs with the largest effect stand first, with direction', async () => {
  const [card] = await cardsFor('sepsis-icu', 'sepsis-icu', 'hypotension, fever, antibiotics, culture, pneumonia');
  assert.equal(card?.indicator, 'warning');
  assert.match(card?.summary ?? '', /^Sepsis probability 0\.\d+, sepsis is likely/);
  const table = (card?.detail ?? '').split('\n').filter((line) => line.startsWith('|'));
  assert.match(table[0] ?? '', /Effect \(log-odds\)/);
  const effects = table.slice(2).map((line) => /(raises \+|lowers -)(\d+\.\d\d)/.exec(line));
  assert.ok(effects.length > 0 && effects.length <= 8, `${effects.length} rows`);
  const sizes = effects.map((found) => Number(found?.[2]));
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.match(card?.detail ?? '', /\d+ further inputs/);
  assert.match(card?.detail ?? '', /0\.85 and a positive predictive value of 0\.80 is not reached/);
});

test('trained-card@inputs a low probability is silent', async () => {
  assert.deepEqual(await cardsFor('sepsis-icu', 'sepsis-icu', 'after surgery, nothing of infection'), []);
  assert.deepEqual(await cardsFor('icu-mortality', 'icu-mortality-24h', 'stable'), []);
});

test('trained-card@inputs the model of other hours says that it was not run', async () => {
  const [card] = await cardsFor('icu-mortality', 'icu-mortality-24h', 'shock');
  assert.equal(card?.indicator, 'info');
  assert.match(card?.summary ?? '', /^ICU mortality risk \(24 h\) 0\.\d+, high risk/);
  assert.match(card?.detail ?? '', /48 h\): not computed, earlier than 48 h/);
});
