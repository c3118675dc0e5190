/** The real door with real definitions over a store in memory; search and validation know just what these tests use. */
import { join } from 'node:path';
import type { Access } from '../../src/audit.ts';
import type { Capability, ClaimedType } from '../../src/fhir/definitions/capability.ts';
import type { SearchParameter } from '../../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { fhirError, type Issue } from '../../src/fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource } from '../../src/fhir/resource.ts';
import type { IndexEntry, Predicate } from '../../src/fhir/search/algebra.ts';
import type { SearchQuery } from '../../src/fhir/search/query.ts';
import type { Caller, RestContext, RestSettings } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { pairsOf } from '../../src/rest/wire/query-text.ts';
import type { AuditRow } from '../../src/store/port.ts';
import { MemoryStore } from './write-store.ts';

export const BASE = 'http://127.0.0.1:8080/fhir';
const definitions = loadDefinitions(join(import.meta.dirname, '../../profiles'));
const TYPES = [
  'Patient',
  'Observation',
  'Practitioner',
  'Organization',
  'Encounter',
  'Basic',
  'Composition',
  'Provenance',
  'AuditEvent',
];

export interface World {
  readonly store: MemoryStore;
  readonly context: RestContext;
  /** Everything handed to `context.audit`, in order; rolled back commits included. */
  readonly accesses: Access[];
  /** Sends one request; a body that is not a text is sent as JSON. */
  ask(method: string, url: string, body?: unknown, headers?: Record<string, string>): Promise<FhirResponse>;
}

export function world(
  settings: Partial<RestSettings> = {},
  caller: Caller = localCaller(localFacts('r-1', '::1')),
): World {
  let ms = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  let ids = 0;
  const store = new MemoryStore(() => ms++);
  const accesses: Access[] = [];
  const context: RestContext = {
    store,
    definitions,
    capability: capability(),
    settings: {
      fhirBase: BASE,
      referentialIntegrity: false,
      bundleEntryLimit: 2000,
      defaultCount: 50,
      maxCount: 1000,
      includeLimit: 100,
      conditionalDeleteLimit: 3,
      cursorKey: new Uint8Array(16),
      softwareVersion: '0',
      ...settings,
    },
    ambient: { now: () => ms, newId: () => `new-${++ids}` },
    validate,
    indexEntries,
    patientsOf,
    parseSearch,
    planSearch: (query, access) => ({
      ...planOf(query, access.visible(query.type, 'search')),
      principal: access.principal,
    }),
    audit: (access) => {
      accesses.push(access);
      return row(access.envelope ?? access.entries[0]?.interaction ?? '');
    },
    postedAudit: (resource) => row(`posted ${resource.resourceType}`),
    report: () => undefined,
  };
  const ask: World['ask'] = async (method, url, body, headers = {}) => {
    const [path = '', query = ''] = url.split('?');
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const type = text === undefined ? {} : { 'content-type': 'application/fhir+json' };
    return answer({ method, path, query, headers: { ...type, ...headers }, body: text }, caller, context);
  };
  return { store, context, accesses, ask };
}

const parameter = (type: string, code: string, kind: SearchParameter['type']): [string, SearchParameter] => [
  code,
  { url: `urn:test:${type}-${code}`, code, type: kind, expression: '', targets: [], components: [] },
];

function capability(): Capability {
  const all = [
    'read',
    'vread',
    'update',
    'patch',
    'delete',
    'create',
    'search-type',
    'conditional-update',
    'conditional-delete',
  ];
  const types = TYPES.map((type): [string, ClaimedType] => [
    type,
    {
      type,
      interactions: new Set(type === 'AuditEvent' ? ['read', 'create', 'search-type'] : all),
      updateCreate: type !== 'Organization',
      conditionalCreate: true,
      conditionalUpdate: true,
      conditionalDelete: type === 'Organization' ? 'single' : 'multiple',
      searchParameters: new Map([parameter(type, 'identifier', 'token'), parameter(type, 'subject', 'reference')]),
      includes: [],
      revIncludes: [],
      operations: new Map(),
    },
  ]);
  return {
    statement: '{}',
    types: new Map(types),
    system: new Set(['transaction', 'batch']),
    compartments: new Set(),
    common: new Set(),
    operations: new Map(),
  };
}

