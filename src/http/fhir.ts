/** Carries bytes between HTTP and the FHIR door; decides only which thread answers. */
import type { Request, Response } from 'express';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import type { RestContext } from '../rest/context.ts';
import { answer, refuse } from '../rest/interact.ts';
import { isAnsweredLater, type Later } from '../rest/jobs/async.ts';
import { isHeavyOperation } from '../rest/operations.ts';
import { type CallerFacts, localFacts, strangerFacts } from '../rest/permission/caller.ts';
import type { Gate } from '../rest/permission/gate.ts';
import { loadClassOf } from '../rest/permission/load-class.ts';
import type { FhirResponse, WireRequest } from '../rest/request.ts';
import { likelyFormat } from '../rest/wire/parse-request.ts';
import { placeOf } from '../rest/wire/place.ts';
import { callerOf } from '../smart/access.ts';
import type { Identify } from '../smart/identity.ts';
import { StoreError } from '../store/port.ts';
import type { Guard } from './access.ts';
import { AbortedRequest, readBody } from './body.ts';
import { type AllowsOrigin, crossOrigin } from './cross-origin.ts';
import { send } from './headers.ts';
import { isUpload, received, type UploadPlace } from './upload.ts';

export interface FhirHandlerParts {
  readonly context: RestContext;
  readonly guard: Guard;
  /** Who asks, by their token; without it everybody is the one local caller. */
  readonly identify?: Identify | undefined;
  /** Origins of registered browser apps; asked only where tokens decide. */
  readonly allowsOrigin?: AllowsOrigin | undefined;
  /** JSON of `.well-known/smart-configuration`. */
  readonly smart?: string | undefined;
  readonly bodyLimitBytes: number;
  /** The same `answer` on the thread with a time budget. Rejects only when that thread is gone. */
  heavy(wire: WireRequest, caller: CallerFacts): Promise<FhirResponse>;
  /** Who begins when; without it everybody at once. */
  readonly gate?: Pick<Gate, 'within'> | undefined;
  /** Where bodies of NDJSON go; without it they are refused like any other unknown type. */
  readonly uploads?: UploadPlace;
  /** Takes requests whose clients prefer to be answered later; without it all are answered at once. */
  readonly later?: Later;
  /** Default: see `isHeavy`. */
  isHeavy?(wire: WireRequest): boolean;
}

/** Answers requests below the FHIR base; `url` is what follows the base, `requestId` is safe text. */
export type FhirHandler = (request: Request, response: Response, url: string, requestId: string) => Promise<void>;

const HEAVY_BODY_CHARACTERS = 16_384;
const URL_LIMIT = 8192;

/**
 * Bodies that take milliseconds to parse and validate; every batch, since its entries commit one by one and a batch that were moved to the
 * other thread half-way would write twice; operations that compute at length; and answers of more than one resource in XML, which is
 * written from JSON (30 us a resource).
 */
export function isHeavy(wire: WireRequest): boolean {
  const { method, path, body } = wire;
  if (isOfMain(path) && (body?.length ?? 0) <= HEAVY_BODY_CHARACTERS) return false;
  if (body !== undefined && body.length > HEAVY_BODY_CHARACTERS) return true;
  const place = placeOf(path);
  if (body !== undefined && method === 'POST' && place?.kind === 'base')
    return !body.startsWith('{') || BATCH.test(body);
  if (place?.kind === 'operation' && isHeavyOperation(place.code)) return true;
  return likelyFormat(wire) === 'xml' && !isOneResource(method, path);
}

/** Jobs and subscriptions are kept by the main thread, and what is asked of them is a small request. */
function isOfMain(path: string): boolean {
  const place = placeOf(path);
  return place?.kind === 'operation' && OF_MAIN.has(place.code);
}
const OF_MAIN: ReadonlySet<string> = new Set(['export', 'import', 'status', 'events', 'get-ws-binding-token']);

const BATCH = /"type"\s*:\s*"batch"/;

function isOneResource(method: string, path: string): boolean {
  const kind = placeOf(path)?.kind;
  if (kind === undefined || kind === 'instance' || kind === 'version') return true;
  return kind === 'type' && method !== 'GET' && method !== 'HEAD';
}

