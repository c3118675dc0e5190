/**
 * Audit rows in chains. Each opened store appends to a chain of its own, so that audit rows of several processes and threads do not wait for
 * each other; the head of a chain is signed, so that rows cut off at the end are missed.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { ClientSession } from 'mongodb';
import { Anchors } from '../audit-anchor.ts';
import { CHAIN_START, chainHash } from '../audit-chain.ts';
import type { AuditHead, AuditVerdict } from '../engine.ts';
import { type AuditFacet, type AuditRow, StoreError } from '../port.ts';
import { type Fields, SealError } from './fields.ts';
import {
  type AuditDoc,
  type AuditEventDoc,
  CHAIN_SPAN,
  type ChainDoc,
  type Collections,
  type FacetDoc,
  leftUntil,
  placeOf,
} from './layout.ts';
import { searchMembers } from './members.ts';
import type { Forgotten } from './purge.ts';

/** How long a chain stays this store's after its last use, ms. */
const LEASE_MS = 60_000;
const MOST_CHAINS = 9999;
const MOST_KNOWN = 50_000;

/** Key of the signatures of chain heads; whoever has another cannot check them. */
export class HeadKey {
  readonly #key: Uint8Array;
  readonly id: string;

  constructor(key: Uint8Array) {
    this.#key = key;
    this.id = createHash('sha256').update('audit head ').update(key).digest('hex').slice(0, 16);
  }

  sign(chain: number, sequence: number, hash: string): string {
    return createHmac('sha256', this.#key).update(`${chain}\n${sequence}\n${hash}`).digest('hex');
  }
}

/** The chain as it will be when the transaction commits. */
interface Tip {
  readonly chain: number;
  readonly sequence: number;
  readonly at: number;
  readonly hash: Buffer;
}

/** Staged rows of one transaction, and what they make known. */
export interface AuditStage {
  tip: Tip;
  readonly before: number;
  readonly rows: AuditDoc[];
  readonly events: AuditEventDoc[];
  readonly facets: Map<string, FacetDoc>;
  readonly subjects: Map<string, string>;
}

export class AuditAppender {
  readonly #collections: Collections;
  readonly #key: HeadKey;
  readonly #owner = randomBytes(12).toString('hex');
  readonly #facets = new Set<string>();
  readonly #subjects = new Set<string>();
  #tip: Tip | undefined;
  #until = 0;

  constructor(collections: Collections, key: HeadKey) {
    this.#collections = collections;
    this.#key = key;
  }

  /** The chain to append to: this store's own, or a free one, or a new one. @param now ms */
  async begin(now: number): Promise<AuditStage> {
    const tip = this.#tip !== undefined && now < this.#until ? this.#tip : await this.#claimed(now);
    this.#tip = tip;
    return { tip, before: tip.sequence, rows: [], events: [], facets: new Map(), subjects: new Map() };
  }

