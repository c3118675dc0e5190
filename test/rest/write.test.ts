// create, update, delete: http.html#create, #update, #delete, #ops (Prefer), #concurrency.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { at, BASE, json, world } from './write-world.ts';

const PATIENT = { resourceType: 'Patient', active: true };

test('create: 201 with our id, version 1, Location, ETag and Last-Modified', async () => {
  const { ask } = world();
  const response = await ask('POST', '/Patient', {
    ...PATIENT,
    id: 'mine',
    meta: { versionId: '9', lastUpdated: '2001' },
  });
  assert.equal(response.status, 201);
  assert.equal(response.headers.Location, `${BASE}/Patient/new-1/_history/1`);
  assert.equal(response.headers.ETag, 'W/"1"');
  assert.equal(response.headers['Last-Modified'], 'Fri, 02 Jan 2026 03:04:05 GMT');
  assert.equal(
    response.body,
    '{"resourceType":"Patient","id":"new-1","meta":{"versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z"},"active":true}',
  );
});

test('create: what is stored is what was answered, and a read sends it as stored', async () => {
  const { ask, store } = world();
  const { body } = await ask('POST', '/Patient', PATIENT);
  assert.deepEqual(store.texts('Patient'), [body]);
  assert.equal((await ask('GET', '/Patient/new-1')).body, body);
});

test('resource.html#Meta: other meta, element order and number lexemes are kept', async () => {
  const { ask, store } = world();
  const sent =
    '{"resourceType":"Basic","meta":{"_versionId":{"id":"x"},"source":"urn:s","tag":[{"code":"t"}],"extension":[{"url":"urn:e","valueDecimal":1.00}],"lastUpdated":"2001-01-01T00:00:00Z"},"z":1.50,"a":1e3}';
  await ask('POST', '/Basic', sent);
  assert.deepEqual(store.texts('Basic'), [
    '{"resourceType":"Basic","id":"new-1","meta":{"versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z",' +
      '"source":"urn:s","tag":[{"code":"t"}],"extension":[{"url":"urn:e","valueDecimal":1.00}]},"z":1.50,"a":1e3}',
  ]);
});

test('#ops: Prefer decides the body of a create', async () => {
  const rows: readonly [prefer: string | undefined, type: string | undefined][] = [
    [undefined, 'Patient'],
    ['return=representation', 'Patient'],
    ['return=minimal', undefined],
    ['return=OperationOutcome', 'OperationOutcome'],
    ['return=nonsense', 'Patient'],
    ['RETURN=minimal', undefined],
    ['return = "minimal"', undefined],
    ['return=minimal, return=representation', undefined],
    ['return=representation; handling=strict, return=minimal', 'Patient'],
  ];
  for (const [prefer, type] of rows) {
    const { ask } = world();
    const response = await ask('POST', '/Patient', PATIENT, prefer === undefined ? {} : { prefer });
    assert.equal(response.status, 201);
    assert.equal(json(response).resourceType, type, String(prefer));
    assert.equal(response.headers.Location, `${BASE}/Patient/new-1/_history/1`);
  }
});

test('validation: every error is told, nothing is stored, warnings do not refuse', async () => {
  const { ask, store, accesses } = world();
  const response = await ask('POST', '/Patient', { ...PATIENT, unknown: 1, gender: 'none' });
  assert.equal(response.status, 400);
  assert.deepEqual(at(json(response), 'issue.0.expression'), ['Patient.unknown']);
  assert.deepEqual(at(json(response), 'issue.1.expression'), ['Patient.gender']);
  assert.equal(store.texts('Patient').length, 0);
  assert.deepEqual(
    accesses.map(({ status }) => status),
    [400],
  );

  const warned = await ask('POST', '/Patient', { ...PATIENT, active: false }, { prefer: 'return=OperationOutcome' });
  assert.equal(warned.status, 201);
  assert.equal(at(json(warned), 'issue.1.severity'), 'warning');
});

test('update: 201, 200, and after a delete 201 with the numbering going on', async () => {
  const { ask } = world();
  const body = { ...PATIENT, id: 'p' };
  const rows: readonly [method: string, status: number, etag: string | undefined][] = [
    ['PUT', 201, 'W/"1"'],
    ['PUT', 200, 'W/"2"'],
    ['DELETE', 204, 'W/"3"'],
    ['DELETE', 204, 'W/"3"'],
    ['PUT', 201, 'W/"4"'],
  ];
  for (const [method, status, etag] of rows) {
    const response = await ask(method, '/Patient/p', method === 'PUT' ? { ...body, language: etag } : undefined);
    assert.deepEqual([response.status, response.headers.ETag], [status, etag]);
  }
  assert.equal((await ask('DELETE', '/Patient/never')).status, 204);
});

