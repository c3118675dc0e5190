// NEWS2 (RCP 2017), qSOFA (Singer 2016), SIRS (Bone 1992), ESI v4 danger zone (AHRQ 12-0014): both sides of every boundary,
// asked of the ONNX graphs and of the stand-ins. Bands are inclusive at both ends on values rounded to the chart's precision.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { openRunner, type Runner } from '../../src/risk/models/session.ts';
import { fallbackOutputs } from '../../src/risk/scores/stand-ins.ts';
import { bytesOf, manifestOf } from './world.ts';

const MODELS = ['news2', 'qsofa', 'sirs', 'triage-vitals'] as const;
type Model = (typeof MODELS)[number];
const runners = new Map<Model, Runner>();
before(async () => {
  for (const id of MODELS) {
    const { input, features, outputs } = manifestOf(id);
    const contract = {
      input: { tensor: input.tensor, width: features.length },
      outputs: outputs.map(({ tensor, columns }) => ({ tensor, width: columns.length })),
    };
    runners.set(id, await openRunner(bytesOf(id), contract));
  }
});
after(() => Promise.all([...runners.values()].map((runner) => runner.close())));

/** Outputs of the graph, after asserting that the stand-in gives the same. */
async function both(id: Model, vector: readonly number[]): Promise<Readonly<Record<string, readonly number[]>>> {
  const runner = runners.get(id);
  assert.ok(runner !== undefined);
  const graph = await runner.run(Float32Array.from(vector));
  assert.deepEqual(graph, fallbackOutputs(id, vector), `${id} ${vector.join(' ')}`);
  return graph;
}

/** A vector that is normal but for the named inputs. */
function vectorOf(id: Model, normal: Readonly<Record<string, number>>, over: Readonly<Record<string, number>>) {
  return manifestOf(id).features.map(({ name }) => over[name] ?? normal[name] ?? Number.NaN);
}
const NORMAL = {
  respiratoryRate: 16,
  spo2: 98,
  spo2Scale: 1,
  oxygen: 0,
  systolicBloodPressure: 120,
  pulse: 70,
  consciousness: 0,
  temperature: 37,
  leukocytes: 8,
  ageMonths: 480,
  ageDays: 14_600,
  pain: 0,
  complaint: 0,
};

