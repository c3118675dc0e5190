// The demonstration with AUTHORIZATION=embedded, by strangers' software: a small public app in Chromium, fhirclient (SMART JS) in Chromium,
// fhir-kit-client as a backend service. What is missing on a machine (browser, registry) is skipped with a word.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client } from 'fhir-kit-client';
import { importJWK, SignJWT } from 'jose';
import { Secret, TOTP } from 'otpauth';
import type { Browser, Page } from 'playwright-core';
import { embeddedOnly, limit, storeSettings } from '../test-store.ts';
import { lowContrast, NO_BROWSER, openBrowser } from './browser.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

const TIMEOUT = limit(90_000);
const SCOPES = 'openid fhirUser launch/patient patient/*.rs';
let folder = '';
let server: Running;
let browser: Browser | undefined;
let app: Server;
let appUrl = '';
const library = sources('fhirclient@2.6.3', 'package/build/fhir-client.js');

/** One file of a published package, from the registry that npm is set to; undefined when it cannot be had. */
function sources(what: string, file: string): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'firewatch-pack-'));
  try {
    const options = { cwd: place, encoding: 'utf8', timeout: 60_000, stdio: 'pipe' } as const;
    const name = execFileSync('npm', ['pack', '--silent', what], options).trim().split('\n').at(-1) ?? '';
    execFileSync('tar', ['xzf', name, file], options);
    return readFileSync(join(place, file), 'utf8');
  } catch {
    return undefined;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

const command = (...args: string[]) =>
  spawnSync(process.execPath, ['src/main.ts', ...args], {
    env: { ...process.env, ...storeSettings(folder) },
    encoding: 'utf8',
  });

before(async () => {
  folder = newFolder();
  app = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    response.setHeader('Content-Type', path.endsWith('.js') ? 'text/javascript' : 'text/html');
    response.end(PAGES.get(path)?.() ?? '');
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  const address = app.address();
  appUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const redirects = [`${appUrl}/app`, `${appUrl}/back`];
  const added = command(
    'client',
    'add',
    'page',
    '--name',
    'A small app',
    '--scope',
    SCOPES,
    '--redirect-uri',
    ...redirects,
  );
  assert.equal(added.status, 0, added.stderr);
  server = await start({ SEED: 'demo', AUTHORIZATION: 'embedded' }, folder);
  if (NO_BROWSER === false) browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server.stop();
  app.closeAllConnections();
  app.close();
  removeFolder(folder);
});

/** What the demonstration prints. */
function printed(pattern: RegExp): string {
  const found = pattern.exec(server.output())?.[1];
  assert.ok(found, `${pattern} is not in:\n${server.output()}`);
  return found;
}
let codes = 0;
/** A code is good once: each sign-in takes another of the three that are good now. */
function nextCode(): string {
  const secret = Secret.fromBase32(printed(/authenticator secret (\w+)/));
  return new TOTP({ secret }).generate({ timestamp: Date.now() + (codes++ - 1) * 30_000 });
}

test('smart-server@demo: users, an app and a service are printed and said to be known to everyone', () => {
  assert.match(server.output(), /DEMONSTRATION CREDENTIALS, known to everyone/);
  for (const role of ['physician', 'nurse', 'pharmacist', 'administrator', 'auditor', 'integration-engine', 'patient'])
    assert.ok(printed(/users +(.+?) +password/).includes(role), role);
});

test('smart-server@commands: while a server runs the folder is its own, and a command says so', {
  skip: embeddedOnly,
}, () => {
  const { status, stderr } = command('user', 'list');
  assert.equal(status, 1);
  assert.match(stderr, /in use by another process/);
});

test('smart-server@kit-client: fhir-kit-client reads as a backend service with a signed assertion', async () => {
  const key = JSON.parse(readFileSync(printed(/private key in (\S+)/), 'utf8'));
  const token = `${server.url}/oauth/token`;
  const assertion = await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES384', kid: key.kid, typ: 'JWT' })
    .setIssuer('demo-service')
    .setSubject('demo-service')
    .setAudience(token)
    .setExpirationTime('4m')
    .sign(await importJWK(key, 'ES384'));
  const answered = await fetch(token, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'system/Patient.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }),
  });
  const { access_token: bearerToken } = (await answered.json()) as { access_token: string };
  const client = new Client({ baseUrl: `${server.url}/fhir`, bearerToken });
  const patient = (await client.read({ resourceType: 'Patient', id: 'demo-sepsis' })) as unknown as { id: string };
  assert.equal(patient.id, 'demo-sepsis');
  await assert.rejects(
    client.search({ resourceType: 'Observation', searchParams: { patient: 'demo-sepsis' } }),
    (error: { response: { status: number } }) => error.response.status === 403,
  );
  const stranger = new Client({ baseUrl: `${server.url}/fhir` });
  await assert.rejects(
    stranger.read({ resourceType: 'Patient', id: 'demo-sepsis' }),
    (error: { response: { status: number } }) => error.response.status === 401,
  );
});

