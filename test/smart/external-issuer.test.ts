// An issuer outside, over real sockets: a second server of ours issues, this one believes. docs/authorization.md#issuers; RFC 9068, RFC 8725, RFC 7662, RFC 7517.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, exportJWK, SignJWT, UnsecuredJWT } from 'jose';
import { systemAmbient } from '../../src/ambient.ts';
import { rotateKeys } from '../../src/authorization/keys.ts';
import { sealWith } from '../../src/authorization/seal.ts';
import { readConfig } from '../../src/config.ts';
import { closeGracefully, listen } from '../../src/http/app.ts';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { loadIssuers } from '../../src/smart/issuer.ts';
import { buildSystem, type System } from '../../src/system.ts';
import { newKey, OauthWorld } from '../authorization/server-world.ts';
import { storeSettings } from '../test-store.ts';
import { pair } from './tokens.ts';

const LIMIT = { timeout: 60_000 };
const SCHEMA = join(import.meta.dirname, '..', '..', 'issuers', 'schema.json');
const folder = mkdtempSync(join(tmpdir(), 'firewatch-external-'));
const service = newKey();
/** What every refused token is answered, whatever is wrong with it. */
const REFUSED = 'Bearer realm="fhir", error="invalid_token"';

/** The keys of the issuer as this server reaches them: counted, and cut off at will. */
class KeyServer {
  readonly #server: Server;
  fetched = 0;
  works = true;
  /** Whatever a token points at besides. */
  strayed = 0;

  constructor(target: () => string) {
    this.#server = createServer((request, response) => {
      if (request.url !== '/keys') this.strayed++;
      else this.fetched++;
      if (!this.works || request.url !== '/keys') return void response.writeHead(500).end();
      fetch(`${target()}/oauth/jwks`)
        .then((found) => found.text())
        .then(
          (text) => response.writeHead(200, { 'content-type': 'application/json' }).end(text),
          () => response.writeHead(502).end(),
        );
    });
  }
  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }
  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }
  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A server that believes an issuer outside; its clock is moved by tests. */
async function believer(name: string, issuers: Readonly<Record<string, object>>) {
  const [data, files] = [join(folder, name), join(folder, `${name}-issuers`)];
  mkdirSync(files);
  for (const [file, issuer] of Object.entries(issuers))
    writeFileSync(join(files, `${file}.json`), JSON.stringify(issuer));
  const clock = { shift: 0 };
  const ambient = { ...systemAmbient(), now: () => Date.now() + clock.shift };
  const config = readConfig({
    SEED: 'none',
    LOG_LEVEL: 'error',
    ...storeSettings(data),
    ISSUERS_DIR: files,
    PORT: '8080',
  });
  const system = await buildSystem(config, { ambient });
  const http = await listen(system.app, { ...config, PORT: 0 });
  const address = http.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  await stored(system, 'Patient', 'p1', {});
  await stored(system, 'Patient', 'p2', {});
  return {
    clock,
    ask: (path: string, authorization: string) =>
      fetch(`${url}/fhir${path}`, { headers: { authorization, host: '127.0.0.1:8080' } }),
    close: async () => {
      await closeGracefully(http, 1000);
      await system.close();
    },
  };
}
type Believer = Awaited<ReturnType<typeof believer>>;

async function stored(system: System, type: string, id: string, more: object): Promise<void> {
  const headers = { 'content-type': 'application/fhir+json' };
  const body = JSON.stringify({ resourceType: type, id, ...more });
  const wire = { method: 'PUT', path: `/${type}/${id}`, query: '', headers, body };
  assert.equal((await system.answerHeavy(wire, localFacts('test', '127.0.0.1'))).status, 201);
}

