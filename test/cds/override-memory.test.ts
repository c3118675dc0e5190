// Idle noise: what a user overrode for an order is not told again when it is signed, unless it is another user, order, fact or state, a
// contraindication, the same call again, or too long ago. docs/cds-hooks.md#cards.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../src/risk/drugs/finding.ts';
import type { Keyed } from '../../src/store/port.ts';
import { AT, DRUG_PREFETCH, FINDING, INSTANCE, ORDER, orderSign, PEER, type World, world } from './world.ts';

const HOUR = 3_600_000;
const MAJOR: Finding = { ...FINDING, severity: 'major' };
const LATER = INSTANCE.replace('d1', 'd2');
const REFUSED = { status: 404, headers: {}, body: '{}' };

/** order-select about the one order. */
const select = (change: object = {}): Record<string, unknown> => ({
  ...orderSign(),
  hook: 'order-select',
  context: { ...(orderSign().context as object), selections: ['MedicationRequest/new'], ...change },
});

interface Stay {
  readonly one: World;
  now: number;
  finding: Finding;
  feedback(card: string, item?: object, service?: string): Promise<number>;
}
function stay(options: Parameters<typeof world>[0] = {}): Stay {
  const stay_: Stay = {
    now: AT,
    finding: MAJOR,
    one: world({
      now: () => stay_.now,
      check: () => ({ findings: [stay_.finding], unresolved: [], considered: [] }),
      door: async ({ method }) => (method === 'POST' ? { status: 200, headers: {}, body: '{}' } : REFUSED),
      ...options,
    }),
    feedback: async (card: string, item: object = {}, service = 'drug-interactions-select') => {
      const given = { card, outcome: 'overridden', outcomeTimestamp: new Date(stay_.now).toISOString(), ...item };
      const admitted = await stay_.one.cds.admit({ path: `/${service}/feedback`, service }, PEER);
      return (await stay_.one.cds.feedback(service, JSON.stringify({ feedback: [given] }), admitted)).status;
    },
  };
  return stay_;
}
async function selected(there: Stay, body: unknown = select()): Promise<string> {
  const { cards } = await there.one.call('drug-interactions-select', body);
  assert.equal(cards.length, 1, 'control: it is told when the order is selected');
  return cards[0]?.uuid ?? '';
}
const signed = async (there: Stay, body: unknown = orderSign()) =>
  (await there.one.call('drug-interactions-sign', body)).cards.length;

test('§1.6.13 cds-hooks-2.0@override-memory an overridden finding is not told again when its order is signed; that is counted and audited', async () => {
  const there = stay();
  assert.equal(await signed(there, orderSign({ hookInstance: LATER })), 1, 'control: without an override it is told');
  const card = await selected(there);
  assert.equal(await there.feedback(card), 200);
  assert.equal(await signed(there), 0);
  assert.deepEqual(
    there.one.events.filter(([event]) => event === 'override-remembered'),
    [['override-remembered', 1]],
  );
  assert.match(there.one.audits.at(-1)?.outcomeDescription ?? '', /1 overridden before/);
});

const other = (change: object) => orderSign({ context: { ...(orderSign().context as object), ...change } });
const changed = (change: object) => orderSign({}, [{ resource: { ...ORDER, ...change } }]);
const rows: readonly [why: string, told: number, body: object, change?: (there: Stay) => void][] = [
  ['nothing changed', 0, orderSign()],
  [
    'the order is signed: its status, date and version are others',
    0,
    changed({ status: 'active', authoredOn: '2026-01-15', meta: { versionId: '2' } }),
  ],
  ['the user by an absolute reference', 0, other({ userId: 'https://ehr.example/fhir/Practitioner/example' })],
  ['another hook instance', 0, orderSign({ hookInstance: LATER })],
  ['another user', 1, other({ userId: 'Practitioner/other' })],
  ['another FHIR server', 1, orderSign({ fhirServer: 'https://other.example/fhir' })],
  ['the order has another dose', 1, changed({ dosageInstruction: [{ text: 'twice' }] })],
  [
    'another order of the same drug',
    1,
    changed({ id: 'second' }),
    (there) => {
      there.finding = { ...MAJOR, draft: { ...MAJOR.draft, source: 'MedicationRequest/second' } };
    },
  ],
  [
    'the other drug is another entry',
    1,
    orderSign(),
    (there) => {
      there.finding = { ...MAJOR, other: { ...FINDING.draft, state: 'active', source: 'MedicationRequest/newer' } };
    },
  ],
  [
    'the other drug has changed',
    1,
    orderSign(),
    (there) => {
      there.finding = { ...MAJOR, other: FINDING.other && { ...FINDING.other, display: 'simvastatin 80 mg' } };
    },
  ],
  [
    'a laboratory value has come',
    1,
    orderSign(),
    (there) => {
      there.finding = { ...MAJOR, facts: [{ display: 'Potassium 2.9 mmol/L', at: AT, source: 'Observation/k' }] };
    },
  ],
  [
    'it has become a contraindication',
    1,
    orderSign(),
    (there) => {
      there.finding = FINDING;
    },
  ],
  [
    'just before it is forgotten',
    0,
    orderSign(),
    (there) => {
      there.now += 24 * HOUR - 1;
    },
  ],
  [
    'a day has passed',
    1,
    orderSign(),
    (there) => {
      there.now += 24 * HOUR;
    },
  ],
];
for (const [why, told, body, change] of rows) {
  test(`cds-hooks-2.0@override-memory ${told === 0 ? 'silent' : 'told'}: ${why}`, async () => {
    const there = stay();
    await there.feedback(await selected(there));
    change?.(there);
    assert.equal(await signed(there, body), told);
  });
}

