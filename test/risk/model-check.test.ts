// `firewatch model check`: what each proof finds in a folder that is wrong in one place (src/risk/models/check.ts).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildLogistic } from '../../models/train/logistic.ts';
import { type GraphSpec, onnxBytes } from '../../models/train/onnx-writer.ts';
import { checkModel, type Proof } from '../../src/risk/models/check.ts';
import { MODELS } from './world.ts';

const root = mkdtempSync(join(tmpdir(), 'model-check-'));
after(() => rmSync(root, { recursive: true }));
const EXAMPLE = join(MODELS, '..', 'docs', 'your-own-model');
const good = buildLogistic(EXAMPLE, join(root, 'good'));

let copies = 0;
async function proofs(change: (folder: string) => void): Promise<readonly Proof[]> {
  const folder = join(root, `copy-${++copies}`, 'example-kidney-support', '1.0.0');
  cpSync(good, folder, { recursive: true });
  change(folder);
  return Array.fromAsync(checkModel(folder, MODELS));
}
const edit = (file: string, change: (text: string) => string) => (folder: string) =>
  writeFileSync(join(folder, file), change(readFileSync(join(folder, file), 'utf8')));
const graph = (bytes: Uint8Array) => (folder: string) => {
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const hash = createHash('sha256').update(bytes).digest('hex');
  edit('manifest.json', (text) => text.replace(/"sha256": "[^"]*"/, `"sha256": "${hash}"`))(folder);
};
const spec = (change: Partial<GraphSpec>): Uint8Array =>
  onnxBytes({
    name: 'other',
    inputs: [{ name: 'inputs', width: 6 }],
    outputs: [
      { name: 'margin', width: 6 },
      { name: 'probability', width: 6 },
    ],
    constants: [],
    calls: [
      { operator: 'Neg', inputs: ['inputs'], output: 'margin' },
      { operator: 'Sigmoid', inputs: ['margin'], output: 'probability' },
    ],
    ...change,
  });

test('model-check@holds control: every proof of a good folder holds, in order', async () => {
  const found = await proofs(() => undefined);
  assert.deepEqual(
    found.map(({ what, state }) => `${what} ${state}`),
    [
      'manifest holds',
      'eligibility holds',
      'card holds',
      'graph holds',
      'tensors holds',
      'cases holds',
      'explanation noted',
      'speed holds',
    ],
  );
  assert.match(found.at(-1)?.told ?? '', /p50 \d+\.\d+ ms, p99 \d+\.\d+ ms/);
});

const wrong: readonly (readonly [why: string, change: (folder: string) => void, what: Proof['what'], told: RegExp])[] =
  [
    ['no manifest', (folder) => rmSync(join(folder, 'manifest.json')), 'manifest', /cannot be read/],
    [
      'a manifest against the schema',
      edit('manifest.json', (text) => text.replace('"bands"', '"stripes"')),
      'manifest',
      /bands/,
    ],
    [
      'an eligibility rule that is unknown',
      edit('manifest.json', (text) => text.replace('"without"', '"unless"')),
      'manifest',
      /eligibility/,
    ],
    [
      'a set that the vocabulary lacks',
      edit('manifest.json', (text) => text.replace('"dialysis"', '"dialisis"')),
      'manifest',
      /dialisis/,
    ],
    [
      'a card without a required attribute',
      edit('card.json', (text) => text.replace(/"None: an example\."/, '"not available"')),
      'card',
      /must not be/,
    ],
    [
      'bytes that the hash does not cover',
      (folder) => writeFileSync(join(folder, 'model.onnx'), spec({})),
      'graph',
      /hash/,
    ],
    [
      'an operator that answers by chance',
      graph(spec({ calls: [{ operator: 'RandomUniformLike', inputs: ['inputs'], output: 'margin' }] })),
      'graph',
      /RandomUniformLike is refused: it answers by chance/,
    ],
    [
      'an operator without a bound in time',
      graph(spec({ calls: [{ operator: 'Loop', inputs: ['inputs'], output: 'margin' }] })),
      'graph',
      /Loop is refused/,
    ],
    [
      'an operator of another library',
      graph(spec({ calls: [{ operator: 'Download', domain: 'com.example', inputs: ['inputs'], output: 'margin' }] })),
      'graph',
      /Download of domain com\.example is refused/,
    ],
    ['tensors of another shape', graph(spec({})), 'tensors', /not of shape \[1, 1\]/],
    [
      'a worked case with another answer',
      edit('golden.json', (text) => text.replace(/"margin": \[\s*-?\d/, '"margin": [9')),
      'cases',
      /gives another margin/,
    ],
  ];
for (const [why, change, what, told] of wrong) {
  test(`model-check@fails ${why}`, async () => {
    const failed = (await proofs(change)).filter(({ state }) => state === 'fails');
    assert.deepEqual(
      failed.map((proof) => proof.what),
      [what],
    );
    assert.match(failed[0]?.told ?? '', told);
  });
}

test('model-check@noted worked cases that leave an input untried are named', async () => {
  const found = await proofs(edit('manifest.json', (text) => text.replace(/"required": true/g, '"required": false')));
  const cases = found.find(({ what }) => what === 'cases');
  assert.equal(cases?.state, 'noted');
  assert.match(cases?.told ?? '', /none of them tries an input that is missing/);
});

test('model-check@fails a folder that is no version', async () => {
  const found = await Array.fromAsync(checkModel(root, MODELS));
  assert.deepEqual(
    found.map(({ what, state }) => [what, state]),
    [['folder', 'fails']],
  );
});
const csv: readonly (readonly [why: string, from: string | RegExp, to: string, told: RegExp])[] = [
  ['a coefficient that is no number', ',0.9\n', ',much\n', /Line 5: coefficient is no number/],
  ['a field too many', 'Creatinine,', 'Creatinine, serum,', /Line 5 has 12 fields/],
  ['no intercept', /\nintercept.*/, '', /No line is named intercept/],
  ['a kind that a CSV cannot say', 'latest-observation', 'complaint', /kind must be/],
  ['a sex that would be guessed', 'sex,,1,,,,,', 'sex,,1,,,,0,', /sex is never replaced/],
  ['another first line', 'name,display', 'name,title', /The first line must be/],
];
for (const [why, from, to, told] of csv) {
  test(`own-model@refused ${why}`, () => {
    const folder = join(root, `csv-${++copies}`);
    cpSync(EXAMPLE, folder, { recursive: true });
    edit('coefficients.csv', (text) => text.replace(from, to))(folder);
    assert.throws(() => buildLogistic(folder, join(root, 'refused')), told);
  });
}
