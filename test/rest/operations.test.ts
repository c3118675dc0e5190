// operations.html: levels, methods, input and its checks, access and audit; resource-operation-validate.html.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OPERATION_IDS, operationId } from '../../src/fhir/definitions/capability.ts';
import { OPERATIONS } from '../../src/rest/operations.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { StoreError } from '../../src/store/port.ts';
import { at, json, world } from '../world.ts';
import { issuesIn, type OperationsWorld, operationsWorld, parameters } from './operations-world.ts';

let w: OperationsWorld;
before(async () => {
  w = await operationsWorld();
  await w.hold({ resourceType: 'Patient', id: 'p1' });
});
after(async () => {
  await w.close();
  assert.deepEqual(w.reported, []);
});

const PATIENT = { resourceType: 'Patient', id: 'p1' };
const WRONG = { resourceType: 'Patient', id: 'p1', birthDate: 'yesterday' };

test('operations.html: what a row takes is an input parameter of its definition', () => {
  const { definitions } = world().context;
  for (const id of OPERATION_IDS) {
    const definition = definitions.operations.find((each) => operationId(each) === id);
    const names = (definition?.parameters ?? []).filter(({ use }) => use === 'in').map(({ name }) => name);
    const strange = OPERATIONS[id].takes.filter((name) => !names.includes(name));
    assert.deepEqual([id, strange], [id, []]);
  }
});

interface Row {
  readonly method?: string;
  readonly url: string;
  readonly body?: object;
  readonly status: number;
  readonly issue?: string;
  readonly why: string;
}
const rows: readonly Row[] = [
  { url: '/Patient/$validate', body: PATIENT, status: 200, issue: 'no error', why: 'control' },
  { url: '/Patient/$nothing', body: PATIENT, status: 404, issue: 'error not-supported', why: 'unknown operation' },
  { url: '/$validate', body: PATIENT, status: 404, issue: 'error not-supported', why: 'defined for types only' },
  { url: '/Nothing/$validate', body: PATIENT, status: 404, issue: 'error not-supported', why: 'unknown type' },
  { url: '/Patient/a_b/$validate', body: PATIENT, status: 404, why: 'not an id' },
  { method: 'PUT', url: '/Patient/$validate', body: PATIENT, status: 405, why: 'operations are GET or POST' },
  { method: 'GET', url: '/Patient/$validate', status: 400, issue: 'error required', why: 'GET without the resource' },
  {
    method: 'GET',
    url: '/Patient/$validate?resource=x',
    status: 400,
    issue: 'error value',
    why: 'a resource does not fit in a query',
  },
  { url: '/Patient/$validate?mode=create', body: PATIENT, status: 200, why: 'primitives beside a bare resource' },
  { url: '/Patient/$validate?mode=read', body: PATIENT, status: 400, issue: 'error value', why: 'unknown mode' },
  {
    url: '/Patient/$validate?moed=create',
    body: PATIENT,
    status: 400,
    issue: 'error not-supported',
    why: 'typing error',
  },
  {
    url: '/Patient/$validate?mode=create&mode=create',
    body: PATIENT,
    status: 400,
    issue: 'error invalid',
    why: 'more than max',
  },
  {
    url: '/Patient/$validate?mode=create',
    body: parameters(['mode', { valueCode: 'create' }], ['resource', { resource: PATIENT }]),
    status: 400,
    why: 'query and body together count',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['resource', { resource: PATIENT }], ['strange', { valueString: 'x' }]),
    status: 400,
    issue: 'error not-supported Parameters.parameter[1]',
    why: 'unknown parameter, and where it is',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['resource', { resource: PATIENT }], ['mode', { valueInteger: 1 }]),
    status: 400,
    issue: 'error value Parameters.parameter[1].value',
    why: 'another type of value',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['resource', { resource: PATIENT }], ['mode', { valueString: 'create' }]),
    status: 200,
    why: 'text that is a code may come as string',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['resource', { valueString: 'x' }]),
    status: 400,
    issue: 'error value Parameters.parameter[0].value',
    why: 'a value instead of the resource',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['resource', { resource: PATIENT, valueString: 'x' }]),
    status: 422,
    issue: 'error invariant Parameters.parameter[0]',
    why: 'Parameters that are not valid: inv-1',
  },
  {
    url: '/Patient/$validate',
    body: { resourceType: 'Parameters' },
    status: 400,
    issue: 'error required',
    why: 'empty',
  },
];
/** The issue is among those told; `undefined` asks nothing, 'no error' that none is an error. */
function assertSays(response: FhirResponse, issue: string | undefined): void {
  const told = issuesIn(response);
  if (issue === 'no error') assert.ok(!told.some((each) => /^(?:error|fatal)/.test(each)), response.body);
  else assert.ok(issue === undefined || told.includes(issue), response.body);
}
for (const { method = 'POST', url, body, status, issue, why } of rows) {
  test(`operations.html ${method} ${url}: ${status}, ${why}`, async () => {
    const response = await w.send(method, url, body === undefined ? {} : { body });
    assert.equal(response.status, status, response.body);
    assertSays(response, issue);
  });
}

test('operations.html: an unknown parameter is answered with the valid ones', async () => {
  const { body } = await w.send('POST', '/Patient/$validate?moed=x', { body: PATIENT });
  for (const name of ['resource', 'mode', 'profile']) assert.match(body ?? '', new RegExp(`\`${name}\``));
});

