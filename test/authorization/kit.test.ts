// What the SMART App Launch and g(10) test kits ask, recreated: each check is named by the number of its clause in docs/requirements/smart-clauses.csv.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { at } from '../world.ts';
import { Browser, newKey, OauthWorld } from './server-world.ts';

const LIMIT = { timeout: 60_000 };
const OBSERVATION = 'http://terminology.hl7.org/CodeSystem/observation-category';
const ORIGIN = 'http://127.0.0.1:9';
const key = newKey();
let world: OauthWorld;
const patient = { name: 'patient-1', totp: undefined };
let made = 0;
async function doctor() {
  const name = `doctor-${++made}`;
  return { name, totp: await world.user(name) };
}

async function stored(type: string, id: string, more: object = {}): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' };
  const body = JSON.stringify({ resourceType: type, id, ...more });
  const wire = { method: 'PUT', path: `/${type}/${id}`, query: '', headers, body };
  const answered = await world.system.answerHeavy(wire, localFacts('test', '127.0.0.1'));
  assert.ok(answered.status < 300, answered.body);
}
const observation = (category: string, subject: string): object => ({
  status: 'final',
  category: [{ coding: [{ system: OBSERVATION, code: category }] }],
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: `Patient/${subject}` },
});
const encounter = (subject: string, start: string): object => ({
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP', display: 'inpatient encounter' },
  subject: { reference: `Patient/${subject}` },
  period: { start },
});

before(async () => {
  world = await OauthWorld.open();
  for (const id of ['p1', 'p2']) await world.patient(id);
  await stored('Practitioner', '12', { name: [{ family: 'Who' }] });
  await stored('Practitioner', '13');
  await stored('Encounter', 'e1', encounter('p1', '2026-01-01T08:00:00Z'));
  await stored('Encounter', 'e2', encounter('p1', '2026-01-02T08:00:00Z'));
  await stored('Encounter', 'of-p2', encounter('p2', '2026-01-03T08:00:00Z'));
  await stored('Observation', 'lab', observation('laboratory', 'p1'));
  await stored('Observation', 'vital', observation('vital-signs', 'p1'));
  await stored('Observation', 'lab-2', observation('laboratory', 'p2'));
  await stored('Condition', 'c1', { subject: { reference: 'Patient/p1' } });
  await stored('Group', 'g1', { type: 'person', actual: true, member: [{ entity: { reference: 'Patient/p1' } }] });
  const scopes = [
    'openid',
    'fhirUser',
    'launch',
    'launch/patient',
    'launch/encounter',
    'offline_access',
    'online_access',
  ];
  await world.client('app', { scopes: [...scopes, 'patient/*.cruds', 'user/*.rs'] });
  await world.client('bulk', {
    ...{ redirectUris: [], backend: true, kind: 'key', jwks: key.jwks, ehr: true },
    scopes: ['system/*.rs', 'launch'],
  });
  await world.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
});
after(() => world.close());

/** The token response of a standalone launch. */
async function launched(
  scope: string,
  who: Parameters<OauthWorld['authorize']>[0] = patient,
  how: Parameters<OauthWorld['authorize']>[2] = {},
) {
  const authorized = await world.authorize(who, { scope }, how);
  assert.ok(authorized.code, authorized.error ?? authorized.answer.text);
  const answer = await world.exchange(authorized);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}
const statuses = async (token: unknown, paths: readonly string[]): Promise<readonly number[]> => {
  const seen: number[] = [];
  for (const path of paths) seen.push((await world.fhir(path, token)).status);
  return seen;
};
const totalOf = async (path: string, token: unknown): Promise<unknown> => (await world.fhir(path, token)).json.total;

