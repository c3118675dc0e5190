/** Which process does the background work: the one that holds the lease in a shared database; the only one where the folder is one process's. */
import type { Config } from '../config.ts';
import { type Duties, LeasedDuties, soleDuties } from '../leases.ts';
import type { Ambient } from '../rest/context.ts';
import type { ResourceStore } from '../store/port.ts';

/** Begins to ask for the lease at once. */
export function openDuties(
  { MONGODB_URL }: Pick<Config, 'MONGODB_URL'>,
  store: ResourceStore,
  { now, newId }: Ambient,
  report: (error: unknown) => void,
): Duties {
  if (MONGODB_URL === undefined) return soleDuties();
  const after = (ms: number, run: () => void) => {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  };
  return new LeasedDuties({ store, name: 'background', holder: newId(), now, after, report });
}
