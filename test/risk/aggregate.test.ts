// Inputs of trained models: aggregates of a window (src/risk/features/aggregate.ts). Window (at - hours, at]; unusable readings are left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { readFeature } from '../../src/risk/features/features.ts';
import type { Aggregate, FeatureSpec } from '../../src/risk/manifest.ts';
import { AT, HOUR, iso, knowledge, measured } from './world.ts';

const spec = (aggregate: Aggregate, over: Partial<FeatureSpec> = {}): FeatureSpec => ({
  name: 'one',
  display: 'One',
  kind: 'aggregate',
  aggregate,
  codes: ['8867-4'],
  unit: '/min',
  windowHours: 24,
  range: [20, 300],
  required: false,
  ...over,
});
const pulse = (hoursBefore: number, value: number): Resource =>
  measured('8867-4', value, '/min', {
    id: `p${hoursBefore}-${value}`,
    effectiveDateTime: iso(AT - hoursBefore * HOUR),
  });
const read = (resources: readonly Resource[], one: FeatureSpec) =>
  readFeature(one, { patient: undefined, resources, at: AT }, knowledge);

const FOUR = [pulse(1, 90), pulse(23, 70), pulse(5, 120), pulse(3, 80)];
const rows: readonly (readonly [Aggregate, number])[] = [
  ['last', 90],
  ['first', 70],
  ['min', 70],
  ['max', 120],
  ['mean', 90],
  ['count', 4],
  ['sum', 360],
  ['median', 85],
  ['change', 20],
];
for (const [aggregate, wanted] of rows) {
  test(`risk-aggregate@fold ${aggregate} of 70, 120, 80, 90`, () => {
    assert.equal(read(FOUR, spec(aggregate)).value, wanted);
  });
}

test('risk-aggregate@fold sd is the sample deviation, and none for one reading; share-below leaves the limit out', () => {
  assert.equal(read([pulse(3, 60), pulse(2, 70), pulse(1, 80)], spec('sd')).value, 10);
  assert.match(read([pulse(1, 80)], spec('sd')).reason ?? '', /one instant/);
  assert.equal(read(FOUR, spec('share-below', { from: 90 })).value, 0.5);
  assert.equal(read(FOUR, spec('share-below', { from: 90 })).shown, '50 % of readings');
});

const ended: readonly (readonly [string, readonly Resource[], number])[] = [
  ['a window that ends 6 h before the instant: exactly then counts', [pulse(6, 80)], 80],
  ['later than its end: not', [pulse(5.99, 80)], Number.NaN],
  ['its beginning is still left out', [pulse(24, 80), pulse(12, 60)], 60],
];
for (const [why, resources, wanted] of ended) {
  test(`risk-aggregate@window ${why}`, () =>
    assert.equal(read(resources, spec('max', { untilHours: 6 })).value, wanted));
}

const systolic = (hoursBefore: number, value: number): Resource =>
  measured('8480-6', value, 'mm[Hg]', {
    id: `s${hoursBefore}-${value}`,
    effectiveDateTime: iso(AT - hoursBefore * HOUR),
  });
const paired: readonly (readonly [string, readonly Resource[], number])[] = [
  ['a pulse over the pressure of the same instant', [pulse(2, 100), systolic(2, 80)], 1.25],
  ['over the latest one before it', [pulse(2, 100), systolic(3, 50), systolic(2.5, 80), systolic(1.9, 200)], 1.25],
  ['over the higher of two of one instant', [pulse(2, 100), systolic(2, 50), systolic(2, 80)], 1.25],
  ['one exactly so many hours before counts', [pulse(2, 100), systolic(10, 80)], 1.25],
  ['an older one does not', [pulse(2, 100), systolic(10.01, 80)], Number.NaN],
  ['an implausible one does not', [pulse(2, 100), systolic(2, 29)], Number.NaN],
  ['the highest of the ratios', [pulse(2, 100), systolic(2, 80), pulse(1, 80), systolic(1, 160)], 1.25],
];
for (const [why, resources, wanted] of paired) {
  test(`risk-aggregate@pair ${why}`, () => {
    const pair = { codes: ['8480-6'], hours: 8, unit: 'mm[Hg]', range: [30, 300] as const };
    assert.equal(read(resources, spec('max', { pair })).value, wanted);
  });
}

test('risk-aggregate@fold trend is the least-squares slope an hour, and none for one instant', () => {
  assert.equal(read([pulse(3, 60), pulse(2, 70), pulse(1, 80)], spec('trend')).value, 10);
  assert.equal(read([pulse(3, 60), pulse(1, 100)], spec('trend')).shown, '20 /min per h');
  assert.match(read([pulse(1, 80)], spec('trend')).reason ?? '', /one instant/);
});

test('risk-aggregate@fold farthest is the value farthest from the normal one, the first of two as far', () => {
  assert.equal(read(FOUR, spec('farthest', { from: 75 })).value, 120);
  assert.equal(read([pulse(2, 30), pulse(1, 118)], spec('farthest', { from: 75 })).value, 30);
  assert.equal(read([pulse(2, 70), pulse(1, 80)], spec('farthest', { from: 75 })).value, 70);
});

const edges: readonly (readonly [string, readonly Resource[], number])[] = [
  ['at the instant: counts', [pulse(0, 80)], 80],
  ['just inside the window', [pulse(23.99, 80)], 80],
  ['exactly a window before: no more', [pulse(24, 80)], Number.NaN],
  ['after the instant: not yet', [pulse(-0.01, 80)], Number.NaN],
  ['implausible readings are left out', [pulse(1, 19.9), pulse(2, 300.1), pulse(3, 300)], 300],
  ['preliminary readings are left out', [{ ...pulse(1, 80), status: 'preliminary' }, pulse(2, 20)], 20],
  ['a reading without a readable unit is left out', [measured('8867-4', 80, 'kg'), pulse(2, 60)], 60],
];
for (const [why, resources, wanted] of edges) {
  test(`risk-aggregate@window ${why}`, () => assert.equal(read(resources, spec('max')).value, wanted));
}

test('risk-aggregate@fold the value that is one reading names it; others name the newest instant', () => {
  const highest = read(FOUR, spec('max'));
  assert.deepEqual([highest.source, highest.at], ['Observation/p5-120', AT - 5 * HOUR]);
  const mean = read(FOUR, spec('mean'));
  assert.deepEqual([mean.source, mean.at], [undefined, AT - HOUR]);
});

test('risk-aggregate@fold two models on the same resources at other instants do not share a series', () => {
  const early = readFeature(spec('last'), { patient: undefined, resources: FOUR, at: AT - 4 * HOUR }, knowledge);
  assert.deepEqual([early.value, read(FOUR, spec('last')).value], [120, 90]);
});

test('risk-aggregate@parts eyes, verbal and motor of one instant add up to a coma score; two of them do not', () => {
  const part = (code: string, value: number, hours: number): Resource =>
    measured(code, value, '{score}', { id: code + hours, effectiveDateTime: iso(AT - hours * HOUR) });
  const coma = spec('min', {
    codes: ['9269-2'],
    parts: ['9267-6', '9270-0', '9268-4'],
    unit: '{score}',
    range: [3, 15],
  });
  const whole = [part('9267-6', 3, 1), part('9270-0', 4, 1), part('9268-4', 6, 1)];
  assert.equal(read(whole, coma).value, 13);
  assert.equal(read([...whole, part('9269-2', 14, 2)], coma).value, 13);
  assert.equal(read([...whole, part('9269-2', 15, 1)], coma).value, 15);
  assert.equal(read(whole.slice(1), coma).value, Number.NaN);
});
