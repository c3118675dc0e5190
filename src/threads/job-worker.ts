/** Entry of the thread of one piece of background work: own read connection, as much rest as work, ended with it. What is done is `WORKS`. */
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { attachedSystem } from '../system.ts';
import { ASYNC_WORK } from './async-work.ts';
import { EXPORT_WORK } from './export-work.ts';
import { IMPORT_WORK } from './import-work.ts';
import type { JobThreadData, WorkKind } from './job-thread.ts';
import { PURGE_WORK } from './purge-work.ts';
import { SURVEILLANCE_WORK } from './surveillance-work.ts';
import type { JobReply, ThreadWork } from './thread-work.ts';

/** THE table. */
const WORKS = {
  export: EXPORT_WORK,
  import: IMPORT_WORK,
  purge: PURGE_WORK,
  async: ASYNC_WORK,
  surveillance: SURVEILLANCE_WORK,
} as const satisfies Record<WorkKind, ThreadWork>;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { kind, config, channel, parameters, ticket } = workerData as JobThreadData;
const { searchMs, longestRestMs, run } = WORKS[kind];
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const budget = { ...config, SEARCH_BUDGET_MS: searchMs ?? config.SEARCH_BUDGET_MS };
const { live, close } = await attachedSystem(budget, channel, parameters, ticket?.fence);
const report = (error: unknown, requestId: string): void => {
  if (!stopped) live.current.report(error, requestId);
};

let since = performance.now();
const pause = async (): Promise<void> => {
  await rest(Math.min(performance.now() - since, longestRestMs));
  since = performance.now();
};
let reply: JobReply = 'failed';
try {
  reply = await run({ config, live, ticket, stopped: () => stopped, pause, report });
} catch (error) {
  report(error, '');
}
port.postMessage(reply);
await close();
port.close();
