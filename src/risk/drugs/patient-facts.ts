/**
 * What the drug rules ask of the patient at one instant: age, sex, laboratory values with date, conditions, kidney and liver function.
 * Sources: FHIR R4 patient.html, observation.html, condition.html, procedure.html, encounter.html; knowledge/patient-terms.json.
 */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import { codings, LOINC, numericValue, readings, words } from '../features/observation.ts';
import { ckdEpi2021, cockcroftGault, dosingWeight, isRisingCreatinine, type Sex } from '../features/renal-function.ts';
import { foldedName } from './knowledge.ts';
import { runAtOnce, type Steps } from './pace.ts';
import type { ConditionTerm, LabTerm, Terms } from './rules.ts';
import { DAY_MS, objectsIn } from './wash-out.ts';

export interface LabValue {
  readonly display: string;
  readonly value: number;
  readonly unit: string;
  /** ms since 1970. */
  readonly at: number;
  readonly source: string | undefined;
}

/** One estimate with what it rests on. */
export interface Estimate {
  readonly value: number;
  /** For the reader: formula, weight, creatinine. */
  readonly basis: string;
  readonly at: number;
  readonly source: string | undefined;
}

export interface PatientFacts {
  /** Whole years; undefined when the birth date leaves it open. */
  readonly ageYears: number | undefined;
  readonly ageDays: number | undefined;
  readonly sex: Sex | undefined;
  /** The newest usable value within the days of its term. */
  lab(name: string): LabValue | undefined;
  /** A recorded condition, procedure in progress or encounter in progress says so. */
  has(name: string): boolean;
  readonly egfr: Estimate | undefined;
  readonly crcl: Estimate | undefined;
  /** Why kidney function is not estimated; undefined when it is. */
  readonly noEstimate: string | undefined;
  readonly childPugh: 'A' | 'B' | 'C' | undefined;
}

/** The facts in a context. */
export const patientFacts = (context: readonly Resource[], at: number, terms: Terms): PatientFacts =>
  runAtOnce(factsIn(context, at, terms));

/** The same in steps: conditions are read, everything else is worked out when it is first asked for. */
export function* factsIn(context: readonly Resource[], at: number, terms: Terms): Steps<PatientFacts> {
  const patient = context.find(({ resourceType }) => resourceType === 'Patient');
  const birth = typeof patient?.birthDate === 'string' ? intervalOf(patient.birthDate) : undefined;
  const sex = patient?.gender === 'female' || patient?.gender === 'male' ? patient.gender : undefined;
  const youngest = birth && wholeYears(birth.high - 1, at);
  const oldest = birth && wholeYears(birth.low, at);
  const ageYears = youngest === oldest ? oldest : undefined;
  const ageDays = birth && birth.high - birth.low <= DAY_MS ? Math.floor((at - birth.low) / DAY_MS) : undefined;
  const labs = labReader(context, at, terms);
  const recorded = yield* conditionsIn(context, at, terms);
  const rising = once(() => isRisingCreatinine(labs('creatinine')));
  const has = (name: string) => recorded.has(name) || (name === 'acute-kidney-injury' && rising());
  const lab = (name: string) => labs(name)[0];
  const kidney = once(() => kidneyOf({ ageYears, sex, lab, has }));
  return {
    ageYears,
    ageDays: ageDays !== undefined && ageDays >= 0 ? ageDays : undefined,
    sex,
    lab,
    has,
    get egfr() {
      return kidney().egfr;
    },
    get crcl() {
      return kidney().crcl;
    },
    get noEstimate() {
      return kidney().noEstimate;
    },
    get childPugh() {
      return has('cirrhosis') ? childPughOf(lab, has) : undefined;
    },
  };
}

function once<T>(compute: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => {
    known ??= { value: compute() };
    return known.value;
  };
}

/** Birthdays since an instant; negative before it. */
function wholeYears(from: number, at: number): number {
  const [a, b] = [new Date(from), new Date(at)];
  const before =
    b.getUTCMonth() < a.getUTCMonth() || (b.getUTCMonth() === a.getUTCMonth() && b.getUTCDate() < a.getUTCDate());
  return b.getUTCFullYear() - a.getUTCFullYear() - (before ? 1 : 0);
}

function labReader(context: readonly Resource[], at: number, terms: Terms): (name: string) => readonly LabValue[] {
  const byCode = once(() => {
    const index = new Map<string, Resource[]>();
    for (const resource of context) {
      if (resource.resourceType !== 'Observation') continue;
      for (const { system, code } of codings(resource.code)) {
        if (system !== LOINC) continue;
        const known = index.get(code);
        if (known === undefined) index.set(code, [resource]);
        else known.push(resource);
      }
    }
    return index;
  });
  const read = new Map<string, readonly LabValue[]>();
  return (name) => {
    const known = read.get(name);
    if (known !== undefined) return known;
    const term = terms.labs.find((one) => one.name === name);
    const found = term === undefined ? [] : labValues(term, byCode(), at, terms);
    read.set(name, found);
    return found;
  };
}

