// CDS Hooks 2.0.1 "Trusting CDS Clients" and "CORS": who may call. Every refusal is 401 with one text, audited with its reason.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import express from 'express';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import request from 'supertest';
import { loopbackGuard } from '../../src/http/access.ts';
import { cdsHandler } from '../../src/http/cds.ts';
import { AT, patientView, type WorldOptions, world } from './world.ts';

const NOW = AT / 1000;
const ISSUER = 'https://ehr.example/fhir';
const JKU = 'https://ehr.example/jwks.json';
const AUDIENCE = 'http://127.0.0.1:8080/cds-services/triage';
const ALIAS = 'https://proxy.example/cds-services';

interface Pair {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}
async function pair(alg: string, kid: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}
const [es, rs, strange, late] = await Promise.all([
  pair('ES384', 'es'),
  pair('RS384', 'a+b/c=='),
  pair('ES384', 'es'),
  pair('ES384', 'late'),
]);

const folder = mkdtempSync(join(tmpdir(), 'firewatch-clients-'));
after(() => rmSync(folder, { recursive: true }));
const CLIENT = {
  name: 'ehr',
  issuer: ISSUER,
  services: ['triage'],
  jwks: { keys: [es.jwk, rs.jwk] },
  audiences: [ALIAS],
};
function registered(...clients: readonly object[]): string {
  const own = mkdtempSync(join(folder, 'clients-'));
  for (const [index, client] of clients.entries()) writeFileSync(join(own, `${index}.json`), JSON.stringify(client));
  return own;
}
const clientsFolder = registered(CLIENT);

const PAYLOAD = { iss: ISSUER, aud: AUDIENCE, iat: NOW, exp: NOW + 300, jti: 'j1' };
type Claims = Readonly<Record<string, unknown>>;
function signed(claims: Claims = PAYLOAD, { privateKey }: Pair = es, header: Claims = {}): Promise<string> {
  const full = { alg: 'ES384', kid: 'es', typ: 'JWT', ...header };
  return new SignJWT({ ...claims }).setProtectedHeader(full).sign(privateKey);
}
const without = (name: string): Claims => Object.fromEntries(Object.entries(PAYLOAD).filter(([key]) => key !== name));

function server(options: WorldOptions = {}) {
  const there = world({ clientsFolder, ...options });
  assert.deepEqual(there.cds.problems, []);
  const app = express();
  app.disable('etag');
  const { cds } = there;
  const guard = loopbackGuard(undefined, cds.origins);
  app.use('/cds-services', cdsHandler({ cds, guard, origins: cds.origins, bodyLimitBytes: 1_000_000 }));
  return { app, there };
}
async function call(token: string | undefined, { app, there } = server(), path = '/cds-services/triage') {
  const asked = request(app).post(path).set('Content-Type', 'application/json');
  const answer = await (token === undefined ? asked : asked.set('Authorization', token)).send(
    JSON.stringify(patientView()),
  );
  return { answer, audit: there.audits.at(-1) };
}

const good: readonly [name: string, make: () => Promise<string>][] = [
  ['§1.8.2 ES384 with a kid', () => signed()],
  ['§2.2 RS384 with a kid of Base64 characters', () => signed(PAYLOAD, rs, { alg: 'RS384', kid: 'a+b/c==' })],
  ['no kid, one key of that algorithm', () => signed(PAYLOAD, es, { kid: undefined })],
  ['§1.8.3 aud as array', () => signed({ ...PAYLOAD, aud: ['https://other.example', AUDIENCE] })],
  ['§1.8.4 aud of a registered alias', () => signed({ ...PAYLOAD, aud: `${ALIAS}/triage` })],
  ['exp just reached, within the skew', () => signed({ ...PAYLOAD, iat: NOW - 300, exp: NOW - 59 })],
  ['iat ahead by the skew', () => signed({ ...PAYLOAD, iat: NOW + 60 })],
  ['§2.2 nbf before iat, as Epic sends', () => signed({ ...PAYLOAD, nbf: NOW - 5, sub: 'client-id' })],
  ['§1.8.6 the longest lifetime', () => signed({ ...PAYLOAD, exp: NOW + 1200 })],
  ['a tenant nobody registered by', () => signed({ ...PAYLOAD, tenant: 'x' })],
];
for (const [name, make] of good) {
  test(`${name} (cds-hooks-2.0@jwt accepted)`, async () => {
    const { answer, audit } = await call(`Bearer ${await make()}`);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(audit?.caller.client, { system: ISSUER, value: 'ehr' });
    assert.equal(audit?.caller.principal, 'cds:ehr');
  });
}

