/** One export job: small pages by an own read connection. */
import { type ExportProgress, runExport } from '../export/run.ts';
import { deidentifying } from '../open/deidentification.ts';
import type { ExportOrder } from '../rest/jobs/export.ts';
import type { JobResult } from '../rest/jobs/job.ts';
import { callerNow } from '../smart/access.ts';
import { type JobTools, jobWork } from './thread-work.ts';

/** Resources a page: a few ms of reading. */
const PAGE = 200;
const LINES_PER_FILE = 100_000;
const PAGES_PER_SYNC = 25;

export const EXPORT_WORK = jobWork({ searchMs: 60_000, longestRestMs: 20 }, exported);

async function exported({ config, live, job, run, caller, stopped, pause }: Tools): Promise<boolean> {
  const context = live.current;
  return runExport(run, job, {
    store: context.store,
    definitions: context.definitions,
    now: context.ambient.now,
    access: async () => (await callerNow(job.caller, live.current)).access,
    deidentified: await deidentifying(job, run.folder, config.DEIDENTIFICATION_KEY_FILE, context),
    page: PAGE,
    linesPerFile: LINES_PER_FILE,
    pagesPerSync: PAGES_PER_SYNC,
    ...{ stopped, pause },
    record: async (patients) => {
      const operation = job.deidentify === undefined ? 'export' : 'deidentified-export';
      const entry = { interaction: 'operation', operation, patients };
      const entries = [job.resource === undefined ? entry : { ...entry, resource: job.resource }];
      const audit = [context.audit({ caller, entries, status: 200 })];
      const { ok } = await context.store.commit({ commands: [], audit });
      if (!ok) throw new Error('An audit row was refused.');
    },
  });
}
type Tools = JobTools<ExportOrder, ExportProgress, JobResult>;
