// Writes through the real validator, search, audit and engine: what the store in memory cannot prove.
// http.html#ccreate, #concurrency, #trules.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import { patientsOf } from '../../src/fhir/compartment.ts';
import { loadCapability } from '../../src/fhir/definitions/capability.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { extractor } from '../../src/fhir/search/extract.ts';
import { planSearch } from '../../src/fhir/search/plan.ts';
import { parseSearch } from '../../src/fhir/search/query.ts';
import { validator } from '../../src/fhir/validation/validate.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { openTestStore } from '../test-store.ts';
import { at, BASE, bundle, json } from './write-world.ts';

const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'firewatch-write-'));
const definitions = loadDefinitions(join(ROOT, 'profiles'));
const capability = loadCapability(readFileSync(join(ROOT, 'capability-statement.json'), 'utf8'), definitions);
const store = await openTestStore({
  folder,
  renderAudit: renderAuditEvent,
  indexHash: 'test',
  types: [...definitions.resourceTypes],
  clock: { fixed: Date.UTC(2026, 0, 2) },
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const settings = {
  fhirBase: BASE,
  referentialIntegrity: false,
  bundleEntryLimit: 5000,
  defaultCount: 50,
  maxCount: 1000,
  includeLimit: 100,
  conditionalDeleteLimit: 3,
  cursorKey: new Uint8Array(32),
  softwareVersion: '0',
};
const extractors = new Map<string, (resource: Resource) => readonly IndexEntry[]>();
function indexEntries(resource: Resource): readonly IndexEntry[] {
  const { resourceType: type } = resource;
  const known = extractors.get(type);
  if (known !== undefined) return known(resource);
  const made = extractor(capability.types.get(type)?.searchParameters.values() ?? [], type, {
    definitions,
    fhirBase: BASE,
  });
  extractors.set(type, made);
  return made(resource);
}
const source = { observer: BASE, address: '127.0.0.1' };
const subjectKeys = (patients: readonly string[]) => store.subjectKeys(patients);
const search = { definitions, capability, fhirBase: BASE, settings };
const faults: unknown[] = [];
let ids = 0;
const context: RestContext = {
  store,
  definitions,
  capability,
  settings,
  ambient: { now: () => Date.UTC(2026, 0, 2), newId: () => `id-${++ids}` },
  validate: validator(definitions),
  indexEntries,
  patientsOf: patientsOf(definitions, { fhirBase: BASE }),
  parseSearch: (type, query, handling) => parseSearch(type, query, handling, search),
  planSearch: (query, access) => planSearch(query, access, { ...search, now: Date.UTC(2026, 0, 2) }),
  audit: (access) => auditRow(access, subjectKeys, 'salt', source, indexEntries),
  postedAudit: (resource) => postedAuditRow(resource, subjectKeys, 'salt', source, indexEntries),
  report: (error) => faults.push(error),
};
const caller = localCaller(localFacts('r-1', '::1'));

function ask(method: string, url: string, body?: unknown, headers: Record<string, string> = {}) {
  const [path = '', query = ''] = url.split('?');
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const type = text === undefined ? {} : { 'content-type': 'application/fhir+json' };
  return answer({ method, path, query, headers: { ...type, ...headers }, body: text }, caller, context);
}
const patient = (value: string) => ({ resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value }] });
const total = async (query: string): Promise<number> => {
  const [type = '', criteria = ''] = query.split('?');
  return store.count(context.planSearch(context.parseSearch(type, criteria, 'strict'), caller.access));
};

test('#ccreate: 64 callers at once with the same If-None-Exist create one resource', async () => {
  const send = () => ask('POST', '/Patient', patient('64'), { 'if-none-exist': 'identifier=urn:mrn|64' });
  const statuses = (await Promise.all(Array.from({ length: 64 }, send))).map(({ status }) => status);
  assert.deepEqual([...new Set(statuses)].toSorted(), [200, 201]);
  assert.equal(statuses.filter((status) => status === 201).length, 1);
  assert.equal(await total('Patient?identifier=urn:mrn|64'), 1);
});

test('#concurrency: of 16 updates with the same If-Match one wins', async () => {
  await ask('PUT', '/Patient/race', { ...patient('race'), id: 'race' });
  const send = (_: unknown, index: number) =>
    ask('PUT', '/Patient/race', { ...patient('race'), id: 'race', language: `x-${index}` }, { 'if-match': 'W/"1"' });
  const statuses = (await Promise.all(Array.from({ length: 16 }, send))).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 200).length, 1);
  assert.equal(statuses.filter((status) => status === 412).length, 15);
});

