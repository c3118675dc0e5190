/**
 * The websocket channel. R4: the client sends `bind <id>` and hears `bound <id>`, then `ping <id>` for each event. Backport: `bind-with-token <token>`,
 * answered by a handshake notification for each subscription of the token, then notifications. Source: FHIR R4 subscription.html#websocket;
 * Subscriptions R5 Backport 1.1.0, channels. A client that does not keep to the limits is closed.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Sockets } from './parcel.ts';

export interface SocketSettings {
  /** Why an upgrade is refused; undefined when it may pass. */
  guard(request: IncomingMessage): { readonly status: number } | undefined;
  /** Whether R4's `bind` may bind this subscription. */
  mayBind(id: string): boolean;
  /** Subscriptions of a valid token; undefined: there is none. */
  redeem(token: string): Promise<readonly string[] | undefined>;
  /** Handshake notification as sent. */
  handshake(id: string): Promise<string | undefined>;
  /** Whether a subscription that is bound is still served: asked at each ping. */
  stands(id: string): Promise<boolean>;
  /** A subscription has been bound: what waits for it can go. */
  onBound(id: string): void;
  after(ms: number, run: () => void): () => void;
  report(error: unknown): void;
}

const SOCKET_LIMITS = {
  /** Of one message of a client, bytes. */
  message: 4096,
  connections: 200,
  /** Subscriptions of one connection. */
  bound: 100,
  /** Bytes that a client may leave unread. */
  unread: 1_048_576,
  /** A connection that binds nothing is closed, ms. */
  idleMs: 30_000,
  /** Between two pings of the protocol; no pong in between closes, ms. */
  pingMs: 30_000,
} as const;

interface Client {
  readonly socket: WebSocket;
  readonly bound: Set<string>;
  isAlive: boolean;
}

/** RFC 6455 §7.4.1. */
const CLOSE = { away: 1001, policy: 1008, tooMuch: 1013 } as const;
export const SOCKET_PATH = '/subscriptions';

export class SocketHub implements Sockets {
  readonly #settings: SocketSettings;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: SOCKET_LIMITS.message,
    perMessageDeflate: false,
  });
  readonly #clients = new Set<Client>();
  #forget: () => void = () => undefined;
  #isClosed = false;

  constructor(settings: SocketSettings) {
    this.#settings = settings;
    this.#keepAlive();
  }

  /** Takes over an `Upgrade` request of the HTTP server; anything that is not ours is refused. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refused = this.#settings.guard(request);
    const path = (request.url ?? '').replace(/\?.*$/s, '');
    const isFull = this.#isClosed || this.#clients.size >= SOCKET_LIMITS.connections;
    if (refused !== undefined) refuse(socket, refused.status);
    else if (path !== SOCKET_PATH) refuse(socket, 404);
    else if (isFull) refuse(socket, 503);
    else this.#server.handleUpgrade(request, socket, head, (opened) => this.#take(opened));
  }

  isBound(id: string): boolean {
    return this.#clients.values().some(({ bound }) => bound.has(id));
  }

  send(id: string, message: string): boolean {
    let taken = false;
    for (const client of this.#clients) {
      if (client.bound.has(id)) taken = this.#tell(client, message) || taken;
    }
    return taken;
  }

  /** Lets go of a subscription that is no longer served. */
  unbind(id: string): void {
    for (const client of this.#clients) {
      if (client.bound.delete(id) && client.bound.size === 0) client.socket.close(CLOSE.away, 'no subscription left');
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#forget();
    for (const { socket } of this.#clients) {
      socket.close(CLOSE.away, 'the server is stopping');
      socket.terminate();
    }
    this.#server.close();
  }

  #take(socket: WebSocket): void {
    const client: Client = { socket, bound: new Set(), isAlive: true };
    this.#clients.add(client);
    const forget = this.#settings.after(SOCKET_LIMITS.idleMs, () => {
      if (client.bound.size === 0) socket.close(CLOSE.policy, 'nothing was bound');
    });
    socket.on('message', (data, isBinary) => {
      if (isBinary) return socket.close(CLOSE.policy, 'text only');
      this.#heard(client, String(data).trim()).catch((error: unknown) => {
        this.#settings.report(error);
        socket.terminate();
      });
    });
    socket.on('pong', () => {
      client.isAlive = true;
    });
    socket.on('error', () => socket.terminate()); // what breaks the protocol or the limits
    socket.on('close', () => {
      forget();
      this.#clients.delete(client);
    });
  }

  async #heard(client: Client, text: string): Promise<void> {
    const [, verb = '', argument = ''] = /^(bind|bind-with-token):? (\S{1,200})$/.exec(text) ?? [];
    const { mayBind, redeem, onBound, handshake } = this.#settings;
    if (verb === 'bind' && mayBind(argument)) {
      if (!this.#bind(client, argument)) return;
      this.#tell(client, `bound ${argument}`);
      return onBound(argument);
    }
    const ids = verb === 'bind-with-token' ? await redeem(argument) : undefined;
    if (ids === undefined) return client.socket.close(CLOSE.policy, 'nothing can be bound by this');
    for (const id of ids) {
      const message = await handshake(id);
      if (message === undefined) continue;
      if (!this.#bind(client, id)) return;
      this.#tell(client, message);
      onBound(id);
    }
  }

  #bind({ socket, bound }: Client, id: string): boolean {
    if (bound.size >= SOCKET_LIMITS.bound) {
      socket.close(CLOSE.policy, 'too many subscriptions');
      return false;
    }
    bound.add(id);
    return true;
  }

  /** A client that does not read is let go; what it missed waits for its next bind. */
  #tell({ socket }: Client, message: string): boolean {
    if (socket.readyState !== socket.OPEN) return false;
    if (socket.bufferedAmount > SOCKET_LIMITS.unread) {
      socket.close(CLOSE.tooMuch, 'too slow');
      socket.terminate();
      return false;
    }
    socket.send(message, (error) => error && socket.terminate());
    return true;
  }

  /** Sockets on which nothing happens end too, when what their owners were granted has. */
  async #letGo(): Promise<void> {
    const ids = new Set([...this.#clients].flatMap(({ bound }) => [...bound]));
    for (const id of ids) if (!(await this.#settings.stands(id))) this.unbind(id);
  }

  #keepAlive(): void {
    this.#forget = this.#settings.after(SOCKET_LIMITS.pingMs, () => {
      this.#letGo().catch(this.#settings.report);
      for (const client of this.#clients) {
        if (!client.isAlive) client.socket.terminate();
        client.isAlive = false;
        if (client.socket.readyState === client.socket.OPEN) client.socket.ping();
      }
      this.#keepAlive();
    });
  }
}

const REASONS: Readonly<Record<number, string>> = {
  404: 'Not Found',
  421: 'Misdirected Request',
  503: 'Service Unavailable',
};

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Forbidden'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
