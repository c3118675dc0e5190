/** Everything a service asked for, from the client or from our own store through the door. Source: CDS Hooks 2.0.1 "Prefetch", "FHIR Resource Access". */
import { fhirError } from '../fhir/outcome.ts';
import { parseOwnJson, type Resource } from '../fhir/resource.ts';
import type { Caller, RestContext } from '../rest/context.ts';
import { personOf } from '../rest/patient-links.ts';
import type { FhirResponse, WireRequest } from '../rest/request.ts';
import { within } from './deadline.ts';
import {
  type ByReference,
  byReference,
  isAboutMedication,
  unresolvedMedications,
  withMedication,
} from './draft-orders.ts';
import type { HookRequest } from './hook-request.ts';
import { type Entry, type Received, received } from './received.ts';
import { isRequiredKey, type Service } from './service.ts';
import { isAbout, linkedPatients } from './subject.ts';
import { askedBy, type Template } from './template.ts';

/** The one door to clinical data, for a request in wire form. */
export type Door = (request: WireRequest, caller: Caller, context: RestContext) => Promise<FhirResponse>;

/** Most pages read for one key, and most resources looked at in one call. */
const PAGE_LIMIT = 5;
const RESOURCE_LIMIT = 5000;
/** Most Medication references resolved in one call. */
const MEDICATION_LIMIT = 100;

export interface Source {
  readonly door: Door;
  readonly caller: Caller;
  readonly context: RestContext;
  /** Our own FHIR base, without trailing slash. */
  readonly fhirBase: string;
  /** The client's patient ids are those of our own store. */
  readonly ownPatients: boolean;
  /** ms left for all reads of the call. */
  remainingMs(): number;
}

export interface Prefetched {
  readonly patient: Resource | undefined;
  /** Of the context's patient only, each once, Patients excluded; medications resolved where possible. */
  readonly resources: readonly Resource[];
  readonly index: ByReference;
  /** Keys by what became of them. */
  readonly given: readonly string[];
  readonly fetched: readonly string[];
  /** Not to be had, or answered with an error: said on the card. */
  readonly missing: readonly string[];
  /** Keys whose data is known to go on beyond what was seen. */
  readonly incomplete: readonly string[];
  /** Resources dropped because they are about somebody else. */
  readonly foreign: number;
}

interface Obtained {
  readonly key: string;
  readonly from: 'client' | 'store' | undefined;
  readonly failed: boolean;
  readonly entries: readonly Entry[];
  readonly complete: boolean;
}

/**
 * Decides every key of the service by the table in received.ts; absent keys are read from our own store, in parallel, when the call concerns it.
 * @throws FhirError 412 `precondition-failed`: a required key is absent and cannot be read here; 400 `value`: a Patient of another id was sent
 */
export async function prefetch(service: Service, request: HookRequest, source: Source): Promise<Prefetched> {
  const reader = ownReader(request, source);
  const obtained = await Promise.all(
    Object.entries(service.prefetch).map(([key, template]) => obtain(service, key, template, request, reader)),
  );
  const given = request.recorded.map((resource) => ({ fullUrl: undefined, resource }));
  const entries = [...given, ...obtained.flatMap(({ entries: found }) => found)];
  const patients = entries.filter(({ resource }) => resource.resourceType === 'Patient');
  const aliases = new Set(
    patients.flatMap(({ fullUrl, resource }) =>
      fullUrl !== undefined && resource.id === request.patientId ? [fullUrl] : [],
    ),
  );
  for (const name of await reader.sameAs(patients)) aliases.add(name);
  const own = entries.filter(({ resource }) => isAbout(resource, request.patientId, aliases));
  const index = byReference({
    entry: [
      ...(Array.isArray(request.draftOrders?.entry) ? request.draftOrders.entry : []),
      ...own.map(({ fullUrl, resource }) => ({ ...(fullUrl === undefined ? {} : { fullUrl }), resource })),
    ],
  });
  const read = obtained.some(({ from }) => from === 'store') || reader.isOwnServer;
  const known = read ? await withOwnMedications(own, index, request, reader) : index;
  return {
    patient: own.find(({ resource }) => resource.resourceType === 'Patient')?.resource,
    resources: onceEach(own)
      .filter((resource) => resource.resourceType !== 'Patient')
      .map((resource) => withMedication(resource, known))
      .slice(0, RESOURCE_LIMIT),
    index: known,
    given: obtained.filter(({ from, failed }) => from === 'client' && !failed).map(({ key }) => key),
    fetched: obtained.filter(({ from, failed }) => from === 'store' && !failed).map(({ key }) => key),
    missing: obtained.filter(({ from, failed }) => from === undefined || failed).map(({ key }) => key),
    incomplete: obtained.filter(({ complete }) => !complete || own.length > RESOURCE_LIMIT).map(({ key }) => key),
    foreign: entries.length - own.length,
  };
}

