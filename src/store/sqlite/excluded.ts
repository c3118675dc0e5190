/** What a search excludes, cut to what is held: labels that restrict are excluded from every search of who may not see them, and few stores hold any. */
import type { Predicate } from '../../fhir/search/algebra.ts';
import { or } from '../../fhir/search/simplify.ts';
import type { Leaves } from './leaf.ts';

/** The same without codes that no resource can have. Codes of several parameters are left as they are. */
export function occurring(excluded: Predicate, leaves: Leaves): Predicate {
  const all = excluded.kind === 'or' ? excluded.of : [excluded];
  const [first] = all;
  if (first?.kind !== 'token') return excluded;
  const codes = all.flatMap((each) =>
    each.kind === 'token' && each.parameter === first.parameter && each.code !== undefined ? [each.code] : [],
  );
  if (codes.length < all.length) return excluded;
  const held = leaves.occurring(first.parameter, codes);
  return or(all.filter((_each, index) => held.includes(codes[index] ?? '')));
}
