/** Heads of audit chains that were told elsewhere, and the comparison of a log with them: what shows a tail that was cut off, or a log made anew. */
import type { AuditHead } from './engine.ts';

const keyOf = (chain: number, sequence: number): string => `${chain}-${sequence}`;

/** Is told of each row of a walk, in any order of chains. */
export class Anchors {
  readonly #waiting = new Map<string, Set<string>>();

  constructor(heads: readonly AuditHead[]) {
    for (const { chain, sequence, hash } of heads) {
      const said = this.#waiting.get(keyOf(chain, sequence)) ?? new Set();
      this.#waiting.set(keyOf(chain, sequence), said.add(hash));
    }
  }

  /** @returns whether the row is the one that was told of, or was not told of */
  agrees(chain: number, sequence: number, hash: string): boolean {
    if (this.#waiting.size === 0) return true;
    const said = this.#waiting.get(keyOf(chain, sequence));
    this.#waiting.delete(keyOf(chain, sequence));
    return said === undefined || (said.size === 1 && said.has(hash));
  }

  /** Sequence of a row that was told of and was not met; undefined: there is none. */
  missing(): number | undefined {
    const sequences = [...this.#waiting.keys()].map((key) => Number(key.slice(key.indexOf('-') + 1)));
    return sequences.length === 0 ? undefined : Math.min(...sequences);
  }
}
