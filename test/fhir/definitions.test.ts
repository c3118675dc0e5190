// profiles/README.md; searchparameter.html, compartmentdefinition.html, search.html#summary: what the server knows of R4.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  jsonNames,
  mandatoryElements,
  narrowedExpression,
  summaryElements,
} from '../../src/fhir/definitions/definitions.ts';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';

const PROFILES = join(import.meta.dirname, '..', '..', 'profiles');
const definitions = loadDefinitions(PROFILES);
const scratch = mkdtempSync(join(tmpdir(), 'definitions-'));
after(() => rmSync(scratch, { recursive: true }));

/** A copy of the generated definitions to which a test adds. */
function copy(name: string): string {
  const folder = join(scratch, name);
  cpSync(join(PROFILES, 'definitions'), join(folder, 'definitions'), { recursive: true });
  for (const kind of ['search', 'operation']) mkdirSync(join(folder, kind));
  return folder;
}

test('R4 has 146 concrete resource types; Resource and DomainResource are abstract', () => {
  assert.equal(definitions.resourceTypes.size, 146);
  for (const type of ['Resource', 'DomainResource', 'HumanName', 'string', 'toString']) {
    assert.equal(definitions.resourceTypes.has(type), false, type);
  }
  assert.equal(definitions.structure('Resource')?.abstract, true);
  assert.equal(definitions.structure('toString'), undefined);
});

test('elements carry cardinality, types, targets, bindings and content references', () => {
  const element = (type: string, path: string) =>
    definitions.structure(type)?.elements.find((each) => each.path === path);
  assert.equal(element('Observation', 'Observation.status')?.min, 1);
  assert.equal(element('Observation', 'Observation.status')?.requiredCodes?.has('final'), true);
  assert.equal(element('Observation', 'Observation.component')?.max, Number.POSITIVE_INFINITY);
  assert.deepEqual(element('Observation', 'Observation.encounter')?.types, [
    { code: 'Reference', targets: ['Encounter'] },
  ]);
  assert.deepEqual(element('Provenance', 'Provenance.target')?.types, [{ code: 'Reference', targets: [] }]);
  assert.equal(
    element('Observation', 'Observation.component.referenceRange')?.contentReference,
    '#Observation.referenceRange',
  );
  assert.equal(element('Attachment', 'Attachment.contentType')?.requiredCodes, undefined);
  assert.match(element('Attachment', 'Attachment.contentType')?.valueSet ?? '', /mimetypes$/);
  assert.equal(element('Patient', 'Patient.id')?.types[0]?.code, 'id');
});

test('every type, target and content reference that an element names exists', () => {
  const missing: string[] = [];
  for (const name of definitions.types) {
    for (const { path, types, contentReference } of definitions.structure(name)?.elements ?? []) {
      for (const { code, targets } of types) {
        missing.push(
          ...[code, ...targets].filter((each) => !definitions.types.has(each)).map((each) => `${path}: ${each}`),
        );
      }
      const content = contentReference?.slice(1);
      const known =
        content === undefined || definitions.structure(name)?.elements.some((each) => each.path === content);
      if (!known) missing.push(`${path}: ${content}`);
    }
  }
  assert.deepEqual(missing, []);
});

const expressions: readonly (readonly [type: string, code: string, expression: string])[] = [
  ['Observation', 'code', 'Observation.code'],
  ['AllergyIntolerance', 'code', 'AllergyIntolerance.code | AllergyIntolerance.reaction.substance'],
  ['MedicationAdministration', 'code', '(MedicationAdministration.medication as CodeableConcept)'],
  ['Observation', 'value-quantity', '(Observation.value as Quantity) | (Observation.value as SampledData)'],
  ['Observation', 'combo-code', 'Observation.code | Observation.component.code'],
  ['Condition', 'abatement-string', 'Condition.abatement.as(string)'],
  ['Patient', 'email', "Patient.telecom.where(system='email')"],
  ['Patient', '_id', 'Resource.id'],
  ['Binary', '_lastUpdated', 'Resource.meta.lastUpdated'],
  ['InsurancePlan', 'name', 'InsurancePlan.name | InsurancePlan.alias'],
];
for (const [type, code, expression] of expressions) {
  test(`search parameter ${type}.${code} is narrowed to its type`, () => {
    assert.equal(definitions.searchParameters(type).get(code)?.expression, expression);
  });
}

test('every expression starts at its type or at Resource', () => {
  const faults = [...definitions.resourceTypes].flatMap((type) =>
    [...definitions.searchParameters(type).values()]
      .filter(({ expression }) => narrowedExpression(expression, type) !== expression)
      .map(({ code }) => `${type}.${code}`),
  );
  assert.deepEqual(faults, []);
});

