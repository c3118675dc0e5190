/**
 * What codes of a provision mean for an interaction, as tables. Source: FHIR R4 consent.html (Consent.provision.action, .actor.role), CodeSystem
 * consentaction, v3-ParticipationType, v3-RoleCode. A denial counts for whatever it may mean, a permission for what it means beyond doubt.
 */
import type { Verb } from '../fhir/search/algebra.ts';

interface Actions {
  /** Any of them, denied, denies it. */
  readonly denying: readonly string[];
  /** Any of them, permitted, permits it. */
  readonly permitting: readonly string[];
}
/** What becomes of data that was given (used, disclosed) is not seen from here; `correct` is "access and correct". */
const SEEING: Actions = { denying: ['access', 'use', 'disclose', 'correct'], permitting: ['access', 'correct'] };
const ACTIONS = {
  read: SEEING,
  search: SEEING,
  create: { denying: ['collect'], permitting: ['collect'] },
  update: { denying: ['collect', ...SEEING.denying], permitting: ['correct'] },
  delete: { denying: SEEING.denying, permitting: ['correct'] },
} as const satisfies Record<Verb, Actions>;
const KNOWN: ReadonlySet<string> = new Set(['collect', 'access', 'use', 'disclose', 'correct']);

/** @param wide what cannot be judged is about it: codes of other systems */
export function isAboutAction(actions: readonly string[], verb: Verb, wide: boolean): boolean {
  if (actions.length === 0) return true;
  const { denying, permitting }: Actions = ACTIONS[verb];
  return actions.some((code) => (wide ? denying.includes(code) || !KNOWN.has(code) : permitting.includes(code)));
}

/** Roles of who is given what the provision is about. Custodians, authors and guardians are named in provisions too, and are not. */
const RECIPIENTS: ReadonlySet<string> = new Set(['PRCP', 'IRCP', 'TRC', 'DELEGATEE', 'GRANTEE']);

/** Whether one of the roles says that the actor is given the data. */
export const isRecipient = (roles: readonly string[]): boolean => roles.some((code) => RECIPIENTS.has(code));
