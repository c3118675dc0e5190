// docs/safety/hazards.md in the manner of ISO 14971: every hazard has a control, a test that exists and a residual risk.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isTestThere } from '../../scripts/requirements.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'safety', 'hazards.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => /^\| H\d+ \|/.test(line))
  .map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.trim()),
  );

test('hazards@rows: ids in order without gaps, every cell filled, harm S3 to S5', () => {
  assert.ok(rows.length >= 20);
  assert.deepEqual(
    rows.map(([id]) => id),
    rows.map((_row, index) => `H${String(index + 1).padStart(2, '0')}`),
  );
  for (const row of rows) assert.ok(row.length === 7 && row.every((cell) => cell.length > 1), row[0]);
  for (const [id, , , harm = ''] of rows) assert.match(harm, /^S[3-5]$/, id);
});

test('§6.1.5 hazards@tests: each control names a test, and each named test exists', () => {
  const missing = rows.flatMap(([id = '', , , , , tests = '']) => {
    const named = [...tests.matchAll(/`([^`]+?) :: ([^`]+)`/g)].map(([, path = '', name = '']) => ({ path, name }));
    return named.length === 0
      ? [`${id} names no test`]
      : named.filter((one) => !isTestThere(one)).map(({ path, name }) => `${id} ${path} :: ${name}`);
  });
  assert.deepEqual(missing, []);
});
