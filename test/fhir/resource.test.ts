// json.html and docs/threat-model.md "hostile JSON": what is refused before anything looks at it, and that numbers keep their lexemes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FhirError } from '../../src/fhir/outcome.ts';
import { JSON_LIMITS, parseJson, serialize } from '../../src/fhir/resource.ts';

/** Object of so many names; with `again`, one of them stands again at the end. */
const many = (count: number, again?: number) =>
  `{${[...Array(count).keys(), ...(again === undefined ? [] : [again])].map((number) => `"n${number}":0`).join()}}`;
const repeated = [11, 14, 23, 24, 25, 26, 500].flatMap((count) =>
  [0, count - 1].map((again) => [many(count, again), 'structure', `name ${again} of ${count} again`] as const),
);

const kept: readonly (readonly [text: string, why: string])[] = [
  ['{"a":1}', 'control'],
  ['{"a":{"b":1},"c":{"b":1}}', 'the same name in two objects'],
  ['[{"a":1},{"a":1}]', 'the same name in neighbours'],
  ['{"a":"b","b":"a"}', 'a value that is also a name'],
  ['{"a":"x:\\"b\\":1","b":2}', 'a name inside a string'],
  ['{"a":1.00}', 'a trailing zero'],
  ['{"a":1e3}', 'an exponent'],
  ['{"a":-0}', 'a negative zero'],
  ['{"a":12345678901234567890}', '20 digits'],
  ['{"a":0.1000000000000000055511151231257827}', 'more digits than a double has'],
  ['{"a":0.000001}', 'the smallest that is printed without an exponent'],
  ['{"a":0.0000001}', 'a smaller one'],
  ['{"a":[1.50,0.5,10,100.0,0,120.25]}', 'a trailing zero among others'],
  ['[123456789012345,1234567890123456]', '15 and 16 digits'],
  ['[12345678901234567,0.30000000000000004441]', '17 digits'],
  ['{"a":"2026-01-05"}', 'a date is no number'],
  ['{"c":{"b":1,"a":{"b":2}},"b":[{"a":3}]}', 'the same names on several levels'],
  ['{"a":"constructor"}', 'a forbidden name as a value'],
  ...[11, 14, 23, 24, 25, 26, 500].map((count) => [many(count), `${count} names`] as const),
  [`${'['.repeat(JSON_LIMITS.depth)}${']'.repeat(JSON_LIMITS.depth)}`, 'as deep as allowed'],
];
for (const [text, why] of kept) {
  test(`fhir-json kept as written: ${why}`, () => assert.equal(serialize(parseJson(text)), text));
}

const refused: readonly (readonly [text: string, kind: string, why: string])[] = [
  ...repeated,
  ['{"a":1,"a":2}', 'structure', 'a name twice'],
  ['{"a":1, "a" :2}', 'structure', 'a name twice, with white space'],
  ['{"a":{"b":1,"c":[{}],"b":2}}', 'structure', 'a name twice, deeper'],
  ['{"ab":1,"\\u0061b":2}', 'structure', 'a name twice, once escaped'],
  ['{"a\\u0062":1,"c":{"ab":2},"ab":3}', 'structure', 'a name twice, escaped first'],
  ['{"c":0,"\\u0061":{"c":1},"c":2}', 'structure', 'a name twice, another escaped'],
  [`{"x":1,"y":${many(40)},"x":2}`, 'structure', 'a name twice, around an object of many'],
  [`[${many(40)},{"n1":0,"n1":0}]`, 'structure', 'a name twice, after an object of many'],
  ['{"__proto__":{}}', 'structure', '__proto__'],
  ['{"\\u005f_proto__":{}}', 'structure', '__proto__, escaped'],
  ['{"a":[{"constructor":1}]}', 'structure', 'constructor'],
  ['{"prototype":1}', 'structure', 'prototype'],
  ['{"a":"\\u0000"}', 'structure', 'an escaped NUL'],
  ['{"a":"\u0000"}', 'structure', 'a NUL'],
  ['{"a":1', 'structure', 'cut off'],
  ['{a:1}', 'structure', 'a bare name'],
  ['', 'structure', 'nothing'],
  ['{"a":01}', 'structure', 'a leading zero'],
  ['{"a":1e999}', 'value', 'a number out of range'],
  [`{"a":1.${'0'.repeat(JSON_LIMITS.numberLength)}}`, 'value', 'a number of too many characters'],
  [`${'['.repeat(JSON_LIMITS.depth + 1)}${']'.repeat(JSON_LIMITS.depth + 1)}`, 'too-long', '§1.1.5 one level too deep'],
];
for (const [text, kind, why] of refused) {
  test(`fhir-json refused: ${why}`, () => {
    assert.throws(
      () => parseJson(text),
      (error) => error instanceof FhirError && error.kind === kind,
    );
  });
}

test('whatever JSON can say without odd names comes back equal; whatever text is given, only FhirErrors are thrown', () => {
  const plain = fc
    .jsonValue({ maxDepth: 5 })
    .filter((value) => !/__proto__|constructor|prototype|\\u0000|-0\b/.test(JSON.stringify(value)));
  fc.assert(
    fc.property(plain, (value) =>
      assert.deepEqual(parseJson(JSON.stringify(value)), JSON.parse(JSON.stringify(value))),
    ),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseJson(text);
      } catch (error) {
        assert.ok(error instanceof FhirError);
      }
    }),
  );
});
