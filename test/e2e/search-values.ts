/** Index rows -> query strings that must find their resource again: the inverse of extraction, for tests. */
import type { SearchParameter } from '../../src/fhir/definitions/definitions.ts';
import { DAWN, DUSK, type IndexEntry } from '../../src/fhir/search/algebra.ts';
import { folded } from '../../src/fhir/search/value.ts';

const escaped = (text: string): string => text.replace(/[\\,$|]/g, '\\$&');
const instant = (ms: number): string => new Date(ms).toISOString();

/** Years that a FHIR date can write. */
const FIRST = Date.UTC(1, 0, 1);
const LAST = Date.UTC(9998, 0, 1);

type Query = readonly [modifier: string, value: string];

/** Every row in at most two queries; none for rows that only other rows of the resource explain (canonical units). */
function queriesOf(row: IndexEntry): readonly Query[] {
  switch (row.kind) {
    case 'token': {
      if (row.code === '') return [['', `${escaped(row.system)}|`]];
      const bare: Query = ['', escaped(row.code)];
      return [bare, ['', `${escaped(row.system)}|${escaped(row.code)}`]];
    }
    case 'string': {
      const whole: Query = [':exact', escaped(row.exact)];
      return folded(row.exact) === ''
        ? [whole]
        : ([['', escaped(row.exact)], whole, [':contains', escaped(row.exact.slice(1) || row.exact)]].filter(
            ([, value = '']) => folded(value) !== '',
          ) as Query[]);
    }
    case 'reference':
      return [
        ['', escaped(row.target) + (row.version === '' ? '' : `|${escaped(row.version)}`)],
        ['', escaped(row.target)],
      ];
    case 'date': {
      const from: Query[] = row.low === DAWN || row.low < FIRST ? [] : [['', `ge${instant(row.low)}`]];
      const to: Query[] = row.high === DUSK || row.high > LAST ? [] : [['', `le${instant(row.high - 1)}`]];
      return [...from, ...to];
    }
    case 'quantity': {
      if (row.unit.startsWith('canonical|')) return [];
      const unit = row.unit === '' ? '' : `|${row.unit.split('|').map(escaped).join('|')}`;
      if (row.low === row.high)
        return [
          ['', `${row.low}${unit}`],
          ['', `ge${row.low}`],
          ['', `ap${row.low}${unit}`],
        ];
      return row.low === -Number.MAX_VALUE ? [['', `le${row.high}${unit}`]] : [['', `ge${row.low}${unit}`]];
    }
    case 'uri':
      return [['', escaped(row.value)]];
    case 'text':
      return [];
    default:
      return row satisfies never;
  }
}

/** `name[:modifier]=value`, encoded, for the first rows a resource has of the parameter; empty when it has none. */
export function searchValues(parameter: SearchParameter, type: string, rows: readonly IndexEntry[]): readonly string[] {
  const { code, components } = parameter;
  const encoded = ([modifier, value]: Query): string => `${code}${modifier}=${encodeURIComponent(value)}`;
  if (components.length === 0) {
    return rows
      .filter((row) => row.parameter === `${type}.${code}`)
      .slice(0, 2)
      .flatMap(queriesOf)
      .map(encoded);
  }
  const groups = Map.groupBy(
    rows.filter((row) => row.parameter.startsWith(`${type}.${code}$`)),
    ({ group }) => group,
  );
  const [group = []] = groups.values();
  const values = components.map((_, index) =>
    group
      .filter((row) => row.parameter === `${type}.${code}$${index + 1}`)
      .flatMap(queriesOf)
      .find(([modifier]) => modifier === ''),
  );
  if (group.length === 0) return [];
  return values.every((each) => each !== undefined) ? [encoded(['', values.map((each) => each?.[1]).join('$')])] : [];
}
