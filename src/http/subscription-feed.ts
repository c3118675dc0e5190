/**
 * Events of a Subscription as server-sent events: `GET /subscriptions/[id]/events`. Each message is what `$events` answers, asked through the door in
 * the name of who listens: access, and the audit before anything leaves. Its `id` is the number of its last event, so that `Last-Event-ID` goes on
 * exactly there; the same rows that websockets and rest-hooks deliver from. Source: HTML Living Standard, server-sent events.
 */
import type { Request, Response } from 'express';
import { type FhirError, fhirError, operationOutcome } from '../fhir/outcome.ts';
import { ID_PATTERN } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import { answer } from '../rest/interact.ts';
import { mayRead } from '../rest/interactions/read.ts';
import type { FhirResponse } from '../rest/request.ts';
import type { Identify } from '../smart/identity.ts';
import type { Guard } from './access.ts';
import { send } from './headers.ts';
import { admitted } from './jobs.ts';

export interface FeedParts {
  /** Number of the newest event of a subscription; undefined when it is not served. */
  latest(id: string): number | undefined;
  /** Tells of subscriptions that have changed or have new events; the result stops it. */
  onRecorded(listener: (ids: ReadonlySet<string>) => void): () => void;
  readonly guard: Guard;
  readonly identify: Identify | undefined;
  current(): RestContext;
  /** Between two looks at whether a listener may still listen; default 15 s. */
  readonly beatMs?: number;
}

/** Most listeners. */
const LISTENERS = 200;
/** Events of one message; what waits beyond is in the next. */
const EVENTS = 20;
const BEAT_MS = 15_000;
/** Then a listener asks again. */
const LONGEST_MS = 600_000;
const SUBSCRIPTION = 'Subscription';
const OUTCOME = { 'Content-Type': 'application/fhir+json; charset=utf-8' };
const PATH = /^\/subscriptions\/([^/?]+)\/events(?:\?(.*))?$/s;
const NUMBER = /^\d{1,12}$/;

interface Listener {
  readonly id: string;
  readonly request: Request;
  readonly response: Response;
  readonly requestId: string;
  /** Number of the last event that was sent, or that came before. */
  last: number;
  isWorking: boolean;
}

