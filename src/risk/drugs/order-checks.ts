/**
 * One order against the patient: age, sex, laboratory values, conditions, kidney function, and against the published dose ceilings.
 * Sources: knowledge/patient-rules.json, renal.json, doses.json; decision 0024.
 */

import { type Dosing, dosingOf } from './dosage.ts';
import type { Finding, Proposal, Severity } from './finding.ts';
import type { DrugKnowledge, Ingredient } from './knowledge.ts';
import type { PatientFacts } from './patient-facts.ts';
import { dosagesOf } from './route.ts';
import { estimateFact, holding, isWithin, type Situation } from './rule-condition.ts';
import type { DoseRule, RenalRule } from './rules.ts';
import { severityRank } from './severity.ts';
import { isCurrent, ownFinding, type Taken } from './taken-drug.ts';

/** Everything one order is judged beside. */
export interface Beside {
  readonly all: readonly Taken[];
  /** What is current beside the order. */
  readonly current: ReadonlySet<Ingredient>;
  readonly facts: PatientFacts;
  readonly knowledge: DrugKnowledge;
}

/** The findings of one order alone: of several rules of one kind about one ingredient, the most severe. */
export function orderFindings(draft: Taken, beside: Beside): readonly Finding[] {
  const situation = { facts: beside.facts, current: beside.current, terms: beside.knowledge.rules.terms };
  return draft.drug.ingredients.flatMap((ingredient) => [
    ...patientFindings(draft, ingredient, situation, beside),
    ...kidneyFindings(draft, ingredient, beside),
    ...doseFindings(draft, ingredient, situation, beside),
  ]);
}

function patientFindings(
  draft: Taken,
  ingredient: Ingredient,
  situation: Situation,
  { knowledge }: Beside,
): readonly Finding[] {
  return knowledge.rules.patientRules(ingredient).flatMap((rule) => {
    if (draft.isLocal && rule.local !== true) return [];
    if (rule.routes !== undefined && !rule.routes.includes(draft.route)) return [];
    const facts = holding(rule.when, situation);
    if (facts === undefined) return [];
    const { id, severity, effect, source, proposals } = rule;
    const core = { kind: 'patient' as const, severity, effect, id, citation: source };
    return [{ ...ownFinding(draft, core, [ingredient]), facts, ...proposed(knowledge.rules.testsOf(proposals ?? [])) }];
  });
}

const proposed = (proposals: readonly Proposal[]) => (proposals.length === 0 ? {} : { proposals });

function kidneyFindings(draft: Taken, ingredient: Ingredient, beside: Beside): readonly Finding[] {
  const { facts, knowledge } = beside;
  const rows = draft.isLocal ? [] : knowledge.rules.renalRules(ingredient);
  if (rows.length === 0) return [];
  const found = rows.flatMap((row) => kidneyFinding(draft, ingredient, row, beside) ?? []);
  if (found.length > 0 || facts.noEstimate !== 'dialysis') return found.slice(0, 1);
  // Dialysis has no clearance to compute; what is forbidden at the lowest function is forbidden here.
  const worst = rows.find(
    ({ lt, ge, severity }) => lt !== undefined && ge === undefined && severityRank(severity) <= 1,
  );
  if (worst === undefined) return [];
  const core = {
    kind: 'kidney' as const,
    severity: worst.severity,
    effect: `Dialysis is recorded: ${worst.action}.`,
    id: worst.id,
    citation: worst.source,
  };
  return [ownFinding(draft, core, [ingredient])];
}

const METRICS = {
  egfr: { name: 'eGFR', unit: 'mL/min/1.73 m2' },
  crcl: { name: 'Creatinine clearance', unit: 'mL/min' },
} as const satisfies Record<RenalRule['metric'], { name: string; unit: string }>;

