// docs/models.md "Complaint": which red flags a code or a free text states, and which it denies. Every row is invented.
// Acuity: L life-saving (ESI decision point A), H high-risk (B), R neither. The category must be among those that hold; `-` asks for none at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { categoriesIn, complaintsOf } from '../../src/risk/triage/complaint.ts';
import { compiled, complaintProblems } from '../../src/risk/triage/complaint-table.ts';
import { mentionsIn } from '../../src/risk/triage/complaint-text.ts';
import { AT, knowledge, observation, snomed, visit } from './world.ts';

const { complaints: TABLE } = knowledge;
const SIGN = { 'life-saving': 'L', 'high-risk': 'H', routine: 'R' } as const;
type Sign = 'L' | 'H' | 'R';
type Row = readonly [text: string, acuity: Sign, category: string];

function read(resources: readonly Resource[]) {
  return complaintsOf({ patient: undefined, resources, at: AT }, 24, TABLE);
}
function judge(resources: readonly Resource[]): { acuity: Sign; categories: readonly string[] } {
  const found = read(resources)?.present ?? [];
  return { acuity: SIGN[found[0]?.acuity ?? 'routine'], categories: found.map(({ category }) => category) };
}

const positives: readonly Row[] = [
  ['cardiac arrest', 'L', 'arrest'],
  ['Witnessed arrest, CPR in progress', 'L', 'arrest'],
  ['patient is not breathing', 'L', 'arrest'],
  ['pulseless', 'L', 'arrest'],
  ['no pulse on arrival', 'L', 'arrest'],
  ['apneic after heroin', 'L', 'arrest'],
  ['drowning', 'L', 'arrest'],
  ['ROSC in field', 'L', 'arrest'],
  ['unresponsive', 'L', 'unresponsive'],
  ['unresp. at home', 'L', 'unresponsive'],
  ['found down by neighbour', 'L', 'unresponsive'],
  ['unconcious in the street', 'L', 'unresponsive'],
  ["won't wake up", 'L', 'unresponsive'],
  ['severe respiratory distress', 'L', 'severe-respiratory-distress'],
  ['severe SOB', 'L', 'severe-respiratory-distress'],
  ['unable to speak in full sentences', 'L', 'severe-respiratory-distress'],
  ['choking on food', 'L', 'severe-respiratory-distress'],
  ['lips turning blue', 'L', 'severe-respiratory-distress'],
  ['anaphylaxis after peanuts', 'L', 'anaphylaxis'],
  ['anaphylatic reaction', 'L', 'anaphylaxis'],
  ['throat is closing up', 'L', 'anaphylaxis'],
  ['tongue swelling since taking lisinopril', 'L', 'anaphylaxis'],
  ['bee sting, allergic reaction and wheezing', 'L', 'anaphylaxis'],
  ['allergic reaction; short of breath', 'L', 'allergic-airway'],
  ['septic shock', 'L', 'shock'],
  ['baby is limp', 'L', 'limp-infant'],
  ['bleeding out from leg', 'L', 'massive-haemorrhage'],
  ['uncontrolled bleeding, tourniquet in place', 'L', 'massive-haemorrhage'],
  ['actively seizing', 'L', 'seizure-now'],
  ['status epilepticus', 'L', 'seizure-now'],
  ['GSW to chest', 'L', 'critical-trauma'],
  ['stabbed in the neck', 'L', 'critical-trauma'],
  ['hypoglycemia, confused', 'L', 'hypoglycaemia-altered'],
  ['chest pain', 'H', 'chest-pain'],
  ['CP x 2 hrs', 'H', 'chest-pain'],
  ['chset pain', 'H', 'chest-pain'],
  ['Pain, chest', 'H', 'chest-pain'],
  ['my chest hurts', 'H', 'chest-pain'],
  ['pressure in the chest radiating to jaw', 'H', 'chest-pain'],
  ['65 yo chest pain', 'H', 'chest-pain'],
  ['2 day history of chest pain', 'H', 'chest-pain'],
  ['hx of CAD, now with chest tightness', 'H', 'chest-pain'],
  ['r/o MI', 'H', 'chest-pain'],
  ['SOB', 'H', 'breathing-difficulty'],
  ['shortnes of breath', 'H', 'breathing-difficulty'],
  ['difficulty brething', 'H', 'breathing-difficulty'],
  ["can't breathe", 'H', 'breathing-difficulty'],
  ['dyspnoea on exertion', 'H', 'breathing-difficulty'],
  ['not breathing well since last night', 'H', 'breathing-difficulty'],
  ['stridor', 'H', 'breathing-difficulty'],
  ['stroke symptoms', 'H', 'stroke'],
  ['CVA?', 'H', 'stroke'],
  ['facial droop', 'H', 'stroke'],
  ['slurred speach', 'H', 'stroke'],
  ['left arm weakness', 'H', 'stroke'],
  ['Lt. side weakness', 'H', 'stroke'],
  ['sudden numbness of the right face', 'H', 'stroke'],
  ['facial droop, resolved', 'H', 'stroke'],
  ['TIA yesterday', 'H', 'stroke'],
  ['AMS', 'H', 'altered-mental-state'],
  ['new confusion', 'H', 'altered-mental-state'],
  ['lethargic child', 'H', 'altered-mental-state'],
  ['not acting right', 'H', 'altered-mental-state'],
  ['disorientated', 'H', 'altered-mental-state'],
  ['suicidal ideation', 'H', 'suicidal'],
  ['SI with plan', 'H', 'suicidal'],
  ['wants to kill herself', 'H', 'suicidal'],
  ['suicdal', 'H', 'suicidal'],
  ['cutting himself', 'H', 'suicidal'],
  ['homicidal', 'H', 'suicidal'],
  ['overdose', 'H', 'overdose'],
  ['took a whole bottle of tylenol', 'H', 'overdose'],
  ['swallowed 20 pills', 'H', 'overdose'],
  ['CO exposure, carbon monoxide alarm', 'H', 'overdose'],
  ['child drank bleach', 'H', 'overdose'],
  ['seizure', 'H', 'seizure'],
  ['siezure', 'H', 'seizure'],
  ['post-ictal', 'H', 'seizure'],
  ['syncope', 'H', 'syncope'],
  ['passed out at work', 'H', 'syncope'],
  ['LOC', 'H', 'syncope'],
  ['vomiting blood', 'H', 'gi-bleeding'],
  ['hematemisis', 'H', 'gi-bleeding'],
  ['black tarry stools', 'H', 'gi-bleeding'],
  ['coffee ground emesis', 'H', 'gi-bleeding'],
  ['haemorrhage', 'H', 'severe-bleeding'],
  ['hemorrage', 'H', 'severe-bleeding'],
  ['coughing up blood', 'H', 'severe-bleeding'],
  ['bleeding won’t stop', 'H', 'severe-bleeding'],
  ['fever on chemotherapy', 'H', 'sepsis'],
  ['fever, on chemo', 'H', 'sepsis'],
  ['? sepsis', 'H', 'sepsis'],
  ['hypotension', 'H', 'sepsis'],
  ['worst headache of my life', 'H', 'meningitis'],
  ['thunderclap headache', 'H', 'meningitis'],
  ['fever and stiff neck', 'H', 'meningitis'],
  ['petechial rash', 'H', 'meningitis'],
  ['pregnant with vaginal bleeding', 'H', 'pregnancy-emergency'],
  ['pregnant 8 weeks. Abdominal pain', 'H', 'ectopic-risk'],
  ['in labor, water broke', 'H', 'pregnancy-emergency'],
  ['reduced fetal movements', 'H', 'pregnancy-emergency'],
  ['pre-eclampsia', 'H', 'pregnancy-emergency'],
  ['testicular torsion', 'H', 'torsion'],
  ['sudden testicular pain', 'H', 'torsion'],
  ['pain in left testicle', 'H', 'torsion'],
  ['tearing chest pain to the back', 'H', 'embolism-or-dissection'],
  ['PE', 'H', 'embolism-or-dissection'],
  ['cold, pale leg with pain', 'H', 'embolism-or-dissection'],
  ['SVT', 'H', 'arrhythmia'],
  ['DKA', 'H', 'diabetic-emergency'],
  ['low blood sugar', 'H', 'diabetic-emergency'],
  ['missed dialysis', 'H', 'adrenal-or-electrolyte'],
  ['gunshot wound', 'H', 'major-trauma'],
  ['fell from ladder', 'H', 'major-trauma'],
  ['pedestrian struck', 'H', 'major-trauma'],
  ['open fracture of tibia', 'H', 'major-trauma'],
  ['head injury with LOC', 'H', 'head-injury-high-risk'],
  ['hit head, on warfarin', 'H', 'head-injury-high-risk'],
  ['head injury. Vomiting since', 'H', 'head-injury-vomiting'],
  ['facial burns', 'H', 'major-burn'],
  ['smoke inhalation', 'H', 'major-burn'],
  ['sexual assault', 'H', 'assault'],
  ['bleach in eye', 'H', 'eye-emergency'],
  ['sudden loss of vision', 'H', 'eye-emergency'],
  ['bowel obstruction', 'H', 'surgical-abdomen'],
  ['saddle anaesthesia', 'H', 'cord-or-cauda'],
  ['sickle cell crisis', 'H', 'sickle-crisis'],
  ['hearing voices', 'H', 'psychosis'],
  ['hypothermic', 'H', 'heat-or-cold'],
  ['priapism', 'H', 'priapism'],
  ['compartment syndrome', 'H', 'limb-threat'],
];

