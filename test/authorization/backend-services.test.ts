// SMART App Launch 2.2: client-confidential-asymmetric, backend-services; standards of the kits: token endpoint of the backend services suite.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { ASSERTION_TYPE, jsonAt, type Key, newKey, OauthWorld } from './server-world.ts';

let world: OauthWorld;
const es = newKey('ES384');
const rs = newKey('RS384');
const SYSTEM = { redirectUris: [], backend: true, kind: 'key', scopes: ['system/*.rs'] } as const;
before(async () => {
  world = await OauthWorld.open();
  await world.client('bulk', { ...SYSTEM, jwks: es.jwks, roles: ['integration-engine'] });
  await world.client('bulk-rsa', { ...SYSTEM, jwks: rs.jwks });
  await world.client('secretive', { kind: 'secret' });
});
after(() => world.close());

test('§4.4.2 §4.6.1 smart-server@backend-token: a system scope, at most five minutes, no refresh token, a JWT for the FHIR base', async () => {
  const { status, json, headers } = await world.backendToken('bulk', es, 'system/Patient.rs system/Observation.read');
  assert.equal(status, 200, JSON.stringify(json));
  assert.equal(json.token_type, 'Bearer');
  assert.equal(json.scope, 'system/Patient.rs system/Observation.read');
  assert.ok(Number(json.expires_in) <= 300);
  assert.equal(json.refresh_token, undefined);
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('pragma'), 'no-cache');
  const token = String(json.access_token);
  assert.equal(decodeProtectedHeader(token).typ, 'at+jwt');
  assert.equal(decodeProtectedHeader(token).alg, 'ES384');
  const claims = decodeJwt(token);
  assert.equal(claims.aud, world.fhirBase);
  assert.equal(claims.iss, `${world.url}/oauth`);
  assert.equal(claims.client_id, 'bulk');
  assert.deepEqual(claims.roles, ['integration-engine']);
  assert.notEqual(await world.server.tokens.claims(token), undefined);
});

test('§4.4.1 smart-server@assertion-rs384: RSA keys sign assertions as well', async () => {
  assert.equal((await world.backendToken('bulk-rsa', rs, 'system/Patient.rs')).status, 200);
});

const now = (): number => Math.floor(Date.now() / 1000);
type Row = readonly [why: string, claims: () => Record<string, unknown>, header?: Record<string, unknown>, key?: Key];
const wrong: readonly Row[] = [
  ['aud of another server', () => ({ aud: 'https://other.example/token' })],
  ['aud absent', () => ({ aud: undefined })],
  ['expired', () => ({ exp: now() - 60 })],
  ['exp more than five minutes away', () => ({ exp: now() + 400 })],
  ['exp absent', () => ({ exp: undefined })],
  ['good for more than five minutes', () => ({ iat: now() - 300, exp: now() + 200 })],
  ['jti absent', () => ({ jti: undefined })],
  ['iss of another client', () => ({ iss: 'bulk-rsa' })],
  ['sub of a client that is not registered', () => ({ sub: 'nobody', iss: 'nobody' })],
  ['signed with another key', () => ({}), {}, newKey('ES384')],
  ['kid not known', () => ({}), { kid: 'other' }],
  ['kid absent', () => ({}), { kid: undefined }],
  ['jku that is not registered', () => ({}), { jku: 'https://evil.example/jwks' }],
];
for (const [why, claims, header = {}, key = es] of wrong) {
  test(`§4.4.1 §4.6.1 smart-server@assertion-refused: ${why}`, async () => {
    const answer = await world.token({
      grant_type: 'client_credentials',
      scope: 'system/Patient.rs',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await world.assertion('bulk', key, claims(), header),
    });
    assert.ok(answer.status === 400 || answer.status === 401, String(answer.status));
    assert.match(String(answer.json.error), /^invalid_(?:client|request)$/);
    assert.equal(answer.json.access_token, undefined);
  });
}

test('§4.4.1 smart-server@assertion-once: the same jti twice, also at the same time, is good once', async () => {
  const client_assertion = await world.assertion('bulk', es);
  const form = {
    grant_type: 'client_credentials',
    scope: 'system/Patient.rs',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion,
  };
  const answers = await Promise.all([world.token(form), world.token(form), world.token(form)]);
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.equal((await world.token(form)).status, 401);
});

