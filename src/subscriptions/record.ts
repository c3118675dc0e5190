/**
 * What subscriptions keep beside the resources, all of it in the store's keyed spaces. Each row has one writer, so nothing races:
 *   subscription.cursor    feed -> sequence up to which events are recorded        the recorder
 *   subscription           id -> its version, how many events it had, whether it is on   the recorder, in the commit that moves the cursor
 *   subscription.event     id/number -> what happened                              the recorder, in the same commit
 *   subscription.delivery  id -> number of the last event delivered, attempts      the lane of the subscription
 */
import { isJsonObject, type JsonObject, parseOwnJson } from '../fhir/resource.ts';
import type { Command, Keyed, ResourceStore } from '../store/port.ts';
import { type Owner, ownerIn } from './owner.ts';
import type { ChangeKind } from './topic.ts';

export const SPACES = {
  cursor: 'subscription.cursor',
  subscription: 'subscription',
  event: 'subscription.event',
  delivery: 'subscription.delivery',
} as const;
export const CURSOR_KEY = 'feed';

/** How long an event can be replayed, ms. */
export const EVENT_MS = 30 * 86_400_000;

export interface SubscriptionRow {
  /** Version of the resource that is in force. */
  readonly version: number;
  /** Events since it began: the number of the last one. */
  readonly events: number;
  /** Number of the last event of before it was on: what is delivered and replayed comes after it. */
  readonly since: number;
  /** Events are recorded: from when it is asked for until it is off or deleted. */
  readonly on: boolean;
  /** In whose name; undefined of those from before this was kept. */
  readonly owner: Owner | undefined;
}
/** One event of one subscription. Numbers start at 1 and have no gaps. */
export interface SubscriptionEvent {
  readonly number: number;
  readonly kind: ChangeKind;
  readonly type: string;
  readonly id: string;
  /** The version that triggered; for a deletion that of the deletion. */
  readonly version: number;
  /** ms. */
  readonly at: number;
  readonly patients: readonly string[];
}
export interface DeliveryRow {
  /** Number of the last event delivered. */
  readonly delivered: number;
  /** Failed attempts since. */
  readonly attempts: number;
  /** ms; not before. */
  readonly next: number;
}

const DIGITS = 12;
const eventKey = (id: string, number: number): string => `${id}/${String(number).padStart(DIGITS, '0')}`;

export function setCursor(sequence: number, expect: string | null): Command {
  return { op: 'set', space: SPACES.cursor, key: CURSOR_KEY, value: String(sequence), expect };
}
export function setSubscription(id: string, row: SubscriptionRow | undefined): Command {
  return { op: 'set', space: SPACES.subscription, key: id, value: row && JSON.stringify(row) };
}
export function setDelivery(id: string, row: DeliveryRow | undefined): Command {
  return { op: 'set', space: SPACES.delivery, key: id, value: row && JSON.stringify(row) };
}
export function setEvent(id: string, event: SubscriptionEvent): Command {
  const { number, ...rest } = event;
  const key = eventKey(id, number);
  return {
    op: 'set',
    space: SPACES.event,
    key,
    value: JSON.stringify(rest),
    expect: null,
    expiresAt: event.at + EVENT_MS,
  };
}

/** Events numbered from `first`, ascending, at most `count`; those that have expired are left out. */
export async function eventsFrom(
  id: string,
  first: number,
  count: number,
  store: Pick<ResourceStore, 'keyedPage'>,
): Promise<readonly SubscriptionEvent[]> {
  if (count < 1) return [];
  const rows = await store.keyedPage(SPACES.event, { after: eventKey(id, first - 1), count });
  return rows.filter(({ key }) => key.startsWith(`${id}/`)).map(eventOf);
}

function eventOf({ key, value }: Keyed): SubscriptionEvent {
  const row = objectOf(value);
  const { patients } = row;
  return {
    number: Number(key.slice(-DIGITS)),
    kind: row.kind === 'create' || row.kind === 'delete' ? row.kind : 'update',
    type: textOf(row, 'type'),
    id: textOf(row, 'id'),
    version: numberOf(row, 'version'),
    at: numberOf(row, 'at'),
    patients: Array.isArray(patients) ? patients.filter((each) => typeof each === 'string') : [],
  };
}

export function subscriptionRow(value: string): SubscriptionRow {
  const row = objectOf(value);
  const [version, events, since] = ['version', 'events', 'since'].map((name) => numberOf(row, name));
  const owner = ownerIn(row.owner);
  return { version: version ?? 0, events: events ?? 0, since: since ?? 0, on: row.on === true, owner };
}

/** What a subscription starts with when nothing is kept. */
export function deliveryRow(value: string | undefined): DeliveryRow {
  const row = value === undefined ? {} : objectOf(value);
  return { delivered: numberOf(row, 'delivered'), attempts: numberOf(row, 'attempts'), next: numberOf(row, 'next') };
}

function objectOf(text: string): JsonObject {
  const value = parseOwnJson(text);
  return isJsonObject(value) ? value : {};
}
const numberOf = (row: JsonObject, name: string): number => (typeof row[name] === 'number' ? Number(row[name]) : 0);
const textOf = (row: JsonObject, name: string): string => (typeof row[name] === 'string' ? String(row[name]) : '');
