// The traps of drug safety as written vignettes: route, status, dose, laboratory values, age, conditions, kidney, three drugs. Decision 0024.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isJsonObject, type Json, type Resource } from '../../src/fhir/resource.ts';
import {
  creatinine,
  condition as has,
  height,
  lab,
  newborn,
  on,
  order,
  person,
  potassium,
  qtc,
  snomed,
  ventilated,
  weight,
} from './drug-chart.ts';
import { AT, ago, draft, named, safety, stopped } from './drug-world.ts';

/** `severity rule` of the finding that matters: of the named rule, else of the most severe one; `none` when there is none. */
type Row = readonly [draft: Resource, chart: readonly Resource[], expected: string, why: string];
const adult = person(50);
const oldMan = person(80);
const daily = (mg: number) => ({ route: 'oral', dose: [mg, 'mg'], times: [1, 1, 'd'] }) as const;

const ROWS: readonly Row[] = [
  // route
  [
    order('simvastatin 40 mg'),
    [on('ketoconazole 200 MG Oral Tablet')],
    'contraindicated ONC-HP-25',
    'control: swallowed ketoconazole',
  ],
  [order('simvastatin 40 mg'), [on('ketoconazole 2 % Topical Cream')], 'low ONC-HP-25', 'ketoconazole cream'],
  [order('simvastatin 40 mg'), [on('ketoconazole 2 % Shampoo')], 'low ONC-HP-25', 'ketoconazole shampoo'],
  [order('simvastatin 40 mg'), [on('erythromycin 5 MG/GM Ophthalmic Ointment')], 'low ONC-HP-25', 'eye ointment'],
  [order('simvastatin 40 mg'), [on('erythromycin', { route: 'ophthalmic' })], 'low ONC-HP-25', 'eye by route text'],
  [
    order('simvastatin 40 mg'),
    [on('erythromycin', { route: 'PO' })],
    'contraindicated ONC-HP-25',
    'by mouth by route text',
  ],
  [order('warfarin 5 mg'), [on('diclofenac 1 % Topical Gel')], 'low LABEL-S102', 'NSAID gel'],
  [order('warfarin 5 mg'), [on('diclofenac 50 MG Oral Tablet')], 'major LABEL-S102', 'NSAID tablet'],
  [
    order('warfarin 5 mg'),
    [on('miconazole 2 % Vaginal Cream')],
    'major LABEL-S109',
    'vaginal miconazole acts on warfarin anyway',
  ],
  [
    order('verapamil 120 mg'),
    [on('timolol 0.5 % Ophthalmic Solution')],
    'major LABEL-S126',
    'beta-blocker eye drops reach the heart',
  ],
  [
    order('ritonavir 100 mg'),
    [on('fluticasone 50 MCG Nasal Spray')],
    'major LABEL-S048',
    'nasal fluticasone and a booster',
  ],
  [order('ciprofloxacin 0.3 % Otic Solution'), [on('tizanidine 4 mg')], 'low ONC-HP-28', 'ciprofloxacin ear drops'],
  [order('midazolam', { route: 'oral' }), [on('ritonavir')], 'contraindicated LABEL-S044', 'oral midazolam'],
  [order('midazolam', { route: 'IV' }), [on('ritonavir')], 'major LABEL-S044', 'midazolam into the vein'],
  [order('potassium chloride', { route: 'IV' }), [on('oxybutynin')], 'low LABEL-S178', 'potassium that is not solid'],
  [
    order('phenelzine'),
    [on('phenylephrine 10 % Ophthalmic Solution')],
    'contraindicated LABEL-S002',
    'mydriatic drops and an MAO inhibitor',
  ],
  // status
  [order('simvastatin'), [on('clarithromycin', {}, { status: 'cancelled' })], 'none', 'cancelled'],
  [order('simvastatin'), [on('clarithromycin', {}, { status: 'entered-in-error' })], 'none', 'a mistake'],
  [order('simvastatin'), [on('clarithromycin', {}, { intent: 'proposal' })], 'none', 'a proposal is no order'],
  [
    order('simvastatin'),
    [on('clarithromycin', {}, { intent: 'plan' })],
    'contraindicated ONC-HP-25',
    'a plan may be what the patient takes',
  ],
  [
    order('simvastatin'),
    [on('clarithromycin', {}, { status: 'on-hold' })],
    'contraindicated ONC-HP-25',
    'on hold may be resumed',
  ],
  [order('simvastatin'), [on('clarithromycin', {}, { doNotPerform: true })], 'none', 'an order not to give it'],
  // wash-out
  [
    order('isosorbide dinitrate'),
    [stopped(named('tadalafil'), ago(1))],
    'contraindicated LABEL-S004',
    'tadalafil yesterday',
  ],
  [order('isosorbide dinitrate'), [stopped(named('tadalafil'), ago(2))], 'none', 'tadalafil 48 hours ago'],
  [
    order('sacubitril'),
    [stopped(named('lisinopril'), ago(1))],
    'contraindicated LABEL-S080',
    'ACE inhibitor yesterday',
  ],
  [order('sacubitril'), [stopped(named('lisinopril'), ago(2))], 'none', 'ACE inhibitor two days ago'],
  [order('naltrexone'), [stopped(named('oxycodone'), ago(9))], 'contraindicated LABEL-S073', 'opioid nine days ago'],
  [order('naltrexone'), [stopped(named('oxycodone'), ago(10))], 'none', 'opioid ten days ago'],
  [
    order('simvastatin'),
    [stopped(named('amiodarone'), ago(60))],
    'contraindicated ONC-HP-25',
    'amiodarone two months ago',
  ],
  // three drugs
  [
    order('ibuprofen'),
    [on('lisinopril'), on('hydrochlorothiazide')],
    'major TRIPLE-kidney',
    'triple whammy over three low-priority pairs',
  ],
  [order('furosemide'), [on('losartan'), on('naproxen')], 'major TRIPLE-kidney', 'the diuretic comes last'],
  [order('ibuprofen'), [on('lisinopril')], 'low ONC-LP-33', 'two of the three'],
  [order('ibuprofen 5 % Topical Gel'), [on('lisinopril'), on('furosemide')], 'low ONC-LP-33', 'NSAID gel'],
  [order('trimethoprim'), [on('ramipril'), on('spironolactone')], 'major TRIPLE-potassium', 'hyperkalaemia triad'],
  [
    order('pregabalin'),
    [on('oxycodone'), on('diazepam')],
    'major TRIPLE-sedation',
    'opioid, benzodiazepine, gabapentinoid',
  ],
  [order('pregabalin'), [on('oxycodone'), on('diazepam'), ventilated], 'moderate TRIPLE-sedation', 'ventilated'],
  [order('clopidogrel'), [on('apixaban'), on('aspirin')], 'major TRIPLE-bleeding', 'triple antithrombotic therapy'],
  [order('sumatriptan'), [on('sertraline'), on('tramadol')], 'major TRIPLE-serotonin', 'three serotonergic drugs'],
  [
    order('gentamicin', { route: 'IV' }),
    [on('vancomycin', { route: 'IV' }), on('piperacillin')],
    'major TRIPLE-nephrotoxic',
    'three for the kidney',
  ],
  [order('haloperidol'), [on('citalopram'), on('ondansetron')], 'major TRIPLE-qt', 'three for the QT interval'],
  // laboratory values
  [order('spironolactone'), [adult, potassium(5.0)], 'none', 'potassium 5.0 is not above it'],
  [order('spironolactone'), [adult, potassium(5.1)], 'major LAB-K-raised-sparing', 'potassium 5.1'],
  [order('spironolactone'), [adult, potassium(5.6)], 'contraindicated LAB-K-high-sparing', 'potassium 5.6'],
  [order('spironolactone'), [adult, potassium(5.6, 31)], 'none', 'of a month ago'],
  [
    order('spironolactone'),
    [adult, lab('2823-3', 5.6, 'mmol/L', 1, { status: 'entered-in-error' })],
    'none',
    'a result by mistake',
  ],
  [order('spironolactone'), [adult, lab('2823-3', 5.6, 'meq/L')], 'contraindicated LAB-K-high-sparing', 'in meq/L'],
  [order('spironolactone'), [adult, lab('2823-3', 5.6, 'mg/dL')], 'none', 'a unit that does not convert is no value'],
  [order('potassium chloride'), [adult, potassium(5.5)], 'contraindicated LAB-K-high-supplement', 'potassium for 5.5'],
  [order('potassium chloride'), [adult, potassium(3.2)], 'none', 'potassium for 3.2'],
  [
    order('lisinopril'),
    [on('spironolactone'), adult, potassium(5.2)],
    'major LABEL-S085',
    'pair with a raised potassium',
  ],
  [
    order('lisinopril'),
    [on('spironolactone'), adult, potassium(4.2), creatinine(0.9)],
    'moderate LABEL-S085',
    'heart failure therapy with good values',
  ],
  [order('lisinopril'), [on('spironolactone')], 'major LABEL-S085', 'no value known'],
  [order('digoxin 0.125 mg'), [adult, potassium(3.4)], 'major LAB-K-low-digoxin', 'digoxin and 3.4'],
  [order('digoxin 0.125 mg'), [adult, potassium(3.5)], 'none', 'digoxin and 3.5'],
  [order('citalopram 20 mg'), [adult, qtc(500)], 'major LAB-qtc-high', 'QTc 500'],
  [order('citalopram 20 mg'), [adult, qtc(499)], 'none', 'QTc 499'],
  [order('sotalol 80 mg'), [adult, qtc(510)], 'contraindicated LAB-qtc-contra', 'sotalol and QTc 510'],
  [
    order('citalopram'),
    [on('sotalol'), person(70, 'female'), potassium(3.2), qtc(460), has('heart failure'), on('furosemide')],
    'major QT-score',
    'the low-priority pair in a patient at risk: 15 points',
  ],
  [order('citalopram'), [on('sotalol')], 'low ONC-LP-3', 'the same pair without known risk'],
  [order('warfarin'), [adult, lab('6301-6', 5.2, '{INR}')], 'major LAB-inr-anticoagulant', 'INR 5.2'],
  [order('warfarin'), [adult, lab('6301-6', 2.4, '{INR}')], 'none', 'INR in range'],
  [order('enoxaparin'), [adult, lab('777-3', 49, '10*3/uL')], 'major LAB-plt-anticoagulant', 'platelets 49'],
  [order('enoxaparin'), [adult, lab('777-3', 50, '10*9/L')], 'none', 'platelets 50, other unit'],
  [order('clozapine'), [adult, lab('751-8', 0.9, '10*3/uL')], 'contraindicated LAB-neutropenia', 'neutrophils 0.9'],
  [order('metoprolol'), [adult, lab('8867-4', 40, '/min', 0.1)], 'major LAB-hr-low', 'heart rate 40'],
  [order('metoprolol'), [adult, lab('8867-4', 40, '/min', 0.1), has('pacemaker')], 'none', 'with a pacemaker'],
  // age
  [order('codeine'), [person(11)], 'contraindicated AGE-codeine', '11 years'],
  [order('codeine'), [person(12)], 'moderate AGE-codeine-teen', '12 years'],
  [order('codeine'), [], 'none', 'age unknown'],
  [order('promethazine'), [person(1)], 'contraindicated AGE-promethazine', 'one year'],
  [order('aspirin'), [person(10)], 'major AGE-aspirin', 'Reye syndrome'],
  [order('doxycycline'), [person(7)], 'major AGE-tetracycline', 'teeth'],
  [order('diazepam'), [oldMan], 'low AGE-beers-1', 'Beers list never interrupts'],
  [order('ceftriaxone'), [on('calcium gluconate'), newborn(20)], 'contraindicated LABEL-S152', 'newborn'],
  [order('ceftriaxone'), [on('calcium gluconate'), adult], 'low LABEL-S152', 'the same pair in an adult'],
  // conditions
  [order('warfarin'), [person(30, 'female'), has('Pregnancy')], 'contraindicated PREG-contra', 'pregnant, by text'],
  [
    order('warfarin'),
    [person(30, 'female'), snomed('77386006')],
    'contraindicated PREG-contra',
    'pregnant, by SNOMED CT',
  ],
  [
    order('warfarin'),
    [person(30, 'female'), has('Pregnancy', { abatementDateTime: '2025-06-01' })],
    'none',
    'a pregnancy that is over',
  ],
  [
    order('warfarin'),
    [person(30, 'female'), has('Pregnancy', { onsetDateTime: '2024-01-01' })],
    'none',
    'a pregnancy nobody closed',
  ],
  [
    order('warfarin'),
    [person(30, 'female'), has('Pregnancy', { verificationStatus: { coding: [{ system: 'x', code: 'refuted' }] } })],
    'none',
    'refuted',
  ],
  [order('lisinopril'), [person(30, 'female'), has('Pregnancy')], 'major PREG-major', 'ACE inhibitor in pregnancy'],
  [order('propranolol'), [adult, has('Asthma')], 'contraindicated COND-asthma-beta', 'asthma'],
  [order('metoprolol'), [adult, has('Asthma')], 'moderate COND-asthma-beta1', 'cardioselective'],
  [
    order('timolol 0.5 % Ophthalmic Solution'),
    [adult, has('Asthma')],
    'contraindicated COND-asthma-beta',
    'eye drops in asthma',
  ],
  [order('propranolol'), [adult, has('Family history of asthma')], 'none', 'the family has it'],
  [
    order('heparin'),
    [
      adult,
      has('Heparin-induced thrombocytopenia', { clinicalStatus: { coding: [{ system: 'x', code: 'resolved' }] } }),
    ],
    'contraindicated COND-hit',
    'HIT counts when resolved',
  ],
  [
    order('prasugrel'),
    [adult, has('Ischemic stroke', { clinicalStatus: { coding: [{ system: 'x', code: 'inactive' }] } })],
    'contraindicated COND-prasugrel-stroke',
    'a past stroke',
  ],
  [order('pioglitazone'), [adult, has('Heart failure')], 'contraindicated COND-hf-glitazone', 'heart failure'],
  [order('bupropion'), [adult, has('Epilepsy')], 'contraindicated COND-seizure-bupropion', 'epilepsy'],
  [
    order('sumatriptan'),
    [adult, has('Coronary artery disease')],
    'contraindicated COND-cad-triptan',
    'coronary disease',
  ],
  [order('metoclopramide'), [adult, has("Parkinson's disease")], 'major COND-parkinson', 'Parkinson disease'],
  [order('rasburicase'), [adult, has('G6PD deficiency')], 'contraindicated COND-g6pd', 'G6PD'],
  [order('ketorolac'), [adult, has('Peptic ulcer')], 'contraindicated COND-ulcer-ketorolac', 'ulcer'],
  [order('metformin'), [adult, has('Lactic acidosis')], 'contraindicated COND-acidosis-metformin', 'acidosis'],
  [
    order('colchicine'),
    [on('verapamil'), adult, has('Cirrhosis')],
    'contraindicated LABEL-S023',
    'escalated by liver disease',
  ],
  [
    order('aliskiren'),
    [on('lisinopril'), adult, has('Type 2 diabetes mellitus')],
    'contraindicated LABEL-S082',
    'escalated by diabetes',
  ],
  [
    order('ranolazine'),
    [adult, has('Cirrhosis'), lab('1975-2', 4, 'mg/dL'), lab('1751-7', 2.5, 'g/dL'), lab('6301-6', 2.5, '{INR}')],
    'contraindicated COND-child-c',
    'Child-Pugh C',
  ],
  // kidney
  [order('metformin', daily(500)), [adult, creatinine(2.6)], 'contraindicated RENAL-metformin-egfr-0', 'eGFR 29'],
  [order('metformin', daily(500)), [adult, creatinine(1.0)], 'none', 'eGFR above 90'],
  [
    order('metformin', daily(500)),
    [adult, creatinine(230, 1)],
    'none',
    'creatinine in umol/L called mg/dL is no value',
  ],
  [
    order('metformin', daily(500)),
    [adult, lab('2160-0', 230, 'umol/L')],
    'contraindicated RENAL-metformin-egfr-0',
    'creatinine in umol/L',
  ],
  [order('metformin', daily(500)), [adult, creatinine(2.6, 91)], 'none', 'of three months ago'],
  [order('metformin', daily(500)), [person(10), creatinine(2.6)], 'none', 'no adult formula for a child'],
  [
    order('metformin', daily(500)),
    [adult, creatinine(2.6, 0.5), creatinine(1.0, 2)],
    'major COND-aki-metformin',
    'rising creatinine: no estimate, but acute kidney injury',
  ],
  [
    order('metformin', daily(500)),
    [adult, creatinine(5), has('Dialysis')],
    'contraindicated RENAL-metformin-egfr-0',
    'dialysis',
  ],
  [
    order('gabapentin', { dose: [600, 'mg'], times: [3, 1, 'd'] }),
    [oldMan, creatinine(2.2), weight(60), height(165)],
    'major RENAL-gabapentin-crcl-15',
    '1800 mg at 23 mL/min',
  ],
  [
    order('gabapentin', { dose: [300, 'mg'], times: [2, 1, 'd'] }),
    [oldMan, creatinine(2.2), weight(60), height(165)],
    'low RENAL-gabapentin-crcl-15',
    '600 mg is what the rule asks for',
  ],
  [
    order('dabigatran', { dose: [150, 'mg'], times: [2, 1, 'd'] }),
    [oldMan, creatinine(2.2), weight(60), height(165)],
    'major RENAL-dabigatran-crcl-15',
    '300 mg a day',
  ],
  [
    order('nitrofurantoin'),
    [oldMan, creatinine(1.2), weight(60), height(165)],
    'moderate RENAL-nitrofurantoin-crcl-30',
    'clearance 42',
  ],
  // dose
  [order('acetaminophen', { route: 'oral', dose: [1000, 'mg'], timing: 'QID' }), [], 'none', '4 g a day'],
  [
    order('acetaminophen', { route: 'oral', dose: [1000, 'mg'], times: [1, 4, 'h'] }),
    [],
    'major DOSE-acetaminophen-day',
    '6 g a day',
  ],
  [
    order('acetaminophen', { route: 'oral', dose: [1, 'g'], times: [1, 4, 'h'], prn: true, max: [4000, 'mg'] }),
    [],
    'none',
    'as needed, at most 4 g',
  ],
  [
    order('acetaminophen', { route: 'oral', dose: [500, 'mg'], doseHigh: 1000, times: [1, 4, 'h'] }),
    [],
    'major DOSE-acetaminophen-day',
    'upper end of a range',
  ],
  [
    order('acetaminophen 500 MG Oral Tablet', { dose: [2, '{tbl}'], times: [1, 4, 'h'] }),
    [],
    'major DOSE-acetaminophen-day',
    'tablets of a known strength',
  ],
  [
    order('acetaminophen', { route: 'oral', dose: [1000, 'mg'], times: [3, 1, 'd'] }),
    [on('acetaminophen 325 MG / hydrocodone 5 MG Oral Tablet', { dose: [1, '{tbl}'], times: [1, 4, 'h'] })],
    'major DOSE-acetaminophen-day',
    'hidden in a combination',
  ],
  [
    order('acetaminophen', { route: 'oral', dose: [1000, 'mg'], times: [3, 1, 'd'] }),
    [adult, has('Alcohol use disorder')],
    'major DOSE-acetaminophen-day',
    '2 g with alcohol use disorder',
  ],
  [order('methotrexate', { route: 'oral', dose: [15, 'mg'], times: [1, 1, 'wk'] }), [], 'none', 'methotrexate weekly'],
  [
    order('methotrexate', { route: 'oral', dose: [2.5, 'mg'], times: [1, 1, 'd'] }),
    [],
    'contraindicated DOSE-methotrexate-times',
    'methotrexate daily',
  ],
  [
    order('methotrexate', { route: 'oral', dose: [2.5, 'mg'], times: [1, 1, 'd'] }),
    [has('Acute lymphoblastic leukemia')],
    'none',
    'oncology',
  ],
  [order('citalopram', { route: 'oral', dose: [40, 'mg'], times: [1, 1, 'd'] }), [adult], 'none', '40 mg at 50 years'],
  [
    order('citalopram', { route: 'oral', dose: [40, 'mg'], times: [1, 1, 'd'] }),
    [person(65)],
    'major DOSE-citalopram-day',
    '40 mg at 65 years',
  ],
  [
    order('citalopram', { route: 'oral', dose: [40, 'mg'], times: [1, 1, 'd'] }),
    [adult, on('omeprazole')],
    'major DOSE-citalopram-day',
    '40 mg with a CYP2C19 inhibitor',
  ],
  [
    order('simvastatin', { route: 'oral', dose: [40, 'mg'], times: [1, 1, 'd'] }),
    [on('amlodipine')],
    'major DOSE-simvastatin-day',
    'cap of 20 mg with amlodipine',
  ],
  [
    order('simvastatin', { route: 'oral', dose: [20, 'mg'], times: [1, 1, 'd'] }),
    [on('amlodipine')],
    'moderate LABEL-S015',
    '20 mg with amlodipine',
  ],
  [
    order('ondansetron', { route: 'IV', dose: [32, 'mg'], once: true }),
    [],
    'major DOSE-ondansetron',
    '32 mg into the vein',
  ],
  [order('ondansetron', { route: 'IV', dose: [4, 'mg'], once: true }), [], 'none', '4 mg into the vein'],
  [
    order('apixaban', { route: 'oral', dose: [5, 'mg'], times: [2, 1, 'd'] }),
    [oldMan, weight(58)],
    'major DOSE-apixaban-day',
    'two of three criteria',
  ],
  [
    order('apixaban', { route: 'oral', dose: [5, 'mg'], times: [2, 1, 'd'] }),
    [oldMan, weight(75)],
    'none',
    'one of three',
  ],
  [
    order('enoxaparin', { route: 'SC', dose: [1, 'mg/kg'], times: [2, 1, 'd'] }),
    [adult, weight(80)],
    'none',
    '1 mg/kg twice',
  ],
  [
    order('enoxaparin', { route: 'SC', dose: [300, 'mg'], times: [1, 1, 'd'] }),
    [adult, weight(80)],
    'major DOSE-enoxaparin-day',
    '3.75 mg/kg',
  ],
];

