// Decision 0023: what the triage card says, when it is silent, and that learned risk only ever raises. Through the service, with the real rules.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Card } from '../../src/cds/cards/card.ts';
import { lintCard } from '../../src/cds/cards/lint.ts';
import { raises, triageCards } from '../../src/cds/cards/triage-card.ts';
import type { Service, TriageEngine } from '../../src/cds/services/service.ts';
import type { JsonObject } from '../../src/fhir/resource.ts';
import type { Assessment, Manifest } from '../../src/risk/assessment.ts';
import { loadTriage } from '../../src/risk/triage/triage.ts';
import { AT, assessment, bundle, INSTANCE, MANIFESTS, patientView, ROOT, world } from './world.ts';

const LOINC = 'http://loinc.org';
const EARLIER = new Date(AT - 600_000).toISOString();
const observed = (code: string, over: JsonObject): JsonObject => ({
  resourceType: 'Observation',
  id: `o${code}`,
  status: 'final',
  code: { coding: [{ system: LOINC, code }] },
  subject: { reference: 'Patient/1288992' },
  effectiveDateTime: EARLIER,
  ...over,
});
const measured = (code: string, value: number, unit: string) =>
  observed(code, { valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit } });
const alert = observed('67775-7', { valueCodeableConcept: { coding: [{ system: LOINC, code: 'LA9340-6' }] } });
const VITALS = [
  measured('8867-4', 80, '/min'),
  measured('9279-1', 16, '/min'),
  measured('59408-5', 98, '%'),
  measured('8310-5', 36.8, 'Cel'),
  measured('72514-3', 2, '{score}'),
  alert,
];
const encounter = (reason: string, code = 'EMER'): JsonObject => ({
  resourceType: 'Encounter',
  id: 'visit',
  status: 'in-progress',
  class: { code },
  subject: { reference: 'Patient/1288992' },
  period: { start: EARLIER },
  reasonCode: [{ text: reason }],
});
const EMPTY = { orders: null, medications: null, procedures: null, conditions: null, goals: null, answers: null };

async function cardsOf(reason: string, vitals: readonly JsonObject[] = VITALS, code = 'EMER') {
  const one = world({ assess: async (id) => assessment(id, { outputs: { total: 1 }, band: 'low' }) });
  const prefetch = {
    patient: { resourceType: 'Patient', id: '1288992', birthDate: '1980-01-01' },
    vitals: bundle(...vitals),
    encounters: bundle(encounter(reason, code)),
    diagnoses: null,
    ...EMPTY,
  };
  return one.call('triage', patientView({ prefetch }));
}

const summaries: readonly (readonly [
  reason: string,
  vitals: readonly JsonObject[],
  summary: RegExp,
  indicator: string,
])[] = [
  ['chest pain', VITALS, /^ESI 2 estimate: chest pain; NEWS2 1$/, 'warning'],
  ['anaphylaxis', VITALS, /^ESI 1 estimate: anaphylaxis/, 'warning'],
  ['ankle sprain', VITALS, /^ESI 4 estimate: 1 resource expected/, 'info'],
  ['suture removal, denies chest pain', VITALS, /^ESI 5 estimate: 0 resources expected/, 'info'],
  [
    'abdominal pain',
    [...VITALS.slice(1), measured('8867-4', 118, '/min')],
    /^Consider ESI 2 \(else 3\): pulse 118 \(above 100\)/,
    'warning',
  ],
  ['ankle sprain', VITALS.slice(0, 5), /not recorded: level of consciousness$/, 'info'],
  ['qwerty', VITALS, /^ESI 3 to 5, not determinable further: /, 'info'],
];
for (const [reason, vitals, summary, indicator] of summaries) {
  test(`triage-card@summary: "${reason}" says ${summary.source}`, async () => {
    const { cards } = await cardsOf(reason, vitals);
    assert.equal(cards.length, 1);
    assert.match(cards[0]?.summary ?? '', summary);
    assert.equal(cards[0]?.indicator, indicator);
  });
}

