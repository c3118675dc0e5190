/** A system without sockets: the real door, definitions and claims; a fixed clock, counted ids, a store in memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from '../src/audit.ts';
import { patientsOf } from '../src/fhir/compartment.ts';
import { loadCapability } from '../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../src/fhir/definitions/load.ts';
import { conformanceValidator } from '../src/fhir/profile/validator.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../src/fhir/resource.ts';
import type { IndexEntry, Predicate } from '../src/fhir/search/algebra.ts';
import { extractor } from '../src/fhir/search/extract.ts';
import { planSearch } from '../src/fhir/search/plan.ts';
import { parseSearch } from '../src/fhir/search/query.ts';
import type { Caller, RestContext, RestSettings } from '../src/rest/context.ts';
import { answer } from '../src/rest/interact.ts';
import { localCaller, localFacts } from '../src/rest/permission/caller.ts';
import type { FhirResponse, WireRequest } from '../src/rest/request.ts';
import { MemoryStore } from './rest/memory-store.ts';

const ROOT = join(import.meta.dirname, '..');
export const BASE = 'http://127.0.0.1:8080/fhir';
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const capability = loadCapability(readFileSync(join(ROOT, 'capability-statement.json'), 'utf8'), definitions);
const extractors = new Map<string, (resource: Resource) => readonly IndexEntry[]>();
const valid = conformanceValidator(definitions);
const patients = patientsOf(definitions, { fhirBase: BASE });

export interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  /** A text is sent as it is; anything else as JSON. */
  readonly body?: unknown;
}
export interface World {
  readonly context: RestContext;
  readonly store: MemoryStore;
  /** What was given to the audit, in order. */
  readonly accesses: Access[];
  /** Faults that were reported to the log. */
  readonly reported: unknown[];
  /** Moves the clock; ms. */
  advance(ms: number): void;
  send(method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  wire(method: string, url: string, sent?: Sent): WireRequest;
}
export interface WorldOptions {
  readonly settings?: Partial<RestSettings>;
  /** What the caller may see of each type; default everything. */
  readonly visible?: (type: string) => Predicate;
  readonly principal?: string;
  /** ms since 1970; default 2026-01-02T03:04:05.678Z. */
  readonly start?: number;
}

const START = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** A world with a clock of its own. Each commit takes a second. */
export function world({ settings = {}, visible, principal = 'local', start = START }: WorldOptions = {}): World {
  let now = start;
  let ids = 0;
  const store = new MemoryStore(() => (now += 1000));
  const accesses: Access[] = [];
  const reported: unknown[] = [];
  const row = { form: 1, bytes: '', erasable: undefined, events: [], subjects: [] };
  const limits: RestSettings = {
    fhirBase: BASE,
    referentialIntegrity: false,
    bundleEntryLimit: 100,
    defaultCount: 10,
    maxCount: 50,
    includeLimit: 20,
    conditionalDeleteLimit: 3,
    cursorKey: new Uint8Array(32).fill(7),
    softwareVersion: '1.2.3',
    ...settings,
  };
  const context: RestContext = {
    store,
    definitions,
    capability: { ...capability },
    settings: limits,
    ambient: { now: () => now, newId: () => `id-${++ids}` },
    validate: valid,
    indexEntries,
    patientsOf: patients,
    parseSearch: (type, query, handling) =>
      parseSearch(type, query, handling, { definitions, capability, settings: limits }),
    planSearch: (query, access, links) => planSearch(query, access, { capability, fhirBase: BASE, now, links }),
    audit: (access) => {
      accesses.push(access);
      return row;
    },
    postedAudit: () => row,
    report: (error) => reported.push(error),
  };
  const local = localCaller({ ...localFacts('request-1', '127.0.0.1'), principal });
  const caller: Caller = visible === undefined ? local : { ...local, access: { principal, visible } };
  return {
    context,
    store,
    accesses,
    reported,
    advance: (ms) => {
      now += ms;
    },
    wire,
    send: (method, url, sent) => answer(wire(method, url, sent), caller, context),
  };
}

/** `url` is below the base or, as in links, absolute. */
function wire(method: string, url: string, { headers = {}, body }: Sent = {}): WireRequest {
  const relative = url.startsWith(BASE) ? url.slice(BASE.length) : url;
  const at = relative.indexOf('?');
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const type = text === undefined ? {} : { 'content-type': 'application/fhir+json' };
  return {
    method,
    path: at < 0 ? relative : relative.slice(0, at),
    query: at < 0 ? '' : relative.slice(at + 1),
    headers: { ...type, ...headers },
    body: text,
  };
}

function indexEntries(resource: Resource): readonly IndexEntry[] {
  const type = resource.resourceType;
  const claimed = (of: string) => capability.types.get(of)?.searchParameters.values();
  const parameters = claimed(type) ?? [];
  const extract =
    extractors.get(type) ??
    extractor(parameters, type, { fhirBase: BASE, definitions, common: capability.common, claimed });
  extractors.set(type, extract);
  return extract(resource);
}

/** Body of an answer as a JSON object; {} without one. */
export function json({ body }: FhirResponse): JsonObject {
  const value: Json = body === undefined ? {} : JSON.parse(body);
  return isJsonObject(value) ? value : {};
}

/** A member of nested JSON by path: `entry.0.resource.id`. */
export function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (here, key) => (typeof here === 'object' && here !== null ? Reflect.get(here, key) : undefined),
      value,
    );
}

/** Ids of a Bundle's entries of one search mode. */
export function idsOf(bundle: JsonObject, mode = 'match'): readonly string[] {
  const entries = Array.isArray(bundle.entry) ? bundle.entry : [];
  return entries.filter((entry) => at(entry, 'search.mode') === mode).map((entry) => String(at(entry, 'resource.id')));
}

/** URL of a link of a Bundle. */
export function linkOf(bundle: JsonObject, relation: string): string | undefined {
  const links = Array.isArray(bundle.link) ? bundle.link : [];
  const url = at(
    links.find((each) => at(each, 'relation') === relation),
    'url',
  );
  return typeof url === 'string' ? url : undefined;
}
