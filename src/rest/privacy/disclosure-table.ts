/** An accounting of disclosures as a table: date, recipient with address, what, purpose. Source: 45 CFR 164.528(b)(2). */
import { isJsonObject, type Json, type JsonObject } from '../../fhir/resource.ts';
import { csvLine } from '../wire/csv.ts';

const HEAD = ['date', 'recipient', 'address', 'what', 'purpose', 'event'];
const DISCLOSE = 'disclose';

/**
 * @param self our own base: it gave, whatever role an agent has (the source of a query is who asks)
 * @param isFirst with the head, so that pages can be joined
 */
export function csvText(events: readonly JsonObject[], self: string, isFirst: boolean): string {
  return (isFirst ? csvLine(HEAD) : '') + events.map((event) => csvLine(rowOf(event, self))).join('');
}

function rowOf({ id, recorded, agent, entity, subtype, purposeOfEvent }: JsonObject, self: string): readonly string[] {
  const purposes = listOf(purposeOfEvent).flatMap((each) => codesOf(each));
  const how = listOf(subtype).map(({ code }) => textOf(code));
  // Who posts a disclosure names who received it; of an access it is who asked.
  const isTold = how.includes(DISCLOSE);
  const received = listOf(agent).filter((each) => (isTold ? each.requestor !== true : nameOf(each) !== self));
  const what = listOf(entity).map((each) => textOf(partOf(each.what, 'reference')));
  return [
    textOf(recorded),
    joined(received.map(nameOf)),
    joined(received.map(({ network }) => textOf(partOf(network, 'address')))),
    joined([...how, ...what]),
    joined(purposes),
    `AuditEvent/${textOf(id)}`,
  ];
}

/** Name, else what `who` says: display, reference, identifier. */
function nameOf({ name, who }: JsonObject): string {
  const identifier = partOf(partOf(who, 'identifier'), 'value');
  return (
    [name, partOf(who, 'display'), partOf(who, 'reference'), identifier].map(textOf).find((each) => each !== '') ?? ''
  );
}

const joined = (texts: readonly string[]): string => [...new Set(texts.filter((each) => each !== ''))].join('; ');
const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
const partOf = (value: Json | undefined, name: string): Json | undefined =>
  isJsonObject(value) ? value[name] : undefined;
const listOf = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter((each) => isJsonObject(each)) : [];
const codesOf = (concept: Json | undefined): readonly string[] =>
  listOf(partOf(concept, 'coding')).map(({ code }) => textOf(code));
