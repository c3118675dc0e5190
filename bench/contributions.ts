/**
 * Time of the contributions of one answer, for each trained model: `node bench/contributions.ts`. Rows of its final split, each timed nine times;
 * the shortest counts, so that other work on the machine is left out and the tail is that of the rows.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../models/train/newest.ts';
import { STUDIES } from '../models/train/studies.ts';
import { readTable, vectorAt } from '../models/train/table.ts';
import { loadSchemas, readChecked } from '../src/risk/manifest.ts';
import { explainerIn } from '../src/risk/models.ts';

const ROWS = 300;
const REPEATS = 9;
const MODELS = join(import.meta.dirname, '..', 'models');

/** Shortest time of a call, ms. */
function shortest(call: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    call();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const schemas = loadSchemas(MODELS);
for (const { model } of STUDIES) {
  const folder = newestOf(model);
  const table = readTable(`${model}.csv.gz`);
  const columns = readChecked(folder, 'manifest.json', schemas.manifest).features.map(({ name }) =>
    table.numbers(name),
  );
  const explainer = explainerIn(new Uint8Array(readFileSync(join(folder, 'model.onnx'))));
  if (explainer === undefined) throw new Error(`${model} cannot be explained`);
  const rows = table
    .column('split')
    .flatMap((split, index) => (split === 'test' ? [vectorAt(columns, index)] : []))
    .slice(0, ROWS);
  for (const row of rows) explainer.contributions(row);
  const times = rows.map((row) => shortest(() => explainer.contributions(row))).toSorted((a, b) => a - b);
  const at = (share: number): string => (times[Math.round(share * (times.length - 1))] ?? Number.NaN).toFixed(3);
  process.stdout.write(`${model}: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms (${rows.length} rows)\n`);
}