function labValues(
  term: LabTerm,
  byCode: ReadonlyMap<string, readonly Resource[]>,
  at: number,
  { units }: Terms,
): readonly LabValue[] {
  const { display, unit, range, analyte, loinc, days } = term;
  const resources = [...new Set(loinc.flatMap((code) => byCode.get(code) ?? []))];
  if (resources.length === 0) return [];
  const wanted = loinc.map((code) => ({ system: LOINC, code }));
  const spec = {
    name: term.name,
    display,
    kind: 'latest-observation' as const,
    required: false,
    unit,
    range,
    ...(analyte === undefined ? {} : { analyte }),
  };
  const values: LabValue[] = [];
  for (const reading of readings(resources, wanted, { at, hours: days * 24 }).newestFirst) {
    const read = numericValue(reading, spec, units);
    if ('value' in read) values.push({ display, value: read.value, unit, at: reading.at, source: reading.source });
    // A newer value that cannot be read must not be hidden by an older one.
    else if (read.next === 'stop' && values.length === 0) return [];
  }
  return values;
}

const SNOMED = 'http://snomed.info/sct';
const ICD10 = /^(?:http:\/\/hl7\.org\/fhir\/sid\/icd-10(?:-cm)?|urn:oid:2\.16\.840\.1\.113883\.6\.(?:90|3))$/;
/** A pregnancy recorded longer ago than this is over, even when nobody closed the record. */
const PREGNANCY_MS = 300 * DAY_MS;

/** Records that are held against the terms in one step. */
const READ_AT_ONCE = 10;

/** Names of the terms that a current record supports, of all that was read in time. */
function* conditionsIn(context: readonly Resource[], at: number, { conditions }: Terms): Steps<ReadonlySet<string>> {
  const found = new Set<string>();
  let read = 0;
  for (const resource of context) {
    const record = recordOf(resource, at);
    if (record === undefined) continue;
    if (++read % READ_AT_ONCE === 0 && !(yield)) break;
    for (const term of conditions) {
      if (found.has(term.name) || (!record.current && term.history !== true)) continue;
      if (term.name === 'pregnancy' && record.startedAt !== undefined && at - record.startedAt > PREGNANCY_MS) continue;
      if (names(record, term)) found.add(term.name);
    }
  }
  return found;
}

interface ClinicalRecord {
  readonly codes: readonly { readonly system: string; readonly code: string }[];
  readonly texts: readonly ClinicalText[];
  readonly current: boolean;
  readonly startedAt: number | undefined;
}

/** One text of a record, between spaces, and what it cannot be about. */
interface ClinicalText {
  readonly words: string;
  readonly isNotNow: boolean;
  readonly isNever: boolean;
}

const ACTIVE: ReadonlySet<string> = new Set(['active', 'recurrence', 'relapse']);
const PREGNANT: ReadonlySet<string> = new Set(['LA15173-0', '77386006']);

/** What a Condition, a Procedure or Encounter in progress or a pregnancy status says; undefined when it says nothing that counts. */
function recordOf(resource: Resource, at: number): ClinicalRecord | undefined {
  const record = (concepts: readonly (Json | undefined)[], current: boolean, started?: Json) => ({
    codes: concepts.flatMap((concept) => codings(concept)),
    texts: concepts.flatMap((concept) => words(concept)).map(clinicalText),
    current,
    startedAt: typeof started === 'string' ? intervalOf(started)?.low : undefined,
  });
  switch (resource.resourceType) {
    case 'Condition': {
      const verified = codings(resource.verificationStatus).map(({ code }) => code);
      if (verified.includes('refuted') || verified.includes('entered-in-error')) return undefined;
      const clinical = codings(resource.clinicalStatus).map(({ code }) => code);
      const ended = resource.abatementDateTime !== undefined || isJsonObject(resource.abatementPeriod);
      const current = !ended && (clinical.length === 0 || clinical.some((code) => ACTIVE.has(code)));
      return record([resource.code], current, resource.onsetDateTime ?? resource.recordedDate);
    }
    case 'Procedure':
      return resource.status === 'in-progress' ? record([resource.code], true) : undefined;
    case 'Encounter': {
      if (resource.status !== 'in-progress') return undefined;
      const places = objectsIn(resource.location).map(({ location }) => ({ text: textOfReference(location) }));
      return record([resource.type, resource.serviceType, ...places, ...stayOf(resource)], true);
    }
    case 'Observation': {
      const status = codings(resource.code).some(({ system, code }) => system === LOINC && code === '82810-3');
      const said = codings(resource.valueCodeableConcept).some(({ code }) => PREGNANT.has(code));
      const from = typeof resource.effectiveDateTime === 'string' ? intervalOf(resource.effectiveDateTime) : undefined;
      if (!status || !said || resource.status === 'entered-in-error' || (from?.low ?? at) > at) return undefined;
      return { codes: [{ system: SNOMED, code: '77386006' }], texts: [], current: true, startedAt: from?.low };
    }
    default:
      return undefined;
  }
}

