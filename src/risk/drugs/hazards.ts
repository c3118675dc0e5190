/** Which harm a rule tells of: rules of one harm about one order are one card. Source: knowledge/hazards.json; docs/decisions/0035-hazards-and-quiet.md. */
import type { Finding } from './finding.ts';
import { eachOf, runAtOnce, type Steps } from './pace.ts';
import { severityRank } from './severity.ts';

export interface HazardRule {
  readonly id: string;
  readonly name: string;
  /** Ids of rules. */
  readonly rules: readonly string[];
  /** Phrases of lower-case words; each begins at a word of the effect of an interaction. */
  readonly words: readonly string[];
  readonly reason: string;
  readonly source: string;
}

/** The harm of a rule; undefined for one that stands alone. `effect` of an interaction only: other rules are named by id. */
export type HazardOf = (rule: string, effect: string | undefined) => HazardRule | undefined;

/** Named rules first: an effect may say a word of another hazard. Answers by effect are kept: there are as many as rules. */
export function hazardIndex(hazards: readonly HazardRule[]): HazardOf {
  const named = new Map(hazards.flatMap((hazard) => hazard.rules.map((rule) => [rule, hazard] as const)));
  const said = new Map<string, HazardRule | undefined>();
  const byWords = (effect: string) => {
    const text = ` ${effect.toLowerCase().replace(/[^a-z0-9]+/g, ' ')}`;
    return hazards.find(({ words }) => words.some((word) => text.includes(` ${word}`)));
  };
  return (rule, effect) => {
    const known = named.get(rule);
    if (known !== undefined || effect === undefined) return known;
    if (!said.has(effect)) said.set(effect, byWords(effect));
    return said.get(effect);
  };
}

/** What is told together: one harm of one order. */
export interface HazardGroup<Told> {
  readonly lead: Told;
  readonly further: readonly Told[];
}

/**
 * In the order given. A contraindication always has a card of its own: it is never a line of another's. The findings of a group are about
 * one order; what tells of no known harm stands alone.
 */
export function byHazard<Told extends { readonly finding: Finding }>(
  told: readonly Told[],
): readonly HazardGroup<Told>[] {
  return runAtOnce(groupingByHazard(told));
}

/** The same in steps. */
export function* groupingByHazard<Told extends { readonly finding: Finding }>(
  told: readonly Told[],
): Steps<readonly HazardGroup<Told>[]> {
  const names: string[] = [];
  const leads = new Map<string, Told>();
  yield* eachOf(told, (one) => {
    const name = nameOf(one);
    names.push(name);
    const known = leads.get(name);
    if (known === undefined || rank(one) < rank(known)) leads.set(name, one);
  });
  const groups: { readonly lead: Told; readonly further: Told[] }[] = [];
  const further = new Map<string, Told[]>();
  yield* eachOf(told, (one, index) => {
    const name = names[index] ?? '';
    const isLead = leads.get(name) === one;
    if (isLead) groups.push({ lead: one, further: listOf(further, name) });
    else if (one.finding.severity === 'contraindicated') groups.push({ lead: one, further: [] });
    else listOf(further, name).push(one);
  });
  return groups;
}

/** The further ones of a name: a lead may come before or after them. */
function listOf<Told>(further: Map<string, Told[]>, name: string): Told[] {
  const known = further.get(name) ?? [];
  further.set(name, known);
  return known;
}

const rank = ({ finding }: { readonly finding: Finding }) => severityRank(finding.severity);

function nameOf({ finding: { hazard, draft, other, allergy, key } }: { readonly finding: Finding }): string {
  return hazard === undefined
    ? `${key} ${draft.source} ${other?.source ?? allergy?.source ?? ''}`
    : `${hazard.id} ${draft.source}`;
}
