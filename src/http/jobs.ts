/** Carries bytes of job status and files: `/export/<job>`, `/export/<job>/<file>`. Files are streamed, never read whole. */
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Request, Response } from 'express';
import { FhirError } from '../fhir/outcome.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import type { JobDesk, JobOrder, JobResult } from '../rest/jobs/job.ts';
import { type JobKind, jobAnswer } from '../rest/jobs/status.ts';
import { localFacts, strangerFacts } from '../rest/permission/caller.ts';
import { callerOf } from '../smart/access.ts';
import type { Identify, Peer } from '../smart/identity.ts';
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
  /** Who asks, by their token; without it everybody is the one local caller. */
  readonly identify?: Identify | undefined;
}

/** Who asks, or why they may not. */
export async function admitted(
  request: Request,
  peer: Peer,
  { guard, identify, context }: Pick<JobHandlerParts<JobOrder, JobResult>, 'guard' | 'identify' | 'context'>,
): Promise<{ readonly caller: Caller; readonly forbidden: FhirError | undefined }> {
  const { requestId, address } = peer;
  const stranger = identify === undefined ? localFacts(requestId, address) : strangerFacts(requestId, address);
  const nobody = callerOf(stranger, context);
  const forbidden = guard(request);
  if (forbidden !== undefined || identify === undefined) return { caller: nobody, forbidden };
  try {
    return { caller: callerOf(await identify(request.headers.authorization, peer), context), forbidden };
  } catch (error) {
    if (error instanceof FhirError) return { caller: nobody, forbidden: error };
    throw error;
  }
}

/** Answers, unless the client has gone away. Bodies and queries mean nothing here. */
export function jobHandler<O extends JobOrder, R extends JobResult>(parts: JobHandlerParts<O, R>) {
  const { mount, desk, kind, context } = parts;
  return async (request: Request, response: Response, requestId: string): Promise<void> => {
    request.resume();
    const peer = { requestId, address: request.socket.remoteAddress ?? '' };
    const { caller, forbidden } = await admitted(request, peer, parts);
    const path = request.originalUrl.slice(mount.length).replace(/\?.*$/s, '');
    const { status, headers, body, file } = await jobAnswer(
      { method: request.method, path, forbidden },
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
