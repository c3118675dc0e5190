/** A card as it goes out. Source: CDS Hooks 2.0.1 "Card Attributes". */
import { hash } from 'node:crypto';
import type { Resource } from '../../fhir/resource.ts';

export type Indicator = 'info' | 'warning' | 'critical';

export interface Coding {
  readonly system: string;
  readonly code: string;
  readonly display: string;
}
export interface Action {
  readonly type: 'create' | 'update' | 'delete';
  readonly description: string;
  readonly resource?: Resource;
  /** `Type/id` as received; only for delete. */
  readonly resourceId?: string;
}
export interface Suggestion {
  readonly label: string;
  readonly uuid: string;
  readonly isRecommended?: boolean;
  readonly actions: readonly Action[];
}
export interface Link {
  readonly label: string;
  readonly url: string;
  readonly type: 'absolute' | 'smart';
  readonly appContext?: string;
}
export interface Card {
  readonly uuid: string;
  readonly summary: string;
  readonly detail: string;
  readonly indicator: Indicator;
  readonly source: { readonly label: string; readonly url?: string; readonly topic: Coding };
  readonly suggestions?: readonly Suggestion[];
  readonly selectionBehavior?: 'at-most-one' | 'any';
  readonly overrideReasons?: readonly Coding[];
  readonly links?: readonly Link[];
}

/** score: from a model; finding: from drug knowledge; withheld: a finding that may not be named; notice: says that something could not be judged. */
export type CardKind = 'score' | 'finding' | 'withheld' | 'notice';

export interface BuiltCard {
  readonly kind: CardKind;
  /** Stable for the same fact: order within an indicator. */
  readonly key: string;
  /** Keys of the other facts of the same harm that it tells. */
  readonly further?: readonly string[];
  /** Shown whatever the service's limit leaves out. */
  readonly isAlwaysShown?: true;
  /** 0 to 1: the higher goes first within an indicator; absent is 0. */
  readonly priority?: number | undefined;
  /** Digest of all that the statement rests on; absent when no override may silence it. */
  readonly overridable?: string;
  /** `Type/id` of the orders that it is about, as received. */
  readonly about?: readonly string[];
  readonly card: Card;
}

const RANK = { critical: 0, warning: 1, info: 2 } as const satisfies Record<Indicator, number>;

/** The milder of two indicators. */
export function milder(one: Indicator, other: Indicator): Indicator {
  return RANK[one] > RANK[other] ? one : other;
}

/** critical before warning before info. */
export const compareIndicators = (one: Indicator, other: Indicator): number => RANK[one] - RANK[other];

/** critical before warning before info; then by key, so that the same facts give the same order. */
export function inOrder(cards: readonly BuiltCard[]): readonly BuiltCard[] {
  return cards.toSorted(
    (one, other) =>
      compareIndicators(one.card.indicator, other.card.indicator) ||
      (other.priority ?? 0) - (one.priority ?? 0) ||
      (one.key < other.key ? -1 : one.key > other.key ? 1 : 0),
  );
}

/**
 * The UUID of a fact within one hook instance (RFC 9562 version 5, namespace = hookInstance): the same call gives the same card uuids.
 * @param hookInstance a UUID in text form
 */
export function factUuid(hookInstance: string, service: string, key: string): string {
  const namespace = Buffer.from(hookInstance.replaceAll('-', ''), 'hex');
  const bytes = hash('sha1', Buffer.concat([namespace, Buffer.from(`${service}\n${key}`)]), 'buffer').subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
