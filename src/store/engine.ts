/** What the process needs of an engine beyond the port: opening, other threads, index rows made again, proof of the audit. */
import type { MessagePort } from 'node:worker_threads';
import type { IndexEntry } from '../fhir/search/algebra.ts';
import type { CommitSignal, ResourceStore } from './port.ts';

/** What a stored text is indexed by now. */
export type IndexOf = (text: string) => {
  readonly entries: readonly IndexEntry[];
  readonly patients: readonly string[];
};

/** A resource whose index rows may be made again: `rid` is its place, in the order of types and creation. */
export interface IndexedRow {
  readonly rid: number;
  readonly version: number;
  readonly type: string;
  readonly text: string;
}

/** A few resources in the order of their places, and where the next ones begin. Places of one type follow each other, in the order of creation. */
export interface IndexPage {
  readonly rows: readonly IndexedRow[];
  /** Place of the last row; to be given as `after` for the next page. */
  readonly last: number;
}

/** `broken` is the first sequence whose row is missing or does not hash to what is stored; undefined when the chain is whole. */
/** The newest row of one chain of the audit log. */
export interface AuditHead {
  readonly chain: number;
  readonly sequence: number;
  /** 64 lower-case hex digits. */
  readonly hash: string;
}

export interface AuditVerdict {
  readonly rows: number;
  readonly broken: number | undefined;
}

/** A store on another thread of the process. */
export interface AttachedStore extends ResourceStore {
  /** Resources whose rows are to be made again while requests are answered, see `remake`; and how far `last` is, percent. */
  indexPage(
    after: number,
    count: number,
  ): Promise<IndexPage & { readonly percent: number }> | (IndexPage & { readonly percent: number });
  /** Makes the search rows of these resources again. Rows of whatever has changed meanwhile are left to its own commit. */
  remake(rows: readonly IndexedRow[], indexOf: IndexOf): Promise<void>;
}

/** The store of the main thread. */
export interface Engine extends AttachedStore, CommitSignal {
  /** By which setting a commit is durable when it resolves, as the engine was asked for it or found it; for whoever runs the server. */
  readonly durability: string;
  /** Whether what stores something is refused for lack of room (`full`), while what stores nothing goes on. */
  readonly isFull: boolean;
  /** Instant of the newest commit, ms, 0: none yet; undefined: the engine cannot tell without asking. Never decreases, whatever the clock does. */
  readonly newestAt: number | undefined;
  /** True when index rows were made by other definitions than those the engine was opened with. */
  readonly needsReindex: boolean;
  /** How many resources are held, roughly: for the progress of long work only. */
  size(): Promise<number> | number;
  /** Makes every index row of `types` again; taken up where it stopped. To be called before the first request. */
  reindex(types: readonly string[], indexOf: IndexOf, onProgress?: (done: number) => void): Promise<void>;
  /** Makes the index rows of what processes of older releases have written since; how many. Absent: no other process has the data. */
  followOthers?(types: readonly string[], indexOf: IndexOf): Promise<number>;
  /** What another thread needs to attach to the same store: transfer it. */
  channel(): MessagePort;
  /** Recomputes every hash chain of the audit log, and looks for the heads that were told of it before. */
  verifyAudit(anchors?: readonly AuditHead[]): Promise<AuditVerdict> | AuditVerdict;
  /** One head a chain, lowest chain first. */
  auditHeads(): Promise<readonly AuditHead[]> | readonly AuditHead[];
}
