/**
 * An app that asks for emergency access (`purpose_of_use=BTG`): who may, what is left of its scopes, and the reason.
 * Source: HL7 v3-ActReason; docs/privacy.md#break-glass, decision 0044.
 */
import type { Interaction } from 'oidc-provider';
import { isObject, isTexts } from './records.ts';
import { parseScope } from './scope.ts';

/** Code of v3-ActReason. */
export const BTG = 'BTG';
/** Life of a token for an emergency, s. */
export const EMERGENCY_S = 900;
/** Longest free text, characters. */
export const REASON_LENGTH = 1000;

/** THE table: why the glass may be broken. */
export const REASONS: Readonly<Record<string, string>> = {
  'life-threatening': 'Danger to life or health, and no time to ask',
  'cannot-consent': 'The patient cannot be asked',
  'safety-of-others': 'Danger to somebody else',
  'system-failure': 'The usual access does not work',
  other: 'Another reason, which is written below',
};
/** The reason that says nothing without words. */
const OTHER = 'other';

export interface GivenReason {
  readonly code: string;
  /** In the user's words; undefined: none. It may tell of the patient: never in URLs, logs or AuditEvents. */
  readonly text: string | undefined;
}
/** Also as it is kept with a grant: then the text is sealed. */
export function isReason(value: unknown): value is GivenReason {
  return (
    isObject(value) && typeof value.code === 'string' && (value.text === undefined || typeof value.text === 'string')
  );
}

/** What the text of a grant's reason is sealed as. */
export const sealedAs = (grantId: string): string => `emergency:${grantId}`;

/** The reason that a form brings; undefined when it brings none that will do. */
export function reasonIn(form: URLSearchParams | undefined): GivenReason | undefined {
  const code = form?.get('reason') ?? '';
  const text = (form?.get('reason-text') ?? '').trim();
  if (!Object.hasOwn(REASONS, code) || text.length > REASON_LENGTH || (code === OTHER && text === '')) return undefined;
  return { code, text: text === '' ? undefined : text };
}

/**
 * Whether the user signed in for this very request, with both factors: a session is no proof of who sits there now.
 * @param details of an interaction: what was submitted before it in the same request
 */
export function hasSignedInFor({ lastSubmission, session }: Pick<Interaction, 'lastSubmission' | 'session'>): boolean {
  const login: unknown = lastSubmission?.login;
  return (
    isObject(login) &&
    login.accountId === session?.accountId &&
    isTexts(login.amr) &&
    ['pwd', 'otp'].every((factor) => isTexts(login.amr) && login.amr.includes(factor))
  );
}

/** Launch scopes that an emergency leaves: it does not last. */
const LEFT: ReadonlySet<string> = new Set(['openid', 'fhirUser', 'launch', 'launch/patient']);

/**
 * What is left of what an app asks for.
 * @param letters what the user's role leaves: some of `cruds`
 */
export function leftInEmergency(scopes: readonly string[], letters: string): readonly string[] {
  const cut = scopes.flatMap((scope) => {
    if (LEFT.has(scope)) return [scope];
    const parsed = parseScope(scope);
    const verbs = parsed?.context === 'patient' ? [...parsed.verbs].filter((verb) => letters.includes(verb)) : [];
    if (parsed === undefined || verbs.length === 0) return [];
    return [`patient/${parsed.type}.${verbs.join('')}${parsed.query === undefined ? '' : `?${parsed.query}`}`];
  });
  return [...new Set(cut)];
}

export const opensData = (scope: string): boolean => parseScope(scope) !== undefined;
