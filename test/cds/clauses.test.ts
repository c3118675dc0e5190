// Clauses of docs/requirements/cds-clauses.csv that no other test proves, each named by its number. The map: test/clauses.test.ts.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ModelCard } from '../../src/risk/manifest.ts';
import { rendered, rowOf } from '../audit/world.ts';
import { assessment, FINDING, MANIFESTS, orderSign, patientView, ROOT, world } from './world.ts';

test('§1.3.4 a prefixed id is counted, and answered as the bare one', async () => {
  const [bare, prefixed] = [world({ findings: [FINDING] }), world({ findings: [FINDING] })];
  const plain = orderSign();
  const context = { ...(plain.context as object), patientId: 'Patient/1288992' };
  const answers = [
    await bare.call('drug-interactions-sign', plain),
    await prefixed.call('drug-interactions-sign', { ...plain, context }),
  ];
  const cards = answers.map(({ cards: [card] }) => [card?.uuid, card?.summary]);
  assert.deepEqual(cards[0], cards[1]);
  assert.deepEqual([bare.events, prefixed.events], [[], [['prefixed-id', 1]]]);
  assert.equal(prefixed.audits[0]?.hook?.patient, '1288992');
});

const outcomes: readonly [outcome: string, body: unknown, fails: boolean, why: string][] = [
  ['0', patientView(), false, 'advice'],
  ['4', patientView({ hookInstance: 'x' }), false, 'a refusal'],
  ['4', patientView({ prefetch: {} }), false, 'data that cannot be had'],
  ['8', patientView(), true, 'a failure behind a 200'],
];
test('§5.6.1 the outcome of the event is 0 for advice, 4 for a refusal, 8 for a failure behind a 200', async () => {
  for (const [outcome, body, fails, why] of outcomes) {
    const assess = async (id: string) => (fails ? Promise.reject(new Error('broken')) : assessment(id));
    const one = world({ assess });
    await one.call('deterioration-sepsis', body);
    const [access] = one.audits;
    assert.ok(access, why);
    const [event] = rendered(rowOf(access));
    assert.equal(event?.outcome, outcome, why);
    assert.equal(event.action, 'E');
    assert.ok(event.period?.start !== undefined && event.period.end !== undefined);
  }
});

test('§5.6.2 the event names the client by its issuer and the user of the context, by code and address', async () => {
  const one = world({ findings: [FINDING] });
  const admitted = await one.cds.admit({ path: '/x', service: undefined }, { requestId: 'r', address: '192.0.2.9' });
  const client = { system: 'https://ehr.example/fhir', value: 'ehr' };
  const sender = { ...admitted, caller: { ...admitted.caller, client } };
  await one.cds.invoke('drug-interactions-sign', JSON.stringify(orderSign()), sender);
  const [access] = one.audits;
  assert.ok(access);
  const agents = rendered(rowOf(access))[0]?.agent ?? [];
  const source = agents.find(({ type }) => type?.coding?.[0]?.code === '110153');
  assert.deepEqual(
    [source?.who?.identifier, source?.network],
    [client, { address: '192.0.2.9', type: '2' }],
    'the client is the source',
  );
  assert.ok(
    agents.some(({ type }) => type?.coding?.[0]?.code === '110152'),
    'the server is the destination',
  );
  const user = agents.find(({ requestor }) => requestor);
  assert.match(JSON.stringify(user?.who), /Practitioner\/example/);
});

const SCORES = JSON.parse(readFileSync(join(ROOT, 'cds-services', 'deterioration-sepsis.json'), 'utf8'));
const folders = mkdtempSync(join(tmpdir(), 'firewatch-clauses-'));
after(() => rmSync(folders, { recursive: true }));
function folderWith(service: object): string {
  const folder = mkdtempSync(join(folders, 'services-'));
  cpSync(join(ROOT, 'cds-services', 'schema.json'), join(folder, 'schema.json'));
  writeFileSync(join(folder, 'one.json'), JSON.stringify(service));
  return folder;
}

const cardOf = (id: string, value: string): ModelCard => ({
  model: id,
  version: '1.0.0',
  attributes: [{ number: 17, name: 'Data of external validation', value }],
});
const labelled: readonly [problems: number, id: string, value: string, notice: string, why: string][] = [
  [0, 'news2', 'not available', 'Published scores, for demonstration.', 'control: it says so'],
  [1, 'news2', 'not available', 'Published scores.', 'no validation, and not said'],
  [1, 'news2', 'Not available.', 'Published scores, demonstrated widely.', 'another word'],
  [0, 'news2', 'Two hospitals.', 'Published scores.', 'validated'],
  [0, 'sepsis-icu', 'not available', 'Published scores.', 'a model that the service does not ask'],
];
for (const [problems, id, value, notice, why] of labelled) {
  test(`§6.3.5 a service whose model lacks validation says that it is a demonstration: ${why}`, () => {
    const folder = folderWith({ ...SCORES, notice });
    const cards = new Map([[`${id}|${MANIFESTS.get(id)?.version}`, cardOf(id, value)]]);
    assert.equal(world({ folder, cards }).cds.problems.length, problems);
  });
}
