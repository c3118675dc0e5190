/** The published tables that become graphs. Values are rounded to the chart's precision before they arrive (manifest `precision`). */
import { bands, type Literal, type Rule, type RuleNetwork } from './rule-network.ts';

const missing = (inputs: readonly string[]): readonly Rule[] =>
  inputs.map((input) => ({ when: [[input, 'missing']], adds: { missing: 1 } }));

/** Points of one NEWS2 parameter: into its own column, the total, and the count of parameters that score 3. */
const news2Points = (parameter: string) => (points: number) => ({
  [parameter]: points,
  total: points,
  threes: points === 3 ? 1 : 0,
});

const SCALE_1: readonly Literal[] = [['spo2Scale', '<', 1.5]];
const SCALE_2: readonly Literal[] = [['spo2Scale', '>=', 1.5]];

/** NEWS2. Royal College of Physicians. National Early Warning Score (NEWS) 2. London: RCP, 2017. */
export const NEWS2: RuleNetwork = {
  name: 'news2',
  inputs: [
    'respiratoryRate',
    'spo2',
    'spo2Scale',
    'oxygen',
    'systolicBloodPressure',
    'pulse',
    'consciousness',
    'temperature',
  ],
  stages: [
    {
      columns: [],
      rules: [
        ...bands(
          'respiratoryRate',
          0,
          [
            [undefined, 8, 3],
            [9, 11, 1],
            [21, 24, 2],
            [25, undefined, 3],
          ],
          news2Points('respiratoryRate'),
        ),
        ...bands(
          'spo2',
          0,
          [
            [undefined, 91, 3],
            [92, 93, 2],
            [94, 95, 1],
          ],
          news2Points('spo2'),
          SCALE_1,
        ),
        ...bands(
          'spo2',
          0,
          [
            [undefined, 83, 3],
            [84, 85, 2],
            [86, 87, 1],
          ],
          news2Points('spo2'),
          SCALE_2,
        ),
        ...bands(
          'spo2',
          0,
          [
            [93, 94, 1],
            [95, 96, 2],
            [97, undefined, 3],
          ],
          news2Points('spo2'),
          [...SCALE_2, ['oxygen', '>=', 0.5]],
        ),
        { when: [['oxygen', '>=', 0.5]], adds: { oxygen: 2, total: 2 } },
        ...bands(
          'systolicBloodPressure',
          0,
          [
            [undefined, 90, 3],
            [91, 100, 2],
            [101, 110, 1],
            [220, undefined, 3],
          ],
          news2Points('systolicBloodPressure'),
        ),
        ...bands(
          'pulse',
          0,
          [
            [undefined, 40, 3],
            [41, 50, 1],
            [91, 110, 1],
            [111, 130, 2],
            [131, undefined, 3],
          ],
          news2Points('pulse'),
        ),
        ...bands('consciousness', 0, [[1, undefined, 3]], news2Points('consciousness')),
        ...bands(
          'temperature',
          1,
          [
            [undefined, 35.0, 3],
            [35.1, 36.0, 1],
            [38.1, 39.0, 1],
            [39.1, undefined, 2],
          ],
          news2Points('temperature'),
        ),
        ...missing([
          'respiratoryRate',
          'spo2',
          'oxygen',
          'systolicBloodPressure',
          'pulse',
          'consciousness',
          'temperature',
        ]),
      ],
    },
  ],
  outputs: {
    points: ['respiratoryRate', 'spo2', 'oxygen', 'systolicBloodPressure', 'pulse', 'consciousness', 'temperature'],
    total: ['total'],
    threes: ['threes'],
    missing: ['missing'],
  },
};

const one = (column: string) => (points: number) => ({ [column]: points, total: points });

/** qSOFA. Singer M et al. JAMA 2016;315:801-810 (Sepsis-3). */
export const QSOFA: RuleNetwork = {
  name: 'qsofa',
  inputs: ['respiratoryRate', 'systolicBloodPressure', 'consciousness'],
  stages: [
    {
      columns: [],
      rules: [
        ...bands('respiratoryRate', 0, [[22, undefined, 1]], one('respiratoryRate')),
        ...bands('systolicBloodPressure', 0, [[undefined, 100, 1]], one('systolicBloodPressure')),
        ...bands('consciousness', 0, [[1, undefined, 1]], one('consciousness')),
        ...missing(['respiratoryRate', 'systolicBloodPressure', 'consciousness']),
      ],
    },
  ],
  outputs: {
    points: ['respiratoryRate', 'systolicBloodPressure', 'consciousness'],
    total: ['total'],
    missing: ['missing'],
  },
};

