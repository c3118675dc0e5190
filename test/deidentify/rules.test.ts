// What becomes of one element. 45 CFR 164.514(b)(2)(i)(A) to (R); docs/privacy.md#de-identified-export
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pseudonyms } from '../../src/deidentify/pseudonyms.ts';
import type { Mode } from '../../src/deidentify/rules.ts';
import type { Json } from '../../src/fhir/resource.ts';
import { deidentified, rules, validate } from './world.ts';

const UCUM = 'http://unitsofmeasure.org';
const NEW_PATIENT = pseudonyms(Buffer.alloc(32, 7)).id('Patient', 'p');
const ABSENT = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'masked' }],
};
const OLD = {
  extension: [{ url: 'https://firewatch.example/fhir/StructureDefinition/age-90-or-older', valueBoolean: true }],
};
const LOINC = (code: string) => ({ coding: [{ system: 'http://loinc.org', code }] });
const years = (value: number) => ({ value, unit: 'years', system: UCUM, code: 'a' });
const aYears = (value: number) => ({ value, unit: 'a', system: UCUM, code: 'a' });
const observation = (more: object) => ({
  resourceType: 'Observation',
  id: 'o',
  status: 'final',
  code: LOINC('8867-4'),
  ...more,
});
const patient = (more: object) => ({ resourceType: 'Patient', id: 'p', ...more });

/** What is expected besides resourceType, id, meta, status and code. */
type Row = readonly [why: string, resource: object, expected: object];
const rest = (resource: object): object =>
  Object.fromEntries(
    Object.entries(resource).filter(([name]) => !['resourceType', 'id', 'meta', 'status', 'code'].includes(name)),
  );

