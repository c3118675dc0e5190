// CDS Hooks 2.0.1 "FHIR Resource Access": who is asked for what a call did not bring. The other server is a stand-in here; a real one is in test/e2e.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Access } from '../../src/audit.ts';
import type { ReadOutside } from '../../src/cds/call/outside-reads.ts';
import { AT, bundle, FHIR_BASE, PATIENT, PEER, patientView, type WorldOptions, world } from './world.ts';

const EHR = 'https://ehr.example/fhir';
const { privateKey, publicKey } = await generateKeyPair('ES384');
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES384' }] };
const folder = mkdtempSync(join(tmpdir(), 'firewatch-outside-'));
after(() => rmSync(folder, { recursive: true }));

function registered(more: object): string {
  const own = mkdtempSync(join(folder, 'clients-'));
  const client = {
    name: 'ehr',
    issuer: 'https://ehr.example',
    services: ['*'],
    jwks,
    fhirServers: [`${EHR}/`],
    ...more,
  };
  writeFileSync(join(own, 'client.json'), JSON.stringify(client));
  return own;
}
const AUTHORIZATION = {
  access_token: 'tok',
  token_type: 'Bearer',
  expires_in: 300,
  scope: 'patient/*.rs',
  subject: 'cds',
};
const VITAL = {
  resourceType: 'Observation',
  id: 'rate',
  status: 'final',
  subject: { reference: 'Patient/1288992' },
  code: { coding: [{ system: 'http://loinc.org', code: '9279-1' }] },
  effectiveDateTime: '2026-01-15T11:30:00Z',
  valueQuantity: { value: 28, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
};

type Read = Parameters<ReadOutside>[0];
interface Given extends WorldOptions {
  readonly client?: object;
}
/** A call without prefetch, by the registered client; what was read outside. */
async function call(change: object, { client = {}, ...options }: Given = {}) {
  const asked: Read[] = [];
  const readOutside: ReadOutside = async (read) => {
    asked.push(read);
    if (options.readOutside !== undefined) return options.readOutside(read);
    if (read.path.startsWith('Patient/')) return { status: 200, body: PATIENT };
    return { status: 200, body: read.path.includes('9279-1') ? bundle(VITAL) : bundle() };
  };
  const there = world({ ...options, readOutside, clientsFolder: registered(client) });
  const claims = { iss: 'https://ehr.example', aud: 'http://127.0.0.1:8080/cds-services/deterioration-sepsis' };
  const token = await new SignJWT({ ...claims, iat: AT / 1000, exp: AT / 1000 + 60, jti: 'x' })
    .setProtectedHeader({ alg: 'ES384', kid: 'k', typ: 'JWT' })
    .sign(privateKey);
  const admitted = await there.cds.admit({ path: '/deterioration-sepsis', service: 'deterioration-sepsis' }, PEER, {
    authorization: `Bearer ${token}`,
  });
  const { prefetch: _none, ...view } = patientView();
  const answer = await there.cds.invoke('deterioration-sepsis', JSON.stringify({ ...view, ...change }), admitted);
  return { ...there, answer, asked };
}
const WITH = { fhirServer: EHR, fhirAuthorization: AUTHORIZATION };

test('§1.4.3 §2.2 §8.5 cds-hooks-2.0@fetch absent keys are read from the registered server with its token, each once, and used', async () => {
  const { answer, asked, evidence, reads, audits } = await call(WITH);
  assert.equal(answer.status, 200);
  assert.deepEqual([...new Set(asked.map(({ server, token }) => `${server} ${token}`))], [`${EHR} tok`]);
  assert.equal(new Set(asked.map(({ path }) => path)).size, asked.length, 'no question twice');
  assert.ok(asked.some(({ path }) => path === 'Patient/1288992'));
  assert.ok(evidence[0]?.resources.some(({ id }) => id === 'rate'));
  assert.deepEqual(reads, [], 'nothing of our own store is read');
  assert.ok(audits[0]?.hook?.prefetch.fetched.includes('vitals'));
  assert.equal(JSON.stringify(audits).includes('tok"'), false, 'the token is nowhere');
  const entries = audits[0]?.entries ?? [];
  assert.equal(entries.length, asked.length, 'one event a read');
  assert.ok(entries.every((entry) => entry.asked?.server === EHR && entry.asked.status === 200));
  assert.ok(entries.every(({ patients }) => patients.join() === '1288992'));
  assert.deepEqual(
    entries.filter(({ interaction }) => interaction === 'read').map(({ resource }) => resource),
    [{ type: 'Patient', id: '1288992' }],
  );
  const queries = asked.flatMap(({ path }) => (path.startsWith('Patient/') ? [] : [`GET ${EHR}/${path}`]));
  assert.deepEqual(
    entries.flatMap(({ query }) => query ?? []),
    queries,
  );
});

const stored = { '/Patient/1288992': PATIENT, '/Observation': bundle(VITAL) };
const nowhere: readonly [name: string, change: object, given: Given, says: RegExp][] = [
  ['no fhirServer', {}, {}, /names no `fhirServer`/],
  [
    '§1.3.2 §1.8.7 §8.6 a server that is not registered',
    { ...WITH, fhirServer: 'https://evil.example/fhir' },
    {},
    /not registered with that/,
  ],
  ['§1.5.3 a server that only begins like it', { ...WITH, fhirServer: `${EHR}2` }, {}, /not registered with that/],
  ['no token', { fhirServer: EHR }, {}, /no `fhirAuthorization`/],
  [
    'two patients, one id: ours is not theirs',
    { fhirServer: 'https://other.example/fhir' },
    { stored },
    /not registered/,
  ],
  ['two patients, one id, without server', {}, { stored }, /names no/],
];
for (const [name, change, given, says] of nowhere) {
  test(`${name} (cds-hooks-2.0@fetch 412, and nobody is asked)`, async () => {
    const { answer, asked, reads } = await call(change, given);
    assert.equal(answer.status, 412);
    assert.match(answer.body, says);
    assert.deepEqual([asked, reads], [[], []]);
  });
}

const own: readonly [name: string, change: object, client: object][] = [
  ['our own base', { fhirServer: FHIR_BASE }, {}],
  ['a client whose patients are ours, no server named', {}, { ownPatients: true }],
  [
    'a client whose patients are ours, another server named',
    { fhirServer: 'https://ehr2.example' },
    { ownPatients: true },
  ],
];
for (const [name, change, client] of own) {
  test(`cds-hooks-2.0@fetch from our own store: ${name}`, async () => {
    const { answer, asked, reads } = await call(change, { client, stored });
    assert.equal(answer.status, 200);
    assert.deepEqual(asked, []);
    assert.ok(reads.includes('/Patient/1288992'));
  });
}

test('cds-hooks-2.0@fetch a demonstration client that names another server is not given ours', async () => {
  const { call: demonstrated, reads } = world({ stored });
  const { prefetch: _none, ...view } = patientView();
  assert.equal((await demonstrated('deterioration-sepsis', { ...view, fhirServer: EHR })).status, 412);
  assert.deepEqual(reads, []);
  assert.equal((await demonstrated('deterioration-sepsis', view)).status, 200);
});

/** What came of each read, in order. */
const statusesOf = (audits: readonly Access[]) => audits[0]?.entries.map(({ asked }) => asked?.status);

const page = (next: string | undefined, ...resources: object[]) => ({
  ...bundle(...resources),
  ...(next === undefined ? {} : { link: [{ relation: 'next', url: next }] }),
});
const answers: readonly [
  name: string,
  read: ReadOutside,
  status: number,
  check: (got: Awaited<ReturnType<typeof call>>) => void,
][] = [
  [
    'next pages of the same server are followed',
    async ({ path }) => {
      if (path.startsWith('Patient/')) return { status: 200, body: PATIENT };
      if (path === `${EHR}/page-2`) return { status: 200, body: page(undefined, VITAL) };
      return { status: 200, body: path.startsWith('Condition') ? page(`${EHR}/page-2`) : bundle() };
    },
    200,
    ({ evidence, asked, audits }) => {
      assert.ok(asked.some(({ path }) => path === `${EHR}/page-2`));
      const pages = audits[0]?.entries.filter(({ query }) => query === `GET ${EHR}/page-2`);
      assert.deepEqual(
        pages?.map((entry) => [entry.interaction, entry.asked?.status]),
        [['search-type', 200]],
        'a page is a read of its own',
      );
      assert.equal(evidence[0]?.resources.length, 1);
    },
  ],
  [
    'next pages of another server are not',
    async ({ path }) => ({
      status: 200,
      body: path.startsWith('Patient/') ? PATIENT : page('https://evil.example/fhir/next'),
    }),
    200,
    ({ asked }) =>
      assert.equal(
        asked.some(({ path }) => path.includes('evil')),
        false,
      ),
  ],
  [
    '§1.5.2 at most five pages',
    async ({ path }) => ({
      status: 200,
      body: path.startsWith('Patient/')
        ? PATIENT
        : path.startsWith('Goal') || path.startsWith(EHR)
          ? page(`${EHR}/more?${path.length}`)
          : bundle(),
    }),
    200,
    ({ asked }) => assert.equal(asked.filter(({ path }) => path.startsWith('Goal') || path.startsWith(EHR)).length, 5),
  ],
  [
    'a patient of another id is dropped',
    async () => ({ status: 200, body: { ...PATIENT, id: 'other' } }),
    200,
    ({ evidence, events }) => {
      assert.equal(evidence[0]?.patient, undefined);
      assert.ok(events.some(([event]) => event === 'foreign-resource'));
    },
  ],
  [
    '401: the token does not reach so far',
    async () => ({ status: 401, body: undefined }),
    200,
    ({ audits, asked }) => {
      assert.ok(audits[0]?.hook?.prefetch.missing.includes('vitals'));
      assert.deepEqual(statusesOf(audits), Array(asked.length).fill(401));
    },
  ],
  [
    'a server that breaks',
    async () => {
      throw new Error('reset');
    },
    200,
    ({ audits, asked }) => {
      assert.ok(audits[0]?.hook?.prefetch.missing.includes('patient'));
      assert.deepEqual(statusesOf(audits), Array(asked.length).fill(undefined));
    },
  ],
  [
    'a server that never answers',
    () => new Promise(() => undefined),
    200,
    ({ audits, asked }) => {
      assert.ok(audits[0]?.hook?.prefetch.missing.includes('vitals'));
      assert.deepEqual(statusesOf(audits), Array(asked.length).fill(undefined));
    },
  ],
  [
    'nothing is sent: the server is left alone, and no event says that it was asked',
    async () => undefined,
    200,
    ({ audits }) => {
      assert.ok(audits[0]?.hook?.prefetch.missing.includes('vitals'));
      assert.deepEqual(audits[0]?.entries, []);
    },
  ],
  [
    'refused after it was read: what was read is in the events of the refusal',
    async ({ path }) =>
      path.startsWith('Patient/') ? { status: 200, body: undefined } : { status: 200, body: bundle() },
    412,
    ({ audits, asked }) => {
      assert.deepEqual([audits.length, audits[0]?.status], [1, 412]);
      assert.deepEqual(statusesOf(audits), Array(asked.length).fill(200));
    },
  ],
  [
    '404 of the patient: looked, nothing there',
    async ({ path }) =>
      path.startsWith('Patient/') ? { status: 404, body: undefined } : { status: 200, body: bundle() },
    200,
    ({ evidence }) => assert.equal(evidence[0]?.patient, undefined),
  ],
];
for (const [name, readOutside, status, check] of answers) {
  test(`${name} (cds-hooks-2.0@fetch)`, async () => {
    const got = await call(WITH, { readOutside, deadlineMs: 300 });
    assert.equal(got.answer.status, status);
    check(got);
  });
}

test('§1.5.1 cds-hooks-2.0@fetch a token is not used once it has expired', async () => {
  const expired = { ...WITH, fhirAuthorization: { ...AUTHORIZATION, expires_in: 0 } };
  const { answer, asked } = await call(expired);
  assert.deepEqual([answer.status, asked], [200, []]);
});

test('§5.6.4 reads made for a call whose JWT was used meanwhile are recorded with its refusal', async () => {
  const used = new Map();
  const readOutside: ReadOutside = async ({ path }) => {
    // Another process answers the same JWT while this one reads.
    for (const key of taken.splice(0)) used.set(key, { key, value: '', expiresAt: AT + 1e6 });
    return { status: 200, body: path.startsWith('Patient/') ? PATIENT : bundle() };
  };
  const first = await call(WITH, { used });
  assert.equal(first.answer.status, 200);
  const taken = [...used.keys()].filter((key) => !key.includes('-7000-'));
  used.clear();
  const { answer, audits, asked } = await call(WITH, { used, readOutside });
  assert.equal(answer.status, 401);
  const rows = audits.filter(({ entries }) => entries.length > 0);
  assert.deepEqual(
    rows.at(-1)?.entries.map((entry) => entry.asked?.status),
    Array(asked.length).fill(200),
  );
  assert.equal(rows.at(-1)?.caller.user, 'Practitioner/example');
});
