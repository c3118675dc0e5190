/**
 * Writes seed-data/*.json: synthetic patients, none of a real person, as transaction bundles with fixed ids (PUT, so loading twice changes nothing).
 * Each bundle's `timestamp` is the instant its story is told at; loading moves every instant so that it is now. Run: node scripts/seed-data.ts
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { ICU_STORIES } from './seed-icu-stories.ts';
import {
  at,
  coded,
  type Element,
  LABORATORY,
  LOINC,
  RXNORM,
  SNOMED,
  type Story,
  UCUM,
  VITALS,
  type Vital,
} from './seed-story.ts';

const CATEGORY = 'http://terminology.hl7.org/CodeSystem/observation-category';

const AVPU = {
  A: ['LA9340-6', 'Alert'],
  C: ['LA6560-2', 'Confused'],
  V: ['LA9341-4', 'Responds to voice'],
  P: ['LA9342-2', 'Responds to pain'],
  U: ['LA9343-0', 'Unresponsive'],
} as const;

/** Target saturation 88-92 % for a patient at risk of hypercapnia: what alone switches NEWS2 to SpO2 scale 2. */
const spo2Target =
  (id: string) =>
  (subject: Element): readonly Element[] => [
    {
      resourceType: 'Goal',
      id: `${id}-goal-spo2`,
      lifecycleStatus: 'active',
      description: { text: 'Oxygen saturation 88-92 % (hypercapnic respiratory failure)' },
      subject,
      startDate: at(48).slice(0, 10),
      target: [
        {
          measure: coded(LOINC, '59408-5', 'Oxygen saturation in Arterial blood by Pulse oximetry'),
          detailRange: {
            low: { value: 88, unit: '%', system: UCUM, code: '%' },
            high: { value: 92, unit: '%', system: UCUM, code: '%' },
          },
        },
      ],
    },
  ];

