// The door: claims, refusals, audit of everything, and no answer without audit. capabilitystatement.html, http.html#status-codes, docs/audit.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { StoreError } from '../../src/store/port.ts';
import { at, json, type Sent, world } from '../world.ts';

const claims: readonly [
  method: string,
  url: string,
  status: number,
  allow: string | undefined,
  why: string,
  sent?: Sent,
][] = [
  ['GET', '/metadata', 200, undefined, 'control'],
  [
    'PATCH',
    '/AuditEvent/1',
    405,
    'GET, HEAD',
    'nor patched',
    { body: [], headers: { 'content-type': 'application/json-patch+json' } },
  ],
  [
    'PATCH',
    '/AuditEvent?_id=1',
    405,
    'GET, HEAD, POST',
    'nor conditionally',
    { body: [], headers: { 'content-type': 'application/json-patch+json' } },
  ],
  [
    'PUT',
    '/AuditEvent/1',
    405,
    'GET, HEAD',
    'the audit log is never changed',
    { body: { resourceType: 'AuditEvent', id: '1' } },
  ],
  ['DELETE', '/AuditEvent/1', 405, 'GET, HEAD', 'nor deleted'],
  ['GET', '/Group/1/Observation', 404, undefined, 'no compartment'],
  ['DELETE', '/Patient/1/Observation', 405, 'GET, HEAD', 'a compartment is only searched'],
  ['POST', '/metadata', 405, 'GET, HEAD', 'a method the grammar lacks', { body: {} }],
  ['GET', '/Parameters/1', 404, undefined, 'a type that is never stored'],
  ['GET', '/Patient/1/$merge', 404, undefined, 'an operation that is not claimed'],
  ['GET', '/nothing', 404, undefined, 'no path'],
];
for (const [method, url, status, allow, why, sent] of claims) {
  test(`fhir-r4@status-codes ${method} ${url}: ${why}`, async () => {
    const there = world();
    const answer = await there.send(method, url, sent);
    assert.deepEqual([answer.status, answer.headers.Allow], [status, allow]);
    if (status >= 400) assert.equal(json(answer).resourceType, 'OperationOutcome');
    assert.equal(there.accesses.at(-1)?.status, status, 'audited with its status');
    assert.equal(there.store.commits.length, 1, 'durably');
  });
}

test('fhir-r4@ccreate: a conditional create that is not claimed is 412', async () => {
  const { context, wire } = world();
  const patient = context.capability.types.get('Patient');
  assert.ok(patient);
  const asked = wire('POST', '/Patient', {
    body: { resourceType: 'Patient' },
    headers: { 'if-none-exist': 'identifier=1' },
  });
  const caller = localCaller(localFacts('request-1', '127.0.0.1'));
  const statuses = await Promise.all(
    [true, false].map(async (conditionalCreate) => {
      const types = new Map([...context.capability.types, ['Patient', { ...patient, conditionalCreate }]] as const);
      return (await answer(asked, caller, { ...context, capability: { ...context.capability, types } })).status;
    }),
  );
  assert.deepEqual(statuses, [201, 412]);
});

test('a refusal is audited by what it wanted', async () => {
  const there = world();
  await there.send('GET', '/Patient/absent');
  await there.send('GET', '/Patient?nonsense=Smith');
  await there.send('POST', '/Patient', { body: '{' });
  await there.send('BREW', '/coffee?a=1');
  const seen = there.accesses.map(({ entries, status }) => [
    status,
    entries[0]?.interaction,
    entries[0]?.resource ?? entries[0]?.query,
  ]);
  assert.deepEqual(seen, [
    [404, 'read', { type: 'Patient', id: 'absent' }],
    [400, 'search-type', 'GET /fhir/Patient?nonsense=Smith'],
    [400, 'create', 'POST /fhir/Patient'],
    [404, 'operation', 'BREW /fhir/coffee?a=1'],
  ]);
  assert.ok(there.accesses.every(({ outcomeDescription = '' }) => !/Smith/.test(outcomeDescription)));
});

test('§8.12 no answer without audit: 503, Retry-After, and none of the data', async () => {
  const there = world();
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p', active: true } });
  there.store.fails = { commit: new StoreError('unavailable', 'disk full') };
  for (const url of ['/Patient/p', '/Patient', '/Patient/p/_history', '/metadata', '/Patient/absent', '/nothing']) {
    const answer = await there.send('GET', url);
    assert.deepEqual([answer.status, answer.headers['Retry-After'], answer.headers.ETag], [503, '1', undefined], url);
    assert.equal(at(json(answer), 'issue.0.code'), 'transient');
    assert.doesNotMatch(answer.body ?? '', /active|disk/);
  }
  assert.equal(there.reported.length, 6, 'the operator is told');
});

const faults: readonly [error: Error, status: number, code: string, retry: string | undefined][] = [
  [new StoreError('unavailable', 'secret'), 503, 'transient', '1'],
  [new StoreError('too-costly', 'secret'), 400, 'too-costly', undefined],
  [new StoreError('bad-cursor', 'secret'), 400, 'value', undefined],
  [new TypeError('secret'), 500, 'exception', undefined],
];
for (const [error, status, code, retry] of faults) {
  test(`a fault of the store (${error.message} ${code}) is ${status} and tells nothing of itself`, async () => {
    const there = world();
    there.store.fails = { search: error };
    const answer = await there.send('GET', '/Patient');
    assert.deepEqual(
      [answer.status, at(json(answer), 'issue.0.code'), answer.headers['Retry-After']],
      [status, code, retry],
    );
    assert.doesNotMatch(answer.body ?? '', /secret/);
    assert.equal(there.accesses.at(-1)?.status, status);
    assert.equal(there.reported.length, status >= 500 ? 1 : 0);
  });
}

test('what the store refuses by name is told as it says', async () => {
  const there = world();
  there.store.fails = { search: new StoreError('refused', 'Chains are not supported here.') };
  const answer = await there.send('GET', '/Patient');
  assert.deepEqual(
    [answer.status, at(json(answer), 'issue.0.code'), at(json(answer), 'issue.0.diagnostics')],
    [400, 'too-costly', 'Chains are not supported here.'],
  );
});

test('writes are audited in their own commit, and failed ones by the door', async () => {
  const there = world();
  await there.send('PUT', '/Patient/p', { body: { resourceType: 'Patient', id: 'p' } });
  assert.deepEqual(
    there.store.commits.map(({ commands, audit }) => [commands.length, audit.length]),
    [[1, 1]],
  );
  const refused = await there.send('PUT', '/Patient/p', {
    body: { resourceType: 'Patient', id: 'p' },
    headers: { 'if-match': 'W/"9"' },
  });
  assert.equal(refused.status, 412);
  assert.deepEqual(
    there.store.commits.map(({ commands, audit }) => [commands.length, audit.length]),
    [
      [1, 1],
      [0, 1],
    ],
  );
  assert.equal(there.accesses.at(-1)?.status, 412);
});
