/**
 * By whose definitions search documents are made while processes of two releases serve one database: those of the release that made them all last. An
 * older one makes none anew; what it writes is made anew by the newer. Nobody compares numbers of releases: who has never made them all is the newer.
 * docs/decisions/0056.
 */
import type { Db } from 'mongodb';
import { StoreError } from '../port.ts';
import type { Collections, HeadDoc, MetaDoc } from './layout.ts';

/** `current`: made by these definitions. `superseded`: by those of a newer release, or being made. `stale`: they are to be made by these. */
type Standing = 'current' | 'superseded' | 'stale';

/** Definitions that made them all before, newest last. */
const MOST_PAST = 20;

function standing(held: MetaDoc | null, hash: string): Standing {
  const { value, making, past = [] } = held ?? {};
  if (making !== undefined && making !== hash) return value === hash || past.includes(hash) ? 'superseded' : 'stale';
  if (value === hash) return 'current';
  return making === undefined && past.includes(hash) ? 'superseded' : 'stale';
}

/** A member name of the head: groups of commits whose documents were made by these definitions are counted in it. */
export const countedAs = (hash: string): string => `by.h${hash.replaceAll(/\W/g, '').slice(0, 16)}`;

/** What processes of other definitions have written so far, as one text. */
function writtenByOthers({ by = {} }: Pick<HeadDoc, 'by'>, hash: string): string {
  const own = countedAs(hash).slice(3);
  const others = Object.entries(by).filter(([name]) => name !== own);
  return others
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join();
}

const ownerOf = ({ meta }: Collections): Promise<MetaDoc | null> => meta.findOne({ _id: 'index' });
async function headOf({ head }: Collections): Promise<HeadDoc> {
  const found = await head.findOne({ _id: 'data' });
  if (found === null) throw new StoreError('unavailable', 'The database has lost its head.');
  return found;
}

/** Whether documents are to be made by these definitions; an empty database is current from the start. */
export async function indexIsStale(collections: Collections, hash: string): Promise<boolean> {
  const is = standing(await ownerOf(collections), hash);
  if (is !== 'stale') return false;
  const isEmpty = (await collections.resource.findOne({}, { projection: { _id: 1 } })) === null;
  if (isEmpty) await collections.meta.updateOne({ _id: 'index' }, { $set: { value: hash } }, { upsert: true });
  return !isEmpty;
}

/** @throws StoreError `unavailable` when a newer release makes them */
export async function assertOwner(collections: Collections, hash: string): Promise<void> {
  if (standing(await ownerOf(collections), hash) !== 'superseded') return;
  throw new StoreError('unavailable', 'Index rows are made by a newer release of Firewatch on this database.');
}

/** From now on older processes make none. What is written by them from here on is followed afterwards. */
export async function beginMaking(collections: Collections, hash: string): Promise<void> {
  if ((await ownerOf(collections))?.making === hash) return;
  const head = await headOf(collections);
  const made = { making: hash, from: head.seq, seen: writtenByOthers(head, hash) };
  await collections.meta.updateOne({ _id: 'index' }, { $set: made }, { upsert: true });
}

/** All of them are made. */
export async function endMaking(collections: Collections, hash: string): Promise<void> {
  const { value, past = [] } = (await ownerOf(collections)) ?? {};
  const before = [...past, ...(value === undefined ? [] : [String(value)])].filter((each) => each !== hash);
  await collections.meta.updateOne(
    { _id: 'index', making: hash },
    { $set: { value: hash, past: before.slice(-MOST_PAST) }, $unset: { making: '' } },
  );
}

/** What others have written since it was looked at. */
export interface Behind {
  /** Sequences after the first up to the second. */
  readonly after: number;
  readonly until: number;
  /** Made: the next look begins behind it. */
  done(): Promise<void>;
}

/** undefined: nothing, or documents are not ours to make. */
export async function behind(collections: Collections, hash: string): Promise<Behind | undefined> {
  const head = await headOf(collections);
  const seen = writtenByOthers(head, hash);
  if (seen === '') return undefined;
  const held = await ownerOf(collections);
  if (standing(held, hash) !== 'current' || (held?.seen ?? '') === seen) return undefined;
  return {
    after: held?.from ?? 0,
    until: head.seq,
    done: async () => {
      await collections.meta.updateOne({ _id: 'index', value: hash }, { $set: { from: head.seq, seen } });
    },
  };
}

/** For who goes back to an older release for good: whoever starts next makes them all by its own definitions. */
export async function disown(db: Db): Promise<void> {
  await db.collection<MetaDoc>('meta').deleteMany({ _id: { $in: ['index', 'reindex'] } });
}
