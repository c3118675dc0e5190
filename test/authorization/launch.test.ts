// SMART App Launch 2.2 through the pages, and the checks of the SMART and g(10) kits on them: standalone and EHR launch, PKCE, aud, codes, refresh, revocation.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import type { TOTP } from 'otpauth';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { type Authorized, Browser, newKey, OauthWorld, PASSWORD } from './server-world.ts';

let world: OauthWorld;
const ehrKey = newKey();
const people = new Map<string, { name: string; totp: TOTP | undefined }>();
/** A user of their own for each test: a code of the second factor is good once. */
let made = 0;
async function doctor(fhirUser = 'Practitioner/12') {
  const name = `doctor-${++made}`;
  return { name, totp: await world.user(name, { fhirUser }) };
}
const somebody = (name: string) => people.get(name) ?? { name, totp: undefined };

before(async () => {
  world = await OauthWorld.open();
  for (const id of ['p1', 'p2']) await world.patient(id);
  await world.client('app');
  await world.client('secret', { kind: 'secret' });
  await world.client('narrow', { scopes: ['launch/patient', 'patient/Observation.rs'] });
  await world.client('ehr', {
    ...{ redirectUris: [], backend: true, kind: 'key', jwks: ehrKey.jwks },
    ...{ scopes: ['system/Patient.r', 'launch'], ehr: true },
  });
  await world.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
  people.set('patient-1', { name: 'patient-1', totp: undefined });
});
after(() => world.close());

const PATIENT = 'launch/patient patient/*.rs';

test('§4.2.3 §4.2.5 §4.6.1 smart-server@standalone: sign-in, second factor, patient, consent, code, token with context', async () => {
  const scope = 'openid fhirUser launch/patient patient/Observation.rs?category=laboratory patient/Patient.read';
  const authorized = await world.authorize(await doctor(), { scope }, { patient: 'p1' });
  assert.ok(authorized.code, authorized.answer.text);
  const { status, json, headers } = await world.exchange(authorized);
  assert.equal(status, 200, JSON.stringify(json));
  assert.equal(json.patient, 'p1');
  assert.deepEqual(
    new Set(String(json.scope).split(' ')),
    new Set(scope.split(' ')),
    'granted is told, granular ones opaque',
  );
  assert.ok(Number(json.expires_in) <= 3600);
  assert.equal(json.refresh_token, undefined, 'no refresh without online_access or offline_access');
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('pragma'), 'no-cache');
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 200, 'the token opens the FHIR API');
  assert.equal((await world.fhir('/Patient/p2', json.access_token)).status, 404, 'of this patient only');
  const claims = decodeJwt(String(json.access_token));
  assert.equal(claims.patient, 'p1');
  assert.equal(claims.fhirUser, `${world.fhirBase}/Practitioner/12`);
  assert.deepEqual(claims.roles, ['physician']);
  assert.equal(claims.aud, world.fhirBase);
  const keys = createRemoteJWKSet(new URL(`${world.url}/oauth/jwks`));
  const idToken = await jwtVerify(String(json.id_token), keys, { issuer: `${world.url}/oauth`, audience: 'app' });
  assert.equal(idToken.protectedHeader.alg, 'RS256');
  assert.equal(idToken.payload.fhirUser, `${world.fhirBase}/Practitioner/12`);
  assert.equal(idToken.payload.sub, claims.sub);
});

test('§4.2.4 smart-server@patient-self: a patient is asked for no patient and gets themselves', async () => {
  const { json } = await world.exchange(await world.authorize(somebody('patient-1'), { scope: PATIENT }));
  assert.equal(json.patient, 'p1');
  assert.deepEqual(decodeJwt(String(json.access_token)).roles, ['patient']);
});

