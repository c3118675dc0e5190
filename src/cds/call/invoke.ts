/** One hook call: check, gather, judge, build cards, audit, answer; one deadline for all of it. Source: CDS Hooks 2.0.1 "Calling a CDS Service", "CDS Service Response". */
import type { HookAccess } from '../../audit.ts';
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import type { Finding } from '../../risk/drugs/finding.ts';
import { systemActionProblems } from '../cards/annotation.ts';
import { cardLinks } from '../cards/basis-link.ts';
import { type BuiltCard, inOrder } from '../cards/card.ts';
import { shaped, suggestionsLost } from '../cards/client-profile.ts';
import { type Frame, framed } from '../cards/frame.ts';
import { lintCard } from '../cards/lint.ts';
import { checkedWith, parted, restrictedCards } from '../cards/restricted.ts';
import type { People } from '../cards/suggestion.ts';
import { failedCheckCard } from '../cards/unchecked-card.ts';
import { refuseBearer } from '../clients/bearer.ts';
import { type CdsClient, isSafeAddress } from '../clients/client.ts';
import { breath, within } from '../hook/deadline.ts';
import { type DraftOrder, draftOrders, isAboutMedication } from '../hook/draft-orders.ts';
import { HOOKS } from '../hook/hooks.ts';
import { type HookRequest, parseHookRequest } from '../hook/request.ts';
import { referenceOf, relativeOf } from '../hook/subject.ts';
import type { Call, CdsAnswer, CdsParts, Sender } from '../parts.ts';
import { judgesOrders, type Service, userTypeOf } from '../services/service.ts';
import { asBefore } from './answered.ts';
import { checkedInTime, type Judged, judgeOrders, judgeRecorded, judgeScores, judgeTriage, NO_BASIS } from './judge.ts';
import { OutsideReads } from './outside-reads.ts';
import { type Prefetched, prefetch } from './prefetch.ts';
import { modelName, type Outcome, recordCall, recordedCard } from './record.ts';
import { HEADERS, isKept, refusal, refuse, rowsOfReads } from './refusal.ts';

/** Shares of the deadline: reading data ends at the first, judging at the second; the rest is for the audit. */
const READ_SHARE = 0.6;
const JUDGE_SHARE = 0.9;
/** Characters that are parsed, and resources that are gathered, in a turn of the event loop of their own. */
const LONG_BODY = 100_000;
const MANY_RESOURCES = 200;
const readingUntil = ({ startedAt }: Call, { deadlineMs }: CdsParts): number => startedAt + deadlineMs * READ_SHARE;

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
  const outside = new OutsideReads(parts.readOutside);
  const call: Call = { ...from, startedAt, outside };
  const outcome = await outcomeOf(service, text, call, parts);
  if (outside.isUnderWay) await within(outside.settled(), readingUntil(call, parts) - parts.ambient.now(), undefined);
  try {
    const isFirst = await recordCall(service, outcome, call, parts);
    if (!isFirst) {
      const reads = rowsOfReads(call, outcome.request?.userId, parts.context);
      return refuse(refuseBearer('replayed'), caller, parts, 'replayed', reads);
    }
  } catch (cause) {
    parts.observe('audit-failed', 1);
    parts.context.report(cause, caller.requestId);
    return refusal(fhirError('transient', 'The access could not be recorded, so it is not answered.', { cause }));
  }
  if (service !== undefined) measured(service.id, outcome, parts);
  return { status: outcome.status, headers: HEADERS, body: outcome.body };
}

function measured(service: string, { status, cards, model }: Outcome, { measure }: CdsParts): void {
  measure({ kind: 'call', service, status });
  for (const { indicator } of cards) measure({ kind: 'card', service, model: modelName(model), indicator });
}

const NOTHING_KNOWN = {
  record: undefined,
  request: undefined,
  prefetched: undefined,
  cards: [],
  recorded: [],
  drafts: [],
  model: undefined,
  models: [],
  basis: NO_BASIS,
} as const;

