/** AuditEvents out of audit rows: read, search and count. Their order is by instant, then chain and place in it. */
import type { RenderAuditEvent } from '../../audit.ts';
import type { Predicate, SearchPlan } from '../../fhir/search/algebra.ts';
import { satisfies } from '../../fhir/search/satisfies.ts';
import { and, NONE, not, or } from '../../fhir/search/simplify.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { type Page, type SearchResult, type StoredVersion, StoreError } from '../port.ts';
import { allOf, anyOf, filterOf } from './filter.ts';
import type { Run } from './join.ts';
import { candidatesOf, entriesAt, isJudged } from './judged.ts';
import { type AuditDoc, type AuditEventDoc, CHAIN_SPAN, type Collections, placeOf } from './layout.ts';
import { type Filter, isUpdated, NOTHING, startsWith } from './leaf.ts';
import { keyed } from './members.ts';
import { BATCH } from './sealed-order.ts';
import type { Searcher } from './search.ts';
import { READ_MS } from './versions.ts';

const DATE = 'AuditEvent.date';
const PATIENT = 'AuditEvent.patient';
const ENTITY = 'AuditEvent.entity';
const ID = /^([1-9]\d{0,3})-([1-9]\d{0,12})-([1-9]\d{0,8})$/;
/** Most resources a chain may lead to: each is looked up in the log. */
const CHAIN_LIMIT = 200;

type Place = Pick<AuditEventDoc, 'a' | 'e'>;

function parseId(id: string): Place | undefined {
  const found = ID.exec(id);
  if (found === null) return undefined;
  const sequence = Number(found[2]);
  return sequence < CHAIN_SPAN ? { a: Number(found[1]) * CHAIN_SPAN + sequence, e: Number(found[3]) } : undefined;
}

export class AuditReader {
  readonly #collections: Collections;
  readonly #searcher: Searcher;
  readonly #render: RenderAuditEvent;

  constructor(collections: Collections, searcher: Searcher, render: RenderAuditEvent) {
    this.#collections = collections;
    this.#searcher = searcher;
    this.#render = render;
  }

  async read(id: string): Promise<StoredVersion | undefined> {
    const place = parseId(id);
    return place && (await this.#rendered([place]))[0];
  }

  async #rendered(places: readonly Place[]): Promise<readonly StoredVersion[]> {
    const { audit, subject } = this.#collections;
    const keys = [...new Set(places.map(({ a }) => a))];
    const found = await audit.find({ _id: { $in: keys } }, { maxTimeMS: READ_MS }).toArray();
    const rows = new Map(found.map((row) => [row._id, row]));
    const subjects = [...new Set(found.flatMap(({ u }) => u))];
    const known =
      subjects.length === 0 ? [] : await subject.find({ _id: { $in: subjects } }, { maxTimeMS: READ_MS }).toArray();
    const patients = new Map(known.map(({ _id, p }) => [_id, p]));
    return places.flatMap(({ a, e }) => {
      const row = rows.get(a);
      return row === undefined || e > row.n ? [] : [this.#event(row, e, patients)];
    });
  }

  #event(row: AuditDoc, event: number, known: ReadonlyMap<string, string>): StoredVersion {
    const { _id, at, f: form, b, x } = row;
    const { fields } = this.#collections;
    const bytes = fields.open(placeOf.audit(row), b);
    const erasable = x === null ? undefined : fields.open(placeOf.erasable(_id), x);
    const [chain, sequence] = [Math.floor(_id / CHAIN_SPAN), _id % CHAIN_SPAN];
    const patients = new Set<string>();
    const patientOf = (key: string): string | undefined => {
      const patient = known.get(key);
      if (patient !== undefined) patients.add(patient);
      return patient;
    };
    const text = this.#render({ chain, sequence, at, form, bytes, erasable, patientOf }, event);
    const key = { type: 'AuditEvent', id: `${chain}-${sequence}-${event}` };
    return { key, version: 1, sequence, at, method: 'POST', deleted: false, text, patients: [...patients] };
  }

