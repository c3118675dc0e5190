/** Synthetic patients of seed-data/ into the store, through the door like anyone's data. Their instants are moved so that "now" of a file is now. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../commands/progress.ts';
import { instantText } from '../fhir/time.ts';
import { FOLDERS } from '../folders.ts';
import { localFacts } from '../rest/permission/caller.ts';
import type { System } from '../system.ts';

/** An instant with time and zone; dates without time (birth dates, onsets in years) stay as they are. */
const INSTANT = /"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2}))"/g;

/** Vitals older than this are moved again at the next start, so that the demonstration keeps working. */
const STALE_MS = 12 * 3_600_000;

/**
 * Moves every instant of a bundle's text by the distance from its `timestamp` to `now`.
 * @param text a transaction Bundle with `timestamp`, the instant its story is told at
 */
export function moveToNow(text: string, now: number): string {
  const timestamp = /"timestamp":\s*"([^"]+)"/.exec(text)?.[1];
  if (timestamp === undefined) return text;
  const shift = now - Date.parse(timestamp);
  return text.replace(INSTANT, (_whole, instant: string) => `"${instantText(Date.parse(instant) + shift)}"`);
}

/** True when the demonstration data must be loaded: the store is empty, an earlier load was cut off, or its vitals are stale. */
export async function needsSeed(system: System): Promise<boolean> {
  const marker = join(system.config.DATA_DIR, 'seed.json');
  if (existsSync(marker)) {
    const { state, at } = JSON.parse(readFileSync(marker, 'utf8')) as { state: string; at: number };
    return state !== 'done' || system.ambient.now() - at > STALE_MS;
  }
  return (await system.store.history({}, { count: 1 })).matches.length === 0;
}

/**
 * Loads every bundle of seed-data/; repeatable, since the bundles use fixed ids (PUT).
 * @throws Error naming the file and the first issue when a bundle is refused
 */
export async function seed(system: System, progress: Progress): Promise<number> {
  const marker = join(system.config.DATA_DIR, 'seed.json');
  const files = readdirSync(FOLDERS.seedData)
    .filter((name) => name.endsWith('.json'))
    .toSorted();
  const now = system.ambient.now();
  writeFileSync(marker, JSON.stringify({ state: 'loading', at: now }));
  for (const [index, name] of files.entries()) {
    progress(index, files.length);
    const body = moveToNow(readFileSync(join(FOLDERS.seedData, name), 'utf8'), now);
    const wire = {
      method: 'POST',
      path: '/',
      query: '',
      headers: { 'content-type': 'application/fhir+json', prefer: 'return=minimal' },
      body,
    };
    const response = await system.answerHeavy(wire, localFacts(system.ambient.newId(), '127.0.0.1'));
    if (response.status !== 200)
      throw new Error(`seed-data/${name} is refused with ${response.status}: ${response.body?.slice(0, 500)}`);
  }
  progress(files.length, files.length);
  writeFileSync(marker, JSON.stringify({ state: 'done', at: now }));
  return files.length;
}
