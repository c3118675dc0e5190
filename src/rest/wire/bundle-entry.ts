/** Entries of a batch or transaction: in as requests, out as responses. Source: FHIR R4 bundle.html, http.html#transaction. */
import { FhirError, fhirError, type Issue, operationOutcome } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { RestContext } from '../context.ts';
import type { FhirRequest, FhirResponse, WireRequest } from '../request.ts';
import { parseRequest } from './parse-request.ts';
import { respond } from './represent.ts';

export interface BundleEntry {
  readonly index: number;
  readonly fullUrl: string | undefined;
  readonly request: FhirRequest;
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
const ABSOLUTE = /^(?:[A-Za-z][A-Za-z0-9+.-]*:|\/\/)/;

/** Bundle.entry.request member -> header of the same meaning. */
const HEADERS = {
  ifMatch: 'if-match',
  ifNoneMatch: 'if-none-match',
  ifModifiedSince: 'if-modified-since',
  ifNoneExist: 'if-none-exist',
} as const;

/**
 * Bundle.entry as JSON, not looked into.
 * @throws FhirError `structure` when it is not an array; `too-costly` over the limit, which the message names
 */
export function rawEntries(bundle: Resource, { settings }: RestContext): readonly Json[] {
  const { entry } = bundle;
  if (entry === undefined) return [];
  if (!Array.isArray(entry))
    throw fhirError('structure', 'Bundle.entry must be an array.', { expression: 'Bundle.entry' });
  if (entry.length > settings.bundleEntryLimit) {
    throw fhirError('too-costly', `A Bundle may hold at most ${settings.bundleEntryLimit} entries.`);
  }
  return entry;
}

/**
 * One entry as the request it stands for, read by the parser that reads HTTP requests. It inherits Prefer from the Bundle's request; without
 * one, writes answer without a body.
 * @throws FhirError 4xx; a Bundle inside a Bundle's batch or transaction is refused (400)
 */
export function entryOf(
  raw: Json,
  index: number,
  outer: FhirRequest,
  { capability, settings }: RestContext,
): BundleEntry {
  if (!isJsonObject(raw)) throw fhirError('structure', 'An entry must be a JSON object.');
  const { request, resource, fullUrl } = raw;
  if (fullUrl !== undefined && (typeof fullUrl !== 'string' || fullUrl === '')) {
    throw fhirError('structure', 'fullUrl must be a text.', { expression: `${at(index)}.fullUrl` });
  }
  const parsed = parseRequest(
    wireOf(request, index, outer, settings.fhirBase),
    capability,
    resourceOf(resource, index),
  );
  if (parsed.interaction === 'batch' || parsed.interaction === 'transaction') {
    throw fhirError('invalid', 'A batch or transaction cannot be an entry of another one.');
  }
  return { index, fullUrl, request: parsed };
}

const at = (index: number): string => `Bundle.entry[${index}]`;

function resourceOf(resource: Json | undefined, index: number): Resource | undefined {
  if (resource === undefined || isResource(resource)) return resource;
  throw fhirError('structure', 'The resource of an entry must be a JSON object with a `resourceType`.', {
    expression: `${at(index)}.resource`,
  });
}

function isResource(json: Json): json is Resource {
  return isJsonObject(json) && typeof json.resourceType === 'string';
}

function wireOf(request: Json | undefined, index: number, outer: FhirRequest, fhirBase: string): WireRequest {
  const expression = `${at(index)}.request`;
  if (!isJsonObject(request)) throw fhirError('required', 'An entry needs a request.', { expression });
  const { method } = request;
  if (typeof method !== 'string' || !METHODS.has(method)) {
    throw fhirError('code-invalid', 'request.method must be GET, HEAD, POST, PUT, PATCH or DELETE.', {
      expression: `${expression}.method`,
    });
  }
  const url = urlOf(request, expression, fhirBase);
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const { handling, return: preferred = 'minimal' } = outer.representation.prefer;
  const headers: Record<string, string> = { prefer: `return=${preferred}, handling=${handling}` };
  for (const [member, header] of Object.entries(HEADERS)) {
    const value = request[member];
    if (value === undefined) continue;
    if (typeof value !== 'string') throw fhirError('structure', `request.${member} must be a text.`, { expression });
    headers[header] = value;
  }
  return { method, path: `/${path}`, query: mark < 0 ? '' : url.slice(mark + 1), headers, body: undefined };
}

/** The URL below our base, without leading slash. Foreign absolute URLs are not ours to answer. */
function urlOf(request: JsonObject, expression: string, fhirBase: string): string {
  const { url } = request;
  if (typeof url !== 'string' || url === '' || url === '/') {
    throw fhirError('required', 'request.url must name a resource type or more.', { expression: `${expression}.url` });
  }
  const own = url.startsWith(`${fhirBase}/`) ? url.slice(fhirBase.length + 1) : url;
  if (ABSOLUTE.test(own)) {
    throw fhirError('invalid', 'request.url must lie below the base of this server.', {
      expression: `${expression}.url`,
    });
  }
  return own.startsWith('/') ? own.slice(1) : own;
}

/** The issues of a refused entry, with expressions that start at the Bundle. */
export function issuesAt(index: number, error: FhirError): readonly Issue[] {
  return error.issues.map((issue) => ({ ...issue, expression: withinEntry(index, issue.expression) }));
}

function withinEntry(index: number, expression: string | undefined): string {
  if (expression === undefined) return at(index);
  if (expression.startsWith('Bundle.entry')) return expression;
  return expression.replace(/^[A-Z][A-Za-z]*(?=[.[]|$)/, `${at(index)}.resource`);
}

/** Runs `work` for each entry and refuses with the issues of all that were refused. */
export async function forEach<T extends { readonly index: number }>(
  entries: Iterable<T>,
  work: (entry: T) => Promise<void> | void,
): Promise<void> {
  const issues: Issue[] = [];
  for (const entry of entries) {
    try {
      await work(entry);
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      issues.push(...issuesAt(entry.index, error));
    }
  }
  const [first, ...others] = issues;
  if (first !== undefined) throw new FhirError([first, ...others]);
}

/** Reason phrases of RFC 9110 for Bundle.entry.response.status. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** Answers that are no resource: a Bundle holds them as a Binary (binary.html). */
const NO_RESOURCE = /^(?:text\/csv|application\/fhir\+ndjson)/;

/**
 * JSON text of one entry of a response. Bodies go in as they are: stored text is never parsed again.
 * @param at meta.lastUpdated of the version, ms; without it Last-Modified is used, which knows only seconds
 */
export function responseEntry({ status, headers, body }: FhirResponse, at?: number): string {
  const lastModified = at ?? Date.parse(headers['Last-Modified'] ?? '');
  const response = JSON.stringify({
    status: `${status} ${REASONS[status] ?? ''}`.trim(),
    location: headers.Location,
    etag: headers.ETag,
    lastModified: Number.isNaN(lastModified) ? undefined : instantText(lastModified),
  });
  if (body === undefined) return `{"response":${response}}`;
  const contentType = headers['Content-Type'] ?? '';
  if (NO_RESOURCE.test(contentType)) {
    const data = Buffer.from(body).toString('base64');
    return `{"resource":${JSON.stringify({ resourceType: 'Binary', contentType, data })},"response":${response}}`;
  }
  if (body.startsWith('{"resourceType":"OperationOutcome"')) {
    return `{"response":${response.slice(0, -1)},"outcome":${body}}}`;
  }
  return `{"resource":${body},"response":${response}}`;
}

/** The answer to a whole batch or transaction: 200 with one entry for each, in the order they came. */
export function responseBundle(
  type: 'batch' | 'transaction',
  entries: readonly string[],
  pretty: boolean,
): FhirResponse {
  const list = entries.length === 0 ? '' : `,"entry":[${entries.join(',')}]`;
  return respond(200, `{"resourceType":"Bundle","type":"${type}-response"${list}}`, pretty);
}

/** A refusal as the response of an entry. */
export function refusal(error: FhirError): FhirResponse {
  return { status: error.status, headers: {}, body: JSON.stringify(operationOutcome(error.issues)) };
}
