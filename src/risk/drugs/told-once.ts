/**
 * The same two drugs, or the same rule of three, by several orders of one signing: the first interrupts, the others are told beside it.
 * Contraindications are never touched. Source: docs/decisions/0055-once-in-one-signing.md.
 */
import type { Finding } from './finding.ts';

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
  const kept: Finding[] = [];
  return findings.map((finding) => {
    if (finding.severity !== 'major') return finding;
    if (kept.some((earlier) => repeats(finding, earlier)))
      return { ...finding, severity: 'moderate', context: REPEATED };
    kept.push(finding);
    return finding;
  });
}

function repeats(later: Finding, earlier: Finding): boolean {
  if (later.kind !== earlier.kind || later.rule.id !== earlier.rule.id) return false;
  switch (later.kind) {
    case 'interaction':
      return later.key === earlier.key;
    case 'combination': {
      const known = partsOf(earlier);
      return partsOf(later).filter((part) => known.includes(part)).length >= 2;
    }
    default:
      return false;
  }
}

/** The ingredients in a key: `combination 1191+11289+32968 TRIPLE-bleeding`. */
const partsOf = ({ key }: Finding): readonly string[] => key.split(' ')[1]?.split('+') ?? [];
