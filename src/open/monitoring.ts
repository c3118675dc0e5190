/** Monitoring as configured, seen from the main thread: its thread, its listeners, its health. */
import { once } from 'node:events';
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from '../config.ts';
import { isDemonstration } from '../demonstration.ts';
import { FhirError, fhirError } from '../fhir/outcome.ts';
import type { Guard } from '../http/access.ts';
import { type Admit, EventStream } from '../http/event-stream.ts';
import type { Duties } from '../leases.ts';
import { Announcements } from '../monitor/announcement.ts';
import { unattested } from '../monitor/attestation.ts';
import type { Backlog } from '../monitor/monitor.ts';
import { cursorOf } from '../monitor/patient-row.ts';
import type { MonitorEvent } from '../monitor/rescore.ts';
import { loadRules } from '../monitor/rule.ts';
import type { RestContext } from '../rest/context.ts';
import { seesAll } from '../rest/permission/permission.ts';
import { readAttestations } from '../risk/attestation.ts';
import type { LoadedModels } from '../risk/models/models.ts';
import { callerOf } from '../smart/access.ts';
import type { Identify } from '../smart/identity.ts';
import type { Engine } from '../store/engine.ts';
import type { HealthCheck } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { FromMonitor, MonitorThreadData, ToMonitor } from '../threads/monitor-worker.ts';

export interface MonitoringParts {
  /** monitoring/. */
  readonly folder: string;
  readonly models: LoadedModels;
  readonly guard: Guard;
  /** Who asks, by their token; undefined: the demonstration, everybody is the one local caller. */
  readonly identify: Identify | undefined;
  current(): RestContext;
  readonly log: Log;
  now(): number;
  parametersPort(): MessagePort;
  readonly store: Engine;
  readonly duties: Duties;
}

/** From here on the log says that monitoring is behind, at most once a minute. */
const BEHIND = { patients: 200, changes: 2000 } as const;
const SAID_MS = 60_000;
/** Before a lost thread is started again, ms. */
const RESTART_MS = 2000;
const NO_REQUEST = { requestId: '' };

/** @throws Error naming a rule or an attestation that cannot be kept */
export function openMonitoring(config: Config, parts: MonitoringParts) {
  const { folder, models, log, now } = parts;
  const isDemo = isDemonstration(config, parts.identify !== undefined);
  const isOn = config.MONITORING === 'on' || (config.MONITORING === 'auto' && isDemo);
  const rules = isOn ? loadRules(folder, models.manifests, models.knowledge.vocabulary) : [];
  const given = config.SEPSIS_ATTESTATION;
  const attestations = given === undefined ? [] : readAttestations(given, now());
  const blocked = unattested(rules, models.manifests, attestations, isDemo).map(({ id }) => id);
  const stream = new EventStream('/monitor/events', admission(parts));
  let backlog: Backlog | undefined;
  let worker: Worker | undefined;
  let isClosed = false;
  let isListening = false;
  let isOurs = false;
  let isBegun = false;
  let isLost = false;
  let saidAt = Number.NEGATIVE_INFINITY;
  let unlisten: () => void = () => undefined;
  let unfollow: () => void = () => undefined;

  const say = (message: ToMonitor): void => worker?.postMessage(message);
  const tell = ({ event, ...rest }: MonitorEvent): void => stream.tell(event, JSON.stringify(rest));
  const announcements = new Announcements(parts.store, tell);
  const look = (): void => void announcements.look().catch((error) => log.failure('request-failed', error, NO_REQUEST));
  const heard = (message: FromMonitor): void => {
    if ('events' in message) {
      // Where there are other processes, this one hears with them.
      if (!parts.duties.isShared) message.events.forEach(tell);
      return;
    }
    ({ backlog } = message);
    isLost = false;
    const isBehind = backlog.patients >= BEHIND.patients || backlog.changes >= BEHIND.changes;
    if (!isBehind || now() - saidAt < SAID_MS) return;
    saidAt = now();
    log.event('monitoring-behind', { count: backlog.patients + backlog.changes });
  };
  const lost = (error: unknown): void => {
    worker = undefined;
    if (isClosed || isLost || !isOurs) return;
    isLost = true;
    log.failure('thread-lost', error, { thread: 'monitor' });
    setTimeout(run, RESTART_MS).unref();
  };
  const run = (): void => {
    if (isClosed || !isOurs || worker !== undefined) return;
    isLost = false;
    const [channel, parameters] = [parts.store.channel(), parts.parametersPort()];
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
    worker = new Worker(new URL(`../threads/monitor-worker${extension}`, import.meta.url), {
      workerData: {
        config,
        channel,
        parameters,
        blocked,
        fence: [...parts.duties.fence()],
      } satisfies MonitorThreadData,
      transferList: [channel, parameters],
    });
    worker.on('message', heard);
    worker.on('error', lost);
    worker.on('exit', () => lost(new Error('The monitoring thread has ended.')));
  };
  /** Once the server listens and monitoring is its work. */
  const begin = (): void => {
    if (!isListening || !isOn || !isOurs || isBegun || isClosed) return;
    isBegun = true;
    if (blocked.length > 0) log.event('monitoring-not-attested', { count: blocked.length });
    // Kept before the thread is ready: what is written from now on is monitored.
    cursorOf(parts.store).then(run, lost);
    unlisten = parts.store.onCommit(() => say('wake'));
  };
  const end = async (): Promise<void> => {
    isOurs = false;
    isBegun = false;
    unlisten();
    if (worker === undefined) return;
    const ended = once(worker, 'exit');
    say('close');
    await ended;
  };
  parts.duties.during({
    begin: () => {
      isOurs = true;
      begin();
    },
    end,
  });

  return {
    handler: stream.handler,
    /** Begins once the server listens: what the seed wrote is no change. Ends the streams before it drains. */
    setListening: (listening: boolean): void => {
      if (!listening) stream.close();
      isListening = listening;
      if (listening && isOn && parts.duties.isShared) {
        unfollow = parts.store.onCommit(look);
        look();
      }
      begin();
    },
    checks: (): readonly HealthCheck[] => {
      if (!isOn) return [];
      const observed =
        backlog === undefined
          ? {}
          : ({ observedValue: backlog.patients + backlog.changes, observedUnit: 'changes' } as const);
      const name = 'monitoring';
      return [
        isLost ? { name, status: 'warn', reason: 'unavailable' } : { name, status: 'pass', ...observed },
        ...blocked.map((id) => ({ name: `monitoring:${id}`, status: 'warn', reason: 'not-attested' }) as const),
      ];
    },
    close: async (): Promise<void> => {
      isClosed = true;
      unfollow();
      stream.close();
      await end();
    },
  };
}

/** Events name Flags and requests of all patients: for callers who may see all of them. */
function admission({ guard, identify, current }: MonitoringParts): Admit {
  return async (request, requestId) => {
    const refused = guard(request);
    if (refused !== undefined || identify === undefined) return refused;
    try {
      const peer = { requestId, address: request.socket.remoteAddress ?? '' };
      const caller = callerOf(await identify(request.headers.authorization, peer), current());
      const isWide = ['Flag', 'CommunicationRequest'].every((type) => seesAll(type, ['read'], caller));
      return isWide ? undefined : fhirError('forbidden', 'Events are for callers who may read every Flag.');
    } catch (error) {
      if (error instanceof FhirError) return error;
      throw error;
    }
  };
}
