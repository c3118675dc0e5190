// search.html#number (implicit precision) and ucum.org (conversion). Values are to 12 significant digits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalQuantity, convertUnit, nextBelow, preciseNumber } from '../../src/fhir/quantity.ts';

const numbers: readonly [text: string, value: number, low: number, high: number][] = [
  ['100', 100, 99.5, 100.5],
  ['100.00', 100, 99.995, 100.005],
  ['1e2', 100, 95, 105],
  ['1.0e2', 100, 99.5, 100.5],
  ['5.4', 5.4, 5.35, 5.45],
  ['-5.4', -5.4, -5.45, -5.35],
  ['0', 0, -0.5, 0.5],
  ['-0', 0, -0.5, 0.5],
  ['0.1', 0.1, 0.05, 0.15],
  ['+3', 3, 2.5, 3.5],
];
test('fhir-r4@search-number: implicit precision, bounds exact in decimal', () => {
  for (const [text, value, low, high] of numbers) assert.deepEqual(preciseNumber(text), { value, low, high }, text);
});
test('fhir-r4@search-number: what is no number', () => {
  const refused = [
    '',
    '.5',
    '5.',
    '1,5',
    '0x10',
    'NaN',
    'Infinity',
    '1e301',
    '1e-301',
    '1e9999',
    '--1',
    ' 1',
    '1 ',
    '9'.repeat(41),
  ];
  assert.deepEqual(
    refused.filter((text) => preciseNumber(text) !== undefined),
    [],
  );
  assert.ok(preciseNumber('9'.repeat(40)), 'control: forty digits');
});

const conversions: readonly [value: number, from: string, to: string, expected: number | undefined, why: string][] = [
  [100, 'mg/dL', 'g/L', 1, 'mass concentration'],
  [1, 'g/L', 'mg/dL', 100, 'and back'],
  [120, 'mm[Hg]', 'kPa', 15.99864, 'pressure'],
  [37, 'Cel', '[degF]', 98.6, 'shifted scales'],
  [98.6, '[degF]', 'Cel', 37, 'and back'],
  [0, 'Cel', 'K', 273.15, 'to base'],
  [5.4, 'mmol/L', 'umol/L', 5400, 'amount concentration'],
  [60, '/min', 'Hz', 1, 'rate'],
  [60, '{beats}/min', '/min', 60, 'annotations have no meaning'],
  [1, 'wk', 'd', 7, 'time'],
  [1, '10*9/L', '10*3/uL', 1, 'counts'],
  [50, '%', '1', 0.5, 'percent'],
  [1, '[lb_av]', 'kg', 0.45359237, 'pound'],
  [24, 'mg/(24.h)', 'mg/h', 1, 'parentheses'],
  [1, 'mmol/L', 'mg/dL', undefined, 'amount is not mass'],
  [1, 'kg', 'm', undefined, 'other dimension'],
  [1, '[IU]/L', '[IU]/mL', undefined, 'arbitrary units convert to nothing'],
  [3, '[IU]/L', '[IU]/L', 3, 'and equal themselves'],
  [7, '[pH]', 'mol/L', undefined, 'logarithmic'],
  [1, 'mmHg', 'kPa', undefined, 'not a UCUM code'],
  [2, 'apples', 'apples', 2, 'equal texts need no knowledge'],
];
test('ucum: conversions', () => {
  for (const [value, from, to, expected, why] of conversions) {
    assert.equal(convertUnit(value, from, to), expected, `${value} ${from} -> ${to}: ${why}`);
  }
});

test('ucum: no text throws, prints or finds what tables inherit', (context) => {
  const printed = context.mock.method(console, 'log', () => undefined);
  const code = fc.string({ unit: fc.constantFrom(...'mgLdKPaHz[]{}()/.*%0129-+\'"^e'), maxLength: 24 });
  fc.assert(
    fc.property(
      fc.oneof(code, fc.string({ unit: 'binary' }), fc.constantFrom('toString', '__proto__', 'constructor')),
      (text) => {
        const found = canonicalQuantity(1, text);
        assert.ok(found === undefined || Number.isFinite(found.value));
      },
    ),
    { numRuns: 2000 },
  );
  assert.equal(canonicalQuantity(1, 'toString'), undefined);
  assert.equal(printed.mock.callCount(), 0);
});

test('the largest double below', () => {
  assert.equal(nextBelow(1), 1 - Number.EPSILON / 2);
  assert.equal(nextBelow(0), -Number.MIN_VALUE);
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300 }), (value) => nextBelow(value) < value),
  );
});
