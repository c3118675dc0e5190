/** Inputs computed from several measurements: coma score from its parts, mean arterial pressure, ratios of oxygenation. */
import type { FeatureKind, FeatureSpec, UnitTable, Vocabulary } from '../manifest.ts';
import {
  codings,
  isOneOf,
  LOINC,
  type Numeric,
  numericValue,
  type Reading,
  readings,
  roundTo,
  textOf,
  words,
} from './observation.ts';
import { type Candidate, picked, type Read, wantedCodes, within } from './pick.ts';

const loinc = (...codes: readonly string[]) => codes.map((code) => ({ system: LOINC, code }));
const HOUR_MS = 3_600_000;

const later = (a: Candidate, b: Candidate): number => b.at - a.at;

const plain = (name: string, unit: string, low: number, high: number): FeatureSpec => ({
  name,
  display: name,
  kind: 'latest-observation',
  unit,
  range: [low, high],
  required: true,
});

/** Eye, verbal, motor of the Glasgow coma scale; LOINC panel 35088-4. */
const COMA_PARTS = [
  { terms: loinc('9267-6'), spec: plain('eye', '{score}', 1, 4) },
  { terms: loinc('9270-0'), spec: plain('verbal', '{score}', 1, 5) },
  { terms: loinc('9268-4'), spec: plain('motor', '{score}', 1, 6) },
] as const;

const whole = (numeric: Numeric): Numeric =>
  'value' in numeric && !Number.isInteger(numeric.value) ? { reason: 'not a whole number', next: 'stop' } : numeric;

/**
 * Glasgow coma score, 3 to 15: the total (`codes`, e.g. 9269-2), or the sum of three parts recorded for the same instant, which is said.
 * Incomplete parts (a verbal response that cannot be tested) give nothing. At the same instant the total counts.
 */
const comaScore: Read = (spec, evidence, { units }) => {
  const window = within(spec, evidence);
  const totals = readings(evidence.resources, wantedCodes(spec), window);
  const candidates: Candidate[] = totals.newestFirst.map((reading) => ({
    ...reading,
    numeric: whole(numericValue(reading, spec, units)),
  }));
  const [eyes, verbals, motors] = COMA_PARTS.map(({ terms, spec: part }) =>
    byInstant(readings(evidence.resources, terms, window).newestFirst, part, units),
  );
  for (const [at, eye] of eyes ?? []) {
    const parts = [eye, verbals?.get(at), motors?.get(at)];
    const numbers = parts.flatMap((part) =>
      part !== undefined && 'value' in part.numeric ? [part.numeric.value] : [],
    );
    if (numbers.length < parts.length) continue;
    const sum = numbers.reduce((total, value) => total + value, 0);
    candidates.push({ at, source: eye.source, numeric: { value: sum }, note: 'sum of eye, verbal and motor response' });
  }
  return picked(candidates.toSorted(later), spec, totals.refused);
};

/** The newest version of a reading at each instant. */
function byInstant(
  newestFirst: readonly Reading[],
  spec: FeatureSpec,
  units: UnitTable,
): ReadonlyMap<number, Candidate> {
  const found = new Map<number, Candidate>();
  for (const reading of newestFirst) {
    if (!found.has(reading.at))
      found.set(reading.at, { ...reading, numeric: whole(numericValue(reading, spec, units)) });
  }
  return found;
}

const SYSTOLIC = { terms: loinc('8480-6', '76534-7', '76215-3'), spec: plain('systolic', 'mm[Hg]', 30, 300) };
const DIASTOLIC = { terms: loinc('8462-4', '76535-4', '76213-8'), spec: plain('diastolic', 'mm[Hg]', 10, 200) };

/**
 * Mean arterial pressure, mm[Hg]: measured (`codes`, e.g. 8478-0), or DBP + (SBP - DBP) / 3 of one blood pressure, which is said.
 * Systolic and diastolic must be of one Observation or one instant. At the same instant the measured one counts.
 */