for (const [draftOrder, chart, expected, why] of ROWS) {
  const drug = JSON.stringify(draftOrder.medicationCodeableConcept).slice(9, -2);
  test(`vignette@${drug}: ${why} -> ${expected}`, () => {
    const { findings } = safety.check([draftOrder], chart, AT);
    const [severity = '', rule = ''] = expected.split(' ');
    const told = findings.map((finding) => `${finding.severity} ${finding.rule.id}`);
    if (severity === 'none')
      return assert.deepEqual(
        told.filter((one) => !/^(?:low|moderate) (?:VA|FDA|AGE-beers|RENAL|QT|LABEL)/.test(one)),
        [],
      );
    const named = findings.find(({ rule: { id } }) => id.startsWith(rule));
    assert.equal(named?.severity, severity, told.join('; '));
  });
}

test('vignette@count: at least 100 rows', () => assert.ok(ROWS.length >= 100));

test('vignette@stale: an order of two years ago that is called active is checked and marked', () => {
  const { findings } = safety.check(
    [order('simvastatin')],
    [on('clarithromycin', {}, { authoredOn: '2024-01-01' })],
    AT,
  );
  assert.deepEqual([findings[0]?.severity, findings[0]?.other?.stale], ['contraindicated', true]);
});

test('vignette@unchecked: a draft that no table knows is named; a known one is in neither list', () => {
  const { unchecked = [] } = safety.check(
    [draft(named('Frobozzol 5 mg'), 'a'), draft(named('simvastatin'), 'b')],
    [],
    AT,
  );
  assert.deepEqual(
    unchecked.map(({ draft: { source } }) => source),
    ['MedicationRequest/a'],
  );
});
const sct = (code: string, display?: string) => ({
  coding: [{ system: 'http://snomed.info/sct', code, ...(display === undefined ? {} : { display }) }],
});
const product = (...parts: readonly Json[]): Resource => ({
  resourceType: 'Medication',
  id: 'm',
  ingredient: parts.map((itemCodeableConcept) => ({ itemCodeableConcept })),
});
const unmapped: readonly [ordered: Json | Resource, named: string | undefined, reason: RegExp, why: string][] = [
  [sct('322236009'), 'SNOMED CT 322236009', /^No table knows this drug/, 'a SNOMED CT product by code alone'],
  [sct('1', 'Frobozzol 5 mg tablet'), 'Frobozzol 5 mg tablet', /^No table knows this drug/, 'by code and unknown name'],
  [sct('322236009', 'Paracetamol 500 mg oral tablet'), undefined, /./, 'by code and a name that the tables know'],
  [
    { coding: [{ system: 'http://hl7.org/fhir/sid/ndc', code: '0-1' }] },
    'NDC 0-1',
    /^No table/,
    'an NDC by code alone',
  ],
  [{ coding: [{ system: 'urn:hospital', code: 'X7' }] }, 'code X7', /^No table/, 'a local code without a site map'],
  [{}, 'drug without name', /^No table/, 'nothing at all'],
  [
    product({ text: 'simvastatin' }, sct('7')),
    'simvastatin / SNOMED CT 7',
    /^No table knows SNOMED CT 7: .* Only simvastatin of this order was checked\.$/,
    'one ingredient of two',
  ],
];
for (const [ordered, name, reason, why] of unmapped) {
  test(`vignette@unmapped: silence means checked: ${why}`, () => {
    const isProduct = isJsonObject(ordered) && ordered.resourceType === 'Medication';
    const { medicationCodeableConcept: _none, ...request } = draft(named('x'));
    const asked = isProduct
      ? { ...request, contained: [ordered], medicationReference: { reference: '#m' } }
      : { ...request, medicationCodeableConcept: ordered };
    const { unchecked = [] } = safety.check([asked], [], AT);
    assert.deepEqual(
      unchecked.map(({ draft: { display } }) => display),
      name === undefined ? [] : [name],
    );
    for (const { reason: told } of unchecked) assert.match(told, reason);
  });
}
