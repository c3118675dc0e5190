/**
 * What limits a caller beside scopes: roles, and the labels that restrict. Read from files once, plain data ever after.
 * Source: docs/authorization.md, decision 0037; HL7 v3 Confidentiality, ActCode.
 */
import type { Verb } from '../fhir/search/algebra.ts';
import type { Provision } from './consent-rule.ts';
import type { Rights, Situation } from './scopes.ts';

export interface Clearance {
  /** The highest code of v3 Confidentiality that is seen. */
  readonly confidentiality: string;
  /** Codes of sensitivity that are seen; `*` = every one. */
  readonly sensitivity: readonly string[];
}
/** What a role may do with some types. */
export interface Permit {
  /** `*` = every type that needs not be named. */
  readonly types: readonly string[];
  readonly verbs: readonly Verb[];
  /** Raw search parameters that a resource must satisfy; '' = none. */
  readonly query: string;
}
export interface Role {
  readonly name: string;
  readonly title: string;
  readonly permits: readonly Permit[];
  readonly clearance: Clearance;
  readonly boundByConsent: boolean;
  /** May take a restricted label off. */
  readonly relabels: boolean;
  /** What is left of `patient/` scopes when this role breaks the glass; nothing: it may not. */
  readonly breakGlass: readonly Verb[];
  /** May have de-identified exports made. */
  readonly deidentifies: boolean;
  /** What belongs to who made it is this role's whoever made it: Subscriptions. */
  readonly othersSubscriptions: boolean;
}
export interface RestrictingLabels {
  /** From the least to the most confidential. */
  readonly confidentiality: readonly string[];
  /** The highest that restricts nobody. */
  readonly open: string;
  readonly sensitivity: readonly string[];
}
export interface AccessPolicy {
  readonly roles: ReadonlyMap<string, Role>;
  /** What the site denies where no Consent of the patient permits; absent: nothing. */
  readonly consentDefault?: Provision;
  readonly labels: RestrictingLabels;
}

/** The roles by which a caller is judged; undefined: none narrows the scopes. Names that no file defines permit nothing. */
export function rolesOf({ roles }: Situation, policy: AccessPolicy): readonly Role[] | undefined {
  return roles?.flatMap((name) => policy.roles.get(name) ?? []);
}

/** Codes that a caller does not see. Who has no role sees what is open. */
export function hiddenLabels(situation: Situation, policy: AccessPolicy): readonly string[] {
  const { confidentiality, open, sensitivity } = policy.labels;
  const clearances = (rolesOf(situation, policy) ?? []).map(({ clearance }) => clearance);
  const highest = Math.max(
    ...[open, ...clearances.map((each) => each.confidentiality)].map((code) => confidentiality.indexOf(code)),
  );
  const cleared = new Set([...clearances.flatMap((each) => each.sensitivity), ...(situation.clearance ?? [])]);
  const above = confidentiality.slice(highest + 1).filter((code) => !cleared.has(code));
  return cleared.has('*') ? above : [...above, ...sensitivity.filter((code) => !cleared.has(code))];
}

/** Every code that restricts a resource. */
export function restrictingCodes({ labels }: AccessPolicy): ReadonlySet<string> {
  const { confidentiality, open, sensitivity } = labels;
  return new Set([...confidentiality.slice(confidentiality.indexOf(open) + 1), ...sensitivity]);
}

export function isBoundByConsent(situation: Situation, policy: AccessPolicy): boolean {
  return !(rolesOf(situation, policy) ?? []).some(({ boundByConsent }) => !boundByConsent);
}

/** Whether what belongs to who made it is seen whoever made it. */
export const seesOthers = (situation: Situation, policy: AccessPolicy | undefined): boolean =>
  policy !== undefined && (rolesOf(situation, policy) ?? []).some(({ othersSubscriptions }) => othersSubscriptions);

/** Whether a caller may have de-identified exports made. */
export const mayDeidentify = (rights: Rights, policy: AccessPolicy | undefined): boolean =>
  hasRight(rights, policy, ({ deidentifies }) => deidentifies);

/** Whether a caller may take restricted labels off. */
export const mayRelabel = (rights: Rights, policy: AccessPolicy | undefined): boolean =>
  hasRight(rights, policy, ({ relabels }) => relabels);

/** Where no policy is in force everybody has it; who has no role has not. */
function hasRight(rights: Rights, policy: AccessPolicy | undefined, right: (role: Role) => boolean): boolean {
  if (rights.kind !== 'granted' || policy === undefined) return true;
  return (rolesOf(rights.situation ?? { purposes: [], actors: [] }, policy) ?? []).some(right);
}