const bad: readonly [name: string, make: () => Promise<string | undefined>, reason: string][] = [
  ['§1.8.1 none sent', async () => undefined, 'no-token'],
  ['Basic', async () => 'Basic YTpi', 'not-a-jwt'],
  ['two parts', async () => 'Bearer a.b', 'not-a-jwt'],
  ['not Base64', async () => 'Bearer a.b.c', 'not-a-jwt'],
  ['longer than 8 KB', async () => `Bearer ${await signed({ ...PAYLOAD, x: 'x'.repeat(9000) })}`, 'not-a-jwt'],
  ['§1.8.2 alg none', async () => `Bearer ${new UnsecuredJWT(PAYLOAD).encode()}x`, 'signature'],
  [
    '§1.8.2 HMAC with the public key as secret',
    async () => {
      const secret = new TextEncoder().encode(JSON.stringify(es.jwk));
      return `Bearer ${await new SignJWT(PAYLOAD).setProtectedHeader({ alg: 'HS384', kid: 'es', typ: 'JWT' }).sign(secret)}`;
    },
    'signature',
  ],
  ['another key under a known kid', async () => `Bearer ${await signed(PAYLOAD, strange)}`, 'signature'],
  [
    'a changed payload',
    async () => {
      const [head, , signature] = (await signed()).split('.');
      return `Bearer ${head}.${Buffer.from(JSON.stringify({ ...PAYLOAD, jti: 'j2' })).toString('base64url')}.${signature}`;
    },
    'signature',
  ],
  [
    '§1.8.2 RS384 key named, ES384 signature',
    async () => `Bearer ${await signed(PAYLOAD, es, { kid: 'a+b/c==' })}`,
    'keys',
  ],
  ['§1.8.3 unknown kid', async () => `Bearer ${await signed(PAYLOAD, es, { kid: 'other' })}`, 'keys'],
  [
    '§1.8.3 unknown issuer',
    async () => `Bearer ${await signed({ ...PAYLOAD, iss: 'https://evil.example' })}`,
    'unknown-issuer',
  ],
  [
    'issuer with a slash more',
    async () => `Bearer ${await signed({ ...PAYLOAD, iss: `${ISSUER}/` })}`,
    'unknown-issuer',
  ],
  ['a jku nobody allowed', async () => `Bearer ${await signed(PAYLOAD, es, { jku: JKU })}`, 'unknown-jku'],
  ['typ missing', async () => `Bearer ${await signed(PAYLOAD, es, { typ: undefined })}`, 'claims'],
  ['§1.8.2 typ of an access token', async () => `Bearer ${await signed(PAYLOAD, es, { typ: 'at+jwt' })}`, 'claims'],
  [
    '§1.8.4 aud of another service',
    async () => `Bearer ${await signed({ ...PAYLOAD, aud: AUDIENCE.replace('triage', 'x') })}`,
    'claims',
  ],
  [
    '§1.8.4 aud of discovery',
    async () => `Bearer ${await signed({ ...PAYLOAD, aud: AUDIENCE.replace('/triage', '') })}`,
    'claims',
  ],
  ['§1.8.4 aud with a slash more', async () => `Bearer ${await signed({ ...PAYLOAD, aud: `${AUDIENCE}/` })}`, 'claims'],
  ...['iss', 'aud', 'exp', 'iat', 'jti'].map((claim): [string, () => Promise<string>, string] => [
    `§1.8.3 ${claim} missing`,
    async () => `Bearer ${await signed(without(claim))}`,
    claim === 'iss' ? 'unknown-issuer' : 'claims',
  ]),
  ['jti empty', async () => `Bearer ${await signed({ ...PAYLOAD, jti: '' })}`, 'claims'],
  [
    '§1.8.3 expired beyond the skew',
    async () => `Bearer ${await signed({ ...PAYLOAD, iat: NOW - 300, exp: NOW - 61 })}`,
    'lifetime',
  ],
  ['§1.8.3 iat beyond the skew', async () => `Bearer ${await signed({ ...PAYLOAD, iat: NOW + 61 })}`, 'lifetime'],
  ['nbf to come', async () => `Bearer ${await signed({ ...PAYLOAD, nbf: NOW + 61 })}`, 'lifetime'],
  [
    '§1.8.6 a lifetime of a second too much',
    async () => `Bearer ${await signed({ ...PAYLOAD, exp: NOW + 1201 })}`,
    'lifetime',
  ],
];
const texts = new Set<string>();
for (const [name, make, reason] of bad) {
  test(`${name} (cds-hooks-2.0@jwt refused)`, async () => {
    const { answer, audit } = await call(await make());
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.equal(audit?.outcomeDescription, `refused: login (${reason})`);
    assert.equal(audit?.caller.principal, 'local', 'nobody is named who did not prove it');
    texts.add(answer.text);
    assert.equal(texts.size, 1, 'one text for every reason');
  });
}

