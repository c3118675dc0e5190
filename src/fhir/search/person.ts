/**
 * A search by a patient means the person: every Patient resource that Patient.link joins is asked for. Source: FHIR R4 patient.html#links,
 * docs/decisions/0019-patient-merge.md. Links are never followed to widen what a caller may see: access is joined after this.
 */
import { SUPPORTED } from '../definitions/capability.ts';
import type { ParameterKey, Predicate } from './algebra.ts';
import { and, chain, has, or } from './simplify.ts';

export const PATIENT = 'Patient';
/** The index rows that links are followed by. */
export const PATIENT_LINK: ParameterKey = `${PATIENT}.link`;

/** What is known of Patient.link when a search is planned. */
export interface PatientLinks {
  /** Ids of the Patients that are this person, this one among them. */
  same(id: string): readonly string[];
  /** False: no Patient has a link, so that joins need not look for any. */
  isAny(): boolean;
}

/** As if nobody had a link. */
export const NO_LINKS: PatientLinks = { same: (id) => [id], isAny: () => false };

/** Whether a reference parameter names a person: all do but the link itself and those of the audit, which are asked as written. */
export function namesPerson(parameter: ParameterKey): boolean {
  return parameter !== PATIENT_LINK && !SUPPORTED.apart.has(parameter.slice(0, parameter.indexOf('.')));
}

/** The targets of a reference with those that are the same person. */
export function samePersons(
  parameter: ParameterKey,
  targets: readonly string[],
  { same }: PatientLinks,
): readonly string[] {
  if (!namesPerson(parameter)) return targets;
  const found = targets.flatMap((target) =>
    target.startsWith(`${PATIENT}/`)
      ? same(target.slice(PATIENT.length + 1)).map((id) => `${PATIENT}/${id}`)
      : [target],
  );
  return [...new Set(found)];
}

/**
 * Patients that satisfy `where`, or are joined by one or two links to one that does: a merge makes stars, whose points are two links apart.
 * @param visible what the caller may see of Patients, which holds for those on the way too
 */
export function throughLinks(where: Predicate, visible: Predicate): Predicate {
  const joined = (inner: Predicate): Predicate =>
    or([chain(PATIENT_LINK, PATIENT, inner), has(PATIENT, PATIENT_LINK, inner)]);
  const near = joined(and([visible, where]));
  return or([where, near, joined(and([visible, near]))]);
}
