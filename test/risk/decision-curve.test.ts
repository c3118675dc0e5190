// The plot of net benefit per 100 (Vickers and Elkin, Med Decis Making 2006;26:565) is of the committed figures, and stands on the page of the newest version.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Evaluation } from '../../models/train/evaluate.ts';
import { decisionCurve, drawn } from '../../models/train/figures.ts';
import { newestOf, newestVersion } from '../../models/train/newest.ts';
import { STUDIES } from '../../models/train/studies.ts';
import { readCatalogue } from '../../src/pages/catalogue.ts';
import { publicPages } from '../../src/pages/pages.ts';

const ROOT = join(import.meta.dirname, '../..');
const folders = { models: join(ROOT, 'models'), knowledge: join(ROOT, 'knowledge'), pages: join(ROOT, 'pages') };
const pages = publicPages({ catalogue: readCatalogue(folders), assets: folders.pages, sandbox: undefined });
const FILE = 'decision-curve.svg';

for (const { model, main } of STUDIES) {
  const folder = newestOf(model);
  const evaluation: Evaluation = JSON.parse(readFileSync(join(folder, 'evaluation.json'), 'utf8'));

  test(`trained-models@decision-curve ${model}: the plot is drawn from the committed figures, and is on the page`, async () => {
    assert.equal(readFileSync(join(folder, FILE), 'utf8'), await drawn(decisionCurve(evaluation, main)));
    const path = `/models/${model}/${newestVersion(model)}`;
    assert.ok(pages.answer(path, undefined)?.body.includes(`src="${path}/${FILE}" alt="Plot: Decision curve`));
    assert.match(pages.answer(`${path}/${FILE}`, undefined)?.headers['Content-Type'] ?? '', /^image\/svg\+xml/);
  });

  test(`trained-models@decision-curve ${model}: alerting for everyone is, at the thresholds of the evaluation, what it says`, () => {
    const { rows, cases, netBenefitPer100 } = evaluation.cohorts[`${main}HeldOut`] ?? assert.fail('no such cohort');
    for (const { threshold, all } of netBenefitPer100) {
      const exact = (100 / rows) * (cases - (threshold / (1 - threshold)) * (rows - cases));
      assert.ok(Math.abs(all - exact) < 1e-4, `${threshold}: ${all}, ${exact}`);
    }
  });
}

test('trained-models@decision-curve of a cohort that was not evaluated there is none', () => {
  const evaluation = { model: 'x', sha256: '', bootstraps: 1, cohorts: {}, subgroups: {}, rules: {}, importance: [] };
  assert.throws(() => decisionCurve(evaluation, 'all'), TypeError);
});
