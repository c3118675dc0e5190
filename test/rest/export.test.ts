// FHIR Bulk Data Access 2.0.0, export.html: kick-off parameters, what is exported, status, cancel, expiry, resumption.
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { StoreError } from '../../src/store/port.ts';
import { at, json } from '../world.ts';
import { ASYNC, EXPIRY_MS, type ExportWorld, exportWorld, linesOf, narrow } from './export-world.ts';
import { parameters } from './operations-world.ts';

const to = (reference: string) => ({ reference });
const observation = (id: string, status: string, subject: string, more: object = {}) => ({
  resourceType: 'Observation',
  id,
  status,
  code: { text: 'x' },
  subject: to(subject),
  ...more,
});

let w: ExportWorld;
before(async () => {
  w = await exportWorld();
  await w.operations.hold(
    { resourceType: 'Patient', id: 'a', name: [{ family: 'A' }], gender: 'female' },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Patient', id: 'c' },
    { resourceType: 'Patient', id: 'd', link: [{ other: to('Patient/a'), type: 'seealso' }] },
    { resourceType: 'Organization', id: 'o', name: 'O' },
    { resourceType: 'Device', id: 'dev' },
    observation('a1', 'final', 'Patient/a'),
    observation('a2', 'amended', 'Patient/a'),
    observation('ab', 'final', 'Patient/a', { performer: [to('Patient/b')] }),
    observation('c1', 'final', 'Patient/c'),
    observation('d1', 'preliminary', 'Patient/d'),
    observation('dev1', 'final', 'Device/dev'),
    {
      resourceType: 'Group',
      id: 'g',
      type: 'person',
      actual: true,
      member: [
        { entity: to('Patient/a') },
        { entity: to('Patient/b') },
        { entity: to('Patient/c'), inactive: true },
        { entity: to('Group/g') },
        { entity: to('Patient/a') },
      ],
    },
  );
});
after(() => w.close());
beforeEach(() => {
  for (const name of Object.keys(w.tools)) Reflect.deleteProperty(w.tools, name);
  w.gate = Promise.resolve();
  w.broken = false;
  w.recorded.length = 0;
});

const ids = (list: readonly object[] = []): readonly unknown[] => list.map((each) => at(each, 'id')).toSorted();
const encoded = encodeURIComponent;

