/**
 * Days of the site: an instant belongs to the calendar day of the site's time zone, whether that day has 23, 24 or 25 hours.
 * Source: ECMA-402 Intl.DateTimeFormat with IANA time zones. A date without time is the day it names.
 */
import { intervalOf } from '../fhir/time.ts';

/** `2026-03-29`. */
export type Day = string;

const HOUR = 3_600_000;
const DAY_MS = 24 * HOUR;
const DAY_TEXT = /^\d{4}-\d{2}-\d{2}$/;
/** Local midnight of no zone is farther from that of UTC. */
const FARTHEST_MS = 16 * HOUR;

const formats = new Map<string, Intl.DateTimeFormat>();

/** True for what names a time zone: `Europe/Berlin`, `UTC`. */
export function isTimeZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    // The only way Intl says that it knows no such zone.
    return false;
  }
}

/** True for a day of the calendar. */
export function isDay(text: string): boolean {
  return DAY_TEXT.test(text) && intervalOf(text) !== undefined;
}

/** Day of an instant, ms since 1970. */
export function dayOf(at: number, zone: string): Day {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  return `${parts.get('year')?.padStart(4, '0')}-${parts.get('month')}-${parts.get('day')}`;
}

/** Day of a date or dateTime text; undefined for a year, a month or what is no date. */
export function dayOfText(text: string, zone: string): Day | undefined {
  if (isDay(text)) return text;
  const interval = text.includes('T') ? intervalOf(text) : undefined;
  return interval && dayOf(interval.low, zone);
}

/** First instant of a day, ms since 1970: midnight, or what comes after it where clocks leap over midnight. */
export function startOf(day: Day, zone: string): number {
  const utc = Date.parse(day);
  let before = utc - FARTHEST_MS;
  let from = utc + FARTHEST_MS;
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2);
    if (dayOf(middle, zone) < day) before = middle;
    else from = middle;
  }
  return from;
}

/** The day `days` after (before, when negative). */
export function plusDays(day: Day, days: number): Day {
  return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);
}

/** The first of some days. */
export function earliest(day: Day, ...others: readonly Day[]): Day {
  return [day, ...others].toSorted()[0] ?? day;
}

/** The last of some days. */
export function latest(day: Day, ...others: readonly Day[]): Day {
  return [day, ...others].toSorted().at(-1) ?? day;
}

/** Days from one to the other, both included; none when `to` is before. */
export function daysFrom(from: Day, to: Day): readonly Day[] {
  const count = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => plusDays(from, index));
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const options = { timeZone: zone, calendar: 'gregory', numberingSystem: 'latn' } as const;
  const format = new Intl.DateTimeFormat('en-u-ca-gregory', {
    ...options,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  formats.set(zone, format);
  return format;
}
