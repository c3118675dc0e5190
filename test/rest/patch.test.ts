// patch: http.html#patch, #concurrency, #transaction (Parameters and Binary as entries); docs/decisions/0012.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isJsonObject, type Json, parseJson, type Resource, serialize } from '../../src/fhir/resource.ts';
import { validator } from '../../src/fhir/validation/validate.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { at, BASE, bundle, json, world } from './write-world.ts';

const HELD =
  '{"resourceType":"Patient","id":"p","active":true,"identifier":[{"system":"urn:mrn","value":"1"}],"extension":[{"url":"urn:e","valueDecimal":1.00}]}';
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const MERGE = { 'content-type': 'application/merge-patch+json; charset=UTF-8' };
const DEACTIVATE = [{ op: 'replace', path: '/active', value: false }];
const parameters = (type: string, path: string, value: object = {}) => ({
  resourceType: 'Parameters',
  parameter: [
    {
      name: 'operation',
      part: [
        { name: 'type', valueCode: type },
        { name: 'path', valueString: path },
        ...(type === 'replace' ? [{ name: 'value', ...value }] : []),
      ],
    },
  ],
});
const binary = (patch: Json, contentType = 'application/json-patch+json') => ({
  resourceType: 'Binary',
  contentType,
  data: Buffer.from(serialize(patch)).toString('base64'),
});

async function held() {
  const there = world();
  await there.ask('PUT', '/Patient/p', HELD);
  return there;
}

const FORMS: readonly [form: string, body: unknown, headers: Record<string, string>][] = [
  ['JSON Patch', DEACTIVATE, JSON_PATCH],
  ['merge patch', { active: false }, MERGE],
  ['FHIRPath Patch', parameters('replace', 'Patient.active', { valueBoolean: false }), {}],
];
for (const [form, body, headers] of FORMS) {
  test(`${form}: 200 with the new version, its headers, method and audit; numbers as they were`, async () => {
    const { ask, store, accesses } = await held();
    const response = await ask('PATCH', '/Patient/p', body, headers);
    assert.equal(response.status, 200, response.body);
    assert.deepEqual([response.headers.ETag, response.headers.Location], ['W/"2"', `${BASE}/Patient/p/_history/2`]);
    assert.match(response.body ?? '', /"active":false.*"valueDecimal":1\.00/);
    assert.deepEqual(store.texts('Patient'), [response.body]);
    assert.equal((await store.read({ type: 'Patient', id: 'p' }))?.method, 'PATCH');
    assert.deepEqual(accesses.at(-1)?.entries, [
      { interaction: 'patch', resource: { type: 'Patient', id: 'p', version: 2 }, patients: ['p'] },
    ]);
    assert.deepEqual(
      accesses.map(({ status }) => status),
      [201, 200],
    );
    const history = await ask('GET', '/Patient/p/_history/1');
    assert.equal(json(history).active, true);
  });
}

