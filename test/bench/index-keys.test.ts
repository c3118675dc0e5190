// What bench/sizes.ts takes for the keys of MongoDB's indexes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { indexBytes, indexKeys } from '../../bench/index-keys.ts';

const lengths = (document: object, ...paths: string[]) => indexKeys(document, paths).map(({ length }) => length);

/** One byte at the end of each. */
const CASES: readonly (readonly [name: string, found: readonly number[], expected: readonly number[]])[] = [
  ['text: type, bytes, end', lengths({ a: 'müü' }, 'a'), [8]],
  ['nothing there is one key', lengths({}, 'a'), [2]],
  ['an empty array is one key', lengths({ a: [] }, 'a'), [2]],
  ['zero', lengths({ a: 0 }, 'a'), [2]],
  ['127 doubled is one byte', lengths({ a: 127 }, 'a'), [3]],
  ['128 doubled is two', lengths({ a: 128 }, 'a'), [4]],
  ['a fraction has eight bytes more', lengths({ a: 1.5 }, 'a'), [11]],
  ['each element, the same once', lengths({ a: ['x', 'y', 'x'], r: 1 }, 'a', 'r'), [6, 6]],
  ['two members of one element', lengths({ d: [{ p: 'x', l: 1 }] }, 'd.p', 'd.l'), [6]],
];
for (const [name, found, expected] of CASES) test(`sizes@keys: ${name}`, () => assert.deepEqual(found, expected));

test('sizes@keys: what a key shares with the one before it is left out of the second number', () => {
  const keys = ['ab', 'b', 'aa'].map((text) => Buffer.from(text));
  assert.deepEqual(indexBytes(keys), { whole: 5 + 15, suffixes: 2 + 1 + 1 + 15 });
});
