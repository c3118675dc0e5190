/** The thread of one piece of background work seen from the main thread: it lives as long as the work. */
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from '../config.ts';
import type { JobThread } from '../jobs/desk.ts';
import type { JobTicket } from '../jobs/run.ts';
import type { JobReply } from './thread-work.ts';

export type WorkKind = 'export' | 'import' | 'purge' | 'async' | 'surveillance';

export interface JobThreadData {
  readonly kind: WorkKind;
  readonly config: Config;
  readonly channel: MessagePort;
  /** Says what clients search by: `attachedSystem` follows it. */
  readonly parameters: MessagePort;
  /** Of a job. */
  readonly ticket: JobTicket | undefined;
}

/** @param channel reaches the one writer; `parameters` is made by `ParameterThreads.channel` */
export function startJobThread(
  kind: WorkKind,
  config: Config,
  channel: MessagePort,
  parameters: MessagePort,
  ticket?: JobTicket,
): JobThread {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const worker = new Worker(new URL(`./job-worker${extension}`, import.meta.url), {
    workerData: { kind, config, channel, parameters, ticket } satisfies JobThreadData,
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