test('§4.3.3 smart-server@scope-narrowing: boxes that are cleared are not granted, nor what is not registered', async () => {
  const wide = 'launch/patient patient/Observation.rs patient/Patient.rs patient/Condition.rs';
  const kept = ['launch/patient', 'patient/Patient.rs'];
  const narrowed = await world.exchange(
    await world.authorize(somebody('patient-1'), { scope: wide }, { scopes: kept }),
  );
  assert.equal(narrowed.json.scope, kept.join(' '));
  const forged = ['launch/patient', 'patient/*.cruds', 'system/*.cruds'];
  const more = await world.exchange(
    await world.authorize(somebody('patient-1'), { scope: PATIENT }, { scopes: forged }),
  );
  assert.equal(more.json.scope, 'launch/patient', 'a form cannot widen what was asked for');
  const authorized = await world.authorize(somebody('patient-1'), {
    client_id: 'narrow',
    scope: `${wide} system/*.rs`,
  });
  const registered = await world.exchange(authorized, { client_id: 'narrow' });
  assert.equal(registered.json.scope, 'launch/patient patient/Observation.rs');
});

test('smart-server@denied: nothing ticked ends at the app with access_denied', async () => {
  const { error, code } = await world.authorize(somebody('patient-1'), { scope: PATIENT }, { scopes: [] });
  assert.equal(error, 'access_denied');
  assert.equal(code, undefined);
});

const refused: readonly [why: string, changes: Record<string, string | undefined>, error: string][] = [
  ['aud of another server', { aud: 'https://other.example/fhir' }, 'invalid_request'],
  ['aud that only begins like ours', { aud: 'http://127.0.0.1:1/fhir' }, 'invalid_request'],
  ['no aud', { aud: undefined }, 'invalid_request'],
  ['no state', { state: undefined }, 'invalid_request'],
  ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
  ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['PKCE without method', { code_challenge_method: undefined }, 'invalid_request'],
  ['blank challenge', { code_challenge: '' }, 'invalid_request'],
  ['the scope launch without a launch', { scope: 'launch patient/*.rs' }, 'invalid_request'],
  ['a launch that nobody opened', { scope: 'launch patient/*.rs', launch: 'invented' }, 'invalid_request'],
  ['implicit', { response_type: 'token' }, 'unsupported_response_type'],
  ['hybrid', { response_type: 'code id_token' }, 'unsupported_response_type'],
  ['a request object', { request: 'a.b.c' }, 'request_not_supported'],
];
for (const [why, changes, error] of refused) {
  test(`§4.2.1 §4.6.2 §8.14 smart-server@authorize-refused: ${why}`, async () => {
    const authorized = await world.authorize(somebody('patient-1'), changes);
    assert.equal(authorized.error, error, authorized.answer.text);
    assert.equal(authorized.code, undefined);
  });
}

const nowhere: readonly [why: string, changes: Record<string, string | undefined>][] = [
  ['a redirect URI that is not registered', { redirect_uri: 'https://evil.example/callback' }],
  ['a redirect URI that only begins like it', { redirect_uri: 'http://127.0.0.1:9/callback/more' }],
  ['another port of loopback', { redirect_uri: 'http://127.0.0.1:10/callback' }],
  ['no redirect URI', { redirect_uri: undefined }],
  ['a client that is not there', { client_id: 'nobody' }],
  ['no client', { client_id: undefined }],
];
for (const [why, changes] of nowhere) {
  test(`§4.2.1 smart-server@redirect-exact: ${why} leads to a page that repeats nothing and redirects nowhere`, async () => {
    const marked = { ...changes, state: '<script>alert(1)</script>', scope: '"><img src=x>' };
    const answer = await new Browser().ask(world.authorizeUrl(marked, 'x'.repeat(43)));
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get('location'), null);
    assert.match(answer.headers.get('content-type') ?? '', /html/);
    assert.doesNotMatch(answer.text, /alert\(1\)|img src|evil\.example|nobody/);
    assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  });
}

