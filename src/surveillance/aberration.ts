/**
 * Whether the count of a day is unusually high: EARS C1, C2, C3 and CUSUM, as pure functions of daily counts.
 * Sources: Hutwagner L et al. J Urban Health 2003;80(2 Suppl 1):i89-96 (EARS: C1 baseline t-7..t-1; C2 t-9..t-3; C3 the sum over t, t-1, t-2 of
 * max(0, C2 - 1); thresholds 3, 3, 2); Page ES. Biometrika 1954;41:100-115 (CUSUM). Standard deviations are those of a sample (n - 1).
 * A baseline that does not vary is judged by `minimumDeviation` (Burkom's 0.5 for sparse counts, as `minSigma` of earsC in R surveillance).
 */

/** THE list: the algorithms there are, in the order they are told in. */
export const ALGORITHMS = ['c1', 'c2', 'c3', 'cusum'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export interface CusumSettings {
  /** Reference value: what a day may exceed the mean by, in standard deviations, before it adds up. */
  readonly k: number;
  /** Decision value: sums above it are signals. */
  readonly h: number;
  /** Days the mean and deviation are made of; they end before the run begins. */
  readonly baselineDays: number;
  /** Days that add up, the judged one last; the sum begins at 0, so that a corrected day changes no more than this. */
  readonly runDays: number;
}
export interface Detection {
  /** Days of the baseline of C1 and C2. */
  readonly baselineDays: number;
  /** Days between the baseline of C2 and the judged day; C1 has none. */
  readonly lagDays: number;
  /** Fewest days of a baseline that are not missing; with fewer nothing is judged. */
  readonly minimumDays: number;
  /** A smaller standard deviation of a baseline is taken as this. Above 0. */
  readonly minimumDeviation: number;
  /** Values above it are signals; an algorithm without one is not asked. */
  readonly thresholds: Readonly<Partial<Record<'c1' | 'c2' | 'c3', number>>>;
  readonly cusum?: CusumSettings | undefined;
}

/** Counts of consecutive days, the judged one last; undefined for a day that is missing (nothing was recorded), which is not 0. */
export type Counts = readonly (number | undefined)[];

export interface Judgement {
  readonly algorithm: Algorithm;
  /** In standard deviations. */
  readonly value: number;
  readonly threshold: number;
  /** `value` is above `threshold`; equal is not. */
  readonly isSignal: boolean;
  /** Mean of the baseline: the count that was to be expected of the day. */
  readonly expected: number;
}
interface Baseline {
  readonly mean: number;
  readonly deviation: number;
}

/** Terms of C3: the judged day and two before. */
const C3_DAYS = 3;

/** Days that must be known to judge one, itself included. */
export function reachOf({ baselineDays, lagDays, cusum }: Detection): number {
  const ears = baselineDays + lagDays + C3_DAYS;
  return cusum === undefined ? ears : Math.max(ears, cusum.baselineDays + cusum.runDays);
}

/**
 * Every algorithm that can be judged, in the order of `ALGORITHMS`; none of them when the judged day is missing.
 * @param counts shorter than `reachOf`: days before the first are missing
 */
export function judge(counts: Counts, detection: Detection): readonly Judgement[] {
  const found = ALGORITHMS.map((algorithm) => JUDGES[algorithm](counts, detection));
  return found.filter((each) => each !== undefined);
}

type Judge = (counts: Counts, detection: Detection) => Judgement | undefined;
const JUDGES = {
  c1: (counts, detection) => shewhart('c1', counts, 0, detection),
  c2: (counts, detection) => shewhart('c2', counts, detection.lagDays, detection),
  c3,
  cusum,
} as const satisfies Record<Algorithm, Judge>;

function shewhart(algorithm: 'c1' | 'c2', counts: Counts, lag: number, detection: Detection): Judgement | undefined {
  const threshold = detection.thresholds[algorithm];
  const score = scoreOf(counts, 0, lag, detection);
  if (threshold === undefined || score === undefined) return undefined;
  return { algorithm, value: score.value, threshold, isSignal: score.value > threshold, expected: score.mean };
}

/** A day before that is missing, or has too short a baseline, adds nothing; the judged day must be known. */
function c3(counts: Counts, detection: Detection): Judgement | undefined {
  const threshold = detection.thresholds.c3;
  const today = scoreOf(counts, 0, detection.lagDays, detection);
  if (threshold === undefined || today === undefined) return undefined;
  const before = [1, 2].map((back) => scoreOf(counts, back, detection.lagDays, detection)?.value ?? 0);
  const value = [today.value, ...before].reduce((sum, c2) => sum + Math.max(0, c2 - 1), 0);
  return { algorithm: 'c3', value, threshold, isSignal: value > threshold, expected: today.mean };
}

/** S = max(0, S + z - k) over the run; a missing day of it leaves S as it is. */
function cusum(counts: Counts, detection: Detection): Judgement | undefined {
  const { cusum: settings } = detection;
  if (settings === undefined || counts.at(-1) === undefined) return undefined;
  const { k, h, runDays, baselineDays } = settings;
  const baseline = baselineOf(daysBack(counts, runDays, baselineDays), detection);
  if (baseline === undefined) return undefined;
  const value = daysBack(counts, 0, runDays).reduce<number>(
    (sum, count) => (count === undefined ? sum : Math.max(0, sum + (count - baseline.mean) / baseline.deviation - k)),
    0,
  );
  return { algorithm: 'cusum', value, threshold: h, isSignal: value > h, expected: baseline.mean };
}

/** Distance of the count `back` days before the judged one from its own baseline, in standard deviations. */
function scoreOf(counts: Counts, back: number, lag: number, detection: Detection) {
  const count = counts[counts.length - 1 - back];
  const baseline = baselineOf(daysBack(counts, back + 1 + lag, detection.baselineDays), detection);
  if (count === undefined || baseline === undefined) return undefined;
  return { value: (count - baseline.mean) / baseline.deviation, mean: baseline.mean };
}

/** `length` days that end `back` days before the last (0: with it), ascending; fewer where there are none. */
function daysBack(counts: Counts, back: number, length: number): Counts {
  const end = Math.max(0, counts.length - back);
  return counts.slice(Math.max(0, end - length), end);
}

function baselineOf(days: Counts, { minimumDays, minimumDeviation }: Detection): Baseline | undefined {
  const known = days.filter((count) => count !== undefined);
  if (known.length < Math.max(minimumDays, 2)) return undefined;
  const mean = known.reduce((sum, count) => sum + count, 0) / known.length;
  const squares = known.reduce((sum, count) => sum + (count - mean) ** 2, 0);
  return { mean, deviation: Math.max(Math.sqrt(squares / (known.length - 1)), minimumDeviation) };
}
