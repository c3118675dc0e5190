/** application/x-www-form-urlencoded text -> decoded pairs. Source: url.spec.whatwg.org#urlencoded-parsing, but a malformed escape is refused. */
import { fhirError } from '../outcome.ts';

/**
 * Name and value of every pair in order; empty pairs are passed over, a pair without `=` has the value ''.
 * @throws FhirError `value` on a malformed percent escape or a NUL; `too-costly` on more than `limit` pairs
 */
export function decodedPairs(query: string, limit: number): readonly (readonly [name: string, value: string])[] {
  const parts = query.split('&').filter((part) => part !== '');
  if (parts.length > limit) throw fhirError('too-costly', `More than ${limit} parameters in one search.`);
  return parts.map((part) => {
    const equals = part.indexOf('=');
    return equals === -1 ? [decoded(part), ''] : [decoded(part.slice(0, equals)), decoded(part.slice(equals + 1))];
  });
}

const MALFORMED = /%(?![0-9A-Fa-f]{2})/;

function decoded(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  const plain = spaced.includes('%') ? percentDecoded(spaced) : spaced;
  if (plain.includes('\u0000')) throw fhirError('value', 'A search parameter holds a NUL character.');
  return plain.isWellFormed() ? plain : plain.toWellFormed();
}

function percentDecoded(text: string): string {
  if (MALFORMED.test(text)) throw fhirError('value', 'A search parameter has a malformed percent escape.');
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw fhirError('value', 'A search parameter has a percent escape that is not UTF-8.', { cause });
  }
}

/** A name from outside, fit for a message: itself when it looks like a parameter name, else what it is. */
export function shownName(name: string): string {
  return /^[A-Za-z_][\w:.-]{0,63}$/.test(name) ? name : 'unreadable name';
}
