// What cards say: scores by band and threshold, drug findings by severity, data as text only, order, identity. Every card here also passed the linter.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Assessment } from '../../src/risk/assessment.ts';
import type { Finding } from '../../src/risk/drugs/finding.ts';
import { AT, assessment, FINDING, INSTANCE, MANIFESTS, ORDER, orderSign, patientView, world } from './world.ts';

const scores = (changes: Readonly<Record<string, Partial<Assessment>>>, body: unknown = patientView()) => {
  const one = world({ assess: async (id) => assessment(id, changes[id]) });
  return one.call('deterioration-sepsis', body).then(({ cards }) => ({ cards, one }));
};
const MISSING = [{ name: 'temperature', display: 'Body temperature', reason: 'no usable Observation within 24 h' }];
const RATE = {
  name: 'respiratoryRate',
  display: 'Respiratory rate',
  value: 26,
  unit: '/min',
  at: AT,
  source: 'Observation/1',
  points: 3,
};

const rows: readonly [
  summary: string | undefined,
  indicator: string | undefined,
  changes: Readonly<Record<string, Partial<Assessment>>>,
  why: string,
][] = [
  [undefined, undefined, {}, 'nothing reached: silent'],
  [
    'NEWS2 7, high: emergency response threshold',
    'warning',
    { news2: { outputs: { total: 7 }, band: 'high' } },
    'high',
  ],
  [
    'NEWS2 5, medium: urgent response threshold',
    'warning',
    { news2: { outputs: { total: 5 }, band: 'medium' } },
    'medium',
  ],
  [
    'NEWS2 3, low-medium: one parameter scores 3',
    'info',
    { news2: { outputs: { total: 3, threes: 1 }, band: 'low-medium' } },
    'one parameter of three shows the total, not the count',
  ],
  [
    'NEWS2 at least 7, high: emergency response threshold',
    'warning',
    { news2: { outputs: { total: 7 }, band: 'high', atLeast: true, missing: MISSING } },
    'a lower bound that reaches a threshold',
  ],
  [
    undefined,
    undefined,
    { news2: { outputs: { total: 4 }, atLeast: true, missing: MISSING } },
    '§6.3.3 §8.2 a lower bound that reaches none: silent',
  ],
  [undefined, undefined, { news2: { outputs: {}, band: undefined, missing: MISSING } }, 'no statement: silent'],
  [
    undefined,
    undefined,
    { news2: { outputs: { total: 9 }, band: 'high', outsidePopulation: 'age is below 16 years' } },
    '§6.3.3 outside the population: silent',
  ],
  [
    'NEWS2 9, high: emergency response threshold; qSOFA 2; SIRS 3',
    'warning',
    {
      news2: { outputs: { total: 9 }, band: 'high' },
      qsofa: { outputs: { total: 2 }, band: 'positive' },
      sirs: { outputs: { total: 3 }, band: 'positive' },
    },
    'all three on one card',
  ],
  [
    'SIRS 2, positive: two or more criteria',
    'info',
    { sirs: { outputs: { total: 2 }, band: 'positive' } },
    'SIRS alone',
  ],
];
for (const [summary, indicator, changes, why] of rows) {
  test(`${why} (cds-card@score)`, async () => {
    const { cards, one } = await scores(changes);
    assert.deepEqual([cards[0]?.summary, cards[0]?.indicator, one.events], [summary, indicator, []]);
    assert.ok(cards.length <= 1);
  });
}

test('§1.4.5 §2.6 §6.2.2 §6.2.5 §6.3.1 §8.15 cds-card@score-detail: inputs with unit, points and date; what is missing; fallback; population; source', async () => {
  const { cards } = await scores({
    news2: {
      outputs: { total: 7 },
      band: 'high',
      atLeast: true,
      used: [RATE],
      missing: MISSING,
      answeredBy: 'fallback',
      fallbackReason: 'session failed',
    },
    qsofa: { outsidePopulation: 'age is below 18 years' },
  });
  const detail = cards[0]?.detail ?? '';
  for (const part of [
    '| Respiratory rate | 26 /min | 3 | 2026-01-15 12:00 UTC |',
    '- no usable Observation within 24 h: Body temperature',
    '**NEWS2: at least 7** (high: emergency response threshold)',
    'qSOFA: not computed, age is below 18 years',
    'news2 version 1.0.0, answered by the rule-based stand-in with low confidence (session failed)',
    'This patient is outside it for qSOFA.',
    'Sepsis is neither predicted nor diagnosed',
  ]) {
    assert.ok(detail.includes(part), `${part}\n---\n${detail}`);
  }
  const links = cards[0]?.links ?? [];
  assert.ok(links.every(({ type }) => type === 'absolute'));
  assert.match(links[0]?.url ?? '', /^http:\/\/127\.0\.0\.1:8080\/cds-basis\/[A-Za-z0-9_-]{43}$/);
  for (const id of ['news2', 'qsofa', 'sirs'])
    assert.ok(
      links.some(({ url }) => url === `http://127.0.0.1:8080/models/${id}/1.0.0`),
      id,
    );
  assert.ok(links.some(({ url }) => url === MANIFESTS.get('news2')?.citation.url));
});

