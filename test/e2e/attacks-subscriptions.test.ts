// Attacks on the Subscriptions of others, over HTTP on a real server (docs/authorization.md#subscriptions, decision 0049; FHIR R4 subscription.html#safety).
// A Subscription tells who watches whom, where it is told, and stops telling when it is put off. Each request is made for another's and for one that
// was never there: status, headers and body must be the same.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Ask, AttackWorld, CANARY, ENGINE, type Found, type Token } from './attack-world.ts';

const SECRET = 'Bearer s3cret-of-the-endpoint';
const ABSENT = '01234567-89ab-7def-8123-456789abcdef';
const scope = 'user/Subscription.cruds user/Provenance.cruds patient/Observation.rs';
const VICTIM: Token = { scope, patient: 'foreign', fhirUser: 'Patient/foreign', roles: ['patient'], sub: 'victim' };
const ATTACKER: Token = { scope, patient: 'mine', fhirUser: 'Patient/mine', roles: ['patient'], sub: 'attacker' };
/** Not the owner: each for a reason of its own. */
const STRANGERS: readonly [why: string, token: Token][] = [
  ['another patient', ATTACKER],
  ['the same person by another app', { ...VICTIM, client_id: 'app-2' }],
  ['a user of the same client who says to be the same patient', { ...VICTIM, sub: 'attacker' }],
  ['a backend client', { scope: 'system/*.cruds', sub: 'service', client_id: 'service' }],
  ['the app itself, without its user', { scope: 'system/*.cruds', sub: 'app', client_id: 'app' }],
  ['a physician', { scope: 'user/*.cruds', roles: ['physician'], sub: 'dr', fhirUser: 'Practitioner/dr' }],
  ['a nurse', { scope: 'user/*.cruds', roles: ['nurse'], sub: 'nu', fhirUser: 'Practitioner/nu' }],
];

let w: AttackWorld;
let id: string;
before(async () => {
  w = await AttackWorld.open();
  const made = await w.ask(VICTIM, '/Subscription', { method: 'POST', body: subscription() });
  assert.equal(made.status, 201, made.text);
  assert.ok(!made.text.includes(SECRET), 'the secret is not answered');
  id = JSON.parse(made.text).id;
  const provenance = {
    ...{
      resourceType: 'Provenance',
      id: 'points',
      recorded: '2026-01-01T00:00:00Z',
      agent: [{ who: { display: 'x' } }],
    },
    target: [{ reference: `Subscription/${id}` }, { reference: 'Patient/mine' }, { reference: 'Patient/foreign' }],
  };
  const pointed = await w.ask(ENGINE, '/Provenance/points', { method: 'PUT', body: provenance });
  assert.equal(pointed.status, 201, pointed.text);
});
after(async () => assert.equal(await w.close(), 0, 'the server lived through all of it'));

function subscription(more: object = {}): object {
  return {
    ...{ resourceType: 'Subscription', status: 'requested', reason: CANARY, criteria: 'Observation?code=urn:codes|hr' },
    channel: { type: 'rest-hook', endpoint: `http://127.0.0.1:9/${CANARY}`, header: [`Authorization: ${SECRET}`] },
    ...more,
  };
}

