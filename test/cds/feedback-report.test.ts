// 45 CFR 170.315(b)(11): what became of cards, as rates and as rows {intervention, action, feedback, user, date, location}. docs/cds-hooks.md#feedback-and-explanation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReportQuery, reportQuery } from '../../src/cds/feedback/report.ts';
import {
  exportRows,
  factOf,
  type GivenFeedback,
  type ReportGroup,
  type Told,
  tally,
  together,
} from '../../src/cds/feedback/tally.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import type { Resource } from '../../src/fhir/resource.ts';
import { csvLine } from '../../src/rest/wire/csv.ts';
import { AT, FINDING, INSTANCE, orderSign, PEER, world } from './world.ts';

const given = (outcome: GivenFeedback['outcome'], code?: string): GivenFeedback => ({
  outcome,
  at: '2026-01-15T12:00:00.000Z',
  reason: code === undefined ? undefined : { system: 'urn:r', code, display: 'Known' },
  comment: undefined,
});
const told = (change: Partial<Told> = {}): Told => ({
  service: 'sign',
  model: 'drug-safety|1',
  fact: 'a',
  indicator: 'warning',
  source: 's',
  at: AT,
  user: 'Practitioner/1',
  location: 'ehr',
  feedback: [],
  ...change,
});

test('§1.7.5 cds-hooks-2.0@feedback-report rates have all cards shown as denominator; a card counts once, by the last that was said', () => {
  const [group] = tally([
    told(),
    told({ feedback: [given('overridden', 'known'), given('accepted')] }),
    told({ feedback: [given('overridden', 'known')] }),
    told({ fact: 'b', feedback: [given('overridden')] }),
  ]);
  assert.deepEqual(group, {
    service: 'sign',
    model: 'drug-safety|1',
    cards: 4,
    accepted: 1,
    overridden: 2,
    acceptanceRate: 0.25,
    overrideRate: 0.5,
    reasons: [
      { system: 'urn:r', code: 'known', count: 1 },
      { system: '', code: 'none', count: 1 },
    ],
    facts: [
      { fact: 'a', indicator: 'warning', cards: 3, accepted: 1, overridden: 1 },
      { fact: 'b', indicator: 'warning', cards: 1, accepted: 0, overridden: 1 },
    ],
  });
  assert.equal(tally([told(), told({ service: 'select' }), told({ model: 'drug-safety|2' })]).length, 3);
});

const facts: readonly [key: string, fact: string][] = [
  ['interaction a b r1 MedicationRequest/1 MedicationRequest/2', 'interaction a b r1'],
  ['interaction a b r1 urn:uuid:0-1 draftOrders.entry[0]', 'interaction a b r1'],
  ['score news2 high', 'score news2 high'],
  ['unchecked MedicationRequest/1', 'unchecked'],
];
for (const [key, fact] of facts) {
  test(`cds-hooks-2.0@feedback-report a fact names no order: ${key}`, () => assert.equal(factOf(key), fact));
}

test('§1.7.4 §6.1.4 cds-hooks-2.0@feedback-report rows: one for each thing said, one for a card about which nothing was', () => {
  const rows = exportRows(
    told({ feedback: [{ ...given('overridden', 'known'), comment: 'seen' }, given('accepted')] }),
  );
  assert.deepEqual(rows[0], {
    intervention: 'sign drug-safety|1 a',
    action: 'overridden',
    feedback: 'urn:r|known Known; seen',
    user: 'Practitioner/1',
    date: '2026-01-15T12:00:00.000Z',
    location: 'ehr',
  });
  assert.deepEqual([rows.length, rows[1]?.feedback, exportRows(told())[0]?.action], [2, '', 'none']);
});

const cells: readonly [cell: string, written: string][] = [
  ['plain', 'plain'],
  ['a,b', '"a,b"'],
  ['say "x"', '"say ""x"""'],
  ['two\nlines', '"two\nlines"'],
  ['=1+1', "'=1+1"],
  ['@x', "'@x"],
  ['-1,2', '"\'-1,2"'],
];
for (const [cell, written] of cells) {
  test(`cds-hooks-2.0@feedback-report a CSV cell: ${JSON.stringify(cell)}`, () =>
    assert.equal(csvLine([cell]), `${written}\r\n`));
}

test('cds-hooks-2.0@feedback-report lots counted apart and put together are what they are counted at once', () => {
  const cards = [
    told({ feedback: [given('accepted')] }),
    told({ fact: 'b', feedback: [given('overridden', 'known')] }),
    told({ fact: 'b', indicator: 'info' }),
    told({ service: 'view', feedback: [given('overridden')] }),
    told({ feedback: [given('overridden', 'known')] }),
  ];
  for (let at = 0; at <= cards.length; at++)
    assert.deepEqual(
      together(tally(cards.slice(0, at)), tally(cards.slice(at))),
      together(tally(cards), []),
      String(at),
    );
  const many = Array.from({ length: 2100 }, (_one, index) => told({ fact: `f${index}` }));
  const [group] = together(tally(many), tally([told({ fact: 'f7' })]));
  assert.deepEqual([group?.cards, group?.facts.length, group?.facts[0]?.fact], [2101, 2000, 'f7']);
  assert.deepEqual([group?.facts.at(-1)?.fact, group?.facts.at(-1)?.cards], ['others', 101]);
});

