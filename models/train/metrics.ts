/**
 * How well probabilities fit what happened. Rows carry whole-number weights, so that a bootstrap sample is the same rows with other weights.
 * Sources: Fawcett T. Pattern Recognit Lett 2006;27:861 (AUROC); Davis J, Goadrich M. ICML 2006 (average precision); Cox DR. Biometrika
 * 1958;45:562 (calibration slope); Vickers AJ, Elkin EB. Med Decis Making 2006;26:565 (net benefit).
 */

/** One judged row: log-odds, what happened (1 or 0), and whose rows are drawn together in a bootstrap. */
export interface Row {
  readonly margin: number;
  readonly label: number;
  readonly group: string;
}
export type Weights = Uint16Array;

export const probabilityOf = (margin: number): number => 1 / (1 + Math.exp(-margin));

/** Indices of the rows, highest margin first. */
export const ranking = (rows: readonly Row[]): readonly number[] =>
  rows.map((_, index) => index).toSorted((a, b) => (rows[b]?.margin ?? 0) - (rows[a]?.margin ?? 0));

export const ones = (rows: readonly Row[]): Weights => new Uint16Array(rows.length).fill(1);

/** Counts above each distinct margin, highest first: true and false alerts when all down to there are called. */
export interface Step {
  readonly margin: number;
  readonly truePositives: number;
  readonly falsePositives: number;
}
export function steps(rows: readonly Row[], order: readonly number[], weights: Weights): readonly Step[] {
  const found: Step[] = [];
  let [truePositives, falsePositives] = [0, 0];
  order.forEach((index, place) => {
    const row = rows[index];
    if (row === undefined) return;
    const weight = weights[index] ?? 0;
    if (row.label === 1) truePositives += weight;
    else falsePositives += weight;
    if (rows[order[place + 1] ?? -1]?.margin !== row.margin) {
      found.push({ margin: row.margin, truePositives, falsePositives });
    }
  });
  return found;
}

export interface Discrimination {
  readonly auroc: number;
  readonly auprc: number;
}
/** Area under the receiver operating curve (ties count half) and average precision; NaN without cases or without others. */
export function discrimination(rows: readonly Row[], order: readonly number[], weights: Weights): Discrimination {
  const curve = steps(rows, order, weights);
  const { truePositives: cases = 0, falsePositives: others = 0 } = curve.at(-1) ?? {};
  let [area, precision, hits, misses] = [0, 0, 0, 0];
  for (const { truePositives, falsePositives } of curve) {
    area += (falsePositives - misses) * (hits + (truePositives - hits) / 2);
    if (truePositives > hits) precision += ((truePositives - hits) * truePositives) / (truePositives + falsePositives);
    [hits, misses] = [truePositives, falsePositives];
  }
  return { auroc: area / (cases * others), auprc: precision / cases };
}

export interface AtThreshold {
  readonly sensitivity: number;
  readonly specificity: number;
  readonly ppv: number;
  readonly alertsPer100: number;
}
/** An alert is a probability of at least `threshold`. */
export function atThreshold(rows: readonly Row[], weights: Weights, threshold: number): AtThreshold {
  const cells = { truePositive: 0, falsePositive: 0, missed: 0, spared: 0 };
  rows.forEach(({ margin, label }, index) => {
    const alerted = probabilityOf(margin) >= threshold;
    const cell = alerted ? (label === 1 ? 'truePositive' : 'falsePositive') : label === 1 ? 'missed' : 'spared';
    cells[cell] += weights[index] ?? 0;
  });
  const { truePositive, falsePositive, missed, spared } = cells;
  return {
    sensitivity: truePositive / (truePositive + missed),
    specificity: spared / (spared + falsePositive),
    ppv: truePositive / (truePositive + falsePositive),
    alertsPer100: (100 * (truePositive + falsePositive)) / (truePositive + falsePositive + missed + spared),
  };
}

