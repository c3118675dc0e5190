/** Query strings as pairs. Source: RFC 3986, WHATWG form encoding (`+` is a space, as browsers and form bodies write it). */
import { fhirError } from '../../fhir/outcome.ts';

export type Pair = readonly [name: string, value: string];

const decode = (text: string): string => decodeURIComponent(text.includes('+') ? text.replaceAll('+', ' ') : text);

/**
 * Decoded names and values in order; empty parts (`&&`) are skipped.
 * @throws FhirError `invalid` on a malformed percent sequence
 */
export function pairsOf(query: string): readonly Pair[] {
  if (query === '') return [];
  try {
    return query
      .split('&')
      .filter((part) => part !== '')
      .map((part) => {
        const at = part.indexOf('=');
        return at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
      });
  } catch (cause) {
    throw fhirError('invalid', 'The query string holds a malformed percent sequence.', { cause });
  }
}

/** The query without the parameters of these names; what stays is byte for byte as it came. */
export function without(query: string, names: ReadonlySet<string>): string {
  if (query === '') return '';
  return query
    .split('&')
    .filter((part) => part !== '' && !names.has(nameOf(part)))
    .join('&');
}

function nameOf(part: string): string {
  const at = part.indexOf('=');
  return pairsOf(at < 0 ? part : part.slice(0, at))[0]?.[0] ?? '';
}

/**
 * The one value of a parameter that must not repeat; undefined when absent.
 * @throws FhirError `invalid` when it is given twice or empty
 */
export function single(pairs: readonly Pair[], name: string): string | undefined {
  const found = pairs.filter(([given]) => given === name);
  if (found.length > 1) throw fhirError('invalid', `The parameter \`${name}\` is given more than once.`);
  const value = found[0]?.[1];
  if (value === '') throw fhirError('invalid', `The parameter \`${name}\` has no value.`);
  return value;
}

/** Refuses every parameter that is not in `valid`, naming the valid ones. */
export function onlyThese(pairs: readonly Pair[], valid: readonly string[]): void {
  const stranger = pairs.find(([name]) => !valid.includes(name));
  if (stranger === undefined) return;
  const list = valid.map((name) => `\`${name}\``).join(', ');
  throw fhirError('unsupported-parameter', `A query parameter is not supported by this interaction. Valid: ${list}.`);
}

/** Characters that are legal in a query component and make links easier to read when they stay. */
const READABLE: readonly [RegExp, string][] = [
  [/%3A/g, ':'],
  [/%2C/g, ','],
  [/%2F/g, '/'],
  [/%24/g, '$'],
];

const encode = (text: string): string =>
  READABLE.reduce((encoded, [escaped, plain]) => encoded.replace(escaped, plain), encodeURIComponent(text));

/** `name=value&name=value`, encoded so that `pairsOf` gives the same pairs again. */
export function queryOf(pairs: readonly Pair[]): string {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}