const SAFE_HARBOR: readonly Row[] = [
  [
    'control: what is no identifier stays',
    patient({ active: true, gender: 'female' }),
    { active: true, gender: 'female' },
  ],
  ['A: names go', patient({ name: [{ family: 'Garcia', given: ['Ana'] }] }), {}],
  [
    'B: state and the first digits of ZIP stay',
    patient({
      address: [
        {
          line: ['1 Main St'],
          city: 'Boston',
          district: 'Suffolk',
          state: 'MA',
          postalCode: '02118',
          country: 'US',
          text: 'x',
          use: 'home',
        },
      ],
    }),
    { address: [{ state: 'MA', postalCode: '021', country: 'US', use: 'home' }] },
  ],
  [
    'B: ZIP+4',
    patient({ address: [{ postalCode: '90210-1234', country: 'USA' }] }),
    { address: [{ postalCode: '902', country: 'USA' }] },
  ],
  [
    'B: a restricted area is 000',
    patient({ address: [{ postalCode: '03601', state: 'NH' }] }),
    { address: [{ postalCode: '000', state: 'NH' }] },
  ],
  [
    'B: the area before it is not',
    patient({ address: [{ postalCode: '03501', state: 'NH' }] }),
    { address: [{ postalCode: '035', state: 'NH' }] },
  ],
  [
    'B: five digits elsewhere are a small area',
    patient({
      address: [
        { postalCode: '10115', country: 'DE' },
        { postalCode: '10115', use: 'home' },
      ],
    }),
    { address: [{ country: 'DE' }, { use: 'home' }] },
  ],
  [
    'B: what is no ZIP code goes',
    patient({ address: [{ postalCode: 'SW1A 1AA', state: 'Greater London', country: 'Utopia' }] }),
    {},
  ],
  ['C: of a date the year stays', patient({ birthDate: '1980-05-17' }), { birthDate: '1980' }],
  [
    'C: of a dateTime too',
    observation({ effectiveDateTime: '2025-03-04T05:06:07+02:00' }),
    { effectiveDateTime: '2025' },
  ],
  [
    'C: periods',
    observation({ effectivePeriod: { start: '2025-03-04', end: '2025-03-05' } }),
    { effectivePeriod: { start: '2025', end: '2025' } },
  ],
  [
    'C: an instant cannot be a year',
    observation({ issued: '2025-03-04T05:06:07Z', effectiveInstant: '2025-03-04T05:06:07Z' }),
    {},
  ],
  ['C: times of day go', observation({ valueTime: '05:06:07' }), {}],
  ['C: born 89 years ago', patient({ birthDate: '1937-01-01' }), { birthDate: '1937' }],
  ['C: born 90 years ago', patient({ birthDate: '1936-12-31' }), { _birthDate: OLD }],
  ['C: other dates that tell such an age', observation({ effectiveDateTime: '1936-12-31' }), {}],
  [
    'C: an age of 89',
    { resourceType: 'Condition', id: 'c', subject: { reference: 'Patient/p' }, onsetAge: years(89) },
    { subject: { reference: `Patient/${NEW_PATIENT}` }, onsetAge: aYears(89) },
  ],
  [
    'C: an age of 90',
    { resourceType: 'Condition', id: 'c', subject: { reference: 'Patient/p' }, onsetAge: years(90) },
    { subject: { reference: `Patient/${NEW_PATIENT}` }, onsetAge: { ...aYears(90), comparator: '>=' } },
  ],
  [
    'C: in months',
    observation({ valueQuantity: { value: 1100, system: UCUM, code: 'mo' } }),
    { valueQuantity: { ...aYears(90), comparator: '>=' } },
  ],
  [
    'C: coded as an age, without unit',
    observation({ code: LOINC('30525-0'), valueQuantity: { value: 97 } }),
    { valueQuantity: { value: 90, comparator: '>=' } },
  ],
  ['C: coded as an age, 89', observation({ code: LOINC('30525-0'), valueInteger: 89 }), { valueInteger: 89 }],
  ['C: coded as an age, an integer', observation({ code: LOINC('30525-0'), valueInteger: 104 }), { valueInteger: 90 }],
  [
    'C: a component that is an age',
    observation({ component: [{ code: LOINC('30525-0'), valueInteger: 104 }] }),
    { component: [{ code: LOINC('30525-0'), valueInteger: 90 }] },
  ],
  ['another number is none', observation({ valueInteger: 104 }), { valueInteger: 104 }],
  [
    'C: an age range goes',
    { resourceType: 'Condition', id: 'c', subject: { reference: 'Patient/p' }, onsetRange: { low: years(91) } },
    { subject: { reference: `Patient/${NEW_PATIENT}` } },
  ],
  ['D to F: telephone, fax, e-mail', patient({ telecom: [{ system: 'email', value: 'a@b.example' }] }), {}],
  [
    'G to L: identifiers',
    patient({ identifier: [{ system: 'http://hl7.org/fhir/sid/us-ssn', value: '123-45-6789' }] }),
    {},
  ],
  [
    'M: serial numbers',
    {
      resourceType: 'Device',
      id: 'd',
      serialNumber: 'S1',
      lotNumber: 'L1',
      udiCarrier: [{ carrierHRF: '(01)1', deviceIdentifier: '1' }],
    },
    {},
  ],
  [
    'N, O: addresses of the net',
    patient({ extension: [{ url: 'http://x.example', valueUrl: 'http://10.0.0.1' }] }),
    {},
  ],
  ['P, Q: waveforms and photographs', patient({ photo: [{ contentType: 'image/png', data: 'AAAA' }] }), {}],
  [
    'Q: of an Observation',
    observation({ valueSampledData: { origin: { value: 0 }, period: 1, dimensions: 1, data: '1 2' } }),
    {},
  ],
  [
    'R: narrative, contained, notes',
    observation({
      text: { status: 'generated', div: '<div>x</div>' },
      contained: [{ resourceType: 'Patient', id: 'x' }],
      note: [{ text: 'x' }],
    }),
    {},
  ],
  ['R: strings', observation({ valueString: 'x' }), {}],
  ['R: relatives', patient({ contact: [{ gender: 'male' }], multipleBirthInteger: 3 }), {}],
  [
    'R: the place itself',
    {
      resourceType: 'Location',
      id: 'l',
      status: 'active',
      name: 'Ward 3',
      position: { longitude: 1.5, latitude: 2.5 },
    },
    {},
  ],
  [
    'references lose their display',
    observation({ subject: { reference: 'Patient/p', display: 'Ana', identifier: { value: '1' } } }),
    { subject: { reference: `Patient/${NEW_PATIENT}` } },
  ],
  [
    'references below our own base, with a version',
    observation({ subject: { reference: 'http://127.0.0.1:8080/fhir/Patient/p/_history/3' } }),
    { subject: { reference: `Patient/${NEW_PATIENT}` } },
  ],
  [
    'references elsewhere, to what is contained or not exported',
    observation({
      derivedFrom: [
        { reference: 'http://x.example/fhir/Media/1' },
        { reference: '#x' },
        { reference: 'Media/1' },
        { reference: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520' },
      ],
    }),
    {},
  ],
  [
    'codings lose display and text',
    observation({
      valueCodeableConcept: {
        coding: [{ system: 'http://snomed.info/sct', code: '59621000', display: 'x', version: '1' }],
        text: 'x',
      },
    }),
    { valueCodeableConcept: { coding: [{ system: 'http://snomed.info/sct', code: '59621000' }] } },
  ],
  [
    'codes of unknown systems go',
    observation({
      valueCodeableConcept: { coding: [{ system: 'urn:local', code: '59621000' }, { code: '59621000' }] },
    }),
    {},
  ],
  [
    'codes that cannot be of their system go',
    observation({
      valueCodeableConcept: {
        coding: [
          { system: 'http://loinc.org', code: 'Garcia' },
          { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'Garcia' },
        ],
      },
    }),
    {},
  ],
  [
    'codes that R4 publishes stay',
    observation({
      interpretation: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code: 'H' }] },
      ],
    }),
    {
      interpretation: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code: 'H' }] },
      ],
    },
  ],
  [
    'quantities stay in their unit',
    observation({ valueQuantity: { value: 72, unit: 'beats/minute', system: UCUM, code: '{beats}/min' } }),
    { valueQuantity: { value: 72, unit: '/min', system: UCUM, code: '/min' } },
  ],
  ['a number whose unit is not known goes', observation({ valueQuantity: { value: 72, unit: 'of Garcia' } }), {}],
  [
    'a unit written as one of UCUM',
    observation({ valueQuantity: { value: 72, unit: 'mg' } }),
    { valueQuantity: { value: 72, unit: 'mg' } },
  ],
  [
    'decimals keep their digits',
    observation({ valueQuantity: { value: 7.25, comparator: '<', system: UCUM, code: '[IU]/L' } }),
    { valueQuantity: { value: 7.25, comparator: '<', unit: '[IU]/L', system: UCUM, code: '[IU]/L' } },
  ],
  [
    'extensions of the list stay, their texts go',
    patient({
      extension: [
        {
          url: 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race',
          extension: [
            {
              url: 'ombCategory',
              valueCoding: { system: 'urn:oid:2.16.840.1.113883.6.238', code: '2106-3', display: 'White' },
            },
            { url: 'text', valueString: 'x' },
          ],
        },
      ],
    }),
    {
      extension: [
        {
          url: 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race',
          extension: [
            { url: 'ombCategory', valueCoding: { system: 'urn:oid:2.16.840.1.113883.6.238', code: '2106-3' } },
          ],
        },
      ],
    },
  ],
  [
    'extensions by the name of what every object has',
    patient({
      extension: [
        { url: 'constructor', extension: [{ url: 'x', valueCoding: {} }] },
        { url: '__proto__', valueCode: 'x' },
      ],
    }),
    {},
  ],
  [
    'why something is absent stays',
    patient({
      _birthDate: {
        extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }],
      },
    }),
    {
      _birthDate: {
        extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }],
      },
    },
  ],
  ['what R4 does not know goes', patient({ nickname: 'x', gender: 'male' }), { gender: 'male' }],
];
for (const [why, resource, expected] of SAFE_HARBOR) {
  test(`privacy@deidentified-rules safe-harbor: ${why}`, () =>
    assert.deepEqual(rest(deidentified(resource) ?? {}), expected));
}