const LEADING_ZEROS = [
  { op: 'add', path: '/name', value: [{ family: 'x' }] },
  { op: 'add', path: '/name/00', value: { family: 'y' } },
];
const REFUSED: readonly [status: number, why: string, url: string, body: unknown, headers?: Record<string, string>][] =
  [
    [404, 'unknown', '/Patient/never', DEACTIVATE, JSON_PATCH],
    [404, 'no id at all', '/Patient/a_b', DEACTIVATE, JSON_PATCH],
    [410, 'deleted', '/Patient/gone', DEACTIVATE, JSON_PATCH],
    [405, 'the audit log is never changed', '/AuditEvent/1-1-1', DEACTIVATE, JSON_PATCH],
    [412, 'If-Match names another version', '/Patient/p', DEACTIVATE, { ...JSON_PATCH, 'if-match': 'W/"2"' }],
    [400, 'If-Match is no tag', '/Patient/p', DEACTIVATE, { ...JSON_PATCH, 'if-match': 'x' }],
    [400, 'not JSON', '/Patient/p', '[', JSON_PATCH],
    [400, 'no body', '/Patient/p', undefined, JSON_PATCH],
    [400, 'no patch', '/Patient/p', { active: false }, JSON_PATCH],
    [400, 'prototype pollution', '/Patient/p', [{ op: 'add', path: '/__proto__/a', value: 1 }], JSON_PATCH],
    [422, 'a test fails', '/Patient/p', [{ op: 'test', path: '/active', value: false }], JSON_PATCH],
    [422, 'a path that is not there', '/Patient/p', [{ op: 'remove', path: '/name' }], JSON_PATCH],
    [400, 'RFC 6901 §4: an index with leading zeros', '/Patient/p', LEADING_ZEROS, JSON_PATCH],
    [422, 'another id', '/Patient/p', [{ op: 'replace', path: '/id', value: 'q' }], JSON_PATCH],
    [422, 'another type', '/Patient/p', { resourceType: 'Basic' }, MERGE],
    [400, 'the result breaks the base rules', '/Patient/p', [{ op: 'add', path: '/unknown', value: 1 }], JSON_PATCH],
    [400, 'the result holds a code that is none', '/Patient/p', { gender: 'none' }, MERGE],
    [
      400,
      'a conditional reference has no meaning here',
      '/Patient/p',
      { managingOrganization: { reference: 'Organization?x=1' } },
      MERGE,
    ],
    [415, 'XML patch', '/Patient/p', '<diff/>', { 'content-type': 'application/xml-patch+xml' }],
    [415, 'text', '/Patient/p', 'x', { 'content-type': 'text/plain' }],
    [400, 'a resource that is no patch', '/Patient/p', { resourceType: 'Patient', id: 'p' }],
    [422, 'a path of nothing', '/Patient/p', parameters('replace', 'Patient.birthDate', { valueDate: '2020' })],
    [400, 'a path that is none', '/Patient/p', parameters('delete', 'Patient..')],
    [400, 'a Binary is for Bundles', '/Patient/p', binary(DEACTIVATE)],
  ];
test('refusals: status, nothing written, audited as a patch', async () => {
  const wrong: unknown[] = [];
  for (const [status, why, url, body, headers] of REFUSED) {
    const { ask, store, accesses } = await held();
    await ask('PUT', '/Patient/gone', { resourceType: 'Patient', id: 'gone' });
    await ask('DELETE', '/Patient/gone');
    const before = store.texts('Patient');
    const response = await ask('PATCH', url, body, headers);
    const last = accesses.at(-1);
    if (response.status !== status) wrong.push([why, response.status, response.body]);
    if (json(response).resourceType !== 'OperationOutcome') wrong.push([why, 'no outcome']);
    if (last?.status !== status || last.entries[0]?.interaction !== 'patch') wrong.push([why, last]);
    if (serialize(store.texts('Patient')) !== serialize(before)) wrong.push([why, 'written']);
  }
  assert.deepEqual(wrong, []);
});

test('mime types: what no patch can be is answered with what one is', async () => {
  const { ask } = await held();
  const { body } = await ask('PATCH', '/Patient/p', '<diff/>', { 'content-type': 'application/xml-patch+xml' });
  for (const type of ['json-patch', 'merge-patch', 'fhir']) assert.match(body ?? '', new RegExp(`application/${type}`));
});

test('a patch that changes nothing makes no version, and is audited', async () => {
  const { ask, store, accesses } = await held();
  const before = store.texts('Patient');
  for (const patch of [
    [],
    [{ op: 'replace', path: '/active', value: true }],
    [{ op: 'test', path: '/active', value: true }],
  ]) {
    const response = await ask('PATCH', '/Patient/p', patch, JSON_PATCH);
    assert.deepEqual([response.status, response.headers.ETag, response.body], [200, 'W/"1"', before[0]]);
    assert.deepEqual(accesses.at(-1)?.entries[0]?.interaction, 'patch');
  }
  assert.deepEqual(store.texts('Patient'), before);
});

test('#concurrency: without If-Match a lost race is repeated on what is held then; with it one of many wins', async () => {
  const { ask, store } = world();
  await ask('PUT', '/Patient/p', { resourceType: 'Patient', id: 'p', name: [{ text: 'a' }] });
  const append = (index: number, header = {}) =>
    ask('PATCH', '/Patient/p', [{ op: 'add', path: '/name/-', value: { text: `b-${index}` } }], {
      ...JSON_PATCH,
      ...header,
    });
  const all = await Promise.all(Array.from({ length: 16 }, (_, index) => append(index)));
  assert.ok(all.every(({ status }) => status === 200));
  const names = at(parseJson(store.texts('Patient')[0] ?? ''), 'name');
  assert.equal(Array.isArray(names) && names.length, 17, 'no patch is lost');
  const raced = await Promise.all(Array.from({ length: 16 }, (_, index) => append(index, { 'if-match': 'W/"17"' })));
  assert.deepEqual(raced.map(({ status }) => status).toSorted(), [200, ...Array.from({ length: 15 }, () => 412)]);
});

