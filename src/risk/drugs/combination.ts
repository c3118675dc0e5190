/**
 * Rules of three drugs, and the QT risk score. They outrank the low-priority list: each pair alone may be harmless.
 * Sources: knowledge/triples.json; Tisdale 2013 in knowledge/qt-score.json; decision 0024.
 */

import type { Fact, Finding } from './finding.ts';
import type { DrugKnowledge, Ingredient } from './knowledge.ts';
import type { PatientFacts } from './patient-facts.ts';
import { holding, type Situation } from './rule-condition.ts';
import type { TripleRule } from './rules.ts';
import { currentBeside, isCurrent, ownFinding, type Taken } from './taken-drug.ts';

/** Combinations that a draft completes, each rule once. */
export function combinationFindings(
  draft: Taken,
  all: readonly Taken[],
  recent: readonly Taken[],
  facts: PatientFacts,
  knowledge: DrugKnowledge,
): readonly Finding[] {
  const { triplesOf, qt, terms } = knowledge.rules;
  const rules = new Set(draft.drug.ingredients.flatMap(triplesOf));
  const prolongs = draft.drug.ingredients.some((one) => qt.drugs.has(one));
  if (draft.isLocal || (rules.size === 0 && !prolongs)) return [];
  const others = all.filter(
    (one) => one !== draft && !one.isLocal && isCurrent(one) && one.mention.source !== draft.replaces,
  );
  const current = currentBeside([draft, ...others], undefined);
  // Most rules name a drug that nobody takes.
  const isPresent = (set: ReadonlySet<Ingredient>) => current.values().some((one) => set.has(one));
  const found = [...rules].flatMap((rule) =>
    rule.sets.every(isPresent) ? (tripleFinding(draft, others, recent, rule, facts, knowledge) ?? []) : [],
  );
  if (!prolongs) return found;
  const situation = { facts, current, terms };
  return [...found, ...qtFinding(draft, others, situation, knowledge)];
}

interface Member {
  readonly taken: Taken;
  readonly ingredient: Ingredient;
}

function membersOf(drugs: readonly Taken[], set: ReadonlySet<Ingredient>): readonly Member[] {
  const found: Member[] = [];
  for (const taken of drugs) {
    for (const ingredient of taken.drug.ingredients) if (set.has(ingredient)) found.push({ taken, ingredient });
  }
  return found;
}

function tripleFinding(
  draft: Taken,
  others: readonly Taken[],
  recent: readonly Taken[],
  rule: TripleRule,
  facts: PatientFacts,
  knowledge: DrugKnowledge,
): Finding | undefined {
  const counted = (taken: Taken, ingredient: Ingredient) =>
    !(taken.once && rule.notCountedOnce?.has(ingredient) === true);
  const three = completed(draft, others, recent, rule.sets, counted);
  if (three === undefined) return undefined;
  const { effect, id, source } = rule;
  const context = quietContext(rule, facts, () => wasCompleted(three, rule, [...others, ...recent], counted));
  const severity = context === undefined ? rule.severity : 'moderate';
  const core = { kind: 'combination' as const, severity, effect, id, citation: source };
  const [second, ...further] = [...new Set(three.slice(1).map(({ taken }) => taken))].filter(
    (taken) => taken !== draft,
  );
  const proposals = knowledge.rules.testsOf(rule.proposals ?? []);
  return {
    ...ownFinding(
      draft,
      core,
      three.map(({ ingredient }) => ingredient),
    ),
    other: second?.mention,
    ...(further.length === 0 ? {} : { further: further.map(({ mention }) => mention) }),
    ...(context === undefined ? {} : { context }),
    ...(proposals.length === 0 ? {} : { proposals }),
  };
}

/** Decision 0055: about telling the same rule again, not about the drugs. */
const SIGNED = {
  id: 'SIGNED-three',
  reason: 'The rule was complete before this order: two of its drugs stand, and with them another of this one’s kind.',
} as const;

