/** Preloaded into the measured server only (`--import`): on SIGUSR2 says how long its main thread stood still since the last SIGUSR2. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Sampling interval; every delay is reported with this much added. ms */
const RESOLUTION_MS = 1;

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  process.on('SIGUSR2', () => {
    const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    console.error(`loop-delay ${JSON.stringify({ p99: ms(delay.percentile(99)), worst: ms(delay.max) })}`);
    delay.reset();
  });
}