const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const bundle = (type: string, ...entry: object[]): Ask => ({
  method: 'POST',
  body: { resourceType: 'Bundle', type, entry },
});
const OFF = { status: 'off', id: '{id}' };
/** `{id}` stands for the id. */
const rows: readonly [name: string, path: string, ask?: Ask][] = [
  ['read', '/Subscription/{id}'],
  ['read with If-None-Match', '/Subscription/{id}', { headers: { 'if-none-match': 'W/"1"' } }],
  ['vread', '/Subscription/{id}/_history/1'],
  ['history of it', '/Subscription/{id}/_history'],
  ['search by id', '/Subscription?_id={id}&_total=accurate'],
  ['search of all', '/Subscription?_id={id},x&_summary=count'],
  [
    'search by POST',
    '/Subscription/_search',
    { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: '_id={id}' },
  ],
  ['system search', '/?_type=Subscription,Provenance&_id={id}'],
  ['include', '/Provenance?_id={id}&_include=Provenance:target'],
  ['chain', '/Provenance?target:Subscription._id={id}&_summary=count'],
  ['$meta', '/Subscription/{id}/$meta'],
  [
    '$meta-add',
    '/Subscription/{id}/$meta-add',
    {
      method: 'POST',
      body: { resourceType: 'Parameters', parameter: [{ name: 'meta', valueMeta: { tag: [{ code: 'x' }] } }] },
    },
  ],
  ['$status', '/Subscription/{id}/$status'],
  ['$status by id', '/Subscription/$status?id={id}'],
  ['$events', '/Subscription/{id}/$events'],
  ['$get-ws-binding-token', '/Subscription/{id}/$get-ws-binding-token'],
  ['$get-ws-binding-token by id', '/Subscription/$get-ws-binding-token?id={id}'],
  ['PUT off', '/Subscription/{id}', { method: 'PUT', body: subscription(OFF) }],
  [
    'PUT with its version',
    '/Subscription/{id}',
    { method: 'PUT', headers: { 'if-match': 'W/"1"' }, body: subscription(OFF) },
  ],
  ['conditional update', '/Subscription?_id={id}', { method: 'PUT', body: subscription({ status: 'off' }) }],
  [
    'conditional create',
    '/Subscription',
    { method: 'POST', headers: { 'if-none-exist': '_id={id}' }, body: subscription({ status: 'off' }) },
  ],
  [
    'patch',
    '/Subscription/{id}',
    { method: 'PATCH', headers: JSON_PATCH, body: [{ op: 'replace', path: '/status', value: 'off' }] },
  ],
  [
    'conditional patch',
    '/Subscription?_id={id}',
    { method: 'PATCH', headers: JSON_PATCH, body: [{ op: 'replace', path: '/status', value: 'off' }] },
  ],
  ['deletion', '/Subscription/{id}', { method: 'DELETE' }],
  ['conditional deletion', '/Subscription?_id={id}', { method: 'DELETE' }],
  ['$validate for a deletion', '/Subscription/{id}/$validate?mode=delete'],
  [
    'batch',
    '/',
    bundle(
      'batch',
      { request: { method: 'GET', url: 'Subscription/{id}' } },
      { request: { method: 'DELETE', url: 'Subscription/{id}' } },
      { resource: subscription(OFF), request: { method: 'PUT', url: 'Subscription/{id}' } },
    ),
  ],
  [
    'transaction',
    '/',
    bundle('transaction', { resource: subscription(OFF), request: { method: 'PUT', url: 'Subscription/{id}' } }),
  ],
];

const filled = <T>(value: T, by: string): T => JSON.parse(JSON.stringify(value).replaceAll('{id}', by));
function shown({ status, headers, text }: Found): string {
  const plain = (line: string) =>
    line.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'uuid').replace(/20\d\d-\d\d-\d\dT[0-9:.]+Z/g, 'instant');
  const said = [...headers].filter(([name]) => !['date', 'x-request-id', 'content-length', 'etag'].includes(name));
  return JSON.stringify([status, said.map(([name, value]) => plain(`${name}: ${value}`)), plain(text)]);
}

for (const [why, token] of STRANGERS) {
  test(`attack@subscription ${why} sees nothing of another's and changes nothing`, async () => {
    const problems: string[] = [];
    for (const [name, path, ask = {}] of rows) {
      const [found, absent] = [
        await w.ask(token, filled(path, id), filled(ask, id)),
        await w.ask(token, filled(path, ABSENT), filled(ask, ABSENT)),
      ];
      if (shown(found) !== shown(absent)) problems.push(`${name}: ${shown(found)} is not ${shown(absent)}`);
      if (found.status >= 500 || found.text.includes('s3cret')) problems.push(`${name}: ${found.text}`);
      if (ask.body === undefined && found.text.includes(CANARY)) problems.push(`${name}: ${found.text}`);
    }
    assert.deepEqual(problems, []);
    const held = await w.ask(VICTIM, `/Subscription/${id}/_history`);
    assert.equal(held.status, 200);
    assert.ok(!held.text.includes('"status":"off"'), 'it was not put off');
  });
}

