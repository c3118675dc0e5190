// CDS Hooks 2.0.1 "System Action": the one that a site may ask for, a note on each order that it was checked. docs/decisions/0036.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemActionProblems } from '../../src/cds/cards/annotation.ts';
import type { Action } from '../../src/cds/cards/card.ts';
import type { ClientProfile } from '../../src/cds/clients/client.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import type { Finding } from '../../src/risk/drugs/finding.ts';
import { answerProblems } from '../e2e/cds-reader.ts';
import { FINDING, ORDER, orderSign, PEER, ROOT, type WorldOptions, world } from './world.ts';

type Json = Record<string, unknown>;
const SIGN: Json = JSON.parse(readFileSync(join(ROOT, 'cds-services', 'drug-interactions-sign.json'), 'utf8'));
const folders = mkdtempSync(join(tmpdir(), 'firewatch-annotation-'));
after(() => rmSync(folders, { recursive: true }));
function folderWith(change: Json = {}): string {
  const folder = mkdtempSync(join(folders, 'services-'));
  cpSync(join(ROOT, 'cds-services', 'schema.json'), join(folder, 'schema.json'));
  const engine = { ...(SIGN.engine as Json), annotateOrders: true };
  writeFileSync(join(folder, 'one.json'), JSON.stringify({ ...SIGN, engine, ...change }));
  return folder;
}
const ASKED = folderWith();

interface Answer {
  readonly cards: readonly unknown[];
  readonly systemActions?: readonly Action[];
  readonly extension?: { readonly systemActions?: readonly Action[] };
}
async function sign(
  orders: readonly object[],
  options: WorldOptions = {},
  profile: ClientProfile = 'generic',
  change: Json = {},
) {
  const one = world({ folder: ASKED, findings: [FINDING], ...options });
  assert.deepEqual(one.cds.problems, []);
  const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
  const sender = { ...admitted, client: { ...admitted.client, profile } };
  const body = orderSign(
    change,
    orders.map((resource) => ({ resource })),
  );
  const { status, body: text } = await one.cds.invoke('drug-interactions-sign', JSON.stringify(body), sender);
  const answer: Answer = JSON.parse(text);
  assert.equal(status, 200);
  return { ...one, answer, actions: answer.systemActions ?? [] };
}
const notesOf = ({ resource }: Action): readonly string[] =>
  ((resource?.note ?? []) as unknown as readonly { readonly text: string }[]).map(({ text }) => text);
const OURS = 'Drug check by decision support, tables 2026.1: ';

test('system-action@off no shipped service asks for one', () => {
  for (const name of readdirSync(join(ROOT, 'cds-services')).filter((each) => each.endsWith('.json')))
    assert.doesNotMatch(
      readFileSync(join(ROOT, 'cds-services', name), 'utf8').replace(/"description": ".*"/g, ''),
      /"annotateOrders": true/,
    );
});

test('§1.6.11 a system action gives the whole order back with a note, beside the card and in none', async () => {
  const order = { ...ORDER, note: [{ text: 'with food' }], meta: { versionId: '3' } };
  const { answer, actions, audits } = await sign([order]);
  assert.deepEqual(answerProblems(answer), []);
  const [action, ...more] = actions;
  assert.ok(action?.resource);
  assert.deepEqual(more, []);
  const { note: _note, ...rest } = action.resource;
  const { note: _before, ...received } = order;
  assert.deepEqual([action.type, rest], ['update', received]);
  assert.deepEqual(notesOf(action), [
    'with food',
    `${OURS}1 contraindicated finding. Not all data was received. It does not replace clinical judgement.`,
  ]);
  assert.equal(answer.cards.length, 1);
  assert.ok(!JSON.stringify(answer.cards).includes('Drug check by decision support'));
  assert.match(audits[0]?.outcomeDescription ?? '', /1 orders annotated/);
});

test('§1.6.11 signing again replaces the note and keeps those of others', async () => {
  const [first] = (await sign([ORDER])).actions;
  assert.ok(first?.resource);
  const again = { ...first.resource, note: [...((first.resource.note ?? []) as object[]), { text: 'call me' }] };
  const [second] = (await sign([again], { findings: [] })).actions;
  assert.ok(second);
  assert.deepEqual(notesOf(second), [
    'call me',
    `${OURS}no finding. Not all data was received. It does not replace clinical judgement.`,
  ]);
});

test('§1.6.11 the note says when data was missing, and only then', async () => {
  const keys = Object.keys(SIGN.prefetch as Json);
  const prefetch = Object.fromEntries(keys.map((key) => [key, null]));
  const [whole] = (await sign([ORDER], {}, 'generic', { prefetch })).actions;
  assert.ok(whole);
  assert.deepEqual(notesOf(whole), [`${OURS}1 contraindicated finding. It does not replace clinical judgement.`]);
});

