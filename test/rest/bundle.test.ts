// batch, and what is refused in any bundle: http.html#transaction, bundle.html.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, BASE, bundle, type EntryRow, json, world } from './write-world.ts';

const PATIENT = { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: '1' }] };

test('batch: each entry is answered for itself, in the order sent', async () => {
  const { ask, store } = world();
  await ask('PUT', '/Patient/held', { ...PATIENT, id: 'held' });
  const response = await ask(
    'POST',
    '/',
    bundle(
      'batch',
      ['GET', 'Patient/held'],
      ['POST', 'Patient', { resourceType: 'Patient', gender: 'none' }],
      ['PUT', 'Patient/p', { ...PATIENT, id: 'p' }],
      ['GET', 'Patient/never'],
      ['DELETE', 'Patient/never'],
      ['POST', 'Patient', PATIENT, { ifNoneExist: 'identifier=urn:mrn|2' }],
      ['GET', 'Patient?identifier=urn:mrn|1'],
    ),
  );
  assert.equal(response.status, 200);
  const body = json(response);
  assert.equal(body.type, 'batch-response');
  const rows: readonly [path: string, value: unknown][] = [
    ['0.response.status', '200 OK'],
    ['0.resource.id', 'held'],
    ['0.response.etag', 'W/"1"'],
    ['1.response.status', '400 Bad Request'],
    ['1.response.outcome.issue.0.code', 'code-invalid'],
    ['2.response.status', '201 Created'],
    ['2.response.location', `${BASE}/Patient/p/_history/1`],
    ['2.response.etag', 'W/"1"'],
    ['2.resource', undefined],
    ['3.response.status', '404 Not Found'],
    ['4.response.status', '204 No Content'],
    ['5.response.status', '201 Created'],
    ['6.response.status', '200 OK'],
    ['6.resource.type', 'searchset'],
  ];
  for (const [path, value] of rows) assert.deepEqual(at(body, `entry.${path}`), value, path);
  assert.equal(store.texts('Patient').length, 3);
});

test('batch: the audit has an event for each entry and one for the envelope', async () => {
  const { ask, accesses } = world();
  await ask('POST', '/', bundle('batch', ['PUT', 'Patient/p', { ...PATIENT, id: 'p' }], ['GET', 'Patient/never']));
  const seen = accesses.map(({ envelope, entries, status }) => [envelope ?? entries[0]?.interaction, status]);
  assert.deepEqual(seen.toSorted(), [
    ['batch', 200],
    ['read', 404],
    ['update', 201],
  ]);
});

test('conditional reads inside a batch: ifNoneMatch and ifModifiedSince on both sides', async () => {
  const { ask } = world();
  await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' });
  const rows: readonly [conditions: Record<string, string>, status: string][] = [
    [{}, '200 OK'],
    [{ ifNoneMatch: 'W/"1"' }, '304 Not Modified'],
    [{ ifNoneMatch: 'W/"2"' }, '200 OK'],
    [{ ifModifiedSince: 'Fri, 02 Jan 2026 03:04:05 GMT' }, '304 Not Modified'],
    [{ ifModifiedSince: 'Fri, 02 Jan 2026 03:04:04 GMT' }, '200 OK'],
  ];
  const entries = rows.map(([conditions]): EntryRow => ['GET', 'Patient/p', undefined, conditions]);
  const body = json(await ask('POST', '/', bundle('batch', ...entries)));
  for (const [index, [conditions, status]] of rows.entries()) {
    assert.equal(at(body, `entry.${index}.response.status`), status, JSON.stringify(conditions));
    assert.equal(at(body, `entry.${index}.resource`) === undefined, status.startsWith('304'));
  }
});

test('Prefer on the batch holds for its entries', async () => {
  for (const [prefer, path, type] of [
    ['return=representation', 'resource', 'Patient'],
    ['return=OperationOutcome', 'response.outcome', 'OperationOutcome'],
  ] as const) {
    for (const kind of ['batch', 'transaction'] as const) {
      const response = await world().ask('POST', '/', bundle(kind, ['POST', 'Patient', PATIENT]), { prefer });
      assert.equal(at(json(response), `entry.0.${path}.resourceType`), type, `${kind} ${prefer}`);
      assert.equal(at(json(response), 'entry.0.response.status'), '201 Created');
    }
  }
});

