/** Reads measurements out of Observations. Source: FHIR R4 observation.html; Observation.status and effective[x]; US Core vital signs. */
import { convertUnit, UCUM } from '../../fhir/quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf, type Resource } from '../../fhir/resource.ts';
import { intervalOf, periodInterval, timingInterval } from '../../fhir/time.ts';
import type { CodedTerm, FeatureSpec, UnitTable } from '../manifest.ts';

export const LOINC = 'http://loinc.org';
const HOUR_MS = 3_600_000;

/** Statuses whose value may be scored. A preliminary value may still change; the others are no results. */
const SCORED: ReadonlySet<Json | undefined> = new Set(['final', 'amended', 'corrected']);

/** One value of an Observation or of one of its components, not yet interpreted. */
export interface Reading {
  /** Element that holds value[x]: the Observation or the component. */
  readonly element: JsonObject;
  /** ms since 1970: earliest instant the effective time can mean. */
  readonly at: number;
  readonly issued: number;
  readonly version: string;
  /** `Observation/12`; undefined when the resource has no id. */
  readonly source: string | undefined;
}
export interface Readings {
  /** Newest first; ties by later `issued`, then by higher version. */
  readonly newestFirst: readonly Reading[];
  /** Why readings of these codes were left out, for the reason of a missing input. */
  readonly refused: readonly string[];
}

/** One input as read. */
export interface Feature {
  /** In the feature's unit; NaN when missing, never 0. */
  readonly value: number;
  /** What people read instead of the number: `V` for a level of consciousness. */
  readonly shown?: string;
  readonly at?: number | undefined;
  readonly source?: string | undefined;
  readonly note?: string;
  /** Why it is missing. */
  readonly reason?: string;
}

const asArray = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
const objects = (value: Json | undefined): readonly JsonObject[] => asArray(value).filter(isJsonObject);
export const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);

/** Codings of one CodeableConcept or of a list of them. */
export function codings(concept: Json | undefined): readonly CodedTerm[] {
  const concepts = isJsonObject(concept) ? [concept] : objects(concept);
  return concepts.flatMap((one) =>
    objects(one.coding).flatMap((coding) => {
      const system = textOf(coding.system);
      const code = textOf(coding.code);
      return system === undefined || code === undefined ? [] : [{ system, code }];
    }),
  );
}

/** Words of a CodeableConcept or a list of them: `text` and the displays. */
export function words(concept: Json | undefined): readonly string[] {
  const concepts = isJsonObject(concept) ? [concept] : objects(concept);
  return concepts.flatMap((one) =>
    [textOf(one.text), ...objects(one.coding).map((coding) => textOf(coding.display))].filter(
      (word) => word !== undefined,
    ),
  );
}

export const isOneOf = (terms: readonly CodedTerm[], wanted: readonly CodedTerm[]): boolean =>
  terms.some(({ system, code }) => wanted.some((one) => one.system === system && one.code === code));

/** `Observation/12`. */
export const sourceOf = (resource: Resource): string | undefined =>
  resource.id === undefined ? undefined : `${resource.resourceType}/${resource.id}`;

/**
 * The instant a measurement is judged by, ms since 1970: the earliest one its effective time can mean, so that a bare date is never taken
 * for something fresher than it is. A Period counts by its end (by its start while it has none), a Timing by its last event.
 */
export function effectiveAt(observation: JsonObject): number | undefined {
  const instant = textOf(observation.effectiveDateTime) ?? textOf(observation.effectiveInstant);
  if (instant !== undefined) return intervalOf(instant)?.low;
  const period = observation.effectivePeriod;
  if (isJsonObject(period)) {
    if (periodInterval(period) === undefined) return undefined;
    const end = textOf(period.end) ?? textOf(period.start);
    return end === undefined ? undefined : intervalOf(end)?.low;
  }
  const timing = observation.effectiveTiming;
  if (!isJsonObject(timing)) return undefined;
  const events = asArray(timing.event).map((event) => intervalOf(textOf(event) ?? '')?.low);
  const known = events.filter((event) => event !== undefined);
  return known.length > 0 ? Math.max(...known) : timingInterval(timing)?.low;
}

