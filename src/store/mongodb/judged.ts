/**
 * What a database that reads no texts cannot be asked: parts of strings, phrases, long prefixes. Its index gives candidates, and their entries, opened here, are judged.
 * docs/decisions/0058.
 */
import type { IndexEntry, Predicate } from '../../fhir/search/algebra.ts';
import { type Fields, type Place, SealError, type Stored } from './fields.ts';
import type { Filter } from './leaf.ts';
import { keyed, PREFIX_MOST, prefixTerm, wordTerm } from './members.ts';

/** True for a leaf or a composite that no filter decides. */
export function isJudged(where: Predicate): boolean {
  switch (where.kind) {
    case 'string':
      if (where.match === 'prefix') return [...where.value].length > PREFIX_MOST;
      return (where.match === 'contains' || where.match === 'suffix') && where.value !== '';
    case 'text':
      return where.words.length > 1;
    case 'composite':
      return where.components.some(needsJudging);
    default:
      return false;
  }
}

/** True when some part of it is judged. */
export function needsJudging(where: Predicate): boolean {
  if (where.kind === 'and' || where.kind === 'or') return where.of.some(needsJudging);
  return where.kind === 'not' ? needsJudging(where.of) : isJudged(where);
}

/** Holds of every resource that satisfies what is judged, and of as few others as the index can tell. */
export function candidatesOf(where: Predicate, fields: Fields): Filter {
  switch (where.kind) {
    case 'string': {
      const { parameter, match, value } = where;
      if (match !== 'prefix') return { k: keyed(parameter, 'h') };
      return { k: prefixTerm(fields, parameter, [...value].slice(0, PREFIX_MOST).join('')) };
    }
    case 'text': {
      const of = where.parameter.endsWith('._text') ? 'n' : 'c';
      return { w: { $all: [...new Set(where.words)].map((word) => wordTerm(fields, of, word)) } };
    }
    case 'composite': {
      const [first] = where.components;
      return first !== undefined && 'parameter' in first ? { k: keyed(first.parameter, 'h') } : {};
    }
    default:
      throw new TypeError(`A ${where.kind} is not judged.`);
  }
}

/** What a document was indexed by, but for dates and quantities outside of composites. @throws SealError */
export function entriesAt(fields: Fields, place: Place, sealed: Stored | undefined): readonly IndexEntry[] {
  if (sealed === undefined) throw new SealError(place);
  const entries: readonly IndexEntry[] = JSON.parse(fields.open(place, sealed));
  return entries;
}
