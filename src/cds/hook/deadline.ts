/** Waiting with an end. The only timer of the CDS code; what it interrupts goes on unobserved, its late answer is dropped. */

/**
 * The value of `work`, or `otherwise` when `ms` pass first or the work fails. Never rejects.
 * @param ms 0 or less: answers `otherwise` unless the work is already done
 */
export function within<T, U>(work: Promise<T>, ms: number, otherwise: U): Promise<T | U> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(otherwise), Math.max(0, ms));
    const settle = (value: T | U) => {
      clearTimeout(timer);
      resolve(value);
    };
    work.then(settle, () => settle(otherwise));
  });
}

/** Lets whatever else waits on this thread go first. */
export function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