const byNumber = new Intl.Collator('en', { numeric: true });
const byNewest = (a: Reading, b: Reading): number =>
  b.at - a.at || b.issued - a.issued || byNumber.compare(b.version, a.version);

interface CodedElement {
  readonly element: JsonObject;
  readonly terms: readonly CodedTerm[];
}
/** Codes of an Observation and its components, read once: every feature of every model asks for them. Resources never change. */
const codedElements = new WeakMap<Resource, readonly CodedElement[]>();
function elementsOf(observation: Resource): readonly CodedElement[] {
  let known = codedElements.get(observation);
  if (known === undefined) {
    known = [observation, ...objects(observation.component)].map((element) => ({
      element,
      terms: codings(element.code),
    }));
    codedElements.set(observation, known);
  }
  return known;
}

const holdsValue = ({ element }: CodedElement): boolean => Object.keys(element).some((key) => key.startsWith('value'));

/**
 * Elements of an Observation that carry one of the codes: itself, or its components.
 * A panel may share its code with a component that holds the value: the element with the value counts.
 */
function elementsWith(observation: Resource, wanted: readonly CodedTerm[]): readonly JsonObject[] {
  const coded = elementsOf(observation).filter(({ terms }) => isOneOf(terms, wanted));
  const valued = coded.length > 1 ? coded.filter(holdsValue) : coded;
  return (valued.length > 0 ? valued : coded).map(({ element }) => element);
}

/** What every reading of one Observation shares. */
interface ReadingFacts {
  /** undefined: no usable effective time. */
  readonly at: number | undefined;
  readonly shared: Omit<Reading, 'element' | 'at'>;
}
const readingFacts = new WeakMap<Resource, ReadingFacts>();
function factsOf(observation: Resource): ReadingFacts {
  let known = readingFacts.get(observation);
  if (known === undefined) {
    const { meta, issued } = observation;
    known = {
      at: effectiveAt(observation),
      shared: {
        issued: intervalOf(textOf(issued) ?? '')?.low ?? Number.NEGATIVE_INFINITY,
        version: (isJsonObject(meta) ? textOf(meta.versionId) : undefined) ?? '',
        source: sourceOf(observation),
      },
    };
    readingFacts.set(observation, known);
  }
  return known;
}

/** Positions of Observations by the codes of their elements, whatever the system; made once: every feature of every model asks the same list. Lists never change. */
const codedLists = new WeakMap<readonly Resource[], ReadonlyMap<string, readonly number[]>>();
function positionsIn(resources: readonly Resource[]): ReadonlyMap<string, readonly number[]> {
  const known = codedLists.get(resources);
  if (known !== undefined) return known;
  const index = new Map<string, number[]>();
  for (const [position, resource] of resources.entries()) {
    if (resource.resourceType !== 'Observation') continue;
    for (const { terms } of elementsOf(resource)) {
      for (const { code } of terms) {
        const positions = index.get(code);
        if (positions === undefined) index.set(code, [position]);
        else if (positions.at(-1) !== position) positions.push(position);
      }
    }
  }
  codedLists.set(resources, index);
  return index;
}

/** Observations that may have one of the codes, in the order of the list. */
function codedWith(resources: readonly Resource[], wanted: readonly CodedTerm[]): readonly Resource[] {
  const index = positionsIn(resources);
  const lists = wanted.flatMap(({ code }) => {
    const positions = index.get(code);
    return positions === undefined ? [] : [positions];
  });
  const positions = lists.length > 1 ? [...new Set(lists.flat())].sort((a, b) => a - b) : (lists[0] ?? []);
  return positions.flatMap((position) => resources[position] ?? []);
}

/**
 * Readings with one of the codes, measured in (at - window, at].
 * Left out, with the reason: status other than final, amended, corrected; no usable effective time; measured after `at`.
 */