const meanArterialPressure: Read = (spec, evidence, { units }) => {
  const window = within(spec, evidence);
  const measured = readings(evidence.resources, wantedCodes(spec), window);
  const candidates: Candidate[] = measured.newestFirst.map((reading) => ({
    ...reading,
    numeric: numericValue(reading, spec, units),
  }));
  const diastolics = readings(evidence.resources, DIASTOLIC.terms, window).newestFirst;
  const bySource = new Map(diastolics.map((reading) => [reading.source, reading]));
  const byTime = new Map(diastolics.toReversed().map((reading) => [reading.at, reading]));
  const systolics = readings(evidence.resources, SYSTOLIC.terms, window);
  for (const reading of systolics.newestFirst) {
    const other = (reading.source === undefined ? undefined : bySource.get(reading.source)) ?? byTime.get(reading.at);
    if (other === undefined) continue;
    const numeric = meanOf(
      numericValue(reading, SYSTOLIC.spec, units),
      numericValue(other, DIASTOLIC.spec, units),
      spec,
    );
    candidates.push({ ...reading, numeric, note: 'computed from systolic and diastolic pressure' });
  }
  return picked(candidates.toSorted(later), spec, [...new Set([...measured.refused, ...systolics.refused])]);
};

function meanOf(systolic: Numeric, diastolic: Numeric, { precision = 0 }: FeatureSpec): Numeric {
  if (!('value' in systolic)) return systolic;
  if (!('value' in diastolic)) return diastolic;
  if (diastolic.value >= systolic.value) return { reason: 'implausible value', next: 'older' };
  return { value: roundTo(diastolic.value + (systolic.value - diastolic.value) / 3, precision) };
}

const FRACTION = plain('fio2', '%', 21, 100);
const ROOM_AIR = 21;

/** Inspired oxygen, %: measured, or 21 where room air is stated. A flow in L/min is not a fraction and is not turned into one. */
function fractionOf(reading: Reading, { air }: Vocabulary, units: UnitTable): Numeric {
  const { element } = reading;
  const said = [textOf(element.valueString), ...words(element.valueCodeableConcept)].map((one) =>
    one?.trim().toLowerCase(),
  );
  const isAir =
    isOneOf(codings(element.valueCodeableConcept), air.codes) ||
    said.some((one) => one !== undefined && air.words.includes(one));
  const isAbout = isOneOf(codings(element.code), air.codes) && element.valueBoolean !== false;
  return isAir || isAbout ? { value: ROOM_AIR } : numericValue(reading, FRACTION, units);
}

/**
 * Ratio of a measurement of oxygen (`codes`: PaO2 in mm[Hg], or SpO2 in %; `range` holds for it) to the inspired fraction (`pair.codes`,
 * %) that was recorded at the same time or at most `pair.hours` before. Arterial codes only are named for PaO2; a venous gas has others.
 */
const oxygenRatio: Read = (spec, evidence, { vocabulary, units }) => {
  const pair = spec.pair ?? { codes: [], hours: 0 };
  const hours = within(spec, evidence).hours;
  const found = readings(evidence.resources, wantedCodes(spec), { at: evidence.at, hours });
  const inspired = readings(evidence.resources, [...loinc(...pair.codes), ...vocabulary.air.codes], {
    at: evidence.at,
    hours: hours + pair.hours,
  }).newestFirst;
  const candidates = found.newestFirst.map((reading): Candidate => {
    const pressure = numericValue(reading, { ...spec, precision: 2 }, units);
    if (!('value' in pressure)) return { ...reading, numeric: pressure };
    const breathed = inspired.find(({ at }) => at <= reading.at && at >= reading.at - pair.hours * HOUR_MS);
    if (breathed === undefined) {
      return { ...reading, numeric: { reason: `no inspired oxygen within ${pair.hours} h before`, next: 'older' } };
    }
    const fraction = fractionOf(breathed, vocabulary, units);
    if (!('value' in fraction)) return { ...reading, numeric: { ...fraction, next: 'older' } };
    const value = roundTo((pressure.value * 100) / fraction.value, spec.precision ?? 0);
    return { ...reading, numeric: { value }, note: `with ${roundTo(fraction.value, 0)} % inspired oxygen` };
  });
  return picked(candidates, spec, found.refused);
};

export const COMPUTED_KINDS = {
  'coma-score': comaScore,
  'mean-arterial-pressure': meanArterialPressure,
  'oxygen-ratio': oxygenRatio,
} as const satisfies Partial<Record<FeatureKind, Read>>;
