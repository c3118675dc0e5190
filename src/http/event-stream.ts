/** Server-sent events for many listeners: ids only, best effort; who must not miss one subscribes. Source: HTML Living Standard, server-sent events. */
import type { Request, Response } from 'express';
import { type FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import { send } from './headers.ts';

/** Most listeners, and most bytes that may wait for one: then it is cut. */
const LISTENERS = 200;
const BUFFER = 65_536;
/** Messages that may wait for one to be judged: then it is cut. */
const WAITING = 500;
const BEAT_MS = 15_000;
/** Then a listener asks again. */
const LONGEST_MS = 600_000;
const OUTCOME = { 'Content-Type': 'application/fhir+json; charset=utf-8' };

/** Why a listener may not listen now; undefined when they may. Asked at the start, of each message, and at each beat. */
export type Admit = (request: Request, requestId: string) => Promise<FhirError | undefined>;

interface Listener {
  readonly request: Request;
  readonly response: Response;
  readonly requestId: string;
  /** Messages go one after the other. */
  turn: Promise<void>;
  waiting: number;
}

export class EventStream {
  readonly #path: string;
  readonly #admit: Admit;
  readonly #beatMs: number;
  readonly #listeners = new Set<Listener>();
  #isClosed = false;
  #beat: NodeJS.Timeout | undefined;

  /** @param path the only one that is answered: `/monitor/events` */
  constructor(path: string, admit: Admit, beatMs = BEAT_MS) {
    this.#path = path;
    this.#admit = admit;
    this.#beatMs = beatMs;
  }

  /** For `HttpParts.jobs`. */
  readonly handler = async (request: Request, response: Response, requestId: string): Promise<void> => {
    request.resume();
    const refusal = (await this.#admit(request, requestId)) ?? this.#refusal(request);
    if (refusal !== undefined) {
      const headers = refusal.kind === 'method-not-allowed' ? { ...OUTCOME, Allow: 'GET' } : OUTCOME;
      return send(request, response, refusal.status, headers, JSON.stringify(operationOutcome(refusal.issues)));
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
    response.write('retry: 2000\n\n');
    const listener: Listener = { request, response, requestId, turn: Promise.resolve(), waiting: 0 };
    this.#listeners.add(listener);
    const end = setTimeout(() => response.end(), LONGEST_MS).unref();
    response.once('close', () => {
      clearTimeout(end);
      this.#listeners.delete(listener);
    });
    response.once('error', () => this.#listeners.delete(listener));
    this.#beat ??= setInterval(() => this.#write(': beat\n\n'), this.#beatMs).unref();
  };

  /** `data` is one line. */
  tell(event: string, data: string): void {
    this.#write(`event: ${event}\ndata: ${data}\n\n`);
  }

  /** Ends all streams; later ones are refused. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beat);
    for (const { response } of this.#listeners) response.end();
  }

  #refusal(request: Request) {
    if (request.originalUrl.replace(/\?.*$/s, '') !== this.#path)
      return fhirError('not-found', 'There is nothing here.');
    if (request.method !== 'GET') return fhirError('method-not-allowed', 'Events are read by GET.');
    if (this.#isClosed) return fhirError('transient', 'The server is ending.');
    return this.#listeners.size >= LISTENERS ? fhirError('throttled', 'There are too many listeners.') : undefined;
  }

  #write(text: string): void {
    for (const listener of this.#listeners) {
      if (listener.response.writableLength > BUFFER || listener.waiting >= WAITING) listener.response.destroy();
      else {
        listener.waiting++;
        listener.turn = listener.turn.then(() => this.#judged(listener, text));
      }
    }
  }

  /** Who may not listen any more hears nothing of it: the stream ends. */
  async #judged(listener: Listener, text: string): Promise<void> {
    const { request, response, requestId } = listener;
    const isRefused = await this.#admit(request, requestId).then(
      (refusal) => refusal !== undefined,
      () => true,
    );
    listener.waiting--;
    if (isRefused) response.end();
    else if (!response.writableEnded) response.write(text);
  }
}
