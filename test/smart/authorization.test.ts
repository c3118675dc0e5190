// docs/authorization.md; SMART App Launch 2.2, scopes: 401, 403 and 404, and that what is not visible is answered like what was never there.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FhirResponse } from '../../src/rest/request.ts';
import { callerOf } from '../../src/smart/access.ts';
import { tokenVerifier } from '../../src/smart/bearer.ts';
import { identityOf } from '../../src/smart/identity.ts';
import { listening } from '../http/server.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { BASE, idsOf, json, type Sent, world } from '../world.ts';
import { callerWith, claims, ISSUED, signed } from './tokens.ts';

const subject = (id: string) => ({ subject: { reference: `Patient/${id}` } });
const code = { code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] } };
const category = (value: string) => ({
  category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: value }] }],
});
const observation = (id: string, patient: string, kind: string) =>
  ({ resourceType: 'Observation', id, status: 'final', ...code, ...category(kind), ...subject(patient) }) as const;

let w: EngineWorld;
before(async () => {
  w = await engineWorld([
    {
      resourceType: 'Patient',
      id: 'a',
      birthDate: '1970-01-01',
      generalPractitioner: [{ reference: 'Practitioner/dr' }],
    },
    { resourceType: 'Patient', id: 'b' },
    { resourceType: 'Patient', id: 'a2', link: [{ other: { reference: 'Patient/a' }, type: 'refer' }] },
    { resourceType: 'Practitioner', id: 'dr' },
    observation('a-lab', 'a', 'laboratory'),
    observation('a-vital', 'a', 'vital-signs'),
    observation('b-lab', 'b', 'laboratory'),
    observation('a2-lab', 'a2', 'laboratory'),
  ]);
});
after(() => w.close());

type Asked = readonly [
  scope: string,
  patients: readonly string[],
  method: string,
  url: string,
  sent?: Sent | undefined,
];
const ask = ([scope, patients, method, url, sent]: Asked): Promise<FhirResponse> =>
  w.sendAs(callerWith(w.context, scope, patients), method, url, sent);
const A = ['a', 'a2'];
const PATCH = { headers: { 'content-type': 'application/json-patch+json' }, body: '[]' };
const body = (resource: object) => ({ body: resource });

