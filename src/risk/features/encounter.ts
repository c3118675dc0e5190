/** Where a patient is cared for at an instant. Source: FHIR R4 encounter.html (class, status, period, location), location.html. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { intervalOf } from '../../fhir/time.ts';
import type { Evidence } from '../assessment.ts';
import type { Vocabulary } from '../manifest.ts';
import { isInSet } from './code-set.ts';
import { textOf } from './observation.ts';

/** Encounters that took place or take place; planned, cancelled and mistaken ones do not count. */
const TAKEN_PLACE: ReadonlySet<Json | undefined> = new Set([
  'arrived',
  'triaged',
  'in-progress',
  'onleave',
  'finished',
]);

/** True for an encounter that took place or takes place. */
export const hasTakenPlace = ({ status }: Resource): boolean => TAKEN_PLACE.has(status);

/** ms since 1970 of the earliest instant a FHIR date can mean. */
export const instantOf = (value: Json | undefined): number | undefined => intervalOf(textOf(value) ?? '')?.low;

interface Span {
  readonly start: number | undefined;
  readonly end: number | undefined;
}
function spanOf(period: Json | undefined): Span {
  if (!isJsonObject(period)) return { start: undefined, end: undefined };
  const end = intervalOf(textOf(period.end) ?? '');
  return { start: instantOf(period.start), end: end === undefined ? undefined : end.high };
}
const isDuring = ({ start, end }: Span, at: number): boolean =>
  (start === undefined || start <= at) && (end === undefined || end > at);

/** Encounters under way at the instant judged at, the latest begun first. A finished one without an end is over. */
export function currentEncounters({ resources, at }: Evidence): readonly Resource[] {
  return resources
    .filter(({ resourceType }) => resourceType === 'Encounter')
    .filter((encounter) => {
      const span = spanOf(encounter.period);
      const isOver = encounter.status === 'finished' && span.end === undefined;
      return TAKEN_PLACE.has(encounter.status) && !isOver && isDuring(span, at);
    })
    .toSorted((a, b) => (startOf(b) ?? 0) - (startOf(a) ?? 0));
}

/** ms since 1970 at which an encounter began. */
export const startOf = (encounter: Resource): number | undefined => spanOf(encounter.period).start;

/** Code of Encounter.class, e.g. `IMP`. */
export function classOf(encounter: Resource): string | undefined {
  return isJsonObject(encounter.class) ? textOf(encounter.class.code) : undefined;
}

const rows = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isJsonObject) : [];

/**
 * ms since 1970 of the latest admission to intensive care among current and past encounters; undefined when none is recorded. From a row of
 * Encounter.location whose Location (type or name) or display is intensive care, or from Encounter.type, which counts from the start.
 */
export function intensiveCareSince(evidence: Evidence, vocabulary: Vocabulary): number | undefined {
  const { resources, at } = evidence;
  const admissions = resources
    .filter(({ resourceType, status }) => resourceType === 'Encounter' && TAKEN_PLACE.has(status))
    .flatMap((encounter) => {
      const whole = spanOf(encounter.period);
      const byType = isInSet(encounter.type, 'intensive-care', vocabulary) ? [whole] : [];
      const byPlace = rows(encounter.location)
        .filter((row) => isIntensiveCare(row.location, resources, vocabulary))
        .map((row) => (isJsonObject(row.period) ? spanOf(row.period) : whole));
      return [...byType, ...byPlace].filter(({ end }) => end === undefined || end > at).map(({ start }) => start);
    })
    .filter((start) => start !== undefined);
  return admissions.length === 0 ? undefined : Math.max(...admissions);
}

function isIntensiveCare(place: Json | undefined, resources: readonly Resource[], vocabulary: Vocabulary): boolean {
  if (!isJsonObject(place)) return false;
  if (isInSet({ text: place.display }, 'intensive-care', vocabulary)) return true;
  const id = /(?:^|\/)Location\/([A-Za-z0-9\-.]{1,64})$/.exec(textOf(place.reference) ?? '')?.[1];
  const location = resources.find((one) => one.resourceType === 'Location' && one.id !== undefined && one.id === id);
  if (location === undefined) return false;
  return (
    isInSet(location.type, 'intensive-care', vocabulary) ||
    isInSet({ text: location.name }, 'intensive-care', vocabulary)
  );
}
