// From resources to an Assessment: missing inputs, lower bounds, populations, whole scenarios. RCP 2017; AHRQ 12-0014; conventions in docs/models.md.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { bandOf } from '../../src/risk/assess.ts';
import type { Assessment } from '../../src/risk/assessment.ts';
import { type LoadedModels, loadModels } from '../../src/risk/models/models.ts';
import {
  AT,
  acvpu,
  bloodPressure,
  born,
  HOUR,
  iso,
  MODELS,
  manifestOf,
  measured,
  NEVER,
  observation,
  roomAir,
  saturationGoal,
  snomed,
  visit,
} from './world.ts';

let models: LoadedModels;
before(async () => {
  models = await loadModels(MODELS, { now: () => AT, mode: 'inline' });
});
after(() => models.close());

const ADULT = born('1960-05-05');
const CHILD = born('2024-01-10');
const score = (
  id: string,
  resources: readonly Resource[],
  patient: Resource | undefined = ADULT,
): Promise<Assessment> => models.assess(id, { patient, resources, at: AT }, NEVER);

interface Vitals {
  readonly rate: number;
  readonly spo2: number;
  readonly pulse: number;
  readonly temperature: number;
}
const vitals = ({ rate, spo2, pulse, temperature }: Vitals): readonly Resource[] => [
  measured('9279-1', rate, '/min'),
  measured('59408-5', spo2, '%'),
  measured('8867-4', pulse, '/min'),
  measured('8310-5', temperature, 'Cel'),
];
const pain = (valueInteger: number) => observation('72514-3', { valueInteger });
const WELL = [
  ...vitals({ rate: 16, spo2: 98, pulse: 72, temperature: 36.8 }),
  bloodPressure(124),
  acvpu('A'),
  roomAir(),
];

test('every model answers by ONNX, and its card is complete', () => {
  const status = new Map(models.status().map(({ id, ready }) => [id, ready]));
  assert.deepEqual(
    [...status].filter(([, ready]) => !ready),
    [],
  );
  for (const id of ['news2', 'qsofa', 'sirs', 'triage-vitals']) assert.equal(status.get(id), true, id);
  assert.equal(models.cards.get('news2|1.0.0')?.attributes.length, 31);
});

test('scenario: early sepsis', async () => {
  const resources = [
    ...vitals({ rate: 24, spo2: 94, pulse: 112, temperature: 38.6 }),
    bloodPressure(98),
    acvpu('C'),
    roomAir(),
    measured('6690-2', 15.1, '10*9/L'),
  ];
  const news2 = await score('news2', resources);
  assert.deepEqual(
    [news2.answeredBy, news2.outputs.total, news2.band, news2.atLeast, news2.missing],
    ['model', 11, 'high', false, []],
  );
  assert.deepEqual(
    news2.used.map(({ name, value, points }) => [name, value, points]),
    [
      ['respiratoryRate', 24, 2],
      ['spo2', 94, 1],
      ['spo2Scale', '1 (no target of 88-92 % recorded)', undefined],
      ['oxygen', 'room air', 0],
      ['systolicBloodPressure', 98, 2],
      ['pulse', 112, 2],
      ['consciousness', 'C', 3],
      ['temperature', 38.6, 1],
    ],
  );
  const [rate] = news2.used;
  assert.deepEqual([rate?.unit, rate?.at, rate?.source], ['/min', AT - HOUR, 'Observation/o9279-1']);
  assert.deepEqual(
    [(await score('qsofa', resources)).outputs.total, (await score('sirs', resources)).outputs.total],
    [3, 4],
  );
});

test('scenario: COPD with a recorded target is judged on scale 2, without it on scale 1', async () => {
  const copd: Resource = { resourceType: 'Condition', id: 'copd', code: snomed('13645005') };
  const resources = [
    ...vitals({ rate: 20, spo2: 89, pulse: 88, temperature: 37 }),
    bloodPressure(130),
    acvpu('A'),
    measured('3151-8', 1, 'L/min'),
    copd,
  ];
  const scale2 = await score('news2', [...resources, saturationGoal(88, 92)]);
  assert.deepEqual([scale2.outputs.total, scale2.band], [2, 'low']);
  const scale1 = await score('news2', resources);
  assert.deepEqual([scale1.outputs.total, scale1.band], [5, 'medium']);
});

test('scenario: stable control', async () => {
  const news2 = await score('news2', WELL);
  assert.deepEqual([news2.outputs.total, news2.band], [0, 'low']);
  assert.equal((await score('qsofa', WELL)).band, 'negative');
  const triage = await score('triage-vitals', [...WELL, pain(2), visit('sore throat')]);
  assert.deepEqual([triage.band, triage.outputs.level], ['level-3-to-5', 0]);
});