test('§1.6.12 cds-card@engine: a model that fails or never answers is left out; none answering is 200 without cards, audited as failed', async () => {
  const high = { outputs: { total: 8 }, band: 'high' };
  const some = world({
    deadlineMs: 50,
    assess: async (id) => {
      if (id === 'qsofa') throw new Error('broken');
      return id === 'sirs' ? new Promise<never>(() => undefined) : assessment(id, high);
    },
  });
  assert.equal((await some.call('deterioration-sepsis', patientView())).cards.length, 1);
  const models = some.audits[0]?.hook?.models.map(({ id }) => id);
  assert.deepEqual([some.audits[0]?.status, models], [500, ['news2']]);
  const none = world({ assess: async () => Promise.reject(new Error('broken')) });
  const answer = await none.call('deterioration-sepsis', patientView());
  assert.deepEqual([answer.status, answer.text, none.audits[0]?.status], [200, '{"cards":[]}', 500]);
});

test('balp@hook-models every model that answered is in the audit, or the tables of the drug check', async () => {
  const answered = world({ assess: async (id) => assessment(id, { outputs: { total: 8 }, band: 'high' }) });
  await answered.call('deterioration-sepsis', patientView());
  const models = answered.audits[0]?.hook?.models ?? [];
  assert.deepEqual(models.map(({ id }) => id).toSorted(), ['news2', 'qsofa', 'sirs']);
  assert.ok(models.every(({ version, sha256 }) => version !== '' && sha256.length === 64));
  const checked = world({ findings: [FINDING] });
  await checked.call('drug-interactions-sign', orderSign());
  assert.deepEqual(
    checked.audits[0]?.hook?.models.map(({ id, version }) => `${id} ${version}`),
    ['drug-safety 2026.1'],
  );
});

const drug = async (findings: readonly Finding[], more: object = {}, entries?: readonly object[]) => {
  const one = world({ findings, ...more });
  return { ...(await one.call('drug-interactions-sign', orderSign({}, entries))), one };
};
const severities: readonly [severity: Finding['severity'], indicator: string | undefined][] = [
  ['contraindicated', 'critical'],
  ['major', 'warning'],
  ['moderate', 'info'],
  ['low', undefined],
];
for (const [severity, indicator] of severities) {
  test(`§1.6.4 cds-card@finding: ${severity} -> ${indicator ?? 'silent'}`, async () => {
    const { cards, one } = await drug([{ ...FINDING, severity }]);
    assert.deepEqual([cards[0]?.indicator, one.events], [indicator, []]);
  });
}

test('§2.6 §6.2.2 §6.3.2 cds-card@finding: names, effect, source and removal of the draft order', async () => {
  const { cards } = await drug([FINDING]);
  const [card] = cards;
  assert.equal(
    card?.summary,
    'Contraindicated interaction: clarithromycin with simvastatin. Raised statin levels can cause rhabdomyolysis.',
  );
  assert.deepEqual(
    card?.suggestions?.map(({ actions }) => actions),
    [
      [
        {
          type: 'delete',
          description: 'Removes the draft order clarithromycin 500 mg.',
          resourceId: 'MedicationRequest/new',
        },
      ],
    ],
  );
  assert.equal(card?.selectionBehavior, 'any');
  assert.ok(card?.detail.includes('simvastatin 40 mg: current, 2026-01-15'), card?.detail);
  assert.ok(card?.detail.includes('Product label of simvastatin (rule r1, tables 2026.1)'));
  assert.ok(card?.links?.some(({ type, url }) => type === 'absolute' && url === FINDING.rule.url));
  assert.ok(card?.overrideReasons?.every(({ code, system, display }) => code && system && display));
});

