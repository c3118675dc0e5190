/**
 * Counts records that name a concept of models/concepts.json: antibiotics ordered, cultures, infections on the problem list, ventilation.
 * The training tables are made with the same rule (models/train/records.py). Source of the resources' elements: FHIR R4.
 */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { CodedTerm, Concept, Concepts, FeatureSpec } from '../manifest.ts';
import { isPresent } from './condition.ts';
import { currentEncounters, instantOf } from './encounter.ts';
import { medicationConcept } from './infection.ts';
import { codings, effectiveAt, type Feature, sourceOf, words } from './observation.ts';

const HOUR_MS = 3_600_000;
const ICD_10_CM = 'http://hl7.org/fhir/sid/icd-10-cm';

/** Lower case, letters and digits only, single spaces, one space before and after: a word of a concept is found behind a space. */
export const folded = (text: string): string =>
  ` ${text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim()} `;

const VOID: ReadonlySet<Json | undefined> = new Set([
  'cancelled',
  'draft',
  'entered-in-error',
  'not-done',
  'preparation',
  'revoked',
  'unavailable',
  'unsatisfactory',
]);
const isReal = ({ status, doNotPerform }: Resource): boolean => !VOID.has(status) && doNotPerform !== true;

interface RecordType {
  /** Elements that say what the record is about. */
  readonly about: (resource: Resource, evidence: Evidence) => readonly (Json | undefined)[];
  readonly counts: (resource: Resource, evidence: Evidence) => boolean;
  /** ms since 1970; undefined: undated, known whenever the record is. */
  readonly at: (resource: Resource) => number | undefined;
}

const startOf = (period: Json | undefined): number | undefined =>
  isJsonObject(period) ? instantOf(period.start) : undefined;
const element = (value: Json | undefined, name: string): Json | undefined =>
  isJsonObject(value) ? value[name] : undefined;
const code = ({ code: concept }: Resource) => [concept];
const drug = (resource: Resource, { resources }: Evidence) => [medicationConcept(resource, resources)];

/** Displays of the locations of an Encounter, as concepts. */
const placesOf = (locations: Json | undefined): readonly Json[] =>
  (Array.isArray(locations) ? locations : []).map((row) => ({ text: element(element(row, 'location'), 'display') }));

const DENIED: ReadonlySet<Json | undefined> = new Set([false, 0]);
/** An Observation that something is so, not that it is not: `mechanical ventilation: false`. */
const affirms = ({ valueBoolean, valueInteger }: Resource): boolean =>
  !DENIED.has(valueBoolean) && !DENIED.has(valueInteger);

const RECORDS: Readonly<Record<string, RecordType>> = {
  MedicationRequest: { about: drug, counts: isReal, at: ({ authoredOn }) => instantOf(authoredOn) },
  MedicationAdministration: {
    about: drug,
    counts: isReal,
    at: (resource) => instantOf(resource.effectiveDateTime) ?? startOf(resource.effectivePeriod),
  },
  MedicationStatement: {
    about: drug,
    counts: isReal,
    at: (resource) => instantOf(resource.effectiveDateTime) ?? startOf(resource.effectivePeriod),
  },
  ServiceRequest: {
    about: code,
    counts: isReal,
    at: (resource) => instantOf(resource.authoredOn) ?? instantOf(resource.occurrenceDateTime),
  },
  Procedure: {
    about: code,
    counts: isReal,
    at: (resource) => instantOf(resource.performedDateTime) ?? startOf(resource.performedPeriod),
  },
  Specimen: {
    about: ({ type }) => [type],
    counts: isReal,
    at: ({ collection, receivedTime }) =>
      instantOf(element(collection, 'collectedDateTime')) ??
      startOf(element(collection, 'collectedPeriod')) ??
      instantOf(receivedTime),
  },
  DiagnosticReport: { about: code, counts: isReal, at: effectiveAt },
  Observation: {
    about: code,
    counts: (resource) => isReal(resource) && affirms(resource),
    at: effectiveAt,
  },
  Condition: {
    about: code,
    counts: isPresent,
    at: ({ recordedDate, onsetDateTime }) => instantOf(recordedDate) ?? instantOf(onsetDateTime),
  },
  Encounter: {
    about: ({ hospitalization, type, serviceType, location }) => [
      element(hospitalization, 'admitSource'),
      type,
      serviceType,
      ...placesOf(location),
    ],
    counts: (resource, evidence) => currentEncounters(evidence).includes(resource),
    at: () => undefined,
  },
};

function holds(wanted: readonly CodedTerm[], terms: readonly CodedTerm[]): boolean {
  return wanted.some((one) =>
    terms.some(({ system, code: found }) => {
      if (system !== one.system) return false;
      return system === ICD_10_CM ? found.startsWith(one.code) : found === one.code;
    }),
  );
}

const saysOne = (texts: readonly string[], phrases: readonly string[]): boolean =>
  phrases.some((phrase) => texts.some((text) => text.includes(` ${phrase}`)));

/** Names of the kinds that texts (folded) and codes name; none when one of them names an exception. */
export function kindsNamed(concept: Concept, texts: readonly string[], terms: readonly CodedTerm[]): readonly string[] {
  const found = concept.kinds.filter(({ words: phrases, codes }) => saysOne(texts, phrases) || holds(codes, terms));
  if (found.length === 0 || saysOne(texts, concept.except) || holds(concept.exceptCodes, terms)) return [];
  return found.map(({ name }) => name);
}

interface Named {
  readonly texts: readonly string[];
  readonly terms: readonly CodedTerm[];
}
/** What a record says it is about, read once: every concept asks. Resources never change. */
const named = new WeakMap<Resource, Named>();
function namesOf(resource: Resource, about: readonly (Json | undefined)[]): Named {
  let known = named.get(resource);
  if (known === undefined) {
    known = { texts: about.flatMap(words).map(folded), terms: about.flatMap(codings) };
    named.set(resource, known);
  }
  return known;
}

/**
 * Number of distinct kinds of `spec.concept` among the records of `spec.resources`, or 1 and 0 where `spec.counts` is `any`.
 * A record counts when it is in force (not cancelled, draft, refuted or in error) and dated in (at - window, at] or undated; without
 * `windowHours` all up to `at`. No record is 0, never missing: an order that was not written is a fact.
 */
export function recordCount(spec: FeatureSpec, evidence: Evidence, concepts: Concepts): Feature {
  const concept = concepts[spec.concept ?? ''];
  if (concept === undefined) throw new TypeError(`concepts.json has no concept ${spec.concept ?? ''}.`);
  const after = evidence.at - (spec.windowHours ?? Number.POSITIVE_INFINITY) * HOUR_MS;
  const kinds = new Set<string>();
  let newest: { readonly at: number | undefined; readonly source: string | undefined } | undefined;
  for (const resource of evidence.resources) {
    const record = (spec.resources ?? []).includes(resource.resourceType) ? RECORDS[resource.resourceType] : undefined;
    if (record === undefined || !record.counts(resource, evidence)) continue;
    const at = record.at(resource);
    if (at !== undefined && !(at > after && at <= evidence.at)) continue;
    const { texts, terms } = namesOf(resource, record.about(resource, evidence));
    const found = kindsNamed(concept, texts, terms);
    for (const kind of found) kinds.add(kind);
    if (found.length > 0 && (newest === undefined || (at ?? 0) > (newest.at ?? 0)))
      newest = { at, source: sourceOf(resource) };
  }
  const value = spec.counts === 'any' ? Math.min(1, kinds.size) : kinds.size;
  return { value, shown: value === 0 ? 'none recorded' : [...kinds].toSorted().join(', '), ...newest };
}
