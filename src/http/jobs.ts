/** Carries bytes of job status and files: `/export/<job>`, `/export/<job>/<file>`. Files are streamed, never read whole. */
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Request, Response } from 'express';
import { localCaller, localFacts } from '../rest/caller.ts';
import type { RestContext } from '../rest/context.ts';
import type { JobDesk, JobOrder, JobResult } from '../rest/job.ts';
import { type JobKind, jobAnswer } from '../rest/job-status.ts';
import type { Guard } from './access.ts';
import { codingOf } from './coding.ts';
import { send } from './headers.ts';

export interface JobHandlerParts<O extends JobOrder, R extends JobResult> {
  /** Path it is mounted at: `/export`. */
  readonly mount: string;
  readonly desk: JobDesk<O, R>;
  readonly kind: JobKind<O, R>;
  readonly context: RestContext;
  readonly guard: Guard;
}

/** Answers, unless the client has gone away. Bodies and queries mean nothing here. */
export function jobHandler<O extends JobOrder, R extends JobResult>(parts: JobHandlerParts<O, R>) {
  const { mount, desk, kind, context, guard } = parts;
  return async (request: Request, response: Response, requestId: string): Promise<void> => {
    request.resume();
    const caller = localCaller(localFacts(requestId, request.socket.remoteAddress ?? ''));
    const path = request.originalUrl.slice(mount.length).replace(/\?.*$/s, '');
    const { status, headers, body, file } = await jobAnswer(
      { method: request.method, path, forbidden: guard(request) },
      desk,
      kind,
      caller,
      context,
    );
    if (file === undefined) return send(request, response, status, headers, body);
    const accepted = request.headers['accept-encoding'];
    const isCoded = codingOf(typeof accepted === 'string' ? accepted : undefined, file.length) === 'gzip';
    response.writeHead(status, {
      ...headers,
      Vary: 'Accept-Encoding',
      ...(isCoded ? { 'Content-Encoding': 'gzip' } : { 'Content-Length': String(file.length) }),
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    try {
      await (isCoded ? pipeline(file.open(), createGzip({ level: 5 }), response) : pipeline(file.open(), response));
    } catch (error) {
      if (!request.destroyed && !response.destroyed) context.report(error, requestId);
      response.destroy();
    }
  };
}
