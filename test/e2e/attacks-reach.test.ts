// Attacks on what a token reaches, over HTTP on a real server (docs/authorization.md; OWASP API 2023: 1, 3, 5). Each request is made twice: for the
// other person's record, and for one that was never there. Status, headers and body must be the same, and nothing of the other person in them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APP, type Ask, AttackWorld, CANARY, DOCTOR, FOREIGN, type Found, type Token } from './attack-world.ts';

let w: AttackWorld;
before(async () => {
  w = await AttackWorld.open();
});
after(async () => assert.equal(await w.close(), 0, 'the server lived through all of it'));

/** Staff have a role, so that scopes alone decide. */
const of = (scope: string, more: Partial<Token> = {}): Token => ({
  ...{ scope, patient: 'mine' },
  ...(/(?:user|system)\//i.test(scope) ? { roles: ['integration-engine'] } : {}),
  ...more,
});
const parameters = (...parameter: object[]): Ask => ({
  method: 'POST',
  body: { resourceType: 'Parameters', parameter },
});
const bundle = (type: string, ...entry: object[]): Ask => ({
  method: 'POST',
  body: { resourceType: 'Bundle', type, entry },
});
const observation = (more: object = {}) => ({
  ...{ resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: { reference: 'Patient/mine' } },
  ...more,
});
const form = (body: string): Ask => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body,
});
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const get = (url: string, more: object = {}) => ({ request: { method: 'GET', url, ...more } });

/** What differs by itself: ids and instants of answers, cursors. */
function shown({ status, headers, text }: Found): string {
  const said = [...headers].filter(([name]) => !['date', 'x-request-id', 'content-length', 'etag'].includes(name));
  const body = text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'uuid')
    .replace(/20\d\d-\d\d-\d\dT[0-9:.]+Z/g, 'instant')
    .replaceAll('absent', FOREIGN);
  return JSON.stringify([
    status,
    said.map(([name, value]) => `${name}: ${value}`.replace(/GMT|20\d\d.*$/, '').replace(/[0-9a-f-]{36}/g, 'uuid')),
    body,
  ]);
}
const elsewhere = (ask: Ask): Ask => JSON.parse(JSON.stringify(ask).replaceAll(FOREIGN, 'absent'));

async function alike(token: Token, path: string, ask: Ask): Promise<Found> {
  const found = await w.ask(token, path, ask);
  const absent = await w.ask(token, path.replaceAll(FOREIGN, 'absent'), elsewhere(ask));
  assert.equal(shown(found), shown(absent), 'what is hidden is told from what is absent');
  const sent = decodeURIComponent(path) + JSON.stringify(ask);
  assert.ok(sent.includes(CANARY) || !found.text.includes(CANARY), found.text);
  assert.ok(found.status < 500, found.text);
  return found;
}

