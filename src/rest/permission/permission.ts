/**
 * The caller's access asked of one resource in hand: what is read by id, old versions, and what is to be written. Source: SMART App Launch 2.2;
 * docs/authorization.md. What may not be seen is answered like what was never there; only what a type's scope leaves out is said (403).
 */
import { type FhirError, fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, label, type Resource, type ResourceKey, serialize } from '../../fhir/resource.ts';
import type { Predicate, Verb } from '../../fhir/search/algebra.ts';
import { satisfies } from '../../fhir/search/satisfies.ts';
import { withoutRows } from '../../fhir/search/simplify.ts';
import { searchableTypes } from '../../fhir/search/system.ts';
import { mayRelabel, restrictingCodes } from '../../smart/policy.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { settled } from './referred.ts';
import { assertKeepsConsent, assertNobodyElses } from './whose.ts';

/** @throws FhirError `insufficient-scope` (403) when the caller may do this with no resource of the type, whatever is held */
export function assertInScope(type: string, verbs: readonly Verb[], caller: Caller): void {
  if (verbs.every((verb) => caller.access.visible(type, verb).kind !== 'none')) return;
  throw fhirError('insufficient-scope', `This is not permitted to this caller for ${type}: ${verbs.join(' and ')}.`);
}

/**
 * Whether the caller may do this with every resource of the type, whatever becomes of it: then absence can be told and criteria can be trusted.
 * Never of what a patient's Consent could hide, also while there is none.
 */
export function seesAll(type: string, verbs: readonly Verb[], { access }: Pick<Caller, 'access'>): boolean {
  return isOpen(type, verbs, access) && access.isBound?.(type) !== true;
}

/** Whether nothing of the type is hidden from the caller now. */
const isOpen = (type: string, verbs: readonly Verb[], access: Caller['access']): boolean =>
  verbs.every((verb) => access.visible(type, verb).kind === 'all');

/** @throws FhirError `insufficient-scope` (403) for a caller whose view of the type is narrower than everything */
export function assertSeesAll(type: string, verbs: readonly Verb[], why: string, caller: Caller): void {
  if (!seesAll(type, verbs, caller)) throw fhirError('insufficient-scope', why);
}

/** Whether the caller may search everything. */
export function seesEverything(caller: Caller, { capability }: Pick<RestContext, 'capability'>): boolean {
  return searchableTypes(capability).every((type) => seesAll(type, ['search'], caller));
}

/**
 * Whether the caller may do this with a resource as it is here; a Binary needs a caller who is settled (referred.ts). Cost: its index rows, for
 * callers with a narrow view only.
 */
export function permits(
  verb: Verb,
  resource: Resource,
  { id, at }: { readonly id: string; readonly at: number },
  caller: Caller,
  context: Pick<RestContext, 'indexEntries'>,
): boolean {
  const type = resource.resourceType;
  const visible = caller.access.visible(type, verb);
  if (visible.kind === 'all' || visible.kind === 'none') return visible.kind === 'all';
  const hasLabel = isJsonObject(resource.meta) && resource.meta.security !== undefined;
  if (!hasLabel && withoutLabels(type, verb, caller.access).kind === 'all') return true;
  return satisfies(visible, { type, id, at, entries: context.indexEntries(resource) });
}

/** A stored text without this has no label: it is written by `serialize`, which escapes nothing of a name. */
const HAS_LABEL = /"security":/;

const unlabelled = new WeakMap<Predicate, Predicate>();

/** What is left to ask of a version without labels: often nothing that its index rows are needed for, and most versions have none. */
function withoutLabels(type: string, verb: Verb, access: Caller['access']): Predicate {
  const visible = access.visible(type, verb);
  const known = unlabelled.get(visible) ?? withoutRows(visible, `${type}._security`);
  unlabelled.set(visible, known);
  return known;
}

/** Whether a predicate is judged by the id alone. */
function isById(predicate: Predicate): boolean {
  if (predicate.kind === 'and' || predicate.kind === 'or') return predicate.of.every(isById);
  return predicate.kind === 'not' ? isById(predicate.of) : ['all', 'none', 'ids'].includes(predicate.kind);
}

