/** Who a model is run for: the kinds of rule that a manifest's `eligibility` may use. The vocabulary is described in docs/models.md. */

import { isJsonObject, type Resource } from '../fhir/resource.ts';
import type { Evidence } from './assessment.ts';
import { setNamed } from './features/code-set.ts';
import { classOf, currentEncounters, instantOf, intensiveCareSince, startOf } from './features/encounter.ts';
import { readFeature } from './features/features.ts';
import { antibiotics, cultures } from './features/infection.ts';
import { numericValue, readings, textOf } from './features/observation.ts';
import { type Knowledge, wantedCodes } from './features/pick.ts';
import { isRisingCreatinine } from './features/renal-function.ts';
import { statementOf } from './features/statement.ts';
import type { EligibilityRule, FeatureSpec, Vocabulary } from './manifest.ts';

const HOUR_MS = 3_600_000;

type RuleKind = EligibilityRule['rule'];
/** @returns why the patient is outside, undefined when the rule is met */
type Judge<K extends RuleKind> = (
  rule: Extract<EligibilityRule, { rule: K }>,
  evidence: Evidence,
  knowledge: Knowledge,
  /** Inputs of the model, for rules that name some. */
  features: readonly FeatureSpec[],
) => string | undefined;

function isDead({ patient, at }: Evidence): boolean {
  const died = instantOf(patient?.deceasedDateTime);
  return patient?.deceasedBoolean === true || (died !== undefined && died <= at);
}

const UNIT_WORDS = { a: 'years', mo: 'months', d: 'days' } as const;

const age: Judge<'age'> = ({ unit, from, below }, evidence, knowledge) => {
  const cuts = [from, below].filter((cut) => cut !== undefined);
  const spec: FeatureSpec = { name: 'age', display: 'Age', kind: 'age', unit, cuts, required: true };
  const { value, reason } = readFeature(spec, evidence, knowledge);
  if (reason !== undefined) return `age is not certain (${reason})`;
  if (value < (from ?? 0)) return `younger than ${from} ${UNIT_WORDS[unit]}`;
  return value >= (below ?? Number.POSITIVE_INFINITY) ? `${below} ${UNIT_WORDS[unit]} or older` : undefined;
};

const setting: Judge<'setting'> = ({ classes, unknown }, evidence) => {
  const found = currentEncounters(evidence)
    .map(classOf)
    .filter((code) => code !== undefined);
  if (found.some((code) => classes.includes(code))) return undefined;
  if (found.length > 0)
    return `the current encounter is of class ${[...new Set(found)].join(', ')}, not ${classes.join(', ')}`;
  return unknown === 'eligible' ? undefined : 'no current encounter is recorded';
};

/** Said of one model or of several. */
const FIRST_ONLY = 'only the first complete vital signs of a visit are looked at';

const firstVitals: Judge<'first-vitals'> = ({ hours, vitals, againMinutes = 0 }, evidence, knowledge, features) => {
  const [visit] = currentEncounters(evidence).filter((encounter) => startOf(encounter) !== undefined);
  const start = visit === undefined ? undefined : startOf(visit);
  if (visit === undefined || start === undefined) {
    return `the time of arrival is not recorded, and ${FIRST_ONLY}`;
  }
  if ((evidence.at - start) / HOUR_MS > hours) return `more than ${hours} h after arrival, and ${FIRST_ONLY}`;
  const specs = features.filter(({ name }) => vitals?.includes(name) === true);
  const { resources } = evidence;
  const here = visit.id === undefined ? [] : resources.filter((each) => visitOf(each) === visit.id);
  const nowhere = resources.filter((each) => visitOf(each) === undefined);
  const taken = specs.map((spec) => ({ spec, times: timesIn({ here, nowhere }, start, spec, evidence, knowledge) }));
  const absent = taken.filter(({ times }) => times.length === 0).map(({ spec }) => spec.display);
  if (absent.length > 0) return `the first vital signs of the visit are not complete (missing: ${absent.join(', ')})`;
  const complete = Math.max(start, ...taken.map(({ times }) => Math.min(...times)));
  const isAgain = taken.some(({ times }) => Math.max(...times) > complete + againMinutes * MINUTE_MS);
  return isAgain ? `vital signs were measured again, and ${FIRST_ONLY}` : undefined;
};

/** Instants of usable readings of an input that belong to a visit: of what names it, or names none and was taken since it began. */
function timesIn(
  { here, nowhere }: { readonly here: readonly Resource[]; readonly nowhere: readonly Resource[] },
  start: number,
  spec: FeatureSpec,
  { at }: Evidence,
  { units }: Knowledge,
): readonly number[] {
  const hours = (at - start) / HOUR_MS + BEFORE_ARRIVAL_HOURS;
  const timesOf = (some: readonly Resource[]): readonly number[] =>
    readings(some, wantedCodes(spec), { at, hours }).newestFirst.flatMap((reading) => {
      const isUsable = spec.kind !== 'latest-observation' || 'value' in numericValue(reading, spec, units);
      return isUsable ? [reading.at] : [];
    });
  return [...timesOf(here), ...timesOf(nowhere).filter((when) => when >= start)];
}

