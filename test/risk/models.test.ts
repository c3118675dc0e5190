// What makes a model answer or its stand-in: hash, file, external data, tensors, schema, card, golden cases, worker. Decision 0005.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { builtModels } from '../../models/train/build.ts';
import { type GraphSpec, onnxBytes } from '../../models/train/onnx-writer.ts';
import { cardProblems, loadSchemas, type ModelCard, type ModelManifest, readChecked } from '../../src/risk/manifest.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { refuseUnsafeOnnx } from '../../src/risk/models/onnx-file.ts';
import { openSession, type RunnerContract, SESSION_DEFAULTS } from '../../src/risk/models/session.ts';
import { AT, acvpu, bloodPressure, born, bytesOf, MODELS, manifestOf, measured, NEVER } from './world.ts';

const root = mkdtempSync(join(tmpdir(), 'models-'));
after(() => rmSync(root, { recursive: true }));
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

test('models/train: rebuilding gives the committed bytes and hashes', () => {
  const built = builtModels();
  assert.equal(built.size, 4);
  for (const [folder, bytes] of built) {
    const [id = ''] = folder.split('/');
    assert.equal(sha256(bytes), sha256(bytesOf(id)), `${folder}: run models/train/build.ts`);
    assert.equal(sha256(bytes), manifestOf(id).sha256);
  }
});

let copies = 0;
/** A copy of the models folder in which `change` has edited qsofa. */
function tampered(change: (folder: string) => void): string {
  const copy = join(root, `copy-${++copies}`);
  mkdirSync(copy);
  for (const name of [...readdirSync(MODELS).filter((one) => one.endsWith('.json')), 'qsofa']) {
    cpSync(join(MODELS, name), join(copy, name), { recursive: true });
  }
  change(join(copy, 'qsofa', '1.0.0'));
  return copy;
}
const edit = (file: string, change: (text: string) => string) => (folder: string) =>
  writeFileSync(join(folder, file), change(readFileSync(join(folder, file), 'utf8')));
