// What a clinician and an implementer see in a browser: the sandbox from end to end, by mouse and by keyboard, the basis of a card, model
// cards; hostile data stays text; nothing breaks the policy. Chromium, when there is one; the last tests need none.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { limit, notOnStandIn } from '../test-store.ts';
import { lowContrast, NO_BROWSER, openBrowser, tabTo, watchedPage } from './browser.ts';
import { newFolder, type Running, removeFolder, start } from './server.ts';

interface Json {
  readonly [name: string]: unknown;
}
const HOSTILE = '<img src=x onerror="document.title=1">"\'</option><script>document.title=1</script>';
const TIMEOUT = limit(90_000);
let server: Running;
let browser: Browser | undefined;

before(async () => {
  server = await start({ SEED: 'demo' });
  await fetch(`${server.url}/fhir/Patient/hostile`, {
    method: 'PUT',
    headers: { 'content-type': 'application/fhir+json' },
    body: JSON.stringify({
      resourceType: 'Patient',
      id: 'hostile',
      name: [{ text: HOSTILE }],
      birthDate: '1950-01-01',
    }),
  });
  if (NO_BROWSER === false) browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server.stop();
  removeFolder(server.folder);
});

async function watched(scheme: 'light' | 'dark' = 'light') {
  assert.ok(browser !== undefined);
  return watchedPage(browser, server.url, scheme);
}
const said = (page: Page, words: RegExp) => page.locator('#status', { hasText: words }).waitFor();
async function openedSandbox(scheme: 'light' | 'dark' = 'light') {
  const there = await watched(scheme);
  await there.page.goto(`${server.url}/cds-sandbox`);
  await said(there.page, /Choose a patient/);
  return there;
}
async function openedChart(page: Page, patient: string): Promise<void> {
  await page.selectOption('#patient', patient);
  await page.click('#open');
  await said(page, /on patient-view, answered/);
}
async function search(query: string): Promise<readonly Json[]> {
  const bundle = (await (await fetch(`${server.url}/fhir/${query}`)).json()) as { entry?: { resource: Json }[] };
  return (bundle.entry ?? []).map(({ resource }) => resource);
}

test('pages@sandbox: chart, card, basis, order, critical card, override with reason, feedback stored', {
  skip: NO_BROWSER || notOnStandIn('a scored card in 30 s'),
  timeout: TIMEOUT,
}, async () => {
  const { page, faults } = await openedSandbox();
  await openedChart(page, 'demo-sepsis');
  const score = page.locator('article[data-service="deterioration-sepsis"]');
  assert.match((await score.locator('h3').textContent()) ?? '', /^NEWS2 \d+/);
  assert.equal(await score.locator('.word').textContent(), 'Warning');

  const [basis] = await Promise.all([
    page.context().waitForEvent('page'),
    score.getByText('Basis of this card').click(),
  ]);
  await basis.waitForLoadState();
  assert.doesNotMatch(basis.url(), /demo|sepsis/, 'no id in the address');
  const text = (await basis.textContent('main')) ?? '';
  for (const part of [
    'Respiratory rate',
    '/min',
    'Patient/demo-sepsis',
    'the same result from the inputs that were kept',
  ])
    assert.ok(text.includes(part), part);
  await basis.getByRole('link', { name: /^National Early Warning Score 2/ }).click();
  assert.equal(await basis.locator('.attributes dt').count(), 31);
  await basis.close();

  await openedChart(page, 'demo-polypharmacy');
  await page.selectOption('#drug', { label: 'clarithromycin' });
  await page.getByRole('button', { name: 'Add draft order' }).click();
  await said(page, /on order-select, answered/);
  await page.getByRole('button', { name: 'Sign orders' }).click();
  await said(page, /cards? on order-sign, answered in \d+ ms/);
  const critical = page.locator('article.critical').first();
  assert.equal(await critical.locator('.word').textContent(), 'Critical');
  assert.match((await critical.locator('.detail').textContent()) ?? '', /Severity: contraindicated/);
  assert.equal((await critical.locator('.detail strong').count()) > 0, true, 'markdown is rendered');

  await critical.locator('summary', { hasText: 'Override' }).click();
  await critical.getByLabel('Reason').selectOption({ label: 'Will be monitored' });
  await critical.getByLabel('Comment').fill('statin paused');
  await critical.getByRole('button', { name: 'Override this card' }).click();
  const outcome = critical.locator('.outcome', { hasText: 'Feedback stored' });
  await outcome.waitFor();
  assert.match((await outcome.textContent()) ?? '', /overridden, Will be monitored, "statin paused"/);
  const kept = await search('Communication?patient=demo-polypharmacy&_sort=-_lastUpdated');
  assert.match(JSON.stringify(kept[0]), /will-monitor.*statin paused/);

  const [sent] = await page.locator('#calls pre[aria-label="Request"]').allTextContents();
  assert.equal(
    (JSON.parse(sent ?? '{}') as { feedback: Json[] }).feedback[0]?.outcome,
    'overridden',
    'the request is shown',
  );
  assert.ok((await page.locator('#services dt').count()) >= 5, 'what discovery lists');
  assert.deepEqual(faults, []);
});

