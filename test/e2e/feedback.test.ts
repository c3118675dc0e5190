// CDS Hooks 2.0.1 "Feedback", and what a card stood on: the real server, a registered client, a restart.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { storeSettings } from '../test-store.ts';
import { removeFolder, start } from './server.ts';

interface Json {
  readonly [name: string]: unknown;
}
const INSTANCE = 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea';
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const SUGGESTION = '11111111-1111-4111-8111-111111111111';
const SENT = '2026-01-15T12:00:00Z';

const { privateKey, publicKey } = await generateKeyPair('ES384');
const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES384' };
const client = (name: string, more: Json = {}) => ({
  name,
  issuer: `https://${name}.example`,
  services: ['*'],
  jwks: { keys: [jwk] },
  ...more,
});

test('§1.7.1 §1.7.3 §1.7.4 §5.6.4 §5.6.5 §1.10.6 §1.11.4 cds-hooks-2.0@feedback is kept as one Communication an item, joined to its card, once, and audited', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-feedback-'));
  const clients = join(folder, 'clients');
  mkdirSync(clients);
  writeFileSync(join(clients, 'a.json'), JSON.stringify(client('ehr', { ownPatients: true })));
  writeFileSync(join(clients, 'b.json'), JSON.stringify(client('other')));
  writeFileSync(join(clients, 'c.json'), JSON.stringify(client('third')));
  const data = join(folder, 'data');
  mkdirSync(data);
  context.after(() => removeFolder(folder));
  const environment = { CDS_CLIENTS_DIR: clients, SEED: 'demo' };
  let server = await start(environment, data);
  context.after(() => server.stop());
  let uses = 0;
  const now = () => Math.floor(Date.now() / 1000);
  const ask = async (path: string, body?: unknown, from = 'ehr') => {
    const claims = {
      iss: `https://${from}.example`,
      aud: `${server.url}/cds-services/${path.split('?')[0]}`,
      iat: now(),
      exp: now() + 60,
    };
    const token = await new SignJWT({ ...claims, jti: `use-${uses++}` })
      .setProtectedHeader({ alg: 'ES384', kid: 'k', typ: 'JWT' })
      .sign(privateKey);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(`${server.url}/cds-services/${path}`, { headers, ...sent });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('/json');
    return { status: response.status, text, body: isJson ? JSON.parse(text) : undefined };
  };
  const call = {
    hook: 'patient-view',
    hookInstance: INSTANCE,
    context: { userId: 'Practitioner/demo-physician', patientId: 'demo-sepsis', encounterId: 'enc-1' },
  };
  const shown = await ask('deterioration-sepsis', call);
  assert.equal(shown.status, 200);
  const [card] = shown.body.cards;
  assert.ok(card, 'the seed patient is septic');

  const accepted = {
    card: card.uuid,
    outcome: 'accepted',
    outcomeTimestamp: SENT,
    acceptedSuggestions: [{ id: SUGGESTION }],
  };
  const reason = { system: 'https://ehr.example/reasons', code: 'known', display: 'Already known' };
  const overridden = {
    card: card.uuid.toUpperCase(),
    outcome: 'overridden',
    outcomeTimestamp: '2026-01-15T13:00:00+01:00',
    overrideReason: { reason, userComment: 'seen on the round' },
  };
  const orphan = { card: UNKNOWN, outcome: 'overridden', outcomeTimestamp: SENT };
  const sent = { feedback: [accepted, overridden, orphan, { card: 'x' }] };
  assert.equal((await ask('deterioration-sepsis/feedback', sent)).status, 200);
  assert.equal((await ask('deterioration-sepsis/feedback', sent)).status, 200, 'again');

  const search = async (query: string) => {
    const bundle = (await (await fetch(`${server.url}/fhir/${query}`)).json()) as { entry?: { resource: Json }[] };
    return (bundle.entry ?? []).map(({ resource }) => resource);
  };
  const found = await search(`Communication?identifier=${card.uuid}&_sort=-sent`);
  assert.equal(found.length, 2, 'each once');
  const override = found.find(({ reasonCode }) => reasonCode !== undefined);
  assert.deepEqual(override?.subject, { reference: 'Patient/demo-sepsis' });
  assert.deepEqual(override?.reasonCode, [{ coding: [reason] }]);
  assert.deepEqual(override?.note, [{ text: 'seen on the round' }]);
  assert.equal(override?.sent, '2026-01-15T12:00:00.000Z');
  assert.match(JSON.stringify(override?.meta), /"versionId":"1"/, 'the same again changes nothing');
  assert.match(JSON.stringify(override?.extension), /"valueCode":"overridden".*news2\|1\.0\.0/);
  const [lost] = await search(`Communication?identifier=${UNKNOWN}`);
  assert.match(JSON.stringify(lost?.extension), /"orphan","valueBoolean":true/);
  assert.equal(lost?.subject, undefined);
  const events = await search(`AuditEvent?entity=Communication/${override?.id}&_sort=-date`);
  assert.ok(events.length >= 1);
  assert.match(JSON.stringify(events), /demo-physician/, 'who gave it');

  const foreign = await ask('deterioration-sepsis/feedback', { feedback: [{ ...orphan, card: card.uuid }] }, 'other');
  assert.equal(foreign.status, 200);
  const theirs = (await search(`Communication?identifier=${card.uuid}`)).find(({ extension }) =>
    JSON.stringify(extension).includes('"valueString":"other"'),
  );
  assert.equal(theirs?.subject, undefined, "another client's card is an orphan to this one");

  assert.equal((await ask(`explain/${card.uuid}`, undefined, 'other')).status, 404, 'only who was sent the card');
  // Another client that makes up the same hookInstance has cards of the same uuid: its own, and the first client's stay where they are.
  const read = async (path: string) => (await fetch(`${server.url}/fhir/${path}`)).json();
  const [patient, vitals, encounters] = await Promise.all(
    ['Patient/demo-sepsis', 'Observation?patient=demo-sepsis&_count=200', 'Encounter?patient=demo-sepsis'].map(read),
  );
  const theirsToo = await ask('deterioration-sepsis', { ...call, prefetch: { patient, vitals, encounters } }, 'third');
  assert.equal(theirsToo.body.cards[0]?.uuid, card.uuid);

  await server.stop();
  server = await start(environment, data);
  const explained = await ask(`explain/${card.uuid}`);
  assert.equal(explained.status, 200);
  assert.equal(explained.body.card.uuid, card.uuid);
  assert.equal(explained.body.decision.patient, 'demo-sepsis');
  assert.ok(explained.body.decision.assessments[0].used.length > 0);
  for (const { model, same } of explained.body.computedAgain)
    assert.equal(same, true, `${model.id} gives the same number`);
  const ofThird = await ask(`explain/${card.uuid}`, undefined, 'third');
  assert.deepEqual([explained.body.decision.client, ofThird.body.decision.client], ['ehr', 'third'], 'to each its own');
  assert.equal((await ask(`explain/${UNKNOWN}`)).status, 404);
  const asked = await search('AuditEvent?patient=demo-sepsis&_sort=-date&_count=5');
  assert.match(JSON.stringify(asked), /explain/);

  const reported = await ask('report');
  assert.equal(reported.status, 200);
  const [group] = reported.body.groups;
  assert.equal(reported.body.complete, true);
  assert.deepEqual(
    [group.service, group.model, group.cards, group.overrideRate],
    ['deterioration-sepsis', 'news2|1.0.0', 1, 1],
  );
  assert.deepEqual(group.reasons, [{ system: reason.system, code: 'known', count: 1 }]);
  const csv = await ask('report?format=csv');
  assert.match(csv.text, /^intervention,action,feedback,user,date,location\r\n/);
  assert.match(
    csv.text,
    /overridden,https:\/\/ehr.example\/reasons\|known Already known; seen on the round,Practitioner\/demo-physician,/,
  );
  assert.deepEqual((await ask('report', undefined, 'other')).body.groups, [], "nobody sees another client's cards");
  assert.equal((await ask('report?from=x')).status, 400);
  assert.equal((await fetch(`${server.url}/cds-services/report`)).status, 401);
  assert.match(JSON.stringify(await search('AuditEvent?_sort=-date&_count=20')), /cds-feedback-report/);
  await server.stop();
  const printed = execFileSync(process.execPath, ['src/main.ts', 'feedback-report', '--format', 'ndjson'], {
    env: { ...process.env, ...environment, ...storeSettings(data) },
    encoding: 'utf8',
  });
  const explain = (args: readonly string[]) =>
    spawnSync(process.execPath, ['src/main.ts', 'explain', card.uuid, ...args], {
      env: { ...process.env, ...environment, ...storeSettings(data) },
      encoding: 'utf8',
    });
  assert.match(explain([]).stderr, /Several clients have a card of this uuid: `ehr`, `third`/);
  assert.match(explain(['--client', 'third']).stdout, /for client third\n/);
  const rows = printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    rows.map(({ action, user }) => [action, user]),
    [
      ['accepted', 'Practitioner/demo-physician'],
      ['overridden', 'Practitioner/demo-physician'],
      ['none', 'Practitioner/demo-physician'], // the third client's card
    ],
  );
});

