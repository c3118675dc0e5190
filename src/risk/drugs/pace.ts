/** Work in steps: run to its end at once, or with pauses that let the event loop breathe, and until a deadline. docs/decisions/0035-hazards-and-quiet.md. */

/** Work that stops after each step and asks whether to go on; `false`: what is left is left out, and said. */
export type Steps<T> = Generator<undefined, T, boolean>;

/** How long steps may take together, and what lets others run in between. */
export interface Pace {
  /** ms since 1970. */
  now(): number;
  /** No step begins after this instant, ms since 1970. */
  readonly until: number;
  /** Resolves when whatever waits for the event loop has had its turn. */
  pause(): Promise<void>;
}

/** Longest work without a pause, ms; one step may overrun it. */
const SLICE_MS = 4;
/** Elements of a list that one step handles: microseconds each. */
const AT_ONCE = 200;

export function runAtOnce<T>(steps: Steps<T>): T {
  let step = steps.next(true);
  while (step.done !== true) step = steps.next(true);
  return step.value;
}

export async function runPaced<T>(steps: Steps<T>, { now, until, pause }: Pace): Promise<T> {
  let sliceEnds = now() + SLICE_MS;
  let step = steps.next(true);
  while (step.done !== true) {
    if (now() >= sliceEnds) {
      await pause();
      sliceEnds = now() + SLICE_MS;
    }
    step = steps.next(now() <= until);
  }
  return step.value;
}

/** Looks at each element in turn. It has no end before the last: what was found is never told in part. */
export function* eachOf<T>(items: readonly T[], look: (item: T, index: number) => void): Steps<void> {
  for (const [index, item] of items.entries()) {
    look(item, index);
    if (index % AT_ONCE === AT_ONCE - 1) yield;
  }
}

/** As `toSorted`: short pieces are sorted, then merged two by two. */
export function* sorted<T>(items: readonly T[], compare: (one: T, other: T) => number): Steps<readonly T[]> {
  let runs: (readonly T[])[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    runs.push(items.slice(from, from + AT_ONCE).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const longer: (readonly T[])[] = [];
    for (let at = 0; at < runs.length; at += 2) longer.push(yield* merged(runs[at] ?? [], runs[at + 1] ?? [], compare));
    runs = longer;
  }
  return runs[0] ?? [];
}

/** Of equals the one of the first list comes first. */
function* merged<T>(
  first: readonly T[],
  second: readonly T[],
  compare: (one: T, other: T) => number,
): Steps<readonly T[]> {
  const rest = second.values();
  const all: T[] = [];
  let next = rest.next();
  for (const one of first) {
    while (next.done !== true && compare(one, next.value) > 0) {
      all.push(next.value);
      next = rest.next();
      if (all.length % AT_ONCE === 0) yield;
    }
    all.push(one);
    if (all.length % AT_ONCE === 0) yield;
  }
  // What is left of the second list follows as it is.
  for (; next.done !== true; next = rest.next()) all.push(next.value);
  return all;
}