  async search(plan: SearchPlan, page: Page): Promise<SearchResult> {
    const bound = JSON.stringify([plan.type, plan.sort, plan.principal]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, 3).map(Number);
    const way = isDescending(plan) ? -1 : 1;
    const run = this.#searcher.run();
    const filter = await this.#filter(await this.#resolved(plan.where, run), run);
    const found = await this.#collections.auditEvent
      .find(after === undefined ? filter : allOf([filter, beyond(after, way)]), { maxTimeMS: run.left() })
      .sort({ at: way, a: way, e: way })
      .limit(page.count + 1)
      .toArray();
    const kept = found.slice(0, page.count);
    const last = kept.at(-1);
    return {
      matches: await this.#rendered(kept),
      next: found.length > page.count && last ? encodeCursor(bound, [last.at, last.a, last.e]) : undefined,
    };
  }

  /** Type history: every AuditEvent has one version; newest first. */
  history(low: number | undefined, high: number | undefined, page: Page): Promise<SearchResult> {
    const where: Predicate[] = [];
    if (low !== undefined) where.push({ kind: 'interval', parameter: DATE, relation: 'ge', low, high: low });
    if (high !== undefined)
      where.push({ kind: 'interval', parameter: DATE, relation: 'lt', low: high + 1, high: high + 1 });
    const newest = [{ parameter: DATE, indexed: 'date', descending: true }] as const;
    return this.search({ type: 'AuditEvent', where: and(where), sort: newest, principal: '' }, page);
  }

  async count({ where }: SearchPlan): Promise<number> {
    const run = this.#searcher.run();
    const filter = await this.#filter(await this.#resolved(where, run), run);
    return this.#collections.auditEvent.countDocuments(filter, { maxTimeMS: run.left() });
  }