type Row = readonly [input: string, value: number, points: number, also?: Readonly<Record<string, number>>];
const SCALE_2_AIR = { spo2Scale: 2 };
const SCALE_2_OXYGEN = { spo2Scale: 2, oxygen: 1 };
const news2Rows: readonly Row[] = [
  ['respiratoryRate', 12, 0],
  ['respiratoryRate', 3, 3],
  ['respiratoryRate', 8, 3],
  ['respiratoryRate', 9, 1],
  ['respiratoryRate', 11, 1],
  ['respiratoryRate', 20, 0],
  ['respiratoryRate', 21, 2],
  ['respiratoryRate', 24, 2],
  ['respiratoryRate', 25, 3],
  ['respiratoryRate', 80, 3],
  ['spo2', 40, 3],
  ['spo2', 91, 3],
  ['spo2', 92, 2],
  ['spo2', 93, 2],
  ['spo2', 94, 1],
  ['spo2', 95, 1],
  ['spo2', 96, 0],
  ['spo2', 100, 0],
  ...[
    [83, 3],
    [84, 2],
    [85, 2],
    [86, 1],
    [87, 1],
    [88, 0],
    [92, 0],
  ].flatMap(([value = 0, points = 0]): readonly Row[] => [
    ['spo2', value, points, SCALE_2_AIR],
    ['spo2', value, points, SCALE_2_OXYGEN],
  ]),
  ['spo2', 93, 0, SCALE_2_AIR],
  ['spo2', 97, 0, SCALE_2_AIR],
  ['spo2', 93, 1, SCALE_2_OXYGEN],
  ['spo2', 94, 1, SCALE_2_OXYGEN],
  ['spo2', 95, 2, SCALE_2_OXYGEN],
  ['spo2', 96, 2, SCALE_2_OXYGEN],
  ['spo2', 97, 3, SCALE_2_OXYGEN],
  ['spo2', 100, 3, SCALE_2_OXYGEN],
  ['oxygen', 0, 0],
  ['oxygen', 1, 2],
  ['systolicBloodPressure', 30, 3],
  ['systolicBloodPressure', 90, 3],
  ['systolicBloodPressure', 91, 2],
  ['systolicBloodPressure', 100, 2],
  ['systolicBloodPressure', 101, 1],
  ['systolicBloodPressure', 110, 1],
  ['systolicBloodPressure', 111, 0],
  ['systolicBloodPressure', 219, 0],
  ['systolicBloodPressure', 220, 3],
  ['pulse', 40, 3],
  ['pulse', 41, 1],
  ['pulse', 50, 1],
  ['pulse', 51, 0],
  ['pulse', 90, 0],
  ['pulse', 91, 1],
  ['pulse', 110, 1],
  ['pulse', 111, 2],
  ['pulse', 130, 2],
  ['pulse', 131, 3],
  ['consciousness', 0, 0],
  ['consciousness', 1, 3],
  ['consciousness', 2, 3],
  ['consciousness', 3, 3],
  ['consciousness', 4, 3],
  ['temperature', 35.0, 3],
  ['temperature', 35.1, 1],
  ['temperature', 36.0, 1],
  ['temperature', 36.1, 0],
  ['temperature', 38.0, 0],
  ['temperature', 38.1, 1],
  ['temperature', 39.0, 1],
  ['temperature', 39.1, 2],
];
for (const [input, value, points, also = {}] of news2Rows) {
  test(`news2@chart-1 ${input} ${value} ${JSON.stringify(also)} scores ${points}`, async () => {
    const columns = manifestOf('news2').outputs.find(({ tensor }) => tensor === 'points')?.columns ?? [];
    const outputs = await both('news2', vectorOf('news2', NORMAL, { ...also, [input]: value }));
    assert.equal(outputs.points?.[columns.indexOf(input)], points);
    assert.deepEqual(outputs.missing, [0]);
    const oxygen = input === 'oxygen' ? 0 : 2 * ('oxygen' in also ? (also.oxygen ?? 0) : 0);
    assert.deepEqual(outputs.total, [points + oxygen]);
    assert.deepEqual(outputs.threes, [points === 3 ? 1 : 0]);
  });
}

const criteria: readonly (readonly [model: Model, over: Readonly<Record<string, number>>, total: number])[] = [
  ['qsofa', {}, 0],
  ['qsofa', { respiratoryRate: 21 }, 0],
  ['qsofa', { respiratoryRate: 22 }, 1],
  ['qsofa', { systolicBloodPressure: 101 }, 0],
  ['qsofa', { systolicBloodPressure: 100 }, 1],
  ['qsofa', { consciousness: 1 }, 1],
  ['qsofa', { respiratoryRate: 22, systolicBloodPressure: 100, consciousness: 4 }, 3],
  ['sirs', {}, 0],
  ['sirs', { temperature: 38.0 }, 0],
  ['sirs', { temperature: 38.1 }, 1],
  ['sirs', { temperature: 36.0 }, 0],
  ['sirs', { temperature: 35.9 }, 1],
  ['sirs', { pulse: 90 }, 0],
  ['sirs', { pulse: 91 }, 1],
  ['sirs', { respiratoryRate: 20 }, 0],
  ['sirs', { respiratoryRate: 21 }, 1],
  ['sirs', { paco2: 32 }, 0],
  ['sirs', { paco2: 31.9 }, 1],
  ['sirs', { paco2: 31.9, respiratoryRate: 21 }, 1],
  ['sirs', { leukocytes: 12 }, 0],
  ['sirs', { leukocytes: 12.1 }, 1],
  ['sirs', { leukocytes: 4 }, 0],
  ['sirs', { leukocytes: 3.9 }, 1],
  ['sirs', { bandNeutrophils: 10 }, 0],
  ['sirs', { bandNeutrophils: 10.1 }, 1],
  ['sirs', { bandNeutrophils: 10.1, leukocytes: 12.1 }, 1],
  ['sirs', { temperature: 38.1, pulse: 91, respiratoryRate: 21, leukocytes: 12.1 }, 4],
];
for (const [model, over, total] of criteria) {
  test(`${model}@criteria ${JSON.stringify(over)} totals ${total}`, async () => {
    const outputs = await both(model, vectorOf(model, NORMAL, over));
    assert.deepEqual(outputs.total, [total]);
    assert.deepEqual(outputs.missing, [0]);
    assert.equal(
      (outputs.points ?? []).reduce((sum, one) => sum + one, 0),
      total,
      'points add up to the total',
    );
  });
}

