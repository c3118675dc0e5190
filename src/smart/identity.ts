/** From a request's headers to who asks: the token proved, its launch context followed, its rights as data. Source: SMART App Launch 2.2. */
import { createHash } from 'node:crypto';
import type { AccessFilter } from '../fhir/search/algebra.ts';
import { ALL } from '../fhir/search/simplify.ts';
import type { RestContext, Term } from '../rest/context.ts';
import { personOf } from '../rest/interactions/patient-links.ts';
import type { CallerFacts } from '../rest/permission/caller.ts';
import type { AccessToken, TokenVerifier } from './bearer.ts';
import { emergencyScopes, emergencyVerbs, isEmergency, type TellEmergency } from './emergency.ts';
import type { AccessPolicy } from './policy.ts';
import { isForPatients, PATIENT_ROLE, type Scope, type Situation, scopesOf } from './scopes.ts';

/** Where a request comes from, before it is known from whom. */
export interface Peer {
  readonly requestId: string;
  readonly address: string;
}

/** @throws FhirError 401 when no token holds, 503 when an issuer cannot be asked */
export type Identify = (authorization: string | undefined, peer: Peer) => Promise<CallerFacts>;

export interface IdentityOptions {
  readonly verifier: TokenVerifier;
  /** Base of our own references, no trailing slash. */
  readonly fhirBase: string;
  /** Whose links say which records are one person. */
  readonly context: () => Pick<RestContext, 'store' | 'capability' | 'settings' | 'ambient' | 'policy'>;
  /** Of every request whose token is one for an emergency, before it is answered. */
  readonly tellEmergency: TellEmergency;
}

/** Who asks by the tokens of issuers. */
export function identityOf({ verifier, fhirBase, context, tellEmergency }: IdentityOptions): Identify {
  const known = new WeakMap<AccessToken, Known>();
  return async (authorization, peer) => {
    const token = await verifier.verify(authorization);
    const { policy, ambient, store } = context();
    const stamp = store.stamp();
    const before = known.get(token);
    const isSame = before !== undefined && before.policy === policy;
    const holder = isSame ? before.holder : holderOf(token, fhirBase, policy);
    const { named, rights: last } = holder;
    // Who is one person with whom is asked again as soon as anything was written.
    const isFresh = isSame && (named === undefined || (stamp !== undefined && stamp === before.stamp));
    const patients = isFresh || named === undefined ? last.patients : await personOf(named, EVERYTHING, context());
    // The same object for the same rights: the filter that they compile to is found by it.
    const rights = isAlike(patients, last.patients) ? last : { ...last, patients };
    if (!isFresh) known.set(token, { policy, stamp, holder: rights === last ? holder : { ...holder, rights } });
    const caller: CallerFacts = {
      ...holder.facts,
      address: peer.address,
      requestId: peer.requestId,
      rights,
      term: termOf(token, holder.isLasting, ambient.now()),
    };
    const { breakGlass } = rights.situation ?? {};
    if (breakGlass !== undefined) await tellEmergency(caller, token, breakGlass.patient);
    return caller;
  };
}

const isAlike = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((each, index) => each === other[index]);

/** What follows from a token alone, worked out once by the policy of then. */
interface Known {
  readonly policy: AccessPolicy | undefined;
  /** Of the store, before its patients were asked for. */
  readonly stamp: number | undefined;
  readonly holder: Holder;
}
interface Holder {
  readonly facts: Pick<CallerFacts, 'principal' | 'client' | 'user' | 'token'>;
  /** May be acted for after the token has ended. */
  readonly isLasting: boolean;
  /** The patient of the launch, where `patient/` scopes ask for one. */
  readonly named: string | undefined;
  readonly rights: Extract<CallerFacts['rights'], { kind: 'granted' }>;
}

function holderOf(token: AccessToken, fhirBase: string, policy: AccessPolicy | undefined): Holder {
  const asked = scopesOf(token.scope);
  const isOfPatients = token.roles.length > 0 && token.roles.every((role) => role === PATIENT_ROLE);
  const said = isOfPatients ? asked.filter(isForPatients) : asked;
  const user = userOf(token, said, fhirBase);
  const situation = situationOf(token, user, said, policy);
  const inEmergency = isEmergency(token.purposes);
  const scopes = inEmergency ? emergencyScopes(said, emergencyVerbs(situation.roles, policy)) : said;
  const isOfPatient = scopes.some(({ context }) => context === 'patient');
  const held = inEmergency ? scopes : [...scopes, ...ownRecord(token, user)];
  return {
    facts: {
      principal: principalOf(token, held, situation),
      client: { system: token.issuer, value: token.client },
      user,
      ...(token.id === undefined ? {} : { token: token.id }),
    },
    isLasting: !inEmergency && (isOfClient(scopes) || token.scope.split(' ').includes('offline_access')),
    named: isOfPatient ? token.patient : undefined,
    rights: { kind: 'granted', scopes: held, patients: [], situation },
  };
}

/** Whose launch context it is was decided by the issuer, not by what the token may see. */
const EVERYTHING: AccessFilter = { principal: '', visible: () => ALL };

