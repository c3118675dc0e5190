// Attacks by writing, over HTTP on a real server (docs/authorization.md; OWASP API 2023: 1, 3, 5): data planted in another's record, taken from it, or
// handed over; rights that a caller writes for itself; traces that it leaves out or forges.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { APP, type Ask, AttackWorld, DOCTOR, ENGINE, FOREIGN, type Token } from './attack-world.ts';

let w: AttackWorld;
before(async () => {
  w = await AttackWorld.open();
});
after(async () => assert.equal(await w.close(), 0, 'the server lived through all of it'));

const to = (reference: string) => ({ reference });
const observation = (more: object = {}) => ({
  ...{ resourceType: 'Observation', status: 'final', code: { text: 'x' }, subject: to('Patient/mine') },
  ...more,
});
const post = (body: object): Ask => ({ method: 'POST', body });
const put = (body: object): Ask => ({ method: 'PUT', body });
const patch = (...body: object[]): Ask => ({
  method: 'PATCH',
  headers: { 'content-type': 'application/json-patch+json' },
  body,
});
const parameters = (...parameter: object[]): Ask => post({ resourceType: 'Parameters', parameter });
const transaction = (...entry: object[]): Ask => post({ resourceType: 'Bundle', type: 'transaction', entry });
const created = (resource: object, url: string) => ({ resource, request: { method: 'POST', url } });
const link = [{ other: to(`Patient/${FOREIGN}`), type: 'seealso' }];
const members = ['mine', FOREIGN].map((id) => ({ entity: to(`Patient/${id}`) }));
const label = (code: string) => ({ name: 'meta', valueMeta: { security: [{ system: 'urn:any', code }] } });
const parameter = {
  resourceType: 'SearchParameter',
  url: 'urn:p',
  name: 'p',
  status: 'active',
  description: 'x',
  base: ['Observation'],
  expression: 'Observation.status',
  type: 'token',
};
const subscription = {
  resourceType: 'Subscription',
  status: 'requested',
  reason: 'x',
  criteria: 'Observation?patient=foreign',
  channel: { type: 'rest-hook', endpoint: 'http://127.0.0.1:9/' },
};
const audit = {
  resourceType: 'AuditEvent',
  type: { code: 'x' },
  recorded: '2026-01-01T00:00:00Z',
  agent: [{ requestor: true }],
  source: { observer: { display: 'x' } },
};
const planted = observation({ subject: to(`Patient/${FOREIGN}`), performer: [to('Patient/mine')] });

