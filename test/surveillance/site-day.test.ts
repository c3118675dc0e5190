// docs/surveillance.md, Days: both sides of midnight of the site, also on days of 23 and 25 hours.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayOf, dayOfText, daysFrom, isDay, isTimeZone, plusDays, startOf } from '../../src/surveillance/site-day.ts';

const HOUR = 3_600_000;
const rows: readonly [zone: string, text: string, day: string | undefined, why: string][] = [
  ['UTC', '2026-01-05T23:59:59.999Z', '2026-01-05', 'control: the last ms'],
  ['UTC', '2026-01-06T00:00:00Z', '2026-01-06', 'the first ms of the next'],
  ['America/New_York', '2026-01-06T04:59:59.999Z', '2026-01-05', 'five hours behind in winter'],
  ['America/New_York', '2026-01-06T05:00:00Z', '2026-01-06', 'and its midnight'],
  ['America/New_York', '2026-07-06T03:59:59.999Z', '2026-07-05', 'four in summer'],
  ['America/New_York', '2026-07-06T04:00:00Z', '2026-07-06', 'and its midnight'],
  ['Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-29', 'start of the day of 23 hours'],
  ['Europe/Berlin', '2026-03-29T21:59:59.999Z', '2026-03-29', 'its last ms'],
  ['Europe/Berlin', '2026-03-29T22:00:00Z', '2026-03-30', '23 hours later the next begins'],
  ['Europe/Berlin', '2026-10-25T22:59:59.999Z', '2026-10-25', 'last ms of the day of 25 hours'],
  ['Europe/Berlin', '2026-10-25T23:00:00Z', '2026-10-26', '25 hours later the next begins'],
  ['Europe/Berlin', '2026-01-05T23:30:00-05:00', '2026-01-06', 'the zone of the text does not decide'],
  ['Asia/Kolkata', '2026-01-05T18:30:00Z', '2026-01-06', 'half hours'],
  ['Europe/Berlin', '2026-01-05', '2026-01-05', 'a date is the day it names'],
  ['America/New_York', '2026-01-05', '2026-01-05', 'in every zone'],
  ['UTC', '2026-01', undefined, 'a month is no day'],
  ['UTC', '2026', undefined, 'a year neither'],
  ['UTC', '2026-02-30', undefined, 'no such day'],
  ['UTC', 'yesterday', undefined, 'no date'],
];
for (const [zone, text, day, why] of rows) {
  test(`surveillance@day ${text} in ${zone}: ${why}`, () => assert.equal(dayOfText(text, zone), day));
}

const lengths: readonly [zone: string, day: string, hours: number][] = [
  ['UTC', '2026-03-29', 24],
  ['Europe/Berlin', '2026-03-29', 23],
  ['Europe/Berlin', '2026-10-25', 25],
  ['America/New_York', '2026-03-08', 23],
  ['America/New_York', '2026-11-01', 25],
  ['Africa/Cairo', '2026-04-24', 23],
  ['Pacific/Kiritimati', '2026-01-01', 24],
  ['Pacific/Pago_Pago', '2026-01-01', 24],
];
for (const [zone, day, hours] of lengths) {
  test(`surveillance@day-length: ${day} in ${zone} has ${hours} hours`, () => {
    const start = startOf(day, zone);
    assert.equal((startOf(plusDays(day, 1), zone) - start) / HOUR, hours);
    assert.deepEqual([dayOf(start - 1, zone), dayOf(start, zone)], [plusDays(day, -1), day]);
  });
}

test('surveillance@days: days are counted over month, year and change of clocks', () => {
  assert.equal(plusDays('2026-02-28', 1), '2026-03-01');
  assert.equal(plusDays('2026-01-01', -1), '2025-12-31');
  assert.deepEqual(daysFrom('2026-03-28', '2026-03-30'), ['2026-03-28', '2026-03-29', '2026-03-30']);
  assert.deepEqual(daysFrom('2026-03-30', '2026-03-28'), []);
  assert.deepEqual(['2026-1-1', '2026-02-30', '2026-01-01'].map(isDay), [false, false, true]);
  assert.deepEqual(['Europe/Berlin', 'UTC', 'Mars/Olympus', ''].map(isTimeZone), [true, true, false, false]);
});
