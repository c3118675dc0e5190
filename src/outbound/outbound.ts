/**
 * The only place that calls out. Every call: allow-listed, to an address that was judged where the connection is made (so a second answer of
 * the DNS changes nothing), without redirects, bounded in time and bytes, through a small pool of connections and a circuit breaker of its origin.
 * Source: docs/threat-model.md (SSRF), docs/decisions/0018-subscriptions.md.
 */
import { lookup as resolve } from 'node:dns';
import * as http from 'node:http';
import * as https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import CircuitBreaker from 'opossum';
import { type AllowList, hostOf } from './allow-list.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Longest time of the whole call. */
  readonly timeoutMs: number;
  /** Most bytes of the answer's body; default 64 KiB. */
  readonly answerBytes?: number;
}
export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** Why a call gave no answer that counts. `open`: the circuit is open, nothing was sent. */
export type CallFault =
  | 'not-allowed'
  | 'address'
  | 'redirect'
  | 'too-large'
  | 'timeout'
  | 'open'
  | 'connection'
  | 'closed';

/** Never holds the URL, a header or what the peer said. */
export class OutboundError extends Error {
  readonly fault: CallFault;
  /** HTTP status of an answer that came and does not count: a redirect, or a failure of the server. */
  readonly status: number | undefined;
  constructor(fault: CallFault, message: string, options?: { cause?: unknown; status?: number | undefined }) {
    super(message, options);
    this.status = options?.status;
    this.name = 'OutboundError';
    this.fault = fault;
  }
}

export interface OutboundSettings {
  readonly allow: AllowList;
  /** How long an open circuit lets nothing through; default 15 s. */
  readonly resetMs?: number;
  /** Connections to one origin; default 4. */
  readonly connections?: number;
}

const ANSWER_BYTES = 65_536;
const HEADER_BYTES = 16_384;
const RESET_MS = 15_000;
const CONNECTIONS = 4;
/** Origins that are kept ready; the one not used for longest goes. */
const ORIGINS = 200;
/** Calls of the last ten seconds before a circuit may open. */
const VOLUME = 5;

interface Origin {
  readonly agent: http.Agent;
  readonly breaker: CircuitBreaker<[Call], Reply>;
}

export class Outbound {
  readonly #settings: OutboundSettings;
  readonly #origins = new Map<string, Origin>();
  #closed = false;

  constructor(settings: OutboundSettings) {
    this.#settings = settings;
  }

  /** Why a URL may not be called; undefined when it may. */
  refusal(url: string): string | undefined {
    return this.#settings.allow.refusal(url);
  }

  /**
   * One call, one answer of any status but 3xx.
   * @throws OutboundError
   */
  async call(call: Call): Promise<Reply> {
    if (this.#closed) throw new OutboundError('closed', 'The server is closing.');
    const refused = this.refusal(call.url);
    if (refused !== undefined) throw new OutboundError('not-allowed', `The URL may not be called: ${refused}.`);
    const url = new URL(call.url);
    const host = hostOf(url);
    if (isIP(host) !== 0 && !this.#settings.allow.permitsAddress(host, host)) throw badAddress();
    try {
      return await this.#origin(url.origin).breaker.fire(call);
    } catch (error) {
      if (error instanceof OutboundError) throw error;
      throw new OutboundError('open', 'The endpoint failed too often; it is left alone for a while.', { cause: error });
    }
  }

  close(): void {
    this.#closed = true;
    for (const origin of this.#origins.values()) end(origin);
    this.#origins.clear();
  }

  #origin(name: string): Origin {
    const known = this.#origins.get(name);
    const origin = known ?? this.#newOrigin(name.startsWith('https:'));
    this.#origins.delete(name);
    this.#origins.set(name, origin); // last used, last in order
    const [oldest] = this.#origins;
    if (this.#origins.size > ORIGINS && oldest !== undefined) {
      end(oldest[1]);
      this.#origins.delete(oldest[0]);
    }
    return origin;
  }

  #newOrigin(secure: boolean): Origin {
    const { allow, connections = CONNECTIONS, resetMs = RESET_MS } = this.#settings;
    const options = { keepAlive: true, maxSockets: connections, maxFreeSockets: connections, lookup: judged(allow) };
    const agent = secure ? new https.Agent(options) : new http.Agent(options);
    const breaker = new CircuitBreaker((call: Call) => exchange(call, agent), {
      timeout: false,
      errorThresholdPercentage: 50,
      volumeThreshold: VOLUME,
      resetTimeout: resetMs,
    });
    return { agent, breaker };
  }
}

function end({ agent, breaker }: Origin): void {
  breaker.shutdown();
  agent.destroy();
}

const badAddress = (): OutboundError =>
  new OutboundError('address', 'The host has an address that may not be connected to.');

/** Resolves a name once, judges every address, and hands the very address on that the socket connects to. */
export function judged(allow: AllowList): LookupFunction {
  return (host, options, done) => {
    resolve(host, { ...options, all: true }, (error, found) => {
      const [first] = found ?? [];
      if (error !== null || first === undefined) return done(error ?? badAddress(), '', 4);
      if (!found.every(({ address }) => allow.permitsAddress(host, address))) return done(badAddress(), '', 4);
      if (options.all) return done(null, found);
      done(null, first.address, first.family);
    });
  };
}

function exchange({ url, method, headers, body, timeoutMs, answerBytes = ANSWER_BYTES }: Call, agent: http.Agent) {
  return new Promise<Reply>((fulfil, reject) => {
    const send = url.startsWith('https:') ? https.request : http.request;
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    const empty = body === undefined && method !== 'GET' ? { 'Content-Length': '0' } : {};
    const request = send(url, {
      method,
      agent,
      headers: { ...headers, ...length, ...empty },
      maxHeaderSize: HEADER_BYTES,
    });
    const fail = (fault: CallFault, message: string, cause?: unknown): void => {
      clearTimeout(deadline);
      request.destroy();
      reject(cause instanceof OutboundError ? cause : new OutboundError(fault, message, { cause }));
    };
    const deadline = setTimeout(() => fail('timeout', `No complete answer within ${timeoutMs} ms.`), timeoutMs);
    request.on('error', (error) => fail('connection', 'The connection failed.', error));
    request.on('response', (response) => {
      const status = response.statusCode ?? 0;
      if (status >= 300 && status < 400)
        return fail('redirect', 'The endpoint answered with a redirect, which is not followed.');
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytes) fail('too-large', `The answer is larger than ${answerBytes} bytes.`);
        else chunks.push(chunk);
      });
      response.on('error', (error) => fail('connection', 'The connection failed.', error));
      response.on('end', () => {
        clearTimeout(deadline);
        fulfil({ status, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    request.end(body);
  });
}
