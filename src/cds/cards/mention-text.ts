/** A drug as cards name it: as written, what it contains, its state and date. */
import type { DrugMention } from '../../risk/drugs/finding.ts';
import { dateText, escaped } from './plain-text.ts';

const STATE_TEXT = {
  draft: 'being ordered',
  active: 'current',
  washout: 'stopped, effect may last',
} as const satisfies Record<DrugMention['state'], string>;

/** As a line of a list. */
export const mentionLine = (mention: DrugMention): string => `- ${mentionText(mention)}`;

export function mentionText({ display, ingredients, state, at, stale }: DrugMention): string {
  const contains = ingredients.filter((ingredient) => !display.toLowerCase().includes(ingredient.toLowerCase()));
  const contents = contains.length === 0 ? '' : ` (${contains.map((name) => escaped(name)).join(', ')})`;
  const date = at !== undefined ? `, ${dateText(at)}` : state === 'draft' ? '' : ', no date';
  return `${escaped(display, 90)}${contents}: ${STATE_TEXT[state]}${date}${stale === true ? ' (over a year old: may not be taken any more)' : ''}`;
}
