// Training is repeatable: the committed table, the settings in training.json and the seeds give the committed graph. `npm test` fits the smallest
// model again, `npm run test:full` all of them. Needs Debian's Python packages in the versions that training.json names; skipped without them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { newestOf } from '../../models/train/newest.ts';
import { STUDIES } from '../../models/train/studies.ts';
import { readTable, vectorAt } from '../../models/train/table.ts';
import { loadSchemas, readChecked } from '../../src/risk/manifest.ts';
import { openRunner } from '../../src/risk/models/session.ts';
import { MODELS } from './world.ts';

/** The quickest first. */
const BY_COST = ['triage-high-acuity', 'sepsis-icu', 'triage-critical-care', 'icu-mortality-24h', 'icu-mortality-48h'];
const COUNT = Number(process.env.RETRAINED_MODELS ?? 1);
/** Log-odds by which another processor's arithmetic may move an answer. */
const TOLERANCE = 0.001;
const ROWS = 200;

const made = mkdtempSync(join(tmpdir(), 'retrained-'));
after(() => rmSync(made, { recursive: true }));
const schemas = loadSchemas(MODELS);

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Margins of some rows of the final split. */
async function marginsOf(model: string, bytes: Uint8Array): Promise<readonly number[]> {
  const manifest = readChecked(newestOf(model), 'manifest.json', schemas.manifest);
  const outputs = manifest.outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length }));
  const input = { tensor: manifest.input.tensor, width: manifest.features.length };
  const runner = await openRunner(bytes, { input, outputs });
  const table = readTable(`${model}.csv.gz`);
  const columns = manifest.features.map(({ name }) => table.numbers(name));
  const rows = table.column('split').flatMap((split, index) => (split === 'test' ? [index] : []));
  const found: number[] = [];
  for (const row of rows.slice(0, ROWS)) {
    found.push((await runner.run(vectorAt(columns, row))).margin?.[0] ?? Number.NaN);
  }
  await runner.close();
  return found;
}

test('retrained@command a model without a recipe is refused by name, before anything is trained', (context) => {
  const { status, stderr } = spawnSync(process.execPath, [join(MODELS, 'train', 'every.ts'), 'nobody'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', PYTHONDONTWRITEBYTECODE: '1' },
  });
  if (/cannot be started|Training needs the Python package/.test(stderr)) return context.skip(stderr.trim());
  assert.equal(status, 1);
  for (const model of BY_COST) assert.ok(stderr.includes(model), stderr);
});

test('retrained@all every trained model is among those that can be fitted again', () => {
  assert.deepEqual(STUDIES.map(({ model }) => model).toSorted(), BY_COST.toSorted());
});

for (const model of BY_COST.slice(0, COUNT)) {
  test(`retrained@bytes ${model}: the table and the settings give the committed graph`, async (context) => {
    const { status, stderr, error } = spawnSync(
      '/usr/bin/python3',
      [join(MODELS, 'train', 'train.py'), '--again', made, model],
      {
        encoding: 'utf8',
        env: { PATH: process.env.PATH ?? '', PYTHONDONTWRITEBYTECODE: '1' },
      },
    );
    if (error !== undefined) return context.skip('no Python in /usr/bin');
    const elsewhere = /Training needs the Python package|trained with other libraries/.test(stderr);
    if (elsewhere) return context.skip(stderr.trim());
    assert.equal(status, 0, stderr);
    const again = new Uint8Array(readFileSync(join(made, model, 'model.onnx')));
    const committed = new Uint8Array(readFileSync(join(newestOf(model), 'model.onnx')));
    const manifestIn = (folder: string) => readChecked(folder, 'manifest.json', schemas.manifest);
    const { sha256, ...kept } = manifestIn(join(made, model));
    const { sha256: _, ...stood } = manifestIn(newestOf(model));
    assert.equal(sha256, digest(again));
    assert.deepEqual(kept, stood, 'training keeps what people wrote into a manifest');
    if (digest(again) === digest(committed)) return;
    context.diagnostic('other bytes on this processor: answers are compared');
    const [one, other] = [await marginsOf(model, again), await marginsOf(model, committed)];
    const apart = one.map((margin, row) => Math.abs(margin - (other[row] ?? Number.NaN)));
    assert.ok(
      apart.every((distance) => distance <= TOLERANCE),
      `log-odds differ by up to ${Math.max(...apart)}`,
    );
  });
}
