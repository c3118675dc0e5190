/** Entry of the thread of one purge: own read connection, small steps, as much rest as work, so that requests go first; then one commit. */
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { aesSeal } from '../cds/decision-record.ts';
import { FILES } from '../jobs/desk.ts';
import { readWhole } from '../jobs/files.ts';
import { secretOf } from '../open/installation-secret.ts';
import { runPurge } from '../privacy/purge.ts';
import type { PurgeJob } from '../rest/purge-job.ts';
import { callerOf } from '../smart/access.ts';
import { attachedSystem } from '../system.ts';
import type { JobReply, JobThreadData } from './job-thread.ts';
import { purgeSpaces } from './purge-spaces.ts';

/** Sequences a step: some ms of looking. */
const SPAN = 2000;
/** Longest search, ms: it keeps nobody waiting. */
const BUDGET_MS = 60_000;
/** Longest rest between two steps, ms. */
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
const job = await readWhole<PurgeJob>(join(folder, FILES.job));

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

function run(order: PurgeJob): Promise<boolean> {
  const caller = callerOf(order.caller, context);
  let since = performance.now();
  return runPurge(folder, order, {
    store: context.store,
    spaces: purgeSpaces(aesSeal(secretOf(config, 'record.key'))),
    now: context.ambient.now,
    span: SPAN,
    stopped: () => stopped,
    pause: async () => {
      await rest(Math.min(performance.now() - since, LONGEST_REST_MS));
      since = performance.now();
    },
    audit: (patients) => {
      const entry = { interaction: 'operation', operation: 'purge', patients };
      return context.audit({ caller, entries: [entry], status: 200 });
    },
  });
}