test('attack@subscription its owner sees it, with the same user and client, whatever the scopes of the token', async () => {
  for (const token of [
    VICTIM,
    { ...VICTIM, scope: 'user/Subscription.rs patient/*.rs' },
    { ...VICTIM, patient: 'mine' },
  ]) {
    const found = await w.ask(token, `/Subscription/${id}`);
    assert.equal(found.status, 200);
    assert.ok(found.text.includes(CANARY) && !found.text.includes('s3cret'));
  }
});

test('attack@subscription nobody makes, takes or gives one away by writing whose it is', async () => {
  const [mark] = JSON.parse((await w.ask(VICTIM, `/Subscription/${id}`)).text).extension;
  const planted = await w.ask(ATTACKER, '/Subscription', {
    method: 'POST',
    body: subscription({ status: 'off', extension: [mark] }),
  });
  assert.equal(planted.status, 201, planted.text);
  const own = `/Subscription/${JSON.parse(planted.text).id}`;
  assert.equal((await w.ask(VICTIM, own)).status, 404, 'not planted');
  const patched = await w.ask(ATTACKER, own, {
    method: 'PATCH',
    headers: JSON_PATCH,
    body: [{ op: 'replace', path: '/extension', value: [mark] }],
  });
  assert.equal(patched.status, 200, patched.text);
  assert.equal((await w.ask(VICTIM, own)).status, 404, 'not given away');
  assert.equal((await w.ask(ATTACKER, own)).status, 200);
});

test('attack@subscription a role for those of others reads no secret, and takes none along', async () => {
  const admin: Token = { scope: 'user/Subscription.cruds', roles: ['administrator'], sub: 'admin', client_id: 'desk' };
  const officer: Token = { scope: 'user/*.cruds', roles: ['privacy-officer'], sub: 'officer', client_id: 'desk' };
  for (const token of [admin, officer, ENGINE]) {
    const texts = await Promise.all(
      ['', '/_history', '/_history/1'].map((path) => w.ask(token, `/Subscription/${id}${path}`)),
    );
    for (const { status, text } of texts) {
      assert.equal(status, 200, text);
      assert.ok(text.includes(CANARY) && text.includes('(withheld)') && !text.includes('s3cret'), text);
    }
  }
  const asked = { resourceType: 'Subscription', ...JSON.parse((await w.ask(admin, `/Subscription/${id}`)).text) };
  const taken = await w.ask(admin, `/Subscription/${id}`, { method: 'PUT', body: { ...asked, status: 'requested' } });
  assert.equal(taken.status, 403, 'an administrator may not hear of patients');
  const off = await w.ask(admin, `/Subscription/${id}`, { method: 'PUT', body: { ...asked, status: 'off' } });
  assert.equal(off.status, 200, off.text);
  const mine = await w.ask(VICTIM, `/Subscription/${id}`);
  assert.equal(JSON.parse(mine.text).status, 'off', 'it stays its owner’s');
});

test('attack@subscription a token that does not say whose it is makes none', async () => {
  const nobody = {
    scope: 'user/Subscription.cruds patient/Observation.rs',
    patient: 'mine',
    roles: ['patient'],
    sub: '',
  };
  const { status } = await w.ask(nobody, '/Subscription', { method: 'POST', body: subscription() });
  assert.equal(status, 403);
});

/** Texts of the files of a bulk export of Subscriptions. */
async function exported(token: Token): Promise<string> {
  const begun = await w.ask(token, '/$export?_type=Subscription', { headers: { prefer: 'respond-async' } });
  assert.equal(begun.status, 202, begun.text);
  const headers = { authorization: await w.bearer(token) };
  const local = (url: string) => fetch(url.replace(/^https:\/\/[^/]+/, w.server.url), { headers });
  for (;;) {
    const status = await local(begun.headers.get('content-location') ?? '');
    if (status.status === 202) continue;
    const { output } = JSON.parse(await status.text());
    const files = await Promise.all(output.map(async ({ url }: { readonly url: string }) => (await local(url)).text()));
    return files.join('');
  }
}

test('attack@subscription a bulk export holds those of others for the roles that see them only', async () => {
  const all = await exported(ENGINE);
  assert.ok(all.includes(CANARY) && !all.includes('s3cret'), 'control');
  assert.ok(!(await exported({ scope: 'system/*.cruds', sub: 'service', client_id: 'service' })).includes(CANARY));
});
