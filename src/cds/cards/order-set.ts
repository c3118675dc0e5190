/** Drafts that a published score offers: what is due by the record, each alone and all together. Never from a trained model, never a drug. Source: CDS Hooks 2.0.1 "Suggestion". */

import type { DueOutput, OrderSet, ScoresEngine } from '../services/service.ts';
import { type Card, factUuid, type Suggestion } from './card.ts';
import type { Frame } from './frame.ts';
import { LABEL_LIMIT } from './lint.ts';
import { plain } from './plain-text.ts';
import type { Scored } from './score-card.ts';
import { type People, testOrder } from './suggestion.ts';

type Item = OrderSet['items'][number];

export interface Offered extends Pick<Card, 'suggestions' | 'selectionBehavior'> {
  /** Paragraphs for the detail; empty when the score is in none of the bands. */
  readonly text: readonly string[];
}

/** What is due while the score that the set names is in one of its bands. */
export function offeredOrders(frame: Frame, { orders }: ScoresEngine, scored: readonly Scored[]): Offered {
  const met = scored.find(({ manifest }) => manifest.id === orders?.model)?.assessment;
  if (orders === undefined || met?.outsidePopulation !== undefined || !orders.bands.includes(met?.band ?? '')) {
    return { text: [] };
  }
  const holds = ({ model, output }: DueOutput) => {
    const answer = scored.find(({ manifest }) => manifest.id === model)?.assessment;
    return answer?.outsidePopulation === undefined && answer?.outputs[output] === 1;
  };
  const due = orders.items.filter(({ when }) => holds(when));
  const cautioned = ({ caution }: Item) => (caution !== undefined && holds(caution) ? caution.text : undefined);
  const lines = due.map((item) => {
    const caution = cautioned(item);
    return `- ${item.label}: ${item.timing}${caution === undefined ? '' : `. **Caution:** ${caution}`}`;
  });
  const nothing = 'nothing that the record does not show already.';
  return {
    text: [
      `**${orders.title}, due by the record:**${lines.length === 0 ? ` ${nothing}` : `\n\n${lines.join('\n')}`}`,
      ...(orders.notes ?? []),
    ],
    ...suggestionsFor(frame, orders, due, cautioned),
  };
}

function suggestionsFor(
  frame: Frame,
  { title, model }: OrderSet,
  due: readonly Item[],
  cautioned: (item: Item) => string | undefined,
): Pick<Card, 'suggestions' | 'selectionBehavior'> {
  const { people, hookInstance, service } = frame;
  const suggestions = due.map((item): Suggestion => {
    const caution = cautioned(item);
    return {
      label: plain(`Draft: ${item.label}${caution === undefined ? '' : ' (caution)'}`, LABEL_LIMIT),
      uuid: factUuid(hookInstance, service.id, `order ${model} ${item.id}`),
      actions: [
        {
          type: 'create',
          description: plain(
            `Drafts ${item.label}: ${item.timing}${caution === undefined ? '' : `. Caution: ${caution}`}.`,
            300,
          ),
          resource: draftOf(
            people,
            item,
            `${item.timing}${caution === undefined ? '' : `. Caution: ${caution}`}; ${title}`,
          ),
        },
      ],
    };
  });
  const valid = suggestions.filter(({ actions }) =>
    actions.every(({ resource }) => resource === undefined || frame.isValid(resource)),
  );
  return valid.length === 0 ? {} : { suggestions: valid, selectionBehavior: 'any' };
}

const draftOf = (people: People, { coding }: Item, note: string) => testOrder(people, coding, note);
