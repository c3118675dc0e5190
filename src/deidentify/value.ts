/**
 * What becomes of a value, one function an action; undefined = it is removed. A text stays only where it is one of a closed list or has the form of
 * a code of a public system, so that no name can stand in its place. Source: 45 CFR 164.514(b)(2)(i)(A) to (R); docs/privacy.md.
 */
import type { Definitions, ElementDefinition } from '../fhir/definitions/definitions.ts';
import { convertUnit, isUnit, UCUM } from '../fhir/quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf } from '../fhir/resource.ts';
import { localReference } from '../fhir/search/value.ts';
import type { Pseudonyms } from './pseudonyms.ts';
import type { Action, DeidentificationRules } from './rules.ts';

/** Where a value stands. */
export interface Place {
  readonly element: ElementDefinition;
  /** Its data type. */
  readonly type: string;
  /** SimpleQuantity: no comparator. */
  readonly isSimple: boolean;
  /** A value of something that is coded as an age in years. */
  readonly isAge: boolean;
  /** Of an address in the USA, where the first digits of a ZIP code tell no small area. */
  readonly isUsa: boolean;
  /** The one patient it is about, by whom dates are moved; undefined: none, or several. */
  readonly patient: string | undefined;
}
export interface ValueSettings {
  readonly rules: DeidentificationRules;
  readonly definitions: Definitions;
  readonly fhirBase: string;
  readonly pseudonyms: Pseudonyms;
  /** The year that ages are counted to. */
  readonly year: number;
}
export type ValueAction = Exclude<Action, 'walk' | 'remove' | 'mask'>;
type ValueRule = (value: Json, place: Place) => Json | undefined;

const TIME = /^\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?$/;
const DATE = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2}))?)?)?$/;
const ZIP = /^\d{5}(?:-\d{4})?$/;
/** Annotations of UCUM mean nothing, and may say anything. */
const ANNOTATION = /\{[^{}]*\}/g;
const COMPARATORS: ReadonlySet<Json | undefined> = new Set<Json | undefined>(['<', '<=', '>=', '>']);
const DAY_MS = 86_400_000;

export function valueRules(settings: ValueSettings): Readonly<Record<ValueAction, ValueRule>> {
  const { rules, fhirBase, pseudonyms, year } = settings;
  const isCode = codeTest(settings);
  const [zips, states, countries] = [rules.restrictedZips, rules.states, rules.countries].map((list) => new Set(list));
  const exported = new Set(rules.resources);
  const eldest = rules.oldest + 1;
  /** A year that is longer ago than the oldest age tells an age: it goes. */
  const dateOf = (value: Json): RegExpExecArray | undefined => {
    const date = typeof value === 'string' ? DATE.exec(value) : null;
    return date !== null && year - Number(date[1]) < eldest ? date : undefined;
  };
  const yearOf: ValueRule = (value) => dateOf(value)?.[1];
  const coding: ValueRule = (value) => {
    if (!isJsonObject(value)) return undefined;
    const { system, code } = value;
    return typeof system === 'string' && typeof code === 'string' && isCode(system, code)
      ? { system, code }
      : undefined;
  };
  return {
    keep: (value, { isAge }) => {
      if (typeof value === 'boolean') return value;
      if (!isNumber(value)) return undefined;
      return isAge && numberOf(value) >= eldest ? eldest : value;
    },
    time: (value) => (typeof value === 'string' && TIME.test(value) ? value : undefined),
    code: (value, { element }) =>
      typeof value === 'string' && element.requiredCodes?.has(value) === true ? value : undefined,
    coding,
    quantity: (value, place) => (isJsonObject(value) ? quantityOf(value, place, eldest, isCode) : undefined),
    rekey: (value) => {
      const reference = isJsonObject(value) && typeof value.reference === 'string' ? value.reference : '';
      const [type = '', id = ''] = localReference(reference, fhirBase)?.split('/') ?? [];
      return exported.has(type) ? { reference: `${type}/${pseudonyms.id(type, id)}` } : undefined;
    },
    year: yearOf,
    shift: (value, place) => {
      const date = dateOf(value);
      if (date === undefined) return undefined;
      if (place.patient === undefined) return place.type === 'instant' ? undefined : date[1];
      return moved(date, pseudonyms.days(place.patient));
    },
    state: (value) => (typeof value === 'string' && states?.has(value) ? value : undefined),
    zip3: (value, { isUsa }) => {
      const digits = isUsa && typeof value === 'string' && ZIP.test(value) ? value.slice(0, 3) : undefined;
      return digits !== undefined && zips?.has(digits) ? '000' : digits;
    },
    country: (value) => (typeof value === 'string' && countries?.has(value) ? value : undefined),
  };
}

/** To the precision it was written in; time of day and zone stay. */
function moved([text, year = '', month = '01', day = '01', time = '']: RegExpExecArray, days: number): string {
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day)) - days * DAY_MS;
  return new Date(at).toISOString().slice(0, Math.min(text.length, 10)) + time;
}

type CodeTest = (system: string, code: string) => boolean;

/** A quantity of a unit that is known. Ages over the oldest, in whatever unit of time, are one class. */
function quantityOf(value: JsonObject, { isAge, isSimple }: Place, eldest: number, isCode: CodeTest) {
  const unit = unitOf(value, isCode);
  if (unit === undefined || value.value === undefined || !isNumber(value.value)) return undefined;
  const number = numberOf(value.value);
  const years = unit.unit === undefined ? (isAge ? number : undefined) : convertUnit(number, unit.unit, 'a');
  if (years !== undefined && years >= eldest) {
    const age = unit.unit === undefined ? {} : { unit: 'a', system: UCUM, code: 'a' };
    return { value: eldest, ...(isSimple ? {} : { comparator: '>=' }), ...age };
  }
  const comparator = COMPARATORS.has(value.comparator) && !isSimple ? { comparator: value.comparator } : {};
  return { value: value.value, ...comparator, ...unit };
}

interface Unit extends JsonObject {
  readonly unit?: string;
  readonly system?: string;
  readonly code?: string;
}

/** {} where there was no unit; undefined where it is not one that is known: a number without its unit would be another. */
function unitOf({ unit, system, code }: JsonObject, isCode: CodeTest): Unit | undefined {
  if (typeof system === 'string' && typeof code === 'string') {
    if (system !== UCUM) return isCode(system, code) ? { unit: code, system, code } : undefined;
    const bare = code.replace(ANNOTATION, '') || '1';
    return isUnit(bare) ? { unit: bare, system, code: bare } : undefined;
  }
  if (typeof unit === 'string') return isUnit(unit) ? { unit } : undefined;
  return {};
}

/** Whether a code can be one of its system: by the form of its codes, or because it is published with R4. */
function codeTest({ rules, definitions }: ValueSettings): CodeTest {
  const forms = new Map(Object.entries(rules.systems).map(([system, form]) => [system, new RegExp(form)]));
  const published = new Map<string, ReadonlySet<string>>();
  return (system, code) => {
    if (system === UCUM) return isUnit(code);
    const form = forms.get(system);
    if (form !== undefined) return form.test(code);
    if (!rules.published.some((prefix) => system.startsWith(prefix))) return false;
    const codes = published.get(system) ?? new Set(codesIn(definitions.published('CodeSystem', system)?.concept));
    published.set(system, codes);
    return codes.has(code);
  };
}

const codesIn = (concepts: Json | undefined): readonly string[] =>
  (Array.isArray(concepts) ? concepts.filter(isJsonObject) : []).flatMap(({ code, concept }) => [
    ...(typeof code === 'string' ? [code] : []),
    ...codesIn(concept),
  ]);