/** A criterion with an alternative: the alternative scores only where the first does not, so that the points add up to the total. */
const LOW_PACO2: Literal = ['paco2', '<', 31.95];
const MANY_BANDS: Literal = ['bandNeutrophils', '>=', 10.05];

/** SIRS. Bone RC et al. Chest 1992;101:1644-1655. */
export const SIRS: RuleNetwork = {
  name: 'sirs',
  inputs: ['temperature', 'pulse', 'respiratoryRate', 'paco2', 'leukocytes', 'bandNeutrophils'],
  stages: [
    {
      columns: [],
      rules: [
        ...bands(
          'temperature',
          1,
          [
            [undefined, 35.9, 1],
            [38.1, undefined, 1],
          ],
          one('temperature'),
        ),
        ...bands('pulse', 0, [[91, undefined, 1]], one('pulse')),
        ...bands('respiratoryRate', 0, [[21, undefined, 1]], one('respiratoryRate')),
        { when: [LOW_PACO2, ['respiratoryRate', '<', 20.5]], adds: { paco2: 1, total: 1 } },
        { when: [LOW_PACO2, ['respiratoryRate', 'missing']], adds: { paco2: 1, total: 1 } },
        ...bands(
          'leukocytes',
          1,
          [
            [undefined, 3.9, 1],
            [12.1, undefined, 1],
          ],
          one('leukocytes'),
        ),
        {
          when: [MANY_BANDS, ['leukocytes', '>=', 3.95], ['leukocytes', '<', 12.05]],
          adds: { bandNeutrophils: 1, total: 1 },
        },
        { when: [MANY_BANDS, ['leukocytes', 'missing']], adds: { bandNeutrophils: 1, total: 1 } },
        ...missing(['temperature', 'pulse']),
        {
          when: [
            ['respiratoryRate', 'missing'],
            ['paco2', 'missing'],
          ],
          adds: { missing: 1 },
        },
        {
          when: [
            ['respiratoryRate', 'missing'],
            ['paco2', '>=', 31.95],
          ],
          adds: { missing: 1 },
        },
        {
          when: [
            ['leukocytes', 'missing'],
            ['bandNeutrophils', 'missing'],
          ],
          adds: { missing: 1 },
        },
        {
          when: [
            ['leukocytes', 'missing'],
            ['bandNeutrophils', '<', 10.05],
          ],
          adds: { missing: 1 },
        },
      ],
    },
  ],
  outputs: {
    points: ['temperature', 'pulse', 'respiratoryRate', 'paco2', 'leukocytes', 'bandNeutrophils'],
    total: ['total'],
    missing: ['missing'],
  },
};

/** ESI v4 danger zone: completed months of age [from, to), pulse above, respiratory rate above. */
const DANGER_ZONE: readonly (readonly [from: number, to: number, pulse: number, respiratoryRate: number])[] = [
  [0, 3, 180, 50],
  [3, 36, 160, 40],
  [36, 96, 140, 30],
  [96, 2400, 100, 20],
];

const no = (...columns: readonly string[]): readonly Literal[] => columns.map((column) => [column, '<', 0.5]);
const yes = (column: string): Literal => [column, '>=', 0.5];
const settled = no('lifeSaving', 'highRisk', 'consider', 'fever', 'missing');
const twoOrMore: Literal = ['expectedResources', '>=', 1.5];
const resourcesUnknown: Literal = ['expectedResources', 'missing'];