function kidneyFinding(draft: Taken, ingredient: Ingredient, row: RenalRule, beside: Beside): Finding | undefined {
  const { facts, knowledge } = beside;
  // Without weight there is no clearance; the rows of both metrics are close enough for the other estimate to stand in.
  const estimate = facts[row.metric] ?? facts.egfr;
  if (estimate === undefined || !isWithin(estimate.value, row)) return undefined;
  const { name, unit } = facts[row.metric] === undefined ? METRICS.egfr : METRICS[row.metric];
  const limit = row.dailyMax;
  const ordered = limit && amountOf(draft, ingredient, limit.unit, beside).daily;
  const isOver = limit !== undefined && ordered !== undefined && ordered > limit.value * ROUNDING;
  const isUnder = limit !== undefined && ordered !== undefined && !isOver;
  // The order already is what the rule asks for.
  const severity: Severity = isOver ? (row.over ?? row.severity) : isUnder ? 'low' : row.severity;
  const effect = `Cleared by the kidney: ${row.action}.${isOver ? ` The order is up to ${amount(ordered, limit.unit)} a day.` : ''}`;
  const dose: readonly Proposal[] =
    limit === undefined || isUnder
      ? []
      : [
          {
            kind: 'dose',
            display: `At most ${amount(limit.value, limit.unit)} a day of ${knowledge.nameOf(ingredient)}`,
            max: { ...limit, per: 'day' },
          },
        ];
  return {
    ...ownFinding(draft, { kind: 'kidney', severity, effect, id: row.id, citation: row.source }, [ingredient]),
    facts: [estimateFact(estimate, name, unit)],
    ...proposed([...dose, ...knowledge.rules.testsOf(row.proposals ?? [])]),
  };
}

/** Ceilings are exact; a doubled rounding error is not above them. */
const ROUNDING = 1 + 1e-9;
const amount = (value: number, unit: string) => `${Number(value.toPrecision(6))} ${unit === '[iU]' ? 'units' : unit}`;

function amountOf(taken: Taken, ingredient: Ingredient, unit: string, { facts, knowledge }: Beside): Dosing {
  const { drug, mention, resource } = taken;
  const weight = facts.lab('weight')?.value;
  const named = {
    display: mention.display,
    name: knowledge.nameOf(ingredient),
    isCombination: drug.ingredients.length > 1,
  };
  return dosingOf(resource, { ...named, weight }, unit);
}

/** The most severe ceiling exceeded by this order, or by all current orders of the ingredient together. */
function doseFindings(draft: Taken, ingredient: Ingredient, situation: Situation, beside: Beside): readonly Finding[] {
  const rows = knowledgeRows(beside.knowledge.rules.doseRules(ingredient), draft.route);
  let worst: { readonly finding: Finding; readonly excess: number } | undefined;
  for (const row of rows) {
    const facts = row.when === undefined ? [] : holding(row.when, situation);
    if (facts === undefined) continue;
    const told = doseFinding(draft, ingredient, row, beside);
    if (told === undefined) continue;
    const finding = facts.length === 0 ? told.finding : { ...told.finding, facts };
    const isWorse =
      worst === undefined ||
      severityRank(finding.severity) < severityRank(worst.finding.severity) ||
      (finding.severity === worst.finding.severity && told.excess > worst.excess);
    if (isWorse) worst = { finding, excess: told.excess };
  }
  return worst === undefined ? [] : [worst.finding];
}

/** An unknown route is taken as oral when the drug has oral ceilings only. */
function knowledgeRows(rows: readonly DoseRule[], route: string): readonly DoseRule[] {
  if (route !== 'unknown') return rows.filter(({ routes }) => routes.includes(route));
  return rows.every(({ routes }) => routes.includes('oral')) ? rows : [];
}

