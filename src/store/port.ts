/**
 * The storage port: what an engine promises. Reference engine: sqlite.ts. Nothing here knows HTTP, FHIR interactions or audit content.
 *
 * Guarantees, each a test of test/store/contract.ts:
 * 1. `commit` is all or nothing, and durable (synced) when its promise resolves; requests are serialised in one order.
 * 2. Preconditions are judged inside that order: no other request's write lies between judgement and write.
 * 3. Reads see every commit that was acknowledged before they started.
 * 4. Search pages are keyset pages: a resource that does not change meanwhile appears exactly once.
 * 5. `changes` gives every version ever written and not purged, in the one order of writes, each exactly once to a reader that goes on from the last sequence it saw.
 * 6. AuditEvents are appended in the same commit, hash-chained and gapless, and there is no command that changes what the chain holds of one.
 * 7. What `purge` removed is nowhere in the answers of the engine; about whom `forget` forgot, nothing can be written again.
 */

import type { ResourceKey } from '../fhir/resource.ts';
import type { IndexEntry, SearchPlan } from '../fhir/search/algebra.ts';

export type WriteMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One version of one resource. `text` is the complete JSON as served, undefined for a deletion. */
export interface StoredVersion {
  readonly key: ResourceKey;
  /** 1, 2, 3 ... shown as meta.versionId. */
  readonly version: number;
  /** Position in the one order of all writes. Never reused, strictly increasing. */
  readonly sequence: number;
  /** ms since 1970; meta.lastUpdated. Never decreases along `sequence`. */
  readonly at: number;
  readonly method: WriteMethod;
  readonly deleted: boolean;
  readonly text: string | undefined;
  /** Ids of the Patients in whose compartment the version lies, for audit without parsing; a Patient names itself. */
  readonly patients: readonly string[];
}

/** What the current state must be for a write: never existed or deleted, exactly this version, or anything. */
export type Precondition =
  | { readonly state: 'absent' }
  | { readonly state: 'current'; readonly version: number }
  | { readonly state: 'any' };

/** JSON text around the instant that only the commit knows: the served text is `head + lastUpdated + tail`. */
export interface Body {
  readonly head: string;
  readonly tail: string;
}

export type Command =
  | {
      readonly op: 'put';
      readonly key: ResourceKey;
      /** The version this write becomes; must be one more than the current (deleted counts) or 1. Else the commit conflicts. */
      readonly version: number;
      readonly method: WriteMethod;
      readonly body: Body;
      readonly entries: readonly IndexEntry[];
      readonly patients: readonly string[];
    }
  | { readonly op: 'delete'; readonly key: ResourceKey; readonly version: number; readonly patients: readonly string[] }
  /** The search matches exactly these ids, in any order; judged inside the commit. Conditional interactions stand on it. */
  | { readonly op: 'expect'; readonly plan: SearchPlan; readonly ids: readonly string[] }
  /** This version is the current one; judged inside the commit. A request that finds nothing to write stands on it. */
  | { readonly op: 'hold'; readonly key: ResourceKey; readonly version: number }
  /** Keeps a value under a key of the caller's that is not kept yet; else the commit conflicts. Never changed, never removed. */
  | { readonly op: 'keep'; readonly key: string; readonly value: string }
  /**
   * Sets a small value beside the resources (a cursor, an outbox row, a token that was seen), or removes it (`value` undefined).
   * `expect` is what must be there before, judged inside the commit: a value, null for nothing (what has expired is nothing), undefined for anything.
   * From `expiresAt` (ms since 1970) on the engine may remove it.
   */
  | {
      readonly op: 'set';
      /** Which room's: 'subscription.outbox'. Keys of one space are ordered. */
      readonly space: string;
      readonly key: string;
      readonly value: string | undefined;
      readonly expect?: string | null | undefined;
      readonly expiresAt?: number | undefined;
    }
  /**
   * Removes versions for good, with their index rows and words: nothing reads, lists, finds or counts them any more, and `changes` leaves them out.
   * `version` must be the current one (a deletion counts), else the commit conflicts. `versions`: these superseded ones only; undefined: every
   * version, so that the resource is as if it never was.
   */
  | {
      readonly op: 'purge';
      readonly key: ResourceKey;
      readonly version: number;
      readonly versions?: readonly number[] | undefined;
    }
  /**
   * Forgets patients. Conflicts while a version about one of them is held whose sequence is above `through`: the caller looks again. From then on
   * a `put` about one of them conflicts, and audit rows keep no mapping for them. The log keeps its chain: the subject keys they had lose their
   * mapping, rows about them their `erasable`, agents facets that name them as a user those entries.
   * `keyed(FORGOTTEN, patient)` is `value` afterwards.
   */
  | { readonly op: 'forget'; readonly patients: readonly string[]; readonly through: number; readonly value: string }
  /** None of these patients is forgotten; judged inside the commit. What names a patient without being about them stands on it. */
  | { readonly op: 'unforgotten'; readonly patients: readonly string[] };

