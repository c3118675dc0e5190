/** Versions of the embedded database as they are moved. */
import type { ResourceKey } from '../../fhir/resource.ts';
import type { IndexOf } from '../engine.ts';
import type { MovedVersion, Part } from '../transfer.ts';
import type { MintingDictionary } from './dictionary.ts';
import { KIND, wireEntry } from './message.ts';
import type { PendingRows } from './rows.ts';
import { TYPE_SPAN } from './schema.ts';
import { raw, type Sql, type Statements, sql } from './sql.ts';
import type { Write } from './transfer-plain.ts';
import { Versions } from './versions.ts';

/** What reads several rows as of one moment, also while others write. */
export type Reading = <T>(work: () => T) => T;

export interface VersionParts {
  readonly statements: Statements;
  readonly dictionary: MintingDictionary;
  readonly pending: PendingRows;
  readonly reading: Reading;
  readonly write: Write;
  /** Index rows that `replace` writes; undefined: none. */
  readonly indexOf: IndexOf | undefined;
}

export class SqliteVersions implements Part<MovedVersion, number> {
  readonly #parts: VersionParts;
  readonly #statements: Statements;
  readonly #dictionary: MintingDictionary;
  readonly #versions: Versions;

  constructor(parts: VersionParts) {
    this.#parts = parts;
    this.#statements = parts.statements;
    this.#dictionary = parts.dictionary;
    this.#versions = new Versions(parts.statements, parts.dictionary);
  }

