/**
 * Case tables of every prefix, each value against each stored interval: `node scripts/search-cases.ts` writes them, the tests hold them to it.
 * Independent of src: every interval is written out by hand as instants or whole numbers; only the relations of search.html#prefix are computed.
 */
import { writeFileSync } from 'node:fs';

/** Hand-written bounds. `low` belongs to it; `high` does not when `open`, as for dates and for eq and ne of numbers. Undefined ends are open for ever. */
interface Span {
  readonly low: bigint | undefined;
  readonly high: bigint | undefined;
}
const PREFIXES = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'] as const;
type Prefix = (typeof PREFIXES)[number];

const WHY: Readonly<Record<Prefix, string>> = {
  eq: 'the searched range contains the stored one',
  ne: 'the searched range does not contain the stored one',
  gt: 'some of the stored range lies above the searched one',
  lt: 'some of the stored range lies below the searched one',
  ge: 'gt or eq',
  le: 'lt or eq',
  sa: 'the stored range starts after the searched one ends',
  eb: 'the stored range ends before the searched one starts',
  ap: 'the stored range overlaps the searched one, wider by a tenth',
};

const isBelow = (a: bigint | undefined, b: bigint): boolean => a === undefined || a < b;
const isAbove = (a: bigint | undefined, b: bigint): boolean => a === undefined || a > b;

interface Asked {
  readonly low: bigint;
  readonly high: bigint;
}

/** Dates are half open: [low, high). */
function holdsOfDates(prefix: Prefix, { low, high }: Span, asked: Asked): boolean {
  const contained = !isBelow(low, asked.low) && !isAbove(high, asked.high);
  switch (prefix) {
    case 'eq':
      return contained;
    case 'ne':
      return !contained;
    case 'gt':
      return isAbove(high, asked.high);
    case 'lt':
      return isBelow(low, asked.low);
    case 'ge':
      return isAbove(high, asked.high) || contained;
    case 'le':
      return isBelow(low, asked.low) || contained;
    case 'sa':
      return low !== undefined && low >= asked.high;
    case 'eb':
      return high !== undefined && high <= asked.low;
    case 'ap':
      return isAbove(high, asked.low) && isBelow(low, asked.high);
    default:
      return prefix satisfies never;
  }
}

/** Numbers: stored points and closed ranges. eq and ne by the digits given, [low, high); the others by the number itself. */
function holdsOfNumbers(prefix: Prefix, { low, high }: Span, exact: bigint, digits: Asked): boolean {
  const within = low !== undefined && high !== undefined && low >= digits.low && high < digits.high;
  const slack = (exact < 0n ? -exact : exact) / 10n;
  const least = low === high ? low : undefined;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return isAbove(high, exact);
    case 'lt':
      return isBelow(low, exact);
    case 'ge':
      return isAbove(high, exact) || least === exact;
    case 'le':
      return isBelow(low, exact) || least === exact;
    case 'sa':
      return low !== undefined && low > exact;
    case 'eb':
      return high !== undefined && high < exact;
    case 'ap':
      return !isBelow(high ?? exact + slack, exact - slack) && !isAbove(low ?? exact - slack, exact + slack);
    default:
      return prefix satisfies never;
  }
}

type Row = readonly [query: string, ids: readonly string[], why: string];
type Stored = readonly [id: string, content: object, low: bigint | undefined, high: bigint | undefined];
type Searched = readonly [value: string, exact: bigint, low: bigint, high: bigint];

const ms = (instant: string): bigint => BigInt(Date.parse(instant));
/** What the tests take for now. */
const NOW = ms('2026-01-01T00:00:00Z');

/** [value, first instant, first instant after it]. */
type SearchedDate = readonly [value: string, low: string, high: string];
type StoredDate = readonly [id: string, content: object, low: string | undefined, high: string | undefined];

function dateRows(query: string, stored: readonly StoredDate[], searched: readonly SearchedDate[]): readonly Row[] {
  return searched.flatMap(([value, from, to]) =>
    PREFIXES.map((prefix): Row => {
      const gap = NOW - ms(from);
      const slack = prefix === 'ap' ? (gap < 0n ? -gap : gap) / 10n : 0n;
      const asked = { low: ms(from) - slack, high: ms(to) + slack };
      const spanOf = (low: string | undefined, high: string | undefined): Span => ({
        low: low === undefined ? undefined : ms(low),
        high: high === undefined ? undefined : ms(high),
      });
      const ids = stored.filter(([, , low, high]) => holdsOfDates(prefix, spanOf(low, high), asked)).map(([id]) => id);
      return [`${query}=${prefix}${value}`, ids, `${prefix}: ${WHY[prefix]}`];
    }),
  );
}