const KICK_OFFS: readonly (readonly [url: string, status: number, why: string])[] = [
  ['/$export', 202, 'control: the whole system'],
  ['/Patient/$export', 202, 'control: all patients'],
  ['/Group/g/$export', 202, 'control: a group'],
  ['/Group/$export', 404, 'a group is named'],
  ['/Group/none/$export', 404, 'no such group'],
  ['/Patient/a/$export', 202, 'control: one patient'],
  ['/Patient/none/$export', 404, 'no such patient'],
  ['/Observation/$export', 404, 'not an export'],
  ['/$export?_outputFormat=application/fhir%2Bndjson', 202, 'full'],
  ['/$export?_outputFormat=application/fhir+ndjson', 202, 'an unescaped plus'],
  ['/$export?_outputFormat=application/ndjson', 202, 'abbreviated'],
  ['/$export?_outputFormat=ndjson', 202, 'abbreviated'],
  ['/$export?_outputFormat=text/csv', 400, 'another format'],
  ['/$export?_outputFormat=', 400, 'empty'],
  ['/$export?_since=2026-01-01T00:00:00Z', 202, 'an instant'],
  ['/$export?_since=2026-01-01', 400, 'a date is no instant'],
  ['/$export?_since=2026-01-01T00:00:00Z&_since=2026-01-01T00:00:00Z', 400, 'twice'],
  ['/$export?_type=Patient,Observation', 202, 'a list'],
  ['/$export?_type=Patient&_type=Observation', 202, 'repeated'],
  ['/$export?_type=Patient,', 400, 'an empty value'],
  ['/$export?_type=AuditEvent', 400, 'AuditEvents are never exported'],
  ['/$export?_type=Nothing', 400, 'no type'],
  ['/$export?_type=__proto__', 400, 'no type'],
  ['/Patient/$export?_type=Organization', 400, 'outside the compartment'],
  ['/$export?_elements=id,Patient.name,value', 202, 'elements, with and without type; a choice'],
  ['/$export?_elements=Patient.nothing', 400, 'no such element'],
  ['/$export?_elements=name.family', 400, 'below the top'],
  ['/$export?_type=Observation&_elements=Patient.name', 400, 'an element of a type that is not exported'],
  ['/$export?_elements=__proto__', 400, 'no element'],
  [`/$export?_typeFilter=${encoded('Observation?status=final')}`, 202, 'a search'],
  [
    `/$export?_typeFilter=${encoded('Observation?status=final,amended,Patient?gender=male')}`,
    202,
    'two, commas in one',
  ],
  ['/$export?_typeFilter=Observation', 400, 'no search'],
  [`/$export?_typeFilter=${encoded('Observation?')}`, 400, 'no criteria'],
  [`/$export?_typeFilter=${encoded('Observation?nothing=x')}`, 400, 'a parameter that is not claimed'],
  [`/$export?_typeFilter=${encoded('Observation?status=final&_sort=date')}`, 400, 'an order'],
  [`/$export?_typeFilter=${encoded('Observation?status=final&_include=*')}`, 400, 'an include'],
  [`/$export?_typeFilter=${encoded('AuditEvent?action=R')}`, 400, 'AuditEvents are never exported'],
  [`/$export?_type=Patient&_typeFilter=${encoded('Observation?status=final')}`, 400, 'of a type not in _type'],
  [`/$export?_typeFilter=${encoded('%')}`, 400, 'malformed'],
  ['/Patient/$export?patient=Patient/a', 400, 'optional and not supported'],
  ['/$export?includeAssociatedData=LatestProvenanceResources', 400, 'optional and not supported'],
  ['/$export?_typ=Patient', 400, 'a typing error is not ignored'],
];
for (const [url, status, why] of KICK_OFFS) {
  test(`bulk-data-2.0@kick-off GET ${url}: ${status}, ${why}`, async () => {
    const response = await w.send('GET', url);
    assert.equal(response.status, status, response.body);
    const path = response.headers['Content-Location']?.slice(w.desk().url.length) ?? '';
    if (status === 202) assert.equal((await w.ask('DELETE', path)).status, 202);
    else assert.equal(json(response).resourceType, 'OperationOutcome');
    assert.deepEqual(readdirSync(w.folder), [], 'nothing is left');
  });
}

const PREFER: readonly (readonly [prefer: string | undefined, status: number])[] = [
  ['respond-async', 202],
  ['handling=lenient, respond-async', 202],
  ['Respond-Async; wait=10', 202],
  ['respond-sync', 400],
  [undefined, 400],
];
for (const [prefer, status] of PREFER) {
  test(`bulk-data-2.0@kick-off Prefer: ${prefer ?? 'none'}: ${status}`, async () => {
    const response = await w.send('GET', '/$export', prefer === undefined ? {} : { headers: { prefer } });
    assert.equal(response.status, status);
    const path = response.headers['Content-Location']?.slice(w.desk().url.length);
    if (path !== undefined) await w.ask('DELETE', path);
  });
}

test('bulk-data-2.0@kick-off HEAD starts nothing', async () => {
  assert.equal((await w.send('HEAD', '/$export')).status, 405);
  assert.deepEqual(readdirSync(w.folder), []);
});

test('a folder that no job is known of is removed, files of others are left alone', async () => {
  mkdirSync(join(w.folder, 'nobody-knows'));
  appendFileSync(join(w.folder, 'notes'), 'x');
  mkdirSync(join(w.folder, 'lost+found'));
  await w.restart();
  assert.equal((await w.ask('GET', '/nobody-knows')).status, 404);
  assert.deepEqual(readdirSync(w.folder).toSorted(), ['lost+found', 'notes']);
  for (const name of readdirSync(w.folder)) rmSync(join(w.folder, name), { recursive: true });
});