  async page(after = 0, count: number): Promise<readonly MovedVersion[]> {
    return this.#parts.reading(() =>
      this.#versions.changes(after, count).map((version) => ({ ...version, rank: this.#rank(version.key) })),
    );
  }

  async at(places: readonly number[]): Promise<readonly MovedVersion[]> {
    return this.#parts.reading(() =>
      this.#versions.bySequence(places).map((version) => ({ ...version, rank: this.#rank(version.key) })),
    );
  }

  #rank({ type, id }: ResourceKey): number {
    const number = this.#dictionary.number('type', type);
    const rid = this.#statements.number(sql`SELECT rid FROM resource WHERE type=${number} AND id=${id}`) ?? 0;
    return Math.abs(rid) - number * TYPE_SPAN;
  }

  async last(): Promise<number | undefined> {
    const of = (table: string) => this.#statements.number(sql`SELECT max(seq) FROM ${raw(table)}`) ?? 0;
    return Math.max(of('resource'), of('history')) || undefined;
  }

  async count(): Promise<number> {
    const of = (table: string) => this.#statements.number(sql`SELECT count(*) FROM ${raw(table)}`) ?? 0;
    return of('resource') + of('history');
  }

  latest(): number {
    return this.#versions.latestSequence();
  }

  async restore(rows: readonly MovedVersion[]): Promise<void> {
    this.#parts.write(() => {
      for (const row of rows) this.#restore(row, undefined);
    });
  }

  async replace(places: readonly number[], rows: readonly MovedVersion[]): Promise<void> {
    const { write, pending, indexOf } = this.#parts;
    const held = new Set(rows.map(({ sequence }) => sequence));
    write(() => {
      for (const place of places) this.#remove(place, held.has(place));
      for (const row of rows) {
        this.#restore(row, indexOf);
        // The next version may be of the same resource.
        pending.flush();
      }
    });
  }

  /** @param isBack it is written again at once: what it is found by is compared then */
  #remove(sequence: number, isBack: boolean): void {
    for (const { patients, at, key } of this.#versions.bySequence([sequence])) {
      const type = this.#dictionary.number('type', key.type);
      this.#parts.pending.notAbout(patients.join(' '), at, sequence, type);
    }
    this.#statements.run('DELETE FROM history WHERE seq=?', [sequence]);
    const rid = this.#statements.number(sql`SELECT rid FROM resource WHERE seq=${sequence}`);
    if (rid === undefined) return;
    this.#statements.run('DELETE FROM resource WHERE rid=?', [rid]);
    if (!isBack) this.#unindexed(Math.abs(rid));
  }

  #unindexed(rid: number): void {
    const { pending, indexOf } = this.#parts;
    if (indexOf === undefined) return;
    const codes = this.#statements.all(sql`SELECT parameter, a, c FROM entry WHERE rid=${rid} AND kind=${KIND.token}`);
    pending.replace(rid, new Map());
    pending.words(rid, [], true);
    // As a purge does: an identifier that nothing else has leaves the list of known codes.
    for (const [parameter = 0, code = '', system = 0] of codes) {
      const held = sql`SELECT 1 FROM token WHERE parameter=${parameter} AND system=${system} AND code=${code} LIMIT 1`;
      if (this.#statements.get(held) !== undefined) continue;
      const cells = [parameter, code, system];
      this.#statements.run('DELETE FROM code_system WHERE parameter=? AND code=? AND system=?', cells);
    }
    this.#dictionary.forget();
  }

  /** What has the place of a row that comes: the source has purged it since. */
  #evict(held: Sql): void {
    for (const [sequence] of this.#statements.all(held)) this.#remove(Number(sequence), false);
  }

  /** The newest version is the resource, others are history. Who else holds the place was purged at the source. */
  #restore(row: MovedVersion, indexOf: IndexOf | undefined): void {
    const { key, version, sequence, at, method, deleted, text, patients, rank } = row;
    const type = this.#dictionary.mint('type', key.type);
    const place = type * TYPE_SPAN + rank;
    const columns = 'seq, abs(rid), type, id, version, at, method, patients, text';
    for (const patient of new Set(patients)) {
      this.#statements.run('INSERT OR IGNORE INTO about VALUES(?,?,?,?)', [patient, at, sequence, type]);
    }
    this.#evict(
      sql`SELECT seq FROM resource WHERE rid IN (${place},${-place}) AND NOT (type=${type} AND id=${key.id})`,
    );
    const held = this.#statements.get(sql`SELECT rid, seq, version FROM resource WHERE type=${type} AND id=${key.id}`);
    if (held !== undefined && Number(held[1]) > sequence) {
      this.#evict(sql`SELECT seq FROM history WHERE rid=${place} AND version=${version} AND seq<>${sequence}`);
      const cells = [sequence, place, type, key.id, version, at, method, patients.join(' '), text ?? null];
      this.#statements.run('INSERT INTO history VALUES(?,?,?,?,?,?,?,?,?)', cells);
      return;
    }
    if (held !== undefined) {
      const [rid = 0, seq = 0, old = 0] = held;
      const own = Math.abs(Number(rid));
      this.#evict(sql`SELECT seq FROM history WHERE rid=${own} AND version=${old} AND seq<>${seq}`);
      this.#statements.run(`INSERT INTO history SELECT ${columns} FROM resource WHERE rid=?`, [rid]);
      this.#statements.run('DELETE FROM resource WHERE rid=?', [rid]);
    }
    const shape = this.#indexed(row, place, type, indexOf);
    const shared = [deleted ? -place : place, type, key.id, version, sequence, at, method];
    this.#statements.run('INSERT INTO resource VALUES(?,?,?,?,?,?,?,?,?,?)', [
      ...[...shared, shape],
      patients.join(' '),
      text ?? null,
    ]);
  }

  /** @returns its shape; null without index rows */
  #indexed({ text }: MovedVersion, place: number, type: number, indexOf: IndexOf | undefined): number | null {
    if (indexOf === undefined) return null;
    if (text === undefined) {
      this.#unindexed(place);
      return null;
    }
    const { pending } = this.#parts;
    const wire = indexOf(text).entries.map(wireEntry);
    const entries = pending.numbered(wire);
    pending.replace(place, entries);
    pending.words(place, wire, true);
    return this.#dictionary.shape(type, new Set([...entries.values()].map(([parameter]) => parameter)));
  }
}
