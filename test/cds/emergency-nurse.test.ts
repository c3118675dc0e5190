// Chief complaints as they are typed at a triage desk, told through the triage service: abbreviations, misspellings, denials, other persons, the past, other scripts. Decision 0059.
// Sources: ESI Implementation Handbook v4 (AHRQ 2012), chapters 3 and 4, for what is life-saving and high-risk; NegEx (Chapman 2001) and ConText (Harkema 2009) for what a text says of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import { AT, assessment, bundle, patientView, world } from './world.ts';

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
const ALERT = observed('67775-7', { valueCodeableConcept: { coding: [{ system: LOINC, code: 'LA9340-6' }] } });
const vitals = (pulse: number, rate: number, saturation: number, celsius: number) => [
  measured('8867-4', pulse, '/min'),
  measured('9279-1', rate, '/min'),
  measured('59408-5', saturation, '%'),
  measured('8310-5', celsius, 'Cel'),
  measured('72514-3', 2, '{score}'),
  ALERT,
];
const one = world({ assess: async (id) => assessment(id, { outputs: { total: 1 }, band: 'low' }) });

async function summaryOf(reason: string, born = '1980-01-01', signs = vitals(80, 16, 98, 36.8)): Promise<string> {
  const visit = {
    resourceType: 'Encounter',
    id: 'visit',
    status: 'in-progress',
    class: { code: 'EMER' },
    subject: { reference: 'Patient/1288992' },
    period: { start: EARLIER },
    reasonCode: [{ text: reason }],
  };
  const prefetch = {
    patient: { resourceType: 'Patient', id: '1288992', birthDate: born },
    vitals: bundle(...signs),
    encounters: bundle(visit),
    ...{
      diagnoses: null,
      orders: null,
      medications: null,
      procedures: null,
      conditions: null,
      goals: null,
      answers: null,
    },
  };
  const { cards } = await one.call('triage', patientView({ prefetch }));
  assert.equal(cards.length, 1);
  return cards[0]?.summary ?? '';
}

type Level = '1' | '2' | '1 or 2' | 'not raised';
const IS = {
  '1': /^ESI 1 /,
  '2': /^ESI 2 /,
  '1 or 2': /^ESI [12] /,
  'not raised': /^(?!ESI [12] |Consider)/,
} as const satisfies Record<Level, RegExp>;

