/**
 * What a pair's rule means here: route, patient, and the alert burden. Source: knowledge/contexts.json, knowledge/routes.json; decision 0024.
 * A row of purpose `burden` can never touch a contraindication: that is decided here, in code, whatever the table says.
 */

import type { Fact, Finding, Severity } from './finding.ts';
import type { Ingredient } from './knowledge.ts';
import type { PairRule } from './pair-rules.ts';
import { holding, type Situation } from './rule-condition.ts';
import type { ContextRule, Side } from './rules.ts';
import { severityRank } from './severity.ts';
import type { Taken } from './taken-drug.ts';

export interface Settled {
  readonly severity: Severity;
  readonly context?: Finding['context'];
  readonly facts?: readonly Fact[];
}

export interface Pair {
  readonly rule: PairRule;
  readonly draft: Taken;
  readonly other: Taken;
  readonly one: Ingredient;
  readonly two: Ingredient;
  /** Another current order of the draft's drug already stands beside the other drug: this pair has been signed before. */
  accepted(): boolean;
}

const LOCAL = {
  id: 'SCOPE-local-route',
  reason: 'One of the two is given where it acts (eye, skin, ear, nose, lung) and hardly reaches the rest of the body.',
} as const;

/** The severity of one rule for one pair. */
export function settled(pair: Pair, contexts: readonly ContextRule[], situation: Situation): Settled {
  const { rule, draft, other } = pair;
  if (draft.isLocal || other.isLocal) return { severity: 'low', context: LOCAL };
  let now: Settled = { severity: rule.severity };
  let isRisky = false;
  for (const row of contexts) {
    // A recorded risk that raises, or confirms, a severity keeps the rows of convenience away.
    if (row.purpose === 'burden' && isRisky) continue;
    if (!changes(row, now.severity) && row.purpose !== 'escalate') continue;
    const facts = applies(row, pair, situation);
    if (facts === undefined) continue;
    isRisky ||= row.purpose === 'escalate';
    if (!changes(row, now.severity)) continue;
    now = { severity: row.severity, context: { id: row.id, reason: row.reason }, facts };
    if (row.purpose === 'burden') return now;
  }
  return now;
}

/** scope: may set anything; escalate: upwards; burden: downwards, and never from a contraindication. */
export function changes({ purpose, severity }: ContextRule, from: Severity): boolean {
  switch (purpose) {
    case 'scope':
      return severity !== from;
    case 'escalate':
      return severityRank(severity) < severityRank(from);
    case 'burden':
      return from !== 'contraindicated' && severityRank(severity) > severityRank(from);
    default:
      return purpose satisfies never;
  }
}

function applies(row: ContextRule, pair: Pair, situation: Situation): readonly Fact[] | undefined {
  const { rule, draft, other, one, two, accepted } = pair;
  if (row.rules !== undefined && !row.rules.includes(rule.id)) return undefined;
  if (row.accepted !== undefined && row.accepted !== accepted()) return undefined;
  const straight = fits(row.a, draft, one) && fits(row.b, other, two);
  const turned = () => fits(row.a, other, two) && fits(row.b, draft, one);
  if (!straight && !turned()) return undefined;
  return row.when === undefined ? [] : holding(row.when, situation);
}

function fits(side: Side | undefined, taken: Taken, ingredient: Ingredient): boolean {
  return (
    side === undefined ||
    ((side.drugs === undefined || side.drugs.has(ingredient)) &&
      (side.route === undefined || side.route.includes(taken.route)) &&
      (side.once === undefined || side.once === taken.once) &&
      (side.prn === undefined || side.prn === taken.prn))
  );
}
