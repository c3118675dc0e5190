/** Surveillance as configured: its definitions, the desk that threads answer by, and the run of each day, on a thread of its own. */
import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config.ts';
import type { JobThread } from '../jobs/desk.ts';
import type { Duties } from '../leases.ts';
import type { SurveillanceDesk } from '../rest/operations/surveillance-desk.ts';
import { type Definition, loadSurveillance } from '../surveillance/definition.ts';
import { surveillanceDesk } from '../surveillance/desk.ts';
import { dayOf, plusDays, startOf } from '../surveillance/site-day.ts';
import type { Log } from '../telemetry/log.ts';
import { startJobThread } from '../threads/job-thread.ts';

export interface SurveillanceParts {
  now(): number;
  /** Gives new channels to the one writer. */
  readonly store: { channel(): MessagePort };
  parametersPort(): MessagePort;
  readonly log: Pick<Log, 'failure'>;
  readonly duties: Pick<Duties, 'during'>;
}

/** The project's own definitions, from `src/` as from `dist/`. */
const SHIPPED = fileURLToPath(new URL('../../surveillance', import.meta.url));
/** After midnight at the site, ms: what is written in the last minutes of a day is in. */
const AFTER_MIDNIGHT_MS = 15 * 60_000;
/** After a run that failed, ms. */
const AGAIN_MS = 10 * 60_000;
const FAILED = 'The daily run of surveillance did not end well.';

/** @throws Error naming every definition that is wrong */
export function definitionsOf({ SURVEILLANCE_DIR }: Config): ReadonlyMap<string, Definition> {
  return loadSurveillance(SURVEILLANCE_DIR ?? SHIPPED);
}

export function deskOf(config: Config): SurveillanceDesk {
  return surveillanceDesk(definitionsOf(config), config.SITE_TIME_ZONE);
}

/**
 * Runs what is due at the start and after each midnight of the site; nothing where SURVEILLANCE is off.
 * @throws Error naming every definition that is wrong
 */
export function openSurveillance(config: Config, parts: SurveillanceParts): { close(): Promise<void> } {
  definitionsOf(config);
  let timer: NodeJS.Timeout | undefined;
  let thread: JobThread | undefined;
  let isOurs = false;
  const run = async (): Promise<void> => {
    thread = startJobThread('surveillance', config, parts.store.channel(), parts.parametersPort());
    const ended = await thread.ended;
    thread = undefined;
    if (ended === 'failed') parts.log.failure('request-failed', new Error(FAILED), { requestId: 'surveillance' });
    if (isOurs) plan(ended === 'failed' ? AGAIN_MS : untilNext(parts.now(), config.SITE_TIME_ZONE));
  };
  const plan = (ms: number): void => {
    timer = setTimeout(() => void run(), ms).unref();
  };
  const end = async (): Promise<void> => {
    isOurs = false;
    clearTimeout(timer);
    thread?.stop();
    await thread?.ended;
  };
  if (config.SURVEILLANCE === 'on') {
    parts.duties.during({
      begin: () => {
        isOurs = true;
        plan(0);
      },
      end,
    });
  }
  return { close: end };
}

/** To the quarter of an hour after the next midnight of the site, ms. */
function untilNext(now: number, zone: string): number {
  return startOf(plusDays(dayOf(now - AFTER_MIDNIGHT_MS, zone), 1), zone) + AFTER_MIDNIGHT_MS - now;
}
