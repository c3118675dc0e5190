/** Status, cancel and files of an export. Source: FHIR Bulk Data Access 2.0.0 (status request, delete request, file request). */
import { FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import { instantText } from '../fhir/time.ts';
import type { Caller, RestContext } from './context.ts';
import type { ExportDesk, ExportFile, ExportJob, ExportState } from './export-job.ts';
import { respond } from './represent.ts';
import type { FhirResponse } from './request.ts';

export interface ExportAsk {
  readonly method: string;
  /** Below the base of status URLs: `/<job>` or `/<job>/<file>`. */
  readonly path: string;
  /** Why the request may not be answered, found before the path was looked at. */
  readonly forbidden?: FhirError | undefined;
}
export interface ExportAnswer extends FhirResponse {
  /** Instead of `body`: the bytes of a file. */
  readonly file?: { open(): AsyncIterable<Uint8Array>; readonly length: number };
}

/** Seconds between two polls. */
const RETRY_AFTER = '2';
const PATH = /^\/([A-Za-z0-9-]{1,64})(?:\/([A-Za-z]{1,64}-\d{1,9}\.ndjson))?$/;
const NDJSON = 'application/fhir+ndjson';
const ALLOWED = { status: ['GET', 'HEAD', 'DELETE'], file: ['GET', 'HEAD'] } as const;

/** Never rejects: refusals are answers. Each is durable in the audit before it is given; otherwise 503 and no data. */
export async function exportAnswer(
  ask: ExportAsk,
  desk: ExportDesk,
  caller: Caller,
  context: RestContext,
): Promise<ExportAnswer> {
  let answer: ExportAnswer;
  try {
    answer = await performed(ask, desk, caller);
  } catch (error) {
    answer = refusal(error instanceof FhirError ? error : fault(error, caller, context));
  }
  try {
    const query = `${ask.method} ${new URL(desk.url).pathname}${ask.path}`;
    const entries = [{ interaction: 'operation', operation: 'export', query, patients: [] }];
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
  return respond(error.status, JSON.stringify(operationOutcome(error.issues)), false, { ...headers, ...retry });
}

async function performed(
  { method, path, forbidden }: ExportAsk,
  desk: ExportDesk,
  caller: Caller,
): Promise<ExportAnswer> {
  if (forbidden !== undefined) throw forbidden;
  const [, id = '', name] = PATH.exec(path) ?? [];
  const found = await desk.find(id, caller.principal);
  if (found === undefined)
    throw fhirError('not-found', 'There is no such export: it never was, was cancelled or has expired.');
  const allowed: readonly string[] = name === undefined ? ALLOWED.status : ALLOWED.file;
  if (!allowed.includes(method)) {
    const error = fhirError('method-not-allowed', `This method is not defined here. Valid: ${allowed.join(', ')}.`);
    return refusal(error, { Allow: allowed.join(', ') });
  }
  if (method === 'DELETE') {
    await desk.cancel(id);
    return { status: 202, headers: {}, body: undefined };
  }
  return name === undefined ? statusOf(found.job, found.state, desk) : fileOf(id, name, found.state, desk);
}

function statusOf(job: ExportJob, state: ExportState, desk: ExportDesk): ExportAnswer {
  switch (state.state) {
    case 'running':
      return {
        status: 202,
        headers: { 'X-Progress': `${state.percent}%`, 'Retry-After': RETRY_AFTER },
        body: undefined,
      };
    case 'failed':
      throw fhirError('exception', 'The export failed. Cancel it and start another.');
    case 'complete': {
      const listed = ({ type, name, count }: ExportFile) => ({ type, url: `${desk.url}/${job.id}/${name}`, count });
      const manifest = {
        transactionTime: instantText(job.transactionTime),
        request: job.request,
        requiresAccessToken: false,
        output: state.result.output.map(listed),
        error: state.result.error.map(listed),
      };
      const headers = { 'Content-Type': 'application/json', Expires: new Date(state.expiresAt).toUTCString() };
      return { status: 200, headers, body: JSON.stringify(manifest) };
    }
    default:
      return state satisfies never;
  }
}

function fileOf(id: string, name: string, state: ExportState, desk: ExportDesk): ExportAnswer {
  const files = state.state === 'complete' ? [...state.result.output, ...state.result.error] : [];
  const file = files.find((each) => each.name === name);
  if (file === undefined) throw fhirError('not-found', 'This export has no such file.');
  const headers = { 'Content-Type': NDJSON };
  return { status: 200, headers, body: undefined, file: { open: () => desk.open(id, name), length: file.bytes } };
}
