/**
 * Chains and `_has` without `$lookup`: the ends are found first, then asked for by reference. When there are too many ends, the candidates of
 * the rest of the search are found first, and only the ends they name are judged.
 */
import type { ClientSession, Document } from 'mongodb';
import type { IndexEntry, Predicate } from '../../fhir/search/algebra.ts';
import { needsOthers, satisfies } from '../../fhir/search/satisfies.ts';
import { and, not, or } from '../../fhir/search/simplify.ts';
import { StoreError } from '../port.ts';
import { prefixEnd } from '../text-range.ts';
import { CLEAR, type Fields } from './fields.ts';
import { allOf, filterOf } from './filter.ts';
import { candidatesOf, entriesAt, isJudged, needsJudging } from './judged.ts';
import { type Collections, placeOf, type ResourceDoc, type TypeNumbers } from './layout.ts';
import { type Filter, NOTHING } from './leaf.ts';
import { keyed } from './members.ts';
import { BATCH } from './sealed-order.ts';

/** Most ends of one join that are found before the candidates of the rest are; and most of those, and of the ends they name. */
const MOST_ENDS = 20_000;
const MOST_CANDIDATES = 20_000;

type Join = Extract<Predicate, { kind: 'chain' | 'has' }>;

/** Runs under the limits of one search. */
export interface Run {
  readonly session?: ClientSession | undefined;
  /** Time that is left, ms. @throws StoreError `too-costly` when none is */
  left(): number;
}

export class Joins {
  readonly #resource: Collections['resource'];
  readonly #types: TypeNumbers;
  readonly #mostEnds: number;
  readonly #fields: Fields;

  /** @param mostEnds tests lower it so that a small world takes the ways of a large one */
  constructor(resource: Collections['resource'], types: TypeNumbers, mostEnds = MOST_ENDS, fields: Fields = CLEAR) {
    this.#resource = resource;
    this.#types = types;
    this.#mostEnds = mostEnds;
    this.#fields = fields;
  }

  /** Whether other documents must be read before a filter can be made. */
  #needsLook(where: Predicate): boolean {
    return needsOthers(where) || (this.#fields.isSealed && needsJudging(where));
  }

