/** What is kept of a call, with its answer or not at all: the audit row, what its cards stood on, the one use of the JWT. */
import type { HookAccess } from '../../audit.ts';
import type { Command } from '../../store/port.ts';
import { type DecisionRecord, decisionCommands, type RecordedCard } from '../basis/decision-record.ts';
import type { BuiltCard, Card, Suggestion } from '../cards/card.ts';
import { within } from '../hook/deadline.ts';
import type { HookRequest } from '../hook/request.ts';
import { relativeOf } from '../hook/subject.ts';
import type { Call, CdsParts } from '../parts.ts';
import type { Service } from '../services/service.ts';
import type { Basis } from './judge.ts';
import type { Prefetched } from './prefetch.ts';
import { usedOnce } from './refusal.ts';

/** What one call came to, whether answered or refused. */
export interface Outcome {
  /** Id of the decision record; undefined when there is nothing to keep. */
  readonly record: string | undefined;
  readonly status: number;
  readonly body: string;
  /** What the audit records: as `status`, but 500 when an engine failed behind a 200. */
  readonly auditStatus: number;
  readonly request: HookRequest | undefined;
  readonly prefetched: Pick<Prefetched, 'given' | 'fetched' | 'missing'> | undefined;
  readonly cards: readonly Card[];
  readonly recorded: readonly RecordedCard[];
  readonly drafts: readonly string[];
  /** What answered first: reports and counters go by it. */
  readonly model: HookAccess['models'][number] | undefined;
  /** Everything that answered. */
  readonly models: HookAccess['models'];
  readonly basis: Basis;
  /** Codes and counts, no PHI. */
  readonly remarks: readonly string[];
}

/** `id|version`, as reports and counters name what a card stood on. */
export const modelName = (model: Outcome['model']): string =>
  model === undefined ? 'none' : `${model.id}|${model.version}`;

/**
 * A card as it goes on record.
 * @param sent its suggestions as this client is sent them; undefined when it is not sent
 */
export function recordedCard(
  { kind, key, further, card, overridable }: BuiltCard,
  sent: readonly Pick<Suggestion, 'uuid'>[] | undefined,
): RecordedCard {
  const { uuid, indicator, summary, source, suggestions = [] } = card;
  return {
    uuid,
    kind,
    key,
    shown: sent !== undefined,
    ...(further === undefined ? {} : { further }),
    card: { indicator, summary, source },
    suggestions: (sent ?? suggestions).map(({ uuid: suggestion }) => suggestion),
    ...(overridable === undefined ? {} : { overridable }),
  };
}

/** What the cards stood on, sealed; nothing when there were none. */
function decision(
  service: Service | undefined,
  { record: id, request, recorded, basis, drafts, model, prefetched }: Outcome,
  { client, startedAt: at }: Call,
  { seal, recordMs, handles, basisMs, scoreFiles }: CdsParts,
): readonly Command[] {
  if (id === undefined || service === undefined || request === undefined || recorded.length === 0) return [];
  const record: DecisionRecord = {
    form: 1,
    id,
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
    findings: basis.findings,
    triage: basis.triage,
    notReceived: prefetched?.missing ?? [],
    model,
    cards: recorded,
  };
  const expiresAt = at + recordMs;
  return [
    ...decisionCommands(record, { seal, expiresAt, handles, basisExpiresAt: at + basisMs }),
    ...scoreFiles.commands(record.assessments, expiresAt, record.triage),
  ];
}

/**
 * One durable row: who called what about whom, which data and model, which cards; never their text, values or scores. It also holds an event
 * for each read of another server. With it goes the one use of the JWT. @returns false when the JWT was used meanwhile: nothing was written
 */
export async function recordCall(
  service: Service | undefined,
  outcome: Outcome,
  call: Call,
  parts: CdsParts,
): Promise<boolean> {
  const { caller, replay, startedAt, outside } = call;
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
    models: outcome.models,
    cards: outcome.cards.map(({ uuid, indicator, source }) => ({ uuid, indicator, topic: source.topic.code })),
    prefetch: {
      given: prefetched?.given ?? [],
      fetched: prefetched?.fetched ?? [],
      missing: prefetched?.missing ?? [],
    },
  };
  const description = outcome.remarks.length === 0 ? {} : { outcomeDescription: outcome.remarks.join('; ') };
  const row = context.audit({ caller, entries: outside.entries(), status: outcome.auditStatus, ...description, hook });
  const commands = [...(replay === undefined ? [] : [usedOnce(replay)]), ...decision(service, outcome, call, parts)];
  const written = await within(context.store.commit({ commands, audit: [row] }), Math.max(deadlineMs, 1000), undefined);
  if (written === undefined) throw new Error('audit row was not written');
  if (written.ok) parts.scoreFiles.committed(commands);
  return written.ok;
}
