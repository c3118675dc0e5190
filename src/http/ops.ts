/** Health for whoever runs the server. `live` never touches the store; `ready` says whether requests would be answered. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { send } from './headers.ts';

/** What readiness found. Other fields are shown as they are; they hold no PHI. */
export interface Readiness {
  readonly ready: boolean;
}

const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8' };

/** 200 as long as the process answers at all. */
export function liveHandler() {
  return (request: IncomingMessage, response: ServerResponse): void =>
    send(request, response, 200, JSON_TYPE, '{"status":"ok"}');
}

/** 200 when ready, otherwise 503; a check that fails is "not ready". */
export function readyHandler(ready: () => Promise<Readiness>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const found = await ready().catch((): Readiness => ({ ready: false }));
    const retry: Record<string, string> = found.ready ? {} : { 'Retry-After': '1' };
    send(request, response, found.ready ? 200 : 503, { ...JSON_TYPE, ...retry }, JSON.stringify(found));
  };
}
