// transaction: http.html#transaction, #trules.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { at, BASE, bundle, type EntryRow, json, type World, world } from './write-world.ts';

const URN = 'urn:uuid:84d85421-ad41-47ff-8fe8-df69c8f78038';
const URN2 = 'urn:uuid:11111111-ad41-47ff-8fe8-df69c8f78038';
const patient = (value: string, more: JsonObject = {}) => ({
  resourceType: 'Patient',
  identifier: [{ system: 'urn:mrn', value }],
  ...more,
});
const observation = (reference: string, more: JsonObject = {}) => ({
  resourceType: 'Observation',
  subject: { reference },
  ...more,
});
const send = ({ ask }: World, ...entries: EntryRow[]) => ask('POST', '/', bundle('transaction', ...entries));
const subjects = ({ store }: World) =>
  store.texts('Observation').map((text) => at(JSON.parse(text), 'subject.reference'));
const writes = ({ store }: World) => store.commits.filter(({ commands }) => commands.length > 0);

test('one commit: answers in the order sent, links rewritten, versions and instants as stored', async () => {
  const w = world();
  await w.ask('PUT', '/Patient/old', patient('old', { id: 'old' }));
  await w.ask('PUT', '/Basic/gone', { resourceType: 'Basic', id: 'gone' });
  const before = writes(w).length;
  const response = await send(
    w,
    ['GET', 'Patient/old'],
    ['PUT', 'Patient/old', patient('new', { id: 'old' })],
    ['POST', 'Observation', observation(URN), { fullUrl: URN2 }],
    ['POST', 'Patient', patient('1', { id: 'theirs', link: [{ other: { reference: URN } }] }), { fullUrl: URN }],
    ['DELETE', 'Basic/gone'],
    ['GET', 'Patient?identifier=urn:mrn|1'],
  );
  assert.equal(response.status, 200);
  const rows: readonly [path: string, value: unknown][] = [
    ['type', 'transaction-response'],
    ['entry.length', 6],
    ['entry.0.resource.identifier.0.value', 'new'],
    ['entry.1.response.status', '200 OK'],
    ['entry.1.response.location', `${BASE}/Patient/old/_history/2`],
    ['entry.1.response.etag', 'W/"2"'],
    ['entry.2.response.status', '201 Created'],
    ['entry.2.response.location', `${BASE}/Observation/new-1/_history/1`],
    ['entry.3.response.location', `${BASE}/Patient/new-2/_history/1`],
    ['entry.3.resource', undefined],
    ['entry.4.response.status', '204 No Content'],
    ['entry.4.response.etag', 'W/"2"'],
    ['entry.5.resource.total', 1],
  ];
  for (const [path, value] of rows) assert.deepEqual(at(json(response), path), value, path);
  assert.equal(writes(w).length, before + 1);
  assert.deepEqual(subjects(w), ['Patient/new-2']);
  assert.equal(
    at(JSON.parse(w.store.texts('Patient')[1] ?? ''), 'link.0.other.reference'),
    'Patient/new-2',
    'to itself',
  );
});

test('§8.12 audit: one row in the commit with an entry for each write; reads have rows of their own', async () => {
  const w = world();
  await send(
    w,
    ['POST', 'Observation', observation(URN)],
    ['PUT', 'Patient/p', patient('1', { id: 'p' }), { fullUrl: URN }],
    ['GET', 'Patient/p'],
  );
  const [first, second] = w.accesses;
  assert.equal(first?.envelope, 'transaction');
  assert.deepEqual(
    first?.entries.map(({ interaction, resource, patients }) => [
      interaction,
      resource?.type,
      resource?.version,
      patients,
    ]),
    [
      ['create', 'Observation', 1, ['p']],
      ['update', 'Patient', 1, ['p']],
    ],
  );
  assert.deepEqual(
    second?.entries.map(({ interaction }) => interaction),
    ['read'],
  );
});