const TEXTS: readonly (readonly [level: Level, why: string, texts: readonly string[]])[] = [
  [
    '2',
    'abbreviations',
    [
      'CP radiating to L arm x 30 min',
      'SOB, worse lying flat',
      'c/o chest pressure w/ diaphoresis',
      'LOC after fall down stairs',
      'r/o MI',
      'r/o stroke, L facial droop',
      'cp/sob',
      'CP+SOB',
      'dib',
      'AMS from nursing home',
      'SI w/ plan to OD',
      'BRBPR, dizzy',
      'GSW thigh',
    ],
  ],
  [
    '2',
    'misspelt',
    ['chets pain', 'chest pian since am', 'shortnes of breth', 'siezure x 5 min, postictal', 'cant breath'],
  ],
  [
    '2',
    'written otherwise',
    [
      'CHEST PAIN!!!',
      'Chest pain — “crushing”',
      'chest\u00a0pain',
      'ＣＨＥＳＴ ＰＡＩＮ',
      'pain, chest',
      'chest/abd pain',
    ],
  ],
  [
    '1',
    'life-saving now',
    [
      'actively seizing',
      'cardiac arrest, CPR in progress',
      'unresponsive, not breathing',
      'pulseless',
      'GSW to chest',
      'stabbed in chest',
      'baby turning blue',
      'baby floppy',
      'vfib arrest ROSC',
      'BVM in progress',
      'son found him unresponsive',
      'BG 22 unresponsive',
      'not breathing',
    ],
  ],
  [
    '1 or 2',
    'the airway',
    [
      'status asthmaticus',
      'asthma attack, can only speak words',
      'stridor',
      'choking on food, drooling',
      'drooling and muffled voice',
      'epiglottitis',
      'could not breathe last night',
      'hives and lip swelling after peanuts, trouble breathing',
    ],
  ],
  [
    '2',
    'high-risk',
    [
      'worst headache of my life, sudden',
      'slurred speech since 0800',
      'vision loss R eye, sudden, painless',
      'testicular pain sudden onset, 15 y/o',
      'coffee ground emesis',
      'fever, chemo last week',
      'tearing chest pain to back',
      'took 30 tylenol tabs 2 h ago',
      'snake bite',
      'eye pain after bleach',
      'cold blue leg sudden',
      'burns 30% TBSA',
      'purple rash and fever in child',
      'toddler swallowed button battery',
      'prolapsed cord',
      'back pain with leg weakness and incontinence',
      'hand caught in machine, fingers cut off',
      'acute angle glaucoma',
      'pregnant 34 weeks, headache and BP 170/110',
      'missed dialysis x3, weak',
      'high blood sugar and vomiting',
    ],
  ],
  [
    '2',
    'brought by a relative: the complaint is the patient’s',
    [
      'brought in by mother with seizure',
      'BIB father with fever and stiff neck',
      'brought by wife with chest pain',
      'accompanied by mother with suicidal ideation',
      'arrived w/ husband with chest pain x2h',
      'mom says he had a seizure',
      'daughter reports pt confused',
      'wife states slurred speech',
      'roommate has flu, pt short of breath',
      'father had MI, pt c/o chest pain',
      'family hx of MI, having chest pain',
    ],
  ],
  [
    '2',
    'a denial ends where its sentence does',
    [
      'denies cp. sob since am',
      'denies fever but has chest pain',
      'no trauma, severe headache sudden onset',
      'no h/o stroke, sudden aphasia',
      'without chest pain but dyspneic',
      'no chest pain but short of breath at rest',
      'cannot rule out stroke',
    ],
  ],
  [
    '2',
    'words of denial that deny nothing',
    [
      'no change in chest pain',
      'no relief from nitro, CP persists',
      'chest pain not relieved by nitro',
      'never had chest pain like this',
      'chest pain resolved but now back',
      'should be seen for chest pain',
      'return for chest pain',
      'worried about chest pain',
    ],
  ],
  [
    '2',
    'the past, and now',
    [
      'hx MI, now CP',
      'hx of CVA now with slurred speech',
      'prior stroke, new L weakness',
      'h/o PE, SOB again',
      'CC: chest pain. PMH: HTN',
      'chest pain started 2 years ago, worse today',
    ],
  ],
  [
    '2',
    'lasting: over, and counts',
    ['syncope resolved', 'seizure stopped PTA', 'TIA sx resolved', 'OD 3 hrs ago, asymptomatic'],
  ],
  [
    '2',
    'raised on purpose: a year may be a time of day, a list may hold today’s complaint',
    [
      'MI 2010, here for ankle pain',
      'PMH: MI, CVA, DM. CC: ingrown toenail',
      'worried about stroke because father had one',
      'husband with chest pain; patient well, c/o knee pain',
      'follow up after seizure last month',
    ],
  ],
  [
    'not raised',
    'denied',
    [
      'denies CP, SOB, fever. Sore throat x3 days',
      'no LOC after bumping head',
      'cough x 3 d no SOB no CP no fever',
      'negative for chest pain',
      'not suicidal, anxious',
      'denies SI/HI, anxious',
      'no suicidal or homicidal ideation, here for refill',
      'vomiting, no blood',
      'cough, no hemoptysis',
      'afebrile, no neck stiffness, mild headache',
    ],
  ],
  [
    'not raised',
    'the past',
    [
      'hx of MI in 2010, ankle sprain',
      'h/o CVA 2015, medication refill',
      's/p CABG 2018, suture removal',
      'stroke 5 years ago, now toe pain',
      'previous overdose 2019, now sprained wrist',
      'chest pain resolved 2 weeks ago, here for follow-up',
    ],
  ],
  [
    'not raised',
    'somebody else',
    [
      'father had stroke last year, here for cough',
      'mother died of MI; pt has sore throat',
      'FHx of CAD, here for rash',
      'family history of aneurysm, headache mild',
    ],
  ],
  [
    'not raised',
    'routine',
    [
      'ankle pain',
      'toothache',
      'med refill',
      'suture removal',
      'rash x2 wks',
      'low back pain after lifting',
      'dysuria',
      'cold symptoms',
      'finger laceration',
      'work note',
      'n/v/d',
      'swallowed coin',
    ],
  ],
  [
    'not raised',
    'not English: said to be not understood, never guessed',
    ['dolor de pecho', 'Douleur thoracique é à ü', '胸痛'],
  ],
];
for (const [level, why, texts] of TEXTS) {
  for (const text of texts) {
    test(`nurse@complaint "${text}" is ${level}: ${why}`, async () => assert.match(await summaryOf(text), IS[level]));
  }
}

/** ESI v4, decision point D: above the limit of the age; SpO2 below 92 %. Both sides, at the edges of the bands. The day judged at is 2026-01-15. */
const SIGNS: readonly (readonly [
  born: string,
  pulse: number,
  rate: number,
  saturation: number,
  raised: boolean,
  why: string,
])[] = [
  ['2025-11-15', 180, 50, 97, false, '2 months: at the limits'],
  ['2025-11-15', 181, 40, 97, true, '2 months: pulse above 180'],
  ['2025-11-15', 150, 51, 97, true, '2 months: breathing above 50'],
  ['2025-10-15', 161, 38, 97, true, '3 months to the day: the next band'],
  ['2023-01-16', 161, 38, 97, true, 'the day before the third birthday'],
  ['2023-01-15', 141, 28, 97, true, 'third birthday: above 140'],
  ['2023-01-15', 140, 30, 97, false, 'third birthday: at the limits'],
  ['2018-01-16', 139, 30, 97, false, '7 years'],
  ['2017-01-14', 101, 18, 97, true, '9 years: above 100'],
  ['1980-01-01', 100, 20, 92, false, 'adult: at the limits'],
  ['1980-01-01', 100, 21, 92, true, 'adult: breathing above 20'],
  ['1980-01-01', 80, 16, 91, true, 'adult: saturation 91'],
];
for (const [born, pulse, rate, saturation, raised, why] of SIGNS) {
  test(`nurse@vital signs ${why}: ${raised ? 'consider 2' : 'no danger zone'}`, async () => {
    const summary = await summaryOf('fever and vomiting', born, vitals(pulse, rate, saturation, 37.5));
    assert.equal(/^(?:Consider ESI 2|ESI 2)/.test(summary), raised, summary);
  });
}
