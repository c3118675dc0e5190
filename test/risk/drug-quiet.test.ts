// Rows of knowledge/contexts.json and triples.json for hospital stays and occasional doses: what falls quiet, and what next to it does not.
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
const aged = (years: number): Resource => ({ resourceType: 'Patient', id: 'p', birthDate: `${2026 - years}-01-01` });
const condition = (text: string): Resource => ({ resourceType: 'Condition', id: 'c', code: { text } });
const inr = (value: number): Resource => ({
  resourceType: 'Observation',
  id: 'o',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '6301-6' }] },
  effectiveDateTime: ago(0, 3_600_000),
  valueQuantity: { value, unit: '{INR}', system: 'http://unitsofmeasure.org', code: '{INR}' },
});
type Dosage = Readonly<Record<string, Json>>;
const PRN: Dosage = { asNeededBoolean: true };
const ONCE: Dosage = { timing: { repeat: { count: 1 } } };

/** Severity of a rule for one order beside current drugs; `none` when it does not speak. */
function severityOf(
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
  const found = safety.check([order], [...taken, ...known], AT).findings.find((one) => one.rule.id === rule);
  return found?.severity ?? 'none';
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
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [], 'major', 'control: nobody knows of a hospital stay'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [STAY], 'moderate', 'INR is current during the stay'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [stay('ACUTE')], 'moderate', 'acute inpatient is a stay'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [stay('AMB')], 'major', 'a visit is no stay'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [stay('IMP', 'finished')], 'major', 'the stay is over'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [STAY, inr(3)], 'moderate', 'INR at 3.0 is not above it'],
  ['LABEL-S103', 'aspirin', undefined, 'warfarin', [STAY, inr(3.1)], 'major', 'INR above 3.0'],
  ['TRIPLE-bleeding', 'aspirin', undefined, 'warfarin + clopidogrel', [STAY], 'major', 'a third drug still interrupts'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [], 'major', 'control'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [STAY], 'moderate', 'INR shows the rise'],
  ['LABEL-S109', 'amiodarone', undefined, 'warfarin', [STAY, inr(3.1)], 'major', 'it has risen'],
  ['LABEL-S102', 'ibuprofen', undefined, 'warfarin', [STAY], 'major', 'an NSAID is not watched by INR'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [STAY, aged(64)], 'moderate', 'a nurse assesses before each dose'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [STAY, aged(65)], 'major', 'from 65 years on'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [STAY], 'major', 'age unknown'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [aged(50)], 'major', 'not in hospital'],
  ['LABEL-S071', 'oxycodone', undefined, 'zolpidem', [STAY, aged(50)], 'major', 'a scheduled opioid'],
  ['LABEL-S071', 'oxycodone', PRN, 'zolpidem', [STAY, aged(50), condition('COPD')], 'major', 'lung disease'],
  [
    'LABEL-S071',
    'oxycodone',
    PRN,
    'zolpidem',
    [STAY, aged(50), condition('obstructive sleep apnea')],
    'major',
    'apnoea',
  ],
  ['LABEL-S072', 'oxycodone', PRN, 'gabapentin', [STAY, aged(50)], 'moderate', 'gabapentinoids alike'],
  ['LABEL-S070', 'oxycodone', PRN, 'lorazepam', [STAY, aged(50)], 'major', 'a benzodiazepine still interrupts'],
  ['LABEL-S125', 'digoxin', undefined, 'amiodarone', [], 'major', 'control: lasting digoxin'],
  ['LABEL-S125', 'digoxin', ONCE, 'amiodarone', [], 'moderate', 'a single dose does not accumulate'],
  ['TRIPLE-qt', 'haloperidol', undefined, 'levofloxacin + ondansetron', [], 'major', 'control: three lasting drugs'],
  [
    'TRIPLE-qt',
    'haloperidol',
    undefined,
    'levofloxacin + ondansetron as needed',
    [],
    'none',
    'single doses are no third',
  ],
  ['TRIPLE-qt', 'ondansetron', ONCE, 'levofloxacin + haloperidol', [], 'none', 'one dose completes no three'],
  [
    'TRIPLE-qt',
    'haloperidol',
    undefined,
    'levofloxacin + amiodarone as needed',
    [],
    'major',
    'only ondansetron is meant',
  ],
  ['ONC-HP-25', 'clarithromycin', ONCE, 'simvastatin', [STAY, aged(50)], 'contraindicated', 'nothing quietens it'],
];
for (const [rule, ordered, how, current, known, severity, why] of rows) {
  test(`quiet@${rule} ${ordered} beside ${current} is ${severity}: ${why}`, () =>
    assert.equal(severityOf(rule, ordered, how, current, known), severity));
}
