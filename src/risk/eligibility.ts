/** Who a model is run for: the kinds of rule that a manifest's `eligibility` may use. The vocabulary is described in docs/models.md. */
import type { Evidence } from './assessment.ts';
import { setNamed } from './code-set.ts';
import { classOf, currentEncounters, instantOf, intensiveCareSince, startOf } from './encounter.ts';
import { readFeature } from './features.ts';
import { antibiotics, cultures } from './infection.ts';
import type { EligibilityRule, FeatureSpec, Vocabulary } from './manifest.ts';
import type { Knowledge } from './pick.ts';
import { statementOf } from './statement.ts';

const HOUR_MS = 3_600_000;

type RuleKind = EligibilityRule['rule'];
/** @returns why the patient is outside, undefined when the rule is met */
type Judge<K extends RuleKind> = (
  rule: Extract<EligibilityRule, { rule: K }>,
  evidence: Evidence,
  knowledge: Knowledge,
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

const firstVitals: Judge<'first-vitals'> = ({ hours }, evidence) => {
  const starts = currentEncounters(evidence)
    .map(startOf)
    .filter((start) => start !== undefined);
  if (starts.length === 0) return 'the time of arrival is not recorded; for first vital signs only';
  const since = (evidence.at - Math.max(...starts)) / HOUR_MS;
  return since > hours ? `more than ${hours} h after arrival; for first vital signs only` : undefined;
};

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
): string | undefined {
  return JUDGES[kind](rule, evidence, knowledge);
}

/** Why a patient is outside: the first rule that is not met, undefined when all are. Says codes and rules, never names or values. */
export function ineligible(
  rules: readonly EligibilityRule[],
  evidence: Evidence,
  knowledge: Knowledge,
): string | undefined {
  for (const rule of rules) {
    const why = judged(rule, rule.rule, evidence, knowledge);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Rules that name a set the vocabulary does not hold, or an empty range. */
export function eligibilityProblems(rules: readonly EligibilityRule[], vocabulary: Vocabulary): readonly string[] {
  return rules.flatMap((rule) => {
    if ('set' in rule && vocabulary.sets[rule.set] === undefined) return [`eligibility: there is no set ${rule.set}`];
    if ('below' in rule && rule.below !== undefined && rule.below <= (rule.from ?? Number.NEGATIVE_INFINITY)) {
      return [`eligibility: ${rule.rule} has an empty range`];
    }
    return [];
  });
}