const STORIES: readonly Story[] = [
  {
    id: 'demo-sepsis',
    family: 'Testfall',
    given: 'Agnes',
    gender: 'female',
    birthDate: '1957-03-11',
    conditions: [
      ['233604007', 'Pneumonia', 5],
      ['38341003', 'Hypertensive disorder', 70_000],
    ],
    encounter: { class: 'EMER', hoursAgo: 6, complaint: ['267036007', 'Shortness of breath'] },
    readings: [
      { hoursAgo: 6, hr: 98, rr: 20, temp: 38.2, sbp: 118, dbp: 70, spo2: 95, air: true, avpu: 'A' },
      {
        hoursAgo: 3,
        hr: 108,
        rr: 22,
        temp: 38.7,
        sbp: 106,
        dbp: 62,
        spo2: 93,
        air: true,
        avpu: 'A',
        lactate: 2.4,
        wbc: 15.2,
        creatinine: 1.4,
        platelets: 168,
      },
      { hoursAgo: 1, hr: 118, rr: 25, temp: 39.2, sbp: 96, dbp: 55, spo2: 92, air: true, avpu: 'C', lactate: 3.1 },
    ],
    medications: [['29046', 'Lisinopril 10 mg oral tablet', '1 tablet daily', 'active', 9000]],
    allergies: [],
  },
  {
    id: 'demo-copd',
    family: 'Beispiel',
    given: 'Bernard',
    gender: 'male',
    birthDate: '1953-09-02',
    conditions: [
      ['13645005', 'Chronic obstructive pulmonary disease', 80_000],
      ['409622000', 'Respiratory failure', 30],
    ],
    encounter: { class: 'IMP', hoursAgo: 30 },
    readings: [
      { hoursAgo: 12, hr: 92, rr: 20, temp: 36.9, sbp: 132, dbp: 78, spo2: 90, o2flow: 1, avpu: 'A', paco2: 58 },
      { hoursAgo: 6, hr: 104, rr: 24, temp: 37.4, sbp: 126, dbp: 76, spo2: 87, o2flow: 2, avpu: 'A' },
      { hoursAgo: 1, hr: 114, rr: 27, temp: 37.8, sbp: 118, dbp: 70, spo2: 85, o2flow: 2, avpu: 'A' },
    ],
    medications: [
      ['435', 'Albuterol 0.09 mg/actuation inhaler', '2 puffs as needed', 'active', 20_000],
      ['69120', 'Tiotropium 18 microgram inhalation capsule', '1 capsule inhaled daily', 'active', 20_000],
      ['8640', 'Prednisone 40 mg oral', 'once daily for 5 days', 'active', 28],
    ],
    allergies: [],
    extra: spo2Target('demo-copd'),
  },
  {
    id: 'demo-control',
    family: 'Muster',
    given: 'Carla',
    gender: 'female',
    birthDate: '1980-05-20',
    conditions: [['38341003', 'Hypertensive disorder', 26_000]],
    encounter: { class: 'AMB', hoursAgo: 2 },
    readings: [
      {
        hoursAgo: 1,
        hr: 72,
        rr: 14,
        temp: 36.7,
        sbp: 128,
        dbp: 80,
        spo2: 98,
        air: true,
        avpu: 'A',
        creatinine: 0.8,
        potassium: 4.2,
      },
    ],
    medications: [['17767', 'Amlodipine 5 mg oral tablet', '1 tablet daily', 'active', 8000]],
    allergies: [],
  },
  {
    id: 'demo-polypharmacy',
    family: 'Probe',
    given: 'Dorothea',
    gender: 'female',
    birthDate: '1949-11-30',
    conditions: [
      ['44054006', 'Diabetes mellitus type 2', 120_000],
      ['49436004', 'Atrial fibrillation', 40_000],
      ['55822004', 'Hyperlipidemia', 90_000],
      ['36083008', 'Sick sinus syndrome', 9000],
    ],
    encounter: { class: 'AMB', hoursAgo: 3 },
    readings: [
      {
        hoursAgo: 2,
        hr: 64,
        rr: 15,
        temp: 36.5,
        sbp: 138,
        dbp: 76,
        spo2: 97,
        air: true,
        avpu: 'A',
        creatinine: 1.2,
        potassium: 4.6,
        inr: 2.4,
      },
    ],
    medications: [
      ['36567', 'Simvastatin 20 mg oral tablet', '1 tablet at night', 'active', 40_000],
      ['11289', 'Warfarin 5 mg oral tablet', 'by INR', 'active', 30_000],
      ['6809', 'Metformin 500 mg oral tablet', '1 tablet twice daily', 'active', 60_000],
      ['17767', 'Amlodipine 5 mg oral tablet', '1 tablet daily', 'active', 30_000],
      ['7646', 'Omeprazole 20 mg oral capsule', '1 capsule daily', 'active', 20_000],
      ['57258', 'Tizanidine 4 mg oral tablet', '1 tablet three times daily', 'active', 900],
      ['2551', 'Ciprofloxacin 500 mg oral tablet', '1 tablet twice daily for 7 days', 'active', 24],
    ],
    allergies: [],
  },
  {
    id: 'demo-penicillin',
    family: 'Vorlage',
    given: 'Emil',
    gender: 'male',
    birthDate: '1991-02-14',
    conditions: [['90176007', 'Otitis media', 20]],
    encounter: { class: 'AMB', hoursAgo: 2 },
    readings: [{ hoursAgo: 2, hr: 84, rr: 16, temp: 38.1, sbp: 124, dbp: 78, spo2: 98, air: true, avpu: 'A' }],
    medications: [],
    allergies: [[RXNORM, '7980', 'Penicillin G', 'Anaphylaxis', 'high']],
  },
  {
    id: 'demo-child',
    family: 'Schablone',
    given: 'Finn',
    gender: 'male',
    birthDate: '2021-04-03',
    conditions: [['386661006', 'Fever', 18]],
    encounter: { class: 'EMER', hoursAgo: 1, complaint: ['386661006', 'Fever'] },
    readings: [{ hoursAgo: 1, hr: 152, rr: 34, temp: 39.4, spo2: 94, air: true, avpu: 'A', weight: 18.5 }],
    medications: [['161', 'Acetaminophen 160 mg/5 mL oral suspension', '8 mL every 6 hours as needed', 'active', 18]],
    allergies: [],
  },
  {
    id: 'demo-chest-pain',
    family: 'Exempel',
    given: 'Greta',
    gender: 'female',
    birthDate: '1966-07-08',
    conditions: [
      ['29857009', 'Chest pain', 2],
      ['77176002', 'Smoker', 200_000],
    ],
    encounter: { class: 'EMER', hoursAgo: 1, complaint: ['29857009', 'Chest pain'] },
    readings: [{ hoursAgo: 1, hr: 96, rr: 18, temp: 36.8, sbp: 148, dbp: 92, spo2: 97, air: true, avpu: 'A', pain: 7 }],
    medications: [
      ['1191', 'Aspirin 81 mg oral tablet', '1 tablet daily', 'active', 30_000],
      ['83367', 'Atorvastatin 40 mg oral tablet', '1 tablet at night', 'active', 30_000],
    ],
    allergies: [],
  },
  {
    id: 'demo-washout',
    family: 'Muestra',
    given: 'Hugo',
    gender: 'male',
    birthDate: '1974-12-25',
    conditions: [['35489007', 'Depressive disorder', 60_000]],
    encounter: { class: 'AMB', hoursAgo: 4 },
    readings: [{ hoursAgo: 3, hr: 76, rr: 14, temp: 36.6, sbp: 122, dbp: 74, spo2: 99, air: true, avpu: 'A' }],
    medications: [['8123', 'Phenelzine 15 mg oral tablet', '1 tablet three times daily', 'stopped', 20_000, 240]],
    allergies: [],
  },
  {
    id: 'demo-heart-failure',
    family: 'Modele',
    given: 'Ines',
    gender: 'female',
    birthDate: '1951-01-19',
    conditions: [
      ['84114007', 'Heart failure', 50_000],
      ['709044004', 'Chronic kidney disease', 30_000],
    ],
    encounter: { class: 'IMP', hoursAgo: 50 },
    readings: [
      {
        hoursAgo: 2,
        hr: 88,
        rr: 18,
        temp: 36.4,
        sbp: 108,
        dbp: 64,
        spo2: 95,
        air: true,
        avpu: 'A',
        creatinine: 1.9,
        potassium: 5.2,
      },
    ],
    medications: [
      ['4603', 'Furosemide 40 mg oral tablet', '1 tablet daily', 'active', 40_000],
      ['20352', 'Carvedilol 6.25 mg oral tablet', '1 tablet twice daily', 'active', 40_000],
      ['29046', 'Lisinopril 10 mg oral tablet', '1 tablet daily', 'active', 40_000],
      ['9997', 'Spironolactone 25 mg oral tablet', '1 tablet daily', 'active', 20_000],
    ],
    allergies: [[RXNORM, '10180', 'Sulfamethoxazole', 'Rash', 'low']],
  },
  {
    id: 'demo-diabetes',
    family: 'Ejemplo',
    given: 'Jonas',
    gender: 'male',
    birthDate: '1969-08-17',
    conditions: [['44054006', 'Diabetes mellitus type 2', 90_000]],
    encounter: { class: 'AMB', hoursAgo: 5 },
    readings: [
      {
        hoursAgo: 4,
        hr: 78,
        rr: 15,
        temp: 36.8,
        sbp: 134,
        dbp: 84,
        spo2: 97,
        air: true,
        avpu: 'A',
        glucose: 188,
        creatinine: 1.0,
      },
    ],
    medications: [
      ['6809', 'Metformin 1000 mg oral tablet', '1 tablet twice daily', 'active', 70_000],
      ['274783', 'Insulin glargine 100 unit/mL injection', '18 units at night', 'active', 20_000],
    ],
    allergies: [],
  },
  {
    id: 'demo-postoperative',
    family: 'Campione',
    given: 'Klara',
    gender: 'female',
    birthDate: '1988-10-05',
    conditions: [['74400008', 'Appendicitis', 40]],
    encounter: { class: 'IMP', hoursAgo: 40 },
    readings: [
      { hoursAgo: 8, hr: 82, rr: 15, temp: 37.2, sbp: 118, dbp: 70, spo2: 98, air: true, avpu: 'A', pain: 4 },
      {
        hoursAgo: 1,
        hr: 94,
        rr: 17,
        temp: 37.9,
        sbp: 114,
        dbp: 68,
        spo2: 97,
        air: true,
        avpu: 'A',
        pain: 3,
        wbc: 11.4,
      },
    ],
    medications: [
      ['7804', 'Oxycodone 5 mg oral tablet', '1 tablet every 6 hours as needed', 'active', 30],
      ['26225', 'Ondansetron 4 mg oral tablet', '1 tablet as needed', 'active', 30],
    ],
    allergies: [[RXNORM, '5640', 'Ibuprofen', 'Urticaria', 'low']],
  },
  {
    id: 'demo-incomplete',
    family: 'Voorbeeld',
    given: 'Lars',
    gender: 'male',
    birthDate: '1960-06-23',
    conditions: [['195967001', 'Asthma', 100_000]],
    encounter: { class: 'EMER', hoursAgo: 1, complaint: ['267036007', 'Shortness of breath'] },
    readings: [{ hoursAgo: 1, hr: 126, rr: 28, spo2: 91 }],
    medications: [['435', 'Albuterol 0.09 mg/actuation inhaler', '2 puffs as needed', 'active', 50_000]],
    allergies: [],
  },
];

