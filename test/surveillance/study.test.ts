// docs/surveillance.md, Sensitivity and false alarms: the page holds what the study prints, and a smaller study agrees with it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  falseAlarms,
  found,
  outbreak,
  SHAPES,
  STUDIED,
  STUDIED_MINIMUM,
  studyText,
} from '../../scripts/surveillance-study.ts';
import { loadSurveillance } from '../../src/surveillance/definition.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PAGE = readFileSync(join(ROOT, 'docs', 'surveillance.md'), 'utf8');
const SERIES = 60;
/** `12.3 (10.1 to 14.5)`: value, low and high. */
const CELL = /^([\d.]+) \(([\d.]+) to ([\d.]+)\)/;
/** Rows of numbers under the tables of the page, by their first cells. */
const rowsOf = (text: string): ReadonlyMap<string, readonly string[]> =>
  new Map(
    text
      .split('\n')
      .filter((line) => /^\| [\d.]+ \|/.test(line))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )
      .map((cells) => [cells.filter((cell) => !CELL.test(cell)).join(' '), cells.filter((cell) => CELL.test(cell))]),
  );

test('surveillance@study: shipped definitions are judged as studied', () => {
  for (const { id, detection, minimumCount } of loadSurveillance(join(ROOT, 'surveillance')).values()) {
    assert.deepEqual(detection, STUDIED, id);
    assert.ok(minimumCount <= STUDIED_MINIMUM, id);
  }
});

test('surveillance@study: a smaller study agrees with every number of the page', () => {
  const shown = rowsOf(PAGE);
  const rows = rowsOf(studyText(SERIES));
  assert.equal(rows.size, 3 + 27);
  assert.deepEqual([...shown.keys()], [...rows.keys()]);
  const apart: string[] = [];
  for (const [row, cells] of rows) {
    for (const [index, cell] of cells.entries()) {
      const [, , low, high] = (CELL.exec(cell) ?? []).map(Number);
      const [, , lowShown, highShown] = (CELL.exec(shown.get(row)?.[index] ?? '') ?? []).map(Number);
      // Two intervals of 95 % that touch: 300 numbers, so a wider margin than one interval.
      const slack = Number(high) - Number(low);
      if (!(Number(low) - slack <= Number(highShown) && Number(lowShown) <= Number(high) + slack))
        apart.push(`${row}: ${cell}`);
    }
  }
  assert.deepEqual(apart, []);
});

test('surveillance@study: the same seed gives the same numbers; more cases are found more often', () => {
  assert.deepEqual(falseAlarms(3), falseAlarms(3));
  const any = found(100).filter(({ algorithm, shape }) => algorithm === 'any' && shape === 'point source');
  for (const rate of [0.5, 2, 8]) {
    const shares = any.filter((each) => each.rate === rate).map(({ sensitivity }) => sensitivity.value);
    assert.deepEqual(
      shares,
      shares.toSorted((one, other) => one - other),
      `${rate}`,
    );
  }
});

test('surveillance@study: a judge that never signals finds nothing, and has no false alarm', () => {
  const deaf = { ...STUDIED, thresholds: { c1: 1e9, c2: 1e9, c3: 1e9 }, cusum: undefined };
  assert.ok(falseAlarms(2, deaf).every(({ perLocationYear }) => perLocationYear.value === 0));
  assert.ok(found(5, deaf).every(({ sensitivity }) => sensitivity.value === 0));
});

test('surveillance@study: an outbreak has its cases on the days of its shape', () => {
  const random = (): number => 0.999999;
  for (const [shape, shares] of Object.entries(SHAPES)) {
    assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9, shape);
    const counts = outbreak(shape as keyof typeof SHAPES, 7, random);
    assert.deepEqual([counts.length, counts.at(-1)], [shares.length, 7], shape);
  }
});
