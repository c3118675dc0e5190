// Patches as functions of a resource: RFC 6902, RFC 7396, fhirpatch.html. The FHIRPath rows named "case" follow the published test cases of
// FHIRPath Patch (fhir-test-cases, r4/patch), in our words.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadDefinitions } from '../../src/fhir/definitions/load.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { COPY_LIMIT } from '../../src/fhir/patch/json.ts';
import { decodePatch, PATCH_LIMITS, type Patch, patched } from '../../src/fhir/patch/patch.ts';
import { type Json, parseJson, type Resource, serialize } from '../../src/fhir/resource.ts';

const definitions = loadDefinitions(join(import.meta.dirname, '../../profiles'));

function patient(members: string): Resource {
  return parseJson(`{"resourceType":"Patient","id":"p"${members === '' ? '' : `,${members}`}}`) as Resource;
}

/** The text after the patch without type and id, or the status of the refusal and its message. */
function outcome(before: string, form: Patch['form'], patch: Json): string {
  try {
    const after = serialize(patched(patient(before), decodePatch(form, patch), definitions));
    return after.replace(/^\{"resourceType":"Patient","id":"p",?/, '').replace(/\}$/, '');
  } catch (error) {
    if (error instanceof FhirError) return `${error.status} ${error.message}`;
    throw error;
  }
}