/** Until the page has put the focus there itself. */
const focused = async (page: Page, id: string): Promise<void> => {
  await page.waitForSelector(`#${id}:focus`);
  await page.waitForLoadState('load');
};

/** A physician by keyboard: signs in, shows the code, finds a patient, allows. */
async function signIn(page: Page, name: string): Promise<void> {
  await focused(page, 'name');
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  await page.keyboard.type('firewatch-demo');
  await page.keyboard.press('Enter');
  await focused(page, 'code');
  await page.keyboard.type(nextCode());
  await page.keyboard.press('Enter');
  await focused(page, 'search');
  await page.keyboard.type('Testfall');
  await page.keyboard.press('Enter');
  await page.getByLabel(/id demo-sepsis$/).check();
  await page.getByRole('button', { name: 'Choose this patient' }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
}

test('smart-server@browser-launch: a small public app gets a token in Chromium and reads with it', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const context = await browser?.newContext();
  const page = await context?.newPage();
  assert.ok(page);
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy/i.test(message.text())) faults.push(message.text());
  });
  await page.goto(`${appUrl}/app?base=${encodeURIComponent(server.url)}`);
  await signIn(page, 'physician');
  await titled(page, 'done');
  const token = JSON.parse((await page.textContent('#token')) ?? '{}');
  assert.equal(token.patient, 'demo-sepsis');
  assert.ok(token.id_token);
  const read = await fetch(`${server.url}/fhir/Patient/demo-sepsis`, {
    headers: { authorization: `Bearer ${token.access_token}` },
  });
  assert.equal(read.status, 200);
  const other = await fetch(`${server.url}/fhir/Patient/demo-copd`, {
    headers: { authorization: `Bearer ${token.access_token}` },
  });
  assert.equal(other.status, 404);
  const fhirUser = JSON.parse(Buffer.from(String(token.id_token).split('.')[1] ?? '', 'base64url').toString()).fhirUser;
  assert.equal(fhirUser, `${server.url}/fhir/Practitioner/demo-physician`);
  assert.deepEqual(faults, []);
  await context?.close();
});

/** Tab by tab to the element that a selector finds. */
/** Asked from outside: a page of the server permits no evaluation, and may still be there when this begins. */
async function titled(page: Page, title: string): Promise<void> {
  for (const until = Date.now() + 20_000; Date.now() < until; ) {
    // A page that is being left cannot be asked.
    if ((await page.title().catch(() => '')) === title) return;
    await page.waitForTimeout(50);
  }
  assert.fail(`not ${title}, but: ${await page.textContent('body')}`);
}

async function tabTo(page: Page, selector: string): Promise<void> {
  for (let step = 0; step < 30; step++) {
    if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)}) ?? false`)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${selector} cannot be reached by keyboard`);
}

test('smart-server@break-glass-keyboard: a pharmacist breaks the glass by keyboard alone, on pages that read well', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const context = await browser?.newContext();
  const page = await context?.newPage();
  assert.ok(page);
  await page.goto(`${appUrl}/app?base=${encodeURIComponent(server.url)}&purpose=BTG`);
  await focused(page, 'name');
  await page.keyboard.type('pharmacist');
  await page.keyboard.press('Tab');
  await page.keyboard.type('firewatch-demo');
  await page.keyboard.press('Enter');
  await focused(page, 'code');
  await page.keyboard.type(nextCode());
  await page.keyboard.press('Enter');
  await focused(page, 'reason-life-threatening');
  assert.deepEqual(await lowContrast(page), []);
  await page.keyboard.press('ArrowDown');
  await tabTo(page, '#reason-text');
  await page.keyboard.type('Brought in without relatives');
  await tabTo(page, 'button[type=submit]');
  await page.keyboard.press('Enter');
  await focused(page, 'search');
  await tabTo(page, '#patient');
  await page.keyboard.type('demo-sepsis');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=The patient cannot be asked');
  assert.deepEqual(await lowContrast(page), []);
  await tabTo(page, 'button:not(.quiet)');
  await page.keyboard.press('Enter');
  await titled(page, 'done');
  const token = JSON.parse((await page.textContent('#token')) ?? '{}');
  assert.deepEqual([token.patient, token.expires_in], ['demo-sepsis', 900]);
  await context?.close();
});

