/** The resources that the search rows of conformance.test.ts are about: small, made up, each there for a clause. */

const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';
const V2 = 'http://terminology.hl7.org/CodeSystem/v2-0203';

const observation = (id: string, content: object) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: LOINC, code: '29463-7' }] },
  ...content,
});
const kg = (value: number, unit = 'kg') => ({ valueQuantity: { value, unit, system: UCUM, code: unit } });
const to = (reference: string) => ({ reference });

export const WORLD: readonly { readonly resourceType: string; readonly id: string }[] = [
  { resourceType: 'Organization', id: 'o-top', name: 'Top' } as never,
  { resourceType: 'Organization', id: 'o-mid', name: 'Mid', partOf: to('Organization/o-top') } as never,
  { resourceType: 'Organization', id: 'o-low', name: 'Low', partOf: to('Organization/o-mid') } as never,
  { resourceType: 'Organization', id: 'o-round', name: 'Round', partOf: to('Organization/o-about') } as never,
  { resourceType: 'Organization', id: 'o-about', name: 'About', partOf: to('Organization/o-round') } as never,
  { resourceType: 'Practitioner', id: 'pr-1', name: [{ family: 'House' }] } as never,
  {
    resourceType: 'Patient',
    id: 'p-1',
    active: true,
    identifier: [{ type: { coding: [{ system: V2, code: 'MR' }] }, system: 'urn:mrn', value: '12345' }],
    name: [{ family: 'Müller-Lüdenscheidt', given: ['Änne', "O'Brien"] }],
    gender: 'female',
    birthDate: '1974-12-25',
    managingOrganization: to('Organization/o-low'),
    generalPractitioner: [to('Practitioner/pr-1')],
    address: [{ city: 'Den Haag', postalCode: '2511' }],
  } as never,
  {
    resourceType: 'Patient',
    id: 'p-2',
    active: false,
    identifier: [{ system: 'urn:mrn', value: 'a,b|c$d\\e' }, { value: 'no-system' }],
    name: [{ family: 'van der Berg' }],
    gender: 'male',
    birthDate: '1974-12',
  } as never,
  {
    resourceType: 'Patient',
    id: 'p-3',
    identifier: [{ type: { coding: [{ system: V2, code: 'SS' }] }, system: 'urn:ssn', value: '12345' }],
    name: [{ family: 'MULLER' }],
    birthDate: '1974',
  } as never,
  { resourceType: 'Patient', id: 'p-4', name: [{ text: '東京 太郎' }] } as never,
  {
    resourceType: 'Encounter',
    id: 'e-1',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: to('Patient/p-1'),
    period: { start: '2023-01-10', end: '2023-01-20' },
  } as never,
  {
    resourceType: 'Encounter',
    id: 'e-2',
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    subject: { identifier: { system: 'urn:mrn', value: '12345' } },
    period: { start: '2023-01-15T10:00:00Z' },
  } as never,
  observation('q-1', {
    ...kg(5.4),
    subject: to('Patient/p-1'),
    encounter: to('Encounter/e-1'),
    effectiveDateTime: '2023-01-15',
  }),
  observation('q-2', { ...kg(5.35), subject: to('Patient/p-1'), effectiveDateTime: '2023-01-15T23:30:00-05:00' }),
  observation('q-3', { ...kg(5400, 'g'), subject: to('Patient/p-2'), effectiveDateTime: '2023' }),
  observation('q-4', {
    valueQuantity: { value: 5.4 },
    subject: to('Patient/p-2'),
    effectivePeriod: { start: '2023-01-01', end: '2023-01-31' },
  }),
  observation('q-5', {
    valueQuantity: { value: 100, comparator: '<', unit: 'kg', system: UCUM, code: 'kg' },
    subject: to('Patient/p-3'),
    effectiveInstant: '2023-01-16T04:30:00.123Z',
  }),
  observation('q-6', {
    code: { coding: [{ code: 'local' }], text: 'Only text' },
    valueCodeableConcept: { coding: [{ system: 'urn:x', code: 'pos' }] },
    subject: to('Patient/p-3'),
  }),
  observation('bp', {
    code: { coding: [{ system: LOINC, code: '85354-9' }] },
    component: [
      { code: { coding: [{ system: LOINC, code: '8480-6' }] }, ...kg(120, 'mm[Hg]') },
      { code: { coding: [{ system: LOINC, code: '8462-4' }] }, ...kg(80, 'mm[Hg]') },
    ],
    subject: to('Patient/p-1'),
    derivedFrom: [to('Observation/q-1')],
    hasMember: [to('Observation/q-2')],
  }),
  {
    resourceType: 'Provenance',
    id: 'prov',
    target: [to('Observation/q-1'), to('Patient/p-1')],
    recorded: '2023-01-15T00:00:00Z',
    agent: [{ who: to('Practitioner/pr-1') }],
  } as never,
  {
    resourceType: 'RiskAssessment',
    id: 'r-1',
    status: 'final',
    subject: to('Patient/p-1'),
    prediction: [{ probabilityDecimal: 0.02 }],
  } as never,
  {
    resourceType: 'ValueSet',
    id: 'vs',
    status: 'active',
    url: 'http://example.org/vs/one/two',
    version: '2',
    date: '2020-02',
  } as never,
  {
    resourceType: 'Questionnaire',
    id: 'qu',
    status: 'draft',
    url: 'http://example.org/qu',
    version: '1.0',
  } as never,
  {
    resourceType: 'Questionnaire',
    id: 'qu-2',
    status: 'draft',
    url: 'http://example.org/qu',
    version: '2.0',
  } as never,
  {
    resourceType: 'QuestionnaireResponse',
    id: 'qr',
    status: 'completed',
    questionnaire: 'http://example.org/qu|1.0',
  } as never,
];
