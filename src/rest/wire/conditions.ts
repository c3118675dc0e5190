/** Request headers that shape an interaction: entity tags, dates, Prefer. Source: http.html#concurrency, #cread, #ops; RFC 9110 §13, RFC 7240. */
import { fhirError } from '../../fhir/outcome.ts';
import type { Preconditions, Representation, WireRequest } from '../request.ts';

type Headers = WireRequest['headers'];

const ENTITY_TAG = /^(?:W\/)?"([^"\s]{1,64})"$/;
const VERSION = /^[1-9]\d{0,14}$/;
/** No resource has this version: a well-formed tag that this server never gave can't match. */
const NO_VERSION = 0;

function versionOfTag(tag: string): number | undefined {
  const name = ENTITY_TAG.exec(tag)?.[1];
  if (name === undefined) return undefined;
  return VERSION.test(name) ? Number(name) : NO_VERSION;
}

function ifMatch(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const version = versionOfTag(header.trim());
  if (version !== undefined) return version;
  throw fhirError('invalid', 'If-Match must hold one version, such as `W/"3"`.');
}

function ifNoneMatch(header: string | undefined): Preconditions['ifNoneMatch'] {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  const versions = header.split(',').map((tag) => versionOfTag(tag.trim()));
  const known = versions.filter((version) => version !== undefined);
  if (known.length < versions.length) {
    throw fhirError('invalid', 'If-None-Match must hold `*` or versions, such as `W/"3"`.');
  }
  return known.length === 1 ? known[0] : known;
}

/** Whether If-None-Match names a version that is there: RFC 9110 §13.1.2. */
export function namesVersion(given: Preconditions['ifNoneMatch'], version: number): boolean {
  return given === '*' || given === version || (Array.isArray(given) && given.includes(version));
}

/** An HTTP date as senders must write it, RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** RFC 9110 §13.1.3: a value that is not an HTTP date is ignored. */
function ifModifiedSince(header: string | undefined): number | undefined {
  const at = HTTP_DATE.test(header ?? '') ? Date.parse(header ?? '') : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** @throws FhirError `invalid` (400) on a malformed entity tag */
export function preconditionsOf(headers: Headers): Preconditions {
  return {
    ifMatch: ifMatch(headers['if-match']),
    ifNoneMatch: ifNoneMatch(headers['if-none-match']),
    ifModifiedSince: ifModifiedSince(headers['if-modified-since']),
  };
}

/** The criteria of a conditional create, without `?` and without the type in front. */
export function ifNoneExistOf(headers: Headers): string | undefined {
  const header = headers['if-none-exist'];
  if (header === undefined) return undefined;
  const criteria = header.trim().replace(/^(?:[A-Z][A-Za-z]*)?\?/, '');
  if (criteria === '') throw fhirError('invalid', 'If-None-Exist holds no search parameter.');
  return criteria;
}

type Prefer = Representation['prefer'];
const RETURNS: readonly Prefer['return'][] = ['minimal', 'representation', 'OperationOutcome'];
const HANDLINGS: readonly Prefer['handling'][] = ['strict', 'lenient'];
const NO_PREFERENCE: Prefer = { return: undefined, handling: 'strict' };

/**
 * Preferences this server knows; others are ignored, as RFC 7240 §2 asks. Without preference handling is strict.
 * @throws FhirError `invalid` (400) when one is given twice with different values
 */
export function preferOf(header: string | undefined): Prefer {
  if (header === undefined) return NO_PREFERENCE;
  const parts = header.split(/[,;]/).map((part) => part.trim());
  const choice = <T extends string | undefined>(name: string, known: readonly T[]): T | undefined => {
    const given = parts.filter((part) => part.startsWith(`${name}=`)).map((part) => part.slice(name.length + 1));
    const values = new Set(given.map((value) => value.trim().replace(/^"(.*)"$/, '$1')));
    if (values.size > 1) throw fhirError('invalid', `Prefer gives \`${name}\` more than one value.`);
    return known.find((value) => value !== undefined && values.has(value));
  };
  return { return: choice('return', RETURNS), handling: choice('handling', HANDLINGS) ?? 'strict' };
}
