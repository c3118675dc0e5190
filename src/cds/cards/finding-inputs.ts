/** What a finding rests on, as a digest: the same as long as nothing that a clinician would look at has changed. Decision 0027. */
import { hash } from 'node:crypto';
import type { Resource } from '../../fhir/resource.ts';
import { canonicalText } from '../../rest/wire/canonical.ts';
import type { DrugMention, DrugSafety, Finding } from '../../risk/drugs/finding.ts';
import type { Concerned } from './suggestion.ts';

/** Over knowledge version, severity, rule, drugs, allergy, facts and orders. When an order was written or signed is none of them. */
export function inputsOf(
  { severity, rule, draft, other, further = [], allergy, facts, context }: Finding,
  concerned: readonly Concerned[],
  { version }: DrugSafety['knowledge'],
): string {
  const undated = (mention: DrugMention | undefined) =>
    mention?.state === 'draft' ? { ...mention, at: undefined } : mention;
  const drugs = [draft, other, ...further].map(undated);
  // What is made here has its members in one order; an order has them as its client wrote them.
  const made = JSON.stringify([version, severity, rule.id, drugs, allergy, facts, context]);
  return hash('sha256', `${made}${concerned.map(({ order }) => orderText(order.resource)).join()}`, 'base64url');
}

/** By order: every finding about it asks. Resources never change. */
const orderTexts = new WeakMap<Resource, string>();
function orderText(resource: Resource): string {
  const known = orderTexts.get(resource);
  if (known !== undefined) return known;
  const { meta: _meta, text: _text, status: _status, authoredOn: _authoredOn, ...order } = resource;
  const text = canonicalText(order);
  orderTexts.set(resource, text);
  return text;
}
