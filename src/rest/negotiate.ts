/** Content negotiation: JSON only. Source: http.html#mime-type, http.html#parameters (`_format`), RFC 9110 §12.5.1. */
import { fhirError } from '../fhir/outcome.ts';

/** Media types read and written; `application/json+fhir` is the DSTU2 spelling that old clients still send. */
const JSON_TYPES: ReadonlySet<string> = new Set([
  'application/fhir+json',
  'application/json',
  'text/json',
  'application/json+fhir',
]);
const FORMATS: ReadonlySet<string> = new Set([...JSON_TYPES, 'json']);
const FORM = 'application/x-www-form-urlencoded';
export const SERVED_TYPE = 'application/fhir+json; charset=utf-8';

interface MediaType {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

function mediaType(text: string): MediaType {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim());
  const parameters = rest.map((part): [string, string] => {
    const [name = '', value = ''] = part.split('=', 2);
    return [
      name.trim().toLowerCase(),
      value
        .trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase(),
    ];
  });
  return { type: type.toLowerCase(), parameters: new Map(parameters) };
}

/** fhirVersion is `4.0` in R4 (http.html#version-parameter). */
const isThisVersion = ({ parameters }: MediaType): boolean => (parameters.get('fhirversion') ?? '4.0') === '4.0';

function accepts(range: string): boolean {
  const media = mediaType(range);
  const quality = Number(media.parameters.get('q') ?? '1');
  if (!(quality > 0)) return false;
  const named = JSON_TYPES.has(media.type) || media.type === '*/*' || media.type === 'application/*';
  return named && isThisVersion(media);
}

/**
 * Refuses a client that wants something other than JSON. `_format` overrides Accept.
 * @throws FhirError `not-acceptable` (406)
 */
export function checkAcceptable(format: string | undefined, accept: string | undefined): void {
  if (format !== undefined) {
    const media = mediaType(format.replaceAll(' ', '+')); // `_format=application/fhir+json`: an unescaped plus decodes to a space
    if (FORMATS.has(media.type) && isThisVersion(media)) return;
    throw fhirError('not-acceptable', 'This server answers in JSON only: use `_format=json` or leave it out.');
  }
  if (accept === undefined || accept === '*/*' || JSON_TYPES.has(accept) || accept.trim() === '') return;
  if (accept.split(',').some((range) => accepts(range.trim()))) return;
  throw fhirError('not-acceptable', 'This server answers in JSON only: accept `application/fhir+json`.');
}

function isUtf8({ parameters }: MediaType): boolean {
  const charset = parameters.get('charset') ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}

/** @throws FhirError `unsupported-media-type` (415) unless the body is JSON in UTF-8 */
export function checkJsonBody(contentType: string | undefined): void {
  if (contentType !== undefined && JSON_TYPES.has(contentType)) return;
  const media = mediaType(contentType ?? '');
  if (JSON_TYPES.has(media.type) && isUtf8(media) && isThisVersion(media)) return;
  throw fhirError(
    'unsupported-media-type',
    'The body must be `application/fhir+json` (or `application/json`) in UTF-8, FHIR version 4.0.',
  );
}

/** @throws FhirError `unsupported-media-type` (415) unless the body is a form in UTF-8: search.html#searching by POST */
export function checkFormBody(contentType: string | undefined): void {
  const media = mediaType(contentType ?? '');
  if (media.type === FORM && isUtf8(media)) return;
  throw fhirError('unsupported-media-type', `A search by POST takes a body of \`${FORM}\` in UTF-8.`);
}
