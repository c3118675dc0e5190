/**
 * The one system action that a service may ask for: a draft order is given back with a note that says that it was checked, by which tables, and how many
 * findings it is in. It changes nothing else, and no shipped service asks for it. Source: CDS Hooks 2.0.1 "System Action"; decision 0036.
 */
import { isJsonObject, type Json, type Resource } from '../../fhir/resource.ts';
import type { DrugSafety, Finding, Severity } from '../../risk/drugs/finding.ts';
import type { Steps } from '../../risk/drugs/pace.ts';
import type { DraftOrder } from '../hook/draft-orders.ts';
import { relativeOf } from '../hook/subject.ts';
import type { Action } from './card.ts';
import type { Frame } from './frame.ts';
import type { Checked } from './unchecked-card.ts';

/** How a note of ours begins: signing again replaces it. */
const PREFIX = 'Drug check by decision support, tables ';
/** Orders that have a note. */
const NOTED: ReadonlySet<string> = new Set(['MedicationRequest', 'ServiceRequest']);
const SEVERITIES: readonly Severity[] = ['contraindicated', 'major', 'moderate', 'low'];

/** Orders that are annotated in one call; validating more would hold the thread. */
const MOST_ORDERS = 50;

/** An update of each order that was checked, named by `Type/id`, is of a type with notes and was valid as received. */
export function* annotations(
  { isValid, drafted, prefetched }: Pick<Frame, 'isValid' | 'drafted' | 'prefetched'>,
  orders: readonly DraftOrder[],
  { findings, late = [], unchecked = [] }: Checked,
  { version }: DrugSafety['knowledge'],
): Steps<readonly Action[]> {
  const passedOver = new Set([...late, ...unchecked.map(({ draft }) => draft)].map(({ source }) => source));
  const gaps = prefetched.missing.length + prefetched.incomplete.length === 0 ? '' : ' Not all data was received.';
  const actions: Action[] = [];
  for (const { reference, received, resource } of orders.slice(0, MOST_ORDERS)) {
    yield;
    const isOurs = relativeOf(reference) === reference && received.id !== undefined && drafted.includes(received);
    const name = `${resource.resourceType}/${resource.id}`;
    if (!isOurs || !NOTED.has(received.resourceType) || passedOver.has(name)) continue;
    const own = findings.filter(({ draft, other }) => draft.source === name || other?.source === name);
    const text = `${PREFIX}${version}: ${countText(own)}.${gaps} It does not replace clinical judgement.`;
    const annotated = { ...received, note: [...othersNotes(received), { text }] };
    if (isValid(annotated))
      actions.push({ type: 'update', description: 'Notes on the order that it was checked.', resource: annotated });
  }
  return actions;
}

/** `1 contraindicated, 2 major findings`, `no finding`. */
function countText(findings: readonly Finding[]): string {
  const counts = SEVERITIES.flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 ? [] : [`${count} ${severity}`];
  });
  if (counts.length === 0) return 'no finding';
  return `${counts.join(', ')} ${findings.length === 1 ? 'finding' : 'findings'}`;
}

function othersNotes({ note }: Resource): readonly Json[] {
  const notes: readonly Json[] = Array.isArray(note) ? note : [];
  return notes.filter((each) => !(isJsonObject(each) && String(each.text ?? '').startsWith(PREFIX)));
}

/** Every rule that a system action breaks, in words: nobody confirms it, so it may only add a note to an order of the call. */
export function systemActionProblems(
  { type, description, resource, resourceId }: Action,
  drafted: readonly Resource[],
): readonly string[] {
  const order = drafted.find(({ resourceType, id }) => resource?.resourceType === resourceType && resource.id === id);
  return [
    ...(type === 'update' && resourceId === undefined ? [] : ['a system action that is no update']),
    ...(description.trim() === '' || /[<>]/.test(description) ? ['a system action without plain description'] : []),
    ...(resource === undefined || order === undefined ? ['a system action on what is no order of the call'] : []),
    ...(resource !== undefined && order !== undefined && !isOnlyNoted(resource, order)
      ? ['a system action that changes more than notes']
      : []),
  ];
}

/** Element by element in the order that they have: what is given back is made of what was received. */
const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** The notes that were there still are, but our own. */
function isOnlyNoted({ note, ...rest }: Resource, { note: before, ...order }: Resource): boolean {
  const kept: readonly Json[] = Array.isArray(note) ? note : [];
  const earlier = othersNotes({ resourceType: 'x', ...(before === undefined ? {} : { note: before }) });
  return isSame(rest, order) && earlier.every((each) => kept.some((one) => isSame(one, each)));
}
