/**
 * AuditEvents about one person, for the person and for who answers to them: what is shown of each, and who may ask. Source: EHDS 2025/327 Art. 9,
 * GDPR Art. 15 (CJEU C-579/21: that and when and why, staff only where needed), 45 CFR 164.528; docs/privacy.md.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { unfilteredPlan } from '../../fhir/search/plan.ts';
import { and } from '../../fhir/search/simplify.ts';
import type { Caller, RestContext } from '../context.ts';
import { seesAll } from '../permission/permission.ts';
import { storedResource } from '../wire/represent.ts';

const TYPE = 'AuditEvent';

/** `whole`: as recorded. `own`: the person's view. */
export type View = 'whole' | 'own';

/**
 * How the caller sees accesses of this person: whole with rights on every AuditEvent; as the person when they are the user.
 * @throws FhirError `insufficient-scope` (403) for everybody else: who may read a record may not read who else did
 */
export function viewOf(persons: readonly string[], caller: Caller): View {
  if (seesAll(TYPE, ['search'], caller)) return 'whole';
  if (persons.some((id) => caller.user === `Patient/${id}`)) return 'own';
  throw fhirError('insufficient-scope', 'Who saw a record is told to the patient, and to who may search AuditEvent.');
}

/** ms; open where undefined. */
export interface Period {
  readonly low: number | undefined;
  readonly high: number | undefined;
}

export interface AccessPage {
  readonly events: readonly Resource[];
  readonly next: string | undefined;
}

/** AuditEvents about the person in the order they happened. The plan is the server's own: `viewOf` has judged the caller. */
export async function accessPage(
  persons: readonly string[],
  { low, high }: Period,
  page: { readonly count: number; readonly after: string | undefined },
  { store }: Pick<RestContext, 'store'>,
): Promise<AccessPage> {
  const date = (relation: 'ge' | 'lt', at: number): Predicate => ({
    ...{ kind: 'interval', parameter: `${TYPE}.date`, relation },
    ...{ low: at, high: at + 1 },
  });
  const targets = persons.map((id) => `Patient/${id}`);
  const where: Predicate[] = [{ kind: 'reference', parameter: `${TYPE}.patient`, targets }];
  if (low !== undefined) where.push(date('ge', low));
  if (high !== undefined) where.push(date('lt', high));
  const { matches, next } = await store.search(unfilteredPlan(TYPE, and(where)), page);
  return { events: matches.map(({ text }) => storedResource(text ?? '{}')), next };
}

/** A place in the pages. Reading them is recorded too, so they end with what was recorded before the first: `until`, ms. */
export interface Place {
  readonly until: number;
  readonly after: string | undefined;
}
export const placeText = ({ until, after }: Place): string => JSON.stringify([until, after ?? null]);

/** Of a text that `placeText` made: cursors are sealed, so nobody else makes one. */
export function placeOf(text: string): Place {
  const [until, after]: readonly [number, string | null] = JSON.parse(text);
  return { until, after: after ?? undefined };
}

/** The earlier of the end that was asked for and that of the pages. */
export function boundBy({ low, high }: Period, { until }: Place): Period {
  return { low, high: Math.min(high ?? until, until) };
}

const KEPT = [
  'resourceType',
  'id',
  'meta',
  'type',
  'subtype',
  'action',
  'period',
  'recorded',
  'outcome',
  'purposeOfEvent',
  'source',
];
/** Object roles that say what was accessed: patient, report, resource, job. */
const SHOWN_ROLES: ReadonlySet<string> = new Set(['1', '3', '4', '20']);

/**
 * What a person is shown of an event: when, what, why and by which application; not which member of staff, queries, addresses or other patients.
 * @param recipients true: who received it is shown whole, as an accounting of disclosures must
 */
export function shown(event: Resource, persons: readonly string[], view: View, recipients: boolean): JsonObject {
  const told = { ...event, text: { status: 'generated', div: sentence(event) } };
  if (view === 'whole') return told;
  const kept = Object.entries(told).filter(([name]) => KEPT.includes(name) || name === 'text');
  const agents = listOf(event.agent).map((agent) => (recipients ? agent : agentShown(agent, persons)));
  const entities = listOf(event.entity).flatMap((entity) => entityShown(entity, persons));
  return { ...Object.fromEntries(kept), agent: agents, ...(entities.length === 0 ? {} : { entity: entities }) };
}

const listOf = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter((each) => isJsonObject(each)) : [];
const codeOf = (value: Json | undefined): string => (isJsonObject(value) ? String(value.code ?? '') : '');
const codesOf = (value: Json | undefined): readonly string[] =>
  listOf(value).flatMap((each) => listOf(each.coding).map((coding) => codeOf(coding)));

const MASKED = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'masked' }],
};

/** Applications are named, people only when they are the person. */
function agentShown({ type, who, requestor }: JsonObject, persons: readonly string[]): JsonObject {
  const reference = isJsonObject(who) ? who.reference : undefined;
  const isPerson = persons.some((id) => reference === `Patient/${id}`);
  const isApplication = APPLICATIONS.some((code) => codesOf([{ ...(isJsonObject(type) ? type : {}) }]).includes(code));
  const named = isPerson || isApplication ? who : MASKED;
  return { ...(type === undefined ? {} : { type }), who: named ?? MASKED, requestor: requestor ?? false };
}

/** Types of agents that are software: source, destination, application, custodian. */
const APPLICATIONS = ['110152', '110153', '110150', 'custodian'];

function entityShown({ what, type, role, name }: JsonObject, persons: readonly string[]): readonly JsonObject[] {
  const reference = isJsonObject(what) && typeof what.reference === 'string' ? what.reference : '';
  const other = /^Patient\/([^/]+)/.exec(reference)?.[1];
  // Who posts a disclosure need not say in which role the patient is in it.
  if (other === undefined ? !SHOWN_ROLES.has(codeOf(role)) : !persons.includes(other)) return [];
  const parts = { what: reference === '' ? undefined : { reference }, type, role, name };
  return [
    Object.fromEntries(Object.entries(parts).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
  ];
}

/** One sentence: instants, codes and ids only, escaped. */
function sentence(event: Resource): string {
  const codes = listOf(event.subtype).map((each) => codeOf(each));
  const what = listOf(event.entity)
    .filter(({ role }) => ['3', '4', '20'].includes(codeOf(role)))
    .map((entity) => (isJsonObject(entity.what) ? entity.what.reference : undefined) ?? entity.name)
    .filter((name) => typeof name === 'string');
  const purposes = codesOf(event.purposeOfEvent);
  const parts = [
    String(event.recorded ?? ''),
    codes.join(' ') || codeOf(event.type),
    what.join(', '),
    purposes.length === 0 ? '' : `purpose ${purposes.join(', ')}`,
    event.outcome === '0' ? '' : `refused or failed`,
  ];
  const text = parts.filter((part) => part !== '').join(' - ');
  const escaped = text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<div xmlns="http://www.w3.org/1999/xhtml">${escaped}</div>`;
}