const wrongVerifiers: readonly [why: string, change: (authorized: Authorized) => Record<string, string>][] = [
  ['a wrong verifier', () => ({ code_verifier: 'y'.repeat(43) })],
  ['no verifier', () => ({ code_verifier: '' })],
  ['a wrong redirect URI', () => ({ redirect_uri: 'http://127.0.0.1:9/other' })],
  ['a code that nobody issued', () => ({ code: 'invented' })],
  ['the code of another client', () => ({ client_id: 'narrow' })],
];
for (const [why, change] of wrongVerifiers) {
  test(`§4.2.2 §4.6.2 smart-server@code-refused: ${why}`, async () => {
    const authorized = await world.authorize(somebody('patient-1'));
    assert.ok(authorized.code);
    const { status, json } = await world.exchange(authorized, change(authorized));
    assert.equal(status, 400);
    assert.match(String(json.error), /^invalid_(?:grant|request)$/);
  });
}

test('§4.2.1 §4.6.2 smart-server@pkce-challenge-as-verifier: the challenge is no verifier', async () => {
  const authorized = await world.authorize(somebody('patient-1'));
  const challenge = new URL(world.authorizeUrl({}, authorized.verifier)).searchParams.get('code_challenge') ?? '';
  assert.equal((await world.exchange(authorized, { code_verifier: challenge })).status, 400);
});

test('§4.2.2 smart-server@code-once: a code is good once, also at the same time; its second use ends what the first gave', async () => {
  const authorized = await world.authorize(somebody('patient-1'));
  const answers = await Promise.all([
    world.exchange(authorized),
    world.exchange(authorized),
    world.exchange(authorized),
  ]);
  const won = answers.filter(({ status }) => status === 200);
  assert.equal(won.length, 1);
  assert.equal((await world.exchange(authorized)).json.error, 'invalid_grant');
  assert.equal(await world.server.tokens.claims(String(won[0]?.json.access_token)), undefined);
});

test('§4.2.6 §4.6.2 smart-server@refresh: rotates, may narrow and not widen, keeps the patient; reuse ends the family', async () => {
  const scope = 'launch/patient offline_access patient/Patient.rs patient/Observation.rs';
  const first = await world.exchange(await world.authorize(somebody('patient-1'), { scope }));
  assert.ok(first.json.refresh_token, JSON.stringify(first.json));
  const refresh = (token: unknown, more: Record<string, string> = {}) =>
    world.token({ grant_type: 'refresh_token', client_id: 'app', refresh_token: String(token), ...more });
  const second = await refresh(first.json.refresh_token);
  assert.equal(second.status, 200, JSON.stringify(second.json));
  assert.equal(second.json.patient, 'p1');
  assert.ok(Number(second.json.expires_in) > 0);
  assert.notEqual(second.json.refresh_token, first.json.refresh_token);
  const narrowed = await refresh(second.json.refresh_token, { scope: 'launch/patient patient/Patient.rs' });
  assert.equal(narrowed.json.scope, 'launch/patient patient/Patient.rs');
  const widened = await refresh(narrowed.json.refresh_token, { scope: 'patient/*.cruds' });
  assert.equal(widened.json.error, 'invalid_scope');
  assert.equal((await refresh(narrowed.json.refresh_token, { client_id: 'narrow' })).json.error, 'invalid_request');
  assert.equal((await refresh('invented')).json.error, 'invalid_grant');
  assert.equal((await refresh(first.json.refresh_token)).json.error, 'invalid_grant', 'used before');
  assert.equal((await refresh(narrowed.json.refresh_token)).json.error, 'invalid_grant', 'the newest ended with it');
  assert.equal(await world.server.tokens.claims(String(narrowed.json.access_token)), undefined);
});

