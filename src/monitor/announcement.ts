/**
 * What monitoring has to tell, where several processes have one store: written in the commit of what is told, and read by every process for its own
 * listeners. Kept for a minute: listeners are told at best, who must not miss one subscribes. Source: docs/decisions/0042-several-processes.md.
 */
import { createHash } from 'node:crypto';
import type { Command, ResourceStore } from '../store/port.ts';
import type { MonitorEvent } from './rescore.ts';

const SPACE = 'monitor.event';
const KEPT_MS = 60_000;
const PAGE = 500;

/** @param occasion names the commit, as no other */
export function announcing(events: readonly MonitorEvent[], occasion: string, at: number): readonly Command[] {
  if (events.length === 0) return [];
  const digest = createHash('sha256').update(occasion).digest('hex').slice(0, 32);
  const key = `${String(at).padStart(16, '0')}-${digest}`;
  return [{ op: 'set', space: SPACE, key, value: JSON.stringify(events), expiresAt: at + KEPT_MS }];
}

/** Tells what is new since the last look; what was there before the first is not told. */
export class Announcements {
  readonly #store: Pick<ResourceStore, 'keyedPage'>;
  readonly #tell: (event: MonitorEvent) => void;
  /** Keys of what was told and is still there: clocks of processes differ, so that the order of keys says nothing. */
  #told: ReadonlySet<string> | undefined;
  #looking: Promise<void> | undefined;
  #isAsked = false;

  constructor(store: Pick<ResourceStore, 'keyedPage'>, tell: (event: MonitorEvent) => void) {
    this.#store = store;
    this.#tell = tell;
  }

  /** Resolves when what was written before it was called is told. */
  look(): Promise<void> {
    this.#isAsked = true;
    this.#looking ??= this.#run().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #run(): Promise<void> {
    while (this.#isAsked) {
      this.#isAsked = false;
      const told = this.#told;
      const here = new Set<string>();
      for (let after: string | undefined, full = true; full; ) {
        const page = await this.#store.keyedPage(SPACE, { after, count: PAGE });
        for (const { key, value } of page) {
          here.add(key);
          // Only `announcing` writes these values.
          if (told?.has(key) === false) for (const event of JSON.parse(value) as MonitorEvent[]) this.#tell(event);
        }
        after = page.at(-1)?.key;
        full = page.length === PAGE;
      }
      this.#told = here;
    }
  }
}
