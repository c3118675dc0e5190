/** Request headers that shape an interaction: entity tags, dates, Prefer. Source: http.html#concurrency, #cread, #ops; RFC 9110 §13, RFC 7240. */
import { fhirError } from '../../fhir/outcome.ts';
import type { NamedVersions, Preconditions, Representation, WireRequest } from '../request.ts';

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

/** What If-Match and If-None-Match name alike: RFC 9110 §13.1.1, §13.1.2. */
function versionsIn(name: string, header: string | undefined): NamedVersions {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  const versions = header.split(',').map((tag) => versionOfTag(tag.trim()));
  const known = versions.filter((version) => version !== undefined);
  if (known.length < versions.length) {
    throw fhirError('invalid', `${name} must hold \`*\` or versions, such as \`W/"3"\`.`);
  }
  return known.length === 1 ? known[0] : known;
}

/** Whether If-Match or If-None-Match names a version that is there. */
export function namesVersion(given: NamedVersions, version: number): boolean {
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
    ifMatch: versionsIn('If-Match', headers['if-match']),
    ifNoneMatch: versionsIn('If-None-Match', headers['if-none-match']),
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
 * Preferences this server knows; others are ignored, as RFC 7240 §2 asks. Names have no case, and of one that is given twice the first
 * counts, without an error. Without preference handling is strict.
 */
export function preferOf(header: string | undefined): Prefer {
  if (header === undefined) return NO_PREFERENCE;
  const parts = header.split(/[,;]/).map((part) => part.split('=', 2).map((each) => each.trim()));
  const choice = <T extends string | undefined>(name: string, known: readonly T[]): T | undefined => {
    const given = parts.find(([each]) => each?.toLowerCase() === name)?.[1]?.replace(/^"(.*)"$/, '$1');
    return known.find((value) => value !== undefined && value === given);
  };
  return { return: choice('return', RETURNS), handling: choice('handling', HANDLINGS) ?? 'strict' };
}
