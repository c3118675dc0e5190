/** Headers of every answer, and request ids. Source: docs/threat-model.md (headers, caches); http.html#custom-headers (X-Request-Id). */
import type { Request, Response } from 'express';
import { codingOf, encode } from './coding.ts';

/** Answers hold PHI and are never a document to render, frame or keep. */
const SECURITY_HEADERS = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['Cache-Control', 'no-store'],
] as const;

/** Safe in a header, a log line and an AuditEvent. */
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** Sets what every answer carries. @returns the request id: the client's when it is safe, otherwise a new one */
export function setCommonHeaders(request: Request, response: Response, newId: () => string): string {
  for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value);
  const given = request.headers['x-request-id'];
  const id = typeof given === 'string' && REQUEST_ID.test(given) ? given : newId();
  response.setHeader('X-Request-Id', id);
  return id;
}

/**
 * Sends a complete text, compressed when the client asks and it is worth it; HEAD gets its headers only. A client that has gone away is no
 * error.
 */
export function send(
  request: Request,
  response: Response,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
): void {
  if (body === undefined || status === 204 || status === 304) {
    const length: Record<string, string> = status === 204 || status === 304 ? {} : { 'Content-Length': '0' };
    write(response, status, { ...headers, ...length }, undefined);
    return;
  }
  const bytes = Buffer.byteLength(body);
  const coding = request.method === 'HEAD' ? undefined : codingOf(acceptedCodings(request), bytes);
  const plain = { ...headers, 'Content-Length': String(bytes) };
  if (coding === undefined) {
    write(response, status, plain, request.method === 'HEAD' ? undefined : body);
    return;
  }
  encode(coding, Buffer.from(body), (coded) => {
    if (coded === undefined) write(response, status, plain, body);
    else {
      const length = String(coded.length);
      const vary = [response.getHeader('Vary') ?? [], headers.Vary ?? [], 'Accept-Encoding'].flat().join(', ');
      const all = { ...headers, 'Content-Encoding': coding, Vary: vary, 'Content-Length': length };
      write(response, status, all, coded);
    }
  });
}

function write(
  response: Response,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer | undefined,
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { ...headers });
  response.end(body);
}

const acceptedCodings = ({ headers }: Request): string | undefined => {
  const value = headers['accept-encoding'];
  return typeof value === 'string' ? value : undefined;
};
