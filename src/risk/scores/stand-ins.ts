/**
 * The rule-based stand-ins: the same published tables as the graphs, written a second time in plain comparisons, independent of
 * models/train. They take the model's vector (values rounded to the chart's precision, NaN for missing) and give its outputs.
 */

/** Outputs by tensor, as the model gives them. */
export type ScoreTensors = Readonly<Record<string, readonly number[]>>;
type Score = (vector: readonly number[]) => ScoreTensors;

const input = (vector: readonly number[], index: number): number => vector[index] ?? Number.NaN;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const count = (facts: readonly boolean[]): number => facts.filter(Boolean).length;
const isMissing = Number.isNaN;

// Royal College of Physicians. National Early Warning Score (NEWS) 2. London: RCP, 2017, chart 1.

function respirationPoints(rate: number): number {
  if (rate <= 8 || rate >= 25) return 3;
  if (rate >= 21) return 2;
  return rate <= 11 ? 1 : 0;
}
function saturationPoints(spo2: number): number {
  if (spo2 <= 91) return 3;
  if (spo2 <= 93) return 2;
  return spo2 <= 95 ? 1 : 0;
}
function saturationPointsScale2(spo2: number, onOxygen: boolean): number {
  if (spo2 <= 83) return 3;
  if (spo2 <= 85) return 2;
  if (spo2 <= 87) return 1;
  if (spo2 <= 92 || !onOxygen) return 0;
  if (spo2 >= 97) return 3;
  return spo2 >= 95 ? 2 : 1;
}
function systolicPoints(systolic: number): number {
  if (systolic <= 90 || systolic >= 220) return 3;
  if (systolic <= 100) return 2;
  return systolic <= 110 ? 1 : 0;
}
function pulsePoints(pulse: number): number {
  if (pulse <= 40 || pulse >= 131) return 3;
  if (pulse >= 111) return 2;
  return pulse <= 50 || pulse >= 91 ? 1 : 0;
}
function temperaturePoints(temperature: number): number {
  if (temperature <= 35.0) return 3;
  if (temperature >= 39.1) return 2;
  return temperature <= 36.0 || temperature >= 38.1 ? 1 : 0;
}

/** Vector: respiratory rate /min, SpO2 %, SpO2 scale (1 or 2), oxygen (0, 1), systolic mm[Hg], pulse /min, ACVPU 0 to 4, temperature Cel. */
const news2: Score = (vector) => {
  const [rate, spo2, scale, oxygen] = [input(vector, 0), input(vector, 1), input(vector, 2), input(vector, 3)];
  const [systolic, pulse, level, temperature] = [
    input(vector, 4),
    input(vector, 5),
    input(vector, 6),
    input(vector, 7),
  ];
  const scored: readonly (readonly [value: number, points: number])[] = [
    [rate, respirationPoints(rate)],
    [spo2, scale === 2 ? saturationPointsScale2(spo2, oxygen === 1) : saturationPoints(spo2)],
    [oxygen, oxygen === 1 ? 2 : 0],
    [systolic, systolicPoints(systolic)],
    [pulse, pulsePoints(pulse)],
    [level, level > 0 ? 3 : 0],
    [temperature, temperaturePoints(temperature)],
  ];
  const points = scored.map(([value, given]) => (isMissing(value) ? 0 : given));
  return {
    points,
    total: [sum(points)],
    threes: [count(points.map((given) => given === 3))],
    missing: [count(scored.map(([value]) => isMissing(value)))],
  };
};

/** Singer M et al. JAMA 2016;315:801. Vector: respiratory rate /min, systolic mm[Hg], ACVPU 0 to 4 (above 0: altered, GCS below 15). */
const qsofa: Score = (vector) => {
  const rate = input(vector, 0);
  const systolic = input(vector, 1);
  const level = input(vector, 2);
  const points = [rate >= 22, systolic <= 100, level > 0].map((met) => (met ? 1 : 0));
  return { points, total: [sum(points)], missing: [count([rate, systolic, level].map(isMissing))] };
};

/**
 * Bone RC et al. Chest 1992;101:1644. Vector: temperature Cel, pulse /min, respiratory rate /min, PaCO2 mm[Hg], leukocytes 10*3/uL, band
 * neutrophils %. PaCO2 and bands are alternatives: they score only where the first of the pair does not, and a negative one alone does not
 * settle the criterion.
 */