const sirsOpen: readonly (readonly [over: Readonly<Record<string, number>>, missing: number, total: number])[] = [
  [{ respiratoryRate: Number.NaN }, 1, 0],
  [{ respiratoryRate: Number.NaN, paco2: 40 }, 1, 0],
  [{ respiratoryRate: Number.NaN, paco2: 30 }, 0, 1],
  [{ leukocytes: Number.NaN, bandNeutrophils: 5 }, 1, 0],
  [{ leukocytes: Number.NaN, bandNeutrophils: 12 }, 0, 1],
];
for (const [over, missing, total] of sirsOpen) {
  test(`sirs@alternatives ${JSON.stringify(Object.keys(over))} leaves ${missing} open`, async () => {
    const outputs = await both('sirs', vectorOf('sirs', NORMAL, over));
    assert.deepEqual([outputs.missing, outputs.total], [[missing], [total]]);
  });
}

const DECISIONS = ['level1', 'level2', 'considerLevel2', 'level3', 'level4', 'level5', 'level3to5'];
async function triage(over: Readonly<Record<string, number>>) {
  const outputs = await both('triage-vitals', vectorOf('triage-vitals', NORMAL, over));
  const index = outputs.decision?.indexOf(1) ?? -1;
  return { decision: DECISIONS[index], level: outputs.level?.[0], danger: outputs.dangerZone?.[0] };
}
const dangerRows: readonly (readonly [months: number, input: string, value: number, danger: 0 | 1])[] = [
  [0, 'pulse', 180, 0],
  [2, 'pulse', 181, 1],
  [2, 'respiratoryRate', 50, 0],
  [2, 'respiratoryRate', 51, 1],
  [3, 'pulse', 160, 0],
  [3, 'pulse', 161, 1],
  [35, 'pulse', 160, 0],
  [35, 'respiratoryRate', 40, 0],
  [35, 'respiratoryRate', 41, 1],
  [36, 'pulse', 140, 0],
  [36, 'pulse', 141, 1],
  [95, 'pulse', 140, 0],
  [95, 'respiratoryRate', 30, 0],
  [95, 'respiratoryRate', 31, 1],
  [96, 'pulse', 100, 0],
  [96, 'pulse', 101, 1],
  [480, 'respiratoryRate', 20, 0],
  [480, 'respiratoryRate', 21, 1],
  [2, 'spo2', 92, 0],
  [2, 'spo2', 91, 1],
  [480, 'spo2', 92, 0],
  [480, 'spo2', 91, 1],
  [480, 'spo2', 90, 1],
];
for (const [ageMonths, input, value, danger] of dangerRows) {
  test(`esi-v4@danger-zone ${ageMonths} months, ${input} ${value}: ${danger}`, async () => {
    const found = await triage({ ageMonths, ageDays: ageMonths * 30, expectedResources: 2, [input]: value });
    assert.equal(found.danger, danger);
    assert.deepEqual([found.decision, found.level], danger === 1 ? ['considerLevel2', 2] : ['level3', 3]);
  });
}

