/** Audit rows on the writer: chained, gapless, with their facet, subject and entity rows. And the walk that proves the chain. */
import { Anchors } from '../audit-anchor.ts';
import { CHAIN_START, chainHash } from '../audit-chain.ts';
import type { AuditHead, AuditVerdict } from '../engine.ts';
import { HOME } from './audit-home.ts';
import type { WireAudit, WireFacet } from './message.ts';
import type { Purger } from './purge.ts';
import type { PendingRows } from './rows.ts';
import { CHAIN_SPAN, FACETS, TYPE_SPAN } from './schema.ts';
import { type Row, type Statements, sql } from './sql.ts';

/** The first chain. A restored store begins another, see restore.ts, and others came from a store of several writers, see transfer.ts. Only one grows. */
export const CHAIN = 1;
/** Name in `meta` of the chain that rows are appended to; without it, the first. */
export const GROWING = 'chain';
/** `audit_event.has`: bit set of what an event has rows for. */
export const HAS = { subject: 1, entity: 2 } as const;
const CACHE = 50_000;

export class AuditAppender {
  readonly #statements: Statements;
  readonly #pending: PendingRows;
  readonly #facets = new Map<string, number>();
  readonly #subjects = new Map<string, number>();
  #chain = CHAIN;
  #sequence = 0;
  #previous: Buffer = CHAIN_START;

  readonly #purger: Purger;

  constructor(statements: Statements, pending: PendingRows, purger: Purger) {
    this.#statements = statements;
    this.#pending = pending;
    this.#purger = purger;
  }

  /** Takes up the chain where it ends. @returns the last `at` of any chain, 0 when there is none */
  resume(): number {
    this.#facets.clear();
    this.#subjects.clear();
    this.#chain = this.#statements.number(sql`SELECT value FROM meta WHERE name=${GROWING}`) ?? CHAIN;
    const start = this.#chain * CHAIN_SPAN;
    const row = this.#statements.get(
      sql`SELECT key, hash FROM audit WHERE key > ${start} AND key < ${start + CHAIN_SPAN} ORDER BY key DESC LIMIT 1`,
    );
    const hash = row?.[1];
    this.#sequence = row === undefined ? 0 : Number(row[0]) - start;
    this.#previous = Buffer.isBuffer(hash) ? hash : CHAIN_START;
    return Math.max(0, ...chainsOf(this.#statements).map((chain) => lastAt(this.#statements, chain)));
  }

  /** @returns key of the first row; the others follow without gap */
  append(rows: readonly WireAudit[], at: number): number {
    const first = this.#chain * CHAIN_SPAN + this.#sequence + 1;
    for (const row of rows) this.#row(row, at);
    return first;
  }

  #row({ form, bytes, erasable, events, subjects }: WireAudit, at: number): void {
    const sequence = ++this.#sequence;
    const key = this.#chain * CHAIN_SPAN + sequence;
    this.#previous = chainHash(this.#previous, { chain: this.#chain, sequence, at, form, bytes });
    this.#statements.run('INSERT INTO audit VALUES(?,?,?,?,?,?,?)', [
      key,
      at,
      form,
      events.length,
      this.#previous,
      bytes,
      erasable ?? null,
    ]);
    for (const [subject, patient] of subjects) {
      this.#subject(subject, this.#purger.isForgotten(patient) ? null : patient);
    }
    events.forEach(([kind, agents, keys, entities], index) => {
      const event = index + 1;
      const has = (keys.length > 0 ? HAS.subject : 0) | (entities.length > 0 ? HAS.entity : 0);
      const [kindId, agentsId] = [this.#facet(kind), this.#facet(agents)];
      this.#pending.add('audit_event', [key, event, kindId, agentsId, has]);
      this.#pending.add('audit_index', [HOME.kind, kindId, key, event]);
      this.#pending.add('audit_index', [HOME.agents, agentsId, key, event]);
      for (const subject of new Set(keys)) {
        this.#pending.add('audit_index', [HOME.subject, this.#subject(subject, null), key, event]);
      }
      for (const entity of new Set(entities)) this.#pending.add('audit_index', [HOME.entity, entity, key, event]);
    });
  }

  #facet([key, wire]: WireFacet): number {
    const known = this.#facets.get(key);
    if (known !== undefined) return known;
    let id = this.#statements.number(sql`SELECT id FROM facet WHERE key=${key}`);
    if (id === undefined) {
      if (wire === undefined) throw new TypeError('An audit facet is not known and came without entries.');
      id = this.#statements.run('INSERT INTO facet(key) VALUES(?)', [key]);
      this.#pending.insert(FACETS * TYPE_SPAN + id, [...this.#pending.numbered(wire).values()]);
    }
    if (this.#facets.size >= CACHE) this.#facets.clear();
    this.#facets.set(key, id);
    return id;
  }

  /** Number of a subject key; the mapping is kept when a patient is given for the first time. */
  #subject(key: string, patient: string | null): number {
    const known = this.#subjects.get(key);
    if (known !== undefined) return known;
    const found = this.#statements.get(sql`SELECT id FROM subject WHERE key=${key}`);
    const id =
      found === undefined
        ? this.#statements.run('INSERT INTO subject(key, patient) VALUES(?,?)', [key, patient])
        : Number(found[0]);
    if (this.#subjects.size >= CACHE) this.#subjects.clear();
    this.#subjects.set(key, id);
    return id;
  }
}

