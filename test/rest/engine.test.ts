// The reading interactions over the real engine and the real audit: http.html#read, #search, #history, #paging; docs/audit.md.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import type { Engine } from '../../src/store/engine.ts';
import { openTestStore } from '../test-store.ts';
import { BASE, idsOf, json, linkOf, type Sent, world } from '../world.ts';

let store: Engine;
let context: RestContext;
const folder = mkdtempSync(join(tmpdir(), 'door-'));
const caller = localCaller(localFacts('request-1', '127.0.0.1'));
const { context: outline, wire, reported } = world();
const send = (method: string, url: string, sent?: Sent): Promise<FhirResponse> =>
  answer(wire(method, url, sent), caller, context);

before(async () => {
  const types = [...outline.capability.types.keys()];
  store = await openTestStore({ folder, renderAudit: renderAuditEvent, indexHash: 'test', types, budgetMs: 2000 });
  const subjectKeys = (patients: readonly string[]) => store.subjectKeys(patients);
  const source = { observer: BASE, address: '127.0.0.1' };
  const { indexEntries } = outline;
  context = {
    ...outline,
    store,
    audit: (access) => auditRow(access, subjectKeys, 'salt', source, indexEntries),
    postedAudit: (resource) => postedAuditRow(resource, subjectKeys, 'salt', source, indexEntries),
  };
  for (const [id, patient, active] of [
    ['a', 'p1', true],
    ['b', 'p1', false],
    ['c', 'p2', true],
    ['d', 'p2', false],
  ] as const) {
    await send('PUT', `/Patient/${patient}`, { body: { resourceType: 'Patient', id: patient, active } });
    const body = {
      resourceType: 'Observation',
      id,
      status: 'final',
      code: { text: 'x' },
      subject: { reference: `Patient/${patient}` },
    };
    assert.equal((await send('PUT', `/Observation/${id}`, { body })).status, 201);
  }
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
  assert.deepEqual(reported, []);
});

const rows: readonly [url: string, matches: readonly string[], includes: readonly string[]][] = [
  ['/Observation?subject=Patient/p1', ['a', 'b'], []],
  ['/Observation?patient=p1&_include=Observation:subject', ['a', 'b'], ['p1']],
  ['/Patient?_id=p2&_revinclude=Observation:subject', ['p2'], ['c', 'd']],
  ['/Patient?_has:Observation:subject:_id=c', ['p2'], []],
];
for (const [url, matches, includes] of rows) {
  test(`fhir-r4@search over the engine: ${url}`, async () => {
    const bundle = json(await send('GET', url));
    assert.deepEqual([idsOf(bundle).toSorted(), idsOf(bundle, 'include').toSorted()], [matches, includes]);
  });
}

for (const url of [
  '/Observation?_count=1&_sort=_id',
  '/Observation?_count=3',
  '/Observation?_count=2&_sort=-_lastUpdated',
]) {
  test(`fhir-r4@paging over the engine: ${url} gives each match once`, async () => {
    const seen: string[] = [];
    let next: string | undefined = url;
    while (next !== undefined && seen.length < 9) {
      const bundle = json(await send('GET', next));
      seen.push(...idsOf(bundle));
      next = linkOf(bundle, 'next');
    }
    assert.deepEqual(seen.toSorted(), ['a', 'b', 'c', 'd']);
  });
}

test('fhir-r4@history over the engine: paged, newest first', async () => {
  const methods: unknown[] = [];
  let next: string | undefined = '/Patient/_history?_count=1';
  while (next !== undefined && methods.length < 9) {
    const bundle = json(await send('GET', next));
    methods.push(...(Array.isArray(bundle.entry) ? bundle.entry : []));
    next = linkOf(bundle, 'next');
  }
  assert.equal(methods.length, 4, 'each Patient was put twice');
});

test('every access of a patient is an AuditEvent that can be searched and read, and reading it leaves another', async () => {
  const count = async (): Promise<number> =>
    Number(json(await send('GET', '/AuditEvent?patient=p1&_summary=count')).total);
  const before = await count();
  await send('GET', '/Patient/p1');
  assert.equal(await count(), before + 2, 'the read, and the search before it, which names the patient');
  const bundle = json(await send('GET', '/AuditEvent?patient=p1&_count=1&_sort=-date'));
  const [id] = idsOf(bundle);
  const event = await send('GET', `/AuditEvent/${id}`);
  assert.equal(event.status, 200);
  assert.equal(json(event).resourceType, 'AuditEvent');
});

test('GET and POST search, conditional read and deletion behave as over the store in memory', async () => {
  assert.equal((await send('GET', '/Patient/p1', { headers: { 'if-none-match': 'W/"2"' } })).status, 304);
  await send('DELETE', '/Observation/d');
  assert.equal((await send('GET', '/Observation/d')).status, 410);
  assert.equal((await send('GET', '/Observation/d/_history/1')).status, 200);
  assert.equal(json(await send('GET', '/Observation/d/_history')).total, 2);
});