  /**
   * Chains as references to what they lead to. Nothing contained is indexed here, so what asks for it goes.
   * @throws StoreError `refused` for a chain to more than CHAIN_LIMIT resources, `_has`, and identifiers that are rendered but not indexed
   */
  async #resolved(where: Predicate, run: Run): Promise<Predicate> {
    switch (where.kind) {
      case 'and':
      case 'or': {
        const of: Predicate[] = [];
        for (const child of where.of) of.push(await this.#resolved(child, run));
        return where.kind === 'and' ? and(of) : or(of);
      }
      case 'not':
        return not(await this.#resolved(where.of, run));
      case 'chain': {
        const ids = await this.#searcher.ids(where, CHAIN_LIMIT + 1, run);
        if (ids.length > CHAIN_LIMIT) {
          throw new StoreError('refused', `A chain leads to more than ${CHAIN_LIMIT} ${where.type}.`);
        }
        return { kind: 'reference', parameter: where.parameter, targets: ids.map((id) => `${where.type}/${id}`) };
      }
      case 'has':
      case 'composite':
        throw new StoreError('refused', `A ${where.kind} over AuditEvent is not supported.`);
      case 'token':
        if (/:contained(?::|$)/.test(where.parameter)) return NONE;
        if (where.parameter === `${PATIENT}:identifier` || where.parameter === `${ENTITY}:identifier`) {
          const code = where.parameter.slice('AuditEvent.'.length);
          throw new StoreError('refused', `\`${code}\` of AuditEvents is not indexed; use a reference or a chain.`);
        }
        return where;
      default:
        return 'parameter' in where && where.parameter.includes(':contained:') ? NONE : where;
    }
  }

  async #filter(where: Predicate, run: Run): Promise<Filter> {
    switch (where.kind) {
      case 'all':
        return {};
      case 'none':
        return NOTHING;
      case 'ids':
        return { _id: { $in: [...where.ids] } };
      case 'and':
      case 'or': {
        const of: Filter[] = [];
        for (const child of where.of) of.push(await this.#filter(child, run));
        return where.kind === 'and' ? allOf(of) : anyOf(of);
      }
      case 'not':
        return { $nor: [await this.#filter(where.of, run)] };
      case 'missing': {
        const present = await this.#present(where.parameter, run);
        return where.missing ? { $nor: [present] } : present;
      }
      case 'interval':
        return isDate(where.parameter) ? during(where) : this.#facets(where, run);
      case 'reference':
        if (where.parameter === PATIENT || where.parameter === ENTITY) return this.#references(where, run);
        return this.#facets(where, run);
      case 'token':
      case 'string':
      case 'uri':
      case 'quantity':
        return this.#facets(where, run);
      default:
        return NOTHING;
    }
  }

  async #references({ parameter, targets }: Extract<Predicate, { kind: 'reference' }>, run: Run): Promise<Filter> {
    const patients = targets.filter((target) => target.startsWith('Patient/')).map((target) => target.slice(8));
    const others = parameter === ENTITY ? targets.filter((target) => !target.startsWith('Patient/')) : [];
    const options = { projection: { _id: 1 as const }, maxTimeMS: run.left() };
    const keys = await this.#collections.subject.find({ p: { $in: patients } }, options).toArray();
    return { k: { $in: [...keys.map(({ _id }) => `s ${_id}`), ...others.map((target) => `e ${target}`)] } };
  }

  /** Events with a facet that satisfies a leaf. */
  async #facets(where: Predicate, run: Run): Promise<Filter> {
    const options = { projection: { _id: 1 as const }, maxTimeMS: run.left() };
    if (this.#collections.fields.isSealed && isJudged(where)) return this.#judgedFacets(where, run);
    const filter = filterOf(where, 'AuditEvent', this.#collections.fields);
    const found = await this.#collections.facet.find(filter, options).toArray();
    return { k: { $in: found.map(({ _id }) => `f ${_id}`) } };
  }

  async #judgedFacets(where: Predicate, run: Run): Promise<Filter> {
    const { facet, fields } = this.#collections;
    const found = facet.find(candidatesOf(where, fields), { maxTimeMS: run.left(), batchSize: BATCH });
    const texts: string[] = [];
    for await (const { _id, e } of found) {
      const entries = entriesAt(fields, placeOf.facet(_id), e);
      if (satisfies(where, { type: 'AuditEvent', id: _id, at: 0, entries })) texts.push(`f ${_id}`);
    }
    return { k: { $in: texts } };
  }

  async #present(parameter: string, run: Run): Promise<Filter> {
    if (isDate(parameter)) return {};
    if (parameter === PATIENT) return startsWith('s ');
    if (parameter === ENTITY) return { $or: [startsWith('s '), startsWith('e ')] };
    const options = { projection: { _id: 1 as const }, maxTimeMS: run.left() };
    const found = await this.#collections.facet.find({ k: keyed(parameter, 'h') }, options).toArray();
    return { k: { $in: found.map(({ _id }) => `f ${_id}`) } };
  }
}

function isDate(parameter: string): boolean {
  return parameter === DATE || isUpdated(parameter);
}

/** recorded is the instant [at, at + 1). */
function during({ relation, low, high }: Extract<Predicate, { kind: 'interval' }>): Filter {
  switch (relation) {
    case 'eq':
    case 'ap':
      return { at: { $gte: low, $lt: high } };
    case 'ne':
      return { $or: [{ at: { $lt: low } }, { at: { $gte: high } }] };
    case 'gt':
    case 'sa':
      return { at: { $gte: high } };
    case 'ge':
      return { at: { $gte: Math.min(low, high) } };
    case 'lt':
    case 'eb':
      return { at: { $lt: low } };
    case 'le':
      return { at: { $lt: Math.max(low, high) } };
    default:
      throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
  }
}

/** Strictly after a place in the order. */
function beyond([at = 0, a = 0, e = 0]: readonly number[], way: 1 | -1): Filter {
  const further = way > 0 ? '$gt' : '$lt';
  const from = way > 0 ? { $gte: at } : { $lt: at + 1 };
  return { at: from, $or: [{ at: { [further]: at } }, { at, a: { [further]: a } }, { at, a, e: { [further]: e } }] };
}

/** Only the log's own order can be asked for. */
function isDescending({ sort }: SearchPlan): boolean {
  const [first] = sort;
  if (first === undefined) return false;
  if (first.indexed === 'updated' || first.indexed === 'id' || isDate(first.parameter)) return first.descending;
  throw new StoreError('refused', 'AuditEvents are sorted by `date`, `_lastUpdated` or `_id` only.');
}
