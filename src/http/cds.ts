/** CDS Hooks over HTTP, mounted at /cds-services. Source: CDS Hooks 2.0.1 "Discovery", "Calling a CDS Service". */
import type { Request, RequestHandler } from 'express';
import type { Admitted, Cds, Peer } from '../cds/cds.ts';
import type { CdsAnswer } from '../cds/parts.ts';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { Gate } from '../rest/permission/gate.ts';
import type { Guard } from './access.ts';
import { AbortedRequest, readBody } from './body.ts';
import { send } from './headers.ts';

export interface CdsHandlerParts {
  readonly cds: Cds;
  readonly guard: Guard;
  /** Who begins when; without it everybody at once. */
  readonly gate?: Pick<Gate, 'within'> | undefined;
  /** Origins of pages that may call; the server's own needs no entry. */
  readonly origins: ReadonlySet<string>;
  /** Prefetch makes bodies large; above this 413. */
  readonly bodyLimitBytes: number;
}

/** The handler of everything below the mount point: `/` discovery, `/{id}` calls, with or without trailing slash. */
export function cdsHandler(parts: CdsHandlerParts): RequestHandler {
  return async (request, response) => {
    const { requestId } = response.locals;
    const peer = {
      requestId: typeof requestId === 'string' ? requestId : '',
      address: request.socket.remoteAddress ?? '',
    };
    try {
      const answer = await answerOf(parts, request, peer);
      // What is left of a body is read and dropped, so that the answer reaches the client.
      if (!request.complete) request.resume();
      send(
        request,
        response,
        answer.status,
        { ...answer.headers, ...crossOrigin(request, parts.origins) },
        answer.body,
      );
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

/** What a path below the mount point stands for. */
type Place =
  | { readonly kind: 'list' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'report' }
  | { readonly kind: 'service' | 'feedback' | 'explain'; readonly id: string };

const METHODS: Readonly<Record<Place['kind'], readonly string[]>> = {
  list: ['GET', 'HEAD', 'OPTIONS'],
  service: ['POST', 'OPTIONS'],
  feedback: ['POST', 'OPTIONS'],
  explain: ['GET', 'HEAD', 'OPTIONS'],
  report: ['GET', 'HEAD', 'OPTIONS'],
  nothing: [],
};

function placeOf(path: string): Place {
  const [id, second, ...rest] = path.split('/').filter((segment) => segment !== '');
  if (id === undefined) return { kind: 'list' };
  if (second === undefined) return id === 'report' ? { kind: 'report' } : { kind: 'service', id };
  if (rest.length > 0) return { kind: 'nothing' };
  if (id === 'explain') return { kind: 'explain', id: second };
  return second === 'feedback' ? { kind: 'feedback', id } : { kind: 'nothing' };
}

async function answerOf(parts: CdsHandlerParts, request: Request, peer: Peer): Promise<CdsAnswer> {
  const { cds, guard } = parts;
  const { method, path } = request;
  const place = placeOf(path);
  const allow = { Allow: METHODS[place.kind].join(', ') };
  let caller = localCaller(localFacts(peer.requestId, peer.address));
  try {
    const refused = guard(request);
    if (refused !== undefined) throw refused;
    if (place.kind === 'nothing') throw fhirError('not-found', 'There is nothing at this path below `/cds-services`.');
    if (!METHODS[place.kind].includes(method)) throw fhirError('method-not-allowed', `Allowed here: ${allow.Allow}.`);
    if (method === 'OPTIONS') return { status: 204, headers: allow, body: '' };
    if (place.kind === 'list') return cds.discover(request.headers);
    const isOfService = place.kind === 'service' || place.kind === 'feedback';
    const asked = { path: pathOf(place), service: isOfService ? place.id : undefined };
    const admitted = await cds.admit(asked, peer, request.headers);
    caller = admitted.caller;
    try {
      return await performed(parts, place, request, admitted);
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

type Call = Exclude<Place, { readonly kind: 'list' | 'nothing' }>;

/** As the audience of a JWT names it. */
function pathOf(call: Call): string {
  if (call.kind === 'report') return '/report';
  if (call.kind === 'service') return `/${call.id}`;
  return call.kind === 'feedback' ? `/${call.id}/feedback` : `/explain/${call.id}`;
}

async function performed(
  { cds, bodyLimitBytes, gate }: CdsHandlerParts,
  call: Call,
  request: Request,
  admitted: Admitted,
): Promise<CdsAnswer> {
  if (call.kind === 'report') return cds.report(new URLSearchParams(/\?(.*)$/s.exec(request.url)?.[1] ?? ''), admitted);
  const { kind, id } = call;
  if (kind === 'explain') return cds.explain(id, admitted);
  const text = (await readBody(request, bodyLimitBytes)) ?? '';
  const answered = () =>
    kind === 'feedback' ? cds.feedback(id, text, admitted) : cds.invoke(id, text, admitted, request.headers);
  return gate === undefined ? answered() : gate.within('hook', answered);
}