async function obtain(
  service: Service,
  key: string,
  template: string,
  request: HookRequest,
  reader: OwnReader,
): Promise<Obtained> {
  const asked = askedBy(template, request.values);
  const absent = { key, from: undefined, failed: false, entries: [], complete: true } as const;
  if (asked === undefined) return absent;
  const given = received(Object.hasOwn(request.prefetch, key) ? request.prefetch[key] : undefined, asked);
  if (given.kind === 'data') {
    refuseOtherPatient(given.entries, asked, request.patientId);
    return { key, from: 'client', failed: false, ...(await reader.goOn(given, asked)) };
  }
  if (given.kind === 'failed') return { ...absent, from: 'client', failed: true };
  const answer = await reader.ask(asked);
  if (answer.kind === 'absent') {
    if (isRequiredKey(service, key)) throw cannotHave(key, reader.allowed);
    return absent;
  }
  if (answer.kind === 'failed') return { ...absent, from: 'store', failed: true };
  return { key, from: 'store', failed: false, ...(await reader.goOn(answer, asked)) };
}

function cannotHave(key: string, allowed: boolean) {
  const why = allowed ? 'the patient is not known to this server' : 'this server does not read from other FHIR servers';
  return fhirError('precondition-failed', `Prefetch \`${key}\` was not sent, and ${why}.`, {
    expression: `prefetch.${key}`,
  });
}

/** Whoever answers a question about Patients with another Patient has mixed up charts: nothing of it is used. */
function refuseOtherPatient(entries: readonly Entry[], asked: Template, patientId: string): void {
  const other = entries.some(
    ({ resource }) => resource.resourceType === 'Patient' && resource.id !== undefined && resource.id !== patientId,
  );
  if (asked.type === 'Patient' && other) {
    throw fhirError('value', 'The Patient in `prefetch` is not the patient of the context.', {
      expression: 'prefetch',
    });
  }
}

function onceEach(entries: readonly Entry[]): readonly Resource[] {
  const seen = new Set<string>();
  return entries.flatMap(({ resource }) => {
    const name = resource.id === undefined ? undefined : `${resource.resourceType}/${resource.id}`;
    if (name !== undefined && seen.has(name)) return [];
    if (name !== undefined) seen.add(name);
    return [resource];
  });
}

/** Reads of our own store on behalf of the caller: claimed, filtered and audited like any other access. */
interface OwnReader {
  /** The call names no server, or ours. */
  readonly allowed: boolean;
  readonly isOwnServer: boolean;
  /** absent = may not be asked here, or the patient is not known here. */
  ask(asked: Template): Promise<Received>;
  /** Follows next pages of our own server; elsewhere the answer is what it is. */
  /** `Patient/id` of the records that are the same person: by the Patients received, and here by the links we hold. */
  sameAs(patients: readonly Entry[]): Promise<readonly string[]>;
  goOn(
    data: Received & { readonly kind: 'data' },
    asked: Template,
  ): Promise<{ readonly entries: readonly Entry[]; readonly complete: boolean }>;
}