/** Whether the caller may do all of this with a version; a deletion is judged by what was deleted. */
export async function permitsVersion(
  verbs: readonly Verb[],
  version: StoredVersion,
  caller: Caller,
  context: RestContext,
): Promise<boolean> {
  const { key, at } = version;
  if (isOpen(key.type, verbs, caller.access)) return true;
  const text = version.text ?? (await context.store.read(key, version.version - 1))?.text;
  if (text === undefined) return false;
  if (!HAS_LABEL.test(text)) {
    const left = verbs.map((verb) => withoutLabels(key.type, verb, caller.access));
    if (left.every(isById)) return left.every((each) => satisfies(each, { ...key, at, entries: [] }));
  }
  const resource = storedResource(text);
  const asked = await settled([resource], caller, context);
  return verbs.every((verb) => permits(verb, resource, { id: key.id, at }, asked, context));
}

/** The current version (also a deletion) as the caller may know of it: undefined for what is not there and for what they may not do this with. */
export async function heldFor(
  verbs: readonly Verb[],
  key: ResourceKey,
  caller: Caller,
  context: RestContext,
): Promise<StoredVersion | undefined> {
  const current = await context.store.read(key);
  return current !== undefined && (await permitsVersion(verbs, current, caller, context)) ? current : undefined;
}

/**
 * Refuses a new version that the caller may not write: one that takes the place of what they may not update (404, as if it were not there), one
 * under an id that may be taken unseen (404), one that lies outside what they may write or is another patient's too (403), one by which a Consent
 * that binds them would deny less (403), and links by which a record would become another person's (403).
 */
export function assertMayPut(
  resource: Resource,
  key: ResourceKey,
  current: StoredVersion | undefined,
  byId: boolean,
  caller: Caller,
  context: RestContext,
): void {
  const held = current === undefined || current.deleted || current.text === undefined ? undefined : current;
  const verb = held === undefined ? 'create' : 'update';
  const narrow = !seesAll(key.type, [verb], caller);
  if (held === undefined && byId && !seesAll(key.type, ['create', 'update'], caller)) throw unknown(key);
  assertInScope(key.type, [verb], caller);
  if (!narrow) {
    assertKeepsLabels(held?.text, resource, caller, context);
    return;
  }
  const before = held === undefined ? undefined : storedResource(held.text ?? 'null');
  if (before !== undefined && !permits('update', before, { id: key.id, at: held?.at ?? 0 }, caller, context)) {
    throw unknown(key);
  }
  const subject = { id: key.id, at: context.ambient.now() };
  if (!permits(verb, resource, subject, caller, context)) {
    throw fhirError('insufficient-scope', `The ${key.type} as it would be lies outside what this caller may write.`);
  }
  assertNobodyElses(verb, [resource, before], caller, context);
  assertKeepsConsent(before, resource, caller, context);
  assertKeepsLabels(held?.text, resource, caller, context);
  if (linksOf(resource) !== linksOf(before)) {
    throw fhirError('insufficient-scope', 'Patient.link is not for this caller to change.');
  }
}

/** @throws FhirError `insufficient-scope` (403) for a version by which a restricted resource, of stored text `before`, would be so no more */
function assertKeepsLabels(
  before: string | undefined,
  after: Resource,
  { rights }: Caller,
  context: RestContext,
): void {
  if (before === undefined || !HAS_LABEL.test(before) || mayRelabel(rights, context.policy)) return;
  const kept = labelsOf(after, context);
  if (labelsOf(storedResource(before), context).every((code) => kept.includes(code))) return;
  throw fhirError('insufficient-scope', 'A label that restricts is not for this caller to take off.');
}

/** Codes by which a resource is restricted. */
function labelsOf({ meta }: Resource, { policy }: RestContext): readonly string[] {
  const labels = isJsonObject(meta) && Array.isArray(meta.security) ? meta.security.filter(isJsonObject) : [];
  const restricting = policy === undefined ? new Set<string>() : restrictingCodes(policy);
  return labels.flatMap(({ code }) => (typeof code === 'string' && restricting.has(code) ? [code] : []));
}

/** Patient.link decides whose record it is; no other type's `link` does. */
function linksOf(resource: Resource | undefined): string {
  if (resource?.resourceType !== 'Patient') return '';
  const { link } = resource;
  return Array.isArray(link) ? serialize(link.filter(isJsonObject)) : '';
}

/** As for an id that was never used. */
export function unknown(key: ResourceKey): FhirError {
  return fhirError('not-found', `\`${label(key)}\` is not known.`);
}