/** The second and third drug stand, and a standing drug of the first one's set made three of them: that has been signed. */
function wasCompleted(
  [own, second, third]: readonly [Member, Member, Member],
  { sets }: TripleRule,
  beside: readonly Taken[],
  counted: (taken: Taken, ingredient: Ingredient) => boolean,
): boolean {
  const standing = new Set(
    beside
      .filter(({ mention }) => mention.state !== 'draft')
      .flatMap((taken) => taken.drug.ingredients.filter((one) => !taken.isLocal && counted(taken, one))),
  );
  if (!standing.has(second.ingredient) || !standing.has(third.ingredient)) return false;
  const kinds = sets.filter((set) => set.has(own.ingredient));
  return [...standing].some(
    (one) => one !== second.ingredient && one !== third.ingredient && kinds.some((set) => set.has(one)),
  );
}

/** Why a major rule is only told here; undefined when it is not. A contraindication stays what it is. */
function quietContext(
  { severity, quiet = [], quietWhenComplete = false }: TripleRule,
  facts: PatientFacts,
  isSigned: () => boolean,
): Finding['context'] {
  if (severity !== 'major') return undefined;
  const recorded = quiet.find((name) => facts.has(name));
  if (recorded !== undefined)
    return {
      id: 'QUIET-three',
      reason: `Recorded: ${recorded.replaceAll('-', ' ')}, where this rule is told without interrupting.`,
    };
  return quietWhenComplete && isSigned() ? SIGNED : undefined;
}

/** The draft in one set and different ingredients, of the draft or of others, in the two other sets. */
function completed(
  draft: Taken,
  others: readonly Taken[],
  recent: readonly Taken[],
  sets: readonly ReadonlySet<Ingredient>[],
  counted: (taken: Taken, ingredient: Ingredient) => boolean,
): readonly [Member, Member, Member] | undefined {
  const members = sets.map((set) =>
    membersOf([draft, ...others], set).filter(({ taken, ingredient }) => counted(taken, ingredient)),
  );
  if (members.some((each) => each.length === 0)) return undefined;
  for (const [index, each] of members.entries()) {
    const [left, right] = members.filter((_each, other) => other !== index);
    if (left === undefined || right === undefined) continue;
    for (const own of each.filter(({ taken }) => taken === draft)) {
      // The drug is taken already, or was until yesterday: the order brings nothing new to the three.
      const has = ({ drug }: Taken): boolean => drug.ingredients.includes(own.ingredient);
      if (recent.some(has) || others.some((one) => one.mention.state === 'active' && has(one))) continue;
      for (const second of left) {
        if (second.ingredient === own.ingredient) continue;
        const third = right.find(({ ingredient }) => ingredient !== own.ingredient && ingredient !== second.ingredient);
        if (third !== undefined) return [own, second, third];
      }
    }
  }
  return undefined;
}

/** Tisdale 2013: points of drugs and of the patient. Told from the band of moderate risk on. */
function qtFinding(
  draft: Taken,
  others: readonly Taken[],
  situation: Situation,
  knowledge: DrugKnowledge,
): readonly Finding[] {
  const { qt } = knowledge.rules;
  const [own] = membersOf([draft], qt.drugs);
  if (own === undefined) return [];
  const prolonging = new Set([own.ingredient, ...membersOf(others, qt.drugs).map(({ ingredient }) => ingredient)]);
  const facts: Fact[] = [];
  let points = prolonging.size > 1 ? qt.one + qt.more : qt.one;
  for (const row of qt.points) {
    const held = holding(row.when, situation);
    if (held === undefined) continue;
    points += row.points;
    facts.push(...(held.length > 0 ? held : [{ display: row.label, at: undefined, source: undefined }]));
  }
  const band = qt.bands.find(({ from }) => points >= from);
  if (band === undefined) return [];
  const names = [...prolonging].map(knowledge.nameOf).toSorted().join(', ');
  const effect = `QT risk score ${points} of 21 with ${names}: torsades de pointes.`;
  const core = { kind: 'combination' as const, severity: band.severity, effect, id: 'QT-score', citation: qt.citation };
  const [second, ...further] = others.filter(({ drug }) => drug.ingredients.some((one) => qt.drugs.has(one)));
  const proposals = knowledge.rules.testsOf(qt.proposals ?? []);
  return [
    {
      ...ownFinding(draft, core, [...prolonging]),
      other: second?.mention,
      ...(further.length === 0 ? {} : { further: further.map(({ mention }) => mention) }),
      facts,
      ...(proposals.length === 0 ? {} : { proposals }),
    },
  ];
}
