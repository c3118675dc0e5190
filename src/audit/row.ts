/** One request -> its audit row of form 4. Source: IHE BALP (ITI vol. 3), docs/audit.md#rows. Cost: one SHA-256 when something is erasable. */
import type { Access, AccessEntry, AuditSource, HookAccess } from '../audit.ts';
import { ID_PATTERN } from '../fhir/resource.ts';
import type { Caller } from '../rest/context.ts';
import type { AuditIndex, AuditRow } from '../store/port.ts';
import { EXECUTE, onTheLog, patternOf, TREATMENT } from './codes.ts';
import { commitment } from './commitment.ts';
import { type EntriesOf, facetsOf } from './facet.ts';
import {
  type EventPart,
  eventParts,
  FORM,
  type Form1,
  type Form1Entry,
  type Form1Hook,
  outcomeOf,
  outcomeOfPart,
  ownSubject,
  referenceTo,
  serverAsked,
} from './form.ts';
import { templateOf } from './render.ts';

/** FHIR `Type/id`, the only form of reference that goes into bytes. */
const LOCAL = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9\-.]{1,64})$/;
const UUID = /^(?:urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;

/** The log itself. */
const LOG_TYPE = 'AuditEvent';
/** Codes of v3-ActReason. */
const PURPOSE = /^[A-Z]{2,20}$/;
const MOST_PURPOSES = 10;
const TOKEN_ID = /^[!-~]{1,128}$/;

/**
 * The row of one request. No Patient id and nothing of `erasable` appears in `bytes`.
 * @param subjectKeys opaque keys of distinct patients, in order, from the store
 * @param salt unguessable text, fresh for each row
 * @param entriesOf the ordinary extractor of AuditEvents; facets are cached for each such function
 */
export function auditRow(
  access: Access,
  subjectKeys: (patients: readonly string[]) => readonly string[],
  salt: string,
  source: AuditSource,
  entriesOf: EntriesOf,
): AuditRow {
  const user = access.hook?.user || access.caller.user || undefined;
  const patients = patientsOf(access, user);
  const keys = patients.length === 0 ? [] : subjectKeys(patients);
  const erasable = erasableOf(access, user, salt);
  const row = form1(access, patients, keys, user !== undefined, source);
  const committed: Form1 = erasable === undefined ? row : { ...row, k: commitment(salt, erasable) };
  const bytes = canonical(committed);
  const userPatient = patients.indexOf(patientId(user) ?? '');
  const events = eventParts(committed).map((part, index): AuditIndex => {
    const { kind, agents } = facetsOf(
      kindText(committed, part),
      agentsText(committed, part, user, tokenOf(access.caller)),
      entriesOf,
      () => templateOf(bytes, erasable, index + 1),
    );
    const subjects = [...new Set([...subjectsOf(part), ...(userPatient < 0 ? [] : [userPatient])])];
    return {
      kind,
      agents,
      subjects: subjects.map((subject) => keys[subject] ?? ''),
      entities: entitiesOf(committed, part),
    };
  });
  const subjects = patients.map((patient, index) => ({ key: keys[index] ?? '', patient }));
  return { form: FORM, bytes, erasable, events, subjects };
}

/** `Patient/1` -> `1`; other texts give undefined. */
function patientId(reference: string | undefined): string | undefined {
  const [, type, id] = LOCAL.exec(reference ?? '') ?? [];
  return type === 'Patient' ? id : undefined;
}
/** What is no id at all is not a patient. */
function hookPatient(hook: HookAccess | undefined): string | undefined {
  const id = hook?.patient?.replace(/^Patient\//, '');
  return id !== undefined && ID_PATTERN.test(id) ? id : undefined;
}

/** Patients of one entry; a Patient that is itself accessed is one of them, also when it was not found. */
function entryPatients({ resource, patients }: AccessEntry): ReadonlySet<string> {
  return new Set(resource?.type === 'Patient' ? [...patients, resource.id] : patients);
}

/** Every patient of the request, once. */
function patientsOf({ entries, hook }: Access, user: string | undefined): readonly string[] {
  const all = new Set(entries.flatMap((entry) => [...entryPatients(entry)]));
  for (const patient of [hookPatient(hook), patientId(user)]) if (patient !== undefined) all.add(patient);
  return [...all];
}

function erasableOf(access: Access, user: string | undefined, salt: string): string | undefined {
  const queries = access.entries.flatMap(({ query }) => (query === undefined ? [] : [query]));
  const { outcomeDescription } = access;
  const token = tokenOf(access.caller);
  if (queries.length === 0 && user === undefined && outcomeDescription === undefined && token === undefined)
    return undefined;
  return JSON.stringify({
    d: outcomeDescription,
    j: token,
    q: queries.length === 0 ? undefined : queries,
    t: salt,
    u: user,
  });
}

function form1(
  { caller, entries, envelope, hook, status }: Access,
  patients: readonly string[],
  keys: readonly string[],
  user: boolean,
  source: AuditSource,
): Form1 {
  const positions = new Map(patients.map((patient, index) => [patient, index]));
  const indexOf = (patient: string): number => positions.get(patient) ?? 0;
  const { system, value } = caller.client;
  const servers = [...new Set(entries.flatMap(({ asked }) => (asked === undefined ? [] : [asked.server])))];
  return {
    a: stated(caller.address),
    c: system ? [system, stated(value)] : [stated(value)],
    ...(servers.length === 0 ? {} : { d: servers }),
    e: entries.map((entry) => form1Entry(entry, servers, indexOf)),
    ...purposesOf(caller),
    ...(hook === undefined ? {} : { h: form1Hook(hook, indexOf) }),
    o: outcomeOf(status),
    s: keys,
    ...(user ? { u: 1 as const } : {}),
    ...(envelope === undefined ? {} : { w: envelope }),
    x: stated(caller.requestId),
    z: [source.observer, stated(source.address)],
  };
}

/** Codes only: a claim may hold anything. Without a claim, and for the server's own work, care is the purpose; of strangers it is not known. */
function purposesOf({ rights }: Caller): { readonly g?: readonly string[] } {
  if (rights.kind === 'nothing') return {};
  const said = rights.kind === 'granted' ? (rights.situation?.purposes ?? []) : [];
  const codes = said.filter((code) => PURPOSE.test(code)).slice(0, MOST_PURPOSES);
  return { g: codes.length === 0 ? [TREATMENT.code ?? ''] : codes };
}

/** At most the last 32 characters of what is no ordinary id, as BALP asks for opaque tokens. */
function tokenOf({ token }: Caller): string | undefined {
  if (token === undefined || TOKEN_ID.test(token)) return token;
  const rest = token.replace(/[^!-~]/g, '').slice(-32);
  return rest === '' ? undefined : rest;
}

/** FHIR has no empty strings. */
const stated = (text: string): string => (text === '' ? 'unknown' : text);

function form1Entry(entry: AccessEntry, servers: readonly string[], indexOf: (patient: string) => number): Form1Entry {
  const { resource, operation, query, asked } = entry;
  const interaction = entry.interaction.replace(/^conditional-/, '');
  return {
    ...(asked === undefined ? {} : { d: servers.indexOf(asked.server), f: asked.status ?? 0 }),
    i: (resource?.type ?? entry.type) === LOG_TYPE && asked === undefined ? onTheLog(interaction) : interaction,
    ...(operation === undefined ? {} : { o: operation }),
    p: [...entryPatients(entry)].map(indexOf),
    ...(query === undefined ? {} : { q: 1 as const }),
    ...(resource === undefined
      ? {}
      : { r: `${resource.type}/${resource.type === 'Patient' ? `#${indexOf(resource.id)}` : resource.id}` }),
    ...(resource?.version === undefined ? {} : { v: resource.version }),
  };
}

function form1Hook(hook: HookAccess, indexOf: (patient: string) => number): Form1Hook {
  const instance = UUID.exec(hook.hookInstance)?.[1]?.toLowerCase();
  const patient = hookPatient(hook);
  const { models } = hook;
  return {
    cards: hook.cards.map(({ uuid, indicator, topic }) => [uuid, indicator, topic]),
    drafts: hook.draftOrders.filter((draft) => LOCAL.test(draft) && patientId(draft) === undefined),
    end: Math.trunc(hook.endedAt),
    fetched: hook.prefetch.fetched.filter(isCode),
    given: hook.prefetch.given.filter(isCode),
    hook: codeOf(hook.hook),
    ...(instance === undefined ? {} : { instance }),
    missing: hook.prefetch.missing.filter(isCode),
    ...(models.length === 0 ? {} : { models: models.map(({ id, version, sha256 }) => [id, version, sha256]) }),
    ...(patient === undefined ? {} : { patient: indexOf(patient) }),
    service: codeOf(hook.service),
    start: Math.trunc(hook.startedAt),
  };
}

/** Names of hooks, services and prefetch keys may come from a refused request: what does not look like one is not written down. */
const isCode = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text);
const codeOf = (text: string): string => (isCode(text) ? text : 'unknown');

/** Keys in alphabetical order; empty lists of patients are left out of entries. */
function canonical({ a, c, d, e, g, h, k, o, s, u, w, x, z }: Form1): string {
  const entries = e.map((entry) => {
    const { d: server, f, i, o: operation, p, q, r, v } = entry;
    return { d: server, f, i, o: operation, p: p.length === 0 ? undefined : p, q, r, v };
  });
  return JSON.stringify({ a, c, d, e: entries, g, h, k, o, s, u, w, x, z });
}

/** Everything that decides the values of the kind facet; checked against the renderer by test/audit/facet.test.ts. */
function kindText(row: Form1, event: EventPart): string {
  const { z } = row;
  const o = outcomeOfPart(row, event);
  switch (event.part) {
    case 'entry': {
      const { i, o: operation, q, r, v } = event.entry;
      return JSON.stringify([
        'k',
        z[0],
        o,
        i,
        operation,
        event.patient !== undefined,
        q,
        r !== undefined,
        v !== undefined,
      ]);
    }
    case 'envelope':
      return JSON.stringify(['k', z[0], o, event.code]);
    case 'hook': {
      const { hook, service, patient, instance, drafts, models, cards } = event.hook;
      const present = [patient, instance, drafts[0], cards[0]].map((value) => value !== undefined);
      return JSON.stringify(['k', z[0], o, 'hook', hook, service, models, ...present]);
    }
    default:
      return event satisfies never;
  }
}

/** Everything that decides the values of the agents facet. */
function agentsText(row: Form1, event: EventPart, user?: string, token?: string): string {
  const { a, c, z } = row;
  const entry = event.part === 'entry' ? event.entry : undefined;
  const pattern = (entry === undefined ? undefined : patternOf(entry.i)) ?? EXECUTE;
  const server = entry === undefined ? undefined : serverAsked(row, entry);
  return JSON.stringify(['a', a, c, z, pattern.client.code, user, token, server]);
}

/** Subjects an event shows: its patient, and a Patient that is itself the data. */
function subjectsOf(event: EventPart): readonly number[] {
  if (event.part === 'hook') return event.hook.patient === undefined ? [] : [event.hook.patient];
  if (event.part === 'envelope') return [];
  const own = ownSubject(event.entry.r);
  return [event.patient, own].filter((subject) => subject !== undefined);
}

/** `Type/id` of what the event's entities refer to, absolute where another server was asked; Patients left out. */
function entitiesOf(row: Form1, event: EventPart): readonly string[] {
  if (event.part === 'hook') return [...new Set(event.hook.drafts)];
  if (event.part !== 'entry') return [];
  const { r } = event.entry;
  return r === undefined || ownSubject(r) !== undefined ? [] : [referenceTo(r, event.entry, row)];
}
