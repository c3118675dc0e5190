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

/**
 * The names of the objects that are open at one place of a text, as places in it: a body has thousands, and none needs a text of its own.
 * Refuses a name that pollutes prototypes, and one that stands twice in its object: the parser would silently keep the last.
 */
class OpenNames {
  readonly #text: string;
  /** Start and end of each name, the innermost object's last. */
  readonly #places: number[] = [];
  /** Of each open object and array: where its names begin in `#places`; an array has none. */
  readonly #begins: number[] = [];
  /** Of objects with many names, or with one that is written in escapes. */
  readonly #sets = new Map<number, Set<string>>();
  #end = 0;
  depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  open(isObject: boolean): void {
    this.#begins[this.depth++] = isObject ? this.#end : ARRAY;
  }

  close(): void {
    if (this.depth === 0) return;
    this.depth--;
    const begin = this.#begins[this.depth] ?? ARRAY;
    if (begin === ARRAY) return;
    this.#end = begin;
    if (this.#sets.size > 0) this.#sets.delete(this.depth);
  }

  get isInObject(): boolean {
    return this.depth > 0 && this.#begins[this.depth - 1] !== ARRAY;
  }

  take(start: number, end: number, isEscaped: boolean): void {
    const level = this.depth - 1;
    const begin = this.#begins[level] ?? 0;
    const isMany = this.#end - begin >= 2 * FEW || (this.#sets.size > 0 && this.#sets.has(level));
    if (isMany || isEscaped) {
      this.#takeText(level, start, end);
      return;
    }
    const length = end - start;
    if ((length === 9 || length === 11) && FORBIDDEN.has(this.#text.slice(start, end))) throw forbiddenName();
    const text = this.#text;
    for (let at = begin; at < this.#end; at += 2) {
      const other = this.#places[at] ?? 0;
      if ((this.#places[at + 1] ?? 0) - other !== length) continue;
      let same = 0;
      while (same < length && text.charCodeAt(other + same) === text.charCodeAt(start + same)) same++;
      if (same === length) throw twice();
    }
    this.#places[this.#end++] = start;
    this.#places[this.#end++] = end;
  }

  #takeText(level: number, start: number, end: number): void {
    const name = nameOf(this.#text.slice(start, end));
    if (FORBIDDEN.has(name)) throw forbiddenName();
    const names = this.#sets.get(level) ?? new Set(this.#textsOf(level));
    if (names.has(name)) throw twice();
    this.#sets.set(level, names.add(name));
  }

  *#textsOf(level: number): Generator<string> {
    for (let at = this.#begins[level] ?? 0; at < this.#end; at += 2)
      yield this.#text.slice(this.#places[at], this.#places[at + 1]);
  }
}
/** Most have few names, which are found sooner one by one than in a set that is made. */
const FEW = 24;
const ARRAY = -1;

const forbiddenName = () =>
  fhirError('structure', 'JSON holds a property name that is not allowed (`__proto__`, `constructor` or `prototype`).');
const twice = () => fhirError('structure', 'JSON holds an object with the same property name twice.');

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** Position after a number that is surely printed as it stands (12, 36.6); undefined for any that must be tried. */
function endOfPlainNumber(text: string, start: number): number | undefined {
  let at = start;
  while (isDigit(text.charCodeAt(at))) at++;
  if (at === start || (text.charCodeAt(start) === 0x30 && at > start + 1)) return undefined;
  if (text.charCodeAt(at) === 0x2e) {
    const point = at++;
    while (isDigit(text.charCodeAt(at))) at++;
    // Of 0.0000001 the exponent is printed, of 1.50 one digit less.
    if (at === point + 1 || at > point + 7 || text.charCodeAt(at - 1) === 0x30) return undefined;
  }
  const after = text.charCodeAt(at);
  const isWhole = after === 0x2c || after === 0x7d || after === 0x5d;
  return isWhole && at - start <= 15 ? at : undefined;
}

/**
 * One pass without recursion over text that may be malformed.
 * @returns whether a number stands in it that JavaScript would print differently (1.00, 1e3, -0, 20 digits); dates and ids in strings do not count
 * @throws FhirError `too-long` when arrays and objects are nested too deeply; `structure` on names that are forbidden or stand twice
 */
function scan(text: string, limit: number): boolean {
  const names = new OpenNames(text);
  let odd = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x22) {
      const start = index + 1;
      let isEscaped = false;
      for (index = start; index < text.length; index++) {
        const inside = text.charCodeAt(index);
        if (inside === 0x22) break;
        if (inside !== 0x5c) continue;
        isEscaped = true;
        index++;
      }
      if (names.isInObject && isBeforeColon(text, index + 1)) names.take(start, index, isEscaped);
    } else if (code === 0x7b || code === 0x5b) {
      names.open(code === 0x7b);
      if (names.depth > limit) throw fhirError('too-long', `JSON is nested deeper than ${limit} levels.`);
    } else if (code === 0x7d || code === 0x5d) names.close();
    else if (!odd && (code === 0x2d || (code >= 0x30 && code <= 0x39))) {
      const end = endOfPlainNumber(text, index);
      PART_OF_NUMBER.lastIndex = index;
      const lexeme = end === undefined ? (PART_OF_NUMBER.exec(text)?.[0] ?? '') : undefined;
      odd = lexeme !== undefined && String(Number(lexeme)) !== lexeme;
      index = (end ?? index + (lexeme?.length ?? 0)) - 1;
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