test('triage-card@detail: decision point, red flags, denials, resources, what is missing and the source stand on the card', async () => {
  const { cards } = await cardsOf('chest pain, denies syncope', VITALS.slice(1));
  const detail = cards[0]?.detail ?? '';
  for (const part of [
    '**ESI 2** by decision point B',
    'Red flags in the complaint: chest pain; denied or over: syncope or loss of consciousness',
    'Resources expected: 3, an estimate from complaint and orders: laboratory, ECG, X-ray',
    '- no usable Observation within 24 h: Pulse',
    'AHRQ Publication 12-0014',
  ]) {
    assert.ok(detail.includes(part), `${part}\n---\n${detail}`);
  }
  assert.ok(!detail.includes('denies'), 'the words of the patient are not on the card');
});

const silences: readonly (readonly [why: string, reason: string, vitals: readonly JsonObject[], code: string])[] = [
  ['an inpatient', 'chest pain', VITALS, 'IMP'],
  ['an outpatient', 'chest pain', VITALS, 'AMB'],
];
for (const [why, reason, vitals, code] of silences) {
  test(`triage-card@silent: ${why} gets no card`, async () =>
    assert.deepEqual((await cardsOf(reason, vitals, code)).cards, []));
}

const MODEL: Manifest = {
  id: 'learned',
  version: '1.0.0',
  sha256: 'c'.repeat(64),
  title: 'Learned risk',
  population: 'adults',
  limits: ['Learned on few.'],
  citation: { text: 'A table.', url: 'https://example.org/table' },
  bands: [
    { name: 'high', display: 'high', output: 'probability', from: 0.3 },
    { name: 'low', display: 'low', output: 'probability', from: 0 },
  ],
};
const ENGINE: TriageEngine = { kind: 'triage', scores: [], learned: [{ model: 'learned', band: 'high' }] };
const TRIAGE = loadTriage(join(ROOT, 'models'));
const service = world().cds.services.get('triage');
function cardWith(reason: string, change: Partial<Assessment>): Card | undefined {
  assert.ok(service);
  const answer: Assessment = {
    model: { id: 'learned', version: '1.0.0', sha256: 'c'.repeat(64) },
    answeredBy: 'model',
    outputs: { probability: 0.4 },
    atLeast: false,
    band: 'high',
    used: [],
    missing: [],
    ...change,
  };
  const evidence = {
    patient: { resourceType: 'Patient', id: '1288992', birthDate: '1980-01-01' },
    resources: JSON.parse(JSON.stringify([encounter(reason), ...VITALS])),
    at: AT,
  };
  const frame = {
    service: service satisfies Service,
    hookInstance: INSTANCE,
    at: AT,
    prefetched: { missing: [], incomplete: [], foreign: 0 },
    drafted: [],
    people: { subject: { reference: 'Patient/1288992' } },
    isValid: () => true,
    links: {
      basis: () => `https://example.org/cds-basis/${'A'.repeat(43)}`,
      model: (id: string, version: string) => `https://example.org/models/${id}/${version}`,
    },
  };
  return triageCards(frame, ENGINE, { ...TRIAGE.assess(evidence), version: TRIAGE.version }, [
    { manifest: MODEL, assessment: answer },
  ])[0]?.card;
}
const levelOf = (card: Card | undefined) => /\*\*((?:Consider )?ESI [1-5](?: to 5)?)/.exec(card?.detail ?? '')?.[1];

