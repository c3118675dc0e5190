// docs/operations.md#what-to-monitor: a backup that another process made is recorded once and measured.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LAST_BACKUP, watchBackups } from '../../src/open/backup-watch.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { openTestStore } from '../test-store.ts';
import { world } from '../world.ts';

test('reliability@backup-told: each backup is one audit row, and its instant in /metrics', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'firewatch-backup-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const { context: imagined, accesses } = world();
  const store = await openTestStore({ folder, renderAudit: () => '{}', indexHash: 'one', types: ['Patient'] });
  context.after(() => store.close());
  const current = { ...imagined, store };
  const faults: unknown[] = [];
  const look = async (): Promise<string> => {
    const metrics = new Metrics();
    const log = { failure: (_name: string, error: unknown) => void faults.push(error) };
    await watchBackups({ DATA_DIR: folder, HOST: '127.0.0.1' }, { current: () => current, metrics, log }).close();
    return metrics.text();
  };
  const told = () => accesses.flatMap(({ entries }) => entries.map(({ interaction }) => interaction));
  const wrote = (takenAt: string, sha256: string) =>
    writeFileSync(join(folder, LAST_BACKUP), JSON.stringify({ takenAt, bytes: 1, sha256 }));

  assert.doesNotMatch(await look(), /^firewatch_backup_timestamp_seconds /m, 'none yet');
  wrote('2026-01-02T03:04:05.000Z', 'a');
  assert.match(await look(), /^firewatch_backup_timestamp_seconds 1767323045$/m);
  await look();
  assert.deepEqual(told(), ['backup'], 'once, however often it is looked at');
  wrote('2026-01-03T03:04:05.000Z', 'b');
  assert.match(await look(), /^firewatch_backup_timestamp_seconds 1767409445$/m);
  assert.deepEqual(told(), ['backup', 'backup']);
  writeFileSync(join(folder, LAST_BACKUP), '[1]');
  await look();
  assert.deepEqual([told().length, faults], [2, []], 'a file that is none of ours tells nothing');
});
