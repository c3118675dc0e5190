/** One purge: small steps of looking, then one commit. */
import { aesSeal } from '../cds/basis/decision-record.ts';
import { secretOf } from '../open/installation-secret.ts';
import { type PurgeProgress, runPurge } from '../privacy/purge.ts';
import type { PurgeOrder, PurgeResult } from '../rest/jobs/purge.ts';
import { purgeSpaces } from './purge-spaces.ts';
import { type JobTools, jobWork } from './thread-work.ts';

/** Sequences a step: some ms of looking. */
const SPAN = 2000;

export const PURGE_WORK = jobWork({ searchMs: 60_000, longestRestMs: 20 }, purged);

function purged({ config, live, job, run, caller, stopped, pause }: Tools): Promise<boolean> {
  const context = live.current;
  return runPurge(run, job, {
    store: context.store,
    spaces: purgeSpaces(aesSeal(secretOf(config, 'record.key'))),
    now: context.ambient.now,
    span: SPAN,
    ...{ stopped, pause },
    audit: (patients) => {
      const entry = { interaction: 'operation', operation: 'purge', patients };
      return context.audit({ caller, entries: [entry], status: 200 });
    },
  });
}
type Tools = JobTools<PurgeOrder, PurgeProgress, PurgeResult>;