let external: OauthWorld;
let port: string;
let keys: KeyServer;
let byKeys: Believer;
let byAsking: Believer;
before(async () => {
  external = await OauthWorld.open({ DATA_DIR: join(folder, 'external') });
  ({ port } = new URL(external.url));
  await external.patient('p1');
  await external.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
  await external.client('app');
  await external.client('service', {
    ...{ redirectUris: [], backend: true, kind: 'key', jwks: service.jwks, scopes: ['system/Patient.rs'] },
  });
  const secret = await external.client('believer', { kind: 'secret', introspects: true });
  keys = new KeyServer(() => external.url);
  await keys.listen();
  const issuer = `${external.url}/oauth`;
  const audience = [external.fhirBase];
  const secretFile = join(folder, 'secret');
  writeFileSync(secretFile, secret ?? '');
  byKeys = await believer('by-keys', { one: { issuer, audience, jwksUrl: `${keys.url}/keys`, algorithms: ['ES384'] } });
  const introspection = { endpoint: `${issuer}/introspect`, clientId: 'believer', secretFile };
  byAsking = await believer('by-asking', { one: { issuer, audience, introspection } });
});
after(async () => {
  await byKeys.close();
  await byAsking.close();
  keys.close();
  await external.close();
  rmSync(folder, { recursive: true, force: true });
});

async function launched(scope = 'launch/patient patient/Patient.rs'): Promise<Readonly<Record<string, unknown>>> {
  const { json } = await external.exchange(await external.authorize({ name: 'patient-1', totp: undefined }, { scope }));
  assert.ok(json.access_token, JSON.stringify(json));
  return json;
}
const tokenOf = async (): Promise<string> => String((await launched()).access_token);

test(
  '§4.7.2 smart@external: a token of an issuer outside opens what its scopes say, by keys fetched once',
  LIMIT,
  async () => {
    const token = `Bearer ${await tokenOf()}`;
    const seen = [];
    for (const path of ['/Patient/p1', '/Patient/p2', '/Observation'])
      seen.push((await byKeys.ask(path, token)).status);
    assert.deepEqual(seen, [200, 404, 403]);
    const { json } = await external.backendToken('service', service, 'system/Patient.rs');
    assert.equal((await byKeys.ask('/Patient/p2', `Bearer ${json.access_token}`)).status, 200, 'a client by itself');
    assert.equal(keys.fetched, 1);
  },
);

