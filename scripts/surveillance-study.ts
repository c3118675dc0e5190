/**
 * Sensitivity, timeliness and false alarms of the algorithms on simulated outbreaks: `node scripts/surveillance-study.ts [series]` prints the
 * table of docs/surveillance.md. Baselines are Poisson with a weekly pattern, a location each; outbreaks are cases added to them.
 * Method: Hutwagner L et al. Emerg Infect Dis 2005;11:314-6 (comparison of aberration detection methods on simulated data). Seeded: the same
 * count of series prints the same table.
 */
import { fileURLToPath } from 'node:url';
import { ALGORITHMS, type Algorithm, type Detection, judge, reachOf } from '../src/surveillance/aberration.ts';

/** As every definition of surveillance/ ships it; test/surveillance/study.test.ts holds them together. */
export const STUDIED: Detection = {
  baselineDays: 7,
  lagDays: 2,
  minimumDays: 5,
  minimumDeviation: 0.5,
  thresholds: { c1: 3, c2: 3, c3: 2 },
  cusum: { k: 1, h: 4, baselineDays: 28, runDays: 14 },
};
/** Least cases of a day that are a signal, as shipped. */
export const STUDIED_MINIMUM = 3;

/** Cases a day on average. */
export const RATES = [0.5, 2, 8] as const;
/** Monday to Sunday, around 1: clinics that see fewer at weekends. */
const WEEK = [1.15, 1.1, 1.05, 1.05, 1.05, 0.8, 0.8];
/** THE table: shape -> share of an outbreak's cases on each of its days. */
export const SHAPES = {
  spike: [1],
  'point source': [0.1, 0.3, 0.25, 0.15, 0.1, 0.06, 0.04],
  propagated: [0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.1, 0.09, 0.09, 0.09, 0.09],
} as const satisfies Record<string, readonly number[]>;
type Shape = keyof typeof SHAPES;
/** Cases of an outbreak, in standard deviations of a day's count (the root of the rate), and never fewer than 3. */
export const SIZES = [4, 8, 16] as const;
const YEAR = 365;
const SEED = 20260101;

/** What one algorithm did; intervals are 95 %. */
export interface Rate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}
export interface FalseAlarms {
  readonly rate: number;
  readonly algorithm: Algorithm | 'any';
  readonly perLocationYear: Rate;
}
export interface Found {
  readonly rate: number;
  readonly shape: Shape;
  readonly cases: number;
  readonly algorithm: Algorithm | 'any';
  readonly sensitivity: Rate;
  /** Days from the first case to the first signal, of those found; NaN when none is. */
  readonly days: number;
}

/** Uniform numbers in [0, 1): mulberry32, a published public-domain generator. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Knuth's method: good for means up to some tens. */
function poisson(mean: number, random: () => number): number {
  const limit = Math.exp(-mean);
  let product = random();
  let count = 0;
  while (product > limit) {
    product *= random();
    count++;
  }
  return count;
}

const baseline = (rate: number, days: number, random: () => number): number[] =>
  Array.from({ length: days }, (_, day) => poisson(rate * (WEEK[day % WEEK.length] ?? 1), random));

