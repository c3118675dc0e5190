/**
 * One page over several types. A cursor is a place in the common order (sort values, then rid), so each type goes on from it by itself
 * and the pages are merged. The plans sort by the same kinds of values.
 */
import type { SearchPlan } from '../../fhir/search/algebra.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { compareOrdered } from '../order.ts';
import type { Page } from '../port.ts';
import type { Planner } from './plan.ts';
import type { Match, Matches, Ordered } from './search.ts';

export function mergedPage(
  plans: readonly SearchPlan[],
  page: Page,
  planner: Planner,
  ordered: (order: Ordered) => readonly Match[],
): Matches {
  const [first] = plans;
  if (first === undefined) return { rids: [], next: undefined };
  const { sort, principal } = first;
  const keys = sort.map(({ indexed, descending }) => [indexed, descending]);
  const bound = JSON.stringify([plans.map(({ type }) => type), keys, principal]);
  const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, sort.length + 1);
  const limit = page.count + 1;
  const descending = sort[0]?.descending ?? false;
  const found: Match[] = [];
  for (const plan of plans.toSorted((a, b) => planner.typeNumber(a.type) - planner.typeNumber(b.type))) {
    const [, end] = planner.range(plan.type);
    // Without a sort the order is the types' own: what lies before the cursor, or behind a full page, is not looked at.
    if (sort.length === 0 && (found.length >= limit || Number(after?.[0] ?? 0) >= end)) continue;
    const wanted = sort.length === 0 ? limit - found.length : limit;
    found.push(...ordered({ ...plan, descending, after, limit: wanted }));
  }
  const matches = found
    .sort((a, b) => compareOrdered({ keys: a.keys, place: a.rid }, { keys: b.keys, place: b.rid }, sort))
    .slice(0, page.count);
  const last = matches.at(-1);
  const next = found.length > page.count && last ? encodeCursor(bound, [...last.keys, last.rid]) : undefined;
  return { rids: matches.map(({ rid }) => rid), next };
}
