/** The heavy thread seen from the main thread: large bodies and unbounded searches run the same `answer` there. */
import { once } from 'node:events';
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Config } from '../config.ts';
import type { CallerFacts } from '../rest/permission/caller.ts';
import type { Gate } from '../rest/permission/gate.ts';
import { type LoadClass, loadClassOf } from '../rest/permission/load-class.ts';
import type { FhirResponse, WireRequest } from '../rest/request.ts';

export interface HeavyTask {
  readonly id: number;
  readonly wire: WireRequest;
  readonly caller: CallerFacts;
}
export type HeavyReply =
  | { readonly id: number; readonly response: FhirResponse }
  | { readonly id: number; readonly failure: string };

export interface Heavy {
  /**
   * In its turn, by class; without one, by what is asked.
   * @throws FhirError `busy`, any other error when the thread itself is gone
   */
  answer(wire: WireRequest, caller: CallerFacts, of?: LoadClass): Promise<FhirResponse>;
  close(): Promise<void>;
}

/** Starts the thread; resolves when it is ready. `channel` reaches the one writer, `parameters` says what clients search by. */
export async function startHeavy(
  config: Config,
  channel: MessagePort,
  parameters: MessagePort,
  gate: Gate,
): Promise<Heavy> {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  const worker = new Worker(new URL(`./heavy-worker${extension}`, import.meta.url), {
    workerData: { config, channel, parameters },
    transferList: [channel, parameters],
  });
  const waiting = new Map<number, { resolve: (response: FhirResponse) => void; reject: (error: Error) => void }>();
  let next = 0;
  let gone: Error | undefined;

  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
  });
  worker.on('message', (reply: HeavyReply) => {
    const waiter = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ('response' in reply) waiter?.resolve(reply.response);
    else waiter?.reject(new Error(reply.failure));
  });
  const fail = (error: Error): void => {
    gone = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('The heavy thread has ended.')));

  const posted = (wire: WireRequest, caller: CallerFacts): Promise<FhirResponse> =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) return reject(gone);
      const id = next++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, wire, caller } satisfies HeavyTask);
    });
  return {
    // What waits, waits here: what the thread has been given it does in the order of its coming.
    answer: (wire, caller, of = loadClassOf(wire, caller)) => gate.within(of, () => posted(wire, caller)),
    close: async () => {
      if (gone !== undefined) return;
      worker.postMessage('close');
      await once(worker, 'exit');
    },
  };
}
