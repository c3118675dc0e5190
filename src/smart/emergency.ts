/**
 * Emergency access ("break-glass"): what a token that states the purpose BTG must be, and what is left of it.
 * Source: HL7 v3-ActReason (BTG); 45 CFR 164.312(a)(2)(ii); docs/privacy.md, decision 0044.
 */
import type { Verb } from '../fhir/search/algebra.ts';
import type { CallerFacts } from '../rest/permission/caller.ts';
import type { AccessToken } from './bearer.ts';
import type { AccessPolicy } from './policy.ts';
import type { Scope } from './scopes.ts';

/** Code of v3-ActReason: break the glass. */
export const BTG = 'BTG';
/** Longest life of such a token, s. */
export const EMERGENCY_S = 900;
/** What an id of a token may be, so that what was done with it can be found by it. */
const TOKEN_ID = /^[!-~]{1,128}$/;

export const isEmergency = (purposes: readonly string[]): boolean => purposes.includes(BTG);

/** Told before the first answer to such a token; rejects when that cannot be made durable: then there is no answer. */
export type TellEmergency = (facts: CallerFacts, token: AccessToken, patient: string) => Promise<void>;

/** Claims of a token, as far as an emergency needs them. */
interface Claimed {
  readonly id: string | undefined;
  readonly patient: string | undefined;
  /** s since 1970. */
  readonly issuedAt: unknown;
  readonly expiresAt: number;
}

/** Whether a token for an emergency is of one patient, can be told from others, and is short. */
export function isShortAndOfOne({ id, patient, issuedAt, expiresAt }: Claimed): boolean {
  if (id === undefined || !TOKEN_ID.test(id) || patient === undefined) return false;
  return typeof issuedAt === 'number' && expiresAt - issuedAt <= EMERGENCY_S;
}

/** What the roles leave of `patient/` scopes in an emergency; nothing: none of them may break the glass. */
export function emergencyVerbs(
  roles: readonly string[] | undefined,
  policy: AccessPolicy | undefined,
): ReadonlySet<Verb> {
  return new Set((roles ?? []).flatMap((name) => policy?.roles.get(name)?.breakGlass ?? []));
}

/** Only those of the patient, only what the roles leave. */
export function emergencyScopes(scopes: readonly Scope[], left: ReadonlySet<Verb>): readonly Scope[] {
  return scopes.flatMap((scope) => {
    const verbs = scope.context === 'patient' ? scope.verbs.filter((verb) => left.has(verb)) : [];
    return verbs.length === 0 ? [] : [{ ...scope, verbs }];
  });
}
