/** Whether the conditions of a rule hold for a patient, and the facts that make them hold. What is not known does not hold. Shapes: knowledge/rules-schema.json. */
import type { Ingredient } from './drug-knowledge.ts';
import type { Condition, Limits, Terms } from './drug-rules.ts';
import type { Fact } from './finding.ts';
import type { Estimate, PatientFacts } from './patient-facts.ts';

export interface Situation {
  readonly facts: PatientFacts;
  /** Ingredients that are taken or ordered beside the one judged. */
  readonly current: ReadonlySet<Ingredient>;
  readonly terms: Terms;
}

/** The facts that the conditions rest on; undefined when one of them does not hold. */
export function holding(when: readonly Condition[], situation: Situation): readonly Fact[] | undefined {
  const facts: Fact[] = [];
  for (const condition of when) {
    const found = factsOf(condition, situation);
    if (found === undefined) return undefined;
    facts.push(...found);
  }
  return facts;
}

const NOTHING: readonly Fact[] = [];

/** Every part of one condition must hold. */
function factsOf(condition: Condition, situation: Situation): readonly Fact[] | undefined {
  const { facts, current } = situation;
  const parts = [
    labPart(condition, facts),
    condition.age && agePart(condition.age, facts.ageYears, 'years'),
    condition.ageDays && agePart(condition.ageDays, facts.ageDays, 'days'),
    condition.egfr && estimatePart(condition.egfr, facts.egfr, 'eGFR', 'mL/min/1.73 m2'),
    condition.crcl && estimatePart(condition.crcl, facts.crcl, 'Creatinine clearance', 'mL/min'),
    condition.sex && (facts.sex === condition.sex ? [stated(`Sex: ${condition.sex}`)] : false),
    condition.has && (facts.has(condition.has) ? [stated(`Recorded: ${displayOf(condition.has, situation)}`)] : false),
    condition.lacks && (facts.has(condition.lacks) ? false : NOTHING),
    condition.childPugh && childPughPart(condition.childPugh, facts),
    condition.with && (current.isDisjointFrom(condition.with) ? false : NOTHING),
    condition.any && (condition.any.map((one) => factsOf(one, situation)).find((one) => one !== undefined) ?? false),
    condition.of && severalPart(condition.of, condition.atLeast ?? 1, situation),
  ];
  const found: Fact[] = [];
  for (const part of parts) {
    if (part === false) return undefined;
    if (typeof part === 'object') found.push(...part);
  }
  return found;
}

type Part = readonly Fact[] | false | undefined;

const stated = (display: string): Fact => ({ display, at: undefined, source: undefined });

export function isWithin(value: number, { ge, gt, le, lt }: Limits): boolean {
  return (
    (ge === undefined || value >= ge) &&
    (gt === undefined || value > gt) &&
    (le === undefined || value <= le) &&
    (lt === undefined || value < lt)
  );
}

function labPart(condition: Condition, facts: PatientFacts): Part {
  if (condition.lab === undefined) return undefined;
  const value = facts.lab(condition.lab);
  if (value === undefined || !isWithin(value.value, condition)) return false;
  const display = `${value.display}: ${Number(value.value.toPrecision(6))} ${value.unit === '{INR}' ? '' : value.unit}`;
  return [{ display: display.trim(), at: value.at, source: value.source }];
}

function agePart(limits: Limits, age: number | undefined, unit: string): Part {
  return age !== undefined && isWithin(age, limits) ? [stated(`Age: ${age} ${unit}`)] : false;
}

function estimatePart(limits: Limits, estimate: Estimate | undefined, name: string, unit: string): Part {
  return estimate !== undefined && isWithin(estimate.value, limits) ? [estimateFact(estimate, name, unit)] : false;
}

export function estimateFact({ value, basis, at, source }: Estimate, name: string, unit: string): Fact {
  return { display: `${name}: ${Math.round(value)} ${unit} (${basis})`, at, source };
}

function childPughPart(classes: readonly string[], { childPugh }: PatientFacts): Part {
  return childPugh !== undefined && classes.includes(childPugh) ? [stated(`Child-Pugh class ${childPugh}`)] : false;
}

function severalPart(of: readonly Condition[], atLeast: number, situation: Situation): Part {
  const found = of.flatMap((one) => {
    const facts = factsOf(one, situation);
    return facts === undefined ? [] : [facts];
  });
  return found.length >= atLeast ? found.flat() : false;
}

function displayOf(name: string, { terms }: Situation): string {
  return terms.conditions.find((term) => term.name === name)?.display ?? name;
}