/** By the patient's app; none is answered otherwise than for a record that was never there. */
const rows: readonly [name: string, path: string, status: number, ask?: Ask][] = [
  ['a read', '/Patient/foreign', 404],
  ['a read by HEAD', '/Patient/foreign', 404, { method: 'HEAD' }],
  ['a read with If-None-Match', '/Observation/foreign-1', 404, { headers: { 'if-none-match': 'W/"1"' } }],
  [
    'a read with If-Modified-Since',
    '/Observation/foreign-1',
    404,
    { headers: { 'if-modified-since': 'Thu, 01 Jan 2099 00:00:00 GMT' } },
  ],
  ['a version', '/Observation/foreign-1/_history/1', 404],
  ['a version that never was', '/Observation/foreign-1/_history/9', 404],
  ['a history', '/Observation/foreign-1/_history', 404],
  ['a Binary by its id', '/Binary/foreign-file', 404],
  ['a Task by its id', '/Task/foreign-task', 404],
  ['a compartment', '/Patient/foreign/Observation', 200],
  ['a compartment of an encounter', '/Encounter/foreign-visit/Observation', 200],
  ['everything in an encounter', '/Encounter/foreign-visit/*', 200],
  ['a search by id', '/Observation?_id=foreign-1&_total=accurate', 200],
  ['a search by ids of both', '/Observation?_id=mine-1,foreign-1&_total=accurate', 200],
  ['a search by POST', '/Observation/_search', 200, form('_id=foreign-1&_summary=count')],
  ['a search by POST with another query', '/Observation/_search?_id=mine-1', 200, form('_id=foreign-1')],
  ['a search by elements', '/Observation?_id=foreign-1&_elements=subject', 200],
  ['a search in a list', '/Observation?_list=foreign-list&_total=accurate', 200],
  ['a search of everything', '/?_type=Patient,Observation,Binary&_id=foreign,foreign-1,foreign-file', 200],
  ['a reverse chain', '/Patient?_has:Observation:patient:_id=foreign-1', 200],
  ['a reverse chain from the group of both', '/Group?_has:List:subject:_id=foreign-list', 200],
  ['a chain', '/Observation?patient._id=foreign&_total=accurate', 200],
  ['a chain by _filter', '/Observation?_filter=patient eq Patient/foreign', 200],
  ['its complement by _filter', '/Observation?_filter=not (patient eq Patient/foreign)&_summary=count', 200],
  ['its complement by :not', '/Observation?_id:not=foreign-1&_summary=count', 200],
  ['an include', '/Group?_include=Group:member&_id=foreign-x', 200],
  ['a named query', '/Observation?_query=foreign', 400],
  ['contained resources', '/Observation?_contained=true&_id=foreign-1', 400],
  ['the audit', '/AuditEvent?entity=Patient/foreign', 403],
  ['the audit in everything', '/?_type=AuditEvent&_id=foreign', 400],
  ['$everything', '/Patient/foreign/$everything', 404],
  ['$everything of types that are nobody’s', '/Patient/foreign/$everything?_type=Organization', 404],
  ['$everything of an encounter', '/Encounter/foreign-visit/$everything', 404],
  ['$lastn', '/Observation/$lastn?patient=foreign&code=hr', 200],
  ['$stats', '/Observation/$stats?subject=Patient/foreign&code=hr&system=urn:codes&statistic=count&include=true', 200],
  ['$meta', '/Observation/foreign-1/$meta', 404],
  [
    '$meta-add',
    '/Observation/foreign-1/$meta-add',
    404,
    parameters({ name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }),
  ],
  [
    '$meta-delete',
    '/Observation/foreign-1/$meta-delete',
    404,
    parameters({ name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }),
  ],
  ['$document', '/Composition/foreign-letter/$document', 404],
  [
    '$validate for an update',
    '/Observation/foreign-1/$validate',
    200,
    parameters({ name: 'mode', valueCode: 'update' }, { name: 'resource', resource: observation({ id: 'foreign-1' }) }),
  ],
  ['$validate for a deletion', '/Observation/foreign-1/$validate?mode=delete', 200],
  [
    '$evaluate',
    '/RiskAssessment/$evaluate',
    404,
    parameters({ name: 'subject', valueString: 'Patient/foreign' }, { name: 'model', valueCode: 'news2' }),
  ],
  [
    '$merge',
    '/Patient/$merge',
    403,
    parameters(
      { name: 'source-patient', valueReference: { reference: 'Patient/foreign' } },
      { name: 'target-patient', valueReference: { reference: 'Patient/mine' } },
    ),
  ],
  ['$purge', '/Patient/foreign/$purge', 403, { method: 'POST' }],
  ['$access-report', '/Patient/foreign/$access-report', 404],
  ['$accounting-of-disclosures', '/Patient/foreign/$accounting-of-disclosures', 404],
  ['$export of a group', '/Group/foreign/$export', 403, { headers: { prefer: 'respond-async' } }],
  ['an update over its id', '/Observation/foreign-1', 404, { method: 'PUT', body: observation({ id: 'foreign-1' }) }],
  [
    'an update over its id with its version',
    '/Observation/foreign-1',
    404,
    { method: 'PUT', headers: { 'if-match': 'W/"1"' }, body: observation({ id: 'foreign-1' }) },
  ],
  [
    'an update that expects nothing there',
    '/Observation/foreign-1',
    404,
    { method: 'PUT', headers: { 'if-none-match': '*' }, body: observation({ id: 'foreign-1' }) },
  ],
  ['a conditional update', '/Observation?_id=foreign-1', 403, { method: 'PUT', body: observation() }],
  [
    'a conditional create',
    '/Observation',
    403,
    { method: 'POST', headers: { 'if-none-exist': '_id=foreign-1' }, body: observation() },
  ],
  ['a conditional patch', '/Observation?_id=foreign-1', 404, { method: 'PATCH', headers: JSON_PATCH, body: '[]' }],
  [
    'a patch that asks what is there',
    '/Observation/foreign-1',
    404,
    { method: 'PATCH', headers: JSON_PATCH, body: [{ op: 'test', path: '/status', value: 'final' }] },
  ],
  ['a deletion', '/Observation/foreign-1', 204, { method: 'DELETE' }],
  [
    'a deletion with another version',
    '/Observation/foreign-1',
    412,
    { method: 'DELETE', headers: { 'if-match': 'W/"9"' } },
  ],
  ['a conditional deletion', '/Observation?_id=foreign-1', 204, { method: 'DELETE' }],
  [
    'a batch of reads',
    '/',
    200,
    bundle(
      'batch',
      get('Patient/foreign'),
      get('Observation/foreign-1', { ifNoneMatch: 'W/"1"' }),
      get('Patient/foreign/$everything'),
      get('Observation?_id=foreign-1'),
    ),
  ],
  [
    'a batch of writes',
    '/',
    200,
    bundle(
      'batch',
      {
        resource: observation({ id: 'foreign-1' }),
        request: { method: 'PUT', url: 'Observation/foreign-1', ifMatch: 'W/"1"' },
      },
      { request: { method: 'DELETE', url: 'Observation/foreign-1', ifMatch: 'W/"9"' } },
    ),
  ],
  ['a transaction that reads it', '/', 404, bundle('transaction', get('Observation/foreign-1'))],
  [
    'a transaction that expects it',
    '/',
    403,
    bundle('transaction', {
      resource: observation(),
      request: { method: 'POST', url: 'Observation', ifNoneExist: '_id=foreign-1' },
    }),
  ],
  [
    'a conditional reference',
    '/',
    412,
    bundle('transaction', {
      resource: observation({ hasMember: [{ reference: 'Observation?_id=foreign-1' }] }),
      request: { method: 'POST', url: 'Observation' },
    }),
  ],
  [
    'a conditional reference to a patient',
    '/',
    412,
    bundle('transaction', {
      resource: observation({ subject: { reference: 'Patient?_id=foreign' } }),
      request: { method: 'POST', url: 'Observation' },
    }),
  ],
  [
    'a batch in a batch',
    '/',
    200,
    bundle('batch', {
      resource: { resourceType: 'Bundle', type: 'batch', entry: [get('Patient/foreign')] },
      request: { method: 'POST', url: '' },
    }),
  ],
  [
    'an entry by a URL of this server',
    '/',
    200,
    bundle(
      'batch',
      get('https://fhir.example.org/fhir/Patient/foreign'),
      get('/fhir/Patient/foreign'),
      get('//fhir.example.org/fhir/Patient/foreign'),
      get('../fhir/Patient/foreign'),
    ),
  ],
  ['a path with two slashes', '//Patient/foreign', 404],
  ['a path with a slash at its end', '/Patient/foreign/', 404],
  ['a path with an encoded slash', '/Patient%2fforeign', 404],
  ['a path parameter', '/Patient/foreign;version=1', 404],
  ['an encoded NUL', '/Patient/foreign%00', 404],
  ['another case', '/patient/foreign', 404],
  ['a path over another', '/Patient/mine/../foreign', 404],
  ['an encoded path over another', '/Patient/mine/%2e%2e/foreign', 404],
];
for (const [name, path, status, ask = {}] of rows) {
  test(`attack@oracle ${name} of another's record`, async () => {
    const { status: found, text } = await alike(APP, path, ask);
    assert.equal(found, status, text);
  });
}