test('pages@sandbox-accept: an accepted suggestion shows what it changes, changes the drafts, and is stored', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const { page, faults } = await openedSandbox();
  await openedChart(page, 'demo-polypharmacy');
  await page.selectOption('#drug', { label: 'clarithromycin' });
  await page.getByRole('button', { name: 'Add draft order' }).click();
  await said(page, /on order-select, answered/);
  assert.equal(await page.locator('#orders button').count(), 1);
  const card = page.locator('article.critical').first();
  const remove = card.locator('.suggestions > li', { hasText: 'Remove the draft order' });
  await remove.locator('summary').click();
  assert.match((await remove.textContent()) ?? '', /delete.*MedicationRequest\/draft-1/);
  await remove.getByRole('button', { name: /^Accept/ }).click();
  await card.locator('.outcome', { hasText: 'Feedback stored: accepted' }).waitFor();
  assert.equal(await page.locator('#orders button').count(), 0, 'the draft is gone');
  assert.equal(await page.getByRole('button', { name: 'Sign orders' }).isDisabled(), true);
  assert.deepEqual(faults, []);
});

test('pages@sandbox-keyboard: the same by keyboard alone, every control with a name', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const { page, faults } = await openedSandbox();
  const { keyboard } = page;
  await keyboard.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.className'), 'skip', 'first the way to the content');
  await tabTo(page, '#patient');
  await keyboard.type('Dorothea');
  await tabTo(page, '#open');
  await keyboard.press('Enter');
  await said(page, /on patient-view, answered/);
  await tabTo(page, '#drug');
  await keyboard.type('clarithro');
  await tabTo(page, '#order button');
  await keyboard.press('Enter');
  await said(page, /on order-select, answered/);
  await tabTo(page, '#sign');
  await keyboard.press('Space');
  await said(page, /on order-sign, answered/);
  await tabTo(page, 'article.critical .overriding summary');
  await keyboard.press('Enter');
  await tabTo(page, 'article.critical select');
  await keyboard.type('Will be');
  await tabTo(page, 'article.critical .override button');
  await keyboard.press('Enter');
  await page.locator('article.critical .outcome', { hasText: 'overridden, Will be monitored' }).waitFor();
  const nameless = await page.evaluate(
    "[...document.querySelectorAll('input,select,textarea,button,a')].filter((one) => one.checkVisibility() && (one.labels?.[0]?.textContent ?? one.getAttribute('aria-label') ?? one.textContent).trim() === '').length",
  );
  assert.equal(nameless, 0);
  assert.deepEqual(faults, []);
});

