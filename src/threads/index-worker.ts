/** Entry of the thread that makes index rows again: small pages, as much rest as work, so that requests go first. */
import { setTimeout as rest } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { runIndex } from '../parameters/index-run.ts';
import { attachedSystem } from '../system.ts';
import type { IndexEnd, IndexReport, IndexThreadData } from './index-thread.ts';

/** Resources a page: the writer works on one for some ms. */
const PAGE = 50;
const PAGES_PER_PLACE = 10;
/** Longest rest between two pages, ms. */
const LONGEST_REST_MS = 20;

const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { config, channel, parameters } = workerData as IndexThreadData;
let stopped = false;
port.on('message', () => {
  stopped = true;
});
const { live, store, close } = await attachedSystem(config, channel, parameters);
const say = (report: IndexReport): void => port.postMessage(report);

let end: IndexEnd = 'failed';
let since = performance.now();
try {
  end = await runIndex({
    store,
    live,
    page: PAGE,
    pagesPerPlace: PAGES_PER_PLACE,
    stopped: () => stopped,
    pause: async () => {
      await rest(Math.min(performance.now() - since, LONGEST_REST_MS));
      since = performance.now();
    },
    say: (keys, percent, finished) => say({ keys, percent, finished }),
  });
} catch (error) {
  if (stopped) end = 'stopped';
  else live.current.report(error, '');
}
say({ end });
await close();
port.close();