const esiRows: readonly (readonly [over: Readonly<Record<string, number>>, decision: string | undefined])[] = [
  [{}, 'level3to5'],
  [{ expectedResources: 0 }, 'level5'],
  [{ expectedResources: 1 }, 'level4'],
  [{ expectedResources: 2 }, 'level3'],
  [{ expectedResources: 7 }, 'level3'],
  [{ expectedResources: 1, pulse: 120 }, 'level4'],
  [{ pulse: 120 }, 'considerLevel2'],
  [{ spo2: 90 }, 'considerLevel2'],
  [{ spo2: 89 }, 'level1'],
  [{ consciousness: 1 }, 'level2'],
  [{ consciousness: 2 }, 'level2'],
  [{ consciousness: 3 }, 'level1'],
  [{ consciousness: 4 }, 'level1'],
  [{ pain: 6 }, 'level3to5'],
  [{ pain: 7 }, 'level2'],
  [{ complaint: 1 }, 'level2'],
  [{ complaint: 2 }, 'level1'],
  [{ ageMonths: 0, ageDays: 28, temperature: 38.0, pulse: 150 }, 'level3to5'],
  [{ ageMonths: 0, ageDays: 28, temperature: 38.1, pulse: 150 }, 'level2'],
  [{ ageMonths: 0, ageDays: 29, temperature: 38.1, pulse: 150 }, 'considerLevel2'],
  [{ ageMonths: 2, ageDays: 80, temperature: 38.1, expectedResources: 0 }, 'considerLevel2'],
  [{ ageMonths: 3, ageDays: 95, temperature: 38.1, pulse: 150 }, 'level3to5'],
  [{ ageMonths: 2, ageDays: 80, temperature: Number.NaN }, undefined],
  [{ temperature: Number.NaN }, 'level3to5'],
  [{ pain: Number.NaN, expectedResources: 2 }, undefined],
  [{ complaint: Number.NaN, expectedResources: 0 }, undefined],
  [{ pain: Number.NaN, pulse: 101 }, 'considerLevel2'],
  [{ ageMonths: Number.NaN, ageDays: Number.NaN, pulse: 200 }, undefined],
];
for (const [over, decision] of esiRows) {
  test(`esi-v4@decision ${JSON.stringify(over)} is ${decision ?? 'not determinable'}`, async () => {
    assert.equal((await triage(over)).decision, decision);
  });
}

const maybe = (arbitrary: fc.Arbitrary<number>) => fc.oneof({ weight: 5, arbitrary }, fc.constant(Number.NaN));
const whole = (min: number, max: number) => maybe(fc.integer({ min, max }));
const tenths = (min: number, max: number) => maybe(fc.integer({ min: min * 10, max: max * 10 }).map((n) => n / 10));
const VECTORS = {
  news2: fc.tuple(
    whole(3, 80),
    whole(40, 100),
    fc.constantFrom(1, 2),
    whole(0, 1),
    whole(30, 300),
    whole(20, 300),
    whole(0, 4),
    tenths(24, 44),
  ),
  qsofa: fc.tuple(whole(3, 80), whole(30, 300), whole(0, 4)),
  sirs: fc.tuple(tenths(24, 44), whole(20, 300), whole(3, 80), tenths(8, 200), tenths(0, 50), tenths(0, 100)),
  'triage-vitals': fc.tuple(
    whole(0, 110),
    whole(0, 60),
    whole(60, 200),
    whole(10, 60),
    whole(85, 100),
    tenths(36, 40),
    whole(0, 4),
    whole(0, 10),
    whole(0, 2),
    whole(0, 3),
  ),
} as const satisfies Record<Model, fc.Arbitrary<readonly number[]>>;
for (const id of MODELS) {
  test(`${id}: the graph and the stand-in agree on any vector`, async () => {
    const vectors: fc.Arbitrary<readonly number[]> = VECTORS[id];
    await fc.assert(
      fc.asyncProperty(vectors, async (vector) => {
        const { missing } = await both(id, vector);
        assert.ok((missing?.[0] ?? -1) >= 0);
      }),
      { numRuns: 1500, seed: 20_260_301 },
    );
  });
}
test('news2: the graph and the stand-in agree on a grid of saturation, scale and oxygen', async () => {
  for (let spo2 = 40; spo2 <= 100; spo2++) {
    for (const spo2Scale of [1, 2]) {
      for (const oxygen of [0, 1, Number.NaN])
        await both('news2', vectorOf('news2', NORMAL, { spo2, spo2Scale, oxygen }));
    }
  }
});