/** Numbers of the chains that have rows, ascending; two seeks each. */
export function chainsOf(statements: Statements): readonly number[] {
  const chains: number[] = [];
  for (;;) {
    const after = ((chains.at(-1) ?? 0) + 1) * CHAIN_SPAN;
    const key = statements.number(sql`SELECT min(key) FROM audit WHERE key > ${after}`);
    if (key === undefined) return chains;
    chains.push(Math.floor(key / CHAIN_SPAN));
  }
}

function lastAt(statements: Statements, chain: number): number {
  const end = (chain + 1) * CHAIN_SPAN;
  return statements.number(sql`SELECT at FROM audit WHERE key < ${end} ORDER BY key DESC LIMIT 1`) ?? 0;
}

function rowHolds(row: Row, chain: number, sequence: number, previous: Buffer): Buffer | undefined {
  const [key, at, form, hash, bytes] = row;
  if (Number(key) !== chain * CHAIN_SPAN + sequence || !Buffer.isBuffer(hash)) return undefined;
  const expected = chainHash(previous, {
    chain,
    sequence,
    at: Number(at),
    form: Number(form),
    bytes: String(bytes),
  });
  return expected.equals(hash) ? hash : undefined;
}

/** What each chain ends with. */
export function headsOf(statements: Statements): readonly AuditHead[] {
  return chainsOf(statements).flatMap((chain) => {
    const end = (chain + 1) * CHAIN_SPAN;
    const [row] = statements.all(sql`SELECT key, hash FROM audit WHERE key < ${end} ORDER BY key DESC LIMIT 1`);
    const [key, hash] = row ?? [];
    return Buffer.isBuffer(hash)
      ? [{ chain, sequence: Number(key) - chain * CHAIN_SPAN, hash: hash.toString('hex') }]
      : [];
  });
}

/** Walks every chain from its start, 1,000 rows at a time. Rows cut off at the end leave no trace here, but for heads that were told elsewhere. */
export function verifyChain(statements: Statements, anchors = new Anchors([])): AuditVerdict {
  let rows = 0;
  for (const chain of chainsOf(statements)) {
    const verdict = verifyOne(statements, chain, anchors);
    rows += verdict.rows;
    if (verdict.broken !== undefined) return { rows, broken: verdict.broken };
  }
  return { rows, broken: anchors.missing() };
}

function verifyOne(statements: Statements, chain: number, anchors: Anchors): AuditVerdict {
  const end = (chain + 1) * CHAIN_SPAN;
  let previous: Buffer = CHAIN_START;
  let rows = 0;
  for (;;) {
    const after = chain * CHAIN_SPAN + rows;
    const batch = statements.all(
      sql`SELECT key, at, form, hash, bytes FROM audit WHERE key > ${after} AND key < ${end} ORDER BY key LIMIT 1000`,
    );
    for (const row of batch) {
      const held = rowHolds(row, chain, rows + 1, previous);
      if (held === undefined || !anchors.agrees(chain, rows + 1, held.toString('hex')))
        return { rows, broken: rows + 1 };
      previous = held;
      rows++;
    }
    if (batch.length < 1000) return { rows, broken: undefined };
  }
}
