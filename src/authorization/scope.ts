/** SMART scopes as a registration allows them and a consent page says them. Source: SMART App Launch 2.2, Scopes and launch context. */
import { lettersOf, scopeOf } from '../smart/scopes.ts';

/** `patient/Observation.rs?category=laboratory`. The query is opaque here: the resource server understands it. */
export interface SmartScope {
  readonly context: 'patient' | 'user' | 'system';
  /** A resource type, or `*`. */
  readonly type: string;
  /** Some of `cruds`, in that order. */
  readonly verbs: string;
  readonly query: string | undefined;
}

/** THE table: scopes that are no access to data, and what they let an app do. */
export const LAUNCH_SCOPES: Readonly<Record<string, string>> = {
  openid: 'Know that it is you who signs in',
  fhirUser: 'See who you are in the health record',
  launch: 'Get the context of the record it is started from',
  'launch/patient': 'Know which patient is chosen',
  'launch/encounter': 'Know which encounter is open',
  online_access: 'Stay connected while you are signed in',
  offline_access: 'Stay connected after you leave, until you or the operator end it',
};

/** By the grammar that the resource server has. undefined for what is no scope of access: another order of letters, another case, none at all. */
export function parseScope(text: string): SmartScope | undefined {
  const scope = scopeOf(text);
  if (scope === undefined || scope.verbs.length === 0) return undefined;
  const { context, type, verbs, query } = scope;
  return { context, type, verbs: lettersOf(verbs), query: query === '' ? undefined : query };
}

/** Whether every access of one scope is one of the other's. A query narrows; two queries are compared as text. */
export function covers(wide: SmartScope, narrow: SmartScope): boolean {
  return (
    wide.context === narrow.context &&
    (wide.type === '*' || wide.type === narrow.type) &&
    [...narrow.verbs].every((verb) => wide.verbs.includes(verb)) &&
    (wide.query === undefined || wide.query === narrow.query)
  );
}

/** Whether a registration with these scopes lets a client ask for this one. */
export function isAllowed(scope: string, registered: readonly string[]): boolean {
  if (registered.includes(scope)) return true;
  const asked = parseScope(scope);
  return (
    asked !== undefined &&
    registered.some((each) => {
      const wide = parseScope(each);
      return wide !== undefined && covers(wide, asked);
    })
  );
}

/** Whether an app that holds this must be told a patient. */
export function needsPatient(scope: string): boolean {
  return scope === 'launch/patient' || scope.startsWith('patient/');
}

const VERBS: Readonly<Record<string, string>> = { c: 'create', r: 'read', u: 'change', d: 'delete', s: 'search' };
const WHOSE = { patient: 'of the chosen patient', user: 'of all you may see', system: 'of everyone' } as const;

/** `Read and search Observation of the chosen patient, only category=laboratory`. */
export function scopeSentence(scope: string): string {
  const launch = LAUNCH_SCOPES[scope];
  if (launch !== undefined) return launch;
  const parsed = parseScope(scope);
  if (parsed === undefined) return scope;
  const verbs = [...parsed.verbs].map((verb) => VERBS[verb] ?? verb);
  const last = verbs.pop() ?? '';
  const listed = verbs.length === 0 ? last : `${verbs.join(', ')} and ${last}`;
  const type = parsed.type === '*' ? 'every kind of data' : parsed.type;
  const only = parsed.query === undefined ? '' : `, only ${parsed.query}`;
  return `${listed.charAt(0).toUpperCase()}${listed.slice(1)} ${type} ${WHOSE[parsed.context]}${only}`;
}
