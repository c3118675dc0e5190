/** One number from all readings of a measurement in a window, e.g. the lowest systolic pressure of 24 h: inputs of trained models. */
import { isJsonObject, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { Aggregate, FeatureSpec, UnitTable } from '../manifest.ts';
import { codings, type Feature, LOINC, numericValue, type Reading, readings, roundTo } from './observation.ts';

const HOUR_MS = 3_600_000;

interface Value {
  /** In the feature's unit. */
  readonly value: number;
  readonly at: number;
  readonly source: string | undefined;
}
interface Series {
  /** Oldest first; at one instant the lower value first. Never empty where an aggregate is asked. */
  readonly values: readonly Value[];
  readonly refused: readonly string[];
}

/** The series of one call: 30 measurements are asked for 200 aggregates. Keyed by the list of resources, which is made anew for each call. */
const known = new WeakMap<readonly Resource[], Map<string, Series>>();

function seriesOf(spec: FeatureSpec, { resources, at }: Evidence, units: UnitTable): Series {
  const key = JSON.stringify([at, spec.codes, spec.parts, spec.system, spec.unit, spec.range, spec.analyte, spec.pair]);
  const cached = known.get(resources) ?? new Map<string, Series>();
  known.set(resources, cached);
  const series = cached.get(key) ?? readSeries(spec, { resources, at }, units);
  cached.set(key, series);
  return series;
}

/** Observations by `system|code` of themselves or of a component: each of 30 measurements then looks at its own readings only. */
const indexed = new WeakMap<readonly Resource[], ReadonlyMap<string, ReadonlySet<Resource>>>();

function byCode(resources: readonly Resource[]): ReadonlyMap<string, ReadonlySet<Resource>> {
  const known = indexed.get(resources);
  if (known !== undefined) return known;
  const index = new Map<string, Set<Resource>>();
  for (const resource of resources) {
    if (resource.resourceType !== 'Observation') continue;
    const components = Array.isArray(resource.component) ? resource.component.filter(isJsonObject) : [];
    for (const { system, code } of [resource, ...components].flatMap((element) => codings(element.code))) {
      const key = `${system}|${code}`;
      const found = index.get(key);
      if (found === undefined) index.set(key, new Set([resource]));
      else found.add(resource);
    }
  }
  indexed.set(resources, index);
  return index;
}

type Moment = Pick<Evidence, 'resources' | 'at'>;

function readSeries(spec: FeatureSpec, { resources, at }: Moment, units: UnitTable): Series {
  const { precision: _, pair, ...exact } = spec;
  const read = (codes: readonly string[]) => {
    const wanted = codes.map((code) => ({ system: spec.system ?? LOINC, code }));
    const own = new Set(wanted.flatMap(({ system, code }) => [...(byCode(resources).get(`${system}|${code}`) ?? [])]));
    return readings([...own], wanted, { at, hours: Number.POSITIVE_INFINITY });
  };
  const whole = read(spec.codes ?? []);
  const refused = new Set(whole.refused);
  const values = whole.newestFirst.flatMap((reading) => {
    const numeric = numericValue(reading, exact, units);
    if ('value' in numeric) return [{ value: numeric.value, at: reading.at, source: reading.source }];
    refused.add(numeric.reason);
    return [];
  });
  const instants = new Set(values.map((one) => one.at));
  const summed = sumsOfParts(spec, read, units).filter((one) => !instants.has(one.at));
  const ordered = [...values, ...summed].toSorted((a, b) => a.at - b.at || a.value - b.value);
  return {
    values: pair === undefined ? ordered : ratios(ordered, exact, pair, { resources, at }, units),
    refused: [...refused],
  };
}

/** Each value over the latest one of the pair's codes at most `pair.hours` before it, at one instant over the highest; others are left out. */
function ratios(
  values: readonly Value[],
  spec: FeatureSpec,
  { codes, hours, unit = spec.unit, range }: NonNullable<FeatureSpec['pair']>,
  moment: Moment,
  units: UnitTable,
): readonly Value[] {
  const { parts: _, range: __, analyte: ___, ...bare } = spec;
  const below = readSeries({ ...bare, codes, unit, ...(range === undefined ? {} : { range }) }, moment, units).values;
  return values.flatMap((one) => {
    const under = below.findLast(({ at }) => at <= one.at && at >= one.at - hours * HOUR_MS);
    return under === undefined || under.value === 0
      ? []
      : [{ ...one, value: one.value / under.value, source: undefined }];
  });
}

/** Sums of the parts at instants at which each of them has one usable reading. */
function sumsOfParts(
  { parts = [], ...spec }: FeatureSpec,
  read: (codes: readonly string[]) => { readonly newestFirst: readonly Reading[] },
  units: UnitTable,
): readonly Value[] {
  const { range: _, precision: __, ...part } = spec;
  const [first, ...others] = parts.map((code) => {
    const byInstant = new Map<number, Value>();
    for (const reading of read([code]).newestFirst) {
      const numeric = numericValue(reading, part, units);
      if ('value' in numeric) byInstant.set(reading.at, { ...reading, value: numeric.value });
    }
    return byInstant;
  });
  return [...(first ?? [])].flatMap(([at, one]) => {
    const rest = others.map((byInstant) => byInstant.get(at)?.value);
    const value = rest.reduce<number>((total, addend) => total + (addend ?? Number.NaN), one.value);
    const [low, high] = spec.range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    return value >= low && value <= high ? [{ value, at, source: one.source }] : [];
  });
}

/** Values oldest first, at least one -> the number and, where one reading is it, that reading. */
type Fold = (values: readonly [Value, ...Value[]], spec: FeatureSpec) => number | Value;

const best =
  (isBetter: (one: number, other: number, spec: FeatureSpec) => boolean): Fold =>
  (values, spec) =>
    values.reduce((chosen, one) => (isBetter(one.value, chosen.value, spec) ? one : chosen));
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Slope of the least-squares line through the readings, units per hour; NaN for readings at a single instant. */
const trend: Fold = (values) => {
  const origin = values[0].at;
  const hours = values.map(({ at }) => (at - origin) / HOUR_MS);
  const meanHours = sum(hours) / hours.length;
  const meanValue = sum(values.map(({ value }) => value)) / values.length;
  const spread = sum(hours.map((hour) => (hour - meanHours) ** 2));
  const together = sum(values.map(({ value }, index) => ((hours[index] ?? 0) - meanHours) * (value - meanValue)));
  return spread > 0 ? together / spread : Number.NaN;
};

/** Sample standard deviation; NaN for one reading. */
const deviation: Fold = (values) => {
  const mean = sum(values.map(({ value }) => value)) / values.length;
  return values.length < 2
    ? Number.NaN
    : Math.sqrt(sum(values.map(({ value }) => (value - mean) ** 2)) / (values.length - 1));
};
/** The middle value; of an even number the mean of the middle two. */
const median: Fold = (values) => {
  const sorted = values.map(({ value }) => value).toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? Number.NaN, sorted[sorted.length >> 1] ?? Number.NaN];
  return (low + high) / 2;
};

