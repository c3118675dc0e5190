/** Collections, documents and indexes of the MongoDB engine. Layout and reasons: docs/decisions/0040. */
import type { Binary, Collection, CreateIndexesOptions, Db, Document, IndexSpecification } from 'mongodb';
import { StoreError, type WriteMethod } from '../port.ts';
import type { Fields, Place, Stored } from './fields.ts';

/** `r = type number * TYPE_SPAN + sequence at creation`: one type is one contiguous range, in the order of creation. A deleted resource has `-r`. */
export const TYPE_SPAN = 2 ** 40;
/** `audit._id = chain * CHAIN_SPAN + sequence`. */
export const CHAIN_SPAN = 2 ** 44;

/** A version as it was written; never changed but by a removal of the whole. `_id` is its sequence. */
export interface VersionDoc {
  readonly _id: number;
  /** `Type/id`. */
  readonly o: string;
  readonly t: string;
  readonly v: number;
  /** ms. */
  readonly at: number;
  readonly m: WriteMethod;
  readonly p: readonly string[];
  /** The served JSON; null for a deletion. */
  readonly x: Stored | null;
}

/** Rows of dates and quantities; `c` 1 marks quantities converted to canonical units. */
export interface DateRow {
  readonly p: string;
  readonly l: number;
  readonly h: number;
}
export interface QuantityRow extends DateRow {
  readonly u: string;
  readonly c: 0 | 1;
}
/** Index entries of one group of a composite, or of the whole resource. */
export interface Indexed {
  readonly k: readonly string[];
  readonly d: readonly DateRow[];
  readonly q: readonly QuantityRow[];
}

/** What is searched: one small document a resource, its newest version by `s`. The text is the version's. */
export interface ResourceDoc extends Partial<Indexed> {
  /** `Type/id`. */
  readonly _id: string;
  readonly r: number;
  readonly v: number;
  /** Sequence of the newest version. */
  readonly s: number;
  readonly at: number;
  /** Words: `n word` of the narrative, `c word` of any text. */
  readonly w?: readonly string[];
  /** Sealed: the entries that it was made of. Only with a data key, and `n` and `c` only without. */
  readonly e?: Stored;
  /** Narrative and other words as one text each, with a space at both ends. */
  readonly n?: string;
  readonly c?: string;
  /** One a group of composites. */
  readonly g?: readonly Indexed[];
}

export interface AuditDoc {
  /** chain * CHAIN_SPAN + sequence. */
  readonly _id: number;
  readonly at: number;
  readonly f: number;
  /** Events of the row. */
  readonly n: number;
  /** Hash, hex. */
  readonly h: string;
  readonly b: Stored;
  readonly x: Stored | null;
  /** Subject keys that the row may be rendered with. */
  readonly u: readonly string[];
}
/** `k`: `f facet`, `s subject key`, `e Type/id`. */
export interface AuditEventDoc {
  readonly _id: string;
  readonly a: number;
  readonly e: number;
  readonly at: number;
  readonly k: readonly string[];
}
/** A facet is searched as a resource is. */
export interface FacetDoc extends Partial<Indexed> {
  readonly _id: string;
  readonly e?: Stored;
}
export interface SubjectDoc {
  readonly _id: string;
  readonly p: string;
}
/** End of a chain: `h` the hash of its last row, `mac` over chain, sequence and hash with the key named by `key`. */
export interface ChainDoc {
  readonly _id: number;
  readonly seq: number;
  readonly at: number;
  readonly h: string;
  readonly mac: string;
  readonly key: string;
  readonly owner: string | null;
  /** Until when the owner alone may append, ms. */
  readonly until: number;
}
/** The lock and counter of all writes of versions. `seq` may lie above the newest version: a refused request leaves a gap. */
export interface HeadDoc {
  readonly _id: 'data';
  readonly seq: number;
  readonly at: number;
  /** Groups so far: each writes here, so that two of them never pass. */
  readonly turn: number;
  /** Of the groups that wrote versions of a type, how many. */
  readonly types?: Readonly<Record<string, number>>;
  /** By whose definitions the search documents of how many groups were made. */
  readonly by?: Readonly<Record<string, number>>;
  /** Newest sequence at the last purge, and how often somebody was forgotten. */
  readonly purged?: number;
  readonly forgets?: number;
  /** Processes of older layouts write no versions any more; absent: 1. */
  readonly floor?: number;
}
export interface KeptDoc {
  readonly _id: string;
  readonly v: Stored;
  readonly at: number;
}
/** `_id`: `space key`. */
export interface KeyedDoc {
  readonly _id: string;
  readonly v: Stored;
  /** ms; null: kept until removed. */
  readonly x: number | null;
}
/** A sign of life: sessions that may be in a transaction, and when they were last signed for by the server's clock. */
export interface LifeDoc {
  readonly _id: string;
  readonly s: readonly Binary[];
  readonly seen: Date;
  /** Layout of the process; absent: 1. */
  readonly l?: number;
}
export interface MetaDoc {
  /** `filling`: what `firewatch migrate` fills the database from, with a note. `moving`: a mark in the journal; `left`: moved elsewhere. `fields`: see data-key.ts. `line`: who waits for the head. */
  readonly _id:
    | 'schema'
    | 'upgrading'
    | 'types'
    | 'index'
    | 'reindex'
    | 'filling'
    | 'filling-note'
    | 'moving'
    | 'left'
    | 'fields'
    | 'line';
  readonly value?: string | number;
  readonly names?: readonly string[];
  /** Of `line`: the first has its turn. */
  readonly q?: readonly string[];
  /** Of `schema`, whose `value` is the oldest layout that may read the database: the newest that has written, and up to which every document has the members. */
  readonly written?: number;
  readonly filled?: number;
  /** Of `index`, whose `value` made every search document last: who makes them now, and who did before. See `index-owner.ts`. */
  readonly making?: string;
  readonly past?: readonly string[];
  /** Up to which sequence what others wrote is made anew, and how much they had written then. */
  readonly from?: number;
  readonly seen?: string;
}

