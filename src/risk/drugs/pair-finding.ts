/** The hazard between two drugs, over all pairs of their ingredients. Source: knowledge/interactions.json; decisions 0008 and 0024. */

import type { Finding } from './finding.ts';
import type { DrugKnowledge, Ingredient } from './knowledge.ts';
import { type Settled, settled } from './pair-context.ts';
import type { PairRule } from './pair-rules.ts';
import type { PatientFacts } from './patient-facts.ts';
import { severityRank } from './severity.ts';
import type { Taken } from './taken-drug.ts';
import { DAY_MS } from './wash-out.ts';

export interface PairCall {
  /** All drugs of the call, the two among them. */
  readonly all: readonly Taken[];
  /** Current orders, and those that ended within a day: what they stood beside has been signed. */
  readonly standing: readonly Taken[];
  readonly facts: PatientFacts;
  readonly at: number;
  readonly knowledge: DrugKnowledge;
  /** What is current beside the draft. */
  readonly current: ReadonlySet<Ingredient>;
}

interface Worst {
  readonly rule: PairRule;
  readonly settled: Settled;
  readonly one: Ingredient;
  readonly two: Ingredient;
}

/** The most severe rule, after what route, patient and context make of it; undefined when no rule names the two. */
export function pairFinding(draft: Taken, other: Taken, call: PairCall): Finding | undefined {
  const { at, knowledge } = call;
  // Two of a kind matter only while both are taken; a renewal is the same therapy.
  const isDoubled = other.mention.state !== 'washout' && draft.replaces !== other.mention.source;
  let worst: Worst | undefined;
  for (const one of draft.drug.ingredients) {
    for (const two of other.drug.ingredients) {
      const rules = knowledge.rulesOf(one, two);
      if (rules.length === 0) continue;
      if (other.mention.state === 'washout' && !stillActs(two, one, other.endedAt, at, knowledge)) continue;
      for (const rule of rules) {
        if (rule.kind === 'duplicate' && !isDoubled) continue;
        const now = settledPair(rule, draft, other, one, two, call);
        if (worst === undefined || severityRank(now.severity) < severityRank(worst.settled.severity)) {
          worst = { rule, settled: now, one, two };
        }
      }
    }
  }
  return worst === undefined ? undefined : findingOf(worst, draft, other, knowledge);
}

function settledPair(
  rule: PairRule,
  draft: Taken,
  other: Taken,
  one: Ingredient,
  two: Ingredient,
  { standing, facts, current, knowledge }: PairCall,
): Settled {
  const { terms } = knowledge.rules;
  const pair = { rule, draft, other, one, two, accepted: () => wasSigned(one, two, other, standing) };
  return settled(pair, knowledge.rules.contextsOf(rule.id), { facts, current, terms });
}

/** Standing orders of both drugs, current or ended within a day, were there before this order. */
function wasSigned(one: Ingredient, two: Ingredient, other: Taken, standing: readonly Taken[]): boolean {
  if (other.mention.state === 'washout') return false;
  const holds = (ingredient: Ingredient) => (taken: Taken) =>
    !taken.isLocal && taken.drug.ingredients.includes(ingredient);
  const beside = other.mention.state === 'active' ? other : standing.find(holds(two));
  return beside !== undefined && standing.some((taken) => taken !== beside && holds(one)(taken));
}

function findingOf(
  { rule, settled: now, one, two }: Worst,
  draft: Taken,
  other: Taken,
  knowledge: DrugKnowledge,
): Finding {
  const { id, kind, effect, citation, url, evidence } = rule;
  const proposals = severityRank(now.severity) <= 2 ? knowledge.rules.monitoring(one, two) : [];
  return {
    kind,
    severity: now.severity,
    key: `${kind} ${[one, two].toSorted().join('+')} ${id}`,
    draft: draft.mention,
    other: other.mention,
    effect,
    rule: { id, citation, url },
    ...(evidence.length === 0 ? {} : { evidence }),
    ...(now.context === undefined ? {} : { context: now.context }),
    ...(now.facts === undefined || now.facts.length === 0 ? {} : { facts: now.facts }),
    ...(proposals.length === 0 ? {} : { proposals }),
  };
}

/** At exactly the number of days the wash-out is over. An end that nobody recorded cannot be ruled out. */
function stillActs(
  stopped: string,
  other: string,
  endedAt: number | undefined,
  at: number,
  knowledge: DrugKnowledge,
): boolean {
  const days = knowledge.washOutDays(stopped, other);
  return days > 0 && (endedAt === undefined || at - endedAt < days * DAY_MS);
}