async function outcomeOf(service: Service | undefined, text: string, from: Call, parts: CdsParts): Promise<Outcome> {
  const { startedAt } = from;
  let request: HookRequest | undefined;
  try {
    if (service === undefined) throw fhirError('not-found', 'There is no CDS service of this id.');
    request = parseHookRequest(text, service.hook);
    if (text.length > LONG_BODY) await breath();
    if (request.prefixedIds) parts.observe('prefixed-id', 1);
    refusePlainServer(request, from.client, parts);
    const isOutside = request.fhirServer !== undefined && from.client.fhirServers.includes(request.fhirServer);
    const { store } = parts.context;
    const stamp = isOutside ? undefined : (store.stamp() ?? (await store.askedStamp()));
    const call = { client: from.client.name, service: service.id, hookInstance: request.hookInstance, text, stamp };
    const before = parts.answered.find(call, startedAt);
    if (before !== undefined) return asBefore(before, request);
    const outcome = await answerCall(service, request, from, parts);
    parts.answered.keep(call, outcome, startedAt);
    return outcome;
  } catch (error) {
    if (error instanceof FhirError) {
      const { status, body } = refusal(error);
      return { ...NOTHING_KNOWN, request, status, body, auditStatus: status, remarks: [`refused: ${error.kind}`] };
    }
    parts.context.report(error, from.caller.requestId);
    parts.observe('engine-failed', 1);
    const body = emptyBody(service, from, parts);
    return { ...NOTHING_KNOWN, request, status: 200, body, auditStatus: 500, remarks: ['the service failed'] };
  }
}

async function answerCall(service: Service, request: HookRequest, from: Call, parts: CdsParts): Promise<Outcome> {
  const { caller, client, startedAt, outside } = from;
  const { orders, danglingSelections } = draftOrders(request.draftOrders ?? {}, request.selections);
  refuseOtherSubject(orders, request.patientId);
  if (danglingSelections > 0) parts.observe('dangling-selection', danglingSelections);
  const medicationOrders = orders.filter(({ resource }) => isAboutMedication(resource));
  const isShown = request.userId === undefined || service.roles.includes(userTypeOf(request.userId) ?? '');
  const isSilent =
    !isShown ||
    (service.engine.kind === 'drug-safety' &&
      judgesOrders(service) &&
      !medicationOrders.some(({ selected }) => selected));
  const common = { status: 200, request, drafts: orders.map(({ reference }) => reference) };
  const dangling = danglingSelections > 0 ? [`${danglingSelections} dangling selections`] : [];
  if (isSilent) {
    const remarks = isShown ? dangling : [...dangling, 'role is not shown cards'];
    return { ...NOTHING_KNOWN, ...common, auditStatus: 200, body: emptyBody(service, from, parts), remarks };
  }
  const { ambient, deadlineMs, context, door, fhirBase } = parts;
  const judgedBy = startedAt + deadlineMs * JUDGE_SHARE;
  const prefetched = await prefetch(service, request, {
    door,
    outside,
    caller,
    client,
    context,
    fhirBase,
    startedAt,
    now: () => ambient.now(),
    remainingMs: () => readingUntil(from, parts) - ambient.now(),
  });
  if (prefetched.foreign > 0) parts.observe('foreign-resource', prefetched.foreign);
  if (prefetched.resources.length > MANY_RESOURCES) await breath();
  const record = ambient.newId();
  const frame: Frame = {
    service,
    hookInstance: request.hookInstance,
    at: startedAt,
    prefetched,
    links: cardLinks(parts.publicUrl, parts.handles, record),
    people: peopleIn(request),
    drafted: orders.map(({ received }) => received),
    isValid: (resource) => context.validate(resource).every(({ severity = 'error' }) => severity !== 'error'),
  };
  const asked = { orders: medicationOrders, recorded: request.recorded };
  const judged = await judge(frame, service.engine, prefetched, asked, judgedBy, caller.requestId, parts);
  if (judged.failed) parts.observe('engine-failed', 1);
  const unheard = notOverridden(judged.cards, service, request, client, parts);
  const untold = await within(unheard, judgedBy - ambient.now(), judged.cards);
  const overridden = judged.cards.length - untold.length;
  if (overridden > 0) parts.observe('override-remembered', overridden);
  const sent = sendable(frame, untold, new Set(common.drafts), parts);
  const shown = { cards: service.shadow === true ? [] : sent, systemActions: actionsOf(frame, judged, parts) };
  const body = shaped(readingOf(client, parts), shown, HOOKS.get(service.hook));
  const lost = suggestionsLost(shown, body);
  const noted = body.systemActions?.length ?? 0;
  return {
    ...common,
    record,
    body: JSON.stringify(body),
    auditStatus: judged.failed ? 500 : 200,
    prefetched,
    cards: shown.cards.map(({ card }) => card),
    recorded: sent.map((built, index) =>
      recordedCard(built, service.shadow === true ? undefined : (body.cards[index]?.suggestions ?? [])),
    ),
    model: judged.model,
    models: modelsIn(judged),
    basis: judged.basis,
    remarks: [
      ...dangling,
      ...(prefetched.foreign > 0 ? [`${prefetched.foreign} resources of others dropped`] : []),
      ...judged.remarks,
      ...(noted > 0 ? [`${noted} orders annotated`] : []),
      ...(lost > 0 ? [`${lost} suggestions that the client does not support`] : []),
      ...(overridden > 0 ? [`${overridden} overridden before`] : []),
      ...(service.shadow === true && sent.length > 0 ? [`in shadow: ${sent.length} cards not shown`] : []),
    ],
  };
}

