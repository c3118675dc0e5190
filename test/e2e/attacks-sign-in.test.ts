// Attacks on signing in at the embedded authorization server, over HTTP (docs/authorization-server.md; RFC 9700; RFC 9207; OWASP ASVS 5: V3, V6, V7, V10).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { localFacts } from '../../src/rest/permission/caller.ts';
import { type Answer, Browser, freePort, OauthWorld, PASSWORD, REDIRECT } from '../authorization/server-world.ts';
import { limit } from '../test-store.ts';

const LIMIT = { timeout: limit(60_000) };
const HOSTILE = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`;
const VERIFIER = 'v'.repeat(43);
let w: OauthWorld;
before(async () => {
  w = await OauthWorld.open();
  for (const id of ['p1', 'p2']) await w.patient(id);
  await stored('Patient', { id: 'p3', name: [{ family: HOSTILE }] });
  await stored('RelatedPerson', { id: 'mother', patient: { reference: 'Patient/p1' }, active: true });
  await stored('RelatedPerson', { id: 'former', patient: { reference: 'Patient/p1' }, active: false });
  await w.client('app');
  await w.client('hostile', { name: HOSTILE });
  await w.client('native', { redirectUris: ['com.example.app:/callback', REDIRECT] });
  await w.user('patient-1', { role: 'patient', fhirUser: 'Patient/p1' });
  for (const id of ['mother', 'former', 'nobody'])
    await w.user(id, { role: 'patient', fhirUser: `RelatedPerson/${id}` });
  await w.user('person', { role: 'patient', fhirUser: 'Person/p1' });
});
after(() => w.close());

async function stored(resourceType: string, more: { readonly id: string; readonly [element: string]: unknown }) {
  const headers = { 'content-type': 'application/fhir+json' };
  const path = `/${resourceType}/${more.id}`;
  const body = JSON.stringify({ resourceType, ...more });
  const { status } = await w.system.answerHeavy(
    { method: 'PUT', path, query: '', headers, body },
    localFacts('test', '127.0.0.1'),
  );
  assert.equal(status, 201);
}
const by = (name: string) => ({ name, totp: undefined });
const PATIENT = by('patient-1');
const location = ({ headers }: Answer): string => headers.get('location') ?? '';
const asked = (changes: Readonly<Record<string, string | undefined>>): Promise<Answer> =>
  new Browser().ask(w.authorizeUrl(changes, VERIFIER));

/** A browser that keeps what it was shown. */
class Witness extends Browser {
  readonly seen: Answer[] = [];
  override async ask(url: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await super.ask(url, init);
    this.seen.push(answer);
    return answer;
  }
  get cookies(): readonly string[] {
    return this.seen.flatMap(({ headers }) => headers.getSetCookie());
  }
  get sessions(): readonly string[] {
    return this.cookies.flatMap((line) => /^firewatch_session=([^;]+)/.exec(line)?.[1] ?? []);
  }
}
/** The page of a sign-in that was just begun. */
async function begun(changes: Readonly<Record<string, string>> = {}, browser = new Browser()) {
  return { browser, page: location(await browser.ask(w.authorizeUrl(changes, VERIFIER))) };
}

const redirects: readonly [why: string, uri: string, client?: string][] = [
  ['another site', 'https://evil.example/callback'],
  ['a path below it', `${REDIRECT}/../evil`],
  ['a longer path', `${REDIRECT}-evil`],
  ['a query', `${REDIRECT}?next=https://evil.example`],
  ['a fragment', `${REDIRECT}#evil`],
  ['its host as a user name', 'http://127.0.0.1:9@evil.example/callback'],
  ['a user name before its host', 'http://evil.example@127.0.0.1:9/callback'],
  ['its host as a label of another', 'http://127.0.0.1.evil.example:9/callback'],
  ['a backslash', 'http://127.0.0.1:9\\@evil.example/callback'],
  ['another port', 'http://127.0.0.1:10/callback'],
  ['no port', 'http://127.0.0.1/callback'],
  ['localhost for 127.0.0.1', 'http://localhost:9/callback'],
  ['the same address in other words', 'http://127.1:9/callback'],
  ['IPv6 loopback', 'http://[::1]:9/callback'],
  ['another scheme', 'https://127.0.0.1:9/callback'],
  ['upper case', 'HTTP://127.0.0.1:9/callback'],
  ['an escaped path', 'http://127.0.0.1:9/%63allback'],
  ['a blank before it', ` ${REDIRECT}`],
  ['a line break', `${REDIRECT}\r\nLocation: https://evil.example`],
  ['a NUL', `${REDIRECT}\0.evil.example`],
  ['script', 'javascript:alert(1)'],
  ['data', 'data:text/html,<script>alert(1)</script>'],
  ['no host', '//evil.example'],
  ['a relative one', '/callback'],
  ['nothing', ''],
  ["a native app's scheme with another path", 'com.example.app:/evil', 'native'],
  ["a native app's scheme with a host", 'com.example.app://evil.example/callback', 'native'],
  ['another path of loopback for a native app', 'http://127.0.0.1:10/evil', 'native'],
  ['another loopback name for a native app', 'http://localhost:9/callback', 'native'],
];
for (const [why, redirect_uri, client_id = 'app'] of redirects)
  test(`attack@redirect ${why}: a page that leads nowhere and repeats nothing`, LIMIT, async () => {
    for (const more of [{}, { prompt: 'none' }, { response_type: 'token' }, { scope: undefined }]) {
      const answer = await asked({ redirect_uri, client_id, ...more });
      assert.equal(answer.status, 400);
      assert.equal(answer.headers.get('location'), null);
      assert.doesNotMatch(answer.text, /evil|alert\(1\)|Location:/);
    }
  });

