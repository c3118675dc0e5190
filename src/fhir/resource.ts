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
const COLON = /[ \t\n\r]*:/y;
/** Names that would reach the prototype of what they are put into. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/** Position of the quote that ends the string whose text starts at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let index = start;
  while (index < text.length && text.charCodeAt(index) !== 0x22) index += text.charCodeAt(index) === 0x5c ? 2 : 1;
  return index;
}

function isBeforeColon(text: string, at: number): boolean {
  if (text.charCodeAt(at) === 0x3a) return true;
  COLON.lastIndex = at;
  return COLON.test(text);
}

/** The property name whose quoted text is given; malformed escapes are left to the parser. */
function nameOf(quoted: string): string {
  if (!quoted.includes('\\')) return quoted;
  try {
    return String(JSON.parse(`"${quoted}"`));
  } catch {
    return quoted;
  }
}

/** Refuses a name that pollutes prototypes, and one that stands twice in its object: the parser would silently keep the last. */
function take(name: string, names: Names): void {
  if (FORBIDDEN.has(name)) {
    throw fhirError(
      'structure',
      'JSON holds a property name that is not allowed (`__proto__`, `constructor` or `prototype`).',
    );
  }
  if (names.many?.has(name) ?? names.few.includes(name)) {
    throw fhirError('structure', 'JSON holds an object with the same property name twice.');
  }
  if (names.many !== undefined) names.many.add(name);
  else if (names.few.push(name) > FEW) names.many = new Set(names.few);
}

/** Names of one object: most have few, which a list finds sooner than a set is made. */
interface Names {
  readonly few: string[];
  many: Set<string> | undefined;
}
const FEW = 12;

/**
 * One pass without recursion over text that may be malformed.
 * @returns whether a number stands in it that JavaScript would print differently (1.00, 1e3, -0, 20 digits); dates and ids in strings do not count
 * @throws FhirError `too-long` when arrays and objects are nested too deeply; `structure` on names that are forbidden or stand twice
 */
function scan(text: string, limit: number): boolean {
  /** The names seen so far of each open object; undefined for an array. */
  const open: (Names | undefined)[] = [];
  let odd = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) {
      const end = endOfString(text, index + 1);
      const names = open[open.length - 1];
      if (names !== undefined && isBeforeColon(text, end + 1)) take(nameOf(text.slice(index + 1, end)), names);
      index = end;
    } else if (code === 0x7b || code === 0x5b) {
      if (open.push(code === 0x7b ? { few: [], many: undefined } : undefined) > limit) {
        throw fhirError('too-long', `JSON is nested deeper than ${limit} levels.`);
      }
    } else if (code === 0x7d || code === 0x5d) open.pop();
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
 * @throws FhirError `structure` (400) on malformed JSON, on names `__proto__`, `constructor`, `prototype`, on a name that stands twice in one object (json.html: names are unique), and on NUL in a string; `too-long` over the depth limit.
 */
export function parseJson(text: string, depth: number = JSON_LIMITS.depth): Json {
  const odd = scan(text, depth);
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

/** Parses text that this server has written: nothing is checked again, and numbers are doubles without their lexemes. Never for what is stored. */
export function parseOwnJson(text: string): Json {
  return JSON.parse(text) as Json;
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
