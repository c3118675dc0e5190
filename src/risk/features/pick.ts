/** What kinds of input share: the window, and the choice of one value among readings. Conventions: docs/models.md. */
import type { Evidence } from '../assessment.ts';
import type { Concepts, FeatureSpec, UnitTable, Vocabulary } from '../manifest.ts';
import type { ComplaintTable } from '../triage/complaint-table.ts';
import { type Feature, LOINC, type Numeric } from './observation.ts';

/** What features may look at besides the resources. */
export interface Knowledge {
  readonly vocabulary: Vocabulary;
  readonly units: UnitTable;
  readonly complaints: ComplaintTable;
  readonly concepts: Concepts;
}
export type Read = (spec: FeatureSpec, evidence: Evidence, knowledge: Knowledge) => Feature;

/** Hours before the instant judged at, where a specification does not say. */
export const DEFAULT_HOURS = 24;
const HOUR_MS = 3_600_000;

export const missing = (reason: string): Feature => ({ value: Number.NaN, reason });
export const wantedCodes = (spec: FeatureSpec) =>
  (spec.codes ?? []).map((code) => ({ system: spec.system ?? LOINC, code }));
export const within = (spec: FeatureSpec, evidence: Evidence) => ({
  at: evidence.at,
  hours: spec.windowHours ?? DEFAULT_HOURS,
});
/** ms since 1970 at which the window begins; the instant itself lies outside. */
export const windowStart = (spec: FeatureSpec, { at }: Evidence): number =>
  at - (spec.windowHours ?? DEFAULT_HOURS) * HOUR_MS;

/** `24 h`, `90 days`: from four whole days on nobody counts in hours. */
export const spanText = (hours: number): string =>
  hours >= 96 && hours % 24 === 0 ? `${hours / 24} days` : `${hours} h`;

/** Nothing usable was found: the value of `absent` where nothing at all is recorded, else missing with the reasons. */
export function noneFound(spec: FeatureSpec, refused: readonly string[]): Feature {
  if (refused.length === 0 && spec.absent !== undefined) return { value: spec.absent, note: 'none recorded' };
  const why = refused.length > 0 ? ` (${refused.join('; ')})` : '';
  return missing(`no usable Observation within ${spanText(spec.windowHours ?? DEFAULT_HOURS)}${why}`);
}

/** A reading with its number, measured or computed. */
export interface Candidate {
  readonly at: number;
  readonly source: string | undefined;
  readonly numeric: Numeric;
  readonly note?: string;
}

const fact = (value: number, { at, source }: Candidate, notes: readonly (string | undefined)[]): Feature => {
  const note = notes.filter((each) => each !== undefined).join('; ');
  return { value, at, source, ...(note === '' ? {} : { note }) };
};

/**
 * One value of candidates that are sorted newest first.
 * Latest: an implausible or empty newest reading is passed over for the next one, which then says so; a reading that holds something
 * unreadable (comparator, no unit, other unit) makes the input missing, since an older value would hide it.
 * First, min, max: over all usable readings; one that cannot be read is said beside the value.
 */
export function picked(candidates: readonly Candidate[], spec: FeatureSpec, refused: readonly string[]): Feature {
  return (spec.choose ?? 'latest') === 'latest'
    ? latest(candidates, spec, refused)
    : extreme(candidates, spec, refused);
}

function latest(candidates: readonly Candidate[], spec: FeatureSpec, refused: readonly string[]): Feature {
  let skipped: string | undefined;
  for (const candidate of candidates) {
    const { numeric, note } = candidate;
    if ('value' in numeric) {
      const newer = skipped === undefined ? undefined : `a newer reading was skipped: ${skipped}`;
      return fact(numeric.value, candidate, [newer, note]);
    }
    if (numeric.next === 'stop') return missing(numeric.reason);
    skipped ??= numeric.reason;
  }
  return skipped === undefined ? noneFound(spec, refused) : missing(skipped);
}

/** True when the first counts rather than the second. */
const COUNTS = {
  latest: () => false,
  first: (_one: number, _other: number) => true,
  min: (one: number, other: number) => one < other,
  max: (one: number, other: number) => one > other,
} as const satisfies Record<NonNullable<FeatureSpec['choose']>, (one: number, other: number) => boolean>;

function extreme(candidates: readonly Candidate[], spec: FeatureSpec, refused: readonly string[]): Feature {
  const counts = COUNTS[spec.choose ?? 'latest'];
  let chosen: { readonly candidate: Candidate; readonly value: number } | undefined;
  let skipped: string | undefined;
  for (const candidate of candidates) {
    const { numeric } = candidate;
    if (!('value' in numeric)) skipped ??= numeric.reason;
    else if (chosen === undefined || counts(numeric.value, chosen.value)) chosen = { candidate, value: numeric.value };
  }
  if (chosen === undefined) return skipped === undefined ? noneFound(spec, refused) : missing(skipped);
  const other = skipped === undefined ? undefined : `a reading was skipped: ${skipped}`;
  return fact(chosen.value, chosen.candidate, [other, chosen.candidate.note]);
}