function doseFinding(
  draft: Taken,
  ingredient: Ingredient,
  row: DoseRule,
  beside: Beside,
): { readonly finding: Finding; readonly excess: number } | undefined {
  const { knowledge, all } = beside;
  const unit = row.per === 'times-a-week' ? 'mg' : row.unit;
  const own = inPeriod(amountOf(draft, ingredient, unit, beside), row.per);
  // A single dose is the order's own; daily amounts add up over all current orders that are not being replaced.
  const others =
    row.per !== 'day' || own === undefined
      ? []
      : all.filter(
          (one) =>
            one !== draft &&
            isCurrent(one) &&
            one.mention.source !== draft.replaces &&
            row.routes.includes(one.route) &&
            one.drug.ingredients.includes(ingredient),
        );
  const further = others.flatMap((one) => {
    const daily = amountOf(one, ingredient, unit, beside).daily;
    return daily === undefined ? [] : [{ one, daily }];
  });
  const sum = own === undefined ? undefined : further.reduce((total, { daily }) => total + daily, own);
  if (sum === undefined || own === undefined || sum <= row.max * ROUNDING) return undefined;
  const isSummed = own <= row.max * ROUNDING;
  const what = row.per === 'times-a-week' ? `${row.max} doses a week` : `${amount(row.max, row.unit)} ${PER[row.per]}`;
  const given = row.per === 'times-a-week' ? `${amount(sum, '')}doses` : amount(sum, row.unit);
  const effect = `Above the ceiling of ${what} of ${knowledge.nameOf(ingredient)}${row.note === undefined ? '' : ` (${row.note})`}: ${isSummed ? 'with the other orders ' : ''}up to ${given}.`;
  // The same product twice is seen as a duplicate; the same ingredient hidden in another product is not.
  const isHidden = further.some(({ one }) => one.drug.ingredients.length !== draft.drug.ingredients.length);
  const severity = isSummed && !isHidden && row.severity === 'major' ? 'moderate' : row.severity;
  const finding: Finding = {
    ...ownFinding(draft, { kind: 'dose', severity, effect, id: row.id, citation: row.source }, [ingredient]),
    ...(isSummed ? { further: further.map(({ one }) => one.mention) } : {}),
    ...(row.per === 'times-a-week'
      ? {}
      : {
          proposals: [
            {
              kind: 'dose',
              display: `At most ${what} of ${knowledge.nameOf(ingredient)}`,
              max: { value: row.max, unit: row.unit, per: row.per },
            },
          ],
        }),
  };
  return { finding, excess: sum / row.max };
}

/**
 * Why the dose of an order could not be held against a ceiling of one of its ingredients; undefined when all could, when no ceiling applies,
 * or when the order has no dosage at all: then it says no dose that could be wrong.
 */
export function unreadDose(draft: Taken, beside: Beside): string | undefined {
  if (dosagesOf(draft.resource).every((dosage) => Object.keys(dosage).every((name) => name === 'route')))
    return undefined;
  const situation = { facts: beside.facts, current: beside.current, terms: beside.knowledge.rules.terms };
  for (const ingredient of draft.drug.ingredients) {
    for (const row of knowledgeRows(beside.knowledge.rules.doseRules(ingredient), draft.route)) {
      if (row.when !== undefined && holding(row.when, situation) === undefined) continue;
      const unit = row.per === 'times-a-week' ? 'mg' : row.unit;
      const why = amountOf(draft, ingredient, unit, beside).unread?.[PART[row.per]];
      if (why === undefined) continue;
      return row.unit.endsWith('/kg') && beside.facts.lab('weight') === undefined
        ? 'the ceiling is by body weight, and no weight is known'
        : why;
    }
  }
  return undefined;
}

const PART = { dose: 'single', day: 'daily', week: 'daily', 'times-a-week': 'times' } as const;

const PER = { dose: 'a dose', day: 'a day', week: 'a week' } as const;

function inPeriod({ single, daily, times }: Dosing, per: DoseRule['per']): number | undefined {
  switch (per) {
    case 'dose':
      return single;
    case 'day':
      return daily;
    case 'week':
      return daily === undefined ? undefined : daily * 7;
    case 'times-a-week':
      return times === undefined ? undefined : times * 7;
    default:
      return per satisfies never;
  }
}
