/** What work that outlives its request is to the API: an order, a desk that keeps it over restarts, a state to poll. Source: FHIR Bulk Data Access 2.0.0; R5 async.html. */
import type { CallerFacts } from '../permission/caller.ts';

/** The whole order: nothing of it is decided again after the kick-off. Plain data, kept as JSON. */
export interface JobOrder {
  readonly id: string;
  readonly caller: CallerFacts;
  /** Kick-off URL as sent. */
  readonly request: string;
}

/** An order that is accepted; `transactionTime` (ms) is the instant of the commit that holds the kick-off's AuditEvent. */
export type Job<O extends JobOrder> = O & { readonly transactionTime: number };

/** A file of a result, in NDJSON. */
export interface JobFile {
  /** Resource type of the lines. */
  readonly type: string;
  /** `Observation-2.ndjson`. */
  readonly name: string;
  /** Lines. */
  readonly count: number;
  readonly bytes: number;
}

export interface JobResult {
  /** ms. */
  readonly completedAt: number;
  readonly output: readonly JobFile[];
  readonly error: readonly JobFile[];
}

export type JobState<R extends JobResult> =
  | { readonly state: 'running'; readonly percent: number }
  | { readonly state: 'complete'; readonly result: R; readonly expiresAt: number }
  | { readonly state: 'failed' }
  /** Its files are not given. */
  | { readonly state: 'withheld' };

/** Keeps jobs and files, for every process of the installation; durable when a promise resolves. Main thread only. */
export interface JobDesk<O extends JobOrder, R extends JobResult> {
  /** Base of status and file URLs, no trailing slash. */
  readonly url: string;
  /** Keeps the order, not yet a job: a crash before `accept` drops it. False: as many jobs of its principal as are allowed have not ended. */
  prepare(order: O): Promise<boolean>;
  /** Makes the order a job, which will run, over restarts too. */
  accept(id: string, transactionTime: number): Promise<void>;
  /** Drops an order that was not accepted. */
  drop(id: string): Promise<void>;
  /** undefined: never there, cancelled, expired, or of another principal. */
  find(id: string, principal: string): Promise<{ readonly job: Job<O>; readonly state: JobState<R> } | undefined>;
  /** The first `bytes` bytes of a file that the result names. */
  open(id: string, name: string, bytes: number): AsyncIterable<Uint8Array>;
  /** Stops the job and removes everything of it. */
  cancel(id: string): Promise<void>;
}