function numberRows(
  query: string,
  stored: readonly Stored[],
  searched: readonly Searched[],
  unit = '',
): readonly Row[] {
  return searched.flatMap(([value, exact, low, high]) =>
    PREFIXES.map((prefix): Row => {
      const ids = stored
        .filter(([, , from, to]) => holdsOfNumbers(prefix, { low: from, high: to }, exact, { low, high }))
        .map(([id]) => id);
      return [`${query}=${prefix}${value}${unit}`, ids, `${prefix}: ${WHY[prefix]}`];
    }),
  );
}

const OBSERVED: readonly StoredDate[] = [
  ['year', { effectiveDateTime: '2020' }, '2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z'],
  ['month', { effectiveDateTime: '2020-02' }, '2020-02-01T00:00:00Z', '2020-03-01T00:00:00Z'],
  ['leap', { effectiveDateTime: '2020-02-29' }, '2020-02-29T00:00:00Z', '2020-03-01T00:00:00Z'],
  ['noon', { effectiveDateTime: '2020-02-29T12:00:00Z' }, '2020-02-29T12:00:00Z', '2020-02-29T12:00:01Z'],
  ['noon.0', { effectiveDateTime: '2020-02-29T12:00:00.000Z' }, '2020-02-29T12:00:00.000Z', '2020-02-29T12:00:00.001Z'],
  ['noon.9', { effectiveDateTime: '2020-02-29T12:00:00.9Z' }, '2020-02-29T12:00:00.900Z', '2020-02-29T12:00:01.000Z'],
  ['east', { effectiveDateTime: '2020-03-01T01:30:00+14:00' }, '2020-02-29T11:30:00Z', '2020-02-29T11:30:01Z'],
  ['west', { effectiveDateTime: '2020-02-29T23:30:00-12:00' }, '2020-03-01T11:30:00Z', '2020-03-01T11:30:01Z'],
  ['half', { effectiveDateTime: '2020-02-29T17:30:00+05:30' }, '2020-02-29T12:00:00Z', '2020-02-29T12:00:01Z'],
  ['last', { effectiveInstant: '2020-02-29T23:59:59.999Z' }, '2020-02-29T23:59:59.999Z', '2020-03-01T00:00:00Z'],
  [
    'days',
    { effectivePeriod: { start: '2020-02-28', end: '2020-03-01' } },
    '2020-02-28T00:00:00Z',
    '2020-03-02T00:00:00Z',
  ],
  ['years', { effectivePeriod: { start: '2019', end: '2020' } }, '2019-01-01T00:00:00Z', '2021-01-01T00:00:00Z'],
  ['until', { effectivePeriod: { end: '2020-02-28' } }, undefined, '2020-02-29T00:00:00Z'],
  ['since', { effectivePeriod: { start: '2020-03-01T00:00:00Z' } }, '2020-03-01T00:00:00Z', undefined],
  [
    'events',
    { effectiveTiming: { event: ['2020-03-05', '2020-02-20'] } },
    '2020-02-20T00:00:00Z',
    '2020-03-06T00:00:00Z',
  ],
  [
    'bounds',
    { effectiveTiming: { repeat: { boundsPeriod: { start: '2020-02-29', end: '2020-02-29' } } } },
    '2020-02-29T00:00:00Z',
    '2020-03-01T00:00:00Z',
  ],
  [
    'endless',
    { effectiveTiming: { repeat: { boundsPeriod: { start: '2020-02' } } } },
    '2020-02-01T00:00:00Z',
    undefined,
  ],
];
const OBSERVATION_DATES: readonly SearchedDate[] = [
  ['2019', '2019-01-01T00:00:00Z', '2020-01-01T00:00:00Z'],
  ['2020', '2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z'],
  ['2021', '2021-01-01T00:00:00Z', '2022-01-01T00:00:00Z'],
  ['2020-02', '2020-02-01T00:00:00Z', '2020-03-01T00:00:00Z'],
  ['2020-02-28', '2020-02-28T00:00:00Z', '2020-02-29T00:00:00Z'],
  ['2020-02-29', '2020-02-29T00:00:00Z', '2020-03-01T00:00:00Z'],
  ['2020-03-01', '2020-03-01T00:00:00Z', '2020-03-02T00:00:00Z'],
  ['2020-02-29T12:00Z', '2020-02-29T12:00:00Z', '2020-02-29T12:01:00Z'],
  ['2020-02-29T12:00', '2020-02-29T12:00:00Z', '2020-02-29T12:01:00Z'],
  ['2020-02-29T12:00:00Z', '2020-02-29T12:00:00Z', '2020-02-29T12:00:01Z'],
  ['2020-02-29T12:00:00.000Z', '2020-02-29T12:00:00.000Z', '2020-02-29T12:00:00.001Z'],
  ['2020-02-29T12:00:00.9Z', '2020-02-29T12:00:00.900Z', '2020-02-29T12:00:01.000Z'],
  ['2020-02-29T13:30:00%2B02:00', '2020-02-29T11:30:00Z', '2020-02-29T11:30:01Z'],
  ['2020-02-29T23:59:59.999Z', '2020-02-29T23:59:59.999Z', '2020-03-01T00:00:00.000Z'],
  ['2020-03-01T00:00:00Z', '2020-03-01T00:00:00Z', '2020-03-01T00:00:01Z'],
];
const BORN: readonly StoredDate[] = [
  ['year', { birthDate: '1970' }, '1970-01-01T00:00:00Z', '1971-01-01T00:00:00Z'],
  ['month', { birthDate: '1970-01' }, '1970-01-01T00:00:00Z', '1970-02-01T00:00:00Z'],
  ['first', { birthDate: '1970-01-01' }, '1970-01-01T00:00:00Z', '1970-01-02T00:00:00Z'],
  ['eve', { birthDate: '1969-12-31' }, '1969-12-31T00:00:00Z', '1970-01-01T00:00:00Z'],
  ['old', { birthDate: '1900-02-28' }, '1900-02-28T00:00:00Z', '1900-03-01T00:00:00Z'],
];
const BIRTH_DATES: readonly SearchedDate[] = [
  ['1969', '1969-01-01T00:00:00Z', '1970-01-01T00:00:00Z'],
  ['1970', '1970-01-01T00:00:00Z', '1971-01-01T00:00:00Z'],
  ['1971', '1971-01-01T00:00:00Z', '1972-01-01T00:00:00Z'],
  ['1969-12', '1969-12-01T00:00:00Z', '1970-01-01T00:00:00Z'],
  ['1970-01', '1970-01-01T00:00:00Z', '1970-02-01T00:00:00Z'],
  ['1969-12-31', '1969-12-31T00:00:00Z', '1970-01-01T00:00:00Z'],
  ['1970-01-01', '1970-01-01T00:00:00Z', '1970-01-02T00:00:00Z'],
  ['1900-03-01', '1900-03-01T00:00:00Z', '1900-03-02T00:00:00Z'],
];
const STARTING: readonly StoredDate[] = [
  ['before', { start: '2025-06-01T08:59:59.999Z' }, '2025-06-01T08:59:59.999Z', '2025-06-01T09:00:00Z'],
  ['nine', { start: '2025-06-01T09:00:00Z' }, '2025-06-01T09:00:00Z', '2025-06-01T09:00:01Z'],
  ['summer', { start: '2025-06-01T11:00:00+02:00' }, '2025-06-01T09:00:00Z', '2025-06-01T09:00:01Z'],
  ['after', { start: '2025-06-01T09:00:01.000Z' }, '2025-06-01T09:00:01Z', '2025-06-01T09:00:01.001Z'],
];
const STARTS: readonly SearchedDate[] = [
  ['2025-06-01', '2025-06-01T00:00:00Z', '2025-06-02T00:00:00Z'],
  ['2025-06-01T09:00Z', '2025-06-01T09:00:00Z', '2025-06-01T09:01:00Z'],
  ['2025-06-01T09:00:00Z', '2025-06-01T09:00:00Z', '2025-06-01T09:00:01Z'],
  ['2025-06-01T09:00:01Z', '2025-06-01T09:00:01Z', '2025-06-01T09:00:02Z'],
];

