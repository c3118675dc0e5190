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