const statuses: readonly [...Asked, status: number, why: string][] = [
  ['patient/Observation.rs', A, 'GET', '/Observation/a-lab', undefined, 200, 'control'],
  ['patient/Observation.rs', A, 'GET', '/Observation/a2-lab', undefined, 200, 'a linked record is the same person'],
  ['patient/Observation.rs', A, 'GET', '/Observation/b-lab', undefined, 404, 'in scope, not visible'],
  ['patient/Observation.rs', A, 'GET', '/Observation/none', undefined, 404, 'in scope, absent'],
  ['patient/Observation.rs', A, 'GET', '/Patient/a', undefined, 403, 'type out of scope'],
  ['patient/Observation.rs', [], 'GET', '/Observation/a-lab', undefined, 403, 'no patient: never widened'],
  ['patient/Observation.s', A, 'GET', '/Observation/a-lab', undefined, 403, 's is not r'],
  ['patient/Observation.r', A, 'GET', '/Observation', undefined, 403, 'r is not s'],
  ['patient/Observation.r', A, 'GET', '/Observation/a-lab/_history/1', undefined, 200, 'r is vread'],
  ['patient/Observation.r', A, 'GET', '/Observation/a-lab/_history', undefined, 200, 'r is history of one'],
  ['patient/Observation.r', A, 'GET', '/Observation/_history', undefined, 403, 'r is no history of a type'],
  ['patient/*.cruds', A, 'GET', '/Observation/_history', undefined, 200, 'history of a type: history.test.ts'],
  ['patient/*.cruds', A, 'GET', '/_history', undefined, 200, 'history of everything'],
  ['user/*.rs', [], 'GET', '/_history', undefined, 200, 'who may search everything'],
  ['patient/*.rs user/Organization.rs', A, 'GET', '/Observation/b-lab', undefined, 404, 'user/ does not lift patient/'],
  ['patient/*.rs', A, 'GET', '/AuditEvent', undefined, 403, 'the audit is never reached by *'],
  ['user/*.rs', [], 'GET', '/AuditEvent', undefined, 403, 'nor by user/*'],
  ['patient/AuditEvent.rs', A, 'GET', '/AuditEvent', undefined, 403, 'nor by a patient at all'],
  ['system/AuditEvent.rs', [], 'GET', '/AuditEvent', undefined, 200, 'by its own scope'],
  [
    'patient/Binary.rs',
    A,
    'GET',
    '/Binary/x',
    undefined,
    404,
    'a Binary is as visible as what it names, which may be nothing',
  ],
  [
    'patient/Basic.rs patient/Parameters.rs',
    A,
    'GET',
    '/StructureMap',
    undefined,
    403,
    "a type without a rule is not a patient's",
  ],
  ['patient/Practitioner.rs', A, 'GET', '/Practitioner/dr', undefined, 200, 'who cares is readable under its scope'],
  [
    'patient/Practitioner.cruds',
    A,
    'PUT',
    '/Practitioner/dr',
    body({ resourceType: 'Practitioner', id: 'dr' }),
    403,
    'and never writable',
  ],
  ['patient/Observation.rs?category=laboratory', A, 'GET', '/Observation/a-lab', undefined, 200, 'granular: inside'],
  [
    'patient/Observation.rs?category=laboratory',
    A,
    'GET',
    '/Observation/a-vital',
    undefined,
    404,
    'granular: outside, also by id',
  ],
  ['patient/Observation.rs?nonsense=1', A, 'GET', '/Observation/a-lab', undefined, 403, 'granular: not a search'],
  ['patient/Observation.rs?_count=1', A, 'GET', '/Observation/a-lab', undefined, 403, 'granular: no criterion'],
  [
    'patient/Observation.rs?subject:Patient.birthdate=1970',
    A,
    'GET',
    '/Observation/a-lab',
    undefined,
    403,
    'granular: a chain',
  ],
  ['openid fhirUser', A, 'GET', '/Observation', undefined, 403, 'none usable'],
  ['patient/Observation.c', A, 'POST', '/Observation', body(observation('x', 'a', 'laboratory')), 201, 'create inside'],
  [
    'patient/Observation.c',
    A,
    'POST',
    '/Observation',
    body(observation('x', 'b', 'laboratory')),
    403,
    'create outside',
  ],
  [
    'patient/Observation.cu',
    A,
    'PUT',
    '/Observation/a-lab',
    body(observation('a-lab', 'b', 'laboratory')),
    403,
    'moved to another',
  ],
  [
    'patient/Observation.cu',
    A,
    'PUT',
    '/Observation/b-lab',
    body(observation('b-lab', 'a', 'laboratory')),
    404,
    'taken from another',
  ],
  [
    'patient/Observation.cu',
    A,
    'PUT',
    '/Observation/none',
    body(observation('none', 'a', 'laboratory')),
    404,
    "as if it were another's",
  ],
  [
    'user/Observation.u',
    [],
    'PUT',
    '/Observation/none',
    body(observation('none', 'a', 'laboratory')),
    404,
    'u never creates',
  ],
  [
    'user/Observation.c',
    [],
    'PUT',
    '/Observation/a-lab',
    body(observation('a-lab', 'a', 'laboratory')),
    403,
    'c never updates',
  ],
  [
    'patient/Observation.cruds',
    A,
    'POST',
    '/Observation',
    { headers: { 'if-none-exist': 'identifier=1' }, ...body(observation('x', 'a', 'laboratory')) },
    403,
    'no condition on what is not seen',
  ],
  ['patient/Observation.u', A, 'PATCH', '/Observation/a-lab', PATCH, 403, 'a patch reads'],
  [
    'patient/Observation.d',
    A,
    'DELETE',
    '/Observation/b-lab',
    undefined,
    204,
    'deleting what is not seen: as if absent',
  ],
  ['patient/Observation.d', A, 'DELETE', '/Observation/none', undefined, 204, 'deleting what is absent'],
  [
    'patient/Patient.cruds',
    A,
    'PUT',
    '/Patient/a',
    body({ resourceType: 'Patient', id: 'a', link: [{ other: { reference: 'Patient/b' }, type: 'refer' }] }),
    403,
    "a link would make a record one's own",
  ],
  ['user/*.cruds', [], 'GET', '/$export', { headers: { prefer: 'respond-async' } }, 403, 'bulk is for system clients'],
  [
    'user/Patient.cruds',
    [],
    'POST',
    '/Patient/$merge',
    body({ resourceType: 'Parameters' }),
    400,
    'in scope: the body is judged',
  ],
  [
    'patient/Patient.cruds',
    A,
    'POST',
    '/Patient/$merge',
    body({ resourceType: 'Parameters' }),
    403,
    "merging is not a patient's",
  ],
];
for (const [scope, patients, method, url, sent, status, why] of statuses) {
  test(`§4.3.5 §4.3.7 smart@statuses ${scope}: ${method} ${url}: ${why}`, async () => {
    const response = await ask([scope, patients, method, url, sent]);
    assert.equal(response.status, status, response.body);
    const challenge = 'Bearer realm="fhir", error="insufficient_scope"';
    assert.equal(response.headers['WWW-Authenticate'], status === 403 ? challenge : undefined);
  });
}

