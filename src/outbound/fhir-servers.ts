/**
 * Reads of other FHIR servers with fhir-kit-client, on connections of this room: allow-listed, to judged addresses, without redirects, bounded in
 * time and bytes, with a pool and a circuit breaker a server. Source: CDS Hooks 2.0.1 "FHIR Resource Access"; docs/threat-model.md (SSRF).
 */
import { isIP } from 'node:net';
import { Client } from 'fhir-kit-client';
import CircuitBreaker from 'opossum';
import { Agent } from 'undici';
import { type AllowList, hostOf } from './allow-list.ts';
import { judged, OutboundError } from './outbound.ts';

export interface FhirRead {
  /** FHIR base, without trailing slash. */
  readonly server: string;
  /** Bearer token of this call; never kept. */
  readonly token: string;
  /** Below the base: `Patient/1`, `Observation?...`; or an absolute address below the base. */
  readonly path: string;
  readonly timeoutMs: number;
}
export interface FhirAnswer {
  readonly status: number;
  /** Parsed JSON of a 200; undefined for any other status. */
  readonly body: unknown;
}

export interface FhirServersSettings {
  readonly allow: AllowList;
  /** Connections to one server; default 8. */
  readonly connections?: number;
  /** Largest answer; default 10 MiB. */
  readonly answerBytes?: number;
  /** How long an open circuit lets nothing through; default 15 s. */
  readonly resetMs?: number;
}

const CONNECTIONS = 8;
const ANSWER_BYTES = 10 * 1024 * 1024;
const RESET_MS = 15_000;
/** Calls of the last ten seconds before a circuit may open. */
const VOLUME = 5;
/** Servers that are kept ready. */
const SERVERS = 100;

interface Server {
  readonly agent: Agent;
  readonly breaker: CircuitBreaker<[FhirRead], FhirAnswer>;
}

export class FhirServers {
  readonly #settings: FhirServersSettings;
  readonly #servers = new Map<string, Server>();

  constructor(settings: FhirServersSettings) {
    this.#settings = settings;
  }

  /**
   * One read. A status below 500 is an answer; anything else counts against the server.
   * @throws OutboundError, which never holds an address, a header or what the server said
   */
  async read(read: FhirRead): Promise<FhirAnswer> {
    const { allow } = this.#settings;
    const refused = allow.refusal(read.server);
    if (refused !== undefined) throw new OutboundError('not-allowed', `The server may not be called: ${refused}.`);
    if (/^[a-z][a-z0-9+.-]*:/i.test(read.path) && !isBelow(read.path, read.server)) {
      throw new OutboundError('not-allowed', 'The address is not below the base of the server.');
    }
    const host = hostOf(new URL(read.server));
    if (isIP(host) !== 0 && !allow.permitsAddress(host, host)) {
      throw new OutboundError('address', 'The host has an address that may not be connected to.');
    }
    try {
      return await this.#server(read.server).breaker.fire(read);
    } catch (error) {
      if (error instanceof OutboundError) throw error;
      throw new OutboundError('open', 'The server failed too often; it is left alone for a while.', { cause: error });
    }
  }

  async close(): Promise<void> {
    const all = [...this.#servers.values()];
    this.#servers.clear();
    await Promise.all(all.map(end));
  }

  #server(base: string): Server {
    const server = this.#servers.get(base) ?? this.#open();
    this.#servers.delete(base);
    this.#servers.set(base, server); // last used, last in order
    const [oldest] = this.#servers;
    if (this.#servers.size > SERVERS && oldest !== undefined) {
      this.#servers.delete(oldest[0]);
      void end(oldest[1]);
    }
    return server;
  }

  #open(): Server {
    const { allow, connections = CONNECTIONS, answerBytes = ANSWER_BYTES, resetMs = RESET_MS } = this.#settings;
    const agent = new Agent({ connections, maxResponseSize: answerBytes, connect: { lookup: judged(allow) } });
    const breaker = new CircuitBreaker((read: FhirRead) => exchange(read, agent), {
      timeout: false,
      errorThresholdPercentage: 50,
      volumeThreshold: VOLUME,
      resetTimeout: resetMs,
    });
    return { agent, breaker };
  }
}

const isBelow = (url: string, base: string): boolean => url.startsWith(`${base}/`) || url.startsWith(`${base}?`);

async function end({ agent, breaker }: Server): Promise<void> {
  breaker.shutdown();
  await agent.destroy();
}

async function exchange({ server, token, path, timeoutMs }: FhirRead, agent: Agent): Promise<FhirAnswer> {
  const options = { redirect: 'manual', dispatcher: agent } as const;
  const client = new Client({ baseUrl: server, bearerToken: token, requestOptions: options });
  const deadline = AbortSignal.timeout(Math.max(1, Math.floor(timeoutMs)));
  try {
    const body: unknown = await client.request(path, { options: { signal: deadline } });
    return { status: 200, body };
  } catch (error) {
    const status = statusOf(error);
    if (status !== undefined && status >= 400 && status < 500) return { status, body: undefined };
    if (status !== undefined && status >= 300 && status < 400) {
      throw new OutboundError('redirect', 'The server answered with a redirect, which is not followed.', { status });
    }
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof OutboundError) throw cause; // the name led to an address that may not be connected to
    throw new OutboundError(deadline.aborted ? 'timeout' : 'connection', 'The read gave no answer.', {
      cause: error,
      status: status !== undefined && status >= 500 ? status : undefined,
    });
  }
}

/** The client rejects with the status of an answer that is not 2xx; nothing else of it is used. */
function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  const { response } = error;
  if (typeof response !== 'object' || response === null || !('status' in response)) return undefined;
  return typeof response.status === 'number' ? response.status : undefined;
}
