// What an operator does: users, clients and keys; and that what ends, ends. docs/authorization-server.md, decision 0029.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { waitMs } from '../../src/authorization/attempts.ts';
import { clientProblems } from '../../src/authorization/clients.ts';
import { rotateKeys } from '../../src/authorization/keys.ts';
import { isPassword, passwordHash } from '../../src/authorization/password.ts';
import { accessSeconds, sessionSeconds } from '../../src/authorization/provider.ts';
import { covers, isAllowed, parseScope } from '../../src/authorization/scope.ts';
import { sealWith } from '../../src/authorization/seal.ts';
import { DRAFT, newKey, OauthWorld } from './server-world.ts';

let world: OauthWorld;
const folder = mkdtempSync(join(tmpdir(), 'firewatch-oauth-'));
const patient = { name: 'patient-1', totp: undefined };
const scope = 'launch/patient offline_access patient/Patient.rs';
const refresh = (token: unknown) =>
  world.token({ grant_type: 'refresh_token', client_id: 'app', refresh_token: String(token) });

before(async () => {
  world = await OauthWorld.open({ DATA_DIR: folder });
  await world.patient('p1');
  await world.client('app');
  await world.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
});
after(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

test('smart-server@disable: a disabled user has no token, no refresh and no sign-in; enabled again, they sign in', async () => {
  const { json } = await world.exchange(await world.authorize(patient, { scope }));
  assert.notEqual(await world.server.tokens.claims(String(json.access_token)), undefined, 'control');
  await world.server.users.disable('patient-1');
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 401);
  assert.equal((await refresh(json.refresh_token)).json.error, 'invalid_grant');
  const refused = await world.authorize(patient, { scope });
  assert.equal(refused.code, undefined);
  assert.equal(refused.answer.status, 401);
  await world.server.users.enable('patient-1');
  assert.ok((await world.authorize(patient, { scope })).code);
});

test('smart-server@restart: tokens, users and clients outlive a restart; a rotation of keys keeps old tokens good', async () => {
  const { json } = await world.exchange(await world.authorize(patient, { scope }));
  const before = await (await fetch(`${world.url}/oauth/jwks`)).text();
  const { store, ambient } = world.system;
  const seal = sealWith(readFileSync(join(folder, 'oauth.key')));
  await rotateKeys({ store, seal, now: ambient.now });
  const { port } = new URL(world.url);
  await world.close();
  world = await OauthWorld.open({ DATA_DIR: folder, PORT: port });
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 200, 'signed with the old key');
  const second = await refresh(json.refresh_token);
  assert.equal(second.status, 200, JSON.stringify(second.json));
  const [old, now] = [json.access_token, second.json.access_token].map(
    (token) => decodeProtectedHeader(String(token)).kid,
  );
  assert.notEqual(old, now, 'the new key signs');
  const { keys } = JSON.parse(await (await fetch(`${world.url}/oauth/jwks`)).text());
  assert.equal(keys.length, JSON.parse(before).keys.length + 2);
});

test('smart-server@client-removed: its tokens end with it', async () => {
  const { json } = await world.exchange(await world.authorize(patient, { scope }));
  await world.server.clients.remove('app');
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 401);
  assert.equal((await refresh(json.refresh_token)).json.error, 'invalid_client');
  await world.client('app');
});

const registrations: readonly [why: string, change: Record<string, unknown>, isFit: boolean][] = [
  ['control', {}, true],
  ['https', { redirectUris: ['https://app.example/cb?x=1'] }, true],
  ['a scheme of the app', { redirectUris: ['com.example.app:/cb'] }, true],
  [
    'a backend service with keys',
    { redirectUris: [], backend: true, kind: 'key', jwks: newKey().jwks, scopes: ['system/*.rs'] },
    true,
  ],
  ['http elsewhere', { redirectUris: ['http://app.example/cb'] }, false],
  ['a fragment', { redirectUris: ['https://app.example/cb#x'] }, false],
  ['a wildcard', { redirectUris: ['https://*.example/cb'] }, false],
  ['script', { redirectUris: ['javascript:alert(1)'] }, false],
  ['no redirect URI', { redirectUris: [] }, false],
  ['a backend service with a secret', { kind: 'secret', backend: true }, false],
  ['keys that are not given', { kind: 'key' }, false],
  ['private keys', { kind: 'key', jwks: { keys: [{ kty: 'EC', d: 'x' }] } }, false],
  ['keys over plain http', { kind: 'key', jwksUrl: 'http://app.example/jwks' }, false],
  ['a scope that is none', { scopes: ['patient/*.sr'] }, false],
  ['system scopes of an app', { scopes: ['system/*.rs'] }, false],
  ['no scope', { scopes: [] }, false],
];
for (const [why, change, isFit] of registrations) {
  test(`smart-server@registration: ${why} is ${isFit ? 'registered' : 'refused'}`, () => {
    assert.equal(clientProblems('id', { ...DRAFT, ...change }).length === 0, isFit);
  });
}

