/** A drug that is ordered, taken or still acts, with what the checks need to know of it. */
import type { Resource } from '../../fhir/resource.ts';
import type { DrugMention, Finding } from './finding.ts';
import type { Ingredient } from './knowledge.ts';
import type { Drug } from './medication.ts';

export interface Taken {
  readonly mention: DrugMention;
  readonly drug: Drug;
  readonly resource: Resource;
  readonly route: string;
  /** Acts only where it is put: eye drops, creams. */
  readonly isLocal: boolean;
  readonly once: boolean;
  readonly prn: boolean;
  /** ms since 1970; undefined = still taken, or ended nobody knows when. */
  readonly endedAt: number | undefined;
  /** The order that this one replaces, as `Type/id`. */
  readonly replaces: string | undefined;
}

/** Taken now or about to be. */
export const isCurrent = ({ mention }: Taken): boolean => mention.state !== 'washout';

/** Ingredients of all drugs that reach the whole body, but one order's. */
export function currentBeside(drugs: readonly Taken[], one: Taken | undefined): ReadonlySet<Ingredient> {
  const found = new Set<Ingredient>();
  for (const taken of drugs) {
    if (taken === one || taken.isLocal || !isCurrent(taken)) continue;
    for (const ingredient of taken.drug.ingredients) found.add(ingredient);
  }
  return found;
}

type Core = Pick<Finding, 'kind' | 'severity' | 'effect'> & { readonly id: string; readonly citation: string };

/** A finding about one order alone. */
export function ownFinding(
  draft: Taken,
  { kind, severity, effect, id, citation }: Core,
  parts: readonly string[],
): Finding {
  return {
    kind,
    severity,
    key: `${kind} ${parts.toSorted().join('+')} ${id}`,
    draft: draft.mention,
    other: undefined,
    effect,
    rule: { id, citation, url: undefined },
  };
}
