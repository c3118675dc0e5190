/** The thread of one job seen from the main thread: it lives as long as the job runs. */
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from '../config.ts';
import type { JobThread } from '../jobs/desk.ts';

export interface JobThreadData {
  readonly config: Config;
  readonly channel: MessagePort;
  /** Says what clients search by: `attachedSystem` follows it. */
  readonly parameters: MessagePort;
  readonly folder: string;
}
/** What the thread says last. */
export type JobReply = 'complete' | 'stopped' | 'failed';

/** THE table: kind of job -> entry of its thread. */
const ENTRIES = {
  export: './export-worker',
  import: './import-worker',
  purge: './purge-worker',
  async: './async-worker',
  surveillance: './surveillance-worker',
} as const;

/** @param channel reaches the one writer; `parameters` is made by `ParameterThreads.channel` */
export function startJobThread(
  kind: keyof typeof ENTRIES,
  config: Config,
  channel: MessagePort,
  parameters: MessagePort,
  folder: string,
): JobThread {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const worker = new Worker(new URL(`${ENTRIES[kind]}${extension}`, import.meta.url), {
    workerData: { config, channel, parameters, folder } satisfies JobThreadData,
    transferList: [channel, parameters],
  });
  let reply: JobReply = 'failed';
  worker.on('message', (said: JobReply) => {
    reply = said;
  });
  const ended = new Promise<JobReply>((resolve) => {
    worker.once('error', () => resolve('failed'));
    worker.once('exit', () => resolve(reply));
  });
  return { ended, stop: () => worker.postMessage('stop') };
}
