/**
 * The statistics of $stats as functions of measurements. Source: FHIR R4 valueset-observation-statistics. Percentiles are interpolated
 * linearly between the ranks (Hyndman and Fan 1996, type 7); standard deviation and variance are those of a sample (n - 1); skew and
 * kurtosis are the adjusted moments G1 and G2 (Joanes and Gill 1998), kurtosis as excess over the normal distribution.
 */

/** Values in ascending order, at least one, in one unit; `total` counts measurements without a value too. */
interface Sample {
  readonly values: readonly number[];
  readonly total: number;
}
interface Statistic {
  /** undefined when there are too few values. */
  of(sample: Sample): number | undefined;
  /** Fewest values it can be made of. */
  readonly least: number;
  /** `same`: in the unit of the values; `square`: in its square; `none`: a bare number. */
  readonly unit: 'same' | 'square' | 'none';
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;
/** Sum of the powers of the distances from the mean. */
function moment(values: readonly number[], power: number): number {
  const middle = mean(values);
  return sum(values.map((value) => (value - middle) ** power));
}
const variance = (values: readonly number[]): number => moment(values, 2) / (values.length - 1);

/** @param share 0 to 1 */
function quantile(values: readonly number[], share: number): number {
  const rank = share * (values.length - 1);
  const low = values[Math.floor(rank)] ?? Number.NaN;
  const high = values[Math.ceil(rank)] ?? low;
  return low + (high - low) * (rank - Math.floor(rank));
}
const percentile = (share: number): Statistic => ({
  of: ({ values }) => quantile(values, share),
  least: 1,
  unit: 'same',
});

function skew(values: readonly number[]): number | undefined {
  const n = values.length;
  const spread = moment(values, 2) / n;
  if (spread === 0) return undefined;
  return (Math.sqrt(n * (n - 1)) / (n - 2)) * (moment(values, 3) / n / spread ** 1.5);
}

function kurtosis(values: readonly number[]): number | undefined {
  const n = values.length;
  const spread = moment(values, 2) / n;
  if (spread === 0) return undefined;
  const excess = moment(values, 4) / n / spread ** 2 - 3;
  return ((n - 1) / ((n - 2) * (n - 3))) * ((n + 1) * excess + 6);
}

/** THE table: code -> statistic. `regression` is not there: it is two numbers over time, which one component cannot say. */
export const STATISTICS: ReadonlyMap<string, Statistic> = new Map<string, Statistic>([
  ['average', { of: ({ values }) => mean(values), least: 1, unit: 'same' }],
  ['maximum', { of: ({ values }) => values.at(-1), least: 1, unit: 'same' }],
  ['minimum', { of: ({ values }) => values[0], least: 1, unit: 'same' }],
  ['count', { of: ({ values }) => values.length, least: 0, unit: 'none' }],
  ['total-count', { of: ({ total }) => total, least: 0, unit: 'none' }],
  ['median', percentile(0.5)],
  ['std-dev', { of: ({ values }) => Math.sqrt(variance(values)), least: 2, unit: 'same' }],
  ['sum', { of: ({ values }) => sum(values), least: 1, unit: 'same' }],
  ['variance', { of: ({ values }) => variance(values), least: 2, unit: 'square' }],
  ['20-percent', percentile(0.2)],
  ['80-percent', percentile(0.8)],
  ['4-lower', percentile(0.25)],
  ['4-upper', percentile(0.75)],
  ['4-dev', { of: ({ values }) => (quantile(values, 0.75) - quantile(values, 0.25)) / 2, least: 1, unit: 'same' }],
  ['5-1', percentile(0.2)],
  ['5-2', percentile(0.4)],
  ['5-3', percentile(0.6)],
  ['5-4', percentile(0.8)],
  ['skew', { of: ({ values }) => skew(values), least: 3, unit: 'none' }],
  ['kurtosis', { of: ({ values }) => kurtosis(values), least: 4, unit: 'none' }],
]);

/** The statistic, to 12 significant digits; undefined when there are too few values, or it does not exist. */
export function statisticOf(code: string, { values, total }: Sample): number | undefined {
  const found = STATISTICS.get(code);
  if (found === undefined || values.length < found.least) return undefined;
  const value = found.of({ values, total });
  return value === undefined || !Number.isFinite(value) ? undefined : Number(value.toPrecision(12));
}
