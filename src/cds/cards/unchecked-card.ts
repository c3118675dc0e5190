/** Notices of what the drug check could not say: silence about an order means that it was checked. Source: docs/decisions/0035-hazards-and-quiet.md. */
import type { DrugSafety } from '../../risk/drugs/finding.ts';
import type { DraftOrder } from '../hook/draft-orders.ts';
import type { BuiltCard } from './card.ts';
import { type Frame, framed } from './frame.ts';
import { mentionLine } from './mention-text.ts';
import { escaped } from './plain-text.ts';
import { drugName } from './suggestion.ts';

export type Checked = ReturnType<DrugSafety['check']>;

/** The order that was received under this name. */
export const byReceived = (orders: ReadonlyMap<string, DraftOrder>, source: string) =>
  [...orders.values()].find(({ reference }) => reference === source);

/** Says how many findings have no card of their own. */
export function unbuiltCard(frame: Frame, more: number): readonly BuiltCard[] {
  if (more <= 0) return [];
  const summary = `${more} further findings have no card: too many orders at once`;
  const detail = ['They are at most as severe as those with a card. Fewer orders at once show all of them.'];
  const notice = framed(frame, { kind: 'notice', key: 'unbuilt', indicator: 'info', summary, detail, links: [] });
  return [{ isAlwaysShown: true, ...notice }];
}

/** Most names of orders in one notice. */
const MOST_NAMED = 10;

/** One notice for all selected orders that time or number left unchecked. Said by every service: silence would mean that they were checked. */
export function lateCard(
  frame: Frame,
  { late = [], beyond = 0 }: Checked,
  selected: ReadonlyMap<string, DraftOrder>,
): readonly BuiltCard[] {
  const left = late.filter(({ source }) => selected.has(source) || byReceived(selected, source) !== undefined);
  if (left.length === 0 && (beyond === 0 || selected.size === 0)) return [];
  const rest = left.length - MOST_NAMED;
  const what = left.length === 0 ? `${beyond} current drugs` : `${left.length} order${left.length === 1 ? '' : 's'}`;
  return [
    {
      isAlwaysShown: true,
      ...framed(frame, {
        kind: 'notice',
        key: 'late',
        indicator: 'info',
        summary: `Not checked: ${what}, too many to check in time`,
        detail: [
          ...(left.length === 0 ? [] : [left.slice(0, MOST_NAMED).map(mentionLine).join('\n')]),
          ...(rest > 0 ? [`And ${rest} more.`] : []),
          ...(beyond === 0 ? [] : [`With ${beyond} further current drugs nothing was compared.`]),
          'The absence of other cards about them does not mean that there is no hazard.',
        ],
        links: [],
      }),
    },
  ];
}

/** One notice for all selected orders whose dose nothing could be said about: one line each. */
export function undosedCard(
  frame: Frame,
  { undosed = [] }: Checked,
  selected: ReadonlyMap<string, DraftOrder>,
): readonly BuiltCard[] {
  const left = undosed.filter(({ draft: { source } }) => selected.has(source) || byReceived(selected, source));
  const [first] = left;
  if (first === undefined || frame.service.whenIncomplete === 'silent') return [];
  const rest = left.length - MOST_NAMED;
  const what = left.length === 1 ? drugName(first.draft) : `${left.length} orders`;
  const lines = left
    .slice(0, MOST_NAMED)
    .map(({ draft, reason }) => `- ${escaped(draft.display, 90)}: ${escaped(reason, 120)}`);
  return [
    framed(frame, {
      kind: 'notice',
      key: 'undosed',
      indicator: 'info',
      summary: `Dose not checked: ${what}`,
      detail: [
        [...lines, ...(rest > 0 ? [`- and ${rest} more`] : [])].join('\n'),
        'The tables hold ceilings for these drugs. Everything else about the orders was checked.',
      ],
      links: [],
    }),
  ];
}

/** One notice for each selected order that no table knows: about every other order silence means that it was checked. */
export function uncheckedCards(
  frame: Frame,
  { unchecked = [] }: Checked,
  selected: ReadonlyMap<string, DraftOrder>,
): readonly BuiltCard[] {
  if (frame.service.whenIncomplete === 'silent') return [];
  return unchecked
    .filter(({ draft }) => selected.has(draft.source) || byReceived(selected, draft.source) !== undefined)
    .map(({ draft, reason }) =>
      framed(frame, {
        kind: 'notice',
        key: `unchecked ${draft.source}`,
        indicator: 'info',
        summary: `Not checked: ${drugName(draft)}`,
        detail: [
          mentionLine(draft),
          `${escaped(reason, 400)} The absence of other cards about it does not mean that there is no hazard.`,
        ],
        links: [],
      }),
    );
}

/** Says that the check saw less than it needs: unrecognised drugs or a list that was not received. Nothing was selected = nothing to say. */
export function incompleteCard(
  frame: Frame,
  { unresolved: all, unchecked = [] }: Checked,
  { size: orders }: ReadonlyMap<string, DraftOrder>,
): readonly BuiltCard[] {
  const { incomplete } = frame.prefetched;
  const refining = new Set(frame.service.refiningPrefetch);
  const missing = frame.prefetched.missing.filter((key) => !refining.has(key));
  // Draft orders have a notice of their own.
  const told = new Set(unchecked.map(({ draft }) => draft.display));
  const unresolved = all.filter((name) => !told.has(name));
  const gaps = unresolved.length + missing.length + incomplete.length;
  if (frame.service.whenIncomplete === 'silent' || gaps === 0 || orders === 0) return [];
  const what = [
    ...(unresolved.length === 0
      ? []
      : [`${unresolved.length} drug${unresolved.length === 1 ? '' : 's'} not recognised`]),
    ...(missing.length + incomplete.length === 0 ? [] : ['data not received in full']),
  ];
  return [
    framed(frame, {
      kind: 'notice',
      key: 'incomplete',
      indicator: 'info',
      summary: `Medication check is incomplete: ${what.join('; ')}`,
      detail: [...unresolvedNote(unresolved), 'The absence of other cards does not mean that there is no hazard.'],
      links: [],
    }),
  ];
}

/** One notice that the check itself did not answer. */
export function failedCheckCard(frame: Frame, orders: number): readonly BuiltCard[] {
  if (frame.service.whenIncomplete === 'silent' || orders === 0) return [];
  return [
    framed(frame, {
      kind: 'notice',
      key: 'failed',
      indicator: 'info',
      summary: 'Medication check is not available for these orders',
      detail: ['The check did not answer. The absence of other cards does not mean that there is no hazard.'],
      links: [],
    }),
  ];
}

/** Drugs that no table knows, on any card. */
export function unresolvedNote(unresolved: readonly string[]): readonly string[] {
  const names = unresolved.slice(0, 10).map((name) => escaped(name));
  const rest = unresolved.length - names.length;
  return unresolved.length === 0
    ? []
    : [`**Not checked** (drug not recognised): ${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}.`];
}
