/** The authorization server as configured: its secrets, its users' view of patients, its key sets from elsewhere, its audit rows. */
import type { Configuration } from 'oidc-provider';
import type { PatientDesk } from '../authorization/interaction.ts';
import { ROUTES } from '../authorization/provider.ts';
import { sealWith } from '../authorization/seal.ts';
import { AuthorizationServer } from '../authorization/server.ts';
import type { SecurityEvent } from '../authorization/trail.ts';
import type { UserRecord } from '../authorization/users.ts';
import type { Config } from '../config.ts';
import { isLoopback } from '../http/access.ts';
import type { HttpParts } from '../http/app.ts';
import { oauthHandler } from '../http/oauth.ts';
import { allowList } from '../outbound/allow-list.ts';
import { Outbound } from '../outbound/outbound.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { type CallerFacts, localCaller, localFacts } from '../rest/permission/caller.ts';
import type { FhirResponse, WireRequest } from '../rest/request.ts';
import { callerOf } from '../smart/access.ts';
import { embeddedMetadata } from '../smart/discovery.ts';
import { emergencyVerbs } from '../smart/emergency.ts';
import { type Issuer, issuerOf, type OwnIssuer } from '../smart/issuer.ts';
import { lettersOf, PATIENT_ROLE, type Rights, scopesOf } from '../smart/scopes.ts';
import type { AuditRow, ResourceStore } from '../store/port.ts';
import { emergencyDesk } from './emergency.ts';
import { type IdentityParts, type OpenIdentity, openIdentity } from './identity.ts';
import { secretOf } from './installation-secret.ts';

export interface AuthorizationParts {
  readonly context: RestContext;
  readonly store: ResourceStore;
  /** PUBLIC_URL. */
  readonly url: string;
  /** The door. */
  ask(wire: WireRequest, caller: Caller): Promise<FhirResponse>;
}

/** Who issues tokens and who believes them: the server's own authorization server is one issuer among those of ISSUERS_DIR. */
export async function openAccess(
  config: Config,
  parts: AuthorizationParts & Pick<IdentityParts, 'folder' | 'current'>,
): Promise<{ readonly authorization: AuthorizationServer | undefined; readonly identity: OpenIdentity }> {
  const { folder, current, context } = parts;
  const { fhirBase } = context.settings;
  const outbound = new Outbound({
    allow: allowList(config.OUTBOUND_ALLOW ?? (isLoopback(config.HOST) ? undefined : '')),
  });
  const authorization = config.AUTHORIZATION === 'off' ? undefined : await openAuthorization(parts, config, outbound);
  const own = authorization === undefined ? [] : [ownIssuer(authorization, fhirBase)];
  const identity = openIdentity(config, {
    ...{ folder, fhirBase, now: context.ambient.now, current, own, policy: context.policy },
    tellEmergency: emergencyDesk(current, authorization),
  });
  const close = (): void => {
    identity.close();
    outbound.close();
  };
  return { authorization, identity: { ...identity, close } };
}

/** Its tokens are looked up besides: what was revoked is over at once. */
function ownIssuer({ issuer, tokens, clients }: AuthorizationServer, fhirBase: string): Issuer {
  const keys = tokens.jwks.keys.map((key) => ({ ...key, kty: key.kty ?? '' }));
  const file = {
    issuer,
    audience: [fhirBase],
    jwks: { keys },
    algorithms: ['ES384'],
    maxTokenSeconds: 3600,
    breakGlass: true,
  };
  const metadata = embeddedMetadata(issuer, ROUTES);
  const own: OwnIssuer = {
    standing: (id) => tokens.standing(id),
    lasts: async (client, grant) =>
      (await clients.find(client)) !== undefined && (grant === undefined || (await tokens.lasts(grant))),
  };
  return { ...issuerOf({ ...file, metadata }), own };
}

function openAuthorization(
  { context, store, url, ask, current }: AuthorizationParts & Pick<IdentityParts, 'current'>,
  config: Config,
  outbound: Outbound,
): Promise<AuthorizationServer> {
  const { ambient, settings, report } = context;
  return AuthorizationServer.open({
    issuer: `${url}/oauth`,
    fhirBase: settings.fhirBase,
    store,
    seal: sealWith(secretOf(config, 'oauth.key')),
    patients: patientDesk(ask, current),
    audit: securityAudit(context),
    now: ambient.now,
    newId: ambient.newId,
    fetch: fetchKeys(outbound),
    emergencyLetters: (role) => lettersOf([...emergencyVerbs([role], context.policy)]),
    report,
  });
}

type Handlers = NonNullable<HttpParts['jobs']>;

/** What is mounted besides, with `/oauth` when there is such a server. */
export function withOauth(handlers: Handlers, server: AuthorizationServer | undefined): Handlers {
  return server === undefined ? handlers : new Map([...handlers, ['/oauth', oauthHandler(server)]]);
}

/** The audit row of what happens at the authorization server. */
export function securityAudit(context: Pick<RestContext, 'audit'>): (event: SecurityEvent) => AuditRow {
  return ({ interaction, peer, client, user, patient, status, description }) => {
    const facts = { ...localFacts(peer.requestId, peer.address), principal: 'oauth', user };
    const caller = localCaller({ ...facts, client: { system: undefined, value: client ?? 'unknown' } });
    const entries = [{ interaction, patients: patient === undefined ? [] : [patient] }];
    return context.audit({
      caller,
      entries,
      status,
      ...(description === undefined ? {} : { outcomeDescription: description }),
    });
  };
}

