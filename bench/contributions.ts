/**
 * Time of one answer of each trained model and of its contributions: `node bench/contributions.ts`. Rows of its final split, each timed nine
 * times; the shortest counts, so that other work on the machine is left out and the tail is that of the rows.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newestOf } from '../models/train/newest.ts';
import { STUDIES } from '../models/train/studies.ts';
import { readTable, vectorAt } from '../models/train/table.ts';
import { loadSchemas, readChecked } from '../src/risk/manifest.ts';
import { explainerIn } from '../src/risk/models.ts';
import { openRunner } from '../src/risk/session.ts';

const ROWS = 300;
const REPEATS = 9;
const MODELS = join(import.meta.dirname, '..', 'models');

/** Shortest time of a call, ms. */
async function shortest(call: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    await call();
    best = Math.min(best, performance.now() - start);
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
  for (const row of rows) explainer.contributions(row);
  const [runs, explained]: [number[], number[]] = [[], []];
  for (const row of rows) {
    runs.push(await shortest(() => runner.run(row)));
    explained.push(await shortest(() => explainer.contributions(row)));
  }
  await runner.close();
  const both = runs.map((time, index) => time + (explained[index] ?? Number.NaN));
  const lines = [told('model', runs), told('contributions', explained), told('together', both)];
  process.stdout.write(`${model} (${rows.length} rows): ${lines.join('; ')}\n`);
}
