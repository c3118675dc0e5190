/** The inputs of a model or score, and whom it is for, as tables. Shapes: models/schema.json. */

import { spanText } from '../risk/features/simultaneity.ts';
import type { EligibilityRule, FeatureSpec, ModelManifest } from '../risk/manifest.ts';
import { type Html, html, list, table, type Value } from './html.ts';
import { hoursText, numberText, unitText, words } from './words.ts';

/** One row an input, in the order of the vector. */
export function inputTable(features: readonly FeatureSpec[]): Html {
  return table(
    `Inputs (${features.length}), in the order of the vector`,
    ['Input', 'How it is read', 'Codes', 'Unit (UCUM)', 'Window', 'Plausible', 'Needed'],
    features.map((feature) => [
      html`${feature.display} <code>${feature.name}</code>`,
      howRead(feature),
      codesOf(feature),
      unitText(feature.unit),
      feature.windowHours === undefined ? 'any time' : hoursText(feature.windowHours),
      feature.range === undefined ? 'any' : `${feature.range[0]} to ${feature.range[1]}`,
      feature.required ? 'yes' : missingMeans(feature),
    ]),
  );
}

const missingMeans = ({ absent }: FeatureSpec): string =>
  absent === undefined ? 'no' : `no; nothing recorded counts as ${numberText(absent)}`;

function howRead({ kind, aggregate, from, choose, precision, counts, concept }: FeatureSpec): Value {
  const parts = [
    words(kind).toLowerCase(),
    aggregate === 'farthest' ? `farthest from ${from ?? 0}` : aggregate,
    choose === undefined ? undefined : `the ${choose}`,
    concept === undefined ? undefined : `concept ${concept}${counts === 'kinds' ? ', number of kinds' : ''}`,
    precision === undefined ? undefined : `${precision} decimals`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

/** Codes one after the other, none broken over lines. */
const codeList = (codes: readonly string[]): Value =>
  codes.map((code, index) => html`${index === 0 ? '' : ', '}<span class="whole">${code}</span>`);

function codesOf({ codes = [], parts = [], sets = [], classes = [], system, pair, grades = [] }: FeatureSpec): Value {
  const answers = grades.map(({ shown, value }) => `${shown} = ${value}`);
  const lines: readonly Value[] = [
    codes.length > 0 && html`${system ?? 'LOINC'} ${codeList(codes)}`,
    parts.length > 0 && html`sum of LOINC ${codeList(parts)}`,
    pair !== undefined && html`with LOINC ${codeList(pair.codes)} of the ${hoursText(pair.hours)} before`,
    sets.length > 0 && `vocabulary ${sets.join(', ')}`,
    classes.length > 0 && `encounter class ${classes.join(', ')}`,
    answers.length > 0 && `answers: ${answers.join('; ')}`,
  ].filter((line) => line !== false);
  return lines.length === 0 ? 'none' : lines.map((line, index) => html`${index > 0 && html`<br>`}${line}`);
}

type Population = Pick<ModelManifest, 'intendedPopulation' | 'eligibility' | 'simultaneity' | 'maxMissing'>;

/** For whom it answers: each rule in words, judged in this order. */
export function eligibilityList({ intendedPopulation, eligibility = [], simultaneity, maxMissing }: Population): Html {
  const { minAgeYears, maxAgeYears, excludes } = intendedPopulation;
  return list([
    ...(minAgeYears === undefined ? [] : [`Age ${minAgeYears} years or older`]),
    ...(maxAgeYears === undefined ? [] : [`Age ${maxAgeYears} years or younger`]),
    ...excludes.map((one) => `Not run in ${one}`),
    ...eligibility.map(ruleText),
    ...(simultaneity === undefined
      ? []
      : [
          `Values older than ${spanText(simultaneity.hours)} before ${simultaneity.of === 'now' ? 'the instant judged at' : 'the newest of them'} count as missing`,
        ]),
    `No statement at all when more than ${maxMissing} needed input${maxMissing === 1 ? ' is' : 's are'} missing`,
  ]);
}

const AGE_UNITS = { a: 'years', mo: 'months', d: 'days' } as const;

const bounds = (from: number | undefined, below: number | undefined, unit: string): string =>
  `${from === undefined ? '' : ` from ${from}${unit}`}${below === undefined ? '' : ` below ${below}${unit}`}`;

/** A rule in words. */
function ruleText(rule: EligibilityRule): string {
  switch (rule.rule) {
    case 'alive':
      return 'The patient is alive';
    case 'no-comfort-care':
      return 'Not in comfort care';
    case 'setting':
      return `The current encounter is of class ${rule.classes.join(', ')}; without a known encounter: ${rule.unknown === 'eligible' ? 'run' : 'not run'}`;
    case 'age':
      return `Age${bounds(rule.from, rule.below, '')} ${AGE_UNITS[rule.unit]}`;
    case 'first-vitals':
      return `At most ${rule.hours} h after arrival (first vital signs)${
        rule.vitals === undefined
          ? ''
          : `, once ${rule.vitals.map((name) => words(name).toLowerCase()).join(', ')} were measured in this visit, and none again more than ${rule.againMinutes ?? 0} min later`
      }`;
    case 'icu-hours':
      return `In intensive care${bounds(rule.from, rule.below, ' h')} after admission to it`;
    case 'steady-creatinine':
      return 'no rise of creatinine as in acute kidney injury (KDIGO 2012)';
    case 'untreated-infection':
      return `No antibiotic (prophylaxis apart) and no culture in the last ${rule.hours} h`;
    case 'without':
      return `Nothing of ${words(rule.set).toLowerCase()} is stated`;
    case 'with':
      return `Something of ${words(rule.set).toLowerCase()} is stated`;
  }
}
