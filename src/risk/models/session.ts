/**
 * ONNX sessions: inline for models that answer at once, in a worker thread otherwise. Decision 0005.
 * onnxruntime-node runs synchronously on the thread that calls it (1.30: `run` blocks inside a setImmediate), so a slow model must not run here.
 */
import { Worker } from 'node:worker_threads';

/**
 * From 1.30 on the runtime's builds for Linux and macOS send events to their maker, and keep an identifier of the machine and a queue below the
 * home folder, unless this is set when the first session is made. They ask the environment of the process, which the main thread's own is.
 */
process.env.ORT_DISABLE_TELEMETRY = '1';

/** Outputs by tensor name, in column order. */
export type Tensors = Readonly<Record<string, readonly number[]>>;

/** What the file must offer: one float32 input [1, width], float32 outputs of the given widths. */
export interface RunnerContract {
  readonly input: { readonly tensor: string; readonly width: number };
  readonly outputs: readonly { readonly tensor: string; readonly width: number }[];
}
export interface Runner {
  /** Vectors that the graph takes in one run; 1 when its first dimension is fixed. */
  readonly most: number;
  run(vector: Float32Array): Promise<Tensors>;
  /** At most `most` vectors, answered in their order. */
  runAll(vectors: readonly Float32Array[]): Promise<readonly Tensors[]>;
  close(): Promise<void>;
}

/** A model ready to answer. */
export interface ModelSession {
  readonly mode: 'inline' | 'worker';
  /** Median of one run when loaded, ms. */
  readonly medianMs: number;
  /** Why the session answers no more; undefined while it does. */
  readonly failure: string | undefined;
  /** Rejects with an Error when overloaded, late (`deadlineAt`, ms since 1970), crashed or closed. */
  run(vector: Float32Array, deadlineAt: number): Promise<Tensors>;
  close(): Promise<void>;
}

export interface SessionOptions {
  now(): number;
  /** auto: inline under `inlineBelowMs`. */
  readonly mode?: 'auto' | 'inline' | 'worker';
  readonly inlineBelowMs?: number;
  /** Most runs waiting for the worker; one more is refused. */
  readonly queueBound?: number;
  /** File of the worker thread. */
  readonly workerFile?: URL;
}

export const SESSION_DEFAULTS = {
  inlineBelowMs: 0.3,
  queueBound: 64,
  warmRuns: 20,
  measuredRuns: 51,
  crashes: 3,
  crashWindowMs: 300_000,
} as const;

const RUN_OPTIONS = { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential' } as const;

interface Metadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

function checkTensors(what: string, found: readonly Metadata[], wanted: RunnerContract['outputs']): void {
  if (found.length !== wanted.length) {
    throw new Error(`the file has ${found.length} ${what} tensors, the manifest ${wanted.length}`);
  }
  for (const { tensor, width } of wanted) {
    const match = found.find(({ name }) => name === tensor);
    if (match?.type !== 'float32') throw new Error(`${what} tensor ${tensor} is absent or not float32`);
    const [batch, columns] = match.shape ?? [];
    if (match.shape?.length !== 2 || (typeof batch === 'number' && batch !== 1) || columns !== width) {
      throw new Error(`${what} tensor ${tensor} is not of shape [1, ${width}]`);
    }
  }
}

/**
 * The file in this thread.
 * @throws Error when the runtime is absent, the file malformed, or its tensors are not those of the contract
 */
export async function openRunner(bytes: Uint8Array, contract: RunnerContract): Promise<Runner> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(bytes, RUN_OPTIONS);
  checkTensors('input', session.inputMetadata, [contract.input]);
  checkTensors('output', session.outputMetadata, contract.outputs);
  const { width, tensor: name } = contract.input;
  const runAll: Runner['runAll'] = async (vectors) => {
    const rows = new Float32Array(vectors.length * width);
    for (const [index, vector] of vectors.entries()) rows.set(vector, index * width);
    const answer = await session.run({ [name]: new Tensor('float32', rows, [vectors.length, width]) });
    const columns = contract.outputs.map(({ tensor, width: each }) => {
      const data = answer[tensor]?.data;
      if (!(data instanceof Float32Array) || data.length !== vectors.length * each) {
        throw new Error(`output tensor ${tensor} is not float32 of ${vectors.length} x ${each}`);
      }
      return { tensor, each, data };
    });
    return vectors.map((_vector, row) =>
      Object.fromEntries(
        columns.map(({ tensor, each, data }) => [tensor, [...data.subarray(row * each, (row + 1) * each)]]),
      ),
    );
  };
  return {
    most: [...session.inputMetadata, ...session.outputMetadata].every(isOpen) ? MOST_ROWS : 1,
    runAll,
    async run(vector) {
      const [tensors] = await runAll([vector]);
      return tensors ?? {};
    },
    close: () => session.release(),
  };
}

