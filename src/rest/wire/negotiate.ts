/** Content negotiation: JSON and XML. Source: http.html#mime-type, http.html#parameters (`_format`), RFC 9110 §12.5.1. */
import { fhirError } from '../../fhir/outcome.ts';

export type Format = 'json' | 'xml';

/** Media types read and written; `application/json+fhir` and `application/xml+fhir` are the DSTU2 spellings that old clients still send. */
const TYPES: ReadonlyMap<string, Format> = new Map<string, Format>([
  ['application/fhir+json', 'json'],
  ['application/json', 'json'],
  ['text/json', 'json'],
  ['application/json+fhir', 'json'],
  ['application/fhir+xml', 'xml'],
  ['application/xml', 'xml'],
  ['text/xml', 'xml'],
  ['application/xml+fhir', 'xml'],
]);
/** What `_format` may say besides media types. */
const NAMES: ReadonlyMap<string, Format> = new Map<string, Format>([
  ['json', 'json'],
  ['xml', 'xml'],
]);
const FORM = 'application/x-www-form-urlencoded';
/** The type of an answer, whichever spelling asked for it. */
export const SERVED_TYPES: Readonly<Record<Format, string>> = {
  json: 'application/fhir+json; charset=utf-8',
  xml: 'application/fhir+xml; charset=utf-8',
};

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

/** How much a client wants each format, and how exactly it said so: 0 nothing said, 1 any type, 2 `application/*`, 3 the type itself. */
interface Wish {
  quality: number;
  precision: number;
}

/** A range counts for a format where no more exact one does; of equally exact ones the best counts (RFC 9110 §12.5.1). */
function wish(into: Wish, quality: number, precision: number): void {
  if (precision < into.precision) return;
  into.quality = precision > into.precision ? quality : Math.max(quality, into.quality);
  into.precision = precision;
}

function wishes(accept: string): Readonly<Record<Format, Wish>> {
  const wanted = { json: { quality: 0, precision: 0 }, xml: { quality: 0, precision: 0 } };
  for (const range of accept.split(',')) {
    const media = mediaType(range);
    const quality = Number(media.parameters.get('q') ?? '1');
    const format = TYPES.get(media.type);
    if (Number.isNaN(quality) || !isThisVersion(media)) continue;
    if (format !== undefined) wish(wanted[format], quality, 3);
    else if (media.type === 'application/*' || media.type === 'text/*' || media.type === '*/*') {
      const precision = media.type === '*/*' ? 1 : 2;
      wish(wanted.json, quality, precision);
      wish(wanted.xml, quality, precision);
    }
  }
  return wanted;
}

/** Only what a request says of formats. */
export interface Said {
  /** `_format`, decoded. */
  readonly format: string | undefined;
  readonly accept: string | undefined;
  readonly contentType: string | undefined;
}

/**
 * The format of an answer. `_format` overrides Accept; a client that wants both alike, or says nothing, is answered in the format it sent, else
 * in JSON.
 * @throws FhirError `not-acceptable` (406) when the client wants neither
 */
export function answerFormat({ format, accept, contentType }: Said): Format {
  if (format !== undefined) {
    const media = mediaType(format.replaceAll(' ', '+')); // `_format=application/fhir+json`: an unescaped plus decodes to a space
    const named = TYPES.get(media.type) ?? NAMES.get(media.type);
    if (named !== undefined && isThisVersion(media)) return named;
    throw fhirError('not-acceptable', 'This server answers in JSON or XML: use `_format=json` or `_format=xml`.');
  }
  const exact = accept === undefined ? undefined : TYPES.get(accept);
  if (exact !== undefined) return exact;
  const sent = formatSent(contentType) ?? 'json';
  if (accept === undefined || accept === '*/*' || accept.trim() === '') return sent;
  const { json, xml } = wishes(accept);
  if (json.quality > 0 && json.quality === xml.quality) return sent;
  if (json.quality > 0 || xml.quality > 0) return json.quality > xml.quality ? 'json' : 'xml';
  throw fhirError(
    'not-acceptable',
    'This server answers in JSON or XML: accept `application/fhir+json` or `application/fhir+xml`.',
  );
}

function formatSent(contentType: string | undefined): Format | undefined {
  return contentType === undefined ? undefined : TYPES.get(mediaType(contentType).type);
}

function isUtf8({ parameters }: MediaType): boolean {
  const charset = parameters.get('charset') ?? 'utf-8';
  return charset === 'utf-8' || charset === 'utf8';
}

/**
 * The format of a resource in a body.
 * @throws FhirError `unsupported-media-type` (415) unless it is JSON or XML in UTF-8
 */
export function bodyFormat(contentType: string | undefined): Format {
  const exact = contentType === undefined ? undefined : TYPES.get(contentType);
  if (exact !== undefined) return exact;
  const media = mediaType(contentType ?? '');
  const format = TYPES.get(media.type);
  if (format !== undefined && isUtf8(media) && isThisVersion(media)) return format;
  throw fhirError(
    'unsupported-media-type',
    'The body must be `application/fhir+json` or `application/fhir+xml` in UTF-8, FHIR version 4.0.',
  );
}

/** @throws FhirError `unsupported-media-type` (415) unless the body is a form in UTF-8: search.html#searching by POST */
export function checkFormBody(contentType: string | undefined): void {
  const media = mediaType(contentType ?? '');
  if (media.type === FORM && isUtf8(media)) return;
  throw fhirError('unsupported-media-type', `A search by POST takes a body of \`${FORM}\` in UTF-8.`);
}
