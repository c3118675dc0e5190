/** Carries pages that hold no PHI, from memory. Passes on what is none of their paths. */
import type { NextFunction, Request, Response } from 'express';
import type { PublicPages } from '../pages/pages.ts';
import { send } from './headers.ts';

/** GET and HEAD only; a query means nothing. */
export function pageHandler(pages: PublicPages) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const { method, headers } = request;
    const isRead = method === 'GET' || method === 'HEAD';
    const path = request.originalUrl.replace(/\?.*$/s, '');
    const found = pages.answer(path, isRead ? headers['if-none-match'] : undefined);
    if (found === undefined) {
      next();
      return;
    }
    request.resume();
    if (isRead) send(request, response, found.status, found.headers, found.body);
    else send(request, response, 405, { Allow: 'GET, HEAD' }, undefined);
  };
}