export class SubscriptionFeed {
  readonly #parts: FeedParts;
  readonly #listeners = new Set<Listener>();
  readonly #unlisten: () => void;
  readonly #beat: NodeJS.Timeout;
  #isClosed = false;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#unlisten = parts.onRecorded((ids) => this.#wake(ids));
    this.#beat = setInterval(() => {
      for (const listener of this.#listeners) void this.#judge(listener);
    }, parts.beatMs ?? BEAT_MS).unref();
  }

  /** For `HttpParts.jobs`. */
  readonly handler = async (request: Request, response: Response, requestId: string): Promise<void> => {
    request.resume();
    const asked = this.#asked(request);
    if ('kind' in asked) return refuse(request, response, asked);
    const { id, from } = asked;
    const latest = this.#parts.latest(id);
    const last = Math.min(from ?? latest ?? 0, latest ?? 0);
    const listener = { id, request, response, requestId, last, isWorking: true };
    const first = await this.#ask(listener, last + 1, last + 1);
    if (first.status !== 200) return send(request, response, first.status, first.headers, first.body);
    if (this.#isClosed) return refuse(request, response, fhirError('transient', 'The server is ending.'));
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
    response.write(`retry: 2000\nid: ${last}\n\n`);
    this.#listen({ ...listener, isWorking: false });
  };

  /** False ends all streams before the server drains; later ones are refused. */
  setListening(listening: boolean): void {
    if (listening) return;
    this.#isClosed = true;
    this.#unlisten();
    clearInterval(this.#beat);
    for (const { response } of this.#listeners) response.end();
  }

  #asked(request: Request): FhirError | { readonly id: string; readonly from: number | undefined } {
    const [, id = '', query = ''] = PATH.exec(request.originalUrl) ?? [];
    if (!ID_PATTERN.test(id)) return fhirError('not-found', 'There is nothing here.');
    if (request.method !== 'GET') return fhirError('method-not-allowed', 'Events are read by GET.');
    const parameters = new URLSearchParams(query);
    const seen = request.headers['last-event-id'];
    const since = parameters.get('eventsSinceNumber');
    const given = typeof seen === 'string' && seen !== '' ? seen : since;
    if (given !== null && !NUMBER.test(given)) return fhirError('value', '`Last-Event-ID` is the number of an event.');
    if (this.#listeners.size >= LISTENERS) return fhirError('throttled', 'There are too many listeners.');
    const isSince = given === since && since !== null;
    return { id, from: given === null ? undefined : Math.max(0, Number(given) - (isSince ? 1 : 0)) };
  }

  #listen(listener: Listener): void {
    const { response } = listener;
    this.#listeners.add(listener);
    const end = setTimeout(() => response.end(), LONGEST_MS).unref();
    response.once('close', () => {
      clearTimeout(end);
      this.#listeners.delete(listener);
    });
    response.once('error', () => this.#listeners.delete(listener));
    response.on('drain', () => void this.#tell(listener));
    void this.#tell(listener);
  }

  /** A beat for who may still read the subscription; the end for whose token has ended, or whose rights have. */
  async #judge({ id, request, response, requestId }: Listener): Promise<void> {
    const { guard, identify, current } = this.#parts;
    const context = current();
    try {
      const peer = { requestId, address: request.socket.remoteAddress ?? '' };
      const { caller, forbidden } = await admitted(request, peer, { guard, identify, context });
      const isFine = forbidden === undefined && (await mayRead({ type: SUBSCRIPTION, id }, caller, context));
      if (!isFine) response.end();
      else if (!response.writableEnded) response.write(': beat\n\n');
    } catch (error) {
      context.report(error, requestId);
      response.end();
    }
  }

  #wake(ids: ReadonlySet<string>): void {
    for (const listener of this.#listeners) if (ids.has(listener.id)) void this.#tell(listener);
  }

  /** What is new, a message at a time; a listener that does not read is asked for nothing more until it has. */
  async #tell(listener: Listener): Promise<void> {
    const { id, response } = listener;
    if (listener.isWorking) return;
    listener.isWorking = true;
    try {
      while (!response.writableEnded && !response.writableNeedDrain) {
        const latest = this.#parts.latest(id);
        if (latest === undefined) response.end();
        if (latest === undefined || latest <= listener.last) return;
        const until = Math.min(latest, listener.last + EVENTS);
        const { status, body = '' } = await this.#ask(listener, listener.last + 1, until);
        if (status !== 200) response.end();
        if (status !== 200 || response.writableEnded) return;
        listener.last = until;
        response.write(`id: ${until}\nevent: notification\ndata: ${body.replace(/\r?\n/g, '\ndata: ')}\n\n`);
      }
    } catch (error) {
      this.#parts.current().report(error, listener.requestId);
      response.end();
    } finally {
      listener.isWorking = false;
    }
  }

  /** `$events` in the name of who listens, as of now: a token that has ended ends the stream. */
  async #ask({ id, request, requestId }: Listener, from: number, until: number): Promise<FhirResponse> {
    const { guard, identify, current } = this.#parts;
    const context = current();
    const peer = { requestId, address: request.socket.remoteAddress ?? '' };
    const { caller, forbidden } = await admitted(request, peer, { guard, identify, context });
    if (forbidden !== undefined) return outcome(forbidden);
    const query = `eventsSinceNumber=${from}&eventsUntilNumber=${until}`;
    const headers = { accept: 'application/fhir+json' };
    return answer(
      { method: 'GET', path: `/Subscription/${id}/$events`, query, headers, body: undefined },
      caller,
      context,
    );
  }
}

const outcome = (error: FhirError): FhirResponse => ({
  status: error.status,
  headers: error.kind === 'method-not-allowed' ? { ...OUTCOME, Allow: 'GET' } : OUTCOME,
  body: JSON.stringify(operationOutcome(error.issues)),
});

function refuse(request: Request, response: Response, error: FhirError): void {
  const { status, headers, body } = outcome(error);
  send(request, response, status, headers, body);
}