/** Classes of v3-ActCode in which the patient lies in a hospital bed. */
const IN_HOSPITAL: ReadonlySet<unknown> = new Set(['IMP', 'ACUTE', 'NONAC']);
const stayOf = ({ class: kind }: Resource): readonly Json[] =>
  isJsonObject(kind) && IN_HOSPITAL.has(kind.code) ? [{ text: 'inpatient' }] : [];

const textOfReference = (reference: Json | undefined): string =>
  isJsonObject(reference) && typeof reference.display === 'string' ? reference.display : '';

const clinicalText = (text: string): ClinicalText => {
  const folded = foldedName(text.slice(0, 300));
  return { words: ` ${folded} `, isNotNow: NOT_NOW.test(folded), isNever: NEVER.test(folded) };
};

/** Text that speaks of somebody else or of absence. */
const NEVER = /\b(?:family history|no|without|risk of|ruled out|screening)\b/;
/** Or of the past. */
const NOT_NOW = /\b(?:family history|history of|no|without|risk of|ruled out|screening|suspected|prophylaxis)\b/;

function names({ codes, texts }: ClinicalRecord, term: ConditionTerm): boolean {
  const coded = codes.some(
    ({ system, code }) =>
      (system === SNOMED && term.snomed.includes(code)) ||
      (ICD10.test(system) && term.icd10.some((prefix) => startsWithCode(code, prefix))),
  );
  if (coded) return true;
  return texts.some(
    ({ words: text, isNever, isNotNow }) =>
      !(term.history === true ? isNever : isNotNow) &&
      (term.phrases.some((phrase) => text.includes(` ${phrase} `)) || term.whole?.includes(text.trim()) === true),
  );
}

const startsWithCode = (code: string, prefix: string) =>
  code.replaceAll('.', '').startsWith(prefix.replaceAll('.', ''));

interface KidneyInputs extends Pick<PatientFacts, 'ageYears' | 'sex' | 'lab' | 'has'> {}

/** Estimates of adults with steady creatinine; a reported eGFR is taken as it is when it is newer than the creatinine. */
function kidneyOf({ ageYears, sex, lab, has }: KidneyInputs): Pick<PatientFacts, 'egfr' | 'crcl' | 'noEstimate'> {
  const none = (noEstimate: string) => ({ egfr: undefined, crcl: undefined, noEstimate });
  if (has('dialysis')) return none('dialysis');
  if (has('acute-kidney-injury')) return none('acute kidney injury');
  if (ageYears !== undefined && ageYears < 18) return none('age below 18 years');
  if (has('pregnancy')) return none('pregnancy');
  const creatinine = lab('creatinine');
  const reported = lab('egfr');
  const own =
    creatinine === undefined || ageYears === undefined || sex === undefined
      ? undefined
      : {
          value: ckdEpi2021(creatinine.value, ageYears, sex),
          basis: `CKD-EPI 2021 from creatinine ${shown(creatinine.value)} mg/dL`,
          at: creatinine.at,
          source: creatinine.source,
        };
  const egfr =
    reported !== undefined && (own === undefined || reported.at >= own.at)
      ? { value: reported.value, basis: 'as reported', at: reported.at, source: reported.source }
      : own;
  const weight = lab('weight');
  if (creatinine === undefined || ageYears === undefined || sex === undefined || weight === undefined) {
    return {
      egfr,
      crcl: undefined,
      noEstimate: egfr === undefined ? 'creatinine, age, sex or weight is missing' : undefined,
    };
  }
  const by = dosingWeight(weight.value, lab('height')?.value, sex);
  const crcl = {
    value: cockcroftGault(creatinine.value, ageYears, by.kg, sex),
    basis: `Cockcroft-Gault with ${by.basis} weight ${shown(by.kg)} kg and creatinine ${shown(creatinine.value)} mg/dL`,
    at: creatinine.at,
    source: creatinine.source,
  };
  return { egfr, crcl, noEstimate: undefined };
}

const shown = (value: number) => String(Number(value.toPrecision(3)));

/** Pugh 1973. Points of bilirubin, albumin, INR, ascites, encephalopathy; undefined without the three values. */
function childPughOf(lab: PatientFacts['lab'], has: PatientFacts['has']): 'A' | 'B' | 'C' | undefined {
  const [bilirubin, albumin, inr] = [lab('bilirubin'), lab('albumin'), lab('inr')];
  if (bilirubin === undefined || albumin === undefined || inr === undefined) return undefined;
  const points =
    (bilirubin.value < 2 ? 1 : bilirubin.value <= 3 ? 2 : 3) +
    (albumin.value > 3.5 ? 1 : albumin.value >= 2.8 ? 2 : 3) +
    (inr.value < 1.7 ? 1 : inr.value <= 2.3 ? 2 : 3) +
    (has('ascites') ? 2 : 1) +
    (has('encephalopathy') ? 2 : 1);
  return points <= 6 ? 'A' : points <= 9 ? 'B' : 'C';
}
