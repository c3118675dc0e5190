// CDS Hooks library: the context of every hook, by row. Services on the rarer hooks are files made here; the server's own are in cds-services.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bundle, DRUG_PREFETCH, FINDING, INSTANCE, ORDER, orderSign, patientView, ROOT, world } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'firewatch-hooks-'));
after(() => rmSync(folder, { recursive: true }));
cpSync(join(ROOT, 'cds-services'), folder, { recursive: true });
const file = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(ROOT, 'cds-services', `${name}.json`), 'utf8'));
for (const hook of [
  'encounter-start',
  'encounter-discharge',
  'appointment-book',
  'order-dispatch',
  'allergyintolerance-create',
  'problem-list-item-create',
]) {
  writeFileSync(join(folder, `${hook}.json`), JSON.stringify({ ...file('deterioration-sepsis'), id: hook, hook }));
}
writeFileSync(
  join(folder, 'shadow.json'),
  JSON.stringify({ ...file('drug-interactions-sign'), id: 'shadow', shadow: true }),
);

const PEOPLE = { userId: 'Practitioner/example', patientId: '1288992' };
const ALLERGY = { resourceType: 'AllergyIntolerance', id: 'a', patient: { reference: 'Patient/1288992' } };
const PROBLEM = { resourceType: 'Condition', id: 'c', subject: { reference: 'Patient/1288992' } };
const OTHERS = { ...PROBLEM, id: 'd', subject: { reference: 'Patient/2' } };

const rows: readonly [hook: string, status: number, context: object, why: string][] = [
  ['encounter-start', 200, { ...PEOPLE, encounterId: 'e' }, 'all there'],
  ['encounter-start', 400, PEOPLE, 'encounterId is required'],
  ['encounter-start', 400, { patientId: '1288992', encounterId: 'e' }, 'userId is required'],
  ['encounter-discharge', 200, { ...PEOPLE, encounterId: 'Encounter/e' }, 'a prefixed id'],
  ['encounter-discharge', 400, { ...PEOPLE, encounterId: '' }, 'an empty id'],
  ['appointment-book', 200, { ...PEOPLE, appointments: bundle() }, 'appointments'],
  ['appointment-book', 400, PEOPLE, 'appointments are required'],
  ['appointment-book', 400, { ...PEOPLE, appointments: { resourceType: 'Appointment' } }, 'a Bundle is asked for'],
  [
    'order-dispatch',
    200,
    { patientId: '1288992', dispatchedOrders: ['ServiceRequest/1'], performer: 'Organization/1' },
    'no user',
  ],
  ['order-dispatch', 400, { patientId: '1288992', dispatchedOrders: ['ServiceRequest/1'] }, 'performer is required'],
  ['order-dispatch', 400, { patientId: '1288992', performer: 'Organization/1' }, 'dispatchedOrders are required'],
  ['allergyintolerance-create', 200, { ...PEOPLE, allergyIntolerance: ALLERGY }, 'the new allergy'],
  ['allergyintolerance-create', 400, PEOPLE, 'the allergy is required'],
  ['allergyintolerance-create', 400, { ...PEOPLE, allergyIntolerance: PROBLEM }, 'another type'],
  ['problem-list-item-create', 200, { ...PEOPLE, conditions: bundle(PROBLEM) }, 'new problems'],
  ['problem-list-item-create', 400, PEOPLE, 'the problems are required'],
];
for (const [hook, status, context, why] of rows) {
  test(`§1.9 cds-hooks-2.0@hook-context ${hook} ${status}: ${why}`, async () => {
    const { call } = world({ folder });
    assert.equal((await call(hook, patientView({ hook, context }))).status, status);
  });
}

test('cds-hooks-2.0@hook-context what the context gives as new is known to the engine; what is about others is not', async () => {
  const one = world({ folder });
  const context = { ...PEOPLE, conditions: bundle(PROBLEM, OTHERS) };
  await one.call('problem-list-item-create', patientView({ hook: 'problem-list-item-create', context }));
  assert.deepEqual(
    one.evidence[0]?.resources.map(({ id }) => id),
    ['c'],
  );
  assert.deepEqual(one.events, [['foreign-resource', 1]]);
});

const refill = (context: object) => ({
  hookInstance: INSTANCE,
  hook: 'medication-refill',
  context,
  prefetch: DRUG_PREFETCH,
});
test('cds-hooks-2.0@hook-context medication-refill: its medications are judged as orders, with or without a user', async () => {
  const one = world({ findings: [FINDING] });
  const medications = bundle(ORDER);
  for (const context of [
    { ...PEOPLE, medications },
    { patientId: '1288992', medications },
  ]) {
    const { status, cards } = await one.call('drug-interactions-refill', refill(context));
    assert.deepEqual([status, cards.length], [200, 1]);
  }
  assert.equal((await one.call('drug-interactions-refill', refill(PEOPLE))).status, 400);
});

test('cds-hooks-2.0@shadow: judged and recorded, shown to nobody', async () => {
  const used: Parameters<typeof world>[0] = { folder, findings: [FINDING], used: new Map() };
  const one = world(used);
  const { status, text } = await one.call('shadow', orderSign());
  assert.deepEqual([status, text], [200, '{"cards":[]}']);
  assert.equal(one.checks.length, 1, 'it was judged');
  assert.deepEqual(one.audits[0]?.hook?.cards, []);
  assert.match(one.audits[0]?.outcomeDescription ?? '', /in shadow: 1 cards not shown/);
  assert.equal(used.used?.size, 2, 'the call and its card are on record');
});