test('attack@oracle the next page of one caller is of no use to another', async () => {
  const first = await w.ask(APP, '/Observation?_count=1');
  const next = /"next","url":"https:\/\/fhir.example.org\/fhir([^"]+)"/.exec(first.text)?.[1] ?? '';
  assert.equal((await w.ask(APP, next)).status, 200, 'control');
  const others: readonly Token[] = [
    { ...APP, sub: 'another' },
    { ...APP, patient: FOREIGN },
    { ...APP, scope: 'patient/*.rs' },
    { ...APP, client_id: 'app-2' },
    DOCTOR,
  ];
  for (const other of others) assert.equal((await w.ask(other, next)).status, 400, JSON.stringify(other));
});

test('attack@oracle what was visible and is not any more: no version, no deletion of it is', async () => {
  const engine = { scope: 'system/*.cruds', roles: ['integration-engine'], sub: 'engine' };
  const put = (id: string, subject: string) =>
    w.ask(engine, `/Observation/${id}`, {
      method: 'PUT',
      body: observation({ id, subject: { reference: `Patient/${subject}` } }),
    });
  await put('moves', 'mine');
  assert.equal((await w.ask(APP, '/Observation/moves')).status, 200, 'control');
  await put('moves', FOREIGN);
  const paths = ['', '/_history', '/_history/1', '/_history/2', '/$meta'];
  const statuses = async (id: string) =>
    Promise.all(paths.map(async (path) => (await w.ask(APP, `/Observation/${id}${path}`)).status));
  assert.deepEqual(await statuses('moves'), [404, 404, 404, 404, 404]);
  await w.ask(engine, '/Observation/moves', { method: 'DELETE' });
  assert.deepEqual(await statuses('moves'), [404, 404, 404, 404, 404], 'deleted as theirs');
  assert.deepEqual(await statuses('never'), [404, 404, 404, 404, 404]);
});

