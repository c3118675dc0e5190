/** A facet's search document back to its entries: the inverse of `searchMembers` for the kinds that AuditEvents have. */
import type { IndexEntry } from '../../fhir/search/algebra.ts';
import { folded, foldedJoined } from '../../fhir/search/value.ts';
import type { Fields } from './fields.ts';
import { entriesAt } from './judged.ts';
import { type DateRow, type FacetDoc, placeOf, type QuantityRow } from './layout.ts';

const system = (text: string): string => text.replaceAll('%20', ' ').replaceAll('%25', '%');

/** `<parameter> <what> <value>` */
function parsed(text: string): readonly [parameter: string, what: string, value: string] {
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  return [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}

type Parsed = ReturnType<typeof parsed>;

/** A text may be found folded in two ways; each was written beside the text it was made of. */
function stringsOf(keys: readonly Parsed[]): readonly IndexEntry[] {
  return [...Map.groupBy(keys, ([parameter]) => parameter)].flatMap(([parameter, own]) => {
    const of = (wanted: string) => own.filter(([, what]) => what === wanted).map(([, , value]) => value);
    const [forms, texts] = [of('f'), of('x')];
    const pairs = forms.flatMap((form) =>
      texts
        .filter((text) => folded(text) === form || foldedJoined(text) === form)
        .map((exact) => ({ folded: form, exact })),
    );
    // What was folded by rules of before: in the order of writing.
    const lostForms = forms.filter((form) => !pairs.some((pair) => pair.folded === form));
    const lostTexts = texts.filter((text) => !pairs.some(({ exact }) => exact === text));
    const lost = Array.from({ length: Math.max(lostForms.length, lostTexts.length) }, (_, index) => ({
      folded: lostForms[index] ?? forms[0] ?? '',
      exact: lostTexts[index] ?? texts[0] ?? '',
    }));
    return [...pairs, ...lost].map((pair) => ({ kind: 'string', parameter, ...pair, group: 0 }) as const);
  });
}

/** Words are left out: AuditEvents are not searched by them. */
export function entriesOfFacet({ _id, k = [], d = [], q = [], e }: FacetDoc, fields: Fields): readonly IndexEntry[] {
  const readable = [...datesOf(d), ...quantitiesOf(q)];
  if (fields.isSealed) return [...entriesAt(fields, placeOf.facet(_id), e), ...readable];
  const keys = k.map(parsed);
  const group = 0;
  const versioned = new Map(
    keys
      .filter(([, what]) => what === 'v')
      .map(([parameter, , value]) => [`${parameter} ${value.slice(value.indexOf(' ') + 1)}`, value]),
  );
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
      case 'u':
        return [{ kind: 'uri', ...shared, value }];
      default:
        return [];
    }
  });
  return [...entries, ...stringsOf(keys), ...readable];
}

const datesOf = (rows: readonly DateRow[]): readonly IndexEntry[] =>
  rows.map(({ p, l, h }) => ({ kind: 'date', parameter: parsed(`${p}  `)[0], low: l, high: h, group: 0 }));
const quantitiesOf = (rows: readonly QuantityRow[]): readonly IndexEntry[] =>
  rows.map(({ p, u, l, h }) => ({ kind: 'quantity', parameter: p, unit: u, low: l, high: h, group: 0 }));
