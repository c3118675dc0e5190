// Drift of models over simulated patients: shifted inputs, lost inputs, a change in the number of alerts alone, probabilities that no longer come true (src/risk/models/drift.ts).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { loadSchemas, readChecked } from '../../src/risk/manifest.ts';
import {
  type DriftLimits,
  type DriftState,
  driftOf,
  type Outcome,
  psiOf,
  type Reference,
  type Seen,
} from '../../src/risk/models/drift.ts';
import { outcomeOf } from '../../src/risk/models/outcomes.ts';
import { AT, HOUR, iso, knowledge, MODELS } from './world.ts';

const limits: DriftLimits = readChecked(MODELS, 'drift.json', loadSchemas(MODELS).drift);

/** Numbers in [0, 1) that are the same on every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const even = [...new Array<number>(10).fill(0.098), 0.02];
/** In the band high the first input lies in the upper half. */
const upper = [...new Array<number>(5).fill(0), ...new Array<number>(5).fill(0.196), 0.02];
const reference: Reference = {
  model: 'example',
  sha256: 'a'.repeat(64),
  rows: { high: 2000, low: 8000 },
  inputs: [
    { name: 'heavy', cuts: TENTHS, shares: { high: upper, low: even }, weight: 0.9 },
    { name: 'light', cuts: TENTHS, shares: { high: even, low: even }, weight: 0.05 },
    { name: 'flag', cuts: [1], shares: { high: [0.5, 0.5, 0], low: [0.9, 0.1, 0] }, weight: 0.05 },
  ],
};

interface Change {
  readonly patients?: number;
  readonly high?: number;
  readonly heavy?: (value: number) => number | null;
  readonly light?: (value: number) => number | null;
  /** Odds of the outcome over what the model says. */
  readonly odds?: number;
  readonly outcomes?: boolean;
}
function simulated(
  { patients = 1000, high = 0.3, heavy = (value) => value, light = heavy, odds = 1, outcomes = true }: Change,
  seed = 1,
): readonly Seen[] {
  const random = chance(seed);
  const plain = (value: number): number | null => (random() < 0.02 ? null : value);
  return Array.from({ length: patients }, (): Seen => {
    const isHigh = random() < high;
    const first = isHigh ? 0.5 + random() / 2 : random();
    const second = random();
    const [one, other] = [plain(first), plain(second)];
    const probability = isHigh ? 0.4 : 0.1;
    const real = (odds * probability) / (1 - probability + odds * probability);
    return {
      band: isHigh ? 'high' : 'low',
      vector: [
        one === null ? null : heavy(one),
        other === null ? null : light(other),
        random() < (isHigh ? 0.5 : 0.1) ? 1 : 0,
      ],
      probability,
      outcome: outcomes ? random() < real : undefined,
    };
  });
}

const same = (value: number): number => value;
const rows: readonly (readonly [
  why: string,
  change: Change,
  inputs: DriftState,
  calibration: DriftState,
  all: DriftState,
])[] = [
  ['control: patients as in training', {}, 'steady', 'steady', 'steady'],
  ['four times as many alerts, the same patients in each band', { high: 0.8 }, 'steady', 'steady', 'steady'],
  ['an input in another unit', { heavy: (value) => value * 1000, light: same }, 'alert', 'steady', 'alert'],
  [
    'an input shifted by a fifth of its range',
    { heavy: (value) => value + 0.2, light: same },
    'alert',
    'steady',
    'alert',
  ],
  ['an input that is no longer recorded', { heavy: () => null, light: same }, 'alert', 'steady', 'alert'],
  ['the same of an input that hardly counts', { light: () => null, heavy: same }, 'watch', 'steady', 'watch'],
  ['half the risk that the model says', { odds: 0.4 }, 'steady', 'alert', 'alert'],
  ['twice the risk that the model says', { odds: 2.6 }, 'steady', 'alert', 'alert'],
  ['outcomes not known yet', { odds: 2.6, outcomes: false }, 'steady', 'too-few', 'steady'],
  [
    'one patient too few for inputs',
    { patients: limits.patients - 1, heavy: () => null },
    'too-few',
    'steady',
    'steady',
  ],
  ['exactly enough', { patients: limits.patients, heavy: () => null }, 'alert', 'steady', 'alert'],
  ['one outcome too few as well', { patients: limits.outcomes - 1, odds: 9 }, 'too-few', 'too-few', 'too-few'],
  ['nobody', { patients: 0 }, 'too-few', 'too-few', 'too-few'],
];
for (const [why, change, inputs, calibration, all] of rows) {
  test(`drift@table ${why}`, () => {
    const report = driftOf(reference, simulated(change), limits);
    assert.deepEqual([report.inputs.state, report.calibration.state, report.state], [inputs, calibration, all]);
  });
}

test('drift@table fifty hospitals without drift: no alert', () => {
  const states = Array.from(
    { length: 50 },
    (_, seed) => driftOf(reference, simulated({ patients: 400 }, seed + 2), limits).state,
  );
  assert.deepEqual(
    states.filter((state) => state === 'alert'),
    [],
  );
});

