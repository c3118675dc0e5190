/**
 * Partial dates as half-open intervals of milliseconds; the only date arithmetic of the project.
 * Source: FHIR R4 datatypes.html#date, #dateTime, #instant, #Period, #Timing; search.html#date.
 */
import { isJsonObject, type Json, type JsonObject } from './resource.ts';
import { DAWN, DUSK } from './search/algebra.ts';

/** [low, high) in ms since 1970-01-01T00:00:00Z. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const FORM = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,30}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;

/** Days from 1970-01-01 to a Gregorian date; month 1 to 12. Source: Hinnant, chrono-compatible low-level date algorithms. */
function dayNumber(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  return (
    era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
  );
}

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

/** Number of days of a month, 1 to 12. */
function daysIn(year: number, month: number): number {
  return month === 2 && isLeap(year) ? 29 : (MONTH_DAYS[month - 1] ?? 0);
}

/** Offset from UTC in ms of `Z`, `+02:00`, or nothing (UTC); undefined outside -14:00 to +14:00. */
function zoneOffset(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (minutes > 59 || hours * 60 + minutes > 14 * 60) return undefined;
  const offset = hours * HOUR + minutes * MINUTE;
  return zone.startsWith('-') ? -offset : offset;
}

/** The day part; undefined when there is no such day in the calendar. */
function dayInterval(year: number, monthText: string | undefined, dayText: string | undefined): Interval | undefined {
  if (year === 0) return undefined;
  if (monthText === undefined) return { low: dayNumber(year, 1, 1) * DAY, high: dayNumber(year + 1, 1, 1) * DAY };
  const month = Number(monthText);
  if (month < 1 || month > 12) return undefined;
  const first = dayNumber(year, month, 1) * DAY;
  const length = daysIn(year, month);
  if (dayText === undefined) return { low: first, high: first + length * DAY };
  const day = Number(dayText);
  if (day < 1 || day > length) return undefined;
  const low = first + (day - 1) * DAY;
  return { low, high: low + DAY };
}

/** ms after midnight and the width of the precision; undefined when out of range (24:00, second 60). */
function timeOfDay(
  hourText: string,
  minuteText: string | undefined,
  secondText: string | undefined,
  fraction: string | undefined,
): { readonly at: number; readonly width: number } | undefined {
  const hour = Number(hourText);
  const minute = Number(minuteText);
  const second = Number(secondText ?? 0);
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const at = hour * HOUR + minute * MINUTE + second * SECOND;
  if (secondText === undefined) return { at, width: MINUTE };
  if (fraction === undefined) return { at, width: SECOND };
  const width = fraction.length === 1 ? 100 : fraction.length === 2 ? 10 : 1;
  return { at: at + Number(fraction.slice(0, 3)) * width, width };
}

/**
 * What a date, dateTime or instant text says: [low, high) in ms by the precision given, from a year down to a millisecond.
 * Minutes without seconds are accepted (search values have them). Further digits of a second are cut off. No zone means UTC.
 * @returns undefined when the text is not of the grammar or names no day of the calendar; year 0000, hour 24 and second 60 included
 */
export function intervalOf(text: string): Interval | undefined {
  const form = FORM.exec(text);
  if (form === null) return undefined;
  const day = dayInterval(Number(form[1]), form[2], form[3]);
  if (day === undefined || form[4] === undefined) return day;
  const time = timeOfDay(form[4], form[5], form[6], form[7]);
  const offset = zoneOffset(form[8]);
  if (time === undefined || offset === undefined) return undefined;
  const low = day.low + time.at - offset;
  return { low, high: low + time.width };
}

/** The start of the UTC day of an instant, in ms. */
export function dayStart(at: number): number {
  return Math.floor(at / DAY) * DAY;
}

const textInterval = (value: Json | undefined): Interval | undefined =>
  typeof value === 'string' ? intervalOf(value) : undefined;

/** Period: from the start of `start` to the end of `end`; an open end is DAWN or DUSK. Undefined when empty, malformed or reversed. */
export function periodInterval(period: JsonObject): Interval | undefined {
  const start = textInterval(period.start);
  const end = textInterval(period.end);
  if ((start === undefined && period.start !== undefined) || (end === undefined && period.end !== undefined)) {
    return undefined;
  }
  if (start === undefined && end === undefined) return undefined;
  const low = start?.low ?? DAWN;
  const high = end?.high ?? DUSK;
  return low < high ? { low, high } : undefined;
}

/** Timing: outer bounds of its events and `repeat.boundsPeriod`; undefined when it has neither. */
export function timingInterval(timing: JsonObject): Interval | undefined {
  const events = Array.isArray(timing.event) ? timing.event.map(textInterval) : [];
  const repeat = timing.repeat;
  const bounds = isJsonObject(repeat) ? repeat.boundsPeriod : undefined;
  const known = [...events, isJsonObject(bounds) ? periodInterval(bounds) : undefined].filter(
    (one) => one !== undefined,
  );
  if (known.length === 0) return undefined;
  let low = DUSK;
  let high = DAWN;
  for (const one of known) {
    low = Math.min(low, one.low);
    high = Math.max(high, one.high);
  }
  return { low, high };
}

let cachedDay = Number.NaN;
let cachedText = '';
const two = (value: number): string => (value < 10 ? `0${value}` : `${value}`);
const three = (value: number): string => (value < 10 ? `00${value}` : value < 100 ? `0${value}` : `${value}`);

/**
 * `2026-01-02T03:04:05.006Z` of whole ms since 1970. The day's text is remembered, as neighbouring calls share it.
 * @throws RangeError outside what a Date can hold
 */
export function instantText(ms: number): string {
  const day = Math.floor(ms / DAY);
  if (day !== cachedDay) {
    cachedText = new Date(day * DAY).toISOString().slice(0, -13);
    cachedDay = day;
  }
  const rest = ms - day * DAY;
  const hour = Math.floor(rest / HOUR);
  const minute = Math.floor((rest % HOUR) / MINUTE);
  const second = Math.floor((rest % MINUTE) / SECOND);
  return `${cachedText}${two(hour)}:${two(minute)}:${two(second)}.${three(Math.floor(rest % SECOND))}Z`;
}
