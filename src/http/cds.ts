/** CDS Hooks over HTTP, mounted at /cds-services. Source: CDS Hooks 2.0.1 "Discovery", "Calling a CDS Service". */
import type { Request, RequestHandler } from 'express';
import type { Cds } from '../cds/cds.ts';
import type { CdsAnswer } from '../cds/invoke.ts';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import { localCaller, localFacts } from '../rest/caller.ts';
import type { Caller } from '../rest/context.ts';
import type { Guard } from './access.ts';
import { AbortedRequest, readBody } from './body.ts';
import { send } from './headers.ts';

/** Prefetch makes bodies large; above this 413. */
export const CDS_BODY_LIMIT = 5 * 1024 * 1024;

/**
 * The handler of everything below the mount point: `/` discovery, `/{id}` calls, with or without trailing slash.
 * No CORS header is ever sent: without an identity provider the guard refuses pages of another origin, so a browser-based
 * CDS client (such as the public sandbox) cannot call this server yet.
 */
export function cdsHandler(cds: Cds, guard: Guard): RequestHandler {
  return async (request, response) => {
    const { requestId } = response.locals;
    const facts = localFacts(typeof requestId === 'string' ? requestId : '', request.socket.remoteAddress ?? '');
    try {
      const answer = await answerOf(cds, request, localCaller(facts), guard);
      // What is left of a body is read and dropped, so that the answer reaches the client.
      if (!request.complete) request.resume();
      send(request, response, answer.status, answer.headers, answer.body);
    } catch (error) {
      if (!(error instanceof AbortedRequest)) throw error;
    }
  };
}

async function answerOf(cds: Cds, request: Request, caller: Caller, guard: Guard): Promise<CdsAnswer> {
  const { method, path } = request;
  const [id, ...rest] = path.split('/').filter((segment) => segment !== '');
  const allowed = id === undefined ? ['GET', 'HEAD', 'OPTIONS'] : ['POST', 'OPTIONS'];
  const allow = { Allow: allowed.join(', ') };
  try {
    const refused = guard(request) ?? (rest.length > 0 ? noSuchPath(rest) : undefined);
    if (refused !== undefined) throw refused;
    if (method === 'OPTIONS') return { status: 204, headers: allow, body: '' };
    if (!allowed.includes(method)) throw fhirError('method-not-allowed', `Allowed here: ${allow.Allow}.`);
    if (id === undefined) return cds.discover(request.headers);
    const text = await readBody(request, CDS_BODY_LIMIT);
    return await cds.invoke(id, text ?? '', caller, request.headers);
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
