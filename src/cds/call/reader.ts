/**
 * Who is asked for what a call did not bring: our own store through the door, the caller's FHIR server with its token, or nobody.
 * Source: CDS Hooks 2.0.1 "FHIR Resource Access"; docs/cds-hooks.md#prefetch.
 */

import { parseOwnJson } from '../../fhir/resource.ts';
import type { Caller, RestContext } from '../../rest/context.ts';
import { personOf } from '../../rest/interactions/patient-links.ts';
import type { FhirResponse, WireRequest } from '../../rest/request.ts';
import type { CdsClient } from '../clients/client.ts';
import { within } from '../hook/deadline.ts';
import type { HookRequest } from '../hook/request.ts';
import { linkedPatients } from '../hook/subject.ts';
import type { Template } from '../services/template.ts';
import type { OutsideReads } from './outside-reads.ts';
import { patientCaller } from './patient-caller.ts';
import { type Entry, type Received, received } from './received.ts';

/** The one door to clinical data, for a request in wire form. */
export type Door = (request: WireRequest, caller: Caller, context: RestContext) => Promise<FhirResponse>;

/** Most pages read for one key. */
const PAGE_LIMIT = 5;

export interface Source {
  readonly door: Door;
  readonly outside: OutsideReads;
  readonly caller: Caller;
  readonly client: CdsClient;
  readonly context: RestContext;
  /** Our own FHIR base, without trailing slash. */
  readonly fhirBase: string;
  /** ms since 1970 when the call came. */
  readonly startedAt: number;
  now(): number;
  /** ms left for all reads of the call. */
  remainingMs(): number;
}

export interface Reader {
  readonly from: 'store' | 'server' | undefined;
  /** Why nobody can be asked, as the end of a sentence. */
  readonly why: string;
  /** absent = may not be asked, or the patient is not known there. */
  ask(asked: Template): Promise<Received>;
  /** Follows next pages where they lead to the same server; elsewhere the answer is what it is. */
  goOn(data: Received & { readonly kind: 'data' }, asked: Template): Promise<Whole>;
  /** `Patient/id` of the records that are the same person: by the Patients received, and by the links that are held where is read. */
  sameAs(patients: readonly Entry[]): Promise<readonly string[]>;
}
export interface Whole {
  readonly entries: readonly Entry[];
  readonly complete: boolean;
}

const FAILED = { kind: 'failed' } as const satisfies Received;

/**
 * Our own store when the call names our base, or its client's patient ids are ours; the caller's server when the registration lists it and a
 * token came; otherwise nobody. Equal bare ids alone never make two patients one.
 */
export function readerFor(request: HookRequest, source: Source): Reader {
  const { fhirServer, authorization } = request;
  const { client, fhirBase } = source;
  if (fhirServer === new URL(fhirBase).href.replace(/\/+$/, '')) return ownReader(request, source);
  if (fhirServer !== undefined && authorization !== undefined && client.fhirServers.includes(fhirServer)) {
    return outsideReader(request, { server: fhirServer, token: authorization.token }, source);
  }
  const isBound = client.ownPatients && (fhirServer === undefined || client.issuer !== '');
  return isBound ? ownReader(request, source) : noReader(request, source);
}

function whyNot({ fhirServer, authorization }: HookRequest, { client }: Source): string {
  if (fhirServer === undefined) return 'the call names no `fhirServer`';
  if (!client.fhirServers.includes(fhirServer)) return 'this client is not registered with that `fhirServer`';
  return authorization === undefined ? 'no `fhirAuthorization` came with the call' : 'it could not be read';
}

function noReader(request: HookRequest, source: Source): Reader {
  return {
    from: undefined,
    why: whyNot(request, source),
    ask: async () => ({ kind: 'absent' }),
    goOn: async ({ entries, next, complete }, asked) => ({
      entries,
      complete: complete && (next === undefined || isFull(entries, asked)),
    }),
    sameAs: async (patients) => linksSaid(patients, request),
  };
}