test('privacy@deidentified-rules: required elements say that they are withheld, in valid R4', () => {
  const resources = [
    observation({ code: { text: 'x' } }),
    {
      resourceType: 'MedicationRequest',
      id: 'm',
      status: 'active',
      intent: 'order',
      subject: { reference: 'Patient/p' },
      medicationReference: { reference: '#x' },
      contained: [{ resourceType: 'Medication', id: 'x' }],
    },
    { resourceType: 'Organization', id: 'o', name: 'St. Elsewhere' },
    { resourceType: 'Device', id: 'd', deviceName: [{ name: 'x', type: 'user-friendly-name' }] },
  ];
  assert.deepEqual(
    resources.flatMap((each) => validate(each)),
    [],
    'control',
  );
  const made = resources.map((each) => deidentified(each));
  assert.deepEqual(
    made.flatMap((each) => validate(each ?? { resourceType: 'Gone' })),
    [],
  );
  const [, order, organization, device] = made;
  assert.deepEqual(order?.medicationReference, ABSENT);
  assert.deepEqual(organization?._name, ABSENT);
  assert.deepEqual(device?.deviceName, [{ type: 'user-friendly-name', _name: ABSENT }]);
});

for (const [why, resource] of [
  ['a modifier extension', patient({ modifierExtension: [{ url: 'http://x.example', valueBoolean: true }] })],
  [
    'a modifier extension below',
    observation({
      component: [{ code: LOINC('8867-4'), modifierExtension: [{ url: 'http://x.example', valueBoolean: true }] }],
    }),
  ],
  ['implicit rules', patient({ implicitRules: 'http://x.example' })],
  ['a type without rules', { resourceType: 'Binary', id: 'b', contentType: 'text/plain', data: 'AAAA' }],
  ['AuditEvent', { resourceType: 'AuditEvent', id: 'a' }],
] as const) {
  test(`privacy@deidentified-rules: ${why} keeps a resource out`, () =>
    assert.equal(deidentified(resource), undefined));
}

