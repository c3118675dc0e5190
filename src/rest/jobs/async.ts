/**
 * Requests that may take long, answered asynchronously when the client prefers it: 202, a status to poll, at last a Bundle `batch-response`
 * of one entry. Source: FHIR R4 async.html; R5 async-bundle.html (final answer as a Bundle).
 */
import { fhirError } from '../../fhir/outcome.ts';
import type { Caller, RestContext } from '../context.ts';
import { interact, refuse } from '../interact.ts';
import { isLongOperation } from '../operations.ts';
import { attemptedWire } from '../permission/access-entry.ts';
import { type CallerFacts, factsOf } from '../permission/caller.ts';
import type { FhirRequest, FhirResponse, WireRequest } from '../request.ts';
import { responseEntry } from '../wire/bundle-entry.ts';
import { parseRequest } from '../wire/parse-request.ts';
import { type PlaceKind, placeOf } from '../wire/place.ts';
import { without } from '../wire/query-text.ts';
import type { JobDesk, JobOrder, JobResult } from './job.ts';
import { prefersAsync, started } from './kick-off.ts';
import type { JobKind } from './status.ts';

/** The request without its body, which is a file of the job. */
export interface AsyncOrder extends JobOrder {
  readonly wire: Pick<WireRequest, 'method' | 'path' | 'query' | 'headers'>;
}
export interface AsyncResult extends JobResult {
  /** The answer: its file, and its length. */
  readonly answer: string;
  readonly bytes: number;
}

/** The body of the request, in the folder of its job. */
export const BODY = 'body';

/** THE table: places whose requests by these methods may take long. Operations say so themselves, Bundles by their type. */
const LONG: Partial<Record<PlaceKind, readonly string[]>> = {
  base: ['GET'],
  'base/_search': ['POST'],
  'base/_history': ['GET'],
  type: ['GET'],
  'type/_search': ['POST'],
  'type/_history': ['GET'],
  'instance/_history': ['GET'],
  compartment: ['GET'],
  'compartment/_search': ['POST'],
  'compartment/*': ['GET'],
  'compartment/*/_search': ['POST'],
};
const TRANSACTION = /"type"\s*:\s*"transaction"/;
const BATCH = /"type"\s*:\s*"batch"/;

/**
 * Whether a request is answered asynchronously. Everything else is answered at once, as RFC 7240 allows: batches too, whose entries commit
 * one by one, so that one cannot be taken up where it was killed.
 */
export function isAnsweredLater(wire: WireRequest): boolean {
  const place = prefersAsync(wire) ? placeOf(wire.path) : undefined;
  if (place === undefined) return false;
  const { body = '' } = wire;
  if (place.kind === 'base' && wire.method === 'POST') {
    return body.startsWith('{') && TRANSACTION.test(body) && !BATCH.test(body);
  }
  if (place.kind === 'operation') return isLongOperation(place.code);
  return LONG[place.kind]?.includes(wire.method) === true;
}

/**
 * 202 with the URL of the status; the request itself is judged by the job.
 * @param desk takes the body too
 * @throws FhirError `throttled` (429) when too many jobs of the caller have not ended
 */
export async function answerLater(
  wire: WireRequest,
  desk: JobDesk<AsyncOrder, AsyncResult> & { hold(id: string, body: string | undefined): void },
  caller: Caller,
  context: RestContext,
): Promise<FhirResponse> {
  const { method, path, query, headers, body } = wire;
  const id = context.ambient.newId();
  const request = `${context.settings.fhirBase}${path}${query === '' ? '' : `?${query}`}`;
  const order = { id, caller: factsOf(caller), request, wire: { method, path, query, headers } };
  desk.hold(id, body);
  const { entries } = attemptedWire(wire, context.settings.fhirBase);
  const refused = (): never => {
    throw fhirError('throttled', 'Too many asynchronous requests of yours are not finished. Wait, or cancel one.');
  };
  return (await started(order, desk, entries, caller, context, refused)).response;
}

/**
 * The final answer as JSON text: whatever the request is answered with, as one entry. A transaction is done once, however often the job is
 * taken up: it has the job's identifier, unless it brought one.
 * @throws Error when the server, not the request, is at fault
 */
export async function laterText(
  order: AsyncOrder,
  body: string | undefined,
  caller: Caller,
  context: RestContext,
): Promise<string> {
  const { wire: asked, id } = order;
  const headers = { ...asked.headers, accept: 'application/fhir+json' };
  const wire: WireRequest = { ...asked, headers, query: without(asked.query, FORMAT), body };
  const { types } = context.capability;
  let request: FhirRequest | undefined;
  let response: FhirResponse;
  try {
    request = parseRequest(wire, { types, definitions: context.definitions });
  } catch (error) {
    response = await refuse(error, wire, caller, context);
    return bundleOf(response);
  }
  response = await interact(identified(request, id), caller, context);
  if (response.status >= 500) throw new Error(`An asynchronous request was answered with ${response.status}.`);
  return bundleOf(response);
}

const FORMAT: ReadonlySet<string> = new Set(['_format', '_pretty']);

function identified(request: FhirRequest, id: string): FhirRequest {
  if (request.interaction !== 'transaction' || request.bundle.identifier !== undefined) return request;
  return { ...request, bundle: { ...request.bundle, identifier: { system: 'urn:firewatch:job', value: id } } };
}

const bundleOf = (response: FhirResponse): string =>
  `{"resourceType":"Bundle","type":"batch-response","entry":[${responseEntry(response)}]}`;

export const ASYNC_KIND: JobKind<AsyncOrder, AsyncResult> = {
  operation: 'async',
  noun: 'request',
  manifest: (_job, { answer, bytes }, _listed, open) => ({
    status: 200,
    headers: { 'Content-Type': 'application/fhir+json; charset=utf-8' },
    body: undefined,
    file: { open: () => open(answer, bytes), length: bytes },
  }),
};

/** Takes a request whose client prefers to be answered later; on the main thread. */
export type Later = (wire: WireRequest, caller: CallerFacts) => Promise<FhirResponse>;
