/** Index entries as the members of a resource's search document. The texts of `k` are `<parameter> <what> <value>`; filter.ts asks for them. */
import type { IndexEntry } from '../../fhir/search/algebra.ts';
import type { DateRow, Indexed, QuantityRow, ResourceDoc } from './layout.ts';

/** Systems hold no space: where one ends the code begins. */
export function systemText(system: string): string {
  return system.replaceAll('%', '%25').replaceAll(' ', '%20');
}

/** What a text of `k` says: s system and code, c code, r reference, v reference with version, f folded, x exact, u URI, h has the parameter. */
export type Key = 's' | 'c' | 'r' | 'v' | 'f' | 'x' | 'u' | 'h';
export const keyed = (parameter: string, key: Key, value = ''): string => `${parameter} ${key} ${value}`;

/** JSON cursors have no infinities; the largest doubles stand in. */
const finite = (value: number): number => Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);

/** Parameter under which the dates of a resource lie that has several of it: two bounds may then be met by two rows. */
export const severalDates = (parameter: string): string => `${parameter} *`;

function keysOf(entry: IndexEntry): readonly string[] {
  const { parameter } = entry;
  switch (entry.kind) {
    case 'token':
      return [keyed(parameter, 's', `${systemText(entry.system)} ${entry.code}`), keyed(parameter, 'c', entry.code)];
    case 'string':
      return [keyed(parameter, 'f', entry.folded), keyed(parameter, 'x', entry.exact)];
    case 'reference':
      return [
        keyed(parameter, 'r', entry.target),
        ...(entry.version === '' ? [] : [keyed(parameter, 'v', `${entry.version} ${entry.target}`)]),
      ];
    case 'uri':
      return [keyed(parameter, 'u', entry.value)];
    default:
      return [];
  }
}

function indexed(entries: readonly IndexEntry[], further: readonly string[]): Indexed {
  const dates = entries.filter((entry) => entry.kind === 'date');
  const quantities = entries.filter((entry) => entry.kind === 'quantity');
  const distinct = new Set(dates.map(({ parameter, low, high }) => `${parameter} ${low} ${high}`));
  const several = new Set(
    [...Map.groupBy(distinct, (text) => text.slice(0, text.indexOf(' ')))]
      .filter(([, rows]) => rows.length > 1)
      .map(([name]) => name),
  );
  return {
    k: [...new Set([...entries.flatMap(keysOf), ...further])],
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

/** Members of the search document that follow from the entries. */
export function searchMembers(entries: readonly IndexEntry[]): SearchMembers {
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
    ...words(narrative).flatMap((word) => [`n ${word}`, `c ${word}`]),
    ...words(content).map((word) => `c ${word}`),
  ]);
  return {
    ...indexed(entries, [...has]),
    ...(all.size === 0 ? {} : { w: [...all] }),
    ...(narrative === undefined ? {} : { n: ` ${narrative} ` }),
    ...(content === undefined ? {} : { c: ` ${content} ` }),
    ...(groups.size === 0 ? {} : { g: [...groups.values()].map((rows) => indexed(rows, [])) }),
  };
}
