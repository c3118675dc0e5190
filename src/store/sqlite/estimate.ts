/** A total for bounded work: counted where an index range bounds it, else sampled. Source: search.html#total. */
import type { SearchPlan } from '../../fhir/search/algebra.ts';
import type { Planner } from './plan.ts';
import { raw, sql } from './sql.ts';

/** Resources a sample holds. */
const SAMPLE = 1000;

/** How many match; not `exact`: estimated. */
export interface Total {
  readonly count: number;
  readonly exact: boolean;
}

/** Of the newest SAMPLE resources of the type the share that matches, times their number; exact when at most `collect` candidates are. */
export function estimate({ where, type }: SearchPlan, planner: Planner, collect: number): Total {
  const { statements } = planner;
  const driven = planner.drive(where, type, collect);
  if (driven !== undefined) {
    const rids = planner.exact(driven, type);
    return { count: statements.number(sql`SELECT count(DISTINCT rid) FROM (${rids})`) ?? 0, exact: true };
  }
  const [low, high] = planner.range(type);
  const newest = sql`SELECT rid FROM resource WHERE rid > ${low} AND rid < ${high} ORDER BY rid DESC LIMIT ${SAMPLE}`;
  const holds = planner.condition(where, type, { rid: raw('b.rid') });
  const totals = sql`SELECT count(*), min(b.rid), max(b.rid), sum(CASE WHEN ${holds} THEN 1 ELSE 0 END) FROM (${newest}) b`;
  const [seen, lowest, highest, found] = (statements.get(totals) ?? []).map(Number);
  if (seen === undefined || lowest === undefined || highest === undefined || found === undefined || seen < SAMPLE) {
    return { count: found ?? 0, exact: true };
  }
  // Deleted resources leave gaps: the density of the sample stands for the whole range.
  const all = ((highest - low) * seen) / (highest - lowest + 1);
  return { count: Math.round((all * found) / seen), exact: false };
}