test('bulk-data-2.0@kick-off POST: Parameters mean what the query means', async () => {
  const body = parameters(
    ['_type', { valueString: 'Patient' }],
    ['_typeFilter', { valueString: 'Patient?gender=female' }],
  );
  const response = await w.send('POST', '/Patient/$export', { ...ASYNC, body });
  assert.equal(response.status, 202, response.body);
  await w.desk().idle();
  const path = response.headers['Content-Location']?.slice(w.desk().url.length) ?? '';
  assert.deepEqual(await linesOf(path, w).then((found) => [Object.keys(found), ids(found.Patient)]), [
    ['Patient'],
    ['a'],
  ]);
  await w.ask('DELETE', path);
  const strange = await w.send('POST', '/$export', { ...ASYNC, body: parameters(['x', { valueString: 'y' }]) });
  assert.equal(strange.status, 400);
});

const EXPORTS: readonly (readonly [url: string, expected: Readonly<Record<string, readonly string[]>>, why: string])[] =
  [
    [
      '/$export',
      {
        Device: ['dev'],
        Group: ['g'],
        Observation: ['a1', 'a2', 'ab', 'c1', 'd1', 'dev1'],
        Organization: ['o'],
        Patient: ['a', 'b', 'c', 'd'],
      },
      'everything but AuditEvents',
    ],
    [
      '/Patient/$export',
      { Group: ['g'], Observation: ['a1', 'a2', 'ab', 'c1', 'd1'], Patient: ['a', 'b', 'c', 'd'] },
      'what is in the compartment of a patient',
    ],
    [
      '/Group/g/$export',
      { Group: ['g'], Observation: ['a1', 'a2', 'ab', 'd1'], Patient: ['a', 'b', 'd'] },
      'active members; what is about two of them once; a record that is linked to one is of the same person',
    ],
    [
      `/$export?_type=Observation,Patient&_typeFilter=${encoded('Observation?status=amended,Observation?status=preliminary')}`,
      { Observation: ['a2', 'd1'], Patient: ['a', 'b', 'c', 'd'] },
      'filters of a type are alternatives; other types are whole',
    ],
    ['/$export?_type=Encounter', {}, 'no match, no file'],
    ['/$export?_since=2999-01-01T00:00:00Z', {}, 'nothing changed since'],
  ];
for (const [url, expected, why] of EXPORTS) {
  for (const page of [1, 2, 100]) {
    test(`bulk-data-2.0@output ${url}, pages of ${page}: ${why}`, async () => {
      w.tools.page = page;
      const found = await w.exported(url);
      const byType = Object.entries(found).map(([type, list]) => [type, ids(list)]);
      assert.deepEqual(Object.fromEntries(byType), expected);
    });
  }
}

test('bulk-data-2.0@_elements keeps those, mandatory ones and a SUBSETTED tag; other types stay whole', async () => {
  const { Patient = [], Observation = [] } = await w.exported(
    '/$export?_type=Patient,Observation&_elements=Patient.name',
  );
  const a = Patient.find((each) => at(each, 'id') === 'a');
  assert.equal(at(a, 'name.0.family'), 'A');
  assert.equal(at(a, 'gender'), undefined);
  assert.equal(at(a, 'meta.tag.0.code'), 'SUBSETTED');
  assert.equal(at(Observation[0], 'code.text'), 'x');
});

test('bulk-data-2.0@transactionTime what changes or goes after the kick-off is left for the next _since', async () => {
  const { promise, resolve: open } = Promise.withResolvers<void>();
  w.gate = promise;
  await w.operations.hold({ resourceType: 'Patient', id: 'e' });
  const path = await w.kickOff('/$export?_type=Patient');
  await w.operations.hold({ resourceType: 'Patient', id: 'b', active: true }, { resourceType: 'Patient', id: 'f' });
  assert.equal((await w.operations.send('DELETE', '/Patient/e')).status, 204);
  open();
  await w.desk().idle();
  assert.deepEqual(ids((await linesOf(path, w)).Patient), ['a', 'c', 'd']);
  const time = String(json(await w.ask('GET', path)).transactionTime);
  await w.ask('DELETE', path);
  assert.deepEqual(ids((await w.exported(`/$export?_type=Patient&_since=${encoded(time)}`)).Patient), ['b', 'f']);
  assert.equal((await w.operations.send('DELETE', '/Patient/f')).status, 204);
});

