/**
 * Other drugs of the class for an order that conflicts. Source: knowledge/alternatives.json; decision 0024.
 * A candidate is put through every check that the order went through, and has no dosage: a dosage is never copied between drugs.
 */
import type { Resource } from '../../fhir/resource.ts';
import type { Alternative, Finding } from './finding.ts';
import type { DrugKnowledge, Ingredient } from './knowledge.ts';
import type { Steps } from './pace.ts';
import { severityRank } from './severity.ts';

/** Most alternatives of one finding. */
const MOST = 3;

/** Findings of a hypothetical order, judged as if it were drafted in place of the one that conflicts. */
export type Judge = (hypothetical: Resource) => readonly Finding[];

/** An order of the ingredient by name only, on the draft's route; it never leaves the check. */
function hypotheticalOrder(ingredient: Ingredient, name: string, route: Resource['dosageInstruction']): Resource {
  return {
    resourceType: 'MedicationRequest',
    id: `alternative-${ingredient.replaceAll(':', '-')}`,
    status: 'draft',
    intent: 'proposal',
    medicationCodeableConcept: { text: name },
    ...(route === undefined ? {} : { dosageInstruction: route }),
  };
}

/** Interruptive findings that another drug could avoid; a dose is changed, not the drug. */
export const wantsAlternatives = ({ severity, kind }: Finding): boolean =>
  severityRank(severity) <= 1 && kind !== 'dose';

/**
 * Class members that bring no finding of more than low severity, the most preferred first; none for drugs of several ingredients.
 * @param route dosages that hold the draft's route and nothing else
 */
export function* alternativesFor(
  ingredients: readonly Ingredient[],
  route: Resource['dosageInstruction'],
  judge: Judge,
  { rules, nameOf }: DrugKnowledge,
): Steps<readonly Alternative[]> {
  const [ingredient] = ingredients;
  if (ingredients.length !== 1 || ingredient === undefined) return [];
  const alternatives: Alternative[] = [];
  const tried = new Set<Ingredient>(ingredients);
  for (const { ingredient: candidate, className, note } of rules.candidates(ingredient)) {
    if (alternatives.length >= MOST) break;
    if (tried.has(candidate)) continue;
    tried.add(candidate);
    // An alternative that was not checked is none.
    if (!(yield)) break;
    const name = nameOf(candidate);
    if (judge(hypotheticalOrder(candidate, name, route)).some(({ severity }) => severity !== 'low')) continue;
    const why = note === undefined ? '' : `; ${note}`;
    const reason = `${className}; no finding with the recorded drugs, allergies and conditions${why}`;
    alternatives.push({ name, ingredient: candidate, reason });
  }
  return alternatives;
}
