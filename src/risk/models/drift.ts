/**
 * Whether a model still sees the patients it was made for, and whether its probabilities still come true. Pure: records in, verdict out.
 * Inputs: population stability index (PSI), sum of (seen - expected) ln(seen / expected) over bins of the training rows, missing being a bin
 * (Siddiqi N. Credit Risk Scorecards. Wiley 2006). Records exist only where a card was made, so what is expected is mixed from the training rows
 * of each band by the bands that were seen: a change in the number of alerts is no change of inputs.
 * Outcomes: observed over expected cases, and the distance in standard errors (Spiegelhalter DJ. Stat Med 1986;5:421).
 */

/** Distribution of one input among the training rows. */
export interface ReferenceInput {
  readonly name: string;
  /** Ascending limits of the bins; a value belongs to the first bin whose limit it is below, or to the last. */
  readonly cuts: readonly number[];
  /** Band -> share of each bin, then of missing; each sums to 1. */
  readonly shares: Readonly<Record<string, readonly number[]>>;
  /** Share of all contributions that this input makes, 0 to 1. */
  readonly weight: number;
}
/** How an outcome shows in the record; the kinds are read in outcomes.ts. */
export type Outcome =
  /** Death before the encounter of the judgement ended. */
  | { readonly kind: 'death-in-hospital' }
  /** Admission to intensive care within so many hours. */
  | { readonly kind: 'intensive-care'; readonly hours: number }
  /** A condition of a set of vocabulary.json, recorded until so many hours after. */
  | { readonly kind: 'condition'; readonly set: string; readonly hours: number };

/** reference.json of a model folder, written by the evaluation. */
export interface Reference {
  readonly model: string;
  readonly sha256: string;
  readonly rows: Readonly<Record<string, number>>;
  readonly inputs: readonly ReferenceInput[];
  /** Absent: no outcome can be read from a record. */
  readonly outcome?: Outcome;
}
/** models/drift.json: when to look, and when to say something. */
export interface DriftLimits {
  /** Days that the server looks back. */
  readonly days: number;
  /** Fewer patients: nothing is said of inputs. */
  readonly patients: number;
  readonly psi: { readonly watch: number; readonly alert: number };
  /** Alert only when the inputs above `psi.alert` make this share of all contributions. */
  readonly alertWeight: number;
  /** Fewer known outcomes, or fewer expected cases: nothing is said of calibration. */
  readonly outcomes: number;
  readonly expectedCases: number;
  /** Observed over expected: outside, and more than `standardErrors` away, is an alert. */
  readonly observedByExpected: { readonly low: number; readonly high: number };
  readonly standardErrors: number;
}
/** One patient as a model saw them; the latest record of the patient counts. */
export interface Seen {
  readonly band: string | undefined;
  readonly vector: readonly (number | null)[];
  readonly probability: number | undefined;
  /** Undefined while it is not known. */
  readonly outcome: boolean | undefined;
}

export type DriftState = 'too-few' | 'steady' | 'watch' | 'alert';
export interface InputDrift {
  readonly name: string;
  readonly psi: number;
  readonly weight: number;
  readonly missing: { readonly expected: number; readonly seen: number };
}
export interface CalibrationDrift {
  readonly state: DriftState;
  readonly outcomes: number;
  readonly observed: number;
  readonly expected: number;
  /** Standard errors from what was expected. */
  readonly distance: number;
}
export interface DriftReport {
  readonly model: string;
  readonly sha256: string;
  readonly patients: number;
  /** Share of the patients in each band. */
  readonly bands: Readonly<Record<string, number>>;
  readonly state: DriftState;
  readonly inputs: { readonly state: DriftState; readonly drifted: readonly InputDrift[] };
  readonly calibration: CalibrationDrift;
}

/** Bin of a value: 0 to cuts.length, one more for missing. */
function binOf(value: number | null | undefined, cuts: readonly number[]): number {
  if (value === null || value === undefined || Number.isNaN(value)) return cuts.length + 1;
  const at = cuts.findIndex((cut) => value < cut);
  return at < 0 ? cuts.length : at;
}

