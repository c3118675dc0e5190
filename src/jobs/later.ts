/** The desk of asynchronous requests: their bodies are files of their jobs, and the answer is one. Source: FHIR R4 async.html. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AsyncOrder, AsyncResult } from '../rest/jobs/async.ts';
import { BODY } from '../rest/jobs/async.ts';
import type { Job, JobDesk } from '../rest/jobs/job.ts';
import { type DeskSettings, Jobs } from './desk.ts';
import { FILE_MODE, isMissing } from './files.ts';
import type { JobProgress, JobRun } from './run.ts';

export interface LaterDesk {
  readonly jobs: Jobs<AsyncOrder, AsyncResult>;
  readonly desk: JobDesk<AsyncOrder, AsyncResult> & { hold(id: string, body: string | undefined): void };
}

/** Orders take the body that was held for them into their folder. */
export async function openLater(settings: Omit<DeskSettings<AsyncOrder>, 'prepared'>): Promise<LaterDesk> {
  const held = new Map<string, string>();
  const jobs = await Jobs.open<AsyncOrder, AsyncResult>({
    ...settings,
    prepared: async ({ id }, folder) => {
      const body = held.get(id);
      if (body !== undefined) await writeFile(join(folder, BODY), body, { mode: FILE_MODE, flush: true });
    },
  });
  const hold = (id: string, body: string | undefined): void => {
    if (body !== undefined) held.set(id, body);
  };
  const desk = {
    url: jobs.url,
    hold,
    prepare: (order: AsyncOrder) => jobs.prepare(order).finally(() => held.delete(order.id)),
    accept: (id: string, transactionTime: number) => jobs.accept(id, transactionTime),
    drop: (id: string) => jobs.drop(id),
    find: (id: string, principal: string) => jobs.find(id, principal),
    open: (id: string, name: string, bytes: number) => jobs.open(id, name, bytes),
    cancel: (id: string) => jobs.cancel(id),
  };
  return { jobs, desk };
}

/** Runs one: the body, the answer, the result. @param text makes the answer */
export async function runLater(
  run: JobRun<JobProgress, AsyncResult>,
  job: Job<AsyncOrder>,
  now: () => number,
  text: (order: AsyncOrder, body: string | undefined) => Promise<string>,
): Promise<void> {
  const bytes = Buffer.from(await text(job, await bodyIn(run.folder)));
  const answer = `answer-${run.term}.json`;
  await writeFile(join(run.folder, answer), bytes, { mode: FILE_MODE, flush: true });
  await run.complete({ completedAt: now(), output: [], error: [], answer, bytes: bytes.length });
}

async function bodyIn(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, BODY), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
