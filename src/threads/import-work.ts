/** One import: lines through the door. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImportProgress, runImport, UPLOAD } from '../import/run.ts';
import type { ImportOrder, ImportResult } from '../rest/jobs/import.ts';
import { callerOf } from '../smart/access.ts';
import { type JobTools, jobWork } from './thread-work.ts';

/** Lines written at once: one or two groups of the writer. */
const CHUNK = 100;

export const IMPORT_WORK = jobWork({ searchMs: undefined, longestRestMs: 100 }, imported);

async function imported({ config, live, job, run, stopped, pause }: Tools): Promise<boolean> {
  const isDone = await runImport(run, job, {
    get context() {
      return live.current;
    },
    get caller() {
      return callerOf(job.caller, live.current);
    },
    now: live.current.ambient.now,
    chunk: CHUNK,
    lineBytes: config.BODY_LIMIT_MB * 1_048_576,
    ...{ stopped, pause },
  });
  // The result is durable: nothing needs the body any more.
  if (isDone) await rm(join(run.folder, UPLOAD), { force: true });
  return isDone;
}
type Tools = JobTools<ImportOrder, ImportProgress, ImportResult>;
