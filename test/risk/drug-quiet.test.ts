// Rows of knowledge/contexts.json and triples.json for hospital stays and occasional doses: what falls quiet, and what next to it does not, since no held source lowers it.
// A quiet finding is still found: it is told without interrupting. docs/alert-burden.md, docs/decisions/0035-hazards-and-quiet.md
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json, Resource } from '../../src/fhir/resource.ts';
import { AT, active, ago, draft, named, safety } from './drug-world.ts';

const stay = (code: string, status = 'in-progress'): Resource => ({
  resourceType: 'Encounter',
  id: 'e',
  status,
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code },
});
const STAY = stay('IMP');
const ICU: Resource = {
  resourceType: 'Encounter',
  id: 'i',
  status: 'in-progress',
  location: [{ location: { display: 'Intensive care unit' } }],
};
const VENTILATED: Resource = {
  resourceType: 'Procedure',
  id: 'v',
  status: 'in-progress',
  code: { coding: [{ system: 'http://snomed.info/sct', code: '40617009' }] },
};
const aged = (years: number): Resource => ({ resourceType: 'Patient', id: 'p', birthDate: `${2026 - years}-01-01` });
const condition = (text: string): Resource => ({ resourceType: 'Condition', id: 'c', code: { text } });
const measured =
  (loinc: string, unit: string) =>
  (value: number): Resource => ({
    resourceType: 'Observation',
    id: 'o',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: loinc }] },
    effectiveDateTime: ago(0, 3_600_000),
    valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
  });
const inr = measured('6301-6', '{INR}');
const potassium = measured('2823-3', 'mmol/L');
const magnesium = measured('19123-9', 'mg/dL');
type Dosage = Readonly<Record<string, Json>>;
const PRN: Dosage = { asNeededBoolean: true };
const ONCE: Dosage = { timing: { repeat: { count: 1 } } };
const INTRAVENOUS: Dosage = { route: { text: 'intravenous' } };
const SHOT: Dosage = { ...ONCE, ...INTRAVENOUS };
const VALVE = condition('mechanical valve');
/** 6 points for two drugs, 3 for sepsis, 1 for 68 years, 2 for a QTc of 450 ms: 12. */
const RISKY: readonly Resource[] = [STAY, aged(70), condition('sepsis'), measured('8636-3', 'ms')(450)];

/** The finding of a rule for one order beside current drugs; undefined when it does not speak. */
function findingOf(
  rule: string,
  ordered: string,
  how: Dosage | undefined,
  current: string,
  known: readonly Resource[],
) {
  const order = draft(named(ordered), 'd', how === undefined ? {} : { dosageInstruction: [how] });
  const taken = current.split(' + ').map((text, index) => {
    const [name = '', occasional] = text.split(' as needed');
    return active(named(name), `a${index}`, occasional === undefined ? {} : { dosageInstruction: [PRN] });
  });
  return safety.check([order], [...taken, ...known], AT).findings.find((one) => one.rule.id === rule);
}