export function readings(
  resources: readonly Resource[],
  wanted: readonly CodedTerm[],
  window: { readonly at: number; readonly hours: number },
): Readings {
  const found: Reading[] = [];
  const refused: string[] = [];
  const refuse = (why: string) => {
    if (!refused.includes(why)) refused.push(why);
  };
  for (const resource of codedWith(resources, wanted)) {
    const elements = elementsWith(resource, wanted);
    if (elements.length === 0) continue;
    const { at, shared } = factsOf(resource);
    if (!SCORED.has(resource.status)) refuse(`status ${textOf(resource.status) ?? 'absent'} is not scored`);
    else if (at === undefined) refuse('no usable effective time');
    else if (at > window.at) refuse('measured after the instant judged at');
    else if (at > window.at - window.hours * HOUR_MS) {
      for (const element of elements) found.push({ element, at, ...shared });
    }
  }
  return { newestFirst: found.sort(byNewest), refused };
}

/**
 * A value in another unit, to 12 significant digits: by UCUM, or for a named analyte between mass and substance by the table.
 * @returns undefined when the units do not convert
 */
export function convertAnalyte(
  value: number,
  from: string,
  to: string,
  analyte: string | undefined,
  units: UnitTable,
): number | undefined {
  const direct = convertUnit(value, from, to);
  if (direct !== undefined || analyte === undefined) return direct;
  for (const row of units.analytes) {
    if (row.analyte !== analyte) continue;
    const source = convertUnit(value, from, row.from);
    const target = source === undefined ? undefined : convertUnit(source * row.factor, row.to, to);
    if (target !== undefined) return Number(target.toPrecision(12));
  }
  return undefined;
}

/** UCUM code of a Quantity. A unit text without system and code counts only when the alias table or UCUM itself knows it. */
export function unitOf(quantity: JsonObject, units: UnitTable): string | undefined {
  const system = textOf(quantity.system);
  const code = textOf(quantity.code);
  if (code !== undefined) return system === UCUM ? code : undefined;
  const unit = textOf(quantity.unit)?.trim();
  return unit === undefined || unit === '' || system !== undefined ? undefined : (units.aliases[unit] ?? unit);
}

/** Half up at the chart's last decimal; 38.05 becomes 38.1 although its double lies below. */
export function roundTo(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  return Math.floor(Number((value * scale).toPrecision(12)) + 0.5) / scale;
}

/**
 * A reading as a number in the feature's unit.
 * `older`: nothing was measured (no value, implausible value), an older reading may be used. `stop`: something was measured that cannot be
 * read (comparator, no unit, other unit), so an older reading must not hide it.
 */
export type Numeric = { readonly value: number } | { readonly reason: string; readonly next: 'older' | 'stop' };

/** Scores have no unit: `{score}` accepts valueInteger and Quantities of unit 1. */
const isCount = (unit: string): boolean => unit === '1' || /^\{[^{}]*\}$/.test(unit);

export function numericValue({ element }: Reading, spec: FeatureSpec, units: UnitTable): Numeric {
  const quantity = element.valueQuantity;
  const integer = element.valueInteger;
  let value: number | undefined;
  if (isNumber(integer) && isCount(spec.unit)) value = numberOf(integer);
  else if (isJsonObject(quantity) && isNumber(quantity.value)) {
    if (quantity.comparator !== undefined) return { reason: 'value has a comparator', next: 'stop' };
    const unit = unitOf(quantity, units);
    if (unit === undefined) return { reason: 'no UCUM unit', next: 'stop' };
    value = spec.sameUnits?.includes(unit)
      ? numberOf(quantity.value)
      : convertAnalyte(numberOf(quantity.value), unit, spec.unit, spec.analyte, units);
    if (value === undefined) return { reason: `unit not convertible to ${spec.unit}`, next: 'stop' };
  } else return { reason: 'no numeric value', next: 'older' };
  const [low, high] = spec.range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (!(value >= low && value <= high)) return { reason: 'implausible value', next: 'older' };
  return { value: spec.precision === undefined ? value : roundTo(value, spec.precision) };
}