/** Reads of our own store in the name of the client: claimed, cut to the patient of the call, audited like any other access. */
function ownReader(request: HookRequest, source: Source): Reader {
  const patient: Template = { type: 'Patient', id: request.patientId, query: '', newest: undefined };
  const asking = patientCaller(request.patientId, source);
  const readOnce = once((asked) =>
    within(
      asking.then((caller) => throughDoor(asked, { ...source, caller })),
      source.remainingMs(),
      FAILED,
    ),
  );
  return {
    from: 'store',
    why: 'the patient is not known to this server',
    ask: async (asked) => {
      const [known, answer] = await Promise.all([readOnce(patient), readOnce(asked)]);
      return known.kind === 'data' && known.entries.length === 0 ? { kind: 'absent' } : answer;
    },
    goOn: (data, asked) =>
      paged(data, asked, (next) => {
        const query = ownQuery(next, asked, source.fhirBase);
        return query === undefined ? undefined : readOnce({ ...asked, query });
      }),
    sameAs: async (patients) => {
      const held = await within(heldPerson(request.patientId, source), source.remainingMs(), []);
      return [...linksSaid(patients, request), ...held.map((id) => `Patient/${id}`)];
    },
  };
}

interface Grant {
  readonly server: string;
  readonly token: string;
}

/** Reads of the caller's server with its token: within the deadline, never after the token has expired, in parallel. */
function outsideReader(request: HookRequest, { server, token }: Grant, source: Source): Reader {
  const expiresAt = source.startedAt + (request.authorization?.expiresIn ?? 0) * 1000;
  const get = async (path: string, asked: Template): Promise<Received> => {
    const timeoutMs = Math.min(source.remainingMs(), expiresAt - source.now());
    if (timeoutMs <= 0) return FAILED;
    try {
      const answer = await source.outside.read({ server, token, path, timeoutMs }, asked, request.patientId);
      if (answer === undefined) return FAILED;
      const { status, body } = answer;
      if (asked.id !== undefined && (status === 404 || status === 410)) return received(null, asked);
      return status === 200 ? received(body, asked) : FAILED;
    } catch {
      return FAILED; // said on the card; the outbound room counts and limits what goes wrong
    }
  };
  const readOnce = once((asked) =>
    within(
      get(asked.id === undefined ? `${asked.type}?${asked.query}` : `${asked.type}/${asked.id}`, asked),
      source.remainingMs(),
      FAILED,
    ),
  );
  return {
    from: 'server',
    why: 'it could not be read',
    ask: readOnce,
    goOn: (data, asked) =>
      paged(data, asked, (next) =>
        next.startsWith(`${server}/`) || next.startsWith(`${server}?`)
          ? within(get(next, asked), source.remainingMs(), FAILED)
          : undefined,
      ),
    sameAs: async (patients) => linksSaid(patients, request),
  };
}

/** The same question is asked once in a call. */
function once(read: (asked: Template) => Promise<Received>): (asked: Template) => Promise<Received> {
  const reads = new Map<string, Promise<Received>>();
  return (asked) => {
    const name = `${asked.type}/${asked.id ?? ''}?${asked.query}`;
    const found = reads.get(name) ?? read(asked);
    reads.set(name, found);
    return found;
  };
}

/** The first page and those after it, as long as `read` can follow. */
async function paged(
  first: Received & { readonly kind: 'data' },
  asked: Template,
  read: (next: string) => Promise<Received> | undefined,
): Promise<Whole> {
  const entries = [...first.entries];
  let { next, complete } = first;
  for (let page = 1; next !== undefined && !isFull(entries, asked); page++) {
    const more = page < PAGE_LIMIT ? await read(next) : undefined;
    if (more?.kind !== 'data') return { entries, complete: false };
    entries.push(...more.entries);
    complete &&= more.complete;
    next = more.next;
  }
  return { entries, complete };
}

function linksSaid(patients: readonly Entry[], { patientId }: HookRequest): readonly string[] {
  return patients
    .filter(({ resource }) => resource.id === patientId)
    .flatMap(({ resource }) => linkedPatients(resource));
}

/** Links that cannot be read are reported; what belongs to them is then dropped, and the cards say that data of others was. */
async function heldPerson(id: string, { context, caller }: Source): Promise<readonly string[]> {
  try {
    return await personOf(id, caller.access, context);
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
  return status === 200 && body !== undefined ? received(parseOwnJson(body), asked) : FAILED;
}
