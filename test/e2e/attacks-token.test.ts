// Attacks on codes, tokens, clients and passwords of the embedded authorization server, over HTTP (docs/authorization-server.md; RFC 6749, 7009, 7523, 7636, 7662, 9700).
import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { WebSocket } from 'ws';
import { Launches } from '../../src/authorization/launch.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { type Answer, ASSERTION_TYPE, jsonAt, newKey, OauthWorld } from '../authorization/server-world.ts';
import { until } from '../subscriptions/receiver.ts';
import { byTopic, heartRate } from '../subscriptions/world.ts';
import { limit } from '../test-store.ts';

const LIMIT = { timeout: limit(60_000) };
const PATIENT = { name: 'patient-1', totp: undefined };
const SCOPE = 'launch/patient offline_access patient/*.rs user/Subscription.crus';
const SCOPES = SCOPE.split(' ');
const key = newKey('ES384');
const rsa = newKey('RS384');
let w: OauthWorld;
before(async () => {
  w = await OauthWorld.open();
  for (const id of ['p1', 'p2']) await w.patient(id);
  for (const id of ['app', 'other']) await w.client(id, { scopes: SCOPES });
  await w.client('secret', { kind: 'secret', scopes: SCOPES });
  const system = { redirectUris: [], backend: true, kind: 'key', scopes: ['system/Patient.rs'] } as const;
  await w.client('service', { ...system, jwks: key.jwks });
  await w.client('service-rsa', { ...system, jwks: rsa.jwks });
  for (const id of ['1', '2']) await w.user(`patient-${id}`, { role: 'patient', fhirUser: `Patient/p${id}` });
});
after(() => w.close());