/** Two base rules and a warning, enough to see refusals of each sort. */
function validate(resource: Resource): readonly Issue[] {
  const issues: Issue[] = [];
  const { resourceType: type } = resource;
  if ('unknown' in resource)
    issues.push({ kind: 'structure', message: 'Not an element.', expression: `${type}.unknown` });
  if (resource.gender === 'none')
    issues.push({ kind: 'code-invalid', message: 'Not a code.', expression: `${type}.gender` });
  if (resource.active === false) issues.push({ kind: 'invariant', message: 'Hm.', severity: 'warning' });
  return issues;
}

function indexEntries(resource: Resource): readonly IndexEntry[] {
  const { resourceType: type, identifier, subject } = resource;
  const entries: IndexEntry[] = list(identifier).map((each) => ({
    kind: 'token',
    parameter: `${type}.identifier`,
    system: String(each.system ?? ''),
    code: String(each.value ?? ''),
    group: 0,
  }));
  const [target] = list(subject);
  if (typeof target?.reference === 'string') {
    entries.push({ kind: 'reference', parameter: `${type}.subject`, target: target.reference, version: '', group: 0 });
  }
  return entries;
}

const list = (value: Json | undefined): JsonObject[] => [value].flat().filter(isJsonObject);

function patientsOf(resource: Resource): readonly string[] {
  if (resource.resourceType === 'Patient') return resource.id === undefined ? [] : [resource.id];
  return list(resource.subject).flatMap(({ reference }) =>
    typeof reference === 'string' && reference.startsWith('Patient/') ? [reference.slice(8)] : [],
  );
}

function parseSearch(type: string, text: string): SearchQuery {
  const used = pairsOf(text);
  const unknown = used.find(
    ([name]) => !['identifier', 'subject', '_id', '_count', '_sort', '_include'].includes(name),
  );
  if (unknown !== undefined) throw fhirError('unsupported-parameter', 'Unknown search parameter.');
  const has = (name: string): boolean => used.some(([given]) => given === name);
  return {
    type,
    criteria: used
      .filter(([name]) => !/^_(count|sort|include)$/.test(name))
      .map(([name, value]) => ({
        kind: 'value',
        parameter: parameter(type, name, 'token')[1],
        modifier: undefined,
        values: [value],
      })),
    sort: has('_sort') ? [{ parameter: '_id', indexed: 'id', descending: false }] : [],
    count: has('_count') ? 1 : undefined,
    total: undefined,
    includes: has('_include') ? [{ source: type, parameter: '*', target: undefined, iterate: false }] : [],
    revIncludes: [],
    summary: undefined,
    elements: [],
    cursor: undefined,
    used,
    ignored: [],
  };
}

function planOf({ type, criteria }: SearchQuery, visible: Predicate) {
  const of = criteria.map((criterion): Predicate => {
    if (criterion.kind !== 'value') throw new TypeError('These tests use no chains.');
    const { parameter: asked, values } = criterion;
    const [value = ''] = values;
    const name = asked.code;
    if (name === '_id') return { kind: 'ids', ids: [value] };
    if (name === 'subject') return { kind: 'reference', parameter: `${type}.subject`, targets: [value] };
    const [system, code] = value.includes('|') ? value.split('|') : [undefined, value];
    return {
      kind: 'token',
      parameter: `${type}.identifier`,
      code: code ?? '',
      ...(system === undefined ? {} : { system }),
    };
  });
  return { type, where: { kind: 'and', of: [...of, visible] } as const, sort: [] };
}

const row = (bytes: string): AuditRow => ({ form: 1, bytes, erasable: undefined, events: [], subjects: [] });

/** The body as an object; {} without one. */
export function json({ body }: FhirResponse): JsonObject {
  const value = body === undefined ? {} : parseJson(body);
  return isJsonObject(value) ? value : {};
}

/** A member of nested JSON by path, such as `entry.0.response.status`. */
export function at(value: Json | undefined, path: string): Json | undefined {
  let here: unknown = value;
  for (const key of path.split('.'))
    here = typeof here === 'object' && here !== null ? Reflect.get(here, key) : undefined;
  return here as Json | undefined;
}

/** A transaction or batch of `[method, url, resource?, more request members and fullUrl]`. */
export function bundle(type: 'transaction' | 'batch', ...entries: readonly EntryRow[]): JsonObject {
  return {
    resourceType: 'Bundle',
    type,
    entry: entries.map(([method, url, resource, { fullUrl, ...request } = {}]) => ({
      ...(fullUrl === undefined ? {} : { fullUrl }),
      ...(resource === undefined ? {} : { resource }),
      request: { method, url, ...request },
    })),
  };
}
export type EntryRow = readonly [
  method: string,
  url: string,
  resource?: JsonObject | undefined,
  more?: { readonly fullUrl?: string; readonly [member: string]: string | undefined },
];