test('conditional patch: none 404, one 200, many 412, no criteria 400', async () => {
  const { ask, accesses } = await held();
  const send = (query: string, headers = {}) =>
    ask('PATCH', `/Patient?${query}`, DEACTIVATE, { ...JSON_PATCH, ...headers });
  assert.equal((await send('identifier=urn:mrn|9')).status, 404);
  assert.equal((await send('identifier=urn:mrn|1', { 'if-match': 'W/"2"' })).status, 412);
  const one = await send('identifier=urn:mrn|1');
  assert.deepEqual([one.status, one.headers.ETag], [200, 'W/"2"']);
  assert.equal(accesses.at(-1)?.entries[0]?.resource?.version, 2);
  assert.equal((await send('')).status, 400);
  assert.equal((await send('nothing=1')).status, 400);
  await ask('POST', '/Patient', { resourceType: 'Patient', identifier: [{ system: 'urn:mrn', value: '1' }] });
  assert.equal((await send('identifier=urn:mrn|1')).status, 412);
});

test('#ops: Prefer decides the body', async () => {
  const rows: readonly [prefer: string, type: string | undefined][] = [
    ['return=minimal', undefined],
    ['return=representation', 'Patient'],
    ['return=OperationOutcome', 'OperationOutcome'],
  ];
  for (const [prefer, type] of rows) {
    const { ask } = await held();
    const response = await ask('PATCH', '/Patient/p', DEACTIVATE, { ...JSON_PATCH, prefer });
    assert.deepEqual([response.status, json(response).resourceType], [200, type]);
  }
});

for (const type of ['batch', 'transaction'] as const) {
  test(`${type}: Parameters and Binary are patches; conditional ones too`, async () => {
    const { ask, store } = await held();
    await ask('PUT', '/Basic/b', { resourceType: 'Basic', id: 'b', identifier: [{ value: '7' }] });
    await ask('PUT', '/Basic/c', { resourceType: 'Basic', id: 'c' });
    const language = (value: string) => [{ op: 'add', path: '/language', value }];
    const response = await ask(
      'POST',
      '/',
      bundle(
        type,
        ['PATCH', 'Patient/p', parameters('replace', 'Patient.active', { valueBoolean: false }), { ifMatch: 'W/"1"' }],
        ['PATCH', 'Basic?identifier=7', binary(language('de'))],
        ['PATCH', 'Basic/c', binary({ language: 'fr' }, 'application/merge-patch+json')],
      ),
    );
    assert.equal(response.status, 200, response.body);
    for (const index of [0, 1, 2]) {
      assert.equal(at(json(response), `entry.${index}.response.status`), '200 OK', response.body);
      assert.equal(at(json(response), `entry.${index}.response.etag`), 'W/"2"');
    }
    assert.equal(json({ status: 200, headers: {}, body: store.texts('Patient')[0] }).active, false);
    assert.match(store.texts('Basic').join(), /"language":"de".*"language":"fr"/);
  });
}

test('transaction: a refused patch stores nothing; the entry is named', async () => {
  const rows: readonly [status: number, url: string, patch: Record<string, Json>, more?: { ifMatch: string }][] = [
    [422, 'Patient/p', binary([{ op: 'remove', path: '/name' }])],
    [404, 'Patient/never', binary(DEACTIVATE)],
    [404, 'Patient?identifier=9', binary(DEACTIVATE)],
    [412, 'Patient/p', binary(DEACTIVATE), { ifMatch: 'W/"5"' }],
    [400, 'Patient/p', binary(DEACTIVATE, 'text/plain')],
    [400, 'Patient/p', { resourceType: 'Binary', contentType: 'application/json-patch+json' }],
    [400, 'Patient/p', { resourceType: 'Patient', id: 'p' }],
    [405, 'AuditEvent/1-1-1', binary(DEACTIVATE)],
    [400, 'Patient/p', binary([{ op: 'add', path: '/unknown', value: 1 }])],
  ];
  for (const [status, url, patch, more] of rows) {
    const { ask, store } = await held();
    const response = await ask(
      'POST',
      '/',
      bundle('transaction', ['POST', 'Basic', { resourceType: 'Basic' }], ['PATCH', url, patch, more ?? {}]),
    );
    assert.equal(response.status, status, `${url} ${response.body}`);
    assert.match(String(at(json(response), 'issue.0.expression.0')), /^Bundle\.entry\[1\]/);
    assert.deepEqual(store.texts('Basic'), []);
  }
});