const routines: readonly Row[] = [
  ['ankle sprain', 'R', 'limb-injury'],
  ['sore throat', 'R', 'sore-throat'],
  ['stomach ache', 'R', 'abdominal-pain'],
  ['Abd. pain', 'R', 'abdominal-pain'],
  ['n/v/d', 'R', 'nausea-vomiting'],
  ['HA', 'R', 'headache'],
  ['UTI', 'R', 'urinary'],
  ['chest wall pain', 'R', 'chest-wall-pain'],
  ['med refill', 'R', 'medication-request'],
  ['suture removal', 'R', 'wound-or-cast-care'],
  ['lac to finger', 'R', 'laceration'],
  ['insect bite', 'R', 'bite-or-sting'],
  ['toothache', 'R', 'dental'],
  ['low back pain', 'R', 'back-or-neck-pain'],
  ['pregnancy test', 'R', 'medication-request'],
  ['rash', 'R', 'rash'],
  ['palpitations', 'R', 'palpitations'],
];

/** Nothing of the red flag that is mentioned may remain. */
const denials: readonly (readonly [text: string, why: string])[] = [
  ['denies chest pain', 'denied'],
  ['Denies CP', 'denied, abbreviated'],
  ['patient denied any chest pain', 'denied, past tense'],
  ['no shortness of breath', 'negated'],
  ['no SOB', 'negated, abbreviated'],
  ['without loss of consciousness', 'without'],
  ['no LOC', 'negated, abbreviated'],
  ['w/o chest pain', 'w/o'],
  ['negative for chest pain', 'negative for'],
  ['no evidence of stroke', 'no evidence of'],
  ['no signs of stroke', 'no signs of'],
  ['no complaints of chest pain', 'no complaints of'],
  ['not suicidal', 'not'],
  ['does not have chest pain', 'does not have'],
  ["doesn't have chest pain", "doesn't have"],
  ['never had a seizure', 'never'],
  ['stroke ruled out', 'ruled out, after'],
  ['chest pain: denied', 'denied, after'],
  ['chest pain - no', 'no, after'],
  ['chest pain absent', 'absent, after'],
  ['denies chest pain, shortness of breath, or syncope', 'a list of denials'],
  ['denies CP, SOB, syncope', 'a list of denials without or'],
  ['no fever, chest pain or seizure', 'one negation before a list with or'],
  ['no chest pain nor dyspnoea', 'nor'],
  ['no chest pain, no SOB', 'each its own'],
  ['no chest pain and no palpitations', 'each its own, joined'],
  ['sore throat, denies chest pain', 'a complaint, then a denial'],
  ['fall with head injury, no LOC', 'no loss of consciousness in a head injury'],
  ['chest pain resolved', 'over'],
  ['chest pain has resolved', 'over, has'],
  ['chest pain, now resolved', 'over, after a comma'],
  ['chest pain is gone', 'gone'],
  ['chest pain went away', 'went away'],
  ['chest pain has now subsided', 'subsided'],
  ['shortness of breath, resolved', 'over'],
  ['resolved chest pain', 'over, before'],
  ['no longer has chest pain', 'no longer'],
  ['family history of heart attack', 'family history'],
  ['FHx: stroke', 'family history, abbreviated'],
  ['father had a heart attack', 'of the father'],
  ['mother died of stroke', 'of the mother'],
  ['return if chest pain', 'advice'],
  ['watch for seizure', 'advice'],
  ['at risk for stroke', 'a risk'],
  ['come back if any shortness of breath', 'advice'],
  ['history of seizure', 'in the past'],
  ['hx of MI', 'in the past'],
  ['h/o stroke', 'in the past'],
  ['s/p stroke', 'in the past'],
  ['previous overdose', 'in the past'],
  ['PMH: pulmonary embolism', 'in the past'],
  ['stroked a cat', 'another word'],
  ['strokes the dog', 'another word'],
  ['arrested by police', 'another word'],
  ['injection site pain', 'injection is not ingestion'],
  ['possessed', 'another word'],
  ['cheat day stomach ache', 'cheat is not chest'],
];

