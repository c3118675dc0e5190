/** The outcome of scoring one patient at one instant with one model: what a card and a RiskAssessment are made from. */
import type { Resource } from '../fhir/resource.ts';

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
  /** What a reader must know of this value: 'a newer value was skipped: ...'. */
  readonly note?: string;
}
export interface MissingInput {
  readonly name: string;
  readonly display: string;
  /** 'no usable Observation within 24 h', 'unit not convertible', 'implausible value'. */
  readonly reason: string;
  /** The model does without it, e.g. PaCO2 in SIRS. */
  readonly optional?: true;
}
/** What one input, present or missing, adds to the log-odds of this answer; exact for the trees that answered (tree-shap.ts). */
export interface Contribution {
  readonly name: string;
  readonly display: string;
  readonly logOdds: number;
}
export interface Assessment {
  readonly model: { readonly id: string; readonly version: string; readonly sha256: string };
  /** 'model' = the ONNX graph, or the table of a score file, answered; 'fallback' = the rule-based stand-in did, with low confidence. */
  readonly answeredBy: 'model' | 'fallback';
  readonly fallbackReason?: string;
  /** Present when the fallback answered. */
  readonly confidence?: 'low';
  /** Outputs by name: a score's total, probability or acuity level. */
  readonly outputs: Readonly<Record<string, number>>;
  /** True when inputs are missing and an additive total is a lower bound: "at least N". */
  readonly atLeast: boolean;
  /** Points by item, for scores from a file. */
  readonly parts?: Readonly<Record<string, number>>;
  /** Band name from the manifest, decided by `outputs`; undefined when no statement can be made. */
  readonly band: string | undefined;
  /** What went into the graph or score, in the order of its inputs (of a score file: then its changes); null for a missing one. Absent when nothing was run. */
  readonly vector?: readonly (number | null)[];
  /** UCUM units of the vector, in its order; of scores from files. Units of a graph are those of its manifest, which stays. */
  readonly vectorUnits?: readonly string[];
  readonly used: readonly UsedInput[];
  readonly missing: readonly MissingInput[];
  /** Of a trained model: largest first. `baseline` and all contributions sum to its log-odds. */
  readonly contributions?: readonly Contribution[];
  /** Log-odds of a patient of whom nothing is known. */
  readonly baseline?: number;
  /** undefined = within the intended population; else why the model was not run. */
  readonly outsidePopulation?: string;
}

/** What a model may look at: resources of one patient, as prefetched. */
export interface Evidence {
  readonly patient: Resource | undefined;
  /** Observations, Conditions, Encounters, medication requests ... of this patient only. */
  readonly resources: readonly Resource[];
  /** The instant judged at, ms since 1970. */
  readonly at: number;
}

/** Loaded models. Built by risk/models/models.ts; used by cds through this interface. */
export interface Models {
  readonly manifests: ReadonlyMap<string, Manifest>;
  /** Never rejects for clinical reasons: failure, overload or a missed deadline give the rule-based fallback, marked as such. */
  assess(modelId: string, evidence: Evidence, deadlineAt: number): Promise<Assessment>;
  /**
   * The outputs of exactly this version and graph for a vector that was kept, by the same way (graph or stand-in) as then.
   * undefined when that version is no longer on disk, is another graph, or gives no answer.
   * @param file text of the score file that was kept of that version, for one that is no longer on disk
   */
  rescore(
    model: Assessment['model'],
    answeredBy: Assessment['answeredBy'],
    vector: readonly (number | null)[],
    file?: string,
  ): Promise<Readonly<Record<string, number>> | undefined>;
  /** Text of the score file of exactly this hash; undefined for a graph, and for a file that is no longer here. */
  scoreFile(model: Assessment['model']): string | undefined;
  /** One line per model for readiness: whether ONNX answers or the fallback. */
  status(): readonly {
    readonly id: string;
    readonly version: string;
    readonly ready: boolean;
    readonly reason?: string;
  }[];
  close(): Promise<void>;
}

/** What cds needs of a manifest; the whole schema is models/schema.json. */
export interface Manifest {
  readonly id: string;
  readonly version: string;
  readonly sha256: string;
  readonly title: string;
  /** Plain words for the card: 'adults (16 years or older), not pregnant'. */
  readonly population: string;
  /** Results of a score file, with the LOINC code of those that have one. */
  readonly results?: readonly {
    readonly name: string;
    readonly display: string;
    readonly unit: string;
    readonly loinc?: string;
  }[];
  /** Items of a score file, whose points add up. */
  readonly items?: readonly { readonly name: string; readonly display: string }[];
  readonly limits: readonly string[];
  readonly citation: { readonly text: string; readonly url: string };
  /** Highest first: a band holds when its output is at least `from`. */
  readonly bands: readonly {
    readonly name: string;
    readonly display: string;
    readonly output: string;
    readonly from: number;
  }[];
}
