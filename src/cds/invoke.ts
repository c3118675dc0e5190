/** One hook call: check, gather, judge, build cards, audit, answer; one deadline for all of it. Source: CDS Hooks 2.0.1 "Calling a CDS Service", "CDS Service Response". */
import type { HookAccess } from '../audit.ts';
import { FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import type { Ambient, Caller, RestContext } from '../rest/context.ts';
import type { Models } from '../risk/assessment.ts';
import type { DrugSafety } from '../risk/finding.ts';
import type { Triage } from '../risk/triage.ts';
import type { Command } from '../store/port.ts';
import { type BearerReason, refuseBearer, type Verified } from './bearer.ts';
import { type BuiltCard, type Card, inOrder } from './card.ts';
import { type Frame, framed } from './card-frame.ts';
import { lintCard } from './card-lint.ts';
import { within } from './deadline.ts';
import { type DecisionRecord, decisionCommands, type RecordedCard, type Seal } from './decision-record.ts';
import { type DraftOrder, draftOrders, isAboutMedication } from './draft-orders.ts';
import { type HookRequest, parseHookRequest } from './hook-request.ts';
import { type Basis, type Judged, judgeOrders, judgeScores, judgeTriage, NO_BASIS } from './judge.ts';
import { type Prefetched, prefetch } from './prefetch.ts';
import type { Door, ReadOutside } from './reader.ts';
import { type Service, userTypeOf } from './service.ts';
import { referenceOf, relativeOf } from './subject.ts';

export interface CdsAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
/** What is counted: never with ids or texts. */
export type CdsEvent =
  | 'card-refused'
  | 'cards-over-limit'
  | 'prefixed-id'
  | 'dangling-selection'
  | 'foreign-resource'
  | 'engine-failed'
  | 'feedback-accepted'
  | 'feedback-overridden'
  | 'feedback-orphan'
  | 'feedback-unusable'
  | 'audit-failed';

export interface CdsParts {
  readonly seal: Seal;
  /** How long decision records are kept, ms. */
  readonly recordMs: number;
  readonly models: Models;
  readonly drugSafety: DrugSafety;
  readonly triage: Triage;
  readonly context: RestContext;
  readonly door: Door;
  readonly readOutside: ReadOutside;
  readonly fhirBase: string;
  readonly deadlineMs: number;
  readonly ambient: Ambient;
  observe(event: CdsEvent, count: number): void;
}

/** Who sent a call: the registered client and its JWT. */
export interface Sender extends Verified {
  readonly caller: Caller;
}

/** Shares of the deadline: reading data ends at the first, judging at the second; the rest is for the audit. */
const READ_SHARE = 0.6;
const JUDGE_SHARE = 0.9;

/** What one call came to, whether answered or refused. */
interface Outcome {
  readonly status: number;
  readonly body: string;
  /** What the audit records: as `status`, but 500 when an engine failed behind a 200. */
  readonly auditStatus: number;
  readonly request: HookRequest | undefined;
  readonly prefetched: Prefetched | undefined;
  readonly cards: readonly Card[];
  readonly recorded: readonly RecordedCard[];
  readonly drafts: readonly string[];
  readonly model: HookAccess['model'];
  readonly basis: Basis;
  /** Codes and counts, no PHI. */
  readonly remarks: readonly string[];
}

const HEADERS = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' } as const;

/**
 * Answers one call. The audit row is durable before the answer: 503 when it cannot be written.
 * @param service undefined when no such service exists: 404, audited
 */
export async function invoke(
  service: Service | undefined,
  text: string,
  from: Sender,
  parts: CdsParts,
): Promise<CdsAnswer> {
  const { caller, replay } = from;
  const startedAt = parts.ambient.now();
  if (replay !== undefined && (await isKept(replay, parts))) {
    return refuse(refuseBearer('replayed'), caller, parts, 'replayed');
  }
  const outcome = await outcomeOf(service, text, from, startedAt, parts);
  try {
    const isFirst = await recordCall(service, outcome, from, startedAt, parts);
    if (!isFirst) return refuse(refuseBearer('replayed'), caller, parts, 'replayed');
  } catch (cause) {
    parts.observe('audit-failed', 1);
    parts.context.report(cause, caller.requestId);
    return refusal(fhirError('transient', 'The access could not be recorded, so it is not answered.', { cause }));
  }
  return { status: outcome.status, headers: HEADERS, body: outcome.body };
}

/** Space of the JWTs that have been used, in the store: it outlives the process. */
const USED = 'cds.jwt';

type Replay = NonNullable<Sender['replay']>;

/** The one use of a JWT; the commit conflicts when it was used before. */
export function usedOnce({ key, until }: Replay): Command {
  return { op: 'set', space: USED, key, value: '', expect: null, expiresAt: until };
}

async function isKept({ key }: Replay, { context, ambient }: CdsParts): Promise<boolean> {
  const kept = await context.store.keyed(USED, key);
  return kept !== undefined && (kept.expiresAt ?? Number.POSITIVE_INFINITY) > ambient.now();
}

/**
 * Answers what is refused before a call can be judged (guard, JWT, method, path, size, media type); audited like any other.
 * @param reason why a JWT did not hold: for the audit alone
 */
export async function refuse(
  error: FhirError,
  caller: Caller,
  { context, observe }: CdsParts,
  reason?: BearerReason,
): Promise<CdsAnswer> {
  const row = context.audit({
    caller,
    entries: [],
    status: error.status,
    outcomeDescription: `refused: ${error.kind}${reason === undefined ? '' : ` (${reason})`}`,
  });
  try {
    await context.store.commit({ commands: [], audit: [row] });
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
};

/** An OperationOutcome as answer. */
export function refusal(error: FhirError): CdsAnswer {
  const headers = { ...HEADERS, ...REFUSAL_HEADERS[error.kind] };
  return { status: error.status, headers, body: JSON.stringify(operationOutcome(error.issues)) };
}

const NOTHING_KNOWN = {
  request: undefined,
  prefetched: undefined,
  cards: [],
  recorded: [],
  drafts: [],
  model: undefined,
  basis: NO_BASIS,
} as const;

async function outcomeOf(
  service: Service | undefined,
  text: string,
  from: Sender,
  startedAt: number,
  parts: CdsParts,
): Promise<Outcome> {
  let request: HookRequest | undefined;
  try {
    if (service === undefined) throw fhirError('not-found', 'There is no CDS service of this id.');
    request = parseHookRequest(text, service.hook);
    if (request.prefixedIds) parts.observe('prefixed-id', 1);
    return await answerCall(service, request, from, startedAt, parts);
  } catch (error) {
    if (error instanceof FhirError) {
      const { status, body } = refusal(error);
      return { ...NOTHING_KNOWN, request, status, body, auditStatus: status, remarks: [`refused: ${error.kind}`] };
    }
    parts.context.report(error, from.caller.requestId);
    parts.observe('engine-failed', 1);
    const body = JSON.stringify({ cards: [] });
    return { ...NOTHING_KNOWN, request, status: 200, body, auditStatus: 500, remarks: ['the service failed'] };
  }
}

async function answerCall(
  service: Service,
  request: HookRequest,
  { caller, client }: Sender,
  startedAt: number,
  parts: CdsParts,
): Promise<Outcome> {
  const { orders, danglingSelections } = draftOrders(request.draftOrders ?? {}, request.selections);
  refuseOtherSubject(orders, request.patientId);
  if (danglingSelections > 0) parts.observe('dangling-selection', danglingSelections);
  const medicationOrders = orders.filter(({ resource }) => isAboutMedication(resource));
  const isShown = request.userId === undefined || service.roles.includes(userTypeOf(request.userId) ?? '');
  const isSilent =
    !isShown || (service.engine.kind === 'drug-safety' && !medicationOrders.some(({ selected }) => selected));
  const common = { status: 200, request, drafts: orders.map(({ reference }) => reference) };
  const dangling = danglingSelections > 0 ? [`${danglingSelections} dangling selections`] : [];
  if (isSilent) {
    const remarks = isShown ? dangling : [...dangling, 'role is not shown cards'];
    return { ...NOTHING_KNOWN, ...common, auditStatus: 200, body: JSON.stringify({ cards: [] }), remarks };
  }
  const { ambient, deadlineMs, context, door, readOutside, fhirBase } = parts;
  const remaining = (share: number) => startedAt + deadlineMs * share - ambient.now();
  const prefetched = await prefetch(service, request, {
    door,
    readOutside,
    caller,
    client,
    context,
    fhirBase,
    startedAt,
    now: () => ambient.now(),
    remainingMs: () => remaining(READ_SHARE),
  });
  if (prefetched.foreign > 0) parts.observe('foreign-resource', prefetched.foreign);
  const frame: Frame = { service, hookInstance: request.hookInstance, at: startedAt, prefetched };
  const deadlineAt = startedAt + deadlineMs * JUDGE_SHARE;
  const judged = await judge(frame, service.engine, prefetched, medicationOrders, deadlineAt, caller.requestId, parts);
  if (judged.failed) parts.observe('engine-failed', 1);
  const sent = sendable(frame, judged.cards, new Set(common.drafts), parts);
  const cards = service.shadow === true ? [] : sent.map(({ card }) => card);
  return {
    ...common,
    body: JSON.stringify({ cards }),
    auditStatus: judged.failed ? 500 : 200,
    prefetched,
    cards,
    recorded: sent.map((built) => recordedCard(built, service.shadow !== true)),
    model: judged.model,
    basis: judged.basis,
    remarks: [
      ...dangling,
      ...(prefetched.foreign > 0 ? [`${prefetched.foreign} resources of others dropped`] : []),
      ...judged.remarks,
      ...(service.shadow === true && sent.length > 0 ? [`in shadow: ${sent.length} cards not shown`] : []),
    ],
  };
}

async function judge(
  frame: Frame,
  engine: Service['engine'],
  prefetched: Prefetched,
  orders: readonly DraftOrder[],
  deadlineAt: number,
  requestId: string,
  parts: CdsParts,
): Promise<Judged> {
  switch (engine.kind) {
    case 'scores':
      return judgeScores(frame, engine, prefetched, deadlineAt, requestId, parts);
    case 'triage':
      return judgeTriage(frame, engine, prefetched, deadlineAt, requestId, parts);
    case 'drug-safety':
      return judgeOrders(frame, engine, prefetched, orders, requestId, parts);
  }
}

/** Orders for another patient than the context's: the client has mixed up charts. */
function refuseOtherSubject(orders: readonly DraftOrder[], patientId: string): void {
  const other = orders.some(({ resource }) => {
    const subject = relativeOf(referenceOf(resource.subject ?? resource.patient) ?? '');
    return subject?.startsWith('Patient/') === true && subject !== `Patient/${patientId}`;
  });
  if (other) {
    throw fhirError('value', 'A draft order is for another patient than the context.', {
      expression: 'context.draftOrders',
    });
  }
}

/** In order, linted, within the limit. A card that breaks a rule is never sent. */
function sendable(
  frame: Frame,
  cards: readonly BuiltCard[],
  drafts: ReadonlySet<string>,
  { observe }: CdsParts,
): readonly BuiltCard[] {
  const clean = inOrder(cards).filter(({ card, kind }) => lintCard(card, { kind, drafts }).length === 0);
  if (clean.length < cards.length) observe('card-refused', cards.length - clean.length);
  const { cardLimit } = frame.service;
  if (clean.length <= cardLimit) return clean;
  const hidden = clean.length - cardLimit + 1;
  observe('cards-over-limit', hidden);
  const more = framed(frame, {
    kind: 'notice',
    key: 'over-limit',
    indicator: 'info',
    summary: `${hidden} more findings are not shown`,
    detail: [`The service shows at most ${cardLimit} cards, the most severe first.`],
    links: [],
  });
  return [...clean.slice(0, cardLimit - 1), more];
}

function recordedCard({ kind, key, card }: BuiltCard, shown: boolean): RecordedCard {
  const { uuid, indicator, summary, source, suggestions = [] } = card;
  return {
    uuid,
    kind,
    key,
    shown,
    card: { indicator, summary, source },
    suggestions: suggestions.map(({ uuid: suggestion }) => suggestion),
  };
}

/** What the cards stood on, sealed; nothing when there were none. */
function decision(
  service: Service | undefined,
  { request, recorded, basis, drafts, model }: Outcome,
  { client }: Sender,
  at: number,
  { ambient, seal, recordMs }: CdsParts,
): readonly Command[] {
  if (service === undefined || request === undefined || recorded.length === 0) return [];
  const record: DecisionRecord = {
    form: 1,
    id: ambient.newId(),
    at,
    service: service.id,
    hook: service.hook,
    hookInstance: request.hookInstance,
    client: client.name,
    fhirServer: request.fhirServer,
    ownPatients: client.ownPatients,
    user: request.userId,
    patient: request.patientId,
    encounter: request.values.encounterId,
    drafts,
    engine: service.engine,
    assessments: basis.assessments,
    findings: basis.findings.map(({ kind, severity, key, rule }) => ({ kind, severity, key, rule })),
    model,
    cards: recorded,
  };
  return decisionCommands(record, seal, at + recordMs);
}

/**
 * One durable row: who called what about whom, which data and model, which cards; never their text, values or scores. With it goes the one use
 * of the JWT. @returns false when the JWT was used meanwhile: nothing was written
 */
async function recordCall(
  service: Service | undefined,
  outcome: Outcome,
  from: Sender,
  startedAt: number,
  parts: CdsParts,
): Promise<boolean> {
  const { caller, replay } = from;
  const { context, ambient, deadlineMs } = parts;
  const { request, prefetched } = outcome;
  const hook: HookAccess = {
    hook: service?.hook ?? 'unknown',
    service: service?.id ?? 'unknown',
    hookInstance: request?.hookInstance ?? '',
    startedAt,
    endedAt: ambient.now(),
    user: request?.userId,
    patient: request?.patientId,
    draftOrders: outcome.drafts.filter((reference) => relativeOf(reference) === reference),
    model: outcome.model,
    cards: outcome.cards.map(({ uuid, indicator, source }) => ({ uuid, indicator, topic: source.topic.code })),
    prefetch: {
      given: prefetched?.given ?? [],
      fetched: prefetched?.fetched ?? [],
      missing: prefetched?.missing ?? [],
    },
  };
  const description = outcome.remarks.length === 0 ? {} : { outcomeDescription: outcome.remarks.join('; ') };
  const row = context.audit({ caller, entries: [], status: outcome.auditStatus, ...description, hook });
  const commands = [
    ...(replay === undefined ? [] : [usedOnce(replay)]),
    ...decision(service, outcome, from, startedAt, parts),
  ];
  const written = await within(context.store.commit({ commands, audit: [row] }), Math.max(deadlineMs, 1000), undefined);
  if (written === undefined) throw new Error('audit row was not written');
  return written.ok;
}
