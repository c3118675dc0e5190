/** Stored versions of resources: current, by number, histories newest first, and the feed. Versions never change, so what was found by index is the whole truth. */
import type { Document } from 'mongodb';
import type { ResourceKey } from '../../fhir/resource.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { HistoryScope, Page, SearchResult, StoredVersion } from '../port.ts';
import type { Fields } from './fields.ts';
import { type Collections, placeOf, type VersionDoc } from './layout.ts';

/** No upper bound. */
const OPEN = Number.POSITIVE_INFINITY;
/** Longest time of one read, ms. */
export const READ_MS = 10_000;

/** @throws SealError */
export function versionOf(document: VersionDoc, fields: Fields): StoredVersion {
  const { _id, o, t, v, at, m, p, x } = document;
  return {
    key: { type: t, id: o.slice(t.length + 1) },
    version: v,
    sequence: _id,
    at,
    method: m,
    deleted: x === null,
    text: x === null ? undefined : fields.open(placeOf.version(document), x),
    patients: p,
  };
}

export class Versions {
  readonly #version: Collections['version'];

  readonly #head: Collections['head'];
  readonly #fields: Fields;

  constructor({ version, head, fields }: Pick<Collections, 'version' | 'head' | 'fields'>) {
    this.#version = version;
    this.#head = head;
    this.#fields = fields;
  }

  #opened(document: VersionDoc): StoredVersion {
    return versionOf(document, this.#fields);
  }

  async read({ type, id }: ResourceKey, version?: number): Promise<StoredVersion | undefined> {
    const o = `${type}/${id}`;
    const found = await this.#version.findOne(version === undefined ? { o } : { o, v: version }, {
      sort: { v: -1 },
      maxTimeMS: READ_MS,
    });
    return found === null ? undefined : this.#opened(found);
  }

  /** In this order; what was removed meanwhile is left out. */
  async bySequence(sequences: readonly number[]): Promise<readonly StoredVersion[]> {
    if (sequences.length === 0) return [];
    const found = await this.#version.find({ _id: { $in: [...sequences] } }, { maxTimeMS: READ_MS }).toArray();
    const held = new Map(found.map((version) => [version._id, this.#opened(version)]));
    return sequences.map((sequence) => held.get(sequence)).filter((version) => version !== undefined);
  }

  /** Pages by sequence; `at` never decreases along it, so instants and the cursor are both index bounds. */
  async history(scope: HistoryScope, page: Page): Promise<SearchResult> {
    const { type, id, since, before, patients, below } = scope;
    const bound = JSON.stringify(['history', type, id, patients]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, 2);
    const upper = Math.min(...[before, after && Number(after[0]), below?.at].map((each) => each ?? OPEN));
    const sequence = Math.min(...[after && Number(after[1]), below?.sequence].map((each) => each ?? OPEN));
    const bounds: Document = {
      ...(since === undefined ? {} : { $gte: since }),
      // Instants are whole: an open bound, since the stand-in of the tests loses the end of a closed one.
      ...(upper === OPEN ? {} : { $lt: upper + 1 }),
    };
    const filter: Document = {
      ...(type === undefined ? {} : id === undefined ? { t: type } : { o: `${type}/${id}` }),
      ...(Object.keys(bounds).length === 0 ? {} : { at: bounds }),
      ...(patients === undefined ? {} : { p: { $in: [...patients] } }),
      ...(sequence === OPEN ? {} : { _id: { $lt: sequence } }),
    };
    const found = await this.#version
      .find(filter, { maxTimeMS: READ_MS })
      // The index of patients is in the order of writes.
      .sort(id !== undefined ? { v: -1 } : patients !== undefined ? { _id: -1 } : { at: -1, _id: -1 })
      .limit(page.count + 1)
      .toArray();
    const matches = found.slice(0, page.count);
    const last = matches.at(-1);
    const more = found.length > page.count && last !== undefined;
    return {
      matches: matches.map((each) => this.#opened(each)),
      next: more ? encodeCursor(bound, [last.at, last._id]) : undefined,
    };
  }

  async changes(after: number, count: number): Promise<readonly StoredVersion[]> {
    if (count <= 0) return [];
    const found = await this.#version
      .find({ _id: { $gt: after } }, { maxTimeMS: READ_MS })
      .sort({ _id: 1 })
      .limit(count)
      .toArray();
    return found.map((each) => this.#opened(each));
  }

  /** Of a range of sequences, about one of these patients. */
  async about(patients: readonly string[], after: number, until: number): Promise<readonly StoredVersion[]> {
    if (patients.length === 0) return [];
    const filter = { p: { $in: [...patients] }, _id: { $gt: after, $lt: until + 1 } };
    const found = await this.#version.find(filter, { maxTimeMS: READ_MS }).sort({ _id: 1 }).toArray();
    return found.map((each) => this.#opened(each));
  }

  async latestSequence(): Promise<number> {
    const [last] = await this.#version
      .find({}, { projection: { _id: 1 }, maxTimeMS: READ_MS })
      .sort({ _id: -1 })
      .limit(1)
      .toArray();
    const head = await this.#head.findOne({ _id: 'data' }, { maxTimeMS: READ_MS });
    return Math.max(last?._id ?? 0, head?.purged ?? 0);
  }
}
