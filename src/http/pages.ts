/** Carries pages: what is public from memory, and the basis of a card behind the guard. Passes on what is none of its paths. */
import type { RequestHandler } from 'express';
import type { FhirError } from '../fhir/outcome.ts';
import type { PageAnswer, PublicPages } from '../pages/pages.ts';
import type { Caller } from '../rest/context.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { Guard } from './access.ts';
import { send } from './headers.ts';

export interface PageHandlerParts {
  readonly pages: PublicPages;
  /** The page behind a handle; `refused` is what the guard says. Never rejects for what is asked. */
  basis(handle: string, caller: Caller, refused: FhirError | undefined): Promise<PageAnswer>;
  readonly guard: Guard;
}

const BASIS = /^\/cds-basis\/([^/]*)\/?$/;

/** GET and HEAD only; a query means nothing. */
export function pageHandler({ pages, basis, guard }: PageHandlerParts): RequestHandler {
  return async (request, response, next) => {
    const { method, headers } = request;
    const path = request.originalUrl.replace(/\?.*$/s, '');
    const [, handle] = BASIS.exec(path) ?? [];
    const isRead = method === 'GET' || method === 'HEAD';
    const found = handle === undefined ? pages.answer(path, isRead ? headers['if-none-match'] : undefined) : undefined;
    if (handle === undefined && found === undefined) {
      next();
      return;
    }
    request.resume();
    if (!isRead) {
      send(request, response, 405, { Allow: 'GET, HEAD' }, undefined);
      return;
    }
    const { requestId } = response.locals;
    const facts = localFacts(typeof requestId === 'string' ? requestId : '', request.socket.remoteAddress ?? '');
    const answer = found ?? (await basis(handle ?? '', localCaller(facts), guard(request)));
    send(request, response, answer.status, answer.headers, answer.body);
  };
}
