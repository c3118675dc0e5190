/** What subscriptions are to the API: their status, their events, and tokens to bind websockets with. Source: Subscriptions R5 Backport 1.1.0, operations. */
import type { Caller } from '../context.ts';

export interface SubscriptionDesk {
  /** Status Parameters as JSON texts, in the order of the ids. Ids that are not known are left out. */
  statuses(ids: readonly string[]): readonly { readonly id: string; readonly status: string; readonly text: string }[];
  /** Ids of all subscriptions, ascending. */
  ids(): readonly string[];
  /** A notification Bundle of type query-event; undefined when the subscription has no events to tell of. */
  events(id: string, asked: EventsAsked): Promise<EventsFound | undefined>;
  /** undefined: one of them is no websocket that this caller may bind. */
  token(ids: readonly string[], caller: Caller): Promise<BindingToken | undefined>;
  /** True for a websocket that is served, in the name of this caller or for one who may see everything. */
  mayBind(id: string, caller: Caller): boolean;
}

export interface EventsAsked {
  /** Numbers, both included. */
  readonly from: number;
  readonly until: number;
  /** No more is given than the subscription may have. */
  readonly content: string | undefined;
  /** Whether who asks may see what an event is about; other events are left out. */
  sees(version: EventVersion): Promise<boolean>;
}
export interface EventVersion {
  readonly type: string;
  readonly id: string;
  readonly version: number;
}
export interface EventsFound {
  readonly text: string;
  readonly patients: readonly string[];
}
export interface BindingToken {
  readonly token: string;
  /** ms. */
  readonly expiresAt: number;
  readonly url: string;
}