const JSON_ROWS: readonly [before: string, patch: string, after: string, why: string][] = [
  ['"active":true', '[]', '"active":true', 'control: nothing'],
  ['', '[{"op":"add","path":"/active","value":true}]', '"active":true', 'add a member'],
  [
    '"name":[{"text":"a"}]',
    '[{"op":"add","path":"/name/-","value":{"text":"b"}}]',
    '"name":[{"text":"a"},{"text":"b"}]',
    'add at the end',
  ],
  [
    '"name":[{"text":"a"}]',
    '[{"op":"add","path":"/name/0","value":{"text":"b"}}]',
    '"name":[{"text":"b"},{"text":"a"}]',
    'add before',
  ],
  [
    '"name":[{"text":"a"}]',
    '[{"op":"add","path":"/name/1","value":{"text":"b"}}]',
    '"name":[{"text":"a"},{"text":"b"}]',
    'the length is an index',
  ],
  [
    '"name":[{"text":"a"}]',
    '[{"op":"add","path":"/name/2","value":{"text":"b"}}]',
    '422 Operation 0',
    'beyond the length is none',
  ],
  ['"name":[{"text":"a"}]', '[{"op":"add","path":"/name/x","value":{}}]', '422 Operation 0', 'a list has numbers'],
  ['"active":true,"gender":"male"', '[{"op":"remove","path":"/active"}]', '"gender":"male"', 'remove'],
  ['', '[{"op":"remove","path":"/active"}]', '422 Operation 0', 'remove what is not there'],
  ['"gender":"male"', '[{"op":"replace","path":"/gender","value":"female"}]', '"gender":"female"', 'replace'],
  ['', '[{"op":"replace","path":"/gender","value":"female"}]', '422 Operation 0', 'replace what is not there'],
  ['"gender":"male"', '[{"op":"move","from":"/gender","path":"/x"}]', '"x":"male"', 'move'],
  ['"gender":"male"', '[{"op":"copy","from":"/gender","path":"/x"}]', '"gender":"male","x":"male"', 'copy'],
  ['', '[{"op":"copy","from":"/gender","path":"/x"}]', '422 Operation 0', 'copy of nothing'],
  ['"x":{"y":1}', '[{"op":"move","from":"/x","path":"/x/y"}]', '400 Operation 0', 'a value into itself'],
  ['"gender":"male"', '[{"op":"test","path":"/gender","value":"male"}]', '"gender":"male"', 'test holds'],
  [
    '"gender":"male"',
    '[{"op":"add","path":"/active","value":true},{"op":"test","path":"/gender","value":"female"}]',
    '422 Operation 1',
    'test fails: the second operation',
  ],
  ['', '[{"op":"test","path":"/a/b/c","value":1}]', '422 Operation 0', 'test of nothing'],
  [
    '"x":{"a":1,"b":[1.00]}',
    '[{"op":"test","path":"/x","value":{"b":[1],"a":1.0}}]',
    '"x":{"a":1,"b":[1.00]}',
    'test: members have no order, numbers their value',
  ],
  [
    '"x":1.00',
    '[{"op":"add","path":"/y","value":2.50},{"op":"copy","from":"/x","path":"/z"}]',
    '"x":1.00,"y":2.50,"z":1.00',
    'numbers keep their text',
  ],
  ['"x":1.00', '[{"op":"move","from":"/x","path":"/y"}]', '"y":1.00', 'moved ones too'],
  [
    '"a/b":1,"m~n":2',
    '[{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}]',
    '"m~n":3',
    'escapes of RFC 6901',
  ],
  ['', '[{"op":"add","path":"/id","value":"q"}]', '422 A patch cannot', 'another id'],
  ['', '[{"op":"remove","path":"/id"}]', '422 A patch cannot', 'no id'],
  ['', '[{"op":"replace","path":"/resourceType","value":"Group"}]', '422 A patch cannot', 'another type'],
  ['', '[{"op":"remove","path":""}]', '422', 'nothing left'],
  ['', '[{"op":"replace","path":"","value":[]}]', '422', 'no object'],
  ['', '[{"op":"move","from":"/a","path":""}]', '422 Operation 0', 'nothing in place of everything'],
  ['', '[{"op":"copy","from":"/a","path":""}]', '422 Operation 0', 'nor by copy'],
  ['', '{"op":"add"}', '400', 'no array'],
  ['', '[1]', '400 Operation 0', 'no object'],
  ['', '[{"op":"add","path":"/a"}]', '400 Operation 0', 'no value'],
  ['', '[{"op":"add","path":"a","value":1}]', '400 Operation 0', 'no pointer'],
  ['', '[{"op":"add","path":"/a~2","value":1}]', '400 Operation 0', 'no escape'],
  ['', '[{"op":"merge","path":"/a","value":1}]', '400 Operation 0', 'no operation'],
  ['', '[{"op":"copy","path":"/a"}]', '400 Operation 0', 'no from'],
  ['', '[{"op":"add","path":"/__proto__/x","value":1}]', '400 Operation 0', 'prototype pollution'],
  ['', '[{"op":"add","path":"/constructor/prototype/x","value":1}]', '400 Operation 0', 'prototype pollution'],
  ['', '[{"op":"add","path":"/toString/x","value":1}]', '422 Operation 0', 'what every object inherits is no member'],
  [
    '',
    '[{"op":"add","path":"/hasOwnProperty","value":1},{"op":"copy","from":"","path":"/a"}]',
    '"hasOwnProperty":1,"a":{"resourceType":"Patient","id":"p","hasOwnProperty":1}',
    'a member may be called anything; validation refuses it',
  ],
];

test('RFC 6902: JSON Patch', () => {
  const wrong = JSON_ROWS.flatMap(([before, patch, after, why]) => {
    const found = outcome(before, 'json', parseJson(patch));
    return found === after || (/^4/.test(after) && found.startsWith(after)) ? [] : [{ why, patch, found, after }];
  });
  assert.deepEqual(wrong, []);
});

test('limits: operations and copies of copies', () => {
  const add = (count: number): Json =>
    Array.from({ length: count }, () => ({ op: 'add', path: '/active', value: true }));
  assert.equal(outcome('', 'json', add(PATCH_LIMITS.operations)), '"active":true');
  assert.match(outcome('', 'json', add(PATCH_LIMITS.operations + 1)), /^400 A patch may hold at most/);
  const doubled = Array.from({ length: 60 }, () => ({ op: 'copy', from: '/x', path: '/x/-' }));
  assert.match(outcome('"x":["0123456789"]', 'json', doubled), /^400 Operation \d+: The patch copies too much/);
  assert.ok(COPY_LIMIT < 16_000_000);
  const deep = Array.from({ length: 70 }, (_, index) => ({ op: 'add', path: `${'/x'.repeat(index + 1)}`, value: {} }));
  assert.match(outcome('', 'json', deep), /^400 JSON is nested/);
});

