// The page of figures, the cards and the plots say what the evaluations say; which targets are missed is said in full.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Evaluation } from '../../models/train/evaluate.ts';
import { contributionBars, drawn } from '../../models/train/figures.ts';
import { newestOf } from '../../models/train/newest.ts';
import { STUDIES } from '../../models/train/studies.ts';
import {
  isMet,
  judged,
  TARGETS,
  type Target,
  targetLines,
  targetSentence,
  wantedOf,
} from '../../models/train/targets.ts';
import { modelFiguresPage, told } from '../../scripts/model-figures.ts';

const ROOT = join(import.meta.dirname, '../..');
const evaluationOf = (model: string): Evaluation =>
  JSON.parse(readFileSync(join(newestOf(model), 'evaluation.json'), 'utf8'));
const page = modelFiguresPage();

test('model-figures@page the committed page is written from the committed evaluations', () => {
  assert.equal(readFileSync(join(ROOT, 'docs', 'model-figures.md'), 'utf8'), page);
});

for (const target of TARGETS) {
  const { model } = target;
  test(`model-figures@target ${model} ${wantedOf(target)}: page, card and command say whether it is met`, () => {
    const evaluation = evaluationOf(model);
    const [heldOut, finalSplit] = judged(target, evaluation);
    const row = page.split('\n').find((line) => line.startsWith(`| \`${model}\` | ${wantedOf(target)} |`)) ?? '';
    const cells = row.split(' | ').slice(2);
    assert.deepEqual(
      [heldOut, finalSplit].map(({ met, estimate }) => `${met ? 'met' : '**missed**'}: ${told(estimate)}`),
      cells.map((cell) => cell.replace(/ \|$/, '')),
    );
    const card = readFileSync(join(newestOf(model), 'card.json'), 'utf8');
    const [missedHeldOut = '', missedInTheEnd = ''] =
      card.match(/Targets that were set before.*?\. Missed on the final split: .*?\. /)?.[0].split('. Missed on') ?? [];
    assert.equal(missedHeldOut.includes(wantedOf(target)), !heldOut.met);
    assert.equal(missedInTheEnd.includes(wantedOf(target)), !finalSplit.met);
    assert.equal(
      targetLines(evaluation).filter((line) => line.includes(`${heldOut.cohort} ${wantedOf(target)}: `)).length,
      1,
    );
  });
}

test('model-figures@readme the README gives the AUROC of each model, and how many targets are missed', () => {
  const auroc = (model: string): string => {
    const main = STUDIES.find((study) => study.model === model)?.main ?? assert.fail(model);
    return (evaluationOf(model).cohorts[`${main}HeldOut`]?.overall.auroc?.[0] ?? Number.NaN).toFixed(3);
  };
  const missed = TARGETS.filter((target) => !judged(target, evaluationOf(target.model))[0].met).length;
  const said = [
    `sepsis ${auroc('sepsis-icu')}`,
    `ICU mortality ${auroc('icu-mortality-24h')} (24 h) and ${auroc('icu-mortality-48h')} (48 h)`,
    `critical care on arrival ${auroc('triage-critical-care')}`,
    `high acuity on arrival ${auroc('triage-high-acuity')}; ${missed} of ${TARGETS.length} targets are missed held out`,
  ];
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  assert.ok(readme.includes(`Trained models, AUROC held out: ${said.join(', ')} (`), said.join(', '));
});

const slope: Target = { model: 'm', cohort: 'allHeldOut', measure: 'slope', atLeast: 0.95, atMost: 1.05 };
for (const [value, met] of [
  [0.9499, false],
  [0.95, true],
  [1.05, true],
  [1.0501, false],
] as const) {
  test(`model-figures@target a slope of ${value} is ${met ? '' : 'not '}within 0.95 to 1.05, whatever its interval`, () => {
    assert.equal(isMet(slope, [value, 0, 2]), met);
  });
}

test('model-figures@target a sentence without anything missed says so', () => {
  const evaluation: Evaluation = { ...evaluationOf('sepsis-icu'), model: 'nobody' };
  assert.equal(
    targetSentence(evaluation),
    'Targets that were set before and are missed held out: none. Missed on the final split: none.',
  );
});

for (const { model } of STUDIES) {
  for (const name of ['roc', 'precision-recall', 'calibration', 'decision-curve']) {
    test(`model-figures@plot ${model} ${name}: the legend is written out, and the dashed line is explained`, () => {
      const svg = readFileSync(join(newestOf(model), `${name}.svg`), 'utf8');
      for (const words of ['nested cross-validation', 'final split', 'dashed: ']) assert.ok(svg.includes(words), words);
      assert.ok(!svg.includes('…'));
    });
  }
  test(`model-figures@plot ${model} contributions: drawn from the committed evaluation, names written out`, async () => {
    const evaluation = evaluationOf(model);
    const svg = readFileSync(join(newestOf(model), 'contributions.svg'), 'utf8');
    assert.equal(svg, await drawn(contributionBars(evaluation)));
    for (const { display } of evaluation.importance) assert.ok(svg.includes(`>${display}<`), display);
  });
}
