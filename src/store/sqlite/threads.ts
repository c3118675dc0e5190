/** The writer and checkpoint threads of one store: started, watched, reached over channels, ended. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { StoreError } from '../port.ts';
import type { CheckpointData } from './checkpoint.ts';
import type { Clock } from './commit.ts';
import type { Place } from './schema.ts';
import { Signals } from './snapshot.ts';
import type { WriterControl, WriterData, WriterNotice } from './writer.ts';

export interface ThreadOptions extends Place {
  /** Between two looks of the checkpoint thread, ms. */
  readonly checkpointMs?: number;
  /** Tests only. */
  readonly clock?: Clock;
  /** Largest size of the database file in 4 KB pages. */
  readonly maxPages?: number | undefined;
  /** Kept back for reads and the end of the process when the disk is full. Default: 0, nothing. */
  readonly reserveBytes?: number;
  /** Called when the file can no longer be trusted (a failed sync). Default: exit 70 at once, so that a restart recovers from the log. */
  readonly onFatal?: (message: string) => void;
}

const threadFile = (name: string): URL =>
  new URL(name + (import.meta.url.endsWith('.ts') ? '.ts' : '.js'), import.meta.url);

export class SqliteThreads {
  readonly #writer: Worker;
  readonly #checkpoint: Worker;
  readonly #release: () => void;
  readonly #signals = new Signals();
  readonly #listeners = new Set<() => void>();
  readonly ready: Promise<void>;
  /** False until the writer is ready and after a failure or close. */
  running = false;

  constructor(
    {
      folder,
      key,
      clock = 'system',
      maxPages,
      reserveBytes = 0,
      onFatal = exitAtOnce,
      checkpointMs = 250,
    }: ThreadOptions,
    release: () => void,
  ) {
    this.#release = release;
    const signals = this.#signals.buffer;
    const data: WriterData = { folder, key, clock, maxPages, reserveBytes, signals };
    const checkpoint: CheckpointData = { folder, key, everyMs: checkpointMs, signals };
    this.#writer = new Worker(threadFile('./writer'), { workerData: data });
    this.#checkpoint = new Worker(threadFile('./checkpoint'), { workerData: checkpoint });
    this.ready = new Promise((resolve, reject) => {
      const fatal = (message: string) => {
        reject(new StoreError('unavailable', message));
        if (this.running) onFatal(message);
        this.running = false;
      };
      this.#writer.on('message', (notice: WriterNotice) => {
        if (notice.op === 'fatal') return fatal(notice.message);
        if (notice.op === 'committed') {
          for (const listener of this.#listeners) listener();
          return;
        }
        this.running = true;
        resolve();
      });
      for (const thread of [this.#writer, this.#checkpoint]) {
        thread.on('error', (error) => fatal(error.message));
        thread.on('exit', () => fatal('A storage thread ended.'));
      }
    });
    this.ready.then(
      () => this.#writer.unref(),
      () => undefined,
    );
    this.#checkpoint.unref();
  }

  /** Both threads are ended when the writer cannot start. */
  async started(): Promise<void> {
    try {
      await this.ready;
    } catch (error) {
      await Promise.all([this.#writer.terminate(), this.#checkpoint.terminate()]);
      throw error;
    }
  }

  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  channel(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    // Waits in the channel, also while that is transferred: the first thing `WriterChannel` takes from it.
    port1.postMessage(this.#signals.buffer);
    this.#writer.postMessage({ op: 'channel', port: port1 } satisfies WriterControl, [port1]);
    return port2;
  }

  async close(): Promise<void> {
    this.running = false;
    // A thread that has ended has no id any more and sends no event.
    const ended = (thread: Worker) =>
      thread.threadId === -1 ? undefined : new Promise((resolve) => thread.once('exit', resolve));
    const both = Promise.all([ended(this.#writer), ended(this.#checkpoint)]);
    this.#writer.ref();
    this.#checkpoint.ref();
    this.#checkpoint.postMessage('close');
    this.#writer.postMessage({ op: 'close' } satisfies WriterControl);
    await both;
    this.#release();
  }
}

function exitAtOnce(message: string): never {
  process.stderr.write(`Storage cannot go on: ${message}\n`);
  process.exit(70);
}
