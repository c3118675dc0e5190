// Recorded allergies against an order: allergyintolerance.html; knowledge/allergies.json (Chaudhry 2019, Picard 2019, Strom 2003, Khan 2022).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, JsonObject, Resource } from '../../src/fhir/resource.ts';
import { AT, coded, draft, named, safety } from './drug-world.ts';

const allergy = (code: JsonObject, extra: Readonly<Record<string, Json>> = {}): Resource => ({
  resourceType: 'AllergyIntolerance',
  id: 'allergy-1',
  clinicalStatus: { coding: [{ code: 'active' }] },
  category: ['medication'],
  recordedDate: '2020-05-04',
  code,
  ...extra,
});
const snomed = (code: string, display?: string): JsonObject => ({
  coding: [{ system: 'http://snomed.info/sct', code, ...(display === undefined ? {} : { display }) }],
});
const severityOf = (recorded: Resource, ordered: JsonObject): string => {
  const { findings } = safety.check([draft(ordered)], [recorded], AT);
  assert.ok(findings.length <= 1 && findings.every(({ kind }) => kind === 'allergy'));
  return findings[0]?.severity ?? 'none';
};

const CROSSING: readonly [recorded: string, ordered: string, severity: string, why: string][] = [
  ['amoxicillin', 'amoxicillin', 'contraindicated', 'the same ingredient'],
  ['amoxicillin', 'Augmentin 875', 'contraindicated', 'in a combination'],
  ['penicillin', 'amoxicillin', 'contraindicated', 'class of penicillins'],
  ['PCN', 'Zosyn', 'contraindicated', 'abbreviation; piperacillin'],
  ['Penicillin V', 'ampicillin', 'contraindicated', 'one penicillin, another one'],
  ['penicillin', 'cefazolin', 'low', 'unique side chains'],
  ['penicillin', 'cephalexin', 'low', 'the class says nothing of the side chain'],
  ['amoxicillin', 'cephalexin', 'major', 'similar R1 side chain'],
  ['amoxicillin', 'cefadroxil', 'major', 'identical R1 side chain'],
  ['amoxicillin', 'ceftriaxone', 'low', 'dissimilar side chain'],
  ['penicillin G', 'cefoxitin', 'major', 'similar R1 side chain'],
  ['penicillin', 'meropenem', 'low', 'carbapenem, under 1 %'],
  ['penicillin', 'aztreonam', 'none', 'monobactam'],
  ['ceftazidime', 'aztreonam', 'major', 'identical R1 side chain'],
  ['aztreonam', 'ceftazidime', 'major', 'in the other direction'],
  ['ceftriaxone', 'cefepime', 'major', 'identical R1 side chain'],
  ['ceftriaxone', 'cefazolin', 'low', 'unlike side chains'],
  ['cephalosporins', 'cefazolin', 'major', 'the recorded class itself'],
  ['sulfa', 'Bactrim DS', 'contraindicated', 'sulfonamide antibiotic'],
  ['sulfonamide antibiotics', 'furosemide', 'low', 'sulfonamide that is no antibiotic'],
  ['aspirin', 'ibuprofen', 'contraindicated', 'COX-1 inhibitors'],
  ['NSAIDs', 'celecoxib', 'low', 'COX-2 selective'],
  ['ibuprofen', 'acetaminophen', 'low', 'weak COX inhibitor'],
  ['lisinopril', 'Entresto', 'contraindicated', 'sacubitril after angioedema'],
  ['lisinopril', 'losartan', 'low', 'angiotensin receptor blocker'],
  ['phenytoin', 'carbamazepine', 'contraindicated', 'aromatic anticonvulsants'],
  ['morphine', 'codeine', 'major', 'phenanthrene opioids'],
  ['morphine', 'fentanyl', 'low', 'another family'],
  ['procaine', 'lidocaine', 'none', 'ester and amide'],
  ['simvastatin', 'metformin', 'none', 'nothing shared'],
  ['peanut', 'amoxicillin', 'none', 'a food'],
];
for (const [recorded, ordered, severity, why] of CROSSING) {
  test(`allergy@${recorded} x ${ordered}: ${why}`, () =>
    assert.equal(severityOf(allergy(named(recorded)), named(ordered)), severity));
}