/** Vectors of one run: a bound on how long the thread is held. */
const MOST_ROWS = 64;

const isOpen = ({ shape }: Metadata): boolean => typeof shape?.[0] === 'string';

/** Warms the runner up, then returns the median of one run in ms. */
async function medianRunMs(runner: Runner, width: number): Promise<number> {
  const vector = new Float32Array(width).fill(Number.NaN);
  for (let run = 0; run < SESSION_DEFAULTS.warmRuns; run++) await runner.run(vector);
  const times: number[] = [];
  for (let run = 0; run < SESSION_DEFAULTS.measuredRuns; run++) {
    const from = performance.now();
    await runner.run(vector);
    times.push(performance.now() - from);
  }
  return times.toSorted((a, b) => a - b)[SESSION_DEFAULTS.measuredRuns >> 1] ?? Number.POSITIVE_INFINITY;
}

interface Asked {
  readonly vector: Float32Array;
  resolve(tensors: Tensors): void;
  reject(error: unknown): void;
}

/** What is asked in one turn becomes one run, as far as the graph takes it. */
function inlineSession(runner: Runner, medianMs: number, now: () => number): ModelSession {
  let asked: Asked[] = [];
  const flush = (): void => {
    const all = asked;
    asked = [];
    for (let from = 0; from < all.length; from += runner.most)
      void answerAll(runner, all.slice(from, from + runner.most));
  };
  return {
    mode: 'inline',
    medianMs,
    failure: undefined,
    async run(vector, deadlineAt) {
      if (now() >= deadlineAt) throw new Error('the deadline has passed');
      return new Promise((resolve, reject) => {
        if (asked.push({ vector, resolve, reject }) === 1) queueMicrotask(flush);
      });
    },
    close: () => runner.close(),
  };
}

async function answerAll(runner: Runner, asked: readonly Asked[]): Promise<void> {
  try {
    const answers = await runner.runAll(asked.map(({ vector }) => vector));
    for (const [index, { resolve }] of asked.entries()) resolve(answers[index] ?? {});
  } catch (error) {
    for (const { reject } of asked) reject(error);
  }
}

/**
 * Opens a model, warms it and measures it.
 * @throws Error with the reason it cannot answer
 */