function ownReader(request: HookRequest, source: Source): OwnReader {
  const isOwnServer = request.fhirServer === new URL(source.fhirBase).href.replace(/\/+$/, '');
  const allowed = isOwnServer || (source.ownPatients && request.fhirServer === undefined);
  const patient: Template = { type: 'Patient', id: request.patientId, query: '', newest: undefined };
  const reads = new Map<string, Promise<Received>>();
  const readOnce = (asked: Template) => {
    const name = `${asked.type}/${asked.id ?? ''}?${asked.query}`;
    const read = reads.get(name) ?? within(throughDoor(asked, source), source.remainingMs(), FAILED);
    reads.set(name, read);
    return read;
  };
  const ask = async (asked: Template): Promise<Received> => {
    if (!allowed) return { kind: 'absent' };
    const [known, answer] = await Promise.all([readOnce(patient), readOnce(asked)]);
    return known.kind === 'data' && known.entries.length === 0 ? { kind: 'absent' } : answer;
  };
  const goOn: OwnReader['goOn'] = async (first, asked) => {
    const entries = [...first.entries];
    let { next, complete } = first;
    for (let page = 1; next !== undefined && !isFull(entries, asked); page++) {
      const query = allowed && page < PAGE_LIMIT ? ownQuery(next, asked, source.fhirBase) : undefined;
      const more = query === undefined ? undefined : await readOnce({ ...asked, query });
      if (more?.kind !== 'data') return { entries, complete: false };
      entries.push(...more.entries);
      complete &&= more.complete;
      next = more.next;
    }
    return { entries, complete };
  };
  const sameAs: OwnReader['sameAs'] = async (patients) => {
    const said = patients
      .filter(({ resource }) => resource.id === request.patientId)
      .flatMap(({ resource }) => linkedPatients(resource));
    const reading = allowed ? heldPerson(request.patientId, source) : Promise.resolve([]);
    const held = await within(reading, source.remainingMs(), []);
    return [...said, ...held.map((id) => `Patient/${id}`)];
  };
  return { allowed, isOwnServer, ask, sameAs, goOn };
}

/** Links that cannot be read are reported; what belongs to them is then dropped, and the cards say that data of others was. */
async function heldPerson(id: string, { context, caller }: Source): Promise<readonly string[]> {
  try {
    return await personOf(id, context);
  } catch (error) {
    context.report(error, caller.requestId);
    return [];
  }
}

/** A search for the newest n is answered by n matches, whatever older ones there are. */
function isFull(entries: readonly Entry[], { type, newest }: Template): boolean {
  return newest !== undefined && entries.filter(({ resource }) => resource.resourceType === type).length >= newest;
}

/** Query of a next link of the same search on our own base; undefined for any other address. */
function ownQuery(next: string, asked: Template, fhirBase: string): string | undefined {
  const start = `${fhirBase}/${asked.type}?`;
  return asked.id === undefined && next.startsWith(start) ? next.slice(start.length) : undefined;
}

const FAILED = { kind: 'failed' } as const satisfies Received;

/** The answer of the door; a door that throws has failed, and the fault is reported. */
async function throughDoor(asked: Template, source: Source): Promise<Received> {
  try {
    return await readOwn(asked, source);
  } catch (error) {
    source.context.report(error, source.caller.requestId);
    return FAILED;
  }
}

async function readOwn(asked: Template, { door, caller, context }: Source): Promise<Received> {
  const wire: WireRequest = {
    method: 'GET',
    path: asked.id === undefined ? `/${asked.type}` : `/${asked.type}/${asked.id}`,
    query: asked.query,
    headers: { accept: 'application/fhir+json' },
    body: undefined,
  };
  const { status, body } = await door(wire, caller, context);
  if (asked.id !== undefined && (status === 404 || status === 410)) return received(null, asked);
  return status === 200 && body !== undefined ? received(parseOwnJson(body), asked) : { kind: 'failed' };
}

/** The index with Medications that orders and statements only point at, read in one search. */
async function withOwnMedications(
  own: readonly Entry[],
  index: ByReference,
  request: HookRequest,
  reader: OwnReader,
): Promise<ByReference> {
  const drafts = request.draftOrders === undefined ? [] : [...byReference(request.draftOrders).values()];
  const unresolved = [...own.map(({ resource }) => resource), ...drafts]
    .filter(isAboutMedication)
    .map((resource) => withMedication(resource, index));
  const ids = unresolvedMedications(unresolved)
    .slice(0, MEDICATION_LIMIT)
    .map((reference) => reference.slice('Medication/'.length));
  if (ids.length === 0) return index;
  const query = `_id=${ids.join(',')}&_count=${ids.length}`;
  const answer = await reader.ask({ type: 'Medication', id: undefined, query, newest: undefined });
  if (answer.kind !== 'data') return index;
  const found = answer.entries.map(({ resource }) => [`${resource.resourceType}/${resource.id}`, resource] as const);
  return new Map([...index, ...found]);
}