test('smart@b-untouched: what was not theirs is as it was', async () => {
  assert.equal((await w.send('GET', '/Observation/b-lab/_history')).body?.split('"fullUrl"').length, 2);
});

const searches: readonly [
  scope: string,
  patients: readonly string[],
  url: string,
  ids: readonly string[],
  total: number,
][] = [
  ['user/*.rs', [], '/Observation?_id=a-lab,b-lab', ['a-lab', 'b-lab'], 2],
  ['patient/Observation.rs', A, '/Observation?_id=a-lab,b-lab', ['a-lab'], 1],
  ['patient/Observation.rs', A, '/Observation?patient=b', [], 0],
  ['patient/Observation.rs?category=laboratory', A, '/Observation?_id=a-lab,a-vital,a2-lab', ['a-lab', 'a2-lab'], 2],
  [
    'patient/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs',
    A,
    '/Observation?_id=a-lab,a-vital',
    ['a-lab', 'a-vital'],
    2,
  ],
  ['patient/Observation.rs', A, '/Observation?patient.birthdate=1970', [], 0],
  ['patient/Observation.rs patient/Patient.rs', A, '/Observation?_id=a-lab&patient.birthdate=1970', ['a-lab'], 1],
  ['patient/Patient.rs', A, '/Patient', ['a', 'a2'], 2],
  ['patient/Patient.rs', A, '/Patient?_has:Observation:patient:code=8867-4', [], 0],
  ['patient/Patient.rs', A, '/Patient?_filter=birthdate eq 1970-01-01 or birthdate ne 1970-01-01', ['a'], 1],
  ['user/Patient.rs', [], '/Patient', ['a', 'a2', 'b'], 3],
  ['patient/Observation.rs', A, '/Patient/b/Observation', [], 0],
  ['patient/Patient.rs patient/Observation.rs', ['b'], '/?_type=Patient,Observation', ['b', 'b-lab'], 2],
];
for (const [scope, patients, url, ids, total] of searches) {
  test(`§4.3.5 smart@search-filtered ${scope} ${url}: fewer results and an honest total`, async () => {
    const bundle = json(await ask([scope, patients, 'GET', `${url}${url.includes('?') ? '&' : '?'}_total=accurate`]));
    assert.deepEqual([idsOf(bundle).toSorted(), bundle.total], [ids, total]);
    const counted = json(await ask([scope, patients, 'GET', `${url}${url.includes('?') ? '&' : '?'}_summary=count`]));
    assert.equal(counted.total, total);
  });
}

