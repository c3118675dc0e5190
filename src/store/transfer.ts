/**
 * A store as it is moved to another engine: rows as they were written, in parts, each in one order of places. Reading and writing are the same
 * rows, so that what was moved is compared by the same reading of both. Either nobody serves the source, or its journal tells what changes
 * meanwhile. Contract: test/store/transfer-contract.ts, test/migrate.
 */
import type { AuditVerdict } from './engine.ts';
import type { AuditFacet, StoredVersion } from './port.ts';

/** `place = chain * CHAIN_SPAN + sequence`, in every engine. */
export const CHAIN_SPAN = 2 ** 44;

/** `rank` is the place of its resource among those of the type: the order of unsorted pages. Engines keep it as it is. */
export interface MovedVersion extends StoredVersion {
  readonly rank: number;
}
export interface MovedEvent {
  /** Keys of facets. */
  readonly kind: string;
  readonly agents: string;
  /** Sorted. */
  readonly subjects: readonly string[];
  readonly entities: readonly string[];
}
/** An audit row with its place in its chain and its hash as stored: neither is made again. */
export interface MovedAudit {
  readonly place: number;
  readonly at: number;
  readonly form: number;
  readonly bytes: string;
  readonly erasable: string | null;
  /** Hex. */
  readonly hash: string;
  readonly events: readonly MovedEvent[];
}
/** Subject keys that still have a mapping. */
export interface MovedSubject {
  readonly key: string;
  readonly patient: string;
}
export interface MovedKept {
  readonly key: string;
  readonly value: string;
  readonly at: number;
}
/** `place` is `<space> <key>`; spaces hold no U+0020. Who is forgotten is among them. */
export interface MovedValue {
  readonly place: string;
  readonly value: string;
  readonly expiresAt: number | null;
}

export interface Part<Row, Place> {
  /** At most `count` rows above a place, ascending; texts by code point. */
  page(after: Place | undefined, count: number): Promise<readonly Row[]>;
  /** Rows at these places, ascending; a place without one is left out. */
  at(places: readonly Place[]): Promise<readonly Row[]>;
  /** The highest place that is held. */
  last(): Promise<Place | undefined>;
  count(): Promise<number>;
  /** Writes rows above `last`, ascending, all or none, durable when it resolves. */
  restore(rows: readonly Row[]): Promise<void>;
  /**
   * Makes these places hold these rows, ascending, and nothing where a place has no row; all or none, durable when it resolves. Done again it
   * changes nothing. Rows may name facets and subjects that come later.
   */
  replace(places: readonly Place[], rows: readonly Row[]): Promise<void>;
}

export const PARTS = ['facet', 'subject', 'version', 'audit', 'kept', 'keyed'] as const;
export type PartName = (typeof PARTS)[number];
/** A place whose row was written or removed. */
export interface Changed {
  readonly part: PartName;
  readonly place: string | number;
}
export interface Changes {
  readonly changed: readonly Changed[];
  /** Where the next ones begin: engine-made. */
  readonly position: string;
  /** There are more already. */
  readonly more: boolean;
}

/** What a served source tells of its changes, whichever process makes them. */
export interface Journal {
  /** Every change committed from now on is told. @returns position of the first; the same journal when there is one already */
  begin(): Promise<string>;
  /** Changes after a position that were committed before this was asked, about `count` of them; changes of places told since may come again. */
  changes(after: string, count: number): Promise<Changes>;
  /** Nothing is committed to the source for SHUT_MS from now; asked again, for longer. @throws StoreError `unavailable` when that cannot be had */
  shut(): Promise<void>;
  /** Commits are taken again. */
  reopen(): Promise<void>;
  /** Nothing is ever committed to the source again. @returns false, and nothing is done, when there are changes after this position */
  leave(position: string): Promise<boolean>;
  /** The source is as it was before `begin`. */
  abandon(): Promise<void>;
}
/** So long a source stays shut whose move has died. */
export const SHUT_MS = 20_000;

/** In the order in which they are restored: audit rows name facets and subjects. */
export interface Movable {
  readonly facet: Part<AuditFacet, string>;
  readonly subject: Part<MovedSubject, string>;
  /** `restore` writes no index entries: the engine holds its index for outdated, so that the first start makes them. `replace` does, when it was opened with `indexOf`. */
  readonly version: Part<MovedVersion, number>;
  readonly audit: Part<MovedAudit, number>;
  readonly kept: Part<MovedKept, string>;
  readonly keyed: Part<MovedValue, string>;
  /** What the store is being filled from; undefined: it is not. While it is, it is not opened for serving. */
  marked(): Promise<string | undefined>;
  mark(source: string): Promise<void>;
  /** Highest sequence ever given out, also of what was purged since. */
  latest(): Promise<number>;
  /** A note for whoever takes the move up, beside the mark. */
  noted(): Promise<string | undefined>;
  note(text: string): Promise<void>;
  /** Sequences go on after `latest`; mark and note go. `indexHash`: the index entries are whole, made by definitions of this hash. */
  finish(latest: number, indexHash?: string): Promise<void>;
  verifyAudit(): Promise<AuditVerdict> | AuditVerdict;
  close(): Promise<void>;
}

/** A store that is moved while servers answer from it. */
export interface Served extends Movable {
  readonly journal: Journal;
}

export const BEING_FILLED = 'The store is being filled by `firewatch migrate`: run that to its end first.';
/** Name of the mark in an engine's own notes. */
export const FILLING = 'filling';
export const NOTE = 'filling-note';
export const LEFT =
  'The store was moved by `firewatch migrate --final`. Start its target; `firewatch migrate --abandon` takes this one back.';