const launched = async (scope = SCOPE): Promise<Answer> => w.exchange(await w.authorize(PATIENT, { scope }));
const refresh = (token: unknown, more: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  w.token({ grant_type: 'refresh_token', client_id: 'app', refresh_token: String(token), ...more });
const reads = async (token: unknown): Promise<number> => (await w.fhir('/Patient/p1', token)).status;

const thefts: readonly [why: string, changes: Record<string, string>][] = [
  ['at another client', { client_id: 'other' }],
  ['at a client with a secret, without it', { client_id: 'secret' }],
  ['at no client', { client_id: '' }],
  ['without verifier', { code_verifier: '' }],
  ['with a short verifier', { code_verifier: 'v'.repeat(42) }],
  ['with a long verifier', { code_verifier: 'v'.repeat(129) }],
  ['with another verifier', { code_verifier: 'v'.repeat(43) }],
  ['with another redirect URI', { redirect_uri: 'https://evil.example/' }],
  ['as a refresh token', { grant_type: 'refresh_token' }],
  ['for another resource', { resource: 'https://evil.example/fhir' }],
];
for (const [why, changes] of thefts)
  test(`attack@code ${why}: no token`, LIMIT, async () => {
    const { status, json, headers } = await w.exchange(await w.authorize(PATIENT), changes);
    assert.ok(status === 400 || status === 401, String(status));
    assert.deepEqual([json.access_token, json.refresh_token], [undefined, undefined]);
    assert.equal(headers.get('cache-control'), 'no-store');
  });
test('attack@code replayed: what the first use gave has ended, its refresh too', LIMIT, async () => {
  const authorized = await w.authorize(PATIENT, { scope: SCOPE });
  const { json } = await w.exchange(authorized);
  assert.equal(await reads(json.access_token), 200);
  assert.equal((await w.exchange(authorized)).json.error, 'invalid_grant');
  assert.equal(await reads(json.access_token), 401);
  assert.equal((await refresh(json.refresh_token)).json.error, 'invalid_grant');
});

test('attack@refresh at another client, wider, reused: nothing, and reuse ends the family', LIMIT, async () => {
  const first = await launched();
  assert.equal((await refresh(first.json.refresh_token, { client_id: 'other' })).json.error, 'invalid_grant');
  assert.equal(
    (await refresh(first.json.refresh_token, { scope: `${SCOPE} patient/*.cruds` })).json.error,
    'invalid_scope',
  );
  const narrow = await refresh(first.json.refresh_token, { scope: 'launch/patient patient/*.rs' });
  assert.equal(narrow.json.scope, 'launch/patient patient/*.rs', JSON.stringify(narrow.json));
  assert.equal((await refresh(first.json.refresh_token)).json.error, 'invalid_grant');
  assert.equal((await refresh(narrow.json.refresh_token)).json.error, 'invalid_grant');
  assert.equal(await reads(narrow.json.access_token), 401);
});
test('attack@refresh a scope at the token endpoint widens no code', LIMIT, async () => {
  const { json } = await w.exchange(await w.authorize(PATIENT), { scope: 'patient/*.cruds user/*.rs system/*.cruds' });
  assert.equal(json.scope, 'launch/patient patient/*.rs');
});

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const asService = async (assertion: string, more: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  w.token({
    ...{ grant_type: 'client_credentials', scope: 'system/Patient.rs' },
    ...{ client_assertion_type: ASSERTION_TYPE, client_assertion: assertion, ...more },
  });
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimed = (client: string) => ({
  ...{ iss: client, sub: client, aud: `${w.url}/oauth/token`, jti: `j-${client}-${Math.random()}` },
  exp: Math.floor(Date.now() / 1000) + 200,
});
/** Signed with the public key, which everybody has. */
function confused(alg: 'HS256' | 'HS384'): string {
  const [jwk] = rsa.jwks.keys;
  const pem = createPublicKey({ key: Object(jwk), format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const text = `${part({ alg, kid: 'k1', typ: 'JWT' })}.${part(claimed('service-rsa'))}`;
  return `${text}.${createHmac(alg.replace('HS', 'sha'), pem).update(text).digest('base64url')}`;
}
const assertions: readonly [why: string, make: () => string | Promise<string>][] = [
  ['alg none', () => `${part({ alg: 'none', kid: 'k1' })}.${part(claimed('service'))}.`],
  ['alg None', () => `${part({ alg: 'None', kid: 'k1' })}.${part(claimed('service'))}.`],
  ['HS256 with the public key', () => confused('HS256')],
  ['HS384 with the public key', () => confused('HS384')],
  ['a key of its own in the header', () => w.assertion('service', newKey(), {}, { jwk: newKey().jwks.keys[0] })],
  ['the key of another client', () => w.assertion('service', rsa)],
  ['an audience that is the FHIR base', () => w.assertion('service', key, { aud: w.fhirBase })],
  ['an audience of somebody else', () => w.assertion('service', key, { aud: 'https://evil.example/token' })],
  ['an hour until it ends', () => w.assertion('service', key, { exp: Math.floor(Date.now() / 1000) + 3600 })],
  ['no end', () => w.assertion('service', key, { exp: undefined })],
  ['an end that is text', () => w.assertion('service', key, { exp: '9999999999' })],
  ['a beginning to come', () => w.assertion('service', key, { nbf: Math.floor(Date.now() / 1000) + 120 })],
  ['no text at all', () => ''],
  ['something else', () => 'a.b.c'],
];
for (const [why, make] of assertions)
  test(`attack@assertion ${why}: no token`, LIMIT, async () => {
    const { status, json } = await asService(await make());
    assert.ok(status === 400 || status === 401, String(status));
    assert.equal(json.access_token, undefined);
  });
test('attack@assertion replayed, also at another endpoint and by another name: once', LIMIT, async () => {
  const assertion = await w.assertion('service', key);
  assert.equal((await asService(assertion, { client_id: 'service-rsa' })).json.access_token, undefined);
  const fresh = await w.assertion('service', key);
  assert.equal((await asService(fresh)).status, 200);
  assert.equal((await asService(fresh)).status, 401);
  const proof = { token: 'x', client_assertion_type: ASSERTION_TYPE, client_assertion: fresh };
  for (const path of ['/introspect', '/revoke']) assert.equal((await w.post(path, proof)).status, 401, path);
});

const secretive: readonly [
  why: string,
  path: string,
  form: Record<string, string>,
  headers?: Record<string, string>,
][] = [
  ['a secret in the query', '/token?client_id=secret&client_secret=s', {}],
  ['a secret in the body', '/token', { client_id: 'secret', client_secret: 's' }],
  ['a wrong secret', '/token', {}, { authorization: basic('secret:wrong') }],
  ['the hash that is kept, as a guess', '/token', {}, { authorization: basic('secret:') }],
  ['two ways at once', '/token', { client_id: 'other' }, { authorization: basic('secret:wrong') }],
  ['a code in the query', '/token?code=x&grant_type=authorization_code&client_id=app', {}],
];
for (const [why, path, form, headers = {}] of secretive)
  test(`attack@client ${why}: refused, uncached`, LIMIT, async () => {
    const answer = await w.post(
      path,
      { ...(path.includes('grant_type') ? {} : { grant_type: 'refresh_token', refresh_token: 'x' }), ...form },
      headers,
    );
    assert.ok(answer.status === 400 || answer.status === 401, String(answer.status));
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.doesNotMatch(answer.text, /at \w+ \(|node_modules/);
  });
for (const name of ['grant_type', 'client_id', 'code', 'code_verifier', 'redirect_uri'])
  test(`attack@client ${name} twice: refused`, LIMIT, async () => {
    const { code = '', verifier } = await w.authorize(PATIENT);
    const form = {
      grant_type: 'authorization_code',
      client_id: 'app',
      redirect_uri: 'http://127.0.0.1:9/callback',
      code,
      code_verifier: verifier,
    };
    const body = new URLSearchParams(form);
    body.append(name, Object.entries(form).find(([each]) => each === name)?.[1] ?? '');
    const answer = await fetch(`${w.url}/oauth/token`, { method: 'POST', body });
    assert.ok(answer.status === 400 || answer.status === 401, String(answer.status));
    assert.doesNotMatch(await answer.text(), /access_token/);
  });

test('attack@others introspection and revocation by another client tell nothing and end nothing', LIMIT, async () => {
  const { json } = await launched();
  for (const token of [json.access_token, json.refresh_token, 'nothing', 'a.b.c']) {
    const form = { token: String(token), client_id: 'other' };
    assert.deepEqual((await w.post('/introspect', form)).json, { active: false });
    const ended = await w.post('/revoke', form);
    assert.deepEqual([ended.status, ended.text], [200, '']);
  }
  assert.equal(await reads(json.access_token), 200);
  assert.equal((await refresh(json.refresh_token)).status, 200);
});
for (const path of [
  '/userinfo',
  '/me',
  '/reg',
  '/register',
  '/device',
  '/device/auth',
  '/device_authorization',
  '/backchannel',
  '/par',
  '/request',
  '/challenge',
  '/session/end',
])
  test(`attack@off ${path} is not there`, LIMIT, async () => {
    assert.equal((await w.post(path, { client_id: 'app' })).status, 404);
    assert.equal((await fetch(`${w.url}/oauth${path}`)).status, 404);
  });
test('attack@off discovery names what there is and no more; keys are public', LIMIT, async () => {
  const found = await jsonAt(`${w.url}/oauth/.well-known/openid-configuration`);
  const ends = Object.keys(found).filter((name) => /_(?:endpoint|uri)$/.test(name));
  assert.deepEqual(ends.toSorted(), [
    'authorization_endpoint',
    'end_session_endpoint',
    'introspection_endpoint',
    'jwks_uri',
    'revocation_endpoint',
    'token_endpoint',
  ]);
  assert.deepEqual([found.response_modes_supported, found.request_uri_parameter_supported], [['query'], false]);
  assert.equal(found.authorization_response_iss_parameter_supported, true);
  const { keys } = await jsonAt(`${w.url}/oauth/jwks`);
  assert.ok(Array.isArray(keys) && keys.length > 0);
  for (const each of keys)
    for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) assert.ok(!(name in each), name);
});

test('attack@token in the query, in a form, of another audience or for sign-in only: 401', LIMIT, async () => {
  const { json } = await launched(`openid fhirUser ${SCOPE}`);
  const token = String(json.access_token);
  assert.equal((await fetch(`${w.fhirBase}/Patient/p1?access_token=${token}`)).status, 401);
  const form = new URLSearchParams({ access_token: token });
  assert.equal((await fetch(`${w.fhirBase}/Patient/_search`, { method: 'POST', body: form })).status, 401);
  for (const wrong of [json.refresh_token, json.id_token, decodeJwt(token).jti, `${token.slice(0, -4)}AAAA`])
    assert.equal(await reads(wrong), 401);
});
test('attack@launch a handle is good for five minutes', LIMIT, async () => {
  const now = Date.now();
  const handleAt = async (at: number, handle: string) => new Launches(w.system.store, () => at).find(handle);
  const handle = await new Launches(w.system.store, () => now).open({ patient: 'p1' });
  assert.notEqual(await handleAt(now + 299_999, handle), undefined);
  assert.equal(await handleAt(now + 300_000, handle), undefined);
});

async function subscribed(token: unknown): Promise<string> {
  const response = await fetch(`${w.fhirBase}/Subscription`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify(byTopic('observation-final', undefined)),
  });
  const { id } = Object(await response.json());
  assert.equal(response.status, 201);
  await until(async () => (await w.fhir(`/Subscription/${id}/$events`, token)).status === 200);
  return String(id);
}
async function observed(value: number): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' };
  const wire = { method: 'POST', path: '/Observation', query: '', headers, body: JSON.stringify(heartRate(value)) };
  assert.equal((await w.system.answerHeavy(wire, localFacts('test', '127.0.0.1'))).status, 201);
}
/** What a socket that says this is told: texts, then the code that it is closed with. */
async function bound(message: string): Promise<{ readonly socket: WebSocket; readonly heard: (string | number)[] }> {
  const socket = new WebSocket(`${w.url.replace('http', 'ws')}/subscriptions`);
  const heard: (string | number)[] = [];
  socket.on('message', (data) => heard.push(String(data)));
  socket.on('close', (code) => heard.push(code));
  await once(socket, 'open');
  socket.send(message);
  await until(() => heard.length > 0);
  return { socket, heard };
}

test(
  'attack@stream a binding token is of its own subscription and good once; an id alone binds nothing',
  LIMIT,
  async () => {
    const { json } = await launched();
    const id = await subscribed(json.access_token);
    const other = await w.exchange(
      await w.authorize({ name: 'patient-2', totp: undefined }, { scope: SCOPE, client_id: 'other' }),
      { client_id: 'other' },
    );
    const asked = `/Subscription/${id}/$get-ws-binding-token`;
    const stranger = await w.fhir(asked, other.json.access_token);
    assert.ok(stranger.status >= 400 && stranger.status < 500, `${stranger.status}: of somebody else`);
    assert.equal((await w.fhir(asked, 'none')).status, 401);
    const given = await w.fhir(asked, json.access_token);
    const token = /"name":"token","valueString":"([^"]+)"/.exec(given.text)?.[1] ?? '';
    assert.notEqual(token, '', given.text);
    const first = await bound(`bind-with-token ${token}`);
    assert.match(String(first.heard[0]), /handshake/);
    for (const message of [
      `bind-with-token ${token}`,
      `bind-with-token ${token} `,
      `bind ${id}`,
      `bind-with-token ${id}`,
    ])
      assert.deepEqual((await bound(message)).heard, [1008], message);
    await observed(1);
    await until(() => first.heard.length === 2);
    assert.match(String(first.heard[1]), /event-notification/, 'who came first is still bound');
    first.socket.terminate();
  },
);

test('attack@stream a stream on which nothing happens ends with its token, at a beat', LIMIT, async () => {
  const { json } = await launched();
  const id = await subscribed(json.access_token);
  const authorization = `Bearer ${json.access_token}`;
  const stream = await fetch(`${w.url}/subscriptions/${id}/events`, { headers: { authorization } });
  assert.equal(stream.status, 200);
  assert.equal((await w.post('/revoke', { token: String(json.access_token), client_id: 'app' })).status, 200);
  assert.doesNotMatch(await stream.text(), /event:/);
});

test('attack@stream a stream ends with its token: nothing that happens after the end is told', LIMIT, async () => {
  const { json } = await launched();
  const id = await subscribed(json.access_token);
  const authorization = `Bearer ${json.access_token}`;
  const listened = () => fetch(`${w.url}/subscriptions/${id}/events`, { headers: { authorization } });
  const stream = await listened();
  assert.equal(stream.status, 200);
  const whole = stream.text();
  await observed(1);
  const ended = await w.post('/revoke', { token: String(json.access_token), client_id: 'app' });
  assert.equal(ended.status, 200);
  await observed(71_077);
  assert.doesNotMatch(await whole, /71077/);
  assert.equal((await listened()).status, 401);
});