test('§4.3.4 §8.14 smart@include-filtered: what is included is read under its own scope', async () => {
  const url = '/Patient?_id=a&_include=Patient:general-practitioner&_revinclude=Observation:patient';
  const included = async (scope: string) => idsOf(json(await ask([scope, ['a'], 'GET', url])), 'include').toSorted();
  assert.deepEqual(await included('patient/Patient.rs'), []);
  assert.deepEqual(await included('patient/Patient.rs patient/Practitioner.r'), ['dr']);
  assert.deepEqual(await included('patient/Patient.rs patient/Practitioner.s'), [], 'a reference is followed by r');
  assert.deepEqual(await included('patient/Patient.rs patient/Observation.s'), [
    'a-lab',
    'a-vital',
    ...added(await own()),
  ]);
});
const own = async () => idsOf(json(await w.send('GET', '/Observation?patient=a&_count=50'))).toSorted();
const added = (ids: readonly string[]) => ids.filter((id) => !['a-lab', 'a-vital', 'a2-lab'].includes(id));

test('§4.3.5 §8.14 smart@absent-alike: what is not visible has the body, headers and audit of what was never there', async () => {
  const same = async (method: string, of: (id: string) => [url: string, sent?: Sent]) => {
    const told = async (id: string) => {
      const { status, headers, body: text } = await ask(['patient/Observation.cruds', A, method, ...of(id)]);
      return JSON.stringify([status, headers, text]).replaceAll(id, '[id]');
    };
    assert.equal(await told('b-lab'), await told('x-lab'));
  };
  await same('GET', (id) => [`/Observation/${id}`]);
  await same('HEAD', (id) => [`/Observation/${id}`]);
  await same('GET', (id) => [`/Observation/${id}`, { headers: { 'if-none-match': 'W/"1"' } }]);
  await same('GET', (id) => [`/Observation/${id}/_history`]);
  await same('GET', (id) => [`/Observation/${id}/_history/1`]);
  await same('GET', (id) => [`/Observation/${id}/$meta`]);
  await same('PUT', (id) => [
    `/Observation/${id}`,
    { headers: { 'if-match': 'W/"1"' }, ...body(observation(id, 'a', 'laboratory')) },
  ]);
  await same('PATCH', (id) => [`/Observation/${id}`, { ...PATCH, headers: { ...PATCH.headers, 'if-match': 'W/"9"' } }]);
  await same('DELETE', (id) => [`/Observation/${id}`, { headers: { 'if-match': 'W/"9"' } }]);
  await same('DELETE', (id) => [`/Observation/${id}`]);
  await same('DELETE', (id) => [`/Observation?_id=${id}`]);
  await same('PUT', (id) => [`/Observation?_id=${id}`, body(observation(id, 'a', 'laboratory'))]);
});