const put = (resource: Element): Element => ({
  fullUrl: `urn:x-firewatch:${resource.resourceType}/${resource.id}`,
  resource,
  request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
});

function observations(story: Story, subject: Element, encounter: Element): Element[] {
  return story.readings.flatMap((reading, set) => {
    const common = (name: string, category: string): Element => ({
      resourceType: 'Observation',
      id: `${story.id}-obs-${set + 1}-${name}`,
      status: 'final',
      category: [coded(CATEGORY, category, category === 'laboratory' ? 'Laboratory' : 'Vital Signs')],
      subject,
      encounter,
      effectiveDateTime: at(reading.hoursAgo),
      issued: at(reading.hoursAgo),
    });
    const quantities = (Object.keys(VITALS) as Vital[]).flatMap((name) => {
      const value = reading[name];
      if (value === undefined) return [];
      const [code, display, unit] = VITALS[name];
      const category = LABORATORY.includes(name) ? 'laboratory' : 'vital-signs';
      return [
        {
          ...common(name, category),
          code: coded(LOINC, code, display),
          valueQuantity: { value, unit, system: UCUM, code: unit },
        },
      ];
    });
    const facts: Element[] = [];
    if (reading.avpu !== undefined) {
      const [code, display] = AVPU[reading.avpu];
      facts.push({
        ...common('avpu', 'vital-signs'),
        code: coded(LOINC, '67775-7', 'Level of responsiveness'),
        valueCodeableConcept: coded(LOINC, code, display),
      });
    }
    if (reading.air === true) {
      facts.push({
        ...common('fio2', 'vital-signs'),
        code: coded(LOINC, '3150-6', 'Inhaled oxygen concentration'),
        valueQuantity: { value: 21, unit: '%', system: UCUM, code: '%' },
      });
    }
    return [...quantities, ...facts];
  });
}

