// The link "Basis of this card": an opaque handle that expires, bound to one card of one call; what is behind it; who looked is audited.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basisHandles } from '../../src/cds/cards/basis-link.ts';
import type { Card } from '../../src/cds/cards/card.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { basisPage } from '../../src/pages/basis-page.ts';
import { readCatalogue } from '../../src/pages/catalogue.ts';
import { document } from '../../src/pages/layout.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { Assessment } from '../../src/risk/assessment.ts';
import type { Keyed } from '../../src/store/port.ts';
import {
  AT,
  assessment,
  bundle,
  FINDING,
  orderSign,
  PEER,
  patientView,
  ROOT,
  type World,
  type WorldOptions,
  world,
} from './world.ts';

const CALLER = localCaller(localFacts('r2', '127.0.0.1'));
const CATALOGUE = readCatalogue({ models: `${ROOT}/models`, knowledge: `${ROOT}/knowledge`, pages: `${ROOT}/pages` });
const HOSTILE = '<img src=x onerror=alert(1)>';
const RATE = {
  name: 'respiratoryRate',
  display: 'Respiratory rate',
  value: 26,
  unit: '/min',
  at: AT,
  source: 'Observation/rate-1',
  points: 3,
};
const MISSING = [{ name: 'temperature', display: 'Body temperature', reason: 'no usable Observation within 24 h' }];
const HIGH: WorldOptions = {
  assess: async (id) =>
    assessment(
      id,
      id === 'news2' ? { outputs: { total: 7 }, band: 'high', atLeast: true, used: [RATE], missing: MISSING } : {},
    ),
};
const addressOf = (card: Card | undefined): string =>
  card?.links?.find(({ label }) => label === 'Basis of this card')?.url ?? '';
const handleOf = (card: Card | undefined): string => addressOf(card).split('/').at(-1) ?? '';
async function shown(options: WorldOptions = HIGH, id = 'deterioration-sepsis', body: unknown = patientView()) {
  const one = world(options);
  const { cards } = await one.call(id, body);
  return { one, cards, handle: handleOf(cards[0]) };
}
const notFound = (error: unknown): boolean => error instanceof FhirError && error.kind === 'not-found';
const pageOf = async ({ cds }: World, handle: string): Promise<string> =>
  document(basisPage(await cds.basis(handle, CALLER), CATALOGUE), false);

test('§6.2.4 card-content@basis: inputs with dates, units and points, what is missing, threshold, model, on a page', async () => {
  const { one, handle } = await shown();
  const page = await pageOf(one, handle);
  for (const part of [
    'NEWS2 at least 7, high',
    'Respiratory rate',
    '<td>26</td><td>/min</td><td>2026-01-15 12:00 UTC</td><td>3</td><td>Observation/rate-1</td>',
    'no usable Observation within 24 h',
    'total at least 7',
    'href="/models/news2/1.0.0"',
    'Royal College of Physicians',
    'Patient/1288992',
    'no inputs were kept',
  ])
    assert.ok(page.includes(part), `${part}\n---\n${page}`);
});

test('§5.6.5 §1.11.4 card-content@basis-audit: every look is recorded with the patient', async () => {
  const { one, handle } = await shown();
  const before = one.audits.length;
  await one.cds.basis(handle, CALLER);
  assert.deepEqual(
    one.audits.slice(before).map(({ entries, status }) => [entries, status]),
    [[[{ interaction: 'operation', operation: 'explain', patients: ['1288992'] }], 200]],
  );
});

test('card-content@basis-opaque: the address holds a handle and nothing else; the store holds its digest; each call and card has its own', async () => {
  const used = new Map<string, Keyed>();
  const { one, cards, handle } = await shown({ ...HIGH, used });
  assert.match(addressOf(cards[0]), /^http:\/\/127\.0\.0\.1:8080\/cds-basis\/[A-Za-z0-9_-]{43}$/);
  assert.ok(![...used].some(([key, { value }]) => `${key} ${value}`.includes(handle)), 'not in the store as it is');
  const again = await one.call('deterioration-sepsis', patientView());
  assert.equal(again.cards[0]?.uuid, cards[0]?.uuid, 'control: the same card');
  assert.notEqual(handleOf(again.cards[0]), handle, 'another call');
  for (const { url } of cards.flatMap(({ links = [] }) => links)) assert.doesNotMatch(url, /1288992|89284|26/);
});

const rows: readonly [opens: boolean, why: string, passed: number][] = [
  [true, 'control: at once', 0],
  [true, 'a moment before it expires', 1e8 - 1],
  [false, 'the instant it expires', 1e8],
];
for (const [opens, why, passed] of rows) {
  test(`§1.6.14 card-content@basis-expires: ${why}`, async () => {
    let now = AT;
    const { one, handle } = await shown({ ...HIGH, now: () => now });
    now += passed;
    const answer = one.cds.basis(handle, CALLER);
    if (opens) assert.equal((await answer).card.kind, 'score');
    else await assert.rejects(answer, notFound);
  });
}

test('card-content@basis-expires: unknown, changed and malformed handles are refused like expired ones', async () => {
  let now = AT;
  const { one, handle } = await shown({ ...HIGH, now: () => now });
  const other = handle.startsWith('A') ? `B${handle.slice(1)}` : `A${handle.slice(1)}`;
  const messages = new Set<string>();
  const refused = async (text: string) =>
    assert.rejects(one.cds.basis(text, CALLER), (error) => {
      messages.add(String(error));
      return notFound(error);
    });
  for (const text of [other, 'A'.repeat(43), handle.slice(1), `${handle}A`, '', '%00', '../x']) await refused(text);
  now += 1e8;
  await refused(handle);
  assert.equal(messages.size, 1);
});

