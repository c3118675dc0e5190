/** Status, cancel and files of a job. Source: FHIR Bulk Data Access 2.0.0 (status request, delete request, file request). */
import { FhirError, fhirError, operationOutcome } from '../../fhir/outcome.ts';
import type { JsonObject } from '../../fhir/resource.ts';
import type { Caller, RestContext } from '../context.ts';
import type { FhirResponse } from '../request.ts';
import { challengeOf } from '../wire/challenge.ts';
import { respond } from '../wire/represent.ts';
import type { Job, JobDesk, JobFile, JobOrder, JobResult, JobState } from './job.ts';

/** What differs between kinds of jobs. */
export interface JobKind<O extends JobOrder, R extends JobResult> {
  /** Operation in the audit: `export`. */
  readonly operation: string;
  /** As messages name one: `export`. */
  readonly noun: string;
  /** The answer when it is complete; `listed` shows a file with its URL, `open` reads one. */
  manifest(
    job: Job<O>,
    result: R,
    listed: (file: JobFile) => JsonObject,
    open: (name: string, bytes: number) => AsyncIterable<Uint8Array>,
  ): JobAnswer;
}

export interface JobAsk {
  readonly method: string;
  /** Below the base of status URLs: `/<job>` or `/<job>/<file>`. */
  readonly path: string;
  /** Why the request may not be answered, found before the path was looked at. */
  readonly forbidden?: FhirError | undefined;
}
export interface JobAnswer extends FhirResponse {
  /** Instead of `body`: the bytes of a file. */
  readonly file?: { open(): AsyncIterable<Uint8Array>; readonly length: number };
}

/** Seconds between two polls. */
const RETRY_AFTER = '2';
const PATH = /^\/([A-Za-z0-9-]{1,64})(?:\/([A-Za-z]{1,64}-\d{1,9}\.ndjson))?$/;
const NDJSON = 'application/fhir+ndjson';
const ALLOWED = { status: ['GET', 'HEAD', 'DELETE'], file: ['GET', 'HEAD'] } as const;

/** Never rejects: refusals are answers. Each is durable in the audit before it is given; otherwise 503 and no data. */
export async function jobAnswer<O extends JobOrder, R extends JobResult>(
  ask: JobAsk,
  desk: JobDesk<O, R>,
  kind: JobKind<O, R>,
  caller: Caller,
  context: RestContext,
): Promise<JobAnswer> {
  let answer: JobAnswer;
  try {
    answer = await performed(ask, desk, kind, caller);
  } catch (error) {
    answer = refusal(error instanceof FhirError ? error : fault(error, caller, context));
  }
  try {
    const query = `${ask.method} ${new URL(desk.url).pathname}${ask.path}`;
    const entries = [{ interaction: 'operation', operation: kind.operation, query, patients: [] }];
    const audit = [context.audit({ caller, entries, status: answer.status })];
    if ((await context.store.commit({ commands: [], audit })).ok) return answer;
    throw new Error('An audit row was refused.');
  } catch (error) {
    context.report(error, caller.requestId);
    return refusal(fhirError('transient', 'The access could not be recorded, so it is not answered. Try again.'));
  }
}

function fault(error: unknown, { requestId }: Caller, { report }: RestContext): FhirError {
  report(error, requestId);
  return fhirError('exception', 'The server failed to answer. The request id names this in its log.');
}

function refusal(error: FhirError, headers: Readonly<Record<string, string>> = {}): FhirResponse {
  const retry: Record<string, string> = error.kind === 'transient' ? { 'Retry-After': '1' } : {};
  const all = { ...headers, ...retry, ...challengeOf(error.kind) };
  return respond(error.status, JSON.stringify(operationOutcome(error.issues)), false, all);
}

async function performed<O extends JobOrder, R extends JobResult>(
  { method, path, forbidden }: JobAsk,
  desk: JobDesk<O, R>,
  kind: JobKind<O, R>,
  caller: Caller,
): Promise<JobAnswer> {
  if (forbidden !== undefined) throw forbidden;
  const [, id = '', name] = PATH.exec(path) ?? [];
  const found = await desk.find(id, caller.principal);
  if (found === undefined) {
    throw fhirError('not-found', `There is no such ${kind.noun}: it never was, was cancelled or has expired.`);
  }
  const allowed: readonly string[] = name === undefined ? ALLOWED.status : ALLOWED.file;
  if (!allowed.includes(method)) {
    const error = fhirError('method-not-allowed', `This method is not defined here. Valid: ${allowed.join(', ')}.`);
    return refusal(error, { Allow: allowed.join(', ') });
  }
  if (method === 'DELETE') {
    await desk.cancel(id);
    return { status: 202, headers: {}, body: undefined };
  }
  return name === undefined ? statusOf(found.job, found.state, desk, kind) : fileOf(id, name, found.state, desk, kind);
}

function statusOf<O extends JobOrder, R extends JobResult>(
  job: Job<O>,
  state: JobState<R>,
  desk: JobDesk<O, R>,
  kind: JobKind<O, R>,
): JobAnswer {
  switch (state.state) {
    case 'running':
      return {
        status: 202,
        headers: { 'X-Progress': `${state.percent}%`, 'Retry-After': RETRY_AFTER },
        body: undefined,
      };
    case 'failed':
      throw fhirError('exception', `The ${kind.noun} failed. Cancel it and start another.`);
    case 'withheld':
      throw fhirError('conflict', `Consents changed while the ${kind.noun} ran: ask again.`);
    case 'complete': {
      const listed = ({ type, name, count }: JobFile) => ({ type, url: `${desk.url}/${job.id}/${name}`, count });
      const answer = kind.manifest(job, state.result, listed, (name, bytes) => desk.open(job.id, name, bytes));
      return { ...answer, headers: { ...answer.headers, Expires: new Date(state.expiresAt).toUTCString() } };
    }
    default:
      return state satisfies never;
  }
}

function fileOf<O extends JobOrder, R extends JobResult>(
  id: string,
  name: string,
  state: JobState<R>,
  desk: JobDesk<O, R>,
  { noun }: JobKind<O, R>,
): JobAnswer {
  const files = state.state === 'complete' ? [...state.result.output, ...state.result.error] : [];
  const file = files.find((each) => each.name === name);
  if (file === undefined) throw fhirError('not-found', `This ${noun} has no such file.`);
  const headers = { 'Content-Type': NDJSON };
  return {
    status: 200,
    headers,
    body: undefined,
    file: { open: () => desk.open(id, name, file.bytes), length: file.bytes },
  };
}
