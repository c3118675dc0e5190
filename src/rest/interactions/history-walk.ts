/**
 * Versions newest first, as far as a caller may see them. Source: http.html#history; docs/authorization.md, decision 0050.
 * Where the access filter keeps to the compartments of some patients, versions come from the index of versions about them; else each version is
 * looked at in turn. A walk is bounded: where much is hidden a page may come short, and its next link goes on from there.
 */
import type { Predicate } from '../../fhir/search/algebra.ts';
import { confinedTo } from '../../fhir/search/compartment.ts';
import type { HistoryScope, ResourceStore, StoredVersion } from '../../store/port.ts';
import type { Caller, RestContext } from '../context.ts';

/** Where in the order of writes a page ended. */
export type Place = NonNullable<HistoryScope['below']>;

/** Most types that are walked side by side; more are one walk through everything. */
const MOST_SIDE_BY_SIDE = 32;

/** Where every version lies that a caller may see by searches, of one type or of all; a version may lie in several. */
export function sourcesOf(type: string | undefined, caller: Caller, context: RestContext): readonly HistoryScope[] {
  const visible = (each: string): Predicate => caller.access.visible(each, 'search');
  const confined = (each: string) => confinedTo(each, visible(each), context.definitions);
  if (type !== undefined) return [{ type, patients: confined(type) }];
  const types = [...context.capability.types.keys()].filter((each) => each !== AUDIT_EVENT);
  const wide: string[] = [];
  const narrow = new Map<string, readonly string[]>();
  for (const each of types.filter((one) => visible(one).kind !== 'none')) {
    const patients = confined(each);
    if (patients === undefined) wide.push(each);
    else narrow.set(patients.join(), patients);
  }
  if (wide.length === types.length || wide.length + narrow.size > MOST_SIDE_BY_SIDE) return [{}];
  return [...wide.map((each) => ({ type: each })), ...[...narrow.values()].map((patients) => ({ patients }))];
}

/** Not versioned. */
const AUDIT_EVENT = 'AuditEvent';

/** Versions that are read at once from one source. */
const READ_AT_ONCE = 50;

interface Stream {
  readonly source: HistoryScope;
  /** Newest first, not given yet. */
  read: StoredVersion[];
  /** Where to read on; undefined: all was read. */
  below: Place | 'newest' | undefined;
}

/** Versions of all sources, newest first, each once, read as they are needed. @param atOnce how many are wanted at first */
export async function* merged(
  sources: readonly HistoryScope[],
  below: Place | undefined,
  atOnce: number,
  store: Pick<ResourceStore, 'history'>,
): AsyncIterable<StoredVersion> {
  const first = Math.min(atOnce, READ_AT_ONCE);
  const streams = sources.map((source): Stream => ({ source, read: [], below: below ?? 'newest' }));
  let last: number | undefined;
  for (;;) {
    for (const stream of streams) await filled(stream, last === undefined ? first : READ_AT_ONCE, store);
    const [next] = streams.filter(({ read }) => read.length > 0).toSorted((a, b) => newest(b) - newest(a));
    const version = next?.read.shift();
    if (next === undefined || version === undefined) return;
    if (version.sequence === last) continue;
    last = version.sequence;
    yield version;
  }
}

const newest = ({ read }: Stream): number => read[0]?.sequence ?? 0;

async function filled(stream: Stream, count: number, store: Pick<ResourceStore, 'history'>): Promise<void> {
  if (stream.read.length > 0 || stream.below === undefined) return;
  const { source, below } = stream;
  const scope = below === 'newest' ? source : { ...source, below };
  const { matches, next } = await store.history(scope, { count });
  stream.read = [...matches];
  stream.below = next === undefined ? undefined : matches.at(-1);
}

export interface Walk {
  readonly seen: readonly StoredVersion[];
  /** Where the next page begins; undefined: nothing is left that this caller may see. */
  readonly next: Place | undefined;
}

/** Most versions that are looked at for a page; one more than its entries, where it may have as many. */
export const LOOKED_AT = 1000;
/** After so many the other requests of the thread have their turn. */
const TURN = 8;

/**
 * A page of `count` versions that `sees`, fewer when there are no more or LOOKED_AT were looked at. There is a next page only when it holds
 * something, or when nobody has looked.
 */
export async function walked(
  versions: AsyncIterable<StoredVersion>,
  count: number,
  sees: (version: StoredVersion) => Promise<boolean>,
): Promise<Walk> {
  const seen: StoredVersion[] = [];
  let looked = 0;
  for await (const version of versions) {
    looked++;
    if (await sees(version)) {
      if (seen.length === count) return { seen, next: placeOf(seen.at(-1)) };
      seen.push(version);
    }
    if (looked === Math.max(LOOKED_AT, count + 1)) return { seen, next: placeOf(version) };
    if (looked % TURN === 0) await breathe();
  }
  return { seen, next: undefined };
}

const placeOf = (version: StoredVersion | undefined): Place | undefined =>
  version && { at: version.at, sequence: version.sequence };

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