const refusals: readonly [name: string, body: unknown][] = [
  ['not an object', []],
  ['no list', { feedback: {} }],
  ['an empty list', { feedback: [] }],
  ['§1.7.2 no item that can be used', { feedback: [{ card: UNKNOWN, outcome: 'ignored', outcomeTimestamp: SENT }] }],
  [
    '§1.7.2 §1.10.10 accepted without suggestions',
    { feedback: [{ card: UNKNOWN, outcome: 'accepted', outcomeTimestamp: SENT }] },
  ],
  [
    '§1.7.2 accepted suggestions without id',
    { feedback: [{ card: UNKNOWN, outcome: 'accepted', outcomeTimestamp: SENT, acceptedSuggestions: [{}] }] },
  ],
  [
    '§1.7.2 a time without zone',
    { feedback: [{ card: UNKNOWN, outcome: 'overridden', outcomeTimestamp: '2026-01-15T12:00:00' }] },
  ],
  ['a date', { feedback: [{ card: UNKNOWN, outcome: 'overridden', outcomeTimestamp: '2026-01-15' }] }],
  [
    'more than 200 items',
    { feedback: Array.from({ length: 201 }, () => ({ card: UNKNOWN, outcome: 'overridden', outcomeTimestamp: SENT })) },
  ],
];
test('§1.7.3 cds-hooks-2.0@feedback that cannot be used is 400 with an OperationOutcome, and nothing is kept', async (context) => {
  const server = await start();
  context.after(() => server.stop().then(() => removeFolder(server.folder)));
  for (const [name, body] of refusals) {
    const response = await fetch(`${server.url}/cds-services/triage/feedback`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    assert.equal(response.status, 400, name);
    assert.equal(((await response.json()) as Json).resourceType, 'OperationOutcome');
  }
  const kept = (await (await fetch(`${server.url}/fhir/Communication?_summary=count`)).json()) as Json;
  assert.equal(kept.total, 0);
  const unknown = await fetch(`${server.url}/cds-services/nothing/feedback`, { method: 'POST', body: '{}' });
  assert.equal(unknown.status, 404);
  await server.stop();
});
