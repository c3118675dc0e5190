// Sentences of the drug check that the other tables do not hold: antagonists, kidney formulas and whom they are for, what interrupts. Decisions 0008, 0024, 0035.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Json, Resource } from '../../src/fhir/resource.ts';
import { loadDrugKnowledge } from '../../src/risk/drugs/knowledge.ts';
import { patientFacts } from '../../src/risk/drugs/patient-facts.ts';
import { condition, creatinine, height, person, weight } from './drug-chart.ts';
import { AT, active, draft, named, ROOT, safety } from './drug-world.ts';

const told = (ordered: string, context: readonly Resource[]) =>
  safety
    .check([draft(named(ordered))], context, AT)
    .findings.filter(({ severity }) => severity === 'major' || severity === 'contraindicated')
    .map(({ rule }) => rule.id);
const allergy = (text: string, extra: Readonly<Record<string, Json>> = {}): Resource => ({
  resourceType: 'AllergyIntolerance',
  id: 'a',
  code: named(text),
  ...extra,
});

const antagonists: readonly [ordered: string, context: readonly Resource[], rules: readonly string[], why: string][] = [
  [
    'hydromorphone',
    [allergy('morphine')],
    ['ALLERGY-opioid_phenanthrene-opioid_phenanthrene'],
    'control: a related opioid',
  ],
  ['naloxone', [allergy('morphine')], [], 'the antidote is no opioid: an allergy to morphine does not keep it away'],
  ['naltrexone', [allergy('codeine')], [], 'nor naltrexone'],
  ['morphine', [active(named('lorazepam'))], ['LABEL-S070'], 'control: an opioid with a benzodiazepine'],
  ['naloxone', [active(named('lorazepam'))], [], 'the antidote with a benzodiazepine'],
  ['naloxone', [active(named('phenelzine'))], [], 'the antidote with an MAO inhibitor'],
];
for (const [ordered, context, rules, why] of antagonists) {
  test(`antagonist@${ordered}: ${why}`, () => assert.deepEqual(told(ordered, context), rules));
}

const mild: Json = [{ severity: 'mild', manifestation: [{ text: 'itching' }] }];
const severities: readonly [extra: Readonly<Record<string, Json>>, severity: string, why: string][] = [
  [{ criticality: 'low', reaction: mild }, 'major', 'low criticality and mild reactions only: one step less'],
  [{ criticality: 'low' }, 'contraindicated', 'low criticality, and no reaction is known'],
  [{ criticality: 'low', type: 'allergy', reaction: mild }, 'contraindicated', 'said to be an allergy'],
  [{ criticality: 'high', reaction: mild }, 'contraindicated', 'high criticality whatever the reaction'],
];
for (const [extra, severity, why] of severities) {
  test(`criticality@${severity}: ${why}`, () => {
    const [finding] = safety.check([draft(named('amoxicillin'))], [allergy('amoxicillin', extra)], AT).findings;
    assert.equal(finding?.severity, severity);
  });
}

const knowledge = loadDrugKnowledge(join(ROOT, 'knowledge'));
const adult = [person(70), creatinine(1.5), weight(95), height(170)];
const clearances: readonly [
  chart: readonly Resource[],
  basis: RegExp | undefined,
  none: string | undefined,
  why: string,
][] = [
  [adult, /Cockcroft-Gault with adjusted weight 77.6 kg/, undefined, 'control: formula and weight basis are said'],
  [
    [person(70), creatinine(1.5), weight(60)],
    /Cockcroft-Gault with actual weight 60 kg/,
    undefined,
    'without height the actual weight',
  ],
  [[...adult, condition('Acute kidney injury')], undefined, 'acute kidney injury', 'recorded acute kidney injury'],
  [[...adult, creatinine(0.9, 2)], undefined, 'acute kidney injury', 'creatinine rises'],
  [[...adult, condition('Dialysis')], undefined, 'dialysis', 'dialysis'],
  [[person(17), ...adult.slice(1)], undefined, 'age below 18 years', 'a child'],
  [[person(18), ...adult.slice(1)], /Cockcroft-Gault/, undefined, 'grown up'],
];
for (const [chart, basis, none, why] of clearances) {
  test(`cockcroft-gault@${none ?? 'estimated'}: ${why}`, () => {
    const { crcl, noEstimate } = patientFacts(chart, AT, knowledge.rules.terms);
    assert.equal(noEstimate, none);
    if (basis === undefined) assert.equal(crcl, undefined);
    else assert.match(crcl?.basis ?? '', basis);
  });
}

const interruptive = { contraindicated: 'critical', major: 'warning' };
const shown: readonly [service: string, severities: object, why: string][] = [
  ['sign', { ...interruptive, moderate: 'info' }, 'moderate is told when the order is signed, low never'],
  ['select', interruptive, 'moderate is not told while orders are being written'],
  ['refill', interruptive, 'moderate is not told again'],
];
for (const [service, wanted, why] of shown) {
  test(`interruptive@drug-interactions-${service}: contraindicated is critical, major a warning; ${why}`, () => {
    const file = readFileSync(join(ROOT, 'cds-services', `drug-interactions-${service}.json`), 'utf8');
    assert.deepEqual(JSON.parse(file).engine.severities, wanted);
  });
}

const interactions: readonly { readonly id: string; readonly effect: string; readonly citation: string }[] = JSON.parse(
  readFileSync(join(ROOT, 'knowledge/interactions.json'), 'utf8'),
);
test('words@interactions: every effect is a sentence for a clinician, without the notes of the table it is from', () => {
  for (const { id, effect, citation } of interactions) {
    assert.match(effect, /^[A-Zβ].{20,}\.$/, id);
    assert.doesNotMatch(effect, /->|=>|[<>]|ONC|\bW&P\b|CONTRA|: (?:avoid|exposure|QT|CYP3A|toxicity)\.$/, id);
    assert.doesNotMatch(citation, /W&P|ONC-HP|ONC-LP|->/, id);
  }
});
const classWords: readonly [recorded: string, ordered: string, effect: string][] = [
  ['penicillin g', 'amoxicillin', 'Both are penicillins: shared beta-lactam and thiazolidine core.'],
  ['penicillins', 'amoxicillin', 'Both are penicillins: shared beta-lactam and thiazolidine core.'],
  [
    'amoxicillin',
    'cefadroxil',
    'Cross-reactivity of aminopenicillins (recorded) with cephalosporins with the side chain of amoxicillin (ordered): identical or similar side chain (R1).',
  ],
  [
    'cefadroxil',
    'amoxicillin',
    'Cross-reactivity of cephalosporins with the side chain of amoxicillin (recorded) with aminopenicillins (ordered): identical or similar side chain (R1).',
  ],
  ['amoxicillin', 'amoxicillin', 'The recorded allergy is to an ingredient of this order.'],
];
for (const [recorded, ordered, effect] of classWords) {
  test(`words@allergy: ${ordered} after an allergy to ${recorded}`, () => {
    const [finding] = safety.check([draft(named(ordered))], [allergy(recorded)], AT).findings;
    assert.equal(finding?.effect, effect);
  });
}
test('words@allergy: no group is called by its key', () => {
  const { groups, names, rules } = JSON.parse(readFileSync(join(ROOT, 'knowledge/allergies.json'), 'utf8'));
  assert.deepEqual(Object.keys(names), Object.keys(groups));
  for (const words of Object.values(names)) assert.doesNotMatch(String(words), /_|R1$/);
  for (const { rationale } of rules) assert.doesNotMatch(rationale, /->|~|rules above|informational/);
});