/** A word of negation that does not reach the complaint. */
const kept: readonly Row[] = [
  ['no allergies, chest pain', 'H', 'chest-pain'],
  ['no fever, but chest pain', 'H', 'chest-pain'],
  ['denies trauma, CP since this morning', 'H', 'chest-pain'],
  ['denies fever. Chest pain', 'H', 'chest-pain'],
  ['chest pain not resolved', 'H', 'chest-pain'],
  ['chest pain, vomiting resolved', 'H', 'chest-pain'],
  ['no relief with nitro, chest pain 8/10', 'H', 'chest-pain'],
  ['denies fever but reports shortness of breath', 'H', 'breathing-difficulty'],
  ['no pulse', 'L', 'arrest'],
  ['history of asthma, now with SOB', 'H', 'breathing-difficulty'],
  ['father had MI, patient has chest pain', 'H', 'chest-pain'],
  ['unsure if seizure', 'H', 'seizure'],
  ['cannot rule out stroke', 'H', 'stroke'],
  ['overdose, feels better, resolved', 'H', 'overdose'],
  ['syncope, resolved', 'H', 'syncope'],
  ['chest pain no SOB', 'H', 'chest-pain'],
  ['prior to arrival had seizure', 'H', 'seizure'],
];

for (const [text, acuity, category] of [...positives, ...routines, ...kept]) {
  test(`complaint@text: "${text}" is ${category}, ${acuity}`, () => {
    const found = judge([visit(text)]);
    assert.ok(found.categories.includes(category), `found ${found.categories.join(', ') || 'nothing'}`);
    assert.equal(found.acuity, acuity);
  });
}
for (const [text, why] of denials) {
  test(`complaint@negation: "${text}" raises no flag: ${why}`, () => assert.equal(judge([visit(text)]).acuity, 'R'));
}