test('scenario: child: adult scores are not run, triage uses the limits of the age', async () => {
  const resources = [
    ...vitals({ rate: 44, spo2: 96, pulse: 150, temperature: 38.4 }),
    acvpu('A'),
    pain(2),
    visit('cough'),
  ];
  for (const id of ['news2', 'qsofa', 'sirs']) {
    const { outputs, band, used, outsidePopulation } = await score(id, resources, CHILD);
    assert.deepEqual([outputs, band, used], [{}, undefined, []]);
    assert.match(outsidePopulation ?? '', /younger than 1[68] years/);
  }
  const triage = await score('triage-vitals', resources, CHILD);
  assert.deepEqual([triage.band, triage.outputs.level, triage.outsidePopulation], ['consider-level-2', 2, undefined]);
});

test('esi-v4: expected resources decide between 3, 4 and 5', async () => {
  const base = [...WELL, pain(2), visit('sore throat')];
  const bands: (string | undefined)[] = [];
  for (const count of [0, 1, 2]) {
    const expected: Resource = {
      resourceType: 'Observation',
      id: 'expected',
      status: 'final',
      code: { coding: [{ system: 'urn:firewatch:triage', code: 'expected-resources' }] },
      effectiveDateTime: iso(AT - HOUR),
      valueInteger: count,
    };
    bands.push((await score('triage-vitals', [...base, expected])).band);
  }
  assert.deepEqual(bands, ['level-5', 'level-4', 'level-3']);
});

const populations: readonly (readonly [
  why: string,
  id: string,
  patient: Resource | undefined,
  extra: readonly Resource[],
  outside: RegExp | undefined,
])[] = [
  ['16 today', 'news2', born('2010-03-01'), [], undefined],
  ['16 tomorrow', 'news2', born('2010-03-02'), [], /younger than 16/],
  ['18 today', 'qsofa', born('2008-03-01'), [], undefined],
  ['18 tomorrow', 'qsofa', born('2008-03-02'), [], /younger than 18/],
  ['year alone, both sides of the limit', 'news2', born('2010'), [], /age is not certain/],
  ['no birth date', 'news2', { resourceType: 'Patient' }, [], /age is not certain/],
  ['pregnant Condition', 'news2', ADULT, [{ resourceType: 'Condition', code: snomed('77386006') }], /pregnant/],
  [
    'ended pregnancy',
    'news2',
    ADULT,
    [
      {
        resourceType: 'Condition',
        code: snomed('77386006'),
        clinicalStatus: { coding: [{ system: 'x', code: 'resolved' }] },
      },
    ],
    undefined,
  ],
  [
    'pregnancy status',
    'news2',
    ADULT,
    [observation('82810-3', { valueCodeableConcept: snomed('77386006') })],
    /pregnant/,
  ],
  ['not pregnant', 'news2', ADULT, [observation('82810-3', { valueCodeableConcept: snomed('60001007') })], undefined],
  [
    'pregnancy does not exclude from qSOFA',
    'qsofa',
    ADULT,
    [observation('82810-3', { valueCodeableConcept: snomed('77386006') })],
    undefined,
  ],
];
for (const [why, id, patient, extra, outside] of populations) {
  test(`population of ${id}: ${why}`, async () => {
    const found = (await models.assess(id, { patient, resources: [...WELL, ...extra], at: AT }, NEVER))
      .outsidePopulation;
    if (outside === undefined) assert.equal(found, undefined);
    else assert.match(found ?? '', outside);
  });
}
test('no Patient at all: adult scores are not run', async () => {
  const found = await models.assess('news2', { patient: undefined, resources: WELL, at: AT }, NEVER);
  assert.match(found.outsidePopulation ?? '', /age is not certain/);
});