const learned: readonly (readonly [
  why: string,
  reason: string,
  change: Partial<Assessment>,
  indicator: string,
  level: string,
  looks: boolean,
])[] = [
  ['high raises a level 4 to a warning, and leaves the level', 'ankle sprain', {}, 'warning', 'ESI 4', true],
  ['high adds nothing to the summary of a level 2', 'chest pain', {}, 'warning', 'ESI 2', false],
  ['low leaves a level 4', 'ankle sprain', { band: 'low', outputs: { probability: 0.01 } }, 'info', 'ESI 4', false],
  [
    'low does not lower a level 2',
    'chest pain',
    { band: 'low', outputs: { probability: 0.001 } },
    'warning',
    'ESI 2',
    false,
  ],
  [
    'low does not lower a level 1',
    'anaphylaxis',
    { band: 'low', outputs: { probability: 0.001 } },
    'warning',
    'ESI 1',
    false,
  ],
  [
    'outside its population it does not raise',
    'ankle sprain',
    { outsidePopulation: 'younger than 18 years' },
    'info',
    'ESI 4',
    false,
  ],
  ['a stand-in does not raise', 'ankle sprain', { answeredBy: 'fallback' }, 'info', 'ESI 4', false],
  ['high gives a card where the level is open', 'qwerty', {}, 'warning', 'ESI 3 to 5', true],
];
for (const [why, reason, change, indicator, level, looks] of learned) {
  test(`triage-card@learned: ${why}`, () => {
    const card = cardWith(reason, change);
    assert.deepEqual(
      [card?.indicator, levelOf(card), card?.summary.startsWith('Learned risk is high')],
      [indicator, level, looks],
    );
    assert.ok(card !== undefined);
    assert.deepEqual(lintCard(card, { kind: 'score', drafts: new Set() }), []);
  });
}
test('triage-card@learned: a score without a statement, and a model that the service does not name, never raise', async () => {
  const silent = assessment('news2', { band: undefined, outputs: {} });
  const news2 = MANIFESTS.get('news2');
  assert.ok(news2);
  assert.equal(raises(ENGINE, { manifest: news2, assessment: silent }), false);
  const one = world({ assess: async (id) => assessment(id, { band: undefined, outputs: {} }) });
  const prefetch = {
    patient: { resourceType: 'Patient', id: '1288992', birthDate: '1980-01-01' },
    vitals: bundle(...VITALS),
    encounters: bundle(encounter('ankle sprain')),
    diagnoses: null,
    ...EMPTY,
  };
  const { cards } = await one.call('triage', patientView({ prefetch }));
  assert.deepEqual([cards[0]?.summary, cards[0]?.indicator], ['ESI 4 estimate: 1 resource expected', 'info']);
});
test('triage-card@learned: the card says what it was judged from, without what is absent', () => {
  const used = [
    { name: 'systolic', display: 'Systolic pressure', value: 84, unit: 'mm[Hg]', at: AT, source: undefined },
    { name: 'a', display: 'Complains of: stroke', value: 'no', unit: '', at: AT, source: undefined },
    { name: 'c', display: 'Complains of: chest pain', value: 'chest pain', unit: '', at: AT, source: undefined },
    { name: 'd', display: 'Complaint of high risk', value: 'chest pain', unit: '', at: AT, source: undefined },
    { name: 'e', display: 'Age', value: 60, unit: 'a', at: undefined, source: undefined },
    { name: 'b', display: 'Arrival by ambulance', value: 'none recorded', unit: '', at: AT, source: undefined },
  ];
  const detail = cardWith('ankle sprain', { used })?.detail ?? '';
  assert.ok(
    detail.includes(
      '40 % (threshold 30 %); from systolic pressure 84 mmHg; complains of: chest pain; age 60 years. It raises',
    ),
    detail,
  );
  assert.ok(!detail.includes('Complains of: stroke'));
});
test('triage-card@learned: the band that raises is the one the service names', () => {
  const low = { manifest: MODEL, assessment: assessment('learned', { band: 'low' }) };
  assert.equal(raises(ENGINE, low), false);
  assert.equal(
    raises({ ...ENGINE, learned: [] }, { ...low, assessment: assessment('learned', { band: 'high' }) }),
    false,
  );
});