test('security: the access of the kick-off is frozen; nobody else reaches the job', async () => {
  const own = narrow('narrow', (type) => {
    if (type === 'Patient') return { kind: 'ids', ids: ['a'] };
    if (type === 'Group') return { kind: 'none' };
    return type === 'Observation'
      ? { kind: 'reference', parameter: 'Observation.subject', targets: ['Patient/a'] }
      : { kind: 'none' };
  });
  for (const url of ['/$export', '/Patient/$export']) {
    const found = await w.exported(url, own);
    assert.deepEqual(
      Object.entries(found).map(([type, list]) => [type, ids(list)]),
      [
        ['Observation', ['a1', 'a2', 'ab']],
        ['Patient', ['a']],
      ],
    );
  }
  assert.deepEqual(w.recorded, [['a']], 'patients that are not visible are not recorded as exported');
  assert.equal((await w.send('GET', '/Group/g/$export', ASYNC, own)).status, 403, 'a type that is not visible');
  const path = await w.kickOff('/$export?_type=Patient', own);
  await w.desk().idle();
  for (const [method, below] of [
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/Patient-1.ndjson'],
  ] as const) {
    assert.equal((await w.ask(method, path + below)).status, 404, `${method} by another principal`);
  }
  assert.equal((await w.ask('GET', `${path}/Patient-1.ndjson`, own)).status, 200, 'control');
  await w.ask('DELETE', path, own);
});

test('audit: kick-off, poll, completion, file, cancel and refusals; patients of exports by patient, not of the system', async () => {
  const { accesses } = w.operations;
  const from = accesses.length;
  const path = await w.kickOff('/Group/g/$export');
  await w.desk().idle();
  await w.ask('GET', path);
  await w.ask('GET', `${path}/Patient-1.ndjson`);
  await w.ask('DELETE', path);
  await w.ask('GET', path);
  const told = accesses
    .slice(from)
    .map(({ status, entries }) => [status, entries[0]?.operation, entries[0]?.resource?.id]);
  assert.deepEqual(told, [
    [202, 'export', 'g'],
    [200, 'export', undefined],
    [200, 'export', undefined],
    [202, 'export', undefined],
    [404, 'export', undefined],
  ]);
  assert.deepEqual(w.recorded.flat(), ['a', 'd', 'b'], 'each record of a member, before their data is read');
  w.recorded.length = 0;
  await w.exported('/$export');
  assert.deepEqual(w.recorded, []);
});

test('bulk-data-2.0@429 one job of a caller at a time; another caller is not refused', async () => {
  const { promise, resolve: open } = Promise.withResolvers<void>();
  w.gate = promise;
  const path = await w.kickOff('/$export');
  const running = await w.ask('GET', path);
  assert.deepEqual([running.status, running.headers['X-Progress']], [202, '0%']);
  const again = await w.send('GET', '/$export');
  assert.deepEqual([again.status, again.headers['Retry-After']], [429, '30']);
  const other = narrow('other', () => ({ kind: 'all' }));
  const second = await w.kickOff('/$export?_type=Patient', other);
  assert.equal((await w.ask('DELETE', path)).status, 202, 'cancelled while it runs');
  open();
  await w.desk().idle();
  assert.equal((await w.ask('GET', second, other)).status, 200, 'it waited in the queue');
  assert.equal((await w.ask('GET', path)).status, 404);
  await w.ask('DELETE', second, other);
  assert.deepEqual(readdirSync(w.folder), []);
});

test('expiry: kept up to the hour, gone with its files at the hour', async () => {
  const path = await w.kickOff('/$export?_type=Patient');
  await w.desk().idle();
  w.clock.now += EXPIRY_MS - 1;
  const { status, headers } = await w.ask('GET', path);
  assert.deepEqual([status, headers.Expires], [200, new Date(w.clock.now + 1).toUTCString()]);
  await w.restart();
  assert.equal((await w.ask('GET', path)).status, 200, 'a restart keeps it');
  w.clock.now += 1;
  await w.desk().sweep();
  assert.deepEqual(readdirSync(w.folder), []);
  assert.equal((await w.ask('GET', path)).status, 404);
});

test('files are split at the number of lines', async () => {
  w.tools.linesPerFile = 2;
  w.tools.page = 3;
  const path = await w.kickOff('/Patient/$export?_type=Observation');
  await w.desk().idle();
  const { output } = json(await w.ask('GET', path));
  const counts = Array.isArray(output) ? output.map((each) => at(each, 'count')) : [];
  assert.deepEqual(counts, [2, 2, 1]);
  assert.equal(ids((await linesOf(path, w)).Observation).length, 5);
  await w.ask('DELETE', path);
});

