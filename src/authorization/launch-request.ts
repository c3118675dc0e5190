/** `POST /launch`: a registered EHR opens a launch for an app and gets the handle that the app brings back. Ours; SMART leaves it to the EHR. */
import { ID_PATTERN } from '../fhir/resource.ts';
import type { ResourceStore } from '../store/port.ts';
import type { AccessTokens } from './access-token.ts';
import type { Clients } from './clients.ts';
import type { PageAnswer } from './interaction.ts';
import { LAUNCH_MS, type Launches, type OpenLaunch } from './launch.ts';
import { isObject } from './records.ts';
import type { AuditOf, Peer } from './trail.ts';

export interface LaunchParts {
  readonly tokens: AccessTokens;
  readonly clients: Clients;
  readonly launches: Launches;
  readonly store: ResourceStore;
  readonly audit: AuditOf;
}

const REFERENCE = /^[A-Z][A-Za-z]{1,63}\/[A-Za-z0-9\-.]{1,64}$/;

/** 201 with `{launch, expires_in}`; 401 without a token, 403 without the scope `launch` of an EHR, 400 for a launch that cannot be. */
export async function launchAnswer(
  authorization: string | undefined,
  body: string | undefined,
  peer: Peer,
  parts: LaunchParts,
): Promise<PageAnswer> {
  const { tokens, clients, launches, store, audit } = parts;
  const token = /^Bearer +(\S{1,8192})$/i.exec(authorization ?? '')?.[1];
  const claims = token === undefined ? undefined : await tokens.claims(token);
  if (claims === undefined) return refused(401, 'invalid_token', { 'WWW-Authenticate': 'Bearer' });
  const client = typeof claims.client_id === 'string' ? claims.client_id : '';
  const isEhr = (await clients.find(client))?.ehr === true && String(claims.scope).split(' ').includes('launch');
  const launch = isEhr ? launchOf(body) : undefined;
  const isThere = launch?.patient === undefined || (await isCurrent('Patient', launch.patient, store));
  const status = isEhr ? (launch !== undefined && isThere ? 201 : 400) : 403;
  const event = { interaction: 'launch', peer, client, patient: launch?.patient, status } as const;
  await store.commit({ commands: [], audit: [audit(event)] });
  if (status === 403) return refused(403, 'insufficient_scope');
  if (launch === undefined || !isThere) return refused(400, 'invalid_request');
  const handle = await launches.open(launch);
  return json(201, { launch: handle, expires_in: LAUNCH_MS / 1000 });
}

export async function isCurrent(type: string, id: string, store: ResourceStore): Promise<boolean> {
  const version = await store.read({ type, id });
  return version !== undefined && !version.deleted;
}

/** The launch that a body says; undefined when a member is not of its shape, so that nothing is silently left out. */
function launchOf(body: string | undefined): OpenLaunch | undefined {
  const said = parsed(body);
  if (!isObject(said)) return undefined;
  const { client_id: client, patient, encounter, user, intent, need_patient_banner: banner, fhirContext } = said;
  const ids = [patient, encounter].every((id) => id === undefined || (typeof id === 'string' && ID_PATTERN.test(id)));
  const texts = [client, intent].every(
    (text) => text === undefined || (typeof text === 'string' && text.length <= 200),
  );
  const isUser = user === undefined || (typeof user === 'string' && REFERENCE.test(user));
  const references = fhirContext === undefined ? undefined : referencesOf(fhirContext);
  if (!ids || !texts || !isUser || (banner !== undefined && typeof banner !== 'boolean')) return undefined;
  if (fhirContext !== undefined && references === undefined) return undefined;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    patient: text(patient),
    encounter: text(encounter),
    intent: text(intent),
    client: text(client),
    user: text(user),
    ...(typeof banner === 'boolean' ? { needPatientBanner: banner } : {}),
    ...(references === undefined ? {} : { references }),
  };
}

/** Objects with a reference; the patient and the encounter have members of their own. */
function referencesOf(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length > 20) return undefined;
  const references = value.map((each) => (isObject(each) ? each.reference : undefined));
  const isFit = (each: unknown): each is string =>
    typeof each === 'string' && REFERENCE.test(each) && !/^(?:Patient|Encounter)\//.test(each);
  return references.every(isFit) ? references : undefined;
}

function parsed(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? '');
  } catch {
    return undefined;
  }
}

function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): PageAnswer {
  const own = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', Pragma: 'no-cache' };
  return { status, headers: { ...own, ...headers }, body: JSON.stringify(value) };
}
const refused = (status: number, error: string, headers: Readonly<Record<string, string>> = {}): PageAnswer =>
  json(status, { error }, headers);