const without = (...codes: readonly string[]) => WELL.filter(({ id }) => !codes.includes(id ?? ''));
const lowerBounds: readonly (readonly [
  why: string,
  id: string,
  resources: readonly Resource[],
  total: number | undefined,
  band: string | undefined,
  missing: readonly string[],
])[] = [
  ['0 of 6 known parameters is not "low"', 'news2', without('air'), 0, undefined, ['oxygen']],
  [
    'a parameter that scores 3 is low-medium at least',
    'news2',
    [measured('9279-1', 25, '/min')],
    3,
    'low-medium',
    ['spo2', 'oxygen', 'systolicBloodPressure', 'pulse', 'consciousness', 'temperature'],
  ],
  [
    'at least 4 without a 3 says nothing',
    'news2',
    [measured('9279-1', 24, '/min'), measured('8867-4', 112, '/min')],
    4,
    undefined,
    ['spo2', 'oxygen', 'systolicBloodPressure', 'consciousness', 'temperature'],
  ],
  [
    'at least 5',
    'news2',
    [measured('9279-1', 24, '/min'), measured('8867-4', 131, '/min')],
    5,
    'medium',
    ['spo2', 'oxygen', 'systolicBloodPressure', 'consciousness', 'temperature'],
  ],
  [
    'at least 7',
    'news2',
    [measured('9279-1', 25, '/min'), measured('8867-4', 131, '/min'), acvpu('C')],
    9,
    'high',
    ['spo2', 'oxygen', 'systolicBloodPressure', 'temperature'],
  ],
  [
    'nothing known: no total',
    'news2',
    [],
    undefined,
    undefined,
    ['respiratoryRate', 'spo2', 'oxygen', 'systolicBloodPressure', 'pulse', 'consciousness', 'temperature'],
  ],
  ['qSOFA at least 2', 'qsofa', [measured('9279-1', 25, '/min'), bloodPressure(99)], 2, 'positive', ['consciousness']],
  ['qSOFA at least 1', 'qsofa', [measured('9279-1', 25, '/min'), bloodPressure(120)], 1, undefined, ['consciousness']],
  [
    'SIRS at least 2 without leukocytes',
    'sirs',
    [measured('8867-4', 95, '/min'), measured('8310-5', 38.4, 'Cel'), measured('9279-1', 16, '/min')],
    2,
    'positive',
    ['leukocytes'],
  ],
  ['SIRS at least 0 without leukocytes', 'sirs', WELL, 0, undefined, ['leukocytes']],
];
for (const [why, id, resources, total, band, missing] of lowerBounds) {
  test(`§1.4.5 missing inputs of ${id}: ${why}`, async () => {
    const found = await score(id, resources);
    assert.deepEqual([found.outputs.total, found.band, found.atLeast], [total, band, true]);
    assert.deepEqual(
      found.missing.filter(({ optional }) => optional === undefined).map(({ name }) => name),
      missing,
    );
    for (const { reason } of found.missing) assert.ok(reason.length > 0);
  });
}
test('an optional input that is absent is named as optional and changes nothing', async () => {
  const found = await score('sirs', [...WELL, measured('6690-2', 7, '10*3/uL')]);
  assert.deepEqual([found.atLeast, found.band], [false, 'negative']);
  assert.deepEqual(
    found.missing.map(({ name, optional }) => [name, optional]),
    [
      ['paco2', true],
      ['bandNeutrophils', true],
    ],
  );
});
test('a skipped newer reading is said beside the value used', async () => {
  const found = await score('news2', [
    ...without('o8867-4'),
    measured('8867-4', 999, '/min', { id: 'artefact' }),
    measured('8867-4', 70, '/min', { id: 'older', effectiveDateTime: iso(AT - 2 * HOUR) }),
  ]);
  const pulse = found.used.find(({ name }) => name === 'pulse');
  assert.deepEqual(
    [pulse?.source, pulse?.note],
    ['Observation/older', 'a newer reading was skipped: implausible value'],
  );
});
test('a deadline that has passed is answered by the stand-in, marked', async () => {
  const found = await models.assess('news2', { patient: ADULT, resources: WELL, at: AT }, AT);
  assert.deepEqual(
    [found.answeredBy, found.fallbackReason, found.confidence, found.outputs.total, found.band],
    ['fallback', 'the deadline has passed', 'low', 0, 'low'],
  );
});
test('an unknown model is a mistake of the caller', async () => {
  await assert.rejects(score('none', []), { name: 'FhirError', kind: 'not-found' });
});

const bandRows: readonly (readonly [total: number, threes: number, atLeast: boolean, band: string | undefined])[] = [
  [0, 0, false, 'low'],
  [4, 0, false, 'low'],
  [4, 1, false, 'low-medium'],
  [5, 0, false, 'medium'],
  [6, 2, false, 'medium'],
  [7, 0, false, 'high'],
  [4, 0, true, undefined],
  [7, 0, true, 'high'],
];
for (const [total, threes, atLeast, band] of bandRows) {
  test(`news2@thresholds total ${total}, threes ${threes}, ${atLeast ? 'at least' : 'exact'}: ${band}`, () => {
    assert.equal(bandOf(manifestOf('news2'), { total, threes }, atLeast), band);
  });
}