test(
  'smart@external-refused: tokens that were tampered with, or are of somebody else, are all answered alike',
  LIMIT,
  async () => {
    const good = await tokenOf();
    const [head = '', payload = '', signature = ''] = good.split('.');
    const [claims, header] = [decodeJwt(good), decodeProtectedHeader(good)];
    const rogue = await pair('ES384', String(header.kid));
    const other = await pair('RS256', 'other');
    const hmac = new TextEncoder().encode(JSON.stringify(await exportJWK(rogue.privateKey)));
    const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const by = (key: typeof rogue, more: object = {}, changed: object = {}) =>
      new SignJWT({ ...claims, ...changed })
        .setProtectedHeader({ ...header, alg: 'ES384', ...more })
        .sign(key.privateKey);
    const rows: readonly [why: string, token: string][] = [
      ['claims changed under the signature', `${head}.${base64({ ...claims, patient: 'p2' })}.${signature}`],
      ['another header under the signature', `${base64({ ...header, kid: 'x' })}.${payload}.${signature}`],
      ['no signature', `${head}.${payload}.`],
      ['a signature cut short', `${head}.${payload}.${signature.slice(0, -4)}`],
      ['the signature of another token', `${head}.${payload}.${(await tokenOf()).split('.')[2]}`],
      ['alg none', new UnsecuredJWT({ ...claims }).encode()],
      ['alg none in capitals', `${base64({ ...header, alg: 'NONE' })}.${payload}.`],
      ['the kid of the issuer, the key of somebody else', await by(rogue)],
      ['that key in the header', await by(rogue, { jwk: rogue.jwk })],
      ['an address of that key in the header', await by(rogue, { jku: `${keys.url}/rogue` })],
      ['an address of a certificate in the header', await by(rogue, { x5u: `${keys.url}/rogue` })],
      ['a certificate in the header', await by(rogue, { x5c: ['MIIB'] })],
      ['a kid that is an address', await by(rogue, { kid: `${keys.url}/rogue` })],
      ['a kid that is a path', await by(rogue, { kid: '../../../dev/null' })],
      ['a kid of 300 characters', await by(rogue, { kid: 'k'.repeat(300) })],
      [
        'a public key as secret of an HMAC',
        await new SignJWT({ ...claims }).setProtectedHeader({ ...header, alg: 'HS256' }).sign(hmac),
      ],
      [
        'an algorithm that the issuer does not use',
        await new SignJWT({ ...claims }).setProtectedHeader({ ...header, alg: 'RS256' }).sign(other.privateKey),
      ],
      ['another issuer', await by(rogue, {}, { iss: 'https://evil.example' })],
      ['an issuer that only begins like ours', await by(rogue, {}, { iss: `${claims.iss}/` })],
      ['another audience', await by(rogue, {}, { aud: 'https://other.example/fhir' })],
      ['a critical header that nobody knows', `${base64({ ...header, crit: ['x'], x: 1 })}.${payload}.${signature}`],
      ['an encrypted token', `${good}.a.b`],
      ['twice', `${good} ${good}`],
    ];
    const told = new Set<string>();
    for (const [why, token] of rows) {
      const response = await byKeys.ask('/Patient/p1', `Bearer ${token}`);
      assert.deepEqual([response.status, response.headers.get('www-authenticate')], [401, REFUSED], why);
      told.add((await response.text()).replace(/"id":"[^"]*"/, ''));
    }
    assert.equal(told.size, 1, 'the same body for every reason');
    assert.equal(keys.strayed, 0, 'nothing that a token points at is asked');
    assert.equal((await byKeys.ask('/Patient/p1', `Bearer ${good}`)).status, 200, 'control');
    assert.equal(
      (
        await byKeys.ask(
          '/Patient/p1',
          `Bearer ${(await launched('openid launch/patient patient/Patient.rs')).id_token}`,
        )
      ).status,
      401,
      'an ID token',
    );
  },
);

test(
  'smart@external-rotation: a new kid is fetched after a minute, an outage of the keys is survived for a day',
  LIMIT,
  async () => {
    const old = await tokenOf();
    assert.equal((await byKeys.ask('/Patient/p1', `Bearer ${old}`)).status, 200);
    const { store, ambient } = external.system;
    await rotateKeys({ store, seal: sealWith(readFileSync(join(folder, 'external', 'oauth.key'))), now: ambient.now });
    await external.close();
    external = await OauthWorld.open({ DATA_DIR: join(folder, 'external'), PORT: port });
    const fresh = await tokenOf();
    assert.notEqual(decodeProtectedHeader(fresh).kid, decodeProtectedHeader(old).kid);
    byKeys.clock.shift += 61_000;
    const fetched = keys.fetched;
    assert.equal((await byKeys.ask('/Patient/p1', `Bearer ${fresh}`)).status, 200, 'an unknown kid is looked for');
    assert.equal(keys.fetched, fetched + 1);
    const rogue = await pair('ES384', 'unknown');
    const stray = async () =>
      new SignJWT(decodeJwt(fresh))
        .setProtectedHeader({ alg: 'ES384', typ: 'at+jwt', kid: `k-${Math.random()}` })
        .sign(rogue.privateKey);
    for (let count = 0; count < 5; count++)
      assert.equal((await byKeys.ask('/Patient/p1', `Bearer ${await stray()}`)).status, 401);
    assert.equal(keys.fetched, fetched + 1, 'kids that nobody has are looked for once a minute');
    keys.works = false;
    byKeys.clock.shift += 11 * 60_000;
    assert.equal(
      (await byKeys.ask('/Patient/p1', `Bearer ${await tokenOf()}`)).status,
      200,
      'the keys of before are kept',
    );
    keys.works = true;
    byKeys.clock.shift = 0;
  },
);

test('smart@external-down: without any keys nothing is known of a token: 503, to be tried again', LIMIT, async () => {
  keys.works = false;
  const issuer = { issuer: `${external.url}/oauth`, audience: [external.fhirBase], jwksUrl: `${keys.url}/keys` };
  const fresh = await believer('cut-off', { one: issuer });
  try {
    const token = `Bearer ${await tokenOf()}`;
    const cut = await fresh.ask('/Patient/p1', token);
    assert.deepEqual([cut.status, cut.headers.get('retry-after')], [503, '1']);
    assert.equal((await fresh.ask('/metadata', 'Bearer x')).status, 200, 'what needs no token is answered');
    keys.works = true;
    fresh.clock.shift = 5001;
    assert.equal((await fresh.ask('/Patient/p1', token)).status, 200);
  } finally {
    keys.works = true;
    await fresh.close();
  }
});

test(
  '§4.7.2 smart@external-introspection: the issuer is asked; what it revoked is over within ten seconds',
  LIMIT,
  async () => {
    const { access_token: token } = await launched();
    const authorization = `Bearer ${token}`;
    assert.equal((await byAsking.ask('/Patient/p1', authorization)).status, 200);
    assert.equal((await byAsking.ask('/Patient/p2', authorization)).status, 404, "its patient is the launch's");
    assert.equal((await byAsking.ask('/Patient/p1', 'Bearer opaque-and-unknown')).status, 401);
    await external.post('/revoke', { token: String(token), client_id: 'app' });
    byAsking.clock.shift = 10_001;
    assert.equal((await byAsking.ask('/Patient/p1', authorization)).status, 401);
    byAsking.clock.shift = 0;
  },
);

const files: readonly [why: string, file: object, problem: RegExp | undefined][] = [
  ['control: https', { jwksUrl: 'https://login.example.org/jwks' }, undefined],
  ['http to this machine', { jwksUrl: 'http://127.0.0.1:9/jwks' }, undefined],
  ['http to this machine by name', { jwksUrl: 'http://localhost/jwks' }, undefined],
  ['http to this machine by IPv6', { jwksUrl: 'http://[::1]:9/jwks' }, undefined],
  ['http to another', { jwksUrl: 'http://login.example.org/jwks' }, /jwksUrl/],
  ['http to a name that only begins like this machine', { jwksUrl: 'http://localhost.evil.example/jwks' }, /jwksUrl/],
  ['http to an address that only begins like it', { jwksUrl: 'http://127.0.0.1.evil.example/jwks' }, /jwksUrl/],
  ['a name inside the address', { jwksUrl: 'https://user@login.example.org/jwks' }, /jwksUrl/],
  ['a fragment', { jwksUrl: 'https://login.example.org/jwks#x' }, /jwksUrl/],
  ['an issuer by http', { issuer: 'http://login.example.org', jwksUrl: 'https://login.example.org/jwks' }, /issuer/],
  ['no way to prove a token', {}, /file/],
  ['care as the purpose of all', { purpose: 'TREAT', jwksUrl: 'https://login.example.org/jwks' }, undefined],
  ['an emergency as the purpose of all', { purpose: 'BTG', jwksUrl: 'https://login.example.org/jwks' }, /purpose/],
  [
    'an emergency as the purpose of a client',
    { clientPurposes: { app: 'BTG' }, jwksUrl: 'https://login.example.org/jwks' },
    /clientPurposes/,
  ],
  ['no audience', { audience: [], jwksUrl: 'https://login.example.org/jwks' }, /audience/],
  ['a symmetric algorithm', { algorithms: ['HS256'], jwksUrl: 'https://login.example.org/jwks' }, /algorithms/],
  ['a private key', { jwks: { keys: [{ kty: 'EC', kid: 'k', d: 'x' }] } }, /jwks/],
  [
    'keys and an address of keys',
    { jwks: { keys: [{ kty: 'EC', kid: 'k' }] }, jwksUrl: 'https://a.example/' },
    /file|jwks/,
  ],
  [
    'introspection by http',
    { introspection: { endpoint: 'http://login.example.org/i', clientId: 'c', secretFile: SCHEMA } },
    /endpoint/,
  ],
  [
    'a secret that is not there',
    { introspection: { endpoint: 'https://login.example.org/i', clientId: 'c', secretFile: join(folder, 'none') } },
    /secretFile/,
  ],
];
for (const [why, more, problem] of files) {
  test(`smart@issuer-file ${why}: ${problem === undefined ? 'taken' : 'the start is refused'}`, () => {
    const own = mkdtempSync(join(folder, 'files-'));
    const file = { issuer: 'https://login.example.org', audience: ['https://fhir.example.org/fhir'], ...more };
    writeFileSync(join(own, 'one.json'), JSON.stringify(file));
    const { problems } = loadIssuers(own, SCHEMA);
    if (problem === undefined) assert.deepEqual(problems, []);
    else assert.match(problems.join(' '), problem);
  });
}