test('card-content@basis-key: another installation gives another handle for the same record and card', () => {
  const [one, other] = [basisHandles(new Uint8Array(32)), basisHandles(new Uint8Array(32).fill(1))];
  assert.notEqual(one.of('call-1', 'card'), other.of('call-1', 'card'));
  assert.equal(one.of('call-1', 'card'), one.of('call-1', 'card'));
});

test('card-content@basis-finding: both drugs with state and date, rule, citation; only the finding of this card', async () => {
  const second = { ...FINDING, key: 'interaction other', effect: 'Another effect.', other: undefined };
  const { one, cards } = await shown({ findings: [FINDING, second] }, 'drug-interactions-sign', orderSign());
  assert.equal(cards.length, 2);
  const first = cards.find(({ detail }) => detail.includes('Raised statin'));
  const page = await pageOf(one, handleOf(first));
  for (const part of [
    'clarithromycin 500 mg',
    'being ordered',
    'simvastatin 40 mg',
    '2026-01-15 12:00 UTC',
    'RxNorm 36567',
    'contraindicated',
    'Product label of simvastatin',
    'https://example.org/label',
  ])
    assert.ok(page.includes(part), part);
  assert.ok(!page.includes('Another effect.'));
});

test('card-content@basis-escape: names and values of the record are text on the page', async () => {
  const mention = { ...FINDING.draft, display: HOSTILE, ingredients: [HOSTILE] };
  const findings = [
    { ...FINDING, draft: mention, effect: HOSTILE, rule: { ...FINDING.rule, url: 'javascript:alert(1)' } },
  ];
  const drugs = await shown({ findings }, 'drug-interactions-sign', orderSign());
  const score = await shown({
    assess: async (id) =>
      assessment(
        id,
        id === 'news2'
          ? { outputs: { total: 7 }, band: 'high', used: [{ ...RATE, value: HOSTILE, note: HOSTILE, unit: HOSTILE }] }
          : {},
      ),
  });
  for (const { one, handle } of [drugs, score]) {
    const page = await pageOf(one, handle);
    assert.ok(page.includes('&lt;img src=x'), 'control: it is shown');
    assert.doesNotMatch(page, /<img src=x|href="javascript/);
  }
});

test('card-content@basis-trained: what each input added, with the baseline, and their sum', async () => {
  const contributions = [
    { name: 'respiratoryRate', display: 'Respiratory rate', logOdds: 1.25 },
    { name: 'lactate', display: 'Lactate', logOdds: -0.5 },
  ];
  const answer = assessment('sepsis-icu', {
    outputs: { margin: -1.25, probability: 0.6 },
    band: 'act',
    vector: [26, null],
    used: [RATE],
    contributions,
    baseline: -2,
  });
  const { one, handle } = await shown({ assess: async () => answer }, 'sepsis-icu');
  const page = await pageOf(one, handle);
  for (const part of [
    '<td>+1.250</td>',
    '<td>-0.500</td>',
    '<td>-2.000</td>',
    '<td>-1.250</td>',
    'probability at least 0.446',
  ])
    assert.ok(page.includes(part), `${part}\n---\n${page}`);
  assert.ok(page.includes('not possible any more'), 'the stand-in for the models computes nothing again');
});

test('card-content@basis-triage: level, decision point, inputs with dates, what is missing, the page of the rules', async () => {
  const subject = { reference: 'Patient/1288992' };
  const start = '2026-01-15T11:30:00Z';
  const pulse = {
    resourceType: 'Observation',
    id: 'pulse-1',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
    subject,
    effectiveDateTime: start,
    valueQuantity: { value: 80, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
  };
  const visit = {
    resourceType: 'Encounter',
    id: 'visit',
    status: 'in-progress',
    class: { code: 'EMER' },
    subject,
    period: { start },
    reasonCode: [{ text: 'chest pain' }],
  };
  const none = { diagnoses: null, orders: null, medications: null, procedures: null, conditions: null, goals: null };
  const patient = { resourceType: 'Patient', id: '1288992', birthDate: '1980-01-01' };
  const prefetch = { ...none, answers: null, patient, vitals: bundle(pulse), encounters: bundle(visit) };
  const { one, handle } = await shown({}, 'triage', patientView({ prefetch }));
  const page = await pageOf(one, handle);
  for (const part of [
    '<dt>Level</dt><dd>2</dd>',
    '<dt>Decision point</dt><dd>B</dd>',
    '<td>80</td><td>/min</td><td>2026-01-15 11:30 UTC</td><td>Observation/pulse-1</td>',
    'Respiratory rate',
    'href="/models/esi-v4/1.0.0"',
  ])
    assert.ok(page.includes(part), `${part}\n---\n${page}`);
  const { cards } = await one.call('triage', patientView({ prefetch }));
  const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
  const { triageAgain } = JSON.parse((await one.cds.explain(cards[0]?.uuid ?? '', admitted)).body);
  assert.deepEqual([triageAgain.edition, triageAgain.level, triageAgain.same], ['v4', 2, true], 'from the facts kept');
});

const again: readonly [same: boolean | null, change: Partial<Assessment>, why: string][] = [
  [null, {}, 'no vector was kept: there is nothing to compute'],
  [false, { vector: [7] }, 'a version that gives no answer any more'],
];
for (const [same, change, why] of again) {
  test(`card-content@explain computed again: ${why}`, async () => {
    const one = world({ assess: async (id) => assessment(id, { outputs: { total: 7 }, band: 'high', ...change }) });
    const { cards } = await one.call('deterioration-sepsis', patientView());
    const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
    const { computedAgain } = JSON.parse((await one.cds.explain(cards[0]?.uuid ?? '', admitted)).body);
    assert.deepEqual(
      computedAgain.map((each: { same: unknown }) => each.same),
      [same, same, same],
    );
  });
}
