/** Resource and JSON shapes, and the lossless JSON codec. Source: FHIR R4 json.html; decimals keep their lexeme (datatypes.html#decimal). */
import { fhirError } from './outcome.ts';

/** A number whose text is not what `String(Number(text))` gives (1.00, 1e3, 20 digits): kept as `JSON.rawJSON`. */
export interface RawNumber {
  readonly rawJSON: string;
}
export type Json = string | number | boolean | null | RawNumber | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [element: string]: Json | undefined;
}
/** Any R4 resource. Elements are read through `Json` narrowing; no code names a type outside tables. */
export interface Resource extends JsonObject {
  readonly resourceType: string;
  readonly id?: string;
}
/** Names one resource: `Patient/123`. */
export interface ResourceKey {
  readonly type: string;
  readonly id: string;
}

interface LosslessJson {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(source: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
}
const lossless = JSON as unknown as LosslessJson;

/** FHIR id grammar, datatypes.html#id. */
export const ID_PATTERN = /^[A-Za-z0-9\-.]{1,64}$/;

/** Limits on JSON before it is believed; see docs/threat-model.md. */
export const JSON_LIMITS = { depth: 64, numberLength: 40 } as const;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !lossless.isRawJSON(value);

/** True for a JSON object (not an array, null or number). */
export function isJsonObject(value: unknown): value is JsonObject {
  return isObject(value);
}

/** True for a JSON number in either form. */
export function isNumber(value: unknown): value is number | RawNumber {
  return typeof value === 'number' || lossless.isRawJSON(value);
}

/** The double nearest to a JSON number. */
export function numberOf(value: number | RawNumber): number {
  return typeof value === 'number' ? value : Number(value.rawJSON);
}

/** The number as it was written. */
export function lexemeOf(value: number | RawNumber): string {
  return typeof value === 'number' ? String(value) : value.rawJSON;
}

const PART_OF_NUMBER = /[\d.eE+-]*/y;

/**
 * One pass without recursion over text that may be malformed.
 * @returns whether a number stands in it that JavaScript would print differently (1.00, 1e3, -0, 20 digits); dates and ids in strings do not count
 * @throws FhirError `too-long` when arrays and objects are nested too deeply
 */
function scan(text: string, limit: number): boolean {
  let depth = 0;
  let odd = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) {
      index++;
      while (index < text.length && text.charCodeAt(index) !== 0x22) index += text.charCodeAt(index) === 0x5c ? 2 : 1;
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > limit) throw fhirError('too-long', `JSON is nested deeper than ${limit} levels.`);
    } else if (code === 0x7d || code === 0x5d) depth--;
    else if (!odd && (code === 0x2d || (code >= 0x30 && code <= 0x39))) {
      PART_OF_NUMBER.lastIndex = index;
      const lexeme = PART_OF_NUMBER.exec(text)?.[0] ?? '';
      odd = String(Number(lexeme)) !== lexeme;
      index += lexeme.length - 1;
    }
  }
  return odd;
}

/** Not after an escaped backslash. */
const ESCAPED_NUL = /(?<!\\)(?:\\\\)*\\u0000/;

/**
 * Parses JSON text; numbers keep their lexeme.
 * @param depth most levels of nesting; more than the default only for text of our own
 * @throws FhirError `structure` (400) on malformed JSON, on keys `__proto__`, `constructor`, `prototype`, and on NUL in a string; `too-long` over the depth limit.
 */
export function parseJson(text: string, depth: number = JSON_LIMITS.depth): Json {
  const odd = scan(text, depth);
  if (/"(?:__proto__|constructor|prototype)"\s*:/.test(text)) {
    throw fhirError(
      'structure',
      'JSON holds a property name that is not allowed (`__proto__`, `constructor` or `prototype`).',
    );
  }
  if ((text.includes('\\u0000') && ESCAPED_NUL.test(text)) || text.includes('\u0000')) {
    throw fhirError('structure', 'JSON holds a NUL character.');
  }
  try {
    if (!odd) return JSON.parse(text) as Json;
    return lossless.parse(text, (_key, value, { source }) =>
      typeof value === 'number' && source !== undefined && String(value) !== source ? rawNumber(source) : value,
    ) as Json;
  } catch (cause) {
    if (cause instanceof SyntaxError) throw fhirError('structure', 'The body is not well-formed JSON.', { cause });
    throw cause;
  }
}

function rawNumber(source: string): RawNumber {
  if (source.length > JSON_LIMITS.numberLength || Math.abs(Number(source)) === Number.POSITIVE_INFINITY) {
    throw fhirError('value', `A number is longer than ${JSON_LIMITS.numberLength} characters or out of range.`);
  }
  return lossless.rawJSON(source);
}

/** JSON text of a value; raw numbers come out as they came in. */
export function serialize(value: Json): string {
  return JSON.stringify(value);
}

/** `Patient/123`. */
export function label(key: ResourceKey): string {
  return `${key.type}/${key.id}`;
}
