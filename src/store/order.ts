/** How both engines order what they merge themselves. One rule, so that pages are alike whatever holds the data. */
import type { SortKey } from '../fhir/search/algebra.ts';

/** What is compared: values of the sort, and the place that ties are broken by. */
export interface Placed {
  readonly keys: readonly unknown[];
  readonly place: number;
}

/** Missing last in either direction, text by its UTF-8 bytes (as SQLite compares it), ties by place, in the direction of the first sort. */
export function compareOrdered(a: Placed, b: Placed, sort: readonly SortKey[]): number {
  for (const [index, { descending }] of sort.entries()) {
    const [left = null, right = null] = [a.keys[index], b.keys[index]];
    if (left === right) continue;
    if (left === null || right === null) return left === null ? 1 : -1;
    const order =
      typeof left === 'number' && typeof right === 'number'
        ? left - right
        : Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right)));
    if (order !== 0) return descending ? -order : order;
  }
  return sort[0]?.descending ? b.place - a.place : a.place - b.place;
}