test('privacy@deidentified-modes: labels', () => {
  const label = (mode: Mode) =>
    deidentified(patient({ meta: { security: [{ code: 'R' }], source: 'x', lastUpdated: 'x' } }), mode)?.meta;
  const system = 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue';
  assert.deepEqual(label('safe-harbor'), { security: [{ system, code: 'ANONYED' }] });
  assert.deepEqual(label('shifted'), { security: [{ system, code: 'PSEUDED' }] });
});

const DAY = 86_400_000;
test('privacy@deidentified-modes shifted: all dates of a patient move by the same whole days, others by others', () => {
  const dates = {
    issued: '2025-03-04T05:06:07.125Z',
    effectivePeriod: { start: '2025-03-01', end: '2025-03-04T05:06:07+02:00' },
  };
  const moved = new Map<string, number>();
  for (const id of ['p', 'q', 'r', 's']) {
    const made = deidentified(observation(dates), 'shifted', [id]) ?? {};
    const period: Json | undefined = Reflect.get(made, 'effectivePeriod');
    const [start, end] = ['start', 'end'].map((name) => String(Reflect.get(Object(period), name)));
    const days = (Date.parse('2025-03-01') - Date.parse(String(start))) / DAY;
    assert.ok(Number.isInteger(days) && days >= 1 && days <= 365, String(days));
    assert.equal(Date.parse('2025-03-04T05:06:07+02:00') - Date.parse(String(end)), days * DAY);
    assert.match(String(end), /T05:06:07\+02:00$/);
    assert.equal(Date.parse('2025-03-04T05:06:07.125Z') - Date.parse(String(Reflect.get(made, 'issued'))), days * DAY);
    moved.set(id, days);
  }
  assert.ok(new Set(moved.values()).size > 1);
  const birth = deidentified(patient({ birthDate: '1980-05-17' }), 'shifted')?.birthDate;
  assert.equal((Date.parse('1980-05-17') - Date.parse(String(birth))) / DAY, moved.get('p'));
});

for (const [why, patients, resource, expected] of [
  ['about nobody: the year', [], observation({ effectiveDateTime: '2025-03-04' }), { effectiveDateTime: '2025' }],
  [
    'about two: the year',
    ['p', 'q'],
    observation({ effectiveDateTime: '2025-03-04', issued: '2025-03-04T05:06:07Z' }),
    { effectiveDateTime: '2025' },
  ],
  ['born 90 years ago', ['p'], patient({ birthDate: '1936-12-31' }), { _birthDate: OLD }],
  ['times of day stay', ['p'], observation({ valueTime: '05:06:07' }), { valueTime: '05:06:07' }],
  ['everything else as Safe Harbor', ['p'], patient({ name: [{ text: 'x' }], gender: 'male' }), { gender: 'male' }],
] as const) {
  test(`privacy@deidentified-modes shifted: ${why}`, () =>
    assert.deepEqual(rest(deidentified(resource, 'shifted', patients) ?? {}), expected));
}

test('privacy@deidentified-rules: seventeen restricted areas, fifty states, DC and five territories', () => {
  assert.equal(rules.restrictedZips.length, 17);
  assert.equal(rules.states.length, 56);
});

test('privacy@deidentified-keys: the same under one key, another under another', () => {
  const id = (key: number) => deidentified(patient({}), 'safe-harbor', ['p'], Buffer.alloc(32, key))?.id;
  assert.equal(id(7), NEW_PATIENT);
  assert.match(String(id(7)), /^[0-9a-f]{32}$/);
  assert.notEqual(id(8), id(7));
});
