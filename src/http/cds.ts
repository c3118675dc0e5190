/** CDS Hooks over HTTP, mounted at /cds-services. Source: CDS Hooks 2.0.1 "Discovery", "Calling a CDS Service". */
import type { Request, RequestHandler } from 'express';
import type { Cds, Peer } from '../cds/cds.ts';
import type { CdsAnswer } from '../cds/invoke.ts';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import { localCaller, localFacts } from '../rest/caller.ts';
import type { Guard } from './access.ts';
import { AbortedRequest, readBody } from './body.ts';
import { send } from './headers.ts';

/** Prefetch makes bodies large; above this 413. */
export const CDS_BODY_LIMIT = 5 * 1024 * 1024;

export interface CdsHandlerParts {
  readonly cds: Cds;
  readonly guard: Guard;
  /** Origins of pages that may call; the server's own needs no entry. */
  readonly origins: ReadonlySet<string>;
}

/** The handler of everything below the mount point: `/` discovery, `/{id}` calls, with or without trailing slash. */
export function cdsHandler({ cds, guard, origins }: CdsHandlerParts): RequestHandler {
  return async (request, response) => {
    const { requestId } = response.locals;
    const peer = {
      requestId: typeof requestId === 'string' ? requestId : '',
      address: request.socket.remoteAddress ?? '',
    };
    try {
      const answer = await answerOf(cds, request, peer, guard);
      // What is left of a body is read and dropped, so that the answer reaches the client.
      if (!request.complete) request.resume();
      send(request, response, answer.status, { ...answer.headers, ...crossOrigin(request, origins) }, answer.body);
    } catch (error) {
      if (!(error instanceof AbortedRequest)) throw error;
    }
  };
}

/** What lets a page of a registered origin read the answer. No cookies exist, so credentials mode is never allowed. Source: CDS Hooks 2.0.1 "CORS"; Fetch standard. */
function crossOrigin({ headers, method }: Request, origins: ReadonlySet<string>): Readonly<Record<string, string>> {
  const { origin } = headers;
  if (origin === undefined || !origins.has(origin)) return origins.size === 0 ? {} : { Vary: 'Origin' };
  const allowed = { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' };
  if (method !== 'OPTIONS') return { ...allowed, 'Access-Control-Expose-Headers': 'ETag, X-Request-Id, Retry-After' };
  return {
    ...allowed,
    'Access-Control-Allow-Methods': 'GET, POST',
    'Access-Control-Allow-Headers': 'Authorization, Content-Type, X-Request-Id',
    'Access-Control-Max-Age': '600',
  };
}

async function answerOf(cds: Cds, request: Request, peer: Peer, guard: Guard): Promise<CdsAnswer> {
  const { method, path } = request;
  const [id, ...rest] = path.split('/').filter((segment) => segment !== '');
  const allowed = id === undefined ? ['GET', 'HEAD', 'OPTIONS'] : ['POST', 'OPTIONS'];
  const allow = { Allow: allowed.join(', ') };
  let caller = localCaller(localFacts(peer.requestId, peer.address));
  try {
    const refused = guard(request);
    if (refused !== undefined) throw refused;
    const isFeedback = rest.length === 1 && rest[0] === 'feedback';
    if (method === 'OPTIONS' && (rest.length === 0 || isFeedback)) return { status: 204, headers: allow, body: '' };
    if (rest.length > 0) throw noSuchPath(rest);
    if (!allowed.includes(method)) throw fhirError('method-not-allowed', `Allowed here: ${allow.Allow}.`);
    if (id === undefined) return cds.discover(request.headers);
    const admitted = await cds.admit(id, peer, request.headers);
    caller = admitted.caller;
    try {
      const text = await readBody(request, CDS_BODY_LIMIT);
      return await cds.invoke(id, text ?? '', admitted, request.headers);
    } finally {
      admitted.release();
    }
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    const { headers, ...answer } = await cds.refuse(error, caller);
    const extra = error.kind === 'method-not-allowed' ? allow : {};
    return { ...answer, headers: { ...headers, ...extra, ...(request.complete ? {} : { Connection: 'close' }) } };
  }
}

function noSuchPath(rest: readonly string[]): FhirError {
  return rest.length === 1 && rest[0] === 'feedback'
    ? fhirError('not-found', 'Feedback is not offered by this service.')
    : fhirError('not-found', 'There is nothing at this path below `/cds-services`.');
}
