/** The thread that makes index rows for parameters of clients, seen from the main thread: it lives as long as there are rows to make or to remove. */
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from '../config.ts';

export interface IndexThreadData {
  readonly config: Config;
  readonly channel: MessagePort;
  /** Says what is to be indexed. */
  readonly parameters: MessagePort;
}
export type IndexReport =
  /** `finished`: all rows of these are made, or gone. */
  | { readonly keys: readonly string[]; readonly percent: number; readonly finished: boolean }
  | { readonly end: IndexEnd };
/** `stopped`: it was told to, or what it worked on has changed. */
export type IndexEnd = 'complete' | 'stopped' | 'failed';

export interface IndexThread {
  readonly ended: Promise<IndexEnd>;
  stop(): void;
}

/** @param channel reaches the one writer */
export function startIndexThread(
  config: Config,
  channel: MessagePort,
  parameters: MessagePort,
  onProgress: (keys: readonly string[], percent: number, finished: boolean) => void,
): IndexThread {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const worker = new Worker(new URL(`./index-worker${extension}`, import.meta.url), {
    workerData: { config, channel, parameters } satisfies IndexThreadData,
    transferList: [channel, parameters],
  });
  let end: IndexEnd = 'failed';
  worker.on('message', (report: IndexReport) => {
    if ('end' in report) end = report.end;
    else onProgress(report.keys, report.percent, report.finished);
  });
  const ended = new Promise<IndexEnd>((resolve) => {
    worker.once('error', () => resolve('failed'));
    worker.once('exit', () => resolve(end));
  });
  return { ended, stop: () => worker.postMessage('stop') };
}
