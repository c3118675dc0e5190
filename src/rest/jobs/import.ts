/** What an import is to the API: the order, its result, and where its bytes come from. Source: bulk import proposal (SMART on FHIR, 2020). */
import type { Job, JobDesk, JobOrder, JobResult } from './job.ts';

/** One NDJSON file, as it was at the kick-off. */
export interface ImportInput {
  /** Type that every line must be of; undefined = any. */
  readonly type: string | undefined;
  /** As the client named it; undefined for the body of the kick-off. */
  readonly url: string | undefined;
  /** Path of the file; undefined for the body, which the job's folder holds. */
  readonly path: string | undefined;
  readonly bytes: number;
}

export interface ImportOrder extends JobOrder {
  readonly inputs: readonly ImportInput[];
  /** The body that the transport has kept. */
  readonly upload: string | undefined;
}
export type ImportJob = Job<ImportOrder>;

/** Lines of one input. */
export interface ImportCount {
  readonly imported: number;
  readonly refused: number;
}
export interface ImportResult extends JobResult {
  /** In the order of the inputs. */
  readonly counts: readonly ImportCount[];
}

/** A file as it is now; `path` has no links in it. */
export interface NamedFile {
  readonly path: string;
  readonly bytes: number;
}

/** Where imports are kept; main thread only. */
export interface ImportRoom {
  readonly desk: JobDesk<ImportOrder, ImportResult>;
  /** A file of the import folder, by its name there or its `file:` URL; undefined when there is none, or it lies elsewhere. */
  fileOf(url: string): Promise<NamedFile | undefined>;
}
