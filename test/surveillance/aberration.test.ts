// docs/surveillance.md, Algorithms. Hutwagner 2003 (EARS C1 to C3), Page 1954 (CUSUM): values by hand, both sides of each threshold.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Algorithm, type Counts, type Detection, judge, reachOf } from '../../src/surveillance/aberration.ts';

const DETECTION: Detection = {
  baselineDays: 7,
  lagDays: 2,
  minimumDays: 5,
  minimumDeviation: 0.5,
  thresholds: { c1: 3, c2: 3, c3: 2 },
  cusum: { k: 0.5, h: 4, baselineDays: 7, runDays: 3 },
};
const judged = (counts: Counts, algorithm: Algorithm, detection = DETECTION) =>
  judge(counts, detection).find((each) => each.algorithm === algorithm);

/** Mean 3, sample deviation 2 (squares 9+9+1+1+4 = 24, 24/6 = 4). */
const BASE = [0, 6, 2, 4, 3, 5, 1];
const SQUARES = 28;
const deviation = Math.sqrt(SQUARES / 6);
const flat = (count: number, days: number): Counts => Array.from({ length: days }, () => count);
const missing = (days: number): Counts => Array.from({ length: days }, () => undefined);

const rows: readonly [Algorithm, Counts, value: number | undefined, isSignal: boolean, why: string][] = [
  ['c1', [...BASE, 3], 0, false, 'control: the mean itself'],
  ['c1', [...BASE, 10], 7 / deviation, true, 'above 3 deviations'],
  ['c1', [...BASE, 9], 6 / deviation, false, 'below 3 deviations'],
  ['c1', [...flat(1, 7), 2], 2, false, 'a baseline without variance: the least deviation, 0.5'],
  ['c1', [...flat(1, 7), 2.5], 3, false, 'equal to the threshold is no signal'],
  ['c1', [...flat(1, 7), 3], 4, true, 'the next whole count is'],
  ['c1', [...flat(0, 7), 1], 2, false, 'all zeros: one case is no signal'],
  ['c1', [...flat(0, 7), 2], 4, true, 'all zeros: two are'],
  ['c1', [99, ...flat(1, 7), 1], 0, false, 'the day before the baseline is not in it'],
  ['c1', [99, ...flat(1, 6), 1], (1 - 15) / Math.sqrt((84 ** 2 + 6 * 14 ** 2) / 6), false, 'its first day is'],
  [
    'c1',
    [...flat(1, 6), 99, 1],
    (1 - 15) / Math.sqrt((84 ** 2 + 6 * 14 ** 2) / 6),
    false,
    'its last day is the day before',
  ],
  ['c1', [...missing(2), ...flat(1, 5), 3], 4, true, 'two of seven days missing: judged by five'],
  ['c1', [...missing(3), ...flat(1, 4), 3], undefined, false, 'three missing: not judged'],
  ['c1', [...flat(1, 4), 3], undefined, false, 'days before the first are missing'],
  ['c1', [...flat(1, 7), undefined], undefined, false, 'the day itself is missing: not judged'],
  ['c1', [0, undefined, 0, 0, undefined, 0, 0, 2], 4, true, 'a missing day is not 0, wherever it is'],
  ['c2', [...BASE, 50, 50, 10], 7 / deviation, true, 'the two days before are in no baseline'],
  ['c2', [...BASE, 50, 50, 9], 6 / deviation, false, 'below 3 deviations'],
  ['c2', [99, ...flat(1, 7), 0, 0, 2], 2, false, 't-10 is not in the baseline'],
  ['c2', [...flat(1, 7), 0, 0, 3], 4, true, 't-9 to t-3 are'],
  ['c3', [...flat(1, 9), 1, 1, 2], 1, false, 'one day of 2 deviations: 2 - 1'],
  ['c3', [...flat(1, 9), 1, 2, 2], 2, false, 'two days: 2 is not above 2'],
  ['c3', [...flat(1, 9), 2, 2, 2], 3, true, 'three days: 3 is'],
  ['c3', [...flat(1, 9), 2, 2, 0], 2, false, 'a day below the mean takes nothing away'],
  ['c3', [...flat(1, 8), 3, 1, 1, 1], 0, false, 't-3 is not in the sum'],
  ['c3', [...flat(1, 9), undefined, 2, 2.5], 3, true, 'a missing day before adds nothing'],
  ['c3', [...flat(1, 9), 3, 3, undefined], undefined, false, 'the day itself is missing'],
  ['cusum', [...flat(1, 7), 1, 1, 1], 0, false, 'control: at the mean nothing adds up'],
  ['cusum', [...flat(1, 7), 2, 2, 1.75], 4, false, 'three days of z - k: 1.5 + 1.5 + 1, equal is no signal'],
  ['cusum', [...flat(1, 7), 2, 2, 2], 4.5, true, 'above h'],
  ['cusum', [...flat(1, 7), 2, 0, 2], 1.5, false, 'the sum never goes below 0, and starts again there'],
  ['cusum', [...flat(1, 7), 2, undefined, 2], 3, false, 'a missing day leaves the sum as it is'],
  ['cusum', [...flat(1, 7), 2, 2, undefined], undefined, false, 'the day itself is missing'],
  ['cusum', [...flat(1, 4), 2, 2, 2], undefined, false, 'a baseline of four days is too short'],
];
for (const [algorithm, counts, value, isSignal, why] of rows) {
  test(`surveillance@${algorithm}: ${why}`, () => {
    const found = judged(counts, algorithm);
    assert.equal(found?.isSignal ?? false, isSignal);
    if (value === undefined) assert.equal(found, undefined);
    else assert.ok(Math.abs((found?.value ?? Number.NaN) - value) < 1e-12, `${found?.value} is not ${value}`);
  });
}

test('surveillance@thresholds: an algorithm that the definition does not name is not asked', () => {
  const only: Detection = { ...DETECTION, thresholds: { c2: 3 }, cusum: undefined };
  assert.deepEqual(
    judge([...flat(1, 11), 9], only).map(({ algorithm }) => algorithm),
    ['c2'],
  );
  assert.equal(judged([...flat(1, 11), 2], 'c1', { ...DETECTION, thresholds: { c1: 1.99 } })?.isSignal, true);
  assert.equal(judged([...flat(1, 11), 2], 'c1', { ...DETECTION, thresholds: { c1: 2 } })?.isSignal, false);
});

test('surveillance@reach: days before the reach change nothing, the first of them does', () => {
  assert.equal(reachOf(DETECTION), 12);
  assert.equal(reachOf({ ...DETECTION, cusum: { k: 0.5, h: 4, baselineDays: 28, runDays: 14 } }), 42);
  const days = [...flat(1, 9), 9, 1, 9];
  const values = (counts: Counts) => judge(counts, { ...DETECTION, cusum: undefined }).map(({ value }) => value);
  assert.deepEqual(values([77, ...days]), values(days));
  assert.notDeepEqual(values([77, ...days.slice(1)]), values(days));
});
