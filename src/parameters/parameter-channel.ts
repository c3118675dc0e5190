/**
 * The search parameters of clients between the main thread and every other one that answers or works by definitions. A port is made for each thread
 * and transferred to it like its channel to the writer; the snapshot to begin with lies in it. Reasons: docs/decisions/0017.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { RestContext } from '../rest/context.ts';
import { LiveContext, type ParameterSnapshot } from './live-context.ts';

type ToThread =
  | { readonly op: 'swap' | 'begin'; readonly snapshot: ParameterSnapshot; readonly id: number }
  | { readonly op: 'drain'; readonly id: number }
  | { readonly op: 'progress'; readonly key: string; readonly percent: number }
  /** Answer to `written`. */
  | { readonly op: 'known'; readonly id: number };
type FromThread =
  | { readonly op: 'done'; readonly id: number }
  /** Search parameters were written there. */
  | { readonly op: 'written'; readonly id: number };

interface Thread {
  readonly port: MessagePort;
  readonly answers: boolean;
  readonly waiting: Map<number, () => void>;
}

/** Seen from the main thread. A thread that ends is asked no more, and nobody waits for it. */
export class ParameterThreads {
  readonly #written: () => Promise<void>;
  readonly #threads = new Set<Thread>();
  #next = 0;

  /** @param written resolves when what was written is known everywhere */
  constructor(written: () => Promise<void>) {
    this.#written = written;
  }

  /**
   * The port of a new thread; transfer it.
   * @param answers whether clients are answered there, so that a write of a parameter waits until the thread knows it. A job may be busy for
   *   long: rows wait for it (`drained`), the client does not
   */
  channel(snapshot: ParameterSnapshot, answers: boolean): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const thread: Thread = { port: port1, answers, waiting: new Map() };
    port1.postMessage({ op: 'begin', snapshot, id: -1 } satisfies ToThread);
    port1.on('message', (message: FromThread) => this.#receive(thread, message));
    port1.on('close', () => {
      this.#threads.delete(thread);
      for (const resolve of thread.waiting.values()) resolve();
      thread.waiting.clear();
    });
    port1.unref();
    this.#threads.add(thread);
    return port2;
  }

  /** Resolves when requests begin with the snapshot wherever clients are answered; the others are told. */
  async swap(snapshot: ParameterSnapshot): Promise<void> {
    const swaps = [...this.#threads].map((thread) => {
      const swapped = this.#ask(thread, (id) => ({ op: 'swap', snapshot, id }));
      return thread.answers ? swapped : undefined;
    });
    await Promise.all(swaps);
  }

  /** Resolves when every thread has the newest snapshot and no request of an older one is in work there. */
  async drained(): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => this.#ask(thread, (id) => ({ op: 'drain', id }))));
  }

  progress(key: string, percent: number): void {
    for (const { port } of this.#threads) port.postMessage({ op: 'progress', key, percent } satisfies ToThread);
  }

  #ask(thread: Thread, message: (id: number) => ToThread): Promise<void> {
    const id = this.#next++;
    return new Promise((resolve) => {
      thread.waiting.set(id, resolve);
      thread.port.postMessage(message(id));
    });
  }

  #receive({ port, waiting }: Thread, { op, id }: FromThread): void {
    if (op === 'done') {
      waiting.get(id)?.();
      waiting.delete(id);
    } else {
      void this.#written().then(() => port.postMessage({ op: 'known', id } satisfies ToThread));
    }
  }
}

/** Seen from such a thread: its context, swapped as the main thread says. The port keeps nothing running. */
export function followedContext(base: RestContext, port: MessagePort): LiveContext {
  const first: ToThread | undefined = receiveMessageOnPort(port)?.message;
  if (first?.op !== 'begin') throw new TypeError('The port was not made by `channel()`.');
  const asked = new Map<number, () => void>();
  let next = 0;
  const say = (message: FromThread): void => port.postMessage(message);
  const parametersWritten = (): Promise<void> =>
    new Promise((resolve) => {
      asked.set(next, resolve);
      say({ op: 'written', id: next++ });
    });
  const live = new LiveContext({ ...base, parametersWritten }, first.snapshot);
  port.on('message', async (message: ToThread) => {
    if (message.op === 'progress') return live.progress(message.key, message.percent);
    if (message.op === 'known') {
      asked.get(message.id)?.();
      asked.delete(message.id);
      return;
    }
    if (message.op === 'drain') await live.drained();
    else live.swap(message.snapshot);
    say({ op: 'done', id: message.id });
  });
  port.unref();
  return live;
}
