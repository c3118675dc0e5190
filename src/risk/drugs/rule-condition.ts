/** Whether the conditions of a rule hold for a patient, and the facts that make them hold. What is not known does not hold. Shapes: knowledge/rules-schema.json. */

import type { Fact } from './finding.ts';
import type { Ingredient } from './knowledge.ts';
import type { Estimate, PatientFacts } from './patient-facts.ts';
import type { Condition, Limits, Terms } from './rules.ts';

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

type Part = readonly Fact[] | false | undefined;

/** Parts of a condition: undefined where it does not name one, false where it does not hold, otherwise the facts it rests on. */
const PARTS: readonly ((condition: Condition, situation: Situation) => Part)[] = [
  (condition, { facts }) => labPart(condition, facts),
  ({ age }, { facts }) => age && agePart(age, facts.ageYears, 'years'),
  ({ ageDays }, { facts }) => ageDays && agePart(ageDays, facts.ageDays, 'days'),
  ({ egfr }, { facts }) => egfr && estimatePart(egfr, facts.egfr, 'eGFR', 'mL/min/1.73 m2'),
  ({ crcl }, { facts }) => crcl && estimatePart(crcl, facts.crcl, 'Creatinine clearance', 'mL/min'),
  ({ sex }, { facts }) => sex && (facts.sex === sex ? [stated(`Sex: ${sex}`)] : false),
  ({ has }, situation) =>
    has === undefined ? undefined : situation.facts.has(has) && [stated(`Recorded: ${displayOf(has, situation)}`)],
  ({ lacks }, { facts }) => (lacks === undefined ? undefined : facts.has(lacks) ? false : NOTHING),
  ({ childPugh }, { facts }) => childPugh && childPughPart(childPugh, facts),
  ({ with: beside }, { current }) => beside && (current.isDisjointFrom(beside) ? false : NOTHING),
  ({ any }, situation) => any && (firstOf(any, situation) ?? false),
  ({ of, atLeast = 1 }, situation) => of && severalPart(of, atLeast, situation),
];

/** Every part of one condition must hold. */
function factsOf(condition: Condition, situation: Situation): readonly Fact[] | undefined {
  let found: readonly Fact[] = NOTHING;
  for (const part of PARTS) {
    const facts = part(condition, situation);
    if (facts === false) return undefined;
    if (facts !== undefined && facts.length > 0) found = found.length === 0 ? facts : [...found, ...facts];
  }
  return found;
}

function firstOf(conditions: readonly Condition[], situation: Situation): readonly Fact[] | undefined {
  for (const condition of conditions) {
    const facts = factsOf(condition, situation);
    if (facts !== undefined) return facts;
  }
  return undefined;
}

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
