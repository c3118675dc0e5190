/** What clients do with cards after they were sent: feedback on them, and asking what one stood on. Source: CDS Hooks 2.0.1 "Feedback"; docs/cds-hooks.md. */
import { FhirError, fhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import { type DecisionRecord, decisionOf } from '../basis/decision-record.ts';
import { explanationOf } from '../basis/explanation.ts';
import { modelName } from '../call/record.ts';
import { HEADERS, refusal, refuse, usedOnce } from '../call/refusal.ts';
import { refuseBearer } from '../clients/bearer.ts';
import type { CdsAnswer, CdsParts, Sender } from '../parts.ts';
import type { Service } from '../services/service.ts';
import { type Feedback, feedbackResource, parseFeedback } from './feedback.ts';

/**
 * Keeps each item as a Communication, all or none, one AuditEvent each; 200 once they are durable. A card that is not known (any more) is
 * kept as an orphan; the same item sent again changes nothing.
 */
export async function takeFeedback(
  service: Service | undefined,
  text: string,
  from: Sender,
  parts: CdsParts,
): Promise<CdsAnswer> {
  const { context, caller, observe } = { ...parts, ...from };
  if (service === undefined)
    return refuse(fhirError('not-found', 'There is no CDS service of this id.'), caller, parts);
  if (from.replay !== undefined) {
    const used = await context.store.commit({ commands: [usedOnce(from.replay)], audit: [] });
    if (!used.ok) return refuse(refuseBearer('replayed'), caller, parts, 'replayed');
  }
  const { items, unusable } = parseFeedback(text);
  if (unusable > 0) observe('feedback-unusable', unusable);
  const joined = await Promise.all(items.map((item) => joinedTo(item, service.id, from, parts)));
  for (const [user, ofUser] of Map.groupBy(joined, ({ record }) => record?.user)) {
    const status = await store(
      ofUser.map(({ resource }) => resource),
      { ...from, caller: { ...caller, user } },
      parts,
    );
    if (status >= 400) return refusal(fhirError('transient', 'The feedback could not be kept. Send it again.'));
  }
  await remember(joined, parts);
  for (const { item, record } of joined) {
    observe(`feedback-${item.outcome}`, 1);
    const model = record === undefined ? 'unknown' : modelName(record.model);
    parts.measure({ kind: 'feedback', service: service.id, model, outcome: item.outcome });
    if (record === undefined) observe('feedback-orphan', 1);
  }
  return { status: 200, headers: HEADERS, body: '{}' };
}

/** What is overridden stays quiet when the order is signed. Without it only a card more is shown, so a failure costs no feedback. */
async function remember(joined: readonly Joined[], { context, memory, ambient }: CdsParts): Promise<void> {
  const now = ambient.now();
  const commands = joined.flatMap(({ item, record }) => (record && memory.command(item, record, now)) ?? []);
  if (commands.length === 0) return;
  try {
    await context.store.commit({ commands, audit: [] });
  } catch (error) {
    context.report(error, '');
  }
}

interface Joined {
  readonly item: Feedback;
  readonly record: DecisionRecord | undefined;
  readonly resource: Resource;
}

/** A card of another client or service is not this one's to speak of: an orphan. */
async function joinedTo(item: Feedback, service: string, { client }: Sender, parts: CdsParts): Promise<Joined> {
  const { context, seal, ambient } = parts;
  const found = await decisionOf(context.store, seal, { client: client.name, uuid: item.card }, ambient.now());
  const record = found?.service === service ? found : undefined;
  const isHeld = record?.ownPatients === true && (await isPatientHeld(record.patient, parts));
  return { item, record, resource: feedbackResource(item, { service, client: client.name, record, isHeld }) };
}

async function isPatientHeld(id: string, { context }: CdsParts): Promise<boolean> {
  const held = await context.store.read({ type: 'Patient', id });
  return held?.deleted === false;
}

/** @returns the HTTP status of the transaction */
async function store(resources: readonly Resource[], { caller }: Sender, { door, context }: CdsParts): Promise<number> {
  const entry = resources.map((resource) => ({
    resource,
    request: { method: 'PUT', url: `Communication/${resource.id}` },
  }));
  const body = JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry });
  const headers = {
    'content-type': 'application/fhir+json',
    accept: 'application/fhir+json',
    prefer: 'return=minimal',
  };
  const { status } = await door({ method: 'POST', path: '/', query: '', headers, body }, caller, context);
  return status;
}

/**
 * What a card stood on: inputs with dates and units, models with hashes, thresholds; and each score computed again from what was kept.
 * Only the client that was sent the card may ask.
 */
export async function explain(uuid: string, from: Sender, parts: CdsParts): Promise<CdsAnswer> {
  if (from.replay !== undefined) {
    const used = await parts.context.store.commit({ commands: [usedOnce(from.replay)], audit: [] });
    if (!used.ok) return refuse(refuseBearer('replayed'), from.caller, parts, 'replayed');
  }
  try {
    const explanation = await explanationOf(uuid, [from.client.name], from.caller, parts);
    return { status: 200, headers: HEADERS, body: JSON.stringify(explanation) };
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    return error.kind === 'transient' ? refusal(error) : refuse(error, from.caller, parts);
  }
}