/** Space of the keyed values that `forget` sets: the patients who are forgotten. No `set` may name it. */
export const FORGOTTEN = 'forgotten';

/** What `set` committed. An expired value may still be there: the reader, who has a clock, compares. */
export interface Keyed {
  readonly key: string;
  readonly value: string;
  /** ms since 1970; undefined: kept until removed. */
  readonly expiresAt: number | undefined;
}

/** A low-cardinality group of AuditEvent search values, stored once under its key: what kind of event, or which agents. */
export interface AuditFacet {
  readonly key: string;
  readonly entries: readonly IndexEntry[];
}
/** Index of one AuditEvent rendered from a row. */
export interface AuditIndex {
  readonly kind: AuditFacet;
  readonly agents: AuditFacet;
  /** Opaque subject keys (see `AuditRow.subjects`) of this event. */
  readonly subjects: readonly string[];
  /** `Type/id` of the entities of this event, or an absolute URL of another server's; Patients are given by subject, not here. */
  readonly entities: readonly string[];
}
/**
 * One row of the audit log: one request, rendered on read as `events.length` AuditEvents with ids `<chain>-<sequence>-<n>` (n from 1).
 * The hash chain runs over chain, sequence, at, form and `bytes`. `erasable` is outside the hash (the bytes hold its salted commitment).
 */
export interface AuditRow {
  /** Version of the renderer; goldens freeze old ones. */
  readonly form: number;
  readonly bytes: string;
  readonly erasable: string | undefined;
  readonly events: readonly AuditIndex[];
  /** Mapping rows to keep: opaque key -> patient id. An erasure deletes the mapping; the chain stays whole. */
  readonly subjects: readonly { readonly key: string; readonly patient: string }[];
}

/** Everything of one request that must stand or fall together. */
export interface CommitRequest {
  readonly commands: readonly Command[];
  readonly audit: readonly AuditRow[];
}

export type CommitResult =
  | {
      readonly ok: true;
      readonly at: number;
      readonly versions: readonly { readonly key: ResourceKey; readonly version: number; readonly sequence: number }[];
      readonly auditIds: readonly string[];
    }
  /** A precondition did not hold; nothing was written. `command` is its index. */
  | { readonly ok: false; readonly reason: 'conflict'; readonly command: number };

export interface Page {
  readonly count: number;
  /** Where the previous page ended; from `SearchResult.next`. Engine-made, opaque to everyone else. */
  readonly after?: string | undefined;
}
export interface SearchResult {
  readonly matches: readonly StoredVersion[];
  readonly next: string | undefined;
}
export interface HistoryScope {
  readonly type?: string | undefined;
  readonly id?: string | undefined;
  /** Only versions at or after this instant, ms. */
  readonly since?: number | undefined;
  /** State as of this instant: versions at or before, ms. */
  readonly before?: number | undefined;
  /** Only versions about one of these Patients (`StoredVersion.patients`), by an index. Not with `id`. */
  readonly patients?: readonly string[] | undefined;
  /** Only versions before this one in the order of writes, by an index. Not of AuditEvents. */
  readonly below?: Pick<StoredVersion, 'at' | 'sequence'> | undefined;
}

