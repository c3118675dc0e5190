/** What one attempt carries and how: rest-hook calls and websocket messages. Source: FHIR R4 subscription.html (channels); Subscriptions R5 Backport 1.1.0. */
import type { Definitions } from '../fhir/definitions/definitions.ts';
import type { Call, Outbound } from '../outbound/outbound.ts';
import { revealed } from './header.ts';
import { formatted, type Making, MIME, type NotificationType, notification } from './notification.ts';
import type { SubscriptionEvent } from './record.ts';
import type { Entry } from './recorder.ts';
import type { Understood } from './subscription.ts';

/** `counts`: false when nothing was sent at all. `reason` repeats nothing of the peer's, or of the data. */
export type Attempted =
  | { readonly taken: true }
  | { readonly taken: false; readonly counts: boolean; readonly reason: string };

export interface Parcel {
  readonly understood: Understood;
  /** Events inside; empty for handshakes and heartbeats. */
  readonly events: readonly SubscriptionEvent[];
  /** @throws OutboundError */
  send(): Promise<Attempted>;
}

/** Clients that have bound websockets. */
export interface Sockets {
  isBound(id: string): boolean;
  /** @returns false when nobody took it */
  send(id: string, message: string): boolean;
}

export interface Sending extends Making {
  readonly store: Making['store'] & Parameters<typeof revealed>[3];
  readonly definitions: Definitions;
  readonly outbound: Outbound;
  readonly sockets: Sockets;
  /** False for a websocket that nobody has bound. */
  reachable(understood: Understood): boolean;
}

/** undefined: this channel has none. R4's own subscriptions know no handshake: the first notification is the proof. */
export async function handshakeOf(entry: Entry, understood: Understood, how: Sending): Promise<Parcel | undefined> {
  const { channel, trigger } = understood;
  if (trigger.kind !== 'topic' || channel.type === 'websocket') return undefined;
  return control('handshake', entry, understood, how);
}

export function heartbeatOf(entry: Entry, understood: Understood, how: Sending): Promise<Parcel> {
  return control('heartbeat', entry, understood, how);
}

async function control(
  type: 'handshake' | 'heartbeat',
  entry: Entry,
  understood: Understood,
  how: Sending,
): Promise<Parcel> {
  const text = await bundle(type, entry, understood, [], how);
  const found = await carried(understood, text, [], how);
  return 'reason' in found
    ? { understood, events: [], send: async () => ({ taken: false, counts: true, reason: found.reason }) }
    : found;
}

/** The parcel of these events, or why there can be none. */
export async function parcelOf(
  entry: Entry,
  understood: Understood,
  events: readonly SubscriptionEvent[],
  how: Sending,
): Promise<Parcel | { readonly reason: string }> {
  if (understood.trigger.kind === 'topic') {
    return carried(understood, await bundle('event-notification', entry, understood, events, how), events, how);
  }
  const { id, channel } = understood;
  if (channel.type === 'websocket') return message(understood, `ping ${id}`, events, how);
  const [event] = events;
  const held =
    channel.format === undefined || event === undefined ? undefined : await how.store.read(event, event.version);
  return carried(understood, held?.text, events, how);
}

/** Text of a notification Bundle in the subscription's format. */
export async function bundle(
  type: NotificationType,
  { status, events: count }: Entry,
  understood: Understood,
  events: readonly SubscriptionEvent[],
  how: Sending,
): Promise<string> {
  const { content, format } = understood.channel;
  // A batch that leaves some for later counts up to its own last event.
  const newest = type === 'event-notification' ? (events.at(-1)?.number ?? count) : count;
  const text = await notification({ subscription: understood, status, type, count: newest, content, events }, how);
  return formatted(text, format, how.definitions);
}

async function carried(
  understood: Understood,
  text: string | undefined,
  events: readonly SubscriptionEvent[],
  how: Sending,
): Promise<Parcel | { readonly reason: string }> {
  const { id, channel, trigger } = understood;
  if (channel.type === 'websocket') return message(understood, text ?? '', events, how);
  const { headers, missing } = await revealed(id, channel.endpoint, channel.headers, how.store);
  if (missing.length > 0) return { reason: 'The value of a header is not held for this endpoint; send it again.' };
  const [event] = events;
  const resource = trigger.kind === 'criteria' && text !== undefined && event !== undefined;
  const body =
    trigger.kind === 'criteria' && text !== undefined ? formatted(text, channel.format, how.definitions) : text;
  const call: Call = {
    method: resource ? 'PUT' : 'POST',
    url: resource ? below(channel.endpoint, `${event.type}/${event.id}`) : channel.endpoint,
    headers: {
      ...headers,
      ...(event === undefined ? {} : { 'Idempotency-Key': `"${id}/${event.number}"` }),
      ...(body === undefined ? {} : { 'Content-Type': `${MIME[channel.format ?? 'json']}; charset=utf-8` }),
    },
    body,
    timeoutMs: channel.timeoutMs,
  };
  return {
    understood,
    events,
    send: async () => {
      const { status } = await how.outbound.call(call);
      if (status >= 200 && status < 300) return { taken: true };
      return { taken: false, counts: true, reason: `The endpoint answered with status ${status}.` };
    },
  };
}

/** The endpoint is a service base; its query, if any, stays last. */
function below(endpoint: string, path: string): string {
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`;
  return url.href;
}

function message(understood: Understood, text: string, events: readonly SubscriptionEvent[], how: Sending): Parcel {
  return {
    understood,
    events,
    send: async () =>
      how.sockets.send(understood.id, text)
        ? { taken: true }
        : { taken: false, counts: false, reason: 'Nobody is bound.' },
  };
}