const sirs: Score = (vector) => {
  const [temperature, pulse, rate, paco2] = [input(vector, 0), input(vector, 1), input(vector, 2), input(vector, 3)];
  const [leukocytes, bandForms] = [input(vector, 4), input(vector, 5)];
  const fast = rate > 20;
  const hypocapnic = !fast && paco2 < 32;
  const count4or12 = leukocytes > 12 || leukocytes < 4;
  const leftShift = !count4or12 && bandForms > 10;
  const met = [temperature > 38 || temperature < 36, pulse > 90, fast, hypocapnic, count4or12, leftShift];
  const points = met.map((yes) => (yes ? 1 : 0));
  const open = [
    isMissing(temperature),
    isMissing(pulse),
    isMissing(rate) && !hypocapnic,
    isMissing(leukocytes) && !leftShift,
  ];
  return { points, total: [sum(points)], missing: [count(open)] };
};

/** Pulse and respiratory rate above which ESI v4 sees danger, by completed months of age. */
function dangerLimits(months: number): readonly [pulse: number, rate: number] {
  if (months < 3) return [180, 50];
  if (months < 36) return [160, 40];
  if (months < 96) return [140, 30];
  return months >= 96 ? [100, 20] : [Number.NaN, Number.NaN];
}

const DECISIONS = ['level1', 'level2', 'considerLevel2', 'level3', 'level4', 'level5', 'level3to5'] as const;
type Decision = (typeof DECISIONS)[number];
const LEVEL_OF: Readonly<Record<Decision, number>> = {
  level1: 1,
  level2: 2,
  considerLevel2: 2,
  level3: 3,
  level4: 4,
  level5: 5,
  level3to5: 0,
};

interface TriageFacts {
  readonly lifeSaving: boolean;
  readonly highRisk: boolean;
  readonly consider: boolean;
  readonly open: number;
  readonly resources: number;
}
function decide({ lifeSaving, highRisk, consider, open, resources }: TriageFacts): Decision | undefined {
  if (lifeSaving) return 'level1';
  if (highRisk) return 'level2';
  if (consider) return 'considerLevel2';
  if (open > 0) return undefined;
  if (isMissing(resources)) return 'level3to5';
  if (resources >= 2) return 'level3';
  return resources >= 1 ? 'level4' : 'level5';
}

/**
 * ESI v4 as far as it can be decided from first findings (AHRQ 12-0014). Vector: age in months, age in days, pulse, respiratory rate, SpO2 %,
 * temperature Cel, ACVPU 0 to 4, pain 0 to 10, complaint (0 none, 1 high-risk, 2 life-saving), expected resources (NaN: nobody has said).
 */
const triageVitals: Score = (vector) => {
  const [months, days, pulse, rate] = [input(vector, 0), input(vector, 1), input(vector, 2), input(vector, 3)];
  const [spo2, temperature, level] = [input(vector, 4), input(vector, 5), input(vector, 6)];
  const [pain, complaint, resources] = [input(vector, 7), input(vector, 8), input(vector, 9)];
  const [pulseLimit, rateLimit] = dangerLimits(months);
  const danger = pulse > pulseLimit || rate > rateLimit || spo2 < 92;
  const fever = temperature > 38;
  const open = [months, pulse, rate, spo2, level, pain, complaint].map(isMissing);
  const facts: TriageFacts = {
    lifeSaving: spo2 < 90 || level >= 3 || complaint >= 2,
    highRisk: level === 1 || level === 2 || complaint === 1 || pain >= 7 || (fever && days <= 28),
    consider: (danger && (isMissing(resources) || resources >= 2)) || (fever && months < 3),
    open: count([...open, isMissing(temperature) && months < 3]),
    resources,
  };
  const decision = decide(facts);
  return {
    level: [decision === undefined ? 0 : LEVEL_OF[decision]],
    decision: DECISIONS.map((one) => (one === decision ? 1 : 0)),
    dangerZone: [danger ? 1 : 0],
    missing: [facts.open],
  };
};

/** Name in manifest `fallback` -> stand-in. */
const SCORES: ReadonlyMap<string, Score> = new Map([
  ['news2', news2],
  ['qsofa', qsofa],
  ['sirs', sirs],
  ['triage-vitals', triageVitals],
]);

/** The stand-in's outputs for a vector; undefined when the manifest names none (`none`). */
export function fallbackOutputs(name: string, vector: readonly number[]): ScoreTensors | undefined {
  return SCORES.get(name)?.(vector);
}

/** True for a name that manifests may use. */
export function isFallback(name: string): boolean {
  return name === 'none' || SCORES.has(name);
}