const KEYS_MS = 3000;
const KEYS_BYTES = 65_536;

/** Key sets of clients: only what OUTBOUND_ALLOW lists, at addresses that were judged. */
function fetchKeys(outbound: Outbound): NonNullable<Configuration['fetch']> {
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = { Accept: 'application/json' };
    const { status, body } = await outbound.call({
      method: 'GET',
      url,
      headers,
      timeoutMs: KEYS_MS,
      answerBytes: KEYS_BYTES,
    });
    return new Response(body, { status });
  };
}

function patientDesk(ask: AuthorizationParts['ask'], current: IdentityParts['current']): PatientDesk {
  const asked = async (
    user: UserRecord,
    peer: SecurityEvent['peer'],
    path: string,
    body?: string,
  ): Promise<unknown> => {
    const facts: CallerFacts = {
      ...localFacts(peer.requestId, peer.address),
      principal: `user:${user.id}`,
      client: { system: undefined, value: 'authorization-server' },
      user: user.fhirUser,
      rights: await rightsOf(user, current()),
    };
    const type = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
    const method = body === undefined ? 'GET' : 'POST';
    const response = await ask({ method, path, query: '', headers: type, body }, callerOf(facts, current()));
    return response.status === 200 && response.body !== undefined ? JSON.parse(response.body) : undefined;
  };
  return {
    read: async (id, user, peer) => {
      if (!/^[A-Za-z0-9\-.]{1,64}$/.test(id)) return undefined;
      const patient = await asked(user, peer, `/Patient/${id}`);
      return patient === undefined ? undefined : { id, label: labelOf(patient) };
    },
    find: async (name, user, peer) => {
      const query = new URLSearchParams({ name, _count: '20', _elements: 'id,name,birthDate,gender' }).toString();
      const bundle = await asked(user, peer, '/Patient/_search', query);
      const entries = member(bundle, 'entry');
      return (Array.isArray(entries) ? entries : []).map((entry) => {
        const patient = member(entry, 'resource');
        return { id: String(member(patient, 'id')), label: labelOf(patient) };
      });
    },
    encounters: async (patient, user, peer) => {
      const query = new URLSearchParams({ patient, _sort: '-date', _count: '20' }).toString();
      const bundle = await asked(user, peer, '/Encounter/_search', query);
      const entries = member(bundle, 'entry');
      return (Array.isArray(entries) ? entries : []).map((entry) => {
        const encounter = member(entry, 'resource');
        return { id: String(member(encounter, 'id')), label: encounterLabel(encounter) };
      });
    },
  };
}

/** Staff see patients as apps in their name may; patients see themselves, and who acts for a patient that one. */
async function rightsOf({ fhirUser, role }: UserRecord, context: RestContext): Promise<Rights> {
  const isStaff = role !== PATIENT_ROLE;
  const patients = isStaff ? [] : await patientsOf(fhirUser, context);
  const scopes = scopesOf(isStaff ? 'user/Patient.rs user/Encounter.rs' : 'patient/Patient.rs patient/Encounter.rs');
  return { kind: 'granted', scopes, patients, situation: { roles: [role], purposes: [], actors: [fhirUser] } };
}

/** Ids of the patients that a user of the patient role may choose: themselves, or whom their RelatedPerson names while it is active. */
async function patientsOf(fhirUser: string, { store }: RestContext): Promise<readonly string[]> {
  const [type, id = ''] = fhirUser.split('/');
  if (type === 'Patient') return [id];
  const version = type === 'RelatedPerson' ? await store.read({ type, id }) : undefined;
  const related: unknown = version?.text === undefined ? undefined : JSON.parse(version.text);
  const said = member(member(related, 'patient'), 'reference');
  const patient = /^Patient\/([A-Za-z0-9\-.]{1,64})$/.exec(typeof said === 'string' ? said : '')?.[1];
  return patient === undefined || member(related, 'active') === false ? [] : [patient];
}

/** `Inpatient, in-progress, from 2026-01-02, id e1`: enough to tell two encounters apart. */
function encounterLabel(encounter: unknown): string {
  const kind = member(encounter, 'class');
  const start = member(member(encounter, 'period'), 'start');
  const about = [
    member(kind, 'display') ?? member(kind, 'code'),
    member(encounter, 'status'),
    start === undefined ? undefined : `from ${String(start).slice(0, 16).replace('T', ' ')}`,
    `id ${member(encounter, 'id')}`,
  ];
  return about.filter((part) => typeof part === 'string' && part !== '').join(', ');
}

const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;

/** `Ada Lovelace, female, born 1815-12-10, id demo-1`: enough to tell two patients apart. */
function labelOf(patient: unknown): string {
  const names = member(patient, 'name');
  const name = Array.isArray(names) ? names[0] : undefined;
  const given = member(name, 'given');
  const parts = [...(Array.isArray(given) ? given : []), member(name, 'family')];
  const said = member(name, 'text') ?? parts.filter((part) => typeof part === 'string').join(' ');
  const born = member(patient, 'birthDate');
  const about = [
    said,
    member(patient, 'gender'),
    born === undefined ? undefined : `born ${born}`,
    `id ${member(patient, 'id')}`,
  ];
  return about.filter((part) => typeof part === 'string' && part !== '').join(', ');
}
