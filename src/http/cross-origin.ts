/**
 * What lets a page of a registered origin read the FHIR API. Tokens decide who it is, and no cookie exists: credentials mode is never allowed.
 * Source: SMART App Launch 2.2 (CORS for browser-based apps); Fetch standard.
 */
import type { Request } from 'express';

/** Whether pages of an origin may read answers: those of registered clients. */
export type AllowsOrigin = (origin: string) => Promise<boolean>;

const EXPOSED =
  'ETag, Last-Modified, Location, Content-Location, Retry-After, WWW-Authenticate, X-Progress, X-Request-Id';
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const HEADERS =
  'Authorization, Content-Type, Accept, If-Match, If-None-Match, If-None-Exist, If-Modified-Since, Prefer, X-Provenance, X-Request-Id';

/** Headers to add to the answer; for an origin that nobody registered none that allows anything. `preflight`: the answer is 204 and nothing else is done. */
export async function crossOrigin(
  { method, headers }: Pick<Request, 'method' | 'headers'>,
  allows: AllowsOrigin,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly preflight: boolean }> {
  const { origin } = headers;
  if (origin === undefined || !(await allows(origin))) return { headers: { Vary: 'Origin' }, preflight: false };
  const preflight = method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
  const allowed = { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' };
  if (!preflight) return { headers: { ...allowed, 'Access-Control-Expose-Headers': EXPOSED }, preflight };
  const more = {
    'Access-Control-Allow-Methods': METHODS,
    'Access-Control-Allow-Headers': HEADERS,
    'Access-Control-Max-Age': '600',
  };
  return { headers: { ...allowed, ...more }, preflight };
}