test('§1.8.3 §1.8.6 cds-hooks-2.0@jwt a token holds once: again, at once, and after a restart', async () => {
  const used: WorldOptions['used'] = new Map();
  const first = server({ used });
  const token = `Bearer ${await signed()}`;
  const race = await Promise.all(Array.from({ length: 8 }, () => call(token, first)));
  assert.deepEqual(race.map(({ answer }) => answer.status).toSorted(), [200, ...Array(7).fill(401)]);
  assert.equal((await call(token, first)).answer.status, 401);
  assert.equal((await call(token, server({ used }))).answer.status, 401, 'what is used is kept in the store');
  assert.equal((await call(`Bearer ${await signed({ ...PAYLOAD, jti: 'j2' })}`, first)).answer.status, 200);
  const other = server({ used, clientsFolder: registered({ ...CLIENT, issuer: 'https://b.example' }) });
  assert.equal(
    (await call(`Bearer ${await signed({ ...PAYLOAD, iss: 'https://b.example' })}`, other)).answer.status,
    200,
    "a jti is its issuer's",
  );
});

test('§1.8.1 cds-hooks-2.0@jwt discovery asks for none, and ignores one that does not hold', async () => {
  const { app } = server();
  assert.equal((await request(app).get('/cds-services')).status, 200);
  assert.equal((await request(app).get('/cds-services').set('Authorization', 'Bearer nonsense')).status, 200);
});

test('§1.8.7 cds-hooks-2.0@call-allow-list a client calls the services it is registered for, and no others', async () => {
  const audience = 'http://127.0.0.1:8080/cds-services/deterioration-sepsis';
  const { answer, audit } = await call(
    `Bearer ${await signed({ ...PAYLOAD, aud: audience })}`,
    server(),
    '/cds-services/deterioration-sepsis',
  );
  assert.equal(answer.status, 403);
  assert.equal(audit?.outcomeDescription, 'refused: forbidden');
  const unknown = await call(
    `Bearer ${await signed({ ...PAYLOAD, aud: audience.replace('deterioration-sepsis', 'nothing') })}`,
    server(),
    '/cds-services/nothing',
  );
  assert.equal(unknown.answer.status, 404, 'who is known is told what does not exist');
  assert.equal((await call(undefined, server(), '/cds-services/nothing')).answer.status, 401, 'a stranger is not');
});

test('§1.8.5 §2.3 §8.6 §1.10.4 cds-hooks-2.0@jwt-jku keys come from allowed addresses only; a new key is found; a known set is not fetched again', async () => {
  const fetched: string[] = [];
  let keys = [es.jwk];
  const fetchKeys: NonNullable<WorldOptions['fetchKeys']> = async (url, { redirect }) => {
    assert.equal(redirect, 'manual');
    fetched.push(url);
    return Response.json({ keys });
  };
  const { jwks: _inline, ...rest } = CLIENT;
  const one = server({ fetchKeys, clientsFolder: registered({ ...rest, jku: [JKU] }) });
  const ask = async (jti: string, jku: string | undefined, by = es) =>
    (await call(`Bearer ${await signed({ ...PAYLOAD, jti }, by, { jku, kid: by.jwk.kid })}`, one)).answer.status;
  assert.equal(await ask('1', 'https://evil.example/jwks.json'), 401);
  assert.equal(await ask('2', `${JKU}?x`), 401);
  assert.equal(await ask('3', undefined), 401);
  assert.deepEqual(fetched, [], 'nothing is fetched for a stranger');
  assert.equal(await ask('4', JKU), 200);
  assert.equal(await ask('5', JKU), 200);
  assert.deepEqual(fetched, [JKU]);
  keys = [es.jwk, late.jwk];
  assert.equal(await ask('6', JKU, late), 401, 'an unknown kid does not make us fetch at will');
  assert.deepEqual(fetched, [JKU]);
});