function medications(story: Story, subject: Element, encounter: Element): Element[] {
  return story.medications.map(([rxcui, display, dose, status, hoursAgo, endedHoursAgo], index) => ({
    resourceType: 'MedicationRequest',
    id: `${story.id}-med-${index + 1}`,
    status,
    intent: 'order',
    medicationCodeableConcept: coded(RXNORM, rxcui, display),
    subject,
    encounter,
    authoredOn: at(hoursAgo),
    requester: { reference: 'Practitioner/demo-physician' },
    dosageInstruction: [
      {
        text: dose,
        ...(endedHoursAgo === undefined
          ? {}
          : { timing: { repeat: { boundsPeriod: { start: at(hoursAgo), end: at(endedHoursAgo) } } } }),
      },
    ],
  }));
}

const STATUS = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const VERIFICATION = 'http://terminology.hl7.org/CodeSystem/condition-ver-status';

const ICU = 'Medical intensive care unit';

function bundle(story: Story): Element {
  const subject = { reference: `Patient/${story.id}` };
  const encounter = { reference: `Encounter/${story.id}-encounter` };
  const { class: kind, hoursAgo, complaint, intensiveCareHours } = story.encounter;
  const resources: Element[] = [
    {
      resourceType: 'Patient',
      id: story.id,
      meta: {
        tag: [
          { system: 'https://firewatch.example/fhir/CodeSystem/data', code: 'synthetic', display: 'No real person' },
        ],
      },
      identifier: [{ system: 'https://firewatch.example/fhir/identifier/demo', value: story.id.toUpperCase() }],
      active: true,
      name: [{ use: 'official', family: story.family, given: [story.given] }],
      gender: story.gender,
      birthDate: story.birthDate,
      address: [{ city: 'Nowhere', country: 'XX' }],
    },
    {
      resourceType: 'Encounter',
      id: `${story.id}-encounter`,
      status: kind === 'AMB' ? 'arrived' : 'in-progress',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: kind },
      subject,
      participant: [{ individual: { reference: 'Practitioner/demo-physician' } }],
      period: { start: at(hoursAgo) },
      ...(complaint === undefined ? {} : { reasonCode: [coded(SNOMED, complaint[0], complaint[1])] }),
      ...(intensiveCareHours === undefined
        ? {}
        : {
            location: [
              {
                location: { reference: 'Location/demo-icu', display: ICU },
                status: 'active',
                period: { start: at(intensiveCareHours) },
              },
            ],
          }),
      serviceProvider: { reference: 'Organization/demo-hospital' },
    },
    ...story.conditions.map(([code, display, ago], index) => ({
      resourceType: 'Condition',
      id: `${story.id}-condition-${index + 1}`,
      clinicalStatus: { coding: [{ system: STATUS, code: 'active' }] },
      verificationStatus: { coding: [{ system: VERIFICATION, code: 'confirmed' }] },
      category: [
        coded('http://terminology.hl7.org/CodeSystem/condition-category', 'problem-list-item', 'Problem List Item'),
      ],
      code: coded(SNOMED, code, display),
      subject,
      encounter,
      onsetDateTime: at(ago),
      recordedDate: at(ago),
    })),
    ...observations(story, subject, encounter),
    ...medications(story, subject, encounter),
    ...story.allergies.map(([system, code, display, reaction, criticality], index) => ({
      resourceType: 'AllergyIntolerance',
      id: `${story.id}-allergy-${index + 1}`,
      clinicalStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
      },
      verificationStatus: {
        coding: [
          { system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-verification', code: 'confirmed' },
        ],
      },
      type: 'allergy',
      category: ['medication'],
      criticality,
      code: coded(system, code, display),
      patient: subject,
      recordedDate: at(20_000),
      reaction: [{ manifestation: [{ text: reaction }] }],
    })),
    ...(story.extra?.(subject, encounter) ?? []),
  ];
  return { resourceType: 'Bundle', type: 'transaction', timestamp: at(0), entry: resources.map(put) };
}

