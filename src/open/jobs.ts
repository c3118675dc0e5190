/** The desks of work that outlives its request (exports, imports, asynchronous requests), wired to folders, threads and paths for system.ts. */
import { mkdirSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config.ts';
import type { Guard } from '../http/access.ts';
import type { FhirHandlerParts } from '../http/fhir.ts';
import { jobHandler } from '../http/jobs.ts';
import { fileIn } from '../import/folder.ts';
import { Uploads } from '../import/uploads.ts';
import { type DeskSettings, Jobs } from '../jobs/desk.ts';
import { openLater } from '../jobs/later.ts';
import type { Duties } from '../leases.ts';
import type { RestContext } from '../rest/context.ts';
import { ASYNC_KIND, answerLater } from '../rest/jobs/async.ts';
import type { ExportOrder } from '../rest/jobs/export.ts';
import { EXPORT_KIND } from '../rest/jobs/export-status.ts';
import type { ImportOrder, ImportResult } from '../rest/jobs/import.ts';
import { IMPORT_KIND } from '../rest/jobs/import-status.ts';
import type { JobOrder, JobResult } from '../rest/jobs/job.ts';
import { PURGE_KIND } from '../rest/jobs/purge.ts';
import { callerOf } from '../smart/access.ts';
import type { Identify } from '../smart/identity.ts';
import type { ResourceStore } from '../store/port.ts';
import { startJobThread, type WorkKind } from '../threads/job-thread.ts';
import { deidentifiableTypes } from './deidentification.ts';
import { jobPlaces } from './job-folders.ts';
import { isBefore, openPurges, reapply } from './privacy.ts';

export interface JobParts {
  readonly config: Config;
  readonly store: ResourceStore;
  /** Which process runs them. */
  readonly duties: Duties;
  /** Base of every link, no trailing slash. */
  readonly url: string;
  now(): number;
  newId(): string;
  /** A new channel to the one writer. */
  channel(): MessagePort;
  /** A new port by which a job's thread follows what clients search by. */
  parametersPort(): MessagePort;
  report(error: unknown): void;
}

/** How often expired jobs are looked for, ms. */
const SWEEP_MS = 600_000;
/** Of a body that nobody receives any more, ms. */
const OLD_UPLOAD_MS = 86_400_000;
/** Most asynchronous requests of one caller that have not ended. */
const MOST_ASYNC = 10;

/** Finds the jobs of before; nothing runs until `resume`. */
export async function openJobs(parts: JobParts) {
  const { config, store, duties, url, now, newId, channel, parametersPort, report } = parts;
  const { folder: root, refusal } = await jobPlaces(config, store, newId);
  const settings = (kind: WorkKind, folder: string): DeskSettings<JobOrder> => ({
    ...{ kind, store, duty: duties, refusal, now, report },
    folder: root === undefined ? undefined : join(root, folder),
    url: `${url}/${kind}`,
    expiryMs: config.EXPORT_EXPIRY_HOURS * 3_600_000,
    start: async (ticket) => startJobThread(kind, config, channel(), parametersPort(), ticket),
  });
  const deidentifiable = deidentifiableTypes(config.DEIDENTIFICATION_KEY_FILE);
  const exports = await Jobs.open<ExportOrder, JobResult>(settings('export', 'export'));
  const files = join(root ?? config.DATA_DIR, 'import');
  mkdirSync(files, { recursive: true, mode: 0o700 });
  const uploads = await openUploads(join(root ?? config.DATA_DIR, 'import-uploads'), duties.isShared, parts);
  const imports = await Jobs.open<ImportOrder, ImportResult>({
    ...settings('import', 'import-jobs'),
    prepared: async ({ upload }, folder) => (upload === undefined ? undefined : uploads.give(upload, folder)),
  });
  const asyncs = await openLater({ ...settings('async', 'async'), most: MOST_ASYNC });
  const purges = await openPurges({
    ...{ ...parts, duty: duties },
    discard: async (patients, at) => {
      const isOld = isBefore(at);
      const isElse = ({ scope }: ExportOrder) =>
        scope.kind === 'members' && !scope.members.some((member) => patients.has(member));
      await exports.discard((job) => isOld(job) && !isElse(job));
      // What writes is not cut short; its answer goes when it has ended.
      await asyncs.jobs.discard((job, hasEnded) => isOld(job) && (hasEnded || job.wire.method === 'GET'));
    },
  });
  const desks = [exports, imports, asyncs.jobs, purges];
  const place = {
    limitBytes: config.IMPORT_LIMIT_MB * 1_048_576,
    newId,
    keep: (id: string, body: AsyncIterable<Uint8Array>) => uploads.keep(id, body),
    drop: (id: string) => uploads.drop(id),
  };
  const sweeping = setInterval(() => {
    for (const desk of desks) desk.sweep().catch(report);
  }, SWEEP_MS).unref();
  return {
    context: {
      exports,
      deidentifiable,
      purges,
      imports: { desk: imports, fileOf: (name: string) => fileIn(files, name) },
    },
    /** What the handler of `/fhir` needs. Where files are refused, everybody is answered at once: a preference may be ignored. */
    http: (context: RestContext): Pick<FhirHandlerParts, 'uploads' | 'later'> => ({
      uploads: place,
      ...(refusal !== undefined
        ? {}
        : { later: (wire, facts) => answerLater(wire, asyncs.desk, callerOf(facts, context), context) }),
    }),
    /** Status and files, by the path they are mounted at. */
    handlers: (context: RestContext, guard: Guard, identify?: Identify) =>
      new Map([
        ['/async', jobHandler({ mount: '/async', desk: asyncs.desk, kind: ASYNC_KIND, context, guard, identify })],
        ['/export', jobHandler({ mount: '/export', desk: exports, kind: EXPORT_KIND, context, guard, identify })],
        ['/purge', jobHandler({ mount: '/purge', desk: purges, kind: PURGE_KIND, context, guard, identify })],
        ['/import', jobHandler({ mount: '/import', desk: imports, kind: IMPORT_KIND, context, guard, identify })],
      ]),
    /** Runs what has not ended. Resolves when whoever was erased before a backup was restored is erased again. */
    resume: async () => {
      for (const desk of desks) duties.during(desk);
      await reapply(purges, store, parts);
    },
    close: async () => {
      clearInterval(sweeping);
      for (const desk of desks) await desk.end();
    },
  };
}

/** Bodies that are received: each process has a folder for its own, and removes what those of processes that died hold after a day. */
async function openUploads(folder: string, isShared: boolean, { now, newId }: Pick<JobParts, 'now' | 'newId'>) {
  if (!isShared) return Uploads.open(folder);
  for (const name of await readdir(folder).catch(() => [])) {
    const { mtimeMs } = await stat(join(folder, name));
    if (mtimeMs < now() - OLD_UPLOAD_MS) await rm(join(folder, name), { recursive: true, force: true });
  }
  return Uploads.open(join(folder, newId()));
}