const major: Finding = { ...FINDING, key: 'b', severity: 'major' };
const silent: readonly [why: string, orders: readonly object[], options: WorldOptions, change: Json][] = [
  ['an order without id', [{ ...ORDER, id: undefined }], {}, {}],
  ['an order that was not valid as received', [{ ...ORDER, status: 'never' }], {}, {}],
  [
    'a check that failed',
    [ORDER],
    {
      check: () => {
        throw new Error('broken');
      },
    },
    {},
  ],
  [
    'an order that no table knows',
    [ORDER],
    {
      check: () => ({
        findings: [],
        unresolved: [],
        considered: [],
        unchecked: [{ draft: FINDING.draft, reason: 'No table knows it.' }],
      }),
    },
    {},
  ],
  [
    'an order that was not checked in time',
    [ORDER],
    { check: () => ({ findings: [], unresolved: [], considered: [], late: [FINDING.draft] }) },
    {},
  ],
  ['a patient as user', [ORDER], {}, { context: undefined }],
  ['a service in shadow', [ORDER], { folder: folderWith({ shadow: true }) }, {}],
  ['a service that does not ask for it', [ORDER], { folder: join(ROOT, 'cds-services') }, {}],
];
for (const [why, orders, options, change] of silent) {
  test(`§1.6.11 no order is annotated: ${why}`, async () => {
    const context = {
      userId: 'Patient/1288992',
      patientId: '1288992',
      draftOrders: { resourceType: 'Bundle', entry: orders.map((resource) => ({ resource })) },
    };
    const { answer } = await sign(orders, options, 'generic', 'context' in change ? { context } : {});
    assert.equal(answer.systemActions, undefined);
  });
}

test('§1.6.11 each order of a call is annotated with its own findings', async () => {
  const other = { ...ORDER, id: 'other' };
  const between: Finding = { ...major, other: { ...FINDING.draft, source: 'MedicationRequest/other' } };
  const { actions } = await sign([ORDER, other], { findings: [FINDING, between] });
  assert.deepEqual(
    actions.map((action) => notesOf(action)[0]?.slice(OURS.length).split('.')[0]),
    ['1 contraindicated, 1 major findings', '1 major finding'],
  );
});

const profiles: readonly [profile: ClientProfile, sent: number, below: number][] = [
  ['generic', 1, 0],
  ['sandbox', 1, 1],
  ['crd', 1, 0],
  ['epic', 0, 0],
];
for (const [profile, sent, below] of profiles) {
  test(`§2.4 system actions as ${profile} reads them: ${sent}, below extension ${below}`, async () => {
    const { answer } = await sign([ORDER], {}, profile);
    assert.deepEqual([answer.systemActions?.length ?? 0, answer.extension?.systemActions?.length ?? 0], [sent, below]);
  });
}

test('system-action@start orders are annotated on order-sign only', () => {
  const { problems } = world({ folder: folderWith({ hook: 'order-select' }) }).cds;
  assert.match(problems.join(), /annotated on order-sign only/);
});

const RECEIVED: Resource = { resourceType: 'MedicationRequest', id: '1', status: 'draft', note: [{ text: 'a' }] };
const note = (resource: object = {}): Action => ({
  type: 'update',
  description: 'Notes.',
  resource: { ...RECEIVED, note: [{ text: 'a' }, { text: 'b' }], ...resource },
});
const rules: readonly [fine: boolean, action: Action, why: string][] = [
  [true, note(), 'control: a note more'],
  [false, note({ status: 'active' }), 'another status'],
  [false, note({ note: [{ text: 'b' }] }), 'a note of others taken away'],
  [false, note({ id: '2' }), 'an order that was not sent'],
  [false, note({ dosageInstruction: [] }), 'an element more'],
  [false, { type: 'create', description: 'x', resource: RECEIVED }, 'a creation'],
  [false, { type: 'delete', description: 'x', resourceId: 'MedicationRequest/1' }, 'a removal'],
  [false, { type: 'update', description: 'x' }, 'nothing'],
  [false, { ...note(), description: ' ' }, 'no description'],
  [false, { ...note(), description: '<b>' }, 'markup'],
  [false, { ...note(), resourceId: 'MedicationRequest/1' }, 'an id beside the resource'],
];
for (const [fine, action, why] of rules) {
  test(`§1.6.11 the rules of a system action: ${why} ${fine ? 'passes' : 'fails'}`, () =>
    assert.equal(systemActionProblems(action, [RECEIVED]).length === 0, fine));
}
