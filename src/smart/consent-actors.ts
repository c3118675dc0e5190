/** Whom a Consent means when it names an organisation, a team or a group: the memberships of one who acts, as the store holds them. */
import { isJsonObject, type Json, label } from '../fhir/resource.ts';
import type { Predicate } from '../fhir/search/algebra.ts';
import { unfilteredPlan } from '../fhir/search/plan.ts';
import { or } from '../fhir/search/simplify.ts';
import { localReference } from '../fhir/search/value.ts';
import type { RestContext } from '../rest/context.ts';
import { storedResource } from '../rest/wire/represent.ts';

type Held = Pick<RestContext, 'store' | 'settings'>;

/** Most roles, teams and groups of one who acts, each. */
const MOST = 200;

/** The actors, their PractitionerRoles with those' organisations, and the CareTeams and Groups that any of these is in. */
export async function withMemberships(actors: readonly string[], context: Held): Promise<readonly string[]> {
  const people = actors.filter((actor) => /^(?:Practitioner|PractitionerRole)\//.test(actor));
  if (people.length === 0) return actors;
  const ids = people.filter((each) => each.startsWith('PractitionerRole/')).map((each) => each.replace(/^.*\//, ''));
  const roles = await found(
    'PractitionerRole',
    or([
      { kind: 'reference', parameter: 'PractitionerRole.practitioner', targets: people },
      { kind: 'ids', ids },
    ]),
    context,
  );
  const known = new Set([...actors, ...roles.flatMap(({ name, at }) => [name, ...at])]);
  for (const [type, code] of [['CareTeam', 'participant'] as const, ['Group', 'member'] as const]) {
    const where = { kind: 'reference', parameter: `${type}.${code}`, targets: [...known] } as const;
    for (const { name } of await found(type, where, context)) known.add(name);
  }
  return [...known].toSorted();
}

async function found(type: string, where: Predicate, { store, settings }: Held) {
  const { matches } = await store.search(unfilteredPlan(type, where), { count: MOST });
  return matches.map(({ key, text }) => {
    const { practitioner, organization } = storedResource(text ?? 'null');
    const at = [practitioner, organization].flatMap((each: Json | undefined) => {
      const reference = isJsonObject(each) && typeof each.reference === 'string' ? each.reference : '';
      return localReference(reference, settings.fhirBase) ?? [];
    });
    return { name: label(key), at };
  });
}
