// Trained models: they load, explain themselves, and their cards quote what the evaluation measures (models/train/evaluate.ts).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filledCard } from '../../models/train/card.ts';
import { type Evaluation, evaluated } from '../../models/train/evaluate.ts';
import { newestOf, newestVersion } from '../../models/train/newest.ts';
import { STUDIES } from '../../models/train/studies.ts';
import type { Golden } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { AT, HOUR, iso, MODELS, NEVER, visit } from './world.ts';

const models = await loadModels(MODELS, { now: () => AT });
after(() => models.close());

const fileOf = (model: string, file: string): string => readFileSync(join(newestOf(model), file), 'utf8');

/** Figures whose intervals come from fewer bootstraps: estimates only. */
const withoutIntervals = (figures: unknown): unknown =>
  JSON.parse(JSON.stringify(figures), (_key, value: unknown) => (Array.isArray(value) ? value[0] : value));

for (const study of STUDIES) {
  test(`trained-models@loads ${study.model} answers by ONNX: hash, tensors, card and worked cases hold`, () => {
    assert.deepEqual(
      models.status().filter(({ id }) => id === study.model),
      [{ id: study.model, version: newestVersion(study.model), ready: true }],
    );
  });

  test(`trained-models@figures ${study.model}: the committed figures are those of the committed file and table`, async () => {
    const committed: Evaluation = JSON.parse(fileOf(study.model, 'evaluation.json'));
    const { evaluation } = await evaluated(study, 3);
    const points = ({ cohorts }: Evaluation) =>
      Object.entries(cohorts).map(([name, { overall, rows, cases, netBenefitPer100 }]) => ({
        name,
        rows,
        cases,
        netBenefitPer100,
        overall: Object.entries(overall).map(([measure, [estimate]]) => [measure, estimate]),
      }));
    assert.equal(committed.sha256, evaluation.sha256);
    assert.deepEqual(points(evaluation), points(committed));
    assert.deepEqual(withoutIntervals(evaluation.subgroups), withoutIntervals(committed.subgroups));
    assert.deepEqual(withoutIntervals(evaluation.rules), withoutIntervals(committed.rules));
    assert.equal(fileOf(study.model, 'card.json'), filledCard(study.model, committed));
  });

  test(`trained-models@contributions ${study.model}: baseline and contributions sum to the log-odds, largest first`, async () => {
    const goldens: readonly Golden[] = JSON.parse(fileOf(study.model, 'golden.json'));
    for (const { name, patient, resources } of goldens) {
      const found = await models.assess(study.model, { patient, resources, at: AT }, NEVER);
      assert.equal(found.outsidePopulation, undefined, name);
      const sizes = (found.contributions ?? []).map(({ logOdds }) => Math.abs(logOdds));
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      );
      const sum = (found.contributions ?? []).reduce(
        (total, { logOdds }) => total + logOdds,
        found.baseline ?? Number.NaN,
      );
      // Contributions below a thousandth are not listed.
      assert.ok(
        Math.abs(sum - (found.outputs.margin ?? Number.NaN)) < 0.02,
        `${name}: ${sum} and ${found.outputs.margin}`,
      );
    }
  });
}

const stay = (hours: number) =>
  visit('', {
    class: { code: 'IMP' },
    location: [{ location: { display: 'Medical ICU' } }],
    period: { start: iso(AT - hours * HOUR) },
  });
const eligible: readonly (readonly [model: string, hours: number, why: RegExp | undefined])[] = [
  ['sepsis-icu', 6, undefined],
  ['sepsis-icu', 23.9, undefined],
  ['sepsis-icu', 24, /24 h or more/],
  ['icu-mortality-24h', 23.9, /earlier than 24 h/],
  ['icu-mortality-24h', 24, undefined],
  ['icu-mortality-24h', 48, /48 h or more/],
  ['icu-mortality-48h', 48, undefined],
  ['icu-mortality-48h', 72, /72 h or more/],
];
for (const [model, hours, why] of eligible) {
  test(`trained-models@when ${model} ${hours} h after admission to intensive care`, async () => {
    const patient = { resourceType: 'Patient', birthDate: '1960-01-01' };
    const { outsidePopulation } = await models.assess(model, { patient, resources: [stay(hours)], at: AT }, NEVER);
    if (why === undefined) assert.equal(outsidePopulation, undefined);
    else assert.match(outsidePopulation ?? '', why);
  });
}

test('trained-models@when nobody outside intensive care is judged', async () => {
  const patient = { resourceType: 'Patient', birthDate: '1960-01-01' };
  for (const { model } of STUDIES) {
    const { outsidePopulation, outputs } = await models.assess(model, { patient, resources: [], at: AT }, NEVER);
    assert.match(outsidePopulation ?? '', /no current (?:stay in intensive care|encounter) is recorded/);
    assert.deepEqual(outputs, {});
  }
});

test('trained-models@absent training without its Python packages says which one, and how to get it', (context) => {
  // -S leaves out the folders of installed packages.
  const { status, stderr, error } = spawnSync('python3', ['-S', join(MODELS, 'train', 'train.py')], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', PYTHONDONTWRITEBYTECODE: '1' },
  });
  if (error !== undefined) return context.skip('no Python here');
  assert.notEqual(status, 0);
  assert.match(stderr, /needs the Python package `numpy`, which is absent\. On Debian: apt-get install python3-numpy/);
});
