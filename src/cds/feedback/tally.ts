/** What became of cards, counted: rates per service, model version, reason and fact, with the cards that were shown as denominator. Source: 45 CFR 170.315(b)(11). */
import type { Indicator } from '../cards/card.ts';

/** One card that was shown, and what its user did with it, as far as is known. */
export interface Told {
  readonly service: string;
  /** `id|version` of what it stood on. */
  readonly model: string;
  readonly fact: string;
  readonly indicator: Indicator;
  /** Who answers for its content. */
  readonly source: string;
  /** ms since 1970. */
  readonly at: number;
  readonly user: string | undefined;
  /** Where: the client's FHIR base, or its name. */
  readonly location: string;
  /** In the order of their time. */
  readonly feedback: readonly GivenFeedback[];
}
export interface GivenFeedback {
  readonly outcome: 'accepted' | 'overridden';
  /** As it was sent, an instant. */
  readonly at: string;
  readonly reason: { readonly system: string; readonly code: string; readonly display: string } | undefined;
  /** Free text: PHI. */
  readonly comment: string | undefined;
}

interface Counts {
  readonly cards: number;
  readonly accepted: number;
  readonly overridden: number;
}
export interface ReportGroup extends Counts {
  readonly service: string;
  readonly model: string;
  /** Of all cards shown, 0 to 1, four decimals. */
  readonly acceptanceRate: number;
  readonly overrideRate: number;
  readonly reasons: readonly { readonly system: string; readonly code: string; readonly count: number }[];
  readonly facts: readonly (Counts & { readonly fact: string; readonly indicator: Indicator })[];
}

/** A card counts once, by the last that was said about it. */
export function tally(cards: readonly Told[]): readonly ReportGroup[] {
  const groups = Map.groupBy(cards, ({ service, model }) => JSON.stringify([service, model]));
  return [...groups.values()].map((group) => {
    const counts = countsOf(group);
    const facts = Map.groupBy(group, ({ fact, indicator }) => `${indicator} ${fact}`);
    return {
      service: group[0]?.service ?? '',
      model: group[0]?.model ?? '',
      ...counts,
      acceptanceRate: rate(counts.accepted, counts.cards),
      overrideRate: rate(counts.overridden, counts.cards),
      reasons: reasonsOf(group),
      facts: [...facts.values()]
        .map((of) => ({ fact: of[0]?.fact ?? '', indicator: of[0]?.indicator ?? 'info', ...countsOf(of) }))
        .toSorted((one, other) => other.cards - one.cards),
    };
  });
}

/** Facts of one group that are told apart; what is beyond is counted as `others`. */
const MOST_FACTS = 2000;

/** Counts of two lots of cards as if they had been tallied together; no card may be in both. */
export function together(one: readonly ReportGroup[], other: readonly ReportGroup[]): readonly ReportGroup[] {
  const groups = Map.groupBy([...one, ...other], ({ service, model }) => JSON.stringify([service, model]));
  return [...groups.values()].map((group) => {
    const { service = '', model = '' } = group[0] ?? {};
    const counts = summed(group);
    const facts = Map.groupBy(
      group.flatMap((each) => each.facts),
      ({ fact, indicator }) => `${indicator} ${fact}`,
    );
    const reasons = Map.groupBy(
      group.flatMap((each) => each.reasons),
      ({ system, code }) => JSON.stringify([system, code]),
    );
    return {
      service,
      model,
      ...counts,
      acceptanceRate: rate(counts.accepted, counts.cards),
      overrideRate: rate(counts.overridden, counts.cards),
      reasons: [...reasons.values()].map((of) => ({
        system: of[0]?.system ?? '',
        code: of[0]?.code ?? 'none',
        count: of.reduce((sum, { count }) => sum + count, 0),
      })),
      facts: bounded(
        [...facts.values()]
          .map((of) => ({ fact: of[0]?.fact ?? '', indicator: of[0]?.indicator ?? 'info', ...summed(of) }))
          .toSorted((a, b) => b.cards - a.cards),
      ),
    };
  });
}

function bounded(facts: ReportGroup['facts']): ReportGroup['facts'] {
  if (facts.length <= MOST_FACTS) return facts;
  return [
    ...facts.slice(0, MOST_FACTS - 1),
    { fact: 'others', indicator: 'info', ...summed(facts.slice(MOST_FACTS - 1)) },
  ];
}

function summed(counts: readonly Counts[]): Counts {
  const of = (name: keyof Counts) => counts.reduce((sum, each) => sum + each[name], 0);
  return { cards: of('cards'), accepted: of('accepted'), overridden: of('overridden') };
}

const last = ({ feedback }: Told): GivenFeedback | undefined => feedback.at(-1);
const rate = (part: number, whole: number): number => (whole === 0 ? 0 : Number((part / whole).toFixed(4)));

function countsOf(cards: readonly Told[]): Counts {
  const with_ = (outcome: GivenFeedback['outcome']) => cards.filter((card) => last(card)?.outcome === outcome).length;
  return { cards: cards.length, accepted: with_('accepted'), overridden: with_('overridden') };
}

function reasonsOf(cards: readonly Told[]): ReportGroup['reasons'] {
  const overridden = cards.map(last).filter((given) => given?.outcome === 'overridden');
  const groups = Map.groupBy(overridden, (given) =>
    JSON.stringify([given?.reason?.system ?? '', given?.reason?.code ?? 'none']),
  );
  return [...groups.values()].map((group) => {
    const { system = '', code = 'none' } = group[0]?.reason ?? {};
    return { system, code, count: group.length };
  });
}

/** The fact without the orders of the call, so that the same fact of two patients is one. */
export const factOf = (key: string): string =>
  key
    .split(' ')
    .filter((part) => !/[/[]|^urn:/.test(part))
    .join(' ');

/** What 170.315(b)(11) wants exported, one row for each thing said about a card; a card about which nothing was said is one row. */
export const EXPORTED = ['intervention', 'action', 'feedback', 'user', 'date', 'location'] as const;
export type ExportRow = Readonly<Record<(typeof EXPORTED)[number], string>>;

export function exportRows(card: Told): readonly ExportRow[] {
  const { service, model, fact, user = '', location, at, feedback } = card;
  const common = { intervention: `${service} ${model} ${fact}`, user, location };
  if (feedback.length === 0) return [{ ...common, action: 'none', feedback: '', date: new Date(at).toISOString() }];
  return feedback.map(({ outcome, at: date, reason, comment = '' }) => {
    const said = [reason === undefined ? '' : `${reason.system}|${reason.code} ${reason.display}`.trim(), comment];
    return { ...common, action: outcome, feedback: said.filter((part) => part !== '').join('; '), date };
  });
}