/** Id of the Encounter that a resource names; undefined when it names none. */
function visitOf({ encounter }: Resource): string | undefined {
  const reference = isJsonObject(encounter) ? textOf(encounter.reference) : undefined;
  return reference?.slice(reference.lastIndexOf('/') + 1);
}
/** What names the visit may be taken a little before it was registered. */
const BEFORE_ARRIVAL_HOURS = 1;
const MINUTE_MS = 60_000;

const icuHours: Judge<'icu-hours'> = ({ from, below }, evidence, { vocabulary }) => {
  const since = intensiveCareSince(evidence, vocabulary);
  if (since === undefined) return 'no current stay in intensive care is recorded';
  const hours = (evidence.at - since) / HOUR_MS;
  if (from !== undefined && hours < from) return `earlier than ${from} h after admission to intensive care`;
  return below !== undefined && hours >= below ? `${below} h or more after admission to intensive care` : undefined;
};

const untreated: Judge<'untreated-infection'> = ({ hours }, evidence, { vocabulary }) => {
  const isRecent = ({ at }: { readonly at: number }): boolean => at > evidence.at - hours * HOUR_MS;
  if (antibiotics(evidence, vocabulary).some(isRecent))
    return `an antibiotic is recorded within ${hours} h: infection is treated already`;
  if (cultures(evidence, vocabulary).some(isRecent))
    return `a culture is recorded within ${hours} h: infection is suspected already`;
  return undefined;
};

/** Longest time that a rise of creatinine is looked for: KDIGO 2012. */
const RISE_HOURS = 7 * 24;

/** By the model's own input `creatinine`. */
const steadyCreatinine: Judge<'steady-creatinine'> = (_rule, { resources, at }, { units }, features) => {
  const spec = features.find(({ name }) => name === CREATININE);
  if (spec === undefined) return undefined;
  const measured = readings(resources, wantedCodes(spec), { at, hours: RISE_HOURS }).newestFirst.flatMap((reading) => {
    const numeric = numericValue(reading, spec, units);
    return 'value' in numeric ? [{ value: numeric.value, at: reading.at }] : [];
  });
  return isRisingCreatinine(measured) ? 'creatinine is rising as in acute kidney injury (KDIGO 2012)' : undefined;
};
const CREATININE = 'creatinine';

/** THE table: adding a kind is a row here, a member of `EligibilityRule` and its schema. */
const JUDGES: { readonly [K in RuleKind]: Judge<K> } = {
  alive: (_rule, evidence) => (isDead(evidence) ? 'recorded as deceased' : undefined),
  'no-comfort-care': (_rule, evidence, { vocabulary }) =>
    statementOf('comfort-care', evidence, vocabulary) !== undefined
      ? 'comfort or palliative care is recorded'
      : undefined,
  setting,
  age,
  'first-vitals': firstVitals,
  'icu-hours': icuHours,
  'untreated-infection': untreated,
  'steady-creatinine': steadyCreatinine,
  without: ({ set }, evidence, { vocabulary }) =>
    statementOf(set, evidence, vocabulary) !== undefined
      ? `${setNamed(set, vocabulary).display} is recorded`
      : undefined,
  with: ({ set }, evidence, { vocabulary }) =>
    statementOf(set, evidence, vocabulary) !== undefined
      ? undefined
      : `${setNamed(set, vocabulary).display} is not recorded`,
};

function judged<K extends RuleKind>(
  rule: Extract<EligibilityRule, { rule: K }>,
  kind: K,
  evidence: Evidence,
  knowledge: Knowledge,
  features: readonly FeatureSpec[],
): string | undefined {
  return JUDGES[kind](rule, evidence, knowledge, features);
}

/** Why a patient is outside: the first rule that is not met, undefined when all are. Says codes and rules, never names or values. */
export function ineligible(
  rules: readonly EligibilityRule[],
  evidence: Evidence,
  knowledge: Knowledge,
  features: readonly FeatureSpec[] = [],
): string | undefined {
  for (const rule of rules) {
    const why = judged(rule, rule.rule, evidence, knowledge, features);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Rules that name a set the vocabulary does not hold, or an input that is none of the model's, or an empty range. */
export function eligibilityProblems(
  rules: readonly EligibilityRule[],
  vocabulary: Vocabulary,
  features: readonly Pick<FeatureSpec, 'name'>[] = [],
): readonly string[] {
  return rules.flatMap((rule) => {
    if (rule.rule === 'first-vitals') {
      const unknown = (rule.vitals ?? []).filter((vital) => !features.some(({ name }) => name === vital));
      return unknown.map((vital) => `eligibility: there is no input ${vital}`);
    }
    if (rule.rule === 'steady-creatinine' && !features.some(({ name }) => name === CREATININE))
      return [`eligibility: there is no input ${CREATININE}`];
    if ('set' in rule && vocabulary.sets[rule.set] === undefined) return [`eligibility: there is no set ${rule.set}`];
    if ('below' in rule && rule.below !== undefined && rule.below <= (rule.from ?? Number.NEGATIVE_INFINITY)) {
      return [`eligibility: ${rule.rule} has an empty range`];
    }
    return [];
  });
}
