/** The audit log of the embedded database as it is moved: facets, subject keys, and rows with their postings. */
import type { IndexEntry } from '../../fhir/search/algebra.ts';
import type { AuditFacet } from '../port.ts';
import type { MovedAudit, MovedEvent, MovedSubject, Part } from '../transfer.ts';
import { HAS } from './audit.ts';
import { HOME } from './audit-home.ts';
import { KIND, wireEntry } from './message.ts';
import type { PendingRows } from './rows.ts';
import { type Bound, FACETS, TYPE_SPAN } from './schema.ts';
import { type Row, type Sql, type Statements, sql } from './sql.ts';
import type { Write } from './transfer-plain.ts';
import type { Postings } from './transfer-postings.ts';
import type { Reading } from './transfer-versions.ts';

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

const rid = (id: number): number => FACETS * TYPE_SPAN + id;

export function facetPart(
  statements: Statements,
  pending: PendingRows,
  { reading, write }: { readonly reading: Reading; readonly write: Write },
): Part<AuditFacet, string> {
  const read = ([id, key]: Row): AuditFacet => ({
    key: String(key),
    entries: statements
      .all(sql`SELECT parameter, kind, a, b, c, grp FROM entry WHERE rid=${rid(Number(id))}`)
      .map((row) => entryOf(statements, row)),
  });
  const replace = ({ key, entries }: AuditFacet): void => {
    const found = statements.number(sql`SELECT id FROM facet WHERE key=${key}`);
    const id = found ?? statements.run('INSERT INTO facet(key) VALUES(?)', [key]);
    pending.replace(rid(id), pending.numbered(entries.map(wireEntry)));
  };
  return {
    page: async (after = '', count) =>
      reading(() =>
        statements.all(sql`SELECT id, key FROM facet WHERE key > ${after} ORDER BY key LIMIT ${count}`).map(read),
      ),
    at: async (places) => {
      const wanted = JSON.stringify(places);
      const named = sql`SELECT id, key FROM facet WHERE key IN (SELECT value FROM json_each(${wanted})) ORDER BY key`;
      return reading(() => statements.all(named).map(read));
    },
    last: async () => statements.text(sql`SELECT max(key) FROM facet`),
    count: async () => statements.number(sql`SELECT count(*) FROM facet`) ?? 0,
    restore: async (rows) => write(() => rows.forEach(replace)),
    // No facet is ever removed.
    replace: async (_places, rows) => write(() => rows.forEach(replace)),
  };
}

export function subjectPart(statements: Statements, write: Write): Part<MovedSubject, string> {
  const read = ([key, patient]: Row): MovedSubject => ({ key: String(key), patient: String(patient) });
  const insert = ({ key, patient }: MovedSubject): void => {
    statements.run(
      'INSERT INTO subject(key, patient) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET patient=excluded.patient',
      [key, patient],
    );
  };
  return {
    page: async (after = '', count) =>
      statements
        .all(
          sql`SELECT key, patient FROM subject WHERE key > ${after} AND patient IS NOT NULL ORDER BY key LIMIT ${count}`,
        )
        .map(read),
    at: async (places) =>
      statements
        .all(
          sql`SELECT key, patient FROM subject WHERE patient IS NOT NULL
              AND key IN (SELECT value FROM json_each(${JSON.stringify(places)})) ORDER BY key`,
        )
        .map(read),
    last: async () => statements.text(sql`SELECT max(key) FROM subject WHERE patient IS NOT NULL`),
    count: async () => statements.number(sql`SELECT count(*) FROM subject WHERE patient IS NOT NULL`) ?? 0,
    restore: async (rows) => write(() => rows.forEach(insert)),
    replace: async (places, rows) =>
      write(() => {
        // Rows of the log go on naming the key.
        for (const place of places) statements.run('UPDATE subject SET patient=NULL WHERE key=?', [place]);
        rows.forEach(insert);
      }),
  };
}

export interface AuditParts {
  readonly statements: Statements;
  readonly pending: PendingRows;
  readonly reading: Reading;
  readonly write: Write;
  readonly postings: Postings;
}

export class SqliteAudit implements Part<MovedAudit, number> {
  readonly #parts: AuditParts;
  readonly #statements: Statements;
  readonly #pending: PendingRows;

  constructor(parts: AuditParts) {
    this.#parts = parts;
    this.#statements = parts.statements;
    this.#pending = parts.pending;
  }

  async page(after = 0, count: number): Promise<readonly MovedAudit[]> {
    return this.#read(sql`key > ${after} ORDER BY key LIMIT ${count}`);
  }

  async at(places: readonly number[]): Promise<readonly MovedAudit[]> {
    return this.#read(sql`key IN (SELECT value FROM json_each(${JSON.stringify(places)})) ORDER BY key`);
  }

  async #read(which: Sql): Promise<readonly MovedAudit[]> {
    await this.#parts.postings.ready();
    return this.#parts.reading(() =>
      this.#statements
        .all(sql`SELECT key, at, form, hash, bytes, erasable FROM audit WHERE ${which}`)
        .map(([key, at, form, hash, bytes, erasable]) => ({
          place: Number(key),
          at: Number(at),
          form: Number(form),
          bytes: String(bytes),
          erasable: typeof erasable === 'string' ? erasable : null,
          hash: Buffer.isBuffer(hash) ? hash.toString('hex') : '',
          events: this.#events(Number(key)),
        })),
    );
  }

  #events(key: number): readonly MovedEvent[] {
    const posted = this.#parts.postings.of(key);
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
    this.#parts.write(() => {
      for (const row of rows) this.#restore(row);
    });
  }

  /** No row is ever removed; of one that is held only what is erasable can have changed. */
  async replace(_places: readonly number[], rows: readonly MovedAudit[]): Promise<void> {
    this.#parts.write(() => {
      for (const row of rows) {
        if (this.#statements.get(sql`SELECT 1 FROM audit WHERE key=${row.place}`) === undefined) this.#restore(row);
        else this.#statements.run('UPDATE audit SET erasable=? WHERE key=?', [row.erasable, row.place]);
      }
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

  /** One that is not held comes later, with its entries. */
  #facet(key: string): number {
    const id = this.#statements.number(sql`SELECT id FROM facet WHERE key=${key}`);
    return id ?? this.#statements.run('INSERT INTO facet(key) VALUES(?)', [key]);
  }

  /** A key without a mapping is of somebody who was forgotten. */
  #subject(key: string): number {
    const found = this.#statements.number(sql`SELECT id FROM subject WHERE key=${key}`);
    return found ?? this.#statements.run('INSERT INTO subject(key, patient) VALUES(?,NULL)', [key]);
  }
}