test('#concurrency: 16 updates without If-Match all succeed, each with a version of its own', async () => {
  const send = (_: unknown, index: number) =>
    ask('PUT', '/Patient/all', { ...patient('all'), id: 'all', language: `x-${index}` });
  const answers = await Promise.all(Array.from({ length: 16 }, send));
  assert.equal(new Set(answers.map(({ headers }) => headers.ETag)).size, 16);
  assert.ok(answers.every(({ status }) => status < 300));
});

test('the text answered is the text stored, and what is deleted can come back', async () => {
  const created = await ask('POST', '/Patient', patient('text'));
  const id = String(json(created).id);
  assert.equal((await ask('GET', `/Patient/${id}`)).body, created.body);
  assert.equal((await ask('DELETE', `/Patient/${id}`)).status, 204);
  assert.equal((await ask('GET', `/Patient/${id}`)).status, 410);
  const back = await ask('PUT', `/Patient/${id}`, { ...patient('text'), id });
  assert.deepEqual([back.status, back.headers.ETag], [201, 'W/"3"']);
});

test('transaction: a hospital message, sent twice, makes one of each; a bad last entry makes none', async () => {
  const urn = 'urn:uuid:84d85421-ad41-47ff-8fe8-df69c8f78038';
  const observation = (reference: string, more: JsonObject): JsonObject => ({
    resourceType: 'Observation',
    status: 'final',
    code: { text: 'x' },
    subject: { reference },
    ...more,
  });
  const identifier = [{ system: 'urn:msg', value: '7' }];
  const message = (status: string) =>
    bundle(
      'transaction',
      ['POST', 'Patient', patient('msg'), { fullUrl: urn, ifNoneExist: 'identifier=urn:mrn|msg' }],
      ['POST', 'Observation', observation(urn, { identifier }), { ifNoneExist: 'identifier=urn:msg|7' }],
      ['PUT', 'Observation/chart', observation('Patient?identifier=urn:mrn|msg', { id: 'chart', status })],
    );
  assert.equal((await ask('POST', '/', message('nonsense'))).status, 400);
  assert.equal(await total('Patient?identifier=urn:mrn|msg'), 0);
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask('POST', '/', message('final'))));
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array.from({ length: 8 }, () => 200),
  );
  assert.equal(await total('Patient?identifier=urn:mrn|msg'), 1);
  assert.equal(await total('Observation?identifier=urn:msg|7'), 1);
  const held = json(await ask('GET', '/Observation/chart'));
  assert.equal(at(held, 'meta.versionId'), '1', 'the same content makes no version');
  assert.equal(await total(`Observation?subject=${at(held, 'subject.reference')}`), 2);
});

test('AuditEvent: a posted one can be read at its Location', async () => {
  const event = {
    resourceType: 'AuditEvent',
    type: { system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110100' },
    recorded: '2026-01-01T00:00:00Z',
    agent: [{ requestor: true }],
    source: { observer: { display: 'elsewhere' } },
  };
  const created = await ask('POST', '/AuditEvent', event);
  assert.equal(created.status, 201);
  const path = (created.headers.Location ?? '').slice(BASE.length);
  const held = await ask('GET', path);
  assert.equal(json(held).id, path.split('/')[2]);
  assert.equal(held.body, created.body);
  assert.equal(at(json(held), 'source.observer.display'), 'elsewhere');
});

test('a synthetic patient of Synthea goes in as one transaction, with every placeholder resolved', async () => {
  const file = join(ROOT, 'test/data/synthea/Alexis_Toy_68cd1181-6359-4047-a77f-a165d7912480.json.gz');
  const text = gunzipSync(readFileSync(file)).toString('utf8');
  const response = await ask('POST', '/', text, { prefer: 'return=representation' });
  assert.equal(response.status, 200, response.body?.slice(0, 500));
  assert.equal(at(json(response), 'entry.length'), 176);
  assert.doesNotMatch(response.body ?? '', /"reference":"urn:uuid:/);
});

test('nothing went wrong unseen, and the chain of the audit log is whole', async () => {
  assert.deepEqual(faults, []);
  assert.equal((await store.verifyAudit()).broken, undefined);
});
