/** Index entries as the members of a resource's search document. The texts of `k` are `<parameter> <what> <value>`; filter.ts asks for them. */
import type { IndexEntry } from '../../fhir/search/algebra.ts';
import { CLEAR, type Fields, type Place } from './fields.ts';
import type { DateRow, Indexed, QuantityRow, ResourceDoc } from './layout.ts';

/** Systems hold no space: where one ends the code begins. */
export function systemText(system: string): string {
  return system.replaceAll('%', '%25').replaceAll(' ', '%20');
}

/** What a text of `k` says: s system and code, c code, r reference, v reference with version, f folded, x exact, u URI, h has the parameter. */
export type Key = 's' | 'c' | 'r' | 'v' | 'f' | 'x' | 'u' | 'h';
export const keyed = (parameter: string, key: Key, value = ''): string => `${parameter} ${key} ${value}`;

/** A text of `k` that is asked by equality. */
export const term = (fields: Fields, parameter: string, key: Key, value: string): string =>
  keyed(parameter, key, fields.hidden(`${parameter} ${key}`, value));
/** System and code; without a code what all of the system begin with. */
export function systemTerm(fields: Fields, parameter: string, system: string, code?: string): string {
  const scope = `${parameter} s`;
  const start = keyed(parameter, 's', `${fields.hidden(scope, systemText(system))} `);
  return code === undefined
    ? start
    : start + (fields.isSealed ? fields.hidden(`${scope} ${systemText(system)}`, code) : code);
}
export const wordTerm = (fields: Fields, of: 'n' | 'c', word: string): string => `${of} ${fields.hidden(of, word)}`;
/** Only of what is sealed: texts that can be read are asked by range. Without the parameter's name, by which the members would tell how long a text is. */
export const prefixTerm = (fields: Fields, parameter: string, prefix: string): string =>
  `p ${fields.hidden(`${parameter} p`, prefix)}`;
export const belowTerm = (fields: Fields, parameter: string, start: string): string =>
  `b ${fields.hidden(`${parameter} b`, start)}`;
/** Characters of a prefix that is asked by a hash; of a longer one, the rest is judged. */
export const PREFIX_MOST = 24;

function prefixTerms(fields: Fields, parameter: string, folded: string): readonly string[] {
  if (!fields.isSealed) return [];
  const points = [...folded].slice(0, PREFIX_MOST);
  return points.map((_point, index) => prefixTerm(fields, parameter, points.slice(0, index + 1).join('')));
}

function belowTerms(fields: Fields, parameter: string, uri: string): readonly string[] {
  if (!fields.isSealed) return [];
  const ends = [...uri.matchAll(/\//g)].map(({ index }) => index + 1);
  return ends.map((end) => belowTerm(fields, parameter, uri.slice(0, end)));
}

/** JSON cursors have no infinities; the largest doubles stand in. */
const finite = (value: number): number => Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);

/** Parameter under which the dates of a resource lie that has several of it: two bounds may then be met by two rows. */
export const severalDates = (parameter: string): string => `${parameter} *`;

function keysOf(entry: IndexEntry, fields: Fields): readonly string[] {
  const { parameter } = entry;
  const of = (key: Key, value: string): string => term(fields, parameter, key, value);
  switch (entry.kind) {
    case 'token':
      return [systemTerm(fields, parameter, entry.system, entry.code), of('c', entry.code)];
    case 'string':
      return [of('f', entry.folded), of('x', entry.exact), ...prefixTerms(fields, parameter, entry.folded)];
    case 'reference':
      return [of('r', entry.target), ...(entry.version === '' ? [] : [of('v', `${entry.version} ${entry.target}`)])];
    case 'uri':
      return [of('u', entry.value), ...belowTerms(fields, parameter, entry.value)];
    default:
      return [];
  }
}

function indexed(entries: readonly IndexEntry[], further: readonly string[], fields: Fields): Indexed {
  const dates = entries.filter((entry) => entry.kind === 'date');
  const quantities = entries.filter((entry) => entry.kind === 'quantity');
  const distinct = new Set(dates.map(({ parameter, low, high }) => `${parameter} ${low} ${high}`));
  const several = new Set(
    [...Map.groupBy(distinct, (text) => text.slice(0, text.indexOf(' ')))]
      .filter(([, rows]) => rows.length > 1)
      .map(([name]) => name),
  );
  return {
    k: [...new Set([...entries.flatMap((entry) => keysOf(entry, fields)), ...further])],
    d: dates.map(({ parameter, low, high }): DateRow => {
      const p = several.has(parameter) ? severalDates(parameter) : parameter;
      return { p, l: finite(low), h: finite(high) };
    }),
    q: quantities.map(({ parameter, unit, low, high }): QuantityRow => {
      return { p: parameter, u: unit, c: unit.startsWith('canonical|') ? 1 : 0, l: finite(low), h: finite(high) };
    }),
  };
}

export type SearchMembers = Omit<ResourceDoc, '_id' | 'r' | 'v' | 's' | 'at'>;

/** Dates and quantities are members that can be read, but for what group they are of. */
const isKept = ({ kind, group }: IndexEntry): boolean => group > 0 || (kind !== 'date' && kind !== 'quantity');

/** Members of the search document that follow from the entries. @param place of the document, for what is sealed */
export function searchMembers(
  entries: readonly IndexEntry[],
  fields: Fields = CLEAR,
  place: Place = ['none'],
): SearchMembers {
  const has = new Set(entries.map(({ parameter }) => keyed(parameter, 'h')));
  const groups = Map.groupBy(
    entries.filter(({ group }) => group > 0),
    ({ group }) => group,
  );
  const texts = entries.filter((entry) => entry.kind === 'text');
  const narrative = texts.find(({ parameter }) => parameter.endsWith('._text'))?.text;
  const content = texts.find(({ parameter }) => !parameter.endsWith('._text'))?.text;
  const words = (text: string | undefined) => (text === undefined ? [] : text.split(' '));
  const all = new Set([
    ...words(narrative).flatMap((word) => [wordTerm(fields, 'n', word), wordTerm(fields, 'c', word)]),
    ...words(content).map((word) => wordTerm(fields, 'c', word)),
  ]);
  return {
    ...indexed(entries, [...has], fields),
    ...(fields.isSealed ? { e: fields.seal(place, JSON.stringify(entries.filter(isKept))) } : {}),
    ...(all.size === 0 ? {} : { w: [...all] }),
    ...(fields.isSealed || narrative === undefined ? {} : { n: ` ${narrative} ` }),
    ...(fields.isSealed || content === undefined ? {} : { c: ` ${content} ` }),
    ...(groups.size === 0 ? {} : { g: [...groups.values()].map((rows) => indexed(rows, [], fields)) }),
  };
}
