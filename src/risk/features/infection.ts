/**
 * Antibiotics and cultures as signs that infection is suspected or treated.
 * Source: Seymour CW et al. JAMA 2016;315:762 (suspicion of infection); FHIR R4 medicationadministration.html, medicationrequest.html.
 */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { Vocabulary } from '../manifest.ts';
import { isInSet, saysWord, setNamed } from './code-set.ts';
import { instantOf } from './encounter.ts';
import { effectiveAt, sourceOf, textOf, words } from './observation.ts';

/** Something that happened once: an antibiotic given or ordered, a culture taken. */
export interface Event {
  /** ms since 1970. */
  readonly at: number;
  readonly source: string | undefined;
}

interface Row {
  readonly statuses: ReadonlySet<Json | undefined>;
  readonly at: (resource: Resource) => number | undefined;
}
/** An administration that was stopped was given in part. An order that was never given still says that infection was suspected. */
const DRUG_ROWS: Readonly<Record<string, Row>> = {
  MedicationAdministration: {
    statuses: new Set(['in-progress', 'on-hold', 'completed', 'stopped']),
    at: (resource) => instantOf(resource.effectiveDateTime) ?? startIn(resource.effectivePeriod),
  },
  MedicationRequest: {
    statuses: new Set(['active', 'on-hold', 'completed', 'stopped']),
    at: (resource) => instantOf(resource.authoredOn),
  },
};
const startIn = (period: Json | undefined): number | undefined =>
  isJsonObject(period) ? instantOf(period.start) : undefined;

/** The CodeableConcept of the drug: its own, or that of the Medication it points at (contained or among the resources). */
export function medicationConcept(resource: Resource, resources: readonly Resource[]): Json | undefined {
  if (resource.medicationCodeableConcept !== undefined) return resource.medicationCodeableConcept;
  const pointer = isJsonObject(resource.medicationReference) ? resource.medicationReference : {};
  const reference = textOf(pointer.reference) ?? '';
  const contained = Array.isArray(resource.contained) ? resource.contained.filter(isJsonObject) : [];
  const id = /(?:^|\/)Medication\/([A-Za-z0-9\-.]{1,64})/.exec(reference)?.[1];
  const medication = reference.startsWith('#')
    ? contained.find((one) => one.id === reference.slice(1))
    : resources.find((one) => one.resourceType === 'Medication' && one.id !== undefined && one.id === id);
  return medication?.code ?? { text: pointer.display };
}

const ORDERED: ReadonlySet<Json | undefined> = new Set([
  'order',
  'original-order',
  'reflex-order',
  'filler-order',
  'instance-order',
]);

function isOrdered(resource: Resource): boolean {
  if (resource.resourceType !== 'MedicationRequest') return true;
  return ORDERED.has(resource.intent) && resource.doNotPerform !== true;
}

/** Reasons and routes of an administration and of the order it names. */
function withOrder(resource: Resource, resources: readonly Resource[]): readonly Resource[] {
  const request = isJsonObject(resource.request) ? textOf(resource.request.reference) : undefined;
  const order = request === undefined ? undefined : resources.find((one) => sourceOf(one) === request);
  return order === undefined ? [resource] : [resource, order];
}

function routesOf(resource: Resource): readonly Json[] {
  const dosages = [resource.dosage, resource.dosageInstruction].flatMap((dosage) =>
    Array.isArray(dosage) ? dosage : [dosage],
  );
  return dosages.flatMap((dosage) => (isJsonObject(dosage) && dosage.route !== undefined ? [dosage.route] : []));
}

/** A systemic antibiotic that is not given to prevent infection. Prophylaxis is what the reason says; it is never guessed from the drug. */
function isTreatment(resource: Resource, resources: readonly Resource[], vocabulary: Vocabulary): boolean {
  const concept = medicationConcept(resource, resources);
  if (!isInSet(concept, 'antibiotic', vocabulary)) return false;
  const orders = withOrder(resource, resources);
  const forms = [...words(concept), ...orders.flatMap((one) => routesOf(one).flatMap(words))];
  if (saysWord(forms, setNamed('not-systemic', vocabulary), vocabulary)) return false;
  return !orders.some((one) => isInSet(one.reasonCode, 'prophylaxis', vocabulary));
}

/** Systemic antibiotics given or ordered up to the instant judged at, oldest first; prophylaxis and topical forms left out. */
export function antibiotics({ resources, at }: Evidence, vocabulary: Vocabulary): readonly Event[] {
  const events = resources.flatMap((resource): readonly Event[] => {
    const row = DRUG_ROWS[resource.resourceType];
    if (row === undefined || !row.statuses.has(resource.status) || !isOrdered(resource)) return [];
    const when = row.at(resource);
    if (when === undefined || when > at || !isTreatment(resource, resources, vocabulary)) return [];
    return [{ at: when, source: sourceOf(resource) }];
  });
  return events.toSorted((a, b) => a.at - b.at);
}

const DAY_MS = 86_400_000;

/** Systemic antibiotics that were given in the last 24 h, also in part; orders and prophylaxis do not count. */
export function antibioticsGiven(evidence: Evidence, vocabulary: Vocabulary): readonly Event[] {
  return antibiotics(evidence, vocabulary).filter(
    ({ at, source }) => source?.startsWith('MedicationAdministration/') === true && at > evidence.at - DAY_MS,
  );
}

const NOT_TAKEN: ReadonlySet<Json | undefined> = new Set([
  'cancelled',
  'entered-in-error',
  'revoked',
  'draft',
  'unavailable',
  'unsatisfactory',
]);

interface CultureRow {
  readonly concept: string;
  readonly at: (resource: Resource) => number | undefined;
}
/** A culture counts when it was taken; its result is not asked. */
const CULTURE_ROWS: Readonly<Record<string, CultureRow>> = {
  Observation: { concept: 'code', at: effectiveAt },
  DiagnosticReport: { concept: 'code', at: effectiveAt },
  ServiceRequest: {
    concept: 'code',
    at: (resource) => instantOf(resource.occurrenceDateTime) ?? instantOf(resource.authoredOn),
  },
  Specimen: {
    concept: 'type',
    at: ({ collection }) =>
      isJsonObject(collection)
        ? (instantOf(collection.collectedDateTime) ?? startIn(collection.collectedPeriod))
        : undefined,
  },
};

/** Cultures taken or ordered up to the instant judged at, oldest first. */
export function cultures({ resources, at }: Evidence, vocabulary: Vocabulary): readonly Event[] {
  const events = resources.flatMap((resource): readonly Event[] => {
    const row = CULTURE_ROWS[resource.resourceType];
    if (row === undefined || NOT_TAKEN.has(resource.status)) return [];
    const when = row.at(resource);
    if (when === undefined || when > at || !isInSet(resource[row.concept], 'infection-culture', vocabulary)) return [];
    return [{ at: when, source: sourceOf(resource) }];
  });
  return events.toSorted((a, b) => a.at - b.at);
}