test('all or nothing: the failure of any entry stores none, and all refusals are told', async () => {
  const bad: readonly [entry: EntryRow, status: number, expression: string][] = [
    [['POST', 'Patient', patient('2', { gender: 'none' })], 400, 'Bundle.entry[1].resource.gender'],
    [['PUT', 'Patient/p', patient('2', { id: 'p' }), { ifMatch: 'W/"7"' }], 412, 'Bundle.entry[1]'],
    [['PUT', 'Organization/o', { resourceType: 'Organization', id: 'o' }], 405, 'Bundle.entry[1]'],
    [['PUT', 'Patient/p', patient('2', { id: 'q' })], 400, 'Bundle.entry[1].resource.id'],
    [['DELETE', 'Patient/p', undefined, { ifMatch: 'W/"7"' }], 412, 'Bundle.entry[1]'],
    [['POST', 'Observation', observation('Patient?identifier=none')], 412, 'Bundle.entry[1]'],
    [['GET', 'Patient/never'], 404, 'Bundle.entry[1]'],
    [['GET', 'Patient?nonsense=1'], 400, 'Bundle.entry[1]'],
    [['PATCH', 'Patient/p', { resourceType: 'Parameters' }], 404, 'Bundle.entry[1]'],
    [['PATCH', 'Patient/p'], 400, 'Bundle.entry[1]'],
  ];
  for (const [entry, status, expression] of bad) {
    const w = world();
    const response = await send(w, ['POST', 'Patient', patient('1')], entry);
    assert.equal(response.status, status, expression);
    assert.deepEqual(at(json(response), 'issue.0.expression'), [expression]);
    assert.equal(w.store.texts('Patient').length, 0);
    assert.equal(writes(w).length, 0);
    assert.deepEqual(
      w.accesses.map(({ envelope, status: told }) => [envelope, told]),
      [['transaction', status]],
    );
  }
  const invalid = patient('2', { gender: 'none', unknown: 1 });
  const response = await send(world(), ['POST', 'Patient', invalid], ['POST', 'Patient', invalid]);
  assert.equal(at(json(response), 'issue.length'), 4);
  assert.deepEqual(at(json(response), 'issue.3.expression'), ['Bundle.entry[1].resource.gender']);
});

test('all or nothing: 200 good entries and a bad last one store nothing', async () => {
  const w = world();
  const good: EntryRow[] = Array.from({ length: 200 }, (_, index) => ['POST', 'Patient', patient(String(index))]);
  assert.equal((await send(w, ...good, ['POST', 'Patient', patient('x', { gender: 'none' })])).status, 400);
  assert.equal(w.store.texts('Patient').length, 0);
  assert.equal((await send(w, ...good)).status, 200);
  assert.equal(w.store.texts('Patient').length, 200);
});

test('identities: the same resource twice is 400, also when criteria lead to it', async () => {
  const p = patient('1', { id: 'p' });
  const rows: readonly (readonly EntryRow[])[] = [
    [
      ['PUT', 'Patient/p', p],
      ['PUT', 'Patient/p', p],
    ],
    [
      ['PUT', 'Patient/p', p],
      ['DELETE', 'Patient/p'],
    ],
    [
      ['DELETE', 'Patient/p'],
      ['DELETE', 'Patient/p'],
    ],
    [
      ['PUT', 'Patient/p', p],
      ['DELETE', 'Patient?identifier=urn:mrn|1'],
    ],
    [
      ['PUT', 'Patient/p', p],
      ['PUT', 'Patient?identifier=urn:mrn|1', patient('1')],
    ],
    [
      ['POST', 'Patient', p, { fullUrl: URN }],
      ['POST', 'Patient', p, { fullUrl: URN }],
    ],
  ];
  for (const entries of rows) {
    const w = world();
    await w.ask('PUT', '/Patient/p', p);
    const response = await send(w, ...entries);
    assert.equal(response.status, 400);
    assert.match(String(at(json(response), 'issue.0.expression.0')), /^Bundle\.entry\[[01]\]/);
    assert.equal(w.store.texts('Patient').length, 1);
  }
});

test('#ccreate in a transaction: a match takes the place of the entry, and links lead to it', async () => {
  const w = world();
  await w.ask('PUT', '/Patient/held', patient('1', { id: 'held' }));
  const response = await send(
    w,
    ['POST', 'Patient', patient('1'), { fullUrl: URN, ifNoneExist: 'identifier=urn:mrn|1' }],
    ['POST', 'Observation', observation(URN)],
  );
  assert.equal(at(json(response), 'entry.0.response.status'), '200 OK');
  assert.equal(at(json(response), 'entry.0.response.location'), `${BASE}/Patient/held/_history/1`);
  assert.deepEqual(subjects(w), ['Patient/held']);
  await w.ask('PUT', '/Patient/twin', patient('1', { id: 'twin' }));
  const many = await send(w, ['POST', 'Patient', patient('1'), { ifNoneExist: 'identifier=urn:mrn|1' }]);
  assert.equal(many.status, 412);
});

