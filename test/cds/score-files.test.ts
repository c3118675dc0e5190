// Files of scores are kept in the store under their hash: when they are written, and that only the very file computes a record again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { triageAgain } from '../../src/cds/basis/recompute.ts';
import { scoreFiles } from '../../src/cds/basis/score-files.ts';
import type { Assessment } from '../../src/risk/assessment.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { loadTriage } from '../../src/risk/triage/triage.ts';
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

const triage = loadTriage(join(ROOT, 'models'));
const table = triage.table ?? { sha256: '', text: '' };

test('score-file@triage: the table of a triage is written with the first record of it, and with no others', () => {
  const files = scoreFiles(models, table);
  const key = (commands: ReturnType<typeof files.commands>) =>
    commands.map((command) => command.op === 'set' && [command.space, command.key]);
  assert.deepEqual(key(files.commands([], AT, { sha256: table.sha256 })), [['cds.score', table.sha256]]);
  assert.deepEqual(files.commands([], AT), [], 'no triage');
  assert.deepEqual(files.commands([], AT, { sha256: 'x' }), [], 'by another table');
  files.committed(files.commands([], AT, { sha256: table.sha256 }));
  assert.deepEqual(files.commands([], AT, { sha256: table.sha256 }), []);
});

test('score-file@triage again: a decision by an older table is made again by that table, and by no other', async () => {
  const facts = triage.assess({ patient: undefined, resources: [], at: AT }).facts;
  const edition = triage.edition.id;
  const older = table.text.replace(`"version": "${triage.version}"`, '"version": "0.9.0"');
  assert.notEqual(older, table.text, 'control: the version is in the file');
  const sha256 = createHash('sha256').update(older).digest('hex');
  const decision = triage.decide(facts, edition);
  assert.ok(decision !== undefined);
  const { edition: whole, ...assessed } = triage.assess({ patient: undefined, resources: [], at: AT });
  const recorded = { ...assessed, facts, decision, edition: { id: whole.id, title: whole.title } };
  const store = (held: Readonly<Record<string, string>>) => ({
    keyed: async (_space: string, key: string) => {
      const value = held[key];
      return value === undefined ? undefined : { key, value, expiresAt: undefined };
    },
  });
  const again = async (version: string, hash: string | undefined, held: Readonly<Record<string, string>>) => {
    const triaged = { ...recorded, version, ...(hash === undefined ? {} : { sha256: hash }) };
    return (await triageAgain({ triage: triaged }, triage, store(held)))?.same;
  };
  assert.equal(await again(triage.version, table.sha256, {}), true, 'control: the table that is here');
  assert.equal(await again(triage.version, undefined, {}), true, 'a record of an earlier release');
  assert.equal(await again('0.9.0', sha256, { [sha256]: older }), true, 'an older table that was kept');
  assert.equal(await again('0.9.0', sha256, {}), null, 'an older table that was not kept');
  assert.equal(await again('0.9.0', undefined, { [sha256]: older }), null, 'no hash, another version');
  assert.equal(await again('0.9.0', sha256, { [sha256]: '{"no": "table"}' }), null, 'what is kept is no table');
  const stricter = older.replaceAll(/"painFrom": \d+/g, '"painFrom": 0');
  assert.notEqual(stricter, older);
  assert.equal(triage.decide({ ...facts, pain: 1 }, edition)?.level === 2, false);
  assert.equal(triage.decide({ ...facts, pain: 1 }, edition, stricter)?.level, 2, 'by the limits of the kept table');
});