test('§4.3.3 smart@transaction-entries: each entry by its own method and type; one denial fails the transaction', async () => {
  const entry = (method: string, url: string, resource?: object) => ({
    request: { method, url },
    ...(resource && { resource }),
  });
  const send = (type: string, ...entries: object[]) =>
    ask([
      'patient/Observation.cr patient/Patient.r',
      A,
      'POST',
      '/',
      body({ resourceType: 'Bundle', type, entry: entries }),
    ]);
  const create = entry('POST', 'Observation', observation('x', 'a', 'laboratory'));
  assert.equal((await send('transaction', create, entry('GET', 'Patient/a'))).status, 200);
  assert.equal((await send('transaction', create, entry('DELETE', 'Observation/a-lab'))).status, 403);
  assert.equal((await send('transaction', create, entry('GET', 'Practitioner/dr'))).status, 403);
  assert.equal((await send('transaction', create, entry('GET', 'Patient/b'))).status, 404);
  const { entry: answers } = json(
    await send('batch', entry('GET', 'Patient/a'), entry('GET', 'Patient/b'), entry('GET', 'Practitioner/dr')),
  );
  const list = Array.isArray(answers) ? answers : [];
  assert.deepEqual(
    list.map((each) => JSON.stringify(each).match(/"status":"(\d+)/)?.[1]),
    ['200', '404', '403'],
  );
});

test('§4.3.7 smart@token-required: 401 with a challenge, before the body; /metadata is open to everyone', async () => {
  const there = world();
  const now = () => there.context.ambient.now();
  const verifier = tokenVerifier({ issuers: [ISSUED], now, call: () => Promise.reject(new Error('no call')) });
  const identify = identityOf({
    verifier,
    fhirBase: BASE,
    context: () => there.context,
    tellEmergency: async () => undefined,
  });
  const { ask: send, close } = await listening({ identify, guard: () => undefined }, there);
  try {
    const token = await signed(claims(now(), { scope: 'user/Patient.crs' }));
    const rows: readonly [string, string, string | undefined, number, string | undefined][] = [
      ['GET', '/fhir/metadata', undefined, 200, undefined],
      ['GET', '/fhir/metadata', 'Bearer nonsense', 200, undefined],
      ['GET', '/fhir/Patient', undefined, 401, 'Bearer realm="fhir"'],
      ['GET', '/fhir/nonsense/x/y', undefined, 401, 'Bearer realm="fhir"'],
      ['POST', '/fhir/', undefined, 401, 'Bearer realm="fhir"'],
      ['POST', '/fhir/metadata', undefined, 401, 'Bearer realm="fhir"'],
      ['GET', '/fhir/Patient', `Bearer ${token}x`, 401, 'Bearer realm="fhir", error="invalid_token"'],
      ['GET', `/fhir/Patient?access_token=${token}`, undefined, 401, 'Bearer realm="fhir"'],
      ['GET', '/fhir/Patient/none', `Bearer ${token}`, 404, undefined],
      ['GET', '/fhir/Observation', `Bearer ${token}`, 403, 'Bearer realm="fhir", error="insufficient_scope"'],
    ];
    for (const [method, path, authorization, status, challenge] of rows) {
      const { status: got, headers } = await send(
        method,
        path,
        authorization === undefined ? {} : { headers: { authorization } },
      );
      assert.deepEqual([got, headers['www-authenticate']], [status, challenge], `${method} ${path}`);
    }
    const twice = await send('GET', '/fhir/Patient', { headers: { authorization: [`Bearer ${token}`, 'Bearer x'] } });
    assert.ok([400, 401].includes(twice.status));
    assert.ok(there.accesses.every(({ status, caller }) => status !== 401 || caller.client.value === 'anonymous'));
  } finally {
    await close();
  }
});

test('smart@person-now: a link between records counts with the next request of a token that was proved before, and goes with it', async () => {
  const start = w.context.ambient.now();
  const verifier = tokenVerifier({
    issuers: [ISSUED],
    now: () => start,
    call: () => Promise.reject(new Error('no call')),
  });
  const { context } = w;
  const identify = identityOf({
    verifier,
    fhirBase: BASE,
    context: () => context,
    tellEmergency: async () => undefined,
  });
  const token = await signed(claims(start, { scope: 'patient/Observation.rs', patient: 'lone' }));
  const status = async (): Promise<number> => {
    const facts = await identify(`Bearer ${token}`, { requestId: 'r', address: '127.0.0.1' });
    return (await w.sendAs(callerOf(facts, context), 'GET', '/Observation/twin-lab')).status;
  };
  const twin = (link: object) => w.send('PUT', '/Patient/twin', body({ resourceType: 'Patient', id: 'twin', ...link }));
  await twin({});
  await w.send('PUT', '/Observation/twin-lab', body(observation('twin-lab', 'twin', 'laboratory')));
  const found = [await status(), await status()];
  await twin({ link: [{ other: { reference: 'Patient/lone' }, type: 'seealso' }] });
  found.push(await status(), await status());
  await twin({});
  found.push(await status());
  assert.deepEqual(found, [404, 404, 200, 200, 404]);
});