test(
  '§4.1.1 §4.6.1 smart-configuration: 200 and JSON whatever Accept says, without a token, complete and absolute',
  LIMIT,
  async () => {
    for (const accept of ['*/*', 'text/html', 'application/fhir+xml', 'application/json']) {
      const response = await fetch(`${world.fhirBase}/.well-known/smart-configuration`, { headers: { accept } });
      assert.deepEqual(
        [response.status, response.headers.get('content-type')],
        [200, 'application/json; charset=utf-8'],
        accept,
      );
      const said: Record<string, unknown> = Object(await response.json());
      assert.equal(said.issuer, `${world.url}/oauth`);
      for (const name of [
        'jwks_uri',
        'authorization_endpoint',
        'token_endpoint',
        'introspection_endpoint',
        'revocation_endpoint',
      ])
        assert.ok(String(said[name]).startsWith(`${world.url}/oauth/`), name);
      assert.deepEqual(said.code_challenge_methods_supported, ['S256'], 'S256 and not plain');
      assert.ok(
        ['authorization_code', 'client_credentials'].every((each) => String(said.grant_types_supported).includes(each)),
      );
    }
  },
);

test('§4.1.2 smart-configuration says what should be said too', LIMIT, async () => {
  const said: Record<string, unknown> = Object(
    await (await fetch(`${world.fhirBase}/.well-known/smart-configuration`)).json(),
  );
  assert.ok(String(said.scopes_supported).includes('patient/*.cruds'));
  assert.deepEqual(said.response_types_supported, ['code']);
  assert.deepEqual(said.token_endpoint_auth_methods_supported, ['client_secret_basic', 'private_key_jwt']);
  assert.deepEqual(said.token_endpoint_auth_signing_alg_values_supported, ['RS384', 'ES384']);
});

test(
  '§4.1.3 §4.6.1 CORS: any origin for what is open, registered origins for tokens and the FHIR API',
  LIMIT,
  async () => {
    const { json } = await launched('launch/patient patient/Patient.rs');
    const allowed = async (url: string, origin: string, init: RequestInit = {}): Promise<string | null> => {
      const headers = { ...Object.fromEntries(new Headers(init.headers)), origin };
      return (await fetch(url, { ...init, headers })).headers.get('access-control-allow-origin');
    };
    const stranger = 'https://stranger.example';
    const bearer = { headers: { authorization: `Bearer ${json.access_token}` } };
    for (const path of ['/.well-known/smart-configuration', '/metadata'])
      assert.equal(await allowed(world.fhirBase + path, stranger), '*', path);
    const token = {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'authorization_code', client_id: 'app', code: 'x' }),
    };
    assert.equal(await allowed(`${world.url}/oauth/token`, ORIGIN, token), ORIGIN);
    assert.equal(await allowed(`${world.url}/oauth/token`, stranger, token), null);
    assert.equal(await allowed(`${world.fhirBase}/Patient/p1`, ORIGIN, bearer), ORIGIN);
    assert.equal(await allowed(`${world.fhirBase}/Patient/p1`, stranger, bearer), null);
  },
);

