/**
 * Overrides that are remembered: what a user overrode for an order is not told to the same user again when the order is signed, as long as
 * nothing that it rests on has changed. Contraindications are always told. Source: docs/cds-hooks.md#cards; docs/alert-burden.md.
 */
import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import type { Command, ResourceStore } from '../../store/port.ts';
import type { DecisionRecord } from '../basis/decision-record.ts';
import type { BuiltCard } from '../cards/card.ts';
import { relativeOf } from '../hook/subject.ts';
import type { Feedback } from './feedback.ts';

/** Whose memory it is: ids of one client's users and patients mean nothing for another's. */
export interface Reminded {
  readonly client: string;
  readonly fhirServer: string | undefined;
  readonly user: string | undefined;
  readonly patient: string;
  readonly service: string;
  readonly hookInstance: string;
}

export interface OverrideMemory {
  /** What must be committed for an override of a card of this record; undefined when there is nothing to remember. `now` in ms since 1970. */
  command(item: Feedback, record: DecisionRecord, now: number): Command | undefined;
  /** The cards that are still to be told, in their order. */
  untold(
    cards: readonly BuiltCard[],
    who: Reminded,
    store: Pick<ResourceStore, 'keyed'>,
    now: number,
  ): Promise<readonly BuiltCard[]>;
}

const SPACE = 'cds.override';
/** Cards that are looked up in one call; further ones are told. */
const MOST_LOOKED_UP = 100;

/**
 * Names and values in the store are keyed digests: they hold nothing that can be read or guessed without the secret.
 * @param forMs how long an override is remembered, from its time on; 0: nothing is
 */
export function overrideMemory(secret: Uint8Array, forMs: number): OverrideMemory {
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', 'firewatch override memory', 32)));
  const digest = (...parts: readonly (string | undefined)[]): string =>
    createHmac('sha256', key)
      .update(JSON.stringify(parts.map((part) => part ?? '')))
      .digest('base64url');
  const nameOf = ({ client, fhirServer, user = '', patient }: Reminded, fact: string): string =>
    digest(client, fhirServer, relativeOf(user) ?? user, patient, fact);
  return {
    command: (item, record, now) => {
      const card = record.cards.find(({ uuid }) => uuid === item.card);
      const expiresAt = Math.min(item.at, now) + forMs;
      if (item.outcome !== 'overridden' || card?.overridable === undefined || !record.user || expiresAt <= now) {
        return undefined;
      }
      const value = `${digest(card.overridable)} ${digest(record.service, record.hookInstance)}`;
      return { op: 'set', space: SPACE, key: nameOf(record, card.key), value, expiresAt };
    },
    untold: async (cards, who, store, now) => {
      if (forMs === 0 || !who.user) return cards;
      const asked = new Set(cards.filter(({ overridable }) => overridable !== undefined).slice(0, MOST_LOOKED_UP));
      const told = await Promise.all(
        cards.map(async (card) => {
          if (card.overridable === undefined || !asked.has(card)) return true;
          const kept = await store.keyed(SPACE, nameOf(who, card.key));
          if (kept === undefined || (kept.expiresAt ?? 0) <= now) return true;
          const [inputs, call] = kept.value.split(' ');
          // The call that was overridden may be sent again: it gets the answer that it had.
          return inputs !== digest(card.overridable) || call === digest(who.service, who.hookInstance);
        }),
      );
      return cards.filter((_card, index) => told[index] === true);
    },
  };
}