/** In thousandths. */
const point = (id: string, value: number, thousandths: bigint): Stored => [
  id,
  { prediction: [{ probabilityDecimal: value }] },
  thousandths,
  thousandths,
];
const LIKELY: readonly Stored[] = [
  point('0.449', 0.449, 449n),
  point('0.45', 0.45, 450n),
  point('0.494', 0.494, 494n),
  point('0.495', 0.495, 495n),
  point('0.5', 0.5, 500n),
  point('0.504', 0.504, 504n),
  point('0.505', 0.505, 505n),
  point('0.549', 0.549, 549n),
  point('0.55', 0.55, 550n),
  point('0', 0, 0n),
  point('1', 1, 1000n),
  ['some', { prediction: [{ probabilityRange: { low: { value: 0.46 }, high: { value: 0.54 } } }] }, 460n, 540n],
  ['most', { prediction: [{ probabilityRange: { low: { value: 0.5 } } }] }, 500n, undefined],
  ['less', { prediction: [{ probabilityRange: { high: { value: 0.5 } } }] }, undefined, 500n],
];
const PROBABILITIES: readonly Searched[] = [
  ['0.5', 500n, 450n, 550n],
  ['0.50', 500n, 495n, 505n],
  ['0', 0n, -500n, 500n],
  ['1', 1000n, 500n, 1500n],
  ['-1', -1000n, -1500n, -500n],
];