const refused: readonly [why: string, form: Record<string, string>, error: string][] = [
  ['a grant type that is not there', { grant_type: 'password' }, 'unsupported_grant_type'],
  ['implicit', { grant_type: 'implicit' }, 'unsupported_grant_type'],
  ['token exchange', { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange' }, 'unsupported_grant_type'],
  ['no scope', { scope: '' }, 'invalid_scope'],
  ['a scope that is no system scope', { scope: 'user/Patient.rs' }, 'invalid_scope'],
  ['a scope beyond its registration', { scope: 'system/Patient.cruds' }, 'invalid_scope'],
  ['letters out of order', { scope: 'system/Patient.sr' }, 'invalid_scope'],
  ['another assertion type', { client_assertion_type: 'urn:other' }, 'invalid_request'],
  ['a resource that is not ours', { resource: 'https://other.example/fhir' }, 'invalid_target'],
];
for (const [why, form, error] of refused) {
  test(`§4.4.2 §4.6.1 smart-server@backend-refused: ${why}`, async () => {
    const answer = await world.token({
      grant_type: 'client_credentials',
      scope: 'system/Patient.rs',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await world.assertion('bulk', es),
      ...form,
    });
    assert.equal(answer.json.error, error);
    assert.equal(answer.status, 400);
  });
}

test('§4.4.2 smart-server@backend-only-keys: a client with a secret gets no token for itself', async () => {
  const answer = await world.token(
    { grant_type: 'client_credentials', scope: 'system/Patient.rs' },
    { authorization: `Basic ${Buffer.from('secretive:wrong').toString('base64')}` },
  );
  assert.equal(answer.status, 401);
});

test('§4.4.1 smart-server@jwks-url: keys at a registered URL are fetched, also when jku names it; no other URL ever is', async () => {
  const asked: string[] = [];
  const keys = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(es.jwks));
  });
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  const address = keys.address();
  const base = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  await world.client('remote', { ...SYSTEM, jwksUrl: `${base}/jwks` });
  const token = async (header: Record<string, unknown>) =>
    world.token({
      grant_type: 'client_credentials',
      scope: 'system/Patient.rs',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await world.assertion('remote', es, {}, header),
    });
  assert.equal((await token({})).status, 200);
  assert.equal((await token({ jku: `${base}/jwks` })).status, 200);
  assert.equal((await token({ jku: `${base}/other` })).status, 401);
  assert.deepEqual(asked, ['/jwks'], 'once, and believed for a while');
  keys.closeAllConnections();
  keys.close();
  await world.client('gone', { ...SYSTEM, jwksUrl: `${base}/jwks` });
  const lost = await world.backendToken('gone', es, 'system/Patient.rs');
  assert.ok(lost.status >= 400 && lost.status < 500, `${lost.status}: keys that cannot be had are no fault of ours`);
});

test('§4.5.1 §8.14 smart-server@introspection: active with what the token says; revoked or unknown is inactive and nothing more', async () => {
  const { json } = await world.backendToken('bulk', es, 'system/Patient.rs');
  const token = String(json.access_token);
  const asked = async (text: string) =>
    world.post('/introspect', {
      token: text,
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await world.assertion('bulk', es),
    });
  const active = (await asked(token)).json;
  assert.equal(active.active, true);
  assert.equal(active.scope, 'system/Patient.rs');
  assert.equal(active.client_id, 'bulk');
  assert.ok(Number(active.exp) > now());
  const { jti = '' } = decodeJwt(token);
  for (const unknown of ['nothing', `${token}x`, jti, 'a.b.c'])
    assert.deepEqual((await asked(unknown)).json, { active: false });
  const revoked = await world.post('/revoke', {
    token,
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await world.assertion('bulk', es),
  });
  assert.equal(revoked.status, 200);
  assert.deepEqual((await asked(token)).json, { active: false });
  assert.equal(await world.server.tokens.claims(token), undefined);
  const foreign = await world.post('/introspect', {
    token: String((await world.backendToken('bulk', es, 'system/Patient.rs')).json.access_token),
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: await world.assertion('bulk-rsa', rs),
  });
  assert.deepEqual(foreign.json, { active: false }, 'tokens of another client');
  assert.equal((await world.post('/introspect', { token })).status, 400, 'without client authentication');
});

test('§4.2.5 §4.6.1 smart-server@keys: JWKS has public parts only, discovery names what is there', async () => {
  const jwks = await (await fetch(`${world.url}/oauth/jwks`)).text();
  assert.doesNotMatch(jwks, /"d":|"p":|"q":/);
  const kinds = JSON.parse(jwks).keys.map(({ kty }: { kty: string }) => kty);
  assert.deepEqual(kinds.toSorted(), ['EC', 'RSA']);
  const found = await jsonAt(`${world.url}/oauth/.well-known/openid-configuration`);
  assert.equal(found.issuer, `${world.url}/oauth`);
  assert.equal(found.token_endpoint, `${world.url}/oauth/token`);
  assert.deepEqual(found.code_challenge_methods_supported, ['S256']);
  assert.deepEqual(found.response_types_supported, ['code']);
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
  const grants = ['authorization_code', 'client_credentials', 'refresh_token'];
  assert.deepEqual(new Set(list(found.grant_types_supported)), new Set(grants));
  assert.ok(list(found.id_token_signing_alg_values_supported).includes('RS256'));
});

test('smart-server@forwarding: headers of a proxy that is not configured change no address', async () => {
  const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example' };
  const found = await jsonAt(`${world.url}/oauth/.well-known/openid-configuration`, headers);
  assert.equal(found.token_endpoint, `${world.url}/oauth/token`);
});
