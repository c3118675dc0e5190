/** The audit log of the embedded database as it is moved: facets, subject keys, and rows with their postings. */
import type { IndexEntry } from '../fhir/search/algebra.ts';
import type { AuditFacet } from './port.ts';
import { HAS } from './sqlite-audit.ts';
import { HOME } from './sqlite-audit-home.ts';
import { KIND, wireEntry } from './sqlite-message.ts';
import type { PendingRows } from './sqlite-rows.ts';
import { type Bound, FACETS, TYPE_SPAN } from './sqlite-schema.ts';
import { type Statements, sql } from './sqlite-sql.ts';
import type { Write } from './sqlite-transfer.ts';
import type { MovedAudit, MovedEvent, MovedSubject, Part } from './transfer.ts';

/** Postings of subjects and entities by row; they lie by value otherwise. Only while the store is moved. */
const BY_ROW = 'audit_index_by_row';

function entryOf(statements: Statements, [parameter, kind, a, b, c, group]: readonly Bound[]): IndexEntry {
  const name = (table: 'parameter' | 'system' | 'unit', id: Bound | undefined) =>
    statements.text({ text: `SELECT name FROM ${table} WHERE id=?`, values: [id ?? null] }) ?? '';
  const shared = { parameter: name('parameter', parameter), group: Number(group) };
  switch (kind) {
    case KIND.token:
      return { kind: 'token', ...shared, system: name('system', c), code: String(a) };
    case KIND.string:
      return { kind: 'string', ...shared, folded: String(a), exact: String(b) };
    case KIND.reference:
      return { kind: 'reference', ...shared, target: String(a), version: String(b) };
    case KIND.date:
      return { kind: 'date', ...shared, low: Number(a), high: Number(b) };
    case KIND.quantity:
      return { kind: 'quantity', ...shared, unit: name('unit', c), low: Number(a), high: Number(b) };
    case KIND.uri:
      return { kind: 'uri', ...shared, value: String(a) };
    default:
      throw new TypeError(`Unknown entry kind ${String(kind)}.`);
  }
}

export function facetPart(statements: Statements, pending: PendingRows, write: Write): Part<AuditFacet, string> {
  const rid = (id: number): number => FACETS * TYPE_SPAN + id;
  return {
    page: async (after = '', count) =>
      statements
        .all(sql`SELECT id, key FROM facet WHERE key > ${after} ORDER BY key LIMIT ${count}`)
        .map(([id, key]) => ({
          key: String(key),
          entries: statements
            .all(sql`SELECT parameter, kind, a, b, c, grp FROM entry WHERE rid=${rid(Number(id))}`)
            .map((row) => entryOf(statements, row)),
        })),
    last: async () => statements.text(sql`SELECT max(key) FROM facet`),
    count: async () => statements.number(sql`SELECT count(*) FROM facet`) ?? 0,
    restore: async (rows) =>
      write(() => {
        for (const { key, entries } of rows) {
          const id = statements.run('INSERT INTO facet(key) VALUES(?)', [key]);
          pending.insert(rid(id), pending.numbered(entries.map(wireEntry)).values());
        }
      }),
  };
}

export function subjectPart(statements: Statements, write: Write): Part<MovedSubject, string> {
  return {
    page: async (after = '', count) =>
      statements
        .all(
          sql`SELECT key, patient FROM subject WHERE key > ${after} AND patient IS NOT NULL ORDER BY key LIMIT ${count}`,
        )
        .map(([key, patient]) => ({ key: String(key), patient: String(patient) })),
    last: async () => statements.text(sql`SELECT max(key) FROM subject WHERE patient IS NOT NULL`),
    count: async () => statements.number(sql`SELECT count(*) FROM subject WHERE patient IS NOT NULL`) ?? 0,
    restore: async (rows) =>
      write(() => {
        for (const { key, patient } of rows)
          statements.run('INSERT INTO subject(key, patient) VALUES(?,?)', [key, patient]);
      }),
  };
}

export class SqliteAudit implements Part<MovedAudit, number> {
  readonly #statements: Statements;
  readonly #pending: PendingRows;
  readonly #write: Write;
  #isReadable = false;