test('§4.2.6 smart-server@online-access: a refresh lives as long as the session, and ends with the sign-out', async () => {
  const browser = new Browser();
  const scope = 'openid launch/patient online_access patient/Patient.rs';
  const first = await world.exchange(await world.authorize(somebody('patient-1'), { scope }, { browser }));
  const refresh = (token: unknown) =>
    world.token({ grant_type: 'refresh_token', client_id: 'app', refresh_token: String(token) });
  const second = await refresh(first.json.refresh_token);
  assert.equal(second.status, 200, JSON.stringify(second.json));
  const page = await browser.ask(`${world.url}/oauth/logout`);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
  assert.notEqual(xsrf, '', page.text);
  const left = await browser.post(`${world.url}/oauth/logout/confirm`, { xsrf, logout: 'yes' });
  assert.equal(left.status, 303);
  assert.match((await browser.ask(left.headers.get('location') ?? '')).text, /signed out/i);
  assert.equal((await refresh(second.json.refresh_token)).json.error, 'invalid_grant');
  assert.equal(await world.server.tokens.claims(String(second.json.access_token)), undefined);
});

test('§4.2.6 §4.6.2 smart-server@revocation: the access token and the refresh token end; those of others do not', async () => {
  const scope = 'launch/patient offline_access patient/Patient.rs';
  const { json } = await world.exchange(await world.authorize(somebody('patient-1'), { scope }));
  const foreign = await world.post('/revoke', { token: String(json.refresh_token), client_id: 'narrow' });
  assert.equal(foreign.status, 200);
  assert.notEqual(await world.server.tokens.claims(String(json.access_token)), undefined);
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 200);
  assert.equal((await world.post('/revoke', { token: String(json.refresh_token), client_id: 'app' })).status, 200);
  assert.equal((await world.fhir('/Patient/p1', json.access_token)).status, 401, 'at once');
  assert.equal(await world.server.tokens.claims(String(json.access_token)), undefined);
  const again = await world.token({
    grant_type: 'refresh_token',
    client_id: 'app',
    refresh_token: String(json.refresh_token),
  });
  assert.equal(again.json.error, 'invalid_grant');
});

test('§4.2.2 smart-server@secret: a client with a secret needs it, by Basic', async () => {
  const scopes = 'launch/patient patient/Patient.rs';
  await world.server.clients.remove('secret');
  const secret = (await world.client('secret', { kind: 'secret' })) ?? '';
  const exchanged = async (authorization: string | undefined) => {
    const { code, verifier } = await world.authorize(somebody('patient-1'), { client_id: 'secret', scope: scopes });
    const form = { grant_type: 'authorization_code', redirect_uri: 'http://127.0.0.1:9/callback' };
    const headers = authorization === undefined ? {} : { authorization };
    const id = authorization === undefined ? { client_id: 'secret' } : {};
    return world.token({ ...form, ...id, code: code ?? '', code_verifier: verifier }, headers);
  };
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  assert.equal((await exchanged(basic(`secret:${secret}`))).status, 200);
  assert.equal((await exchanged(basic('secret:wrong'))).status, 401);
  assert.equal((await exchanged(undefined)).status, 401);
});

