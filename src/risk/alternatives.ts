/**
 * Other drugs of the class for an order that conflicts. Source: knowledge/alternatives.json; decision 0024.
 * A candidate is put through every check that the order went through, and has no dosage: a dosage is never copied between drugs.
 */
import type { Resource } from '../fhir/resource.ts';
import type { DrugKnowledge, Ingredient } from './drug-knowledge.ts';
import type { Alternative, Finding } from './finding.ts';
import { severityRank } from './severity.ts';

/** Most alternatives of one finding. */
const MOST = 3;

/** Findings of a hypothetical order, to be judged as if it were drafted in place of the one that conflicts. */
export type Judge = (hypothetical: Resource, inPlaceOf: string) => readonly Finding[];

/** An order of the ingredient by name only, on the draft's route; it never leaves this module's callers. */
export function hypotheticalOrder(
  ingredient: Ingredient,
  name: string,
  route: Resource['dosageInstruction'],
): Resource {
  return {
    resourceType: 'MedicationRequest',
    id: `alternative-${ingredient.replaceAll(':', '-')}`,
    status: 'draft',
    intent: 'proposal',
    medicationCodeableConcept: { text: name },
    ...(route === undefined ? {} : { dosageInstruction: route }),
  };
}

/**
 * The finding with the class members that bring no finding of more than low severity; the most preferred first.
 * Only for interruptive findings about a drug with one ingredient of a known class.
 */
export function withAlternatives(
  finding: Finding,
  ingredients: readonly Ingredient[],
  route: Resource['dosageInstruction'],
  judge: Judge,
  knowledge: DrugKnowledge,
): Finding {
  const [ingredient] = ingredients;
  if (
    severityRank(finding.severity) > 1 ||
    finding.kind === 'dose' ||
    ingredients.length !== 1 ||
    ingredient === undefined
  ) {
    return finding;
  }
  const alternatives: Alternative[] = [];
  const tried = new Set<Ingredient>(ingredients);
  for (const candidate of knowledge.rules.candidates(ingredient)) {
    if (alternatives.length >= MOST) break;
    if (tried.has(candidate.ingredient)) continue;
    tried.add(candidate.ingredient);
    const name = knowledge.nameOf(candidate.ingredient);
    const found = judge(hypotheticalOrder(candidate.ingredient, name, route), finding.draft.source);
    if (found.some(({ severity }) => severity !== 'low')) continue;
    alternatives.push({
      name,
      ingredient: candidate.ingredient,
      reason: `${candidate.className}; no finding with the recorded drugs, allergies and conditions${candidate.note === undefined ? '' : `; ${candidate.note}`}`,
    });
  }
  return alternatives.length === 0 ? finding : { ...finding, alternatives };
}
