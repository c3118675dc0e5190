/** Kinds of model input: how each is read from one patient's resources. Adding a kind is a row in KINDS and a function. */
import { isJsonObject, type Json, type JsonObject } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Evidence } from '../assessment.ts';
import type { FeatureKind, FeatureSpec, UnitTable, Vocabulary } from '../manifest.ts';
import { complainsOf, complaint } from '../triage/complaint.ts';
import { aggregate } from './aggregate.ts';
import { CARE_KINDS } from './care.ts';
import { COMPUTED_KINDS } from './computed.ts';
import { recordCount } from './concepts.ts';
import { isPresent } from './condition.ts';
import { DRUG_KINDS } from './infusion.ts';
import {
  codings,
  type Feature,
  isOneOf,
  LOINC,
  numericValue,
  type Reading,
  readings,
  sourceOf,
  textOf,
  words,
} from './observation.ts';
import { type Knowledge, missing, noneFound, picked, type Read, wantedCodes, within } from './pick.ts';

/**
 * One usable value of one measurement, e.g. heart rate (LOINC 8867-4), from an Observation or a component: the latest, or by `spec.choose`.
 * Unit: `spec.unit` (UCUM), converted, never assumed. Window: (at - window, at]. Shape: one number, rounded to `spec.precision`.
 */
const latestObservation: Read = (spec, evidence, { units }) => {
  const { newestFirst, refused } = readings(evidence.resources, wantedCodes(spec), within(spec, evidence));
  const candidates = newestFirst.map((reading) => ({ ...reading, numeric: numericValue(reading, spec, units) }));
  return picked(candidates, spec, refused);
};

const answersOf = (element: JsonObject) => codings(element.valueCodeableConcept);
const saidIn = (element: JsonObject): readonly string[] =>
  [textOf(element.valueString), ...words(element.valueCodeableConcept)]
    .filter((said) => said !== undefined)
    .map((said) => said.trim().toLowerCase());

const GCS_CODE = '9269-2';

/**
 * Level of consciousness, ACVPU as 0 to 4 (A alert, C new confusion, V voice, P pain, U unresponsive).
 * From the coded or written answer, or a GCS total (9269-2, whole number 3 to 15) by the vocabulary's table; the newest reading decides, an
 * unreadable one makes the input missing. At the same instant the deeper level counts.
 */
const consciousness: Read = (spec, evidence, { vocabulary, units }) => {
  const { newestFirst, refused } = readings(evidence.resources, wantedCodes(spec), within(spec, evidence));
  const [newest] = newestFirst;
  if (newest === undefined) return noneFound(spec, refused);
  const levels = newestFirst
    .filter(({ at }) => at === newest.at)
    .map((reading) => ({ reading, level: levelOf(reading, vocabulary, units) }));
  const deepest = levels.toSorted((a, b) => (b.level?.value ?? -1) - (a.level?.value ?? -1))[0];
  if (deepest?.level === undefined) return missing('level of consciousness not understood');
  return { ...deepest.level, at: deepest.reading.at, source: deepest.reading.source };
};

function levelOf(reading: Reading, vocabulary: Vocabulary, units: UnitTable): Feature | undefined {
  const { element } = reading;
  const answers = answersOf(element);
  const said = saidIn(element);
  const row = vocabulary.consciousness.find(
    ({ codes, words: known }) => isOneOf(answers, codes) || said.some((one) => known.includes(one)),
  );
  if (row !== undefined) return { value: row.level, shown: row.shown };
  if (!isOneOf(codings(element.code), [{ system: LOINC, code: GCS_CODE }])) return undefined;
  const gcs: FeatureSpec = {
    name: 'gcs',
    display: 'Glasgow coma score',
    kind: 'latest-observation',
    unit: '{score}',
    range: [3, 15],
    required: true,
  };
  const total = numericValue(reading, gcs, units);
  if (!('value' in total) || !Number.isInteger(total.value)) return undefined;
  const level = vocabulary.gcs.find(({ from }) => total.value >= from)?.level;
  const shown = vocabulary.consciousness.find((one) => one.level === level)?.shown;
  return level === undefined || shown === undefined
    ? undefined
    : { value: level, shown: `${shown} (GCS ${total.value})` };
}

/** Flow above 0 L/min, or more than room air's 21 % (rounded). */
const OXYGEN_UNITS = [
  { unit: 'L/min', range: [0, 80], above: 0, precision: 2 },
  { unit: '%', range: [21, 100], above: 21, precision: 0 },
] as const;

