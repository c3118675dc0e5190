// docs/surveillance.md, The daily run: each day once, taken up after a crash, corrections followed; work by what is new, not by what is held.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DailyHooks, runDaily } from '../../src/surveillance/daily.ts';
import { SurveillanceDoor } from '../../src/surveillance/door.ts';
import { json } from '../world.ts';
import { FLU, flu, type Hospital, hospital, ordinary, outbreak, stay } from './ward.ts';

const FEVER = { ...FLU, id: 'fever', title: 'Fever' };
const failed: DailyHooks['failed'] = (error) => {
  throw error;
};
const run = (h: Hospital, hooks: Partial<DailyHooks> = {}) =>
  runDaily(h.definitions.values(), h.site, { failed, ...hooks });
const ids = async (h: Hospital, type: string): Promise<readonly string[]> => {
  const { entry } = json(await h.w.send('GET', `/${type}?_count=200`));
  return ((entry ?? []) as readonly { resource: { id: string } }[]).map(({ resource }) => resource.id).toSorted();
};
const versions = async (h: Hospital, type: string): Promise<number> => {
  const { entry } = json(await h.w.send('GET', `/${type}/_history?_count=200`));
  return ((entry ?? []) as readonly unknown[]).length;
};
const reportOf = async (h: Hospital, day: string) =>
  JSON.stringify(json(await h.w.send('GET', `/MeasureReport/surveillance-flu-${day}`)));
async function within(run: (h: Hospital) => Promise<void>, files = [FLU]): Promise<void> {
  const h = await hospital(files, { now: '2026-01-11T00:15:00Z' });
  try {
    await h.w.hold(...ordinary('2026-01-05', '2026-01-06', '2026-01-07', '2026-01-08', '2026-01-09'));
    await run(h);
  } finally {
    await h.close();
  }
}

test('surveillance@daily: the first run judges yesterday, a second nothing, the next day one day', () =>
  within(
    async (h) => {
      await h.w.hold(...outbreak('p', 4, '2026-01-10'));
      assert.equal(await run(h), 2);
      assert.deepEqual(await ids(h, 'MeasureReport'), ['surveillance-fever-20260110', 'surveillance-flu-20260110']);
      assert.equal((await ids(h, 'DetectedIssue')).length, 2);
      const before = h.w.accesses.length;
      assert.equal(await run(h), 0);
      assert.equal(h.w.accesses.length, before, 'what is not due reads nothing');
      h.setNow('2026-01-11T23:59:59Z');
      assert.equal(await run(h), 0);
      h.setNow('2026-01-12T00:00:00Z');
      assert.equal(await run(h), 2);
      assert.equal((await ids(h, 'MeasureReport')).length, 4);
    },
    [FLU, FEVER],
  ));

test('surveillance@daily-resume: days that were not judged are, each once, wherever a run was cut off', () =>
  within(async (h) => {
    await run(h);
    await h.w.hold(...outbreak('p', 4, '2026-01-12'), ...outbreak('q', 1, '2026-01-13'));
    h.setNow('2026-01-15T01:00:00Z');
    // Each pause is a place where the process may be killed: the run is cut off at the first, then at the second, and so on.
    let cuts = 0;
    for (let most = 1; ; most++) {
      let left = most;
      const pause = async (): Promise<void> => {
        if (--left < 0) throw new Error('cut off');
      };
      const site = { ...h.site, door: new SurveillanceDoor(h.site.door.context, 'daily', pause) };
      let isCut = false;
      const hooks = {
        failed: () => {
          isCut = true;
        },
      };
      await runDaily(h.definitions.values(), site, hooks).catch(() => {
        isCut = true;
      });
      if (!isCut) break;
      cuts++;
    }
    assert.ok(cuts > 3, `${cuts}`);
    assert.deepEqual(
      await ids(h, 'MeasureReport'),
      ['10', '11', '12', '13', '14'].map((day) => `surveillance-flu-202601${day}`),
    );
    assert.equal(await versions(h, 'MeasureReport'), 5);
    assert.equal(await versions(h, 'DetectedIssue'), 1);
    assert.equal(await run(h), 0);
  }));