const coded = (system: string, code: string) => visit('-', { reasonCode: [{ coding: [{ system, code }] }] });
const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';
const RFV = 'urn:firewatch:nchs-rfv';
const codes: readonly (readonly [system: string, code: string, acuity: Sign, category: string])[] = [
  [ICD, 'I21.4', 'H', 'chest-pain'],
  ['http://hl7.org/fhir/sid/icd-10', 'R07.4', 'H', 'chest-pain'],
  [ICD, 'R07.81', 'R', 'chest-wall-pain'],
  [ICD, 'i46.9', 'L', 'arrest'],
  [ICD, 'T78.2XXA', 'L', 'anaphylaxis'],
  [ICD, 'T78.40XA', 'R', 'allergic-reaction'],
  [ICD, 'R65.20', 'H', 'sepsis'],
  [ICD, 'R65.21', 'L', 'shock'],
  [ICD, 'T39.1X2A', 'H', 'overdose'],
  [ICD, 'X83.8XXA', 'H', 'suicidal'],
  [ICD, 'N44.00', 'H', 'torsion'],
  [ICD, 'O00.101', 'H', 'pregnancy-emergency'],
  [ICD, 'S06.5X0A', 'H', 'head-injury-high-risk'],
  [ICD, 'S06.0X0A', 'R', 'head-injury'],
  [RFV, '10500', 'H', 'chest-pain'],
  [RFV, '10551', 'R', 'chest-wall-pain'],
  [RFV, '10552', 'R', 'flank-pain'],
  [RFV, '58370', 'L', 'arrest'],
  [RFV, '17902', 'H', 'pregnancy-emergency'],
  ['http://snomed.info/sct', '29857009', 'H', 'chest-pain'],
  ['http://snomed.info/sct', '230690007', 'H', 'stroke'],
  ['http://snomed.info/sct', '39579001', 'L', 'anaphylaxis'],
];
for (const [system, code, acuity, category] of codes) {
  test(`complaint@code: ${system.split('/').at(-1)} ${code} is ${category}`, () => {
    const found = judge([coded(system, code)]);
    assert.deepEqual([found.acuity, found.categories[0]], [acuity, category]);
  });
}
test('complaint@code: a code of another system, and an unknown one, say nothing', () => {
  for (const [system, code] of [
    ['urn:other', '29857009'],
    ['http://snomed.info/sct', '1'],
    [ICD, 'R'],
    [ICD, ''],
  ] as const) {
    assert.deepEqual(judge([coded(system, code)]), { acuity: 'R', categories: [] });
  }
});

