/**
 * The one-hour bundle as it is done, measured from the record: which element when, from time zero on. Told as one MeasureReport for an episode.
 * Source: Levy MM et al. Intensive Care Med 2018;44:925 (hour-1 bundle); windows before time zero after CMS SEP-1: lactate 6 h, cultures 48 h,
 * antibiotics 24 h.
 */
import { isJsonObject, type JsonObject, type Resource } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import type { Evidence } from '../risk/assessment.ts';
import { saysWord } from '../risk/features/code-set.ts';
import { instantOf } from '../risk/features/encounter.ts';
import { antibioticsGiven, cultures, type Event, medicationConcept } from '../risk/features/infection.ts';
import { codings, effectiveAt, isOneOf, LOINC, sourceOf, words } from '../risk/features/observation.ts';
import type { Vocabulary } from '../risk/manifest.ts';
import { MONITOR_SYSTEM } from '../risk/own-output.ts';
import type { Element, Episode } from './patient-row.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** An episode is followed for this long. */
export const FOLLOWED_MS = 6 * HOUR_MS;
export const BUNDLE_SYSTEM = 'urn:firewatch:sepsis-bundle';
const MEASURE = 'urn:firewatch:measure:sepsis-hour-1';
const LACTATE = ['2524-7', '32693-4', '2518-9', '2519-7', '14118-4'].map((code) => ({ system: LOINC, code }));
const CRYSTALLOID = {
  display: 'crystalloid',
  words: [
    'crystalloid',
    'sodium chloride 0.9',
    'normal saline',
    'lactated ringer',
    "ringer's",
    'ringer',
    'plasma-lyte',
    'plasmalyte',
  ],
};

type Find = (evidence: Evidence, vocabulary: Vocabulary) => readonly Event[];

const lactates: Find = ({ resources, at }) =>
  resources.flatMap((resource) => {
    const isResult = resource.resourceType === 'Observation' && RESULT.has(resource.status);
    const when = isResult && isOneOf(codings(resource.code), LACTATE) ? effectiveAt(resource) : undefined;
    return when === undefined || when > at ? [] : [{ at: when, source: sourceOf(resource) }];
  });
const RESULT: ReadonlySet<unknown> = new Set(['final', 'amended', 'corrected', 'preliminary', 'registered']);

/** Cultures that were taken; two of them, so the second decides. An order is none. */
const secondCulture: Find = (evidence, vocabulary) =>
  cultures(evidence, vocabulary)
    .filter(({ source }) => source?.startsWith('ServiceRequest/') !== true)
    .slice(1);

const fluids: Find = ({ resources, at }, vocabulary) =>
  resources.flatMap((resource) => {
    if (resource.resourceType !== 'MedicationAdministration' || !GIVEN.has(resource.status)) return [];
    if (!saysWord(words(medicationConcept(resource, resources)), CRYSTALLOID, vocabulary)) return [];
    const period = isJsonObject(resource.effectivePeriod) ? resource.effectivePeriod : {};
    const when = instantOf(resource.effectiveDateTime) ?? instantOf(period.start);
    return when === undefined || when > at ? [] : [{ at: when, source: sourceOf(resource) }];
  });
const GIVEN: ReadonlySet<unknown> = new Set(['in-progress', 'on-hold', 'completed', 'stopped']);

/** THE table: element -> what shows that it was done, and how long before time zero it counts. */
const ELEMENTS: Readonly<
  Record<Element, { readonly display: string; readonly beforeHours: number; readonly find: Find }>
> = {
  lactate: { display: 'Lactate measured', beforeHours: 6, find: lactates },
  'blood-cultures': { display: 'Two cultures taken', beforeHours: 48, find: secondCulture },
  antibiotic: { display: 'Antibiotic given', beforeHours: 24, find: antibioticsGiven },
  fluids: { display: 'Crystalloid begun', beforeHours: 6, find: fluids },
};

/** The episode with what is done by now; the first time counts and stays. */
export function withDone(episode: Episode, evidence: Evidence, vocabulary: Vocabulary): Episode {
  const found = episode.elements.flatMap((name) => {
    const { beforeHours, find } = ELEMENTS[name];
    const events = find(evidence, vocabulary).filter(({ at }) => at >= episode.zero - beforeHours * HOUR_MS);
    const [first] = events.toSorted((a, b) => a.at - b.at);
    return first?.source === undefined ? [] : [[name, [first.at, first.source] as const] as const];
  });
  return { ...episode, done: { ...Object.fromEntries(found), ...episode.done } };
}

export const isWhole = ({ elements, done }: Episode): boolean => elements.every((name) => done[name] !== undefined);

/** `pending` until all is done or the episode is over. Scores are minutes from time zero; less than 0 is before it. */
export function progressReport(episode: Episode, patient: string, at: number): Resource {
  const { zero, elements, done, report } = episode;
  const group = elements.map((name): JsonObject => {
    const when = done[name];
    const concept = { coding: [{ system: BUNDLE_SYSTEM, code: name }], text: ELEMENTS[name].display };
    if (when === undefined) return { code: concept };
    const value = Math.round((when[0] - zero) / MINUTE_MS);
    return { code: concept, measureScore: { value, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' } };
  });
  const sources = Object.values(done).map(([, reference]) => ({ reference }));
  return {
    resourceType: 'MeasureReport',
    id: report,
    meta: { tag: [{ system: MONITOR_SYSTEM, code: 'sepsis' }] },
    status: isWhole(episode) || at >= zero + FOLLOWED_MS ? 'complete' : 'pending',
    type: 'individual',
    measure: MEASURE,
    subject: { reference: `Patient/${patient}` },
    date: instantText(at),
    period: { start: instantText(zero), end: instantText(zero + HOUR_MS) },
    group,
    ...(sources.length === 0 ? {} : { evaluatedResource: sources }),
  };
}