const CODES: readonly [code: JsonObject, ordered: JsonObject, severity: string, why: string][] = [
  [coded('7980'), coded('723'), 'contraindicated', 'RxNorm ingredient'],
  [coded('617296'), named('amoxicillin'), 'contraindicated', 'RxNorm product'],
  [snomed('91936005'), named('amoxicillin'), 'contraindicated', 'SNOMED CT allergy to penicillin'],
  [snomed('373270004'), named('amoxicillin'), 'contraindicated', 'SNOMED CT penicillin class'],
  [snomed('764146007'), named('cefazolin'), 'low', 'SNOMED CT penicillin substance'],
  [snomed('387406002'), named('sulfamethoxazole'), 'contraindicated', 'SNOMED CT sulfonamide'],
  [snomed('293586001'), named('aspirin 81 mg'), 'contraindicated', 'SNOMED CT allergy to aspirin'],
  [snomed('1', 'Allergy to erythromycin'), named('erythromycin'), 'contraindicated', 'unknown code by display'],
];
for (const [code, ordered, severity, why] of CODES) {
  test(`allergy@code: ${why}`, () => assert.equal(severityOf(allergy(code), ordered), severity));
}
test('allergy@reaction.substance: the substance of a reaction counts too', () =>
  assert.equal(
    severityOf(allergy(named('antibiotic'), { reaction: [{ substance: named('amoxicillin') }] }), named('ampicillin')),
    'contraindicated',
  ));

const status = (code: string) => ({ coding: [{ code }] });
const STATES: readonly [extra: Readonly<Record<string, Json>>, severity: string, why: string][] = [
  [{}, 'contraindicated', 'active'],
  [{ clinicalStatus: {} }, 'contraindicated', 'no clinical status'],
  [{ clinicalStatus: status('resolved') }, 'none', 'resolved'],
  [{ clinicalStatus: status('inactive') }, 'none', 'inactive'],
  [{ verificationStatus: status('unconfirmed') }, 'contraindicated', 'unconfirmed'],
  [{ verificationStatus: status('refuted') }, 'none', 'refuted'],
  [{ verificationStatus: status('entered-in-error') }, 'none', 'entered in error'],
  [{ type: 'allergy' }, 'contraindicated', 'allergy'],
  [{ type: 'intolerance' }, 'major', 'intolerance: one step less'],
  [{ type: 'intolerance', criticality: 'high' }, 'contraindicated', 'intolerance of high criticality'],
  [
    { type: 'intolerance', reaction: [{ severity: 'severe' }] },
    'contraindicated',
    'intolerance with a severe reaction',
  ],
  [
    { type: 'intolerance', reaction: [{ manifestation: [named('Anaphylaxis')] }] },
    'contraindicated',
    'called an intolerance, but anaphylaxis',
  ],
  [{ type: 'intolerance', reaction: [{ manifestation: [named('Nausea')] }] }, 'major', 'nausea'],
];
for (const [extra, severity, why] of STATES) {
  test(`allergy@state: ${why}`, () =>
    assert.equal(severityOf(allergy(named('penicillin'), extra), named('amoxicillin')), severity));
}

const DELAYED: readonly [recorded: string, ordered: string, severity: string][] = [
  ['amoxicillin', 'cephalexin', 'contraindicated'],
  ['amoxicillin', 'ceftriaxone', 'major'],
  ['erythromycin', 'azithromycin', 'contraindicated'],
  ['sulfa', 'furosemide', 'low'],
];
for (const [recorded, ordered, severity] of DELAYED) {
  test(`allergy@delayed severe reaction: ${recorded} x ${ordered}`, () => {
    const reaction = [{ manifestation: [named('Stevens-Johnson syndrome')] }];
    assert.equal(severityOf(allergy(named(recorded), { reaction }), named(ordered)), severity);
  });
}

const UNKNOWN: readonly [recorded: Resource, expected: readonly string[], why: string][] = [
  [allergy(named('Frobozzol')), ['allergy to Frobozzol'], 'medication that no table knows'],
  [allergy(named('Latex'), { category: ['environment'] }), [], 'not a medication'],
  [allergy(named('No known drug allergies')), [], 'nothing known, by text'],
  [allergy(snomed('409137002', 'No known drug allergy')), [], 'nothing known, by code'],
  [allergy(named('penicillin')), [], 'control'],
  [
    allergy(snomed('999'), { category: [] }),
    ['allergy to SNOMED CT 999'],
    'no category, and a code that nobody can read',
  ],
  [allergy(snomed('999', 'Latex'), { category: [] }), [], 'no category, and words that name no drug'],
];
for (const [recorded, expected, why] of UNKNOWN) {
  test(`allergy@unresolved: ${why}`, () => assert.deepEqual(safety.check([], [recorded], AT).unresolved, expected));
}

test('allergy@finding: names allergy, date, rule and source', () => {
  const [finding] = safety.check([draft(named('Amoxil'))], [allergy(named('Penicillin'))], AT).findings;
  assert.deepEqual(finding?.allergy, {
    display: 'Penicillin',
    source: 'AllergyIntolerance/allergy-1',
    at: Date.parse('2020-05-04'),
  });
  assert.equal(finding?.other, undefined);
  assert.equal(finding?.key, 'allergy 723+penicillins ALLERGY-penicillins-penicillins');
  assert.match(finding?.rule.citation ?? '', /Khan/);
  assert.ok((finding?.rule.citation ?? '').length <= 400);
});
