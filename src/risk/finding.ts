/** What the drug-safety check found: one hazard between a draft order and something else known of the patient. */
import type { Resource } from '../fhir/resource.ts';
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
}

export interface Finding {
  readonly kind: 'interaction' | 'allergy' | 'duplicate';
  readonly severity: Severity;
  /** Stable across calls for the same fact: kind, sorted ingredient codes or names, rule. */
  readonly key: string;
  readonly draft: DrugMention;
  /** The other drug, or undefined for an allergy. */
  readonly other: DrugMention | undefined;
  readonly allergy?: { readonly display: string; readonly source: string; readonly at: number | undefined };
  /** Plain sentence: what can happen and why. */
  readonly effect: string;
  readonly rule: { readonly id: string; readonly citation: string; readonly url: string | undefined };
}

export interface DrugSafety {
  /** `at` in ms. Findings highest severity first; `unresolved` are drugs that no table knows: said on the card, never dropped silently. */
  check(
    drafts: readonly Resource[],
    context: readonly Resource[],
    at: number,
  ): {
    readonly findings: readonly Finding[];
    readonly unresolved: readonly string[];
    readonly considered: readonly DrugMention[];
  };
  /** Version and date of the knowledge tables. */
  readonly knowledge: { readonly version: string; readonly sha256: string; readonly sources: readonly string[] };
}
