/**
 * Preloaded into the measured server only (`--import`): on SIGUSR2 says, since the last SIGUSR2, how long its main thread stood still (which
 * includes waiting for a core), and the most CPU time the thread itself used between two looks a millisecond apart (its own longest work).
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Sampling interval; every delay is reported with this much added. ms */
const RESOLUTION_MS = 1;

if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let last = process.threadCpuUsage();
  let work = 0;
  setInterval(() => {
    const now = process.threadCpuUsage();
    work = Math.max(work, (now.user + now.system - last.user - last.system) / 1000);
    last = now;
  }, RESOLUTION_MS).unref();
  process.on('SIGUSR2', () => {
    const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    console.error(`loop-delay ${JSON.stringify({ p99: ms(delay.percentile(99)), worst: ms(delay.max), work })}`);
    delay.reset();
    work = 0;
  });
}
