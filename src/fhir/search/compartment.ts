/** Compartments as predicates: what of a type lies in `Patient/1`. Source: FHIR R4 search.html#compartments, compartmentdefinition.html. */
import type { Definitions } from '../definitions/definitions.ts';
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
 * Patients to one of whom, by compartment, everything belongs that satisfies a predicate on one type; undefined: it may be anybody's, or
 * nobody's.
 */
export function confinedTo(
  type: string,
  where: Predicate,
  definitions: Pick<Definitions, 'compartmentParameters'>,
): readonly string[] | undefined {
  const each = (of: readonly Predicate[]) => of.map((one) => confinedTo(type, one, definitions));
  switch (where.kind) {
    case 'none':
      return [];
    case 'and':
      return each(where.of)
        .filter((ids) => ids !== undefined)
        .toSorted((a, b) => a.length - b.length)[0];
    case 'or': {
      const found = each(where.of);
      return found.includes(undefined) ? undefined : [...new Set(found.flatMap((ids) => ids ?? []))];
    }
    case 'ids':
      return type === 'Patient' ? where.ids : undefined;
    case 'reference': {
      const codes = definitions.compartmentParameters('Patient', type);
      const isOwner = codes.some((code) => where.parameter === `${type}.${code}`);
      const targets = where.targets.filter((target) => target.startsWith('Patient/'));
      return isOwner && targets.length === where.targets.length
        ? targets.map((target) => target.slice('Patient/'.length))
        : undefined;
    }
    default:
      return undefined;
  }
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