/**
 * The best min(sensitivity, positive predictive value) of any threshold (event 1 of the PhysioNet Challenge 2012), and the share of rows
 * that are called rightly at a probability of 0.5.
 */
export function agreement(
  rows: readonly Row[],
  order: readonly number[],
  weights: Weights,
): { readonly balanced: number; readonly accuracy: number } {
  const curve = steps(rows, order, weights);
  const { truePositives: cases = 0, falsePositives: others = 0 } = curve.at(-1) ?? {};
  let [balanced, right] = [0, others];
  for (const { margin, truePositives, falsePositives } of curve) {
    balanced = Math.max(
      balanced,
      Math.min(truePositives / cases, truePositives / Math.max(1, truePositives + falsePositives)),
    );
    if (margin >= 0) right = truePositives + others - falsePositives;
  }
  return { balanced, accuracy: right / (cases + others) };
}

export interface Calibration {
  /** 1 when log-odds are right; below 1 when they are too extreme. */
  readonly slope: number;
  /** Observed cases by expected ones. */
  readonly observedByExpected: number;
}
/** Slope of the logistic regression of the label on the margin, by Newton's method. */
export function calibration(rows: readonly Row[], weights: Weights): Calibration {
  let [intercept, slope] = [0, 1];
  for (let round = 0; round < 25; round++) {
    let [g0, g1, h00, h01, h11] = [0, 0, 0, 0, 0];
    rows.forEach(({ margin, label }, index) => {
      const weight = weights[index] ?? 0;
      const probability = probabilityOf(intercept + slope * margin);
      const [error, spread] = [weight * (label - probability), weight * probability * (1 - probability)];
      g0 += error;
      g1 += error * margin;
      h00 += spread;
      h01 += spread * margin;
      h11 += spread * margin * margin;
    });
    const determinant = h00 * h11 - h01 * h01;
    intercept += (h11 * g0 - h01 * g1) / determinant;
    slope += (h00 * g1 - h01 * g0) / determinant;
  }
  return { slope, observedByExpected: observedByExpected(rows, weights) };
}

/** Observed cases by the sum of their probabilities. */
export function observedByExpected(rows: readonly Row[], weights: Weights): number {
  let [observed, expected] = [0, 0];
  rows.forEach(({ margin, label }, index) => {
    observed += label * (weights[index] ?? 0);
    expected += probabilityOf(margin) * (weights[index] ?? 0);
  });
  return observed / expected;
}

/** Net benefit per 100 rows at a threshold probability: of the model, and of alerting for everyone. */
export function netBenefit(rows: readonly Row[], threshold: number): { readonly model: number; readonly all: number } {
  const odds = threshold / (1 - threshold);
  const cases = rows.filter(({ label }) => label === 1).length;
  const alerted = rows.filter(({ margin }) => probabilityOf(margin) >= threshold);
  const hits = alerted.filter(({ label }) => label === 1).length;
  const per100 = 100 / rows.length;
  return {
    model: per100 * (hits - odds * (alerted.length - hits)),
    all: per100 * (cases - odds * (rows.length - cases)),
  };
}

/** Numbers in [0, 1): mulberry32, the same in every run. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Weights of `count` samples that draw whole groups with replacement. */
export function* resamples(rows: readonly Row[], count: number, seed: number): Generator<Weights> {
  const members = new Map<string, number[]>();
  rows.forEach(({ group }, index) => {
    members.set(group, [...(members.get(group) ?? []), index]);
  });
  const groups = [...members.values()];
  const next = random(seed);
  for (let sample = 0; sample < count; sample++) {
    const weights = new Uint16Array(rows.length);
    for (let draw = 0; draw < groups.length; draw++) {
      for (const index of groups[Math.floor(next() * groups.length)] ?? []) weights[index] = (weights[index] ?? 0) + 1;
    }
    yield weights;
  }
}

/** The 2.5 % and 97.5 % points of values; values that are not finite are left out. */
export function interval(values: readonly number[]): readonly [low: number, high: number] {
  const sorted = values.filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return [at(0.025), at(0.975)];
}
