/** What an export is to the API: the frozen order, and the desk that keeps jobs and files. Source: FHIR Bulk Data Access 2.0.0, export. */
import type { SearchPlan } from '../fhir/search/algebra.ts';
import type { CallerFacts } from './caller.ts';

/** All of one type that is asked for; the caller's access and every filter are inside the plan, frozen at the kick-off. */
export interface ExportUnit {
  readonly type: string;
  readonly plan: SearchPlan;
  /** Top-level elements of `_elements`; empty = whole resources. */
  readonly elements: readonly string[];
}

export type ExportScope =
  | { readonly kind: 'system' }
  /** Only what lies in the compartment of some Patient. */
  | { readonly kind: 'patients'; readonly patients: SearchPlan }
  /** Only what lies in the compartments of these Patients; ids, each once. */
  | { readonly kind: 'members'; readonly members: readonly string[] };

/** The whole order: nothing of it is decided again after the kick-off. Plain data, kept as JSON. */
export interface ExportOrder {
  readonly id: string;
  readonly caller: CallerFacts;
  /** Kick-off URL as sent. */
  readonly request: string;
  /** What is exported, for the audit of each patient: `Group/1`. */
  readonly resource: { readonly type: string; readonly id: string } | undefined;
  readonly scope: ExportScope;
  readonly units: readonly ExportUnit[];
}

export interface ExportJob extends ExportOrder {
  /** ms: the instant of the commit that holds the kick-off's AuditEvent. Resources last changed at or before it are exported. */
  readonly transactionTime: number;
}

export interface ExportFile {
  /** Resource type of the lines. */
  readonly type: string;
  /** `Observation-2.ndjson`. */
  readonly name: string;
  /** Lines. */
  readonly count: number;
  readonly bytes: number;
}

export interface ExportResult {
  /** ms. */
  readonly completedAt: number;
  readonly output: readonly ExportFile[];
  readonly error: readonly ExportFile[];
}

export type ExportState =
  | { readonly state: 'running'; readonly percent: number }
  | { readonly state: 'complete'; readonly result: ExportResult; readonly expiresAt: number }
  | { readonly state: 'failed' };

/** Keeps jobs and files; durable when a promise resolves. Main thread only. */
export interface ExportDesk {
  /** Base of status and file URLs, no trailing slash. */
  readonly url: string;
  /** True while a job of this principal has not ended. */
  isBusy(principal: string): boolean;
  /** Keeps the order, not yet a job: a crash before `accept` drops it. */
  prepare(order: ExportOrder): Promise<void>;
  /** Makes the order a job, which will run, over restarts too. */
  accept(id: string, transactionTime: number): Promise<void>;
  /** Drops an order that was not accepted. */
  drop(id: string): Promise<void>;
  /** undefined: never there, cancelled, expired, or of another principal. */
  find(id: string, principal: string): Promise<{ readonly job: ExportJob; readonly state: ExportState } | undefined>;
  /** Bytes of a file that the result names; read them, or the file stays open. */
  open(id: string, name: string): AsyncIterable<Uint8Array>;
  /** Stops the job and removes everything of it. */
  cancel(id: string): Promise<void>;
}
