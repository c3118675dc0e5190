/** What the door needs of the models: implemented in src/risk, given by system.ts. */
import type { JsonObject, Resource } from '../../fhir/resource.ts';

/** One patient as recorded, and the instant judged at, ms since 1970. */
export interface Recorded {
  readonly patient: Resource;
  readonly resources: readonly Resource[];
  readonly at: number;
}
/** What one model says of one patient. */
export interface Evaluation {
  /** RiskAssessment with an id. */
  readonly assessment: Resource;
  /** Settled results, each with an id. */
  readonly observations: readonly Resource[];
  /** How it is stored; undefined when nothing was computed: then there is nothing to store. */
  readonly kept:
    | {
        /** The same for the same model and inputs. */
        readonly identifier: { readonly system: string; readonly value: string };
        /** The model's file, and the model as who made it. */
        readonly sha256: { readonly system: string; readonly code: string };
        readonly performer: JsonObject;
        /** Without id and targets. */
        readonly provenance: Resource;
      }
    | undefined;
}
export interface RiskDesk {
  /** Ids of the models and scores that can be asked for. */
  readonly models: ReadonlySet<string>;
  /** Types in the patient's compartment that inputs and rules of eligibility are read from. */
  readonly reads: readonly string[];
  /** Types outside it that those point at. */
  readonly follows: readonly string[];
  /**
   * One RiskAssessment a model, and Observations of settled results, patient by patient. `issuedAt` in ms. A model that was not run gives
   * a RiskAssessment without prediction that says why. Never rejects for clinical reasons. What a graph is asked of several patients is one run.
   */
  evaluate(
    models: readonly string[],
    recorded: readonly Recorded[],
    newId: () => string,
    issuedAt: number,
  ): Promise<readonly Evaluation[]>;
}