const MERGE_ROWS: readonly [before: string, patch: string, after: string, why: string][] = [
  ['"gender":"male"', '{"gender":"female"}', '"gender":"female"', 'replaced'],
  ['"gender":"male","active":true', '{"gender":null}', '"active":true', 'null removes'],
  [
    '"x":{"a":1.00,"b":2}',
    '{"x":{"b":3.10}}',
    '"x":{"a":1.00,"b":3.10}',
    'objects are merged, numbers keep their text',
  ],
  ['"name":[{"text":"a"}]', '{"name":[{"text":"b"}]}', '"name":[{"text":"b"}]', 'lists are replaced'],
  ['', '{"x":{"y":{"z":null,"w":1}}}', '"x":{"y":{"w":1}}', 'a null in a new object is no member'],
  ['', '{"id":"q"}', '422 A patch cannot', 'another id'],
  ['', '{"resourceType":null}', '422 A patch cannot', 'no type'],
  ['', '[]', '400', 'no object'],
];

test('RFC 7396: merge patch', () => {
  const wrong = MERGE_ROWS.flatMap(([before, patch, after, why]) => {
    const found = outcome(before, 'merge', parseJson(patch));
    return found === after || (/^4/.test(after) && found.startsWith(after)) ? [] : [{ why, patch, found, after }];
  });
  assert.deepEqual(wrong, []);
});

type Parts = { readonly [name: string]: string | number | object };
/** `value` is a part as it stands; texts become valueString, numbers valueInteger. */
const operation = (parts: Parts): Json => ({
  name: 'operation',
  part: Object.entries(parts).map(([name, value]) => {
    if (typeof value === 'string') return name === 'type' ? { name, valueCode: value } : { name, valueString: value };
    return typeof value === 'number' ? { name, valueInteger: value } : { name, ...value };
  }),
});
const parameters = (...operations: readonly Parts[]): Json => ({
  resourceType: 'Parameters',
  parameter: operations.map(operation),
});
const ids = (...values: readonly number[]): string =>
  `"identifier":[${values.map((value) => `{"value":"${value}"}`).join(',')}]`;
const move = (source: number, destination: number): Parts => ({
  type: 'move',
  path: 'Patient.identifier',
  source,
  destination,
});
const CONTACT = '"contact":[{"name":{"text":"a"},"gender":"male"}]';