const scopes: readonly [registered: string, asked: string, allowed: boolean][] = [
  ['patient/*.cruds', 'patient/Observation.rs', true],
  ['patient/*.cruds', 'patient/Observation.read', true],
  ['patient/*.read', 'patient/Observation.rs?category=laboratory', true],
  ['patient/Observation.rs?category=laboratory', 'patient/Observation.rs', false],
  ['patient/Observation.rs?category=laboratory', 'patient/Observation.rs?category=vital-signs', false],
  ['patient/Observation.rs', 'patient/Observation.cruds', false],
  ['patient/Observation.rs', 'patient/Patient.rs', false],
  ['patient/*.rs', 'user/Patient.rs', false],
  ['user/*.rs', 'system/Patient.rs', false],
  ['patient/*.rs', 'patient/patient.rs', false],
  ['patient/*.rs', 'patient/Patient.sr', false],
  ['patient/*.rs', 'Patient/Patient.rs', false],
  ['openid', 'openid', true],
  ['openid', 'fhirUser', false],
];
for (const [registered, asked, allowed] of scopes) {
  test(`smart-server@scope-registered: ${registered} ${allowed ? 'allows' : 'does not allow'} ${asked}`, () => {
    assert.equal(isAllowed(asked, [registered]), allowed);
    const [wide, narrow] = [parseScope(registered), parseScope(asked)];
    if (wide !== undefined && narrow !== undefined) assert.equal(covers(wide, narrow), allowed);
  });
}

const waits: readonly [failures: number, ms: number][] = [
  [1, 0],
  [4, 0],
  [5, 30_000],
  [6, 60_000],
  [11, 1_920_000],
  [12, 3_600_000],
  [1000, 3_600_000],
];
test('smart-server@lock-out-waits: each failure beyond the free ones doubles the wait, up to an hour', () => {
  for (const [failures, ms] of waits) assert.equal(waitMs(failures, 5), ms, String(failures));
});

const sessions: readonly [loggedInAt: number | undefined, now: number, seconds: number, why: string][] = [
  [undefined, 1000, 1800, 'nobody is signed in yet'],
  [1000, 1000, 1800, 'half an hour without use'],
  [0, 8 * 3600 - 1800, 1800, 'the last whole half hour'],
  [0, 8 * 3600 - 60, 60, 'a minute before the end of the day'],
  [0, 8 * 3600, 1, 'the day is over'],
];
test('smart-server@session: 30 minutes idle, eight hours at most; access tokens an hour, a quarter with refresh', () => {
  for (const [loggedInAt, now, seconds, why] of sessions) assert.equal(sessionSeconds(loggedInAt, now), seconds, why);
  assert.equal(accessSeconds('patient/*.rs'), 3600);
  assert.equal(accessSeconds('patient/*.rs offline_access'), 900);
});

test('smart-server@password: Argon2id with salt; equal passwords have different hashes, composed and decomposed letters are one', async () => {
  const [one, other] = await Promise.all([passwordHash('Zürich am Morgen'), passwordHash('Zürich am Morgen')]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  assert.notEqual(one, other);
  assert.equal(await isPassword('Zürich am Morgen'.normalize('NFD'), one), true);
  assert.equal(await isPassword('Zurich am Morgen', one), false);
  assert.equal(await isPassword('', undefined), false);
});

test('smart-server@seal: a sealed secret opens only with its key and for what it was sealed', () => {
  const seal = sealWith(new Uint8Array(32).fill(1));
  const sealed = seal.close('secret', 'user:1');
  assert.equal(seal.open(sealed, 'user:1'), 'secret');
  assert.ok(!sealed.includes(Buffer.from('secret').toString('base64url')));
  assert.throws(() => seal.open(sealed, 'user:2'));
  assert.throws(() => sealWith(new Uint8Array(32).fill(2)).open(sealed, 'user:1'));
});
