/** Full text as SQL: one FTS5 table without content, its rowid the resource's rid. Source: sqlite.org/fts5.html. */
import type { ParameterKey, Predicate } from '../../fhir/search/algebra.ts';
import { type Sql, sql } from './sql.ts';

type Words = Extract<Predicate, { kind: 'text' }>;

/** Column that the words of a parameter stand in. */
export function columnOf(parameter: ParameterKey): 'narrative' | 'content' {
  return parameter.endsWith('._text') ? 'narrative' : 'content';
}

/**
 * The phrase in the grammar of FTS5. Words hold letters and digits only and are quoted, so nothing of a query is ever syntax.
 * @throws TypeError on a word that holds anything else
 */
function phrase({ parameter, words }: Words): string {
  if (words.length === 0 || !words.every((word) => /^[\p{L}\p{N}]+$/u.test(word))) {
    throw new TypeError('A word of a full-text query is not folded.');
  }
  const column = columnOf(parameter) === 'narrative' ? '{narrative} : ' : '';
  return `${column}"${words.join(' ')}"`;
}

/** `SELECT rid` of the type's resources that hold the words, in rid order; at most one row each. */
export function textSeek(where: Words, [low, high]: readonly [number, number]): Sql {
  return sql`SELECT rowid AS rid FROM fulltext WHERE fulltext MATCH ${phrase(where)} AND rowid > ${low} AND rowid < ${high} AND tick()`;
}

/** Whether a known resource holds them. */
export function textHolds(where: Words, rid: Sql): Sql {
  return sql`EXISTS(SELECT 1 FROM fulltext WHERE fulltext MATCH ${phrase(where)} AND rowid=${rid})`;
}
