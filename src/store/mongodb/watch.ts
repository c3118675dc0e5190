/**
 * Word of commits by whichever process, from a change stream on the head; by looking at it where there are none. The word only wakes: what was
 * missed is read with `changes` from the last sequence seen, so a listener needs no resume token of its own.
 */
import { type ChangeStream, MongoServerError } from 'mongodb';
import type { Collections, HeadDoc } from './layout.ts';

/** Before a stream that ended is opened again, and between two looks, ms. */
const AGAIN_MS = 1000;
const LOOK_MS = 500;
/** The server is no replica set: it has no change streams. */
const NO_STREAMS = new Set([40573, 115, 59]);

export class Watch {
  readonly #head: Collections['head'];
  readonly #listeners = new Set<() => void>();
  #stream: ChangeStream<HeadDoc> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen: number | undefined;
  #token: unknown;
  #isClosed = false;
  #isRunning = false;

  constructor({ head }: Pick<Collections, 'head'>) {
    this.#head = head;
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (!this.#isRunning) this.#open();
    return () => this.#listeners.delete(listener);
  }

  /** Something was committed. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #open(): void {
    if (this.#isClosed) return;
    this.#isRunning = true;
    const resume = this.#token === undefined ? {} : { resumeAfter: this.#token };
    const stream = this.#head.watch([], { maxAwaitTimeMS: AGAIN_MS, ...resume });
    this.#stream = stream;
    stream.on('change', ({ _id }) => {
      this.#token = _id;
      this.tell();
    });
    stream.on('error', (error: unknown) => this.#lost(stream, error));
    // What was committed before the stream stood is not in it.
    stream.once('resumeTokenChanged', () => this.tell());
  }

  /** The driver resumes by itself after what it can resume; the rest begins anew, with a wake for what was missed. */
  #lost(stream: ChangeStream<HeadDoc>, error: unknown): void {
    if (stream !== this.#stream) return;
    this.#token = undefined;
    this.#stream = undefined;
    void stream.close().catch(() => undefined);
    const isMissing = error instanceof MongoServerError && NO_STREAMS.has(Number(error.code));
    this.#later(isMissing ? LOOK_MS : AGAIN_MS, () => (isMissing ? void this.#look() : this.#reopened()));
  }

  #reopened(): void {
    this.tell();
    this.#open();
  }

  async #look(): Promise<void> {
    const found = await this.#head.findOne({ _id: 'data' }).catch(() => null);
    if (found !== null && found.seq !== this.#seen) {
      this.#seen = found.seq;
      this.tell();
    }
    this.#later(LOOK_MS, () => void this.#look());
  }

  #later(ms: number, work: () => void): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(work, ms);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#stream?.close().catch(() => undefined);
  }
}
