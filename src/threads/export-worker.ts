/** Entry of the thread of one export job: own read connection, small pages, as much rest as work, so that requests go first. */
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { runExport } from '../export/run.ts';
import { FILES } from '../jobs/desk.ts';
import { readWhole } from '../jobs/files.ts';
import { deidentifying } from '../open/deidentification.ts';
import type { ExportJob } from '../rest/export-job.ts';
import { callerOf } from '../smart/access.ts';
import { attachedSystem } from '../system.ts';
import type { JobReply, JobThreadData } from './job-thread.ts';

/** Resources a page: a few ms of reading. */
const PAGE = 200;
const LINES_PER_FILE = 100_000;
const PAGES_PER_SYNC = 25;
/** Longest search of a job, ms: it keeps nobody waiting but itself. */
const BUDGET_MS = 60_000;
/** Longest rest between two pages, ms. */
const LONGEST_REST_MS = 20;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { config, channel, parameters, folder } = workerData as JobThreadData;
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const { live, close } = await attachedSystem({ ...config, SEARCH_BUDGET_MS: BUDGET_MS }, channel, parameters);
const context = live.current;
const job = await readWhole<ExportJob>(join(folder, FILES.job));

let reply: JobReply = 'failed';
try {
  reply = job !== undefined && (await run(job)) ? 'complete' : 'stopped';
} catch (error) {
  if (!stopped) context.report(error, job?.caller.requestId ?? '');
  if (stopped) reply = 'stopped';
}
port.postMessage(reply);
await close();
port.close();

async function run(order: ExportJob): Promise<boolean> {
  const caller = callerOf(order.caller, context);
  let since = performance.now();
  return runExport(folder, order, {
    store: context.store,
    definitions: context.definitions,
    now: context.ambient.now,
    deidentified: await deidentifying(order, folder, config.DEIDENTIFICATION_KEY_FILE, context),
    page: PAGE,
    linesPerFile: LINES_PER_FILE,
    pagesPerSync: PAGES_PER_SYNC,
    stopped: () => stopped,
    pause: async () => {
      await rest(Math.min(performance.now() - since, LONGEST_REST_MS));
      since = performance.now();
    },
    record: async (patients) => {
      const operation = order.deidentify === undefined ? 'export' : 'deidentified-export';
      const entry = { interaction: 'operation', operation, patients };
      const entries = [order.resource === undefined ? entry : { ...entry, resource: order.resource }];
      const audit = [context.audit({ caller, entries, status: 200 })];
      const { ok } = await context.store.commit({ commands: [], audit });
      if (!ok) throw new Error('An audit row was refused.');
    },
  });
}