test('§4.2.1 §4.2.4 §4.6.1 smart-server@ehr-launch: an EHR opens a launch, the app takes it once with its patient, encounter and intent', async () => {
  const ehrToken = await world.backendToken('ehr', ehrKey, 'launch system/Patient.r');
  const open = async (body: unknown, token = String(ehrToken.json.access_token)) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    return fetch(`${world.url}/oauth/launch`, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  const opened = await open({
    ...{
      patient: 'p2',
      encounter: 'e1',
      intent: 'reconcile-medications',
      client_id: 'app',
      need_patient_banner: false,
    },
    fhirContext: [{ reference: 'ImagingStudy/i1' }],
  });
  assert.equal(opened.status, 201);
  const { launch } = (await opened.json()) as { launch: string };
  const request = { scope: 'launch patient/*.rs', launch };
  const foreign = await world.authorize(await doctor(), { ...request, client_id: 'narrow' });
  assert.equal(foreign.error, 'invalid_request', 'of another app');
  const { json } = await world.exchange(await world.authorize(await doctor(), request));
  assert.equal(json.patient, 'p2', JSON.stringify(json));
  assert.equal(json.encounter, 'e1');
  assert.equal(json.intent, 'reconcile-medications');
  assert.equal(json.need_patient_banner, false);
  assert.deepEqual(json.fhirContext, [{ reference: 'ImagingStudy/i1' }]);
  assert.equal((await world.authorize(await doctor(), request)).error, 'invalid_request', 'used');
  const bound = (await (await open({ patient: 'p2', user: 'Practitioner/99' })).json()) as { launch: string };
  const other = await world.authorize(await doctor(), { ...request, launch: bound.launch });
  assert.equal(other.error, 'access_denied', 'of another user');
  const wrong: readonly unknown[] = [
    { patient: 'none-such' },
    { patient: '../p1' },
    { fhirContext: [{ reference: 'Patient/p1' }] },
    [],
    'x',
  ];
  for (const body of wrong) assert.equal((await open(body)).status, 400, JSON.stringify(body));
  assert.equal((await open({ patient: 'p2' }, 'invented')).status, 401);
  const app = await world.exchange(await world.authorize(somebody('patient-1')));
  assert.equal((await open({ patient: 'p2' }, String(app.json.access_token))).status, 403, 'no EHR');
});

test('§4.2.1 §4.6.2 smart-server@authorize-post: the authorization request may come by POST', async () => {
  const { search } = new URL(world.authorizeUrl({}, 'v'.repeat(43)));
  const form = Object.fromEntries(new URLSearchParams(search));
  const answer = await new Browser().post(`${world.url}/oauth/authorize`, form);
  assert.equal(answer.status, 303);
  assert.match(answer.headers.get('location') ?? '', /\/oauth\/interaction\//);
});

test('smart-server@prompt-none: without a page there is no code', async () => {
  const { error } = await world.authorize(somebody('patient-1'), { prompt: 'none' });
  assert.match(error ?? '', /_required$/);
});

test('smart-server@lock-out: after five failures nothing is tried, the right password neither; others still may', async () => {
  const name = (await doctor()).name;
  const browser = new Browser();
  const start = await browser.ask(world.authorizeUrl({}, 'v'.repeat(43)));
  const page = start.headers.get('location') ?? '';
  const attempt = (password: string) => browser.post(page, { step: 'login', name, password });
  const texts = new Set<string>();
  for (let count = 0; count < 5; count++) {
    const answer = await attempt('wrong wrong wrong');
    assert.equal(answer.status, 401);
    texts.add(answer.text);
  }
  const locked = await attempt(PASSWORD);
  assert.equal(locked.status, 401);
  assert.equal(texts.add(locked.text).size, 1, 'the page does not say why');
  texts.add((await browser.post(page, { step: 'login', name: 'nobody-at-all', password: PASSWORD })).text);
  assert.equal(texts.size, 1, 'nor whether the name is known');
  assert.ok((await world.authorize(somebody('patient-1'))).code);
});

test('smart-server@second-factor: a code is asked for, is good once, and a wrong one is refused', async () => {
  const { name, totp } = await doctor();
  const signIn = async (code: string) => {
    const browser = new Browser();
    const page = (await browser.ask(world.authorizeUrl({}, 'v'.repeat(43)))).headers.get('location') ?? '';
    const asked = await browser.post(page, { step: 'login', name, password: PASSWORD });
    assert.match(asked.text, /autocomplete="one-time-code"/);
    assert.equal(asked.headers.get('location'), null, 'the password alone opens nothing');
    return browser.post(page, { step: 'code', code });
  };
  const code = totp?.generate() ?? '';
  assert.equal((await signIn(code === '000000' ? '000001' : '000000')).status, 401);
  assert.equal((await signIn(code)).status, 303);
  assert.equal((await signIn(code)).status, 401, 'used');
});

test('smart-server@page: no script, no inline style, nothing from elsewhere, labels for every field', async () => {
  const browser = new Browser();
  const start = await browser.ask(world.authorizeUrl({}, 'v'.repeat(43)));
  const { text, headers } = await browser.ask(start.headers.get('location') ?? '');
  assert.doesNotMatch(text, /<script|<style|style=|\son\w+=|https?:\/\//);
  const policy = headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.equal(headers.get('cache-control'), 'no-store');
  for (const [, id = ''] of text.matchAll(/<input id="([^"]+)"/g)) assert.match(text, new RegExp(`<label for="${id}"`));
  assert.match(text, /<html lang="en">/);
});

test('smart-server@interaction-bound: a page belongs to the browser that began it, and to no page of another site', async () => {
  const browser = new Browser();
  const start = await browser.ask(world.authorizeUrl({}, 'v'.repeat(43)));
  const page = start.headers.get('location') ?? '';
  assert.equal((await new Browser().ask(page)).status, 400);
  const crossSite = {
    method: 'POST',
    headers: { 'sec-fetch-site': 'cross-site' },
    body: new URLSearchParams({ step: 'cancel' }),
  };
  assert.equal((await browser.ask(page, crossSite)).status, 403);
});

test('§4.1.3 smart-server@cors: pages of a public client may ask for tokens; others may not', async () => {
  const asked = (origin: string) =>
    world.token(
      { grant_type: 'authorization_code', client_id: 'app', code: 'x', redirect_uri: 'x', code_verifier: 'x' },
      { origin },
    );
  assert.equal((await asked('http://127.0.0.1:9')).headers.get('access-control-allow-origin'), 'http://127.0.0.1:9');
  assert.equal((await asked('https://evil.example')).headers.get('access-control-allow-origin'), null);
  assert.equal(await world.server.allowsOrigin('http://127.0.0.1:9'), true);
  assert.equal(await world.server.allowsOrigin('https://evil.example'), false);
});

test('smart-server@secrets-at-rest: no token, code, cookie or password is in the store', async () => {
  const browser = new Browser();
  const scope = 'launch/patient offline_access patient/Patient.rs';
  const authorized = await world.authorize(somebody('patient-1'), { scope }, { browser });
  const { json } = await world.exchange(authorized);
  const spaces = [
    'AccessToken',
    'AuthorizationCode',
    'RefreshToken',
    'Session',
    'Interaction',
    'Grant',
    'user',
    'client',
    'signing-key',
  ];
  const held: string[] = [];
  for (const space of spaces) {
    for (const { key, value } of await world.system.store.keyedPage(`oauth.${space}`, { count: 1000 }))
      held.push(key, value);
  }
  const all = held.join('\n');
  assert.ok(all.length > 1000);
  for (const secret of [json.refresh_token, json.access_token, authorized.code, PASSWORD]) {
    assert.ok(!all.includes(String(secret)), 'a secret is kept as it is');
  }
  assert.doesNotMatch(all, /"d":"|"cookie":/);
});

test('smart-server@audit: sign-in, failure, lock-out, consent and tokens leave AuditEvents with DICOM and IHE codes', async () => {
  const found = async (query: string) => {
    const wire = { method: 'GET', path: '/AuditEvent', query: `${query}&_count=1`, headers: {}, body: undefined };
    const { body = '' } = await world.system.answerHeavy(wire, localFacts('audit', '127.0.0.1'));
    return JSON.parse(body).entry?.length ?? 0;
  };
  for (const query of [
    'type=110114&subtype=110122&outcome=0',
    'type=110114&subtype=110122&outcome=4',
    'type=110114&subtype=110123',
    'type=110114&subtype=ITI-71&outcome=0',
    'type=110114&subtype=ITI-71&outcome=4',
    'type=110114&subtype=token-revoke',
    'type=110113&subtype=AuthZ-Consent&outcome=0&patient=Patient/p1',
    'type=110113&subtype=AuthZ-Consent&outcome=4',
    'type=110113&subtype=lock-out',
  ])
    assert.equal(await found(query), 1, query);
});