export async function openSession(
  bytes: Uint8Array,
  contract: RunnerContract,
  options: SessionOptions,
): Promise<ModelSession> {
  const runner = await openRunner(bytes, contract);
  const medianMs = await medianRunMs(runner, contract.input.width);
  const mode = options.mode ?? 'auto';
  const inline =
    mode === 'inline' || (mode === 'auto' && medianMs < (options.inlineBelowMs ?? SESSION_DEFAULTS.inlineBelowMs));
  if (inline) return inlineSession(runner, medianMs, options.now);
  await runner.close();
  const session = new WorkerSession(bytes, contract, medianMs, options);
  try {
    await session.started;
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

interface Waiting {
  resolve(outputs: Tensors): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout | undefined;
}
interface Answer {
  readonly id: number;
  readonly outputs?: Tensors;
  readonly error?: string;
}

/** Beside this file, with the same ending (`.ts` from source, `.js` when built). */
const WORKER_FILE = new URL(
  `./session-worker${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`,
  import.meta.url,
);

/** A worker thread that is restarted when it crashes; the third crash within five minutes ends it. */
class WorkerSession implements ModelSession {
  readonly mode = 'worker';
  readonly medianMs: number;
  /** Resolves when the thread has opened the model; rejects when it could not. */
  readonly started: Promise<void>;
  failure: string | undefined;
  readonly #start: () => Worker;
  readonly #options: SessionOptions;
  readonly #waiting = new Map<number, Waiting>();
  /** Sent to the thread and not come back, whether or not somebody still waits. */
  readonly #unanswered = new Set<number>();
  readonly #crashes: number[] = [];
  #worker: Worker;
  #lastId = 0;
  #closed = false;

  constructor(bytes: Uint8Array, contract: RunnerContract, medianMs: number, options: SessionOptions) {
    this.medianMs = medianMs;
    this.#options = options;
    this.#start = () => {
      const worker = new Worker(options.workerFile ?? WORKER_FILE, { workerData: { bytes, contract } });
      worker.on('message', (answer: Answer) => {
        this.#unanswered.delete(answer.id);
        this.#settle(answer);
      });
      let cause = 'it ended';
      worker.on('error', (error) => {
        cause = error instanceof Error ? error.message : String(error);
      });
      worker.on('exit', () => this.#crashed(worker, cause));
      worker.unref();
      return worker;
    };
    this.started = new Promise<void>((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject, timer: undefined });
    });
    this.#worker = this.#start();
    this.#worker.ref();
    this.started.then(
      () => this.#worker.unref(),
      () => this.#worker.unref(),
    );
  }

  run(vector: Float32Array, deadlineAt: number): Promise<Tensors> {
    if (this.failure !== undefined) return Promise.reject(new Error(this.failure));
    const bound = this.#options.queueBound ?? SESSION_DEFAULTS.queueBound;
    if (this.#unanswered.size >= bound) {
      // Some of these runs have been given up on: the thread hangs rather than being busy.
      if (this.#waiting.size < bound) this.#replace('it does not answer');
      return Promise.reject(new Error('too many runs are waiting'));
    }
    const left = deadlineAt - this.#options.now();
    if (left <= 0) return Promise.reject(new Error('the deadline has passed'));
    const id = ++this.#lastId;
    return new Promise<Tensors>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle({ id, error: 'the deadline has passed' }),
        Math.min(left, 2 ** 31 - 1),
      );
      this.#waiting.set(id, { resolve, reject, timer });
      this.#unanswered.add(id);
      this.#worker.postMessage({ id, vector });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.failure = 'the session is closed';
    this.#rejectAll(this.failure);
    await this.#worker.terminate();
  }

  #settle({ id, outputs, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (outputs === undefined) waiting.reject(new Error(error ?? 'no answer'));
    else waiting.resolve(outputs);
  }

  #rejectAll(reason: string): void {
    for (const id of [...this.#waiting.keys()]) this.#settle({ id, error: reason });
  }

  #replace(cause: string): void {
    const hung = this.#worker;
    this.#crashed(hung, cause);
    void hung.terminate();
  }

  #crashed(worker: Worker, cause: string): void {
    if (this.#closed || worker !== this.#worker || this.failure !== undefined) return;
    this.#unanswered.clear();
    this.#rejectAll(`the worker crashed: ${cause}`);
    const now = this.#options.now();
    this.#crashes.push(now);
    const recent = this.#crashes.filter((at) => now - at < SESSION_DEFAULTS.crashWindowMs);
    if (recent.length >= SESSION_DEFAULTS.crashes) {
      this.failure = `the worker crashed ${recent.length} times in five minutes: ${cause}`;
    } else this.#worker = this.#start();
  }
}