test('cds-card@finding: an allergy and a duplicate say what they are', async () => {
  const allergy = { display: 'penicillin', source: 'AllergyIntolerance/1', at: AT };
  const { cards } = await drug([
    { ...FINDING, kind: 'allergy', key: 'a', other: undefined, allergy },
    { ...FINDING, kind: 'duplicate', key: 'b', severity: 'major' },
  ]);
  assert.deepEqual(
    cards.map(({ summary }) => summary.split(':')[0]),
    ['Contraindicated allergy conflict', 'Major duplicate therapy'],
  );
});

test('cds-card@finding: the same pair in either order is one card', async () => {
  const { other } = FINDING;
  const swapped = other === undefined ? FINDING : { ...FINDING, draft: other, other: FINDING.draft };
  assert.equal((await drug([FINDING, swapped])).cards.length, 1);
});

test('§1.9.1 §8.11 cds-card@selections: advice concerns selected orders only; a dangling selection is counted and ignored', async () => {
  const entries = [{ resource: ORDER }, { resource: { ...ORDER, id: 'background' } }];
  const between = { ...FINDING, draft: { ...FINDING.draft, source: 'MedicationRequest/background' } };
  const call = async (selections: readonly string[], findings: readonly Finding[]) => {
    const one = world({ findings });
    const context = {
      userId: 'Practitioner/1',
      patientId: '1288992',
      selections,
      draftOrders: { resourceType: 'Bundle', entry: entries },
    };
    const { cards } = await one.call('drug-interactions-select', { ...orderSign(), hook: 'order-select', context });
    return [cards.length, one.checks.length, one.events];
  };
  assert.deepEqual(await call(['MedicationRequest/new'], [FINDING]), [1, 1, []]);
  assert.deepEqual(await call(['new'], [FINDING]), [1, 1, []]);
  assert.deepEqual(await call(['MedicationRequest/new'], [between]), [0, 1, []]);
  assert.deepEqual(await call(['MedicationRequest/background'], [between]), [1, 1, []]);
  assert.deepEqual(await call(['MedicationRequest/gone'], [FINDING]), [0, 0, [['dangling-selection', 1]]]);
  assert.deepEqual(await call([], [FINDING]), [0, 0, []]);
});

const received: readonly [resourceId: string | undefined, entry: object, source: string, why: string][] = [
  ['MedicationRequest/new', { resource: ORDER }, 'MedicationRequest/new', 'by id'],
  [
    'MedicationRequest/new',
    { fullUrl: 'https://ehr.example.org/fhir/MedicationRequest/new', resource: { ...ORDER, id: undefined } },
    'MedicationRequest/new',
    'by absolute fullUrl',
  ],
  [
    undefined,
    { fullUrl: 'urn:uuid:7', resource: { ...ORDER, id: undefined } },
    'MedicationRequest/draft-0',
    '§1.9.3 only a urn: a card without removal',
  ],
];
for (const [resourceId, entry, source, why] of received) {
  test(`§1.9.3 cds-card@delete: ${why}`, async () => {
    const { cards, one } = await drug([{ ...FINDING, draft: { ...FINDING.draft, source } }], {}, [entry]);
    assert.deepEqual(
      [cards.length, cards[0]?.suggestions?.[0]?.actions[0]?.resourceId, one.events],
      [1, resourceId, []],
    );
  });
}

test('cds-card@incomplete: unrecognised drugs and a failed check are said', async () => {
  const unknown = await drug([], { unresolved: ['Wonder<b>drug</b>'] });
  assert.deepEqual(
    [unknown.cards[0]?.indicator, unknown.cards[0]?.summary],
    ['info', 'Medication check is incomplete: 1 drug not recognised'],
  );
  assert.ok(unknown.cards[0]?.detail.includes('Wonder&lt;b&gt;drug&lt;/b&gt;'));
  const failed = await drug([], {
    check: () => {
      throw new Error('table broken');
    },
  });
  assert.deepEqual(
    [failed.status, failed.cards[0]?.summary, failed.one.audits[0]?.status],
    [200, 'Medication check is not available for these orders', 500],
  );
});

