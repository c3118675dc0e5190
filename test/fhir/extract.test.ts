// Index rows beside what the case tables search for: encodings (src/fhir/search/rows.ts), no duplicates, and no resource that throws.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json, Resource } from '../../src/fhir/resource.ts';
import { parseJson } from '../../src/fhir/resource.ts';
import type { IndexEntry } from '../../src/fhir/search/algebra.ts';
import { canonicalParts, folded, localReference, splitUnescaped, unescaped } from '../../src/fhir/search/value.ts';
import { definitions, entriesOf } from './search-world.ts';

const of = (resource: Resource, parameter: string): readonly IndexEntry[] =>
  entriesOf(resource).filter((entry) => entry.parameter === parameter);

test('fhir-r4@search-token of-type: key suffix and encoding', () => {
  const type = { coding: [{ system: 'http://t', code: 'MR' }, { code: 'X' }] };
  const rows = of(
    { resourceType: 'Patient', identifier: [{ system: 's', value: '1', type }] },
    'Patient.identifier:of-type',
  );
  assert.deepEqual(rows, [
    { kind: 'token', parameter: 'Patient.identifier:of-type', system: 'http://t|MR', code: '1', group: 0 },
    { kind: 'token', parameter: 'Patient.identifier:of-type', system: '|X', code: '1', group: 0 },
  ]);
});

test('fhir-r4@search-quantity: as sent, by unit text, in base units', () => {
  const valueQuantity = { value: 120, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' };
  const rows = of({ resourceType: 'Observation', valueQuantity }, 'Observation.value-quantity');
  assert.deepEqual(
    rows.map((row) => row.kind === 'quantity' && [row.unit, row.low, row.high]),
    [
      ['http://unitsofmeasure.org|mm[Hg]', 120, 120],
      ['|mmHg', 120, 120],
      ['canonical|m-1.s-2.g1', 15_998_640, 15_998_640],
    ],
  );
});

test('numbers that keep their lexeme are numbers', () => {
  const resource = parseJson(
    '{"resourceType":"Observation","valueQuantity":{"value":1.50,"code":"mg","system":"http://unitsofmeasure.org"}}',
  );
  const [row] = of(resource as Resource, 'Observation.value-quantity');
  assert.equal(row?.kind === 'quantity' && row.low, 1.5);
});

test('the same value twice is one row; composites number their occurrences', () => {
  const coding = [{ system: 'http://l', code: 'a' }];
  const component = { code: { coding }, valueQuantity: { value: 1 } };
  const resource: Resource = {
    resourceType: 'Observation',
    code: { coding: [...coding, ...coding] },
    component: [component, component],
  };
  assert.equal(of(resource, 'Observation.code').length, 1);
  assert.equal(of(resource, 'Observation.combo-code').length, 1);
  assert.deepEqual(
    of(resource, 'Observation.component-code-value-quantity$1').map(({ group }) => group),
    [1, 2],
  );
  const keys = entriesOf(resource).map((entry) => JSON.stringify(entry));
  assert.equal(new Set(keys).size, keys.length);
});

test('Money, Range, Age, Timing and canonical have rows; SampledData and contained references have none', () => {
  const charge = of(
    { resourceType: 'ChargeItem', priceOverride: { value: 5, currency: 'EUR' } },
    'ChargeItem.price-override',
  );
  assert.deepEqual(
    charge.map((row) => row.kind === 'quantity' && row.unit),
    ['urn:iso:std:iso:4217|EUR', '|EUR'],
  );
  const onsetRange = { low: { value: 2, system: 'http://unitsofmeasure.org', code: 'a' } };
  const [range] = of({ resourceType: 'Condition', onsetRange }, 'Condition.onset-age');
  assert.deepEqual(range?.kind === 'quantity' && [range.low, range.high], [2, Number.MAX_VALUE]);
  assert.equal(
    of({ resourceType: 'Observation', valueSampledData: { period: 1 } }, 'Observation.combo-value-quantity').length,
    0,
  );
  assert.equal(of({ resourceType: 'Observation', subject: { reference: '#p' } }, 'Observation.subject').length, 0);
});

test('any JSON in place of any element is passed over, never thrown at', () => {
  for (const type of [
    'Patient',
    'Observation',
    'Condition',
    'Encounter',
    'Bundle',
    'AuditEvent',
    'MedicationRequest',
  ]) {
    const names = (definitions.structure(type)?.elements ?? []).flatMap(({ path, types }) => {
      const [, name = '', more] = path.split('.');
      if (name === '' || more !== undefined) return [];
      if (!name.endsWith('[x]')) return [name];
      return types.map(({ code }) => `${name.slice(0, -3)}${code.charAt(0).toUpperCase()}${code.slice(1)}`);
    });
    const keys = fc.constantFrom(
      'reference',
      'value',
      'code',
      'coding',
      'system',
      'start',
      'event',
      'low',
      'text',
      'given',
      'identifier',
      'type',
      'extension',
      'url',
    );
    const { json } = fc.letrec<{ json: Json }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<Json>(null, true, 0, -1e300, '', 'x', 'Patient/1', '2020-02-30', '2020', '#', '|'),
        fc.array(tie('json'), { maxLength: 3 }),
        fc.dictionary(keys, tie('json'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), json, { maxKeys: 6 }), (elements) => {
        entriesOf({ ...elements, resourceType: type });
      }),
      { numRuns: 200 },
    );
  }
});

test('folding, escapes, references', () => {
  const folds: readonly [string, string][] = [
    ["O'Brien-Müller", 'o brien muller'],
    ['  A \t B\u00a0C ', 'a b c'],
    ['ﬁ Ⅷ', 'fi viii'],
    ['İstanbul', 'istanbul'],
    ['Straße STRASSE STRAẞE', 'strasse strasse strasse'],
    ['ΟΔΟΣ οδός', 'οδοσ οδοσ'],
    ['100%_$', '100'],
    ['...', ''],
    ['a'.repeat(201), 'a'.repeat(200)],
  ];
  for (const [text, expected] of folds) assert.equal(folded(text), expected, text);
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => folded(folded(text)) === folded(text)));
  assert.deepEqual(splitUnescaped('a\\,b,c\\\\,d', ','), ['a\\,b', 'c\\\\', 'd']);
  assert.equal(unescaped('a\\,b\\$\\|\\\\\\x'), 'a,b$|\\\\x');
  assert.equal(localReference('http://b.example/fhir/Patient/1/_history/2', 'http://b.example/fhir'), 'Patient/1');
  assert.equal(localReference('http://b.example/fhirx/Patient/1', 'http://b.example/fhir'), undefined);
  assert.equal(localReference('Patient/1/x', 'http://b.example/fhir'), undefined);
  assert.deepEqual(canonicalParts('http://x|1'), { url: 'http://x', version: '1' });
});
