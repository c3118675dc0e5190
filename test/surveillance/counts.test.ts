// docs/surveillance.md, Counts: who is counted once, where and on which day; through the real door and engine.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import type { DefinitionFile } from '../../src/surveillance/definition.ts';
import {
  coded,
  FLU,
  flu,
  groups,
  type Hospital,
  hospital,
  ICD,
  ordinary,
  outbreak,
  refer,
  SNOMED,
  stay,
} from './ward.ts';

const DAY = '2026-01-10';
const patient = (id: string): Resource => ({ resourceType: 'Patient', id });
const wrong = (code: string): JsonObject => ({
  verificationStatus: coded('http://terminology.hl7.org/CodeSystem/condition-ver-status', code),
});
const culture = (id: string, who: string, more: JsonObject = {}): Resource => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: coded('http://loinc.org', '600-7'),
  valueCodeableConcept: coded(SNOMED, '407479009'),
  subject: refer(`Patient/${who}`),
  encounter: refer(`Encounter/e-${who}`),
  effectiveDateTime: `${DAY}T08:00:00Z`,
  ...more,
});

interface Row {
  readonly why: string;
  readonly held: readonly Resource[];
  /** Groups of the day. */
  readonly counts: readonly string[];
  readonly definition?: Partial<DefinitionFile>;
  readonly zone?: string;
}
const A = (count: number): string => `${DAY} Location/ward-a ${count}`;
const rows: readonly Row[] = [
  { why: 'control: three people', held: outbreak('p', 3, DAY), counts: [A(3)] },
  { why: 'nothing', held: [], counts: [] },
  {
    why: 'another code is none',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY, { code: coded(ICD, 'I10') })],
    counts: [],
  },
  {
    why: 'the code in another system is none',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY, { code: coded(SNOMED, 'J10.1') })],
    counts: [],
  },
  {
    why: 'entered in error is none',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY, wrong('entered-in-error'))],
    counts: [],
  },
  { why: 'refuted is none', held: [patient('p'), stay('p'), flu('c', 'p', DAY, wrong('refuted'))], counts: [] },
  { why: 'a bed belongs to its ward', held: [patient('p'), stay('p', 'bed-1'), flu('c', 'p', DAY)], counts: [A(1)] },
  {
    why: 'a site has no ward',
    held: [patient('p'), stay('p', 'site'), flu('c', 'p', DAY)],
    counts: [`${DAY} no unit of this level 1`],
  },
  {
    why: 'nor has a case without Encounter',
    held: [patient('p'), flu('c', 'p', DAY)],
    counts: [`${DAY} no unit of this level 1`],
  },
  {
    why: 'by site',
    held: [patient('p'), stay('p', 'bed-1'), flu('c', 'p', DAY)],
    definition: { level: 'si' },
    counts: [`${DAY} Location/site 1`],
  },
  {
    why: 'by service provider',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY)],
    definition: { level: 'provider' },
    counts: [`${DAY} Organization/clinic 1`],
  },
  {
    why: 'the ward of the time, not the ward of now',
    held: [
      patient('p'),
      stay('p', 'ward-b', {
        location: [
          {
            location: refer('Location/ward-a'),
            period: { start: '2026-01-09T00:00:00Z', end: '2026-01-10T09:59:59Z' },
          },
          { location: refer('Location/ward-b'), period: { start: '2026-01-10T10:00:00Z' } },
          { location: refer('Location/ward-b'), status: 'planned' },
        ],
      }),
      flu('c', 'p', '2026-01-10T09:00:00Z'),
    ],
    counts: [A(1)],
  },
  { why: 'an organism of a culture', held: [patient('p'), stay('p'), culture('o', 'p')], counts: [A(1)] },
  {
    why: 'of a registered culture is none yet',
    held: [patient('p'), stay('p'), culture('o', 'p', { status: 'registered' })],
    counts: [],
  },
  {
    why: 'another organism is none',
    held: [patient('p'), stay('p'), culture('o', 'p', { valueCodeableConcept: coded(SNOMED, '3092008') })],
    counts: [],
  },
  {
    why: 'a report, by its conclusion, dated by issued when nothing else is',
    held: [
      patient('p'),
      stay('p'),
      {
        ...culture('r', 'p'),
        resourceType: 'DiagnosticReport',
        valueCodeableConcept: undefined,
        effectiveDateTime: undefined,
        issued: '2026-01-10T20:00:00Z',
        conclusionCode: [coded(SNOMED, '407479009')],
      },
    ],
    counts: [A(1)],
  },
  {
    why: 'diagnosis and culture of one person count once',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY), culture('o', 'p')],
    counts: [A(1)],
  },
  {
    why: 'two diagnoses of one person count once',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY), flu('d', 'p', DAY)],
    counts: [A(1)],
  },
  {
    why: 'linked records are one person',
    held: [
      patient('old'),
      { ...patient('p'), link: [{ other: refer('Patient/old'), type: 'replaces' }] },
      stay('p'),
      stay('old'),
      flu('c', 'p', DAY),
      flu('d', 'old', DAY),
    ],
    counts: [A(1)],
  },
  {
    why: 'three days before is the same episode',
    held: [patient('p'), stay('p'), flu('b', 'p', '2026-01-07'), flu('c', 'p', DAY)],
    counts: [],
  },
  {
    why: 'four days before is another',
    held: [patient('p'), stay('p'), flu('b', 'p', '2026-01-06'), flu('c', 'p', DAY)],
    counts: [A(1)],
  },
  {
    why: 'the same episode over a link',
    held: [
      patient('old'),
      { ...patient('p'), link: [{ other: refer('Patient/old'), type: 'replaces' }] },
      stay('p'),
      stay('old'),
      flu('b', 'old', '2026-01-08'),
      flu('c', 'p', DAY),
    ],
    counts: [],
  },
  {
    why: 'what was refuted begins no episode',
    held: [patient('p'), stay('p'), flu('b', 'p', '2026-01-08', wrong('refuted')), flu('c', 'p', DAY)],
    counts: [A(1)],
  },
  {
    why: 'the onset, when nobody says when it was recorded',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY, { recordedDate: undefined, onsetDateTime: '2026-01-10' })],
    counts: [A(1)],
  },
  {
    why: 'the record before the onset',
    held: [patient('p'), stay('p'), flu('c', 'p', '2026-01-09', { onsetDateTime: DAY })],
    counts: [],
  },
  { why: 'a month is no day', held: [patient('p'), stay('p'), flu('c', 'p', '2026-01')], counts: [] },
  {
    why: 'no date, no day',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY, { recordedDate: undefined })],
    counts: [],
  },
  {
    why: 'the last ms of the day in New York',
    zone: 'America/New_York',
    held: [patient('p'), stay('p'), flu('c', 'p', '2026-01-11T04:59:59.999Z')],
    counts: [A(1)],
  },
  {
    why: 'the first of the next',
    zone: 'America/New_York',
    held: [patient('p'), stay('p'), flu('c', 'p', '2026-01-11T05:00:00Z')],
    counts: [],
  },
  {
    why: 'a date is the day it names, in New York too',
    zone: 'America/New_York',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY)],
    counts: [A(1)],
  },
  {
    why: 'and on Kiritimati',
    zone: 'Pacific/Kiritimati',
    held: [patient('p'), stay('p'), flu('c', 'p', DAY), flu('d', 'p', '2026-01-10T10:00:00Z')],
    counts: [A(1)],
  },
];
for (const { why, held, counts, definition, zone } of rows) {
  test(`surveillance@count: ${why}`, async () => {
    const h = await hospital([{ ...FLU, ...definition }], zone === undefined ? {} : { zone });
    try {
      await h.w.hold(...held);
      const response = await h.ask({ from: DAY, to: DAY });
      assert.equal(response.status, 200, response.body);
      const found = groups(response).filter((each) => !each.endsWith(' 0'));
      assert.deepEqual(found, counts);
    } finally {
      await h.close();
    }
  });
}

let berlin: Hospital;
before(async () => {
  berlin = await hospital([FLU], { zone: 'Europe/Berlin', now: '2026-11-20T12:00:00Z' });
  await berlin.w.hold(
    ...['2026-03-28T22:59:59Z', '2026-03-28T23:00:00Z', '2026-03-29T21:59:59Z', '2026-03-29T22:00:00Z'].flatMap(
      (at, index) => [patient(`s${index}`), stay(`s${index}`), flu(`s${index}`, `s${index}`, at)],
    ),
    ...['2026-10-24T21:59:59Z', '2026-10-24T22:00:00Z', '2026-10-25T22:59:59Z', '2026-10-25T23:00:00Z'].flatMap(
      (at, index) => [patient(`a${index}`), stay(`a${index}`), flu(`a${index}`, `a${index}`, at)],
    ),
    ...ordinary('2026-03-29'),
  );
});
after(() => berlin.close());
for (const [day, why] of [
  ['2026-03-29', '23 hours'],
  ['2026-10-25', '25 hours'],
] as const) {
  test(`surveillance@day-boundaries: a day of ${why} holds its first and last instant`, async () => {
    assert.deepEqual(groups(await berlin.ask({ from: day, to: day })), [`${day} Location/ward-a 2`]);
  });
}
