// docs/decisions/0042: one process of several does the background work; when it stops renewing, another goes on within 10 s; what it does after that is not written.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LEASE_MS, LeasedDuties, RENEW_MS, soleDuties } from '../../src/leases.ts';
import type { Monitor } from '../../src/monitor/monitor.ts';
import type { Command } from '../../src/store/port.ts';
import { limit } from '../test-store.ts';
import {
  baseline,
  breathing,
  inpatient,
  MINUTE,
  type MonitorWorld,
  models,
  monitorWorld,
  PACE,
  until,
} from './world.ts';

const LIMIT = { timeout: limit(60_000) };
const WITHIN_MS = 10_000;
after(() => models.close());

/** A process: its lease, and what it did with it. `freeze` leaves it as it is: no timer of its lease runs any more, not even the one that ends its work. */
function processOf(there: MonitorWorld, holder: string, work: { begin(): void; end(): Promise<void> }) {
  let isFrozen = false;
  const reported: unknown[] = [];
  const duties = new LeasedDuties({
    store: there.store,
    name: 'background',
    holder,
    now: there.now,
    after: (ms, run) => there.after(ms, () => void (isFrozen || run())),
    report: (error) => void reported.push(error),
  });
  const freeze = (): void => {
    isFrozen = true;
  };
  duties.during(work);
  return { duties, reported, freeze };
}

/** Lets what was begun end: both engines commit in the order in which they were asked, after what was read before. */
const settle = async (store: MonitorWorld['store']): Promise<void> => {
  const value = { op: 'set', space: 'test.settle', key: '', value: '' } as const;
  for (let turn = 0; turn < 5; turn++) {
    await store.keyed('test.settle', '');
    await store.commit({ commands: [value], audit: [] });
  }
};

/** Moves the clock in small steps, as time passes for timers. */
async function pass(there: MonitorWorld, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 500) {
    there.advance(Math.min(500, ms - at));
    await settle(there.store);
  }
}

test('leases: one of three holds it, for as long as it renews', LIMIT, async (t) => {
  const there = await monitorWorld();
  t.after(() => there.close());
  const held = new Set<string>();
  const log: string[] = [];
  const all = ['a', 'b', 'c'].map((name) =>
    processOf(there, name, {
      begin: () => {
        held.add(name);
        log.push(`${name} begins`);
      },
      end: async () => {
        held.delete(name);
        log.push(`${name} ends`);
      },
    }),
  );
  await until(() => held.size > 0);
  await pass(there, 5 * LEASE_MS);
  assert.equal(log.length, 1, 'never passed on while it is renewed');
  const [first = ''] = held;
  const holder = all['abc'.indexOf(first)];
  assert.equal(all.filter(({ duties }) => duties.isOurs()).length, 1);
  holder?.freeze();
  await pass(there, LEASE_MS - RENEW_MS - 500);
  assert.equal(log.length, 1, 'not before it ran out');
  await pass(there, WITHIN_MS - LEASE_MS + RENEW_MS + 500);
  assert.equal(log.length, 2, 'within 10 s of its last renewal');
  assert.equal(holder?.duties.isOurs(), false, 'who stopped renewing knows by its own clock');
  const now = all.filter(({ duties }) => duties.isOurs());
  assert.equal(now.length, 1);
  await now[0]?.duties.close();
  await pass(there, RENEW_MS + 500);
  assert.equal(all.filter(({ duties }) => duties.isOurs()).length, 1, 'released: the last one has it within one look');
  for (const { duties, reported } of all) {
    await duties.close();
    assert.deepEqual(reported, []);
  }
});

test('leases: what a former holder commits is refused, also when its clock stands still', LIMIT, async (t) => {
  const there = await monitorWorld();
  t.after(() => there.close());
  const begun: string[] = [];
  const work = (name: string) => ({ begin: () => void begun.push(name), end: async () => undefined });
  const one = processOf(there, 'one', work('one'));
  await until(() => begun.length === 1);
  const value = (text: string): Command => ({ op: 'set', space: 'test', key: 'k', value: text });
  const fence = one.duties.fence();
  assert.equal((await there.store.commit({ commands: [...fence, value('mine')], audit: [] })).ok, true, 'control');
  await pass(there, RENEW_MS * 2);
  assert.equal(
    (await there.store.commit({ commands: [...fence, value('mine 2')], audit: [] })).ok,
    true,
    'renewing changes no fence',
  );
  one.freeze();
  const other = processOf(there, 'other', work('other'));
  assert.equal(
    (await there.store.commit({ commands: [...other.duties.fence(), value('not mine')], audit: [] })).ok,
    false,
    'never held',
  );
  await pass(there, WITHIN_MS);
  assert.deepEqual(begun, ['one', 'other']);
  assert.equal((await there.store.commit({ commands: [...fence, value('late')], audit: [] })).ok, false);
  assert.equal(
    (await there.store.commit({ commands: [...other.duties.fence(), value('theirs')], audit: [] })).ok,
    true,
  );
  assert.equal((await there.store.keyed('test', 'k'))?.value, 'theirs');
  await other.duties.close();
  await one.duties.close();
});