  /** A chain that is taken is seen by whoever shuts the database; one that is shut is seen here. */
  async #claimed(now: number): Promise<Tip> {
    const tip = await this.#claim(now);
    if ((await leftUntil(this.#collections.meta)) <= now) return tip;
    await this.release();
    this.#until = 0;
    throw new StoreError('unavailable', 'The database is shut while it is moved.');
  }

  async #claim(now: number): Promise<Tip> {
    const { chain } = this.#collections;
    const lease = { owner: this.#owner, until: now + LEASE_MS };
    const free = { $or: [{ owner: this.#owner }, { owner: null }, { until: { $lt: now } }] };
    const found = await chain.findOneAndUpdate(free, { $set: lease }, { sort: { _id: 1 }, returnDocument: 'after' });
    this.#until = lease.until;
    if (found !== null) {
      const hash = found.seq === 0 ? CHAIN_START : Buffer.from(found.h, 'hex');
      return { chain: found._id, sequence: found.seq, at: found.at, hash };
    }
    const [last] = await chain.find().sort({ _id: -1 }).limit(1).toArray();
    const number = (last?._id ?? 0) + 1;
    if (number > MOST_CHAINS) throw new StoreError('unavailable', 'Every chain of the audit log is in use.');
    const hash = CHAIN_START.toString('hex');
    const head: ChainDoc = { _id: number, seq: 0, at: 0, h: hash, ...this.#signed(number, 0, hash), ...lease };
    const made = await chain.updateOne({ _id: number }, { $setOnInsert: without(head) }, { upsert: true });
    // Another store has made the same one: it is that store's.
    return made.upsertedCount === 1 ? { chain: number, sequence: 0, at: 0, hash: CHAIN_START } : this.#claim(now);
  }

  #signed(chain: number, sequence: number, hash: string): Pick<ChainDoc, 'mac' | 'key'> {
    return { mac: this.#key.sign(chain, sequence, hash), key: this.#key.id };
  }

  /** True when rows name a patient by a key that this store has not written yet. */
  mapsAnew(rows: readonly AuditRow[]): boolean {
    return rows.some(({ subjects }) => subjects.some(({ key }) => !this.#subjects.has(key)));
  }

  /** @returns ids of the AuditEvents */
  stage(stage: AuditStage, rows: readonly AuditRow[], at: number, forgotten: Forgotten): readonly string[] {
    return rows.flatMap((row) => this.#row(stage, row, at, forgotten));
  }

  #row(
    stage: AuditStage,
    { form, bytes, erasable, events, subjects }: AuditRow,
    at: number,
    forgotten: Forgotten,
  ): readonly string[] {
    const { chain, hash: previous } = stage.tip;
    const sequence = stage.tip.sequence + 1;
    const hash = chainHash(previous, { chain, sequence, at, form, bytes });
    stage.tip = { chain, sequence, at, hash };
    const _id = chain * CHAIN_SPAN + sequence;
    const keys = new Set([...subjects.map(({ key }) => key), ...events.flatMap((event) => event.subjects)]);
    const { fields } = this.#collections;
    stage.rows.push({
      _id,
      at,
      f: form,
      n: events.length,
      h: hash.toString('hex'),
      b: fields.seal(placeOf.audit({ _id, at, f: form }), bytes),
      x: erasable === undefined ? null : fields.seal(placeOf.erasable(_id), erasable),
      u: [...keys],
    });
    for (const { key, patient } of subjects) {
      const isKnown = this.#subjects.has(key) || stage.subjects.has(key);
      if (!isKnown && !forgotten.some([patient])) stage.subjects.set(key, patient);
    }
    return events.map((event, index) => {
      const e = index + 1;
      for (const facet of [event.kind, event.agents]) this.#facet(stage, facet);
      const postings = [
        `f ${event.kind.key}`,
        `f ${event.agents.key}`,
        ...event.subjects.map((subject) => `s ${subject}`),
        ...event.entities.map((entity) => `e ${entity}`),
      ];
      const id = `${chain}-${sequence}-${e}`;
      stage.events.push({ _id: id, a: _id, e, at, k: [...new Set(postings)] });
      return id;
    });
  }

  #facet(stage: AuditStage, { key, entries }: AuditFacet): void {
    if (this.#facets.has(key) || stage.facets.has(key)) return;
    stage.facets.set(key, { _id: key, ...searchMembers(entries, this.#collections.fields, placeOf.facet(key)) });
  }

  /** Writes what is staged. @throws StoreError that begins the transaction again when the chain has become another store's */
  async write(stage: AuditStage, session: ClientSession): Promise<boolean> {
    const { audit, auditEvent, facet, subject, chain } = this.#collections;
    const { rows, events, facets, subjects, tip } = stage;
    if (rows.length === 0) return true;
    const hash = tip.hash.toString('hex');
    const { matchedCount } = await chain.updateOne(
      { _id: tip.chain, owner: this.#owner, seq: stage.before },
      { $set: { seq: tip.sequence, at: tip.at, h: hash, ...this.#signed(tip.chain, tip.sequence, hash) } },
      { session },
    );
    if (matchedCount === 0) return false;
    await audit.insertMany(rows, { session });
    if (events.length > 0) await auditEvent.insertMany(events, { session });
    const added = <Doc extends { readonly _id: string }>(docs: Iterable<Doc>) =>
      [...docs].map((doc) => ({
        updateOne: { filter: { _id: doc._id }, update: { $setOnInsert: without(doc) }, upsert: true },
      }));
    if (facets.size > 0) await facet.bulkWrite(added(facets.values()) as never, { session });
    const patients = [...subjects].map(([_id, p]) => ({ _id, p }));
    if (patients.length > 0) await subject.bulkWrite(added(patients) as never, { session });
    return true;
  }

  /** What was staged is durable. */
  committed({ tip, facets, subjects }: AuditStage): void {
    this.#tip = tip;
    if (this.#facets.size + this.#subjects.size > MOST_KNOWN) {
      this.#facets.clear();
      this.#subjects.clear();
    }
    for (const key of facets.keys()) this.#facets.add(key);
    for (const key of subjects.keys()) this.#subjects.add(key);
  }

  /** Reads the chain again before the next row. */
  forget(): void {
    this.#tip = undefined;
  }

  /** The chain is free for whoever comes next. */
  async release(): Promise<void> {
    if (this.#until === 0) return;
    await this.#collections.chain.updateMany({ owner: this.#owner }, { $set: { owner: null } });
  }
}

function without<Doc extends { readonly _id: unknown }>({ _id, ...rest }: Doc): Omit<Doc, '_id'> {
  return rest;
}

/** What each chain ends with, as its head says. */
export async function headsOf({ chain }: Collections): Promise<readonly AuditHead[]> {
  const heads = await chain.find().sort({ _id: 1 }).toArray();
  return heads.filter(({ seq }) => seq > 0).map(({ _id, seq, h }) => ({ chain: _id, sequence: seq, hash: h }));
}

/** What was sealed as it is; undefined: it is not, which is what is looked for. */
function opened(fields: Fields, { b, ...row }: Pick<AuditDoc, '_id' | 'at' | 'f' | 'b'>): string | undefined {
  try {
    return fields.open(placeOf.audit(row), b);
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}

/**
 * Walks every chain from its start, and compares its end with the signed head and with what was told elsewhere; a head that is signed with
 * another key is compared unsigned.
 */
export async function verifyChains(
  { audit, chain, fields }: Collections,
  key: HeadKey,
  anchors = new Anchors([]),
): Promise<AuditVerdict> {
  let rows = 0;
  for await (const head of chain.find().sort({ _id: 1 })) {
    let previous: Buffer = CHAIN_START;
    let sequence = 0;
    const range = { $gt: head._id * CHAIN_SPAN, $lt: (head._id + 1) * CHAIN_SPAN };
    for await (const { _id, at, f, h, b } of audit.find({ _id: range }).sort({ _id: 1 })) {
      sequence++;
      const bytes = opened(fields, { _id, at, f, b });
      if (bytes === undefined) return { rows, broken: sequence };
      const hash = chainHash(previous, { chain: head._id, sequence, at, form: f, bytes });
      if (
        _id !== head._id * CHAIN_SPAN + sequence ||
        hash.toString('hex') !== h ||
        !anchors.agrees(head._id, sequence, h)
      )
        return { rows, broken: sequence };
      previous = hash;
      rows++;
      // Rows above the head were appended since it was read.
      if (sequence === head.seq) break;
    }
    const hash = previous.toString('hex');
    const isSigned = head.key !== key.id || head.mac === key.sign(head._id, sequence, hash);
    if (sequence !== head.seq || hash !== head.h || !isSigned) return { rows, broken: sequence + 1 };
  }
  return { rows, broken: anchors.missing() };
}