test('resumption: whatever page a job is stopped after, and whatever a crash left, each resource is there once', async () => {
  for (let stop = 1; ; stop++) {
    let pages = 0;
    Object.assign(w.tools, { page: 1, linesPerFile: 2, stopped: () => ++pages > stop });
    const path = await w.kickOff('/Group/g/$export?_type=Observation,Patient');
    await w.desk().idle();
    const job = join(w.folder, path);
    if ((await w.ask('GET', path)).status === 200) {
      assert.ok(stop > 6, 'control: it was stopped in many places');
      await w.ask('DELETE', path);
      return;
    }
    for (const name of readdirSync(job).filter((each) => each.endsWith('.ndjson'))) {
      appendFileSync(join(job, name), '{"resourceType":"Pat');
    }
    appendFileSync(join(job, 'Observation-77.ndjson'), 'not synced');
    mkdirSync(join(w.folder, 'half-prepared'));
    delete w.tools.stopped;
    await w.restart();
    await w.desk().idle();
    const found = await linesOf(path, w);
    assert.deepEqual(
      [ids(found.Observation), ids(found.Patient)],
      [
        ['a1', 'a2', 'ab', 'd1'],
        ['a', 'b', 'd'],
      ],
      `after ${stop}`,
    );
    assert.equal(existsSync(join(w.folder, 'half-prepared')), false, 'an order that was not accepted is dropped');
    await w.ask('DELETE', path);
  }
});

test('a search that takes too long is an error line; the other types are there', async () => {
  const { store } = w.operations.context;
  w.tools.store = {
    search: async (plan, page) => {
      if (plan.type === 'Observation') throw new StoreError('too-costly', 'too long');
      return store.search(plan, page);
    },
  };
  const found = await w.exported('/$export?_type=Observation,Patient');
  assert.equal(at(found.error?.[0], 'issue.0.code'), 'too-costly');
  assert.equal(found.Patient?.length, 4);
  assert.equal(found.Observation, undefined);
});

test('a job that fails twice is a failure: 500 until it is cancelled, and the caller may start another', async () => {
  w.broken = true;
  const path = await w.kickOff('/$export');
  await w.desk().idle();
  const failed = await w.ask('GET', path);
  assert.deepEqual([failed.status, at(json(failed), 'issue.0.code')], [500, 'exception']);
  await w.restart();
  assert.equal((await w.ask('GET', path)).status, 500, 'over a restart too');
  w.broken = false;
  assert.equal((await w.exported('/$export?_type=Patient')).Patient?.length, 4);
  assert.equal((await w.ask('DELETE', path)).status, 202);
});

test('security: where the database is encrypted, files that are not are refused', async () => {
  w.refused = true;
  const { status } = await w.send('GET', '/$export');
  w.refused = false;
  assert.equal(status, 403);
  assert.deepEqual(readdirSync(w.folder), []);
});

test('audit: what cannot be recorded does not become a job, and is not answered', async () => {
  const other = await exportWorld();
  const path = await other.kickOff('/$export?_type=Patient');
  await other.desk().idle();
  await other.operations.context.store.close();
  assert.equal((await other.send('GET', '/$export')).status, 503);
  assert.deepEqual(readdirSync(other.folder), [path.slice(1)], 'nothing of the second is left');
  const status = await other.ask('GET', path);
  assert.deepEqual([status.status, status.headers['Retry-After']], [503, '1']);
  await other.close();
});

test('orders hold no credentials, and files are readable by this account only', async () => {
  const path = await w.kickOff('/$export?_type=Patient');
  await w.desk().idle();
  assert.equal(statSync(join(w.folder, path)).mode & 0o077, 0);
  assert.equal(statSync(join(w.folder, path, 'Patient-1.ndjson')).mode & 0o077, 0);
  const order = await w.operations.context.store.keyed('job.export.order', path.slice(1));
  assert.match(order?.value ?? '', /"units"/, 'control');
  assert.doesNotMatch(order?.value ?? '', /authorization|token|"name"/i);
  await w.ask('DELETE', path);
});
