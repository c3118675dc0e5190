/** What each engine must pass when the clock of its machine goes back: what is written stays in order, what expires goes by the clock as it is. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ResourceStore } from '../../src/store/port.ts';
import { ok } from './contract.ts';
import { contractRow } from './contract-row.ts';
import { auditRow, put } from './world.ts';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 1);
const DAY_AHEAD = NOW + 1440 * MINUTE;

/** Opens one and the same place again and again, each time with another clock; the store of before is closed first. */
export type Reopen = (context: TestContext) => (at: number) => Promise<ResourceStore>;

export function clockContract(engine: string, reopen: Reopen): void {
  const specify = (name: string, body: (context: TestContext) => Promise<void>) => contractRow(engine, name, body);

  specify('a clock that was a day ahead: what expires within the day is kept, found and changed', async (context) => {
    const open = reopen(context);
    const ahead = await open(DAY_AHEAD);
    const written = ok(await ahead.commit({ commands: [put('Patient', 'a')], audit: [auditRow('1')] }));
    await ahead.close();
    const store = await open(NOW);
    const expiresAt = NOW + MINUTE;
    const set = (key: string, value: string, expect?: string | null) =>
      ({ op: 'set', space: 's', key, value, expect, expiresAt }) as const;
    ok(await store.commit({ commands: [set('code', 'made', null)], audit: [auditRow('2')] }));
    ok(await store.commit({ commands: [set('other', 'x')], audit: [] }));
    assert.equal((await store.keyed('s', 'code'))?.value, 'made', 'not removed as expired');
    assert.equal(
      (await store.commit({ commands: [set('code', 'again', null)], audit: [auditRow('3')] })).ok,
      false,
      'it is there',
    );
    ok(await store.commit({ commands: [set('code', 'used', 'made')], audit: [auditRow('4')] }));
    const after = ok(await store.commit({ commands: [put('Patient', 'a', 2)], audit: [auditRow('5')] }));
    assert.equal(after.at, written.at, 'lastUpdated does not go back');
  });
}