test('transaction: a resource is written by one entry only; a patch may point at what another entry creates', async () => {
  const { ask, store } = await held();
  const urn = 'urn:uuid:84d85421-ad41-47ff-8fe8-df69c8f78038';
  const twice = await ask(
    'POST',
    '/',
    bundle('transaction', ['PATCH', 'Patient/p', binary(DEACTIVATE)], ['DELETE', 'Patient/p']),
  );
  assert.equal(twice.status, 400);
  const patch = binary([{ op: 'add', path: '/managingOrganization', value: { reference: urn } }]);
  const linked = await ask(
    'POST',
    '/',
    bundle(
      'transaction',
      ['PATCH', 'Patient/p', patch],
      ['POST', 'Organization', { resourceType: 'Organization' }, { fullUrl: urn }],
    ),
  );
  assert.equal(linked.status, 200, linked.body);
  assert.match(store.texts('Patient')[0] ?? '', /"managingOrganization":\{"reference":"Organization\/new-\d+"\}/);
});

test('whoever may not write a type may not patch it', async () => {
  const narrow = localCaller(localFacts('r-1', '::1'));
  const { ask } = world({}, { ...narrow, access: { ...narrow.access, visible: () => ({ kind: 'none' }) } });
  assert.equal((await ask('PATCH', '/Patient/p', DEACTIVATE, JSON_PATCH)).status, 403);
});

test('whatever is sent: never 5xx, and what is stored is valid by the real rules', async () => {
  const there = world();
  const validate = validator(there.context.definitions);
  const context = { ...there.context, validate };
  const caller = localCaller(localFacts('r-1', '::1'));
  const ask = (method: string, body: string, type: string) =>
    answer({ method, path: '/Patient/p', query: '', headers: { 'content-type': type }, body }, caller, context);
  const start =
    '{"resourceType":"Patient","id":"p","active":true,"gender":"male","birthDate":"1974-12-25","name":[{"family":"a","given":["b","c"]}],"multipleBirthInteger":2}';
  assert.equal((await ask('PUT', start, 'application/fhir+json')).status, 201);
  const pointer = fc.constantFrom(
    ...[
      '/name',
      '/name/0',
      '/name/-',
      '/name/0/given',
      '/name/0/given/0',
      '/name/0/family',
      '/active',
      '/gender',
      '/birthDate',
    ],
    ...['/telecom', '/multipleBirthInteger', '/multipleBirthBoolean', '/id', '/resourceType', '/name/9', '/x/y', ''],
  );
  const value = fc.constantFrom<Json>(
    'female',
    true,
    3,
    '1999-01-01',
    null,
    [],
    {},
    { family: 'z' },
    [{ given: ['y'] }],
    'x',
  );
  const operation = fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
    path: pointer,
    from: pointer,
    value,
  });
  const sensible = fc.constantFrom(
    { op: 'replace', path: '/gender', value: 'female' },
    { op: 'add', path: '/name/-', value: { family: 'z' } },
    { op: 'move', from: '/name/0/given/1', path: '/name/0/given/0' },
    { op: 'copy', from: '/name/0', path: '/name/0' },
    { op: 'remove', path: '/birthDate' },
    { op: 'remove', path: '/name/0' },
  );
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(operation, sensible), { minLength: 1, maxLength: 2 }), async (operations) => {
      assert.ok((await ask('PUT', start, 'application/fhir+json')).status < 300);
      const { status } = await ask('PATCH', JSON.stringify(operations), 'application/json-patch+json');
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      assert.ok(status < 500, String(status));
      const stored = parseJson(there.store.texts('Patient')[0] ?? '');
      assert.ok(isJsonObject(stored));
      const { meta: _meta, ...rest } = stored;
      assert.deepEqual(
        validate(rest as Resource).filter(({ severity }) => severity === undefined || severity === 'error'),
        [],
      );
    }),
    { numRuns: 400, seed: 11 },
  );
  assert.ok(
    (statuses.get(200) ?? 0) > 10 && (statuses.get(400) ?? 0) > 10 && (statuses.get(422) ?? 0) > 10,
    JSON.stringify([...statuses]),
  );
});
