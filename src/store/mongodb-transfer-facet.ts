/** A facet's search document back to its entries: the inverse of `searchMembers` for the kinds that AuditEvents have. */
import type { IndexEntry } from '../fhir/search/algebra.ts';
import { folded } from '../fhir/search/value.ts';
import type { FacetDoc } from './mongodb-layout.ts';

const system = (text: string): string => text.replaceAll('%20', ' ').replaceAll('%25', '%');

/** `<parameter> <what> <value>` */
function parsed(text: string): readonly [parameter: string, what: string, value: string] {
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  return [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}

/** Words are left out: AuditEvents are not searched by them. */
export function entriesOfFacet({ k = [], d = [], q = [] }: FacetDoc): readonly IndexEntry[] {
  const keys = k.map(parsed);
  const held = new Set(k);
  const group = 0;
  const versioned = new Map(
    keys
      .filter(([, what]) => what === 'v')
      .map(([parameter, , value]) => [`${parameter} ${value.slice(value.indexOf(' ') + 1)}`, value]),
  );
  let latest = '';
  const entries = keys.flatMap(([parameter, what, value]): readonly IndexEntry[] => {
    const shared = { parameter, group };
    const space = value.indexOf(' ');
    switch (what) {
      case 's':
        return [{ kind: 'token', ...shared, system: system(value.slice(0, space)), code: value.slice(space + 1) }];
      case 'r': {
        const found = versioned.get(`${parameter} ${value}`) ?? ' ';
        return [{ kind: 'reference', ...shared, target: value, version: found.slice(0, found.indexOf(' ')) }];
      }
      case 'f':
        latest = value;
        return [];
      case 'x': {
        const own = folded(value);
        return [{ kind: 'string', ...shared, folded: held.has(`${parameter} f ${own}`) ? own : latest, exact: value }];
      }
      case 'u':
        return [{ kind: 'uri', ...shared, value }];
      default:
        return [];
    }
  });
  const dates = d.map(
    ({ p, l, h }): IndexEntry => ({ kind: 'date', parameter: parsed(`${p}  `)[0], low: l, high: h, group }),
  );
  const quantities = q.map(
    ({ p, u, l, h }): IndexEntry => ({ kind: 'quantity', parameter: p, unit: u, low: l, high: h, group }),
  );
  return [...entries, ...dates, ...quantities];
}
