// docs/monitoring.md: values over time -> events. NEWS2 (RCP 2017): "urgent" rises at 5 and falls below 4, "emergency" rises at 7 and falls below 6.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Resource } from '../../src/fhir/resource.ts';
import { iso, loinc } from '../risk/world.ts';
import { limit } from '../test-store.ts';
import { baseline, breathing, inpatient, MINUTE, measured, models, monitorWorld, START } from './world.ts';

const LIMIT = { timeout: limit(30_000) };
after(() => models.close());

/** Breaths, pulse and systolic pressure that give these totals beside the baseline. */
const VITALS = {
  0: [18, 80, 120],
  3: [25, 80, 120],
  4: [25, 95, 120],
  5: [25, 115, 120],
  6: [25, 115, 110],
  7: [25, 115, 100],
} as const;
type Total = keyof typeof VITALS;

type Step = readonly [minute: number, what: Total | readonly Resource[], expected: readonly string[], why: string];

const P = 'p1';
function vitals(total: Total, minute: number): readonly Resource[] {
  const [rate, pulse, systolic] = VITALS[total];
  const at = START + minute * MINUTE;
  return [
    breathing(P, `rr-${minute}`, rate, at),
    measured(P, `hr-${minute}`, '8867-4', pulse, '/min', at),
    measured(P, `bp-${minute}`, '8480-6', systolic, 'mm[Hg]', at),
  ];
}
const subject = { reference: `Patient/${P}` };
const person = (over: object): Resource => ({
  resourceType: 'Patient',
  id: P,
  birthDate: '1960-05-05',
  gender: 'female',
  ...over,
});
const stay = (over: object): Resource => ({
  resourceType: 'Encounter',
  id: `${P}-stay`,
  status: 'in-progress',
  class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
  subject,
  period: { start: iso(START - 24 * 60 * MINUTE) },
  ...over,
});
const UP = ['raised urgent', 'told urgent'];
const BOTH = [...UP, 'raised emergency', 'told emergency'];
const wrong = (resource: Resource | undefined): readonly Resource[] =>
  resource === undefined ? [] : [{ ...resource, status: 'entered-in-error' }];

