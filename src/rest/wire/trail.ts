/**
 * Where a page of a search starts and where those before it started, in one cursor: the way back by `previous` (search.html#paging) costs no
 * search. The engine's cursors only go forward, so a page that is far from the first forgets the farthest.
 */

/** Starts of pages, as the engine's cursors; null = the first page. */
export interface Trail {
  readonly after: string | null;
  /** Nearest first. Empty for the first page, and where it is forgotten. */
  readonly before: readonly (string | null)[];
}

export const FIRST: Trail = { after: null, before: [] };

/** Characters of a trail: its sealed form stays below what a cursor may have, and a URL far below what servers take. */
const MOST = 1200;

/** The trail of the page that starts at `next`. */
export function onward({ after, before }: Trail, next: string): Trail {
  const kept = [after, ...before];
  while (kept.length > 0 && trailText({ after: next, before: kept }).length > MOST) kept.pop();
  return { after: next, before: kept };
}

/** The trail of the page before; undefined when there is none, or it is forgotten. */
export function backward({ before }: Trail): Trail | undefined {
  const [after, ...rest] = before;
  return after === undefined ? undefined : { after, before: rest };
}

export function trailText({ after, before }: Trail): string {
  return JSON.stringify([after, ...before]);
}

/** Of a text that `trailText` made: cursors are sealed, so nobody else makes one. */
export function trailOf(text: string): Trail {
  const [after = null, ...before]: (string | null)[] = JSON.parse(text);
  return { after, before };
}
