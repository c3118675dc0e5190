/** Erasures as configured: the desk of purges, the files of other jobs that they remove, and the register that outlives a restored backup. */
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config.ts';
import { Jobs, type JobThread } from '../jobs/desk.ts';
import { JobLedger } from '../jobs/ledger.ts';
import { type JobTicket, jobRun } from '../jobs/run.ts';
import type { PurgeProgress } from '../privacy/purge.ts';
import { addToRegister, type Erasure, readRegister } from '../privacy/register.ts';
import type { Duty } from '../rest/jobs/duty.ts';
import type { Job, JobOrder } from '../rest/jobs/job.ts';
import type { PurgeOrder, PurgeResult } from '../rest/jobs/purge.ts';
import { factsOf, localCaller, localFacts } from '../rest/permission/caller.ts';
import { fencedStore } from '../store/fenced.ts';
import { FORGOTTEN, type ResourceStore } from '../store/port.ts';
import { startJobThread } from '../threads/job-thread.ts';

export interface PrivacyParts {
  readonly config: Config;
  readonly store: ResourceStore;
  /** Whose work jobs are. */
  readonly duty: Duty;
  /** Base of every link, no trailing slash. */
  readonly url: string;
  now(): number;
  newId(): string;
  channel(): MessagePort;
  parametersPort(): MessagePort;
  report(error: unknown): void;
  /** Removes files of other jobs that may hold what was purged until `at`, ms. */
  discard(patients: ReadonlySet<string>, at: number): Promise<void>;
}

/** Most purges of one caller that have not ended. */
const MOST = 10;
const PAGE = 200;

/** Where the register is. */
export function registerFile({ ERASURE_REGISTER, DATA_DIR }: Pick<Config, 'ERASURE_REGISTER' | 'DATA_DIR'>): string {
  return ERASURE_REGISTER ?? join(DATA_DIR, 'erasures.ndjson');
}

/** Finds the purges of before; nothing runs until `begin` of the desk. Purges have no files. */
export async function openPurges(parts: PrivacyParts) {
  const { config, url, now, store, duty } = parts;
  const desk: Jobs<PurgeOrder, PurgeResult> = await Jobs.open<PurgeOrder, PurgeResult>({
    kind: 'purge',
    folder: undefined,
    url: `${url}/purge`,
    expiryMs: config.EXPORT_EXPIRY_HOURS * 3_600_000,
    most: MOST,
    ...{ now, store, duty },
    start: async (ticket) => {
      const thread = startJobThread('purge', config, parts.channel(), parts.parametersPort(), ticket);
      return { stop: () => thread.stop(), ended: finished(thread, ticket, parts) };
    },
    report: parts.report,
  });
  return desk;
}

/** What the thread removed from the store is removed from files too and registered; only then the purge is complete. */
async function finished(
  thread: JobThread,
  ticket: JobTicket,
  parts: PrivacyParts,
): Promise<Awaited<JobThread['ended']>> {
  const said = await thread.ended;
  const run = jobRun<PurgeProgress, PurgeResult>(ticket, fencedStore(parts.store, ticket.fence));
  const job = await new JobLedger<PurgeOrder, PurgeResult>(parts.store, ticket.kind).job(ticket.id);
  const done = (await run.progress())?.said;
  if (said !== 'complete' || job === undefined || done === undefined) return said;
  const { purged, at } = done;
  if (purged !== undefined) {
    await parts.discard(new Set(job.patients), Date.parse(at));
    await addToRegister(
      registerFile(parts.config),
      job.patients.map((patient) => ({ patient, at })),
    );
  }
  await run.complete({ completedAt: parts.now(), output: [], error: [], purged });
  return said;
}

/**
 * Makes register and store agree, before anybody is answered: what the store has forgotten is registered, and who is registered but held, since
 * an older backup was restored, is purged again.
 */
export async function reapply(
  desk: Jobs<PurgeOrder, PurgeResult>,
  store: ResourceStore,
  { config, now, newId }: Pick<PrivacyParts, 'config' | 'now' | 'newId'>,
): Promise<void> {
  const file = registerFile(config);
  const forgotten = await forgottenIn(store);
  const known = new Set(forgotten.map(({ patient }) => patient));
  const held = (await readRegister(file)).filter(({ patient }) => !known.has(patient));
  if (forgotten.length > 0) await addToRegister(file, forgotten);
  if (held.length === 0) return;
  const caller = factsOf(localCaller({ ...localFacts(newId(), config.HOST), principal: 'erasure-register' }));
  for (const { patient } of held) {
    const request = 'firewatch: register of erasures';
    const order = { id: newId(), caller, request, patients: [patient], isRepeated: true };
    while (!(await desk.prepare(order))) await desk.idle();
    await desk.accept(order.id, now());
  }
  await desk.idle();
  const left = new Set((await forgottenIn(store)).map(({ patient }) => patient));
  if (held.some(({ patient }) => !left.has(patient))) {
    throw new Error(
      'The register of erasures names patients who could not be purged again. Nothing is served before they are.',
    );
  }
}

async function forgottenIn(store: ResourceStore): Promise<readonly Erasure[]> {
  const found: Erasure[] = [];
  let after: string | undefined;
  do {
    const page = await store.keyedPage(FORGOTTEN, { after, count: PAGE });
    found.push(...page.map(({ key, value }) => ({ patient: key, at: value })));
    after = page.length < PAGE ? undefined : page.at(-1)?.key;
  } while (after !== undefined);
  return found;
}

/** Whether an order was accepted before an instant, ms: what it gave may hold what was purged then. */
export function isBefore(at: number): (job: Job<JobOrder>) => boolean {
  return ({ transactionTime }) => transactionTime <= at;
}
