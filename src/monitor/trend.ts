/** A value against the patient's own last hours. */
import type { MonitorRule } from './rule.ts';

type Values = readonly (readonly [at: number, value: number])[];

const HOUR_MS = 3_600_000;
/** Most values kept; older ones are thinned out evenly, the newest stay. */
const MOST = 96;

/** The values of the window with the newest added. */
export function withNewest(recent: Values, at: number, value: number, hours: number): Values {
  const kept = recent.filter(([when]) => when > at - hours * HOUR_MS);
  const some = kept.length < MOST ? kept : kept.filter((_each, index) => index % 2 === 1 || index > MOST / 2);
  return [...some, [at, value]];
}

/** A sentence for the note; undefined when there is nothing to compare with. */
export function trendText(recent: Values, at: number, value: number, { trend }: MonitorRule): string | undefined {
  if (trend === undefined) return undefined;
  const { output, hours } = trend;
  const before = recent.filter(([when]) => when > at - hours * HOUR_MS).map(([, each]) => each);
  if (before.length === 0) return `Trend: no earlier ${output} of this patient in the last ${hours} h.`;
  const sorted = before.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? 0;
  const median = (low + (sorted[Math.floor(middle)] ?? low)) / 2;
  const change = value - median;
  return (
    `Trend: ${output} ${change > 0 ? '+' : ''}${change} against the patient's own median of the last ${hours} h ` +
    `(${median}; lowest ${sorted[0]}, highest ${sorted.at(-1)}, ${before.length} scorings).`
  );
}