test('drift@input what drifted most stands first, with its weight and what is missing', () => {
  const { inputs, bands } = driftOf(reference, simulated({ heavy: () => null, light: (value) => value / 2 }), limits);
  assert.deepEqual(
    inputs.drifted.map(({ name }) => name),
    ['heavy', 'light'],
  );
  const [first] = inputs.drifted;
  assert.deepEqual([first?.weight, first?.missing.seen], [0.9, 1]);
  assert.ok(Math.abs((first?.missing.expected ?? 0) - 0.02) < 0.001);
  assert.ok(Math.abs((bands.high ?? 0) - 0.3) < 0.05);
});

test('drift@input rows of an unknown band or of another length are left out', () => {
  const odd: readonly Seen[] = [
    { band: 'medium', vector: [0.1, 0.1, 0], probability: 0.1, outcome: false },
    { band: undefined, vector: [0.1, 0.1, 0], probability: 0.1, outcome: false },
    { band: 'low', vector: [0.1], probability: 0.1, outcome: false },
  ];
  assert.equal(driftOf(reference, odd, limits).patients, 0);
});

const indices: readonly (readonly [readonly number[], readonly number[], number])[] = [
  [[0.5, 0.5], [0.5, 0.5], 0],
  [[0.6, 0.4], [0.5, 0.5], 0.1 * Math.log(1.2) - 0.1 * Math.log(0.8)],
  [[1, 0], [0.5, 0.5], 0.5 * Math.log(2) + (0.005 - 0.5) * Math.log(0.01)],
];
for (const [seen, expected, wanted] of indices) {
  test(`drift@psi of ${seen} where ${expected} is expected; an empty bin counts as half a patient`, () =>
    assert.ok(Math.abs(psiOf(seen, expected, 100, 1000) - wanted) < 1e-9));
}

const stay = (over: object): Resource => ({
  resourceType: 'Encounter',
  id: 'e',
  status: 'in-progress',
  period: { start: iso(AT - 30 * HOUR) },
  ...over,
});
const ended = (hours: number, over: object = {}): Resource =>
  stay({ status: 'finished', period: { start: iso(AT - 30 * HOUR), end: iso(AT + hours * HOUR) }, ...over });
const person = (over: object = {}): Resource => ({ resourceType: 'Patient', id: 'p', ...over });
const sepsis = (hours: number): Resource => ({
  resourceType: 'Condition',
  id: 'c',
  code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'A41.9' }] },
  recordedDate: iso(AT + hours * HOUR),
});
const ward = stay({ location: [{ location: { display: 'Medical ICU' }, period: { start: iso(AT + 5 * HOUR) } }] });
const DEATH: Outcome = { kind: 'death-in-hospital' };
const ICU: Outcome = { kind: 'intensive-care', hours: 24 };
const SEPSIS: Outcome = { kind: 'condition', set: 'sepsis', hours: 24 };
const outcomes: readonly (readonly [
  why: string,
  outcome: Outcome,
  patient: Resource,
  resources: readonly Resource[],
  hours: number,
  wanted: boolean | undefined,
])[] = [
  ['still in hospital', DEATH, person(), [stay({})], 100, undefined],
  ['left alive', DEATH, person(), [ended(50)], 100, false],
  ['left alive, but not by then', DEATH, person(), [ended(50)], 40, undefined],
  [
    'the discharge says expired',
    DEATH,
    person(),
    [
      ended(50, {
        hospitalization: {
          dischargeDisposition: {
            coding: [{ system: 'http://terminology.hl7.org/CodeSystem/discharge-disposition', code: 'exp' }],
          },
        },
      }),
    ],
    100,
    true,
  ],
  ['died before the end of the stay', DEATH, person({ deceasedDateTime: iso(AT + 49 * HOUR) }), [ended(50)], 100, true],
  ['died weeks later', DEATH, person({ deceasedDateTime: iso(AT + 500 * HOUR) }), [ended(50)], 600, false],
  ['died, it is not said when', DEATH, person({ deceasedBoolean: true }), [ended(50)], 100, undefined],
  ['no stay at that time', DEATH, person(), [], 100, undefined],
  ['intensive care 5 h later', ICU, person(), [ward], 30, true],
  ['in a ward, a day later', ICU, person(), [stay({})], 24, false],
  ['in a ward, not a day later', ICU, person(), [stay({})], 23, undefined],
  ['sepsis recorded 20 h later', SEPSIS, person(), [sepsis(20)], 30, true],
  ['sepsis recorded 25 h later', SEPSIS, person(), [sepsis(25)], 30, false],
  ['nothing recorded yet', SEPSIS, person(), [], 10, undefined],
];
for (const [why, outcome, patient, resources, hours, wanted] of outcomes) {
  test(`drift@outcome ${outcome.kind}, ${why}`, () => {
    assert.equal(outcomeOf(outcome, { patient, resources, at: AT }, AT + hours * HOUR, knowledge.vocabulary), wanted);
  });
}