/** ESI decision points A, B and D. Gilboy N et al. Emergency Severity Index, version 4: Implementation Handbook 2012. AHRQ 12-0014. */
const ESI_POINTS: readonly Rule[] = [
  { when: [['spo2', '<', 89.5]], adds: { lifeSaving: 1 } },
  { when: [['consciousness', '>=', 2.5]], adds: { lifeSaving: 1 } },
  { when: [['complaint', '>=', 1.5]], adds: { lifeSaving: 1 } },
  {
    when: [
      ['consciousness', '>=', 0.5],
      ['consciousness', '<', 2.5],
    ],
    adds: { highRisk: 1 },
  },
  {
    when: [
      ['complaint', '>=', 0.5],
      ['complaint', '<', 1.5],
    ],
    adds: { highRisk: 1 },
  },
  { when: [['pain', '>=', 6.5]], adds: { highRisk: 1 } },
  {
    when: [
      ['ageDays', '<', 28.5],
      ['temperature', '>=', 38.05],
    ],
    adds: { highRisk: 1 },
  },
  ...DANGER_ZONE.flatMap(([from, to, pulse, respiratoryRate]): readonly Rule[] => {
    const age: readonly Literal[] = [
      ['ageMonths', '>=', from - 0.5],
      ['ageMonths', '<', to - 0.5],
    ];
    return [
      { when: [...age, ['pulse', '>=', pulse + 0.5]], adds: { dangerZone: 1 } },
      { when: [...age, ['respiratoryRate', '>=', respiratoryRate + 0.5]], adds: { dangerZone: 1 } },
    ];
  }),
  { when: [['spo2', '<', 91.5]], adds: { dangerZone: 1 } },
  {
    when: [
      ['ageMonths', '<', 2.5],
      ['temperature', '>=', 38.05],
    ],
    adds: { fever: 1 },
  },
  {
    when: [
      ['ageMonths', '<', 2.5],
      ['temperature', 'missing'],
    ],
    adds: { missing: 1 },
  },
  ...missing(['ageMonths', 'pulse', 'respiratoryRate', 'spo2', 'consciousness', 'pain', 'complaint']),
];

/** Danger-zone vitals count where two or more resources are expected, or where nobody has said how many. */
const ESI_CONSIDER: readonly Rule[] = [
  { when: [yes('dangerZone'), twoOrMore], adds: { consider: 1 } },
  { when: [yes('dangerZone'), resourcesUnknown], adds: { consider: 1 } },
  { when: [yes('fever')], adds: { consider: 1 } },
];

const carried = (column: string): Rule => ({ when: [yes(column)], adds: { [column]: 1 } });
const missingCount: readonly Rule[] = [1, 2, 3, 4, 5, 6, 7, 8].map((count) => ({
  when: [['missing', '>=', count - 0.5]],
  adds: { missing: 1 },
}));

export const TRIAGE_VITALS: RuleNetwork = {
  name: 'triage-vitals',
  inputs: [
    'ageMonths',
    'ageDays',
    'pulse',
    'respiratoryRate',
    'spo2',
    'temperature',
    'consciousness',
    'pain',
    'complaint',
    'expectedResources',
  ],
  stages: [
    { columns: ['lifeSaving', 'highRisk', 'dangerZone', 'fever', 'missing'], rules: ESI_POINTS },
    { columns: ['consider'], rules: ESI_CONSIDER },
    {
      columns: [],
      rules: [
        { when: [yes('lifeSaving')], adds: { level: 1, level1: 1 } },
        { when: [...no('lifeSaving'), yes('highRisk')], adds: { level: 2, level2: 1 } },
        { when: [...no('lifeSaving', 'highRisk'), yes('consider')], adds: { level: 2, considerLevel2: 1 } },
        { when: [...settled, twoOrMore], adds: { level: 3, level3: 1 } },
        {
          when: [...settled, ['expectedResources', '>=', 0.5], ['expectedResources', '<', 1.5]],
          adds: { level: 4, level4: 1 },
        },
        { when: [...settled, ['expectedResources', '<', 0.5]], adds: { level: 5, level5: 1 } },
        { when: [...settled, resourcesUnknown], adds: { level3to5: 1 } },
        carried('dangerZone'),
        ...missingCount,
      ],
    },
  ],
  outputs: {
    level: ['level'],
    decision: ['level1', 'level2', 'considerLevel2', 'level3', 'level4', 'level5', 'level3to5'],
    dangerZone: ['dangerZone'],
    missing: ['missing'],
  },
};

/** Model folder (under models/) -> table. */
export const NETWORKS: Readonly<Record<string, RuleNetwork>> = {
  'news2/1.0.0': NEWS2,
  'qsofa/1.0.0': QSOFA,
  'sirs/1.0.0': SIRS,
  'triage-vitals/1.0.0': TRIAGE_VITALS,
};
