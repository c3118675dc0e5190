/**
 * Room that is kept for the worst day: a file that is removed when the disk is full, so that reads, which are answered with their audit row only,
 * and the end of the process go on while writes are refused. It is made again, and writes are taken again, when there is room for it and more.
 * A limit on the database's own size counts as the disk's end. Runs on the writer.
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Connection } from './schema.ts';
import type { Signals } from './snapshot.ts';

const NAME = 'reserve';
const PAGE_BYTES = 4096;
const CHUNK = 1_048_576;
/** Besides the reserve itself, this part of it must be free before it is made: else the disk would be full again at once. */
const MARGIN = 0.25;
/** Where the free space says one thing and the write another (quotas), between two attempts, ms. */
const PAUSE_MS = 5000;
/** Least time that writes are refused, ms. */
const FULL_MS = 1000;
/** SQLite's own limit, in pages. */
const UNLIMITED = 4_294_967_294;

export interface ReserveSettings {
  readonly folder: string;
  /** 0: there is none, and on a full disk nothing is answered. */
  readonly bytes: number;
  readonly signals: Pick<Signals, 'full'>;
}

export class Reserve {
  readonly #connection: Connection;
  readonly #settings: ReserveSettings;
  readonly #file: string;
  /** Pages of the database; 0: as many as the disk has. */
  #limit = 0;
  #notBefore = 0;

  constructor(connection: Connection, settings: ReserveSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#file = join(settings.folder, NAME);
    if (settings.bytes === 0) rmSync(this.#file, { force: true });
    else if (!this.#isMade() && !this.#make()) this.#isFull = true;
  }

  /** Whether what stores something is refused. */
  get isFull(): boolean {
    return this.#settings.signals.full;
  }
  set #isFull(on: boolean) {
    this.#settings.signals.full = on;
  }

  /** Largest size of the file in pages; 0 lifts the limit. */
  limit(pages: number): void {
    this.#limit = pages;
    this.#notBefore = 0;
    this.#apply();
  }

  /** After the disk, or the limit, refused. @returns whether there is room now that was kept back */
  relieve(): boolean {
    if (this.#settings.bytes === 0 || this.isFull) return false;
    rmSync(this.#file, { force: true });
    this.#isFull = true;
    // What was too large is rolled back: there is room again at once, but not for that.
    this.#notBefore = performance.now() + FULL_MS;
    this.#apply();
    return true;
  }

  /** Whether writes may be tried: there always was room, or there is again. */
  hasRoom(): boolean {
    if (!this.isFull) return true;
    if (performance.now() < this.#notBefore || !this.#isBelowLimit() || !this.#make()) return false;
    this.#isFull = false;
    this.#apply();
    return true;
  }

  /** Never below what the file has: a limit below that would be none. */
  #apply(): void {
    const kept = this.isFull ? Math.ceil(this.#settings.bytes / PAGE_BYTES) : 0;
    this.#connection.pragma(`max_page_count=${this.#limit === 0 ? UNLIMITED : this.#limit + kept}`);
  }

  /** Pages that hold nothing any more are used before the file grows. */
  #isBelowLimit(): boolean {
    if (this.#limit === 0) return true;
    const pages = (name: string) => Number(this.#connection.pragma(name, { simple: true }));
    return pages('page_count') - pages('freelist_count') < this.#limit * (1 - MARGIN / 4);
  }

  #isMade(): boolean {
    return statSync(this.#file, { throwIfNoEntry: false })?.size === this.#settings.bytes;
  }

  /** Bytes that no file system can store as fewer. @returns false, and nothing is left, when there is no room */
  #make(): boolean {
    const { bytes, folder } = this.#settings;
    try {
      const { bavail, bsize } = statfsSync(folder);
      if (bavail * bsize < bytes * (1 + MARGIN)) return false;
      const descriptor = openSync(this.#file, 'w', 0o600);
      try {
        const chunk = randomFillSync(Buffer.alloc(Math.min(CHUNK, bytes)));
        for (let left = bytes; left > 0; ) left -= writeSync(descriptor, chunk, 0, Math.min(left, chunk.length));
      } finally {
        closeSync(descriptor);
      }
      return true;
    } catch {
      // Full, or not allowed: as if there were no room.
      this.#notBefore = performance.now() + PAUSE_MS;
      rmSync(this.#file, { force: true });
      return false;
    }
  }
}
