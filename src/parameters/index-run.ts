/**
 * Makes index rows again while requests are answered, in pages. A pass makes the rows of every resource that may be concerned right by the newest
 * parameters, whatever was added, changed or removed, so it may be repeated from any place: what is kept of it is how far it is.
 */
import { parseJson, type Resource } from '../fhir/resource.ts';
import { type HeldState, type IndexState, setState, statesOf } from '../rest/operations/parameter-state.ts';
import type { AttachedStore, IndexedRow } from '../store/engine.ts';
import type { IndexEnd } from '../threads/index-thread.ts';
import type { LiveContext } from './live-context.ts';

export interface IndexTools {
  readonly store: Pick<AttachedStore, 'keyedPage' | 'commit' | 'indexPage' | 'remake'>;
  readonly live: LiveContext;
  /** Resources looked at a page: the writer works on those that are concerned at one time. */
  readonly page: number;
  /** Pages between two places that are kept; after a crash as many are made again. */
  readonly pagesPerPlace: number;
  /** True when it is to stop where it is. */
  stopped(): boolean;
  /** Between two pages: lets others work. */
  pause(): Promise<void>;
  /** `finished`: all rows of these are made, or gone. */
  say(keys: readonly string[], percent: number, finished: boolean): void;
}

/** Works until nothing is behind, until it is told to stop, or until what it works on is begun anew by somebody else. */
export async function runIndex(tools: IndexTools): Promise<Exclude<IndexEnd, 'failed'>> {
  for (;;) {
    if (tools.stopped()) return 'stopped';
    const done = await pass(tools);
    if (done !== 'again') return done;
  }
}

/** Parameters that are equally far share a pass. */
async function pass(tools: IndexTools): Promise<'again' | 'complete' | 'stopped'> {
  const { store, live, say } = tools;
  const states = [...(await statesOf(store))].filter(([, { after }]) => after !== undefined);
  const [first] = states;
  if (first === undefined) return 'complete';
  const from = first[1].after ?? 0;
  let held: ReadonlyMap<string, HeldState> = new Map(states.filter(([, { after }]) => after === from));
  const keys = [...held.keys()];
  const types = new Set(keys.map(typeOf));
  const isConcerned = ({ type, text }: IndexedRow): boolean => types.has(type) || text.includes(CONTAINS);
  const indexed = (text: string) => {
    const resource = parseJson(text) as Resource;
    return { entries: live.current.indexEntries(resource), patients: live.current.patientsOf(resource) };
  };
  for (let after = from, pages = 1; ; pages++) {
    const page = await store.indexPage(after, tools.page);
    const isLast = page.rows.length === 0;
    const rows = page.rows.filter(isConcerned);
    if (rows.length > 0) await store.remake(rows, indexed);
    after = page.last;
    if (isLast || pages % tools.pagesPerPlace === 0) {
      const next = await placed(held, store, { after: isLast ? undefined : after, percent: page.percent });
      if (next === undefined) return 'stopped';
      held = next;
    }
    say(keys, isLast ? 100 : Math.min(page.percent, 99), isLast);
    if (isLast) return 'again';
    if (tools.stopped()) return 'stopped';
    await tools.pause();
  }
}

/** What a resource with contained ones holds: chains look into those, so that their rows are rows of the container. */
const CONTAINS = '"contained":';

function typeOf(key: string): string {
  return key.slice(0, key.indexOf('.'));
}

/** The states as they are kept now; undefined when somebody else has changed one of them: nothing is kept then. */
async function placed(
  held: ReadonlyMap<string, HeldState>,
  store: IndexTools['store'],
  place: Pick<IndexState, 'after' | 'percent'>,
): Promise<ReadonlyMap<string, HeldState> | undefined> {
  const isGone = ({ definition }: IndexState): boolean => place.after === undefined && definition === '';
  const commands = [...held].map(([key, state]) =>
    setState(key, isGone(state) ? undefined : { ...state, ...place }, state),
  );
  const { ok } = await store.commit({ commands, audit: [] });
  if (!ok) return undefined;
  const now = await statesOf(store);
  return new Map([...now].filter(([key]) => held.has(key)));
}
