/** What the drug-safety check found: one hazard between a draft order and something else known of the patient. */
import type { Resource } from '../../fhir/resource.ts';
import type { Pace } from './pace.ts';

/** What stands for the drug check where a model is named. */
export const DRUG_SAFETY = 'drug-safety';

export type Severity = 'contraindicated' | 'major' | 'moderate' | 'low';

export interface DrugMention {
  /** As written in the order or list, or the ingredient's name. */
  readonly display: string;
  readonly rxcui: string | undefined;
  readonly ingredients: readonly string[];
  /** `MedicationRequest/12`, or the entry's fullUrl as received. */
  readonly source: string;
  /** draft: being ordered; active: current; washout: stopped, but its effect lasts. */
  readonly state: 'draft' | 'active' | 'washout';
  /** ms since 1970 of the newest date known for it. */
  readonly at: number | undefined;
  /** Recorded as active, but written so long ago that it may not be taken any more; it is checked all the same. */
  readonly stale?: boolean;
}

/** Another drug of the class that passes every check this one was put through. It has no dosage: that is the prescriber's. */
export interface Alternative {
  readonly name: string;
  /** Ingredient id: an RxCUI, or `name:<slug>`. */
  readonly ingredient: string;
  readonly reason: string;
}

/** What may be done about a finding, as data for a card. */
export type Proposal =
  | {
      readonly kind: 'test';
      readonly id: string;
      readonly display: string;
      readonly loinc: string;
      readonly timing: string;
    }
  /** At most so much of the ingredient; never a complete dosage. */
  | {
      readonly kind: 'dose';
      readonly display: string;
      readonly max: { readonly value: number; readonly unit: string; readonly per: 'dose' | 'day' | 'week' };
    };

/** A fact of the patient that the finding rests on: a laboratory value, an age, a condition. */
export interface Fact {
  readonly display: string;
  /** ms since 1970. */
  readonly at: number | undefined;
  readonly source: string | undefined;
}

export interface Finding {
  /**
   * interaction, duplicate: two drugs; combination: three; allergy: a recorded one; patient: age, sex, laboratory value, condition;
   * kidney: estimated function; dose: a published ceiling.
   */
  readonly kind: 'interaction' | 'allergy' | 'duplicate' | 'combination' | 'patient' | 'kidney' | 'dose';
  readonly severity: Severity;
  /** Stable across calls for the same fact: kind, sorted ingredient codes or names, rule. */
  readonly key: string;
  readonly draft: DrugMention;
  /** The other drug, or undefined when there is none. */
  readonly other: DrugMention | undefined;
  /** The third drug of a combination, and the other orders of a summed dose. */
  readonly further?: readonly DrugMention[];
  readonly allergy?: { readonly display: string; readonly source: string; readonly at: number | undefined };
  readonly facts?: readonly Fact[];
  /** Plain sentence: what can happen and why. */
  readonly effect: string;
  readonly rule: { readonly id: string; readonly citation: string; readonly url: string | undefined };
  /** Families of sources that name this pair: ONC, LABEL, FDA, VA. */
  readonly evidence?: readonly string[];
  /** Why the severity is not the one of the rule. */
  readonly context?: { readonly id: string; readonly reason: string };
  /** The harm it tells of; several findings of one order may tell of the same. */
  readonly hazard?: { readonly id: string; readonly name: string };
  /** 0 to 1, of the ranker: order within a severity. */
  readonly priority?: number;
  readonly alternatives?: readonly Alternative[];
  readonly proposals?: readonly Proposal[];
}

/** A draft order that the tables could not judge, and why. */
export interface Unchecked {
  readonly draft: DrugMention;
  readonly reason: string;
}

export interface DrugSafety {
  /**
   * `at` in ms. Findings highest severity first; `unresolved` are drugs that no table knows: said on the card, never dropped silently.
   * `unchecked` names the draft orders among them: about an order that is in neither list, silence means that it was checked.
   */
  check(
    drafts: readonly Resource[],
    context: readonly Resource[],
    at: number,
  ): {
    readonly findings: readonly Finding[];
    readonly unresolved: readonly string[];
    readonly unchecked?: readonly Unchecked[];
    /** Draft orders with a dosage that could not be held against the ceilings of their drugs, and why. */
    readonly undosed?: readonly Unchecked[];
    /** Draft orders that were not checked for want of time, or because there were too many. */
    readonly late?: readonly DrugMention[];
    /** Number of current drugs that nothing was compared with, because there were too many. */
    readonly beyond?: number;
    readonly considered: readonly DrugMention[];
  };
  /** The same in steps with pauses; after `until` what is left is in `late`. Absent: `check` is quick. */
  checkPaced?(
    drafts: readonly Resource[],
    context: readonly Resource[],
    at: number,
    pace: Pace,
  ): Promise<ReturnType<DrugSafety['check']>>;
  /** Findings in the order of telling; minor ones may become low. Absent: the order of `check`. */
  rank?(findings: readonly Finding[], ageYears: number | undefined, pace?: Pace): Promise<readonly Finding[]>;
  /** Version and date of the knowledge tables. */
  readonly knowledge: { readonly version: string; readonly sha256: string; readonly sources: readonly string[] };
}
