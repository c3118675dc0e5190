/** What a kind of work has to say for itself to be run on a thread of its own; job-worker.ts does the rest. */
import type { Config } from '../config.ts';
import { JobLedger } from '../jobs/ledger.ts';
import { type JobProgress, type JobRun, type JobTicket, jobRun } from '../jobs/run.ts';
import type { LiveContext } from '../parameters/live-context.ts';
import type { Caller } from '../rest/context.ts';
import type { Job, JobOrder, JobResult } from '../rest/jobs/job.ts';
import { callerOf } from '../smart/access.ts';

/** What the thread says last. */
export type JobReply = 'complete' | 'stopped' | 'failed';

export interface ThreadTools {
  readonly config: Config;
  readonly live: Pick<LiveContext, 'current'>;
  /** undefined: work that is no job. */
  readonly ticket: JobTicket | undefined;
  /** Told to stop where it is. */
  stopped(): boolean;
  /** Between two steps: rests as long as was worked, so that requests go first. */
  pause(): Promise<void>;
  /** Tells what went wrong, unless it was told to stop. */
  report(error: unknown, requestId: string): void;
}

export interface ThreadWork {
  /** Longest search, ms; undefined: as of requests. A job keeps nobody waiting but itself. */
  readonly searchMs: number | undefined;
  /** Longest rest between two steps, ms. */
  readonly longestRestMs: number;
  run(tools: ThreadTools): Promise<JobReply>;
}

/** One job as its kind sees it. */
export interface JobTools<O extends JobOrder, P extends JobProgress, R extends JobResult> extends ThreadTools {
  readonly job: Job<O>;
  readonly run: JobRun<P, R>;
  readonly caller: Caller;
}

/** Work that is a job: nothing when it was cancelled meanwhile. @param work false: it was stopped */
export function jobWork<O extends JobOrder, P extends JobProgress, R extends JobResult>(
  bounds: Pick<ThreadWork, 'searchMs' | 'longestRestMs'>,
  work: (tools: JobTools<O, P, R>) => Promise<boolean>,
): ThreadWork {
  return {
    ...bounds,
    run: async (tools) => {
      const { live, ticket } = tools;
      if (ticket === undefined) throw new TypeError('A job has a ticket.');
      const { store } = live.current;
      const job = await new JobLedger<O, R>(store, ticket.kind).job(ticket.id);
      if (job === undefined || tools.stopped()) return 'stopped';
      const own = {
        job,
        run: jobRun<P, R>(ticket, store),
        get caller() {
          return callerOf(job.caller, live.current);
        },
      };
      try {
        return (await work(Object.assign(own, tools))) ? 'complete' : 'stopped';
      } catch (error) {
        tools.report(error, job.caller.requestId);
        return tools.stopped() ? 'stopped' : 'failed';
      }
    },
  };
}
