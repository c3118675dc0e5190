/**
 * Which Patient resources are the same person: Patient.link followed both ways, whatever its type, over cycles too. Source: FHIR R4
 * patient.html#links ("replaced-by", "replaces", "refer", "seealso": each says that both records are about one person).
 * One index seek a step and no work where nothing is linked; the result is asked for at each search, so a link counts from its commit on.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Resource } from '../../fhir/resource.ts';
import type { AccessFilter, SearchPlan } from '../../fhir/search/algebra.ts';
import { PATIENT, PATIENT_LINK } from '../../fhir/search/person.ts';
import { planOf, unfilteredPlan } from '../../fhir/search/plan.ts';
import type { SearchQuery } from '../../fhir/search/query.ts';
import { and } from '../../fhir/search/simplify.ts';
import { localReference } from '../../fhir/search/value.ts';
import type { RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';

type Links = Pick<RestContext, 'store' | 'capability' | 'settings'>;

/** Most further records that are followed from one. More are refused: an answer that leaves some out looks complete. */
export const LINKED_LIMIT = 100;
/** Most of one request. */
const MOST = 10_000;
/** Ids asked for at once. */
const STEP = 500;
/** Patients that a step reads at once. */
const PAGE = 200;

/** Ids of the Patients that are one person with `id`, itself first. @throws FhirError `too-costly` (400) over `LINKED_LIMIT` */
export async function personOf(id: string, access: AccessFilter, context: Links): Promise<readonly string[]> {
  return (await personsOf([id], access, context)).get(id) ?? [id];
}

/**
 * Of each id, the Patients that are the same person, itself first. Links to what is deleted or was never here count too: what points there
 * is still held. Only links in Patients that may be searched are followed: who may not see a link learns nothing from it.
 * @throws FhirError `too-costly` (400) when more than `most` records are linked to those asked for
 */
export async function personsOf(
  ids: readonly string[],
  access: AccessFilter,
  context: Links,
  most = Math.min(ids.length * LINKED_LIMIT, MOST),
): Promise<ReadonlyMap<string, readonly string[]>> {
  const joined = new Map<string, Set<string>>(ids.map((id) => [id, new Set()]));
  if (!(await isAnyLinked(context))) return new Map(ids.map((id) => [id, [id]]));
  const limit = joined.size + most;
  let frontier: readonly string[] = [...joined.keys()];
  while (frontier.length > 0) {
    const fresh = new Set<string>();
    const meet = (one: string, other: string): void => {
      for (const id of [one, other]) if (!joined.has(id)) fresh.add(id);
      joined.set(one, (joined.get(one) ?? new Set()).add(other));
      joined.set(other, (joined.get(other) ?? new Set()).add(one));
      if (joined.size > limit) {
        throw fhirError('too-costly', `More than ${most} Patients are linked to those asked for by Patient.link.`);
      }
    };
    for await (const { id, links } of linked(frontier, access, context)) for (const other of links) meet(id, other);
    frontier = [...fresh];
  }
  return new Map(ids.map((id) => [id, reached(id, joined)]));
}

function isFollowed({ capability }: Pick<RestContext, 'capability'>): boolean {
  return capability.types.get(PATIENT)?.searchParameters.has('link') === true;
}

/** The held Patients that have links and are among these, or link to one of them. */
async function* linked(ids: readonly string[], access: AccessFilter, { store, settings }: Links) {
  for (let from = 0; from < ids.length; from += STEP) {
    const some = ids.slice(from, from + STEP);
    const targets = some.map((id) => `${PATIENT}/${id}`);
    const where: SearchPlan['where'] = {
      kind: 'or',
      of: [
        and([
          { kind: 'ids', ids: some },
          { kind: 'missing', parameter: PATIENT_LINK, missing: false },
        ]),
        { kind: 'reference', parameter: PATIENT_LINK, targets },
      ],
    };
    const plan = planOf(PATIENT, where, access);
    let after: string | undefined;
    do {
      const { matches, next } = await store.search(plan, { count: PAGE, after });
      for (const { key, text } of matches) {
        yield { id: key.id, links: linksOf(storedResource(text ?? 'null'), settings.fhirBase) };
      }
      after = next;
    } while (after !== undefined);
  }
}

/** Ids of the Patients of this server that a Patient links to. */
export function linksOf({ link }: Resource, fhirBase: string): readonly string[] {
  return (Array.isArray(link) ? link : []).flatMap((each) => {
    const other = isJsonObject(each) ? each.other : undefined;
    const text = isJsonObject(other) && typeof other.reference === 'string' ? other.reference : '';
    const target = localReference(text, fhirBase);
    return target?.startsWith(`${PATIENT}/`) ? [target.slice(PATIENT.length + 1)] : [];
  });
}

/** Everything joined to `id`, nearest first. */
function reached(id: string, joined: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const found = new Set([id]);
  for (const each of found) for (const other of joined.get(each) ?? []) found.add(other);
  return [...found];
}

/** Whether any Patient has a link, as of a state of the store: most stores never hold one, and every search of a patient asks. */
const remembered = new WeakMap<Links['store'], { readonly stamp: number; readonly isAny: boolean }>();

/** True when some Patient has a link at all. */
async function isAnyLinked(context: Links): Promise<boolean> {
  if (!isFollowed(context)) return false;
  const stamp = context.store.stamp() ?? (await context.store.askedStamp([PATIENT]));
  const known = remembered.get(context.store);
  if (known !== undefined && known.stamp === stamp) return known.isAny;
  const isAny = await findsLink(context);
  if (stamp !== undefined) remembered.set(context.store, { stamp, isAny });
  return isAny;
}

/** Of all Patients: the answer only decides whether links are looked for. */
async function findsLink(context: Links): Promise<boolean> {
  const plan = unfilteredPlan(PATIENT, { kind: 'missing', parameter: PATIENT_LINK, missing: false });
  return (await context.store.search(plan, { count: 1 })).matches.length > 0;
}

/** Plans searches of one request; what is found of a patient's links is kept for its other searches. */
export function personPlanner(access: AccessFilter, context: RestContext): (query: SearchQuery) => Promise<SearchPlan> {
  const known = new Map<string, readonly string[]>();
  let isAny: boolean | undefined;
  return async (query) => {
    const named = new Set<string>();
    let joins = false;
    const literal = context.planSearch(query, access, {
      same: (id) => {
        named.add(id);
        return [id];
      },
      isAny: () => {
        joins = true;
        return false;
      },
    });
    const unknown = [...named].filter((id) => !known.has(id));
    if (unknown.length > 0) for (const [id, same] of await personsOf(unknown, access, context)) known.set(id, same);
    if (joins) isAny ??= await isAnyLinked(context);
    const follows = isAny === true && joins;
    if (!follows && [...named].every((id) => (known.get(id)?.length ?? 1) === 1)) return literal;
    return context.planSearch(query, access, { same: (id) => known.get(id) ?? [id], isAny: () => follows });
  };
}
