/** Entry of the thread of one import: the door with its own read connection, as much rest as work, so that requests go first. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { runImport, UPLOAD } from '../import/run.ts';
import { FILES } from '../jobs/desk.ts';
import { readWhole } from '../jobs/files.ts';
import type { ImportJob } from '../rest/import-job.ts';
import { callerOf } from '../smart/access.ts';
import { attachedSystem } from '../system.ts';
import type { JobReply, JobThreadData } from './job-thread.ts';

/** Lines written at once: one or two groups of the writer. */
const CHUNK = 100;
/** Longest rest between two chunks, ms. */
const LONGEST_REST_MS = 100;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { config, channel, parameters, folder } = workerData as JobThreadData;
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const { live, close } = await attachedSystem(config, channel, parameters);
const job = await readWhole<ImportJob>(join(folder, FILES.job));

let reply: JobReply = 'failed';
try {
  reply = job !== undefined && (await run(job)) ? 'complete' : 'stopped';
} catch (error) {
  if (!stopped) live.current.report(error, job?.caller.requestId ?? '');
  if (stopped) reply = 'stopped';
}
port.postMessage(reply);
await close();
port.close();

async function run(order: ImportJob): Promise<boolean> {
  let since = performance.now();
  const isDone = await runImport(folder, order, {
    get context() {
      return live.current;
    },
    get caller() {
      return callerOf(order.caller, live.current);
    },
    now: live.current.ambient.now,
    chunk: CHUNK,
    lineBytes: config.BODY_LIMIT_MB * 1_048_576,
    stopped: () => stopped,
    pause: async () => {
      await rest(Math.min(performance.now() - since, LONGEST_REST_MS));
      since = performance.now();
    },
  });
  // The result is on disk: nothing needs the body any more.
  if (isDone) await rm(join(folder, UPLOAD), { force: true });
  return isDone;
}
