// docs/surveillance.md, Signals: what is written, when it is raised, quiet and withdrawn; input of $surveillance; through the real door and engine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../src/fhir/resource.ts';
import type { DefinitionFile } from '../../src/surveillance/definition.ts';
import { at, json } from '../world.ts';
import { FLU, flu, given, groups, type Hospital, hospital, ordinary, outbreak } from './ward.ts';

const BASELINE = ['2026-01-05', '2026-01-06', '2026-01-07', '2026-01-08', '2026-01-09'];
const DAY = '2026-01-10';
const ASKED = { from: DAY, to: DAY };

async function within(files: readonly DefinitionFile[], run: (h: Hospital) => Promise<void>): Promise<void> {
  const h = await hospital(files);
  try {
    await h.w.hold(...ordinary(...BASELINE));
    await run(h);
    assert.deepEqual(h.w.reported, []);
  } finally {
    await h.close();
  }
}
const implicated = (issue: JsonObject | undefined): readonly unknown[] =>
  Array.isArray(issue?.implicated) ? issue.implicated.map((each) => at(each, 'reference')) : [];

test('surveillance@issue: severity, evidence, what is implicated; the report it points at; valid R4 through the door', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 4, DAY), ...outbreak('q', 1, DAY, 'ward-b'));
    const response = await h.ask(ASKED);
    assert.equal(response.status, 200, response.body);
    assert.deepEqual(groups(response), [`${DAY} Location/ward-a 4`, `${DAY} Location/ward-b 1`]);
    const [issue, ...others] = given(response, 'DetectedIssue');
    assert.deepEqual(others, []);
    assert.deepEqual(
      [issue?.status, issue?.severity, issue?.identifiedDateTime, issue?.detail, issue?.patient],
      ['final', 'moderate', DAY, `4 cases on ${DAY}; 0.0 a day were to be expected.`, undefined],
    );
    assert.equal(at(issue, 'code.coding.0.code'), 'flu');
    assert.equal(at(issue, 'evidence.0.code.0.coding.0.code'), 'c1');
    assert.equal(at(issue, 'evidence.0.code.0.text'), 'EARS C1 8.00, threshold 3');
    assert.deepEqual(implicated(issue), ['Location/ward-a', ...[1, 2, 3, 4].map((n) => `Condition/c-p-${n}`)]);
    const report = await h.w.send('GET', `/${at(issue, 'evidence.0.detail.0.reference')}`);
    assert.deepEqual(
      [json(report).status, json(report).type, at(json(report), 'period.start')],
      ['complete', 'summary', DAY],
    );
    const searched = await h.w.send(
      'GET',
      '/DetectedIssue?implicated=Location/ward-a&code=urn:firewatch:surveillance%7Cflu',
    );
    assert.equal(json(searched).total ?? (json(searched).entry as readonly unknown[]).length, 1);
  }));

const thresholds: readonly [cases: number, raised: boolean, definition: Partial<DefinitionFile>, why: string][] = [
  [3, true, {}, 'control: three are at least the minimum, and 6 deviations'],
  [2, false, {}, 'two are 4 deviations, but fewer than the minimum'],
  [2, true, { minimumCount: 2 }, 'unless the minimum is two'],
  [3, false, { detection: { ...FLU.detection, thresholds: { c1: 6 } } }, '6 deviations are not above 6'],
  [3, true, { detection: { ...FLU.detection, thresholds: { c1: 5.9 } } }, 'but above 5.9'],
];
for (const [cases, raised, definition, why] of thresholds) {
  test(`surveillance@minimum: ${why}`, () =>
    within([{ ...FLU, ...definition }], async (h) => {
      await h.w.hold(...outbreak('p', cases, DAY));
      assert.equal(given(await h.ask(ASKED), 'DetectedIssue').length, raised ? 1 : 0);
    }));
}

test('surveillance@small-cell: a signal of fewer cases than the cell refers to the unit only', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 3, DAY));
    assert.deepEqual(implicated(given(await h.ask(ASKED), 'DetectedIssue')[0]), ['Location/ward-a']);
  }));

test('surveillance@missing: days on which nothing at all was recorded are no zeros, and too few days judge nothing', async () => {
  const h = await hospital();
  try {
    await h.w.hold(...outbreak('p', 4, DAY), ...ordinary('2026-01-05', '2026-01-09'));
    assert.equal(given(await h.ask(ASKED), 'DetectedIssue').length, 0, 'two days of a baseline of five');
    await h.w.hold(...ordinary('2026-01-07'));
    assert.equal(given(await h.ask(ASKED), 'DetectedIssue').length, 1, 'three days');
  } finally {
    await h.close();
  }
});

const quiet: readonly [quietDays: number, raised: readonly string[], why: string][] = [
  [0, ['10 a', '11 a', '11 b', '12 a', '13 a'], 'control: without, each day raises its own'],
  [2, ['10 a', '11 b', '13 a'], 'two days, for the unit that raised it'],
];
for (const [quietDays, raised, why] of quiet) {
  test(`surveillance@quiet: ${why}`, () =>
    within([{ ...FLU, quietDays }], async (h) => {
      await h.w.hold(
        ...outbreak('p', 4, DAY),
        ...outbreak('q', 7, '2026-01-11'),
        ...outbreak('b', 4, '2026-01-11', 'ward-b'),
      );
      await h.w.hold(...outbreak('r', 12, '2026-01-12'), ...outbreak('s', 21, '2026-01-13'));
      const issues = given(await h.ask({ from: DAY, to: '2026-01-13' }), 'DetectedIssue');
      assert.deepEqual(
        issues
          .map((issue) => `${String(issue.identifiedDateTime).slice(-2)} ${String(implicated(issue)[0]).slice(-1)}`)
          .toSorted(),
        raised,
      );
    }));
}

