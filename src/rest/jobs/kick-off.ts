/** Kick-off of work that outlives its request. Source: FHIR Bulk Data Access 2.0.0, kick-off; docs/decisions/0015-bulk-export.md. */
import type { AccessEntry } from '../../audit.ts';
import { fhirError, operationOutcome } from '../../fhir/outcome.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import type { OperationCall } from '../operations/operation.ts';
import type { WireRequest } from '../request.ts';
import { respond } from '../wire/represent.ts';
import type { JobDesk, JobOrder, JobResult } from './job.ts';

/** Seconds. */
const RETRY_BUSY = '30';

/** Whether a request asks for an asynchronous answer. */
export function prefersAsync({ headers }: Pick<WireRequest, 'headers'>): boolean {
  const preferences = (headers.prefer ?? '').split(/[,;]/).map((each) => each.trim().toLowerCase());
  return preferences.includes('respond-async');
}

/** The URL of an operation's kick-off, as sent. */
export function kickOffUrl({ request }: OperationCall, { settings }: RestContext): string {
  return `${settings.fhirBase}${request.wire.path}${request.rawQuery === '' ? '' : `?${request.rawQuery}`}`;
}

/** 202 with the URL of the status, or `refused` when too many of the caller's have not ended. The order is on disk, then recorded, then a job: no job runs that the audit does not know. */
export async function started<O extends JobOrder, R extends JobResult>(
  order: O,
  desk: JobDesk<O, R>,
  entries: readonly AccessEntry[],
  caller: Caller,
  context: RestContext,
  refused: () => Performed,
): Promise<Performed> {
  if (caller.rights.kind === 'granted' && caller.rights.situation?.breakGlass !== undefined)
    throw fhirError('forbidden', 'Emergency access is of the moment: ask without `Prefer: respond-async`.');
  if (!(await desk.prepare(order))) return refused();
  let at: number | undefined;
  try {
    const access = context.audit({ caller, entries, status: 202 });
    const result = await context.store.commit({ commands: [], audit: [access] });
    if (result.ok) at = result.at;
  } finally {
    if (at === undefined) await desk.drop(order.id);
  }
  if (at === undefined) throw new Error('An audit row was refused.');
  await desk.accept(order.id, at);
  const headers = { 'Content-Location': `${desk.url}/${order.id}` };
  return { response: { status: 202, headers, body: undefined }, entries, audited: true };
}

/** 429: one job of a caller at a time. @param what `An export` */
export function busy(what: string, entries: readonly AccessEntry[], pretty: boolean): Performed {
  const refusal = fhirError('throttled', `${what} of yours is not finished. Wait for it, or cancel it.`);
  const text = JSON.stringify(operationOutcome(refusal.issues));
  const response = respond(refusal.status, text, pretty, { 'Retry-After': RETRY_BUSY });
  return { response, entries, audited: false };
}