/** THE table: what is advertised, and the test of it; the capability sets of g(10) are among them. */
const CAPABILITIES: ReadonlyMap<string, string> = new Map([
  ['launch-ehr', 'kit.test.ts: §4.2.1 §4.6.2 EHR launch'],
  ['launch-standalone', 'kit.test.ts: §4.2.3 §4.6.1 the token response of a public client'],
  ['authorize-post', 'launch.test.ts: §4.2.1 §4.6.2 smart-server@authorize-post'],
  ['client-public', 'kit.test.ts: §4.2.3 §4.6.1 the token response of a public client'],
  ['client-confidential-symmetric', 'launch.test.ts: §4.2.2 smart-server@secret'],
  ['client-confidential-asymmetric', 'backend-services.test.ts: §4.4.2 §4.6.1 smart-server@backend-token'],
  ['sso-openid-connect', 'launch.test.ts: §4.2.3 §4.2.5 §4.6.1 smart-server@standalone'],
  ['context-banner', 'kit.test.ts: §4.2.1 §4.6.2 EHR launch'],
  ['context-style', 'kit.test.ts: §4.2.4 smart_style_url'],
  ['context-ehr-patient', 'kit.test.ts: §4.2.1 §4.6.2 EHR launch'],
  ['context-ehr-encounter', 'kit.test.ts: §4.2.1 §4.6.2 EHR launch'],
  ['context-standalone-patient', 'kit.test.ts: §4.2.3 §4.6.1 the token response of a public client'],
  ['context-standalone-encounter', 'kit.test.ts: §4.2.4 standalone encounter'],
  ['permission-offline', 'kit.test.ts: §4.2.6 §4.6.1 refresh'],
  ['permission-online', 'launch.test.ts: §4.2.6 smart-server@online-access'],
  ['permission-patient', 'kit.test.ts: §4.3.5 §4.6.2 limited scopes'],
  ['permission-user', 'kit.test.ts: §4.6.2 user scopes'],
  ['permission-v1', 'kit.test.ts: §4.3.1 §4.6.2 version 1'],
  ['permission-v2', 'kit.test.ts: §4.3.2 §4.6.2 granular'],
]);
test('§4.1.4 §4.6.2 capabilities: those that are tested are advertised, and no others', LIMIT, async () => {
  const said: Record<string, unknown> = Object(
    await (await fetch(`${world.fhirBase}/.well-known/smart-configuration`)).json(),
  );
  assert.deepEqual(new Set(Array.isArray(said.capabilities) ? said.capabilities : []), new Set(CAPABILITIES.keys()));
  const untested = [...CAPABILITIES.values()].filter((named) => {
    const [file = '', title = ''] = named.split(/: (.*)/s);
    const titles = readFileSync(`test/authorization/${file}`, 'utf8').matchAll(/test\(\s*(['"`])(.*?)\1,/gs);
    return ![...titles].some(([, , each = '']) => each.startsWith(title));
  });
  assert.deepEqual(untested, [], 'each names a test that there is');
});

test(
  '§4.2.3 §4.6.1 the token response of a public client: token, type, scope, expiry, patient; never cached',
  LIMIT,
  async () => {
    const scope = 'launch/patient patient/Patient.rs';
    const { json, headers } = await launched(scope, await doctor(), { patient: 'p1' });
    assert.deepEqual([json.token_type, json.scope, json.patient, json.expires_in], ['Bearer', scope, 'p1', 3600]);
    assert.deepEqual([headers.get('cache-control'), headers.get('pragma')], ['no-store', 'no-cache']);
    assert.deepEqual(
      await statuses(json.access_token, ['/Patient/p1', '/Patient/p2']),
      [200, 404],
      'the context is readable',
    );
  },
);

test(
  '§4.2.1 §4.6.2 EHR launch: patient, encounter, banner and intent of the EHR, with patient scopes',
  LIMIT,
  async () => {
    const ehr = await world.backendToken('bulk', key, 'launch');
    const opened = await fetch(`${world.url}/oauth/launch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ehr.json.access_token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ patient: 'p1', encounter: 'e1', need_patient_banner: true }),
    });
    const { launch } = Object(await opened.json());
    const request = { scope: 'launch launch/encounter patient/Patient.rs patient/Encounter.rs', launch };
    const { json } = await world.exchange(await world.authorize(await doctor(), request));
    assert.deepEqual([json.patient, json.encounter, json.need_patient_banner], ['p1', 'e1', true]);
    assert.deepEqual(
      await statuses(json.access_token, ['/Patient/p1', '/Encounter/e1', '/Encounter/of-p2']),
      [200, 200, 404],
    );
  },
);

test('§4.2.4 smart_style_url: where the look of our pages is, for every origin', LIMIT, async () => {
  const { json } = await launched('launch/patient patient/Patient.rs');
  const response = await fetch(String(json.smart_style_url), { headers: { origin: 'https://app.example' } });
  assert.deepEqual([response.status, response.headers.get('access-control-allow-origin')], [200, '*']);
  const style: Record<string, unknown> = Object(await response.json());
  assert.match(String(style.color_background), /^#[0-9a-f]{6}$/);
});

test(
  "§4.2.4 standalone encounter: the newest of the patient are offered, one or none is chosen, never another patient's",
  LIMIT,
  async () => {
    const scope = 'launch/patient launch/encounter patient/Encounter.rs';
    const chosen = async (pick: string) => {
      const offered: string[] = [];
      const authorized = await world.authorize(
        patient,
        { scope },
        {
          encounter: (ids) => {
            offered.push(...ids);
            return pick;
          },
        },
      );
      const { json } = authorized.code === undefined ? { json: {} } : await world.exchange(authorized);
      return { offered: offered.slice(0, 3), encounter: at(json, 'encounter'), code: authorized.code };
    };
    assert.deepEqual((await chosen('e1')).offered, ['e2', 'e1', '-none-'], 'the newest first');
    assert.equal((await chosen('e1')).encounter, 'e1');
    const none = await chosen('-none-');
    assert.deepEqual([none.encounter, none.code === undefined], [undefined, false]);
    assert.equal((await chosen('of-p2')).code, undefined, 'a form cannot bring another');
    const { json } = await launched('launch/patient patient/Encounter.rs');
    assert.equal(json.encounter, undefined, 'not asked for');
  },
);

test('§4.2.5 §4.6.1 fhirUser: the claim names who is readable with the token, and nobody else', LIMIT, async () => {
  const { json } = await launched('openid fhirUser launch/patient patient/Observation.rs', await doctor(), {
    patient: 'p1',
  });
  const { fhirUser } = decodeJwt(String(json.id_token));
  assert.equal(fhirUser, `${world.fhirBase}/Practitioner/12`);
  assert.deepEqual(
    await statuses(json.access_token, ['/Practitioner/12', '/Practitioner/13', '/Practitioner']),
    [200, 404, 403],
  );
  const without = await launched('openid launch/patient patient/Observation.rs', await doctor(), { patient: 'p1' });
  assert.equal((await world.fhir('/Practitioner/12', without.json.access_token)).status, 403, 'not without the scope');
});

test('§4.2.6 §4.6.1 refresh: with and without scope, never wider, with expiry and patient', LIMIT, async () => {
  const scope = 'launch/patient offline_access patient/Patient.rs patient/Observation.rs';
  const first = await launched(scope);
  const refresh = (token: unknown, more: Record<string, string> = {}) =>
    world.token({ grant_type: 'refresh_token', client_id: 'app', refresh_token: String(token), ...more });
  const same = await refresh(first.json.refresh_token);
  assert.deepEqual([same.status, same.json.scope, same.json.patient], [200, scope, 'p1']);
  assert.ok(Number(same.json.expires_in) > 0 && same.headers.get('cache-control') === 'no-store');
  const less = await refresh(same.json.refresh_token, { scope: 'launch/patient patient/Patient.rs' });
  assert.equal(less.json.scope, 'launch/patient patient/Patient.rs');
  assert.deepEqual(await statuses(less.json.access_token, ['/Patient/p1', '/Observation/lab']), [200, 403]);
  assert.equal((await refresh('invented')).status, 400);
});

test('§4.3.1 §4.6.2 version 1: read, write and * mean rs, cud and cruds', LIMIT, async () => {
  const { json } = await launched('launch/patient patient/Patient.read patient/Observation.*');
  assert.deepEqual(
    await statuses(json.access_token, ['/Patient/p1', '/Patient', '/Observation/lab', '/Condition/c1', '/Patient/p2']),
    [200, 200, 200, 403, 404],
  );
  const written = await launched('launch/patient patient/Condition.write');
  const condition = { resourceType: 'Condition', id: 'c1', subject: { reference: 'Patient/p1' }, code: { text: 'x' } };
  const put = async (id: string): Promise<number> => {
    const { status } = await fetch(`${world.fhirBase}/Condition/${id}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${written.json.access_token}`, 'content-type': 'application/fhir+json' },
      body: JSON.stringify({ ...condition, id }),
    });
    return status;
  };
  assert.deepEqual([await put('c1'), await put('none')], [200, 404], 'write is u, of what is theirs');
  assert.deepEqual(await statuses(written.json.access_token, ['/Condition/c1', '/Condition']), [403, 403], 'not rs');
});

test('§4.3.2 §4.6.2 granular: searches and reads give the category that was granted', LIMIT, async () => {
  const { json } = await launched(`launch/patient patient/Observation.rs?category=${OBSERVATION}|laboratory`);
  const token = json.access_token;
  assert.deepEqual(
    await statuses(token, ['/Observation/lab', '/Observation/vital', '/Observation/lab-2']),
    [200, 404, 404],
  );
  assert.equal(await totalOf('/Observation?patient=p1&_total=accurate', token), 1);
  assert.equal(await totalOf(`/Observation?patient=p1&category=${OBSERVATION}|vital-signs&_total=accurate`, token), 0);
});

test('§4.3.2 §4.6.2 consent splits Observation into its categories; a Patient stays whole', LIMIT, async () => {
  const scope = 'launch/patient patient/Patient.rs patient/Observation.rs';
  const part = `patient/Observation.rs?category=${OBSERVATION}|vital-signs`;
  const scopes = ['launch/patient', 'patient/Patient.rs', part, 'patient/Patient.rs?_id=p2', 'patient/Condition.rs'];
  const { json } = await launched(scope, patient, { scopes });
  assert.equal(json.scope, `launch/patient patient/Patient.rs ${part}`, 'what is granted is told');
  assert.deepEqual(
    await statuses(json.access_token, ['/Observation/vital', '/Observation/lab', '/Patient/p1']),
    [200, 404, 200],
  );
  const { json: whole } = await launched(scope);
  assert.equal(whole.scope, scope, 'with the whole left ticked nothing is split');
  // Every category that 45 CFR 170.315(g)(10) names for US Core, by its system there; nothing that is not offered is granted.
  const core = 'http://hl7.org/fhir/us/core/CodeSystem';
  const CONDITION = 'http://terminology.hl7.org/CodeSystem/condition-category';
  const parts = [
    ...['encounter-diagnosis', 'problem-list-item'].map((code) => `patient/Condition.rs?category=${CONDITION}|${code}`),
    `patient/Condition.rs?category=${core}/condition-category|health-concern`,
    ...['laboratory', 'social-history', 'vital-signs', 'survey'].map(
      (code) => `patient/Observation.rs?category=${OBSERVATION}|${code}`,
    ),
    `patient/Observation.rs?category=${core}/us-core-category|sdoh`,
    `patient/Observation.rs?category=${core}/us-core-observation-category|clinical-test`,
  ];
  const both = 'launch/patient patient/Condition.rs patient/Observation.rs';
  const { json: split } = await launched(both, patient, { scopes: ['launch/patient', ...parts] });
  assert.deepEqual(new Set(String(split.scope).split(' ')), new Set(['launch/patient', ...parts]));
});

test('§4.3.7 §4.6.2 without a token: 401 with a challenge for everything but what is open', LIMIT, async () => {
  for (const path of ['/Patient/p1', '/Patient', '/Patient/p1/$everything', '/Group/g1/$export', '/nothing']) {
    const response = await fetch(world.fhirBase + path);
    assert.deepEqual([response.status, response.headers.get('www-authenticate')], [401, 'Bearer realm="fhir"'], path);
  }
  for (const path of ['/metadata', '/.well-known/smart-configuration'])
    assert.equal((await fetch(world.fhirBase + path)).status, 200, path);
});

test('§4.3.5 §4.6.2 limited scopes: granted types 200, others 403, other patients 404', LIMIT, async () => {
  const scope = 'launch/patient patient/Patient.rs patient/Condition.rs patient/Observation.rs';
  const scopes = ['launch/patient', 'patient/Patient.rs', 'patient/Condition.rs'];
  const { json } = await launched(scope, patient, { scopes });
  const paths = [
    '/Patient/p1',
    '/Condition/c1',
    '/Condition?patient=p1',
    '/Observation?patient=p1',
    '/Encounter',
    '/Patient/p2',
  ];
  assert.deepEqual(await statuses(json.access_token, paths), [200, 200, 200, 403, 403, 404]);
});

test('§4.3.6 operations need the scopes of what they give; bulk work a system scope', LIMIT, async () => {
  const { json } = await launched('launch/patient patient/Patient.rs patient/Observation.rs');
  const everything = await world.fhir('/Patient/p1/$everything', json.access_token);
  const entries = Array.isArray(everything.json.entry) ? everything.json.entry : [];
  const types = entries.map((entry) => at(entry, 'resource.resourceType'));
  assert.deepEqual([...new Set(types)].toSorted(), ['Observation', 'Patient'], 'of the types in scope only');
  const paths = [
    '/Patient/p2/$everything',
    '/Observation/$lastn?patient=p1&category=vital-signs',
    '/Encounter/e1/$everything',
    '/$export',
  ];
  assert.deepEqual(await statuses(json.access_token, paths), [404, 200, 403, 403]);
});

test('§4.6.2 user scopes: what staff may see, by a choice of no patient', LIMIT, async () => {
  const { json } = await launched('user/Observation.rs', await doctor());
  assert.equal(json.patient, undefined);
  assert.deepEqual(
    await statuses(json.access_token, ['/Observation/lab', '/Observation/lab-2', '/Patient/p1']),
    [200, 200, 403],
  );
});

test(
  '§4.5.1 §4.6.1 introspection: active with scope, client, expiry and context; inactive says nothing more',
  LIMIT,
  async () => {
    const scope = 'openid fhirUser launch/patient patient/Patient.rs';
    const { json } = await launched(scope, await doctor(), { patient: 'p1' });
    const asked = async (token: unknown) => world.post('/introspect', { token: String(token), client_id: 'app' });
    const { json: active } = await asked(json.access_token);
    assert.deepEqual([active.active, active.client_id, active.patient], [true, 'app', 'p1']);
    assert.equal(active.fhirUser, `${world.fhirBase}/Practitioner/12`);
    assert.equal(active.scope, json.scope);
    assert.ok(
      Number(active.exp) > Date.now() / 1000 && typeof active.sub === 'string' && active.iss === `${world.url}/oauth`,
    );
    assert.equal((await world.post('/revoke', { token: String(json.access_token), client_id: 'app' })).status, 200);
    for (const token of [json.access_token, 'invented']) {
      const inactive = await asked(token);
      assert.deepEqual([inactive.status, inactive.json], [200, { active: false }]);
    }
  },
);

test(
  '§4.4.3 §4.6.2 bulk: 401 without token, 202, manifest that asks for tokens, files with the same rights, cancelled 404',
  LIMIT,
  async () => {
    const { json } = await world.backendToken('bulk', key, 'system/*.rs');
    const ask = (url: string, token?: unknown, init: RequestInit = {}) =>
      fetch(url, {
        ...init,
        headers: {
          accept: 'application/fhir+json',
          prefer: 'respond-async',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      });
    const kick = `${world.fhirBase}/Group/g1/$export`;
    assert.equal((await ask(kick)).status, 401);
    const person = await launched('user/*.rs', await doctor());
    assert.equal((await ask(kick, person.json.access_token)).status, 403, 'bulk work is for system clients');
    const started = await ask(kick, json.access_token);
    assert.equal(started.status, 202, await started.text());
    const status = started.headers.get('content-location') ?? '';
    assert.equal((await ask(status)).status, 401);
    let polled = await ask(status, json.access_token);
    while (polled.status === 202) {
      await polled.text();
      await new Promise((resolve) => setImmediate(resolve));
      polled = await ask(status, json.access_token);
    }
    const manifest: unknown = await polled.json();
    assert.equal(at(manifest, 'requiresAccessToken'), true);
    const file = String(at(manifest, 'output.0.url'));
    assert.equal((await ask(file)).status, 401);
    assert.equal((await ask(file, person.json.access_token)).status, 404, 'of who began it');
    const narrower = await world.backendToken('bulk', key, 'system/Patient.rs');
    assert.equal((await ask(file, narrower.json.access_token)).status, 404, 'with the rights it was begun with');
    const got = await ask(file, json.access_token);
    assert.deepEqual([got.status, got.headers.get('content-type')], [200, 'application/fhir+ndjson']);
    assert.doesNotMatch(await got.text(), /"id":"p2"/);
    assert.equal((await ask(status, json.access_token, { method: 'DELETE' })).status, 202);
    assert.equal((await ask(status, json.access_token)).status, 404);
  },
);

test('§4.6.1 the pages of a launch are reached by a browser alone, and answer nothing without it', LIMIT, async () => {
  const answer = await new Browser().ask(world.authorizeUrl({}, 'v'.repeat(43)));
  assert.equal(answer.status, 303);
  assert.match(answer.headers.get('location') ?? '', /\/oauth\/interaction\//);
});