/** Replaces model.onnx and lets the manifest agree with it. */
const replaceOnnx = (bytes: Uint8Array) => (folder: string) => {
  writeFileSync(join(folder, 'model.onnx'), bytes);
  edit('manifest.json', (text) => text.replace(/"sha256": "[^"]*"/, `"sha256": "${sha256(bytes)}"`))(folder);
};

const EXTERNAL: GraphSpec = {
  name: 'external',
  inputs: [{ name: 'inputs', width: 3 }],
  outputs: [{ name: 'total', width: 3 }],
  constants: [{ name: 'weight', dims: [3], type: 'float32', values: [], externalLocation: '../../../secret.bin' }],
  calls: [{ operator: 'Add', inputs: ['inputs', 'weight'], output: 'total' }],
};
const garbage = new Uint8Array(64).map((_, index) => (index * 37) % 256);

const failures: readonly (readonly [why: string, change: (folder: string) => void, reason: RegExp])[] = [
  [
    'one byte of model.onnx is changed',
    (folder) => {
      const file = join(folder, 'model.onnx');
      const bytes = readFileSync(file);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(file, bytes);
    },
    /hash is not the one/,
  ],
  ['model.onnx is absent', (folder) => rmSync(join(folder, 'model.onnx')), /^model\.onnx cannot be read$/],
  ['malformed file with a matching hash', replaceOnnx(garbage), /not an ONNX file/],
  ['empty file', replaceOnnx(new Uint8Array()), /not an ONNX file/],
  ['cut-off file', replaceOnnx(bytesOf('qsofa').slice(0, 900)), /not an ONNX file/],
  ['a tensor in another file', replaceOnnx(onnxBytes(EXTERNAL)), /external data is refused/],
  ['another model', replaceOnnx(bytesOf('sirs')), /not of shape \[1, 3\]/],
  [
    '§2.5 §8.17 golden vector differs',
    edit('golden.json', (text) => text.replace(/25,/, '24,')),
    /give another vector/,
  ],
  [
    'golden output differs',
    edit('golden.json', (text) => text.replace(/"total": \[\s*3/, '"total": [2')),
    /gives another total/,
  ],
  ['no golden case', (folder) => writeFileSync(join(folder, 'golden.json'), '[]'), /golden\.json: /],
  [
    'card lacks an attribute',
    edit('card.json', (text) => text.replace('"number": 5,', '"number": 4,')),
    /attribute 5 is missing/,
  ],
  [
    'card says "not available" where it must not',
    edit('card.json', (text) =>
      text.replace(/("number": 5,\s*"name": "[^"]*",\s*"value": )"[^"]*"/, '$1"Not available."'),
    ),
    /attribute 5 must not/,
  ],
  [
    'card of another version',
    edit('card.json', (text) => text.replace('"1.0.0"', '"1.0.1"')),
    /card is for qsofa 1\.0\.1/,
  ],
];
for (const [why, change, reason] of failures) {
  test(`§2.5 §8.17 refused, the stand-in answers: ${why}`, async () => {
    const models = await loadModels(tampered(change), { now: () => AT });
    const [status] = models.status();
    assert.equal(status?.ready, false);
    assert.match(status?.reason ?? '', reason);
    const evidence = {
      patient: born('1960-01-01'),
      resources: [measured('9279-1', 25, '/min'), bloodPressure(95), acvpu('C')],
      at: AT,
    };
    const found = await models.assess('qsofa', evidence, NEVER);
    assert.deepEqual(
      [found.answeredBy, found.confidence, found.outputs.total, found.band],
      ['fallback', 'low', 3, 'positive'],
    );
    assert.match(found.fallbackReason ?? '', reason);
    await models.close();
  });
}

const broken: readonly (readonly [why: string, change: (folder: string) => void, reason: RegExp])[] = [
  ['not JSON', edit('manifest.json', () => '{'), /manifest\.json is not JSON/],
  ['no bands', edit('manifest.json', (text) => text.replace('"bands"', '"stripes"')), /manifest\.json: /],
  [
    'unknown kind of feature',
    edit('manifest.json', (text) => text.replace('"consciousness",\n      "codes"', '"mood",\n      "codes"')),
    /manifest\.json: /,
  ],
  [
    'unknown stand-in',
    edit('manifest.json', (text) => text.replace('"fallback": "qsofa"', '"fallback": "guess"')),
    /fallback guess is not known/,
  ],
  ['another id', edit('manifest.json', (text) => text.replace('"id": "qsofa"', '"id": "other"')), /it is for other/],
  [
    'band of no output',
    edit('manifest.json', (text) => text.replace('"output": "total"', '"output": "sum"')),
    /reads no result column/,
  ],
];
for (const [why, change, reason] of broken) {
  test(`manifest refused, nothing is said: ${why}`, async () => {
    const models = await loadModels(tampered(change), { now: () => AT });
    assert.match(models.status()[0]?.reason ?? '', reason);
    assert.equal(models.manifests.has('qsofa'), false);
    const found = await models.assess('qsofa', { patient: born('1960-01-01'), resources: [], at: AT }, NEVER);
    assert.deepEqual([found.answeredBy, found.outputs, found.band], ['fallback', {}, undefined]);
  });
}

test('§6.3.7 a model whose answer is not finite is answered by the stand-in', async () => {
  // Sums its inputs: right for the golden cases, NaN when one is missing.
  const contract = manifestOf('qsofa');
  const outputs = contract.outputs.map(({ tensor, columns }) => ({ name: tensor, width: columns.length }));
  const bytes = onnxBytes({
    name: 'sums',
    inputs: [{ name: 'inputs', width: 3 }],
    outputs,
    constants: outputs.map(({ name, width }) => ({
      name: `w.${name}`,
      dims: [3, width],
      type: 'float32',
      values: Array.from({ length: 3 * width }, () => 1),
    })),
    calls: outputs.map(({ name }) => ({ operator: 'MatMul', inputs: ['inputs', `w.${name}`], output: name })),
  });
  const golden = [
    {
      name: 'sum',
      at: '2026-03-01T12:00:00Z',
      patient: born('1960-01-01'),
      resources: [measured('9279-1', 25, '/min'), bloodPressure(95), acvpu('C')],
      vector: [25, 95, 1],
      outputs: { total: [121] },
    },
  ];
  const folder = tampered((at) => {
    replaceOnnx(bytes)(at);
    writeFileSync(join(at, 'golden.json'), JSON.stringify(golden));
  });
  const models = await loadModels(folder, { now: () => AT });
  assert.equal(models.status()[0]?.ready, true);
  const resources = [measured('9279-1', 25, '/min'), bloodPressure(95)];
  const found = await models.assess('qsofa', { patient: born('1960-01-01'), resources, at: AT }, NEVER);
  assert.deepEqual(
    [found.answeredBy, found.fallbackReason, found.outputs.total, found.band],
    ['fallback', 'the model gave no finite answer', 2, 'positive'],
  );
  await models.close();
});

test('the highest version answers; cards of all versions stay', async () => {
  const folder = tampered((old) => {
    const next = join(old, '..', '1.0.10');
    cpSync(old, next, { recursive: true });
    cpSync(old, join(old, '..', '1.0.9'), { recursive: true });
    for (const version of ['1.0.9', '1.0.10']) {
      for (const file of ['manifest.json', 'card.json']) {
        edit(file, (text) => text.replace('"version": "1.0.0"', `"version": "${version}"`))(join(old, '..', version));
      }
    }
  });
  const models = await loadModels(folder, { now: () => AT });
  assert.deepEqual(models.status(), [{ id: 'qsofa', version: '1.0.10', ready: true }]);
  assert.deepEqual([...models.cards.keys()], ['qsofa|1.0.0', 'qsofa|1.0.9', 'qsofa|1.0.10']);
  await models.close();
});

// 45 CFR 170.315(b)(11)(v)(A): eleven attributes may say "not available", the other twenty may not.
const schemas = loadSchemas(MODELS);
const card = readChecked(join(MODELS, 'news2', '1.0.0'), 'card.json', schemas.card);
const OPTIONAL = [17, 18, 19, 20, 23, 24, 25, 27, 29, 30, 31];
for (let number = 1; number <= 31; number++) {
  test(`§6.1.1 hti-1@source-attributes ${number} may ${OPTIONAL.includes(number) ? '' : 'not '}be "not available"`, () => {
    const changed: ModelCard = {
      ...card,
      attributes: card.attributes.map((one) => (one.number === number ? { ...one, value: 'not available' } : one)),
    };
    assert.equal(cardProblems(changed, manifestOf('news2')).length, OPTIONAL.includes(number) ? 0 : 1);
  });
}

test('onnx-file: any bytes are accepted or refused with an Error, never more', () => {
  const good = bytesOf('news2');
  refuseUnsafeOnnx(good);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(good.length - 1), (bytes, at) => {
      const spliced = good.slice();
      spliced.set(bytes.slice(0, good.length - at), at);
      for (const candidate of [bytes, spliced]) {
        try {
          refuseUnsafeOnnx(candidate);
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof RangeError) && !(error instanceof TypeError));
        }
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});

const QSOFA: RunnerContract = {
  input: { tensor: 'inputs', width: 3 },
  outputs: [
    { tensor: 'points', width: 3 },
    { tensor: 'total', width: 1 },
    { tensor: 'missing', width: 1 },
  ],
};
const vector = (first: number) => Float32Array.of(first, 0, 0);
const fake = (now: () => number, queueBound = 64) =>
  openSession(bytesOf('qsofa'), QSOFA, {
    now,
    queueBound,
    mode: 'worker',
    workerFile: new URL('./crashing-worker.ts', import.meta.url),
  });

test('session: a slow model runs in a worker, a quick one inline', async () => {
  const worker = await openSession(bytesOf('qsofa'), QSOFA, { now: () => AT, inlineBelowMs: 0 });
  assert.equal(worker.mode, 'worker');
  assert.deepEqual(await worker.run(Float32Array.of(22, 100, 1), NEVER), {
    points: [1, 1, 1],
    total: [3],
    missing: [0],
  });
  await worker.close();
  await assert.rejects(worker.run(vector(0), NEVER), /closed/);
  const inline = await openSession(bytesOf('qsofa'), QSOFA, { now: () => AT, inlineBelowMs: 1e9 });
  assert.equal(inline.mode, 'inline');
  await inline.close();
});
test('session: the queue is bounded, a late answer is refused, a hung worker replaced', async () => {
  const session = await fake(() => AT, 2);
  const late = session.run(vector(2), AT + 20);
  const answered = session.run(vector(3), NEVER);
  await assert.rejects(session.run(vector(3), NEVER), /too many runs/);
  assert.deepEqual(await answered, { total: [6] });
  await assert.rejects(late, /deadline has passed/);
  await assert.rejects(session.run(vector(3), AT), /deadline has passed/);
  await assert.rejects(session.run(vector(2), AT + 20), /deadline has passed/);
  await assert.rejects(
    session.run(vector(3), NEVER),
    /too many runs/,
    'two runs never came back: the worker is replaced',
  );
  assert.deepEqual(await session.run(vector(3), NEVER), { total: [6] });
  await session.close();
});
test('session: a crashed worker is replaced; the third crash in five minutes ends it', async () => {
  const session = await fake(() => AT);
  for (let crash = 1; crash < SESSION_DEFAULTS.crashes; crash++) {
    await assert.rejects(session.run(vector(1), NEVER), /struck/);
    assert.equal(session.failure, undefined);
    assert.deepEqual(await session.run(vector(3), NEVER), { total: [6] });
  }
  await assert.rejects(session.run(vector(1), NEVER), /struck/);
  assert.match(session.failure ?? '', /crashed 3 times in five minutes/);
  await assert.rejects(session.run(vector(3), NEVER), /crashed 3 times/);
  await session.close();
});
test('session: crashes further apart than five minutes do not add up', async () => {
  let now = AT;
  const session = await fake(() => now);
  for (let crash = 0; crash < 4; crash++) {
    await assert.rejects(session.run(vector(1), NEVER), /struck/);
    now += SESSION_DEFAULTS.crashWindowMs / 2;
  }
  assert.equal(session.failure, undefined);
  await session.close();
});
test('session: a worker that cannot start refuses the model', async () => {
  const options = {
    now: () => AT,
    mode: 'worker' as const,
    workerFile: new URL('./no-such-worker.ts', import.meta.url),
  };
  await assert.rejects(openSession(bytesOf('qsofa'), QSOFA, options), /worker crashed/);
});

for (const [id, version] of [
  ['news2', '1.0.0'],
  ['sepsis-icu', '1.0.0'],
  ['triage-vitals', '1.0.0'],
] as const) {
  test(`session: what is asked of ${id} at once is answered as if one by one, also with missing inputs`, async () => {
    const folder = join(MODELS, id, version);
    const { input, features, outputs }: ModelManifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
    const contract: RunnerContract = {
      input: { tensor: input.tensor, width: features.length },
      outputs: outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length })),
    };
    const bytes = new Uint8Array(readFileSync(join(folder, 'model.onnx')));
    const session = await openSession(bytes, contract, { now: () => AT, mode: 'inline' });
    const vectors = Array.from({ length: 150 }, (_, row) =>
      Float32Array.from(features, (_feature, column) =>
        (row * 7 + column * 13) % 11 === 0 ? Number.NaN : (row * 31 + column * 17) % 140,
      ),
    );
    const together = await Promise.all(vectors.map((vector) => session.run(vector, NEVER)));
    for (const [row, vector] of vectors.entries()) assert.deepEqual(together[row], await session.run(vector, NEVER));
    await session.close();
  });
}