/** All of these are refused with 403, and nothing is written. */
const refused: readonly [name: string, who: Token, path: string, ask: Ask][] = [
  ['data for another patient', APP, '/Observation', post(observation({ subject: to(`Patient/${FOREIGN}`) }))],
  [
    'data for another patient by their identifier',
    APP,
    '/Observation',
    post(observation({ subject: { identifier: { system: 'urn:mrn', value: 'zebrafinch' } } })),
  ],
  [
    'data for another patient by an absolute reference',
    APP,
    '/Observation',
    post(observation({ subject: to('https://fhir.example.org/fhir/Patient/foreign') })),
  ],
  ['data for another patient, oneself as performer', APP, '/Observation', post(planted)],
  ['the same in a transaction', APP, '/', transaction(created(planted, 'Observation'))],
  [
    'the same where an other scope gives criteria',
    { ...APP, scope: 'patient/*.cruds user/Observation.cruds?code=zz', roles: ['integration-engine'] },
    '/Observation',
    post(planted),
  ],
  [
    'a diagnosis of another patient, oneself as asserter',
    APP,
    '/Condition',
    post({ resourceType: 'Condition', subject: to(`Patient/${FOREIGN}`), asserter: to('Patient/mine') }),
  ],
  [
    'an appointment of another patient',
    APP,
    '/Appointment',
    post({
      resourceType: 'Appointment',
      status: 'booked',
      start: '2027-01-01T00:00:00Z',
      end: '2027-01-01T01:00:00Z',
      participant: ['mine', FOREIGN].map((id) => ({ actor: to(`Patient/${id}`), status: 'accepted' })),
    }),
  ],
  [
    'a group with another patient',
    APP,
    '/Group',
    post({ resourceType: 'Group', type: 'person', actual: true, member: members }),
  ],
  [
    'a group of both, without the other',
    APP,
    '/Group/both',
    put({ resourceType: 'Group', id: 'both', type: 'person', actual: true, member: members.slice(0, 1) }),
  ],
  ['the removal of a group of both', APP, '/Group/both', { method: 'DELETE' }],
  [
    'a person with the records of both',
    APP,
    '/Person',
    post({ resourceType: 'Person', link: ['mine', FOREIGN].map((id) => ({ target: to(`Patient/${id}`) })) }),
  ],
  [
    'a relative of another patient',
    APP,
    '/RelatedPerson',
    post({ resourceType: 'RelatedPerson', patient: to(`Patient/${FOREIGN}`) }),
  ],
  [
    'a refusal for another patient',
    APP,
    '/Consent',
    post({
      resourceType: 'Consent',
      status: 'active',
      scope: { coding: [{ code: 'patient-privacy' }] },
      category: [{ text: 'x' }],
      patient: to(`Patient/${FOREIGN}`),
      policyRule: { coding: [{ code: 'OPTOUT' }] },
    }),
  ],
  [
    'own data handed to another by a patch',
    APP,
    '/Observation/mine-1',
    patch({ op: 'replace', path: '/subject/reference', value: 'Patient/foreign' }),
  ],
  [
    'own data handed to another by an update',
    APP,
    '/Observation/mine-1',
    put(observation({ id: 'mine-1', subject: to(`Patient/${FOREIGN}`) })),
  ],
  [
    'own data shared with another by an update',
    APP,
    '/Observation/mine-1',
    put(observation({ id: 'mine-1', performer: [to(`Patient/${FOREIGN}`)] })),
  ],
  [
    'own data taken out of every record',
    APP,
    '/Observation/mine-1',
    put({ ...observation({ id: 'mine-1' }), subject: undefined }),
  ],
  [
    'own data moved out of the criteria of a scope',
    { ...APP, scope: 'patient/Observation.cruds?code=hr' },
    '/Observation/mine-1',
    put(observation({ id: 'mine-1' })),
  ],
  ['a link to another record', APP, '/Patient/mine', put({ resourceType: 'Patient', id: 'mine', link })],
  ['a link to another record by a patch', APP, '/Patient/mine', patch({ op: 'add', path: '/link', value: link })],
  [
    'a new record that links both',
    APP,
    '/Patient',
    post({ resourceType: 'Patient', link: [...link, { other: to('Patient/mine'), type: 'seealso' }] }),
  ],
  [
    'a file for another patient',
    APP,
    '/Binary',
    post({
      resourceType: 'Binary',
      contentType: 'text/plain',
      data: 'AAAA',
      securityContext: to(`Patient/${FOREIGN}`),
    }),
  ],
  [
    'a merge',
    APP,
    '/Patient/$merge',
    parameters(
      { name: 'source-patient', valueReference: to(`Patient/${FOREIGN}`) },
      { name: 'target-patient', valueReference: to('Patient/mine') },
    ),
  ],
  [
    'a merge by staff',
    DOCTOR,
    '/Patient/$merge',
    parameters(
      { name: 'source-patient', valueReference: to(`Patient/${FOREIGN}`) },
      { name: 'target-patient', valueReference: to('Patient/mine') },
    ),
  ],
  ['an erasure', APP, '/Patient/mine/$purge', { method: 'POST' }],
  [
    'an import',
    DOCTOR,
    '/$import',
    {
      ...parameters({ name: 'inputFormat', valueCode: 'application/fhir+ndjson' }),
      headers: { prefer: 'respond-async' },
    },
  ],
  ['an export', DOCTOR, '/Patient/$export', { headers: { prefer: 'respond-async', accept: 'application/fhir+json' } }],
  ['a subscription to another patient', APP, '/Subscription', post(subscription)],
  ['a search parameter', DOCTOR, '/SearchParameter', post({ ...parameter, code: 'mine' })],
  ['an AuditEvent', APP, '/AuditEvent', post(audit)],
  ['an AuditEvent by staff', DOCTOR, '/AuditEvent', post(audit)],
  [
    'an AuditEvent by who may read them',
    { scope: 'system/AuditEvent.rs', roles: ['auditor'] },
    '/AuditEvent',
    post(audit),
  ],
  ['a label that oneself would not see', DOCTOR, '/Observation/mine-1/$meta-add', parameters(label('V'))],
  [
    'a patient’s own app as staff',
    { ...APP, scope: 'user/*.cruds', fhirUser: 'Patient/mine' },
    '/Observation',
    post(observation({ subject: to(`Patient/${FOREIGN}`) })),
  ],
];
/** What was written last. */
const newest = async (): Promise<string> => {
  const { text } = await w.ask(ENGINE, '/_history?_count=1');
  return /"fullUrl":"([^"]+)"/.exec(text)?.[1] ?? text;
};
for (const [name, who, path, ask] of refused) {
  test(`attack@write ${name}: refused, and nothing is written`, async () => {
    const before = await newest();
    const { status, text } = await w.ask(who, path, ask);
    assert.equal(status, 403, text);
    assert.equal(await newest(), before);
  });
}

