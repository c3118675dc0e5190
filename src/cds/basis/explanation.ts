/** What a card stood on and whether it would come out again, from its sealed decision record: for the client that was sent it and for who runs the server. Source: 45 CFR 170.315(b)(11); docs/cds-hooks.md#feedback-and-explanation. */
import { fhirError } from '../../fhir/outcome.ts';
import type { Caller } from '../../rest/context.ts';
import type { CdsParts } from '../parts.ts';
import { type DecisionRecord, decisionOf, type RecordedCard } from './decision-record.ts';
import { type Recomputed, recompute, type TriageAgain, triageAgain } from './recompute.ts';

export interface Explanation {
  readonly card: RecordedCard | undefined;
  readonly decision: DecisionRecord;
  /** One for each assessment, in order. */
  readonly computedAgain: readonly Recomputed[];
  /** undefined when the call was no triage. */
  readonly triageAgain: TriageAgain | undefined;
}

/**
 * The explanation of the card as one of these clients was sent it, audited with the patient.
 * @param clients names; two clients may have been sent cards of one uuid
 * @throws FhirError not-found for a card that is unknown, has expired or was sealed with another key; multiple-matches when several of the
 * clients have one; transient when the access cannot be recorded
 */
export async function explanationOf(
  uuid: string,
  clients: readonly string[],
  caller: Caller,
  parts: CdsParts,
): Promise<Explanation> {
  const { context, seal, ambient, models, triage } = parts;
  const records = await Promise.all(
    clients.map((client) => decisionOf(context.store, seal, { client, uuid }, ambient.now())),
  );
  const [decision, ...others] = records.filter((record) => record !== undefined);
  if (decision === undefined) throw fhirError('not-found', 'No card of this uuid is known.');
  if (others.length > 0) {
    const names = [decision, ...others].map(({ client }) => `\`${client}\``).join(', ');
    throw fhirError('multiple-matches', `Several clients have a card of this uuid: ${names}. Name one.`);
  }
  const computedAgain = await recompute(decision, models, context.store);
  const row = context.audit({
    caller,
    entries: [
      { interaction: 'operation', operation: 'explain', patients: decision.ownPatients ? [decision.patient] : [] },
    ],
    status: 200,
  });
  const written = await context.store.commit({ commands: [], audit: [row] });
  if (!written.ok) throw fhirError('transient', 'The access could not be recorded, so it is not answered.');
  const card = decision.cards.find((each) => each.uuid === uuid.toLowerCase());
  return { card, decision, computedAgain, triageAgain: await triageAgain(decision, triage, context.store) };
}
