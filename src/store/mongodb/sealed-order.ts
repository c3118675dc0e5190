/** Order of matches by texts that the database does not read: all of them pass here, and the best are kept. docs/decisions/0058. */
import type { Document } from 'mongodb';
import type { IndexEntry, SortKey } from '../../fhir/search/algebra.ts';
import type { CursorValue } from '../cursor.ts';
import { compareOrdered, type Placed } from '../order.ts';

/** A sort by texts goes over so many matches at most. */
export const MOST_SORTED = 20_000;
/** Documents of a batch: what lies between two turns of the loop. */
export const BATCH = 200;

function textOf(entry: IndexEntry): string | undefined {
  switch (entry.kind) {
    case 'token':
      return entry.code;
    case 'string':
      return entry.folded;
    case 'reference':
      return entry.target;
    case 'uri':
      return entry.value;
    default:
      return undefined;
  }
}

/** Lowest value when ascending, highest when descending, by UTF-8 bytes; null when there is none. */
export function bestText(entries: readonly IndexEntry[], { parameter, indexed, descending }: SortKey): CursorValue {
  let best: string | undefined;
  for (const entry of entries) {
    if (entry.kind !== indexed || entry.parameter !== parameter) continue;
    const text = textOf(entry);
    if (text === undefined || text === best) continue;
    const order = best === undefined ? 0 : Buffer.compare(Buffer.from(text), Buffer.from(best));
    if (best === undefined || (descending ? order > 0 : order < 0)) best = text;
  }
  return best ?? null;
}

/** The first `limit` of what it is given, in order, behind a place. */
export class Best<T extends Placed> {
  readonly #sort: readonly SortKey[];
  readonly #limit: number;
  readonly #after: Placed | undefined;
  readonly kept: T[] = [];

  constructor(sort: readonly SortKey[], limit: number, after: readonly CursorValue[] | undefined) {
    this.#sort = sort;
    this.#limit = limit;
    this.#after = after && { keys: after.slice(0, -1), place: Number(after.at(-1)) };
  }

  take(each: T): void {
    if (this.#after !== undefined && compareOrdered(each, this.#after, this.#sort) <= 0) return;
    const last = this.kept.at(-1);
    if (last !== undefined && this.kept.length >= this.#limit && compareOrdered(each, last, this.#sort) >= 0) return;
    let [low, high] = [0, this.kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.kept[middle];
      if (there !== undefined && compareOrdered(each, there, this.#sort) > 0) low = middle + 1;
      else high = middle;
    }
    this.kept.splice(low, 0, each);
    if (this.kept.length > this.#limit) this.kept.pop();
  }
}

/** The stages that give every match with the values that the database can tell. */
export function unorderedPipeline(filter: Document, values: Document): Document[] {
  return [{ $match: filter }, { $limit: MOST_SORTED + 1 }, { $project: { _id: 1, r: 1, s: 1, v: 1, e: 1, ...values } }];
}
