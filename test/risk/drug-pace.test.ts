// The drug check in steps: pauses, a deadline and ceilings, each said. docs/decisions/0035-hazards-and-quiet.md
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { eachOf, type Pace, runAtOnce, runPaced, type Steps, sorted } from '../../src/risk/drugs/pace.ts';
import { AT, active, draft, named, safety } from './drug-world.ts';

const NAMES = ['clarithromycin', 'amiodarone', 'haloperidol', 'ondansetron', 'warfarin', 'ibuprofen', 'simvastatin'];
const nameAt = (index: number) => named(NAMES[index % NAMES.length] ?? '');
const drafts = (count: number) => Array.from({ length: count }, (_, index) => draft(nameAt(index), `d${index}`));
const current = (count: number) => Array.from({ length: count }, (_, index) => active(nameAt(index), `a${index}`));

/** A clock on which each look takes a millisecond. */
function slow(until: number): Pace & { readonly pauses: () => number } {
  let now = 0;
  let pauses = 0;
  return {
    now: () => ++now,
    until,
    pause: async () => {
      pauses++;
    },
    pauses: () => pauses,
  };
}
async function paced(orders: readonly Resource[], context: readonly Resource[], pace: Pace) {
  const found = await safety.checkPaced?.(orders, context, AT, pace);
  assert.ok(found !== undefined);
  return found;
}

test('pace@same: in steps it finds what it finds at once', async () => {
  const pace = slow(Number.POSITIVE_INFINITY);
  assert.deepEqual(await paced(drafts(8), current(30), pace), safety.check(drafts(8), current(30), AT));
  assert.ok(pace.pauses() > 0, 'others have their turn');
});

test('pace@deadline: what time left unchecked is named, and the rest was checked', async () => {
  const all = drafts(12);
  const whole = safety.check(all, current(20), AT);
  const { findings, late = [] } = await paced(all, current(20), slow(10));
  assert.ok(late.length > 0 && late.length < 12, `${late.length}`);
  const sources = new Set(late.map(({ source }) => source));
  const checked = whole.findings.filter(({ draft: about }) => !sources.has(about.source));
  assert.ok(checked.length > 0);
  assert.deepEqual(
    findings.map(({ key, draft: about }) => `${key} ${about.source}`),
    checked.map(({ key, draft: about }) => `${key} ${about.source}`),
  );
});

test('pace@deadline: without any time everything is late, and nothing is found', async () => {
  const { findings, late = [] } = await paced(drafts(3), current(3), slow(0));
  assert.deepEqual(
    [findings, late.map(({ source }) => source)],
    [[], ['MedicationRequest/d0', 'MedicationRequest/d1', 'MedicationRequest/d2']],
  );
});

const ceilings: readonly [orders: number, taken: number, late: number, beyond: number, why: string][] = [
  [100, 1, 0, 0, 'at the ceiling of orders'],
  [101, 1, 1, 0, 'above it by one'],
  [1, 500, 0, 0, 'at the ceiling of current drugs'],
  [1, 501, 0, 1, 'above it by one'],
];
for (const [orders, taken, late, beyond, why] of ceilings) {
  test(`pace@ceiling ${orders} orders beside ${taken} drugs: ${why}`, () => {
    const ordered = Array.from({ length: orders }, (_, index) => draft(named('acetaminophen'), `d${index}`));
    const found = safety.check(ordered, current(taken), AT);
    assert.deepEqual([found.late?.length ?? 0, found.beyond ?? 0], [late, beyond]);
  });
}

test('pace@alternatives: with up to 20 orders in a call, and not with more', () => {
  const beside = (count: number) => [
    draft(named('clarithromycin'), 'd'),
    ...Array.from({ length: count - 1 }, (_, index) => draft(named('folic acid'), `f${index}`)),
  ];
  const offered = (count: number) =>
    safety
      .check(beside(count), [active(named('simvastatin'))], AT)
      .findings.some(({ alternatives = [] }) => alternatives.length > 0);
  assert.deepEqual([offered(20), offered(21)], [true, false]);
});

test('pace@steps: the steps decide when they are told to stop', async () => {
  function* counting(): Steps<number> {
    let count = 0;
    while (count < 5 && (yield)) count++;
    return count;
  }
  assert.equal(runAtOnce(counting()), 5);
  assert.equal(
    await runPaced(counting(), slow(3)),
    1,
    'two looks a step: the first is at 2 and 3, the second too late',
  );
});

/** The work of each step, as `work` counts it. */
function stepsOf<T>(steps: Steps<T>, work: () => number): { readonly result: T; readonly most: number } {
  let most = 0;
  let before = work();
  for (;;) {
    const step = steps.next(true);
    most = Math.max(most, work() - before);
    before = work();
    if (step.done === true) return { result: step.value, most };
  }
}

for (const count of [0, 1, 199, 200, 201, 1000, 4321]) {
  test(`pace@list ${count} elements: each is looked at once and in turn, at most 200 in a step`, () => {
    const all = Array.from({ length: count }, (_, index) => index);
    const seen: number[] = [];
    const { most } = stepsOf(
      eachOf(all, (one, index) => seen.push(one + index)),
      () => seen.length,
    );
    assert.deepEqual(
      seen,
      all.map((one) => 2 * one),
    );
    assert.ok(most <= 200, `${most}`);
  });

  test(`pace@sorted ${count} elements: as toSorted, equals in their order, in steps that do not grow with the list`, () => {
    const all = Array.from({ length: count }, (_, index) => ({ key: (index * 7919) % 97, index }));
    let compared = 0;
    const compare = (one: { readonly key: number }, other: { readonly key: number }): number => {
      compared++;
      return one.key - other.key;
    };
    const { result, most } = stepsOf(sorted(all, compare), () => compared);
    assert.deepEqual(
      result,
      all.toSorted((one, other) => one.key - other.key),
    );
    assert.ok(most <= 2000, `${most}`);
  });
}

test('pace@findings: each fact is told once and most severe first, however many there are', async () => {
  const pace = slow(Number.POSITIVE_INFINITY);
  const { findings, late } = await paced(drafts(60), current(200), pace);
  assert.ok(findings.length > 200 && late === undefined, `${findings.length}`);
  assert.deepEqual(findings, safety.check(drafts(60), current(200), AT).findings);
  const places = findings.map(({ severity }) => ['contraindicated', 'major', 'moderate', 'low'].indexOf(severity));
  assert.deepEqual(
    places,
    places.toSorted((one, other) => one - other),
  );
});
