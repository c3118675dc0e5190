/**
 * Cards -> the body that one kind of client can read: THE table of client profiles. `generic` is the specification and loses nothing.
 * Source: CDS Hooks 2.0.1 "CDS Service Response"; the public sandbox's source; Epic's public tutorials (second hand); Da Vinci CRD 2.0.1.
 */

import type { ClientProfile } from '../clients/client.ts';
import type { Hook } from '../hook/hooks.ts';
import type { Action, BuiltCard, Card, Coding, Suggestion } from './card.ts';
import { singleActions } from './single-action.ts';

/** What is to be said, before it is shaped. */
export interface HookAnswer {
  readonly cards: readonly BuiltCard[];
  readonly systemActions: readonly Action[];
}
/** A card with what a profile adds. */
type SentCard = Omit<Card, 'links' | 'suggestions'> &
  Partial<Pick<Card, 'links'>> & {
    readonly suggestions?: readonly SentSuggestion[];
    readonly extension?: Readonly<Record<string, unknown>>;
  };
/** The 3.0 ballot says how many of a suggestion's actions are meant; ours are always meant together. */
type SentSuggestion = Suggestion & { readonly actionSelectionBehavior?: 'all' };
export interface HookBody {
  readonly cards: readonly SentCard[];
  readonly systemActions?: readonly Action[];
  readonly extension?: { readonly systemActions: readonly Action[] };
}

type Shape = (answer: HookAnswer, hook: Partial<Hook>) => HookBody;

const generic: Shape = ({ cards, systemActions }) => ({
  cards: cards.map(({ card }) => card),
  ...(systemActions.length === 0 ? {} : { systemActions }),
});

const SHAPES = {
  generic,
  /** It reads system actions below `extension` only. */
  sandbox: (answer, hook) => ({
    ...generic(answer, hook),
    ...(answer.systemActions.length === 0 ? {} : { extension: { systemActions: answer.systemActions } }),
  }),
  epic: ({ cards, systemActions }) => {
    const supported = systemActions.filter(
      ({ type, resource }) => type === 'update' && resource?.resourceType === 'ServiceRequest',
    );
    return {
      cards: cards.map(({ card }) => epicCard(card)),
      ...(supported.length === 0 ? {} : { systemActions: supported }),
    };
  },
  /** The list of system actions exists for the hooks that CRD names, also when it is empty. */
  crd: ({ cards, systemActions }, { hasSystemActions = false }) => ({
    cards: cards.map(crdCard),
    ...(systemActions.length > 0 || hasSystemActions ? { systemActions } : {}),
  }),
} as const satisfies Record<ClientProfile, Shape>;

/** Who reads the body. */
export interface Reading {
  readonly profile: ClientProfile;
  /** Known to read what the 3.0 ballot adds to suggestions. */
  readonly hooks3: boolean;
}

/** The body for a client. @param hook its row of the table of hooks; {} when there is none */
export function shaped({ profile, hooks3 }: Reading, answer: HookAnswer, hook: Partial<Hook> = {}): HookBody {
  const body = SHAPES[profile](answer, hook);
  return hooks3 ? { ...body, cards: body.cards.map(withSelection) } : body;
}

/** Of one action there is nothing to choose. */
function withSelection(card: SentCard): SentCard {
  const { suggestions } = card;
  if (suggestions === undefined) return card;
  return {
    ...card,
    suggestions: suggestions.map((one) =>
      one.actions.length > 1 ? { ...one, actionSelectionBehavior: 'all' as const } : one,
    ),
  };
}

/** How many suggestions the body has lost: said in the AuditEvent. */
export function suggestionsLost({ cards }: HookAnswer, body: HookBody): number {
  const uuids = (each: readonly { readonly suggestions?: readonly Suggestion[] }[]) =>
    each.flatMap(({ suggestions = [] }) => suggestions.map(({ uuid }) => uuid));
  const sent = new Set(uuids(body.cards));
  return uuids(cards.map(({ card }) => card)).filter((uuid) => !sent.has(uuid)).length;
}

/** One action a suggestion, `any`, topic codes of letters and digits. */
function epicCard({ suggestions = [], selectionBehavior: _behavior, source, ...card }: Card): SentCard {
  const single = suggestions.flatMap(singleActions);
  return {
    ...card,
    source: { ...source, topic: plainCode(source.topic) },
    ...(single.length === 0 ? {} : { suggestions: single, selectionBehavior: 'any' }),
  };
}

const plainCode = (topic: Coding): Coding => ({ ...topic, code: topic.code.replaceAll(/[^A-Za-z0-9]/g, '') });

/** Names the orders that the card is about. A notice without suggestions is CRD's "Instructions": it has no links. */
function crdCard({ kind, card, about = [] }: BuiltCard): SentCard {
  const { links, ...rest } = card;
  return {
    ...rest,
    ...(links === undefined || (kind === 'notice' && card.suggestions === undefined) ? {} : { links }),
    ...(about.length === 0 ? {} : { extension: { 'davinci-crd.associated-resource': about } }),
  };
}
