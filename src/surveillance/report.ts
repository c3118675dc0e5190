/**
 * What surveillance writes: a MeasureReport (counts of one definition and day by unit) and a DetectedIssue (a unit's count is unusually high).
 * DetectedIssue, not Flag: it has severity, evidence and what is implicated, and its patient is optional; decision 0032.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject, Resource } from '../fhir/resource.ts';
import type { Algorithm, Judgement } from './aberration.ts';
import type { Definition } from './definition.ts';
import type { Day } from './site-day.ts';
import type { Unit } from './unit.ts';

/** Systems of our own codes. */
export const SYSTEMS = {
  definition: 'urn:firewatch:surveillance',
  algorithm: 'urn:firewatch:surveillance:algorithm',
  unit: 'urn:firewatch:surveillance:unit',
} as const;
const POPULATION = 'http://terminology.hl7.org/CodeSystem/measure-population';
const NAMES = { c1: 'EARS C1', c2: 'EARS C2', c3: 'EARS C3', cusum: 'CUSUM' } as const satisfies Record<
  Algorithm,
  string
>;

export interface Signal {
  readonly unit: Unit;
  readonly count: number;
  /** Those above their thresholds; at least one. */
  readonly judgements: readonly Judgement[];
  /** `Condition/1` of the cases that are counted. */
  readonly cases: readonly string[];
}
export interface DayCounts {
  readonly day: Day;
  /** The day has not ended: numbers may still grow. */
  readonly isPartial: boolean;
  readonly units: ReadonlyMap<Unit, number>;
  readonly elsewhere: number;
}

const compact = (day: Day): string => day.replaceAll('-', '');
export const reportId = ({ id }: Definition, day: Day): string => `surveillance-${id}-${compact(day)}`;
/** One of a definition, day and unit, however often it is judged. */
export function issueId(definition: Definition, day: Day, unit: Unit): string {
  return `${reportId(definition, day)}-${createHash('sha256').update(unit).digest('hex').slice(0, 12)}`;
}

const canonicalOf = ({ id, version }: Definition): string => `urn:firewatch:surveillance:${id}|${version}`;

/** A group a unit, those with no case of the day included while their baseline has some. */
export function measureReport(definition: Definition, { day, isPartial, units, elsewhere }: DayCounts): Resource {
  const group = (code: JsonObject, count: number): JsonObject => ({
    code,
    population: [{ code: { coding: [{ system: POPULATION, code: 'initial-population' }] }, count }],
  });
  const groups = [...units]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([unit, count]) => group({ coding: [{ system: SYSTEMS.unit, code: unit }] }, count));
  if (elsewhere > 0) groups.push(group({ text: 'no unit of this level' }, elsewhere));
  return {
    resourceType: 'MeasureReport',
    id: reportId(definition, day),
    status: isPartial ? 'pending' : 'complete',
    type: 'summary',
    measure: canonicalOf(definition),
    period: { start: day, end: day },
    ...(groups.length === 0 ? {} : { group: groups }),
  };
}

/** Fewer cases than the small cell: none is referred to. Cases are references, so who may not read them learns nothing of them. */
export function detectedIssue(definition: Definition, day: Day, signal: Signal): Resource {
  const { unit, count, judgements, cases } = signal;
  const { id, version, title, severity, smallCell } = definition;
  const expected = Math.min(...judgements.map((each) => each.expected));
  const implicated = [unit, ...(count < smallCell ? [] : cases)];
  return {
    resourceType: 'DetectedIssue',
    id: issueId(definition, day, unit),
    status: 'final',
    code: {
      coding: [{ system: SYSTEMS.definition, version, code: id, display: title }],
      text: `More cases than usual: ${title}`,
    },
    severity,
    identifiedDateTime: day,
    implicated: implicated.map((reference) => ({ reference })),
    evidence: judgements.map(({ algorithm, value, threshold }) => ({
      code: [
        {
          coding: [{ system: SYSTEMS.algorithm, code: algorithm, display: NAMES[algorithm] }],
          text: `${NAMES[algorithm]} ${value.toFixed(2)}, threshold ${threshold}`,
        },
      ],
      detail: [{ reference: `MeasureReport/${reportId(definition, day)}` }],
    })),
    detail: `${count} cases on ${day}; ${expected.toFixed(1)} a day were to be expected.`,
  };
}

/** Preliminary while the day lasts, final after it, corrected when it is found to be another. @returns undefined when the held one says it already */
export function issueUpon(held: Resource | undefined, issue: Resource, isPartial: boolean): Resource | undefined {
  const first = isPartial ? 'preliminary' : 'final';
  if (held === undefined) return { ...issue, status: first };
  const { meta: _meta, ...content } = held;
  const isSame = isDeepStrictEqual(content, { ...issue, status: held.status });
  if (held.status === 'preliminary') return isSame && isPartial ? undefined : { ...issue, status: first };
  return isSame && held.status !== 'entered-in-error' ? undefined : { ...issue, status: 'corrected' };
}

/** A signal that no longer is one: withdrawn, never deleted. */
export function issueWithdrawn(held: Resource | undefined): Resource | undefined {
  return held === undefined || held.status === 'entered-in-error' ? undefined : { ...held, status: 'entered-in-error' };
}
