/** The thread of one export job seen from the main thread: it lives as long as the job runs. */
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from './config.ts';
import type { ExportThread } from './export/desk.ts';

export interface ExportThreadData {
  readonly config: Config;
  readonly channel: MessagePort;
  readonly folder: string;
}
/** What the thread says last. */
export type ExportReply = 'complete' | 'stopped' | 'failed';

/** @param channel reaches the one writer, for the audit of each patient */
export function startExportThread(config: Config, channel: MessagePort, folder: string): ExportThread {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const worker = new Worker(new URL(`./export-worker${extension}`, import.meta.url), {
    workerData: { config, channel, folder } satisfies ExportThreadData,
    transferList: [channel],
  });
  let reply: ExportReply = 'failed';
  worker.on('message', (said: ExportReply) => {
    reply = said;
  });
  const ended = new Promise<ExportReply>((resolve) => {
    worker.once('error', () => resolve('failed'));
    worker.once('exit', () => resolve(reply));
  });
  return { ended, stop: () => worker.postMessage('stop') };
}
