/** Compartments as predicates: what of a type lies in `Patient/1`. Source: FHIR R4 search.html#compartments, compartmentdefinition.html. */
import type { Definitions } from '../definitions.ts';
import { label, type ResourceKey } from '../resource.ts';
import type { Predicate, SearchPlan } from './algebra.ts';
import { or } from './simplify.ts';

/** The CompartmentDefinitions of R4: their canonicals, as `CapabilityStatement.rest.compartment` names them, and the types they are about. */
export const COMPARTMENTS: ReadonlyMap<string, string> = new Map(
  ['Patient', 'Encounter', 'RelatedPerson', 'Practitioner', 'Device'].map((type) => [
    `http://hl7.org/fhir/CompartmentDefinition/${type.charAt(0).toLowerCase()}${type.slice(1)}`,
    type,
  ]),
);

/** The Patient whose compartment is searched, for the audit. */
export function ownerPatients(owner: ResourceKey | undefined): readonly string[] {
  return owner?.type === 'Patient' ? [owner.id] : [];
}

/**
 * Patients that a search asks for by name, whether it finds anything or not: BALP wants its event to name them (PatientQuery).
 * References that are excluded (`:not`) or only passed through (chains) name nobody.
 */
export function namedPatients({ type, where }: SearchPlan): readonly string[] {
  const named = (predicate: Predicate): readonly string[] => {
    if (predicate.kind === 'and' || predicate.kind === 'or') return predicate.of.flatMap(named);
    if (predicate.kind === 'ids') return type === 'Patient' ? predicate.ids : [];
    if (predicate.kind !== 'reference') return [];
    return predicate.targets.flatMap((target) =>
      target.startsWith('Patient/') ? [target.slice('Patient/'.length)] : [],
    );
  };
  return [...new Set(named(where))];
}

/**
 * Resources of `type` in the compartment of `owner`; undefined when the definition gives the type no part in it.
 * @param ids the owner's, and those of other records of the same person
 */
export function compartmentPredicate(
  owner: ResourceKey,
  type: string,
  definitions: Pick<Definitions, 'compartmentParameters'>,
  ids: readonly string[] = [owner.id],
): Predicate | undefined {
  const codes = definitions.compartmentParameters(owner.type, type);
  if (codes.length === 0) return undefined;
  return or(
    codes.map(
      (code): Predicate =>
        code === '{def}'
          ? { kind: 'ids', ids }
          : { kind: 'reference', parameter: `${type}.${code}`, targets: ids.map((id) => label({ ...owner, id })) },
    ),
  );
}
