/**
 * The daily run: every definition's days up to yesterday of the site, each judged once, and days that were corrected again. What is done is a
 * cursor that is committed with the day's counts, so a run that was killed goes on where it was.
 */
import type { Command } from '../store/port.ts';
import { correctedSince, correctionsOf } from './correction.ts';
import { cursorKey, FEED_KEY, SPACE } from './count-book.ts';
import type { Definition } from './definition.ts';
import { evaluate, type Site } from './evaluate.ts';
import { type Day, dayOf, daysFrom, earliest, latest, plusDays } from './site-day.ts';

export interface DailyHooks {
  /** Days judged of all that are to be judged. */
  progress?(done: number, total: number): void;
  /** A definition whose days could not be judged; the others go on, and the next run tries again. */
  failed(error: unknown): void;
}

interface Due {
  readonly definition: Definition;
  readonly days: readonly Day[];
}

/** @returns days that were judged; 0 when nothing was due */
export async function runDaily(definitions: Iterable<Definition>, site: Site, hooks: DailyHooks): Promise<number> {
  const { store, ambient } = site.door.context;
  const today = dayOf(ambient.now(), site.zone);
  const all = [...definitions];
  const until = await store.latestSequence();
  const feed = (await store.keyed(SPACE, FEED_KEY))?.value;
  const from = correctedSince(today);
  const corrected = await correctionsOf(
    feed === undefined ? [] : all,
    { after: Number(feed ?? until), until },
    from,
    plusDays(today, -1),
    site,
  );
  const due: Due[] = [];
  for (const definition of all) {
    const cursor = (await store.keyed(SPACE, cursorKey(definition)))?.value;
    due.push({ definition, days: daysDue(cursor, corrected.get(definition.id), today) });
  }
  const total = due.reduce((sum, { days }) => sum + days.length, 0);
  let done = 0;
  let isWhole = true;
  hooks.progress?.(done, total);
  for (const each of due) {
    try {
      await judged(each, site, () => {
        done++;
        hooks.progress?.(done, total);
      });
    } catch (error) {
      isWhole = false;
      hooks.failed(error);
    }
  }
  if (isWhole) await remember(feed, until, site);
  return done;
}

/** From the first that was corrected, or the first that is not judged yet, to yesterday. The first run begins with yesterday. */
function daysDue(cursor: Day | undefined, corrected: Day | undefined, today: Day): readonly Day[] {
  const yesterday = plusDays(today, -1);
  const next = cursor === undefined ? yesterday : plusDays(cursor, 1);
  return daysFrom(latest(correctedSince(today), earliest(next, corrected ?? next)), yesterday);
}

async function judged({ definition, days }: Due, site: Site, onDay: () => void): Promise<void> {
  const [from] = days;
  const to = days.at(-1);
  if (from === undefined || to === undefined) return;
  const key = cursorKey(definition);
  const also = async (day: Day): Promise<readonly Command[]> => {
    const held = (await site.door.context.store.keyed(SPACE, key))?.value;
    if (held !== undefined && day <= held) return [];
    return [{ op: 'set', space: SPACE, key, value: day, expect: held ?? null }];
  };
  await evaluate({ definition, from, to, also, onDay }, site);
}

/** Two runs at once: the one that is behind leaves what the other has kept. */
async function remember(feed: string | undefined, until: number, { door }: Site): Promise<void> {
  const set = { op: 'set', space: SPACE, key: FEED_KEY, value: String(until), expect: feed ?? null } as const;
  await door.context.store.commit({ commands: [set], audit: [] });
}