const queries: readonly [query: string, from: string | undefined, to: string | undefined][] = [
  ['', '2025-12-16T12:00:00.000Z', '2026-01-15T12:00:00.000Z'],
  ['from=2026-01-01&to=2026-01-02', '2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z'],
  ['from=2026-01-01T10:00:00%2B01:00', '2026-01-01T09:00:00.000Z', '2026-01-15T12:00:00.000Z'],
  ['from=x', undefined, undefined],
  ['from=2026-01-02&to=2026-01-01', undefined, undefined],
  ['format=xml', undefined, undefined],
  ['after=../x', undefined, undefined],
];
for (const [query, from, to] of queries) {
  test(`cds-hooks-2.0@feedback-report query "${query}": ${from === undefined ? 400 : `${from} to ${to}`}`, () => {
    const asked = () => reportQuery(new URLSearchParams(query), AT);
    if (from === undefined || to === undefined)
      assert.throws(asked, (error) => error instanceof FhirError && error.status === 400);
    else assert.deepEqual([asked().from, asked().to], [Date.parse(from), Date.parse(to)]);
  });
}

/** A world whose door keeps the Communications that it is given, and finds them by identifier. */
function ward() {
  const kept = new Map<string, Resource>();
  return world({
    findings: [FINDING],
    door: async ({ method, query, body }) => {
      if (method === 'POST') {
        const { entry } = JSON.parse(String(body)) as { entry: { resource: Resource }[] };
        for (const { resource } of entry) kept.set(String(resource.id), resource);
        return { status: 200, headers: {}, body: '{}' };
      }
      const names = (new URLSearchParams(query).get('identifier') ?? '').split(',').map((name) => name.split('|')[1]);
      const entry = [...kept.values()].filter(({ identifier }) =>
        names.includes((identifier as unknown as { value: string }[])[0]?.value),
      );
      return { status: 200, headers: {}, body: JSON.stringify({ entry: entry.map((resource) => ({ resource })) }) };
    },
  });
}
const numbered = (number: number) => INSTANCE.slice(0, -6) + String(number).padStart(6, '0');

test('cds-hooks-2.0@feedback-report every card shown is counted once over its pages, others clients see none of it, and asking is audited', {
  timeout: 60_000,
}, async () => {
  const one = ward();
  const CALLS = 700;
  const uuids: string[] = [];
  for (let number = 0; number < CALLS; number++) {
    const { cards } = await one.call('drug-interactions-sign', orderSign({ hookInstance: numbered(number) }));
    uuids.push(cards[0]?.uuid ?? '');
  }
  const items = uuids.slice(0, 200).map((card, index) => ({
    card,
    outcomeTimestamp: '2026-01-15T12:00:01Z',
    ...(index < 50
      ? { outcome: 'accepted', acceptedSuggestions: [{ id: INSTANCE }] }
      : { outcome: 'overridden', overrideReason: { reason: { system: 'urn:r', code: 'known', display: 'Known' } } }),
  }));
  const admitted = await one.cds.admit({ path: '/x', service: undefined }, PEER);
  assert.equal(
    (await one.cds.feedback('drug-interactions-sign', JSON.stringify({ feedback: items }), admitted)).status,
    200,
  );

  const told_: Told[] = [];
  let pages = 0;
  let query: ReportQuery | undefined = { from: AT - 1, to: AT + 1, format: 'json', after: undefined };
  while (query !== undefined) {
    const page = await one.cds.reportPage(query, admitted.caller);
    pages++;
    told_.push(...page.cards);
    query = page.after === undefined ? undefined : { ...query, after: page.after };
  }
  assert.ok(pages > 1, 'more calls than one page looks at');
  const [group] = tally(told_);
  assert.deepEqual(
    [group?.cards, group?.accepted, group?.overridden, group?.reasons[0]?.count, group?.facts.length],
    [CALLS, 50, 150, 150, 1],
  );

  const ask = async (url: string | undefined, sender = admitted) => {
    const { status, body } = await one.cds
      .report(new URL(url ?? 'http://x/?from=2026-01-15&to=2026-01-15').searchParams, sender)
      .catch((error) => ({ status: error instanceof FhirError ? error.status : 500, body: '{}' }));
    return { status, ...(JSON.parse(body) as { next?: string; complete?: boolean; groups?: ReportGroup[] }) };
  };
  const first = await ask(undefined);
  assert.equal(first.complete, false);
  assert.ok((first.groups?.[0]?.cards ?? 0) < CALLS);
  let whole = first;
  let asked = 1;
  while (whole.next !== undefined) {
    whole = await ask(whole.next);
    asked++;
  }
  assert.equal(asked, pages);
  assert.equal(whole.complete, true);
  assert.deepEqual(whole.groups, tally(told_), 'the last page counts all pages');
  assert.deepEqual((await ask(first.next)).groups, whole.groups, 'asked again it counts the same');
  const stranger = { ...admitted, client: { ...admitted.client, name: 'stranger' } };
  assert.equal((await ask(first.next, stranger)).status, 400, 'nobody goes on where another client was led');
  assert.equal((await ask(first.next?.replace('2026-01-15T00', '2026-01-14T00'))).status, 400, 'nor in another period');

  const nobody = { ...admitted, client: { ...admitted.client, name: 'other' } };
  assert.match((await one.cds.report(new URLSearchParams(), nobody)).body, /"groups":\[\]/);
  assert.deepEqual(
    one.audits.at(-1)?.entries.map((entry) => entry.operation),
    ['cds-feedback-report'],
  );
  assert.deepEqual(
    await one.cds
      .reportPage({ from: AT + 1, to: AT + 2, format: 'json', after: undefined }, admitted.caller)
      .then(({ cards }) => cards),
    [],
  );
});
