/** SMART scopes, versions 1 and 2. Source: SMART App Launch 2.2, scopes and launch context ("Scopes for requesting FHIR Resources"). */
import type { Verb } from '../fhir/search/algebra.ts';

/** One scope: what may be done with which resources, as plain data that crosses threads. */
export interface Scope {
  readonly context: 'patient' | 'user' | 'system';
  /** A resource type, or `*` for every type. */
  readonly type: string;
  readonly verbs: readonly Verb[];
  /** Raw search parameters that a resource must satisfy: `category=laboratory`; '' = none. */
  readonly query: string;
}

/**
 * Under which circumstances a caller asks, beside scopes: what roles, consents and labels are judged by (docs/authorization.md, decision 0037).
 * Plain data that crosses threads and is kept with jobs.
 */
export interface Situation {
  /** Names of roles: the caller may do what scopes and one of the roles permit. Undefined: no role narrows the scopes; empty: nothing is permitted. */
  readonly roles?: readonly string[];
  /** Codes of v3-ActReason that the token states: `TREAT`, `BTG`. */
  readonly purposes: readonly string[];
  /** Who acts, as a Consent may name them: `Practitioner/12`, `Organization/3`. */
  readonly actors: readonly string[];
  /** Codes of restricted labels that this caller sees besides those of the roles: `V`, `PSY`. */
  readonly clearance?: readonly string[];
  /** The mark of what this caller makes and is theirs: the same user by the same client. Absent: nothing is theirs. */
  readonly holder?: string;
  /** Emergency access: consents and labels do not limit what scopes and roles give of this one patient (an id). */
  readonly breakGlass?: { readonly patient: string };
}

/** Of whom nothing is known. */
export const NO_SITUATION: Situation = { purposes: [], actors: [] };

/**
 * What a caller's token permits. `everything` is the demonstration and the server's own work, `nothing` whoever showed no token.
 * There is no default: a caller without rights cannot be made.
 */
export type Rights =
  | { readonly kind: 'everything' }
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'granted';
      readonly scopes: readonly Scope[];
      /** Ids of the Patients that are the person in the token's launch context; empty = `patient/` scopes reach nothing. */
      readonly patients: readonly string[];
      /** Absent: of before there were roles; as NO_SITUATION. */
      readonly situation?: Situation;
    };

const LETTERS = { c: 'create', r: 'read', u: 'update', d: 'delete', s: 'search' } as const satisfies Record<
  string,
  Verb
>;
const ORDER = Object.keys(LETTERS).join('');
/** Version 1 in the letters of version 2. */
const VERSION_1: ReadonlyMap<string, string> = new Map([
  ['read', 'rs'],
  ['write', 'cud'],
  ['*', ORDER],
]);

const SCOPE = /^(patient|user|system)\/(\*|[A-Z][A-Za-z]{0,63})\.(read|write|\*|c?r?u?d?s?)(?:\?([^\s?"\\]{1,2000}))?$/;
/** Most scopes of one token that count; more say nothing new. */
const MOST = 500;

/** The scope that a text says; undefined for everything that is none: `openid`, `launch/patient`, letters out of order. */
export function scopeOf(text: string): Scope | undefined {
  const [, context, type = '', access = '', query = ''] = SCOPE.exec(text) ?? [];
  if (context !== 'patient' && context !== 'user' && context !== 'system') return undefined;
  const old = VERSION_1.get(access);
  // Search parameters are of version 2 only.
  if (access === '' || (old !== undefined && query !== '')) return undefined;
  return { context, type, verbs: verbsOf(old ?? access), query };
}

/** `crs` as verbs. */
export function verbsOf(letters: string): readonly Verb[] {
  return Object.entries(LETTERS).flatMap(([letter, verb]) => (letters.includes(letter) ? [verb] : []));
}

/** Verbs as the letters of version 2, in their order. */
export function lettersOf(verbs: readonly Verb[]): string {
  return Object.entries(LETTERS)
    .flatMap(([letter, verb]) => (verbs.includes(verb) ? [letter] : []))
    .join('');
}

/** The scopes of a `scope` claim that this server knows, each once; the others are ignored, as OAuth asks. */
export function scopesOf(text: string): readonly Scope[] {
  const parts = [...new Set(text.split(' ').filter((part) => part !== ''))].slice(0, MOST);
  return parts.flatMap((part) => scopeOf(part) ?? []);
}

/** Role of patients and of who acts for them: they see by their launch context only. */
export const PATIENT_ROLE = 'patient';

/** Whether a patient may hold a scope. `user/` reaches every record there is; a Subscription is told what its owner may see. */
export function isForPatients({ context, type }: Pick<Scope, 'context' | 'type'>): boolean {
  return context === 'patient' || (context === 'user' && type === 'Subscription');
}

/** Whether rights reach beyond what one user or patient sees: bulk work is for system clients. */
export function mayBulk(rights: Rights): boolean {
  if (rights.kind !== 'granted') return rights.kind === 'everything';
  return rights.scopes.some(({ context }) => context === 'system');
}
