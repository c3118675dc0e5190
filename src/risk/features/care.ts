/** Facts of a patient's conditions and care as inputs: what is stated or graded, how long a stay is, how many there were. */
import { isJsonObject, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { FeatureKind, FeatureSpec } from '../manifest.ts';
import { classOf, currentEncounters, hasTakenPlace, instantOf, startOf } from './encounter.ts';
import { antibiotics, antibioticsGiven, cultures } from './infection.ts';
import {
  codings,
  type Feature,
  isOneOf,
  numericValue,
  type Reading,
  readings,
  sourceOf,
  textOf,
  words,
} from './observation.ts';
import { type Knowledge, missing, noneFound, type Read, wantedCodes, windowStart, within } from './pick.ts';
import { statementOf } from './statement.ts';

const DAY_MS = 86_400_000;

/** 1 when the record states one of the sets; else `absent`, or missing. With a window, procedures count only when they reach into it. */
const stated: Read = (spec, evidence, { vocabulary }) => {
  const from = spec.windowHours === undefined ? undefined : windowStart(spec, evidence);
  for (const set of spec.sets ?? []) {
    const found = statementOf(set, evidence, vocabulary, from);
    if (found !== undefined) return { value: 1, shown: vocabulary.sets[set]?.display ?? set, source: sourceOf(found) };
  }
  return spec.absent === undefined ? missing('not recorded') : { value: spec.absent, shown: 'not recorded' };
};

function gradeOf({ element }: Reading, spec: FeatureSpec, { units }: Knowledge): Feature | undefined {
  const answers = codings(element.valueCodeableConcept);
  const said = [textOf(element.valueString), ...words(element.valueCodeableConcept)].map((one) =>
    one?.trim().toLowerCase(),
  );
  const numeric = numericValue(
    { element, at: 0, issued: 0, version: '', source: undefined },
    { ...spec, unit: '{score}' },
    units,
  );
  const grade = spec.grades?.find(
    ({ value, codes = [], words: known = [] }) =>
      isOneOf(answers, codes) ||
      said.some((one) => one !== undefined && known.includes(one)) ||
      ('value' in numeric && numeric.value === value),
  );
  return grade === undefined ? undefined : { value: grade.value, shown: grade.shown };
}

/** A graded finding from the newest Observation of `codes`: a coded or written answer of `grades`, or its number. */
const graded: Read = (spec, evidence, knowledge) => {
  const { newestFirst, refused } = readings(evidence.resources, wantedCodes(spec), within(spec, evidence));
  const [newest] = newestFirst;
  if (newest === undefined) return noneFound(spec, refused);
  const grade = gradeOf(newest, spec, knowledge);
  return grade === undefined ? missing('answer not understood') : { ...grade, at: newest.at, source: newest.source };
};

const stayOf = (spec: FeatureSpec, evidence: Evidence): Resource | undefined =>
  currentEncounters(evidence).find((encounter) => spec.classes?.includes(classOf(encounter) ?? '') ?? true);

/** Days between the calendar day (UTC) on which the current stay of `classes` began and that of `at`. */
const lengthOfStay: Read = (spec, evidence) => {
  const stay = stayOf(spec, evidence);
  const start = stay === undefined ? undefined : startOf(stay);
  if (stay === undefined || start === undefined) return missing('no current stay with a start is recorded');
  return { value: Math.floor(evidence.at / DAY_MS) - Math.floor(start / DAY_MS), at: start, source: sourceOf(stay) };
};

/** An emergency visit this shortly before a stay led to it and is not a visit of its own. */
const SAME_CARE_MS = DAY_MS;

/** Encounters of `classes` that began within `windowHours` before the current stay (before `at` without one), as this record knows them. */
const encounterCount: Read = (spec, evidence) => {
  const stay = currentEncounters(evidence).find((encounter) => classOf(encounter) !== 'AMB');
  const until = stay === undefined ? evidence.at : (startOf(stay) ?? evidence.at);
  const from = windowStart(spec, { ...evidence, at: until });
  const counted = evidence.resources.filter((resource) => {
    if (resource.resourceType !== 'Encounter' || resource === stay || !hasTakenPlace(resource)) return false;
    const start = startOf(resource);
    const isCounted = spec.classes?.includes(classOf(resource) ?? '') ?? true;
    const ledHere = classOf(resource) === 'EMER' && stay !== undefined && until - (start ?? 0) <= SAME_CARE_MS;
    return isCounted && !ledHere && start !== undefined && start > from && start < until;
  });
  return { value: counted.length, note: 'as far as recorded here' };
};

/** Procedures that were done since the current stay began. */
const procedureCount: Read = (spec, evidence) => {
  const stay = stayOf(spec, evidence);
  const since = stay === undefined ? undefined : startOf(stay);
  if (since === undefined) return missing('no current stay with a start is recorded');
  const done = evidence.resources.filter(({ resourceType, status, performedDateTime, performedPeriod }) => {
    if (resourceType !== 'Procedure' || (status !== 'completed' && status !== 'in-progress')) return false;
    const at =
      instantOf(performedDateTime) ?? (isJsonObject(performedPeriod) ? instantOf(performedPeriod.start) : undefined);
    return at !== undefined && at >= since && at <= evidence.at;
  });
  return { value: done.length, note: 'as far as recorded here' };
};

const ACT_PRIORITY = 'http://terminology.hl7.org/CodeSystem/v3-ActPriority';
const ADMIT_SOURCE = 'http://terminology.hl7.org/CodeSystem/admit-source';
const terms = (system: string, ...codes: readonly string[]) => codes.map((code) => ({ system, code }));
const URGENT = [...terms(ACT_PRIORITY, 'EM', 'UR', 'CR', 'S', 'A'), ...terms(ADMIT_SOURCE, 'emd')];
const PLANNED = [...terms(ACT_PRIORITY, 'EL', 'R'), ...terms(ADMIT_SOURCE, 'gp', 'mp', 'outp')];

/** 1 when the current stay of `classes` began urgently, 0 when planned, by Encounter.priority, else by hospitalization.admitSource. */
const urgentAdmission: Read = (spec, evidence) => {
  const stay = stayOf(spec, evidence);
  if (stay === undefined) return missing('no current stay is recorded');
  const source = isJsonObject(stay.hospitalization) ? stay.hospitalization.admitSource : undefined;
  for (const concept of [stay.priority, source]) {
    const said = codings(concept);
    if (isOneOf(said, URGENT)) return { value: 1, shown: 'urgent', source: sourceOf(stay) };
    if (isOneOf(said, PLANNED)) return { value: 0, shown: 'planned', source: sourceOf(stay) };
  }
  return missing('whether the admission was urgent is not recorded');
};

/** Hours from the first to the second: Seymour 2016. */
const CULTURE_AFTER_MS = 24 * 3_600_000;
const ANTIBIOTIC_AFTER_MS = 72 * 3_600_000;

/**
 * 1 when infection was suspected in the window: an antibiotic, then a culture within 24 h, or a culture, then an antibiotic within 72 h (both
 * ends included). `at` is the onset, the earlier of the two; the earliest pair of the window counts. Else 0.
 */
const infectionSuspected: Read = (spec, evidence, { vocabulary }) => {
  const from = windowStart(spec, evidence);
  const taken = cultures(evidence, vocabulary).filter(({ at }) => at > from);
  const onsets = antibiotics(evidence, vocabulary)
    .filter(({ at }) => at > from)
    .flatMap((drug) => {
      const pairs = taken.filter(({ at }) =>
        at >= drug.at ? at - drug.at <= CULTURE_AFTER_MS : drug.at - at <= ANTIBIOTIC_AFTER_MS,
      );
      return pairs.map((culture) => (culture.at < drug.at ? culture : drug));
    });
  const [first] = onsets.toSorted((a, b) => a.at - b.at);
  return first === undefined
    ? { value: 0, shown: 'no antibiotic together with a culture recorded' }
    : { value: 1, shown: 'antibiotic and culture', at: first.at, source: first.source };
};

/** 1 when a systemic antibiotic was given in the last 24 h; an order and prophylaxis do not count. Else `absent`. */
const antibioticGiven: Read = (spec, evidence, { vocabulary }) => {
  const last = antibioticsGiven(evidence, vocabulary).at(-1);
  if (last !== undefined) return { value: 1, shown: 'given', at: last.at, source: last.source };
  return { value: spec.absent ?? 0, shown: 'none given, as far as recorded' };
};

export const CARE_KINDS = {
  'antibiotics-given': antibioticGiven,
  'infection-suspected': infectionSuspected,
  stated,
  graded,
  'length-of-stay': lengthOfStay,
  'encounter-count': encounterCount,
  'procedure-count': procedureCount,
  'urgent-admission': urgentAdmission,
} as const satisfies Partial<Record<FeatureKind, Read>>;
