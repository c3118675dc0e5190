/**
 * The door: the only way to clinical data. Each request goes through the same steps in the same order:
 *
 *   parse      wire -> FhirRequest                            400, 404, 405, 406, 415
 *   claimed    is it in capability-statement.json             404, 405, 412
 *   permitted  do the caller's scopes allow it at all         401, 403
 *   perform    the interaction, under the caller's access     everything else
 *   audit      durable before the answer leaves               503, and no data
 *   respond
 *
 * Refusals and failures are audited like successes. Writes commit their AuditEvents together with the data, so the audit step
 * is already done when they return.
 */
import type { Access } from '../audit.ts';
import { FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import type { AccessFilter } from '../fhir/search/algebra.ts';
import { StoreError } from '../store/port.ts';
import type { Caller, Performed, RestContext } from './context.ts';
import { batch, transaction } from './interactions/bundle.ts';
import { capabilities } from './interactions/capability.ts';
import { history } from './interactions/history.ts';
import { conditionalPatch, patch } from './interactions/patch.ts';
import { read, vread } from './interactions/read.ts';
import { search } from './interactions/search.ts';
import { conditionalDelete, conditionalUpdate, create, remove, update } from './interactions/write.ts';
import { operation } from './operations.ts';
import { attempted, attemptedWire } from './permission/access-entry.ts';
import { allowedMethods, assertClaimed } from './permission/claimed.ts';
import { assertPermitted } from './permission/in-scope.ts';
import type { FhirRequest, FhirResponse, WireRequest } from './request.ts';
import { challengeOf } from './wire/challenge.ts';
import { likelyFormat, parseRequest } from './wire/parse-request.ts';
import { rendered, respond } from './wire/represent.ts';

/**
 * Answers what a transport hands over.
 * @throws StoreError `bounded-thread` only: nothing is committed yet, repeat the request on the thread that has a time budget
 */
export async function answer(wire: WireRequest, caller: Caller, context: RestContext): Promise<FhirResponse> {
  let request: FhirRequest;
  try {
    request = parseRequest(wire, { types: context.capability.types, definitions: context.definitions });
  } catch (error) {
    return refuse(error, wire, caller, context);
  }
  return rendered(await interact(request, caller, context), request.representation, context.definitions);
}

/**
 * Answers a parsed request, in JSON. Never rejects with a refusal: refusals are answers.
 * @throws StoreError `bounded-thread` only, see `answer`
 */
export async function interact(request: FhirRequest, caller: Caller, context: RestContext): Promise<FhirResponse> {
  const left = context.entered?.();
  try {
    return await claimedAndRecorded(request, caller, context);
  } finally {
    left?.();
  }
}

/** The caller by the Consents of this moment: one that was answered before this request holds in it. */
function asOfNow(caller: Caller): Caller | Promise<Caller> {
  const by = (access: AccessFilter): Caller => (access === caller.access ? caller : { ...caller, access });
  const access = caller.access.asOfNow?.() ?? caller.access;
  return access instanceof Promise ? access.then(by) : by(access);
}

async function claimedAndRecorded(request: FhirRequest, asked: Caller, context: RestContext): Promise<FhirResponse> {
  let performed: Performed;
  let caller = asked;
  try {
    caller = await asOfNow(asked);
    assertAllowed(request, caller, context);
    performed = await perform(request, caller, context);
  } catch (error) {
    const response = refusal(error, request.wire, caller, context, request.representation.pretty);
    return recorded(
      { ...attempted(request, context.settings.fhirBase), ...failure(response, error) },
      response,
      caller,
      context,
    );
  }
  const { response, entries, audited } = performed;
  return audited ? response : recorded({ entries, status: response.status }, response, caller, context);
}

/** Answers a request that was refused before it could be parsed, audited like any other. */
export async function refuse(
  error: unknown,
  wire: WireRequest,
  caller: Caller,
  context: RestContext,
): Promise<FhirResponse> {
  const response = refusal(error, wire, caller, context, false);
  const access = { ...attemptedWire(wire, context.settings.fhirBase), ...failure(response, error) };
  const answered = await recorded(access, response, caller, context);
  return rendered(answered, { format: likelyFormat(wire), pretty: false }, context.definitions);
}

/** Who shows no token learns nothing of what is claimed; who does, hears first what the server does not do for anyone. */
function assertAllowed(request: FhirRequest, caller: Caller, context: RestContext): void {
  if (caller.rights.kind === 'nothing') assertPermitted(request, caller, context);
  assertClaimed(request, context);
  assertPermitted(request, caller, context);
}

/** Bundle entries come back in through the same door. */
const DOOR = { interact, assertAllowed };
const asBatch = batch(DOOR);
const asTransaction = transaction(DOOR);

function perform(request: FhirRequest, caller: Caller, context: RestContext): Promise<Performed> {
  switch (request.interaction) {
    case 'read':
      return read(request, caller, context);
    case 'vread':
      return vread(request, caller, context);
    case 'history-instance':
    case 'history-type':
    case 'history-system':
      return history(request, caller, context);
    case 'search-type':
    case 'search-system':
      return search(request, caller, context);
    case 'create':
      return create(request, caller, context);
    case 'update':
      return update(request, caller, context);
    case 'conditional-update':
      return conditionalUpdate(request, caller, context);
    case 'delete':
      return remove(request, caller, context);
    case 'conditional-delete':
      return conditionalDelete(request, caller, context);
    case 'operation':
      return operation(request, caller, context);
    case 'capabilities':
      return capabilities(request, caller, context);
    case 'batch':
      return asBatch(request, caller, context);
    case 'transaction':
      return asTransaction(request, caller, context);
    case 'patch':
      return patch(request, caller, context);
    case 'conditional-patch':
      return conditionalPatch(request, caller, context);
    default:
      return request satisfies never;
  }
}

/** The answer, once the access is durably recorded; otherwise 503 without data. */
async function recorded(
  access: Omit<Access, 'caller'>,
  response: FhirResponse,
  caller: Caller,
  context: RestContext,
): Promise<FhirResponse> {
  try {
    const result = await context.store.commit({ commands: [], audit: [context.audit({ caller, ...access })] });
    if (result.ok) return response;
    throw new Error('An audit row was refused.');
  } catch (error) {
    context.report(error, caller.requestId);
    return outcomeOf(
      fhirError('transient', 'The access could not be recorded, so it is not answered. Try again.'),
      {},
      false,
    );
  }
}

const failure = ({ status }: FhirResponse, error: unknown): Pick<Access, 'status' | 'outcomeDescription'> =>
  error instanceof FhirError ? { status, outcomeDescription: error.message } : { status };

/** The answer to whatever went wrong; a fault of ours tells the client nothing about itself. */
function refusal(
  error: unknown,
  wire: WireRequest,
  caller: Caller,
  context: RestContext,
  pretty: boolean,
): FhirResponse {
  if (error instanceof StoreError && error.reason === 'bounded-thread') throw error;
  const known = asFhirError(error);
  if (known.kind === 'exception' || known.kind === 'transient') context.report(error, caller.requestId);
  const headers: Record<string, string> = { ...challengeOf(known.kind) };
  if (known.kind === 'method-not-allowed') headers.Allow = allowedMethods(wire.path, context.capability).join(', ');
  return outcomeOf(known, headers, pretty);
}

/** Seconds after which a refusal may be gone. */
const RETRY_AFTER: ReadonlyMap<string, string> = new Map([
  ['transient', '1'],
  ['throttled', '5'],
  ['full', '30'],
  ['busy', '2'],
]);

function outcomeOf(error: FhirError, headers: Readonly<Record<string, string>>, pretty: boolean): FhirResponse {
  const seconds = RETRY_AFTER.get(error.kind);
  const retry: Record<string, string> = seconds === undefined ? {} : { 'Retry-After': seconds };
  return respond(error.status, JSON.stringify(operationOutcome(error.issues)), pretty, { ...headers, ...retry });
}

/** FhirErrors as they are, the store's refusals by their reason, anything else as `exception`. */
function asFhirError(error: unknown): FhirError {
  if (error instanceof FhirError) return error;
  if (error instanceof StoreError) {
    switch (error.reason) {
      case 'unavailable':
        return fhirError('transient', 'The store is not available. Try again.', { cause: error });
      case 'full':
        return fhirError(
          'full',
          'The disk of the server is full: nothing is written until there is room. Reads go on.',
          {
            cause: error,
          },
        );
      case 'too-costly':
        return fhirError(
          'too-costly',
          'This search takes too long. Narrow it: name a patient, a code or a period, or leave out `_sort` and `_total`.',
          { cause: error },
        );
      case 'refused':
        return fhirError('too-costly', error.message, { cause: error });
      case 'bad-cursor':
        return fhirError('value', 'The `_cursor` is not one of this search. Start the search again.', { cause: error });
      case 'bounded-thread':
        break;
      default:
        error.reason satisfies never;
    }
  }
  return fhirError('exception', 'The server failed to answer. The request id names this in its log.', { cause: error });
}
