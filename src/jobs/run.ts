/** One run of a job: its folder, and what it wrote down of itself, which only the run that the job belongs to can change. */
import type { JobOrder, JobResult } from '../rest/jobs/job.ts';
import type { Command } from '../store/port.ts';
import { JobLedger, type LedgerStore } from './ledger.ts';

/** What the desk reads of a job's progress; the rest is the job's own. */
export interface JobProgress {
  readonly percent: number;
}

/** What a run is given; plain data, so that another thread can take it. */
export interface JobTicket {
  readonly kind: string;
  readonly id: string;
  /** Of the job's files; '' for kinds that have none. */
  readonly folder: string;
  /** 1, 2, 3 ... rises with each process that takes the work over: files of a run carry it, so that two runs never write the same one. */
  readonly term: number;
  /** Belongs to every commit of the run, see `fencedStore`. */
  readonly fence: readonly Command[];
}

export interface JobRun<P extends JobProgress, R extends JobResult> {
  readonly folder: string;
  readonly term: number;
  /** What was saved last, by this run or one before. */
  progress(): Promise<P | undefined>;
  /** Durable when it resolves. @throws StoreError `unavailable` when the job is another's now, or gone */
  save(progress: P): Promise<void>;
  /** As `save`, to be part of a commit of the work. */
  saving(progress: P): Command;
  /** The job has ended. @throws StoreError `unavailable` as `save` */
  complete(result: R): Promise<void>;
  /** The job has ended, and nobody is given what it found. @param at ms @throws StoreError `unavailable` as `save` */
  withhold(at: number): Promise<void>;
}

/** @param store fenced by the ticket */
export function jobRun<P extends JobProgress, R extends JobResult>(
  { kind, id, folder, term }: JobTicket,
  store: LedgerStore,
): JobRun<P, R> {
  const ledger = new JobLedger<JobOrder, R>(store, kind);
  return {
    folder,
    term,
    progress: () => ledger.progress<P>(id),
    save: (progress) => ledger.save(id, progress),
    saving: (progress) => ledger.saving(id, progress),
    complete: (result) => ledger.finish(id, { at: result.completedAt, result }),
    withhold: (at) => ledger.finish(id, { at, result: undefined, isWithheld: true }),
  };
}
