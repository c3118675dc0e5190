/** The desks of jobs: where exports and imports of this server are kept, and which thread each job gets. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from './config.ts';
import { fileIn } from './import/folder.ts';
import { Uploads } from './import/uploads.ts';
import { startJobThread } from './job-thread.ts';
import { JobFolders } from './jobs/desk.ts';
import type { Ambient } from './rest/context.ts';
import type { ExportOrder } from './rest/export-job.ts';
import type { ImportOrder, ImportResult } from './rest/import-job.ts';
import type { JobResult } from './rest/job.ts';
import type { SqliteStore } from './store/sqlite.ts';
import type { Log } from './telemetry/log.ts';

/** Clock, ids, and the base of the links a desk mints. */
interface DeskPlace {
  readonly ambient: Ambient;
  readonly url: string;
}

/** @param parametersPort makes the port by which a job's thread follows what clients search by */
export function openExports(
  config: Config,
  store: SqliteStore,
  { ambient, url }: DeskPlace,
  log: Log,
  parametersPort: () => MessagePort,
) {
  return JobFolders.open<ExportOrder, JobResult>({
    folder: join(config.DATA_DIR, 'export'),
    url: `${url}/export`,
    expiryMs: config.EXPORT_EXPIRY_HOURS * 3_600_000,
    isRefused: config.DATA_KEY_FILE !== undefined && !config.EXPORT_UNENCRYPTED,
    now: ambient.now,
    start: async (folder) => startJobThread('export', config, store.channel(), parametersPort(), folder),
    report: (error) => log.failure('request-failed', error, { requestId: '' }),
  });
}

/** The desk of imports, what the context is given of it, and where bodies wait. */
export async function openImports(
  config: Config,
  store: SqliteStore,
  { ambient, url }: DeskPlace,
  log: Log,
  parametersPort: () => MessagePort,
) {
  const files = join(config.DATA_DIR, 'import');
  mkdirSync(files, { recursive: true, mode: 0o700 });
  const uploads = await Uploads.open(join(config.DATA_DIR, 'import-uploads'));
  const desk = await JobFolders.open<ImportOrder, ImportResult>({
    folder: join(config.DATA_DIR, 'import-jobs'),
    url: `${url}/import`,
    expiryMs: config.EXPORT_EXPIRY_HOURS * 3_600_000,
    isRefused: config.DATA_KEY_FILE !== undefined && !config.EXPORT_UNENCRYPTED,
    now: ambient.now,
    prepared: async ({ upload }, folder) => (upload === undefined ? undefined : uploads.give(upload, folder)),
    start: async (folder) => startJobThread('import', config, store.channel(), parametersPort(), folder),
    report: (error) => log.failure('request-failed', error, { requestId: '' }),
  });
  const place = {
    limitBytes: config.IMPORT_LIMIT_MB * 1_048_576,
    newId: ambient.newId,
    keep: (id: string, body: AsyncIterable<Uint8Array>) => uploads.keep(id, body),
    drop: (id: string) => uploads.drop(id),
  };
  return { room: { desk, fileOf: (url: string) => fileIn(files, url) }, desk, place };
}