  /** The filter of the live resources of a type that satisfy a predicate; undefined when a join has too many ends. */
  async filter(where: Predicate, type: string, run: Run): Promise<Filter | undefined> {
    const range = await this.#types.range(type);
    if (range === undefined) return NOTHING;
    const plain = await this.#plain(where, type, run);
    return plain && allOf([filterOf(plain, type, this.#fields), { r: { $gt: range[0], $lt: range[1] } }]);
  }

  /** Without joins, meaning the same. */
  async #plain(where: Predicate, type: string, run: Run): Promise<Predicate | undefined> {
    if (!this.#needsLook(where)) return where;
    const resolved = await this.#resolved(where, type, run, undefined);
    if (resolved !== undefined) return resolved;
    const others = and((where.kind === 'and' ? where.of : [where]).filter((child) => !this.#needsLook(child)));
    const candidates = await this.#ids(others, type, run, MOST_CANDIDATES);
    if (candidates === undefined) return undefined;
    const judged = await this.#resolved(where, type, run, candidates);
    return judged && and([{ kind: 'ids', ids: candidates }, judged]);
  }

  /** @param among ids of the resources that are asked about; undefined: any */
  async #resolved(
    where: Predicate,
    type: string,
    run: Run,
    among: readonly string[] | undefined,
  ): Promise<Predicate | undefined> {
    switch (where.kind) {
      case 'and':
      case 'or': {
        const of: Predicate[] = [];
        for (const child of where.of) {
          const resolved = await this.#resolved(child, type, run, among);
          if (resolved === undefined) return undefined;
          of.push(resolved);
        }
        return where.kind === 'and' ? and(of) : or(of);
      }
      case 'not': {
        const inner = await this.#resolved(where.of, type, run, among);
        return inner && not(inner);
      }
      case 'chain':
        return this.#chain(where, type, run, among);
      case 'has':
        return this.#has(where, type, run, among);
      default:
        return this.#fields.isSealed && isJudged(where) ? this.#judged(where, type, run, among) : where;
    }
  }

  /** Ids of those whose entries satisfy it. */
  async #judged(where: Predicate, type: string, run: Run, among: readonly string[] | undefined) {
    const named = among && { _id: { $in: among.map((id) => `${type}/${id}`) } };
    const filter = await this.filter({ kind: 'all' }, type, run);
    const ids: string[] = [];
    const most = among === undefined ? this.#mostEnds : MOST_CANDIDATES;
    const isRead = await this.#opened(
      allOf([filter ?? NOTHING, candidatesOf(where, this.#fields), ...(named === undefined ? [] : [named])]),
      run,
      most,
      (name, entries) => {
        const id = name.slice(type.length + 1);
        // No judged leaf is about the instant.
        if (satisfies(where, { type, id, at: 0, entries })) ids.push(id);
      },
    );
    return isRead ? ({ kind: 'ids', ids } as const) : undefined;
  }

  /** Entries of the matches, opened. @returns false when there are more than `most` */
  async #opened(
    filter: Filter,
    run: Run,
    most: number,
    each: (name: string, entries: readonly IndexEntry[]) => void,
  ): Promise<boolean> {
    const options = { projection: { _id: 1 as const, v: 1 as const, e: 1 as const }, limit: most + 1 };
    const asked = { ...options, batchSize: BATCH, maxTimeMS: run.left(), ...inSession(run) };
    let count = 0;
    for await (const { _id, v, e } of this.#resource.find(filter, asked)) {
      if (++count > most) return false;
      each(_id, entriesAt(this.#fields, placeOf.resource(_id, v), e));
    }
    return true;
  }

  async #chain(where: Join, type: string, run: Run, among: readonly string[] | undefined) {
    refuseAudit(where.type);
    const { parameter } = where;
    const named =
      among &&
      (await this.#targets(
        { _id: { $in: among.map((id) => `${type}/${id}`) } },
        parameter,
        where.type,
        run,
        MOST_CANDIDATES,
      ));
    if (among !== undefined && named === undefined) return undefined;
    const inner = named === undefined ? where.where : and([where.where, { kind: 'ids', ids: named }]);
    const ends = await this.#ids(inner, where.type, run, among === undefined ? this.#mostEnds : MOST_CANDIDATES);
    if (ends === undefined) return undefined;
    const targets = ends.map((id) => `${where.type}/${id}`);
    return { kind: 'reference', parameter: where.parameter, targets } as const;
  }

  async #has(where: Join, type: string, run: Run, among: readonly string[] | undefined) {
    refuseAudit(where.type);
    const inner: Predicate =
      among === undefined
        ? where.where
        : and([
            where.where,
            { kind: 'reference', parameter: where.parameter, targets: among.map((id) => `${type}/${id}`) },
          ]);
    const filter = await this.filter(inner, where.type, run);
    const most = among === undefined ? this.#mostEnds : MOST_CANDIDATES;
    const ids = filter && (await this.#targets(filter, where.parameter, type, run, most));
    return ids && ({ kind: 'ids', ids } as const);
  }

  /** Ids of the matches, in no order; undefined when there are more than `most`. */
  async #ids(where: Predicate, type: string, run: Run, most: number): Promise<readonly string[] | undefined> {
    const filter = await this.filter(where, type, run);
    if (filter === undefined) return undefined;
    const options = { projection: { _id: 1 as const }, limit: most + 1, maxTimeMS: run.left() };
    const found = await this.#resource.find(filter, { ...options, ...inSession(run) }).toArray();
    return found.length > most ? undefined : found.map(({ _id }) => _id.slice(type.length + 1));
  }

  /** Ids of the resources of a type that the matches refer to, each once. */
  async #targets(
    filter: Filter,
    parameter: string,
    type: string,
    run: Run,
    most: number,
  ): Promise<readonly string[] | undefined> {
    if (this.#fields.isSealed) return this.#openedTargets(filter, parameter, type, run, most);
    const start = keyed(parameter, 'r', `${type}/`);
    const test = { $and: [{ $gte: ['$$this', start] }, { $lt: ['$$this', prefixEnd(start)] }] };
    const texts = { $filter: { input: { $ifNull: ['$k', []] }, cond: test } };
    const pipeline: Document[] = [{ $match: filter }, { $limit: most + 1 }, { $project: { _id: 0, k: texts } }];
    const found = await this.#resource
      .aggregate<Pick<ResourceDoc, 'k'>>(pipeline, { maxTimeMS: run.left(), ...inSession(run) })
      .toArray();
    if (found.length > most) return undefined;
    return [...new Set(found.flatMap(({ k = [] }) => k.map((text) => text.slice(start.length))))];
  }

  async #openedTargets(
    filter: Filter,
    parameter: string,
    type: string,
    run: Run,
    most: number,
  ): Promise<readonly string[] | undefined> {
    const [start, ids] = [`${type}/`, new Set<string>()];
    const isRead = await this.#opened(filter, run, most, (_name, entries) => {
      for (const entry of entries) {
        if (entry.kind !== 'reference' || entry.parameter !== parameter || !entry.target.startsWith(start)) continue;
        ids.add(entry.target.slice(start.length));
      }
    });
    return isRead ? [...ids] : undefined;
  }
}

export function inSession({ session }: Run): { session?: ClientSession } {
  return session === undefined ? {} : { session };
}

function refuseAudit(type: string): void {
  if (type === 'AuditEvent') throw new StoreError('refused', 'Chains and `_has` over AuditEvent are not supported.');
}
