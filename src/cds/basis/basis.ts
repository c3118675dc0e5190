/** What is behind the link "Basis of this card". Whoever may read the patient's data here may open it; every look is audited. Source: FDA CDS guidance, criterion 4; docs/cds-hooks.md. */
import { fhirError } from '../../fhir/outcome.ts';
import type { Caller } from '../../rest/context.ts';
import { factKey } from '../cards/finding-card.ts';
import type { CdsParts } from '../parts.ts';
import { type DecisionRecord, decisionBehind, type RecordedCard, type RecordedFinding } from './decision-record.ts';
import { type Recomputed, recompute } from './recompute.ts';

export interface CardBasis {
  readonly record: DecisionRecord;
  readonly card: RecordedCard;
  /** The findings that the card tells. */
  readonly findings: readonly RecordedFinding[];
  /** One for each assessment, in order. */
  readonly again: readonly Recomputed[];
}

/**
 * The basis of a card, audited with the patient.
 * @throws FhirError not-found for a handle that is unknown or has expired, alike; transient when the access cannot be recorded
 */
export async function basisOf(handle: string, caller: Caller, parts: CdsParts): Promise<CardBasis> {
  const { context, seal, handles, ambient, models } = parts;
  const found = await decisionBehind(context.store, seal, handles.keyOf(handle), ambient.now());
  if (found === undefined) throw fhirError('not-found', 'There is nothing at this address, or not any more.');
  const { record, card } = found;
  const again = await recompute(record, models, context.store);
  const row = context.audit({
    caller,
    entries: [{ interaction: 'operation', operation: 'explain', patients: record.ownPatients ? [record.patient] : [] }],
    status: 200,
  });
  const written = await context.store.commit({ commands: [], audit: [row] });
  if (!written.ok) throw fhirError('transient', 'The access could not be recorded, so it is not answered.');
  return { record, card, findings: record.findings.filter((finding) => isTold(finding, card)), again };
}

/** Records of earlier releases do not hold the drugs of a finding: then by the finding's own key, which begins the card's. */
function isTold(finding: RecordedFinding, { key, further = [] }: RecordedCard): boolean {
  const { draft, other, allergy } = finding;
  return draft === undefined
    ? key.startsWith(`${finding.key} `)
    : [key, ...further].includes(factKey({ key: finding.key, draft, other, allergy }));
}