test('§1.6.13 cds-card@order: critical first, then by key; the cap says how many are left out', async () => {
  const many = Array.from({ length: 14 }, (_one, index) => ({
    ...FINDING,
    key: `k${String(index).padStart(2, '0')}`,
    severity: index === 13 ? ('contraindicated' as const) : ('major' as const),
  }));
  const { cards, one } = await drug(many);
  assert.equal(cards.length, 10);
  assert.deepEqual([cards[0]?.indicator, cards[9]?.summary], ['critical', '5 more findings are not shown']);
  assert.deepEqual(one.events, [['cards-over-limit', 5]]);
  const again = await drug(many.toReversed());
  assert.equal(again.text, (await drug(many)).text);
});

test('§1.3.7 cds-card@uuid: the same call gives the same uuids, another call others', async () => {
  const ids = async (hookInstance: string) => {
    const { cards } = await world({ findings: [FINDING] }).call('drug-interactions-sign', orderSign({ hookInstance }));
    return [cards[0]?.uuid, cards[0]?.suggestions?.[0]?.uuid];
  };
  assert.deepEqual(await ids(INSTANCE), await ids(INSTANCE.toUpperCase()));
  assert.equal(new Set([...(await ids(INSTANCE)), ...(await ids(INSTANCE.replace('d', 'e')))]).size, 4);
});

test('§5.6.3 cds-card@audit: cards by uuid, indicator and topic; no text, value or score', async () => {
  const { one, cards } = await drug([FINDING]);
  assert.deepEqual(one.audits[0]?.hook?.cards, [{ uuid: cards[0]?.uuid, indicator: 'critical', topic: 'drug-safety' }]);
  assert.deepEqual(one.audits[0]?.hook?.draftOrders, ['MedicationRequest/new']);
  assert.doesNotMatch(JSON.stringify(one.audits), /clarithromycin|simvastatin|rhabdo/i);
});

const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '[click](javascript:alert(1))',
  '![x](https://evil.example/x.png)',
  'https://evil.example/?p=1',
  'www.evil.example',
  'mailto:a@evil.example',
  '| a | b |\n|---|---|',
  '# heading\n\n---\n* * *',
  '**bold** _em_ `code` ~~x~~ \\',
  '\u202egnorw\u202c \u0000\u0007\u200b zero',
  '&lt;b&gt; &#60;b&#62;',
  '𝒙'.repeat(200),
  '\ud800 lone',
  ' '.repeat(500),
];
for (const hostile of HOSTILE) {
  test(`§1.6.3 §8.9 cds-card@injection: ${JSON.stringify(hostile).slice(0, 50)}`, async () => {
    const mention = { ...FINDING.draft, display: hostile, ingredients: [hostile] };
    const { cards, one } = await drug(
      [{ ...FINDING, draft: mention, effect: hostile, rule: { id: hostile, citation: hostile, url: hostile } }],
      { unresolved: [hostile] },
    );
    assert.deepEqual([cards.length, one.events], [2, []]);
    const seen = await scores({
      news2: {
        outputs: { total: 7 },
        band: 'high',
        used: [{ ...RATE, display: hostile, value: hostile, unit: hostile, note: hostile }],
        missing: [{ name: 'x', display: hostile, reason: hostile }],
      },
      qsofa: { outsidePopulation: hostile },
    });
    assert.deepEqual([seen.cards.length, seen.one.events], [1, []]);
    const table = (seen.cards[0]?.detail ?? '').split('\n').filter((line) => line.startsWith('| '));
    assert.deepEqual(
      table.map((line) => line.split(/(?<!\\)\|/).length),
      [6, 6],
    );
  });
}

test('§1.6.2 cds-card@summary: the longest names still end on a word within 139 characters', async () => {
  const long = 'hydrochlorothiazide/olmesartan medoxomil/amlodipine besylate 40 mg-10 mg-25 mg oral tablet';
  const { cards } = await drug([
    {
      ...FINDING,
      draft: { ...FINDING.draft, display: long, ingredients: [] },
      other: FINDING.other && { ...FINDING.other, display: long, ingredients: [] },
    },
  ]);
  const summary = cards[0]?.summary ?? '';
  assert.ok(summary.length <= 139 && summary.length > 100 && summary.endsWith('…') && !/\s…$/.test(summary), summary);
});
