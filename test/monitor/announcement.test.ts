// docs/decisions/0042: what one process' monitoring tells is told to the listeners of every process, once each, by the commit of what is told.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Announcements, announcing } from '../../src/monitor/announcement.ts';
import type { MonitorEvent } from '../../src/monitor/rescore.ts';
import type { Command } from '../../src/store/port.ts';
import { limit } from '../test-store.ts';
import { baseline, breathing, inpatient, MINUTE, models, monitorWorld, PACE, until } from './world.ts';

const LIMIT = { timeout: limit(60_000) };
after(() => models.close());
const event = (reference: string): MonitorEvent => ({ event: 'raised', rule: 'r', alert: 'a', reference });

test('monitoring@announced: every process tells what came since it listens, once, whatever the clocks of the others say', async (t) => {
  const there = await monitorWorld();
  t.after(() => there.close());
  const { store } = there;
  const say = async (references: readonly string[], occasion: string, at: number) =>
    store.commit({ commands: announcing(references.map(event), occasion, at), audit: [] });
  const at = Date.UTC(2100, 0, 1);
  const heard: [string[], string[]] = [[], []];
  const [one, other] = heard.map((own) => new Announcements(store, ({ reference }) => void own.push(reference)));
  await say(['before'], '1', at);
  await one?.look();
  await say(['a', 'b'], '2', at);
  await one?.look();
  await other?.look();
  await say(['c'], '3', at - 5000);
  await Promise.all([one?.look(), one?.look(), other?.look()]);
  await one?.look();
  assert.deepEqual(heard, [['a', 'b', 'c'], ['c']]);
  assert.deepEqual(announcing([], '4', at), [], 'nothing to tell is not written');
});

test('monitoring@announced: a scoring of one of several processes announces with what it writes', LIMIT, async (t) => {
  const there = await monitorWorld();
  t.after(() => there.close());
  await there.monitor.close();
  // Past the clock of the engine, which removes what has expired by it.
  there.advance(Date.UTC(2100, 0, 1) - there.now());
  const fence: Command = { op: 'set', space: 'lease', key: 'test', value: '1', expect: '1' };
  await there.store.commit({ commands: [{ ...fence, expect: null }], audit: [] });
  const heard: MonitorEvent[] = [];
  const follower = new Announcements(there.store, (each) => void heard.push(each));
  await follower.look();
  const monitor = there.monitorOf([fence], (error) => assert.fail(String(error)));
  await monitor.start();
  there.store.onCommit(() => {
    monitor.wake();
    void follower.look();
  });
  t.after(() => monitor.close());
  await inpatient(there, 'p1');
  for (const each of baseline('p1', there.now())) await there.put(each);
  there.advance(MINUTE);
  await there.put(breathing('p1', 'b1', 25, there.now()));
  const code = { coding: [{ system: 'http://loinc.org', code: '8867-4' }] };
  await there.put({ ...breathing('p1', 'hr', 115, there.now()), code });
  await until(async () => {
    there.advance(PACE.settleMs);
    await there.store.commit({ commands: [], audit: [] });
    return heard.length > 0;
  });
  const [flag] = await there.all('Flag');
  assert.deepEqual(heard[0], { ...heard[0], event: 'raised', reference: `Flag/${flag?.id}` });
});