const FOLDS: Readonly<Record<Aggregate, Fold>> = {
  min: best((one, other) => one < other),
  max: best((one, other) => one > other),
  mean: (values) => sum(values.map(({ value }) => value)) / values.length,
  first: (values) => values[0],
  last: (values) => values.at(-1) ?? values[0],
  count: (values) => values.length,
  sum: (values) => sum(values.map(({ value }) => value)),
  trend,
  sd: deviation,
  median,
  change: (values) => (values.at(-1)?.value ?? Number.NaN) - values[0].value,
  'share-below': (values, { from = 0 }) => values.filter(({ value }) => value < from).length / values.length,
  // The convention of APACHE: the worst value of a day is the one farthest from a fixed normal value.
  farthest: best((one, other, { from = 0 }) => Math.abs(one - from) > Math.abs(other - from)),
};

/**
 * An aggregate of the usable readings in (at - window, at], or up to `untilHours` before. Unit: `spec.unit`, converted; trend in that per hour;
 * count and share without unit; with `pair`, of the readings divided by those of the pair.
 * Readings that are implausible or cannot be read are left out. No usable reading, or a trend of one instant: NaN with the reason; a count is
 * missing too then, since no reading may also mean no access.
 */
export function aggregate(spec: FeatureSpec, evidence: Evidence, units: UnitTable): Feature {
  const { values, refused } = seriesOf(spec, evidence, units);
  const after = evidence.at - (spec.windowHours ?? 24) * HOUR_MS;
  const until = evidence.at - (spec.untilHours ?? 0) * HOUR_MS;
  const [oldest, ...others] = values.filter(({ at }) => at > after && at <= until);
  if (oldest === undefined || spec.aggregate === undefined) {
    const why = refused.length > 0 ? ` (${refused.join('; ')})` : '';
    return { value: Number.NaN, reason: `no usable Observation within ${windowOf(spec)}${why}` };
  }
  const found = FOLDS[spec.aggregate]([oldest, ...others], spec);
  const one = typeof found === 'number' ? { value: found, at: (others.at(-1) ?? oldest).at, source: undefined } : found;
  if (Number.isNaN(one.value))
    return { value: Number.NaN, reason: `readings at one instant only within ${windowOf(spec)}` };
  const value = spec.precision === undefined ? one.value : roundTo(one.value, spec.precision);
  return { ...one, value, ...shown(spec, value) };
}

const windowOf = ({ windowHours = 24, untilHours }: FeatureSpec): string =>
  untilHours === undefined ? `${windowHours} h` : `${windowHours} to ${untilHours} h before`;

/** What people read where the number is not in the feature's unit. */
function shown({ aggregate: kind, unit, pair }: FeatureSpec, value: number): Pick<Feature, 'shown'> {
  if (kind === 'count') return { shown: `${value} readings` };
  if (kind === 'share-below') return { shown: `${Math.round(value * 100)} % of readings` };
  if (pair !== undefined) return { shown: String(Number(value.toPrecision(3))) };
  return kind === 'trend' ? { shown: `${Number(value.toPrecision(3))} ${unit} per h` } : {};
}
