/** Requests to audit, and rows as the store would hand them back. No socket, no store. */
import { join } from 'node:path';
import type { AuditEvent } from 'fhir/r4.d.ts';
import {
  type Access,
  type AccessEntry,
  auditRow,
  type HookAccess,
  renderAuditEvent,
  type StoredAuditRow,
} from '../../src/audit.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { extractor } from '../../src/fhir/search/extract.ts';
import { validator } from '../../src/fhir/validation/validate.ts';
import type { Caller } from '../../src/rest/context.ts';
import type { AuditRow } from '../../src/store/port.ts';

export const SOURCE = { observer: 'http://127.0.0.1:8080/fhir', address: '127.0.0.1' };
export const SALT = 'c2FsdC1vZi10aGUtdGVzdA';
export const REQUEST_ID = '018f2b5e-7c1a-7000-8000-000000000001';
/** Instant of every stored row: 2026-03-04T05:06:07.008Z. */
export const AT = Date.UTC(2026, 2, 4, 5, 6, 7, 8);

export const definitions = loadDefinitions(join(import.meta.dirname, '../../profiles'));
export const entriesOf = extractor(definitions.searchParameters('AuditEvent').values(), 'AuditEvent', {
  fhirBase: SOURCE.observer,
  definitions,
});
export const findings = validator(definitions);

export const caller = (user?: string, token?: string, purposes: readonly string[] = []): Caller => ({
  principal: 'local',
  rights: { kind: 'granted', scopes: [], patients: [], situation: { purposes, actors: [] } },
  ...(token === undefined ? {} : { token }),
  client: { system: 'https://issuer.example/clients', value: 'ward-app' },
  user,
  address: '192.0.2.7',
  requestId: REQUEST_ID,
  access: { principal: 'local', visible: () => ({ kind: 'all' }) },
});

export const HOOK: HookAccess = {
  hook: 'order-sign',
  service: 'drug-interactions-sign',
  hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
  startedAt: AT - 25,
  endedAt: AT,
  user: 'Practitioner/dr-canary',
  patient: 'pat-canary',
  draftOrders: ['MedicationRequest/draft-1', 'Patient/pat-canary', 'Mary Canary'],
  models: [
    { id: 'sepsis', version: '1.0.0', sha256: 'ab'.repeat(32) },
    { id: 'news2', version: '1.1.0', sha256: 'cd'.repeat(32) },
  ],
  cards: [{ uuid: '6f8b1c9e-1111-4222-8333-444455556666', indicator: 'warning', topic: 'interaction' }],
  prefetch: { given: ['patient'], fetched: ['medications', 'conditions'], missing: ['egfr'] },
};

/** Opaque keys as a store mints them; not derived from the id. */
export function keyMint(): { keys: (patients: readonly string[]) => readonly string[]; calls: string[][] } {
  const known = new Map<string, string>();
  const calls: string[][] = [];
  const keys = (patients: readonly string[]): readonly string[] => {
    calls.push([...patients]);
    return patients.map((patient) => {
      const key = known.get(patient) ?? `subject-key-${known.size}`;
      known.set(patient, key);
      return key;
    });
  };
  return { keys, calls };
}

export const rowOf = (access: Access): AuditRow => auditRow(access, keyMint().keys, SALT, SOURCE, entriesOf);
export const accessOf = (entries: readonly AccessEntry[], more: Partial<Access> = {}): Access => ({
  caller: caller(),
  entries,
  status: 200,
  ...more,
});

/** As the store hands it over; `erased`: after an erasure of everyone in it. */
export function stored(row: AuditRow, { erased = false } = {}): StoredAuditRow {
  const patients = new Map(row.subjects.map(({ key, patient }) => [key, patient]));
  return {
    chain: 1,
    sequence: 42,
    at: AT,
    form: row.form,
    bytes: row.bytes,
    erasable: erased ? undefined : row.erasable,
    patientOf: (key) => (erased ? undefined : patients.get(key)),
  };
}

export const rendered = (row: AuditRow, options?: { erased?: boolean }): AuditEvent[] =>
  row.events.map((_event, index): AuditEvent => JSON.parse(renderAuditEvent(stored(row, options), index + 1)));

const data = { type: 'Observation', id: 'obs-1' };
export const EHR = 'https://ehr.example/fhir';
const asked = (status: number | undefined, server = EHR) => ({ server, status });
const outside = `GET ${EHR}/Observation?patient=pat-canary&code=x`;
const search = 'GET /fhir/Observation?patient=pat-canary&code:in=x&_text=Canary';