test('smart-server@page-contrast: the sign-in reads well by day and by night', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser?.newContext({ colorScheme });
    const page = await context?.newPage();
    assert.ok(page);
    await page.goto(`${appUrl}/app?base=${encodeURIComponent(server.url)}`);
    await page.waitForSelector('#name');
    await page.waitForLoadState('load');
    const painted = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    assert.equal(
      painted,
      colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(21, 24, 28)',
      'the stylesheet is there',
    );
    assert.deepEqual(await lowContrast(page), []);
    await context?.close();
  }
});

test('smart-server@fhirclient: SMART JS completes a standalone launch in Chromium', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async (t) => {
  if (library === undefined) return t.skip('fhirclient cannot be had from the registry');
  assert.equal((await fetch(`${server.url}/fhir/.well-known/smart-configuration`)).status, 200);
  for (const [origin, allowed] of [
    [appUrl, appUrl],
    ['https://evil.example', null],
  ] as const) {
    const preflight = await fetch(`${server.url}/fhir/Patient/demo-sepsis`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization',
      },
    });
    assert.equal(preflight.headers.get('access-control-allow-origin'), allowed);
  }
  const context = await browser?.newContext();
  const page = await context?.newPage();
  assert.ok(page);
  await page.goto(`${appUrl}/launch?base=${encodeURIComponent(server.url)}`);
  await signIn(page, 'nurse');
  await titled(page, 'demo-sepsis');
  await context?.close();
});

/** Pages of the app. `/app` is the whole of a SMART app by hand; `/launch` and `/back` are fhirclient's. */
const PAGES = new Map<string, () => string>([
  ['/fhirclient.js', () => library ?? ''],
  [
    '/launch',
    () => `<!DOCTYPE html><title>waiting</title><script src="/fhirclient.js"></script><script>
const base = new URLSearchParams(location.search).get('base');
FHIR.oauth2.authorize({ iss: base + '/fhir', clientId: 'page', scope: '${SCOPES}', redirectUri: location.origin + '/back', pkceMode: 'required' })
  .catch((error) => { document.body.textContent = String(error); document.title = 'failed'; });
</script><body></body>`,
  ],
  [
    '/back',
    () => `<!DOCTYPE html><title>waiting</title><script src="/fhirclient.js"></script><script>
FHIR.oauth2.ready()
  .then((client) => client.patient.read())
  .then((patient) => { document.title = patient.id; })
  .catch((error) => { document.body.textContent = String(error); document.title = 'failed'; });
</script><body></body>`,
  ],
  [
    '/app',
    () => `<!DOCTYPE html><title>waiting</title><pre id="token"></pre><script type="module">
const given = new URLSearchParams(location.search);
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const here = location.origin + '/app';
if (!given.has('code')) {
  const base = given.get('base');
  const kept = { base, verifier: random(), state: random() };
  sessionStorage.setItem('kept', JSON.stringify(kept));
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(kept.verifier));
  const { authorization_endpoint } = await (await fetch(base + '/oauth/.well-known/openid-configuration')).json();
  location = authorization_endpoint + '?' + new URLSearchParams({
    response_type: 'code', client_id: 'page', redirect_uri: here, scope: '${SCOPES}', state: kept.state, aud: base + '/fhir',
    code_challenge: base64url(hash), code_challenge_method: 'S256',
    ...(given.has('purpose') ? { purpose_of_use: given.get('purpose') } : {}),
  });
} else {
  const { base, verifier, state } = JSON.parse(sessionStorage.getItem('kept'));
  if (given.get('state') !== state) throw new Error('another state');
  const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'page', redirect_uri: here, code: given.get('code'), code_verifier: verifier });
  document.getElementById('token').textContent = await (await fetch(base + '/oauth/token', { method: 'POST', body })).text();
  document.title = 'done';
}
</script>`,
  ],
]);

test('smart-server@demo-stays-here: a folder with credentials of the demonstration does not leave this machine', {
  timeout: TIMEOUT,
}, async () => {
  await server.stop();
  const away = { AUTHORIZATION: 'embedded', SEED: 'none', PORT: '0', PUBLIC_URL: 'https://fhir.example.org' };
  const tried = spawnSync(process.execPath, ['src/main.ts'], {
    env: { ...process.env, ...storeSettings(folder), ...away },
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(tried.status, 1, tried.stderr);
  assert.match(tried.stderr, /credentials|users and clients of the demonstration/);
});