  constructor(statements: Statements, pending: PendingRows, write: Write) {
    this.#statements = statements;
    this.#pending = pending;
    this.#write = write;
  }

  async page(after = 0, count: number): Promise<readonly MovedAudit[]> {
    if (!this.#isReadable) {
      this.#statements.connection.exec(
        `CREATE INDEX IF NOT EXISTS ${BY_ROW} ON audit_index(key, event, home, value) WHERE home>=${HOME.subject}`,
      );
    }
    this.#isReadable = true;
    return this.#statements
      .all(sql`SELECT key, at, form, hash, bytes, erasable FROM audit WHERE key > ${after} ORDER BY key LIMIT ${count}`)
      .map(([key, at, form, hash, bytes, erasable]) => ({
        place: Number(key),
        at: Number(at),
        form: Number(form),
        bytes: String(bytes),
        erasable: typeof erasable === 'string' ? erasable : null,
        hash: Buffer.isBuffer(hash) ? hash.toString('hex') : '',
        events: this.#events(Number(key)),
      }));
  }

  #events(key: number): readonly MovedEvent[] {
    const posted = this.#statements.all(
      sql`SELECT i.event, i.home, i.value, s.key FROM audit_index i LEFT JOIN subject s ON i.home=3 AND s.id=i.value
          WHERE i.home>=3 AND i.key=${key}`,
    );
    return this.#statements
      .all(
        sql`SELECT e.event, k.key, a.key FROM audit_event e JOIN facet k ON k.id=e.kind JOIN facet a ON a.id=e.agents
            WHERE e.key=${key} ORDER BY e.event`,
      )
      .map(([event, kind, agents]) => {
        const own = posted.filter((row) => row[0] === event);
        const subjects = own.filter((row) => row[1] === HOME.subject).map((row) => String(row[3]));
        const entities = own.filter((row) => row[1] === HOME.entity).map((row) => String(row[2]));
        return { kind: String(kind), agents: String(agents), subjects: subjects.sort(), entities: entities.sort() };
      });
  }

  async last(): Promise<number | undefined> {
    return this.#statements.number(sql`SELECT max(key) FROM audit`);
  }

  async count(): Promise<number> {
    return this.#statements.number(sql`SELECT count(*) FROM audit`) ?? 0;
  }

  async restore(rows: readonly MovedAudit[]): Promise<void> {
    this.#write(() => {
      for (const row of rows) this.#restore(row);
    });
  }

  #restore({ place, at, form, bytes, erasable, hash, events }: MovedAudit): void {
    const stored = Buffer.from(hash, 'hex');
    this.#statements.run('INSERT INTO audit VALUES(?,?,?,?,?,?,?)', [
      ...[place, at, form, events.length],
      ...[stored, bytes, erasable],
    ]);
    for (const [index, { kind, agents, subjects, entities }] of events.entries()) {
      const event = index + 1;
      const has = (subjects.length > 0 ? HAS.subject : 0) | (entities.length > 0 ? HAS.entity : 0);
      const [kindId, agentsId] = [this.#facet(kind), this.#facet(agents)];
      const post = (home: number, value: string | number) =>
        this.#pending.add('audit_index', [home, value, place, event]);
      this.#pending.add('audit_event', [place, event, kindId, agentsId, has]);
      post(HOME.kind, kindId);
      post(HOME.agents, agentsId);
      for (const subject of subjects) post(HOME.subject, this.#subject(subject));
      for (const entity of entities) post(HOME.entity, entity);
    }
  }

  #facet(key: string): number {
    const id = this.#statements.number(sql`SELECT id FROM facet WHERE key=${key}`);
    if (id === undefined) throw new TypeError('An audit row names a facet that was not moved.');
    return id;
  }

  /** A key without a mapping is of somebody who was forgotten. */
  #subject(key: string): number {
    const found = this.#statements.number(sql`SELECT id FROM subject WHERE key=${key}`);
    return found ?? this.#statements.run('INSERT INTO subject(key, patient) VALUES(?,NULL)', [key]);
  }

  close(): void {
    this.#statements.connection.exec(`DROP INDEX IF EXISTS ${BY_ROW}`);
  }
}
