/**
 * Chains and `_has` without `$lookup`: the ends are found first, then asked for by reference. When there are too many ends, the candidates of
 * the rest of the search are found first, and only the ends they name are judged.
 */
import type { ClientSession, Document } from 'mongodb';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { needsOthers } from '../../fhir/search/satisfies.ts';
import { and, not, or } from '../../fhir/search/simplify.ts';
import { StoreError } from '../port.ts';
import { prefixEnd } from '../text-range.ts';
import { allOf, filterOf } from './filter.ts';
import type { Collections, ResourceDoc, TypeNumbers } from './layout.ts';
import { type Filter, NOTHING } from './leaf.ts';
import { keyed } from './members.ts';

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

  /** @param mostEnds tests lower it so that a small world takes the ways of a large one */
  constructor(resource: Collections['resource'], types: TypeNumbers, mostEnds = MOST_ENDS) {
    this.#resource = resource;
    this.#types = types;
    this.#mostEnds = mostEnds;
  }

  /** The filter of the live resources of a type that satisfy a predicate; undefined when a join has too many ends. */
  async filter(where: Predicate, type: string, run: Run): Promise<Filter | undefined> {
    const range = await this.#types.range(type);
    if (range === undefined) return NOTHING;
    const plain = await this.#plain(where, type, run);
    return plain && allOf([filterOf(plain, type), { r: { $gt: range[0], $lt: range[1] } }]);
  }

  /** Without joins, meaning the same. */
  async #plain(where: Predicate, type: string, run: Run): Promise<Predicate | undefined> {
    if (!needsOthers(where)) return where;
    const resolved = await this.#resolved(where, type, run, undefined);
    if (resolved !== undefined) return resolved;
    const others = and((where.kind === 'and' ? where.of : [where]).filter((child) => !needsOthers(child)));
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
        return where;
    }
  }

  async #chain(where: Join, type: string, run: Run, among: readonly string[] | undefined) {
    refuseAudit(where.type);
    const start = keyed(where.parameter, 'r', `${where.type}/`);
    const named =
      among && (await this.#texts({ _id: { $in: among.map((id) => `${type}/${id}`) } }, start, run, MOST_CANDIDATES));
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
    const start = keyed(where.parameter, 'r', `${type}/`);
    const most = among === undefined ? this.#mostEnds : MOST_CANDIDATES;
    const ids = filter && (await this.#texts(filter, start, run, most));
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

  /** What follows `start` in the texts of the matches, each once. */
  async #texts(filter: Filter, start: string, run: Run, most: number): Promise<readonly string[] | undefined> {
    const test = { $and: [{ $gte: ['$$this', start] }, { $lt: ['$$this', prefixEnd(start)] }] };
    const texts = { $filter: { input: { $ifNull: ['$k', []] }, cond: test } };
    const pipeline: Document[] = [{ $match: filter }, { $limit: most + 1 }, { $project: { _id: 0, k: texts } }];
    const found = await this.#resource
      .aggregate<Pick<ResourceDoc, 'k'>>(pipeline, { maxTimeMS: run.left(), ...inSession(run) })
      .toArray();
    if (found.length > most) return undefined;
    return [...new Set(found.flatMap(({ k = [] }) => k.map((text) => text.slice(start.length))))];
  }
}

export function inSession({ session }: Run): { session?: ClientSession } {
  return session === undefined ? {} : { session };
}

function refuseAudit(type: string): void {
  if (type === 'AuditEvent') throw new StoreError('refused', 'Chains and `_has` over AuditEvent are not supported.');
}
