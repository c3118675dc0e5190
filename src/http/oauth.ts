/** Carries bytes between HTTP and the authorization server, mounted at /oauth. What oidc-provider sees is made here: our own address, a bounded body, no forwarding headers of others. */
import { IncomingMessage } from 'node:http';
import type { Request, Response } from 'express';
import type { Asked, AuthorizationServer } from '../authorization/server.ts';
import { AbortedRequest, readBody } from './body.ts';
import { send } from './headers.ts';

const BODY_LIMIT = 32_768;
const QUERY_LIMIT = 8192;
const FORWARDING = /^(?:forwarded|x-forwarded-|x-real-ip|via$)/;

/** The handler of everything below `/oauth`. */
export function oauthHandler(server: AuthorizationServer) {
  return async (request: Request, response: Response, requestId: string): Promise<void> => {
    const peer = { address: request.socket.remoteAddress ?? '', requestId };
    try {
      const asked = await server.prepared(await askedOf(request, new URL(server.issuer).origin));
      const inner = innerRequest(request, asked, server.issuer);
      const answer = await server.answer(asked, inner, response, peer);
      if (answer === undefined) return;
      for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
      send(request, response, answer.status, {}, answer.body);
    } catch (error) {
      if (error instanceof AbortedRequest) return;
      if (!request.complete) response.setHeader('Connection', 'close');
      request.resume();
      const status = error instanceof Refused ? error.status : undefined;
      if (status === undefined) throw error;
      send(request, response, status, { 'Content-Type': 'application/json' }, '{"error":"invalid_request"}');
    }
  };
}

class Refused extends Error {
  readonly status: number;
  constructor(status: number) {
    super('The request is refused.');
    this.status = status;
  }
}

/** @param origin ours: pages of no other take a step of a sign-in */
async function askedOf(request: Request, origin: string): Promise<Asked> {
  const url = request.originalUrl.slice(request.baseUrl.length);
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  const query = at < 0 ? '' : url.slice(at + 1);
  if (query.length > QUERY_LIMIT) throw new Refused(414);
  for (const name of ['authorization', 'content-type'])
    if ((request.headersDistinct[name]?.length ?? 0) > 1) throw new Refused(400);
  const site = request.headers['sec-fetch-site'];
  if (request.method === 'POST' && path.startsWith('/interaction/') && site !== undefined && site !== 'same-origin')
    throw new Refused(403);
  const from = request.headers.origin;
  if (request.method === 'POST' && path.startsWith('/interaction/') && from !== undefined && from !== origin)
    throw new Refused(403);
  const body = await readBody(request, BODY_LIMIT).catch((cause: unknown) => {
    if (cause instanceof AbortedRequest) throw cause;
    throw new Refused(cause instanceof Error && 'status' in cause ? Number(cause.status) : 400);
  });
  return { method: request.method, path, query, body };
}

/** The request as oidc-provider is to see it. It takes its own address from the forwarding headers, which only we write. */
function innerRequest(request: Request, { method, path, query, body }: Asked, issuer: string): IncomingMessage {
  const { protocol, host, pathname } = new URL(issuer);
  const inner = new IncomingMessage(request.socket);
  const url = query === '' ? path : `${path}?${query}`;
  const kept = Object.entries(request.headers).filter(
    ([name]) =>
      !FORWARDING.test(name) &&
      name !== 'content-encoding' &&
      name !== 'transfer-encoding' &&
      name !== 'content-length',
  );
  const type = method === 'POST' ? {} : { 'content-type': undefined };
  inner.headers = {
    ...Object.fromEntries(kept),
    ...type,
    host,
    'x-forwarded-host': host,
    'x-forwarded-proto': protocol.replace(':', ''),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
  };
  inner.method = method;
  inner.url = url;
  inner.complete = true;
  if (body !== undefined) inner.push(body);
  inner.push(null);
  return Object.assign(inner, { originalUrl: `${pathname}${url}` });
}
