/**
 * A store as it is moved to another engine, while nobody serves it: rows as they were written, in parts, each in one order of places. Reading and
 * writing are the same rows, so that what was moved is compared by the same reading of both. Contract: test/store/transfer.test.ts.
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
  /** The highest place that is held. */
  last(): Promise<Place | undefined>;
  count(): Promise<number>;
  /** Writes rows above `last`, ascending, all or none, durable when it resolves. */
  restore(rows: readonly Row[]): Promise<void>;
}

/** In the order in which they are restored: audit rows name facets and subjects. */
export interface Movable {
  readonly facet: Part<AuditFacet, string>;
  readonly subject: Part<MovedSubject, string>;
  /** Without index entries: the engine holds its index for outdated afterwards, so that the first start makes them. */
  readonly version: Part<MovedVersion, number>;
  readonly audit: Part<MovedAudit, number>;
  readonly kept: Part<MovedKept, string>;
  readonly keyed: Part<MovedValue, string>;
  /** What the store is being filled from; undefined: it is not. While it is, it is not opened for serving. */
  marked(): Promise<string | undefined>;
  mark(source: string): Promise<void>;
  /** Highest sequence ever given out, also of what was purged since. */
  latest(): Promise<number>;
  /** Sequences go on after `latest`; the mark goes. */
  finish(latest: number): Promise<void>;
  verifyAudit(): Promise<AuditVerdict> | AuditVerdict;
  close(): Promise<void>;
}

export const BEING_FILLED = 'The store is being filled by `firewatch migrate`: run that to its end first.';
/** Name of the mark in an engine's own notes. */
export const FILLING = 'filling';
