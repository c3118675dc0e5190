/** Data as text that no card renderer can mistake for markup. Source: CDS Hooks 2.0.1 "Card Attributes" and security considerations; GFM for what must be escaped. */

/** Longest piece of data (a name, a unit) on a card, in UTF-16 units. */
export const DATA_LIMIT = 60;

/** Control, zero-width, bidirectional, private and unpaired-surrogate characters: nothing a person reads. */
const INVISIBLE =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u2028\u2029\u115f\u1160\u3164\uffa0]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;
const SPACE = /\s+/gu;

/** Runs of what is not printable ASCII: only these are looked at by Unicode class. */
const OTHERS = /[^ -~]+/g;
const OTHERS_IN_LINES = /[^ -~\n]+/g;
/** Most data is that, in one line. */
const ONE_LINE_OF_ASCII = /^[!-~]+(?: [!-~]+)*$/;

/** One line of visible characters, single spaces between. */
function visible(data: string): string {
  if (ONE_LINE_OF_ASCII.test(data)) return data;
  return data.replace(SPACE, ' ').replace(INVISIBLE, '').replace(SPACE, ' ').trim();
}

/** True when text holds a character that is invisible or changes the direction of others; line feeds are allowed on request. */
export function hasInvisible(text: string, lineFeeds: boolean): boolean {
  return text.match(lineFeeds ? OTHERS_IN_LINES : OTHERS)?.some((run) => run.search(INVISIBLE) >= 0) ?? false;
}

/**
 * Cuts at a word boundary and marks the cut with an ellipsis; never splits a surrogate pair.
 * @param limit most UTF-16 units of the answer, at least 2; code points are never more than units
 */
export function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const head = text.slice(0, limit - 1);
  const space = head.lastIndexOf(' ');
  const whole = text[limit - 1] === ' ' ? head : space > limit / 2 ? head.slice(0, space) : head;
  return `${whole.replace(/[\ud800-\udbff]$/u, '').replace(/[\s,;:.(–-]+$/u, '')}…`;
}

/** Data for a plain-text field (summary, label): one line, visible characters only, angle brackets replaced, at most `limit` units. */
export function plain(data: string, limit: number = DATA_LIMIT): string {
  return cut(visible(data).replaceAll('<', '‹').replaceAll('>', '›'), limit);
}

/** Every character that `escaped` replaces, and `www.`. */
const MAY_BE_MARKUP = /[@\\`*_[\]|~#!{}&<>]|:\/\/|www\./i;

/**
 * Data for the markdown detail: as `plain`, with every character of markdown and HTML escaped, and addresses broken so that no renderer
 * makes links of them (GFM turns `www.`, `://` and `@` in plain text into links). Data never begins a line of a card, so list markers stay.
 */
export function escaped(data: string, limit: number = DATA_LIMIT): string {
  const text = cut(visible(data), limit);
  if (!MAY_BE_MARKUP.test(text)) return text;
  return text
    .replaceAll('@', ' at ')
    .replaceAll('://', ': //')
    .replace(/\bwww\./giu, 'www .')
    .replace(/[\\`*_[\]|~#!{}]/gu, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}

/** `2026-11-22 00:54 UTC` of ms since 1970. */
export function instantText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `2026-11-22` of ms since 1970: for what is not measured by the hour. */
export const dateText = (at: number): string => new Date(at).toISOString().slice(0, 10);

/** UCUM units that are written otherwise on charts. */
const UNITS: Readonly<Record<string, string>> = {
  a: 'years',
  mo: 'months',
  d: 'days',
  Cel: '°C',
  'mm[Hg]': 'mmHg',
  '10*3/uL': '×10³/µL',
  '10*9/L': '×10⁹/L',
};

/** UCUM writes micro as u. */
const MICRO = /\bu(?=(?:g|mol|L|\[IU\])(?![A-Za-z]))/g;

/** A unit as charts write it; nothing for counts and scores. */
export function unitText(unit: string): string {
  if (unit === '1' || unit.startsWith('{')) return '';
  return Object.hasOwn(UNITS, unit) ? (UNITS[unit] ?? unit) : unit.replace(MICRO, 'µ').replaceAll('[IU]', 'IU');
}

/** `126 /min`, `65 years`, `breathing difficulty`: at most three digits beyond the point. */
export function valueText(value: number | string, unit: string): string {
  const shown = typeof value === 'number' ? String(Number(value.toFixed(3))) : value;
  return `${shown} ${unitText(unit)}`.trim();
}

/** A probability as people say it: `60 %`, below ten with one digit. */
export function percentText(probability: number): string {
  return `${Number((probability * 100).toFixed(probability < 0.1 ? 1 : 0))} %`;
}
