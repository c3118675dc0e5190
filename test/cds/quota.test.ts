// docs/decisions/0042: a client's calls of a minute are one bucket, however many processes answer. cds-hooks-2.0@jwt says what the client sees.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Quota } from '../../src/cds/clients/quota.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { engineWorld } from '../rest/engine-world.ts';

const isThrottled = (error: unknown): boolean => error instanceof FhirError && error.kind === 'throttled';

/** How many of so many calls are taken, by turns over the processes. */
async function taken(quotas: readonly Quota[], client: Parameters<Quota['take']>[0], calls: number): Promise<number> {
  let count = 0;
  const ask = async (quota: Quota): Promise<void> => {
    try {
      (await quota.take(client))();
      count++;
    } catch (error) {
      assert.ok(isThrottled(error), String(error));
    }
  };
  for (let call = 0; call < calls; call += quotas.length) await Promise.all(quotas.map(ask));
  return count;
}

const rows: readonly [processes: number, callsPerMinute: number, why: string][] = [
  [1, 40, 'control: one process'],
  [2, 40, 'two share one minute'],
  [3, 2, 'fewer calls than processes'],
  [2, 1, 'a single call'],
];
for (const [processes, callsPerMinute, why] of rows) {
  test(`several processes, ${callsPerMinute} calls a minute, ${processes} processes: ${why}`, async (t) => {
    const there = await engineWorld([]);
    t.after(() => there.close());
    let now = 0;
    const client = { name: 'ehr', callsPerMinute, callsAtOnce: 100 };
    const quotas = Array.from({ length: processes }, () => new Quota(() => now, there.store));
    assert.equal(await taken(quotas, client, callsPerMinute * processes * 4), callsPerMinute);
    now += 59_999 / callsPerMinute;
    assert.equal(await taken(quotas, client, processes), 0, 'nothing before a call is earned');
    now += 60_000;
    assert.equal(await taken(quotas, client, callsPerMinute * processes * 4), callsPerMinute, 'a minute later');
    assert.equal(await taken(quotas.slice(0, 1), { ...client, name: 'other' }, 1), 1, 'another client has its own');
  });
}

test('several processes, many calls at the same moment: none is refused while the minute has calls left', async (t) => {
  const there = await engineWorld([]);
  t.after(() => there.close());
  const client = { name: 'ehr', callsPerMinute: 600, callsAtOnce: 100 };
  const quotas = Array.from({ length: 3 }, () => new Quota(() => 0, there.store));
  const calls = quotas.flatMap((quota) => Array.from({ length: 50 }, () => quota.take(client)));
  assert.equal((await Promise.all(calls)).length, 150);
});

test('several processes, calls at once: a place is given back also when the minute is used up', async (t) => {
  const there = await engineWorld([]);
  t.after(() => there.close());
  const quota = new Quota(() => 0, there.store);
  const client = { name: 'ehr', callsPerMinute: 2, callsAtOnce: 1 };
  const release = await quota.take(client);
  await assert.rejects(quota.take(client), /at once/);
  release();
  release();
  (await quota.take(client))();
  await assert.rejects(quota.take(client), /used up/);
  await assert.rejects(quota.take(client), /used up/, 'not: too many at once');
});
