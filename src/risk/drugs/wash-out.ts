/**
 * Whether a medication resource says that a drug is being taken, has ended (and when), or says nothing of the kind.
 * Source: FHIR R4 medicationrequest.html, medicationstatement.html, medicationdispense.html, medicationadministration.html (status tables).
 */

import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';

/** active: taken now. ended: at `endedAt`, undefined when nobody recorded it. none: planned, cancelled, refused or a mistake. */
export interface Course {
  readonly state: 'active' | 'ended' | 'none';
  /** ms since 1970; the latest instant that the record allows, never after `at`. */
  readonly endedAt?: number | undefined;
}

export const DAY_MS = 86_400_000;
/** A dispensed supply without `daysSupply` is taken to last this long: the usual US retail fill. */
export const DEFAULT_SUPPLY_DAYS = 30;
/** A dose given within this time counts as current; after that only the drug's wash-out does. */
export const ADMINISTERED_MS = DAY_MS;

type Reading = (resource: Resource, at: number) => Course;

/** Status -> how to read the rest. A status that is not here (draft, cancelled, entered-in-error, not-taken, declined, ...) says nothing. */
const READINGS: Readonly<Record<string, Readonly<Record<string, Reading>>>> = {
  MedicationRequest: {
    active: ongoing(requestEnd),
    // A held order may be resumed without a new one.
    'on-hold': ongoing(requestEnd),
    // Cannot be told apart from an active order.
    unknown: ongoing(requestEnd),
    stopped: over(requestEnd),
    completed: over(requestEnd),
  },
  MedicationStatement: {
    active: ongoing(effectiveEnd),
    intended: ongoing(effectiveEnd),
    'on-hold': ongoing(effectiveEnd),
    unknown: ongoing(effectiveEnd),
    stopped: over(effectiveEnd),
    completed: over(effectiveEnd),
  },
  MedicationDispense: {
    'in-progress': ongoing(supplyEnd),
    completed: ongoing(supplyEnd),
    stopped: ongoing(supplyEnd),
  },
  MedicationAdministration: {
    'in-progress': ongoing(effectiveEnd),
    'on-hold': ongoing(effectiveEnd),
    completed: given,
    stopped: given,
    unknown: given,
  },
};

/** The course at an instant (ms since 1970). `doNotPerform` orders and other resource types have none. */
export function courseOf(resource: Resource, at: number): Course {
  const status = typeof resource.status === 'string' ? resource.status : 'unknown';
  const readings = Object.hasOwn(READINGS, resource.resourceType) ? READINGS[resource.resourceType] : undefined;
  const reading = readings !== undefined && Object.hasOwn(readings, status) ? readings[status] : undefined;
  return reading === undefined || resource.doNotPerform === true ? { state: 'none' } : reading(resource, at);
}

/** The newest date that the record gives for the drug, ms since 1970; for the reader of a finding, not for judging. */
export function dateOf(resource: Resource): number | undefined {
  const period = isJsonObject(resource.effectivePeriod) ? resource.effectivePeriod : {};
  const dates = [
    resource.authoredOn,
    resource.dateAsserted,
    resource.effectiveDateTime,
    resource.whenHandedOver,
    resource.whenPrepared,
    period.start,
    period.end,
  ].flatMap((text) => (typeof text === 'string' ? (intervalOf(text)?.low ?? []) : []));
  return dates.length === 0 ? undefined : Math.max(...dates);
}

interface End {
  /** First and last instant at which the course can have ended. */
  readonly earliest: number;
  readonly latest: number;
}

function ongoing(endOf: (resource: Resource) => End | undefined): Reading {
  return (resource, at) => {
    const end = endOf(resource);
    return end === undefined || end.latest > at ? { state: 'active' } : { state: 'ended', endedAt: end.latest };
  };
}

/**
 * Ended for certain. The end is the one recorded; else the last change of the record, which the status change was or preceded;
 * else the date of the order, which the end cannot precede; else unknown. A planned end in the future is not when it ended.
 */
function over(endOf: (resource: Resource) => End | undefined): Reading {
  return (resource, at) => {
    const meta = isJsonObject(resource.meta) ? resource.meta : {};
    const ends = [endOf(resource), endIn(meta.lastUpdated), endIn(resource.dateAsserted), endIn(resource.authoredOn)];
    const end = ends.find((one) => one !== undefined && one.earliest <= at);
    return { state: 'ended', endedAt: end && Math.min(end.latest, at) };
  };
}

function given(resource: Resource, at: number): Course {
  const { endedAt } = over(effectiveEnd)(resource, at);
  return endedAt !== undefined && at - endedAt < ADMINISTERED_MS ? { state: 'active' } : { state: 'ended', endedAt };
}

/** The last end of the dosages when each has one; else the end of what may be dispensed. */
function requestEnd(resource: Resource): End | undefined {
  const dosages = objectsIn(resource.dosageInstruction).map(({ timing }) => {
    const repeat = isJsonObject(timing) ? timing.repeat : undefined;
    const bounds = isJsonObject(repeat) ? repeat.boundsPeriod : undefined;
    return isJsonObject(bounds) ? endIn(bounds.end) : undefined;
  });
  const known = dosages.filter((end) => end !== undefined);
  if (known.length > 0 && known.length === dosages.length) {
    return known.reduce((last, end) => (end.latest > last.latest ? end : last));
  }
  const dispense = isJsonObject(resource.dispenseRequest) ? resource.dispenseRequest : {};
  return isJsonObject(dispense.validityPeriod) ? endIn(dispense.validityPeriod.end) : undefined;
}

/** Of the effective period; a single effective date of a past course is its end. */
function effectiveEnd(resource: Resource): End | undefined {
  if (isJsonObject(resource.effectivePeriod)) return endIn(resource.effectivePeriod.end);
  const isOver = resource.status === 'completed' || resource.status === 'stopped' || resource.status === 'unknown';
  return isOver && !isOngoingStatement(resource) ? endIn(resource.effectiveDateTime) : undefined;
}
const isOngoingStatement = ({ resourceType, status }: Resource) =>
  resourceType === 'MedicationStatement' && status === 'unknown';

/** When the supply handed over is used up. */
function supplyEnd(resource: Resource): End | undefined {
  const from = endIn(resource.whenHandedOver) ?? endIn(resource.whenPrepared);
  if (from === undefined) return undefined;
  const supply = isJsonObject(resource.daysSupply) ? resource.daysSupply.value : undefined;
  const days = supply !== undefined && isNumber(supply) ? numberOf(supply) : DEFAULT_SUPPLY_DAYS;
  const lasting = (days >= 0 && days <= 3650 ? days : DEFAULT_SUPPLY_DAYS) * DAY_MS;
  return { earliest: from.earliest + lasting, latest: from.latest + lasting };
}

/** A date, month or year ends with its last instant; a time is exact. */
function endIn(text: Json | undefined): End | undefined {
  const interval = typeof text === 'string' ? intervalOf(text) : undefined;
  if (interval === undefined) return undefined;
  return {
    earliest: interval.low,
    latest: typeof text === 'string' && text.includes('T') ? interval.low : interval.high,
  };
}

/** The objects of a JSON array; nothing for anything else. */
export function objectsIn(value: Json | undefined): readonly JsonObject[] {
  const items: readonly Json[] = Array.isArray(value) ? value : [];
  return items.filter(isJsonObject);
}
