// Files of scores are kept in the store under their hash: when they are written, and that only the very file computes a record again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { scoreFiles } from '../../src/cds/basis/score-files.ts';
import type { Assessment } from '../../src/risk/assessment.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { AT, assessment, ROOT } from './world.ts';

const DAY = 86_400_000;
const models = await loadModels(join(ROOT, 'models'), { now: () => AT });
after(() => models.close());
const mews = models.manifests.get('mews');
const MODEL = { id: 'mews', version: mews?.version ?? '', sha256: mews?.sha256 ?? '' };
const of = (model: Assessment['model']): Assessment => assessment(model.id, { model });

test('score-file@once: written with the first record and once a day, not with each', () => {
  const files = scoreFiles(models);
  const first = files.commands([of(MODEL), of(MODEL)], AT);
  assert.deepEqual(
    first.map((command) => command.op === 'set' && [command.space, command.key, command.expiresAt]),
    [['cds.score', MODEL.sha256, AT + DAY]],
  );
  assert.equal(files.commands([of(MODEL)], AT).length, 1, 'what was not committed is written again');
  files.committed(first);
  assert.deepEqual(files.commands([of(MODEL)], AT), []);
  assert.deepEqual(files.commands([of(MODEL)], AT + DAY), [], 'it is kept until then');
  assert.equal(files.commands([of(MODEL)], AT + DAY + 1).length, 1, 'a record that is kept for longer');
});

test('score-file@others: a graph, and a file that is no longer here, have none', () => {
  const files = scoreFiles(models);
  const graph = models.manifests.get('news2');
  assert.deepEqual(files.commands([of({ id: 'news2', version: '1.0.0', sha256: graph?.sha256 ?? '' })], AT), []);
  assert.deepEqual(files.commands([of({ ...MODEL, sha256: 'x' })], AT), []);
});

test('score-file@again: an older file computes its own records, and no others', async () => {
  const text = models.scoreFile(MODEL) ?? '';
  const older = text.replace(`"version": "${MODEL.version}"`, '"version": "0.9.0"');
  const model = { ...MODEL, version: '0.9.0', sha256: createHash('sha256').update(older).digest('hex') };
  const vector = (mews === undefined ? [] : JSON.parse(text).features).map(() => 20);
  const again = (one: Assessment['model'], file?: string) => models.rescore(one, 'model', vector, file);
  assert.equal(await again(model), undefined, 'that version is not on disk');
  assert.deepEqual(await again(model, older), await again(MODEL), 'control: the same points');
  assert.equal(await again(model, text), undefined, 'another file');
  assert.equal(await again({ ...model, version: '1.0.0' }, older), undefined, 'another version');
  assert.equal(await again({ ...model, id: 'rems' }, older), undefined, 'another score');
});