/** Scopes that look as if they gave more: what each reaches of the other person's Observation. */
const scopes: readonly [name: string, token: Token, path: string, status: number][] = [
  ['versions 1 and 2 together', of('patient/*.read patient/Observation.cruds'), '/Observation/foreign-1', 404],
  ['everything in context', of('patient/*.*'), '/Observation/foreign-1', 404],
  ['a user scope on another type', of('patient/*.rs user/Organization.rs'), '/Observation/foreign-1', 404],
  ['a patient scope without a patient', of('patient/*.*', { patient: '' }), '/Observation/mine-1', 403],
  ['several patients in one claim', of('patient/*.rs', { patient: 'mine,foreign' }), '/Observation/foreign-1', 403],
  ['a reference as the patient', of('patient/*.rs', { patient: 'Patient/mine' }), '/Observation/foreign-1', 404],
  ['a path as the patient', of('patient/*.rs', { patient: '../foreign' }), '/Observation/foreign-1', 403],
  ['another case', of('Patient/*.rs USER/*.rs user/*.RS'), '/Observation/foreign-1', 403],
  ['letters out of order', of('user/*.sr user/*.rr'), '/Observation/foreign-1', 403],
  ['a list of types', of('user/Observation,Patient.rs user/Observation|Patient.rs'), '/Observation/foreign-1', 403],
  ['a dotted type', of('user/Observation.read.rs user/Observation.*.rs'), '/Observation/foreign-1', 403],
  ['version 1 with criteria', of('user/Observation.read?code=hr'), '/Observation/foreign-1', 403],
  [
    'criteria that another criterion follows',
    of('patient/Observation.rs?code=hr&code=hr'),
    '/Observation/foreign-1',
    404,
  ],
  ['criteria that hold a scope', of('patient/Observation.rs?code=hr|user/*.rs'), '/Observation/foreign-1', 404],
  [
    'a reverse chain as criteria',
    of('user/Observation.rs?_has:Provenance:target:agent=x'),
    '/Observation/foreign-1',
    403,
  ],
  ['a chain as criteria', of('user/Observation.rs?patient._id=foreign'), '/Observation/foreign-1', 403],
  ['an include as criteria', of('patient/Observation.rs?code=hr&_include=*'), '/Observation/foreign-1', 403],
  ['only a control as criteria', of('user/Observation.rs?_count=5'), '/Observation/foreign-1', 403],
  ['criteria that nobody knows', of('user/Observation.rs?nothing=x'), '/Observation/foreign-1', 403],
  [
    'an encoded name of a criterion',
    of('user/Observation.rs?%5fhas:Provenance:target:agent=x'),
    '/Observation/foreign-1',
    403,
  ],
  ['a list as criteria', of('user/Observation.rs?_list=foreign-list'), '/Observation/foreign-1', 403],
  ['the audit by a star', of('system/*.cruds user/*.*'), '/AuditEvent', 403],
  ['the audit of one patient', of('patient/AuditEvent.rs'), '/AuditEvent', 403],
  ['scopes of OpenID alone', of('openid fhirUser launch/patient offline_access'), '/Observation/mine-1', 403],
  ['staff without a role', { scope: 'user/*.cruds', fhirUser: 'Practitioner/dr' }, '/Observation/foreign-1', 403],
  [
    'a role that nobody defined',
    { scope: 'user/*.cruds', roles: ['root', '__proto__', 'constructor'] },
    '/Observation/foreign-1',
    403,
  ],
  [
    'roles as an object',
    { ...of('user/*.cruds'), roles: JSON.parse('{"0":"physician"}') },
    '/Observation/foreign-1',
    403,
  ],
];
for (const [name, token, path, status] of scopes) {
  test(`attack@scope ${name}: ${status}`, async () => {
    const found = await w.ask(token, path);
    assert.equal(found.status, status, found.text);
    assert.ok(!found.text.includes(CANARY));
  });
}
