/** What a case can be read from: search parameters, dates and the states that are no case. Source: FHIR R4 condition.html, observation.html, diagnosticreport.html. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../fhir/resource.ts';
import type { CodeSet, SourceSpec, SourceType } from './definition.ts';
import { type Day, plusDays } from './site-day.ts';

interface Dated {
  /** Search parameter that finds it. */
  readonly parameter: string;
  /** The text it is dated by. */
  of(resource: Resource): string | undefined;
}
interface Row {
  readonly value: string | undefined;
  /** The first that a resource has, dates it. */
  readonly dates: readonly Dated[];
  isCase(resource: Resource): boolean;
}

const text = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);
const startIn = (value: Json | undefined): string | undefined => (isJsonObject(value) ? text(value.start) : undefined);
const effective = (resource: Resource): string | undefined =>
  text(resource.effectiveDateTime) ?? startIn(resource.effectivePeriod) ?? text(resource.effectiveInstant);
/** Not done, or withdrawn. */
const NO_RESULT: ReadonlySet<Json | undefined> = new Set(['entered-in-error', 'cancelled', 'registered']);
const NO_CONDITION: ReadonlySet<Json | undefined> = new Set(['entered-in-error', 'refuted']);

/** THE table. */
const ROWS = {
  Condition: {
    value: undefined,
    dates: [
      { parameter: 'recorded-date', of: ({ recordedDate }) => text(recordedDate) },
      { parameter: 'onset-date', of: ({ onsetDateTime, onsetPeriod }) => text(onsetDateTime) ?? startIn(onsetPeriod) },
    ],
    isCase: ({ verificationStatus }) => !codesIn(verificationStatus).some((code) => NO_CONDITION.has(code)),
  },
  Observation: {
    value: 'value-concept',
    dates: [{ parameter: 'date', of: effective }],
    isCase: ({ status }) => !NO_RESULT.has(status),
  },
  DiagnosticReport: {
    value: 'conclusion',
    dates: [
      { parameter: 'date', of: effective },
      { parameter: 'issued', of: ({ issued }) => text(issued) },
    ],
    isCase: ({ status }) => !NO_RESULT.has(status),
  },
} as const satisfies Record<SourceType, Row>;

export const SOURCE_TYPES: ReadonlySet<string> = new Set(Object.keys(ROWS));

const rowOf = (type: SourceType): Row => ROWS[type];

/** Codes of a CodeableConcept, whatever their systems. */
export function codesIn(concept: Json | undefined): readonly (Json | undefined)[] {
  const coding = isJsonObject(concept) ? concept.coding : undefined;
  return (Array.isArray(coding) ? coding : []).map((each) => (isJsonObject(each) ? each.code : undefined));
}

/** Whether it stands for a case by its state; its codes are the search's to judge. */
export function isCase(type: SourceType, resource: Resource): boolean {
  return rowOf(type).isCase(resource);
}

/** The date, dateTime or instant it is dated by. */
export function dateOf(type: SourceType, resource: Resource): string | undefined {
  return rowOf(type)
    .dates.map((each) => each.of(resource))
    .find((each) => each !== undefined);
}

/** Of a source, the query of its codes alone. */
export function codeQuery({ type, code, value }: SourceSpec): string {
  const parameter = rowOf(type).value;
  const parts = [setQuery('code', code), parameter === undefined ? undefined : setQuery(parameter, value)];
  return parts.filter((part) => part !== undefined).join('&');
}

function setQuery(parameter: string, set: CodeSet | undefined): string | undefined {
  if (set?.valueSet !== undefined) return `${parameter}:in=${encodeURIComponent(set.valueSet)}`;
  if (set?.codes === undefined) return undefined;
  const tokens = Object.entries(set.codes).flatMap(([system, codes]) => codes.map((code) => `${system}|${code}`));
  return `${parameter}=${tokens.map(encodeURIComponent).join(',')}`;
}

/** One query for each date a resource can have; together they find what is dated from one day to another, and some of the days around. */
export function dateQueries(type: SourceType, from: Day, to: Day): readonly string[] {
  const range = (parameter: string) => `${parameter}=ge${plusDays(from, -1)}&${parameter}=le${plusDays(to, 1)}`;
  return rowOf(type).dates.map(({ parameter }) => range(parameter));
}

/** One query for each date, of exactly the instants [low, high) as texts. */
export function instantQueries(type: SourceType, low: string, high: string): readonly string[] {
  return rowOf(type).dates.map(({ parameter }) => `${parameter}=ge${low}&${parameter}=lt${high}`);
}

/** `Type/id` of a reference as it is written; undefined without one. */
export function referenceIn(value: Json | undefined): string | undefined {
  const { reference } = isJsonObject(value) ? (value as JsonObject) : {};
  return text(reference);
}
