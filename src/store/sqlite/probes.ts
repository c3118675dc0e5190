/** What probes of index ranges have found lately: the same codes and periods are asked again and again. */

/** Oldest answer, ms. Selectivity changes slowly; a wrong guess costs time, never a result. */
const OLDEST_MS = 2000;
const MOST = 1000;

interface Probe {
  /** Exact when it is at most `limit`; otherwise there are more than `limit`. */
  readonly rows: number;
  readonly limit: number;
  readonly at: number;
}

export class Probes {
  readonly #found = new Map<string, Probe>();
  readonly #now: () => number;

  /** @param now a clock that never goes back, ms */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Rows counted up to `limit` + 1; undefined when it is not known. */
  get(key: string, limit: number): number | undefined {
    const probe = this.#found.get(key);
    if (probe === undefined || this.#now() - probe.at > OLDEST_MS) return undefined;
    if (probe.rows <= probe.limit) return Math.min(probe.rows, limit + 1);
    return limit <= probe.limit ? limit + 1 : undefined;
  }

  set(key: string, limit: number, rows: number): void {
    this.#found.delete(key);
    if (this.#found.size >= MOST) {
      for (const oldest of this.#found.keys()) {
        this.#found.delete(oldest);
        break;
      }
    }
    this.#found.set(key, { rows, limit, at: this.#now() });
  }
}