/** What the token says beside scopes. */
function situationOf(
  token: AccessToken,
  user: string | undefined,
  scopes: readonly Scope[],
  policy: AccessPolicy | undefined,
): Situation {
  const roles = rolesIn(token, user, scopes, policy);
  const actors = user === undefined ? [] : [user];
  const { purposes, patient } = token;
  const holder = holderMark(token, scopes);
  const may = isEmergency(purposes) && emergencyVerbs(roles, policy).size > 0;
  return {
    ...{ purposes, actors },
    ...(roles === undefined ? {} : { roles }),
    ...(holder === undefined ? {} : { holder }),
    ...(may && patient !== undefined ? { breakGlass: { patient } } : {}),
  };
}

/** The same user by the same client, whatever the token's scopes, roles and launch context. Of whom nothing is known, nothing is theirs. */
function holderMark({ issuer, client, subject, fhirUser }: AccessToken, scopes: readonly Scope[]): string | undefined {
  const who = subject ?? fhirUser ?? (isOfClient(scopes) ? client : undefined);
  if (who === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify([issuer, client, who]))
    .digest('base64url');
}

const STAFF = /^(?:.*\/)?(?:Practitioner|PractitionerRole)\/[^/]*$/;

/**
 * Who acts as staff needs a role: whoever has `user/` scopes, or is a Practitioner. Patients' own apps and backend clients need none; theirs
 * narrows them when they have one.
 */
function rolesIn(
  { roles, withoutRole, fhirUser, patient }: AccessToken,
  user: string | undefined,
  scopes: readonly Scope[],
  policy: AccessPolicy | undefined,
): readonly string[] | undefined {
  const known = [...new Set(roles)].filter((name) => policy?.roles.has(name));
  if (known.length > 0 || policy === undefined) return known.length > 0 ? known : undefined;
  const isOwn = patient !== undefined && user === `Patient/${patient}`;
  const isPatient = isOwn && scopes.every(({ context }) => context === 'patient');
  if (isPatient) return policy.roles.has(PATIENT_ROLE) ? [PATIENT_ROLE] : undefined;
  const isStaff = STAFF.test(fhirUser ?? '') || scopes.some(({ context }) => context === 'user');
  if (!isStaff || withoutRole === 'scopes') return undefined;
  return withoutRole === 'none' ? [] : [withoutRole];
}

/** Who may be the user of an app: `fhirUser` of SMART. */
const PERSON = /^((?:Practitioner|PractitionerRole|Patient|RelatedPerson|Person))\/([A-Za-z0-9\-.]{1,64})$/;

/** The scope `fhirUser` lets an app read who its user is, when that is held here. */
function ownRecord({ scope, fhirUser }: AccessToken, user: string | undefined): readonly Scope[] {
  const [, type, id] = PERSON.exec(fhirUser === undefined ? '' : (user ?? '')) ?? [];
  if (type === undefined || !scope.split(' ').includes('fhirUser')) return [];
  return [{ context: 'user', type, verbs: ['read'], query: `_id=${id}` }];
}

/** Longest time that an issuer outside is trusted to stand by what it granted, ms: as long as grants last here. */
const LASTING_MS = 90 * 86_400_000;

/**
 * Clients by themselves, and apps that may refresh while their user is away, may be acted for after the token has ended; others until then. Of
 * the server's own issuer the grant is asked each time; of others nothing is known, so it ends by itself.
 */
function termOf(token: AccessToken, isLasting: boolean, now: number): Term {
  if (isLasting && token.isOwn) return token.grant === undefined ? {} : { grant: token.grant };
  const until = isLasting ? now + LASTING_MS : token.expiresAt;
  return token.id === undefined ? { until } : { until, token: token.id };
}

const isOfClient = (scopes: readonly Scope[]): boolean =>
  scopes.length > 0 && scopes.every(({ context }) => context === 'system');

/** Opaque and stable; another for other rights, so that cursors and jobs of wider tokens stay with these. */
function principalOf(
  { issuer, client, subject, patient }: AccessToken,
  scopes: readonly Scope[],
  { roles, purposes, actors, clearance, breakGlass }: Situation,
): string {
  const said = scopes
    .map(({ context, type, verbs, query }) => `${context}/${type}.${verbs.join()}?${query}`)
    .toSorted();
  const circumstances = [roles?.toSorted(), purposes.toSorted(), actors.toSorted(), clearance?.toSorted(), breakGlass];
  const text = JSON.stringify([issuer, client, subject, patient, circumstances, said]);
  return `token:${createHash('sha256').update(text).digest('base64url')}`;
}

/** The human, when there is one: their resource here, or elsewhere, or the subject of the token. Clients by themselves have none. */
function userOf({ fhirUser, subject, client }: AccessToken, scopes: readonly Scope[], base: string) {
  if (fhirUser !== undefined) return fhirUser.startsWith(`${base}/`) ? fhirUser.slice(base.length + 1) : fhirUser;
  return isOfClient(scopes) || subject === client ? undefined : subject;
}