test('§8.9 pages@hostile: names and drug texts with markup stay text, on the sandbox, on cards and on the basis', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const { page, faults } = await openedSandbox();
  await openedChart(page, 'hostile');
  assert.equal(await page.textContent('#chart-name'), HOSTILE, 'control: it is shown as it is');
  await page.selectOption('#drug', { label: 'clarithromycin' });
  await page.fill('#drug-text', HOSTILE);
  await page.getByRole('button', { name: 'Add draft order' }).click();
  await said(page, /on order-select, answered/);
  await page.selectOption('#drug', { label: 'simvastatin' });
  await page.fill('#drug-text', `${HOSTILE} [x](javascript:document.title=1) ![y](/z)`);
  await page.getByRole('button', { name: 'Add draft order' }).click();
  await said(page, /[1-9]\d* cards? on order-select, answered/);
  const card = page.locator('article').first();
  const [basis] = await Promise.all([
    page.context().waitForEvent('page'),
    card.getByText('Basis of this card').click(),
  ]);
  await basis.waitForLoadState();
  assert.ok(((await basis.textContent('main')) ?? '').includes('onerror='), 'control: the basis shows it');
  for (const one of [page, basis]) {
    assert.notEqual(await one.title(), '1');
    assert.equal(await one.locator('main img, main script, a[href^="javascript"]').count(), 0);
  }
  assert.deepEqual(faults, []);
});

test('pages@markdown: what cards use is rendered, everything else is text', {
  skip: NO_BROWSER,
  timeout: TIMEOUT,
}, async () => {
  const { page, faults } = await openedSandbox();
  const rows: readonly [text: string, html: string, why: string][] = [
    ['a **b** *c*', '<p>a <strong>b</strong> <em>c</em></p>', 'strong and emphasis'],
    ['a\\*b\\_c \\<', '<p>a*b_c \\&lt;</p>', 'escapes of markdown only'],
    ['a &lt;b&gt; &amp;amp; &copy;', '<p>a &lt;b&gt; &amp;amp; &amp;copy;</p>', 'entities are decoded once'],
    ['<img src=x onerror=alert(1)>', '<p>&lt;img src=x onerror=alert(1)&gt;</p>', 'no HTML'],
    ['[a](javascript:alert(1)) ![b](c)', '<p>[a](javascript:alert(1)) ![b](c)</p>', 'no links, no images'],
    ['- a\n- **b**', '<ul><li>a</li><li><strong>b</strong></li></ul>', 'a list'],
    ['**a', '<p><strong>a</strong></p>', 'an open mark ends with its text'],
    ['# a\n\n```\nb', '<p># a</p><p>``` b</p>', 'no headings, no code'],
  ];
  for (const [text, html, why] of rows) {
    const shown = await page.evaluate(
      `import('/assets/markdown.js').then(({ markdown }) => markdown(${JSON.stringify(text)}).innerHTML)`,
    );
    assert.equal(shown, html, why);
  }
  const cells = await page.evaluate(
    "import('/assets/markdown.js').then(({ markdown }) => [...markdown('| A | B |\\n|---|---|\\n| a\\\\|b | <i> |').querySelectorAll('th,td')].map((cell) => cell.textContent))",
  );
  assert.deepEqual(cells, ['A', 'B', 'a|b', '<i>'], 'a table');
  assert.deepEqual(faults, []);
});

for (const scheme of ['light', 'dark'] as const) {
  test(`pages@readable: model cards, basis and sandbox have enough contrast, pictures and one order of headings (${scheme})`, {
    skip: NO_BROWSER,
    timeout: TIMEOUT,
  }, async () => {
    const { page, faults } = await openedSandbox(scheme);
    await openedChart(page, 'demo-polypharmacy');
    await page.selectOption('#drug', { label: 'clarithromycin' });
    await page.getByRole('button', { name: 'Add draft order' }).click();
    await said(page, /on order-select, answered/);
    const address = await page.locator('article a', { hasText: 'Basis of this card' }).first().getAttribute('href');
    assert.deepEqual(await lowContrast(page), [], 'sandbox');
    for (const path of [
      '/models',
      '/models/sepsis-icu/1.0.0',
      '/models/lace/1.0.0',
      address ?? '',
      '/cds-basis/unknown',
    ]) {
      await page.goto(new URL(path, server.url).href);
      assert.deepEqual(await lowContrast(page), [], path);
      const levels = (await page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].map((one) => Number(one.tagName[1]))",
      )) as number[];
      assert.ok(
        levels.every((level, index) => level <= (levels[index - 1] ?? 0) + 1),
        `${path}: ${levels}`,
      );
    }
    await page.goto(`${server.url}/models/sepsis-icu/1.0.0`);
    const widths = await page.evaluate(
      "Promise.all([...document.querySelectorAll('.plots img')].map((one) => { one.loading = 'eager'; return one.decode().then(() => one.naturalWidth); }))",
    );
    assert.ok(Array.isArray(widths) && widths.every((width) => width > 100), `pictures are drawn: ${widths}`);
    assert.ok((await page.locator('.plots img').count()) >= 3);
    const refused = faults.filter((fault) => !/status of 404/.test(fault));
    assert.deepEqual(refused, [], 'only the page that is not there says 404');
  });
}