function oxygenOf(reading: Reading, { vocabulary, units }: Knowledge): Feature | undefined {
  const { element } = reading;
  const answers = answersOf(element);
  const about = codings(element.code);
  const said = saidIn(element);
  const facts = { at: reading.at, source: reading.source };
  const air: Feature = { value: 0, shown: 'room air', ...facts };
  const oxygen: Feature = { value: 1, shown: 'supplemental oxygen', ...facts };
  const denied = isOneOf(answers, vocabulary.no) || element.valueBoolean === false;
  if (isOneOf(answers, vocabulary.air.codes) || said.some((one) => vocabulary.air.words.includes(one))) return air;
  if (isOneOf(answers, vocabulary.onOxygen.codes)) return oxygen;
  if (isOneOf(about, vocabulary.onOxygen.codes)) return denied ? air : oxygen;
  if (isOneOf(about, vocabulary.air.codes)) return denied ? oxygen : air;
  for (const { unit, range, above, precision } of OXYGEN_UNITS) {
    const spec: FeatureSpec = {
      name: 'oxygen',
      display: 'Oxygen',
      kind: 'oxygen',
      unit,
      range,
      precision,
      required: true,
    };
    const numeric = numericValue(reading, spec, units);
    if ('value' in numeric) return numeric.value > above ? oxygen : air;
  }
  return undefined;
}

/**
 * Supplemental oxygen: 1 yes, 0 room air, from flow (3151-8), FiO2 (3150-6, 19994-3) or a coded statement. Nothing recorded is missing,
 * never room air. The newest instant decides; when it holds both, oxygen counts. An unreadable newest reading makes the input missing.
 */
const oxygen: Read = (spec, evidence, knowledge) => {
  const { vocabulary } = knowledge;
  const wanted = [...wantedCodes(spec), ...vocabulary.air.codes, ...vocabulary.onOxygen.codes];
  const { newestFirst, refused } = readings(evidence.resources, wanted, within(spec, evidence));
  const [newest] = newestFirst;
  if (newest === undefined) return noneFound(spec, refused);
  const stated = newestFirst
    .filter(({ at }) => at === newest.at)
    .map((reading) => oxygenOf(reading, knowledge))
    .filter((one) => one !== undefined);
  const strongest = stated.toSorted((a, b) => b.value - a.value)[0];
  return strongest ?? missing('oxygen status not understood');
};

const AIMED_AT: ReadonlySet<Json | undefined> = new Set(['accepted', 'active']);

/** True when a Range is exactly the target of scale 2, in %. */
function isTarget(range: Json | undefined, { vocabulary, units }: Knowledge): boolean {
  if (!isJsonObject(range)) return false;
  const bounds = [range.low, range.high].map((bound) => {
    const reading = { element: { valueQuantity: bound }, at: 0, issued: 0, version: '', source: undefined };
    const numeric = numericValue(reading, { ...TARGET_SPEC }, units);
    return 'value' in numeric ? numeric.value : undefined;
  });
  return bounds[0] === vocabulary.saturationTarget.low && bounds[1] === vocabulary.saturationTarget.high;
}
const TARGET_SPEC: FeatureSpec = { name: 'target', display: 'Target', kind: 'spo2-scale', unit: '%', required: false };

/**
 * SpO2 scale of NEWS2: 2 only where somebody recorded the target 88 to 92 %: a Goal (lifecycleStatus accepted or active) whose
 * `target.measure` is an oxygen saturation and whose `detailRange` is 88-92 %. Otherwise 1. Never inferred from a diagnosis such as COPD.
 */
const spo2Scale: Read = (_spec, { resources }, knowledge) => {
  const { measures } = knowledge.vocabulary.saturationTarget;
  for (const resource of resources) {
    if (resource.resourceType !== 'Goal' || !AIMED_AT.has(resource.lifecycleStatus)) continue;
    const targets = Array.isArray(resource.target) ? resource.target.filter(isJsonObject) : [];
    if (targets.some((one) => isOneOf(codings(one.measure), measures) && isTarget(one.detailRange, knowledge))) {
      return { value: 2, shown: '2 (recorded target 88-92 %)', source: sourceOf(resource) };
    }
  }
  return { value: 1, shown: '1 (no target of 88-92 % recorded)' };
};

const DAY_MS = 86_400_000;

/** Completed calendar months between two UTC days. */
function completedMonths(from: number, to: number): number {
  const [a, b] = [new Date(from), new Date(to)];
  const months = (b.getUTCFullYear() - a.getUTCFullYear()) * 12 + b.getUTCMonth() - a.getUTCMonth();
  return months - (b.getUTCDate() < a.getUTCDate() ? 1 : 0);
}
const AGE_IN: Readonly<Record<string, (from: number, to: number) => number>> = {
  a: (from, to) => Math.floor(completedMonths(from, to) / 12),
  mo: completedMonths,
  d: (from, to) => Math.floor(to / DAY_MS) - Math.floor(from / DAY_MS),
};

/**
 * Completed years (`a`), months (`mo`) or days (`d`) from Patient.birthDate to the UTC day of `at`. A partial birth date stands for an
 * interval of ages: its lower end is used unless one of `spec.cuts` lies inside, which makes the age missing.
 */