const PATH_ROWS: readonly [before: string, operations: readonly Parts[], after: string, why: string][] = [
  ['"birthDate":"1920-01-01"', [], '"birthDate":"1920-01-01"', 'case No Difference'],
  [
    '"birthDate":"1920-01-01"',
    [{ type: 'replace', path: 'Patient.birthDate', value: { valueDate: '1930-01-01' } }],
    '"birthDate":"1930-01-01"',
    'case Replace Primitive',
  ],
  ['"birthDate":"1920-01-01"', [{ type: 'delete', path: 'Patient.birthDate' }], '', 'case Delete Primitive'],
  ['', [{ type: 'delete', path: 'Patient.birthDate' }], '', 'delete: if found'],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'birthDate', value: { valueDate: '1930-01-01' } }],
    '"birthDate":"1930-01-01"',
    'case Add Primitive',
  ],
  [
    '"birthDate":"1920-01-01"',
    [{ type: 'add', path: 'Patient', name: 'birthDate', value: { valueDate: '1930-01-01' } }],
    '422 Operation 0',
    'add: as long as it does not exist',
  ],
  [
    CONTACT,
    [{ type: 'replace', path: 'Patient.contact[0].gender', value: { valueCode: 'female' } }],
    CONTACT.replace('male', 'female'),
    'case Replace Nested Primitive #1',
  ],
  [
    CONTACT,
    [{ type: 'replace', path: 'Patient.contact[0].name.text', value: { valueString: 'b' } }],
    CONTACT.replace('"a"', '"b"'),
    'case Replace Nested Primitive #2',
  ],
  [
    CONTACT,
    [{ type: 'delete', path: 'Patient.contact[0].gender' }],
    '"contact":[{"name":{"text":"a"}}]',
    'case Delete Nested Primitive #1',
  ],
  [
    CONTACT,
    [{ type: 'delete', path: 'Patient.contact[0].name.text' }],
    '"contact":[{"gender":"male"}]',
    'case Delete Nested Primitive #2: what becomes empty goes',
  ],
  [
    '"contact":[{"name":{"text":"a"}}]',
    [{ type: 'delete', path: 'Patient.contact[0].name.text' }],
    '',
    'up to the list',
  ],
  [
    '"contact":[{"name":{"text":"a"}}]',
    [{ type: 'add', path: 'Patient.contact[0]', name: 'gender', value: { valueCode: 'male' } }],
    CONTACT,
    'case Add Nested Primitive',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'maritalStatus', value: { valueCodeableConcept: { text: 'm' } } }],
    '"maritalStatus":{"text":"m"}',
    'case Add Complex',
  ],
  [
    '"maritalStatus":{"id":"1","text":"m"}',
    [{ type: 'replace', path: 'Patient.maritalStatus', value: { valueCodeableConcept: { id: '2', text: 'n' } } }],
    '"maritalStatus":{"id":"2","text":"n"}',
    'case Replace Complex',
  ],
  ['"maritalStatus":{"text":"m"}', [{ type: 'delete', path: 'Patient.maritalStatus' }], '', 'case Delete Complex'],
  [
    '',
    [
      {
        type: 'add',
        path: 'Patient',
        name: 'contact',
        value: {
          part: [
            { name: 'name', valueHumanName: { text: 'a' } },
            { name: 'gender', valueCode: 'male' },
          ],
        },
      },
    ],
    CONTACT,
    'case Add Anonymous Type',
  ],
  [
    '',
    [
      {
        type: 'add',
        path: 'Patient',
        name: 'contact',
        value: {
          part: [
            { name: 'relationship', valueCodeableConcept: { text: 'a' } },
            { name: 'relationship', valueCodeableConcept: { text: 'b' } },
          ],
        },
      },
    ],
    '"contact":[{"relationship":[{"text":"a"},{"text":"b"}]}]',
    'a part that repeats',
  ],
  [CONTACT, [{ type: 'delete', path: 'Patient.contact[0]' }], '', 'case Delete Anonymous Type'],
  [
    ids(1, 2),
    [
      { type: 'replace', path: 'Patient.identifier[0].value', value: { valueString: '2' } },
      { type: 'replace', path: 'Patient.identifier[1].value', value: { valueString: '1' } },
    ],
    ids(2, 1),
    'case List unchanged, contents changed',
  ],
  [
    ids(1, 2),
    [{ type: 'insert', path: 'Patient.identifier', index: 2, value: { valueIdentifier: { value: '3' } } }],
    ids(1, 2, 3),
    'case Add to list: the length is an index',
  ],
  [
    ids(1, 2),
    [{ type: 'insert', path: 'Patient.identifier', index: 3, value: { valueIdentifier: { value: '3' } } }],
    '422 Operation 0',
    'beyond the length is none',
  ],
  [
    ids(1, 2),
    [{ type: 'insert', path: 'Patient.identifier', index: 1, value: { valueIdentifier: { value: '3' } } }],
    ids(1, 3, 2),
    'case Insert in list #1',
  ],
  [
    ids(1, 2),
    [{ type: 'insert', path: 'Patient.identifier', index: 0, value: { valueIdentifier: { value: '3' } } }],
    ids(3, 1, 2),
    'case Insert in list #2',
  ],
  [
    '',
    [{ type: 'insert', path: 'Patient.identifier', index: 0, value: { valueIdentifier: { value: '3' } } }],
    ids(3),
    'an empty list',
  ],
  [
    '',
    [{ type: 'insert', path: 'Patient.gender', index: 0, value: { valueCode: 'male' } }],
    '422 Operation 0',
    'no list',
  ],
  [ids(1, 2, 3), [{ type: 'delete', path: 'Patient.identifier[1]' }], ids(1, 3), 'case Delete in list'],
  [
    ids(1, 2, 3),
    [{ type: 'delete', path: 'Patient.identifier' }],
    '422 Operation 0',
    'only a single element can be deleted',
  ],
  [ids(1, 2, 3, 4), [move(3, 1)], ids(1, 4, 2, 3), 'case Reorder List #1'],
  [ids(1, 2, 3, 4), [move(3, 0)], ids(4, 1, 2, 3), 'case Reorder List #2'],
  [ids(1, 2, 3, 4), [move(0, 3)], ids(2, 3, 4, 1), 'case Reorder List #4'],
  [ids(1, 2, 3, 4), [move(1, 0), move(2, 1)], ids(2, 3, 1, 4), 'case Reorder List #5'],
  [ids(1, 2, 3, 4), [move(3, 0), move(3, 1), move(3, 2)], ids(4, 3, 2, 1), 'case Reorder List #6'],
  [ids(1, 2), [move(2, 0)], '422 Operation 0', 'source out of range'],
  [ids(1, 2), [move(0, 2)], '422 Operation 0', 'destination out of range'],
  [
    ids(1),
    [{ type: 'add', path: "Patient.identifier.where(value='1').period", name: 'end', value: { valueDate: '2021' } }],
    '422 Operation 0',
    'case Operation on missing element',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'identifier', value: { valueIdentifier: { value: '3' } } }],
    ids(3),
    'case Operation on missing element #2',
  ],
  [
    ids(1, 2),
    [{ type: 'replace', path: "Patient.identifier.where(value = '2').value", value: { valueString: '9' } }],
    ids(1, 9),
    'a filter keeps the position',
  ],
  [
    ids(1, 2),
    [{ type: 'replace', path: 'Patient.identifier.last().value', value: { valueString: '9' } }],
    ids(1, 9),
    'so do functions',
  ],
  [
    '"name":[{"given":["a","b"],"_given":[null,{"id":"x"}]}]',
    [{ type: 'insert', path: 'Patient.name[0].given', index: 1, value: { valueString: 'c' } }],
    '"name":[{"given":["a","c","b"],"_given":[null,null,{"id":"x"}]}]',
    'lists beside each other stay in step',
  ],
  [
    '"name":[{"given":["a","b"],"_given":[null,{"id":"x"}]}]',
    [{ type: 'delete', path: 'Patient.name[0].given[1]' }],
    '"name":[{"given":["a"]}]',
    'both are deleted',
  ],
  [
    '"birthDate":"1920","_birthDate":{"id":"x"}',
    [{ type: 'replace', path: 'Patient.birthDate', value: { valueDate: '1930', _valueDate: { id: 'y' } } }],
    '"birthDate":"1930","_birthDate":{"id":"y"}',
    'id and extensions belong to the element',
  ],
  [
    '"birthDate":"1920"',
    [
      {
        type: 'add',
        path: 'Patient.birthDate',
        name: 'extension',
        value: { valueExtension: { url: 'u', valueDecimal: 1 } },
      },
    ],
    '"birthDate":"1920","_birthDate":{"extension":[{"url":"u","valueDecimal":1}]}',
    'an extension of a primitive',
  ],
  [
    '"_birthDate":{"extension":[{"url":"u","valueString":"a"}]}',
    [{ type: 'replace', path: 'Patient.birthDate.extension[0].value', value: { valueString: 'b' } }],
    '"_birthDate":{"extension":[{"url":"u","valueString":"b"}]}',
    'of one without value',
  ],
  [
    '"multipleBirthInteger":2',
    [{ type: 'replace', path: 'Patient.multipleBirth', value: { valueBoolean: true } }],
    '"multipleBirthBoolean":true',
    'a choice takes the name of its type',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'multipleBirth', value: { valueInteger: 2 } }],
    '"multipleBirthInteger":2',
    'add of a choice',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'multipleBirth[x]', value: { valueInteger: 2 } }],
    '"multipleBirthInteger":2',
    'as the definition spells it',
  ],
  [
    '"multipleBirthInteger":2',
    [{ type: 'add', path: 'Patient', name: 'multipleBirth', value: { valueBoolean: true } }],
    '422 Operation 0',
    'a choice is one element',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'multipleBirth', value: { valueDate: '2020' } }],
    '422 Operation 0',
    'a type it cannot have',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'nothing', value: { valueInteger: 2 } }],
    '422 Operation 0',
    'no such element',
  ],
  [
    '',
    [{ type: 'add', path: 'Patient', name: 'contained', value: { resource: { resourceType: 'Basic', id: 'b' } } }],
    '"contained":[{"resourceType":"Basic","id":"b"}]',
    'a resource',
  ],
  [
    '"extension":[{"url":"u","valueDecimal":1.00}]',
    [{ type: 'add', path: 'Patient', name: 'gender', value: { valueCode: 'male' } }],
    '"extension":[{"url":"u","valueDecimal":1.00}],"gender":"male"',
    'numbers keep their text',
  ],
  ['', [{ type: 'replace', path: 'Patient.id', value: { valueId: 'q' } }], '422 A patch cannot', 'another id'],
  ['', [{ type: 'delete', path: 'Patient' }], '422 Operation 0', 'the resource itself'],
  [
    ids(1),
    [{ type: 'delete', path: 'Patient.identifier.value.toInteger()' }],
    '400 Operation 0',
    'a function that computes',
  ],
  [ids(1), [{ type: 'delete', path: 'Patient.managingOrganization.resolve()' }], '400 Operation 0', 'across resources'],
  [
    ids(1),
    [{ type: 'delete', path: "Patient.identifier.where(value.matches('(a+)+$'))" }],
    '400 Operation 0',
    'a pattern of the client',
  ],
  [ids(1), [{ type: 'delete', path: 'Patient.identifier.where(' }], '400 Operation 0', 'not FHIRPath'],
  [ids(1), [{ type: 'delete', path: `Patient.identifier.where(${'('.repeat(300)}` }], '400 Operation 0', 'nested'],
  [ids(1), [{ type: 'delete', path: `Patient${' '.repeat(2000)}` }], '400 Operation 0', 'long'],
  ['', [{ type: 'drop', path: 'Patient' }], '400 Operation 0', 'no such type'],
  ['', [{ type: 'add', path: 'Patient', name: 'gender' }], '400 Operation 0', 'no value'],
  ['', [{ type: 'add', path: 'Patient', name: 'gender', value: {} }], '400 Operation 0', 'an empty value'],
  ['', [{ type: 'delete', path: 'Patient', value: { valueCode: 'x' } }], '400 Operation 0', 'a part too many'],
  [
    '',
    [{ type: 'insert', path: 'Patient.identifier', value: { valueIdentifier: {} } }],
    '400 Operation 0',
    'index is mandatory',
  ],
  ['', [move(-1, 0)], '400 Operation 0', 'no position'],
];