/** Status, headers and body, with headers a browser would not send. */
const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  new Promise<{ status: number; headers: Json; body: string }>((resolve, reject) => {
    const asked = request(new URL(path, server.url), { headers, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.on('error', reject);
    asked.end();
  });

test('pages@basis-http: kept by nobody, refers to nobody, refused elsewhere, alike when unknown, audited with the patient', async () => {
  const body = JSON.stringify({
    hook: 'patient-view',
    hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
    context: { userId: 'Practitioner/demo-physician', patientId: 'demo-sepsis' },
  });
  const called = await fetch(`${server.url}/cds-services/deterioration-sepsis`, { method: 'POST', body });
  const { cards } = (await called.json()) as { cards: readonly { links: readonly { url: string }[] }[] };
  const path = new URL(cards[0]?.links[0]?.url ?? '').pathname;
  const shown = await ask(path);
  assert.equal(shown.status, 200);
  assert.equal(shown.headers['cache-control'], 'no-store');
  assert.equal(shown.headers['referrer-policy'], 'no-referrer');
  assert.match(
    String(shown.headers['content-security-policy']),
    /^default-src 'none'; style-src 'self'; img-src 'self';/,
  );
  assert.match(shown.body, /Patient\/demo-sepsis/);
  const events = await search('AuditEvent?patient=demo-sepsis&_sort=-date&_count=1');
  assert.match(JSON.stringify(events), /explain/);

  const [unknown, malformed] = [await ask(`/cds-basis/${'A'.repeat(43)}`), await ask('/cds-basis/%3Cscript%3E')];
  assert.deepEqual([unknown.status, malformed.status], [404, 404]);
  assert.equal(unknown.body, malformed.body);
  assert.equal((await ask(path, { host: 'evil.example' })).status, 421);
  assert.equal((await ask(path, { 'x-forwarded-for': '10.0.0.1' })).status, 403);
  assert.equal((await ask(path, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await ask(path, {}, 'POST')).status, 405);
  const head = await ask(path, {}, 'HEAD');
  assert.deepEqual([head.status, head.body], [200, '']);
});

test('pages@sandbox-registered: there is no sandbox where clients are registered, and no sepsis service without attestation', {
  timeout: TIMEOUT,
}, async () => {
  assert.equal((await ask('/cds-sandbox')).status, 200, 'control: on in a demonstration');
  const folder = newFolder();
  const clients = join(folder, 'clients');
  mkdirSync(clients);
  const client = { name: 'ehr', issuer: 'https://ehr.example', services: ['*'], jku: ['https://ehr.example/jwks'] };
  writeFileSync(join(clients, 'a.json'), JSON.stringify(client));
  const other = await start({ CDS_CLIENTS_DIR: clients }, join(folder, 'data'));
  for (const path of ['/cds-sandbox', '/cds-sandbox/drugs.json', '/assets/sandbox.js'])
    assert.equal((await fetch(`${other.url}${path}`)).status, 404, path);
  assert.doesNotMatch(await (await fetch(`${other.url}/models`)).text(), /cds-sandbox/);
  const listed = await (await fetch(`${other.url}/cds-services`)).text();
  assert.ok(listed.includes('"triage"') && !listed.includes('"sepsis-icu"'));
  assert.match(other.output(), /"event":"service-not-attested".*"service":"sepsis-icu"/);
  await other.stop();
  removeFolder(folder);
});
