/**
 * Whose turn it is to take the head when several processes write: a line that whoever was refused stands in, and that whoever met nobody looks at now
 * and then. It is an order of trying only, so that attempts are not thrown away and everybody gets a share. The head decides (commit.ts): who is
 * passed over, forgotten, or wrong about its turn loses time, nothing else. Reasons and measurements: docs/decisions/0057.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as rest } from 'node:timers/promises';
import type { Collections } from './layout.ts';

/** How often one that has met nobody looks whether others wait, ms. */
const LOOK_MS = 50;
/** How long the first of the line may stay first before who waits goes past it: it was killed, or takes long. ms */
const STUCK_MS = 2000;
/** How long is waited for a turn at most, ms; then one tries without it. */
const MOST_MS = 10_000;
/** Between two looks the second rests a quarter of what a turn seems to take, those behind it a turn more for each place. At least and at most, ms. */
const PART = 0.25;
const SHORTEST_REST_MS = 2;
const LONGEST_REST_MS = 250;
/** Longest time of one question, ms. */
const ASK_MS = 1000;

const LINE = { _id: 'line' } as const;
/** Nothing depends on what is said here: it need not outlast a primary. */
const LIGHT = { writeConcern: { w: 1 }, readConcern: { level: 'local' }, maxTimeMS: ASK_MS } as const;

/** The place of one committer, whose groups follow each other. */
export class Turn {
  readonly #meta: Collections['meta'];
  readonly #id = randomBytes(8).toString('hex');
  #isIn = false;
  /** Somebody else waited, or had the head. */
  #isMet = false;
  #looked = Number.NEGATIVE_INFINITY;
  /** What a turn takes, as last seen, ms. */
  #turnMs = 0;
  #leaving: Promise<void> = Promise.resolve();
  #looking: Promise<void> = Promise.resolve();

  constructor({ meta }: Pick<Collections, 'meta'>) {
    this.#meta = meta;
  }

  /** Before the head is tried. Resolves at once where nobody else writes. */
  async comes(): Promise<void> {
    await this.#leaving;
    if (!this.#isMet && performance.now() - this.#looked > LOOK_MS) this.#look();
    if (this.#isMet) await this.#stand();
  }

  /** Somebody else had the head: behind those who wait already. Who has its turn tries again. */
  async lost(): Promise<void> {
    if (!this.#isIn) await this.#stand();
  }

  /** The next may try. Nobody waits for this but the next group of this committer. */
  leave(): void {
    if (!this.#isIn) return;
    this.#isIn = false;
    this.#leaving = this.#without(this.#id).then((line) => {
      this.#isMet = line.length > 0;
      this.#looked = performance.now();
    });
  }

  async close(): Promise<void> {
    this.leave();
    await Promise.all([this.#leaving, this.#looking]);
  }

  async #stand(): Promise<void> {
    await this.#leaving;
    this.#isIn = true;
    const began = performance.now();
    let line = await this.#changed({ $addToSet: { q: this.#id } });
    const joined = line.indexOf(this.#id);
    for (let [first, since] = [line[0], began]; ; line = await this.#line()) {
      const place = line.indexOf(this.#id);
      const now = performance.now();
      // Not in it: somebody went past this one, or it cannot be asked.
      if (place <= 0 || now - began > MOST_MS) return;
      if (line[0] !== first) [first, since] = [line[0], now];
      if (first !== undefined && now - since > STUCK_MS) {
        await this.#without(first);
        return;
      }
      const passed = joined - place;
      if (passed > 0) this.#turnMs = (now - began) / passed;
      const turnMs = passed > 0 ? this.#turnMs : Math.max(this.#turnMs, now - began);
      await rest(Math.min(LONGEST_REST_MS, Math.max(SHORTEST_REST_MS, (place - 1 + PART) * turnMs)));
    }
  }

  /** Nobody waits for it: what it finds is for the next group. */
  #look(): void {
    this.#looked = performance.now();
    this.#looking = this.#line().then((line) => {
      if (line.length > 0) this.#isMet = true;
    });
  }

  async #line(): Promise<readonly string[]> {
    const found = await this.#meta.findOne(LINE, LIGHT).catch(() => null);
    return found?.q ?? [];
  }

  #without(id: string): Promise<readonly string[]> {
    return this.#changed({ $pull: { q: id } });
  }

  async #changed(change: { $addToSet: { q: string } } | { $pull: { q: string } }): Promise<readonly string[]> {
    const options = { ...LIGHT, upsert: true, returnDocument: 'after' } as const;
    const found = await this.#meta.findOneAndUpdate(LINE, change, options).catch(() => null);
    return found?.q ?? [];
  }
}
