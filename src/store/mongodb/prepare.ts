/** Layouts of the database, and how a process begins on it. How a layout is written: docs/mongodb.md. Reasons: docs/decisions/0056. */
import type { Collection, Db, Document, IndexDescription } from 'mongodb';
import { StoreError } from '../port.ts';
import { assertFields } from './data-key.ts';
import { type Collections, INDEXES, type Index, type MetaDoc, type Named } from './layout.ts';

/** A member of documents that only who holds the head writes, so that no process of an older layout can take it away once the floor is raised. */
export interface Added {
  readonly collection: 'version' | 'resource';
  readonly member: string;
  /** Told by the other members alone; undefined is kept as null. */
  make(document: Document): unknown;
}
/** What a layout has beyond the one before. Older processes must be right without it. */
export interface Layout {
  readonly indexes: Partial<Record<keyof Named, readonly Index[]>>;
  readonly added: readonly Added[];
  /** Its processes read only databases in which every document has the members up to this layout; absent: any. */
  readonly relies?: number;
}
/**
 * Layout n is the nth; the last is what this release writes. Only ever appended to. With 2 texts may be sealed (decision 0058): a database is so from its beginning, so
 * that none of layout 1 ever meets one.
 */
export const LAYOUTS: readonly Layout[] = [
  { indexes: INDEXES, added: [] },
  { indexes: {}, added: [] },
];

/** The document as the layouts have it. */
export function withAdded<T extends object>(
  layouts: readonly Layout[],
  collection: Added['collection'],
  document: T,
): T {
  const added = layouts.flatMap((layout) => layout.added).filter((each) => each.collection === collection);
  if (added.length === 0) return document;
  const members = added.map(({ member, make }) => [member, make(document) ?? null]);
  return { ...document, ...Object.fromEntries(members) };
}

/** @throws StoreError `unavailable` when processes of this layout are too old for the database */
export function assertFloor(floor: number | undefined, layout: number): void {
  if ((floor ?? 1) <= layout) return;
  throw new StoreError(
    'unavailable',
    `The database needs schema ${floor}: start a newer release of Firewatch. This one knows up to ${layout}.`,
  );
}

/** The numbers of a database; undefined when it has none yet. */
export async function schemaOf(meta: Collections['meta']) {
  const found: MetaDoc | null = await meta.findOne({ _id: 'schema' });
  if (found === null) return undefined;
  const floor = Number(found.value);
  return { floor, written: found.written ?? floor, filled: found.filled ?? 1 };
}

/** @throws StoreError `unavailable` when the database needs a newer release, or an upgrade that is not finished */
export async function assertSchema(meta: Collections['meta'], layouts: readonly Layout[] = LAYOUTS): Promise<void> {
  const schema = await schemaOf(meta);
  if (schema === undefined) return;
  assertFloor(schema.floor, layouts.length);
  const relies = Math.max(1, ...layouts.map((layout) => layout.relies ?? 1));
  if (schema.filled >= relies) return;
  throw new StoreError(
    'unavailable',
    `The upgrade of the database to schema ${relies} is not finished: run \`firewatch upgrade --finish\` of the release before.`,
  );
}

/**
 * Collections, indexes and numbers of the types, made when missing. Other processes go on meanwhile.
 * @throws StoreError `unavailable`, as `assertSchema`
 */
export async function prepare(
  db: Db,
  { fields, ...collections }: Collections,
  types: readonly string[],
  layouts: readonly Layout[] = LAYOUTS,
): Promise<void> {
  const { meta, head } = collections;
  await assertFields(db, fields);
  await assertSchema(meta, layouts);
  const held = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name));
  for (const { collectionName } of Object.values(collections)) {
    if (held.has(collectionName)) continue;
    // Another process may make it at the same time: it exists then.
    await db.createCollection(collectionName).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 48)) throw error;
    });
  }
  for (const { indexes } of layouts) await makeIndexes(db, collections, indexes);
  const newest = layouts.length;
  // A new database holds nothing that an older process could have left.
  const floor = newest > 1 ? { floor: newest } : {};
  await head.updateOne({ _id: 'data' }, { $setOnInsert: { seq: 0, at: 0, turn: 0, ...floor } }, { upsert: true });
  await meta.updateOne({ _id: 'types' }, { $addToSet: { names: { $each: [...types] } } }, { upsert: true });
  await meta.updateOne(
    { _id: 'schema' },
    { $setOnInsert: { value: newest, filled: newest }, $max: { written: newest } },
    { upsert: true },
  );
  // Another may have been the first meanwhile.
  await assertSchema(meta, layouts);
}

async function makeIndexes(db: Db, collections: Named, indexes: Layout['indexes']): Promise<void> {
  for (const [name, collection] of Object.entries(collections)) {
    const wanted = Object.entries(indexes).find(([of]) => of === name)?.[1];
    if (wanted === undefined || wanted.length === 0) continue;
    const target: Collection<Document> = db.collection(collection.collectionName);
    // One pass over the documents for all of them.
    await target.createIndexes(wanted.map(([key, options]): IndexDescription => ({ key, ...options })));
  }
}