test('§1.8.7 §1.8.9 cds-hooks-2.0@jwt a client asks no more than its quota; a place comes back', async () => {
  let now = AT;
  const one = server({ now: () => now, clientsFolder: registered({ ...CLIENT, callsPerMinute: 2 }) });
  const ask = async (jti: string) => (await call(`Bearer ${await signed({ ...PAYLOAD, jti })}`, one)).answer;
  assert.deepEqual([(await ask('1')).status, (await ask('2')).status], [200, 200]);
  const third = await ask('3');
  assert.deepEqual([third.status, third.headers['retry-after']], [429, '5']);
  now += 30_000;
  assert.equal((await ask('4')).status, 200);
  assert.equal((await ask('5')).status, 429);
});

const ORIGIN = 'https://sandbox.example';
const paths = ['/cds-services', '/cds-services/triage', '/cds-services/triage/feedback'];
for (const path of paths) {
  test(`§1.8.8 §2.1 §8.10 cds-hooks-2.0@cors preflight of ${path}`, async () => {
    const { app } = server({ clientsFolder: registered({ ...CLIENT, origins: [ORIGIN] }) });
    const answer = await request(app).options(path).set('Origin', ORIGIN).set('Access-Control-Request-Method', 'POST');
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.match(answer.headers['access-control-allow-headers'] ?? '', /Authorization, Content-Type/);
    assert.match(answer.headers['access-control-allow-methods'] ?? '', /GET, POST/);
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
    assert.equal(answer.headers.vary, 'Origin');
    const foreign = await request(app).options(path).set('Origin', 'https://evil.example');
    assert.equal(foreign.status, 403);
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
  });
}

test('§1.8.8 cds-hooks-2.0@cors answers and refusals can be read by a registered page, and by no other', async () => {
  const { app } = server({ origins: [ORIGIN] });
  const listed = await request(app).get('/cds-services').set('Origin', ORIGIN);
  assert.equal(listed.headers['access-control-allow-origin'], ORIGIN);
  const refused = await request(app).post('/cds-services/triage').set('Origin', ORIGIN).send('{}');
  assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [401, ORIGIN]);
  const foreign = await request(app).get('/cds-services').set('Origin', `${ORIGIN}.evil.example`);
  assert.deepEqual([foreign.status, foreign.headers['access-control-allow-origin']], [403, undefined]);
});

const files: readonly [name: string, clients: readonly object[], problem: RegExp][] = [
  ['no client', [], /holds no client/],
  ['a private key', [{ ...CLIENT, jwks: { keys: [{ ...es.jwk, d: 'x' }] } }], /must NOT be valid/],
  ['a symmetric key', [{ ...CLIENT, jwks: { keys: [{ kty: 'oct', kid: 'k', k: 'x' }] } }], /must NOT be valid/],
  ['no keys at all', [{ name: 'a', issuer: 'i', services: ['*'] }], /jwks/],
  [
    '§1.8.5 a key address without TLS',
    [{ name: 'a', issuer: 'i', services: ['*'], jwksUrl: 'http://ehr.example/jwks' }],
    /format "uri"/,
  ],
  ['§1.8.2 an algorithm with a shared secret', [{ ...CLIENT, algorithms: ['HS256'] }], /allowed values/],
  ['the algorithm none', [{ ...CLIENT, algorithms: ['none'] }], /allowed values/],
  ['an unknown service', [{ ...CLIENT, services: ['triage', 'x'] }], /`x` is not known/],
  ['an unknown field', [{ ...CLIENT, service: 'triage' }], /additional properties/],
  ['one name twice', [CLIENT, { ...CLIENT, issuer: 'https://b.example' }], /name is used/],
  ['one issuer twice', [CLIENT, { ...CLIENT, name: 'b' }], /has this issuer/],
  ['§1.8.8 any origin', [{ ...CLIENT, origins: ['https://*'] }], /never|pattern/],
];
for (const [name, clients, problem] of files) {
  test(`${name} (cds-hooks-2.0@jwt a registration is refused at start)`, () => {
    const { problems } = world({ clientsFolder: registered(...clients) }).cds;
    assert.match(problems.join(' '), problem);
  });
}

test('§1.8.7 cds-hooks-2.0@jwt tenants of one issuer are told apart', async () => {
  const one = server({
    clientsFolder: registered(
      { ...CLIENT, tenant: 'a' },
      { ...CLIENT, name: 'b', tenant: 'b', services: ['deterioration-sepsis'] },
    ),
  });
  const ask = async (jti: string, tenant?: string) =>
    (await call(`Bearer ${await signed({ ...PAYLOAD, jti, ...(tenant === undefined ? {} : { tenant }) })}`, one)).answer
      .status;
  assert.deepEqual(
    [await ask('1', 'a'), await ask('2', 'b'), await ask('3', 'c'), await ask('4')],
    [200, 403, 401, 401],
  );
});