/** An engine refuses with these; the door turns them into OperationOutcomes (`unavailable` 503, `full` 503 of what stores something, `too-costly` and `refused` 400). Only the message of `refused` is shown to the client: it says what is not done, and holds no value. */
export class StoreError extends Error {
  readonly reason: 'unavailable' | 'full' | 'too-costly' | 'refused' | 'bounded-thread' | 'bad-cursor';
  constructor(reason: StoreError['reason'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StoreError';
    this.reason = reason;
  }
}

/** What the store of the process has besides: the engine's signal that `changes` has more to give. */
export interface CommitSignal {
  /** Calls back after commits of data, by whichever thread or process, soon and at least once after the last. Returns how to stop it. */
  onCommit(listener: () => void): () => void;
}

export interface ResourceStore {
  /** Resolves when durable. Rejects with StoreError `unavailable` when nothing of the group could be made durable. */
  commit(request: CommitRequest): Promise<CommitResult>;
  /** The current version (also a deletion), or the given one; undefined when it never existed. */
  read(key: ResourceKey, version?: number): Promise<StoredVersion | undefined>;
  /** Newest first. */
  history(scope: HistoryScope, page: Page): Promise<SearchResult>;
  /** One page in the plan's order. Throws StoreError `bounded-thread` when the plan may not run on this thread: repeat it where `budgetMs` is set. */
  search(plan: SearchPlan, page: Page): Promise<SearchResult>;
  /** One page over several types, whose plans differ in type only as far as `sort` goes; types without matches cost one look each. AuditEvent is searched by itself only. */
  searchTypes(plans: readonly SearchPlan[], page: Page): Promise<SearchResult>;
  /** Exact number of matches. Same refusals as `search`. */
  count(plan: SearchPlan): Promise<number>;
  /** Matches of all plans together. An `estimate` costs bounded work and may be far off; `exact` says when it is not one. */
  countTypes(
    plans: readonly SearchPlan[],
    accuracy: 'accurate' | 'estimate',
  ): Promise<{ readonly count: number; readonly exact: boolean }>;
  /**
   * Another number after every commit of data, by whichever thread; undefined when the engine cannot tell. What was read after taking a stamp
   * may be remembered for as long as the stamp is the same.
   */
  stamp(): number | undefined;
  /**
   * As `stamp`, where that cannot tell: asked of the engine, by one small read. Another number after every commit of data of one of these types
   * (undefined: of any type), by whichever process. undefined: not known now.
   */
  askedStamp(types?: readonly string[]): Promise<number | undefined>;
  /** What `keep` committed under this key. */
  kept(key: string): Promise<string | undefined>;
  /** What `set` committed last under this key of this space. */
  keyed(space: string, key: string): Promise<Keyed | undefined>;
  /** Keys of a space in ascending order (by code point), those after `after` when it is given. */
  keyedPage(
    space: string,
    page: { readonly after?: string | undefined; readonly count: number },
  ): Promise<readonly Keyed[]>;
  /** Versions of all types (but AuditEvents, which are not versioned) with a sequence above `after`, ascending, at most `count`. */
  changes(after: number, count: number): Promise<readonly StoredVersion[]>;
  /**
   * Versions (current, superseded, deletions) with a sequence in (after, until] whose `patients` name one of these, ascending. May cost a look at
   * each version of the range: the caller keeps it short.
   */
  versionsAbout(patients: readonly string[], after: number, until: number): Promise<readonly StoredVersion[]>;
  /** Sequence of the newest write, also of one that was purged since; 0 when there is none. */
  latestSequence(): Promise<number>;
  /** Opaque, stable audit keys for patients, in order; unknown ones are minted (persisted by the commit that uses them). */
  subjectKeys(patients: readonly string[]): readonly string[];
  /** Cheap proof that reads and writes work: for readiness. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
