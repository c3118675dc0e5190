/** Erasures as configured: the desk of purges, the files of other jobs that they remove, and the register that outlives a restored backup. */
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config.ts';
import { FILES, JobFolders, type JobThread } from '../jobs/desk.ts';
import { readWhole, writeWhole } from '../jobs/files.ts';
import { PURGED_FILE, type PurgedFile } from '../privacy/purge.ts';
import { addToRegister, type Erasure, readRegister } from '../privacy/register.ts';
import { factsOf, localCaller, localFacts } from '../rest/caller.ts';
import type { Job, JobOrder } from '../rest/job.ts';
import type { PurgeJob, PurgeOrder, PurgeResult } from '../rest/purge-job.ts';
import { FORGOTTEN, type ResourceStore } from '../store/port.ts';
import { startJobThread } from '../threads/job-thread.ts';

export interface PrivacyParts {
  readonly config: Config;
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

/** Finds the purges of before; nothing runs until `resume` of the desk. */
export async function openPurges(parts: PrivacyParts) {
  const { config, url, now } = parts;
  const desk: JobFolders<PurgeOrder, PurgeResult> = await JobFolders.open<PurgeOrder, PurgeResult>({
    folder: join(config.DATA_DIR, 'purge'),
    url: `${url}/purge`,
    expiryMs: config.EXPORT_EXPIRY_HOURS * 3_600_000,
    most: MOST,
    now,
    start: async (folder) => {
      const thread = startJobThread('purge', config, parts.channel(), parts.parametersPort(), folder);
      return { stop: () => thread.stop(), ended: finished(thread, folder, parts) };
    },
    report: parts.report,
  });
  return desk;
}

/** What the thread removed from the store is removed from files too and registered; only then the purge is complete. */
async function finished(thread: JobThread, folder: string, parts: PrivacyParts): Promise<Awaited<JobThread['ended']>> {
  const said = await thread.ended;
  const job = await readWhole<PurgeJob>(join(folder, FILES.job));
  const done = await readWhole<PurgedFile>(join(folder, PURGED_FILE));
  if (said !== 'complete' || job === undefined || done === undefined) return said;
  const { purged, at } = done;
  if (purged !== undefined) {
    await parts.discard(new Set(job.patients), Date.parse(at));
    await addToRegister(
      registerFile(parts.config),
      job.patients.map((patient) => ({ patient, at })),
    );
  }
  const result: PurgeResult = { completedAt: parts.now(), output: [], error: [], purged };
  await writeWhole(join(folder, FILES.result), result);
  return said;
}

/**
 * Makes register and store agree, before anybody is answered: what the store has forgotten is registered, and who is registered but held, since
 * an older backup was restored, is purged again.
 */
export async function reapply(
  desk: JobFolders<PurgeOrder, PurgeResult>,
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
    await desk.prepare(order);
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