/** The collections by name. */
export interface Named {
  readonly version: Collection<VersionDoc>;
  readonly resource: Collection<ResourceDoc>;
  readonly audit: Collection<AuditDoc>;
  readonly auditEvent: Collection<AuditEventDoc>;
  readonly facet: Collection<FacetDoc>;
  readonly subject: Collection<SubjectDoc>;
  readonly chain: Collection<ChainDoc>;
  readonly head: Collection<HeadDoc>;
  readonly kept: Collection<KeptDoc>;
  readonly keyed: Collection<KeyedDoc>;
  readonly meta: Collection<MetaDoc>;
  readonly life: Collection<LifeDoc>;
}
export interface Collections extends Named {
  /** How texts are written to them. */
  readonly fields: Fields;
}

/** Where a text belongs, for `Fields`. What may change without the text is no part of it. */
export const placeOf = {
  version: ({ _id, o, v, at, m }: Omit<VersionDoc, 'x'>): Place => ['version', _id, o, v, at, m],
  audit: ({ _id, at, f }: Pick<AuditDoc, '_id' | 'at' | 'f'>): Place => ['audit', _id, at, f],
  erasable: (_id: number): Place => ['audit', _id, 'erasable'],
  resource: (_id: string, v: number): Place => ['resource', _id, v],
  facet: (_id: string): Place => ['facet', _id],
  kept: (_id: string): Place => ['kept', _id],
  keyed: (_id: string, expiresAt: number | null): Place => ['keyed', _id, expiresAt],
} as const;

export function collectionsOf(db: Db, fields: Fields): Collections {
  return {
    fields,
    version: db.collection('version'),
    resource: db.collection('resource'),
    audit: db.collection('audit'),
    auditEvent: db.collection('audit_event'),
    facet: db.collection('facet'),
    subject: db.collection('subject'),
    chain: db.collection('chain'),
    head: db.collection('head'),
    kept: db.collection('kept'),
    keyed: db.collection('keyed'),
    meta: db.collection('meta'),
    life: db.collection('life'),
  };
}

/** Note of a database that is being left for another store: until which instant, ms, nothing is committed to it. */
export const LEFT_ID = 'left';
/** After every instant: it was left. */
export const EVER = Number.MAX_SAFE_INTEGER;
export async function leftUntil(meta: Collections['meta']): Promise<number> {
  return Number((await meta.findOne({ _id: LEFT_ID }))?.value ?? 0);
}

export type Index = readonly [keys: IndexSpecification & Document, options?: CreateIndexesOptions];

/** Every index of layout 1 besides those of `_id`. test/store/mongodb-plan.test.ts holds each predicate to one of them. */
export const INDEXES = {
  version: [[{ o: 1, v: 1 }, { unique: true }], [{ t: 1, at: 1, _id: 1 }], [{ at: 1, _id: 1 }], [{ p: 1, _id: 1 }]],
  resource: [
    [{ r: 1 }, { unique: true }],
    [{ at: 1, r: 1 }],
    [{ k: 1, r: 1 }],
    [{ w: 1, r: 1 }],
    [{ 'd.p': 1, 'd.l': 1, r: 1 }],
    [{ 'd.p': 1, 'd.h': 1, r: 1 }],
    [{ 'q.p': 1, 'q.u': 1, 'q.l': 1, r: 1 }],
    [{ 'q.p': 1, 'q.u': 1, 'q.h': 1, r: 1 }],
  ],
  auditEvent: [[{ at: 1, a: 1, e: 1 }], [{ k: 1, at: 1, a: 1, e: 1 }]],
  facet: [[{ k: 1 }]],
  subject: [[{ p: 1 }]],
  keyed: [[{ x: 1 }]],
} as const satisfies Partial<Record<keyof Named, readonly Index[]>>;

/** Numbers of the types, from 1 in the order in which they came; read again when a name is not known. */
export class TypeNumbers {
  readonly #meta: Collections['meta'];
  #names: readonly string[] = [];

  constructor(meta: Collections['meta']) {
    this.#meta = meta;
  }

  /** Bounds (exclusive) of `r` of the live resources of a type; undefined when no resource ever had it. */
  async range(type: string): Promise<readonly [low: number, high: number] | undefined> {
    let index = this.#names.indexOf(type);
    if (index < 0) {
      this.#names = (await this.#meta.findOne({ _id: 'types' }))?.names ?? [];
      index = this.#names.indexOf(type);
    }
    return index < 0 ? undefined : [(index + 1) * TYPE_SPAN, (index + 2) * TYPE_SPAN];
  }

  /** Where the resources of a type begin, numbered when it is new. Its own write, outside any transaction. */
  async base(type: string): Promise<number> {
    const known = await this.range(type);
    if (known !== undefined) return known[0];
    await this.#meta.updateOne({ _id: 'types' }, { $addToSet: { names: type } }, { upsert: true });
    const [low] = (await this.range(type)) ?? [];
    if (low === undefined) throw new StoreError('unavailable', 'A type could not be numbered.');
    return low;
  }
}
