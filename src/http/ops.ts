/** Health for whoever runs the server. `live` never touches the store; `ready` says whether requests would be answered. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Request, Response } from 'express';
import { type HealthReport, live } from '../telemetry/health.ts';
import { forwardingHeader, isLoopback } from './access.ts';
import { send } from './headers.ts';

const TYPE = { 'Content-Type': 'application/health+json; charset=utf-8' };

/** 200 as long as the process answers at all. */
export function liveHandler() {
  return (request: Request, response: Response): void => send(request, response, 200, TYPE, JSON.stringify(live()));
}

/** 200 when requests would be answered, otherwise 503; a check that breaks is a failure too. */
export function readyHandler(ready: () => Promise<HealthReport>) {
  return async (request: Request, response: Response): Promise<void> => {
    const found = await ready().catch((): HealthReport => ({ status: 'fail', checks: [] }));
    const fails = found.status === 'fail';
    const retry: Record<string, string> = fails ? { 'Retry-After': '1' } : {};
    send(request, response, fails ? 503 : 200, { ...TYPE, ...retry }, JSON.stringify(found));
  };
}

/** Whether a request comes from this machine, and not for somebody else: a proxy says so. */
export function isOfThisMachine(request: {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}): boolean {
  const address = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  return isLoopback(address) && forwardingHeader(request) === undefined;
}

/** Counters, in the text that Prometheus reads. */
export function metricsHandler(metrics: () => string) {
  const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' };
  return (request: Request, response: Response): void => send(request, response, 200, headers, metrics());
}
