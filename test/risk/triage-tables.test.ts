// models/train/data/TRIAGE.md: the committed training tables are what the server would read today, and their splits are as stated.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { categoriesOfText } from '../../models/train/complaint-categories.ts';
import { MODELS, manifestOf } from './world.ts';

const fileOf = (model: string) => join(MODELS, 'train', 'data', `${model}.csv.gz`);
function rowsOf(model: string): readonly Readonly<Record<string, string>>[] {
  const [head = '', ...lines] = gunzipSync(readFileSync(fileOf(model)))
    .toString('utf8')
    .trimEnd()
    .split('\n');
  const names = head.split(',');
  return lines.map((line) => {
    const fields = line.split(',');
    assert.equal(fields.length, names.length, 'a line is malformed');
    return Object.fromEntries(names.map((name, index) => [name, fields[index] ?? '']));
  });
}
const counted = (rows: readonly Readonly<Record<string, string>>[], name: string, value: string) =>
  rows.filter((row) => row[name] === value).length;

for (const [model, rows, cases] of [
  ['triage-critical-care', 60847, 1124],
  ['triage-high-acuity', 1032, 201],
] as const) {
  test(`triage-tables@${model}: rows, cases, a column for each input, about a tenth in the final split`, () => {
    const table = rowsOf(model);
    assert.deepEqual([table.length, counted(table, 'label', '1')], [rows, cases]);
    const test = counted(table, 'split', 'test');
    assert.ok(test > rows * 0.08 && test < rows * 0.12, String(test));
    assert.equal(counted(table, 'split', 'train') + test, rows);
    for (const { name } of manifestOf(model).features) assert.ok(Object.hasOwn(table[0] ?? {}, name), name);
    assert.ok(table.every(({ age }) => Number(age) >= 18));
  });
}
test('triage-tables@complaints: the categories of the table are those the server reads from its texts', () => {
  const wrong = rowsOf('triage-high-acuity')
    .filter(({ text = '', categories }) => categoriesOfText(decodeURIComponent(text)) !== categories)
    .map(({ text }) => text);
  assert.deepEqual(wrong, []);
});
test('triage-tables@complaints: a complaint with its site behind a comma is read, as the server reads it', () => {
  const said = rowsOf('triage-high-acuity').filter(({ text }) => text === 'pain%2C chest');
  assert.ok(said.length >= 10);
  assert.deepEqual(new Set(said.map(({ categories }) => categories)), new Set(['chest-pain']));
});
test('triage-tables@complaints: a visit without its complaint stands there with it, too, in training only', () => {
  const rows = rowsOf('triage-high-acuity');
  const stated = new Set(rows.filter(({ complaint }) => complaint === 'stated').map(({ visit }) => visit));
  const withheld = rows.filter(({ complaint }) => complaint === 'withheld');
  assert.deepEqual([stated.size, withheld.length], [1003, 29]);
  assert.ok(
    withheld.every(
      ({ visit, split, complainsChestPain }) => stated.has(visit) && split === 'train' && complainsChestPain === '',
    ),
  );
});
test('tables@size: all of them together are below 10 MB', () => {
  const folder = join(MODELS, 'train', 'data');
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  assert.ok(bytes < 10_000_000, `${bytes} bytes`);
});

test('triage-tables@size: together at most 2 MB', () => {
  const bytes = [
    'triage-critical-care',
    'triage-high-acuity',
    'triage-critical-care.held-out',
    'triage-high-acuity.held-out',
  ]
    .map((name) => statSync(fileOf(name)).size)
    .reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= 2_000_000, String(bytes));
});