const refusals: readonly [why: string, changes: Record<string, string | undefined>, error: RegExp][] = [
  ['PKCE plain', { code_challenge_method: 'plain', code_challenge: VERIFIER }, /^invalid_request$/],
  ['PKCE none', { code_challenge_method: undefined, code_challenge: undefined }, /^invalid_request$/],
  ['PKCE downgrade by leaving the method out', { code_challenge_method: undefined }, /^invalid_request$/],
  ['PKCE by a method of another case', { code_challenge_method: 's256' }, /^invalid_request$/],
  ['PKCE with a challenge that is too short', { code_challenge: 'x'.repeat(42) }, /^invalid_request$/],
  ['PKCE with a challenge of other characters', { code_challenge: `${'x'.repeat(42)}\n` }, /^invalid_request$/],
  ['implicit', { response_type: 'token' }, /^unsupported_response_type$/],
  ['an ID token from the front', { response_type: 'id_token', nonce: 'n' }, /^unsupported_response_type$/],
  ['hybrid', { response_type: 'code token' }, /^unsupported_response_type$/],
  ['no response at all', { response_type: 'none' }, /^unsupported_response_type$/],
  ['the code in a fragment', { response_mode: 'fragment' }, /^invalid_request$/],
  ['the code to another window', { response_mode: 'web_message' }, /^unsupported_response_mode$/],
  ['the code in a JWT', { response_mode: 'jwt' }, /^unsupported_response_mode$/],
  ['a request object without signature', { request: 'eyJhbGciOiJub25lIn0.e30.' }, /^request_not_supported$/],
  ['a request object elsewhere', { request_uri: 'https://evil.example/r' }, /^request_uri_not_supported$/],
  ['a registration in the request', { registration: '{}' }, /^registration_not_supported$/],
  ['another resource', { resource: 'https://evil.example/fhir' }, /^invalid_target$/],
  ['no page without a session', { prompt: 'none' }, /^login_required$/],
  ['no page, and one', { prompt: 'none login' }, /^invalid_request$/],
  ['a negative max_age', { max_age: '-1' }, /^invalid_request$/],
  ['emergency access without pages', { prompt: 'none', purpose_of_use: 'BTG' }, /^(?:invalid_request|login_required)$/],
];
for (const [why, changes, error] of refusals)
  test(`attack@authorize ${why}: refused at the app, by this issuer, and no code`, LIMIT, async () => {
    const state = `"><script>alert(1)</script>\r\nSet-Cookie: a=b&code=forged`;
    const answer = await asked({ state, ...changes });
    const target = location(answer);
    assert.ok(target.startsWith(`${REDIRECT}?`) || target.startsWith(`${REDIRECT}#`), `${answer.status} ${target}`);
    const { search, hash } = new URL(target);
    const said = new URLSearchParams(search === '' ? hash.slice(1) : search);
    assert.match(said.get('error') ?? '', error);
    assert.equal(said.get('iss'), `${w.url}/oauth`, 'RFC 9207: whose answer it is');
    assert.equal(said.get('state'), state, 'as it was sent');
    assert.deepEqual([said.get('code'), answer.headers.getSetCookie().includes('a=b')], [null, false]);
    assert.doesNotMatch(answer.text + target, /<script/);
  });

