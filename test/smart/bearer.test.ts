// RFC 6750, RFC 9068, RFC 8725, RFC 7662: which access tokens hold. Every refusal is 401 with one text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { FhirError } from '../../src/fhir/outcome.ts';
import { type CallIssuer, tokenVerifier } from '../../src/smart/bearer.ts';
import { type Issuer, issuerOf } from '../../src/smart/issuer.ts';
import { BASE } from '../world.ts';
import { type Claims, claims, ISSUED, ISSUER, KEYS, pair, signed } from './tokens.ts';

const AT = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOW = AT / 1000;
const nowhere: CallIssuer = () => Promise.reject(new Error('no call is expected'));
const verifier = (issuers: readonly Issuer[] = [ISSUED], call = nowhere, now = () => AT) =>
  tokenVerifier({ issuers, now, call });

async function outcome(authorization: string | undefined, by = verifier()): Promise<string> {
  try {
    return (await by.verify(authorization)).client;
  } catch (error) {
    if (error instanceof FhirError) return error.kind;
    throw error;
  }
}
const strange = await pair('ES384', 'one');
const rs = await pair('RS256', 'rs');
const without = (name: string): Claims =>
  Object.fromEntries(Object.entries(claims(AT)).filter(([key]) => key !== name));

const rows: readonly [why: string, authorization: string | undefined, outcome: string][] = [
  ['control: a token that holds', `Bearer ${await signed(claims(AT))}`, 'app'],
  ['the scheme in lower case', `bearer ${await signed(claims(AT))}`, 'app'],
  ['aud is a list with ours', `Bearer ${await signed(claims(AT, { aud: ['https://other.example', BASE] }))}`, 'app'],
  ['exp within the leeway of 60 s', `Bearer ${await signed(claims(AT, { iat: NOW - 300, exp: NOW - 59 }))}`, 'app'],
  ['typ with its long name', `Bearer ${await signed(claims(AT), KEYS, { typ: 'application/at+jwt' })}`, 'app'],
  ['no header', undefined, 'login'],
  ['another scheme', 'Basic dXNlcjpwYXNz', 'token-invalid'],
  ['not a token', 'Bearer a b', 'token-invalid'],
  ['too long', `Bearer ${'a'.repeat(8193)}`, 'token-invalid'],
  ['opaque, and nobody to ask', 'Bearer abcdef', 'token-invalid'],
  ['another key under the same kid', `Bearer ${await signed(claims(AT), strange)}`, 'token-invalid'],
  ['an unknown kid', `Bearer ${await signed(claims(AT), KEYS, { kid: 'two' })}`, 'token-invalid'],
  [
    "an algorithm that is not the key's",
    `Bearer ${await signed(claims(AT), rs, { alg: 'RS256', kid: 'one' })}`,
    'token-invalid',
  ],
  ['alg none', `Bearer ${new UnsecuredJWT({ ...claims(AT) }).encode()}x`, 'token-invalid'],
  [
    'keys in the header are not looked at',
    `Bearer ${await signed(claims(AT), strange, { jwk: strange.jwk })}`,
    'token-invalid',
  ],
  ['exp past the leeway', `Bearer ${await signed(claims(AT, { iat: NOW - 300, exp: NOW - 61 }))}`, 'token-invalid'],
  ['nbf within the leeway', `Bearer ${await signed(claims(AT, { nbf: NOW + 60 }))}`, 'app'],
  ['iat within the leeway', `Bearer ${await signed(claims(AT, { iat: NOW + 60 }))}`, 'app'],
  ['lives an hour', `Bearer ${await signed(claims(AT, { exp: NOW + 3600 }))}`, 'app'],
  ['nbf in the future', `Bearer ${await signed(claims(AT, { nbf: NOW + 61 }))}`, 'token-invalid'],
  ['iat in the future', `Bearer ${await signed(claims(AT, { iat: NOW + 61 }))}`, 'token-invalid'],
  ['lives longer than an hour', `Bearer ${await signed(claims(AT, { exp: NOW + 3601 }))}`, 'token-invalid'],
  ['aud is a prefix', `Bearer ${await signed(claims(AT, { aud: `${BASE}/` }))}`, 'token-invalid'],
  ['aud in another case', `Bearer ${await signed(claims(AT, { aud: BASE.toUpperCase() }))}`, 'token-invalid'],
  ['iss of nobody', `Bearer ${await signed(claims(AT, { iss: `${ISSUER}/` }))}`, 'token-invalid'],
  ['an ID token by its typ', `Bearer ${await signed(claims(AT), KEYS, { typ: 'JWT' })}`, 'token-invalid'],
  ['no typ', `Bearer ${await signed(claims(AT), KEYS, { typ: undefined })}`, 'token-invalid'],
  ...(
    await Promise.all(
      ['iss', 'aud', 'exp', 'iat', 'scope', 'client_id'].map(
        async (name) => [`without ${name}`, `Bearer ${await signed(without(name))}`, 'token-invalid'] as const,
      ),
    )
  ).map(([...row]): [string, string, string] => row),
];
for (const [why, authorization, expected] of rows) {
  test(`smart@token-judged ${why}: ${expected}`, async () => assert.equal(await outcome(authorization), expected));
}

