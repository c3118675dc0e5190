// Our own negative suite, by its numbers: what must be refused, and that every refusal leaves its AuditEvent. Real server, registered clients. docs/cds-hooks.md.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { SignJWT, UnsecuredJWT } from 'jose';
import { limit } from '../test-store.ts';
import { answerProblems } from './cds-reader.ts';
import {
  CLARITHROMYCIN,
  type Ehr,
  ehr,
  goodCall,
  type Json,
  type Key,
  newKey,
  type Registered,
  registeredServer,
  registration,
  type Sent,
} from './registered.ts';

const [es, rs, strange, second] = await Promise.all([
  newKey('ES384', 'es'),
  newKey('RS384', 'rs'),
  newKey('ES384', 'es'),
  newKey('ES384', 'second'),
]);
const ISSUER = 'https://ehr.example/fhir';
const OUTSIDE = 'https://ehr.example/fhir';
/** Whatever is asked of it is counted. */
let trap: Server;
let asked = 0;
let trapUrl = '';
let there: Registered;
let one: Ehr;
const clients = (key: Key, slow: string): readonly Json[] => [
  registration('ehr', [key, rs], { fhirServers: [slow] }),
  registration('keys', [], { jku: [`${slow}/jwks.json`] }),
];
before(async () => {
  trap = createServer((_request, response) => {
    asked++;
    response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end();
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  trapUrl = `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;
  there = await registeredServer(clients(es, trapUrl), { CDS_DEADLINE_MS: String(limit(1000)) });
  one = ehr(there.server.url, ISSUER, es);
});
after(async () => {
  trap.close();
  await there.end();
});

const events = async (): Promise<number> => {
  const found = await fetch(`${there.server.url}/fhir/AuditEvent?_summary=count`);
  return ((await found.json()) as { total: number }).total;
};
/** One call, and how many AuditEvents it left. */
async function audited(
  work: () => Promise<{ readonly status: number; readonly text: string; readonly json: Json | undefined }>,
) {
  const from = await events();
  const answer = await work();
  // The count is a search, which leaves one itself.
  return { ...answer, left: (await events()) - from - 1 };
}

const SIGN = 'drug-interactions-sign';
const EMPTY = {
  medications: null,
  stopped: null,
  statements: null,
  allergies: null,
  patient: null,
  labs: null,
  conditions: null,
  encounters: null,
  procedures: null,
};
const SIGNED = (change: Json = {}): Json => goodCall(SIGN, { fhirServer: OUTSIDE, prefetch: EMPTY, ...change });
const AUD = (path: string) => `${there.server.url}/cds-services${path}`;
const NOW = () => Math.floor(Date.now() / 1000);

test('cds-negative 0: the control is answered, with one AuditEvent', async () => {
  const { status, left, json } = await audited(() => one.ask(`/${SIGN}`, SIGNED()));
  assert.deepEqual([status, left, answerProblems(json)], [200, 1, []]);
});

const tokens: readonly [name: string, sent: () => Sent | Promise<Sent>][] = [
  ['1 none', () => ({ authorization: null })],
  ['1 empty', () => ({ authorization: 'Bearer ' })],
  ['1 Basic', () => ({ authorization: 'Basic YTpi' })],
  ['1 not a JWT', () => ({ authorization: 'Bearer a.b.c' })],
  ['1 expired', () => ({ claims: { iat: NOW() - 600, exp: NOW() - 120 } })],
  ['1 issued in the future', () => ({ claims: { iat: NOW() + 600, exp: NOW() + 900 } })],
  ['1 nbf in the future', () => ({ claims: { nbf: NOW() + 600 } })],
  ['1 a day long', () => ({ claims: { exp: NOW() + 86_400 } })],
  ...['iss', 'aud', 'exp', 'iat', 'jti'].map((name): [string, () => Sent] => [
    `1 no ${name}`,
    () => ({ claims: { [name]: undefined } }),
  ]),
  ['2 aud of discovery', () => ({ claims: { aud: AUD('') } })],
  ['§8.6 2 aud a prefix', () => ({ claims: { aud: AUD('/drug-interactions') } })],
  ['2 aud with a slash more', () => ({ claims: { aud: AUD(`/${SIGN}/`) } })],
  ['2 aud of another service', () => ({ claims: { aud: AUD('/triage') } })],
  ['2 aud of its feedback', () => ({ claims: { aud: AUD(`/${SIGN}/feedback`) } })],
  ['2 aud an array of others', () => ({ claims: { aud: [AUD('/triage'), AUD('')] } })],
  [
    '§1.8.4 §8.6 2 aud by another name of the host',
    () => ({ claims: { aud: AUD(`/${SIGN}`).replace('127.0.0.1', 'localhost') } }),
  ],
  ['3 alg none', () => ({ authorization: `Bearer ${new UnsecuredJWT({ iss: ISSUER }).encode()}` })],
  [
    '3 HS256 with the public key',
    async () => ({
      authorization: `Bearer ${await new SignJWT({
        iss: ISSUER,
        aud: AUD(`/${SIGN}`),
        iat: NOW(),
        exp: NOW() + 60,
        jti: 'h',
      })
        .setProtectedHeader({ alg: 'HS256', kid: 'es', typ: 'JWT' })
        .sign(new TextEncoder().encode(JSON.stringify(es.jwk)))}`,
    }),
  ],
  ['3 the kid of an RSA key', () => ({ header: { kid: 'rs' } })],
  ['4 unknown kid', () => ({ header: { kid: 'unknown' } })],
  ['4 another key under a known kid', () => ({ key: strange })],
  ['6 a jku that is not listed', () => ({ header: { jku: 'https://evil.example/jwks.json' } })],
  ['§1.8.5 6 a jku of a private address', () => ({ header: { jku: 'https://10.0.0.1/jwks.json' } })],
  ['6 a jku of the metadata service', () => ({ header: { jku: 'http://169.254.169.254/jwks.json' } })],
  ['6 a jku that reaches this server', () => ({ header: { jku: `${trapUrl}/jwks.json` } })],
];
const texts = new Set<string>();
for (const [name, sent] of tokens) {
  test(`§1.8.3 cds-negative ${name}: 401, one text for all, one AuditEvent`, async () => {
    const before_ = asked;
    const { status, text, left } = await audited(async () => one.ask(`/${SIGN}`, SIGNED(), await sent()));
    assert.deepEqual([status, left, asked - before_], [401, 1, 0], text);
    assert.equal(texts.add(text).size, 1);
  });
}
test('cds-negative 2: aud as an array that holds the address is right', async () => {
  assert.equal(
    (await one.ask(`/${SIGN}`, SIGNED(), { claims: { aud: ['https://x.example', AUD(`/${SIGN}`)] } })).status,
    200,
  );
});

test('§1.8.5 cds-negative 6: a listed jku that redirects is not followed: 401', async () => {
  const keys = ehr(there.server.url, 'https://keys.example/fhir', es);
  const { status, left } = await audited(() =>
    keys.ask(`/${SIGN}`, SIGNED(), { header: { jku: `${trapUrl}/jwks.json` } }),
  );
  assert.deepEqual([status, left], [401, 1]);
});

const FOREIGN_PATIENT = { resourceType: 'Patient', id: 'somebody-else' };
const EMPTY_BUNDLE = { resourceType: 'Bundle', type: 'searchset' };
const OUTCOME = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'exception' }] };
const without = (key: string): Json => Object.fromEntries(Object.entries(EMPTY).filter(([name]) => name !== key));
/** The decision table of CDS Hooks 2.0.1 "Prefetch Template", row by row; `medications` is required, nobody can be asked. */
const table: readonly [received: string, prefetch: Json, status: number, said: RegExp | undefined][] = [
  ['null: looked, nothing there', EMPTY, 200, undefined],
  ['a Bundle without entries', { ...EMPTY, medications: EMPTY_BUNDLE }, 200, undefined],
  ['a Bundle with an empty list', { ...EMPTY, medications: { ...EMPTY_BUNDLE, entry: [] } }, 200, undefined],
  ['a resource', { ...EMPTY, patient: { resourceType: 'Patient', id: 'demo-polypharmacy' } }, 200, undefined],
  ['an OperationOutcome', { ...EMPTY, medications: OUTCOME }, 200, /Not received/],
  [
    'an OperationOutcome in a Bundle',
    { ...EMPTY, medications: { ...EMPTY_BUNDLE, entry: [{ search: { mode: 'outcome' }, resource: OUTCOME }] } },
    200,
    /Not received/,
  ],
  ['a resource of another type', { ...EMPTY, medications: { resourceType: 'Observation' } }, 200, /Not received/],
  [
    'a next link to a foreign origin: not followed',
    { ...EMPTY, medications: { ...EMPTY_BUNDLE, link: [{ relation: 'next', url: 'TRAP' }] } },
    200,
    /Incomplete data/,
  ],
  ['JSON in a string', { ...EMPTY, medications: JSON.stringify(EMPTY_BUNDLE) }, 200, undefined],
  ['a string that is no JSON', { ...EMPTY, medications: 'see chart' }, 412, undefined],
  ['an empty object', { ...EMPTY, medications: {} }, 412, undefined],
  ['a number', { ...EMPTY, medications: 7 }, 412, undefined],
  ['absent', without('medications'), 412, undefined],
  ['no prefetch at all', {}, 412, undefined],
  ['an optional key absent', without('labs'), 200, /Not received/],
  ['another Patient', { ...EMPTY, patient: FOREIGN_PATIENT }, 400, undefined],
];
for (const [received, prefetch, expected, said] of table) {
  test(`§1.4.3 cds-negative 8: ${received}: ${expected}, one AuditEvent`, async () => {
    const before_ = asked;
    const body = JSON.stringify(SIGNED({ prefetch })).replace('TRAP', `${trapUrl}/fhir/MedicationRequest?page=2`);
    const { status, text, json, left } = await audited(() => one.ask(`/${SIGN}`, body));
    assert.deepEqual([status, left, asked - before_], [expected, 1, 0], text);
    if (status === 200) assert.deepEqual(answerProblems(json), []);
    else assert.equal(json?.resourceType, 'OperationOutcome');
    if (said !== undefined) assert.match(text, said);
  });
}

test('§1.4.6 cds-negative 9: resources about somebody else are dropped and said', async () => {
  const theirs = { ...CLARITHROMYCIN, id: 'theirs', status: 'active', subject: { reference: 'Patient/somebody-else' } };
  const medications = { ...EMPTY_BUNDLE, entry: [{ resource: theirs }] };
  const { text } = await one.ask(`/${SIGN}`, SIGNED({ prefetch: { ...EMPTY, medications } }));
  assert.match(text, /somebody else was received and not used/);
});

const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  '[click](javascript:alert(1))',
  '![x](https://evil.example/p.png)',
  'https://evil.example www.evil.example a@evil.example',
  '`code` **bold** | table |\n# heading\n---',
  '\u202egnirts\u200b\u0007',
  'ünïcödé 💊'.repeat(40),
  'x'.repeat(10_000),
  '&lt;script&gt; &#60;b&#62;',
];
for (const [index, name] of HOSTILE.entries()) {
  test(`§8.9 cds-negative 11: a drug named by hostile text ${index} gives cards of at most 139 characters, without markup`, async () => {
    const order = {
      ...CLARITHROMYCIN,
      medicationCodeableConcept: { ...CLARITHROMYCIN.medicationCodeableConcept, text: name },
    };
    const unknown = { ...CLARITHROMYCIN, id: 'draft-2', medicationCodeableConcept: { text: name } };
    const context = {
      userId: 'Practitioner/1',
      patientId: 'demo-polypharmacy',
      draftOrders: { resourceType: 'Bundle', entry: [{ resource: order }, { resource: unknown }] },
    };
    const { status, text, json } = await one.ask(`/${SIGN}`, SIGNED({ context }));
    assert.equal(status, 200);
    assert.deepEqual(answerProblems(json), []);
    const cards = (json?.cards ?? []) as readonly { summary: string; detail: string }[];
    assert.ok(cards.length > 0);
    for (const { summary, detail } of cards) {
      assert.ok(summary.length < 140);
      // A summary is plain text; only the detail is rendered as markdown.
      assert.doesNotMatch(summary, /[<>\u202e\u200b\u0007\n]/);
      assert.doesNotMatch(detail, /[<>\u202e\u200b\u0007]|(?<!\\)\]\(|:\/\/|www\./, text.slice(0, 300));
    }
  });
}

test('cds-negative 13: a Bundle beyond the limit of a list is 400, a body beyond 5 MB is 413; each with its AuditEvent', async () => {
  const entry = Array.from({ length: 1001 }, (_, index) => ({ resource: { ...CLARITHROMYCIN, id: `d${index}` } }));
  const context = {
    userId: 'Practitioner/1',
    patientId: 'demo-polypharmacy',
    draftOrders: { resourceType: 'Bundle', entry },
  };
  const many = await audited(() => one.ask(`/${SIGN}`, SIGNED({ context })));
  assert.deepEqual([many.status, many.left], [400, 1]);
  const big = await audited(() => one.ask(`/${SIGN}`, SIGNED({ extension: { x: 'x'.repeat(5_300_000) } })));
  assert.deepEqual([big.status, big.left], [413, 1]);
});

test('cds-negative 14: a FHIR server that does not give data: 200, said, within the call', async () => {
  const prefetch = without('medications');
  const fhirAuthorization = { access_token: 't', token_type: 'Bearer', expires_in: 300, scope: 'x', subject: 'cds' };
  const { status, json, text } = await one.ask(
    `/${SIGN}`,
    SIGNED({ fhirServer: trapUrl, fhirAuthorization, prefetch }),
  );
  assert.deepEqual([status, answerProblems(json)], [200, []]);
  assert.match(text, /Not received:\*\* medications/);
});

test('§1.7.1 §1.7.3 cds-negative 15: feedback again and again changes nothing; what is unusable is 400; another aud is 401', async () => {
  const item = {
    card: '00000000-0000-4000-8000-00000000000a',
    outcome: 'overridden',
    outcomeTimestamp: '2026-01-15T12:00:00Z',
  };
  const path = `/${SIGN}/feedback`;
  for (let round = 0; round < 3; round++) assert.equal((await one.ask(path, { feedback: [item] })).status, 200);
  const found = await fetch(`${there.server.url}/fhir/Communication?identifier=${item.card}&_summary=count`);
  assert.equal(((await found.json()) as Json).total, 1);
  assert.equal((await one.ask(path, { feedback: [{}] })).status, 400);
  assert.equal((await one.ask(path, { feedback: [item] }, { claims: { aud: AUD(`/${SIGN}`) } })).status, 401);
});

const elsewhere: readonly [name: string, path: string, body: unknown, sent: Sent, status: number][] = [
  ['an unknown service', '/nothing', {}, {}, 404],
  ['a method', `/${SIGN}`, undefined, { method: 'GET' }, 405],
  ['a media type', `/${SIGN}`, '<a/>', { headers: { 'content-type': 'application/xml' } }, 415],
  ['no JSON', `/${SIGN}`, '{', {}, 400],
  ['a list', `/${SIGN}`, [], {}, 400],
  ['a name twice', `/${SIGN}`, '{"hook":"order-sign","hook":"order-sign"}', {}, 400],
  ['a prototype', `/${SIGN}`, '{"__proto__":{}}', {}, 400],
  ['an explanation of nothing', '/explain/00000000-0000-4000-8000-000000000000', undefined, {}, 404],
];
for (const [name, path, body, sent, expected] of elsewhere) {
  test(`§5.6.1 cds-negative 16: ${name} is ${expected} with an OperationOutcome and one AuditEvent`, async () => {
    const { status, json, left } = await audited(() => one.ask(path, body, sent));
    assert.deepEqual([status, json?.resourceType, left], [expected, 'OperationOutcome', 1]);
  });
}

test('§1.8.6 cds-negative 5, 7: after a restart a used jti is refused, a key that was taken away too, and the new key holds', async () => {
  const path = `/${SIGN}`;
  const token = `Bearer ${await one.jwt(path)}`;
  assert.equal((await one.ask(path, SIGNED(), { authorization: token })).status, 200);
  const replayed = await audited(() => one.ask(path, SIGNED(), { authorization: token }));
  assert.deepEqual([replayed.status, replayed.left], [401, 1]);
  const claims = { jti: 'once-only' };
  assert.equal((await one.ask(path, SIGNED(), { claims })).status, 200);
  there = await there.again(clients(second, trapUrl));
  assert.equal((await ehr(there.server.url, ISSUER, es).ask(path, SIGNED())).status, 401, 'the old key');
  one = ehr(there.server.url, ISSUER, second);
  assert.equal((await one.ask(path, SIGNED())).status, 200, 'the new key');
  assert.equal((await one.ask(path, SIGNED(), { claims })).status, 401, 'one use, also after a restart');
});
