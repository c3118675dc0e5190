/** reference.json of a trained model: how its inputs were distributed among the training rows, by band. What drift is measured against (src/risk/models/drift.ts). */

import type { ModelManifest } from '../../src/risk/manifest.ts';
import type { Outcome, Reference, ReferenceInput } from '../../src/risk/models/drift.ts';
import { probabilityOf } from './metrics.ts';

const DECILES = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const rounded = (value: number): number => Number(value.toFixed(4));

/** Distinct deciles of the known values; none when nothing is known. */
function cutsOf(values: Float32Array, rows: readonly number[]): readonly number[] {
  const known = rows.map((row) => values[row] ?? Number.NaN).filter((value) => !Number.isNaN(value));
  const sorted = known.toSorted((a, b) => a - b);
  const cuts = DECILES.map((decile) => sorted[Math.floor((decile / 10) * sorted.length)] ?? Number.NaN);
  const distinct = [...new Set(cuts.map((cut) => Number(cut.toPrecision(6))))].filter((cut) => !Number.isNaN(cut));
  return distinct.filter((cut) => cut > (sorted[0] ?? 0));
}

function sharesOf(values: Float32Array, rows: readonly number[], cuts: readonly number[]): readonly number[] {
  const counts = new Array<number>(cuts.length + 2).fill(0);
  for (const row of rows) {
    const value = values[row] ?? Number.NaN;
    const below = cuts.findIndex((cut) => value < cut);
    const bin = Number.isNaN(value) ? cuts.length + 1 : below < 0 ? cuts.length : below;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count) => rounded(count / Math.max(1, rows.length)));
}

/**
 * @param columns of the inputs, in the manifest's order
 * @param margins held out, by row; `rows` are those of the training split
 * @param weights mean absolute contribution of each input
 */
export function referenceOf(
  { id, sha256, bands, features }: ModelManifest,
  columns: readonly Float32Array[],
  margins: ArrayLike<number>,
  rows: readonly number[],
  weights: readonly number[],
  outcome: Outcome | undefined,
): Reference {
  const bandAt = (row: number): string | undefined =>
    bands.find(({ from }) => probabilityOf(margins[row] ?? Number.NaN) >= from)?.name;
  const byBand = new Map(bands.map(({ name }) => [name, rows.filter((row) => bandAt(row) === name)]));
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const inputs = features.map(({ name }, index): ReferenceInput => {
    const values = columns[index] ?? new Float32Array();
    const cuts = cutsOf(values, rows);
    return {
      name,
      cuts,
      shares: Object.fromEntries([...byBand].map(([band, own]) => [band, sharesOf(values, own, cuts)])),
      weight: rounded((weights[index] ?? 0) / all),
    };
  });
  return {
    model: id,
    sha256,
    rows: Object.fromEntries([...byBand].map(([band, own]) => [band, own.length])),
    inputs,
    ...(outcome === undefined ? {} : { outcome }),
  };
}