/** One row for each shape of request; names say what is special. */
export const SAMPLES: Readonly<Record<string, Access>> = {
  'read of one patient': accessOf([{ interaction: 'read', resource: data, patients: ['pat-canary'] }]),
  'read by a user': accessOf([{ interaction: 'read', resource: data, patients: ['pat-canary'] }], {
    caller: caller('Practitioner/dr-canary'),
  }),
  'read with a token': accessOf([{ interaction: 'read', resource: data, patients: ['pat-canary'] }], {
    caller: caller('Practitioner/dr-canary', 'token-1', ['HRESCH', 'TREAT', 'Mary Canary']),
  }),
  'read by a system with a token': accessOf([{ interaction: 'read', resource: data, patients: ['pat-canary'] }], {
    caller: caller(undefined, 'token-2'),
  }),
  'read without patient': accessOf([
    { interaction: 'read', resource: { type: 'Practitioner', id: 'p1' }, patients: [] },
  ]),
  'read of a Patient that is not there': accessOf(
    [{ interaction: 'read', resource: { type: 'Patient', id: 'pat-canary' }, patients: [] }],
    { status: 404, outcomeDescription: '`Patient/pat-canary` is not known.' },
  ),
  'a patient reads': accessOf([{ interaction: 'read', resource: data, patients: ['pat-canary'] }], {
    caller: caller('Patient/pat-canary'),
  }),
  vread: accessOf([{ interaction: 'vread', resource: { ...data, version: 2 }, patients: ['pat-canary'] }]),
  create: accessOf([{ interaction: 'create', resource: { ...data, version: 1 }, patients: ['pat-canary'] }], {
    status: 201,
    caller: caller('Practitioner/dr-canary'),
  }),
  'create of a Patient': accessOf(
    [{ interaction: 'create', resource: { type: 'Patient', id: 'pat-canary', version: 1 }, patients: ['pat-canary'] }],
    { status: 201 },
  ),
  update: accessOf([{ interaction: 'update', resource: { ...data, version: 7 }, patients: ['pat-canary'] }]),
  'conditional update': accessOf([
    { interaction: 'conditional-update', resource: { ...data, version: 7 }, patients: [] },
  ]),
  patch: accessOf([{ interaction: 'patch', resource: { ...data, version: 8 }, patients: ['pat-canary'] }]),
  delete: accessOf([{ interaction: 'delete', resource: { ...data, version: 9 }, patients: ['pat-canary'] }], {
    status: 204,
  }),
  'search of several patients': accessOf([
    { interaction: 'search-type', query: search, patients: ['pat-canary', 'pat-canary-2', 'pat-canary-3'] },
  ]),
  'search without result': accessOf([{ interaction: 'search-type', query: search, patients: [] }]),
  'search of the system': accessOf([{ interaction: 'search-system', query: 'GET /fhir?_type=Patient', patients: [] }]),
  'search refused': accessOf([{ interaction: 'search-type', query: search, patients: [] }], {
    status: 400,
    outcomeDescription: 'Unknown parameter.',
  }),
  'history of one': accessOf([
    {
      interaction: 'history-instance',
      resource: data,
      query: 'GET /fhir/Observation/obs-1/_history',
      patients: ['pat-canary'],
    },
  ]),
  'history of all': accessOf([{ interaction: 'history-system', query: 'GET /fhir/_history', patients: [] }]),
  capabilities: accessOf([{ interaction: 'capabilities', patients: [] }]),
  operation: accessOf([
    {
      interaction: 'operation',
      operation: 'everything',
      query: 'GET /fhir/Patient/pat-canary/$everything',
      resource: { type: 'Patient', id: 'pat-canary' },
      patients: ['pat-canary'],
    },
  ]),
  transaction: accessOf(
    [
      { interaction: 'create', resource: { type: 'Patient', id: 'pat-canary', version: 1 }, patients: ['pat-canary'] },
      { interaction: 'search-type', query: search, patients: ['pat-canary', 'pat-canary-2'] },
      { interaction: 'create', resource: { type: 'Practitioner', id: 'p1', version: 1 }, patients: [] },
      { interaction: 'search-type', query: 'GET /fhir/Patient?name=second-canary', patients: [] },
    ],
    { envelope: 'transaction' },
  ),
  'transaction rolled back': accessOf([], { envelope: 'transaction', status: 409 }),
  batch: accessOf([{ interaction: 'read', resource: data, patients: [] }], { envelope: 'batch' }),
  'refused before it was known': accessOf([], { status: 401, caller: { ...caller(), address: 'proxy.example' } }),
  'server failure': accessOf([{ interaction: 'update', resource: { ...data, version: 2 }, patients: ['pat-canary'] }], {
    status: 500,
  }),
  'hook call': accessOf([], { hook: HOOK }),
  'hook call with reads of another server': accessOf(
    [
      {
        interaction: 'read',
        resource: { type: 'Patient', id: 'pat-canary' },
        patients: ['pat-canary'],
        asked: asked(200),
      },
      { interaction: 'read', resource: { type: 'Encounter', id: 'e1' }, patients: ['pat-canary'], asked: asked(404) },
      { interaction: 'search-type', query: outside, patients: ['pat-canary'], asked: asked(200) },
      { interaction: 'search-type', query: `GET ${EHR}?page=2`, patients: ['pat-canary'], asked: asked(undefined) },
      { interaction: 'read', resource: data, patients: ['pat-canary'] },
    ],
    { hook: HOOK, status: 412, outcomeDescription: 'refused: precondition-failed' },
  ),
  'reads of two other servers for a system': accessOf(
    [
      { interaction: 'search-type', query: outside, patients: ['pat-canary'], asked: asked(503) },
      { interaction: 'read', resource: data, patients: [], asked: asked(200, 'http://127.0.0.1:9/fhir') },
    ],
    { caller: caller(undefined, 'token-3') },
  ),
  'hook call without anything': accessOf([], {
    status: 412,
    hook: {
      ...HOOK,
      hook: 'mary canary',
      service: 'Mary Canary?',
      hookInstance: 'Mary Canary',
      user: undefined,
      patient: undefined,
      draftOrders: [],
      models: [],
      cards: [],
      prefetch: { given: ['Mary Canary'], fetched: [], missing: [] },
    },
  }),
};