test('#ccreate: the same criteria twice in one bundle create one resource', async () => {
  const w = world();
  const response = await send(
    w,
    ['POST', 'Patient', patient('1'), { fullUrl: URN, ifNoneExist: 'identifier=urn:mrn|1' }],
    ['POST', 'Patient', patient('1'), { fullUrl: URN2, ifNoneExist: 'identifier=urn%3Amrn%7C1' }],
    ['POST', 'Observation', observation(URN)],
    ['POST', 'Observation', observation(URN2)],
  );
  assert.equal(at(json(response), 'entry.0.response.status'), '201 Created');
  assert.equal(at(json(response), 'entry.1.response.status'), '200 OK');
  assert.equal(at(json(response), 'entry.1.response.location'), at(json(response), 'entry.0.response.location'));
  assert.equal(w.store.texts('Patient').length, 1);
  assert.deepEqual(subjects(w), ['Patient/new-1', 'Patient/new-1']);
});

test('conditional references: one match, a match made here, none, many; absolute ones too', async () => {
  const rows: readonly [held: number, created: boolean, status: number, subject: string | undefined][] = [
    [1, false, 200, 'Patient/held-0'],
    [1, true, 200, 'Patient/held-0'],
    [0, true, 200, 'Patient/new-1'],
    [0, false, 412, undefined],
    [2, false, 412, undefined],
  ];
  for (const [held, created, status, subject] of rows) {
    for (const prefix of ['', `${BASE}/`]) {
      const w = world();
      for (let index = 0; index < held; index++) {
        await w.ask('PUT', `/Patient/held-${index}`, patient('1', { id: `held-${index}` }));
      }
      const own: EntryRow[] = created
        ? [['POST', 'Patient', patient('1'), { ifNoneExist: 'identifier=urn:mrn|1' }]]
        : [];
      const text = `${prefix}Patient?identifier=urn:mrn|1`;
      const nested = { hasMember: [{ reference: text }], contained: [observation(text, { id: 'c' })] };
      const response = await send(w, ...own, ['POST', 'Observation', observation(text, nested)]);
      assert.equal(response.status, status);
      const stored = w.store.texts('Observation').map((each) => JSON.parse(each));
      for (const path of ['subject.reference', 'hasMember.0.reference', 'contained.0.subject.reference']) {
        assert.equal(at(stored[0], path), subject, path);
      }
    }
  }
});

test('#trules: deletes come first, so their resources match nothing any more', async () => {
  const w = world();
  await w.ask('PUT', '/Patient/p', patient('1', { id: 'p' }));
  const response = await send(
    w,
    ['POST', 'Patient', patient('1'), { ifNoneExist: 'identifier=urn:mrn|1' }],
    ['DELETE', 'Patient?identifier=urn:mrn|1'],
    ['DELETE', 'Patient?identifier=urn:mrn|none'],
  );
  assert.equal(at(json(response), 'entry.0.response.status'), '201 Created');
  assert.equal(at(json(response), 'entry.1.response.status'), '204 No Content');
  assert.equal(at(json(response), 'entry.2.response.status'), '204 No Content');
  assert.deepEqual(
    w.store.texts('Patient').map((text) => JSON.parse(text).id),
    ['new-1'],
  );
  const dangling = await send(
    w,
    ['DELETE', 'Patient/new-1'],
    ['POST', 'Observation', observation('Patient?identifier=1')],
  );
  assert.equal(dangling.status, 412);
});

test('conditional update in a transaction: created, then updated; links lead to it', async () => {
  const w = world();
  for (const [status, version] of [
    ['201 Created', 1],
    ['200 OK', 2],
  ] as const) {
    const response = await send(
      w,
      ['PUT', 'Patient?identifier=urn:mrn|1', patient('1', { active: version === 2 }), { fullUrl: URN }],
      ['POST', 'Observation', observation(URN)],
    );
    assert.equal(at(json(response), 'entry.0.response.status'), status);
    assert.equal(at(json(response), 'entry.0.response.etag'), `W/"${version}"`);
  }
  assert.equal(new Set(subjects(w)).size, 1);
});

test('the same message again changes nothing when its creates are conditional', async () => {
  const w = world();
  const again = () =>
    send(
      w,
      ['POST', 'Patient', patient('1'), { fullUrl: URN, ifNoneExist: 'identifier=urn:mrn|1' }],
      [
        'POST',
        'Observation',
        observation(URN, { identifier: [{ system: 'urn:msg', value: '7' }] }),
        { ifNoneExist: 'identifier=urn:msg|7' },
      ],
    );
  await again();
  const answers = await Promise.all(Array.from({ length: 16 }, again));
  assert.ok(answers.every((response) => at(json(response), 'entry.1.response.status') === '200 OK'));
  assert.deepEqual([w.store.texts('Patient').length, w.store.texts('Observation').length], [1, 1]);
});

