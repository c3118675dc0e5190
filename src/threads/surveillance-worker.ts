/** Entry of the thread of one daily run of surveillance: own read connection, small pages, as much rest as work, so that requests go first. */
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { definitionsOf } from '../open/surveillance.ts';
import { runDaily } from '../surveillance/daily.ts';
import { SurveillanceDoor } from '../surveillance/door.ts';
import { attachedSystem } from '../system.ts';
import type { JobReply, JobThreadData } from './job-thread.ts';

/** Longest search, ms: it keeps nobody waiting but itself. */
const BUDGET_MS = 60_000;
/** Longest rest between two pages, ms. */
const LONGEST_REST_MS = 20;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { config, channel, parameters } = workerData as JobThreadData;
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const { live, close } = await attachedSystem({ ...config, SEARCH_BUDGET_MS: BUDGET_MS }, channel, parameters);

let since = performance.now();
const pause = async (): Promise<void> => {
  if (stopped) throw new Error('The run is stopped; the next goes on.');
  await rest(Math.min(performance.now() - since, LONGEST_REST_MS));
  since = performance.now();
};
let reply: JobReply = 'complete';
const failed = (error: unknown): void => {
  reply = stopped ? 'stopped' : 'failed';
  if (!stopped) live.current.report(error, 'surveillance');
};
try {
  const door = new SurveillanceDoor(live.current, 'surveillance', pause);
  const definitions = definitionsOf(config);
  await runDaily(definitions.values(), { door, zone: config.SITE_TIME_ZONE }, { failed });
} catch (error) {
  failed(error);
}
port.postMessage(reply);
await close();
port.close();