test('hostile entries: refused one by one in a batch, all together in a transaction', async () => {
  const rows: readonly [entry: unknown, status: string, why: string][] = [
    [null, '400', 'null'],
    ['x', '400', 'a text'],
    [[], '400', 'a list'],
    [{}, '400', 'no request'],
    [{ request: null }, '400', 'null request'],
    [{ request: { method: 'GET' } }, '400', 'no url'],
    [{ request: { url: 'Patient' } }, '400', 'no method'],
    [{ request: { method: 'get', url: 'Patient/1' } }, '400', 'a method in lower case'],
    [{ request: { method: 'TRACE', url: 'Patient/1' } }, '400', 'no method of FHIR'],
    [{ request: { method: 'GET', url: 7 } }, '400', 'a number as url'],
    [{ request: { method: 'GET', url: 'http://other/fhir/Patient/1' } }, '400', 'a foreign server'],
    [{ request: { method: 'GET', url: '//other/fhir/Patient/1' } }, '400', 'a foreign server'],
    [{ request: { method: 'GET', url: 'file:///etc/passwd' } }, '400', 'another scheme'],
    [{ request: { method: 'GET', url: '../Patient/1' } }, '404', 'outside the base'],
    [{ request: { method: 'GET', url: 'Patient/../Patient/1' } }, '404', 'dots'],
    [{ request: { method: 'GET', url: 'Patient/%00' } }, '404', 'NUL'],
    [{ request: { method: 'GET', url: 'Patient/%zz' } }, '404', 'broken escape'],
    [{ request: { method: 'GET', url: 'Nonsense/1' } }, '404', 'unknown type'],
    [{ request: { method: 'POST', url: 'Patient' } }, '400', 'no resource'],
    [{ request: { method: 'POST', url: 'Patient' }, resource: null }, '400', 'null resource'],
    [{ request: { method: 'POST', url: 'Patient' }, resource: { resourceType: 'Basic' } }, '400', 'another type'],
    [{ request: { method: 'PUT', url: 'Patient/1', ifMatch: 1 }, resource: PATIENT }, '400', 'a number as ifMatch'],
    [{ request: { method: 'PUT', url: 'Patient/1', ifMatch: 'x' }, resource: PATIENT }, '400', 'no entity tag'],
    [{ request: { method: 'DELETE', url: 'AuditEvent/1-1-1' } }, '405', 'append-only'],
    [{ request: { method: 'POST', url: '/' }, resource: bundle('batch') }, '400', 'a batch inside'],
    [{ request: { method: 'POST', url: '' }, resource: bundle('transaction') }, '400', 'a transaction inside'],
    [{ request: { method: 'POST', url: 'Patient' }, resource: PATIENT, fullUrl: 7 }, '400', 'a number as fullUrl'],
  ];
  const good = bundle('batch', ['POST', 'Patient', PATIENT]).entry as unknown[];
  for (const [entry, status, why] of rows) {
    const { ask, store } = world();
    const all = await ask('POST', '/', { resourceType: 'Bundle', type: 'transaction', entry: [...good, entry] });
    assert.equal(String(all.status), status, why);
    assert.match(String(at(json(all), 'issue.0.expression.0')), /^Bundle\.entry\[1\]/, why);
    assert.equal(store.texts('Patient').length, 0);
    const each = await ask('POST', '/', { resourceType: 'Bundle', type: 'batch', entry: [...good, entry] });
    assert.equal(each.status, 200, why);
    assert.equal(String(at(json(each), 'entry.1.response.status')).slice(0, 3), status, why);
    assert.equal(at(json(each), 'entry.0.response.status'), '201 Created');
  }
});

test('hostile bundles: the envelope itself', async () => {
  const many: EntryRow[] = Array.from({ length: 3 }, () => ['GET', 'Patient/1']);
  const searches: EntryRow[] = Array.from({ length: 101 }, () => ['GET', 'Patient?identifier=1']);
  const rows: readonly [body: unknown, status: number, why: string][] = [
    [{ resourceType: 'Bundle', type: 'batch' }, 200, 'no entry'],
    [{ resourceType: 'Bundle', type: 'transaction' }, 200, 'no entry'],
    [{ resourceType: 'Bundle', type: 'batch', entry: {} }, 400, 'entry is no list'],
    [{ resourceType: 'Bundle', type: 'transaction', entry: null }, 400, 'entry is null'],
    [{ resourceType: 'Bundle', type: 'collection' }, 400, 'another type'],
    [{ resourceType: 'Bundle' }, 400, 'no type'],
    [{ resourceType: 'Patient' }, 400, 'no Bundle'],
    [bundle('batch', ...many.slice(1)), 200, 'as many entries as are allowed'],
    [bundle('batch', ...many), 400, 'one more'],
    [bundle('transaction', ...many), 400, 'one more'],
  ];
  for (const [body, status, why] of rows) {
    assert.equal((await world({ bundleEntryLimit: 2 }).ask('POST', '/', body)).status, status, why);
  }
  assert.equal((await world().ask('POST', '/', bundle('batch', ...searches))).status, 400);
  assert.equal((await world().ask('POST', '/', bundle('batch', ...searches.slice(1)))).status, 200);
});

test('a thread that may not search hands the whole Bundle over before anything is written', async () => {
  const searching: readonly EntryRow[] = [
    ['GET', 'Patient?identifier=1'],
    ['POST', 'Patient', PATIENT, { ifNoneExist: 'identifier=1' }],
    ['PUT', 'Patient?identifier=1', PATIENT],
    ['DELETE', 'Patient?identifier=1'],
  ];
  for (const type of ['batch', 'transaction'] as const) {
    for (const entry of searching) {
      const { ask, store } = world();
      store.bounded = true;
      const body = bundle(
        type,
        ['POST', 'Patient', PATIENT],
        ['PUT', 'Basic/b', { resourceType: 'Basic', id: 'b' }],
        entry,
      );
      await assert.rejects(ask('POST', '/', body), { reason: 'bounded-thread' });
      assert.equal(store.commits.filter(({ commands }) => commands.length > 0).length, 0, `${type} ${entry[1]}`);
    }
  }
});