/** @param patients, rows how many stand behind the shares: a bin without any counts as half a one */
export function psiOf(seen: readonly number[], expected: readonly number[], patients: number, rows: number): number {
  return seen.reduce((sum, share, bin) => {
    const found = Math.max(share, 0.5 / patients);
    const wanted = Math.max(expected[bin] ?? 0, 0.5 / rows);
    return sum + (found - wanted) * Math.log(found / wanted);
  }, 0);
}

const isBand = (reference: Reference, band: string | undefined): band is string =>
  band !== undefined && Object.hasOwn(reference.rows, band);

function inputDrift(
  reference: Reference,
  input: ReferenceInput,
  index: number,
  seen: readonly Seen[],
  bands: Readonly<Record<string, number>>,
): InputDrift {
  const width = input.cuts.length + 2;
  const counts = new Array<number>(width).fill(0);
  for (const { vector } of seen) {
    const bin = binOf(vector[index], input.cuts);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const expected = Array.from({ length: width }, (_, bin) =>
    Object.entries(bands).reduce((sum, [band, share]) => sum + share * (input.shares[band]?.[bin] ?? 0), 0),
  );
  const rows = Object.keys(bands).reduce((sum, band) => sum + (reference.rows[band] ?? 0), 0);
  const found = counts.map((count) => count / seen.length);
  return {
    name: input.name,
    psi: psiOf(found, expected, seen.length, rows),
    weight: input.weight,
    missing: { expected: expected[width - 1] ?? 0, seen: found[width - 1] ?? 0 },
  };
}

function calibrationDrift(seen: readonly Seen[], limits: DriftLimits): CalibrationDrift {
  const known = seen.flatMap(({ probability, outcome }) =>
    probability === undefined || outcome === undefined ? [] : [{ probability, outcome }],
  );
  const observed = known.filter(({ outcome }) => outcome).length;
  const expected = known.reduce((sum, { probability }) => sum + probability, 0);
  const variance = known.reduce((sum, { probability }) => sum + probability * (1 - probability), 0);
  const distance = variance > 0 ? (observed - expected) / Math.sqrt(variance) : 0;
  const state = (): DriftState => {
    if (known.length < limits.outcomes || expected < limits.expectedCases) return 'too-few';
    if (Math.abs(distance) <= limits.standardErrors) return 'steady';
    const ratio = observed / expected;
    return ratio < limits.observedByExpected.low || ratio > limits.observedByExpected.high ? 'alert' : 'watch';
  };
  return { state: state(), outcomes: known.length, observed, expected, distance };
}

const ORDER: readonly DriftState[] = ['too-few', 'steady', 'watch', 'alert'];
const worse = (one: DriftState, other: DriftState): DriftState =>
  ORDER.indexOf(one) >= ORDER.indexOf(other) ? one : other;

/** The verdict on one model. `seen`: one row a patient; rows of bands that the reference does not know are left out. */
export function driftOf(reference: Reference, all: readonly Seen[], limits: DriftLimits): DriftReport {
  const seen = all.filter(({ band, vector }) => isBand(reference, band) && vector.length === reference.inputs.length);
  const bands: Record<string, number> = {};
  for (const { band } of seen) if (band !== undefined) bands[band] = (bands[band] ?? 0) + 1 / seen.length;
  const drifts =
    seen.length < limits.patients
      ? []
      : reference.inputs.map((input, index) => inputDrift(reference, input, index, seen, bands));
  const drifted = drifts.filter(({ psi }) => psi >= limits.psi.watch).toSorted((a, b) => b.psi - a.psi);
  const heavy = drifted.filter(({ psi }) => psi >= limits.psi.alert).reduce((sum, { weight }) => sum + weight, 0);
  const inputs: DriftState =
    seen.length < limits.patients
      ? 'too-few'
      : heavy >= limits.alertWeight
        ? 'alert'
        : drifted.length > 0
          ? 'watch'
          : 'steady';
  const calibration = calibrationDrift(seen, limits);
  return {
    model: reference.model,
    sha256: reference.sha256,
    patients: seen.length,
    bands,
    state: worse(inputs, calibration.state),
    inputs: { state: inputs, drifted },
    calibration,
  };
}
