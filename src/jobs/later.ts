/** The desk of asynchronous requests: their bodies are files of their jobs, and the answer is one. Source: FHIR R4 async.html. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AsyncOrder, AsyncResult } from '../rest/async-job.ts';
import { ANSWER, BODY } from '../rest/async-job.ts';
import type { Job, JobDesk } from '../rest/job.ts';
import { type DeskSettings, FILES, JobFolders } from './desk.ts';
import { FILE_MODE, isMissing, writeWhole } from './files.ts';

export interface LaterDesk {
  readonly jobs: JobFolders<AsyncOrder, AsyncResult>;
  readonly desk: JobDesk<AsyncOrder, AsyncResult> & { hold(id: string, body: string | undefined): void };
}

/** Orders take the body that was held for them into their folder. */
export async function openLater(settings: Omit<DeskSettings<AsyncOrder>, 'prepared'>): Promise<LaterDesk> {
  const held = new Map<string, string>();
  const jobs = await JobFolders.open<AsyncOrder, AsyncResult>({
    ...settings,
    prepared: async ({ id }, folder) => {
      const body = held.get(id);
      held.delete(id);
      if (body !== undefined) await writeFile(join(folder, BODY), body, { mode: FILE_MODE, flush: true });
    },
  });
  const hold = (id: string, body: string | undefined): void => {
    if (body !== undefined) held.set(id, body);
  };
  const desk = {
    url: jobs.url,
    hold,
    isBusy: (principal: string) => jobs.isBusy(principal),
    prepare: (order: AsyncOrder) => jobs.prepare(order),
    accept: (id: string, transactionTime: number) => jobs.accept(id, transactionTime),
    drop: (id: string) => jobs.drop(id),
    find: (id: string, principal: string) => jobs.find(id, principal),
    open: (id: string, name: string) => jobs.open(id, name),
    cancel: (id: string) => jobs.cancel(id),
  };
  return { jobs, desk };
}

/** Runs one: the body, the answer, the result. @param text makes the answer */
export async function runLater(
  folder: string,
  job: Job<AsyncOrder>,
  now: () => number,
  text: (order: AsyncOrder, body: string | undefined) => Promise<string>,
): Promise<void> {
  const answer = Buffer.from(await text(job, await bodyIn(folder)));
  await writeFile(join(folder, ANSWER), answer, { mode: FILE_MODE, flush: true });
  const result: AsyncResult = { completedAt: now(), output: [], error: [], bytes: answer.length };
  await writeWhole(join(folder, FILES.result), result);
}

async function bodyIn(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, BODY), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
