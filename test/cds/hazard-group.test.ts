// One card for one harm of one order: the most severe finding leads, the others are lines of it. Contraindications always stand alone.
// knowledge/hazards.json; docs/decisions/0035-hazards-and-quiet.md
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { aesSeal, decisionOf } from '../../src/cds/basis/decision-record.ts';
import type { Card } from '../../src/cds/cards/card.ts';
import { byHazard } from '../../src/risk/drugs/hazards.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { severityRank } from '../../src/risk/drugs/severity.ts';
import type { Keyed } from '../../src/store/port.ts';
import { AT, bundle, DRUG_PREFETCH, INSTANCE, ORDER, orderSign, PATIENT, PEER, ROOT, world } from './world.ts';

const drugSafety = loadDrugSafety(join(ROOT, 'knowledge'));
const SUBJECT = { reference: `Patient/${PATIENT.id}` };
const names = (text: string) => text.split(' + ');

const order = (text: string, id: string) => ({ ...ORDER, id, medicationCodeableConcept: { text } });
const taken = (list: string) =>
  list === '' ? null : bundle(...names(list).map((text, index) => ({ ...order(text, `t${index}`), status: 'active' })));
const condition = (text: string) => ({ resourceType: 'Condition', id: 'c', subject: SUBJECT, code: { text } });
const lab = (code: string, value: number, unit: string) => ({
  resourceType: 'Observation',
  id: `o${code}`,
  status: 'final',
  subject: SUBJECT,
  code: { coding: [{ system: 'http://loinc.org', code }] },
  effectiveDateTime: new Date(AT - 3_600_000).toISOString(),
  valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
});
const POTASSIUM = lab('2823-3', 5.2, 'mmol/L');
const QTC = lab('8636-3', 510, 'ms');

function asked(drafts: string, current: string, known: readonly object[] = []): Record<string, unknown> {
  const prefetch = {
    ...DRUG_PREFETCH,
    patient: { ...PATIENT, gender: 'female' },
    medications: taken(current),
    labs: bundle(...known.filter((one) => 'valueQuantity' in one)),
    conditions: bundle(...known.filter((one) => !('valueQuantity' in one))),
    encounters: null,
    procedures: null,
  };
  const entries = names(drafts).map((text, index) => ({ resource: order(text, `d${index}`) }));
  return orderSign({ prefetch }, entries);
}

/** Indicator and rules of each card, its own first. */
const told = (cards: readonly Card[]) =>
  cards
    .map(({ indicator, detail }) => {
      const rules = [...detail.matchAll(/\(rule ([^,)]+)/g)].map(([, rule = '']) => rule);
      // The lead's source stands last.
      return `${indicator} ${[rules.at(-1), ...rules.slice(0, -1).toSorted()].join(' < ')}`;
    })
    .toSorted();

const rows: readonly [
  drafts: string,
  current: string,
  known: readonly object[],
  cards: readonly string[],
  why: string,
][] = [
  ['warfarin', 'aspirin', [], ['warning LABEL-S103'], 'control: one finding, one card'],
  [
    'clarithromycin',
    'ciprofloxacin',
    [QTC],
    ['warning LABEL-S028 < LAB-qtc-high < QT-score'],
    'the pair, the score and the measured QTc tell one arrhythmia',
  ],
  [
    'clarithromycin',
    'ciprofloxacin + simvastatin',
    [],
    ['critical ONC-HP-25', 'warning LABEL-S028 < QT-score'],
    'QT and rhabdomyolysis are two harms',
  ],
  [
    'ibuprofen',
    'lisinopril + furosemide',
    [condition('heart failure')],
    ['warning COND-hf-nsaid', 'warning TRIPLE-kidney'],
    'fluid retention and kidney injury are two harms',
  ],
  [
    'ibuprofen',
    'lisinopril + furosemide',
    [condition('acute kidney injury')],
    ['warning TRIPLE-kidney < COND-aki-nsaid'],
    'kidney failure and the triple whammy are one',
  ],
  [
    'potassium chloride',
    'lisinopril + spironolactone',
    [POTASSIUM],
    ['critical LABEL-S087 < LAB-K-raised-supplement < LABEL-S089 < TRIPLE-potassium'],
    'a contraindication leads what adds to the same potassium',
  ],
  [
    'warfarin',
    'aspirin + ibuprofen',
    [],
    ['warning LABEL-S103 < LABEL-S102'],
    'two drugs that make a third bleed: one card, both pairs on it',
  ],
  [
    'clarithromycin',
    'simvastatin + lovastatin',
    [],
    ['critical ONC-HP-25', 'critical ONC-HP-25'],
    'two contraindications of one harm stay two cards',
  ],
  [
    'ibuprofen + naproxen',
    'warfarin',
    [],
    ['warning LABEL-S102', 'warning LABEL-S102'],
    'one harm of two orders: a card for each order',
  ],
  [
    'warfarin + warfarin',
    'aspirin',
    [],
    ['info LABEL-S103', 'warning LABEL-S103'],
    'the same two drugs by two orders: the second is told, and does not interrupt',
  ],
  [
    'clarithromycin + clarithromycin',
    'simvastatin',
    [],
    ['critical ONC-HP-25', 'critical ONC-HP-25'],
    'a contraindication by two orders interrupts with both',
  ],
];

for (const [drafts, current, known, cards, why] of rows) {
  test(`hazard@group ${drafts} beside ${current}: ${why}`, async () => {
    const answer = await world({ drugSafety }).call('drug-interactions-sign', asked(drafts, current, known));
    const duplicates = answer.cards.filter(({ detail }) => !detail.includes('(rule DUP-') && detail.includes('(rule '));
    assert.deepEqual(told(duplicates), cards.toSorted());
  });
}

