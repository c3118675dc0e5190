/** Entry of the monitoring thread: own read connection, own models, the same door and writer. Nothing that it does keeps the main thread. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemAmbient } from '../ambient.ts';
import type { Config } from '../config.ts';
import { FOLDERS } from '../folders.ts';
import { type Backlog, Monitor } from '../monitor/monitor.ts';
import type { MonitorEvent } from '../monitor/rescore.ts';
import { loadRules } from '../monitor/rule.ts';
import { sepsisFollow } from '../monitor/sepsis.ts';
import { loadModels } from '../risk/models/models.ts';
import type { Command } from '../store/port.ts';
import { attachedSystem } from '../system.ts';

export interface MonitorThreadData {
  readonly config: Config;
  readonly channel: MessagePort;
  readonly parameters: MessagePort;
  /** Ids of rules that may not run here. */
  readonly blocked: readonly string[];
  /** Of the process that monitors. */
  readonly fence: readonly Command[];
}
export type ToMonitor = 'wake' | 'close';
export type FromMonitor = { readonly events: readonly MonitorEvent[] } | { readonly backlog: Backlog };

const SETTLE_MS = 20;
const BACKLOG_MS = 500;
/** A set of observations comes in a few writes; the first that crosses must not wait for the interval. */
const SCORINGS_AT_ONCE = 3;

const { config, channel, parameters, blocked, fence } = workerData as MonitorThreadData;
const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const say = (message: FromMonitor): void => port.postMessage(message);
const ambient = systemAmbient();
const { live, close } = await attachedSystem(config, channel, parameters);
const models = await loadModels(config.MODELS_DIR ?? FOLDERS.models, {
  now: ambient.now,
  mode: 'inline',
  within: config.INPUTS_WITHIN_MINUTES,
});
const rules = loadRules(FOLDERS.monitoring, models.manifests, models.knowledge.vocabulary);
const monitor = new Monitor({
  rules: rules.filter(({ id }) => !blocked.includes(id)),
  current: () => live.current,
  models,
  follow: sepsisFollow(models, ambient.now),
  now: ambient.now,
  newId: ambient.newId,
  fence,
  pace: { settleMs: SETTLE_MS, intervalMs: config.MONITORING_INTERVAL_MS, atOnce: SCORINGS_AT_ONCE },
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  notify: (events) => say({ events }),
  report: (error) => live.current.report(error, ''),
});
const sayBacklog = (): void => say({ backlog: monitor.backlog });
const beat = setInterval(sayBacklog, BACKLOG_MS);

let isClosing = false;
port.on('message', async (message: ToMonitor) => {
  if (message === 'wake') return monitor.wake();
  isClosing = true;
  clearInterval(beat);
  await monitor.close();
  await models.close();
  await close();
  process.exit(0);
});
try {
  await monitor.start();
  sayBacklog();
} catch (error) {
  // The store closes beneath a start that is not over.
  if (!isClosing) throw error;
}