test('attack@write control: the same app writes to its own record, and where nobody else is', async () => {
  const written: readonly Ask[] = [
    post(observation()),
    post(observation({ performer: [to('Patient/mine'), to('Practitioner/dr')] })),
  ];
  for (const ask of written) assert.equal((await w.ask(APP, '/Observation', ask)).status, 201);
  const readers = await w.ask(ENGINE, '/Observation', post(planted));
  const id = /"id":"([^"]+)"/.exec(readers.text)?.[1];
  assert.equal((await w.ask(APP, `/Observation/${id}`)).status, 200, 'who is named may read');
  assert.equal((await w.ask(APP, `/Observation/${id}`, { method: 'DELETE' })).status, 403, 'and not remove');
  assert.equal(
    (await w.ask(APP, `/Observation/${id}`, patch({ op: 'replace', path: '/status', value: 'amended' }))).status,
    403,
  );
});

test('attack@write published parameters and the server’s own rows stay what they are, whoever defines', async () => {
  for (const code of ['patient', '_security', '$guarded', '$securityContext', '_id']) {
    const { status, text } = await w.ask(ENGINE, '/SearchParameter', post({ ...parameter, url: `urn:${code}`, code }));
    assert.equal(status, 422, `${code} ${text}`);
  }
});

test('attack@write an id of the client’s choice in a create is not taken', async () => {
  const { status, text } = await w.ask(APP, '/Observation', post(observation({ id: 'foreign-1' })));
  assert.equal(status, 201);
  assert.ok(!text.includes('foreign-1'), text);
  assert.equal((await w.ask(ENGINE, '/Observation/foreign-1/_history/2')).status, 404);
});

test('attack@write each refusal is an AuditEvent that says who, and neither token nor what was sent', async () => {
  const token: Token = { ...APP, client_id: 'prying-app', sub: 'prying-user' };
  const tries: readonly [path: string, ask: Ask, status: number][] = [
    ['/Patient/foreign', {}, 404],
    ['/AuditEvent', {}, 403],
    ['/Observation', post(planted), 403],
    ['/Observation/foreign-1', { method: 'DELETE', headers: { 'if-match': 'W/"7"' } }, 412],
    ['/Group/both', { method: 'DELETE' }, 403],
    ['/Patient/$export', { headers: { prefer: 'respond-async' } }, 403],
    ['/Patient/$merge', parameters(), 400],
    ['/nothing/here', {}, 404],
  ];
  for (const [path, ask, status] of tries) assert.equal((await w.ask(token, path, ask)).status, status, path);
  const { text } = await w.ask(AUDITOR, '/AuditEvent?_count=50&_sort=-date');
  const events = JSON.parse(text).entry.map(({ resource }: { resource: object }) => JSON.stringify(resource));
  const own = events.filter((each: string) => each.includes('prying-app'));
  assert.equal(own.length, tries.length, 'one each');
  const bearer = await w.bearer(token);
  for (const event of own) {
    assert.match(event, /"outcome":"(?:4|8)"/);
    for (const secret of [bearer.slice(-40), 'zebrafinch', '"text":"x"']) assert.ok(!event.includes(secret), event);
  }
  for (const [why, authorization] of [
    ['none', undefined],
    ['broken', `${bearer}x`],
    ['another scheme', 'Basic YTpi'],
  ] as const) {
    const response = await fetch(`${w.server.url}/fhir/Patient/mine?name=${CANARY_NAME}`, {
      headers: authorization === undefined ? {} : { authorization },
    });
    assert.equal(response.status, 401, why);
  }
  const after = await w.ask(AUDITOR, '/AuditEvent?_count=6&_sort=-date');
  const unknown = after.text.split('"outcome":"4"').length + after.text.split('"outcome":"8"').length - 2;
  assert.ok(unknown >= 3, after.text.slice(0, 500));
  assert.ok(
    !w.server.output().includes(CANARY_NAME) && !w.server.output().includes(bearer.slice(-40)),
    'nor is it in the log',
  );
});
const AUDITOR: Token = { scope: 'system/AuditEvent.rs', roles: ['auditor'], sub: 'auditor', client_id: 'audit' };
const CANARY_NAME = 'Quirrelwhistle';