/** In hundredths of a microgram. */
const mass = (id: string, value: number, code: string, units: bigint, comparator?: '<' | '>'): Stored => [
  id,
  {
    valueQuantity: {
      value,
      system: 'http://unitsofmeasure.org',
      code,
      ...(comparator === undefined ? {} : { comparator }),
    },
  },
  comparator === '<' ? undefined : units,
  comparator === '>' ? undefined : units,
];
const WEIGHED: readonly Stored[] = [
  mass('99.4mg', 99.4, 'mg', 9_940_000n),
  mass('99.5mg', 99.5, 'mg', 9_950_000n),
  mass('100mg', 100, 'mg', 10_000_000n),
  mass('0.1g', 0.1, 'g', 10_000_000n),
  mass('100000ug', 100_000, 'ug', 10_000_000n),
  mass('100.4mg', 100.4, 'mg', 10_040_000n),
  mass('100.5mg', 100.5, 'mg', 10_050_000n),
  mass('110mg', 110, 'mg', 11_000_000n),
  mass('110.1mg', 110.1, 'mg', 11_010_000n),
  mass('0.0001kg', 0.0001, 'kg', 10_000_000n),
  mass('less', 100, 'mg', 10_000_000n, '<'),
  mass('more', 100, 'mg', 10_000_000n, '>'),
];
const MASSES: readonly Searched[] = [
  ['100|http://unitsofmeasure.org|mg', 10_000_000n, 9_950_000n, 10_050_000n],
  ['100.0|http://unitsofmeasure.org|mg', 10_000_000n, 9_995_000n, 10_005_000n],
  ['0.1|http://unitsofmeasure.org|g', 10_000_000n, 5_000_000n, 15_000_000n],
  ['99.5|http://unitsofmeasure.org|mg', 9_950_000n, 9_945_000n, 9_955_000n],
  ['101|http://unitsofmeasure.org|mg', 10_100_000n, 10_050_000n, 10_150_000n],
];

/** Elements that validation asks for and no row is about. */
const OF: Readonly<Record<string, object>> = {
  Observation: { status: 'final', code: { text: 'x' } },
  Slot: { schedule: { reference: 'Schedule/1' }, status: 'free', end: '2025-06-01T12:00:00Z' },
  RiskAssessment: { status: 'final', subject: { reference: 'Patient/1' } },
};
const resourcesOf = (type: string, all: readonly (readonly [string, object, ...unknown[]])[]) =>
  all.map(([id, content]) => ({ resourceType: type, id, ...OF[type], ...content }));

interface CaseFile {
  readonly anchor: string;
  readonly resources: readonly object[];
  readonly rows: readonly Row[];
}

/** File name -> table. */
export const FILES: Readonly<Record<string, CaseFile>> = {
  'search-prefix-date.json': {
    anchor: 'search.html#date',
    resources: [
      ...resourcesOf('Observation', OBSERVED),
      ...resourcesOf('Patient', BORN),
      ...resourcesOf('Slot', STARTING),
    ],
    rows: [
      ...dateRows('date', OBSERVED, OBSERVATION_DATES),
      ...dateRows('Patient?birthdate', BORN, BIRTH_DATES),
      ...dateRows('Slot?start', STARTING, STARTS),
    ],
  },
  'search-prefix-number.json': {
    anchor: 'search.html#number',
    resources: resourcesOf('RiskAssessment', LIKELY),
    rows: numberRows('probability', LIKELY, PROBABILITIES),
  },
  'search-prefix-quantity.json': {
    anchor: 'search.html#quantity',
    resources: resourcesOf('Observation', WEIGHED),
    rows: numberRows('value-quantity', WEIGHED, MASSES),
  },
};

/** One resource and one row a line, so that a change of the table reads as one. */
export function caseText({ anchor, resources, rows }: CaseFile): string {
  const lines = (all: readonly unknown[]) => all.map((each) => `    ${JSON.stringify(each)}`).join(',\n');
  return `{\n  "anchor": "${anchor}",\n  "resources": [\n${lines(resources)}\n  ],\n  "rows": [\n${lines(rows)}\n  ]\n}\n`;
}

if (import.meta.main) {
  for (const [name, file] of Object.entries(FILES)) {
    writeFileSync(new URL(`../test/fhir/cases/${name}`, import.meta.url), caseText(file));
    console.log(`${name}: ${file.rows.length} rows`);
  }
}