// docs/decisions/0012: what is held already makes no version. Held: active true, two names, 1.00.
test('update: the same content keeps the held version, ETag and instant; anything else makes a new one', async () => {
  const held =
    '"active":true,"name":[{"text":"a","use":"official"},{"text":"b"}],"extension":[{"url":"u","valueDecimal":1.00}]';
  const rows: readonly [sent: string, version: number, why: string][] = [
    [held, 1, 'the same text'],
    [
      '"name":[{"use":"official","text":"a"},{"text":"b"}],"extension":[{"valueDecimal":1.00,"url":"u"}],"active":true',
      1,
      'members have no order',
    ],
    [`"meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z"},${held}`, 1, 'what the server sets does not count'],
    [held.replace('true', 'false'), 2, 'another value'],
    [held.replace('1.00', '1.01'), 2, 'another value of the same length'],
    [held.replace('1.00', '1.0'), 2, 'another precision'],
    [
      held.replace('[{"text":"a","use":"official"},{"text":"b"}]', '[{"text":"b"},{"text":"a","use":"official"}]'),
      2,
      'lists have an order',
    ],
    [`"meta":{"tag":[{"code":"t"}]},${held}`, 2, 'a tag'],
  ];
  const body = (members: string): string => `{"resourceType":"Patient","id":"p",${members}}`;
  for (const [sent, version, why] of rows) {
    const { ask, store, accesses } = world();
    await ask('PUT', '/Patient/p', body(held));
    const before = store.texts('Patient');
    const response = await ask('PUT', '/Patient/p', body(sent), { 'if-match': 'W/"1"' });
    assert.deepEqual([response.status, response.headers.ETag], [200, `W/"${version}"`], why);
    assert.equal((await store.read({ type: 'Patient', id: 'p' }))?.version, version, why);
    assert.deepEqual(accesses.at(-1)?.entries[0]?.resource, { type: 'Patient', id: 'p', version }, why);
    assert.equal(accesses.at(-1)?.entries[0]?.interaction, 'update', why);
    if (version === 1) assert.deepEqual([[response.body], store.texts('Patient')], [before, before], why);
  }
});

