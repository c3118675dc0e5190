/** One asynchronous request: the door, with more time for a search than requests that somebody waits for. */
import { runLater } from '../jobs/later.ts';
import type { JobProgress } from '../jobs/run.ts';
import { type AsyncOrder, type AsyncResult, laterText } from '../rest/jobs/async.ts';
import { type JobTools, jobWork } from './thread-work.ts';

export const ASYNC_WORK = jobWork({ searchMs: 60_000, longestRestMs: 0 }, answered);

async function answered({ live, job, run, caller }: Tools): Promise<boolean> {
  await runLater(run, job, live.current.ambient.now, (order, body) => laterText(order, body, caller, live.current));
  return true;
}
type Tools = JobTools<AsyncOrder, JobProgress, AsyncResult>;
