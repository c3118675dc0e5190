/**
 * The same two drugs, or the same rule of three, by several orders of one signing: the first interrupts, the others are told beside it.
 * Contraindications are never touched. Source: docs/decisions/0055-once-in-one-signing.md.
 */
import type { Finding } from './finding.ts';
import { eachOf, runAtOnce, type Steps } from './pace.ts';

/** Why a repeated finding does not interrupt again. */
const REPEATED = {
  id: 'ONCE-in-one-signing',
  reason:
    'Major. The same drugs interrupt with another order of this signing; without that order, this one interrupts.',
} as const;

/**
 * In the order given. A major interaction is repeated when a kept one has its key (the two ingredients and the rule); a major combination when
 * a kept one is of its rule and shares two ingredients. A repeated one becomes moderate, and says so.
 */
export function toldOnce(findings: readonly Finding[]): readonly Finding[] {
  return runAtOnce(tellingOnce(findings));
}

/** The same in steps. */
export function* tellingOnce(findings: readonly Finding[]): Steps<readonly Finding[]> {
  const repeats = repeating();
  const all: Finding[] = [];
  yield* eachOf(findings, (finding) =>
    all.push(repeats(finding) ? { ...finding, severity: 'moderate', context: REPEATED } : finding),
  );
  return all;
}

/** Whether a finding repeats one that was asked about before and is none itself. */
function repeating(): (finding: Finding) => boolean {
  const pairs = new Set<string>();
  /** Ingredients of the kept combinations, by rule. */
  const threes = new Map<string, (readonly string[])[]>();
  return (finding) => {
    if (finding.severity !== 'major') return false;
    const { kind, key, rule } = finding;
    if (kind === 'interaction') {
      const name = `${rule.id} ${key}`;
      return pairs.has(name) || !pairs.add(name);
    }
    if (kind !== 'combination') return false;
    const parts = partsOf(finding);
    const kept = threes.get(rule.id) ?? [];
    if (kept.some((known) => parts.filter((part) => known.includes(part)).length >= 2)) return true;
    threes.set(rule.id, [...kept, parts]);
    return false;
  };
}

/** The ingredients in a key: `combination 1191+11289+32968 TRIPLE-bleeding`. */
const partsOf = ({ key }: Finding): readonly string[] => key.split(' ')[1]?.split('+') ?? [];