test('fhirpatch.html: FHIRPath Patch', () => {
  const wrong = PATH_ROWS.flatMap(([before, operations, after, why]) => {
    const found = outcome(before, 'fhirpath', parseJson(JSON.stringify(parameters(...operations))));
    return found === after || (/^4/.test(after) && found.startsWith(after)) ? [] : [{ why, found, after }];
  });
  assert.deepEqual(wrong, []);
});

test('fhirpatch.html: what is no FHIRPath Patch at all is refused', () => {
  for (const patch of [null, [], {}, { resourceType: 'Patient' }, { resourceType: 'Parameters', parameter: 1 }]) {
    assert.match(outcome('', 'fhirpath', patch), /^400/, JSON.stringify(patch));
  }
  assert.match(
    outcome('', 'fhirpath', { resourceType: 'Parameters', parameter: [{ name: 'other' }] }),
    /^400 Operation 0/,
  );
});

test('a path that takes too many steps is refused, whatever it asks', () => {
  const names = `"identifier":[${Array.from({ length: 400 }, (_, index) => `{"value":"${index}"}`).join(',')}]`;
  const inner = "$this.value = 'x' and Patient.identifier.where(value = 'y').exists()";
  const path = `Patient.identifier.where(value != 'z').where(${inner} or value.startsWith('q')).where(${inner})`;
  const operations = Array.from({ length: 100 }, () => ({ type: 'delete', path }));
  assert.match(
    outcome(names, 'fhirpath', parameters(...operations)),
    /^400 Operation \d+: The path takes too many steps/,
  );
});

