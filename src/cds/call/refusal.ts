/** What is refused, as an answer and in the audit; and the one use of a JWT. Source: CDS Hooks 2.0.1 "HTTP Status Codes", "Trusting CDS Clients". */
import { type FhirError, fhirError, operationOutcome } from '../../fhir/outcome.ts';
import type { Caller, RestContext } from '../../rest/context.ts';
import type { AuditRow, Command } from '../../store/port.ts';
import type { BearerReason } from '../clients/bearer.ts';
import type { Call, CdsAnswer, CdsParts, Sender } from '../parts.ts';

export const HEADERS = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' } as const;

/** Space of the JWTs that have been used, in the store: it outlives the process. */
const USED = 'cds.jwt';

type Replay = NonNullable<Sender['replay']>;

/** The one use of a JWT; the commit conflicts when it was used before. */
export function usedOnce({ key, until }: Replay): Command {
  return { op: 'set', space: USED, key, value: '', expect: null, expiresAt: until };
}

/** True when this JWT was used and its use is still kept. */
export async function isKept({ key }: Replay, { context, ambient }: CdsParts): Promise<boolean> {
  const kept = await context.store.keyed(USED, key);
  return kept !== undefined && (kept.expiresAt ?? Number.POSITIVE_INFINITY) > ambient.now();
}

/**
 * The row of what was read elsewhere for a call that is refused without an event of its own; none when nothing was.
 * @param user of the call's context
 */
export function rowsOfReads(
  { caller, outside }: Call,
  user: string | undefined,
  { audit }: Pick<RestContext, 'audit'>,
): readonly AuditRow[] {
  const entries = outside.entries();
  return entries.length === 0
    ? []
    : [audit({ caller: { ...caller, user: user ?? caller.user }, entries, status: 200 })];
}

/**
 * Answers what is refused before a call can be judged (guard, JWT, method, path, size, media type); audited like any other.
 * @param reason why a JWT did not hold: for the audit alone
 * @param more rows that go with it
 */
export async function refuse(
  error: FhirError,
  caller: Caller,
  { context, observe }: CdsParts,
  reason?: BearerReason,
  more: readonly AuditRow[] = [],
): Promise<CdsAnswer> {
  const row = context.audit({
    caller,
    entries: [],
    status: error.status,
    outcomeDescription: `refused: ${error.kind}${reason === undefined ? '' : ` (${reason})`}`,
  });
  try {
    await context.store.commit({ commands: [], audit: [...more, row] });
  } catch (cause) {
    observe('audit-failed', 1);
    return refusal(fhirError('transient', 'The access could not be recorded, so it is not answered.', { cause }));
  }
  return refusal(error);
}

/** What a client is told of a refusal besides the OperationOutcome. */
const REFUSAL_HEADERS: Readonly<Partial<Record<FhirError['kind'], Readonly<Record<string, string>>>>> = {
  login: { 'WWW-Authenticate': 'Bearer' },
  throttled: { 'Retry-After': '5' },
  busy: { 'Retry-After': '2' },
};

/** An OperationOutcome as answer. */
export function refusal(error: FhirError): CdsAnswer {
  const headers = { ...HEADERS, ...REFUSAL_HEADERS[error.kind] };
  return { status: error.status, headers, body: JSON.stringify(operationOutcome(error.issues)) };
}
