/** Text of search values: escapes, folding, references. Source: FHIR R4 search.html#escaping, #string, #reference. */

/** Longest text kept in a string index and compared with it; longer texts are equal when these characters are. */
export const TEXT_LIMIT = 200;

/** Parts of a value between unescaped separators (`,` `$` `|`); escapes stay as they are. */
export function splitUnescaped(value: string, separator: ',' | '$' | '|'): readonly string[] {
  if (!value.includes(separator)) return [value];
  const parts: string[] = [];
  let start = 0;
  for (let index = 0; index < value.length; index++) {
    if (value[index] === '\\') index++;
    else if (value[index] === separator) {
      parts.push(value.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(value.slice(start));
  return parts;
}

/** The text meant by `\,` `\$` `\|` and `\\`; any other backslash is itself. */
export function unescaped(value: string): string {
  return value.includes('\\') ? value.replace(/\\([,$|\\])/g, '$1') : value;
}

/** Without accents, and without case as Unicode folds it: the capitals of `Straße` are `STRASSE`, and there is one sigma. */
export function caseless(text: string): string {
  const plain = text.normalize('NFKD').replace(/\p{M}+/gu, '');
  return plain.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}

/**
 * Without case and accents; punctuation and symbols become spaces, white space is collapsed; at most TEXT_LIMIT characters.
 * `O'Brien-Müller` is `o brien muller`.
 */
export function folded(text: string): string {
  const plain = /^[A-Za-z0-9]+(?: [A-Za-z0-9]+)*$/.test(text)
    ? text.toLowerCase()
    : caseless(text.slice(0, TEXT_LIMIT * 4))
        .replace(/[\p{P}\p{S}\p{Z}\p{C}\s]+/gu, ' ')
        .trim();
  return plain.length > TEXT_LIMIT ? plain.slice(0, TEXT_LIMIT).toWellFormed().trimEnd() : plain;
}

/**
 * The folded text with punctuation inside words left out and not made a space: `O'Brien` is `obrien` too. Undefined when that is the same.
 * Source: search.html#string, punctuation is ignored.
 */
export function foldedJoined(text: string): string | undefined {
  if (!/[^\s\p{Z}\p{P}\p{S}][\p{P}\p{S}]+[^\s\p{Z}\p{P}\p{S}]/u.test(text.slice(0, TEXT_LIMIT * 4))) return undefined;
  const joined = folded(text.normalize('NFKD').replace(/[\p{P}\p{S}]+/gu, ''));
  return joined === folded(text) ? undefined : joined;
}

/** The text as written, at most TEXT_LIMIT characters. */
export function exact(text: string): string {
  return text.length > TEXT_LIMIT ? text.slice(0, TEXT_LIMIT).toWellFormed() : text;
}

const LOCAL = /^([A-Z][A-Za-z]{1,63}\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/;

/** `Patient/1` of a relative reference or one below our own base, without version; undefined when it points elsewhere. */
export function localReference(text: string, fhirBase: string): string | undefined {
  const relative = text.startsWith(fhirBase) && text[fhirBase.length] === '/' ? text.slice(fhirBase.length + 1) : text;
  return LOCAL.exec(relative)?.[1];
}

/** Url and version of a canonical `url|version`; version '' when there is none. */
export function canonicalParts(text: string): { readonly url: string; readonly version: string } {
  const bar = text.lastIndexOf('|');
  return bar === -1 ? { url: text, version: '' } : { url: text.slice(0, bar), version: text.slice(bar + 1) };
}
