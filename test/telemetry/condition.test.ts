// docs/operations.md#what-to-monitor: what readiness and /metrics say of room, clock and durability. Thresholds: ahead in (5, 60] s warns, above 60 s fails.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { conditionOf } from '../../src/open/condition.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { auditRow } from '../store/world.ts';
import { embeddedOnly, openTestStore } from '../test-store.ts';

const NOW = Date.UTC(2026, 0, 2);
const well = { durability: 'WAL, synchronous=FULL', isFull: false, newestAt: NOW };
const asked = (store: Partial<Omit<typeof well, 'newestAt'>> & { newestAt?: number | undefined }) => {
  const metrics = new Metrics();
  const checks = conditionOf({ store: { ...well, ...store }, metrics, now: () => NOW })();
  return { text: metrics.text(), of: (name: string) => checks.find((check) => check.name === name) };
};

test('reliability@r2-health: the setting of the open store is in readiness', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-condition-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const store = await openTestStore({ folder, renderAudit: () => '{}', indexHash: 'one', types: ['Patient'] });
  context.after(() => store.close());
  const [durability] = conditionOf({ store, metrics: new Metrics(), now: () => NOW })();
  const setting = store.newestAt === undefined ? 'w=majority, j=true' : 'WAL, synchronous=FULL';
  assert.deepEqual(durability, { name: 'durability', status: 'pass', setting });
});

test('reliability@r3-reserve: a full disk warns and is counted', () => {
  assert.deepEqual(asked({}).of('disk'), { name: 'disk', status: 'pass' });
  assert.match(asked({}).text, /^firewatch_disk_full 0$/m);
  const full = asked({ isFull: true });
  assert.deepEqual(full.of('disk'), { name: 'disk', status: 'warn', reason: 'full' });
  assert.match(full.text, /^firewatch_disk_full 1$/m);
});

const rows: readonly [newestAt: number | undefined, status: string | undefined, seconds: number | undefined][] = [
  [0, 'pass', undefined],
  [NOW - 3_600_000, 'pass', undefined],
  [NOW + 5000, 'pass', undefined],
  [NOW + 5001, 'warn', 5],
  [NOW + 60_000, 'warn', 60],
  [NOW + 60_001, 'fail', 60],
  [NOW + 86_400_000, 'fail', 86_400],
  [undefined, undefined, undefined],
];
for (const [newestAt, status, seconds] of rows)
  test(`reliability@r9-skew: newest commit ${newestAt === undefined ? 'not known' : `${newestAt - NOW} ms from the clock`}`, () => {
    const found = asked({ newestAt }).of('clock');
    assert.deepEqual([found?.status, found?.observedValue], [status, seconds]);
  });

test('reliability@r9-skew: the instant of the newest commit is known at once, and after a start', {
  skip: embeddedOnly,
}, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-condition-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const open = (fixed: number) =>
    openTestStore({ folder, renderAudit: () => '{}', indexHash: 'one', types: ['Patient'], clock: { fixed } });
  const first = await open(NOW);
  await first.commit({ commands: [], audit: [auditRow('a read')] });
  assert.equal(first.newestAt, NOW);
  await first.close();
  const second = await open(NOW - 3_600_000);
  assert.equal(second.newestAt, NOW, 'the clock went back an hour');
  await second.close();
});
