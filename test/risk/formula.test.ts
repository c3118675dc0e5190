// Formulas of score files (src/risk/scores/formula.ts): arithmetic, precedence, and what is not known (NaN) under each connective.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formulaOf } from '../../src/risk/scores/formula.ts';

const NOT_KNOWN = Number.NaN;
const values = new Map([
  ['a', 2],
  ['b', 3],
  ['yes', 1],
  ['no', 0],
  ['open', NOT_KNOWN],
]);
const rows: readonly (readonly [text: string, expected: number])[] = [
  ['1 + 2 * 3', 7],
  ['(1 + 2) * 3', 9],
  ['10 - 4 - 3', 3],
  ['12 / 3 / 2', 2],
  ['-2 ^ 2', -4],
  ['2 ^ 3 ^ 2', 512],
  ['2 ^ -1', 0.5],
  ['a * b', 6],
  ['a / 0', NOT_KNOWN],
  ['a < b', 1],
  ['b <= b', 1],
  ['b < b', 0],
  ['a + 1 >= b', 1],
  ['a = b', 0],
  ['a != b', 1],
  ['open < 1', NOT_KNOWN],
  ['open + 1', NOT_KNOWN],
  ['nobody', NOT_KNOWN],
  ['yes or open', 1],
  ['no or open', NOT_KNOWN],
  ['no and open', 0],
  ['yes and open', NOT_KNOWN],
  ['not open', NOT_KNOWN],
  ['not yes', 0],
  ['no or yes and no', 0],
  ['not no and yes', 1],
  ['if(yes, a, b)', 2],
  ['if(no, a, b)', 3],
  ['if(open, a, b)', NOT_KNOWN],
  ['min(a, b)', 2],
  ['max(a, open)', NOT_KNOWN],
  ['either(open, b)', 3],
  ['known(open)', 0],
  ['known(a)', 1],
  ['atLeast(2, yes, open, yes)', 1],
  ['atLeast(2, yes, open, no)', NOT_KNOWN],
  ['atLeast(2, yes, no, no)', 0],
];
test('score-formula@values: precedence and three-valued logic', () => {
  const wrong = rows.flatMap(([text, expected]) => {
    const found = formulaOf(text).evaluate(values);
    return Object.is(found, expected) ? [] : [`${text}: ${found}, not ${expected}`];
  });
  assert.deepEqual(wrong, []);
});

const broken = [
  '',
  '1 +',
  '(1',
  '1)',
  '1 2',
  'a &',
  'eval(1)',
  'constructor(1)',
  'if(1, 2)',
  'min(1)',
  '1..2',
  'a ** b',
  '; a',
];
test('score-formula@refused: what is no formula stops the file', () => {
  for (const text of broken) assert.throws(() => formulaOf(text), /formula/, text);
});

test('score-formula@names: the names it asks for', () => {
  assert.deepEqual([...formulaOf('if(a > 1, b, min(c, 2))').names], ['a', 'b', 'c']);
});
