/** Entry of the thread of one asynchronous request: the door, with more time for a search than requests that somebody waits for. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { FILES } from '../jobs/desk.ts';
import { readWhole } from '../jobs/files.ts';
import { runLater } from '../jobs/later.ts';
import { type AsyncOrder, laterText } from '../rest/async-job.ts';
import type { Job } from '../rest/job.ts';
import { callerOf } from '../smart/access.ts';
import { attachedSystem } from '../system.ts';
import type { JobReply, JobThreadData } from './job-thread.ts';

/** Longest search, ms: it keeps nobody waiting but its own client. */
const BUDGET_MS = 60_000;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { config, channel, parameters, folder } = workerData as JobThreadData;
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const { live, close } = await attachedSystem({ ...config, SEARCH_BUDGET_MS: BUDGET_MS }, channel, parameters);
const job = await readWhole<Job<AsyncOrder>>(join(folder, FILES.job));

let reply: JobReply = 'stopped';
try {
  if (job !== undefined && !stopped) {
    await runLater(folder, job, live.current.ambient.now, (order, body) =>
      laterText(order, body, callerOf(order.caller, live.current), live.current),
    );
    reply = 'complete';
  }
} catch (error) {
  if (!stopped) live.current.report(error, job?.caller.requestId ?? '');
  if (!stopped) reply = 'failed';
}
port.postMessage(reply);
await close();
port.close();
