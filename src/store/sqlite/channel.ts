/** A thread's way to the writer: requests of one event-loop turn become one message, outcomes find their promises. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type CommitRequest, type CommitResult, StoreError } from '../port.ts';
import {
  encodeRequests,
  type FromWriter,
  OUTCOME_WIDTH,
  STATUS,
  type ToWriter,
  type WireRequest,
  wireRequest,
} from './message.ts';
import { REFUSALS, unavailable } from './refusal.ts';
import { CHAIN_SPAN } from './schema.ts';
import { Signals } from './snapshot.ts';

interface Waiting {
  readonly request: CommitRequest;
  resolve(result: CommitResult): void;
  reject(error: Error): void;
}
interface Asked {
  resolve(): void;
  reject(error: Error): void;
}
type Question =
  | { readonly op: 'ping' }
  | { readonly op: 'limit'; readonly pages: number }
  | { readonly op: 'reindex'; readonly rows: string; readonly progress?: string; readonly done: boolean };

const MOST_FACETS = 20_000;

export class WriterChannel {
  readonly signals: Signals;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #asked = new Map<number, Asked>();
  readonly #facets = new Set<string>();
  #batch: WireRequest[] = [];
  #next = 0;
  #closed: StoreError | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    const first: unknown = receiveMessageOnPort(port)?.message;
    if (!(first instanceof SharedArrayBuffer)) throw new TypeError('The channel was not made by `channel()`.');
    this.signals = new Signals(first);
    port.on('message', (message: FromWriter) => this.#receive(message));
    port.on('close', () => this.close());
    port.unref();
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const wire = wireRequest(request, this.#facets);
    return new Promise((resolve, reject) => {
      this.#expectAnswer();
      this.#waiting.set(this.#next++, { request, resolve, reject });
      this.#batch.push(wire);
      if (this.#batch.length === 1) setImmediate(() => this.#send());
    });
  }

  ask(question: Question): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    this.#send();
    return new Promise((resolve, reject) => {
      this.#expectAnswer();
      const id = this.#next++;
      this.#asked.set(id, { resolve, reject });
      this.#port.postMessage({ ...question, id } satisfies ToWriter);
    });
  }

  /** What is still unanswered is refused: it may or may not have been written. */
  close(): void {
    this.#closed ??= new StoreError('unavailable', 'The store is closed.');
    for (const waiting of [...this.#waiting.values(), ...this.#asked.values()]) waiting.reject(this.#closed);
    this.#waiting.clear();
    this.#asked.clear();
    this.#port.close();
  }

  #send(): void {
    if (this.#batch.length === 0 || this.#closed !== undefined) return;
    const requests = encodeRequests(this.#batch);
    this.#port.postMessage({ op: 'commit', from: this.#next - this.#batch.length, requests } satisfies ToWriter);
    this.#batch = [];
  }

  /** The process stays up while an answer is due, and only then. */
  #expectAnswer(): void {
    if (this.#waiting.size + this.#asked.size === 0) this.#port.ref();
  }

  #receive(message: FromWriter): void {
    if (message.op === 'outcomes') {
      const { outcomes } = message;
      for (let start = 0; start < outcomes.length; start += OUTCOME_WIDTH) {
        const [id = -1, status = -1, a = 0, b = 0, c = 0] = outcomes.slice(start, start + OUTCOME_WIDTH);
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (waiting !== undefined) this.#settle(waiting, status, a, b, c);
      }
    } else {
      const asked = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.failed === undefined) asked?.resolve();
      else asked?.reject(new StoreError('unavailable', `The writer failed: ${message.failed}`));
    }
    if (this.#waiting.size + this.#asked.size === 0) this.#port.unref();
  }

  #settle({ request, resolve, reject }: Waiting, status: number, a: number, b: number, c: number): void {
    if (status === STATUS.done) {
      this.#keepFacets(request);
      resolve(done(request, a, b, c));
    } else if (status === STATUS.conflict) resolve({ ok: false, reason: 'conflict', command: a });
    else if (status === STATUS.unavailable) reject(unavailable('Nothing could be made durable.', REFUSALS[a] ?? ''));
    else if (status === STATUS.full) reject(new StoreError('full', 'There is no room for writes.'));
    else if (status === STATUS.tooCostly)
      reject(new StoreError('too-costly', 'A precondition costs too much to judge.'));
    else reject(new TypeError('The writer could not apply the commit request.'));
  }

  #keepFacets({ audit }: CommitRequest): void {
    if (this.#facets.size > MOST_FACETS) this.#facets.clear();
    for (const { events } of audit) {
      for (const { kind, agents } of events) this.#facets.add(kind.key).add(agents.key);
    }
  }
}

/** Sequences of one request follow each other, so the first of each kind says all; that of audit rows with its chain, as their key. */
function done({ commands, audit }: CommitRequest, at: number, first: number, firstAudit: number): CommitResult {
  const [chain, sequence] = [Math.floor(firstAudit / CHAIN_SPAN), firstAudit % CHAIN_SPAN];
  const writes = commands.filter((command) => command.op === 'put' || command.op === 'delete');
  return {
    ok: true,
    at,
    versions: writes.map(({ key, version }, index) => ({ key, version, sequence: first + index })),
    auditIds: audit.flatMap(({ events }, row) =>
      events.map((_event, index) => `${chain}-${sequence + row}-${index + 1}`),
    ),
  };
}
