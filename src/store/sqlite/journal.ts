/**
 * What changes in the embedded database while a server writes it, told to the process that moves it: by triggers of the file itself, so that the
 * server need know nothing of it, and a change is told if and only if it is committed. The same triggers shut the source: what they refuse is
 * refused to every writer, whichever process and thread it is.
 */

import { type Changed, type Journal, PARTS, SHUT_MS } from '../transfer.ts';
import { raw, type Statements, sql } from './sql.ts';
import { NEW_POSTINGS } from './transfer-postings.ts';

/** Name in `meta` of the instant, ms, until which commits are refused. */
export const SHUT = 'shut';
/** It is after every instant. */
const EVER = Number.MAX_SAFE_INTEGER;
const NOW = "unixepoch('subsec')*1000";

type Event = 'INSERT' | 'DELETE' | `UPDATE OF ${string}`;
type Told = readonly [part: (typeof PARTS)[number], event: Event, table: string, place: string, when?: string];

/** What is told: a place may be told more often than it changes, never less. Superseded versions become history as they are. */
const TOLD: readonly Told[] = [
  ['version', 'INSERT', 'resource', 'NEW.seq'],
  ['version', 'UPDATE OF seq, patients', 'resource', 'NEW.seq'],
  ['version', 'DELETE', 'resource', 'OLD.seq'],
  ['version', 'DELETE', 'history', 'OLD.seq'],
  ['audit', 'INSERT', 'audit', 'NEW.key'],
  ['audit', 'UPDATE OF erasable', 'audit', 'NEW.key'],
  ['facet', 'INSERT', 'facet', 'NEW.key'],
  // Entries that an erasure removes: facets are of type 0.
  ['facet', 'DELETE', 'entry', '(SELECT key FROM facet WHERE id=OLD.rid)', 'OLD.rid < 1099511627776'],
  ['subject', 'INSERT', 'subject', 'NEW.key'],
  ['subject', 'UPDATE OF patient', 'subject', 'NEW.key'],
  ['kept', 'INSERT', 'kept', 'NEW.key'],
  ['keyed', 'INSERT', 'keyed', "NEW.space||' '||NEW.key"],
  ['keyed', 'DELETE', 'keyed', "OLD.space||' '||OLD.key"],
];

const nameOf = ([part, event, table]: Told): string =>
  `moving_${part}_${table}_${event.split(' ')[0]?.toLowerCase() ?? ''}`;

const trigger = (told: Told): string => {
  const [part, event, table, place, when] = told;
  return `CREATE TRIGGER ${nameOf(told)} AFTER ${event} ON ${table} ${when === undefined ? '' : `WHEN ${when}`} BEGIN
    SELECT RAISE(ABORT, 'The store is shut.') WHERE (SELECT value FROM meta WHERE name='${SHUT}') > ${NOW};
    INSERT INTO moving(part, place) VALUES(${PARTS.indexOf(part)}, ${place});
  END`;
};

const POSTED = 'moving_posted';
const BEGIN = `
CREATE TABLE moving(id INTEGER PRIMARY KEY AUTOINCREMENT, part INTEGER NOT NULL, place NOT NULL);
CREATE TABLE ${NEW_POSTINGS}(key INTEGER, event INTEGER, home INTEGER, value,
  PRIMARY KEY(key, event, home, value)) WITHOUT ROWID;
CREATE TRIGGER ${POSTED} AFTER INSERT ON audit_index WHEN NEW.home>=3 BEGIN
  INSERT OR IGNORE INTO ${NEW_POSTINGS} VALUES(NEW.key, NEW.event, NEW.home, NEW.value);
END;
${TOLD.map(trigger).join(';\n')};
`;
const END = `
${[POSTED, ...TOLD.map(nameOf)].map((name) => `DROP TRIGGER IF EXISTS ${name}`).join(';\n')};
DROP TABLE IF EXISTS moving; DROP TABLE IF EXISTS ${NEW_POSTINGS};
DELETE FROM meta WHERE name='${SHUT}';
`;

/** @throws Error of SQLite when the file is busy for longer than the connection waits */
export function sqliteJournal(statements: Statements): Journal {
  const { connection } = statements;
  const alone = <T>(work: () => T): T => {
    connection.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      connection.exec('COMMIT');
      return result;
    } catch (error) {
      if (connection.inTransaction) connection.exec('ROLLBACK');
      throw error;
    }
  };
  const isThere = () => statements.get(sql`SELECT 1 FROM sqlite_schema WHERE name='moving'`) !== undefined;
  const last = () => statements.number(sql`SELECT max(id) FROM moving`) ?? 0;
  const shutUntil = (instant: string) =>
    connection.exec(
      `INSERT OR REPLACE INTO meta SELECT '${SHUT}', ${instant}
       WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name='${SHUT}' AND value=${EVER})`,
    );
  return {
    begin: async () =>
      alone(() => {
        if (!isThere()) connection.exec(BEGIN);
        return String(last());
      }),
    changes: async (after, count) => {
      const rows = statements.all(
        sql`SELECT id, part, place FROM moving WHERE id > ${Number(after)} ORDER BY id LIMIT ${count}`,
      );
      const changed = rows.flatMap(([, part, place]): readonly Changed[] => {
        const name = PARTS[Number(part)];
        return name === undefined || (typeof place !== 'string' && typeof place !== 'number')
          ? []
          : [{ part: name, place }];
      });
      return { changed, position: String(rows.at(-1)?.[0] ?? after), more: rows.length === count };
    },
    // Whoever commits is done before, or begins after and is refused.
    shut: async () => alone(() => void shutUntil(`${NOW}+${SHUT_MS}`)),
    reopen: async () => alone(() => void statements.run('DELETE FROM meta WHERE name=? AND value<>?', [SHUT, EVER])),
    leave: async (position) =>
      alone(() => {
        if (last() > Number(position)) return false;
        shutUntil(String(EVER));
        return true;
      }),
    abandon: async () => alone(() => void connection.exec(END)),
  };
}

/** Whether commits are refused: for a while, or for ever because the store was moved. */
export function isShut(statements: Statements): 'now' | 'for ever' | undefined {
  const until = statements.number(sql`SELECT value FROM meta WHERE name=${SHUT} AND value > ${raw(NOW)}`);
  if (until === undefined) return undefined;
  return until === EVER ? 'for ever' : 'now';
}
