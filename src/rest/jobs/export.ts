/** What an export is to the API: the frozen order. Source: FHIR Bulk Data Access 2.0.0, export. */
import type { SearchPlan } from '../../fhir/search/algebra.ts';
import type { Job, JobDesk, JobOrder, JobResult } from './job.ts';

/**
 * All of one type that is asked for; the caller's access and every filter are inside the plan, frozen at the kick-off. Before the files are
 * released it is judged again: src/export/run.ts.
 */
export interface ExportUnit {
  readonly type: string;
  readonly plan: SearchPlan;
  /** Top-level elements of `_elements`; empty = whole resources. */
  readonly elements: readonly string[];
  /** Fingerprint of what the caller might see of the type; absent: no Consent binds them. */
  readonly permitted?: string;
}

/** `safe-harbor`: of dates the year stays. `shifted`: dates are moved, each patient's by a distance of their own. */
export const DEIDENTIFY_MODES = ['safe-harbor', 'shifted'] as const;
export type DeidentifyMode = (typeof DEIDENTIFY_MODES)[number];

export type ExportScope =
  | { readonly kind: 'system' }
  /** Only what lies in the compartment of some Patient. */
  | { readonly kind: 'patients'; readonly patients: SearchPlan }
  /** Only what lies in the compartments of these Patients; ids, each once. */
  | { readonly kind: 'members'; readonly members: readonly string[] };

export interface ExportOrder extends JobOrder {
  /** What is exported, for the audit of each patient: `Group/1`. */
  readonly resource: { readonly type: string; readonly id: string } | undefined;
  readonly scope: ExportScope;
  /** How what tells whose data it is is removed; absent: it is not. */
  readonly deidentify?: DeidentifyMode;
  readonly units: readonly ExportUnit[];
}
/** Resources last changed at or before `transactionTime` are exported. */
export type ExportJob = Job<ExportOrder>;
export type ExportDesk = JobDesk<ExportOrder, JobResult>;