test('complaint@denied: what is denied is listed, what holds is not', () => {
  const found = read([visit('sore throat, denies chest pain and SOB')]);
  assert.deepEqual(found?.denied, ['chest pain', 'breathing difficulty']);
  assert.deepEqual(
    read([visit('denies chest pain'), observation('8661-1', { valueString: 'chest pain' })])?.denied,
    [],
  );
});
test('complaint@unknown: words that the table does not know are said to be unknown', () => {
  assert.equal(read([visit('qwerty asdf')])?.recognised, false);
  assert.equal(read([visit('denies chest pain')])?.recognised, true);
  assert.equal(read([visit('qwerty', { reasonCode: [snomed('29857009')] })])?.recognised, true);
});
test('complaint@table: no category, code or kind of resource is used twice or unknown', () => {
  assert.deepEqual(complaintProblems(TABLE), []);
});
test('complaint@hostile: long, odd and empty texts are read in bounded time and never fail', () => {
  for (const text of [
    '',
    ' ',
    ',,,,',
    '\u0000',
    '....',
    'no '.repeat(5000),
    'chest '.repeat(5000),
    '🚑'.repeat(2000),
    '*',
    'constructor __proto__ toString',
  ])
    mentionsIn(text, compiled(TABLE));
  assert.deepEqual(categoriesIn(`${'x '.repeat(100)}chest pain`, TABLE), ['chest-pain']);
});
