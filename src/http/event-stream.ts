/** Server-sent events for many listeners: ids only, best effort; who must not miss one subscribes. Source: HTML Living Standard, server-sent events. */
import type { Request, Response } from 'express';
import { type FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import { send } from './headers.ts';

/** Most listeners, and most bytes that may wait for one: then it is cut. */
const LISTENERS = 200;
const BUFFER = 65_536;
const BEAT_MS = 15_000;
/** Then a listener asks again, and is judged again. */
const LONGEST_MS = 600_000;
const OUTCOME = { 'Content-Type': 'application/fhir+json; charset=utf-8' };

/** Why a listener may not listen; undefined when it may. */
export type Admit = (request: Request, requestId: string) => Promise<FhirError | undefined>;

export class EventStream {
  readonly #path: string;
  readonly #admit: Admit;
  readonly #listeners = new Set<Response>();
  #isClosed = false;
  #beat: NodeJS.Timeout | undefined;

  /** @param path the only one that is answered: `/monitor/events` */
  constructor(path: string, admit: Admit) {
    this.#path = path;
    this.#admit = admit;
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
    this.#listeners.add(response);
    const end = setTimeout(() => response.end(), LONGEST_MS).unref();
    response.once('close', () => {
      clearTimeout(end);
      this.#listeners.delete(response);
    });
    response.once('error', () => this.#listeners.delete(response));
    this.#beat ??= setInterval(() => this.#write(': beat\n\n'), BEAT_MS).unref();
  };

  /** `data` is one line. */
  tell(event: string, data: string): void {
    this.#write(`event: ${event}\ndata: ${data}\n\n`);
  }

  /** Ends all streams; later ones are refused. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beat);
    for (const each of this.#listeners) each.end();
  }

  #refusal(request: Request) {
    if (request.originalUrl.replace(/\?.*$/s, '') !== this.#path)
      return fhirError('not-found', 'There is nothing here.');
    if (request.method !== 'GET') return fhirError('method-not-allowed', 'Events are read by GET.');
    if (this.#isClosed) return fhirError('transient', 'The server is ending.');
    return this.#listeners.size >= LISTENERS ? fhirError('throttled', 'There are too many listeners.') : undefined;
  }

  #write(text: string): void {
    for (const each of this.#listeners) {
      if (each.writableLength > BUFFER) each.destroy();
      else each.write(text);
    }
  }
}