test('surveillance@daily-correction: late, corrected, deleted and moved cases change their day; what is no case does not', () =>
  within(async (h) => {
    await h.w.hold(...outbreak('p', 2, '2026-01-10'));
    await run(h);
    assert.match(await reportOf(h, '20260110'), /"count":2/);
    h.setNow('2026-01-12T01:00:00Z');
    await h.w.hold(...ordinary('2026-01-10'), ...outbreak('q', 1, '2026-01-10'));
    assert.equal(await run(h), 2, 'the day that was corrected, and the new one');
    assert.match(await reportOf(h, '20260110'), /"count":3/);
    const changes: readonly [change: () => Promise<unknown>, expected: RegExp | undefined, why: string][] = [
      [() => h.w.hold(...ordinary('2026-01-11')), undefined, 'another diagnosis'],
      [() => h.w.send('DELETE', '/Condition/c-q-1'), /ward-a"}.*"count":2/, 'deleted'],
      [() => h.w.hold(flu('c-p-1', 'p-1', '2026-01-01')), /ward-a"}.*"count":1/, 'another day'],
      [() => h.w.hold(stay('p-2', 'ward-b')), /ward-b"}.*"count":1/, 'the patient was elsewhere'],
      [() => h.w.hold(stay('p-2', 'ward-b', { status: 'finished' })), undefined, 'an Encounter that ends moves nobody'],
    ];
    for (const [change, expected, why] of changes) {
      await change();
      assert.equal((await run(h)) > 0, expected !== undefined, why);
      if (expected !== undefined) assert.match(await reportOf(h, '20260110'), expected, why);
    }
  }));

test('surveillance@daily-merge: records that are linked afterwards are one person on the days they were two', () =>
  within(async (h) => {
    await h.w.hold(...outbreak('p', 2, '2026-01-10'));
    await run(h);
    await h.w.hold({
      resourceType: 'Patient',
      id: 'p-2',
      link: [{ other: { reference: 'Patient/p-1' }, type: 'replaced-by' }],
    });
    assert.equal(await run(h), 1);
    assert.match(await reportOf(h, '20260110'), /"count":1/);
  }));

test('surveillance@daily-bounded: a new day reads its own cases and those of the same people, not the days before', () =>
  within(async (h) => {
    for (const day of ['05', '06', '07', '08', '09']) await h.w.hold(...outbreak(`old${day}`, 20, `2026-01-${day}`));
    await run(h);
    await h.w.hold(...outbreak('p', 2, '2026-01-11'));
    h.setNow('2026-01-12T00:15:00Z');
    const before = h.w.accesses.length;
    assert.equal(await run(h), 1);
    const patients = h.w.accesses.slice(before).flatMap(({ entries }) => entries.flatMap((each) => each.patients));
    assert.deepEqual([...new Set(patients)].toSorted(), ['p-1', 'p-2']);
  }));

test('surveillance@daily-concurrent: two runs and a request at once judge each day once', () =>
  within(async (h) => {
    await h.w.hold(...outbreak('p', 4, '2026-01-10'));
    const [response] = await Promise.all([
      h.ask({ from: '2026-01-10', to: '2026-01-10' }),
      run(h).catch(() => 0),
      run(h).catch(() => 0),
    ]);
    assert.equal(response.status, 200, response.body);
    await run(h);
    assert.deepEqual([await versions(h, 'MeasureReport'), await versions(h, 'DetectedIssue')], [1, 1]);
  }));

test('surveillance@daily-failure: a definition that cannot be judged keeps no other from it, and is tried again', () =>
  within(async (h) => {
    const broken = {
      ...FLU,
      id: 'broken',
      sources: [{ type: 'Condition' as const, code: { valueSet: 'urn:none' } }],
      countsBy: 'x',
    };
    const errors: unknown[] = [];
    const hooks = { failed: (error: unknown) => errors.push(error) };
    await runDaily([broken, ...h.definitions.values()], h.site, hooks);
    await runDaily([broken, ...h.definitions.values()], h.site, hooks);
    assert.equal(errors.length, 2);
    assert.deepEqual(await ids(h, 'MeasureReport'), ['surveillance-flu-20260110']);
  }));
