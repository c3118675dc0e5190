// FHIR R4 datatypes.html#date, #dateTime, #Period, #Timing: what a partial date says, as [low, high) in ms, UTC where no zone is given.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DAWN, DUSK } from '../../src/fhir/search/algebra.ts';
import { instantText, intervalOf, periodInterval, timingInterval } from '../../src/fhir/time.ts';

const SECOND = 1000;
const DAY = 86_400_000;

const intervals: readonly [text: string, low: number, high: number, why: string][] = [
  ['1970', 0, 365 * DAY, 'a year'],
  ['1972', Date.UTC(1972, 0), Date.UTC(1973, 0), 'a leap year'],
  ['1970-01', 0, 31 * DAY, 'a month'],
  ['2000-02', Date.UTC(2000, 1), Date.UTC(2000, 1) + 29 * DAY, 'divisible by 400: leap'],
  ['1900-02', Date.UTC(1900, 1), Date.UTC(1900, 1) + 28 * DAY, 'divisible by 100: not leap'],
  ['2024-12', Date.UTC(2024, 11), Date.UTC(2025, 0), 'December ends with the year'],
  ['1970-01-01', 0, DAY, 'a day'],
  ['2024-02-29', Date.UTC(2024, 1, 29), Date.UTC(2024, 2, 1), 'the leap day'],
  ['1970-01-01T00:01', 60 * SECOND, 120 * SECOND, 'a minute'],
  ['1970-01-01T00:00:01Z', SECOND, 2 * SECOND, 'a second'],
  ['1970-01-01T00:00:00.5Z', 500, 600, 'a tenth'],
  ['1970-01-01T00:00:00.05Z', 50, 60, 'a hundredth'],
  ['1970-01-01T00:00:00.005Z', 5, 6, 'a millisecond'],
  ['1970-01-01T00:00:00.005999Z', 5, 6, 'further digits are cut off'],
  ['1970-01-01T00:00:00+14:00', -14 * 3600 * SECOND, -14 * 3600 * SECOND + SECOND, 'farthest east'],
  ['1970-01-01T00:00:00-00:30', 1800 * SECOND, 1801 * SECOND, 'west'],
  ['1969-12-31T23:59:59.999Z', -1, 0, 'before 1970'],
  ['0001-01-01', -62_135_596_800_000, -62_135_596_800_000 + DAY, 'the first day'],
  ['9999-12-31T23:59:59Z', 253_402_300_799_000, 253_402_300_800_000, 'the last second'],
];
test('fhir-r4@datatypes-dateTime: intervals by precision', () => {
  for (const [text, low, high, why] of intervals) assert.deepEqual(intervalOf(text), { low, high }, `${text}: ${why}`);
});

const refused = [
  '',
  '70',
  '0000',
  '1970-1',
  '1970-00',
  '1970-13',
  '1970-01-00',
  '1970-01-32',
  '1970-02-29',
  '1900-02-29',
  '1970-04-31',
  '1970-01-01T',
  '1970-01-01T00',
  '1970-01-01T24:00Z',
  '1970-01-01T00:60Z',
  '1970-01-01T00:00:60Z',
  '1970-01-01T00:00:00.Z',
  '1970-01-01T00:00:00+14:01',
  '1970-01-01T00:00:00+02:60',
  '1970-01-01T00:00:00z',
  '1970-01-01 00:00:00Z',
  '1970-01-01Z',
  ' 1970',
  '1970 ',
  '1970\n',
  '+1970',
  '19700',
  '1970-01-01T00:00:00Z[UTC]',
  '１９７０',
];
test('fhir-r4@datatypes-dateTime: what is no date', () => {
  assert.deepEqual(
    refused.filter((text) => intervalOf(text) !== undefined),
    [],
  );
});

test('every instant reads back to its own millisecond, and its text is what Date prints', () => {
  const ms = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 });
  fc.assert(
    fc.property(ms, (at) => {
      const text = instantText(at);
      assert.equal(text, new Date(at).toISOString());
      assert.deepEqual(intervalOf(text), { low: at, high: at + 1 });
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => intervalOf(text) === undefined || /^\d{4}/.test(text)),
  );
});

test('fhir-r4@datatypes-Period: outer ends, open ends, and what is no period', () => {
  const day = intervalOf('2020-05-05');
  assert.ok(day);
  assert.deepEqual(periodInterval({ start: '2020-05-05', end: '2020-05-05' }), day);
  assert.deepEqual(periodInterval({ start: '2020-05-05' }), { low: day.low, high: DUSK });
  assert.deepEqual(periodInterval({ end: '2020-05-05' }), { low: DAWN, high: day.high });
  assert.equal(periodInterval({}), undefined);
  assert.equal(periodInterval({ start: '2020-05-06', end: '2020-05-05' }), undefined, 'reversed');
  assert.equal(periodInterval({ start: 'x', end: '2020-05-05' }), undefined, 'malformed');
});

test('fhir-r4@datatypes-Timing: outer bounds of events and boundsPeriod', () => {
  const both = timingInterval({
    event: ['2020-03', '2020-01-05'],
    repeat: { boundsPeriod: { start: '2020-02', end: '2020-04' } },
  });
  assert.deepEqual(both, { low: Date.UTC(2020, 0, 5), high: Date.UTC(2020, 4) });
  assert.equal(timingInterval({ repeat: { frequency: 1 } }), undefined);
});
