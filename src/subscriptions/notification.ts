/**
 * Notifications: a history Bundle whose first entry is the subscription's status as Parameters. Source: Subscriptions R5 Backport 1.1.0,
 * `backport-subscription-notification-r4`, `backport-subscription-status-r4`. Stored resources go in as they are stored.
 */
import type { Definitions } from '../fhir/definitions/definitions.ts';
import { type Json, type JsonObject, serialize } from '../fhir/resource.ts';
import { instantText } from '../fhir/time.ts';
import { writeXml } from '../fhir/xml/write.ts';
import type { ResourceStore } from '../store/port.ts';
import type { SubscriptionEvent } from './record.ts';
import type { Content, Format, Understood } from './subscription.ts';

export type NotificationType = 'handshake' | 'heartbeat' | 'event-notification' | 'query-status' | 'query-event';
export type Status = 'requested' | 'active' | 'error' | 'off';

export interface StatusFacts {
  readonly subscription: Pick<Understood, 'id'> & Partial<Pick<Understood, 'trigger'>>;
  readonly status: Status;
  readonly type: NotificationType;
  /** Number of the newest event. */
  readonly count: number;
  readonly content: Content;
  readonly events: readonly SubscriptionEvent[];
  /** Text of Subscription.error. */
  readonly error?: string | undefined;
}

export interface Making {
  readonly store: Pick<ResourceStore, 'read'>;
  readonly fhirBase: string;
  newId(): string;
  now(): number;
}

const IG = 'http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/';
export const MIME = { json: 'application/fhir+json', xml: 'application/fhir+xml' } as const satisfies Record<
  Format,
  string
>;

/** The Parameters of a status; `empty` content names neither topic nor focus. */
export function statusParameters(facts: StatusFacts, id: string, fhirBase: string): JsonObject {
  const { subscription, status, type, count, content, events, error } = facts;
  const { trigger } = subscription;
  const topic = trigger?.kind === 'topic' && content !== 'empty' ? [trigger.topic.url] : [];
  return {
    resourceType: 'Parameters',
    id,
    meta: { profile: [`${IG}backport-subscription-status-r4`] },
    parameter: [
      { name: 'subscription', valueReference: { reference: `${fhirBase}/Subscription/${subscription.id}` } },
      ...topic.map((url) => ({ name: 'topic', valueCanonical: url })),
      { name: 'status', valueCode: status },
      { name: 'type', valueCode: type },
      { name: 'events-since-subscription-start', valueString: String(count) },
      ...events.map((event) => ({ name: 'notification-event', part: eventParts(event, content, fhirBase) })),
      ...(error === undefined ? [] : [{ name: 'error', valueCodeableConcept: { text: error } }]),
    ],
  };
}

function eventParts({ number, at, type, id }: SubscriptionEvent, content: Content, fhirBase: string): Json[] {
  const parts: Json[] = [
    { name: 'event-number', valueString: String(number) },
    { name: 'timestamp', valueInstant: instantText(at) },
  ];
  if (content === 'empty') return parts;
  return [...parts, { name: 'focus', valueReference: { reference: `${fhirBase}/${type}/${id}` } }];
}

/** JSON text of the Bundle. Of `full-resource` each event brings the very version that triggered. */
export async function notification(facts: StatusFacts, making: Making): Promise<string> {
  const { fhirBase } = making;
  const id = making.newId();
  const url = `${fhirBase}/Subscription/${facts.subscription.id}/$status`;
  const first = serialize({
    fullUrl: `urn:uuid:${id}`,
    resource: statusParameters(facts, id, fhirBase),
    request: { method: 'GET', url },
    response: { status: '200' },
  });
  const others =
    facts.content === 'full-resource' ? await Promise.all(facts.events.map((event) => eventEntry(event, making))) : [];
  const head = serialize({
    resourceType: 'Bundle',
    id: making.newId(),
    meta: { profile: [`${IG}backport-subscription-notification-r4`] },
    type: 'history',
    timestamp: instantText(making.now()),
  });
  return `${head.slice(0, -1)},"entry":[${[first, ...others].join(',')}]}`;
}

const REQUEST = {
  create: { method: 'POST', status: '201' },
  update: { method: 'PUT', status: '200' },
  delete: { method: 'DELETE', status: '204' },
} as const;

async function eventEntry(
  { kind, type, id, version, at }: SubscriptionEvent,
  { store, fhirBase }: Making,
): Promise<string> {
  const held = kind === 'delete' ? undefined : await store.read({ type, id }, version);
  const { method, status } = REQUEST[kind];
  const text = held?.text === undefined ? '' : `"resource":${held.text},`;
  const request = { method, url: kind === 'create' ? type : `${type}/${id}` };
  const response = { status, etag: `W/"${version}"`, lastModified: instantText(at) };
  return `{"fullUrl":${JSON.stringify(`${fhirBase}/${type}/${id}`)},${text}"request":${JSON.stringify(request)},"response":${JSON.stringify(response)}}`;
}

/** The text in the format asked for. */
export function formatted(text: string, format: Format | undefined, definitions: Definitions): string {
  return format === 'xml' ? writeXml(text, definitions) : text;
}
