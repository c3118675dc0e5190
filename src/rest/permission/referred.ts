/**
 * Joins of an access filter, answered for one resource in hand by index look-ups: Binary.securityContext is the only one there is.
 * Source: FHIR R4 binary.html; decision 0046.
 */
import type { Resource } from '../../fhir/resource.ts';
import type { IndexEntry, Predicate, Verb } from '../../fhir/search/algebra.ts';
import { unfilteredPlan } from '../../fhir/search/plan.ts';
import { needsOthers } from '../../fhir/search/satisfies.ts';
import { BINARY } from '../../fhir/search/security-context.ts';
import { and, NONE, not, or } from '../../fhir/search/simplify.ts';
import type { Caller, RestContext } from '../context.ts';

const VERBS: readonly Verb[] = ['create', 'read', 'update', 'delete', 'search'];

/** The caller as to these versions of one resource: their access to its type joins no other resources any more. Cost: a seek a reference. */
export async function settled(resources: readonly Resource[], caller: Caller, context: RestContext): Promise<Caller> {
  const { access } = caller;
  const [first] = resources;
  if (first?.resourceType !== BINARY) return caller;
  const rows = resources.flatMap((each) => context.indexEntries(each));
  const known = new Map<string, Promise<Predicate>>();
  const byVerb = new Map<Verb, Predicate>();
  for (const verb of VERBS) {
    const own = verb === 'search' ? new Map() : known; // a search asks otherwise than the rest
    byVerb.set(verb, await resolved(access.visible(BINARY, verb), rows, own, context));
  }
  const visible: typeof access.visible = (type, verb) =>
    (type === BINARY ? byVerb.get(verb) : undefined) ?? access.visible(type, verb);
  return { ...caller, access: { ...access, visible } };
}

type Chain = Extract<Predicate, { kind: 'chain' }>;

/** @param known the answers to chains by the type they lead to, which several verbs share */
async function resolved(
  predicate: Predicate,
  rows: readonly IndexEntry[],
  known: Map<string, Promise<Predicate>>,
  context: RestContext,
): Promise<Predicate> {
  if (!needsOthers(predicate)) return predicate;
  const each = (of: readonly Predicate[]) => Promise.all(of.map((one) => resolved(one, rows, known, context)));
  switch (predicate.kind) {
    case 'and':
      return and(await each(predicate.of));
    case 'or':
      return or(await each(predicate.of));
    case 'not':
      return not(await resolved(predicate.of, rows, known, context));
    case 'chain': {
      const asked = known.get(predicate.type) ?? followed(predicate, rows, context);
      known.set(predicate.type, asked);
      return asked;
    }
    default:
      throw new TypeError('An access filter joins by what a resource points at, and by nothing else.');
  }
}

/** The chain as the references that satisfy it. */
async function followed({ parameter, type, where }: Chain, rows: readonly IndexEntry[], { store }: RestContext) {
  const ids = rows.flatMap((row) =>
    row.kind === 'reference' && row.parameter === parameter && row.target.startsWith(`${type}/`)
      ? [row.target.slice(type.length + 1)]
      : [],
  );
  if (ids.length === 0) return NONE;
  const plan = unfilteredPlan(type, and([{ kind: 'ids', ids }, where]));
  const { matches } = await store.search(plan, { count: ids.length });
  const targets = matches.map(({ key }) => `${type}/${key.id}`);
  return targets.length === 0 ? NONE : ({ kind: 'reference', parameter, targets } as const);
}