test('races: 16 equal messages at once on an empty store make one of each', async () => {
  const w = world();
  const entries = (value: number): EntryRow[] => [
    ['POST', 'Patient', patient('1'), { fullUrl: URN, ifNoneExist: 'identifier=urn:mrn|1' }],
    ['PUT', 'Observation/o', observation(URN, { id: 'o', valueInteger: value })],
  ];
  const answers = await Promise.all(Array.from({ length: 16 }, (_, value) => send(w, ...entries(value))));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(w.store.texts('Patient').length, 1);
  assert.equal((await w.store.read({ type: 'Observation', id: 'o' }))?.version, 16);
});

test('AuditEvents in a transaction become rows of the log, each with its own Location', async () => {
  const w = world();
  const event = { resourceType: 'AuditEvent' };
  const response = await send(
    w,
    ['POST', 'AuditEvent', event],
    ['POST', 'Patient', patient('1')],
    ['POST', 'AuditEvent', event],
  );
  assert.equal(at(json(response), 'entry.0.response.location'), `${BASE}/AuditEvent/1-1-1`);
  assert.equal(at(json(response), 'entry.2.response.location'), `${BASE}/AuditEvent/1-2-1`);
  assert.deepEqual(
    w.store.audit.map(({ bytes }) => bytes),
    ['posted AuditEvent', 'posted AuditEvent', 'transaction'],
  );
});

test('referential integrity: what the same transaction writes is held, what it deletes is not', async () => {
  const w = world({ referentialIntegrity: true });
  const entries = [
    ['POST', 'Patient', patient('1'), { fullUrl: URN }],
    ['POST', 'Observation', observation(URN)],
  ] as const;
  assert.equal((await send(w, ...entries)).status, 200);
  assert.equal((await send(w, ['POST', 'Observation', observation('Patient/none')])).status, 422);
  assert.equal((await send(w, ['DELETE', 'Patient/new-1'])).status, 409);
  assert.equal((await send(w, ['DELETE', 'Patient/new-1'], ['DELETE', 'Observation/new-2'])).status, 200);
  assert.equal((await send(w, ['POST', 'Observation', observation(URN)])).status, 422, 'a placeholder of no entry');
});

test('hostile: a full URL named like a member of the prototype links nothing', async () => {
  const w = world();
  const response = await send(
    w,
    ['POST', 'Patient', patient('1'), { fullUrl: 'constructor' }],
    ['POST', 'Observation', observation('toString')],
  );
  assert.equal(response.status, 200);
  assert.deepEqual(subjects(w), ['toString']);
});

test('response: lastModified is meta.lastUpdated to the millisecond; HEAD has no resource', async () => {
  const w = world();
  const entry = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: bundle('transaction', ['POST', 'Patient', patient('1')]).entry,
  };
  const response = json(await w.ask('POST', '/', entry, { prefer: 'return=representation' }));
  assert.equal(at(response, 'entry.0.response.lastModified'), at(response, 'entry.0.resource.meta.lastUpdated'));
  for (const type of ['transaction', 'batch'] as const) {
    const head = json(await w.ask('POST', '/', bundle(type, ['HEAD', 'Patient/new-1'])));
    assert.equal(at(head, 'entry.0.response.status'), '200 OK');
    assert.equal(at(head, 'entry.0.resource'), undefined);
  }
});

test('audit: an empty transaction is an envelope and nothing else', async () => {
  const w = world();
  assert.equal((await send(w)).status, 200);
  assert.deepEqual(
    w.accesses.map(({ envelope, entries }) => [envelope, entries.length]),
    [['transaction', 0]],
  );
});

test('access: one entry that is not permitted refuses the transaction, before its preconditions tell anything', async () => {
  const access = { principal: 'p', visible: (type: string) => ({ kind: type === 'Basic' ? 'all' : 'none' }) as const };
  const w = world({}, { ...localCaller(localFacts('r', '::1')), access });
  const basic: EntryRow = ['POST', 'Basic', { resourceType: 'Basic' }];
  assert.equal((await send(w, basic)).status, 200);
  const rows: readonly EntryRow[] = [
    ['POST', 'Patient', patient('1')],
    ['POST', 'Patient', patient('1'), { ifNoneExist: 'identifier=1' }],
    ['PUT', 'Patient/p', patient('1', { id: 'p' }), { ifMatch: 'W/"7"' }],
    ['PUT', 'Patient?identifier=1', patient('1')],
    ['DELETE', 'Patient/p', undefined, { ifMatch: 'W/"7"' }],
    ['DELETE', 'Patient?identifier=1'],
  ];
  for (const row of rows) assert.equal((await send(w, basic, row)).status, 403, row.slice(0, 2).join(' '));
  assert.equal(w.store.texts('Basic').length, 1);
});
