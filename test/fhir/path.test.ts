// FHIRPath subset of search parameters (searchparameter.html#expression); resolve() by the reference's own text (references.html).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePath, pathNodes, referencedType, rootPlace } from '../../src/fhir/path/path.ts';
import type { Json, Resource } from '../../src/fhir/resource.ts';
import { uncompilable } from '../../src/fhir/search/extract.ts';
import { definitions } from './search-world.ts';

const observation: Resource = {
  resourceType: 'Observation',
  id: 'o',
  valueQuantity: { value: 5, unit: 'mg' },
  subject: { reference: 'Patient/1' },
  performer: [
    { reference: 'Practitioner/1' },
    { reference: 'http://x.example/Patient/2/_history/3' },
    { reference: '#c' },
  ],
  contained: [{ resourceType: 'Patient', id: 'c' }],
  component: [
    { code: { text: 'a' }, valueString: 'x' },
    { code: { text: 'b' }, valueInteger: 3, referenceRange: [{ text: 'r' }] },
  ],
  extension: [
    { url: 'http://e.example/one', valueString: 'e' },
    { url: 'http://e.example/two', valueString: 'f' },
  ],
};
const patient: Resource = {
  resourceType: 'Patient',
  telecom: [{ system: 'phone', value: '1', use: 'home' }, { system: 'email', value: 'e' }, { value: '2' }],
  name: [{ given: ['A', 'B'] }, { given: ['C'] }],
  deceasedDateTime: '2020',
};

const rows: readonly [
  resource: Resource,
  expression: string,
  expected: readonly [type: string, value: Json][],
  why: string,
][] = [
  [observation, 'Observation.id', [['id', 'o']], 'dotted'],
  [observation, '(Observation.value as Quantity)', [['Quantity', { value: 5, unit: 'mg' }]], 'as'],
  [observation, 'Observation.value.as(Quantity).value', [['decimal', 5]], 'as(), then on'],
  [observation, 'Observation.value.ofType(Quantity).unit', [['string', 'mg']], 'ofType'],
  [observation, '(Observation.value as CodeableConcept).text', [], 'other type'],
  [
    observation,
    'Observation.component.value',
    [
      ['string', 'x'],
      ['integer', 3],
    ],
    'choice knows its type',
  ],
  [
    observation,
    'Observation.component.code.text',
    [
      ['string', 'a'],
      ['string', 'b'],
    ],
    'arrays flatten',
  ],
  [observation, 'Observation.component[0].code.text', [['string', 'a']], 'indexer'],
  [observation, 'Observation.component[2].code.text', [], 'indexer beyond'],
  [observation, 'Observation.component.referenceRange.text', [['string', 'r']], 'content reference'],
  [
    observation,
    'Observation.id | Resource.id | Observation.subject.reference',
    [
      ['id', 'o'],
      ['id', 'o'],
      ['string', 'Patient/1'],
    ],
    'union',
  ],
  [observation, '%resource.id', [['id', 'o']], 'root by name'],
  [observation, "Observation.extension('http://e.example/two').value", [['string', 'f']], 'extension by url'],
  [observation, 'Observation.subject.where(resolve() is Patient).reference', [['string', 'Patient/1']], 'resolve'],
  [
    observation,
    'Observation.performer.where(resolve() is Patient).reference',
    [
      ['string', 'http://x.example/Patient/2/_history/3'],
      ['string', '#c'],
    ],
    'absolute, contained',
  ],
  [patient, "Patient.telecom.where(system='phone').value", [['string', '1']], 'where equals'],
  [
    patient,
    "Patient.telecom.where(system!='phone').value",
    [['string', 'e']],
    'where differs: absent is not different',
  ],
  [patient, "Patient.telecom.where(system='phone' and use='home').value", [['string', '1']], 'and'],
  [
    patient,
    "Patient.telecom.where(use.exists() or system='email').value",
    [
      ['string', '1'],
      ['string', 'e'],
    ],
    'or, exists',
  ],
  [
    patient,
    'Patient.name.given',
    [
      ['string', 'A'],
      ['string', 'B'],
      ['string', 'C'],
    ],
    'nested arrays',
  ],
  [
    patient,
    'name.given | birthDate',
    [
      ['string', 'A'],
      ['string', 'B'],
      ['string', 'C'],
    ],
    'no root',
  ],
  [patient, 'Patient.deceased.exists() and Patient.deceased != false', [['boolean', true]], 'boolean expression'],
  [
    { resourceType: 'Patient' },
    'Patient.deceased.exists() and Patient.deceased != false',
    [['boolean', false]],
    'absent',
  ],
  [
    { resourceType: 'Patient', deceasedBoolean: false },
    'Patient.deceased.exists() and Patient.deceased != false',
    [['boolean', false]],
    'false',
  ],
];
test('fhirpath subset: nodes and their types', () => {
  for (const [resource, expression, expected, why] of rows) {
    const nodes = pathNodes(expression, resource.resourceType, definitions)(resource);
    assert.deepEqual(
      nodes.map(({ type, value }) => [type, value]),
      expected,
      `${expression}: ${why}`,
    );
  }
});

test('fhirpath subset: what is outside is a problem, not a guess', () => {
  const outside = [
    'Observation.nope',
    'Patient.id',
    'Observation.select(id)',
    'Observation.id.length()',
    'Observation.',
    '(Observation.id',
    "Observation.where('x",
    'Observation.id &',
    '',
    'Observation.subject.resolve().id',
  ];
  for (const expression of outside) {
    const compiled = compilePath(expression, rootPlace('Observation', definitions), definitions, () => () => undefined);
    assert.equal(typeof compiled.problem, 'string', expression);
  }
});

test('every published R4 expression compiles to rows', () => {
  const failed = [...definitions.resourceTypes].flatMap((type) =>
    uncompilable(definitions.searchParameters(type).values(), type, definitions).map(({ code }) => `${type}.${code}`),
  );
  assert.deepEqual(failed, []);
});

test('references: type of a target by text', () => {
  const root: Resource = { resourceType: 'Observation', contained: [{ resourceType: 'Group', id: 'g' }] };
  const types: readonly [Json, string | undefined][] = [
    [{ reference: 'Patient/1' }, 'Patient'],
    [{ reference: 'https://a.example/b/Patient/1' }, 'Patient'],
    [{ reference: '#g' }, 'Group'],
    [{ reference: '#none' }, undefined],
    [{ reference: 'urn:uuid:1', type: 'Patient' }, 'Patient'],
    [{ reference: 'urn:uuid:1' }, undefined],
    [{ type: 'Device', identifier: { value: '1' } }, 'Device'],
    [{ reference: 'patient/1' }, undefined],
    ['http://x.example/ValueSet/1', 'ValueSet'],
    [7, undefined],
  ];
  for (const [value, expected] of types) assert.equal(referencedType(value, root), expected, JSON.stringify(value));
});
