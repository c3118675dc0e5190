/** Which rules name two ingredients, and which source decides when they disagree. Sources: knowledge/interactions.json, duplicates.json, conflicts.json; decisions 0008, 0024. */

import type { Severity } from './finding.ts';
import type { Ingredient } from './knowledge.ts';
import type { ConflictRule } from './rules.ts';
import { severityRank } from './severity.ts';

export interface PairRule {
  readonly id: string;
  readonly kind: 'interaction' | 'duplicate';
  readonly severity: Severity;
  readonly effect: string;
  readonly citation: string;
  readonly url?: string;
  /** Families of sources that name the pair: ONC, LABEL, FDA, VA. */
  readonly evidence: readonly string[];
  /** The row of conflicts.json that decided between two of them. */
  readonly decidedBy?: string;
}

export interface PairTables {
  readonly interactions: readonly {
    readonly id: string;
    readonly severity: Severity;
    readonly a: readonly Ingredient[];
    readonly b: readonly Ingredient[];
    readonly effect: string;
    readonly citation: string;
    readonly url?: string;
  }[];
  readonly duplicates: readonly {
    readonly id: string;
    readonly severity: Severity;
    readonly names: readonly string[];
    readonly a: readonly Ingredient[];
    readonly b: readonly Ingredient[];
  }[];
}

export const pairKey = (one: Ingredient, other: Ingredient) => (one < other ? `${one}|${other}` : `${other}|${one}`);

/**
 * Every rule by the pair it names, most severe first. A pair of the low-priority list is never more than low, unless a contraindication names
 * it (Phansalkar 2013: these pairs must not interrupt) or conflicts.json decides otherwise between the two sources.
 */
export function pairIndex(
  { interactions, duplicates }: PairTables,
  conflicts: readonly ConflictRule[],
): ReadonlyMap<string, readonly PairRule[]> {
  const index = new Map<string, PairRule[]>();
  const add = (rule: PairRule, a: readonly Ingredient[], b: readonly Ingredient[], sameToo: boolean) => {
    const seen = new Set<string>();
    for (const one of a) {
      for (const other of b) {
        const key = pairKey(one, other);
        if (seen.has(key) || (one === other && !sameToo)) continue;
        seen.add(key);
        const rules = index.get(key);
        if (rules === undefined) index.set(key, [rule]);
        else rules.push(rule);
      }
    }
  };
  for (const { a, b, ...rule } of interactions)
    add({ kind: 'interaction', evidence: [familyOf(rule.id)], ...rule }, a, b, false);
  for (const { id, severity, names, a, b } of duplicates) add(duplicateRule(id, severity, names), a, b, true);
  const decided = new Map(conflicts.map((row) => [row.between.join(' '), row]));
  const together = new Map<string, PairRule>();
  for (const [key, rules] of index) {
    if (rules.length < 2) continue;
    rules.sort((x, y) => severityRank(x.severity) - severityRank(y.severity));
    const evidence = [...new Set(rules.filter(({ kind }) => kind === 'interaction').map(({ id }) => familyOf(id)))];
    index.set(
      key,
      withoutConflict(rules, decided).map((rule) => shared(rule, evidence, together)),
    );
  }
  return index;
}

const familyOf = (id: string) => id.split('-')[0] ?? id;

/** Pairs of one rule with the same evidence share one object: there are tens of thousands. */
function shared(rule: PairRule, evidence: readonly string[], known: Map<string, PairRule>): PairRule {
  const key = `${rule.id} ${rule.severity} ${evidence.join()}`;
  const one = known.get(key) ?? { ...rule, evidence };
  known.set(key, one);
  return one;
}

/** The first source's rule at the decided severity, where the low-priority list and it disagree. */
function withoutConflict(rules: readonly PairRule[], decided: ReadonlyMap<string, ConflictRule>): readonly PairRule[] {
  const low = rules.find(({ id }) => id.startsWith('ONC-LP-'));
  const [first] = rules;
  if (low === undefined || first === undefined || first.severity === 'contraindicated') return rules;
  if (first.severity === 'low') return [low];
  const row = decided.get(`${first.id} ${low.id}`) ?? decided.get('* ONC-LP-*');
  if (row === undefined)
    throw new TypeError(`knowledge/conflicts.json does not decide between ${first.id} and ${low.id}`);
  return row.severity === 'low'
    ? [{ ...low, decidedBy: row.id }]
    : [{ ...first, severity: row.severity, decidedBy: row.id }];
}

function duplicateRule(id: string, severity: Severity, names: readonly string[]): PairRule {
  const [one = '', other = one] = names;
  return {
    id,
    kind: 'duplicate',
    severity,
    evidence: [],
    effect:
      one === other
        ? `Two current drugs of one class (${one}): effects and harms add up without further benefit.`
        : `Two current drugs with overlapping effect (${one} and ${other}): harms add up.`,
    citation: 'Common practice and US prescribing information; one current drug of the class',
  };
}