const scenarios: readonly (readonly [name: string, steps: readonly Step[]])[] = [
  [
    'crossing and hysteresis: [raiseAt, inf) raises, (-inf, clearBelow) clears, what lies between does nothing',
    [
      [1, 0, [], 'control: calm'],
      [2, 4, [], 'below raiseAt'],
      [3, 5, UP, 'at raiseAt'],
      [4, 4, [], 'at clearBelow: still raised'],
      [5, 5, [], 'raised already'],
      [6, 3, ['cleared urgent'], 'below clearBelow'],
      [7, 4, [], 'between, from below: stays calm'],
    ],
  ],
  [
    'two alerts of one rule cross by themselves',
    [
      [1, 7, BOTH, 'both at once'],
      [2, 6, [], 'at clearBelow of the higher'],
      [3, 5, ['cleared emergency'], 'the higher clears, the lower stays'],
      [4, 0, ['cleared urgent'], 'all clear'],
    ],
  ],
  [
    'quiet time: [0, 60 min) nobody is told again; what is owed is told when it has passed',
    [
      [1, 5, UP, 'told'],
      [10, 3, ['cleared urgent'], 'cleared in the quiet time'],
      [20, 5, ['raised urgent'], 'flagged again, not told'],
      [60, 5, [], 'the last minute of the quiet time'],
      [62, 5, ['told urgent'], 'over: what is owed is told'],
      [70, 5, [], 'once'],
    ],
  ],
  [
    'quiet time: what is cleared again is not owed',
    [
      [1, 5, UP, 'told'],
      [10, 3, ['cleared urgent'], 'cleared'],
      [20, 5, ['raised urgent'], 'not told'],
      [30, 3, ['cleared urgent'], 'cleared before the quiet time is over'],
      [90, 4, [], 'nothing is owed'],
      [91, 5, UP, 'a new crossing after the quiet time'],
    ],
  ],
  [
    'entered in error: the value it stood on is taken back',
    [
      [1, 0, [], 'before'],
      [2, 5, UP, 'raised'],
      [3, wrong(vitals(5, 2)[0]), ['cleared urgent'], 'the older breathing counts again: 2'],
    ],
  ],
  [
    'entered in error: no other value is left',
    [
      [1, 5, UP, 'raised'],
      [2, wrong(vitals(5, 1)[0]), ['cleared urgent'], 'the input is gone because it was wrong'],
    ],
  ],
  [
    'an input that runs out of its window is no recovery',
    [
      [1, 5, UP, 'raised'],
      [1450, [measured(P, 'hr-late', '8867-4', 80, '/min', START + 1450 * MINUTE)], [], 'breathing is older than 24 h'],
      [1451, 0, ['cleared urgent'], 'all measured again'],
    ],
  ],
  [
    'an input that lies more than an hour before the newest is no recovery',
    [
      [1, 5, UP, 'raised'],
      [
        61,
        [measured(P, 'hr-61', '8867-4', 80, '/min', START + 61 * MINUTE)],
        ['cleared urgent'],
        'breathing still counts: 3',
      ],
      [63, 5, ['raised urgent', 'told urgent'], 'raised again after the quiet time'],
      [
        124,
        [measured(P, 'hr-124', '8867-4', 80, '/min', START + 124 * MINUTE)],
        [],
        'breathing lies 61 minutes before',
      ],
      [125, 0, ['cleared urgent'], 'all measured again'],
    ],
  ],
  [
    'late data: an older value never hides a newer one',
    [
      [60, 0, [], 'control'],
      [61, vitals(7, 10), [], 'measured 50 minutes before'],
    ],
  ],
  [
    'data of the future: beyond five minutes it is left alone, within it is waited for',
    [
      [1, 0, [], 'control'],
      [2, vitals(5, 8), [], 'six minutes ahead'],
      [3, vitals(5, 7), [], 'four minutes ahead: not yet'],
      [7.001, [], UP, 'its instant has come'],
    ],
  ],
  [
    'died: flags end, and nothing more is scored',
    [
      [1, 5, UP, 'raised'],
      [2, [person({ deceasedDateTime: iso(START + MINUTE) })], ['cleared urgent'], 'recorded as deceased'],
      [3, 7, [], 'not monitored'],
    ],
  ],
  [
    'discharged: flags end',
    [
      [1, 5, UP, 'raised'],
      [2, [stay({ status: 'finished' })], ['cleared urgent'], 'no current stay'],
      [3, 7, [], 'not monitored'],
    ],
  ],
  [
    'outpatient: nothing',
    [
      [
        1,
        [stay({ class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' } })],
        [],
        'ambulatory',
      ],
      [2, 7, [], 'not monitored'],
    ],
  ],
  [
    'comfort care: flags end',
    [
      [1, 5, UP, 'raised'],
      [
        2,
        [
          {
            resourceType: 'Condition',
            id: 'comfort',
            subject,
            code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-10-cm', code: 'Z51.5' }] },
            clinicalStatus: {
              coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
            },
          },
        ],
        ['cleared urgent'],
        'palliative care is recorded',
      ],
    ],
  ],
  [
    'another code, another patient: nothing',
    [
      [1, [{ ...measured(P, 'x', '2345-7', 500, 'mg/dL', START), code: loinc('2345-7') }], [], 'no input of the rule'],
      [2, [breathing('nobody', 'y', 40, START)], [], 'a patient who is not held'],
    ],
  ],
];

for (const [name, steps] of scenarios) {
  test(`monitoring@scenario: ${name}`, LIMIT, async () => {
    const there = await monitorWorld();
    await inpatient(there, P);
    for (const each of baseline(P, START)) await there.put(each);
    // The baseline again each day: only what a scenario changes runs out.
    await there.settled();
    const failed: string[] = [];
    for (const [minute, what, expected, why] of steps) {
      there.events.length = 0;
      there.advance(START + minute * MINUTE - there.now());
      for (const each of typeof what === 'number' ? vitals(what, minute) : what) await there.put(each);
      await there.settled();
      const told = there.events.map(({ event, alert }) => `${event} ${alert}`);
      if (JSON.stringify(told) !== JSON.stringify(expected)) failed.push(`${why}: ${told.join(', ')}`);
    }
    await there.close();
    assert.deepEqual(failed, []);
  });
}