/** Each model whose result was judged, once; otherwise the knowledge of the drug check. */
function modelsIn({ model, basis }: Judged): HookAccess['models'] {
  const all = basis.assessments.map((assessment) => assessment.model);
  if (all.length === 0) return model === undefined ? [] : [model];
  return all.filter(({ id }, index) => all.findIndex((one) => one.id === id) === index);
}

const readingOf = ({ profile, hooks3 }: CdsClient, parts: CdsParts) => ({ profile, hooks3: hooks3 && parts.hooks3 });

/** No cards, as the client reads it. */
function emptyBody(service: Service | undefined, { client }: Sender, parts: CdsParts): string {
  return JSON.stringify(
    shaped(readingOf(client, parts), { cards: [], systemActions: [] }, HOOKS.get(service?.hook ?? '')),
  );
}

/** What this user has not overridden yet; all of it on hooks without memory, and when the memory cannot be read. */
async function notOverridden(
  cards: readonly BuiltCard[],
  { id, hook }: Service,
  { hookInstance, fhirServer, userId, patientId }: HookRequest,
  { name }: CdsClient,
  { memory, context, ambient }: CdsParts,
): Promise<readonly BuiltCard[]> {
  if (HOOKS.get(hook)?.remembersOverrides !== true) return cards;
  const who = { client: name, fhirServer, user: userId, patient: patientId, service: id, hookInstance };
  try {
    return await memory.untold(cards, who, context.store, ambient.now());
  } catch (error) {
    context.report(error, '');
    return cards;
  }
}