/** Whole cases of an outbreak by day: each falls on a day by the shape. */
export function outbreak(shape: Shape, cases: number, random: () => number): readonly number[] {
  const shares = SHAPES[shape];
  const counts: number[] = shares.map(() => 0);
  for (let each = 0; each < cases; each++) {
    const drawn = random();
    const day = shares.findIndex((_, last) => shares.slice(0, last + 1).reduce((sum, share) => sum + share, 0) > drawn);
    const at = day < 0 ? counts.length - 1 : day;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

/** Cases of an outbreak of this size over a baseline of this rate. */
export const casesOf = (size: number, rate: number): number => Math.max(3, Math.round(size * Math.sqrt(rate)));

const NAMES: readonly (Algorithm | 'any')[] = [...ALGORITHMS, 'any'];

/** Which algorithms signal on a day of a series, `any` when at least one does. */
function signals(series: readonly number[], day: number, detection: Detection): ReadonlySet<Algorithm | 'any'> {
  const count = series[day] ?? 0;
  if (count < STUDIED_MINIMUM) return new Set();
  const days = series.slice(Math.max(0, day + 1 - reachOf(detection)), day + 1);
  const found = judge(days, detection).flatMap(({ algorithm, isSignal }) => (isSignal ? [algorithm] : []));
  return new Set<Algorithm | 'any'>(found.length > 0 ? [...found, 'any'] : []);
}

/** Days with a signal in outbreak-free years: each is one alarm, before any quiet time. @param years of one location each */
export function falseAlarms(years: number, detection: Detection = STUDIED): readonly FalseAlarms[] {
  const lead = reachOf(detection);
  return RATES.flatMap((rate, index) => {
    const random = uniform(SEED + index);
    const alarms = new Map(NAMES.map((name) => [name, [] as number[]]));
    for (let year = 0; year < years; year++) {
      const series = baseline(rate, lead + YEAR, random);
      const days = Array.from({ length: YEAR }, (_, day) => signals(series, lead + day, detection));
      for (const name of NAMES) alarms.get(name)?.push(days.filter((day) => day.has(name)).length);
    }
    return NAMES.map((algorithm) => ({ rate, algorithm, perLocationYear: meanOf(alarms.get(algorithm) ?? []) }));
  });
}

/** Outbreaks that begin on each day of the week in turn, in series of their own. */
export function found(series: number, detection: Detection = STUDIED): readonly Found[] {
  const lead = reachOf(detection);
  return RATES.flatMap((rate, index) =>
    Object.keys(SHAPES).flatMap((name) => {
      const shape = name as Shape;
      return SIZES.flatMap((size, sizeIndex) => {
        const random = uniform(SEED + 1000 * (index + 1) + 100 * sizeIndex + SHAPES[shape].length);
        const cases = casesOf(size, rate);
        const delays = new Map(NAMES.map((each) => [each, [] as number[]]));
        for (let each = 0; each < series; each++) {
          const start = lead + (each % WEEK.length);
          const added = outbreak(shape, cases, random);
          const counts = baseline(rate, start + added.length, random);
          for (const [day, more] of added.entries()) counts[start + day] = (counts[start + day] ?? 0) + more;
          const days = added.map((_, day) => signals(counts, start + day, detection));
          for (const each of NAMES) {
            const first = days.findIndex((day) => day.has(each));
            if (first >= 0) delays.get(each)?.push(first);
          }
        }
        return NAMES.map((algorithm) => {
          const times = delays.get(algorithm) ?? [];
          const days = times.reduce((sum, time) => sum + time, 0) / times.length;
          return { rate, shape, cases, algorithm, sensitivity: wilson(times.length, series), days };
        });
      });
    }),
  );
}

/** Mean of yearly counts; normal interval by their spread, since alarms of one year come in runs. */
function meanOf(values: readonly number[]): Rate {
  const value = values.reduce((sum, each) => sum + each, 0) / values.length;
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / Math.max(1, values.length - 1);
  const half = 1.96 * Math.sqrt(variance / values.length);
  return { value, low: Math.max(0, value - half), high: value + half };
}

/** Wilson EB. J Am Stat Assoc 1927;22:209-12. */
function wilson(hits: number, total: number): Rate {
  const z = 1.96;
  const share = hits / total;
  const middle = (share + z ** 2 / (2 * total)) / (1 + z ** 2 / total);
  const half = (z / (1 + z ** 2 / total)) * Math.sqrt((share * (1 - share)) / total + z ** 2 / (4 * total ** 2));
  return { value: share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

const percent = (share: number): string => (100 * share).toFixed(0);
const shown = ({ value, low, high }: Rate, text: (value: number) => string): string =>
  `${text(value)} (${text(low)} to ${text(high)})`;

/** The tables as Markdown. @param series outbreaks a row, and location-years a row */
export function studyText(series: number): string {
  const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  const line = (cells: number): string => `|${'---|'.repeat(cells)}`;
  const alarms = falseAlarms(series).filter(({ algorithm }) => algorithm === 'c1');
  const all = falseAlarms(series);
  const outbreaks = found(series);
  const groups = outbreaks.filter(({ algorithm }) => algorithm === 'c1');
  return [
    `${series} location-years and ${series} outbreaks a row; intervals are 95 %.`,
    '',
    'False alarms per location-year:',
    '',
    row(['cases a day', ...NAMES]),
    line(NAMES.length + 1),
    ...alarms.map(({ rate }) =>
      row([
        rate,
        ...all.filter((each) => each.rate === rate).map((each) => shown(each.perLocationYear, (n) => n.toFixed(1))),
      ]),
    ),
    '',
    'Sensitivity in percent, and mean days from the first day of the outbreak to the signal:',
    '',
    row(['cases a day', 'shape', 'added cases', ...NAMES]),
    line(NAMES.length + 3),
    ...groups.map(({ rate, shape, cases }) =>
      row([
        rate,
        shape,
        cases,
        ...outbreaks
          .filter((each) => each.rate === rate && each.shape === shape && each.cases === cases)
          .map(
            ({ sensitivity, days }) =>
              `${shown(sensitivity, percent)}${Number.isNaN(days) ? '' : `, ${days.toFixed(1)} d`}`,
          ),
      ]),
    ),
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(studyText(Number(process.argv[2] ?? 1000)));