test('update: after a deletion the same content is a new version', async () => {
  const { ask } = world();
  await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' });
  await ask('DELETE', '/Patient/p');
  assert.equal((await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' })).headers.ETag, 'W/"3"');
});

test('update: what seemed to be held is decided anew when another write came between', async () => {
  const { ask, store } = world();
  const body = { ...PATIENT, id: 'p' };
  await ask('PUT', '/Patient/p', { ...body, active: false });
  await ask('PUT', '/Patient/p', body);
  const rival = store.commits[0];
  store.before = () => {
    const commands = (rival?.commands ?? []).map((command) =>
      command.op === 'put' ? { ...command, version: 3 } : command,
    );
    store.apply({ commands, audit: [] });
  };
  assert.equal((await ask('PUT', '/Patient/p', body)).headers.ETag, 'W/"4"');
});

test('#concurrency: If-Match and If-None-Match on both sides of what is stored', async () => {
  const { ask } = world();
  const body = { ...PATIENT, id: 'p' };
  const rows: readonly [method: string, header: Record<string, string>, status: number, why: string][] = [
    ['PUT', { 'if-match': 'W/"1"' }, 412, 'does not exist'],
    ['DELETE', { 'if-match': 'W/"1"' }, 412, 'does not exist'],
    ['PUT', { 'if-match': '*' }, 412, 'RFC 9110 §13.1.1: does not exist'],
    ['PUT', { 'if-none-match': '*' }, 201, 'does not exist'],
    ['PUT', { 'if-none-match': '*' }, 412, 'exists'],
    ['PUT', { 'if-match': 'W/"2"' }, 412, 'a version to come'],
    ['PUT', { 'if-match': 'W/"1"' }, 200, 'the current version'],
    ['PUT', { 'if-match': 'W/"1"' }, 412, 'the version before'],
    ['DELETE', { 'if-match': 'W/"1"' }, 412, 'the version before'],
    ['PUT', { 'if-match': 'W/"1", W/"3"' }, 412, 'a list without the current version'],
    ['PUT', { 'if-match': '"x"' }, 412, 'a tag that no version has'],
    ['PUT', { 'if-match': 'W/"1", "2"' }, 200, 'a list with the current version'],
    ['PUT', { 'if-match': '*' }, 200, 'any version'],
    ['DELETE', { 'if-match': 'W/"4"' }, 204, 'the current version'],
    ['PUT', { 'if-match': 'W/"5"' }, 412, 'is deleted'],
    ['PUT', { 'if-match': '*' }, 412, 'is deleted'],
    ['PUT', { 'if-none-match': '*' }, 201, 'is deleted'],
  ];
  for (const [method, header, status, why] of rows) {
    const response = await ask(method, '/Patient/p', method === 'PUT' ? { ...body, language: why } : undefined, header);
    assert.equal(response.status, status, `${method} ${JSON.stringify(header)}: ${why}`);
  }
});

test('#concurrency: a lost race without If-Match is repeated; with If-Match it is 412', async () => {
  for (const [header, status] of [
    [{}, 200],
    [{ 'if-match': 'W/"1"' }, 412],
  ] as const) {
    const { ask, store } = world();
    const body = { ...PATIENT, id: 'p' };
    await ask('PUT', '/Patient/p', body);
    const rival = store.commits.at(-1);
    store.before = () => {
      const commands = (rival?.commands ?? []).map((command) =>
        command.op === 'put' ? { ...command, version: 2 } : command,
      );
      store.apply({ commands, audit: [] });
    };
    const response = await ask('PUT', '/Patient/p', { ...body, active: false }, header);
    assert.equal(response.status, status);
    assert.equal((await store.read({ type: 'Patient', id: 'p' }))?.version, status === 200 ? 3 : 2);
  }
});

test('#concurrency: 32 updates at once make 32 versions; with the same If-Match one of them wins', async () => {
  const { ask, store } = world();
  const body = { ...PATIENT, id: 'p' };
  const put = (language: string, header = {}) => ask('PUT', '/Patient/p', { ...body, language }, header);
  await Promise.all(Array.from({ length: 32 }, (_, index) => put(`a-${index}`)));
  assert.equal((await store.read({ type: 'Patient', id: 'p' }))?.version, 32);
  const answers = await Promise.all(
    Array.from({ length: 32 }, (_, index) => put(`b-${index}`, { 'if-match': 'W/"32"' })),
  );
  assert.deepEqual([...new Set(answers.map(({ status }) => status))].toSorted(), [200, 412]);
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
});

test('#update: the type must allow an id of the client, and the body must carry that of the URL', async () => {
  const { ask } = world();
  assert.equal((await ask('PUT', '/Organization/o', { resourceType: 'Organization', id: 'o' })).status, 405);
  assert.equal((await ask('PUT', '/Patient/p', { ...PATIENT, id: 'q' })).status, 400);
  assert.equal((await ask('PUT', '/Patient/p', PATIENT)).status, 400);
  assert.equal((await ask('POST', '/Patient', { resourceType: 'Basic' })).status, 400);
});

test('delete: Prefer return=OperationOutcome answers 200 with one', async () => {
  const { ask } = world();
  await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' });
  const response = await ask('DELETE', '/Patient/p', undefined, { prefer: 'return=OperationOutcome' });
  assert.deepEqual([response.status, json(response).resourceType], [200, 'OperationOutcome']);
});

test('audit: each write carries its own event, with version and patients, in the same commit', async () => {
  const { ask, store, accesses } = world();
  await ask('POST', '/Observation', { resourceType: 'Observation', subject: { reference: 'Patient/a' } });
  await ask('PUT', '/Observation/new-1', {
    resourceType: 'Observation',
    id: 'new-1',
    subject: { reference: 'Patient/b' },
  });
  await ask('DELETE', '/Observation/new-1');
  assert.ok(store.commits.every(({ commands, audit }) => commands.length === 1 && audit.length === 1));
  const seen = accesses
    .flatMap(({ entries }) => entries)
    .map((entry) => [entry.interaction, entry.resource?.version, [...entry.patients].toSorted()]);
  assert.deepEqual(seen, [
    ['create', 1, ['a']],
    ['update', 2, ['a', 'b']],
    ['delete', 3, ['b']],
  ]);
});

test('AuditEvent: a POST becomes a row of the log beside the row that audits it; nothing changes one', async () => {
  const { ask, store } = world();
  const response = await ask('POST', '/AuditEvent', { resourceType: 'AuditEvent' });
  assert.equal(response.status, 201);
  assert.equal(response.headers.Location, `${BASE}/AuditEvent/1-1-1`);
  assert.deepEqual(
    store.audit.map(({ bytes }) => bytes),
    ['posted AuditEvent', 'create'],
  );
  assert.equal(store.texts('AuditEvent').length, 0);
  assert.equal((await ask('PUT', '/AuditEvent/1-1-1', { resourceType: 'AuditEvent', id: '1-1-1' })).status, 405);
  assert.equal((await ask('DELETE', '/AuditEvent/1-1-1')).status, 405);
});

test('access: a narrow caller writes only what lies in their view, and cannot tell what is absent from what is not theirs', async () => {
  const caller = localCaller(localFacts('r', '::1'));
  const access = { principal: 'p', visible: () => ({ kind: 'ids', ids: ['p'] }) as const };
  const { ask, store } = world({}, { ...caller, access });
  assert.equal((await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' })).status, 404);
  assert.equal((await ask('PUT', '/Patient/q', { ...PATIENT, id: 'q' })).status, 404);
  assert.equal((await ask('POST', '/Patient', PATIENT)).status, 403);
  assert.equal((await ask('DELETE', '/Patient/p')).status, 204);
  assert.equal((await ask('DELETE', '/Patient/q')).status, 204);
  assert.equal(store.texts('Patient').length, 0);
});

test('referential integrity: off accepts, on refuses what is not held and keeps what is referenced', async () => {
  const observation = { resourceType: 'Observation', id: 'o', subject: { reference: 'Patient/p' } };
  assert.equal((await world().ask('PUT', '/Observation/o', observation)).status, 201);
  const { ask } = world({ referentialIntegrity: true });
  assert.equal((await ask('PUT', '/Observation/o', observation)).status, 422);
  await ask('PUT', '/Patient/p', { ...PATIENT, id: 'p' });
  assert.equal((await ask('PUT', '/Observation/o', observation)).status, 201);
  assert.equal((await ask('DELETE', '/Patient/p')).status, 409);
  assert.equal((await ask('DELETE', '/Observation/o')).status, 204);
  assert.equal((await ask('DELETE', '/Patient/p')).status, 204);
});

test('hostile: names of the prototype chain are refused and change nothing', async () => {
  const { ask } = world();
  for (const body of [
    '{"resourceType":"Patient","__proto__":{"polluted":true}}',
    '{"resourceType":"Patient","constructor":{"prototype":{"polluted":true}}}',
  ]) {
    assert.equal((await ask('POST', '/Patient', body)).status, 400);
  }
  assert.equal(Reflect.get({}, 'polluted'), undefined);
});

test('search.html#summary: an update with what is tagged SUBSETTED is refused, and nothing is lost', async () => {
  const { ask, store } = world();
  const tag = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' };
  const subset = { ...PATIENT, id: 'whole', meta: { tag: [tag] } };
  const entry = [{ resource: subset, request: { method: 'PUT', url: 'Patient/whole' } }];
  assert.equal((await ask('PUT', '/Patient/whole', { ...PATIENT, id: 'whole', gender: 'male' })).status, 201);
  const held = store.texts('Patient');
  const rows: readonly [status: number, method: string, path: string, body: unknown, why: string][] = [
    [422, 'PUT', '/Patient/whole', subset, 'an update'],
    [422, 'PUT', '/Patient?_id=whole', subset, 'a conditional update'],
    [422, 'PUT', '/Patient/new', { ...subset, id: 'new' }, 'an update that would create'],
    [422, 'POST', '/', { resourceType: 'Bundle', type: 'transaction', entry }, 'in a transaction'],
  ];
  for (const [status, method, path, body, why] of rows) {
    const answer = await ask(method, path, body);
    assert.equal(answer.status, status, why);
    assert.match(answer.body ?? '', /business-rule.*SUBSETTED/, why);
  }
  assert.deepEqual(store.texts('Patient'), held);
  const other = { ...subset, meta: { tag: [{ ...tag, system: 'urn:other' }] } };
  assert.equal((await ask('PUT', '/Patient/whole', other)).status, 200, 'a tag of another system');
  assert.equal(
    (await ask('POST', '/Patient', { ...PATIENT, meta: { tag: [tag] } })).status,
    201,
    'a create replaces nothing',
  );
});
