/**
 * Time of one answer of each trained model and of its contributions: `node bench/contributions.ts`. Rows of its final split in 15 rounds; the
 * shortest time of each row counts, so that other work on the machine is left out and the tail is that of the rows.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../models/train/newest.ts';
import { STUDIES } from '../models/train/studies.ts';
import { readTable, vectorAt } from '../models/train/table.ts';
import { loadSchemas, readChecked } from '../src/risk/manifest.ts';
import { explainerIn } from '../src/risk/models/models.ts';
import { openRunner } from '../src/risk/models/session.ts';

const ROWS = 300;
const ROUNDS = 15;
const MODELS = join(import.meta.dirname, '..', 'models');

/** Shortest time of a call for each row, ms. */
async function shortest(
  rows: readonly Float32Array[],
  call: (row: Float32Array) => unknown,
): Promise<readonly number[]> {
  const best = rows.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, row] of rows.entries()) {
      const start = performance.now();
      await call(row);
      best[index] = Math.min(best[index] ?? 0, performance.now() - start);
    }
  }
  return best;
}

function told(name: string, times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN).toFixed(3);
  return `${name} p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)} ms`;
}

const schemas = loadSchemas(MODELS);
for (const { model } of STUDIES) {
  const folder = newestOf(model);
  const manifest = readChecked(folder, 'manifest.json', schemas.manifest);
  const table = readTable(`${model}.csv.gz`);
  const columns = manifest.features.map(({ name }) => table.numbers(name));
  const bytes = new Uint8Array(readFileSync(join(folder, 'model.onnx')));
  const explainer = explainerIn(bytes);
  if (explainer === undefined) throw new Error(`${model} cannot be explained`);
  const outputs = manifest.outputs.map(({ tensor, columns: names }) => ({ tensor, width: names.length }));
  const runner = await openRunner(bytes, { input: { tensor: manifest.input.tensor, width: columns.length }, outputs });
  const rows = table
    .column('split')
    .flatMap((split, index) => (split === 'test' ? [vectorAt(columns, index)] : []))
    .slice(0, ROWS);
  const runs = await shortest(rows, (row) => runner.run(row));
  const explained = await shortest(rows, (row) => explainer.contributions(row));
  await runner.close();
  const both = runs.map((time, index) => time + (explained[index] ?? Number.NaN));
  const lines = [told('model', runs), told('contributions', explained), told('together', both)];
  process.stdout.write(`${model} (${rows.length} rows): ${lines.join('; ')}\n`);
}