test(
  'leases: a store that cannot be written to ends the work when the lease runs out, and gives it back',
  LIMIT,
  async (t) => {
    const there = await monitorWorld();
    t.after(() => there.close());
    let isDown = false;
    const log: string[] = [];
    const faults: unknown[] = [];
    const duties = new LeasedDuties({
      store: {
        keyed: (...asked) => there.store.keyed(...asked),
        commit: async (request) => {
          if (isDown) throw new Error('down');
          return there.store.commit(request);
        },
      },
      name: 'background',
      holder: 'one',
      now: there.now,
      after: there.after,
      report: (error) => void faults.push(error),
    });
    duties.during({ begin: () => void log.push('begin'), end: async () => void log.push('end') });
    await until(() => log.length === 1);
    isDown = true;
    await pass(there, LEASE_MS);
    assert.deepEqual(log, ['begin', 'end']);
    assert.ok(faults.length > 0);
    isDown = false;
    await pass(there, RENEW_MS);
    assert.deepEqual(log, ['begin', 'end', 'begin']);
    await duties.close();
  },
);

test('leases: the only process of a folder asks nobody', async () => {
  const duties = soleDuties();
  const log: string[] = [];
  duties.during({ begin: () => void log.push('begin'), end: async () => void log.push('end') });
  assert.deepEqual([duties.isOurs(), duties.fence(), log], [true, [], ['begin']]);
  await duties.close();
  assert.deepEqual(log, ['begin', 'end']);
});

test(
  'monitoring@takeover: the monitoring process freezes; another goes on within 10 s, every change is scored once, the late write of the first is refused',
  LIMIT,
  async (t) => {
    const there = await monitorWorld();
    t.after(() => there.close());
    await there.monitor.close();
    const late: unknown[] = [];
    const running = new Map<string, Monitor>();
    const begin = (name: string, fence: () => readonly Command[]) => {
      const monitor = there.monitorOf(fence(), (error) => void late.push(error));
      running.set(name, monitor);
      t.after(() => monitor.close());
      void monitor.start();
      there.store.onCommit(() => monitor.wake());
    };
    const one = processOf(there, 'one', {
      begin: () => begin('one', () => one.duties.fence()),
      end: async () => running.get('one')?.close(),
    });
    await until(() => running.has('one'));
    const other = processOf(there, 'other', {
      begin: () => begin('other', () => other.duties.fence()),
      end: async () => running.get('other')?.close(),
    });
    await inpatient(there, 'p1');
    for (const each of baseline('p1', there.now())) await there.put(each);
    /** Every change is read and scored by whoever monitors. */
    const scored = async (name: string, assessments: number): Promise<void> => {
      await until(async () => {
        await pass(there, 500);
        const backlog = running.get(name)?.backlog;
        return backlog?.patients === 0 && (await there.all('RiskAssessment')).length >= assessments;
      });
    };
    await scored('one', 1);
    const before = (await there.all('RiskAssessment')).length;
    assert.deepEqual([...running.keys()], ['one'], 'never both');
    one.freeze();
    await pass(there, WITHIN_MS);
    assert.deepEqual([...running.keys()], ['one', 'other']);
    // The first still runs, knows nothing, and sees the change as well.
    there.advance(MINUTE);
    await there.put(breathing('p1', 'b1', 25, there.now()));
    await scored('other', before + 1);
    await pass(there, 3 * PACE.intervalMs);
    assert.equal((await there.all('RiskAssessment')).length, before + 1, 'scored once');
    assert.ok(late.length > 0, 'the first tried, and was refused');
    assert.match(String(late[0]), /refused|conflict|409|another/i);
    await other.duties.close();
    await one.duties.close();
  },
);