test('surveillance@idempotent: asked again, and by ten at once, nothing is written twice', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 4, DAY));
    const answers = await Promise.all(Array.from({ length: 10 }, () => h.ask(ASKED)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
    for (const type of ['DetectedIssue', 'MeasureReport']) {
      const all = json(await h.w.send('GET', `/${type}/_history`));
      assert.equal((all.entry as readonly unknown[]).length, 1, type);
    }
    const writes = h.w.accesses.filter(({ caller }) => caller.principal === 'surveillance');
    assert.ok(writes.some(({ entries }) => entries.some(({ interaction }) => interaction === 'update')));
  }));

test('surveillance@correction: a case entered in error changes the day, and withdraws a signal that was none', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 4, DAY));
    const [issue] = given(await h.ask(ASKED), 'DetectedIssue');
    const error = {
      verificationStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-ver-status', code: 'entered-in-error' }],
      },
    };
    await h.w.hold(flu('c-p-4', 'p-4', DAY, { ...error }));
    const [corrected] = given(await h.ask(ASKED), 'DetectedIssue');
    assert.deepEqual(
      [corrected?.id, corrected?.status, implicated(corrected)],
      [issue?.id, 'corrected', ['Location/ward-a']],
    );
    await h.w.hold(flu('c-p-3', 'p-3', DAY, { ...error }));
    const last = await h.ask(ASKED);
    assert.deepEqual([given(last, 'DetectedIssue'), groups(last)], [[], [`${DAY} Location/ward-a 2`]]);
    assert.equal(json(await h.w.send('GET', `/DetectedIssue/${issue?.id}`)).status, 'entered-in-error');
    await h.w.hold(flu('c-p-3', 'p-3', DAY));
    assert.equal(given(await h.ask(ASKED), 'DetectedIssue')[0]?.status, 'corrected', 'it was one after all');
  }));

test('surveillance@partial: a day that has not ended is pending and preliminary, then complete and final', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 4, DAY));
    h.setNow(`${DAY}T23:59:59Z`);
    const during = await h.ask();
    assert.deepEqual(
      [given(during, 'MeasureReport')[0]?.status, given(during, 'DetectedIssue')[0]?.status],
      ['pending', 'preliminary'],
    );
    h.setNow('2026-01-11T00:00:00Z');
    const afterwards = await h.ask(ASKED);
    assert.deepEqual(
      [given(afterwards, 'MeasureReport')[0]?.status, given(afterwards, 'DetectedIssue')[0]?.status],
      ['complete', 'final'],
    );
  }));

const refused: readonly [given: Readonly<Record<string, string>>, status: number, why: string][] = [
  [{ from: DAY, to: '2026-01-20' }, 200, 'control: to today'],
  [{ from: DAY, to: '2026-01-21' }, 400, 'to tomorrow'],
  [{ from: '2026-01-11', to: DAY }, 400, 'backwards'],
  [{ from: '2025-11-20', to: '2026-01-20' }, 200, '62 days'],
  [{ from: '2025-11-19', to: '2026-01-20' }, 400, '63 days'],
  [{ from: '2026-01', to: DAY }, 400, 'a month'],
  [{ from: '2026-02-30', to: DAY }, 400, 'no day'],
  [{ definition: 'none' }, 400, 'a definition that is not there'],
  [{ location: 'Location/ward-a' }, 200, 'a Location'],
  [{ location: 'Patient/p' }, 400, 'no place'],
  [{ location: 'http://elsewhere.example/Location/1' }, 400, 'a place elsewhere'],
  [{ frm: DAY }, 400, 'an unknown parameter'],
];
test('surveillance@input: days, definitions and places; both sides of each boundary', () =>
  within([FLU], async (h) => {
    for (const [asked, status, why] of refused) assert.equal((await h.ask(asked)).status, status, why);
    const narrow = (type: string) => (type === 'Condition' ? ({ kind: 'none' } as const) : ({ kind: 'all' } as const));
    assert.equal((await h.ask(ASKED, narrow)).status, 403, 'who may not see every case gets no count');
    assert.equal((await h.w.send('GET', `/$surveillance?from=${DAY}`)).status, 405, 'it changes what is stored');
    const batch = {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ request: { method: 'POST', url: '$surveillance' }, resource: { resourceType: 'Parameters' } }],
    };
    assert.match(String(at(json(await h.w.send('POST', '/', { body: batch })), 'entry.0.response.status')), /^413/);
  }));

test('surveillance@location: one place is answered with, all are stored', () =>
  within([FLU], async (h) => {
    await h.w.hold(...outbreak('p', 4, DAY), ...outbreak('q', 4, DAY, 'ward-b'));
    const response = await h.ask({ ...ASKED, location: 'Location/ward-b' });
    assert.deepEqual(groups(response), [`${DAY} Location/ward-b 4`]);
    assert.equal(given(response, 'DetectedIssue').length, 1);
    assert.equal(json(await h.w.send('GET', '/DetectedIssue?_summary=count')).total, 2);
  }));

test('surveillance@refused: a value set that cannot be expanded is told as such, never a fault of the server', () =>
  within([{ ...FLU, sources: [{ type: 'Condition', code: { valueSet: 'urn:none' } }] }], async (h) => {
    const response = await h.ask(ASKED);
    assert.equal(response.status, 422, response.body);
    assert.match(response.body ?? '', /see the definition/);
  }));
