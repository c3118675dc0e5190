/** Search documents made again when the definitions that decide them have changed; each only while its version is the one that was read. */
import type { AnyBulkWriteOperation } from 'mongodb';
import type { IndexedRow, IndexOf, IndexPage } from './engine.ts';
import { type Collections, type ResourceDoc, TYPE_SPAN, type TypeNumbers, type VersionDoc } from './mongodb-layout.ts';
import { searchMembers } from './mongodb-members.ts';

const STEP = 200;

/** @returns true when search documents were made by other definitions; an empty database is current from the start */
export async function indexIsStale({ meta, resource }: Collections, indexHash: string): Promise<boolean> {
  const held = await meta.findOne({ _id: 'index' });
  if (held?.value === indexHash) return false;
  const isEmpty = (await resource.findOne({}, { projection: { _id: 1 } })) === null;
  if (isEmpty) await meta.updateOne({ _id: 'index' }, { $set: { value: indexHash } }, { upsert: true });
  return !isEmpty;
}

/** At most `count` resources after a place. Costs no more than the page. */
export async function indexPage(
  { resource, version }: Collections,
  types: TypeNumbers,
  after: number,
  count: number,
): Promise<IndexPage & { readonly percent: number }> {
  const found = await resource
    .find({ r: { $gt: Math.max(after, 0) } }, { projection: { _id: 1, r: 1, s: 1, v: 1 } })
    .sort({ r: 1 })
    .limit(count)
    .toArray();
  const texts = await version.find({ _id: { $in: found.map(({ s }) => s) } }).toArray();
  const held = new Map(texts.map(({ _id, x }) => [_id, x]));
  const rows = found.flatMap(({ _id, r, s, v }): readonly IndexedRow[] => {
    const text = held.get(s);
    return typeof text === 'string' ? [{ rid: r, version: v, type: _id.slice(0, _id.indexOf('/')), text }] : [];
  });
  const last = found.at(-1)?.r ?? after;
  if (found.length === 0) return { rows, last, percent: 100 };
  // By the place among the types: how many resources lie before it is not counted.
  const percent = Math.floor((100 * (last / TYPE_SPAN - 1)) / Math.max(types.count, 1));
  return { rows, last, percent: Math.min(Math.max(percent, 0), 99) };
}

export async function remake(
  { resource, version }: Collections,
  rows: readonly IndexedRow[],
  indexOf: IndexOf,
): Promise<void> {
  const made = rows.map(({ rid, version: v, text, type }) => ({ rid, v, type, ...indexOf(text) }));
  if (made.length === 0) return;
  const current = await resource
    .find({ r: { $in: made.map(({ rid }) => rid) } }, { projection: { _id: 1, r: 1, s: 1, v: 1, at: 1 } })
    .toArray();
  const held = new Map(current.map((document) => [document.r, document]));
  const documents: AnyBulkWriteOperation<ResourceDoc>[] = [];
  const versions: AnyBulkWriteOperation<VersionDoc>[] = [];
  for (const { rid, v, entries, patients } of made) {
    const document = held.get(rid);
    if (document === undefined || document.v !== v) continue;
    const { _id, r, s, at } = document;
    documents.push({ replaceOne: { filter: { _id, s, r }, replacement: { r, v, s, at, ...searchMembers(entries) } } });
    versions.push({
      updateOne: { filter: { _id: s, p: { $ne: [...patients] } }, update: { $set: { p: [...patients] } } },
    });
  }
  if (documents.length === 0) return;
  await resource.bulkWrite(documents, { ordered: false });
  await version.bulkWrite(versions, { ordered: false });
}

/** Makes every search document of `types` again; taken up where it stopped. */
export async function reindexAll(
  collections: Collections,
  types: TypeNumbers,
  indexHash: string,
  wanted: readonly string[],
  indexOf: IndexOf,
  onProgress: ((done: number) => void) | undefined,
): Promise<void> {
  const { meta } = collections;
  const progress = String((await meta.findOne({ _id: 'reindex' }))?.value ?? '');
  const space = progress.indexOf(' ');
  let after = progress.slice(space + 1) === indexHash ? Number(progress.slice(0, space)) : 0;
  const isWanted = new Set(wanted);
  for (let done = 0; ; ) {
    const page = await indexPage(collections, types, after, STEP);
    if (page.last === after) break;
    const rows = page.rows.filter(({ type }) => isWanted.has(type));
    await remake(collections, rows, indexOf);
    after = page.last;
    await meta.updateOne({ _id: 'reindex' }, { $set: { value: `${after} ${indexHash}` } }, { upsert: true });
    done += rows.length;
    onProgress?.(done);
  }
  await meta.updateOne({ _id: 'index' }, { $set: { value: indexHash } }, { upsert: true });
  await meta.deleteOne({ _id: 'reindex' });
}
