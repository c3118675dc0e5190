/** Feedback on cards: checked item by item, joined to its card, kept as one Communication each through the door. Source: CDS Hooks 2.0.1 "Feedback". */
import { createHash } from 'node:crypto';
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, parseJson, type Resource } from '../../fhir/resource.ts';
import { instantText, intervalOf } from '../../fhir/time.ts';
import type { DecisionRecord } from '../basis/decision-record.ts';
import { relativeOf } from '../hook/subject.ts';

export interface Feedback {
  /** uuid of the card, lower case. */
  readonly card: string;
  readonly outcome: 'accepted' | 'overridden';
  /** ms since 1970. */
  readonly at: number;
  readonly acceptedSuggestions: readonly string[];
  readonly reason: { readonly system: string; readonly code: string; readonly display: string | undefined } | undefined;
  /** Free text of a clinician: PHI. */
  readonly comment: string | undefined;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MOST_ITEMS = 200;
const LONGEST_COMMENT = 5000;

export interface ParsedFeedback {
  readonly items: readonly Feedback[];
  /** Items that could not be used. */
  readonly unusable: number;
}

/**
 * The usable items of a body `{"feedback":[...]}`.
 * @throws FhirError 400 when it is not such a body, or when no item can be used; the message names no value
 */
export function parseFeedback(text: string): ParsedFeedback {
  const body = parseJson(text);
  const list = isJsonObject(body) ? body.feedback : undefined;
  if (!Array.isArray(list) || list.length === 0) {
    throw fhirError('structure', 'Feedback is an object with a list `feedback` of at least one item.');
  }
  if (list.length > MOST_ITEMS) throw fhirError('too-long', `At most ${MOST_ITEMS} items are taken at once.`);
  const read = list.map((item: Json) => itemOf(item));
  const items = read.filter((item) => typeof item !== 'string');
  const [first] = read;
  if (items.length === 0) {
    throw fhirError('value', `No item can be used: ${typeof first === 'string' ? first : 'unknown'}.`, {
      expression: 'feedback',
    });
  }
  return { items, unusable: list.length - items.length };
}

/** An item, or what is wrong with it. */
function itemOf(item: Json | undefined): Feedback | string {
  if (!isJsonObject(item)) return 'an item is not an object';
  const { card, outcome, outcomeTimestamp, acceptedSuggestions, overrideReason } = item;
  if (typeof card !== 'string' || !UUID.test(card)) return '`card` is not the uuid of a card';
  if (outcome !== 'accepted' && outcome !== 'overridden') return '`outcome` is neither `accepted` nor `overridden`';
  const at = typeof outcomeTimestamp === 'string' ? instantOf(outcomeTimestamp) : undefined;
  if (at === undefined) return '`outcomeTimestamp` is not an instant with a time zone';
  const accepted = Array.isArray(acceptedSuggestions) ? acceptedSuggestions.map((each: Json) => idOf(each)) : [];
  if (outcome === 'accepted' && (accepted.length === 0 || accepted.includes(undefined))) {
    return '`acceptedSuggestions` names no suggestion by `id`';
  }
  const { reason, userComment } = isJsonObject(overrideReason) ? overrideReason : {};
  return {
    card: card.toLowerCase(),
    outcome,
    at,
    acceptedSuggestions: outcome === 'accepted' ? accepted.filter((id) => id !== undefined) : [],
    reason: outcome === 'overridden' ? codingOf(reason) : undefined,
    comment: typeof userComment === 'string' && userComment !== '' ? userComment.slice(0, LONGEST_COMMENT) : undefined,
  };
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;
const instantOf = (text: string): number | undefined => (INSTANT.test(text) ? intervalOf(text)?.low : undefined);

function idOf(suggestion: Json): string | undefined {
  const id = isJsonObject(suggestion) ? suggestion.id : undefined;
  return typeof id === 'string' && UUID.test(id) ? id.toLowerCase() : undefined;
}

function codingOf(reason: Json | undefined): Feedback['reason'] {
  if (!isJsonObject(reason) || typeof reason.code !== 'string' || reason.code === '') return undefined;
  const { system, display, code } = reason;
  return {
    system: typeof system === 'string' ? system : '',
    code,
    display: typeof display === 'string' && display !== '' ? display : undefined,
  };
}

export const FEEDBACK = {
  category: { system: 'https://firewatch.example/CodeSystem/cds', code: 'cds-feedback', display: 'CDS feedback' },
  card: 'https://firewatch.example/identifier/cds-card',
  extension: 'https://firewatch.example/StructureDefinition/cds-feedback',
} as const;

/** Who gave it and what became of the card, beside the item itself. */
export interface FeedbackContext {
  readonly service: string;
  readonly client: string;
  /** Undefined for a card that is not known (any more): kept all the same, as an orphan. */
  readonly record: DecisionRecord | undefined;
  /** The patient is held in our own store. */
  readonly isHeld: boolean;
}

/** The same feedback sent twice is one resource. */
export function feedbackId({ card, outcome, at }: Feedback, { client, service }: FeedbackContext): string {
  const name = JSON.stringify([client, service, card, outcome, at]);
  return `cds-feedback-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`;
}

/** An item of feedback as a Communication from the user to this server about a card. */
export function feedbackResource(item: Feedback, context: FeedbackContext): Resource {
  const { service, record, client } = context;
  const card = record?.cards.find(({ uuid }) => uuid === item.card);
  const model = record?.model;
  const parts: readonly (readonly [url: string, value: JsonObject | undefined])[] = [
    ['outcome', { valueCode: item.outcome }],
    ['service', { valueString: service }],
    ['client', { valueString: client }],
    ['model', model && { valueString: `${model.id}|${model.version}` }],
    ['fact', card && { valueString: card.key }],
    ['orphan', record === undefined ? { valueBoolean: true } : undefined],
    ...item.acceptedSuggestions.map(
      (id) =>
        [
          card === undefined || card.suggestions.includes(id) ? 'accepted' : 'accepted-unknown',
          { valueUuid: `urn:uuid:${id}` },
        ] as const,
    ),
  ];
  const { reason, comment } = item;
  return {
    resourceType: 'Communication',
    id: feedbackId(item, context),
    extension: [
      {
        url: FEEDBACK.extension,
        extension: parts.flatMap(([url, value]) => (value === undefined ? [] : [{ url, ...value }])),
      },
    ],
    identifier: [{ system: FEEDBACK.card, value: item.card }],
    status: 'completed',
    category: [{ coding: [FEEDBACK.category] }],
    ...(record === undefined ? {} : peopleOf(record, context.isHeld)),
    sent: instantText(item.at),
    ...(card === undefined ? {} : { topic: { coding: [{ ...card.card.source.topic }] } }),
    ...(reason === undefined ? {} : { reasonCode: [{ coding: [codingText(reason)] }] }),
    ...(comment === undefined ? {} : { note: [{ text: comment }] }),
  };
}

function codingText({ system, code, display }: NonNullable<Feedback['reason']>): JsonObject {
  return { ...(system === '' ? {} : { system }), code, ...(display === undefined ? {} : { display }) };
}

/** Literal references only to what is held here: another server's Patient/1 is not ours. */
function peopleOf({ patient, user, encounter, fhirServer }: DecisionRecord, isHeld: boolean): JsonObject {
  const logical = (type: string, value: string): JsonObject => ({
    type,
    identifier: { ...(fhirServer === undefined ? {} : { system: fhirServer }), value },
  });
  const [, userType = ''] = /(?:^|\/)([A-Za-z]+)\/[^/]+$/.exec(user ?? '') ?? [];
  return {
    subject: isHeld ? { reference: `Patient/${patient}` } : logical('Patient', `Patient/${patient}`),
    ...(encounter === undefined ? {} : { encounter: logical('Encounter', `Encounter/${encounter}`) }),
    ...(user === undefined ? {} : { sender: logical(userType, relativeOf(user) ?? user) }),
  };
}