test('the resource that is patched is never changed, and whatever is sent is a refusal or a resource', () => {
  const held = patient(
    `${ids(1, 2)},"name":[{"given":["a"]}],"extension":[{"url":"u","valueDecimal":1.00}],"birthDate":"1920"`,
  );
  const before = serialize(held);
  const token = fc.constantFrom(
    'identifier',
    'name',
    '0',
    '1',
    '-',
    'given',
    'value',
    'id',
    'resourceType',
    '',
    '__proto__',
    'length',
  );
  const pointer = fc.array(token, { maxLength: 4 }).map((tokens) => tokens.map((each) => `/${each}`).join(''));
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('x', { value: '3' }, null));
  const one = fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
    path: pointer,
    from: pointer,
    value,
  });
  const name = fc.constantFrom(
    'Patient',
    'identifier',
    'name[0]',
    'given',
    'value',
    'birthDate',
    'extension[0]',
    'first()',
    'x',
  );
  const parts = fc.record({
    type: fc.constantFrom('add', 'insert', 'delete', 'replace', 'move'),
    path: fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('.')),
    name: fc.constantFrom('gender', 'identifier', 'given', 'value', 'x'),
    index: fc.integer({ min: -1, max: 3 }),
    source: fc.integer({ min: -1, max: 3 }),
    destination: fc.integer({ min: -1, max: 3 }),
    value: fc.constantFrom(
      { valueString: 'x' },
      { valueIdentifier: { value: '5' } },
      {},
      { part: [{ name: 'given', valueString: 'x' }] },
    ),
  });
  const allowed: Readonly<Record<string, readonly string[]>> = {
    add: ['name', 'value'],
    insert: ['index', 'value'],
    replace: ['value'],
    move: ['source', 'destination'],
  };
  const asked = (given: Parts): Parts =>
    Object.fromEntries(
      Object.entries(given).filter(
        ([key]) => key === 'type' || key === 'path' || allowed[String(given.type)]?.includes(key),
      ),
    );
  const patch: fc.Arbitrary<[Patch['form'], Json]> = fc.oneof(
    fc.tuple(fc.constant('json' as const), fc.array(one, { maxLength: 4 }) as fc.Arbitrary<Json>),
    fc.tuple(fc.constant('merge' as const), fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>),
    fc.tuple(
      fc.constant('fhirpath' as const),
      fc.array(parts, { maxLength: 3 }).map((all) => parameters(...all.map(asked))),
    ),
  );
  let applied = 0;
  fc.assert(
    fc.property(patch, ([form, json]) => {
      try {
        const after = patched(held, decodePatch(form, json), definitions);
        assert.deepEqual([after.resourceType, after.id], ['Patient', 'p']);
        assert.equal(serialize(parseJson(serialize(after))), serialize(after));
        applied++;
      } catch (error) {
        assert.ok(error instanceof FhirError && error.status < 500, String(error));
      }
      assert.equal(serialize(held), before);
    }),
    { numRuns: 1500, seed: 7 },
  );
  assert.ok(applied > 50, `${applied} applied`);
});
