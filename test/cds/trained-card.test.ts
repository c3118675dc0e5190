// Cards of trained models: the inputs that moved the answer most, with value, date and direction (src/cds/cards/score-card.ts); worked cases of the models.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { newestOf } from '../../models/train/newest.ts';
import type { ScoresEngine } from '../../src/cds/services/service.ts';
import type { Manifest } from '../../src/risk/assessment.ts';
import type { Golden } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { assessment, patientView, ROOT, world } from './world.ts';

const models = await loadModels(join(ROOT, 'models'), { now: () => 0 });
after(() => models.close());

/** The cards of a service for a worked case of its model. */
async function cardsFor(service: string, model: string, name: string) {
  const goldens: readonly Golden[] = JSON.parse(readFileSync(join(newestOf(model), 'golden.json'), 'utf8'));
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
  assert.match(card?.summary ?? '', /^Sepsis probability \d+ %, sepsis is likely/);
  const table = (card?.detail ?? '').split('\n').filter((line) => line.startsWith('|'));
  assert.equal(table[0], '| Input | Value | Effect | Measured |');
  const effects = table.slice(2).map((line) => /(raises|lowers) risk \(odds × (\d+\.\d\d)\)/.exec(line));
  assert.ok(effects.length > 0 && effects.length <= 8, `${effects.length} rows`);
  const sizes = effects.map((found) => Math.abs(Math.log(Number(found?.[2]))));
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.match(card?.detail ?? '', /\d+ further inputs?, with less effect/);
  assert.match(card?.detail ?? '', /specificity 0\.85 and a positive predictive value of 0\.80 is not reached/);
});

test('trained-card@inputs a low probability is silent', async () => {
  assert.deepEqual(await cardsFor('sepsis-icu', 'sepsis-icu', 'after surgery, nothing of infection'), []);
  assert.deepEqual(await cardsFor('icu-mortality', 'icu-mortality-24h', 'stable'), []);
});

test('trained-card@inputs the model of other hours says that it was not run', async () => {
  const [card] = await cardsFor('icu-mortality', 'icu-mortality-24h', 'shock');
  assert.equal(card?.indicator, 'info');
  assert.match(card?.summary ?? '', /^ICU mortality risk \(death in hospital, from the first 24 h\) \d+ %, high risk/);
  assert.match(card?.detail ?? '', /48 h\): not computed, earlier than 48 h/);
});

interface Figures {
  readonly cohorts: Readonly<
    Record<string, { readonly bands: Readonly<Record<string, { readonly at: { readonly ppv: readonly number[] } }>> }>
  >;
}
const COHORTS = { 'sepsis-icu': 'recordedHeldOut', 'icu-mortality': 'allHeldOut' } as const;
for (const [id, cohort] of Object.entries(COHORTS)) {
  const { engine }: { readonly engine: ScoresEngine } = JSON.parse(
    readFileSync(join(ROOT, 'cds-services', `${id}.json`), 'utf8'),
  );
  for (const { model, band, from, meaning = '' } of engine.rules) {
    test(`trained-card@meaning the threshold of ${model} ${band} is the model's own, and its figures are those of the evaluation`, () => {
      const folder = newestOf(model);
      const { bands }: Manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
      const figures: Figures = JSON.parse(readFileSync(join(folder, 'evaluation.json'), 'utf8'));
      const ppv = figures.cohorts[cohort]?.bands[band]?.at.ppv ?? [];
      const [value, low, high] = ppv.map((share) => Math.round(share * 100));
      assert.equal(from, bands.find(({ name }) => name === band)?.from);
      assert.ok(
        meaning.includes(` ${value} `) && meaning.includes(`(95 % interval ${low} to ${high})`),
        `${meaning} ${ppv}`,
      );
    });
  }
}

test('trained-card@meaning the estimate is said as people of a hundred, with the threshold and what it meant', async () => {
  const [card] = await cardsFor('icu-mortality', 'icu-mortality-24h', 'shock');
  assert.match(
    card?.detail ?? '',
    /by the model's estimate about (\d+) of 100 such patients die in hospital\. Threshold 32 %\. Of 100 patients at or above it 48 died in hospital/,
  );
});

/** The card of the sepsis service whose upper threshold a site has set. */
async function cardsWithThreshold(act: number) {
  const folder = mkdtempSync(join(tmpdir(), 'thresholds-'));
  try {
    copyFileSync(join(ROOT, 'cds-services', 'schema.json'), join(folder, 'schema.json'));
    const service = JSON.parse(readFileSync(join(ROOT, 'cds-services', 'sepsis-icu.json'), 'utf8'));
    service.engine.rules[0].from = act;
    writeFileSync(join(folder, 'sepsis-icu.json'), JSON.stringify(service));
    const probability = 0.6;
    const answer = assessment('sepsis-icu', { outputs: { probability }, band: 'act' });
    return (await world({ folder, assess: async () => answer }).call('sepsis-icu', patientView())).cards;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('trained-card@threshold a site sets its own in the service file, and the card says so', async () => {
  const [own] = await cardsWithThreshold(0.446);
  assert.deepEqual([own?.indicator, own?.summary], ['warning', 'Sepsis probability 60 %, sepsis is likely']);
  assert.ok(!own?.detail.includes('set by this site'));
  const [below] = await cardsWithThreshold(0.5999);
  assert.equal(below?.indicator, 'warning');
  assert.match(
    below?.detail ?? '',
    /Threshold 60 %, set by this site; the model's own is 45 %: what it means was not measured/,
  );
  assert.ok(!below?.detail.includes('64 were sepsis'));
  const [above] = await cardsWithThreshold(0.6001);
  assert.deepEqual([above?.indicator, above?.summary], ['info', 'Sepsis probability 60 %, sepsis is possible']);
});