test("smart@token-claims: the names of claims are the issuer's; a patient is one id or none", async () => {
  const names = { scope: 'scp', patient: 'pid', client: 'azp', roles: 'groups' };
  const other = issuerOf({
    issuer: ISSUER,
    audience: [BASE],
    jwks: { keys: [KEYS.jwk] },
    types: ['none'],
    claims: names,
  });
  const asked = async (pid: unknown) => {
    const payload = claims(AT, { scope: undefined, scp: ['user/*.rs', 'openid'], azp: 'x', groups: ['nurse'], pid });
    const { client, scope, roles, patient } = await verifier([other]).verify(
      `Bearer ${await signed(payload, KEYS, { typ: undefined })}`,
    );
    return [client, scope, roles.join(), patient];
  };
  assert.deepEqual(await asked('7'), ['x', 'user/*.rs openid', 'nurse', '7']);
  for (const pid of [['7'], { id: '7' }, '*', '7,8', 'Patient/7/x', '']) assert.equal((await asked(pid))[3], undefined);
});

test('smart@jwks-rotation: a new kid is fetched once a minute; keys outlive an outage of their source', async () => {
  let at = AT;
  let calls = 0;
  let keys = [KEYS.jwk];
  let works = true;
  const call: CallIssuer = async ({ url }) => {
    calls++;
    assert.equal(url, `${ISSUER}/jwks`);
    return works ? { status: 200, body: JSON.stringify({ keys }) } : { status: 500, body: '' };
  };
  const remote = issuerOf({ issuer: ISSUER, audience: [BASE], jwksUrl: `${ISSUER}/jwks` });
  const by = verifier([remote], call, () => at);
  const next = await pair('ES384', 'next');
  const ask = async (key = KEYS, jti = 'a') => {
    const header = key === KEYS ? {} : { kid: 'next' };
    return outcome(`Bearer ${await signed(claims(at, { jti }), key, header)}`, by);
  };
  assert.equal(await ask(), 'app');
  assert.equal(calls, 1);
  keys = [KEYS.jwk, next.jwk];
  assert.equal(await ask(next), 'token-invalid', 'within the minute no second fetch');
  assert.equal(calls, 1);
  at += 61_000;
  assert.equal(await ask(next), 'app');
  assert.equal(calls, 2);
  works = false;
  at += 3_600_000;
  assert.equal(await ask(next, 'b'), 'app', 'an outage of an hour');
  at += 86_400_000;
  const before = calls;
  assert.equal(await ask(next, 'c'), 'transient', 'keys are not believed for longer than a day: nothing is known then');
  at += 4000;
  assert.equal(await ask(next, 'd'), 'transient');
  assert.equal(calls, before + 1, 'their source is tried every five seconds');
  at += 2000;
  works = true;
  assert.equal(await ask(next, 'd'), 'app', 'and believed again when it answers');
});

test('smart@introspection: active tokens hold for as long as their issuer says; it is asked once in ten seconds', async () => {
  let at = AT;
  let calls = 0;
  let answer: Claims = { active: true, ...claims(AT) };
  const call: CallIssuer = async ({ method, url, headers, body }) => {
    calls++;
    assert.deepEqual(
      [method, url, body],
      ['POST', `${ISSUER}/introspect`, 'token=opaque&token_type_hint=access_token'],
    );
    assert.equal(headers.Authorization, `Basic ${Buffer.from('firewatch:s%20cret').toString('base64')}`);
    return { status: 200, body: JSON.stringify(answer) };
  };
  const introspection = { endpoint: `${ISSUER}/introspect`, clientId: 'firewatch', secret: 's cret' };
  const by = verifier([issuerOf({ issuer: ISSUER, audience: [BASE] }, introspection)], call, () => at);
  const ask = () => outcome('Bearer opaque', by);
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ['app', 'app', 'app']);
  assert.equal(calls, 1, 'concurrent requests share one question');
  at += 9_999;
  assert.equal(await ask(), 'app');
  assert.equal(calls, 1);
  const refused: readonly Claims[] = [
    { active: false },
    { active: 'true', ...claims(AT) },
    { active: true, ...claims(AT, { aud: 'https://other.example' }) },
    { active: true, ...claims(AT, { iss: 'https://other.example' }) },
    { active: true, ...claims(AT, { exp: NOW - 61 }) },
    { active: true, ...claims(AT, { exp: undefined }) },
    { active: true, ...claims(AT, { scope: '' }) },
  ];
  for (const each of refused) {
    at += 10_001;
    answer = each;
    assert.equal(await ask(), 'token-invalid', JSON.stringify(each));
  }
  assert.equal(
    await outcome('Bearer opaque', verifier([issuerOf({ issuer: ISSUER, audience: [BASE] }, introspection)])),
    'transient',
  );
});
