/** The outcome of scoring one patient at one instant with one model: what a card and a RiskAssessment are made from. */

/** One input as used: value in the model's unit, where it came from. */
export interface UsedInput {
  readonly name: string;
  /** For people: 'Respiratory rate'. */
  readonly display: string;
  readonly value: number | string;
  readonly unit: string;
  /** ms since 1970 of the measurement; undefined for facts without a date (age). */
  readonly at: number | undefined;
  /** `Observation/12`, or a prefetch path when the resource has no id. */
  readonly source: string | undefined;
  /** Points the input adds, for additive scores. */
  readonly points?: number;
}
export interface MissingInput {
  readonly name: string;
  readonly display: string;
  /** 'no usable Observation within 24 h', 'unit not convertible', 'implausible value'. */
  readonly reason: string;
}
export interface Assessment {
  readonly model: { readonly id: string; readonly version: string; readonly sha256: string };
  /** 'model' = ONNX answered; 'fallback' = the rule-based stand-in did, with low confidence. */
  readonly answeredBy: 'model' | 'fallback';
  readonly fallbackReason?: string;
  /** Outputs by name: a score's total, probability or acuity level. */
  readonly outputs: Readonly<Record<string, number>>;
  /** True when inputs are missing and an additive total is a lower bound: "at least N". */
  readonly atLeast: boolean;
  /** Band name from the manifest, decided by `outputs`; undefined when no statement can be made. */
  readonly band: string | undefined;
  readonly used: readonly UsedInput[];
  readonly missing: readonly MissingInput[];
  /** undefined = within the intended population; else why the model was not run. */
  readonly outsidePopulation?: string;
}
