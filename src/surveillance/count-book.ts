/**
 * Daily counts and cursors, kept beside the resources (store/port.ts, `set`): a new day costs its own cases, and a baseline is read, not counted.
 * Names of units and numbers only; nothing of a person.
 */
import type { RestContext } from '../rest/context.ts';
import type { Command } from '../store/port.ts';
import type { Algorithm } from './aberration.ts';
import type { Definition } from './definition.ts';
import { type Day, plusDays } from './site-day.ts';
import type { Unit } from './unit.ts';

export const SPACE = 'surveillance';
/** Days are kept so long, ms: longer than any baseline, and a year to look back. */
const KEPT_MS = 400 * 86_400_000;
const PAGE = 200;

export interface KeptDay {
  /** `Definition.countsBy` of the counts; '' for a day that had not ended: its counts are no baseline. */
  readonly by: string;
  /** Units with cases. */
  readonly counts: Readonly<Record<Unit, number>>;
  /** Cases of no known unit. */
  readonly elsewhere: number;
  /** Nothing at all of the sources' types was recorded. */
  readonly isMissing: boolean;
  /** Units that a signal was raised for. */
  readonly raised: Readonly<Record<Unit, readonly Algorithm[]>>;
}

/** Kept days with the text they are kept as, which the next write expects. */
export interface Entry {
  readonly text: string;
  readonly day: KeptDay;
}

const dayKey = ({ id }: Pick<Definition, 'id'>, day: Day): string => `day/${id}/${day}`;
export const cursorKey = ({ id }: Pick<Definition, 'id'>): string => `cursor/${id}`;
/** Sequence of the store up to which corrections are followed. */
export const FEED_KEY = 'feed';

/** Days that are kept, by day. */
export async function keptDays(
  definition: Definition,
  from: Day,
  to: Day,
  { store, ambient }: Pick<RestContext, 'store' | 'ambient'>,
): Promise<ReadonlyMap<Day, Entry>> {
  const found = new Map<Day, Entry>();
  const last = dayKey(definition, to);
  let after: string | undefined = dayKey(definition, plusDays(from, -1));
  while (after !== undefined) {
    const page = await store.keyedPage(SPACE, { after, count: PAGE });
    const inside = page.filter(({ key }) => key <= last);
    // What has expired is nothing, as the next write will find.
    const lasting = inside.filter(({ expiresAt = Number.POSITIVE_INFINITY }) => expiresAt > ambient.now());
    for (const { key, value } of lasting) found.set(key.slice(-10), { text: value, day: JSON.parse(value) as KeptDay });
    after = inside.length === PAGE ? inside.at(-1)?.key : undefined;
  }
  return found;
}

/** Keeps a day; conflicts when another run has kept it meanwhile. */
export function keepDay(
  definition: Definition,
  day: Day,
  kept: KeptDay,
  held: Entry | undefined,
  now: number,
): Command {
  return {
    op: 'set',
    space: SPACE,
    key: dayKey(definition, day),
    value: JSON.stringify(kept),
    expect: held?.text ?? null,
    expiresAt: now + KEPT_MS,
  };
}
