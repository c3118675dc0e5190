/** Backups that another process made, told by the server: in the audit log, since all data left the store, and in /metrics, since somebody must miss the next one. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { RestContext } from '../rest/context.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface BackupWatchParts {
  current(): RestContext;
  readonly metrics: Pick<Metrics, 'gauge'>;
  readonly log: Pick<Log, 'failure'>;
}

/** In DATA_DIR, written by `firewatch backup` when a backup has its name. */
export const LAST_BACKUP = 'backup.json';
const LOOK_MS = 60_000;
const SPACE = 'operations';
const KEY = 'backup';

/** Instant, ms, and hash of the last backup; undefined: there is none. */
async function lastBackup(folder: string): Promise<{ readonly takenAt: number; readonly sha256: string } | undefined> {
  const text = await readFile(join(folder, LAST_BACKUP), 'utf8').catch(() => undefined);
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('takenAt' in value) || !('sha256' in value)) return undefined;
  const { takenAt, sha256 } = value;
  return typeof takenAt !== 'string' || typeof sha256 !== 'string'
    ? undefined
    : { takenAt: Date.parse(takenAt), sha256 };
}

/** The first look is at once; each backup is recorded once, whenever a server runs again. */
export function watchBackups(
  { DATA_DIR, HOST }: Pick<Config, 'DATA_DIR' | 'HOST'>,
  { current, metrics, log }: BackupWatchParts,
): { close(): Promise<void> } {
  let newest: number | undefined;
  const look = async (): Promise<void> => {
    const last = await lastBackup(DATA_DIR);
    newest = last?.takenAt;
    if (last === undefined) return;
    const { store, ambient, audit } = current();
    const told = await store.keyed(SPACE, KEY);
    if (told?.value === last.sha256) return;
    const caller = localCaller({ ...localFacts(ambient.newId(), HOST), principal: 'backup' });
    const row = audit({
      caller,
      entries: [{ interaction: 'backup', patients: [] }],
      status: 200,
      outcomeDescription: `All data was copied to a backup at ${new Date(last.takenAt).toISOString()}.`,
    });
    const set = { op: 'set', space: SPACE, key: KEY, value: last.sha256, expect: told?.value ?? null } as const;
    await store.commit({ commands: [set], audit: [row] });
  };
  let looking: Promise<void> | undefined;
  const begin = (): void => {
    looking ??= look()
      .catch((error: unknown) => log.failure('request-failed', error, { requestId: 'backup-watch' }))
      .finally(() => {
        looking = undefined;
      });
  };
  metrics.gauge('firewatch_backup_timestamp_seconds', () =>
    newest === undefined ? [] : [{ labels: {}, value: Math.floor(newest / 1000) }],
  );
  const timer = setInterval(begin, LOOK_MS).unref();
  begin();
  return {
    close: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}
