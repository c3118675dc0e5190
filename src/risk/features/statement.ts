/** What the record states of a patient: conditions, orders, plans, procedures, flags and the current stay. Source: FHIR R4 of each resource. */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import type { Evidence } from '../assessment.ts';
import type { Vocabulary } from '../manifest.ts';
import { isInSet } from './code-set.ts';
import { isPresent } from './condition.ts';
import { currentEncounters, instantOf } from './encounter.ts';

const ACTIVE: ReadonlySet<Json | undefined> = new Set(['active', 'on-hold']);
const DONE: ReadonlySet<Json | undefined> = new Set(['in-progress', 'completed']);

interface Statement {
  readonly concepts: readonly string[];
  readonly holds: (resource: Resource) => boolean;
}
/** Resources that say something of the patient's state or care, the elements that say it, and when they hold. */
const STATEMENTS: Readonly<Record<string, Statement>> = {
  Condition: { concepts: ['code'], holds: isPresent },
  CarePlan: { concepts: ['category'], holds: ({ status }) => ACTIVE.has(status) },
  ServiceRequest: {
    concepts: ['code'],
    holds: ({ status, doNotPerform }) => ACTIVE.has(status) && doNotPerform !== true,
  },
  Procedure: { concepts: ['code'], holds: ({ status }) => DONE.has(status) },
  Flag: { concepts: ['code'], holds: ({ status }) => ACTIVE.has(status) },
};
const BEGINS = ['onsetDateTime', 'recordedDate', 'authoredOn', 'performedDateTime', 'created'] as const;

/** True when the record could say it at that instant: not begun later, not ended before. */
function isKnownAt(resource: Resource, at: number): boolean {
  const periods = [resource.period, resource.performedPeriod, resource.onsetPeriod].filter(isJsonObject);
  const begun = [...BEGINS.map((name) => resource[name]), ...periods.map(({ start }) => start)].map(instantOf);
  const ended = [resource.abatementDateTime, ...periods.map(({ end }) => end)].map(instantOf);
  return (
    !begun.some((when) => when !== undefined && when > at) &&
    (resource.resourceType === 'Procedure' || !ended.some((when) => when !== undefined && when <= at))
  );
}

/** True for a procedure that reached into the window: under way, or ended after its beginning. Others than procedures have no window. */
function isWithin({ resourceType, status, performedDateTime, performedPeriod }: Resource, from: number): boolean {
  if (resourceType !== 'Procedure' || status === 'in-progress') return true;
  const end = isJsonObject(performedPeriod) ? (performedPeriod.end ?? performedPeriod.start) : performedDateTime;
  const ended = instantOf(end);
  return ended !== undefined && ended > from;
}

/**
 * A resource that states something of the set: a present condition, an active order, plan or flag, a procedure or the current stay.
 * With `from` (ms), procedures must reach beyond it. Undefined when the record does not say so.
 */
export function statementOf(
  set: string,
  evidence: Evidence,
  vocabulary: Vocabulary,
  from = Number.NEGATIVE_INFINITY,
): Resource | undefined {
  const { resources, at } = evidence;
  const stated = resources.find((resource) => {
    const row = STATEMENTS[resource.resourceType];
    if (row === undefined || !row.holds(resource) || !isKnownAt(resource, at)) return false;
    if (from > Number.NEGATIVE_INFINITY && !isWithin(resource, from)) return false;
    return row.concepts.some((name) => isInSet(resource[name], set, vocabulary));
  });
  if (stated !== undefined) return stated;
  return currentEncounters(evidence).find(({ type, serviceType }) =>
    [type, serviceType].some((one) => isInSet(one, set, vocabulary)),
  );
}