type Row = readonly [
  rule: string,
  ordered: string,
  how: Dosage | undefined,
  current: string,
  known: readonly Resource[],
  severity: string,
  why: string,
];
const rows: readonly Row[] = [
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [], 'major', 'control: nobody knows of a hospital stay'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [STAY], 'moderate', 'INR is current during the stay'],
  ['LABEL-S103', 'warfarin', undefined, 'clopidogrel', [STAY], 'moderate', 'whichever is ordered'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [stay('ACUTE')], 'moderate', 'acute inpatient is a stay'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [stay('AMB')], 'major', 'a visit is no stay'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [stay('IMP', 'finished')], 'major', 'the stay is over'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [STAY, inr(3)], 'moderate', 'INR at 3.0 is not above it'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [STAY, inr(3.1)], 'major', 'INR above 3.0'],
  ['LABEL-S103', 'clopidogrel', undefined, 'warfarin', [VALVE], 'moderate', 'a mechanical valve: meant'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [STAY, VALVE], 'major', 'aspirin: no held source lowers it'],
  ['LABEL-S105', 'clopidogrel', undefined, 'apixaban', [VALVE], 'moderate', 'with a direct anticoagulant alike'],
  ['LABEL-S105', 'aspirin', undefined, 'apixaban', [VALVE], 'major', 'aspirin, too'],
  ['TRIPLE-bleeding', 'aspirin', undefined, 'warfarin + clopidogrel', [STAY], 'major', 'a third drug still interrupts'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [], 'major', 'control'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [STAY], 'moderate', 'INR shows the rise'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [STAY, inr(3.1)], 'major', 'it has risen'],
  ['LABEL-S109', 'metronidazole', undefined, 'warfarin', [STAY], 'major', 'no held source lowers metronidazole'],
  ['LABEL-S109', 'sulfamethoxazole', undefined, 'warfarin', [STAY], 'major', 'nor sulfamethoxazole'],
  ['LABEL-S102', 'ibuprofen', undefined, 'warfarin', [STAY], 'major', 'an NSAID is not watched by INR'],
  ['LABEL-S070', 'morphine', undefined, 'lorazepam', [], 'major', 'control'],
  ['LABEL-S070', 'morphine', undefined, 'lorazepam', [STAY], 'major', 'a ward does not watch breathing without pause'],
  ['LABEL-S070', 'morphine', undefined, 'lorazepam', [ICU], 'moderate', 'intensive care does'],
  ['LABEL-S070', 'morphine', undefined, 'lorazepam', [VENTILATED], 'moderate', 'the ventilator breathes'],
  ['LABEL-S071', 'morphine', undefined, 'zolpidem', [ICU], 'moderate', 'Z drugs alike'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [STAY, aged(50)], 'major', 'as needed on a ward: no held source'],
  ['LABEL-S072', 'morphine', undefined, 'gabapentin', [ICU], 'moderate', 'gabapentinoids alike'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [aged(50)], 'major', 'control: nobody watches'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [STAY], 'major', 'age unknown: it may be 65'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [STAY, aged(64)], 'moderate', 'in hospital below 65'],
  ['LABEL-S072', 'pregabalin', undefined, 'oxycodone', [STAY, aged(64)], 'moderate', 'whichever is ordered'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [STAY, aged(65)], 'major', 'at 65 the warning names a risk'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [STAY, aged(50), condition('COPD')], 'major', 'the lungs'],
  ['LABEL-S072', 'oxycodone', undefined, 'gabapentin', [STAY, aged(50), condition('asthma')], 'major', 'asthma, too'],
  [
    'LABEL-S072',
    'oxycodone',
    undefined,
    'gabapentin',
    [STAY, aged(50), condition('acute kidney injury')],
    'major',
    'the kidneys remove it',
  ],
  ['LABEL-S070', 'morphine', INTRAVENOUS, 'lorazepam', [STAY], 'major', 'by vein on a ward: no held source'],
  ['LABEL-S070', 'midazolam', SHOT, 'fentanyl', [], 'moderate', 'one dose by vein is monitored, says its label'],
  ['LABEL-S070', 'midazolam', INTRAVENOUS, 'fentanyl', [], 'major', 'lasting midazolam outside intensive care'],
  ['LABEL-S070', 'midazolam', ONCE, 'fentanyl', [], 'major', 'once, by nobody knows which route'],
  ['LABEL-S070', 'lorazepam', SHOT, 'fentanyl', [], 'major', 'only midazolam is meant'],
  ['LABEL-S144', 'lorazepam', undefined, 'clozapine', [VENTILATED], 'major', 'clozapine: no held source'],
  ['LABEL-S182', 'fentanyl', INTRAVENOUS, 'sertraline', [], 'major', 'control: nobody watches'],
  ['LABEL-S182', 'fentanyl', INTRAVENOUS, 'sertraline', [STAY], 'moderate', 'in hospital: limited evidence, watched'],
  ['LABEL-S182', 'venlafaxine', undefined, 'fentanyl', [STAY], 'moderate', 'whichever is ordered'],
  ['LABEL-S182', 'fentanyl', undefined, 'vortioxetine', [STAY], 'major', 'the source does not name vortioxetine'],
  ['LABEL-S182', 'tramadol', undefined, 'sertraline', [STAY], 'major', 'it says to consider another than tramadol'],
  ['LABEL-S182', 'meperidine', undefined, 'sertraline', [STAY], 'major', 'and than meperidine'],
  ['LABEL-S182', 'methadone', undefined, 'sertraline', [STAY], 'major', 'methadone is not named'],
  ['TRIPLE-serotonin', 'fentanyl', undefined, 'sertraline + lithium', [STAY], 'major', 'a third one interrupts'],
  ['TRIPLE-sedation', 'quetiapine', undefined, 'morphine + lorazepam', [STAY], 'major', 'a third sedative interrupts'],
  ['TRIPLE-sedation', 'quetiapine', undefined, 'morphine + lorazepam', [ICU], 'moderate', 'intensive care watches'],
  ['TRIPLE-sedation', 'quetiapine', undefined, 'morphine + lorazepam', [VENTILATED], 'moderate', 'or a ventilator'],
  [
    'TRIPLE-sedation',
    'hydromorphone',
    undefined,
    'morphine + lorazepam + quetiapine',
    [],
    'moderate',
    'three stood before: the rule was signed',
  ],
  [
    'LABEL-S070',
    'hydromorphone',
    undefined,
    'morphine + lorazepam + quetiapine',
    [],
    'major',
    'the new pair interrupts',
  ],
  ['LABEL-S177', 'metoclopramide', PRN, 'haloperidol', [], 'major', 'as needed: no held source'],
  [
    'LABEL-S126',
    'metoprolol',
    undefined,
    'diltiazem',
    [ICU],
    'major',
    'rate control in intensive care: no held source',
  ],
  ['LABEL-S125', 'digoxin', undefined, 'amiodarone', [], 'major', 'lasting digoxin'],
  [
    'LABEL-S125',
    'digoxin',
    undefined,
    'amiodarone',
    [STAY],
    'major',
    'its dose must be halved: that is said at signing',
  ],
  ['LABEL-S125', 'digoxin', ONCE, 'amiodarone', [], 'major', 'a single dose: no held source'],
  [
    'LABEL-S178',
    'diphenhydramine',
    PRN,
    'potassium chloride',
    [],
    'moderate',
    'as needed: no lasting effect on the gut',
  ],
  ['LABEL-S178', 'diphenhydramine', ONCE, 'potassium chloride', [], 'moderate', 'once, too'],
  ['LABEL-S178', 'diphenhydramine', undefined, 'potassium chloride', [], 'major', 'control: lasting'],
  ['LABEL-S028', 'ondansetron', ONCE, 'haloperidol', [], 'moderate', 'a single dose'],
  ['LABEL-S028', 'azithromycin', ONCE, 'haloperidol', [], 'moderate', 'of azithromycin, too'],
  ['LABEL-S028', 'levofloxacin', ONCE, 'haloperidol', [], 'major', 'of no other: the note names these two'],
  ['LABEL-S028', 'ondansetron', PRN, 'haloperidol', [], 'major', 'as needed may be many doses'],
  ['LABEL-S028', 'ondansetron', PRN, 'haloperidol', [STAY], 'moderate', 'in hospital the risk score decides'],
  ['LABEL-S028', 'levofloxacin', undefined, 'ondansetron', [STAY], 'moderate', 'of levofloxacin, too'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [stay('AMB')], 'major', 'a visit is no stay'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [STAY, potassium(3.4)], 'major', 'recorded risk'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [STAY, condition('heart failure')], 'major', 'recorded risk'],
  ['LABEL-S028', 'ondansetron', undefined, 'citalopram', [STAY], 'major', 'citalopram: its label advises against it'],
  ['LABEL-S028', 'levofloxacin', undefined, 'amiodarone', [STAY], 'major', 'an antiarrhythmic is not of the row'],
  ['LABEL-S028', 'methadone', undefined, 'ondansetron', [STAY], 'major', 'nor is methadone'],
  ['QT-score', 'ondansetron', undefined, 'haloperidol', RISKY, 'major', 'the score interrupts from 11 points'],
  ['QT-score', 'ondansetron', undefined, 'haloperidol', [STAY, aged(70)], 'moderate', 'and is told from 7'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [ICU], 'moderate', 'the electrocardiogram is watched'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [ICU, potassium(3.5)], 'moderate', 'potassium at 3.5'],
  ['LABEL-S028', 'ondansetron', undefined, 'haloperidol', [ICU, potassium(3.4)], 'major', 'potassium below 3.5'],
  ['LABEL-S028', 'ondansetron', ONCE, 'haloperidol', [magnesium(1.6)], 'moderate', 'magnesium at 1.6'],
  ['LABEL-S028', 'ondansetron', ONCE, 'haloperidol', [magnesium(1.5)], 'major', 'magnesium below 1.6'],
  ['LABEL-S028', 'ondansetron', ONCE, 'haloperidol', [condition('heart failure')], 'major', 'heart failure'],
  ['TRIPLE-qt', 'haloperidol', undefined, 'levofloxacin + ondansetron', [], 'major', 'control: three lasting drugs'],
  [
    'TRIPLE-qt',
    'haloperidol',
    undefined,
    'levofloxacin + ondansetron',
    [VENTILATED],
    'major',
    'nothing quietens three',
  ],
  ['TRIPLE-qt', 'haloperidol', undefined, 'levofloxacin + ondansetron as needed', [], 'major', 'as needed counts'],
  ['TRIPLE-qt', 'ondansetron', ONCE, 'levofloxacin + haloperidol', [], 'none', 'one dose completes no three'],
  ['TRIPLE-qt', 'haloperidol', undefined, 'levofloxacin + propofol', [], 'major', 'propofol counts'],
  ['TRIPLE-qt', 'haloperidol', undefined, 'levofloxacin + ondansetron', [STAY], 'major', 'nor does a hospital stay'],
  [
    'TRIPLE-qt',
    'azithromycin',
    undefined,
    'haloperidol + levofloxacin + ondansetron',
    [],
    'moderate',
    'three stood before: the score counts no fourth',
  ],
  [
    'TRIPLE-bleeding',
    'ticagrelor',
    undefined,
    'warfarin + aspirin + clopidogrel',
    [],
    'major',
    'bleeding is told each time: a further platelet inhibitor adds to it',
  ],
  ['ONC-HP-25', 'clarithromycin', ONCE, 'simvastatin', [STAY, aged(50)], 'contraindicated', 'nothing quietens it'],
];
for (const [rule, ordered, how, current, known, severity, why] of rows) {
  test(`quiet@${rule} ${ordered} beside ${current} is ${severity}: ${why}`, () =>
    assert.equal(findingOf(rule, ordered, how, current, known)?.severity ?? 'none', severity));
}

test('quiet@why: what falls quiet says by which row, and why', () => {
  const quiet = rows.filter(([rule, , , , , severity]) => severity === 'moderate' && rule !== 'QT-score');
  assert.ok(quiet.length > 20);
  for (const [rule, ordered, how, current, known] of quiet) {
    const { id = '', reason = '' } = findingOf(rule, ordered, how, current, known)?.context ?? {};
    assert.match(id, /^(?:QUIET|SIGNED)-/, `${rule} ${ordered} beside ${current}`);
    assert.ok(reason.length > 20);
  }
});