const validations: readonly Row[] = [
  {
    url: '/Patient/$validate',
    body: WRONG,
    status: 200,
    issue: 'error value Patient.birthDate',
    why: 'a bare resource',
  },
  {
    url: '/Patient/$validate',
    body: parameters(['mode', { valueCode: 'create' }], ['resource', { resource: WRONG }]),
    status: 200,
    issue: 'error value Parameters.parameter[1].resource.birthDate',
    why: 'the expression leads from what was sent',
  },
  {
    url: '/Observation/$validate',
    body: PATIENT,
    status: 200,
    issue: 'error invalid Patient.resourceType',
    why: 'another type than the path says',
  },
  {
    url: '/Patient/p1/$validate?mode=update',
    body: PATIENT,
    status: 200,
    issue: 'no error',
    why: 'ok',
  },
  {
    url: '/Patient/p1/$validate?mode=update',
    body: { ...PATIENT, id: 'p2' },
    status: 200,
    issue: 'error invalid Patient.id',
    why: 'an update of another id',
  },
  {
    url: '/Patient/$validate?mode=update',
    body: PATIENT,
    status: 400,
    issue: 'error invalid',
    why: 'update of nothing',
  },
  { method: 'GET', url: '/Patient/p1/$validate?mode=delete', status: 200, why: 'a delete needs no resource' },
  {
    method: 'GET',
    url: '/AuditEvent/1-1-1/$validate?mode=delete',
    status: 200,
    issue: 'error not-supported',
    why: 'what is never deleted',
  },
  {
    url: '/Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient',
    body: PATIENT,
    status: 200,
    why: 'the base profile',
  },
];
for (const { method = 'POST', url, body, status, issue, why } of validations) {
  test(`resource-operation-validate.html ${method} ${url}: ${why}`, async () => {
    const response = await w.send(method, url, body === undefined ? {} : { body });
    assert.equal(response.status, status, response.body);
    assertSays(response, issue);
  });
}

test('resource-operation-validate.html: a profile that is asked for and not held is an error', async () => {
  const response = await w.send('POST', '/Patient/$validate?profile=http://example.org/mine', { body: PATIENT });
  assert.match(issuesIn(response).join(), /error/, response.body);
});

test('resource-operation-validate.html: a profile that meta claims and that is not held is said', async () => {
  const body = { ...PATIENT, meta: { profile: ['http://example.org/mine'] } };
  const response = await w.send('POST', '/Patient/$validate', { body });
  assert.equal(response.status, 200);
  assert.match(issuesIn(response).join(), /warning [a-z-]+ Patient\.meta\.profile\[0\]/);
});

test('resource-operation-validate.html: nothing is stored', async () => {
  await w.send('POST', '/Patient/$validate?mode=create', { body: { ...PATIENT, id: 'never' } });
  assert.equal((await w.send('GET', '/Patient/never')).status, 404);
  assert.equal(at(json(await w.send('GET', '/Patient/p1')), 'meta.versionId'), '1');
});

test('operations.html in a batch goes through the same door', async () => {
  const body = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [{ request: { method: 'POST', url: 'Patient/$validate' }, resource: WRONG }],
  };
  const bundle = json(await w.send('POST', '/', { body }));
  assert.equal(at(bundle, 'entry.0.response.status'), '200 OK');
  assert.match(JSON.stringify(bundle), /Patient\.birthDate/);
});

test('audit of an operation: its code, the resource, the patients', async () => {
  w.accesses.length = 0;
  await w.send('POST', '/Patient/p1/$validate', { body: PATIENT });
  const [entry] = w.accesses[0]?.entries ?? [];
  assert.deepEqual(
    [entry?.interaction, entry?.operation, entry?.resource, entry?.patients],
    ['operation', 'validate', { type: 'Patient', id: 'p1' }, ['p1']],
  );
});

test('audit of an operation that is refused: its code only when it is one that is served', async () => {
  w.accesses.length = 0;
  await w.send('POST', '/Patient/$validate?moed=x', { body: PATIENT });
  await w.send('GET', '/Patient/$john-smith');
  assert.deepEqual(
    w.accesses.map(({ entries, status }) => [entries[0]?.operation, status]),
    [
      ['validate', 400],
      [undefined, 404],
    ],
  );
});

test('an operation that may not run on this thread is repeated on another: nothing is audited before', async () => {
  const there = world();
  await there.send('PUT', '/Patient/p1', { body: PATIENT });
  const commits = there.store.commits.length;
  there.store.fails = { search: new StoreError('bounded-thread', 'Not here.') };
  for (const url of [
    '/Patient/p1/$everything',
    '/Observation/$lastn?patient=p1&code=x',
    '/ValueSet/$expand?url=http://x',
  ]) {
    await assert.rejects(there.send('GET', url), StoreError);
  }
  assert.equal(there.store.commits.length, commits);
});

test('every claim on every type is kept: $validate judges, $meta looks for the resource', async () => {
  const wrong: string[] = [];
  for (const { type, operations } of w.context.capability.types.values()) {
    const asked: readonly (readonly [code: string, path: string, body: object | undefined, answer: string])[] = [
      ['validate', `/${type}`, { resourceType: type }, '200'],
      ['meta', `/${type}/none`, undefined, '404 error not-found'],
      [
        'meta-add',
        `/${type}/none`,
        parameters(['meta', { valueMeta: { tag: [{ code: 'a' }] } }]),
        '404 error not-found',
      ],
    ];
    for (const [code, path, body, answer] of asked) {
      if (!operations.has(code)) continue;
      const response = await w.send(body === undefined ? 'GET' : 'POST', `${path}/$${code}`, body && { body });
      const given = response.status === 200 ? '200' : `${response.status} ${issuesIn(response)[0]}`;
      if (given !== answer) wrong.push(`${type} $${code}: ${given}`);
    }
  }
  assert.deepEqual(wrong, []);
});