test('alternatives are split outside parentheses and quotes only', () => {
  assert.equal(narrowedExpression("A.b.where(c='|' | d) | B.c", 'A'), "A.b.where(c='|' | d)");
  assert.equal(narrowedExpression('AB.c | A.c', 'A'), 'A.c');
  assert.equal(narrowedExpression('B.c', 'A'), undefined);
});

test('composite components are the parameters of the same type', () => {
  const composite = definitions.searchParameters('Observation').get('code-value-quantity');
  assert.deepEqual(
    composite?.components.map(({ parameter, expression }) => [parameter.code, parameter.expression, expression]),
    [
      ['code', 'Observation.code', 'code'],
      ['value-quantity', '(Observation.value as Quantity) | (Observation.value as SampledData)', 'value.as(Quantity)'],
    ],
  );
});

test('compartments name search parameters that exist', () => {
  assert.deepEqual(definitions.compartmentParameters('Patient', 'Observation'), ['subject', 'performer']);
  assert.deepEqual(definitions.compartmentParameters('Patient', 'Patient'), ['{def}', 'link']);
  assert.deepEqual(definitions.compartmentParameters('Patient', 'Organization'), []);
  assert.deepEqual(definitions.compartmentParameters('Nothing', 'Observation'), []);
  const missing = ['Patient', 'Encounter', 'Practitioner', 'Device', 'RelatedPerson'].flatMap((compartment) =>
    [...definitions.resourceTypes].flatMap((type) =>
      definitions
        .compartmentParameters(compartment, type)
        .filter((code) => code !== '{def}' && !definitions.searchParameters(type).has(code))
        .map((code) => `${compartment}: ${type}.${code}`),
    ),
  );
  assert.deepEqual(missing, []);
});

test('summary and mandatory elements are JSON names', () => {
  const summary = summaryElements(definitions, 'Observation');
  assert.deepEqual(
    ['status', 'valueQuantity', 'component', 'note', 'text', 'id'].map((each) => summary.has(each)),
    [true, true, true, false, false, true],
  );
  assert.deepEqual([...mandatoryElements(definitions, 'Observation')], ['status', 'code']);
  assert.deepEqual([...mandatoryElements(definitions, 'Patient')], []);
  assert.equal(summaryElements(definitions, 'Nothing').size, 0);
  const value = definitions.structure('Extension')?.elements.find(({ path }) => path.endsWith('[x]'));
  assert.equal(value && jsonNames(value).includes('valueBase64Binary'), true);
});

test('definitions do not change', () => {
  const parameter = definitions.searchParameters('Patient').get('name');
  assert.ok(Object.isFrozen(definitions) && Object.isFrozen(definitions.structure('Patient')?.elements[0]));
  assert.ok(Object.isFrozen(definitions.operations) && Object.isFrozen(parameter));
  assert.equal(definitions.hash, loadDefinitions(PROFILES).hash);
});

test('a file that differs from its hash is refused', () => {
  const folder = copy('tampered');
  const file = join(folder, 'definitions', 'compartments.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('performer', 'subject'));
  assert.throws(() => loadDefinitions(folder), /compartments\.json differs from its hash/);
});

const OWN = {
  resourceType: 'SearchParameter',
  url: 'http://example.org/SearchParameter/patient-religion',
  code: 'religion',
  type: 'token',
  base: ['Patient'],
  expression: "Patient.extension.where(url='http://x').value",
};

test('a search parameter of ours is found, and changes the hash', () => {
  const folder = copy('own');
  writeFileSync(join(folder, 'search', 'patient-religion.json'), JSON.stringify(OWN));
  const own = loadDefinitions(folder);
  assert.equal(own.searchParameters('Patient').get('religion')?.expression, OWN.expression);
  assert.equal(own.searchParameters('Practitioner').has('religion'), false);
  assert.notEqual(own.hash, definitions.hash);
});

test('an operation of ours is found', () => {
  const folder = copy('operation');
  const operation = {
    resourceType: 'OperationDefinition',
    url: 'http://example.org/x',
    code: 'x',
    system: true,
    resource: [],
  };
  writeFileSync(join(folder, 'operation', 'x.json'), JSON.stringify(operation));
  assert.equal(
    loadDefinitions(folder).operations.some(({ code, system, type }) => code === 'x' && system && !type),
    true,
  );
});

const faulty: readonly (readonly [why: string, resource: unknown])[] = [
  ['another resource', { ...OWN, resourceType: 'Patient' }],
  ['no expression', { ...OWN, expression: undefined }],
  ['unknown type', { ...OWN, type: 'text' }],
  ['base is text', { ...OWN, base: 'Patient' }],
  ['component without definition', { ...OWN, component: [{ expression: 'x' }] }],
];
for (const [why, resource] of faulty) {
  test(`a search parameter of ours is refused: ${why}`, () => {
    const folder = copy(why);
    writeFileSync(join(folder, 'search', 'x.json'), JSON.stringify(resource));
    assert.throws(() => loadDefinitions(folder), /profiles\/search\/x\.json/);
  });
}
