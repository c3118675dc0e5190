/**
 * Removal for good, on the writer: versions with their index rows and words, and persons from the audit log, whose chain stays whole.
 * Pages that are freed meanwhile are overwritten (secure_delete); what was freed before, and the log, are docs/privacy.md#limits.
 */
import { FORGOTTEN } from '../port.ts';
import { HOME } from './audit-home.ts';
import type { Entry, PendingRows } from './rows.ts';
import { FACETS, TYPE_SPAN } from './schema.ts';
import { raw, type Sql, type Statements, sql } from './sql.ts';
import { aboutAny, PURGED } from './versions.ts';

/** Parameter of the facets that name users by reference. */
const AGENT = 'AuditEvent.agent';

export class Purger {
  readonly #statements: Statements;
  readonly #pending: PendingRows;
  #forgotten: ReadonlySet<string> = new Set();
  #isSecure = false;

  constructor(statements: Statements, pending: PendingRows) {
    this.#statements = statements;
    this.#pending = pending;
  }

  /** Who is forgotten, as the file says; also after a rollback. */
  resume(): void {
    const rows = this.#statements.all(sql`SELECT key FROM keyed WHERE space=${FORGOTTEN}`);
    this.#forgotten = new Set(rows.map(([key]) => String(key)));
    this.done();
  }

  /** After the commit: pages are freed as fast as before. */
  done(): void {
    if (this.#isSecure) this.#statements.connection.pragma('secure_delete=OFF');
    this.#isSecure = false;
  }

  /** @param patients ids joined by spaces. Costs nothing while nobody is forgotten. */
  isForgotten(patients: string): boolean {
    return this.#forgotten.size > 0 && patients.split(' ').some((patient) => this.#forgotten.has(patient));
  }

  /** Whether a version about one of them is held above a sequence. Visits the versions above it. */
  isAbout(patients: readonly string[], through: number): boolean {
    const named = aboutAny(patients);
    const some = (table: string) =>
      this.#statements.get(sql`SELECT 1 FROM ${raw(table)} WHERE seq>${through} AND ${named} LIMIT 1`) !== undefined;
    return some('resource') || some('history');
  }

  /** @param rid of the current row; negative for a deletion. Nothing may be pending. `newest`: the last sequence given out */
  purge(rid: number, versions: readonly number[] | null, newest: number): void {
    this.#secure();
    const own = Math.abs(rid);
    if (versions !== null) {
      for (const version of versions) {
        this.#notAbout(sql`history WHERE rid=${own} AND version=${version}`);
        this.#statements.run('DELETE FROM history WHERE rid=? AND version=?', [own, version]);
      }
      return;
    }
    const codes = this.#statements.all(sql`SELECT parameter, a, c FROM entry WHERE rid=${own} AND kind=0`);
    this.#pending.replace(own, new Map());
    this.#pending.words(own, [], true);
    this.#notAbout(sql`history WHERE rid=${own}`);
    this.#notAbout(sql`resource WHERE rid=${rid}`);
    this.#statements.run('DELETE FROM history WHERE rid=?', [own]);
    this.#statements.run('DELETE FROM resource WHERE rid=?', [rid]);
    for (const [parameter, code, system] of codes) this.#dropCode(Number(parameter), String(code), Number(system));
    this.#statements.run('INSERT OR REPLACE INTO meta VALUES(?,?)', [PURGED, newest]);
  }

  #notAbout(versions: Sql): void {
    for (const [patients, at, sequence, type] of this.#statements.all(
      sql`SELECT patients, at, seq, type FROM ${versions}`,
    )) {
      this.#pending.notAbout(String(patients), Number(at), Number(sequence), Number(type));
    }
  }

  /** An identifier that nothing else has leaves the list of known codes too. */
  #dropCode(parameter: number, code: string, system: number): void {
    const held = sql`SELECT 1 FROM token WHERE parameter=${parameter} AND system=${system} AND code=${code} LIMIT 1`;
    if (this.#statements.get(held) !== undefined) return;
    this.#statements.run('DELETE FROM code_system WHERE parameter=? AND code=? AND system=?', [
      parameter,
      code,
      system,
    ]);
  }

  /** Nothing may be pending. */
  forget(patients: readonly string[], value: string): void {
    this.#secure();
    for (const patient of patients) {
      this.#statements.run('INSERT OR REPLACE INTO keyed VALUES(?,?,?,NULL)', [FORGOTTEN, patient, value]);
      for (const [subject = 0] of this.#statements.all(sql`SELECT id FROM subject WHERE patient=${patient}`)) {
        this.#statements.run('UPDATE subject SET patient=NULL WHERE id=?', [subject]);
        this.#statements.run(
          'UPDATE audit SET erasable=NULL WHERE key IN (SELECT key FROM audit_index WHERE home=? AND value=?)',
          [HOME.subject, subject],
        );
      }
      this.#anonymise(`Patient/${patient}`);
    }
    this.#forgotten = new Set([...this.#forgotten, ...patients]);
  }

  /** The facets of agents that name a user lose that, and the ids of the user's tokens (the only URIs of agents). */
  #anonymise(user: string): void {
    const end = (FACETS + 1) * TYPE_SPAN;
    const facets = this.#statements.all(
      sql`SELECT DISTINCT rid FROM reference WHERE parameter=(SELECT id FROM parameter WHERE name=${AGENT})
          AND target=${user} AND rid>=${FACETS * TYPE_SPAN} AND rid<${end}`,
    );
    for (const [rid] of facets) {
      const rows = this.#statements.all(
        sql`SELECT parameter, kind, a, b, c, grp FROM entry WHERE rid=${Number(rid)} AND a<>${user} AND kind<>5`,
      );
      const left = rows.map((row) => row as unknown as Entry);
      this.#pending.replace(Number(rid), new Map(left.map((entry) => [JSON.stringify(entry), entry])));
    }
  }

  #secure(): void {
    if (!this.#isSecure) this.#statements.connection.pragma('secure_delete=ON');
    this.#isSecure = true;
  }
}
