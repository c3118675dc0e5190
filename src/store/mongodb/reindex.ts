/** Search documents made again when the definitions that decide them have changed; each only while its version is the one that was read. */
import type { AnyBulkWriteOperation, Document } from 'mongodb';
import type { IndexedRow, IndexOf, IndexPage } from '../engine.ts';
import { assertOwner, beginMaking, behind, endMaking } from './index-owner.ts';
import { type Collections, placeOf, type ResourceDoc, TYPE_SPAN, type VersionDoc } from './layout.ts';
import { searchMembers } from './members.ts';
import { assertFloor, type Layout, withAdded } from './prepare.ts';

const STEP = 200;
/** Rows are computed at one time on a thread that answers requests. */
const FOLLOWED = 10;

/** At most `count` resources after a place. Costs no more than the page. */
export async function indexPage(
  collections: Collections,
  after: number,
  count: number,
): Promise<IndexPage & { readonly percent: number }> {
  const { resource } = collections;
  const found = await resource
    .find({ r: { $gt: Math.max(after, 0) } }, { projection: { _id: 1, r: 1, s: 1, v: 1 } })
    .sort({ r: 1 })
    .limit(count)
    .toArray();
  const rows = await rowsOf(collections, found);
  const last = found.at(-1)?.r ?? after;
  return { rows, last, percent: found.length === 0 ? 100 : percentAt(await rangesOf(resource, last), last) };
}

async function rowsOf(
  { version, fields }: Pick<Collections, 'version' | 'fields'>,
  found: readonly Pick<ResourceDoc, '_id' | 'r' | 's' | 'v'>[],
): Promise<readonly IndexedRow[]> {
  const texts = await version.find({ _id: { $in: found.map(({ s }) => s) } }).toArray();
  const held = new Map(
    texts.map((each) => [each._id, each.x === null ? undefined : fields.open(placeOf.version(each), each.x)]),
  );
  return found.flatMap(({ _id, r, s, v }): readonly IndexedRow[] => {
    const text = held.get(s);
    return text !== undefined ? [{ rid: r, version: v, type: _id.slice(0, _id.indexOf('/')), text }] : [];
  });
}

/** Where the resources of one type lie. */
interface Range {
  readonly oldest: number;
  readonly newest: number;
}
/** Two looks a type that has resources, so what was found is good for a while. */
const RANGES_MS = 2000;
const known = new WeakMap<object, { readonly at: number; readonly ranges: readonly Range[] }>();

/** @param place that lies in one of them: when it does not, resources have come since */
async function rangesOf(resource: Collections['resource'], place: number): Promise<readonly Range[]> {
  const held = known.get(resource);
  const isGood = held?.ranges.some(({ oldest, newest }) => oldest <= place && place <= newest) === true;
  if (isGood && performance.now() - held.at < RANGES_MS) return held.ranges;
  const edge = async (bounds: Document, way: 1 | -1): Promise<number | undefined> => {
    const [found] = await resource
      .find({ r: bounds }, { projection: { _id: 0, r: 1 } })
      .sort({ r: way })
      .limit(1)
      .toArray();
    return found?.r;
  };
  const ranges: Range[] = [];
  for (let after = 0; ; ) {
    const oldest = await edge({ $gt: after }, 1);
    if (oldest === undefined) break;
    after = (Math.floor(oldest / TYPE_SPAN) + 1) * TYPE_SPAN;
    ranges.push({ oldest, newest: (await edge({ $gt: 0, $lt: after }, -1)) ?? oldest });
  }
  known.set(resource, { at: performance.now(), ranges });
  return ranges;
}

/** Share of the places that lie at or before one: percent, rounded down. */
function percentAt(ranges: readonly Range[], place: number): number {
  const lengths = (upTo: number): number =>
    ranges.reduce((sum, { oldest, newest }) => sum + Math.max(0, Math.min(upTo, newest) - oldest + 1), 0);
  return Math.min(Math.floor((100 * lengths(place)) / Math.max(1, lengths(Number.POSITIVE_INFINITY))), 99);
}

/** @throws StoreError `unavailable` when a newer release makes search documents, or shuts this one out */
export async function remake(
  collections: Collections,
  indexHash: string,
  rows: readonly IndexedRow[],
  indexOf: IndexOf,
  layouts: readonly Layout[],
): Promise<void> {
  const { resource, version, head, fields } = collections;
  await assertOwner(collections, indexHash);
  assertFloor((await head.findOne({ _id: 'data' }))?.floor, layouts.length);
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
    const searched: ResourceDoc = { _id, r, v, s, at, ...searchMembers(entries, fields, placeOf.resource(_id, v)) };
    const { _id: filter, ...replacement } = withAdded(layouts, 'resource', searched);
    documents.push({ replaceOne: { filter: { _id: filter, s, r }, replacement } });
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
  indexHash: string,
  wanted: readonly string[],
  indexOf: IndexOf,
  layouts: readonly Layout[],
  onProgress: ((done: number) => void) | undefined,
): Promise<void> {
  const { meta } = collections;
  await beginMaking(collections, indexHash);
  const progress = String((await meta.findOne({ _id: 'reindex' }))?.value ?? '');
  const space = progress.indexOf(' ');
  let after = progress.slice(space + 1) === indexHash ? Number(progress.slice(0, space)) : 0;
  const isWanted = new Set(wanted);
  for (let done = 0; ; ) {
    const page = await indexPage(collections, after, STEP);
    if (page.last === after) break;
    const rows = page.rows.filter(({ type }) => isWanted.has(type));
    await remake(collections, indexHash, rows, indexOf, layouts);
    after = page.last;
    await meta.updateOne({ _id: 'reindex' }, { $set: { value: `${after} ${indexHash}` } }, { upsert: true });
    done += rows.length;
    onProgress?.(done);
  }
  await endMaking(collections, indexHash);
  await meta.deleteOne({ _id: 'reindex' });
}

/**
 * Makes anew what processes of other releases have written since, in small pages: requests are answered meanwhile.
 * @returns how many
 */
export async function followOthers(
  collections: Collections,
  indexHash: string,
  wanted: readonly string[],
  indexOf: IndexOf,
  layouts: readonly Layout[],
): Promise<number> {
  const { resource, version } = collections;
  const range = await behind(collections, indexHash);
  if (range === undefined) return 0;
  const isWanted = new Set(wanted);
  let done = 0;
  for (let { after } = range; ; ) {
    const page = await version
      .find({ _id: { $gt: after, $lte: range.until } }, { projection: { _id: 1, o: 1 } })
      .sort({ _id: 1 })
      .limit(FOLLOWED)
      .toArray();
    const last = page.at(-1);
    if (last === undefined) break;
    after = last._id;
    const ids = [...new Set(page.map(({ o }) => o))];
    const found = await resource.find({ _id: { $in: ids }, r: { $gt: 0 } }).toArray();
    const rows = (await rowsOf(collections, found)).filter(({ type }) => isWanted.has(type));
    await remake(collections, indexHash, rows, indexOf, layouts);
    done += rows.length;
  }
  await range.done();
  return done;
}