/** The handler of `/fhir`. It always answers, unless the client has gone away. */
export function fhirHandler(parts: FhirHandlerParts): FhirHandler {
  return async (request, response, url, requestId) => {
    const peer = { requestId, address: request.socket.remoteAddress ?? '' };
    let facts =
      parts.identify === undefined ? localFacts(requestId, peer.address) : strangerFacts(requestId, peer.address);
    const wire = wireOf(request, url);
    // Any page may learn where to go; RFC 8615, SMART App Launch (CORS).
    if (parts.identify !== undefined && isOpen(wire)) response.setHeader('Access-Control-Allow-Origin', '*');
    else if (parts.identify !== undefined && parts.allowsOrigin !== undefined) {
      const { headers, preflight } = await crossOrigin(request, parts.allowsOrigin);
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      if (preflight) return send(request, response, 204, {}, undefined);
    }
    try {
      assertAcceptable(request, url, parts);
      if (wire.path === WELL_KNOWN && isOpen(wire) && parts.smart !== undefined) {
        send(request, response, 200, { 'Content-Type': 'application/json; charset=utf-8' }, parts.smart);
        return;
      }
      // Before the body is read. What anybody may ask needs no token, and looks at none.
      if (parts.identify !== undefined && !isOpen(wire))
        facts = await parts.identify(request.headers.authorization, peer);
      if (parts.uploads !== undefined && isUpload(wire)) {
        carry(request, response, await uploaded(request, wire, facts, parts, parts.uploads));
        return;
      }
      const body = await readBody(request, parts.bodyLimitBytes);
      carry(request, response, await routed({ ...wire, body }, facts, parts));
    } catch (error) {
      if (error instanceof AbortedRequest) return;
      if (!request.complete) response.setHeader('Connection', 'close');
      request.resume(); // what is left of the body is read and dropped, so that the answer reaches the client
      carry(request, response, await refuse(error, wire, callerOf(facts, parts.context), parts.context));
    }
  };
}

/** What the server can do is open to everyone. */
function isOpen({ method, path }: Pick<WireRequest, 'method' | 'path'>): boolean {
  return OPEN.has(path) && (method === 'GET' || method === 'HEAD');
}
const WELL_KNOWN = '/.well-known/smart-configuration';
const OPEN: ReadonlySet<string> = new Set(['/metadata', WELL_KNOWN]);

/** A body on disk is a job's, or it is removed. */
async function uploaded(
  request: Request,
  wire: WireRequest,
  facts: CallerFacts,
  parts: FhirHandlerParts,
  place: UploadPlace,
): Promise<FhirResponse> {
  const upload = await received(request, place);
  try {
    return await routed({ ...wire, upload }, facts, parts);
  } finally {
    await place.drop(upload.id);
  }
}

function assertAcceptable(request: Request, url: string, { guard }: FhirHandlerParts): void {
  const refusal = guard(request);
  if (refusal !== undefined) throw refusal;
  if (url.length > URL_LIMIT) {
    throw fhirError('uri-too-long', `The URL is longer than ${URL_LIMIT} characters. Search by POST.`);
  }
  for (const name of ONCE) {
    if ((request.headersDistinct[name]?.length ?? 0) > 1) {
      throw fhirError('invalid', `The header ${name} is given more than once.`);
    }
  }
}

/** Headers of which Node would silently keep the first; or that mean nothing twice. */
const ONCE = [
  'authorization',
  'content-type',
  'if-match',
  'if-modified-since',
  'if-none-exist',
  'content-encoding',
  'x-provenance',
] as const;

async function routed(wire: WireRequest, facts: CallerFacts, parts: FhirHandlerParts): Promise<FhirResponse> {
  if (parts.later !== undefined && isAnsweredLater(wire)) return parts.later(wire, facts);
  if ((parts.isHeavy ?? isHeavy)(wire)) return onHeavy(wire, facts, parts);
  const onMain = () => answer(wire, callerOf(facts, parts.context), parts.context);
  try {
    return await (parts.gate === undefined ? onMain() : parts.gate.within(loadClassOf(wire, facts), onMain));
  } catch (error) {
    if (error instanceof StoreError && error.reason === 'bounded-thread') return onHeavy(wire, facts, parts);
    throw error;
  }
}

async function onHeavy(wire: WireRequest, facts: CallerFacts, parts: FhirHandlerParts): Promise<FhirResponse> {
  try {
    return await parts.heavy(wire, facts);
  } catch (cause) {
    if (cause instanceof FhirError) throw cause;
    throw fhirError('transient', 'The thread for large requests is not available. Try again.', { cause });
  }
}

/** Headers the API reads; the others stay outside. */
const READ_HEADERS = [
  'accept',
  'content-type',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-none-exist',
  'prefer',
  'x-provenance',
] as const;

function wireOf(request: Request, url: string): Omit<WireRequest, 'body'> & { readonly body: undefined } {
  const at = url.indexOf('?');
  const headers: Record<string, string | undefined> = {};
  for (const name of READ_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return {
    method: request.method ?? 'GET',
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? '' : url.slice(at + 1),
    headers,
    body: undefined,
  };
}

function carry(request: Request, response: Response, answered: FhirResponse): void {
  send(request, response, answered.status, answered.headers, answered.body);
}
