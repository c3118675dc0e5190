// Contributions of inputs to one answer (src/risk/models/tree-shap.ts): exact Shapley values of the trees in the ONNX file.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { STUDIES } from '../../models/train/studies.ts';
import { openRunner } from '../../src/risk/models/session.ts';
import { type TreeEnsemble, treeEnsembleOf } from '../../src/risk/models/tree-ensemble.ts';
import { type Explainer, explainerOf } from '../../src/risk/models/tree-shap.ts';
import { bytesOf, manifestOf } from './world.ts';

function treesOf(bytes: Uint8Array): TreeEnsemble {
  const trees = treeEnsembleOf(bytes);
  assert.ok(trees, 'no tree ensemble in the file');
  return trees;
}
function explained(bytes: Uint8Array): Explainer {
  const explainer = explainerOf(treesOf(bytes));
  assert.ok(explainer, 'the trees are too deep or too many');
  return explainer;
}
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

interface Fixture {
  readonly onnx: string;
  readonly rows: readonly (readonly (number | null)[])[];
  readonly expected: number;
  readonly contributions: readonly (readonly number[])[];
}
const fixture: Fixture = JSON.parse(readFileSync(join(import.meta.dirname, 'cases', 'tree-shap.json'), 'utf8'));
const bytes = new Uint8Array(Buffer.from(fixture.onnx, 'base64'));
const vectorOf = (row: readonly (number | null)[]) => Float32Array.from(row, (value) => value ?? Number.NaN);

test('tree-shap@xgboost contributions are those that XGBoost gives for the same trees', () => {
  const { expected, contributions } = explained(bytes);
  assert.ok(Math.abs(expected - fixture.expected) < 1e-5);
  fixture.rows.forEach((row, index) => {
    const found = contributions(vectorOf(row));
    const wanted = fixture.contributions[index] ?? [];
    wanted.forEach((value, input) => {
      assert.ok(Math.abs((found[input] ?? Number.NaN) - value) < 1e-5, `row ${index} input ${input}`);
    });
  });
});

/** Value of a coalition: inputs in it follow the row, others both ways by cover. Lundberg 2020, algorithm 1. */
function worthOf(trees: TreeEnsemble, vector: Float32Array, known: ReadonlySet<number>): number {
  const below = (node: number): number => {
    const [yes, no] = [trees.yes[node] ?? -1, trees.no[node] ?? -1];
    if (yes < 0) return trees.leaf[node] ?? 0;
    const input = trees.feature[node] ?? 0;
    const value = vector[input] ?? Number.NaN;
    if (known.has(input)) {
      const isYes = Number.isNaN(value) ? trees.missingIsYes[node] === true : value < (trees.threshold[node] ?? 0);
      return below(isYes ? yes : no);
    }
    const [a, b] = [trees.cover[yes] ?? 0, trees.cover[no] ?? 0];
    return (a * below(yes) + b * below(no)) / (a + b);
  };
  return trees.base + sum(trees.roots.slice(0, -1).map(below));
}

test('tree-shap@definition contributions are the Shapley values of the definition, by enumeration', () => {
  const trees = treesOf(bytes);
  const row = vectorOf(fixture.rows[3] ?? []);
  const inputs = [...row.keys()];
  const weights = [1 / 5, 1 / 20, 1 / 30, 1 / 20, 1 / 5];
  const wanted = inputs.map((input) =>
    sum(
      Array.from({ length: 2 ** inputs.length }, (_, pattern) => {
        const coalition = new Set(inputs.filter((one) => (pattern >> one) & 1));
        if (coalition.has(input)) return 0;
        const gain = worthOf(trees, row, new Set([...coalition, input])) - worthOf(trees, row, coalition);
        return gain * (weights[coalition.size] ?? 0);
      }),
    ),
  );
  const found = explained(bytes).contributions(row);
  wanted.forEach((value, input) => {
    assert.ok(Math.abs(value - (found[input] ?? Number.NaN)) < 1e-5, `input ${input}`);
  });
});

/** Numbers in [0, 1) by a linear congruential generator (Numerical Recipes), the same in every run. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

for (const { model } of STUDIES) {
  test(`tree-shap@sum ${model}: expected and contributions sum to the margin that ONNX gives, missing inputs included`, async () => {
    const { features, input, outputs } = manifestOf(model);
    const file = bytesOf(model);
    const { expected, contributions } = explained(file);
    const width = features.length;
    const widths = outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length }));
    const runner = await openRunner(file, { input: { tensor: input.tensor, width }, outputs: widths });
    const random = numbers(22);
    for (let row = 0; row < 300; row++) {
      const vector = Float32Array.from(features, ({ range = [0, 4] }) => {
        const [missing, at] = [random.next().value, random.next().value];
        return missing < 0.3 ? Number.NaN : range[0] + at ** 3 * (range[1] - range[0]);
      });
      const { margin } = await runner.run(vector);
      const found = expected + sum(contributions(vector));
      assert.ok(Math.abs(found - (margin?.[0] ?? Number.NaN)) < 2e-4, `row ${row}: ${found} and ${margin?.[0]}`);
    }
    await runner.close();
  });
}

test('tree-shap@other a file without trees, or with trees of another shape, is not explained', () => {
  assert.equal(treeEnsembleOf(bytesOf('qsofa')), undefined);
});