const items: readonly [why: string, told: number, item: object][] = [
  ['overridden with a reason', 0, { overrideReason: { reason: { code: 'known', system: 'urn:x' } } }],
  ['accepted', 1, { outcome: 'accepted', acceptedSuggestions: [{ id: INSTANCE }] }],
  ['overridden yesterday, told today', 1, { outcomeTimestamp: new Date(AT - 24 * HOUR).toISOString() }],
  ['overridden an hour ago', 0, { outcomeTimestamp: new Date(AT - HOUR).toISOString() }],
];
for (const [why, told, item] of items) {
  test(`cds-hooks-2.0@override-memory feedback ${why}: ${told === 0 ? 'silent' : 'told'}`, async () => {
    const there = stay();
    assert.equal(await there.feedback(await selected(there), item), 200);
    assert.equal(await signed(there), told);
  });
}

test('cds-hooks-2.0@override-memory a clock ahead does not make an override last longer', async () => {
  const there = stay();
  await there.feedback(await selected(there), { outcomeTimestamp: new Date(AT + 1000 * HOUR).toISOString() });
  there.now += 24 * HOUR;
  assert.equal(await signed(there), 1);
});

test('cds-hooks-2.0@override-memory a contraindication is told as often as it is overridden', async () => {
  const there = stay();
  there.finding = FINDING;
  await there.feedback(await selected(there));
  assert.equal(await signed(there), 1);
});

test('cds-hooks-2.0@override-memory the call that was overridden gives the same answer again; a later call is silent', async () => {
  const there = stay();
  const { cards } = await there.one.call('drug-interactions-sign', orderSign());
  await there.feedback(cards[0]?.uuid ?? '', {}, 'drug-interactions-sign');
  assert.equal(await signed(there), 1, 'same service, same hook instance');
  assert.equal(await signed(there, orderSign({ hookInstance: LATER })), 0);
});

test('cds-hooks-2.0@override-memory selecting is told each time: only signing remembers', async () => {
  const there = stay();
  await there.feedback(await selected(there));
  await selected(there, { ...select(), hookInstance: LATER });
});

test('cds-hooks-2.0@override-memory without a user nothing is remembered', async () => {
  const there = stay();
  const refill = { hookInstance: INSTANCE, hook: 'medication-refill', prefetch: DRUG_PREFETCH };
  const medications = { resourceType: 'Bundle', entry: [{ resource: ORDER }] };
  const { cards } = await there.one.call('drug-interactions-refill', {
    ...refill,
    context: { patientId: '1288992', medications },
  });
  await there.feedback(cards[0]?.uuid ?? '', {}, 'drug-interactions-refill');
  assert.equal(await signed(there), 1);
});

test('cds-hooks-2.0@override-memory switched off, nothing is remembered', async () => {
  const there = stay({ overrideMs: 0 });
  await there.feedback(await selected(there));
  assert.equal(await signed(there), 1);
});

test('cds-hooks-2.0@override-memory it outlives a restart, and holds nothing that can be read', async () => {
  const used = new Map<string, Keyed>();
  const there = stay({ used });
  const card = await selected(there);
  const before = new Set(used.keys());
  await there.feedback(card);
  const kept = [...used].filter(([key]) => !before.has(key));
  assert.equal(kept.length, 1);
  assert.doesNotMatch(JSON.stringify(kept), /example|1288992|clarithromycin|MedicationRequest/);
  assert.equal(await signed(stay({ used })), 0);
});

test("cds-hooks-2.0@override-memory one client's override is not another's", async () => {
  const there = stay();
  await there.feedback(await selected(there));
  const body = JSON.stringify(orderSign());
  const { client, caller } = await there.one.cds.admit({ path: '/x', service: undefined }, PEER);
  const others = { client: { ...client, name: 'b' }, caller, replay: undefined, release: () => undefined };
  const answer = await there.one.cds.invoke('drug-interactions-sign', body, others);
  assert.equal((JSON.parse(answer.body) as { cards: readonly object[] }).cards.length, 1);
});