async function judge(
  frame: Frame,
  engine: Service['engine'],
  prefetched: Prefetched,
  { orders, recorded }: { readonly orders: readonly DraftOrder[]; readonly recorded: readonly Resource[] },
  deadlineAt: number,
  requestId: string,
  parts: CdsParts,
): Promise<Judged> {
  const { open, hidden } = await parted(prefetched.resources, parts.context);
  const seen = hidden.length === 0 ? prefetched : { ...prefetched, resources: open };
  switch (engine.kind) {
    case 'scores':
      return judgeScores(frame, engine, seen, deadlineAt, requestId, parts);
    case 'triage':
      return judgeTriage(frame, engine, seen, deadlineAt, requestId, parts);
    case 'drug-safety': {
      const isOfOrders = judgesOrders(frame.service);
      const { safety, more } = checkedWith(hidden, parts.drugSafety);
      const checking = hidden.length === 0 || !isOfOrders ? parts : { ...parts, drugSafety: safety };
      const judged = isOfOrders
        ? await judgeOrders(frame, engine, seen, orders, deadlineAt, requestId, checking)
        : await judgeRecorded(frame, engine, seen, recorded, deadlineAt, requestId, parts);
      if (hidden.length === 0) return judged;
      const further = isOfOrders ? more : await recordedHazards(hidden, recorded, frame.at, deadlineAt, parts);
      if (further === undefined) {
        const cards = [...failedCheckCard(frame, hidden.length), ...judged.cards];
        return { ...judged, cards, failed: true, remarks: [...judged.remarks, 'not all checked in time'] };
      }
      const selected = new Set(
        orders
          .filter((one) => one.selected)
          .flatMap(({ reference, resource }) => [reference, `${resource.resourceType}/${resource.id}`]),
      );
      const cards = restrictedCards(frame, engine, further, isOfOrders ? selected : undefined);
      const remarks = cards.length === 0 ? [] : ['a hazard with what is restricted was told'];
      return { ...judged, cards: [...cards, ...judged.cards], remarks: [...judged.remarks, ...remarks] };
    }
  }
}

/** An allergy that is recorded, against restricted medications; undefined when they were not all checked in time. */
async function recordedHazards(
  hidden: readonly Resource[],
  recorded: readonly Resource[],
  at: number,
  deadlineAt: number,
  parts: CdsParts,
): Promise<readonly Finding[] | undefined> {
  const taken = hidden.filter(({ resourceType }) => /^Medication(?:Request|Statement)$/.test(resourceType));
  const { findings, late = [] } = await checkedInTime(taken, recorded, at, deadlineAt, parts);
  return late.length > 0 ? undefined : findings.filter(({ kind }) => kind === 'allergy');
}

/** Data of real patients travels under TLS; http is for this machine, and for a demonstration (CDS Hooks 2.0.1 "HTTP Request"). */
function refusePlainServer({ fhirServer }: HookRequest, { issuer }: CdsClient, { fhirBase }: CdsParts): void {
  if (issuer === '' || fhirServer === undefined || fhirServer === fhirBase || isSafeAddress(fhirServer)) return;
  throw fhirError('value', '`fhirServer` of a registered client is an https address.', { expression: 'fhirServer' });
}

/** Who an order of this call would be for. */
function peopleIn({ patientId, userId, values: { encounterId } }: HookRequest): People {
  const requester = /^Practitioner(?:Role)?\/[A-Za-z0-9\-.]{1,64}$/.test(userId ?? '') ? userId : undefined;
  return {
    subject: { reference: `Patient/${patientId}` },
    ...(encounterId === undefined ? {} : { encounter: { reference: `Encounter/${encounterId}` } }),
    ...(requester === undefined ? {} : { requester: { reference: requester } }),
  };
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

/** System actions that break no rule; none in shadow. */
function actionsOf({ service, drafted }: Frame, { systemActions = [] }: Judged, { observe }: CdsParts) {
  if (service.shadow === true) return [];
  const clean = systemActions.filter((action) => systemActionProblems(action, drafted).length === 0);
  if (clean.length < systemActions.length) observe('card-refused', systemActions.length - clean.length);
  return clean;
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
  const pinned = clean.filter(({ isAlwaysShown }) => isAlwaysShown === true);
  const others = clean.filter(({ isAlwaysShown }) => isAlwaysShown !== true);
  const room = Math.max(0, cardLimit - 1 - pinned.length);
  const hidden = others.length - room;
  observe('cards-over-limit', hidden);
  const more = framed(frame, {
    kind: 'notice',
    key: 'over-limit',
    indicator: 'info',
    summary: `${hidden} more findings are not shown`,
    detail: [`The service shows at most ${cardLimit} cards, the most severe first.`],
    links: [],
  });
  return [...others.slice(0, room), ...pinned, more];
}