test('hazard@once: a service that does not tell moderate findings tells each order of the same drugs', async () => {
  const body = asked('warfarin + warfarin', 'aspirin');
  const context = { ...Object(body.context), selections: ['MedicationRequest/d0', 'MedicationRequest/d1'] };
  const call = { ...body, hook: 'order-select', context };
  const { cards } = await world({ drugSafety }).call('drug-interactions-select', call);
  assert.deepEqual(told(cards.filter(({ detail }) => detail.includes('(rule LABEL'))), [
    'warning LABEL-S103',
    'warning LABEL-S103',
  ]);
});

test('hazard@lines: a folded finding keeps its severity, drugs, facts, reason and source on the card', async () => {
  const body = asked('potassium chloride', 'lisinopril + spironolactone', [POTASSIUM]);
  const [card] = (await world({ drugSafety }).call('drug-interactions-sign', body)).cards;
  for (const text of [
    'Major interaction: potassium chloride with lisinopril',
    'potassium: 5.2 mmol/L, 2026-01-15 11:00 UTC',
    '(ESCALATE-potassium)',
    'Antoniou 2015',
    'Three drugs that raise potassium',
  ]) {
    assert.ok(card?.detail.includes(text), text);
  }
  assert.ok(card?.overrideReasons !== undefined && card.overrideReasons.length > 0);
});

test('hazard@basis: the record of the card names every finding that it tells, and keeps all of them', async () => {
  const used = new Map<string, Keyed>();
  const one = world({ drugSafety, used });
  const body = asked('warfarin', 'aspirin + ibuprofen');
  const [card] = (await one.call('drug-interactions-sign', body)).cards;
  const seal = aesSeal(new Uint8Array(32));
  const store = { keyed: async (_space: string, key: string) => used.get(key) };
  const record = await decisionOf(store, seal, { client: 'local', uuid: card?.uuid ?? '' }, AT);
  const kept = record?.cards.find(({ uuid }) => uuid === card?.uuid);
  assert.equal(kept?.further?.length, 1);
  assert.ok(record?.findings.some(({ rule }) => rule.id === 'LABEL-S103'));
  const handle = /cds-basis\/([A-Za-z0-9_-]{43})/.exec(JSON.stringify(card?.links))?.[1] ?? '';
  const admitted = await one.cds.admit({ path: '/explain', service: undefined }, PEER);
  const basis = await one.cds.basis(handle, admitted.caller);
  assert.deepEqual(basis.findings.map(({ rule }) => rule.id).toSorted(), ['LABEL-S102', 'LABEL-S103']);
});

test('hazard@override: an override of a group is forgotten when any of its findings changes', async () => {
  const one = world({
    drugSafety,
    door: async ({ method }) => ({ status: method === 'POST' ? 200 : 404, headers: {}, body: '{}' }),
  });
  const sign = async (current: string, instance: string) =>
    (await one.call('drug-interactions-sign', { ...asked('warfarin', current), hookInstance: instance })).cards;
  const [card] = await sign('ibuprofen + aspirin', INSTANCE);
  const service = 'drug-interactions-sign';
  const item = { card: card?.uuid, outcome: 'overridden', outcomeTimestamp: new Date(AT).toISOString() };
  const admitted = await one.cds.admit({ path: `/${service}/feedback`, service }, PEER);
  assert.equal((await one.cds.feedback(service, JSON.stringify({ feedback: [item] }), admitted)).status, 200);
  const loud = (cards: readonly Card[]) => cards.filter(({ indicator }) => indicator !== 'info').length;
  assert.equal(loud(await sign('ibuprofen + aspirin', INSTANCE.replace('d1', 'd2'))), 0, 'control: nothing changed');
  assert.equal(loud(await sign('ibuprofen', INSTANCE.replace('d1', 'd3'))), 1, 'one finding less');
  assert.equal(loud(await sign('ibuprofen + clopidogrel', INSTANCE.replace('d1', 'd4'))), 1, 'another second finding');
});

test('hazard@no loss: grouping loses no finding, leads with the most severe, and folds no contraindication', () => {
  const texts = names(
    'warfarin + aspirin + ibuprofen + clarithromycin + simvastatin + amiodarone + lisinopril + spironolactone + potassium chloride + fluoxetine + tramadol + fentanyl + lorazepam + digoxin',
  );
  for (const text of texts) {
    const context = texts
      .filter((other) => other !== text)
      .map((other, index) => ({
        ...order(other, `t${index}`),
        status: 'active',
      }));
    const { findings } = drugSafety.check([order(text, 'd')], context, AT);
    const groups = byHazard(findings.map((finding) => ({ finding })));
    const members = groups.flatMap(({ lead, further }) => [lead, ...further]);
    assert.equal(new Set(members.map(({ finding }) => finding)).size, findings.length);
    for (const { lead, further } of groups) {
      for (const { finding } of further) {
        assert.notEqual(finding.severity, 'contraindicated');
        assert.ok(severityRank(lead.finding.severity) <= severityRank(finding.severity));
        assert.equal(finding.hazard?.id, lead.finding.hazard?.id);
      }
    }
  }
});

test('hazard@table: every rule that a hazard names exists', () => {
  const read = (file: string): readonly { readonly id: string; readonly rules?: readonly string[] }[] =>
    JSON.parse(readFileSync(join(ROOT, 'knowledge', file), 'utf8'));
  const ids = new Set(
    ['interactions.json', 'triples.json', 'patient-rules.json'].flatMap((file) => read(file).map(({ id }) => id)),
  );
  ids.add('QT-score');
  const unknown = read('hazards.json').flatMap(({ rules = [] }) => rules.filter((rule) => !ids.has(rule)));
  assert.deepEqual(unknown, []);
});