test('attack@authorize the code by a form: refused, and the page has no code', LIMIT, async () => {
  const answer = await asked({ response_mode: 'form_post', state: HOSTILE });
  assert.equal(answer.status, 400);
  assert.doesNotMatch(answer.text, /name="code"|<img|alert\(1\)<\/script>/);
  assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'/);
});

for (const name of ['client_id', 'redirect_uri', 'scope', 'state', 'code_challenge', 'aud', 'launch', 'prompt'])
  test(`attack@authorize ${name} twice: refused`, LIMIT, async () => {
    const url = new URL(w.authorizeUrl({}, VERIFIER));
    for (const value of ['one', 'two']) url.searchParams.append(name, value);
    const answer = await new Browser().ask(url.href);
    assert.doesNotMatch(location(answer), /interaction|[?&#]code=/);
    assert.ok(answer.status === 400 || location(answer).includes('error=invalid_request'), location(answer));
  });

const values: readonly [what: string, value: string][] = [
  ['long', 'x'.repeat(3000)],
  ['NUL', 'a\0b'],
  ['a lone surrogate', '\ud800'],
  ['markup', HOSTILE],
  ['a prototype', '__proto__'],
  ['an expression', '$' + '{7*7}{{7*7}}'],
];
for (const [what, value] of values)
  test(`attack@authorize values: ${what} in any parameter is no fault and is on no page`, LIMIT, async () => {
    for (const name of [
      'client_id',
      'scope',
      'state',
      'aud',
      'launch',
      'prompt',
      'ui_locales',
      'login_hint',
      'nonce',
      'claims',
      'id_token_hint',
      'display',
      '__proto__',
    ]) {
      const browser = new Browser();
      const answer = await browser.ask(w.authorizeUrl({ [name]: value }, VERIFIER));
      assert.ok(answer.status < 500, `${name}: ${answer.status}`);
      const shown = location(answer).includes('/interaction/') ? await browser.ask(location(answer)) : answer;
      assert.ok(shown.status < 500, `${name}: ${shown.status}`);
      if (value === HOSTILE) assert.doesNotMatch(shown.text, /alert\(1\)<|<img|onerror=alert\(1\)>/);
    }
  });

test(
  'attack@pages markup in the names of app and patient is text on every page, which nobody may frame or keep',
  LIMIT,
  async () => {
    const browser = new Witness();
    const doctor = { name: 'dr.page', totp: await w.user('dr.page') };
    const authorized = await w.authorize(doctor, { client_id: 'hostile' }, { patient: 'p3', browser });
    assert.ok(authorized.code);
    const shown = browser.seen.filter(({ status }) => status === 200);
    const search = await begun({ client_id: 'hostile' }, browser);
    const next = location(await browser.ask(search.page));
    shown.push(await browser.post(next === '' ? search.page : next, { step: 'search', search: '<script>' }));
    shown.push(await browser.post(search.page, { step: 'patient', patient: HOSTILE }));
    shown.push(await browser.ask(`${w.url}/oauth/logout`), await asked({ client_id: HOSTILE }));
    assert.ok(shown.some(({ text }) => text.includes('&lt;script&gt;alert(1)')));
    for (const { text, headers } of shown) {
      assert.doesNotMatch(text, /<script|<img|<svg|onerror=alert\(1\)>/);
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none';.*frame-ancestors 'none'/);
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('referrer-policy') ?? '', /^(?:same-origin|no-referrer)$/);
    }
  },
);

const forgeries: readonly [why: string, status: number, headers: Record<string, string>][] = [
  ['the Origin of another site', 403, { origin: 'https://evil.example' }],
  ['an Origin that hides', 403, { origin: 'null' }],
  ['an Origin that only begins like ours', 403, { origin: 'http://127.0.0.1:9' }],
  ['a page of another site', 403, { 'sec-fetch-site': 'cross-site' }],
  ['a page of a neighbour', 403, { 'sec-fetch-site': 'same-site' }],
];
for (const [why, status, headers] of forgeries)
  test(`attack@csrf ${why}: takes no step`, LIMIT, async () => {
    const { browser, page } = await begun();
    const form = new URLSearchParams({ step: 'login', name: 'patient-1', password: PASSWORD });
    assert.equal((await browser.ask(page, { method: 'POST', headers, body: form })).status, status);
    assert.match((await browser.ask(page)).text, /name="step" value="login"/, 'as it was');
  });
test(
  "attack@csrf another browser's interaction, one of another request, and a step in the query: nothing is done",
  LIMIT,
  async () => {
    const { browser, page } = await begun();
    const other = await begun();
    const form = { step: 'login', name: 'patient-1', password: PASSWORD };
    assert.equal((await other.browser.post(page, form)).status, 400);
    assert.equal((await browser.post(`${w.url}/oauth/interaction/${'x'.repeat(43)}`, form)).status, 400);
    const queried = await browser.ask(`${page}?${new URLSearchParams(form)}`);
    assert.match(queried.text, /name="step" value="login"/);
    assert.match(
      (await browser.post(page, { step: 'consent', scope: 'patient/*.rs' })).text,
      /name="step" value="login"/,
    );
    assert.equal((await browser.post(`${w.url}/oauth/logout/confirm`, { logout: 'yes', xsrf: 'guessed' })).status, 400);
  },
);

test('attack@logout an address that nobody registered is not gone to', LIMIT, async () => {
  for (const more of ['&client_id=app', '', '&id_token_hint=a.b.c']) {
    const url = `${w.url}/oauth/logout?post_logout_redirect_uri=${encodeURIComponent('https://evil.example/')}${more}`;
    const answer = await new Browser().ask(url);
    assert.equal(answer.headers.get('location'), null);
    assert.doesNotMatch(answer.text, /evil\.example/);
  }
});

test(
  'attack@session a planted session is not taken; its id changes with each sign-in; cookies are for us and no script',
  LIMIT,
  async () => {
    const browser = new Witness();
    const planted = { headers: { cookie: 'firewatch_session=planted; firewatch_session.sig=planted' } };
    await browser.ask(w.authorizeUrl({}, VERIFIER), planted);
    assert.ok((await w.authorize(PATIENT, {}, { browser })).code);
    const first = browser.sessions.at(-1);
    assert.ok(first !== undefined && !browser.sessions.includes('planted'));
    assert.ok((await w.authorize(PATIENT, { prompt: 'login' }, { browser })).code);
    assert.notEqual(browser.sessions.at(-1), first);
    const thief = new Browser();
    const stolen = { headers: { cookie: `firewatch_session=${browser.sessions.at(-1)}` } };
    const answer = await thief.ask(w.authorizeUrl({ prompt: 'none' }, VERIFIER), stolen);
    assert.match(location(answer), /error=login_required/, 'without its signature it is nothing');
    for (const line of browser.cookies.filter((each) => !each.includes('1970'))) {
      assert.match(line, /; httponly/i);
      assert.match(line, /; samesite=(?:lax|strict)/i);
      assert.match(line, /; path=\/oauth/);
      assert.doesNotMatch(line, /; (?:domain|secure)/i);
    }
  },
);
test(
  'attack@session max_age=0 and prompt=login ask for the password again, and without a page there is no answer',
  LIMIT,
  async () => {
    const browser = new Browser();
    assert.ok((await w.authorize(PATIENT, {}, { browser })).code);
    const scope = 'openid launch/patient patient/*.rs';
    for (const changes of [{ max_age: '0', scope }, { prompt: 'login' }]) {
      const { page } = await begun(changes, browser);
      assert.match((await browser.ask(page)).text, /name="step" value="login"/);
    }
    const { error } = await w.authorize(PATIENT, { prompt: 'none', max_age: '0', scope }, { browser });
    assert.equal(error, 'login_required');
  },
);
test('attack@session behind https every cookie is Secure', LIMIT, async () => {
  const port = String(await freePort());
  const secure = await OauthWorld.open({ PUBLIC_URL: 'https://fhir.example.org', PORT: port });
  try {
    await secure.client('app');
    const url = secure.authorizeUrl({}, VERIFIER).replace('https://fhir.example.org', `http://127.0.0.1:${port}`);
    const answer = await fetch(url, { redirect: 'manual' });
    const lines = answer.headers.getSetCookie();
    assert.ok(lines.length > 0, String(answer.status));
    for (const line of lines) assert.match(line, /; secure/i);
  } finally {
    await secure.close();
  }
});

const reaches: readonly [why: string, user: string, scope: string][] = [
  ['a patient, by user/ scopes', 'patient-1', 'user/Patient.rs user/Observation.rs'],
  ['a patient, by user/*', 'patient-1', 'user/*.rs'],
  ['a patient who names another', 'patient-1', 'launch/patient patient/*.rs'],
  ['who acts for somebody else', 'mother', 'launch/patient patient/*.rs'],
  ['who acts for somebody else, by user/ scopes', 'mother', 'user/*.rs'],
  ['who acted once', 'former', 'launch/patient patient/*.rs'],
  ['who is in no record', 'nobody', 'launch/patient patient/*.rs'],
  ['a Person', 'person', 'launch/patient patient/*.rs'],
];
for (const [why, user, scope] of reaches)
  test(`attack@reach ${why}: gets at nobody else's record`, LIMIT, async () => {
    const authorized = await w.authorize(by(user), { scope }, { patient: 'p2' });
    if (authorized.code === undefined) {
      assert.doesNotMatch(authorized.answer.text, /Fenwick/);
      return;
    }
    const { json } = await w.exchange(authorized);
    assert.notEqual(json.patient, 'p2');
    assert.equal((await w.fhir('/Patient/p2', json.access_token)).status, 404);
  });
test('attack@reach who acts for a patient chooses that one, and finds no other by name', LIMIT, async () => {
  const browser = new Browser();
  const authorized = await w.authorize(by('mother'), {}, { patient: 'p1', browser });
  const { json } = await w.exchange(authorized);
  assert.equal(json.patient, 'p1');
  assert.equal((await w.fhir('/Patient/p2', json.access_token)).status, 404);
  const { page } = await begun({}, browser);
  const { text } = await browser.post(page, { step: 'search', search: 'Fenwick' });
  assert.match(text, /id p1/);
  assert.doesNotMatch(text, /id p[23]/);
});
