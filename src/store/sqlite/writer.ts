/**
 * The writer thread: takes every commit request that is waiting, on any channel, into one transaction; answers after the sync. What is large
 * waits behind what is small and is a transaction of its own, so that the audit row of a read waits for one large Bundle at most.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Clock, Committer, flatOutcome, isFatal } from './commit.ts';
import {
  decodeRequests,
  type FromWriter,
  type ReindexRow,
  type ToWriter,
  type WireCommand,
  type WireRequest,
} from './message.ts';
import { Reserve } from './reserve.ts';
import { connect, type Place } from './schema.ts';
import { Signals } from './snapshot.ts';

export interface WriterData extends Place {
  readonly clock: Clock;
  readonly maxPages: number | undefined;
  /** Kept back for what must go on when the disk is full; 0: nothing. */
  readonly reserveBytes: number;
  readonly signals: SharedArrayBuffer;
}
/** From the main thread, besides `ToWriter` on channels. */
export type WriterControl = { readonly op: 'channel'; readonly port: MessagePort } | { readonly op: 'close' };
export type WriterNotice =
  | { readonly op: 'ready' }
  /** Data was committed since the last notice; sent once a turn of the writer, after its answers. */
  | { readonly op: 'committed' }
  | { readonly op: 'fatal'; readonly message: string };

/** Requests in one transaction at most: a bound on how long the first waits for the last. */
const GROUP = 256;

/** Characters of a message from which it is large: some hundred resources. */
export const LARGE = 2 ** 20;

type Commits = Extract<ToWriter, { op: 'commit' }>;

interface Waiting {
  readonly port: MessagePort;
  readonly id: number;
  readonly request: WireRequest;
}

const UNCHANGING: ReadonlySet<WireCommand[0]> = new Set(['expect', 'hold', 'unforgotten', 'set']);

/** Readers of data need not see a request of audit rows and `set` values alone: who reads those asks for the newest state. */
function changesData({ commands }: WireRequest): boolean {
  return commands.some(([op]) => !UNCHANGING.has(op));
}

export class Writer {
  readonly #committer: Committer;
  readonly #signals: Signals;
  readonly #ports: MessagePort[] = [];
  readonly #waiting: Waiting[] = [];
  /** Not decoded yet: that takes its time too. */
  readonly #large: { readonly port: MessagePort; readonly message: Commits }[] = [];
  readonly #notify: () => void;
  #noticeDue = false;

  constructor(committer: Committer, signals: Signals, notify: () => void) {
    this.#committer = committer;
    this.#signals = signals;
    this.#notify = notify;
  }

  #committed(): void {
    this.#signals.committed();
    if (this.#noticeDue) return;
    this.#noticeDue = true;
    setImmediate(() => {
      this.#noticeDue = false;
      this.#notify();
    });
  }

  listen(port: MessagePort): void {
    this.#ports.push(port);
    port.on('message', (message: ToWriter) => {
      this.#take(port, message);
      this.#drain();
    });
    port.on('close', () => {
      this.#ports.splice(this.#ports.indexOf(port), 1);
    });
  }

  #take(port: MessagePort, message: ToWriter): void {
    if (message.op === 'commit') {
      if (message.requests.length >= LARGE) this.#large.push({ port, message });
      else this.#waiting.push(...requestsOf(port, message));
      return;
    }
    // Order is kept: what was asked for before is committed before.
    this.#commitAll();
    port.postMessage({ op: 'done', id: message.id, failed: this.#perform(message) } satisfies FromWriter);
  }

  #perform(message: Exclude<ToWriter, { op: 'commit' }>): string | undefined {
    try {
      if (message.op === 'ping') this.#committer.lookForRoom();
      if (message.op === 'limit') this.#committer.limit(message.pages);
      if (message.op === 'reindex') {
        this.#committer.reindex(JSON.parse(message.rows) as readonly ReindexRow[], message.progress, message.done);
        this.#committed();
      }
      return undefined;
    } catch (error) {
      if (isFatal(error)) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** One small group, then one large message, in turn: neither waits for more than one of the other. */
  #drain(): void {
    do {
      for (const port of this.#ports) {
        for (;;) {
          if (this.#waiting.length >= GROUP) break;
          const received = receiveMessageOnPort(port);
          if (received === undefined) break;
          this.#take(port, received.message as ToWriter);
        }
      }
      this.#commitGroup(this.#waiting.splice(0, GROUP));
      this.#commitLarge();
    } while (this.#waiting.length + this.#large.length > 0);
  }

  #commitAll(): void {
    while (this.#waiting.length > 0) this.#commitGroup(this.#waiting.splice(0, GROUP));
    while (this.#large.length > 0) this.#commitLarge();
  }

  #commitLarge(): void {
    const next = this.#large.shift();
    if (next === undefined) return;
    const requests = requestsOf(next.port, next.message);
    while (requests.length > 0) this.#commitGroup(requests.splice(0, GROUP));
  }

  #commitGroup(group: readonly Waiting[]): void {
    if (group.length === 0) return;
    const outcomes = this.#committer.group(group.map(({ request }) => request));
    this.#signals.newestAt = this.#committer.newestAt;
    if (group.some(({ request }) => changesData(request))) this.#committed();
    const answers = new Map<MessagePort, number[]>();
    outcomes.forEach((outcome, index) => {
      const asked = group[index];
      if (asked === undefined) return;
      const flat = answers.get(asked.port) ?? [];
      flat.push(...flatOutcome(asked.id, outcome));
      answers.set(asked.port, flat);
    });
    for (const [port, flat] of answers) port.postMessage({ op: 'outcomes', outcomes: flat } satisfies FromWriter);
  }
}

function requestsOf(port: MessagePort, { from, requests }: Commits): Waiting[] {
  return decodeRequests(requests).map((request, index) => ({ port, id: from + index, request }));
}

function start(parent: MessagePort, data: WriterData): void {
  const connection = connect(data);
  const signals = new Signals(data.signals);
  const reserve = new Reserve(connection, { folder: data.folder, bytes: data.reserveBytes, signals });
  const committer = new Committer(connection, data.clock, reserve);
  signals.newestAt = committer.newestAt;
  if (data.maxPages !== undefined) committer.limit(data.maxPages);
  const writer = new Writer(committer, signals, () => parent.postMessage({ op: 'committed' } satisfies WriterNotice));
  process.on('uncaughtException', (error) => {
    parent.postMessage({ op: 'fatal', message: error.message } satisfies WriterNotice);
    process.exit(1);
  });
  parent.on('message', (message: WriterControl) => {
    if (message.op === 'channel') writer.listen(message.port);
    else {
      connection.close();
      process.exit(0);
    }
  });
  parent.postMessage({ op: 'ready' } satisfies WriterNotice);
}

if (parentPort !== null) start(parentPort, workerData as WriterData);