const staff: Element = {
  resourceType: 'Bundle',
  type: 'transaction',
  timestamp: at(0),
  entry: [
    { resourceType: 'Organization', id: 'demo-hospital', active: true, name: 'Demonstration Hospital' },
    {
      resourceType: 'Location',
      id: 'demo-icu',
      status: 'active',
      mode: 'instance',
      name: ICU,
      type: [coded('http://terminology.hl7.org/CodeSystem/v3-RoleCode', 'ICU', 'Intensive care unit')],
      physicalType: coded('http://terminology.hl7.org/CodeSystem/location-physical-type', 'wa', 'Ward'),
      managingOrganization: { reference: 'Organization/demo-hospital' },
    },
    { resourceType: 'Practitioner', id: 'demo-physician', active: true, name: [{ family: 'Arzt', given: ['Paula'] }] },
    { resourceType: 'Practitioner', id: 'demo-nurse', active: true, name: [{ family: 'Pflege', given: ['Olaf'] }] },
    {
      resourceType: 'Practitioner',
      id: 'demo-pharmacist',
      active: true,
      name: [{ family: 'Apotheker', given: ['Mira'] }],
    },
    {
      resourceType: 'Practitioner',
      id: 'demo-administrator',
      active: true,
      name: [{ family: 'Verwalter', given: ['Jan'] }],
    },
    { resourceType: 'Practitioner', id: 'demo-auditor', active: true, name: [{ family: 'Pruefer', given: ['Lena'] }] },
    {
      resourceType: 'Practitioner',
      id: 'demo-integration-engine',
      active: true,
      name: [{ family: 'Kanal', given: ['Ida'] }],
    },
  ].map(put),
};

mkdirSync('seed-data', { recursive: true });
const files: readonly (readonly [string, Element])[] = [
  ['00-staff', staff],
  ...[...STORIES, ...ICU_STORIES].map(
    (story, index) => [`${String(index + 1).padStart(2, '0')}-${story.id}`, bundle(story)] as const,
  ),
];
for (const [name, content] of files) writeFileSync(`seed-data/${name}.json`, `${JSON.stringify(content, null, 1)}\n`);
console.log(`${files.length} bundles written to seed-data/.`);
