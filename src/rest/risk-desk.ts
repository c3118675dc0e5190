/** What the door needs of the models: implemented in src/risk, given by system.ts. */
import type { Resource } from '../fhir/resource.ts';

/** One patient as recorded, and the instant judged at, ms since 1970. */
export interface Recorded {
  readonly patient: Resource;
  readonly resources: readonly Resource[];
  readonly at: number;
}
export interface RiskDesk {
  /** Ids of the models and scores that can be asked for. */
  readonly models: ReadonlySet<string>;
  /** Types in the patient's compartment that inputs and rules of eligibility are read from. */
  readonly reads: readonly string[];
  /** Types outside it that those point at. */
  readonly follows: readonly string[];
  /**
   * One RiskAssessment a model, and Observations of results that have a LOINC code. `issuedAt` in ms. A model that was not run gives a
   * RiskAssessment without prediction that says why. Never rejects for clinical reasons.
   */
  evaluate(
    models: readonly string[],
    recorded: Recorded,
    newId: () => string,
    issuedAt: number,
  ): Promise<readonly Resource[]>;
}