const age: Read = (spec, { patient, at }) => {
  const born = intervalOf(textOf(patient?.birthDate) ?? '');
  const measure = AGE_IN[spec.unit];
  if (born === undefined || measure === undefined) return missing('no usable birth date');
  if (born.low > at) return missing('birth date lies after the instant judged at');
  const oldest = measure(born.low, at);
  const youngest = Math.max(0, measure(Math.min(born.high - DAY_MS, at), at));
  if ((spec.cuts ?? []).some((cut) => youngest < cut && cut <= oldest)) {
    return missing('birth date is too imprecise for this age limit');
  }
  const years = spec.unit === 'mo' && youngest >= 24 ? { shown: `${Math.floor(youngest / 12)} years` } : {};
  return { value: youngest, ...years, source: patient === undefined ? undefined : sourceOf(patient) };
};

const SEX: Readonly<Record<string, number>> = { male: 0, female: 1 };
const sex: Read = (_spec, { patient }) => {
  const value = SEX[textOf(patient?.gender) ?? ''];
  return value === undefined ? missing('administrative gender is neither male nor female') : { value };
};

/** 1 when a current Condition or the latest status Observation (82810-3, 42 weeks) says pregnant, 0 when it says not; else missing. */
const pregnancy: Read = (spec, evidence, { vocabulary }) => {
  const { codes, prefixes } = vocabulary.pregnant;
  for (const resource of evidence.resources) {
    if (resource.resourceType !== 'Condition' || !isPresent(resource)) continue;
    const terms = codings(resource.code);
    const prefixed = terms.some((term) =>
      prefixes.some(({ system, code }) => term.system === system && term.code.startsWith(code)),
    );
    if (prefixed || isOneOf(terms, codes)) return { value: 1, shown: 'pregnant', source: sourceOf(resource) };
  }
  const { newestFirst, refused } = readings(evidence.resources, wantedCodes(spec), within(spec, evidence));
  const [newest] = newestFirst;
  if (newest === undefined) return noneFound(spec, refused);
  const facts = { at: newest.at, source: newest.source };
  return isOneOf(answersOf(newest.element), codes)
    ? { value: 1, shown: 'pregnant', ...facts }
    : { value: 0, shown: 'not recorded as pregnant', ...facts };
};

const PULSE: FeatureSpec = {
  name: 'pulse',
  display: 'Pulse',
  kind: 'latest-observation',
  codes: ['8867-4'],
  unit: '/min',
  range: [20, 300],
  precision: 0,
  required: true,
};
const SYSTOLIC: FeatureSpec = { ...PULSE, name: 'systolic', codes: ['8480-6'], unit: 'mm[Hg]', range: [30, 300] };

/** Pulse (/min) divided by systolic pressure (mm[Hg]), the latest of each within the window. Allgower M, Burri C. Dtsch Med Wochenschr 1967;92:1947. */
const shockIndex: Read = (spec, evidence, knowledge) => {
  const [pulse, systolic] = [PULSE, SYSTOLIC].map((one) =>
    latestObservation({ ...one, windowHours: spec.windowHours ?? 24 }, evidence, knowledge),
  );
  if (pulse === undefined || Number.isNaN(pulse.value)) return missing('no usable pulse');
  if (systolic === undefined || Number.isNaN(systolic.value)) return missing('no usable systolic pressure');
  const at = Math.min(pulse.at ?? evidence.at, systolic.at ?? evidence.at);
  return { value: pulse.value / systolic.value, at, source: pulse.source };
};

/** THE table. */
const KINDS = {
  'latest-observation': latestObservation,
  consciousness,
  oxygen,
  'spo2-scale': spo2Scale,
  age,
  sex,
  pregnancy,
  ...COMPUTED_KINDS,
  ...DRUG_KINDS,
  ...CARE_KINDS,
  complaint: (spec, evidence, { complaints }) =>
    complaint(evidence, spec.windowHours ?? 24, complaints) ??
    missing(`no presenting complaint within ${spec.windowHours ?? 24} h`),
  'complains-of': (spec, evidence, { complaints }) =>
    complainsOf(spec.codes ?? [], evidence, spec.windowHours ?? 24, complaints) ??
    missing(`no presenting complaint understood within ${spec.windowHours ?? 24} h`),
  'shock-index': shockIndex,
  aggregate: (spec, evidence, { units }) => aggregate(spec, evidence, units),
  'record-count': (spec, evidence, { concepts }) => recordCount(spec, evidence, concepts),
} as const satisfies Record<FeatureKind, Read>;

/** One input of a model from one patient's resources. */
export function readFeature(spec: FeatureSpec, evidence: Evidence, knowledge: Knowledge): Feature {
  return KINDS[spec.kind](spec, evidence, knowledge);
}
