/** Formats of the primitive types. Source: FHIR R4 datatypes.html#primitive. All checks are linear in the length of the value. */
import { ID_PATTERN, isNumber, type Json, lexemeOf, numberOf } from '../resource.ts';

/** What is wrong with a value of a primitive type; undefined = nothing. The text never holds the value. */
export type PrimitiveFault = (value: Json) => string | undefined;

/** Longest string, in characters: datatypes.html#string. */
const STRING_LIMIT = 1024 * 1024;
const INTEGER_LIMIT = 2 ** 31;

const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;
const MEANT = /[^\s\u0085]/;
const CODE = /^[^\s]+(?: [^\s]+)*$/;
const SPACE = /[\s\u0085]/;
const OID = /^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+$/;
const UUID = /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?$/;
const ZONE = /^(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))$/;
const INTEGER = /^(?:0|-?[1-9]\d*)$/;

/** Days of a month of the proleptic Gregorian calendar. */
function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

const digits = (text: string, from: number, to: number): number => {
  let value = 0;
  for (let index = from; index < to; index++) {
    const digit = text.charCodeAt(index) - 48;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
};

/** YYYY, YYYY-MM or YYYY-MM-DD that exists in the calendar; year 0000 does not. */
function isDate(text: string): boolean {
  const year = digits(text, 0, 4);
  if (!(year >= 1)) return false;
  if (text.length === 4) return true;
  const month = digits(text, 5, 7);
  if (text[4] !== '-' || !(month >= 1 && month <= 12)) return false;
  if (text.length === 7) return true;
  const day = digits(text, 8, 10);
  return text.length === 10 && text[7] === '-' && day >= 1 && day <= daysIn(year, month);
}

/** A whole day, `T`, a time with seconds, a time zone. */
function isInstant(text: string): boolean {
  if (text[10] !== 'T' || text.length > 64 || !isDate(text.slice(0, 10))) return false;
  const zoneAt = text.endsWith('Z') ? text.length - 1 : text.length - 6;
  return zoneAt > 18 && TIME.test(text.slice(11, zoneAt)) && ZONE.test(text.slice(zoneAt));
}

function textFault(value: string): string | undefined {
  if (value === '') return 'is empty';
  if (CONTROL.test(value)) return 'holds a control character';
  if (!MEANT.test(value)) return 'holds white space only';
  if (!value.isWellFormed()) return 'is not well-formed Unicode';
  return value.length > STRING_LIMIT ? 'is longer than 1048576 characters' : undefined;
}

const text =
  (fault: (value: string) => string | undefined): PrimitiveFault =>
  (value) =>
    typeof value === 'string' ? fault(value) : 'is not a JSON string';

const matching = (holds: (value: string) => boolean, what: string): PrimitiveFault =>
  text((value) => (holds(value) ? undefined : `is not ${what}`));

const uri: PrimitiveFault = text((value) => (SPACE.test(value) ? 'holds white space' : textFault(value)));

/** Integers are written without fraction and exponent. */
function integer(low: number, what: string): PrimitiveFault {
  return (value) => {
    if (!isNumber(value)) return 'is not a JSON number';
    const number = numberOf(value);
    const fits = number >= low && number < INTEGER_LIMIT && INTEGER.test(lexemeOf(value));
    return fits ? undefined : `is not ${what}`;
  };
}

function isBase64(value: string): boolean {
  const packed = SPACE.test(value) ? value.replace(/[\s\u0085]+/g, '') : value;
  return packed.length % 4 === 0 && BASE64.test(packed);
}

/** THE table: type -> check. `xhtml` is checked by narrative.ts. */
export const PRIMITIVES: ReadonlyMap<string, PrimitiveFault> = new Map(
  Object.entries({
    base64Binary: matching(isBase64, 'base64'),
    boolean: (value) => (typeof value === 'boolean' ? undefined : 'is not a JSON boolean'),
    canonical: uri,
    code: text(
      (value) => textFault(value) ?? (CODE.test(value) ? undefined : 'has white space other than single spaces inside'),
    ),
    date: matching(isDate, 'a date of the calendar as YYYY, YYYY-MM or YYYY-MM-DD'),
    dateTime: matching(
      (value) => (value.length <= 10 ? isDate(value) : isInstant(value)),
      'a date of the calendar, or one with time, seconds and time zone',
    ),
    decimal: (value) => (isNumber(value) && Number.isFinite(numberOf(value)) ? undefined : 'is not a JSON number'),
    id: matching((value) => ID_PATTERN.test(value), 'an id: 1 to 64 of A-Z, a-z, 0-9, `-` and `.`'),
    instant: matching(isInstant, 'an instant: date, time with seconds, time zone'),
    integer: integer(-INTEGER_LIMIT, 'an integer of 32 bits'),
    markdown: text(textFault),
    oid: matching((value) => OID.test(value), 'an OID as `urn:oid:`'),
    positiveInt: integer(1, 'an integer from 1 to 2147483647'),
    string: text(textFault),
    time: matching((value) => TIME.test(value), 'a time as hh:mm:ss'),
    unsignedInt: integer(0, 'an integer from 0 to 2147483647'),
    uri,
    url: uri,
    uuid: matching((value) => UUID.test(value), 'a UUID as `urn:uuid:` in lower case'),
    xhtml: text((value) => (value === '' ? 'is empty' : undefined)),
  } satisfies Record<string, PrimitiveFault>),
);
